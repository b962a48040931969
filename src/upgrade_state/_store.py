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

import json
from typing import TYPE_CHECKING

from upgrade_state import _files, _locks, _policy, _record
from upgrade_state.exceptions import StateReadError, StateWriteError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from upgrade_state._policy import Verdict
    from upgrade_state._record import Record
    from upgrade_state.lockfiles import Upgrade


# The fields of a result that name a file.
KEPT: Final = ("old_lockfile", "new_lockfile", "upgrades")


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


def merge_or_make(
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
    with _locks.waited_for(entry.write_lock):
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
    lock = _locks.try_lock(entry.write_lock)
    if lock is None:
        return _busy(first)
    try:
        verdict = _claim_locked(entry, seen, asked, first)
    finally:
        _locks.release(lock)
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
    with _locks.waited_for(entry.write_lock):
        record = read(entry)
        if record is None:
            return False
        _replace(entry, record, fields)
    _files.sync_directory(entry.root)
    return True


# Kept files


def named_files(record: Record) -> list[str]:
    """
    Return the digests of the files that *record* names.
    """
    result = record["result"] or {}
    files = (result.get(field) for field in KEPT)
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
    lock = _locks.try_lock(entry.check_lock)
    if lock is None:
        return False
    try:
        if not is_gone(entry):
            return False
        with _locks.waited_for(entry.write_lock):
            # The record first: without it the rest means nothing to anybody.
            for path in (entry.record, entry.corrupt, entry.log, *entry.leftovers()):
                _files.remove(path)
        _files.sync_directory(entry.root)
        _files.remove(entry.results)
    finally:
        _locks.release(lock)
    return True
