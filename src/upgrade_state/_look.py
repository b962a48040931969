"""
One read of an environment's record, and the answer to every question about it.

An activation loads this module, so it imports at module level only modules that
a bare interpreter has loaded.
"""

import os
import time

from upgrade_state import _policy, _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping
    from typing import Any, Final, Literal, TypeVar

    from upgrade_state import _lockfile
    from upgrade_state._environment import EnvironmentState
    from upgrade_state._model import Consent, UpgradeInformation
    from upgrade_state._policy import Freshness, LockfileState, Verdict
    from upgrade_state._record import Record
    from upgrade_state.exceptions import UpgradeStateError
    from upgrade_state.lockfiles import Upgrade

    _T = TypeVar("_T")

# The second is the convention of npm's update-notifier, the third that of CI
# services.
SWITCHES = ("UPGRADE_STATE_DISABLE", "NO_UPDATE_NOTIFIER", "CI")


class Look:
    """
    One read of an environment's record. Made by `EnvironmentState.look`.

    All answers follow from the same bytes and the same time, so they never
    contradict each other. The lockfile is looked at once, and only if an answer
    depends on it. Nothing is recorded.

    Attributes:
        environment: The handle of the environment.

        record: The record as a JSON object of format ``v1``, unknown fields
            included; None: there is no valid record. Not to be modified.

        is_corrupt: Whether something that is no valid record is in its place.
    """

    def __init__(
        self,
        environment: "EnvironmentState",
        record: "Record | None",
        *,
        lockfile: "bytes | None" = None,
        now: "int | None" = None,
        is_corrupt: bool = False,
        trouble: "Exception | None" = None,
    ) -> None:
        self.environment: Final = environment
        self.record: Final = record
        self.is_corrupt: Final = is_corrupt
        self._trouble = trouble
        self._content = lockfile
        self._current: _lockfile.CurrentLockfile | None = None
        # Asked after the record was read: had the process been stopped between
        # asking and reading, the record would be from the future.
        self._now = int(time.time()) if now is None else now

    @property
    def error(self) -> "UpgradeStateError | None":
        """
        Why the record or its store cannot be read; None if it was read.

        Also None if the process has too many open files to load the error.
        """
        return None if self._trouble is None else carried(self._trouble)

    @property
    def information(self) -> "UpgradeInformation | None":
        """
        The record as typed values; None if there is no valid one.
        """
        if self.record is None:
            return None
        from upgrade_state import _codec

        return _codec.information(self.record)

    @property
    def consent(self) -> "Consent | None":
        """
        The user's permission to repeat a recipe here; None if no check may start.

        None also if the directory at this path is another one than that in which
        the user gave it: `information` has the consent of that directory then.
        """
        consent = self.record and self.record["consent"]
        if not consent or not self._consent_holds():
            return None
        from upgrade_state import _codec

        return _codec.consent(consent)

    @property
    def missing(self) -> 'Literal["directory", "lockfile"] | None':
        """
        Which part of the environment was removed; None if none, or if unknown.

        ``lockfile`` only if the last check had one. That is not a failed check:
        recording a failure would refresh the record's modification time, and
        `StateStore.prune` would never remove the record.
        """
        path = self.environment.path
        if path is None:
            return None
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return "directory"
        except OSError:
            return None
        result = self.record and self.record["result"]
        if self.environment.lockfile_name is None or not (
            result and result["old_lockfile"]
        ):
            return None
        try:
            return "lockfile" if self._matches(None) else None
        except Exception as error:
            carried(error)
            return None

    @property
    def lockfile_state(self) -> "LockfileState | None":
        """
        How the current lockfile compares with the last check.

        ``checked``: it is the one that was checked; ``upgraded``: the one that the
        upgrade leads to; ``changed``: another one, or it was removed. None if there
        is no result, no lockfile's name and no content, or if it cannot be read.
        """
        result = self.record and self.record["result"]
        has_name = self.environment.lockfile_name is not None
        if not result or not (has_name or self._content is not None):
            return None
        try:
            return _policy.lockfile_state(result, self._matches)
        except Exception as error:
            carried(error)
            return None

    def verdict(
        self,
        *,
        interval: "dt.timedelta | None" = None,
        reminder: "dt.timedelta | None" = None,
        platform: "str | None" = None,
        could_not_check: "dt.timedelta | None" = None,
    ) -> "Verdict":
        """
        Answer like `EnvironmentState.claim_notice`, but record nothing.

        The arguments, answers and errors are the same. A caller that speaks on
        this answer may repeat the notice of another process.
        """
        return next(self._answers(interval, reminder, platform, could_not_check))

    def reasons(
        self,
        *,
        interval: "dt.timedelta | None" = None,
        reminder: "dt.timedelta | None" = None,
        platform: "str | None" = None,
        could_not_check: "dt.timedelta | None" = None,
    ) -> "tuple[Verdict, ...]":
        """
        Return every reason for silence that holds now, the verdict first.

        The arguments and errors are those of `EnvironmentState.claim_notice`.

        Returns:
            Silent verdicts, in the order in which they decide; the verdict that
            the caller should speak, alone, if none of them holds.
        """
        return tuple(self._answers(interval, reminder, platform, could_not_check))

    def _answers(self, *options: "Any") -> "Iterator[Verdict]":
        try:
            question = question_of(self.environment, *options)
            self._refuse_unread()
            yield from _policy.reasons(
                self.record, question, matches=self._matches, now=self._now
            )
        except Exception as error:
            yield _policy.Verdict("unavailable", error=carried(error))

    def _verdict(self, question: "_policy.Question") -> "Verdict":
        try:
            self._refuse_unread()
            return _policy.verdict(
                self.record, question, matches=self._matches, now=self._now
            )
        except Exception as error:
            return _policy.Verdict("unavailable", error=carried(error))

    def freshness(self, *, max_age: "dt.timedelta | None" = None) -> "Freshness":
        """
        Return whether a check is due, and why (not).

        Args:
            max_age: How long a check is good for. None: a day. Zero: not at all.

        Returns:
            The answer, with the reason. Nothing on disk makes it raise. With
            ``unavailable`` it carries the error, and no check is due.

        Raises:
            ValueError: *max_age* is negative or no timedelta.
        """
        try:
            return self._freshness(whole_seconds(max_age, _policy.DAY, "max_age"))
        except Exception as error:
            return _policy.Freshness("unavailable", error=carried(error))

    def _freshness(self, age: int) -> "Freshness":
        try:
            self._refuse_unread()
            return _policy.freshness(
                self.record,
                matches=self._matches,
                max_age=age,
                now=self._now,
                key=self.environment.key,
            )
        except Exception as error:
            return _policy.Freshness("unavailable", error=carried(error))

    def summary(self, platform: "str | None" = None) -> "str | None":
        """
        Return the upgrades of the last check, as "2 version changes and 1 rebuild".

        Snoozes, earlier notices and the current lockfile do not matter.

        Args:
            platform: See `EnvironmentState.claim_notice`.

        Returns:
            "Upgrades" if it is only known that the lockfile would change; None
            if there are no upgrades, or none are known.
        """
        result = self.record and self.record["result"]
        found = _policy.found_in(result, platform)
        return _policy.Verdict("notify", found).summary or None

    def upgrades(self) -> "tuple[Upgrade, ...]":
        """
        Return the changes that the last successful check found, row by row.

        Empty if nothing is known or if only digests could be compared.

        Raises:
            StateReadError: The record or the list cannot be read, or the list
                is damaged.
        """
        from upgrade_state import _codec

        self._refuse_unread()
        entry = self.environment._entry()
        content = entry.read_result("upgrades", self.record)
        return _codec.load_upgrades(content or b"", entry.results)

    def kept_lockfile(self, which: 'Literal["old", "new"]') -> "bytes | None":
        """
        Return a lockfile of the last successful check, whole.

        Args:
            which: "old": the one that was checked; "new": the one that the
                upgrade would lead to.

        Returns:
            None if nothing is known, if there was no old lockfile, or if the
            check only listed the upgrades.

        Raises:
            StateReadError: It cannot be read, or is damaged.
            ValueError: *which* is neither.
        """
        if which not in ("old", "new"):
            raise ValueError(f"which must be 'old' or 'new', not {which!r}")
        self._refuse_unread()
        entry = self.environment._entry()
        return entry.read_result(f"{which}_lockfile", self.record)

    def _consent_holds(self) -> bool:
        """
        Return whether the recorded consent is for the directory that is here now.
        """
        from upgrade_state import _identity

        here = _identity.identity(self.environment.path or "")
        return _identity.holds(self.record["consent"], here) if self.record else False

    def _stored_rows(self) -> "list[Record] | None":
        """
        Return the list of upgrades as JSON objects, without a class for its rows.

        None if there is none.

        Raises:
            StateReadError: It cannot be read, or is missing or damaged.
        """
        if self.record is None:
            return None
        entry = self.environment._entry()
        content = entry.read_result("upgrades", self.record)
        return None if content is None else _record.rows(content, entry.results)

    def _refuse_unread(self) -> None:
        if self._trouble is not None:
            raise self._trouble

    def _matches(self, recorded: "Mapping[str, Any] | None") -> bool:
        """
        Return whether the current lockfile is the *recorded* one; None: there is none.

        Raises:
            StateReadError: The lockfile cannot be read; or it is no file, and the
                caller has not passed the bytes.
        """
        if self._current is None:
            from upgrade_state import _lockfile

            path = self.environment._lockfile_path
            if path is None and self._content is None:
                if recorded is None:
                    return True
                message = "Only its manager knows the lockfile, and passes its bytes"
                raise _record.read_error(message, self.environment.path)
            self._current = _lockfile.CurrentLockfile(path, self._content)
        return self._current.matches(recorded)

    def __repr__(self) -> str:
        return f"<Look {self.environment!r}>"


def carried(error: Exception) -> "UpgradeStateError | None":
    """
    Return *error* if an answer may carry it; raise it again if it may not.

    None for an OSError: without a single file descriptor left, the class of the
    error cannot be loaded. An ImportError, as while an installer replaces this
    library, becomes one of ours.
    """
    if isinstance(error, OSError):
        return None
    from upgrade_state.exceptions import UpgradeStateError

    if isinstance(error, ImportError):
        return UpgradeStateError(f"Could not load a library ({error})", None)
    if isinstance(error, UpgradeStateError):
        return error
    raise error


def question_of(
    environment: "EnvironmentState",
    interval: "dt.timedelta | None",
    reminder: "dt.timedelta | None",
    platform: "str | None",
    could_not_check: "dt.timedelta | None",
) -> "_policy.Question":
    """
    Turn the caller's arguments into a question.

    Raises:
        ValueError: A duration is negative or no timedelta.
    """
    return _policy.Question(
        interval=whole_seconds(interval, _policy.DAY, "interval"),
        reminder=whole_seconds(reminder, None, "reminder"),
        platform=platform,
        could_not_check=whole_seconds(could_not_check, None, "could_not_check"),
        switch=switch(),
        place=(environment.path or "", environment.name),
    )


def switch() -> "str | None":
    """
    Return the environment variable that silences notices and automatic checks.

    None if none is set to anything but "", "0" or "false".
    """
    return next(switches(), None)


def switches() -> "Iterator[str]":
    """
    Stream all such variables.
    """
    environ: Any = os.environ
    # A missing name costs os.environ two exceptions and a microsecond. The dictionary
    # in it, with encoded names, is private; a test may put another one in its place.
    is_usual = hasattr(environ, "encodekey")
    inner = getattr(environ, "_data", environ) if is_usual else environ
    key = str if inner is environ else environ.encodekey
    for name in SWITCHES:
        # Another thread may remove it before its value is read.
        value = environ.get(name, "") if key(name) in inner else ""
        if value.lower() not in ("", "0", "false"):
            yield name


def whole_seconds(
    duration: "dt.timedelta | None", default: "_T", name: str
) -> "int | _T":
    """
    Return *duration* in whole seconds, rounded up; *default* for None.
    """
    if duration is None:
        return default
    from upgrade_state import _durations

    return _durations.whole_seconds(duration, name)


def epoch_seconds(moment: "dt.datetime | None", name: str = "now") -> int:
    """
    Return *moment* in whole seconds since the epoch; the current time for None.
    """
    if moment is None:
        return int(time.time())
    from upgrade_state import _durations

    return _durations.epoch_seconds(moment, name)
