"""
Share the results of checks with other machines.

Two machines that would run the same tool with the same input get the same new
lockfile. So one of them makes the check, and the others take its answer.
"""

from __future__ import annotations

import datetime as dt
import random
import time
import traceback
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs
from attrs import validators

from upgrade_state.exceptions import ResolverError

from ._cancellation import Cancellation, current_cancellation
from ._diagnosis import one_line
from ._scratch import MAX_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Final, Self, TypeVar

    T = TypeVar("T")

# Seconds between two questions while another checker makes the check.
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0

# No server keeps a check waiting for longer, whatever it replies. Four leases.
_PATIENCE: Final = 3600.0

# What is left of a lease of 15 minutes is enough for one attempt of 10 minutes.
_YOUNG: Final = 240.0

# After trouble, the next checks of this process do not wait for it again.
_REST: Final = 60.0

_LONGEST_AGE: Final = dt.timedelta(days=36_500)

# The places with trouble, each with the end of its rest on the monotonic clock.
_TROUBLED: Final[list[tuple[object, float]]] = []


# The years in which any time can be converted to another zone.
_YEARS: Final = range(1970, 9999)


def _is_moment(_self: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None:
        is_moment = isinstance(value, dt.datetime) and value.tzinfo is not None
        if not is_moment or value.year not in _YEARS:
            problem = "must be a datetime with a time zone, not before 1970"
            raise ValueError(f"{field.name} {problem}: {value!r}")


_LOCKFILE: Any = validators.optional(
    validators.and_(validators.instance_of(bytes), validators.max_len(MAX_SIZE))
)


@attrs.frozen
class Question:
    """
    The input of one check, by which machines find each other's answers.

    Attributes:
        digest: 64 hexadecimal digits: a BLAKE2b-256 of the whole input. Checks with
            equal digests have equal answers. It contains no secret, no path and no
            name of a user or machine.

        lockfile_name: The lockfile's path in its environment.

        format: The lockfile's format. None: unknown.

        old_lockfile: The content that the check is about. None: there is no lockfile.

    """

    digest: str
    lockfile_name: str
    format: str | None = None
    old_lockfile: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Reply:
    """
    The reply to a question: an answer, or the reason why there is none.

    If all attributes are None, there is no answer, and the caller may not give one:
    it makes the check alone.

    Attributes:
        new_lockfile: The answer. None: there is none that is new enough.

        answered_at: When the answer was given, by the clock of this machine: the
            current time, less the age that the server tells.

        fence: The caller makes the check, and answers with this number. Any later
            lease of this question has a larger one.

        busy_until: Another checker makes the check; its lease ends then.

        failing_until: The check has failed; no attempt is made before this time.

    Raises:
        TypeError: *new_lockfile* is not bytes, or *fence* is no integer.
        ValueError: A time has no time zone or is before 1970, or an answer has none,
            or is larger than a lockfile may be.
    """

    new_lockfile: bytes | None = attrs.field(
        default=None, validator=_LOCKFILE, repr=False
    )
    answered_at: dt.datetime | None = attrs.field(default=None, validator=_is_moment)
    fence: int | None = attrs.field(
        default=None, validator=validators.optional(validators.instance_of(int))
    )
    busy_until: dt.datetime | None = attrs.field(default=None, validator=_is_moment)
    failing_until: dt.datetime | None = attrs.field(default=None, validator=_is_moment)

    def __attrs_post_init__(self) -> None:
        if self.new_lockfile is not None and self.answered_at is None:
            raise ValueError("an answer needs the time at which it was given")


@runtime_checkable
class SharedResults(Protocol):
    """
    A place where machines ask for the results of checks, and answer.

    Several threads call it at once. Each method returns or raises within 2.5 seconds.
    After any exception the caller makes its check alone.
    """

    def ask(self, question: Question, max_age: dt.timedelta) -> Reply:
        """
        Return the answer to *question*, or take the lease to answer it.

        The lease ends 15 minutes later, if the checker has not answered by then. A
        role that may not answer gets no lease.

        Args:
            max_age: The answer was given within this time, by the server's clock.
                Zero: no earlier answer is accepted, and a lease is granted even
                while the check fails, unless another checker has it.
        """
        ...

    def answer(self, question: Question, fence: int, new_lockfile: bytes) -> bool:
        """
        Answer *question*, and end the lease.

        Returns:
            Whether it is stored. An answer is dropped if the lease has ended and was
            taken by another checker.
        """
        ...

    def give_up(self, question: Question, fence: int, *, failed: bool) -> None:
        """
        End the lease without an answer.

        Args:
            failed: The check has failed, so all checkers back off: 5 minutes after
                the first failure, twice as long after each further one, at most a
                day. False: it was not made.
        """
        ...

    def close(self) -> None:
        """
        Close all connections. A later call opens new ones.
        """
        ...


@attrs.frozen
class SharedEntry:
    """
    The latest result of one question, for the team's list.

    Attributes:
        label: The label of the checker that answered; None: it has none.

        lockfile_name: The lockfile's path in its environment.

        version_changes: The number of upgrades to another version. None: unknown.

        rebuilds: The number of other upgrades. None: unknown.

        last_checked: When the answer was given. None: there is none.

        failing_since: When the first failure after the last answer was. None: the
            latest check has not failed.

        attempts: The number of failures since the last answer.

        is_busy: A check is running.
    """

    label: str | None
    lockfile_name: str
    version_changes: int | None
    rebuilds: int | None
    last_checked: dt.datetime | None
    failing_since: dt.datetime | None
    attempts: int = 0
    is_busy: bool = False


@runtime_checkable
class ManagedResults(SharedResults, Protocol):
    """
    Shared results that the commands ``shared`` and ``doctor`` can work with.
    """

    def create(self) -> Iterable[str]:
        """
        Prepare the place, which may be repeated; return the statements that come next.
        """
        ...

    def list(self) -> Iterable[SharedEntry]:
        """
        Stream all entries, the latest answer first.
        """
        ...

    def prune(self, older_than: dt.timedelta) -> int:
        """
        Delete what was last asked for before that time; return the number of entries.
        """
        ...

    def examine(self) -> dt.datetime:
        """
        Return the server's time.

        Raises:
            Exception: This checker may not ask, or the server cannot be used.
        """
        ...


class FailsElsewhereError(ResolverError):
    """
    The check was not made, because another machine has made it in vain.
    """


class Sharing:
    """
    The use of shared results in one check, which never fails because of them.

    Leaving the `with` statement ends a lease that was not answered.

    Args:
        max_age: How old an answer may be. Zero: the user has asked for this check.

    Attributes:
        problem: Why shared results were not used, or not altogether; None: they were.

        has_trouble: Whether the problem is one of the server or of an answer.

        is_off: Whether there was trouble, now or before, so that none are used.
    """

    def __init__(self, results: SharedResults, max_age: dt.timedelta) -> None:
        self._results: Final = results
        self._max_age: Final = min(max_age, _LONGEST_AGE)
        self._lease: tuple[Question, int] | None = None
        self._last_start = 0.0  # of an attempt, before another lease is taken
        self.problem: str | None = None
        self.has_trouble = False
        now = time.monotonic()
        _TROUBLED[:] = [(at, end) for at, end in _TROUBLED if end > now]
        self.is_off = any(at is results for at, _ in _TROUBLED)
        if self.is_off:
            self.refuse("not asked for a minute after trouble")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._give_up(failed=isinstance(error, Exception))

    def ask(self, question: Question) -> Reply | None:
        """
        Return the answer of another machine; None: the caller makes the check.

        While another checker makes it, this one waits.

        Raises:
            FailsElsewhereError: The check has failed, and is not due again.
            Cancelled: The check was cancelled.
        """
        begin, waited, pause = time.monotonic(), 0.0, _FIRST_PAUSE
        is_same = self._lease is not None and self._lease[0] == question
        if is_same and begin < self._last_start:
            return None  # the second attempt of the same check
        self._give_up(failed=False)
        cancellation = current_cancellation() or Cancellation()
        last = begin + _PATIENCE
        while True:
            # An answer that was given while this check waits is as good as its own.
            max_age = self._max_age + dt.timedelta(seconds=waited)
            reply = self._call(self._ask, question, max_age)
            if reply is None or reply.new_lockfile is not None:
                return reply
            if reply.fence is not None:
                self._lease = question, reply.fence
                self._last_start = time.monotonic() + _YOUNG
                return None
            if reply.failing_until is not None and self._max_age:
                when = f"{reply.failing_until.astimezone():%Y-%m-%d %H:%M}"
                problem = "The same check has failed on another machine"
                raise FailsElsewhereError(f"{problem}; next attempt after {when}", None)
            if reply.failing_until is not None and waited:
                begin, waited = time.monotonic(), 0.0  # failed meanwhile: make it here
                continue
            if reply.busy_until is None or time.monotonic() > last:
                why = "there is no usable answer, and this role may not add one"
                self.refuse(why, is_trouble=reply.busy_until is not None)
                return None
            cancellation.wait(pause * random.uniform(0.5, 1))  # noqa: S311 - no secret
            cancellation.raise_if_cancelled()
            pause = min(2 * pause, _LONGEST_PAUSE)
            waited = time.monotonic() - begin

    def answer(self, new_lockfile: bytes) -> None:
        """
        Give the result of this check to the other machines, if it has the lease.
        """
        if self._lease is not None:
            # After Ctrl-C in the call the lease is ended: it may not have arrived.
            is_stored = self._call(self._results.answer, *self._lease, new_lockfile)
            self._lease = None
            if not is_stored:
                self.refuse("another checker took over, so this result is not added")

    def refuse(self, problem: object, *, is_trouble: bool = True) -> None:
        """
        Remember why the check is made alone, and end the lease of an earlier attempt.

        The first reason counts.
        """
        self._give_up(failed=False)
        if self.problem is None:
            self.problem, self.has_trouble = one_line(str(problem)), is_trouble

    def _ask(self, question: Question, max_age: dt.timedelta) -> Reply:
        reply = self._results.ask(question, max_age)
        if not isinstance(reply, Reply):
            raise TypeError(f"ask() must return a Reply, not {type(reply).__name__}")
        return reply

    def _give_up(self, *, failed: bool) -> None:
        if self._lease is not None:
            (question, fence), self._lease = self._lease, None
            self._call(self._results.give_up, question, fence, failed=failed)

    def _call(self, method: Callable[..., T], *values: Any, **more: Any) -> T | None:
        """
        Call a method of the shared results; None: there was trouble, now or before.
        """
        if self.is_off:
            return None
        try:
            return method(*values, **more)
        except Exception as error:  # noqa: BLE001 - the check is made all the same
            text = vars(error).get("message")  # of a server's trouble
            if not isinstance(text, str):
                text = "".join(traceback.format_exception_only(error))
            self.is_off = True
            self.refuse(text)
            _TROUBLED.append((self._results, time.monotonic() + _REST))
            return None
