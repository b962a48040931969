"""
The guard of a check: it holds the check lock, and stores what the check finds.

How a check begins, commits and fails is told at the top of `_store`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
import traceback
from typing import TYPE_CHECKING

from upgrade_state import (
    _durations,
    _files,
    _lockfile,
    _locks,
    _policy,
    _record,
    _redact,
    _store,
)
from upgrade_state.exceptions import StateLockError, StateReadError, UpgradeStateError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Final

    from upgrade_state._look import Look
    from upgrade_state._policy import Freshness
    from upgrade_state._record import Record
    from upgrade_state.lockfiles import Upgrade

_LOG: Final = logging.getLogger("upgrade_state")


class CheckGuard:
    """
    Proof of holding the check lock: what a check is about, and how it ends.

    Made by `EnvironmentState.try_check`. Any thread may use it, one at a time;
    it belongs to the process that took it. Once the `with` statement is left,
    and in a forked child, its methods raise RuntimeError.

    Attributes:
        old_lockfile: The content of the lockfile that is checked, whatever
            happens to the file meanwhile; None: there is none.

        recipe: The recipe that the record names since its user ran it on
            purpose; None: no check may start by itself.
    """

    def __init__(
        self,
        entry: _store.Entry,
        lock: _locks.Lock,
        record: Record | None,
        old_lockfile: bytes | None,
        look_at: Callable[[Record | None], Look],
    ) -> None:
        self.old_lockfile: Final = old_lockfile
        self._look_at = look_at
        self.recipe: Final[str | None] = None if record is None else record["recipe"]
        self._entry = entry
        self._record = record
        self._generation: int = 0 if record is None else record["generation"]
        self._lock: _locks.Lock | None = lock
        self._process = os.getpid()
        self._committed = False

    def look(self) -> Look:
        """
        Return a look at the record that this guard has read or, since, written.

        The record is not read again; a closed guard answers, too.
        """
        return self._look_at(self._record)

    def freshness(
        self, *, max_age: dt.timedelta | None = None, now: dt.datetime | None = None
    ) -> Freshness:
        """
        Tell whether this check is (still) due.

        Another process may have finished one between the caller's first look
        and this guard.

        Args:
            max_age: For how long a check is good. None: a day. Zero: not at all.

            now: Current time (aware), cut to whole seconds. None: ask the clock.

        Raises:
            RuntimeError: The guard is closed.
            ValueError: *max_age* is negative, or *now* has no time zone.
        """
        self._must_be_open()
        return _policy.freshness(
            self._record,
            matches=_lockfile.CurrentLockfile(None, self.old_lockfile).matches,
            max_age=_policy.DAY
            if max_age is None
            else _durations.whole_seconds(max_age, "max_age"),
            now=_second(now),
            key=self._entry.files.key,
        )

    def commit(
        self,
        new_lockfile: bytes,
        *,
        format: str | None = None,  # noqa: A002 - the field's own word
        upgrades: Iterable[Upgrade] | None = None,
        direct: Collection[str] | None = None,
        recipe: str | None = None,
        now: dt.datetime | None = None,
    ) -> bool:
        """
        Remember that an upgrade would lead to *new_lockfile*.

        Args:
            new_lockfile: Its content, as the resolver made it.

            format: The format of both lockfiles. None: by the lockfile's name;
                what no format is known for is compared by digest only.

            upgrades: What would change, where the caller knows it better than
                the lockfiles tell. None: compare the lockfiles.

            direct: Names of packages that are known to be asked for, where
                the lockfiles do not say. None: not known.

            recipe: The recipe that the user ran on purpose. None: none; then
                no check starts by itself.

            now: Current time (aware), cut to whole seconds. None: ask the clock.

        Returns:
            True: stored, and on disk. False: dropped, since another check was
            committed meanwhile, which happens only where locks do not exclude.

        Raises:
            UpgradeStateError: It could not be stored; the earlier record is in
                place, with all that it names.
            RuntimeError: The guard is closed, or has committed already.
            TypeError: *new_lockfile* is not bytes, or *direct* is one name.
            ValueError: There is no such format, *recipe* is empty or longer
                than 64 characters, or *now* has no time zone.
        """
        self._must_be_open()
        if self._committed:
            raise RuntimeError("this guard has committed already")
        if not isinstance(new_lockfile, bytes):
            kind = type(new_lockfile).__name__
            raise TypeError(f"new_lockfile must be bytes, not {kind}")
        if recipe is not None and not _record.is_short_name(recipe):
            raise ValueError(f"not a recipe's name: {recipe!r}")
        now_text = _record.text_of(_second(now))
        from upgrade_state import _results  # noqa: PLC0415 - no claim needs it

        found = _results.compare(
            self.old_lockfile,
            new_lockfile,
            format=_results.format_for(format, self._entry.lockfile),
            upgrades=upgrades,
            direct=direct,
        )
        self._committed = self._commit(
            found.contents,
            {
                "recipe": recipe,
                "generation": (self._generation + 1) & _record.MAX_INTEGER,
                "last_checked": now_text,
                "result": found.fields,
                "failure": None,
            },
        )
        return self._committed

    def _commit(self, contents: set[bytes], fields: Record) -> bool:
        entry, generation = self._entry, self._generation

        def unless_overtaken(current: Record | None) -> Record | None:
            if current is not None and current["generation"] != generation:
                return None
            return fields

        _files.store_results(entry.files, contents)
        record = _store.merge_or_make(entry, unless_overtaken)
        if record is None:
            _LOG.debug("overtaken by another check: %r", entry.files.record)
        self._record = record or _store.read(entry)
        self._sweep(self._record)
        return record is not None

    def _sweep(self, record: Record | None) -> None:
        digests = [] if record is None else _store.named_files(record)
        try:
            _files.sweep(self._entry.files, digests)
        except UpgradeStateError as error:  # the next check removes it
            _LOG.debug("could not tidy up the results: %s", error)

    def _fail(self, error: Exception) -> None:
        """
        Remember that the check failed, unless it has been committed.
        """
        if self._committed or self._lock is None or self._process != os.getpid():
            return
        if isinstance(error, StateLockError):
            return  # it would only be waited for once more
        message = _redact.message_of(_what_happened(error), _redact.MESSAGE_LENGTH)
        at = _record.text_of(_second(None))
        try:
            self._record = _store.merge_or_make(
                self._entry, lambda r: _one_more(r, at, message)
            )
        except UpgradeStateError as also:  # the error under way says more
            _LOG.debug("could not remember the failure of a check: %s", also)

    def _must_be_open(self) -> None:
        if self._lock is None:
            raise RuntimeError("this guard is closed: its with statement has ended")
        if self._process != os.getpid():
            raise RuntimeError("this guard belongs to the process that took it")

    def close(self) -> None:
        """
        Release the check lock. Leaving the `with` statement does it.

        May be called twice, by any thread; does nothing in a forked child.
        """
        lock, self._lock = self._lock, None
        if lock is not None and self._process == os.getpid():
            _locks.release(lock)


def _one_more(record: Record | None, at: str, message: str) -> Record:
    """
    Return the fields of one more failure, after those in a row that are recorded.
    """
    last = (record and record["failure"]) or {"at": at, "attempts": 0}
    since = last.get("since") or last["at"]
    succeeded = "" if record is None else record["last_checked"] or ""
    if since < succeeded <= at:  # by a clock that was not set yet
        since = succeeded
    return {
        "failure": {
            "at": at,
            "attempts": min(last["attempts"] + 1, _record.MAX_INTEGER),
            "message": message,
            # A clock that was set back has to be counted from anew.
            "since": min(since, at),
        }
    }


def _what_happened(error: Exception) -> str:
    """
    Put an exception in words: ours without the path, others with their name.
    """
    if isinstance(error, UpgradeStateError):
        return error.message
    return "".join(traceback.format_exception_only(error))


def _second(now: dt.datetime | None) -> int:
    return int(time.time()) if now is None else _durations.epoch_seconds(now)


@contextlib.contextmanager
def checking(
    entry: _store.Entry,
    lockfile_path: str | None,
    lockfile: bytes | None,
    look_at: Callable[[Record | None], Look],
) -> Iterator[CheckGuard | None]:
    """
    Hold the check lock for a `with` statement; None where it is busy.
    """
    guard = _begin(entry, lockfile_path, lockfile, look_at)
    if guard is None:
        yield None
        return
    try:
        yield guard
    except Exception as error:
        guard._fail(error)  # noqa: SLF001 - a friend
        raise
    finally:
        guard.close()


def _begin(
    entry: _store.Entry,
    lockfile_path: str | None,
    lockfile: bytes | None,
    look_at: Callable[[Record | None], Look],
) -> CheckGuard | None:
    if entry.environment is None:
        raise ValueError("an environment without a path cannot be checked")
    _files.ensure(entry.files.root)
    lock = _locks.try_lock(entry.files.check_lock)
    if lock is None:
        return None
    try:
        record = _store.read(entry)
        if lockfile is None and lockfile_path is not None:
            guard = CheckGuard(entry, lock, record, None, look_at)
            lockfile = _read(lockfile_path, guard)
    except BaseException:
        _locks.release(lock)
        raise
    return CheckGuard(entry, lock, record, lockfile, look_at)


def _read(path: str, guard: CheckGuard) -> bytes | None:
    try:
        return _lockfile.read(path)
    except StateReadError as error:
        guard._fail(error)  # noqa: SLF001 - a friend
        raise
