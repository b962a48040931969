"""
What is known of an environment, as text and as JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from functools import cached_property
from typing import TYPE_CHECKING

from upgrade_state import _record, lockfiles
from upgrade_state._look import switch
from upgrade_state._messages import duration, moment
from upgrade_state._redact import clean
from upgrade_state.cli._hints import upgrade_hint
from upgrade_state.cli._output import out
from upgrade_state.cli._select import has_record, name_of
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator
    from typing import Any, Final, Literal

    from upgrade_state._environment import EnvironmentState
    from upgrade_state._policy import Freshness, Verdict
    from upgrade_state._record import Record
    from upgrade_state.lockfiles import Upgrade

# What fits on a screen and is still read.
_ROWS: Final = 50

# What fits on a line, twice.
_BUILD: Final = 32

_COMMIT: Final = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")

_SIDES: Final[tuple[Literal["old", "new"], ...]] = ("old", "new")

_KINDS: Final = ("version", "rebuild", "added", "removed")


class View:
    """
    One look at an environment: its record, the verdict and the freshness.

    Raises:
        UpgradeStateError: The record cannot be read.
    """

    def __init__(self, environment: EnvironmentState, options: Namespace) -> None:
        self.environment: Final = environment
        self.name: Final = name_of(environment)
        self.platform: Final[str | None] = options.platform
        look = environment.look()
        self.look: Final = look
        if look.error is not None:
            raise look.error
        self.record: Final[Record | None] = look.record
        self.verdict: Final[Verdict] = look.verdict(
            interval=options.interval,
            platform=options.platform,
            could_not_check=options.could_not_check,
        )
        self.freshness: Final[Freshness] = look.freshness(max_age=options.max_age)

    @property
    def summary(self) -> str:
        """
        What the last check found, whether or not the user is to hear of it.
        """
        if self.record is None or self.record["result"] is None:
            return "nothing is known"
        return self.upgrades or "no upgrades"

    @property
    def upgrades(self) -> str:
        """
        Which upgrades the last check found, in words; "": none, or none is known.
        """
        return self.look.summary(self.platform) or ""

    @cached_property
    def gone(self) -> str:
        """
        What of what was checked is not there any more, in words; "": nothing.
        """
        missing = self.record and self.look.missing
        return f"its {missing} is gone" if missing else ""

    @cached_property
    def since(self) -> str:
        """
        What has become of what was checked, in words; "": nothing, as far as known.
        """
        if self.gone:
            return self.gone
        return "its lockfile has changed since" if self.look.lockfile_changed else ""

    @property
    def problem(self) -> str | None:
        """
        Why the lockfiles could only be compared as a whole; None: they were read.
        """
        result = self.record and self.record["result"]
        if not result or result["format"] is None or result["counts"] is not None:
            return None
        for which in _SIDES:
            content = self.look.kept_lockfile(which) or b""
            try:
                problem = lockfiles.read(content, format=result["format"]).problem
            except ValueError as error:  # who could read it is not installed any more
                return str(error)
            if problem is not None:
                return f"the {which} lockfile: {problem}"
        return None

    @property
    def why_not(self) -> str | None:
        """
        Why no check starts by itself; None: where one is due, it does.
        """
        if self.gone:
            return self.gone
        off = switch()
        if off is not None:
            return f"{off} is set in the process environment"
        if self.record is None:
            return "nothing is known"
        if self.record["recipe"]:
            return None
        by = self.record["result"] and "the last check was made without a recipe"
        return by or "no check by a recipe has succeeded"

    @property
    def log(self) -> str | None:
        """
        Where the last check in the background has left its log, if there was one.
        """
        environment = self.environment
        path = environment.log_path
        return path if os.path.isfile(path) else None

    def as_json(self, **more: object) -> str:
        """
        Write one line: the fields of the record, and what follows from them.
        """
        environment = self.environment
        fields: Record = _record.DEFAULTS | {
            "environment": environment.path,
            "lockfile": environment.lockfile_name,
            "failure_notified": None,
        }
        fields |= self.record or {}
        if fields["failure"] is not None:
            fields["failure"] = {"since": None} | fields["failure"]
        fields |= {
            "key": environment.key,
            "record_path": environment.record_path,
            "verdict": _answer(self.verdict),
            "freshness": _answer(self.freshness),
            "background": self.why_not is None,
            "log_path": self.log,
        }
        return json.dumps(fields | more)


def _answer(answer: Verdict | Freshness) -> dict[str, str | None]:
    until = answer.until
    text = None if until is None else f"{until:%Y-%m-%dT%H:%M:%SZ}"
    return {"reason": answer.reason, "until": text}


def print_view(view: View, *, every: bool) -> None:
    """
    Print all that is known, for people.

    Args:
        every: List every upgrade, however many there are.
    """
    out(view.name)
    for label, text in _facts(view):
        out(f"  {label + ':':<9} {text}")
        if label == "found":
            try:
                print_upgrades(view, every=every)
            except UpgradeStateError as error:  # a file is gone, or damaged
                out(f"    {error}")


def _facts(view: View) -> Iterator[tuple[str, str]]:
    record = view.record
    if record is None and has_record(view.environment):
        yield "record", "corrupt; the next check replaces it"
    elif record is not None:
        yield from _remembered(record, view.summary)
    yield "notice", str(view.verdict)
    yield "check", str(view.freshness)
    yield "checks", _background(view)
    if view.log is not None:
        yield "log", view.log


def _background(view: View) -> str:
    why_not = view.why_not
    if view.record is not None and why_not is None:
        how = f"by the recipe {view.record['recipe']}"
        return f"start by themselves (hook, notify --check), {how}"
    when = "none" if view.gone else "only when you run upgrade-state check"
    return f"{when}: {why_not}"


def _remembered(record: Record, summary: str) -> Iterator[tuple[str, str]]:
    by = f", by the recipe {record['recipe']}" if record["recipe"] else ""
    yield "checked", f"{_when(record['last_checked'])}{by}"
    if record["result"] is not None:
        yield "found", summary
    yield "told", _when(record["last_notified"])
    if record["snoozed_until"] is not None:
        yield "snoozed", f"until {moment(time_of(record['snoozed_until']))}"
    failure = record["failure"]
    if failure is not None:
        last = f"last {_when(failure['at'])}: {failure['message']}"
        yield "failed", f"{_times(failure)}, {last}"


def _times(failure: Record) -> str:
    if failure["attempts"] == 1:
        return "once"
    since = failure.get("since")
    begun = f" since {moment(time_of(since))}" if since else ""
    return f"{failure['attempts']} times{begun}"


def time_of(text: str) -> dt.datetime:
    """
    Return a time of a record (aware).
    """
    return dt.datetime.fromisoformat(text)


def _when(text: str | None) -> str:
    return "never" if text is None else f"{moment(time_of(text))} ({ago(text)})"


def ago(text: str, now: dt.datetime | None = None) -> str:
    """
    Say how long ago a time of a record was.

    Args:
        now: Current time (aware). None: ask the clock.
    """
    now = now or dt.datetime.now(dt.UTC)
    seconds = (now - time_of(text)) // dt.timedelta(seconds=1)
    if seconds < -1:
        return "in the future"
    return f"{duration(seconds)} ago" if seconds >= 60 else "just now"


# Upgrades


def print_upgrades(view: View, *, every: bool) -> None:
    """
    Print the list of upgrades, indented, the most interesting first.
    """
    if (problem := view.problem) is not None:
        out(f"    could only be compared as a whole; {problem}")
    rows = rows_of(view.look.upgrades(), view.platform)
    shown = len(rows) if every or len(rows) <= _ROWS else _ROWS
    for row in rows[:shown]:
        out(f"    {row}")
    if len(rows) > shown:
        out(f"    and {len(rows) - shown} more (upgrade-state show --all)")
    if view.upgrades and (hint := upgrade_hint(view.environment)):
        out(f"    {hint}")


def rows_of(upgrades: Iterable[Upgrade], platform: str | None) -> list[str]:
    """
    Return one line per change: what was asked for by name first.

    A change that is the same on several platforms is one line.
    """
    rows = [u for u in upgrades if platform is None or u.platform in (None, platform)]
    platforms: dict[tuple[Any, ...], list[str]] = {}
    for upgrade in sorted(rows, key=_order):
        found = platforms.setdefault((*_order(upgrade), _words(upgrade)), [])
        found += [upgrade.platform] if upgrade.platform else []
    some = {u.platform for u in rows if u.platform}
    return [_line(key[-1], found, some) for key, found in platforms.items()]


def _order(upgrade: Upgrade) -> tuple[Any, ...]:
    return _KINDS.index(upgrade.kind), upgrade.direct is not True, upgrade.name


def _line(words: str, platforms: list[str], some: set[str]) -> str:
    where = ", ".join(dict.fromkeys(platforms))
    is_everywhere = not where or set(platforms) == some
    return clean(words if is_everywhere else f"{words} [{where}]")


def _words(upgrade: Upgrade) -> str:
    old, new = _versions(upgrade.old), _versions(upgrade.new)
    mark = " (local)" if upgrade.local else " (internal)" if upgrade.internal else ""
    name = f"{upgrade.name}{mark}"
    return {
        "version": f"{name}: {old} -> {new}",
        "rebuild": f"{name}: {new} (rebuild{_why(upgrade)})",
        "added": f"{name}: {new} (added)",
        "removed": f"{name}: {old} (removed)",
    }[upgrade.kind]


def _versions(versions: tuple[str, ...]) -> str:
    return _short(", ".join(versions)) or "unknown"


def _why(rebuild: Upgrade) -> str:
    """
    Return both builds, if people can tell them apart at a glance.
    """
    old, new = _short(rebuild.old_build or ""), _short(rebuild.new_build or "")
    # A path in the store of Nix is longer, and says nothing to anybody.
    is_told = old and new and old != new and max(len(old), len(new)) <= _BUILD
    return f", {old} -> {new}" if is_told else ""


def _short(text: str) -> str:
    """
    Return *text* with commits as short as people write them.
    """
    return _COMMIT.sub(lambda found: found[0][:7], text)
