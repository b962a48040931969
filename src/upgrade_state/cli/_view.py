"""
Print a look at an environment, as text and as JSON.
"""

import datetime as dt
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

from upgrade_state import Freshness, Look, UpgradeStateError, Verdict
from upgrade_state.cli._activation import recipe_of
from upgrade_state.cli._output import (
    Part,
    Styled,
    could_not_check,
    duration,
    moment,
    out,
    table,
    without_urls,
)
from upgrade_state.cli._parser import Question
from upgrade_state.cli._targets import name_of, shell_path, tilde

if TYPE_CHECKING:
    from upgrade_state.lockfiles import Upgrade

# So many upgrades are listed without --all, or those of direct requirements.
_ROWS: Final = 10
_DIRECT_ROWS: Final = 50

# Two longer builds do not fit on a line.
_BUILD: Final = 32

_COMMIT: Final = re.compile(r"\b(?:[0-9a-f]{40}|[0-9a-f]{64})\b")

# The summary of a lockfile that can only be compared as a whole.
_OPAQUE: Final = "the lockfile would change"

_KINDS: Final = ("version", "rebuild", "added", "removed")

ELSEWHERE: Final = (
    "this is another directory than the one in which you ran the recipe;"
    " a check allows them again"
)

# The commands that end a silence.
_REMEDIES: Final = {
    "switched-off": "unset {switch}",
    "nothing-known": "upgrade-state check{env}",
    "snoozed": "upgrade-state snooze{env} --off",
    "lockfile-changed": "upgrade-state check{env}",
}

_COLORS: Final = {
    **dict.fromkeys(("up to date", "upgraded"), "green"),
    **dict.fromkeys(("upgrades", "changed", "never checked"), "yellow"),
}

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

# The first column of the facts.
_LABEL: Final = 14


class View:
    """
    A look at an environment, in words.

    Attributes:
        reasons: Every reason for silence, or the verdict to speak, alone.

    Raises:
        UpgradeStateError: The record could not be read.
    """

    def __init__(self, look: Look, question: Question) -> None:
        if look.error is not None:
            raise look.error
        self.look: Final = look
        self.name: Final = name_of(look.environment)
        self.question: Final = question
        asked = question._asdict()
        self.freshness: Final = look.freshness(max_age=asked.pop("max_age"))
        self.reasons: Final = look.reasons(**asked)
        missing = None if look.record is None else look.missing
        self.gone: Final = missing and f"its {missing} is gone"
        record = look.record or {}
        self.consent: Final[dict[str, Any] | None] = record.get("consent")
        self.failure: Final[dict[str, Any] | None] = record.get("failure")
        self._result: Final = record.get("result")

    @property
    def summary(self) -> str | None:
        """
        The result of the last check; None: there are no upgrades, or none are known.
        """
        summary = self.look.summary(self.question.platform)
        return _OPAQUE if summary == "Upgrades" else summary

    @property
    def found(self) -> str:
        """
        The result in words: ``3 version changes available``, ``up to date``.
        """
        if self.summary in (None, _OPAQUE):
            return self.summary or "up to date"
        return f"{self.summary} available"

    @property
    def state(self) -> str:
        """
        The state of the environment, in one to three words.
        """
        if self.look.is_corrupt:
            return "corrupt record"
        if self.gone:
            return "gone"
        if self.failure is not None:
            return "failing"
        if not self._result:
            return "never checked"
        if self.look.lockfile_state in ("upgraded", "changed"):
            return str(self.look.lockfile_state)
        return "upgrades" if self.summary else "up to date"

    @property
    def is_outdated(self) -> bool:
        """
        Whether there are upgrades for the current lockfile.
        """
        state = self.look.lockfile_state
        return bool(self.summary) and not self.gone and state in ("checked", None)

    @property
    def color(self) -> str:
        """
        The colour of the state.
        """
        return _COLORS.get(self.state, "red")

    @property
    def is_elsewhere(self) -> bool:
        """
        Whether the consent is for another directory than the one that is here now.
        """
        return bool(self.consent) and not self.look._consent_holds()

    @property
    def problem(self) -> str | None:
        """
        Why the lockfiles could only be compared as a whole; None: they were read.
        """
        result = self._result
        if not result or result["format"] is None or result["counts"] is not None:
            return None
        from upgrade_state import lockfiles

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

    def obstacles(self) -> Iterator[str]:
        """
        Stream every reason for which no check starts automatically.
        """
        switch = self.reasons[0].switch
        if self.gone:
            yield self.gone
        if switch is not None:
            yield f"{switch} is set in the process environment; run 'unset {switch}'"
        if self.look.record is None:
            yield "nothing is known"
        elif not self.consent:
            yield "no check by a recipe has given consent"
        elif self.is_elsewhere:
            yield ELSEWHERE

    @property
    def log_path(self) -> str | None:
        """
        The log of the last check in the background; None: there was none.
        """
        path = self.look.environment.log_path
        return path if os.path.isfile(path) else None

    @property
    def env(self) -> str:
        """
        The argument that names the environment to a command, after a blank.

        "" in its directory.
        """
        path = self.look.environment.path
        try:
            is_here = path is None or os.path.samefile(path, ".")
        except OSError:
            is_here = False
        return "" if is_here or path is None else f" {shell_path(path)}"

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
            "summary": self.look.summary(self.question.platform),
            "verdict": _answer(self.reasons[0]),
            "freshness": _answer(self.freshness),
            "background": not any(self.obstacles()),
            "log_path": self.log_path,
        }
        return json.dumps(fields | more)

    def stored_upgrades(self) -> dict[str, Any]:
        """
        Return the rows of the list of upgrades, or why it cannot be read.

        The rows are JSON already: loading their class takes longer than all else.
        """
        try:
            return {"upgrades": self.look._stored_rows()}
        except UpgradeStateError as error:
            return {"upgrades": None, "upgrades_error": str(error)}


def _answer(answer: Verdict | Freshness) -> dict[str, str | None]:
    until = answer.until
    text = None if until is None else f"{until:%Y-%m-%dT%H:%M:%SZ}"
    return {"reason": answer.reason, "until": text}


def print_state(view: View) -> None:
    """
    Print in which state the environment is, when it was checked, and by which tool.
    """
    record, failure, state = view.look.record or {}, view.failure, view.state
    text = {
        "corrupt record": "its record is corrupt; the next check replaces it",
        "gone": view.gone,
        "upgrades": view.found,
        "upgraded": "upgraded since the check",
        "changed": "changed since the check",
    }.get(state) or state
    if state == "failing" and failure is not None:
        since = failure.get("since") or failure["at"]
        times = "once" if failure["attempts"] == 1 else f"{failure['attempts']} times"
        text = f"checks have failed since {_when(since)} ({times})"
    checked = ""
    if record.get("last_checked") is not None:
        verb = "last good check" if state == "failing" else "checked"
        checked = f", {verb} {_when(record['last_checked'])}"
        checked += f" by {record['checker']}" if record["checker"] else ""
    out(Styled(view.name, "bold"), ": ", Styled(text, view.color), checked)


def print_view(view: View, *, every: bool) -> None:
    """
    Print everything that is known, for people.

    Args:
        every: Print every upgrade, however many there are.
    """
    record = view.look.record or {}
    print_state(view)
    if view.failure is not None:
        # Another program may have written the record.
        _print_facts("reason", [without_urls(view.failure["message"])])
    if view.log_path is not None:
        _print_facts("log", [tilde(view.log_path)])
    if record.get("result") is not None:
        if view.state not in ("upgrades", "up to date"):
            _print_facts("found", [view.summary or "no upgrades"])
        try:
            if every or view.state != "upgraded":
                print_upgrades(view, every=every)
        except UpgradeStateError as error:  # a file is gone, or damaged
            out(f"    {error}", hang=4)
    if record.get("last_notified") is not None:
        _print_facts("notified", [_when(record["last_notified"])])
    _print_facts("next notice", _next_notice(view))
    obstacles = list(view.obstacles())
    _print_facts("next check", _next_check(view, obstacles))
    silent = {reason.reason for reason in view.reasons}
    stop = []
    if record and not silent & {"snoozed", "switched-off"}:
        stop.append(f"upgrade-state snooze{view.env} --for 7d (notices)")
    if not obstacles:
        stop.append(f"upgrade-state forget{view.env} (automatic checks)")
    _print_facts("to stop", stop)


def _print_facts(label: str, texts: Iterable[str]) -> None:
    for text in texts:
        blanks = " " * (_LABEL - len(label))
        out("  ", Styled(label, "dim"), blanks + text, hang=_LABEL + 2)
        label = ""


def explanation(view: View) -> list[str]:
    """
    Return when the next notice comes, or all that is in its way, line by line.
    """
    lines, failure = _next_notice(view), view.failure
    if view.look.is_corrupt:
        lines.append(f"the record is corrupt: '{view.look.environment.record_path}'")
    if failure is not None and view.reasons[0].reason != "cannot-check":
        since = failure.get("since") or failure["at"]
        length = int(_epoch_of(failure["at"]) - _epoch_of(since))
        lines.append(could_not_check(length, failure["message"]))
    return lines


def _next_notice(view: View) -> list[str]:
    environment = view.look.environment
    lines = [_explained(reason, view.env) for reason in view.reasons]
    if view.reasons[0]:
        from upgrade_state.cli import _doctor  # the store's files, for this answer only

        lines = [f"the next activation gives it: {lines[0]}"]
        finding = next(_doctor.obstacles(environment.store), None)
        if finding is not None:
            problem = _doctor.text_of(finding)
            lines.append(f"but it cannot be recorded, and is not given: {problem}")
    if view.failure is not None and view.reasons[0].reason != "cannot-check":
        notified = (view.look.record or {}).get("failure_notified")
        limit = duration(int(view.question.could_not_check.total_seconds()))
        text = f"a notice follows if checks fail for {limit or 'any time'}, weekly"
        lines.append(text + (f"; the last one {_when(notified)}" if notified else ""))
    return lines


def _next_check(view: View, obstacles: list[str]) -> list[str]:
    due = "due now: " * view.freshness.due
    lines = [due + _explained(view.freshness)]
    lines += (f"not automatic: {obstacle}" for obstacle in obstacles)
    if obstacles and not view.gone:
        lines.append(f"'upgrade-state check{view.env}' makes one now")
    elif not obstacles and view.consent:
        options = [f" --copy {path}" for path in view.consent.get("copy") or ()]
        options += [f" --env {name}" for name in view.consent.get("env") or ()]
        by = f"by the recipe {view.consent['recipe']}{''.join(options)}"
        lines.append(f"automatic (hook, notify --check), {by}")
    return lines


def _explained(answer: Verdict | Freshness, env: str | None = None) -> str:
    """
    Return an answer without its reason, which is for programs.
    """
    text = str(answer).partition(": ")[2]
    remedy = None if env is None else _REMEDIES.get(answer.reason)
    if remedy is not None:
        text += f"; run '{remedy.format(switch=answer.switch, env=env)}'"
    return text


def _epoch_of(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def _when(text: str) -> str:
    seconds = _epoch_of(text)
    # As long as the policy believes a time that is ahead.
    is_ahead = seconds > time.time() + 300
    return moment(seconds) + " (in the future: the clock was set back)" * is_ahead


def ago(text: str) -> str:
    """
    Return how long ago a time of a record was.
    """
    seconds = int(time.time() - _epoch_of(text))
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
        out(f"    could only be compared as a whole; {problem}", hang=4)
    print_rows(view.look.upgrades(), view.question, every=every, env=view.env)
    recipe = recipe_of(view.look)
    if recipe is not None and view.is_outdated:
        _print_facts("to upgrade", [recipe.upgrade])
        _print_facts("for details", [recipe.details])


def print_rows(
    upgrades: "Iterable[Upgrade]",
    question: Question,
    *,
    every: bool = False,
    env: str = "",
) -> None:
    """
    Print upgrades as a table: the direct ones, or the first few.

    Args:
        every: See `print_view`.

        env: See `View.env`.
    """
    rows = _rows(upgrades, question.platform)
    direct = sum(upgrade.direct is True for upgrade, _ in rows)
    shown = len(rows) if every else max(_ROWS, min(direct, _DIRECT_ROWS))
    table([_row(*row) for row in rows[:shown]], indent=4)
    if len(rows) > shown:
        is_indirect = all(upgrade.direct is False for upgrade, _ in rows[shown:])
        more = ", not required directly" * is_indirect
        out(
            f"    and {len(rows) - shown} more{more}: upgrade-state show{env} --all",
            hang=4,
        )


def _rows(
    upgrades: "Iterable[Upgrade]", platform: str | None
) -> "list[tuple[Upgrade, str]]":
    """
    Return each change with its platforms, directly required packages first.

    A change that is the same on several platforms is one row; "": on all of them.
    """
    rows = [u for u in upgrades if platform is None or u.platform in (None, platform)]
    rows.sort(key=lambda u: (u.direct is not True, _KINDS.index(u.kind), u.name))
    merged: dict[Any, tuple[Upgrade, set[str]]] = {}
    for upgrade in rows:
        _, found = merged.setdefault(tuple(_row(upgrade, "")), (upgrade, set()))
        if upgrade.platform:
            found.add(upgrade.platform)
    everywhere = set[str]().union(*(found for _, found in merged.values()))
    return [
        (upgrade, "" if found in (set(), everywhere) else ", ".join(sorted(found)))
        for upgrade, found in merged.values()
    ]


def _row(upgrade: "Upgrade", platforms: str) -> tuple[Part, ...]:
    """
    Return the columns of a change: name, old, arrow, new and remarks.
    """
    old = _short(", ".join(upgrade.old)) or "unknown"
    new = _short(", ".join(upgrade.new)) or "unknown"
    builds = _short(upgrade.old_build or ""), _short(upgrade.new_build or "")
    remarks: list[str] = [] if upgrade.kind == "version" else [upgrade.kind]
    # Two builds that are equal or long, such as paths in a Nix store, say nothing.
    is_rebuild = upgrade.kind == "rebuild" and all(builds) and len(set(builds)) == 2
    if is_rebuild and max(map(len, builds)) <= _BUILD:
        remarks.append(" → ".join(builds))
    if upgrade.local or upgrade.internal:
        remarks.append(f"{'local' if upgrade.local else 'internal'}, not counted")
    remarks.append(platforms and f"[{platforms}]")
    is_one = upgrade.kind != "version"
    return (
        upgrade.name,
        Styled("" if upgrade.kind == "added" else old, "dim"),
        "" if is_one else "→",
        Styled("" if upgrade.kind in ("removed", "rebuild") else new, "bold"),
        Styled(", ".join(filter(None, remarks)), "dim"),
    )


def _short(text: str) -> str:
    """
    Shorten commits to the seven digits that people use.
    """
    return _COMMIT.sub(lambda found: found[0][:7], text)
