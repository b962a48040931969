"""
When to check and when to speak: pure functions of record, lockfile and time.

There is one implementation, for silent activations and for every other caller.
The answer is a reason, not a bool: it is the decision, the line in the log and
the line that `upgrade-state show` prints. Every activation loads this module, so
durations and the current time are whole seconds.
"""

from upgrade_state import _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Final, Literal, NoReturn, TypeAlias

    from upgrade_state._record import Record
    from upgrade_state.exceptions import UpgradeStateError

    _Either: TypeAlias = Literal[
        "switched-off", "lockfile-changed", "busy", "unavailable"
    ]
    FreshnessReason: TypeAlias = Literal[
        _Either, "backing-off", "never-checked", "expired", "fresh", "just-checked"
    ]
    _Silent: TypeAlias = Literal["nothing-known", "no-upgrades", "upgraded"]
    VerdictReason: TypeAlias = Literal[
        _Either, _Silent, "snoozed", "told-recently", "cannot-check", "notify"
    ]
    LockfileState: TypeAlias = Literal["checked", "upgraded", "changed"]
    Matches: TypeAlias = Callable[[Mapping[str, Any] | None], bool]

DAY = 86_400
WEEK = 7 * DAY

# A time further ahead than this was written before the clock was set back.
_TOLERANCE = 300

_FIRST_DELAY = 300

# After a check, a changed lockfile is no reason for another one: a branch that is
# switched back and forth, or two containers on one path, would resolve in turns.
_PAUSE = 300

_NOTHING = (0, 0, False)  # version changes, rebuilds, opaque


class _Answer:
    """
    A reason, and the time at which the answer may change.
    """

    _after: int
    _since: "str | None"
    error: "UpgradeStateError | None"
    switch: "str | None"

    @property
    def until(self) -> "dt.datetime | None":
        """
        When the answer may change without another check or command (UTC).

        None if no time is known, or if it is after the year 9999.
        """
        if self._since is None:
            return None
        import datetime as dt

        try:
            since = dt.datetime.fromisoformat(self._since)
            return since + dt.timedelta(seconds=self._after)
        except OverflowError:
            return None

    def _filled(self, template: str, **more: str) -> str:
        from upgrade_state._messages import NO_ERROR, until

        more |= {"switch": self.switch or "", "until": until(self.until)}
        return template.format(error=self.error or NO_ERROR, **more)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


class Freshness(_Answer):
    """
    Whether a check is due, and why (not).

    It has no truth value: test `due`.

    Attributes:
        due: Whether a check should be made.

        reason: The condition that decided.

        until: When the answer may change without another check or command
            (UTC, aware); None if no time is known.

        error: Why the record could not be read, if *reason* is ``unavailable``.
            None with this reason: the process has too many open files to load
            the class of the error.

        switch: The environment variable that silences, if *reason* is
            ``switched-off``.

        pid: The process that `EnvironmentState.start_check` started, a child of
            this one; None: none was started.
    """

    pid: "int | None" = None

    def __init__(
        self,
        reason: "FreshnessReason",
        *,
        since: "str | None" = None,
        after: int = 0,
        switch: "str | None" = None,
        error: "UpgradeStateError | None" = None,
    ) -> None:
        self._since = since
        self._after = after
        self.switch = switch
        self.error = error
        self.due: Final = reason in ("never-checked", "expired", "lockfile-changed")
        self.reason: Final[FreshnessReason] = reason

    def __bool__(self) -> "NoReturn":
        raise TypeError("a Freshness has no truth value; look at its `due`")

    def __str__(self) -> str:
        """
        Explain the answer in one line.
        """
        from upgrade_state._messages import FRESHNESS, RECORDED_NOTHING

        has_ended = self.reason == "busy" and self._since is not None
        template = RECORDED_NOTHING if has_ended else FRESHNESS[self.reason]
        return f"{self.reason}: {self._filled(template)}"


class Verdict(_Answer):
    """
    Whether to notify the user now, and why (not). True if the caller should speak.

    Attributes:
        reason: The condition that decided. The verdict is true for ``notify``
            and ``cannot-check``.

        until: When the answer may change without another check or command
            (UTC, aware); None if no time is known.

        version_changes: Number of packages that would get another version, on
            the platform of the question.

        rebuilds: Number of packages that would get another build of the same
            version.

        opaque: Whether it is only known that the lockfile would change.

        error: Why the record could not be read or written, if *reason* is
            ``unavailable``. None with this reason: the process has too many
            open files to load the class of the error.

        switch: The environment variable that silences, if *reason* is
            ``switched-off``.
    """

    def __init__(  # noqa: PLR0913 - all by keyword
        self,
        reason: "VerdictReason",
        found: "tuple[int, int, bool]" = _NOTHING,
        *,
        place: "tuple[str, str | None]" = ("", None),
        failure: "tuple[int, str] | None" = None,
        since: "str | None" = None,
        after: int = 0,
        switch: "str | None" = None,
        error: "UpgradeStateError | None" = None,
    ) -> None:
        self._since = since
        self._after = after
        self.switch = switch
        self.error = error
        self.version_changes: Final = found[0]
        self.rebuilds: Final = found[1]
        self.opaque: Final = found[2]
        self._place = place
        self._failure = failure
        self.reason: Final[VerdictReason] = reason

    def __bool__(self) -> bool:
        return self.reason in ("notify", "cannot-check")

    @property
    def summary(self) -> str:
        """
        The available upgrades, as "2 version changes and 1 rebuild".

        "Upgrades" if it is only known that the lockfile would change; "" if
        no upgrades are known. A silent verdict has a summary, too. If *reason*
        is ``cannot-check``: "could not check for 9 days: no route to host".
        """
        from upgrade_state import _messages

        if self._failure is not None:
            return _messages.could_not_check(*self._failure)
        if self.opaque:
            return "Upgrades"
        return _messages.summary(self.version_changes, self.rebuilds)

    @property
    def message(self) -> str:
        """
        The notice in one line, safe for a terminal; "" if the verdict is silent.

        It contains the summary, the name of the environment's directory and, if it
        has one, that of the environment.
        """
        from upgrade_state import _messages

        if self._failure is not None:
            return _messages.could_not_check_message(*self._failure, *self._place)
        return _messages.message(self.summary, *self._place) if self else ""

    def __str__(self) -> str:
        """
        Explain the verdict in one line.
        """
        from upgrade_state._messages import VERDICTS

        text = self._filled(VERDICTS[self.reason], summary=self.summary)
        return f"{self.reason}: {text}"


class Question:
    """
    How a caller asks for a verdict, apart from the record, the lockfile and the time.

    Attributes:
        interval: Minimum number of seconds between two notices. Zero: none.

        reminder: The same between two notices of the same upgrades, so at least
            *interval*. None for the argument: a week, or zero if *interval* is zero.

        platform: The platform whose upgrades count; None: all platforms.

        could_not_check: For how many seconds checks must have failed before the
            user is notified of that, once a week. None: never.

        switch: The environment variable that silences everything, if one is set.

        place: The environment's directory, and its name or None: the notice has them.
    """

    def __init__(
        self,
        *,
        interval: int = DAY,
        reminder: "int | None" = None,
        platform: "str | None" = None,
        could_not_check: "int | None" = None,
        switch: "str | None" = None,
        place: "tuple[str, str | None]" = ("", None),
    ) -> None:
        if reminder is None:
            reminder = WEEK if interval else 0
        self.interval: Final = interval
        self.reminder: Final = max(interval, reminder)
        self.platform: Final = platform
        self.could_not_check: Final = could_not_check
        self.switch: Final = switch
        self.place: Final = place


def freshness(
    record: "Record | None", *, matches: "Matches", max_age: int, now: int, key: str
) -> "Freshness":
    """
    Decide whether a check is due.

    Args:
        record: The state of the environment; None: nothing is known.

        matches: Returns whether the current lockfile is a recorded one. Called last.

        max_age: How many seconds a check is good for. Zero: not at all.

        now: Seconds since the epoch.

        key: The environment's key, which spreads the retries of many environments.
    """
    known = record or _record.DEFAULTS
    failure, last_checked, result = (
        known[name] for name in ("failure", "last_checked", "result")
    )
    if failure is not None:
        delay = _delay(failure["attempts"], key)
        if not is_over(failure["at"], delay, now):
            return Freshness("backing-off", since=failure["at"], after=delay)
    if last_checked is None or result is None:
        return Freshness("never-checked")
    if is_over(last_checked, max_age, now):
        return Freshness("expired")
    if lockfile_state(result, matches) != "changed":
        return Freshness("fresh", since=last_checked, after=max_age)
    if not is_over(last_checked, _PAUSE, now):
        return Freshness("just-checked", since=last_checked, after=min(_PAUSE, max_age))
    return Freshness("lockfile-changed")


def lockfile_state(result: "Mapping[str, Any]", matches: "Matches") -> "LockfileState":
    """
    Compare the current lockfile with both lockfiles of a *result*.

    Returns:
        ``checked``: it is the one that was checked; ``upgraded``: the one that the
        upgrade leads to, if that is known; ``changed``: another one.
    """
    if matches(result["old_lockfile"]):
        return "checked"
    new = result["new_lockfile"]
    return "upgraded" if new is not None and matches(new) else "changed"


def verdict(
    record: "Record | None", question: "Question", *, matches: "Matches", now: int
) -> "Verdict":
    """
    Decide whether the user should be notified now: the first of `reasons`.
    """
    return next(reasons(record, question, matches=matches, now=now))


def reasons(
    record: "Record | None", question: "Question", *, matches: "Matches", now: int
) -> "Iterator[Verdict]":
    """
    Stream every reason for silence; the notice alone if there is none.

    Nothing is decided before the caller asks for it.

    Args:
        record: The state of the environment; None: nothing is known.

        question: The circumstances and wishes of the caller.

        matches: Returns whether the current lockfile is a recorded one. Called last.

        now: Seconds since the epoch.
    """
    is_silent = question.switch is not None
    if is_silent:
        yield Verdict("switched-off", switch=question.switch)
    if record is None:
        yield Verdict("nothing-known")
        return
    failure = None
    if question.could_not_check is not None:
        failure = _failure_to_report(record, question.could_not_check, now)
    result, snoozed_until = record["result"], record["snoozed_until"]
    found, last_notified = found_in(result, question.platform), record["last_notified"]
    if found == _NOTHING and failure is None:
        is_silent = True
        yield Verdict("nothing-known" if result is None else "no-upgrades")
    # The user asked for this time: a clock that was set back does not change it.
    if snoozed_until is not None and _record.text_of(now) < snoozed_until:
        is_silent = True
        yield Verdict("snoozed", found, since=snoozed_until)
    if last_notified is not None:
        after = pause(record, question, of_failures=failure is not None)
        if not is_over(last_notified, after, now):
            is_silent = True
            yield Verdict("told-recently", found, since=last_notified, after=after)
    if failure is None and result is not None:
        state = lockfile_state(result, matches)
        if state != "checked":
            is_silent = True
            yield Verdict(
                "upgraded" if state == "upgraded" else "lockfile-changed", found
            )
    if not is_silent:
        reason: VerdictReason = "notify" if failure is None else "cannot-check"
        yield Verdict(reason, found, place=question.place, failure=failure)


def _failure_to_report(
    record: "Record", could_not_check: int, now: int
) -> "tuple[int, str] | None":
    """
    Return for how long checks have failed, and why, if a notice about it is due.
    """
    failure, last_notified = record["failure"], record.get("failure_notified")
    if failure is None:
        return None
    if last_notified is not None and (
        not is_over(last_notified, WEEK, now)
        # Do not repeat a notice until another check has failed. Ignore a notice
        # time in the future: the clock was set back.
        or failure["at"] <= last_notified <= _record.text_of(now)
    ):
        return None
    # The time after the latest one does not count: no check was tried in it.
    first, latest = failure.get("since") or failure["at"], failure["at"]
    seconds = _record.epoch_of(latest) - _record.epoch_of(first)
    return (seconds, failure["message"]) if seconds >= could_not_check else None


def pause(record: "Record", question: "Question", *, of_failures: bool) -> int:
    """
    Return the seconds between the last notice and one about failures or upgrades.
    """
    result = record["result"]
    if of_failures or result is None or record["notified"] != subject_of(result):
        return question.interval
    return question.reminder


def subject_of(result: "Mapping[str, Any]") -> str:
    """
    Return the digest of the upgrades that a notice is about.

    It is that of their list or, for an opaque format, of the new lockfile.
    """
    file: Mapping[str, str] = result["upgrades"] or result["new_lockfile"]
    return file["digest"]


def found_in(
    result: "Mapping[str, Any] | None", platform: "str | None"
) -> "tuple[int, int, bool]":
    """
    Return version changes, rebuilds, and whether only a change is known.
    """
    if result is None:
        return _NOTHING
    counts = result["counts"]
    if counts is None:
        old = result["old_lockfile"]
        return 0, 0, old is None or old["digest"] != result["new_lockfile"]["digest"]
    # A lone "*" holds for every platform.
    if platform is None or len(counts) == 1:
        platform = "*"
    count = counts.get(platform)
    return _NOTHING if count is None else (count["version"], count["rebuild"], False)


def is_over(then: str, duration: int, now: int) -> bool:
    """
    Return whether *duration* seconds have passed since *then*.

    A time in the future means that the clock was set back. It counts as long
    ago: one notice or check too many is better than silence until the clock has
    caught up.
    """
    age = now - _record.epoch_of(then)
    return duration == 0 or not -_TOLERANCE <= age < duration


def _delay(attempts: int, key: str) -> int:
    """
    Return the seconds to back off after a number of consecutive failures.

    The delay doubles from 5 minutes to a day, minus up to a quarter, so that
    environments that failed together are not checked together again.
    """
    delay = min(_FIRST_DELAY << min(max(attempts - 1, 0), 16), DAY)
    part = int(_record.environment_key(key.encode(), b"%d" % attempts)[:4], 16)
    return delay - delay // 4 * part // 0xFFFF
