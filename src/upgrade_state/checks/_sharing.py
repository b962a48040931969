"""
Share the results of checks with other machines.

Two machines that would run the same tool with the same input get the same new
lockfile. So one of them makes the check, and the others take its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs
from attrs import validators

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable


def _is_moment(_self: object, field: attrs.Attribute[Any], value: Any) -> None:
    if value is not None and getattr(value, "tzinfo", None) is None:
        raise ValueError(f"{field.name} must be a datetime with a time zone: {value!r}")


_BYTES: Any = validators.optional(validators.instance_of(bytes))


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

        label: The team's own name for the environment. None: none was given.
    """

    digest: str
    lockfile_name: str
    format: str | None = None
    old_lockfile: bytes | None = attrs.field(default=None, repr=False)
    label: str | None = None


@attrs.frozen(kw_only=True)
class Reply:
    """
    The reply to a question: an answer, or the reason why there is none.

    If all attributes are None, there is no answer, and the caller may not give one:
    it makes the check alone.

    Attributes:
        new_lockfile: The answer. None: there is none that is new enough.

        answered_at: When the answer was given, by the server's clock.

        fence: The caller makes the check, and answers with this number. Any later
            lease of this question has a larger one.

        busy_until: Another checker makes the check; its lease ends then.

        failing_until: The check has failed; no attempt is made before this time.

    Raises:
        TypeError: *new_lockfile* is not bytes, or *fence* is no integer.
        ValueError: A time has no time zone, or an answer has no time.
    """

    new_lockfile: bytes | None = attrs.field(default=None, validator=_BYTES, repr=False)
    answered_at: dt.datetime | None = attrs.field(default=None, validator=_is_moment)
    fence: int | None = attrs.field(
        default=None, validator=validators.optional(validators.instance_of(int))
    )
    busy_until: dt.datetime | None = attrs.field(default=None, validator=_is_moment)
    failing_until: dt.datetime | None = attrs.field(default=None, validator=_is_moment)

    def __attrs_post_init__(self) -> None:
        if self.new_lockfile is not None and self.answered_at is None:
            raise ValueError("an answer needs the time at which it was given")


class SharedResults(Protocol):
    """
    A place where machines ask for the results of checks, and answer.

    Several threads call it at once. Each method returns or raises within 4 seconds.
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
            False: the lease has ended and was taken by another checker, so the
            answer is dropped.
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


@attrs.frozen(kw_only=True)
class Entry:
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
    """

    label: str | None
    lockfile_name: str
    version_changes: int | None
    rebuilds: int | None
    last_checked: dt.datetime | None
    failing_since: dt.datetime | None


@runtime_checkable
class ListedResults(SharedResults, Protocol):
    """
    Shared results that can be listed and pruned.
    """

    def list(self) -> Iterable[Entry]:
        """
        Stream all entries, the latest answer first.
        """
        ...

    def prune(self, older_than: dt.timedelta) -> int:
        """
        Delete what was last asked for before that time; return the number of entries.
        """
        ...
