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
    from typing import Final

    from upgrade_state._policy import Matches, Question, Verdict
    from upgrade_state._record import Record
    from upgrade_state.lockfiles import Upgrade


# The fields of a result that name a file.
RESULT_FILES: Final = ("old_lockfile", "new_lockfile", "upgrades")


class Entry:
    """
    One environment in a store: its files, and its identity in the record.

    *environment* is None if the environment was found by a corrupt record.
    """

    def __init__(
        self, root: str, key: str, environment: str | None, lockfile: str | None
    ) -> None:
        self.files: Final = _files.Files(root, key)
        self.environment: Final = environment
        self.lockfile: Final = lockfile


# Reading and merging


def read(entry: Entry) -> Record | None:
    """
    Read the record, without a lock; None for none and for a corrupt one.

    Raises:
        StateReadError: It is there, but cannot be read.
    """
    data = _record.read_file(entry.files.root, entry.files.record, _record.MAX_SIZE)
    return None if data is None else _record.valid(data, entry.files.key)


def _replace(entry: Entry, record: Record, fields: Record) -> None:
    """
    Replace *fields* in *record*. The caller holds the write lock.

    Raises:
        StateWriteError: The old record is in place.
    """
    text = json.dumps(record | fields, separators=(",", ":"), allow_nan=False)
    if len(text) > _record.MAX_SIZE:  # unknown fields, in more bytes than before
        message = "The record would be too large to be read again"
        raise StateWriteError(message, entry.files.record)
    _files.replace_record(entry.files, text.encode("ascii"))


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
    _files.ensure(entry.files.root)
    with _locks.waited_for(entry.files.write_lock):
        current = read(entry)
        fields = make_fields(current)
        if fields is None:
            return None
        if current is None:
            # Gone for a moment, which is what a corrupt record is anyway.
            _files.set_aside(entry.files)
            current = _record.DEFAULTS | {
                "environment": entry.environment,
                "lockfile": entry.lockfile,
            }
        _replace(entry, current, fields)
    _files.sync_directory(entry.files.root)
    return current | fields


# Claim, snooze and expire


def claim(
    entry: Entry,
    record_seen: Record | None,
    question: Question,
    first_verdict: Verdict,
    *,
    matches: Matches,
    now: int,
) -> Verdict:
    """
    Decide again under the write lock, and record the notice.

    Args:
        record_seen: The record on which the first verdict was given.

        question: The question that it answered.

        first_verdict: The verdict: a notice is due.

        matches: See `_policy.verdict`.

        now: Seconds since the epoch.

    Returns:
        The verdict; true if the caller should speak: then the claim is on disk.

    Raises:
        UpgradeStateError: It could not be recorded; nothing has changed.
    """
    _files.ensure(entry.files.root)
    lock = _locks.try_lock(entry.files.write_lock)
    if lock is None:
        return _busy(first_verdict)
    cannot_check = first_verdict.reason == "cannot-check"
    try:
        record = read(entry)
        # A notice about failures did not depend on the lockfile, and the lockfile
        # is not looked at under the lock.
        verdict = _policy.verdict(
            record,
            question,
            matches=(lambda _: False) if cannot_check else matches,
            now=now,
        )
        if cannot_check and verdict.reason == "lockfile-changed":
            return _busy(verdict)
        if not verdict or record is None:
            return verdict
        last_notified = _notified_since(record_seen or {}, record)
        if last_notified is not None:
            counts = _counts_of(verdict)
            return _policy.told_recently(counts, question, last_notified)
        fields = ["last_notified"]
        if verdict.reason == "cannot-check":
            fields.append("failure_notified")
        _replace(entry, record, dict.fromkeys(fields, _record.text_of(now)))
    finally:
        _locks.release(lock)
    _files.sync_directory(entry.files.root)
    return verdict


def _notified_since(record_seen: Record, record: Record) -> str | None:
    """
    Return when another process has spoken since the first look; None: none has.
    """
    for field in ("last_notified", "failure_notified"):
        at: str | None = record.get(field)
        if at not in (None, record_seen.get(field)):
            return at
    return None


def _busy(verdict: Verdict) -> Verdict:
    return _policy.Verdict("busy", _counts_of(verdict))


def _counts_of(verdict: Verdict) -> tuple[int, int, bool]:
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
    _files.ensure(entry.files.root)
    with _locks.waited_for(entry.files.write_lock):
        record = read(entry)
        if record is None:
            return False
        _replace(entry, record, fields)
    _files.sync_directory(entry.files.root)
    return True


# Files of a result


def named_files(record: Record) -> list[str]:
    """
    Return the digests of the files that *record* names.
    """
    result = record["result"] or {}
    files = (result.get(field) for field in RESULT_FILES)
    return [file["digest"] for file in files if file is not None]


def read_result(entry: Entry, field: str, record: Record | None) -> bytes | None:
    """
    Read the file that *record* names in *field* of its result.

    A check may replace the record and delete the file after *record* was read.
    A reader that misses the file reads the record again, until that brings
    nothing new.

    Raises:
        StateReadError: The file cannot be read, is damaged, or is missing for good.
    """
    while True:
        file = ((record or {}).get("result") or {}).get(field)
        if file is None:
            return None
        content = _files.read_result(entry.files, file)
        if content is not None:
            return content
        record, record_seen = read(entry), record
        if record == record_seen:
            message = f"The file of the {field} is missing; the next check replaces it"
            raise StateReadError(message, entry.files.results)


def upgrades(entry: Entry, record: Record | None) -> tuple[Upgrade, ...]:
    """
    Read the list of upgrades that *record* names.
    """
    from upgrade_state import _codec  # noqa: PLC0415 - no claim needs it

    content = read_result(entry, "upgrades", record)
    return _codec.load_upgrades(content or b"", entry.files.results)


# Forget


def forget(entry: Entry, is_gone: Callable[[Entry], bool] = lambda _: True) -> bool:
    """
    Remove the record and what belongs to it; False where a check is running.

    Args:
        is_gone: Asked once no check is running. If not, all stays: False.
    """
    if not _record.is_trusted(entry.files.root) or not entry.files.has_files():
        return True
    _files.ensure(entry.files.root)
    lock = _locks.try_lock(entry.files.check_lock)
    if lock is None:
        return False
    try:
        if not is_gone(entry):
            return False
        with _locks.waited_for(entry.files.write_lock):
            # The record first: without it the rest means nothing to anybody.
            for path in (
                entry.files.record,
                entry.files.corrupt,
                entry.files.log,
                *entry.files.leftovers(),
            ):
                _files.remove(path)
        _files.sync_directory(entry.files.root)
        _files.remove(entry.files.results)
    finally:
        _locks.release(lock)
    return True
