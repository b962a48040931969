"""
Print a look at an environment, as text and as JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
from typing import TYPE_CHECKING, Literal

from upgrade_state import lockfiles
from upgrade_state._messages import duration, moment
from upgrade_state.cli._output import out
from upgrade_state.cli._targets import name_of
from upgrade_state.exceptions import ResolverError, UpgradeStateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any, Final

    from upgrade_state import Freshness, Look, Verdict
    from upgrade_state.checks import Recipe
    from upgrade_state.cli._parser import Question
    from upgrade_state.lockfiles import Upgrade

# More rows are not read.
_ROWS: Final = 50

# Two longer builds do not fit on a line.
_BUILD: Final = 32

_COMMIT: Final = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")

_KINDS: Final = ("version", "rebuild", "added", "removed")

# The fields of a record, null in the JSON of an environment without one.
_FIELDS: Final = (
    "last_checked",
    "result",
    "last_notified",
    "snoozed_until",
    "failure",
    "recipe",
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
        self.freshness: Final = question.freshness(look)
        missing = None if look.record is None else look.missing
        self.gone: Final = missing and f"its {missing} is gone"

    @property
    def found(self) -> str:
        """
        The result of the last check, whether or not a notice is due.
        """
        result = self.look.record and self.look.record["result"]
        if not result:
            return "nothing is known"
        summary = self.look.summary(self.platform)
        is_opaque = summary is not None and result["counts"] is None
        return "the lockfile would change" if is_opaque else summary or "no upgrades"

    @property
    def outdated(self) -> str | None:
        """
        Why the result may be out of date; None if it is not, or if that is unknown.
        """
        changed = self.look.lockfile_changed
        return self.gone or ("its lockfile has changed since" if changed else None)

    @property
    def problem(self) -> str | None:
        """
        Why the lockfiles could only be compared as a whole; None: they were read.
        """
        result = self.look.record and self.look.record["result"]
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
        if record["recipe"]:
            return None
        if record["result"]:
            return "the last check was made without a recipe"
        return "no check by a recipe has succeeded"

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
        fields: dict[str, Any] = dict.fromkeys(_FIELDS)
        fields |= {
            "environment": environment.path,
            "lockfile": environment.lockfile_name,
            "generation": 0,
        }
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


def recipe_of(look: Look) -> Recipe | None:
    """
    Return the recipe that the record names; None: it names none that is installed.
    """
    if look.recipe is None:
        return None
    from upgrade_state import checks

    try:
        return checks.recipe_named(look.recipe)
    except ResolverError:
        return None


def print_view(view: View, *, every: bool) -> None:
    """
    Print everything that is known, for people.

    Args:
        every: Print every upgrade, however many there are.
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
    record = view.look.record
    recipe = record and record["recipe"]
    if view.look.is_corrupt:
        yield "record", "corrupt; the next check replaces it"
    if record is not None:
        by = f", by the recipe {recipe}" if recipe else ""
        yield "checked", f"{_when(record['last_checked'])}{by}"
        if record["result"] is not None:
            yield "found", view.found
        yield "told", _when(record["last_notified"])
        if record["snoozed_until"] is not None:
            yield "snoozed", f"until {moment(time_of(record['snoozed_until']))}"
        if record["failure"] is not None:
            yield "failed", _failed(record["failure"])
    yield "notice", str(view.verdict)
    yield "check", str(view.freshness)
    why_manual = view.why_manual
    if why_manual is None:
        words = "start automatically (hook, notify --check), by the recipe"
        yield "checks", f"{words} {recipe}"
    else:
        when = "only when you run upgrade-state check"
        yield "checks", f"{'none' if view.gone else when}: {why_manual}"
    if view.log_path is not None:
        yield "log", view.log_path


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


def _rows(upgrades: Iterable[Upgrade], platform: str | None) -> list[str]:
    """
    Return one line for each change, directly required packages first.

    A change that is the same on several platforms is one line.
    """
    rows = [u for u in upgrades if platform is None or u.platform in (None, platform)]
    all_platforms = {u.platform for u in rows if u.platform}

    def order(upgrade: Upgrade) -> tuple[Any, ...]:
        return _KINDS.index(upgrade.kind), upgrade.direct is not True, upgrade.name

    platforms: dict[tuple[Any, ...], list[str]] = {}
    for upgrade in sorted(rows, key=order):
        found = platforms.setdefault((*order(upgrade), _row(upgrade)), [])
        found += [upgrade.platform] if upgrade.platform else []
    return [
        f"{row} [{', '.join(dict.fromkeys(found))}]"
        if found and set(found) != all_platforms
        else row
        for (*_, row), found in platforms.items()
    ]


def _row(upgrade: Upgrade) -> str:
    old, new = (
        _short(", ".join(versions)) or "unknown"
        for versions in (upgrade.old, upgrade.new)
    )
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
