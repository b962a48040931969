"""
Print a look at an environment, as text and as JSON.
"""

import datetime as dt
import json
import os
import re
from collections.abc import Iterable
from typing import Any, Final, Literal

from upgrade_state import Freshness, Look, UpgradeStateError, Verdict, lockfiles
from upgrade_state.cli._activation import recipe_of
from upgrade_state.cli._output import duration, moment, out
from upgrade_state.cli._parser import Question
from upgrade_state.cli._targets import name_of

# More rows are not read.
_ROWS: Final = 50

# Two longer builds do not fit on a line.
_BUILD: Final = 32

_COMMIT: Final = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")

ELSEWHERE: Final = (
    "this is another directory than the one in which you ran it;"
    " run it again to allow automatic checks"
)

_KINDS: Final = ("version", "rebuild", "added", "removed")

# The fields of a record, null in the JSON of an environment without one.
_FIELDS: Final = (
    "last_checked",
    "result",
    "last_notified",
    "notified",
    "snoozed_until",
    "failure",
    "consent",
    "checker",
    "failure_notified",
)


class View:
    """
    A look at an environment, in words.

    Raises:
        UpgradeStateError: The record could not be read.
    """

    def __init__(self, look: Look, question: Question) -> None:
        if look.error is not None:
            raise look.error
        self.look: Final = look
        self.name: Final = name_of(look.environment)
        self.platform: Final = question.platform
        self.verdict: Final = question.verdict(look)
        self.freshness: Final = look.freshness(max_age=question.max_age)
        missing = None if look.record is None else look.missing
        self.gone: Final = missing and f"its {missing} is gone"
        self.consent: Final = look.consent
        self._result: Final = look.record and look.record["result"]

    @property
    def found(self) -> str:
        """
        The result of the last check, whether or not a notice is due.
        """
        if not self._result:
            return "nothing is known"
        summary = self.look.summary(self.platform)
        if summary is not None and self._result["counts"] is None:
            return "the lockfile would change"
        return summary or "no upgrades"

    @property
    def outdated(self) -> str | None:
        """
        Why the result may be out of date; None if it is not, or if that is unknown.
        """
        if self.gone or self.is_elsewhere:
            return self.gone or "its directory is another one now"
        state = self.look.lockfile_state or "checked"
        return {
            "checked": None,
            "upgraded": "it was upgraded since",
            "changed": "its lockfile has changed since",
        }[state]

    @property
    def is_elsewhere(self) -> bool:
        """
        Whether the consent is for another directory than the one that is here now.
        """
        recorded = self.look.record and self.look.record["consent"]
        return bool(recorded) and self.consent is None

    @property
    def problem(self) -> str | None:
        """
        Why the lockfiles could only be compared as a whole; None: they were read.
        """
        result = self._result
        if not result or result["format"] is None or result["counts"] is not None:
            return None
        sides: tuple[Literal["old", "new"], ...] = ("old", "new")
        for side in sides:
            content = self.look.kept_lockfile(side) or b""
            try:
                problem = lockfiles.read(content, format=result["format"]).problem
            except ValueError as error:  # the reader was uninstalled since
                return str(error)
            if problem is not None:
                return f"the {side} lockfile: {problem}"
        return None

    @property
    def why_manual(self) -> str | None:
        """
        Why no check starts automatically; None: one starts when it is due.
        """
        record = self.look.record
        if self.gone:
            return self.gone
        if self.verdict.switch is not None:
            return f"{self.verdict.switch} is set in the process environment"
        if record is None:
            return "nothing is known"
        if self.is_elsewhere:
            return ELSEWHERE
        return None if self.consent else "no check by a recipe has given consent"

    @property
    def log_path(self) -> str | None:
        """
        The log of the last check in the background; None: there was none.
        """
        path = self.look.environment.log_path
        return path if os.path.isfile(path) else None

    def as_json(self, **more: object) -> str:
        """
        Return one line: the fields of the record, the answers, and *more*.
        """
        environment = self.look.environment
        fields: dict[str, Any] = dict.fromkeys(_FIELDS) | {"generation": 0}
        fields["environment"] = environment.path
        fields["lockfile"] = environment.lockfile_name
        fields |= self.look.record or {}
        if fields["failure"] is not None:
            fields["failure"] = {"since": None} | fields["failure"]
        fields |= {
            "key": environment.key,
            "record_path": environment.record_path,
            "verdict": _answer(self.verdict),
            "freshness": _answer(self.freshness),
            "background": self.why_manual is None,
            "log_path": self.log_path,
        }
        return json.dumps(fields | more)


def _answer(answer: Verdict | Freshness) -> dict[str, str | None]:
    until = answer.until
    text = None if until is None else f"{until:%Y-%m-%dT%H:%M:%SZ}"
    return {"reason": answer.reason, "until": text}


def is_recorded(look: Look) -> bool:
    """
    Return whether the environment has a record, readable or not.
    """
    return look.record is not None or look.is_corrupt or look.error is not None


def print_view(view: View, *, every: bool) -> None:
    """
    Print everything that is known, for people.

    Args:
        every: Print every upgrade, however many there are.
    """
    record = view.look.record
    out(view.name)
    if view.look.is_corrupt:
        _print_fact("record", "corrupt; the next check replaces it")
    if record is not None:
        by = f", by {record['checker']}" if record["checker"] else ""
        _print_fact("checked", f"{_when(record['last_checked'])}{by}")
        if record["result"] is not None:
            _print_fact("found", view.found)
            try:
                print_upgrades(view, every=every)
            except UpgradeStateError as error:  # a file is gone, or damaged
                out(f"    {error}")
        _print_fact("notified", _when(record["last_notified"]))
        if record["snoozed_until"] is not None:
            _print_fact("snoozed", f"until {moment(time_of(record['snoozed_until']))}")
        if record["failure"] is not None:
            _print_fact("failed", _failed(record["failure"]))
    _print_fact("notice", str(view.verdict))
    _print_fact("check", str(view.freshness))
    if view.consent is not None and view.why_manual is None:
        options = [f" --copy {path}" for path in view.consent.copy]
        options += [f" --env {name}" for name in view.consent.env]
        checks = "start automatically (hook, notify --check), by the recipe "
        checks += view.consent.recipe + "".join(options)
    else:
        when = "none" if view.gone else "only when you run upgrade-state check"
        checks = f"{when}: {view.why_manual}"
    _print_fact("checks", checks)
    if view.log_path is not None:
        _print_fact("log", view.log_path)


def _print_fact(label: str, text: str) -> None:
    out(f"  {label + ':':<9} {text}")


def _failed(failure: dict[str, Any]) -> str:
    times, since = "once", failure.get("since")
    if failure["attempts"] > 1:
        times = f"{failure['attempts']} times"
        times += f" since {moment(time_of(since))}" if since else ""
    return f"{times}, last {_when(failure['at'])}: {failure['message']}"


def time_of(text: str) -> dt.datetime:
    """
    Return a time of a record (aware).
    """
    return dt.datetime.fromisoformat(text)


def _when(text: str | None) -> str:
    return "never" if text is None else f"{moment(time_of(text))} ({ago(text)})"


def ago(text: str) -> str:
    """
    Return how long ago a time of a record was.
    """
    seconds = (dt.datetime.now(dt.UTC) - time_of(text)) // dt.timedelta(seconds=1)
    if seconds < -1:
        return "in the future"
    return f"{duration(seconds)} ago" if seconds >= 60 else "just now"


# Upgrades


def print_upgrades(view: View, *, every: bool) -> None:
    """
    Print the upgrades, indented, and how to get them.

    Args:
        every: See `print_view`.

    Raises:
        UpgradeStateError: A file of the result is gone or damaged.
    """
    if (problem := view.problem) is not None:
        out(f"    could only be compared as a whole; {problem}")
    rows = _rows(view.look.upgrades(), view.platform)
    shown = len(rows) if every or len(rows) <= _ROWS else _ROWS
    for row in rows[:shown]:
        out(f"    {row}")
    if len(rows) > shown:
        out(f"    and {len(rows) - shown} more (upgrade-state show --all)")
    recipe = recipe_of(view.look)
    if recipe is not None and view.look.summary(view.platform):
        out(f"    to upgrade: {recipe.upgrade} (details: {recipe.details})")


def _rows(upgrades: Iterable[lockfiles.Upgrade], platform: str | None) -> list[str]:
    """
    Return one line for each change, directly required packages first.

    A change that is the same on several platforms is one line.
    """
    rows = [u for u in upgrades if platform is None or u.platform in (None, platform)]
    rows.sort(key=lambda u: (_KINDS.index(u.kind), u.direct is not True, u.name))
    platforms: dict[str, set[str]] = {}
    for upgrade in rows:
        found = platforms.setdefault(_row(upgrade), set())
        if upgrade.platform:
            found.add(upgrade.platform)
    lines = []
    for row, found in platforms.items():
        is_everywhere = not found or found == set().union(*platforms.values())
        lines.append(row if is_everywhere else f"{row} [{', '.join(sorted(found))}]")
    return lines


def _row(upgrade: lockfiles.Upgrade) -> str:
    old = _short(", ".join(upgrade.old)) or "unknown"
    new = _short(", ".join(upgrade.new)) or "unknown"
    mark = " (local)" if upgrade.local else " (internal)" if upgrade.internal else ""
    builds = _short(upgrade.old_build or ""), _short(upgrade.new_build or "")
    # Two builds that are equal or long, such as paths in a Nix store, say nothing.
    is_shown = all(builds) and len(set(builds)) == 2 and max(map(len, builds)) <= _BUILD
    change = {
        "version": f"{old} -> {new}",
        "rebuild": f"{new} (rebuild{', ' + ' -> '.join(builds) if is_shown else ''})",
        "added": f"{new} (added)",
        "removed": f"{old} (removed)",
    }[upgrade.kind]
    return f"{upgrade.name}{mark}: {change}"


def _short(text: str) -> str:
    """
    Shorten commits to the seven digits that people use.
    """
    return _COMMIT.sub(lambda found: found[0][:7], text)
