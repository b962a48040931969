"""
Shared access to the state of one environment: the protocol.

Readers never lock: the record is replaced, never modified, so a reader sees the
old or the new one, whole.

check lock: held for a whole upgrade check. Tried, never waited for. It lets one
    process check at a time, and protects the directory `results/<key>/`.

write lock: held for one read-merge-replace, milliseconds. *Every* change of the
    record takes it: a claim tries it once, every other writer waits for it.

A writer that needs both takes the check lock first. An activation takes only the
write lock, so a running check never delays a notice. Nothing slow is done under
the write lock: no callback, no subprocess, no output, no lockfile. Lock files
are never deleted: waiting processes would be split between two inodes.

Why both sides take the write lock: two locks, one per field, do not protect one
file. Each side reads the old contents, merges its own fields, and the later
replace undoes the earlier one.

Merge. A writer reads the record again under the write lock, replaces the fields
it owns, each as a whole, keeps every other field, known or not, and replaces
the file. Only a check creates a record or replaces a corrupt one; every
other operation without a record answers that nothing is known, and writes nothing.

    check commit    last_checked, checker, result, generation, failure (null);
                    consent only if the user ran a recipe on purpose
    check failure   failure
    claim           last_notified, and notified; failure_notified instead of
                    notified if the notice is about failures
    snooze          snoozed_until
    expire          last_checked (null), failure (null)
    withdraw        consent (null)

Check. Begin: try the check lock; then read the record and the lockfile, so that
a crowd of checkers makes one check and not one after the other. Commit: write
the new files to `results/<key>/` and sync them; merge; sync the directory; delete
from `results/<key>/` the files that the record does not name. If the record has
another generation than at the beginning, which is possible only if locks do not
exclude, the result is dropped. A missing record does not prevent a commit. Only a
check, under both locks, deletes temporary files that other writers left in `tmp/`.

Claim. The caller has decided without a lock that a notice is due. Try the write
lock once, decide again under it, take the ticket, decide once more, record, release,
sync, and only then let the caller speak. If `last_notified` or `failure_notified`
differs from the first look, another process has given a notice, of either kind,
whatever the clocks say.

Ticket. Some network file systems have locks that exclude only the processes of one
machine, but exclusive creation is atomic on all of them. The ticket is a file in
`results/<key>/` that is named by `last_notified` and `failure_notified`, so of all
claims that decide on the same two values one creates it, and the others are silent;
so is a claim after a lost update that restores old values. A ticket older than the
pause does not count, since its process may have died before it recorded the notice:
the next claim creates the ticket with the next number. A commit keeps the tickets of
its own record, for these updates, and the ones of the last minutes, for writers and
caches that still have the record of then.

Forget. Try the check lock, take the write lock, delete everything.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time

from upgrade_state import _files, _locks, _policy, _record
from upgrade_state.exceptions import (
    StateReadError,
    StateWriteError,
    UpgradeStateError,
)

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Final

    from upgrade_state._files import Descriptors
    from upgrade_state._policy import Matches, Question, Verdict, VerdictReason
    from upgrade_state._record import Record


# The fields of a result that name a file.
RESULT_FILES: Final = ("old_lockfile", "new_lockfile", "upgrades")


class Entry:
    """
    The operations on one environment in a store of files.

    Args:
        identity: The fields that identify its record; None: it was found by its
            files, and no check begins.

    Attributes:
        results: The directory of its results, for errors.
    """

    def __init__(self, root: str, key: str, identity: Record | None = None) -> None:
        self.files: Final = _files.Files(root, key)
        self.results: Final = self.files.results
        self._identity: Final = identity or {}
        self._parsed: tuple[bytes, Record | None] | None = None

    # Reading and merging

    def read(self) -> Record | None:
        """
        Read the record, without a lock; None if it is missing or corrupt.

        Equal bytes are the same record, so an operation parses them once.

        Raises:
            StateReadError: It exists but cannot be read.
        """
        files = self.files
        data = _record.read_file(files.root, files.record, _record.MAX_SIZE)
        if data is None:
            return None
        if self._parsed is None or self._parsed[0] != data:
            self._parsed = data, _record.valid(data, files.key)
        return self._parsed[1]

    def _replace(self, store: Descriptors, record: Record, fields: Record) -> None:
        """
        Replace *fields* in *record*. The caller holds the write lock.

        Raises:
            StateWriteError: The old record is in place.
        """
        text = dump(record | fields, self.files.record)
        _files.replace_record(store, self.files, text.encode("ascii"))

    def merge_or_make(
        self, store: Descriptors, make_fields: Callable[[Record | None], Record | None]
    ) -> Record | None:
        """
        Merge the fields of a check into the record; create it if there is no valid one.

        The caller holds the check lock.

        Args:
            make_fields: Receives the current record (None: there is no valid one)
                and returns the fields to replace; None: replace nothing.

        Returns:
            The record that is in place now; None if nothing was replaced.
        """
        with _locks.wait_for_lock(store, self.files.write_lock):
            current = self.read()
            fields = make_fields(current)
            if fields is None:
                return None
            if current is None:
                # Until the replace there is no record: readers see the same as before.
                _files.set_aside(store, self.files)
                current = _record.DEFAULTS | self._identity
            # No other writer is at work, unless locks do not exclude.
            store.remove(*self.files.leftovers())
            self._replace(store, current, fields)
        store.sync(self.files.root)
        return current | fields

    # Check

    @contextlib.contextmanager
    def begin(self) -> Iterator[Lease | None]:
        """
        Hold the check lock for a `with` statement; None if it is busy.

        Raises:
            UpgradeStateError: On entering: the store cannot be made, locked or read.
        """
        path = self.files.check_lock
        with (
            _files.opened(self.files.root) as store,
            _locks.try_lock(store, path) as lock,
        ):
            # The check may take hours: its directories are opened again.
            store.close_all(but=path)
            yield None if lock is None else Lease(self, lock, self.read())

    # Claim, snooze, expire and withdraw

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
        Decide again under the write lock, and record the notice.

        Args:
            record_seen: See `second_verdict`, as for the other arguments.

            now: Seconds since the epoch. None: ask the clock under the lock. This
                process may have been stopped since the first look, and would record
                a time after which the next activation may speak already.

        Returns:
            The verdict; true if the caller should speak: then the claim is recorded.

        Raises:
            UpgradeStateError: It could not be recorded; nothing has changed.
        """
        decide = functools.partial(second_verdict, matches=matches)
        with _files.opened(self.files.root) as store:
            with _locks.try_lock(store, self.files.write_lock) as lock:
                if lock is None:
                    return silent("busy", first_verdict)
                record = self.read()
                now = int(time.time()) if now is None else now
                verdict, fields = decide(
                    record_seen, record, question, first_verdict, now=now
                )
                if record is None or not fields:
                    return verdict
                of_failures = "notified" not in fields
                pause = _policy.pause(record, question, of_failures=of_failures)
                name = ticket_name(record)
                with _files.ticket(store, self.files, name, pause) as is_ours:
                    if not is_ours:
                        return silent("busy", verdict)
                    # If locks do not exclude, another process may have recorded its
                    # notice meanwhile, and a check may have deleted its ticket.
                    seen, record = record, self.read()
                    if record != seen:
                        verdict, fields = decide(
                            seen, record, question, verdict, now=now
                        )
                    if record is None or not fields:
                        return verdict
                    self._replace(store, record, fields)
            store.sync(self.files.root)
        return verdict

    def change(self, fields: Record) -> bool:
        """
        Replace *fields* of a known environment: see `EnvironmentState.snooze`.

        Returns:
            False if nothing is known, and nothing was written.
        """
        if not _record.trusted(self.files.root):
            return False
        try:
            os.lstat(self.files.record)
        except FileNotFoundError:  # an unknown environment gets no lock file
            return False
        except OSError as error:
            raise _record.unreadable("the file", error, self.files.record) from error
        with _files.opened(self.files.root) as store:
            with _locks.wait_for_lock(store, self.files.write_lock):
                record = self.read()
                if record is None:
                    return False
                self._replace(store, record, fields)
            store.sync(self.files.root)
        return True

    # Files of a result

    def read_result(self, field: str, record: Record | None) -> bytes | None:
        """
        Read the file that *record* names in *field* of its result.

        A check may replace the record and delete the file after *record* was read.
        A reader that misses the file reads the record again, until it is unchanged.

        Raises:
            StateReadError: The file cannot be read, is damaged, or is missing.
        """
        while True:
            file = result_file(record, field)
            if file is None:
                return None
            content = _files.read_result(self.files, file)
            if content is not None:
                return content
            record, record_seen = self.read(), record
            if record == record_seen:
                todo = "the next check replaces it"
                message = f"The file of the {field} is missing; {todo}"
                raise StateReadError(message, self.files.result(file["digest"]))

    # Forget

    def forget(self, is_gone: Callable[[Entry], bool] = lambda _: True) -> bool:
        """
        Delete the record and every file that belongs to it.

        Args:
            is_gone: Called under the check lock. If it returns False, nothing is
                deleted.

        Returns:
            False if a check is running or *is_gone* returned False.
        """
        files = self.files
        if not _record.trusted(files.root) or not files.has_files():
            return True
        with (
            _files.opened(files.root) as outer,
            _locks.try_lock(outer, files.check_lock) as lock,
        ):
            if lock is None or not is_gone(self):
                return False
            with _files.opened(files.root) as store:
                with _locks.wait_for_lock(store, files.write_lock):
                    # The record first: no reader looks for the others without it.
                    paths = files.record, files.corrupt, files.log
                    store.remove(*paths, *files.leftovers())
                store.sync(files.root)
                store.remove(files.results)
        return True


class Lease:
    """
    The check lock of one environment, and what its holder may do.

    Attributes:
        record: The record that was read under the lock or, after a commit or a
            failure, the one that is in place; None: there is no valid one.
    """

    def __init__(self, entry: Entry, lock: _locks.Lock, record: Record | None) -> None:
        self.record = record
        self._generation: int = 0 if record is None else record["generation"]
        self._entry: Final = entry
        self._lock: Final = lock

    @property
    def is_open(self) -> bool:
        """
        Whether this process holds the lock.
        """
        return self._lock.is_open

    def commit(self, fields: Record, contents: Mapping[str, bytes]) -> bool:
        """
        Store the *contents* of a result, merge its *fields*, delete older files.

        Args:
            contents: By their digests.

        Returns:
            False if another check was committed since the lock was taken.

        Raises:
            UpgradeStateError: The earlier record and its files are in place.
        """
        entry, generation = self._entry, self._generation
        fields = fields | {"generation": (generation + 1) & _record.MAX_INTEGER}

        def unless_overtaken(current: Record | None) -> Record | None:
            if current is None:
                paths = map(entry.files.result, contents)
                if not all(map(os.path.lexists, paths)):
                    message = "The store was deleted during the commit"
                    raise StateWriteError(message, entry.files.root)
            elif current["generation"] != generation:
                return None
            return fields

        with _files.opened(entry.files.root) as store:
            _files.store_results(store, entry.files, contents, named_files(self.record))
            record = entry.merge_or_make(store, unless_overtaken)
            self.record = record or entry.read()
            try:
                name = ticket_name(self.record)
                _files.sweep(store, entry.files, named_files(self.record), name)
            except UpgradeStateError as error:  # the next check deletes it
                _record.debug("could not delete old results: %s", error)
        return record is not None

    def fail(self, failure_after: Callable[[Record | None], Record]) -> None:
        """
        Merge the field that *failure_after* returns for the current record.

        Raises:
            UpgradeStateError: Nothing has changed.
        """
        with _files.opened(self._entry.files.root) as store:
            self.record = self._entry.merge_or_make(store, failure_after)

    def release(self) -> None:
        """
        Release the lock, if it is held.
        """
        self._lock.release()


def named_files(record: Record | None) -> list[str]:
    """
    Return the digests of the files that *record* names.
    """
    files = (result_file(record, field) for field in RESULT_FILES)
    return [file["digest"] for file in files if file is not None]


def ticket_name(record: Record | None) -> str:
    """
    Return the name, without its number, of the ticket for the next notice.

    It is made of the times of the last notices, so a lost update of another field
    does not change it.
    """
    times = [(record or {}).get(f) for f in ("last_notified", "failure_notified")]
    parts = ("".join(filter(str.isdigit, text or "0")) for text in times)
    return ".".join(["ticket", *parts])


# For every back end


def result_file(record: Record | None, field: str) -> Record | None:
    """
    Return the digest and size that *record* names in *field* of its result.

    None if it names none.
    """
    file: Record | None = ((record or {}).get("result") or {}).get(field)
    return file


def dump(record: Record, path: str | None = None) -> str:
    """
    Return the text of a record, in ASCII.

    Raises:
        StateWriteError: It would be too large; the error names *path*.
    """
    import json  # loads re; readers do without it

    text = json.dumps(record, separators=(",", ":"))
    if len(text) > _record.MAX_SIZE:  # by unknown fields that take more as ASCII
        message = "The record would be too large to be read again"
        raise StateWriteError(message, path)
    return text


def second_verdict(
    record_seen: Record | None,
    record: Record | None,
    question: Question,
    first_verdict: Verdict,
    *,
    matches: Matches,
    now: int,
) -> tuple[Verdict, Record]:
    """
    Decide whether a claim is granted, by the record that it would replace.

    Args:
        record_seen: The record on which the first verdict was given.

        record: The record as it is now.

        question: The question that both verdicts answer.

        first_verdict: The verdict: a notice is due.

        matches: See `_policy.verdict`.

        now: Seconds since the epoch, asked after *record* was read.

    Returns:
        The verdict, and the fields that record the notice; empty if it is silent.
    """
    cannot_check = first_verdict.reason == "cannot-check"
    # A notice about failures did not depend on the lockfile, and the lockfile
    # is not looked at under the lock.
    verdict = _policy.verdict(
        record,
        question,
        matches=(lambda _: False) if cannot_check else matches,
        now=now,
    )
    if cannot_check and verdict.reason == "lockfile-changed":
        return silent("busy", verdict), {}
    if not verdict or record is None:
        return verdict, {}
    of_failures = verdict.reason == "cannot-check"
    last_notified = _notified_since(record_seen or {}, record)
    if last_notified is not None:
        after = _policy.pause(record, question, of_failures=of_failures)
        return silent("told-recently", verdict, since=last_notified, after=after), {}
    fields = {"last_notified": _record.text_of(now)}
    if of_failures:
        fields["failure_notified"] = fields["last_notified"]
    else:
        fields["notified"] = _policy.subject_of(record["result"])
    return verdict, fields


def silent(reason: VerdictReason, verdict: Verdict, **more: Any) -> Verdict:
    """
    Return a silent verdict with the upgrades of *verdict*.
    """
    found = verdict.version_changes, verdict.rebuilds, verdict.opaque
    return _policy.Verdict(reason, found, **more)


def _notified_since(record_seen: Record, record: Record) -> str | None:
    """
    Return when another process has spoken since the first look; None: none has.
    """
    for field in ("last_notified", "failure_notified"):
        at: str | None = record.get(field)
        if at not in (None, record_seen.get(field)):
            return at
    return None
