"""
Print a look at an environment, as text and as JSON.
"""

import contextlib
import datetime as dt
import functools
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

from upgrade_state import (
    Freshness,
    Look,
    UpgradeStateError,
    Verdict,
    lockfiles,
)
from upgrade_state.cli._activation import recipe_of, switches
from upgrade_state.cli._output import (
    Styled,
    could_not_check,
    duration,
    for_each,
    moment,
    out,
    without_urls,
)
from upgrade_state.cli._parser import Question
from upgrade_state.cli._targets import (
    check_command,
    is_recorded,
    name_of,
    shell_path,
    tilde,
)
from upgrade_state.cli._upgrades import print_rows, rows_of

# The summary of a lockfile that can only be compared as a whole.
_OPAQUE: Final = "the lockfile would change"

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

_WEEK: Final = 7 * 86_400


class View:
    """
    A look at an environment, in words.

    Args:
        is_alone: Whether no other lockfile of the directory is known; None: ask the
            store.

    Attributes:
        reasons: Every reason for silence, or the verdict to speak, alone.

    Raises:
        UpgradeStateError: The record could not be read.
    """

    def __init__(
        self, look: Look, question: Question, *, is_alone: bool | None = None
    ) -> None:
        if look.error is not None:
            raise look.error
        self.look: Final = look
        self.name = name_of(look.environment)
        self.question: Final = question
        self._is_alone = is_alone
        asked = question._asdict()
        self.freshness: Final = look.freshness(max_age=asked.pop("max_age"))
        self.reasons: Final = look.reasons(**asked)
        missing = None if look.record is None else look.missing
        self.gone: Final = missing and f"the {missing} was removed"
        if missing == "directory":
            self.name = tilde(look.environment.path or "")
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
        found = self.counts or "up to date"
        is_bare = self.summary and found == self.summary != _OPAQUE
        return f"{found} available" if is_bare else found

    @property
    def counts(self) -> str:
        """
        The summary, and how many packages are added or removed; "": nothing.
        """
        kinds = Counter[str]()
        with contextlib.suppress(UpgradeStateError):  # a file is gone, or damaged
            rows = rows_of(self.look.upgrades(), self.question.platform)
            kinds.update(row.kind for row, _ in rows if not (row.local or row.internal))
        more = (f"{kinds[kind]} {kind}" for kind in ("added", "removed") if kinds[kind])
        return ", ".join(filter(None, (self.summary, *more)))

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
    def is_automatic(self) -> bool:
        """
        Whether the hook and `notify --check` repeat the check.
        """
        is_allowed = bool(self.consent) and not self.is_elsewhere
        return is_allowed and self.gone is None and self.reasons[0].switch is None

    def obstacles(self) -> Iterator[str]:
        """
        Stream every reason for which no check starts automatically.
        """
        if self.reasons[0].switch is not None:
            yield f"not automatic: {_switched_off()}"
        if self.consent and not self.is_elsewhere:
            return
        why, effect = "not automatic", "allows it"
        if self.is_elsewhere:
            why = "this directory was replaced since your last check"
            effect = "allows automatic checks again"
        if self.check.endswith("COMMAND"):
            effect = "makes one"
        yield f"{why}; '{self.check}' {effect}"

    @functools.cached_property
    def cannot_record(self) -> str | None:
        """
        Why the store cannot be written to; None: no reason is known.
        """
        from upgrade_state.cli import _doctor  # the store's files, for this answer only

        finding = next(_doctor.obstacles(self.look.environment.store), None)
        if finding is None:
            return None
        is_clear = finding.fact.startswith("the file system")
        return finding.fact if is_clear else _doctor.text_of(finding)

    @property
    def log_path(self) -> str | None:
        """
        The log of the last check in the background; None: there was none.
        """
        path = self.look.environment.log_path
        return path if os.path.isfile(path) else None

    @property
    def place(self) -> str:
        """
        The argument that names the directory to a command, after a blank; "" in it.
        """
        path = self.look.environment.path
        try:
            is_here = path is None or os.path.samefile(path, ".")
        except OSError:
            is_here = False
        return "" if is_here or path is None else f" {shell_path(path)}"

    @functools.cached_property
    def lockfile_option(self) -> str:
        """
        The option that names the lockfile, after a blank; "" if no other is known.
        """
        this, is_alone = self.look.environment, self._is_alone
        if is_alone is None:
            known = (look.environment for look in this.store.looks())
            is_alone = all(e.path != this.path or e.key == this.key for e in known)
        name = this.lockfile_name
        return "" if is_alone or name is None else f" --lockfile {shell_path(name)}"

    @property
    def env(self) -> str:
        """
        The arguments that name the environment.
        """
        return self.place + self.lockfile_option

    @functools.cached_property
    def check(self) -> str:
        """
        The command that makes a check.
        """
        return check_command(self.look.environment, self.env)

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
            "background": self.is_automatic,
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
        "corrupt record": "the record is corrupt; the next check replaces it",
        "gone": view.gone,
        "upgraded": "upgraded since the check",
        "changed": "changed since the check",
    }.get(state) or state
    verb = {"failing": ", last good check", "upgraded": "", "changed": ""}
    if state in ("upgrades", "up to date"):
        text = view.found
    elif state == "failing" and failure is not None:
        text = f"the last check failed {_when(failure['at'])}"
        if (times := failure["attempts"]) > 1:
            since = _when(failure.get("since") or failure["at"])
            text = f"checks are failing since {since} ({times} times)"
    checked = ""
    if record.get("last_checked") is not None and not view.gone:
        when = _when(record["last_checked"])
        checked = f"{verb.get(state, ', checked')} {when}"
        checked += f" by {record['checker']}" if record["checker"] else ""
    out(Styled(view.name, "bold"), ": ", Styled(text, view.color), checked)


def print_view(view: View, *, every: bool) -> None:
    """
    Print everything that is known, for people.

    Args:
        every: Print every upgrade, however many there are.
    """
    record = view.look.record
    print_state(view)
    if view.gone:
        _print_commands("to forget it", f"upgrade-state forget{view.env}")
    if view.gone or record is None:
        return
    if view.failure is not None:
        # Another program may have written the record.
        _print_facts("reason", [without_urls(view.failure["message"])])
        if view.log_path is not None:
            _print_commands("log", tilde(view.log_path))
    if record["result"] and (every or view.look.lockfile_state != "upgraded"):
        if view.state not in ("upgrades", "up to date"):
            _print_facts("found", [view.counts or "no upgrades"])
        try:
            print_upgrades(view, every=every)
        except UpgradeStateError as error:  # a file is gone, or damaged
            out(f"    {error}", hang=4)
    silent = {reason.reason for reason in view.reasons}
    if record["last_notified"] is not None and "told-recently" not in silent:
        _print_facts("notified", [_when(record["last_notified"])])
    _print_facts("next notice", _next_notice(view))
    if view.cannot_record:
        _print_commands("to mend it", "upgrade-state doctor")
        return
    _print_facts("next check", _next_check(view))
    stop = []
    if not silent & {"snoozed", "switched-off"}:
        stop.append(f"upgrade-state snooze{view.env} --for 7d (notices)")
    if view.is_automatic:
        stop.append(f"upgrade-state forget{view.env} (automatic checks)")
    _print_commands("to stop", *stop)


def print_known(looks: list[Look], act: Callable[[Look], None]) -> None:
    """
    Call *act* for every environment with a record, and print which have none.
    """
    for_each(filter(is_recorded, looks), act)
    names = [x.environment.lockfile_name or "" for x in looks if not is_recorded(x)]
    if names:
        out(Styled(f"also here: {', '.join(names)} (never checked)", "dim"))


def _print_facts(
    label: str, texts: Iterable[str], hang: int | None = _LABEL + 2
) -> None:
    for text in texts:
        blanks = " " * (_LABEL - len(label))
        out("  ", Styled(label, "dim"), blanks + text, hang=hang)
        label = ""


def _print_commands(label: str, *commands: str) -> None:
    _print_facts(label, commands, None)


def explanation(view: View) -> list[str]:
    """
    Return when the next notice comes, or all that is in its way, line by line.
    """
    if view.gone:
        return [view.gone]
    if view.look.is_corrupt:
        return ["the record is corrupt; the next check replaces it"]
    lines, failure = _next_notice(view, "no notice"), view.failure
    if failure is not None and view.reasons[0].reason != "cannot-check":
        since = failure.get("since") or failure["at"]
        length = int(_epoch_of(failure["at"]) - _epoch_of(since))
        lines.insert(0, could_not_check(length, failure["message"]))
    return lines


def _next_notice(view: View, none: str = "none") -> list[str]:
    if view.cannot_record:
        return [f"{none}: it cannot be recorded ({view.cannot_record})"]
    reasons, record = list(view.reasons), view.look.record or {}
    if view.look.lockfile_state == "upgraded":  # no reminder comes
        reasons = [answer for answer in reasons if answer.reason != "told-recently"]
    first, lines = reasons[0], [_explained(view, answer) for answer in reasons]
    if first:
        name = view.look.environment.lockfile_name
        where = f"at the next prompt {'there' if view.place else 'here'}"
        if name is not None and lockfiles.format_of(name) is None:
            command = f"notify{view.place} --lockfile {shell_path(name)}"
            where = f"'upgrade-state {command}' gives it"
        lines = [f"{where}: {lines[0]}"]
    elif first.until is None:
        lines[0] = f"{none}: {lines[0]}"
    if view.failure is not None and first.reason != "cannot-check":
        latest, notified = view.failure["at"], record.get("failure_notified")
        due = _epoch_of(view.failure.get("since") or latest)
        due += view.question.could_not_check.total_seconds()
        if notified:
            due = max(due, _epoch_of(notified) + _WEEK)
        if due > _epoch_of(latest):
            again = " again" if notified else ""
            when = f"if checks still fail after {moment(due)}"
            lines.append(f"{when}, you are notified{again}, then once a week")
    return lines


def _next_check(view: View) -> list[str]:
    due = "due now: " * view.freshness.due
    lines = [due + str(view.freshness).partition(": ")[2], *view.obstacles()]
    if view.is_automatic and view.consent:
        options = [f" --copy {path}" for path in view.consent.get("copy") or ()]
        options += [f" --env {name}" for name in view.consent.get("env") or ()]
        by = f"by the recipe {view.consent['recipe']}{''.join(options)}"
        lines.append(f"automatic (hook, notify --check), {by}")
    return lines


def _explained(view: View, verdict: Verdict) -> str:
    """
    Return a verdict without its reason, and the command that ends a silence.
    """
    text, reason = str(verdict).partition(": ")[2], verdict.reason
    if reason == "switched-off":
        return _switched_off()
    if reason == "told-recently" and verdict.until and view.look.record:
        when = _when(view.look.record["last_notified"])
        return f"you were notified {when}; reminder {moment(verdict.until)}"
    if reason == "snoozed":
        text += f"; run 'upgrade-state snooze{view.env} --off'"
    elif reason in ("nothing-known", "lockfile-changed"):
        text += f"; run '{view.check}'"
    return text


def _switched_off() -> str:
    names = list(switches())
    are = "is" if len(names) == 1 else "are"
    words = f"{are} set in the process environment"
    return f"{' and '.join(names)} {words}; run 'unset {' '.join(names)}'"


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
    rows = view.look.upgrades()
    print_rows(rows, view.question, every=every, env=lambda: view.env)
    recipe = recipe_of(view.look)
    if recipe is not None and view.is_outdated:
        cd = f"cd{view.place} && " if view.place else ""
        _print_commands("to upgrade", cd + recipe.upgrade)
        _print_commands("for details", cd + recipe.details)
