"""
A back end of a store: the operations on its records.

A store of files is one (`_housekeeping.FileStore`), and a database is another. What
each operation replaces, and in which order, is described at the top of `_store`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from upgrade_state._policy import Matches, Question, Verdict
    from upgrade_state._record import Record
    from upgrade_state.exceptions import StateReadError


class Backend(Protocol):
    """
    All environments of a store.
    """

    def entry(self, key: str, identity: Record | None = None) -> Operations:
        """
        Return the operations on one environment. Nothing is read.

        Args:
            identity: The fields that identify its record. None: no check begins.
        """
        ...

    def records(self) -> Iterator[tuple[str, Record | None, StateReadError | None]]:
        """
        Stream the key and the record of every environment that has one.

        The record is None if it is corrupt, or with the error if it may not be read.
        """
        ...

    def prune(
        self, *, before: int, dry_run: bool
    ) -> Iterator[tuple[str, Record | None]]:
        """
        Forget environments, and stream those that were or would be forgotten.

        Args:
            before: Only records that were last written before this, in seconds since
                the epoch.

            dry_run: Only report; delete nothing.
        """
        ...


class Operations(Protocol):
    """
    The operations on one environment.

    Each raises `UpgradeStateError` if it cannot be carried out; nothing has changed
    then.
    """

    @property
    def results(self) -> str | None:
        """
        The directory of its results, for errors; None: it is in no file system.
        """
        ...

    def read(self) -> Record | None:
        """
        Read the record, without a lock; None if it is missing or corrupt.
        """
        ...

    def begin(self) -> AbstractContextManager[Lease | None]:
        """
        Take the right to make a check; None if another process has it. Never waits.
        """
        ...

    def claim(
        self,
        record_seen: Record | None,
        question: Question,
        first_verdict: Verdict,
        *,
        matches: Matches,
        now: int | None,
    ) -> Verdict:
        """
        Decide again by the record as it is now, and record the notice.

        `_store.second_verdict` decides.
        """
        ...

    def change(self, fields: Record) -> bool:
        """
        Replace *fields* of a known environment; False if nothing is known.
        """
        ...

    def read_result(self, field: str, record: Record | None) -> bytes | None:
        """
        Read the content that *record* names in *field* of its result; None: none.
        """
        ...

    def forget(self) -> bool:
        """
        Delete the record and its results; False if a check is running.
        """
        ...


class Lease(Protocol):
    """
    The right to make a check, of at most one process at a time.
    """

    @property
    def record(self) -> Record | None:
        """
        The record that was read when the lease was taken; None: there is no valid one.

        After a commit or a failure, the one that is in place.
        """
        ...

    @property
    def is_open(self) -> bool:
        """
        Whether this process has it.
        """
        ...

    def commit(self, fields: Record, contents: Mapping[str, bytes]) -> bool:
        """
        Replace *fields* and the next generation, and store the *contents* of a result.

        Args:
            contents: By their digests.

        Returns:
            False if another check was committed since the lease was taken: then
            nothing has changed.
        """
        ...

    def fail(self, failure_after: Callable[[Record | None], Record]) -> None:
        """
        Replace the fields that *failure_after* returns for the current record.
        """
        ...

    def release(self) -> None:
        """
        End it, if it is open. May be called repeatedly, by any thread.
        """
        ...
