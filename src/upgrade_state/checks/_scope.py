"""
Many checks as one scope, which owns them.

It begins checks, and does not end before they have, whatever happens. The
calling thread owns the scope: it alone takes environments, begins checks, tells
the observer and decides when all is to be cancelled, and it never resolves. A
resolver blocks, so each running check has a thread, which only makes that check
and says how it has ended.

Ended early, by a deadline, a `Cancellation`, a first failure or an exception in
the calling thread, is always the same: the scope's own cancellation is
expressed, the running checks notice, and they are waited for.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import random
import time
import traceback
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from upgrade_state import _durations, _redact
from upgrade_state.exceptions import (
    ResolverError,
    StateReadError,
    UpgradeStateError,
)

from ._cancellation import Cancellation
from ._check import Outcome, check
from ._threads import Threads, handlers_raise_later

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

    from upgrade_state._environment import EnvironmentState
    from upgrade_state._look import Look

    from ._check import Resolver

OnError: TypeAlias = Literal["continue", "stop", "retry"]

ON_ERROR: Final[tuple[OnError, ...]] = ("continue", "stop", "retry")

# Checks wait for a network most of the time. More of them at once are no kindness
# to an index, and the tools bring threads of their own.
_MAX_JOBS: Final = 8
_JOBS_PER_CORE: Final = 4

# In seconds, each less up to a quarter: what has failed together, because an
# index was overwhelmed, is not tried again together.
_PAUSES: Final = (2.0, 4.0)


@attrs.frozen
class Result:
    """
    How the check of one of many environments has ended.

    Attributes:
        environment: Which one.

        outcome: How. ``failed`` also where its record cannot be read, locked or
            stored, and where a resolver has a bug, which is the error's
            `__cause__` then.

        seconds: How long the check took; zero where none has begun.
    """

    environment: EnvironmentState
    outcome: Outcome
    seconds: float


def check_all(  # noqa: PLR0913 - what a scope depends on
    environments: Iterable[EnvironmentState],
    resolver: Resolver | None = None,
    *,
    jobs: int | None = None,
    timeout: dt.timedelta | None = None,
    on_error: OnError = "continue",
    max_age: dt.timedelta | None = None,
    restart: bool = False,
    cancellation: Cancellation | None = None,
    observe: Callable[[EnvironmentState, Result | None], None] | None = None,
) -> list[Result]:
    """
    Check what is due of *environments*, several at once; return once all have ended.

    No thread outlives the call, and no process that a resolver looks after.
    What is fresh or backing off is skipped, so that whoever is interrupted goes
    on by calling it again. In the main thread, exceptions of signal handlers,
    as Ctrl-C raises one, cancel everything and arrive once it has ended.

    Args:
        environments: For example a `StateStore`. Taken one by one, as there is
            room.

        resolver: For all of them, called by several threads at once. None: for
            each by the recipe that its record names, as in `check`.

        jobs: How many checks may run at once. None: 4 for each core, at most 8.

        timeout: After that what runs is cancelled, and nothing begins any more.
            Zero: nothing begins. None: no such limit, other than the resolvers'
            own.

        on_error: ``continue``: one failure is none of the others' business.
            ``stop``: the first one cancels everything. ``retry``: a resolver
            that has failed is tried again after 2 and 4 seconds, or a little
            less, if *timeout* allows; all of that is one failure.

        max_age: For how long a check is good. None: a day. Zero: not at all.

        restart: Begin anew: `expire` all that will be checked, before the
            first check begins, and go by path and lockfile's name. For that
            all environments are taken at once.

        cancellation: What ends the checks, besides. None: nothing does.

        observe: Called in this thread: with None when a check begins, and with
            the result when it has ended or none is to be made. While it runs no
            other check begins.

    Returns:
        How it has ended for each environment, in the order they came in.

    Raises:
        ValueError: An argument has no meaning; nothing has begun.
        UpgradeStateError: *environments*, if a store, cannot be read, or there
            is not a single file descriptor left.
        BaseException: Whatever *environments* or *observe* raise, or a signal's
            handler: once everything is cancelled and has ended.
    """
    _refuse_nonsense(jobs, on_error, timeout=timeout, max_age=max_age)
    seconds = math.inf if timeout is None else timeout.total_seconds()
    plan = _Plan(resolver, max_age, on_error, time.monotonic() + seconds)
    with _opened(cancellation) as (own, threads):
        scope = _Scope(
            plan=plan,
            jobs=_default_jobs() if jobs is None else jobs,
            own=own,
            outer=cancellation,
            threads=threads,
            observe=observe,
        )
        try:
            return scope.run(scope.anew(environments) if restart else environments)
        finally:
            own.cancel()


def _refuse_nonsense(
    jobs: int | None, on_error: str, **durations: dt.timedelta | None
) -> None:
    for name, duration in durations.items():
        if duration is not None:
            _durations.whole_seconds(duration, name)
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be 1 or more: {jobs!r}")
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error must be one of {ON_ERROR}, not {on_error!r}")


def _default_jobs() -> int:
    return min(_MAX_JOBS, _JOBS_PER_CORE * (os.cpu_count() or 1))


@contextlib.contextmanager
def _opened(
    outer: Cancellation | None,
) -> Iterator[tuple[Cancellation, Threads[Result]]]:
    """
    Open what a scope is made of; close it in turn, the threads first.
    """
    with contextlib.ExitStack() as stack:
        try:
            own = stack.enter_context(Cancellation())
            stack.enter_context(handlers_raise_later(own.cancel))
            threads = stack.enter_context(Threads[Result](outer))
        except OSError as error:
            message = f"Could not begin to check ({error.strerror})"
            raise UpgradeStateError(message, None) from error
        yield own, threads


@attrs.frozen
class _Plan:
    """
    What is done about each environment.
    """

    resolver: Resolver | None
    max_age: dt.timedelta | None
    on_error: OnError
    deadline: float

    def without_check(self, environment: EnvironmentState) -> Outcome | None:
        """
        Return the outcome where no check is to be made; None: one is.

        A first look, without a lock and without a thread.
        """
        if environment.path is None:
            return Outcome("failed", _unreadable(environment))
        look = another(environment).look()
        if self._is_gone(look):
            return Outcome("gone")
        freshness = look.freshness(max_age=self.max_age)
        if freshness.reason in ("fresh", "backing-off"):
            return Outcome(freshness.reason, None, freshness)
        if not self._has_resolver(look):
            return Outcome("no-recipe", None, freshness)
        return None

    def can_check(self, environment: EnvironmentState) -> bool:
        """
        Tell whether a check can be made, be it due or not.
        """
        look = another(environment).look()
        return not self._is_gone(look) and self._has_resolver(look)

    def _is_gone(self, look: Look) -> bool:
        # What a resolver of one's own is about need not be a file.
        if self.resolver is not None:
            return look.missing == "directory"
        return look.missing is not None

    def _has_resolver(self, look: Look) -> bool:
        # An error is for the check to say.
        return bool(self.resolver or look.error or look.recipe)

    def check(self, environment: EnvironmentState, own: Cancellation) -> Result:
        """
        Make a check, in a thread of its own. Never raises.
        """
        begin = time.monotonic()
        try:
            outcome = check(
                environment,
                self.resolver,
                only_if_due=True,
                max_age=self.max_age,
                retries=self._pauses(),
                cancellation=own,
            )
        except BaseException as error:  # noqa: BLE001 - its siblings go on
            outcome = _failed(environment, error)
        if outcome.error is not None:
            _let_go(outcome.error)
        return Result(environment, outcome, time.monotonic() - begin)

    def _pauses(self) -> Iterator[float]:
        for seconds in _PAUSES if self.on_error == "retry" else ():
            pause = seconds * (1 - random.random() / 4)  # noqa: S311 - no secret
            if time.monotonic() + pause >= self.deadline:
                return  # what is known by then says more than "cancelled"
            yield pause


def another(environment: EnvironmentState) -> EnvironmentState:
    """
    Return another handle to look with, since results are kept, with theirs.

    A handle remembers what it has read.
    """
    return copy.copy(environment)


def _unreadable(environment: EnvironmentState) -> StateReadError:
    message = "The record is corrupt or may not be read"
    return StateReadError(message, environment.record_path)


def _failed(environment: EnvironmentState, error: BaseException) -> Outcome:
    """
    Make an outcome of whatever has left a check.
    """
    if not isinstance(error, UpgradeStateError):
        words = "".join(traceback.format_exception_only(error))
        message = _redact.message_of(words, _redact.MESSAGE_LENGTH)
        bug, error = error, ResolverError(message, environment.path)
        error.__cause__ = bug
    return Outcome("failed", error)


def _let_go(error: UpgradeStateError) -> None:
    """
    Forget the local variables of what has failed, lockfiles among them.

    The results of all checks are kept until the scope ends.
    """
    for link in (error, error.__cause__):
        if link is not None:
            traceback.clear_frames(link.__traceback__)


class _Scope:
    """
    The calling thread's view: what has begun, what has ended, and what is left.
    """

    def __init__(
        self,
        *,
        plan: _Plan,
        jobs: int,
        own: Cancellation,
        outer: Cancellation | None,
        threads: Threads[Result],
        observe: Callable[[EnvironmentState, Result | None], None] | None,
    ) -> None:
        self._plan = plan
        self._jobs = jobs
        self._own = own
        self._outer = outer
        self._threads = threads
        self._observe = observe or (lambda *_: None)
        self._results: dict[int, Result] = {}
        # By key: what could not be expired must not pass for fresh.
        self._refused: dict[str, UpgradeStateError] = {}

    def anew(
        self, environments: Iterable[EnvironmentState]
    ) -> Iterable[EnvironmentState]:
        """
        Put *environments* in order, and make a check of each of them due.
        """
        ordered = sorted(
            environments, key=lambda e: (e.path or "", e.lockfile_name or "")
        )
        for environment in ordered:
            if self._is_over():
                break
            if self._plan.can_check(environment):
                try:
                    environment.expire()
                except UpgradeStateError as error:
                    self._refused[environment.key] = error
        return ordered

    def run(self, environments: Iterable[EnvironmentState]) -> list[Result]:
        """
        Check all of them; return the results in the order of *environments*.
        """
        number = -1
        for number, environment in enumerate(environments):
            self._wait_until_running(fewer_than=self._jobs)
            self._begin(number, environment)
        self._wait_until_running(fewer_than=1)
        return [self._results[i] for i in range(number + 1)]

    def _is_over(self) -> bool:
        """
        Tell whether nothing may begin any more, and cancel what runs if so.
        """
        if time.monotonic() >= self._plan.deadline or (
            self._outer is not None and self._outer.is_cancelled
        ):
            self._own.cancel()
        return self._own.is_cancelled

    def _begin(self, number: int, environment: EnvironmentState) -> None:
        outcome = self._without_check(environment)
        if outcome is not None:
            self._end(number, Result(environment, outcome, 0.0))
            return
        self._observe(environment, None)
        try:
            self._threads.start(
                number, lambda: self._plan.check(environment, self._own)
            )
        except RuntimeError as error:  # there are too many threads
            self._end(number, Result(environment, _failed(environment, error), 0.0))

    def _without_check(self, environment: EnvironmentState) -> Outcome | None:
        if self._is_over():
            return Outcome("cancelled")
        if environment.key in self._refused:
            return Outcome("failed", self._refused[environment.key])
        return self._plan.without_check(environment)

    def _wait_until_running(self, *, fewer_than: int) -> None:
        """
        Deal with what has ended by now, and wait as long as too many checks run.
        """
        self._take(0.0)
        while len(self._threads) >= fewer_than:
            rest = self._plan.deadline - time.monotonic()
            self._take(math.inf if self._is_over() else max(rest, 0.0))

    def _take(self, seconds: float) -> None:
        if self._threads:
            for number, result in self._threads.take(seconds):
                self._end(number, result)

    def _end(self, number: int, result: Result) -> None:
        self._results[number] = result
        if self._plan.on_error == "stop" and result.outcome.state == "failed":
            self._own.cancel()
        self._observe(result.environment, result)
