"""
When the next notice comes and the next check is made, or all that is in the way.
"""

from collections.abc import Iterator
from typing import Final

from upgrade_state import Verdict
from upgrade_state.cli._activation import switches
from upgrade_state.cli._output import could_not_check, epoch_of, moment
from upgrade_state.cli._view import PRIVATE, View, manager_of, when

_WEEK: Final = 7 * 86_400

_MANAGED: Final = "up to its manager, which alone knows the lockfile"


def explanation(view: View) -> list[str]:
    """
    Return when the next notice comes, or all that is in its way, line by line.
    """
    if view.gone:
        return [view.gone]
    if view.look.is_corrupt:
        return ["the record is corrupt; the next check replaces it"]
    lines, failure = next_notice(view, "no notice"), view.failure
    if failure is not None and view.reasons[0].reason != "cannot-check":
        length = epoch_of(failure["at"]) - epoch_of(failure["since"])
        lines.insert(0, could_not_check(length, failure["message"]))
    return lines


def next_notice(view: View, none: str = "none") -> list[str]:
    """
    Return the same without failed checks in the past.

    Args:
        none: The beginning of the line if no notice comes.
    """
    if problem := cannot_record(view):
        return [f"{none}: it cannot be recorded ({problem})"]
    reasons, record = list(view.reasons), view.look.record or {}
    if view.is_private or view.look.lockfile_state == "upgraded":  # none is certain
        reasons = [answer for answer in reasons if answer.reason != "told-recently"]
    first, lines = reasons[0], [_explained(view, answer) for answer in reasons]
    if first:
        place = view.arguments.place
        where = f"at the next prompt {'there' if place else 'here'}"
        if not view.is_found:
            command = f"notify{place}{view.arguments.names}"
            where = f"'upgrade-state {command}' gives it"
        lines = [f"{where}: {lines[0]}"]
    elif first.until is None and lines[0] != _MANAGED:
        lines[0] = f"{none}: {lines[0]}"
    if view.failure is not None and first.reason != "cannot-check":
        latest, notified = view.failure["at"], record.get("failure_notified")
        due = view.question.could_not_check.total_seconds()
        due += epoch_of(view.failure["since"])
        if notified:
            due = max(due, epoch_of(notified) + _WEEK)
        if due > epoch_of(latest):
            again = " again" if notified else ""
            moment_ = f"if checks still fail after {moment(due)}"
            lines.append(f"{moment_}, you are notified{again}, then once a week")
    return lines


def cannot_record(view: View) -> str | None:
    """
    Return why the store cannot be written to; None: no reason is known.
    """
    from upgrade_state.cli import _doctor  # the store's files, for this answer only

    finding = next(_doctor.obstacles(view.look.environment.store), None)
    if finding is None:
        return None
    is_clear = finding.fact.startswith("the file system")
    return finding.fact if is_clear else _doctor.text_of(finding)


def next_check(view: View) -> list[str]:
    """
    Return whether a check is due, and by what it is made, line by line.
    """
    text = "due now: " * view.freshness.due + str(view.freshness).partition(": ")[2]
    if view.is_private and view.freshness.reason == "unavailable":
        return list(next_checker(view)) or [PRIVATE]
    return [text, *next_checker(view)]


def next_checker(view: View) -> Iterator[str]:
    """
    Stream by what the next check is made, or every reason for which none starts.
    """
    if view.reasons[0].switch is not None:
        yield f"not automatic: {_switched_off()}"
    if view.is_elsewhere:
        why = "this directory was replaced since your last check"
        yield f"{why}; '{view.arguments.check}' allows automatic checks again"
    elif manager := manager_of(view.look):
        yield f"left to {manager}"
    elif not view.consent and not view.is_private:
        effect = (
            "makes one" if view.arguments.check.endswith("COMMAND") else "allows it"
        )
        # The record of a first check that failed does not name its manager.
        unless = ", unless a manager repeats it" * bool(
            view.failure and not view.result
        )
        yield f"not automatic{unless}; '{view.arguments.check}' {effect}"
    elif view.is_repeated and view.consent:
        options = [f" --copy {path}" for path in view.consent.get("copy") or ()]
        options += [f" --env {name}" for name in view.consent.get("env") or ()]
        by = f"by the recipe {view.consent['recipe']}{''.join(options)}"
        how = "automatic (hook, notify --check)"
        if not view.is_found:
            given = f"notify --check{view.arguments.place}{view.arguments.names}"
            how = f"on demand ({given}; check --all)"
        yield f"{how}, {by}"


def _explained(view: View, verdict: Verdict) -> str:
    """
    Return a verdict without its reason, and the command that ends a silence.
    """
    text, reason = str(verdict).partition(": ")[2], verdict.reason
    if reason == "switched-off":
        return _switched_off()
    if reason == "unavailable" and view.is_private:
        return _MANAGED
    if reason == "told-recently" and verdict.until and view.look.record:
        notified = when(view.look.record["last_notified"])
        return f"you were notified {notified}; reminder {moment(verdict.until)}"
    if reason == "snoozed":
        text += f"; run 'upgrade-state snooze{view.arguments} --off'"
    elif reason in ("nothing-known", "lockfile-changed"):
        text += f"; run '{view.arguments.check}'"
    return text


def _switched_off() -> str:
    names = list(switches())
    are = "is" if len(names) == 1 else "are"
    words = f"{are} set in the process environment"
    return f"{' and '.join(names)} {words}; run 'unset {' '.join(names)}'"
