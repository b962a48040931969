"""
Many checks as one scope, which owns them.

The calling thread takes environments, begins checks, calls the observer and decides
when everything is cancelled. It makes no check: each one that runs has a thread of a
pool. The scope returns only when all of its checks have ended.

A deadline, a `Cancellation`, a first failure, Ctrl-C and an exception in the calling
thread end a scope early, always in the same way: the scope's own cancellation is set,
the running checks notice it, and the scope waits for them.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import random
import signal
import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from upgrade_state import _durations, _redact
from upgrade_state.exceptions import ResolverError, StateReadError, UpgradeStateError

from ._cancellation import POLL_SECONDS, Cancellation
from ._check import Outcome, check

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from typing import Final

    from upgrade_state import EnvironmentState, Look

    from ._check import Resolver
    from ._sharing import SharedResults

OnError: TypeAlias = Literal["continue", "stop", "retry"]

ON_ERROR: Final[tuple[OnError, ...]] = ("continue", "stop", "retry")

# Checks wait for a network most of the time. More of them at once would overload an
# index, and the tools bring threads of their own.
_MAX_JOBS: Final = 8
_JOBS_PER_CORE: Final = 4

# Seconds before a failed resolver is tried again, each less up to a quarter: checks
# that failed together, because an index was overloaded, are not repeated together.
_PAUSES: Final = (2.0, 4.0)


@attrs.frozen
class Result:
    """
    How the check of one of many environments has ended.

    Attributes:
        path: The environment's directory. None: its record cannot be read.

        lockfile_name: The name of its lockfile. None: it has none.

        name: Its name, if its lockfile or its directory has several. None: it has
            none.

        key: Its key.

        outcome: How the check has ended. ``failed`` also if the record cannot be
            read, locked or stored, and if the resolver has a bug, which is the
            error's ``__cause__`` then. Its *look* is only for the observer, so that
            the results of 100 000 checks stay small.

        seconds: How long the check took. Zero: none was made.
    """

    path: str | None
    lockfile_name: str | None
    name: str | None
    key: str
    outcome: Outcome
    seconds: float


def check_all(  # noqa: PLR0913 - the public door
    environments: Iterable[EnvironmentState],
    resolver: Resolver | None = None,
    *,
    lockfile: Callable[[EnvironmentState], bytes | None] | None = None,
    without_lockfile: bool = False,
    jobs: int | None = None,
    timeout: dt.timedelta | None = None,
    on_error: OnError = "continue",
    max_age: dt.timedelta | None = None,
    restart: bool = False,
    cancellation: Cancellation | None = None,
    shared: SharedResults | None = None,
    observe: Callable[[EnvironmentState, Result | None], None] | None = None,
) -> list[Result]:
    """
    Check all *environments* whose check is due, several at once.

    Returns only when every check has ended. No thread outlives the call, and no
    process of a `Command`. An environment whose check is not due is skipped, so a
    second call continues an interrupted one. In the main thread, Ctrl-C at any
    instant cancels everything; `KeyboardInterrupt` is raised once it has ended.

    Args:
        environments: For example a `StateStore`. They are taken one by one, as
            threads become free.

        resolver: For all environments; several threads call it at once. None: for
            each environment the recipe of its consent, as in `check`.

        lockfile: Returns the content that the check of an environment is about;
            None: read the file. Several threads call it at once, and no lock is
            held. Its exception is a failure of that environment, and nothing is
            recorded. None: read all files.

        without_lockfile: As in `check`.

        jobs: How many checks run at once. None: 4 per core, at most 8.

        timeout: After it, running checks are cancelled and no other begins. Zero:
            none begins. None: no limit besides those of the resolvers.

        on_error: ``continue``: one failure does not affect the other checks.
            ``stop``: the first one cancels everything. ``retry``: a resolver that
            failed is tried again after 2 and after 4 seconds, or a little less, if
            *timeout* allows; all attempts together are one failure.

        max_age: How long a check is good for. None: a day. Zero: not at all.

        restart: First `expire` every environment that can be checked, and check
            them in the order of paths and lockfile names. All environments are
            taken at once then.

        cancellation: Ends the checks when it is cancelled. None: there is none.

        shared: As in `check`. After trouble with it, no other check of the next minute
            waits for it.

        observe: Called in this thread: with None when a check begins, and with the
            result when it has ended or none is made. No check begins meanwhile.

    Returns:
        One result for each environment, in the order of *environments*.

    Raises:
        ValueError: An argument is invalid; nothing has begun.
        UpgradeStateError: *environments* is a store that cannot be read, or the
            system gives no thread; everything has ended.
        BaseException: Raised by *environments*, *observe* or a signal handler, once
            everything is cancelled and has ended.
    """
    for name, duration in (("timeout", timeout), ("max_age", max_age)):
        if duration is not None:
            _durations.whole_seconds(duration, name)
    if jobs is None:
        jobs = min(_MAX_JOBS, _JOBS_PER_CORE * (os.cpu_count() or 1))
    if jobs < 1:
        raise ValueError(f"jobs must be 1 or more: {jobs!r}")
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error must be one of {ON_ERROR}, not {on_error!r}")
    seconds = math.inf if timeout is None else timeout.total_seconds()
    scope = _Scope(
        resolver=resolver,
        lockfile=lockfile,
        without_lockfile=without_lockfile,
        jobs=jobs,
        deadline=time.monotonic() + seconds,
        on_error=on_error,
        max_age=max_age,
        outer=cancellation,
        shared=shared,
        observe=observe or (lambda *_: None),
    )
    with _cancelled_by_interrupt(scope.own), ThreadPoolExecutor(jobs) as pool:
        try:
            if restart:
                environments = scope.expired(environments)
            return scope.run(environments, pool)
        finally:
            scope.own.cancel()


@contextlib.contextmanager
def _cancelled_by_interrupt(cancellation: Cancellation) -> Iterator[None]:
    """
    Let Ctrl-C cancel, and raise its `KeyboardInterrupt` only at the end.

    Raised at once, between any two instructions, it could leave a thread behind.
    """
    is_default = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    interrupts: list[int] = []

    def interrupt(number: int, _: object) -> None:
        interrupts.append(number)
        cancellation.cancel()

    try:
        if is_default:
            signal.signal(signal.SIGINT, interrupt)
        yield
    finally:
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if interrupts:
            raise KeyboardInterrupt


@attrs.define(kw_only=True)
class _Scope:
    """
    The state of a scope. Its methods are for the calling thread, except `_check`.

    Attributes:
        deadline: On the monotonic clock.

        outer: The caller's cancellation.

        own: Cancels the checks of this scope.
    """

    resolver: Resolver | None
    lockfile: Callable[[EnvironmentState], bytes | None] | None
    without_lockfile: bool
    jobs: int
    deadline: float
    on_error: OnError
    max_age: dt.timedelta | None
    outer: Cancellation | None
    shared: SharedResults | None
    observe: Callable[[EnvironmentState, Result | None], None]
    own: Cancellation = attrs.field(factory=Cancellation)
    _results: dict[int, Result] = attrs.field(factory=dict, init=False)
    _running: dict[Future[tuple[Outcome, float]], tuple[int, EnvironmentState]] = (
        attrs.field(factory=dict, init=False)
    )
    # By key: an environment that could not be expired must not pass for fresh.
    _refused: dict[str, UpgradeStateError] = attrs.field(factory=dict, init=False)

    def expired(
        self, environments: Iterable[EnvironmentState]
    ) -> list[EnvironmentState]:
        """
        Sort *environments*, and make a check of each of them due.
        """
        ordered = sorted(
            environments,
            key=lambda e: (e.path or "", e.lockfile_name or "", e.name or ""),
        )
        for environment in ordered:
            if self._is_over():
                break
            try:
                look = copy.copy(environment).look()
                if not self._is_gone(look) and self._is_allowed(look):
                    environment.expire()
            except UpgradeStateError as error:
                self._refused[environment.key] = error
        return ordered

    def run(
        self, environments: Iterable[EnvironmentState], pool: ThreadPoolExecutor
    ) -> list[Result]:
        """
        Check all of them; return the results in the order of *environments*.
        """
        number = -1
        for number, environment in enumerate(environments):
            self._wait_until_running(fewer_than=self.jobs)
            outcome = self._without_check(environment)
            if outcome is None:
                self.observe(environment, None)
                try:
                    future = pool.submit(self._check, environment)
                except RuntimeError as error:  # the system gives no more threads
                    message = f"Could not start a check ({error})"
                    raise UpgradeStateError(message, None) from error
                self._running[future] = number, environment
            else:
                self._end(number, environment, outcome, 0.0)
        self._wait_until_running(fewer_than=1)
        return [self._results[i] for i in range(number + 1)]

    def _is_over(self) -> bool:
        """
        Return whether no check may begin any more; if so, cancel those that run.
        """
        is_cancelled = self.outer is not None and self.outer.is_cancelled
        if is_cancelled or time.monotonic() >= self.deadline:
            self.own.cancel()
        return self.own.is_cancelled

    def _without_check(self, environment: EnvironmentState) -> Outcome | None:
        """
        Return the outcome if no check is to be made; None: one is.

        Decided without a lock and without a thread; `check` decides once more.
        """
        if self._is_over():
            return Outcome("cancelled")
        error = self._refused.get(environment.key)
        if environment.path is None:
            message = "The record is corrupt or may not be read"
            error = StateReadError(message, environment.record_path)
        if error is not None:
            return Outcome("failed", error)
        # A handle keeps the record that it has read, and the caller may keep many.
        look = copy.copy(environment).look()
        if self._is_gone(look):
            return Outcome("gone", look=look)
        freshness = look.freshness(max_age=self.max_age)
        reason, is_file = freshness.reason, self.lockfile is None
        # Before the consent, which takes longer than the rest. Other content than that
        # of a file is known only to the check.
        if is_file and reason in ("fresh", "just-checked"):
            return Outcome(reason, None, freshness, look)
        state = reason if self._is_allowed(look) else "no-consent"
        if state in ("backing-off", "no-consent"):
            return Outcome(state, None, freshness, look)
        return None

    def _is_gone(self, look: Look) -> bool:
        """
        Return whether the part of an environment that would be checked was removed.
        """
        missing = look.missing
        # Content that is no file may be checked.
        is_file = self.resolver is None and self.lockfile is None
        return missing == "directory" or (missing is not None and is_file)

    def _is_allowed(self, look: Look) -> bool:
        """
        Return whether an environment may be checked: by consent, or by the caller.
        """
        # If the record cannot be read, the check fails with the reason.
        return bool(self.resolver is not None or look.error or look.consent)

    def _check(self, environment: EnvironmentState) -> tuple[Outcome, float]:
        """
        Make a check, in a thread of the pool, and measure its seconds. Never raises.
        """
        begin = time.monotonic()
        try:
            outcome = check(
                environment,
                self.resolver,
                lockfile=self.lockfile and self.lockfile(environment),
                without_lockfile=self.without_lockfile,
                only_if_due=True,
                max_age=self.max_age,
                retries=self._pauses(),
                cancellation=self.own,
                shared=self.shared,
            )
        except UpgradeStateError as known:
            outcome = Outcome("failed", known)
        except BaseException as bug:  # noqa: BLE001 - the other checks go on
            text = "".join(traceback.format_exception_only(bug))
            message = _redact.message_of(text, _redact.MESSAGE_LENGTH)
            failure = ResolverError(message, environment.path)
            failure.__cause__ = bug
            outcome = Outcome("failed", failure)
        # Results are kept until the scope ends. Free the local variables of the
        # frames of their errors, lockfiles among them.
        error: BaseException | None = outcome.error
        while error is not None:
            traceback.clear_frames(error.__traceback__)
            error = error.__cause__
        return outcome, time.monotonic() - begin

    def _pauses(self) -> Iterator[float]:
        for seconds in _PAUSES if self.on_error == "retry" else ():
            pause = seconds * (1 - random.random() / 4)  # noqa: S311 - no secret
            if time.monotonic() + pause >= self.deadline:
                return  # the failure says more than "cancelled"
            yield pause

    def _wait_until_running(self, *, fewer_than: int) -> None:
        """
        Take note of the checks that have ended; wait while too many are running.
        """
        has_room = False
        while self._running and not has_room:
            has_room = len(self._running) < fewer_than
            self._is_over()
            seconds = 0 if has_room else POLL_SECONDS
            done, _ = wait(self._running, seconds, return_when=FIRST_COMPLETED)
            for future in done:
                self._end(*self._running.pop(future), *future.result())

    def _end(
        self, number: int, environment: EnvironmentState, outcome: Outcome, took: float
    ) -> None:
        """
        Keep the result of a check, and call the observer with it.
        """
        e = environment
        place = e.path, e.lockfile_name, e.name, e.key
        kept = attrs.evolve(outcome, look=None)
        self._results[number] = Result(*place, kept, took)
        if self.on_error == "stop" and outcome.state == "failed":
            self.own.cancel()
        self.observe(environment, Result(*place, outcome, took))
