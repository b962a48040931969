"""
Shared access to what is remembered of one environment.

Readers never lock: the record is replaced, never modified, so that a reader
sees the old or the new one, whole.

check lock: held for a whole upgrade check. Tried, never waited for. It makes
    one process check at a time, and protects the directory `results/<key>/`.

write lock: held for one read-merge-replace, milliseconds. *Every* change of the
    record takes it: tried once by a claim, waited for by everything else.

Whoever needs both takes the check lock first. An activation takes the write
lock only, so a running check never delays a notice. Nothing slow is done under
the write lock: no callback, no subprocess, no output, no lockfile. The files of
locks are never deleted: that would split those who wait for one.

Why both sides take the write lock: two locks, one per field, do not protect one
file. Each side reads the old contents, merges its own fields, and the later
replace undoes the earlier one.

Merge. A writer reads the record again under the write lock, replaces the fields
it owns, each as a whole, keeps every other field, known or not, and replaces
the file. Only a check makes a record or heals a corrupt one; a claim, snooze or
expiry of no record answers that nothing is known, and writes nothing.

    check commit    last_checked, result, generation, recipe, failure (null)
    check failure   failure
    claim           last_notified, and failure_notified if that is what is told
    snooze          snoozed_until
    expire          last_checked (null), failure (null)

Check. Begin: try the check lock; then read the record and the lockfile, so that
a crowd of checkers makes one check and not one after the other. Commit: put the
new files into `results/<key>/` and sync them; merge; sync the directory; remove
from `results/<key>/` what the record does not name. A record with another
generation than at the beginning, possible only where locks do not exclude,
drops the result. No record is no obstacle.

Claim. The caller has decided without a lock that a notice is due. Try the write
lock once, decide again under it, record, release, sync, and only then let the
caller speak. A `last_notified` or `failure_notified` other than the first look
saw means that somebody else has spoken, of whatever, and whatever the clocks say.

Forget. Try the check lock, take the write lock, remove everything.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import traceback
from typing import TYPE_CHECKING

import filelock

from upgrade_state import _current, _files, _policy, _record, _text, _times
from upgrade_state.exceptions import (
    StateLockError,
    StateReadError,
    StateWriteError,
    UpgradeStateError,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection, Iterable, Iterator
    from typing import Any, Final

    from upgrade_state._policy import Freshness, Verdict
    from upgrade_state._record import Record
    from upgrade_state.lockfiles import Upgrade

_LOG: Final = logging.getLogger("upgrade_state")

# A read-merge-replace takes milliseconds, two of them for the disk: who finds
# the lock busy looks again soon, and who cannot get it for so long never will.
_POLL_SECONDS: Final = 0.002
_WAIT_SECONDS: Final = 10.0


class Entry(_files.Place):
    """
    One environment in a store: its files, and what its record says it is.

    *environment* is None where the record it was found by is corrupt.
    """

    def __init__(
        self, root: str, key: str, environment: str | None, lockfile: str | None
    ) -> None:
        super().__init__(root, key)
        self.environment: Final = environment
        self.lockfile: Final = lockfile


# Locks


def _try_lock(path: str) -> filelock.BaseFileLock | None:
    """
    Take a lock; None where it is busy.

    Raises:
        StateLockError: The system refuses it, and not because it is busy.
    """
    return _acquire(path, timeout=0)


def _acquire(path: str, *, timeout: float) -> filelock.BaseFileLock | None:
    # A fresh one each time, so that nothing else in this process, not even in
    # this thread, gets in; and released by whichever thread is done with it.
    lock = filelock.FileLock(
        path,
        mode=0o600,
        thread_local=False,
        fallback_to_soft=False,
        preserve_lock_file=True,
        poll_interval=_POLL_SECONDS,
    )
    try:
        lock.acquire(timeout=timeout, blocking=timeout > 0)
    except filelock.Timeout:
        return None
    except OSError as error:
        message = f"Could not lock ({error.strerror})"
        raise StateLockError(message, path) from error
    except BaseException:  # filelock may have got it by now, and keep hold of it
        lock.release(force=True)
        raise
    return lock


def _release(lock: filelock.BaseFileLock) -> None:
    try:
        lock.release()
    except OSError as error:  # closing its file will have done it
        _LOG.debug("could not release %r: %s", lock.lock_file, error)


@contextlib.contextmanager
def _write_lock(entry: Entry) -> Iterator[None]:
    """
    Hold the write lock, waited for.

    Raises:
        StateLockError: Somebody held it for too long, or the system refuses it.
    """
    lock = _acquire(entry.write_lock, timeout=_WAIT_SECONDS)
    if lock is None:
        message = f"Could not lock the record within {_WAIT_SECONDS:.0f} s"
        raise StateLockError(message, entry.write_lock)
    try:
        yield
    finally:
        _release(lock)


# Reading and merging


def read(entry: Entry) -> Record | None:
    """
    Read the record, without a lock; None for none and for a corrupt one.

    Raises:
        StateReadError: It is there, but cannot be read.
    """
    data = _record.read_file(entry.root, entry.record, _record.MAX_SIZE)
    return None if data is None else _record.valid(data, entry.key)


def _replace(entry: Entry, record: Record, fields: Record) -> None:
    """
    Replace *fields* in *record*. The caller holds the write lock.

    Raises:
        StateWriteError: The old record is in place.
    """
    text = json.dumps(record | fields, separators=(",", ":"), allow_nan=False)
    if len(text) > _record.MAX_SIZE:  # unknown fields, in more bytes than before
        message = "The record would be too large to be read again"
        raise StateWriteError(message, entry.record)
    _files.replace_record(entry, text.encode("ascii"))


def _merge_or_make(
    entry: Entry, make_fields: Callable[[Record | None], Record | None]
) -> Record | None:
    """
    Merge the fields of a check into the record, or make one, or heal one.

    Args:
        make_fields: Gets the record as it is by now, None for none, and
            returns what to replace; None: nothing.

    Returns:
        The record as it is now, on disk; None if nothing was replaced.
    """
    # The store may have gone since the check began. Where its directories are
    # missing filelock makes them, for whomever the umask lets in.
    _files.ensure(entry.root)
    with _write_lock(entry):
        current = read(entry)
        fields = make_fields(current)
        if fields is None:
            return None
        if current is None:
            # Gone for a moment, which is what a corrupt record is anyway.
            _files.set_aside(entry)
            current = _record.DEFAULTS | {
                "environment": entry.environment,
                "lockfile": entry.lockfile,
            }
        _replace(entry, current, fields)
    _files.sync_directory(entry.root)
    return current | fields


# Claim, snooze and expire


def claim(
    entry: Entry, seen: Record | None, asked: dict[str, Any], first: Verdict
) -> Verdict:
    """
    Decide again under the write lock, and record the notice.

    Args:
        seen: The record by which a notice was due at the first look.

        asked: The other arguments of `_policy.verdict`.

        first: The verdict that they gave.

    Returns:
        The verdict; true if the caller should speak: then the claim is on disk.

    Raises:
        UpgradeStateError: It could not be recorded; nothing has changed.
    """
    _files.ensure(entry.root)
    lock = _try_lock(entry.write_lock)
    if lock is None:
        return _busy(first)
    try:
        verdict = _claim_locked(entry, seen, asked, first)
    finally:
        _release(lock)
    if verdict:
        _files.sync_directory(entry.root)
    return verdict


def _claim_locked(
    entry: Entry, seen: Record | None, asked: dict[str, Any], first: Verdict
) -> Verdict:
    record = read(entry)
    if first.reason == "cannot-check":
        # The lockfile was not looked at, and is not under the lock.
        asked = asked | {"matches": lambda _: False}
    verdict = _policy.verdict(record, **asked)
    if verdict.reason == "lockfile-changed" and first.reason == "cannot-check":
        return _busy(verdict)
    if not verdict or record is None:
        return verdict
    spoken = _spoken_since(seen or {}, record)
    if spoken is not None:
        found = _found_in(verdict)
        return _policy.told(found, asked["directory"], spoken, asked["interval"])
    fields = ["last_notified"]
    if verdict.reason == "cannot-check":
        fields.append("failure_notified")
    _replace(entry, record, dict.fromkeys(fields, _record.text_of(asked["now"])))
    return verdict


def _spoken_since(seen: Record, record: Record) -> str | None:
    """
    Return when somebody else has spoken since the record was *seen*; None: nobody.
    """
    for field in ("last_notified", "failure_notified"):
        told: str | None = record.get(field)
        if told not in (None, seen.get(field)):
            return told
    return None


def _busy(verdict: Verdict) -> Verdict:
    return _policy.Verdict("busy", _found_in(verdict))


def _found_in(verdict: Verdict) -> tuple[int, int, bool]:
    """
    Return what a verdict was made from.
    """
    return verdict.version_changes, verdict.rebuilds, verdict.opaque


def snooze(entry: Entry, until: int | None) -> bool:
    """
    Record until when the user does not want to be told; None: take it back.

    Returns:
        False if nothing is known, and nothing was written.
    """
    text = None if until is None else _record.text_of(until)
    return _merge_into_known(entry, {"snoozed_until": text})


def expire(entry: Entry) -> bool:
    """
    Forget when the last check was made, and that it failed.

    A check of another process that is committed later wins.

    Returns:
        False if nothing is known, and nothing was written.
    """
    return _merge_into_known(entry, {"last_checked": None, "failure": None})


def _merge_into_known(entry: Entry, fields: Record) -> bool:
    if read(entry) is None:  # no lock file for what is not known
        return False
    _files.ensure(entry.root)
    with _write_lock(entry):
        record = read(entry)
        if record is None:
            return False
        _replace(entry, record, fields)
    _files.sync_directory(entry.root)
    return True


# Checks


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
        entry: Entry,
        lock: filelock.BaseFileLock,
        record: Record | None,
        old_lockfile: bytes | None,
    ) -> None:
        self.old_lockfile: Final = old_lockfile
        self.recipe: Final[str | None] = None if record is None else record["recipe"]
        self._entry = entry
        self._record = record
        self._generation: int = 0 if record is None else record["generation"]
        self._lock: filelock.BaseFileLock | None = lock
        self._process = os.getpid()
        self._committed = False

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
            matches=_current.CurrentLockfile(None, self.old_lockfile).matches,
            max_age=_policy.DAY
            if max_age is None
            else _times.seconds_of(max_age, "max_age"),
            now=_second(now),
            key=self._entry.key,
        )

    def commit(  # noqa: PLR0913 - what is optional goes by its name
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
        self._committed = self._store(
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

    def _store(self, contents: set[bytes], fields: Record) -> bool:
        entry, generation = self._entry, self._generation

        def unless_overtaken(current: Record | None) -> Record | None:
            if current is not None and current["generation"] != generation:
                return None
            return fields

        _files.keep(entry, contents)
        record = _merge_or_make(entry, unless_overtaken)
        if record is None:
            _LOG.debug("overtaken by another check: %r", entry.record)
        self._sweep(record or read(entry))
        return record is not None

    def _sweep(self, record: Record | None) -> None:
        try:
            _files.sweep(self._entry, [] if record is None else _named_files(record))
        except UpgradeStateError as error:  # the next check removes it
            _LOG.debug("could not tidy up the results: %s", error)

    def _fail(self, error: Exception) -> None:
        """
        Remember that the check failed, unless it has been committed.
        """
        if self._committed or self._lock is None or self._process != os.getpid():
            return
        message = _text.message_of(_what_happened(error), _text.MESSAGE_LENGTH)
        at = _record.text_of(_second(None))

        def one_more(current: Record | None) -> Record:
            last = (current and current["failure"]) or {"at": at, "attempts": 0}
            since = last.get("since") or last["at"]
            succeeded = "" if current is None else current["last_checked"] or ""
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

        if isinstance(error, StateLockError):
            return  # it would only be waited for once more
        try:
            _merge_or_make(self._entry, one_more)
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
            _release(lock)


def _what_happened(error: Exception) -> str:
    """
    Put an exception in words: ours without the path, others with their name.
    """
    if isinstance(error, UpgradeStateError):
        return error.message
    return "".join(traceback.format_exception_only(error))


def _second(now: dt.datetime | None) -> int:
    return int(time.time()) if now is None else _times.second_of(now)


@contextlib.contextmanager
def checking(
    entry: Entry, lockfile_path: str | None, lockfile: bytes | None
) -> Iterator[CheckGuard | None]:
    """
    Hold the check lock for a `with` statement; None where it is busy.
    """
    guard = _begin(entry, lockfile_path, lockfile)
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
    entry: Entry, lockfile_path: str | None, lockfile: bytes | None
) -> CheckGuard | None:
    if entry.environment is None:
        raise ValueError("an environment without a path cannot be checked")
    _files.ensure(entry.root)
    lock = _try_lock(entry.check_lock)
    if lock is None:
        return None
    try:
        record = read(entry)
        if lockfile is None and lockfile_path is not None:
            lockfile = _current.read(lockfile_path)
    except BaseException:
        _release(lock)
        raise
    return CheckGuard(entry, lock, record, lockfile)


# Kept files


def _named_files(record: Record) -> list[str]:
    """
    Return the digests of the files that *record* names.
    """
    result = record["result"] or {}
    files = (result.get(f) for f in ("old_lockfile", "new_lockfile", "upgrades"))
    return [file["digest"] for file in files if file is not None]


def kept(entry: Entry, field: str) -> bytes | None:
    """
    Read the file that the record names in *field* of its result.

    A check may replace the record and remove the file between the two reads:
    who misses one reads the record again, as long as that says something new.
    """
    seen: Record | None = {}
    while (record := read(entry)) != seen:
        file = ((record or {}).get("result") or {}).get(field)
        if file is None:
            return None
        content = _files.kept(entry, file)
        if content is not None:
            return content
        seen = record
    message = f"The file that was kept as {field} is gone; a new check heals that"
    raise StateReadError(message, entry.results)


def upgrades(entry: Entry) -> tuple[Upgrade, ...]:
    """
    Read the list of upgrades that the record names.
    """
    from upgrade_state import _codec  # noqa: PLC0415 - no claim needs it

    content = kept(entry, "upgrades")
    return _codec.load_upgrades(content or b"", entry.results)


# Forget


def forget(entry: Entry, is_gone: Callable[[Entry], bool] = lambda _: True) -> bool:
    """
    Remove the record and what belongs to it; False where a check is running.

    Args:
        is_gone: Asked once no check is running. If not, all stays: False.
    """
    if not _record.is_trusted(entry.root) or not entry.has_files():
        return True
    _files.ensure(entry.root)
    lock = _try_lock(entry.check_lock)
    if lock is None:
        return False
    try:
        if not is_gone(entry):
            return False
        with _write_lock(entry):
            # The record first: without it the rest means nothing to anybody.
            for path in (entry.record, entry.corrupt, entry.log, *entry.leftovers()):
                _files.remove(path)
        _files.sync_directory(entry.root)
        _files.remove(entry.results)
    finally:
        _release(lock)
    return True
