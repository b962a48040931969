"""
One check: begin, compare, commit, fail.

The guard holds a lease and stores the result. The protocol is described at the top
of `_store`.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from typing import TYPE_CHECKING

from upgrade_state import (
    _codec,
    _identity,
    _lockfile,
    _look,
    _policy,
    _record,
    _redact,
    lockfiles,
)
from upgrade_state.exceptions import StateLockError, UpgradeStateError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Iterator
    from typing import Final

    from upgrade_state._environment import EnvironmentState
    from upgrade_state._model import Consent
    from upgrade_state._operations import Lease
    from upgrade_state._policy import Freshness
    from upgrade_state._record import Record
    from upgrade_state.lockfiles import Snapshot

# A record stays under 4 KiB whatever a lockfile contains; this much is for counts.
_COUNTS_LENGTH: Final = 1500


@contextlib.contextmanager
def checking(
    environment: EnvironmentState, lockfile: bytes | None
) -> Iterator[CheckGuard | None]:
    """
    Hold a lease for a `with` statement; None if another process has it.

    An `Exception` that leaves the statement is recorded as the check's failure,
    and so is a lockfile that cannot be read on entering.
    """
    entry = environment._entry()
    if environment.path is None:
        raise ValueError("an environment without a path cannot be checked")
    with entry.begin() as lease:
        if lease is None:
            _record.debug("try_check of %r: busy", environment)
            yield None
            return
        _record.debug("try_check of %r: the check lock is taken", environment)
        # Before the lockfile is read: the consent is for the directory that has it.
        directory = _identity.identity(environment.path)
        guard = CheckGuard(environment, lease, directory)
        try:
            guard._content = guard.old_lockfile = lockfile
            if lockfile is None and environment._lockfile_path is not None:
                guard.old_lockfile = _lockfile.read(environment._lockfile_path)
            yield guard
        except Exception as error:
            guard._fail(error)
            raise


class CheckGuard:
    """
    Proof of holding the check lock. Made by `EnvironmentState.try_check`.

    Any thread may use it, one at a time; it belongs to the process that took it.
    After the `with` statement, and in a forked child, its methods raise
    RuntimeError.

    Attributes:
        old_lockfile: The content of the lockfile that is checked; later changes
            of the file do not matter. None: there is no lockfile.

        consent: The user's permission to repeat a recipe in this directory, as it
            was when the guard was taken; None: no check starts automatically.
    """

    def __init__(
        self,
        environment: EnvironmentState,
        lease: Lease,
        directory: Record | None,
    ) -> None:
        self.old_lockfile: bytes | None = None
        self._content: bytes | None = None
        self._environment = environment
        consent = lease.record and lease.record["consent"]
        if consent and not _identity.holds(consent, directory):
            consent = None
        self.consent: Final = _codec.consent(consent) if consent else None
        self._directory = directory
        self._lease: Final = lease
        self._committed = False

    def look(self) -> _look.Look:
        """
        Look at the record that this guard has read or, after a commit, stored.

        The record is not read again. A closed guard answers, too.
        """
        environment, content = self._environment, self._content
        look = _look.Look(environment, self._lease.record, lockfile=content)
        # Without bytes and without a file there is no lockfile: the guard knows.
        path = environment._lockfile_path
        look._current = _lockfile.CurrentLockfile(path, content)
        return look

    def freshness(
        self, *, max_age: dt.timedelta | None = None, now: dt.datetime | None = None
    ) -> Freshness:
        """
        Return whether this check is still due.

        Another process may have finished one between the caller's first look
        and this guard.

        Args:
            max_age: How long a check is good for. None: a day. Zero: not at all.

            now: Current time (aware), cut to whole seconds. None: ask the clock.

        Raises:
            RuntimeError: The guard is closed.
            ValueError: *max_age* is negative or no timedelta, or *now* has no
                time zone.
        """
        self._must_be_open()
        return _policy.freshness(
            self._lease.record,
            matches=_lockfile.CurrentLockfile(None, self.old_lockfile).matches,
            max_age=_look.whole_seconds(max_age, _policy.DAY, "max_age"),
            now=_look.epoch_seconds(now),
            key=self._environment.key,
        )

    def commit(
        self,
        new_lockfile: bytes | None = None,
        *,
        format: str | None = None,
        upgrades: Iterable[Upgrade] | None = None,
        direct: Collection[str] | None = None,
        checker: str | None = None,
        consent: Consent | None = None,
        now: dt.datetime | None = None,
    ) -> bool:
        """
        Record that an upgrade would lead to *new_lockfile*, or these *upgrades*.

        Of an environment with a name, only the upgrades of that environment are
        stored and counted, and those of no environment in particular.

        Args:
            new_lockfile: Its content, as the resolver made it. None: only the
                *upgrades* are known. Then no lockfile counts as upgraded: after
                an upgrade, notices are silent until the next check.

            format: The format of both lockfiles. None: derived from the
                lockfile's name; without a known format only digests are compared.

            upgrades: The changes, if there is no new lockfile, or if the caller
                knows them better than the lockfiles show. None: compare the
                lockfiles.

            direct: Names of packages that are requested directly, if the
                lockfiles do not say. None: unknown.

            checker: The name of the recipe or manager that made this check, for
                display. None: none.

            consent: The recipe that the user ran on purpose, and its options, so
                that later checks may start automatically. It holds for the
                directory that the guard was taken for; if that cannot be
                examined, it is not recorded. None: keep the record's consent.

            now: Current time (aware), cut to whole seconds. None: ask the clock.

        Returns:
            True if it is stored; it is on disk, unless the file system fails to
            sync a directory, which is logged at level debug. False if it was
            dropped because another check was committed meanwhile; possible only if
            locks do not exclude.

        Raises:
            UpgradeStateError: The result could not be stored; the earlier record
                and the files that it names are in place.
            RuntimeError: The guard is closed, or has committed already.
            TypeError: *new_lockfile* is not bytes, or None without *upgrades*;
                *direct* is a single name; *checker* is not text; or *upgrades*
                contains something other than `Upgrade`.
            ValueError: The format is unknown, *checker* is empty or longer
                than 64 characters, or *now* has no time zone.
        """
        self._must_be_open()
        if self._committed:
            raise RuntimeError("this guard has committed already")
        if new_lockfile is None and upgrades is None:
            raise TypeError("a new lockfile is needed, or the upgrades")
        if not isinstance(new_lockfile, bytes | None):
            kind = type(new_lockfile).__name__
            raise TypeError(f"new_lockfile must be bytes, not {kind}")
        if checker is not None and not _record.is_short_name(checker):
            checker = _record.plain(checker, "a checker's name", _record.is_short_name)
        last_checked = _record.text_of(_look.epoch_seconds(now))
        result, contents = _compare(
            self.old_lockfile,
            new_lockfile,
            format=_format_of(format, self._environment.lockfile_name),
            upgrades=upgrades,
            direct=direct,
            name=self._environment.name,
        )
        fields = {
            "last_checked": last_checked,
            "checker": checker and _redact.safe(checker)[:64],
            "result": result,
            "failure": None,
        }
        if consent is not None and self._directory is not None:
            fields["consent"] = _codec.consent_fields(consent, self._directory)
        self._committed = self._lease.commit(fields, contents)
        answer = "stored" if self._committed else "dropped after another commit"
        _record.debug("commit of %r: %s", self._environment, answer)
        return self._committed

    def _fail(self, error: Exception) -> None:
        """
        Record that the check failed, unless it has been committed.
        """
        if self._committed or not self._lease.is_open:
            return
        if isinstance(error, StateLockError):
            return  # recording it would wait for the same lock once more
        text = "".join(traceback.format_exception_only(error))
        if isinstance(error, UpgradeStateError):
            text = error.message  # without the path
        message = _redact.message_of(text, _redact.MESSAGE_LENGTH)
        at = _record.text_of(_look.epoch_seconds(None))
        try:
            self._lease.fail(lambda record: _next_failure(record, at, message))
            answer = "recorded"
        except UpgradeStateError as also:  # the error under way says more
            answer = f"not recorded: {also}"
        _record.debug("failure of %r: %s: %s", self._environment, answer, message)

    def _must_be_open(self) -> None:
        if not self._lease.is_open:
            problem = "its with statement has ended, or another process has it"
            raise RuntimeError(f"this guard is closed: {problem}")

    def close(self) -> None:
        """
        Release the check lock. Leaving the `with` statement does this.

        May be called repeatedly, by any thread; does nothing in a forked child.
        """
        self._lease.release()


def _compare(
    old: bytes | None,
    new: bytes | None,
    *,
    format: str | None,
    upgrades: Iterable[Upgrade] | None,
    direct: Collection[str] | None,
    name: str | None,
) -> tuple[Record, dict[str, bytes]]:
    """
    Return the `result` field, and the contents of the files that it names.

    Of a named environment, rows of other environments are left out.
    """
    rows: tuple[Upgrade, ...] | None = ()
    platforms: tuple[str, ...] = ()
    before = after = None
    if upgrades is not None:
        rows = tuple(upgrades)
        if not all(isinstance(row, Upgrade) for row in rows):
            raise TypeError("upgrades must be rows of the class Upgrade")
    elif old is not None and new is not None:  # else nothing locked can be upgraded
        before = lockfiles.read(old, format=format)
        after = before if new == old else lockfiles.read(new, format=format)
        diff = lockfiles.diff(before, after, direct=direct)
        rows, platforms = diff.upgrades if diff.comparable else None, diff.platforms
    if rows is not None:
        names = {None, name}
        rows = tuple(
            _codec.safe_row(row)
            for row in rows
            if name is None or row.environment in names
        )
    listing = None if rows is None else _codec.dump_upgrades(rows)
    contents: dict[str, bytes] = {}

    def file(content: bytes | None, snapshot: Snapshot | None = None) -> Record | None:
        if content is None:
            return None
        digest = snapshot.digest if snapshot else _record.digest(content)
        contents[digest] = content
        return {"digest": digest, "size": len(content)}

    result = {
        "format": format,
        "old_lockfile": file(old, before),
        "new_lockfile": file(new, after),
        "upgrades": file(listing),
        "counts": None if rows is None else _counts(rows, platforms),
    }
    return result, contents


def _format_of(format: str | None, lockfile_name: str | None) -> str | None:
    if format is None:
        return None if lockfile_name is None else lockfiles.format_of(lockfile_name)
    if not lockfiles.is_format(format):
        raise ValueError(f"there is no lockfile format {format!r}")
    return format


def _counts(rows: tuple[Upgrade, ...], platforms: tuple[str, ...]) -> Record:
    """
    Count per platform; only for all together if there are too many platforms.
    """
    counts: Record = lockfiles.counts(rows, platforms=platforms)
    is_short = len(json.dumps(counts)) <= _COUNTS_LENGTH
    return counts if is_short else {"*": counts["*"]}


def _next_failure(record: Record | None, at: str, message: str) -> Record:
    """
    Return the `failure` field after one more consecutive failure.
    """
    last = (record and record["failure"]) or {"at": at, "attempts": 0}
    since = last.get("since") or last["at"]
    succeeded = "" if record is None else record["last_checked"] or ""
    if since < succeeded <= at:  # written before the clock was set
        since = succeeded
    return {
        "failure": {
            "at": at,
            "attempts": min(last["attempts"] + 1, _record.MAX_INTEGER),
            "message": message,
            # After a clock was set back, start counting again.
            "since": min(since, at),
        }
    }
