"""
The command `notify`, with the arguments that activations do not use.
"""

import datetime as dt
from collections.abc import Iterator

from upgrade_state import Look
from upgrade_state.cli import _activation, _times
from upgrade_state.cli._output import could_not_check, duration, moment, out
from upgrade_state.cli._parser import Parser, Question
from upgrade_state.cli._targets import Target, name_of

EXAMPLE = "notify --explain"

DESCRIPTION = """\
Print a notice on stderr, once per interval; for activation scripts.

If stderr is no terminal, a notice might not be seen, so none is claimed.
The exit status is always 0: a mistake in the arguments is one line on stderr.
"""


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target()
    parser.add_shared("--platform", "--interval", "--reminder", "--could-not-check")
    parser.add_shared("--max-age")
    parser.add("--explain", "print why (not), and claim nothing")
    words = "print the number of upgrades on stdout, if any, and claim nothing"
    parser.add("--peek", words)
    words = "start a check in the background if one is due and you ran a recipe here"
    parser.add("--check", words)
    parser.add("--always", "claim the notice also if stderr is no terminal")


def run(
    target: Target,
    question: Question,
    *,
    always: bool,
    explain: bool,
    check: bool,
    peek: bool,
) -> int:
    """
    Claim the notice, or explain the verdict and claim nothing.
    """
    if explain:
        for look in target.known():
            for line in _explanation(look, question):
                out(f"{name_of(look.environment)}: {line}")
        return 0
    looks = target.to_notify_of()
    if peek:
        if text := _activation.count(looks, question.platform):
            out(text)
        return 0
    durations = {
        name: int(length.total_seconds())
        for name in _times.NAMES
        if (length := getattr(question, name)) is not None
    }
    max_age = durations.pop("max_age", None)
    _activation.notify(looks, durations, always=always, platform=question.platform)
    if check:
        _activation.start_checks(looks, max_age=max_age)
    return 0


def _explanation(look: Look, question: Question) -> Iterator[str]:
    """
    Stream the verdict, and the obstacles and failures that it does not name.
    """
    verdict = question.verdict(look)
    yield str(verdict)
    if verdict:
        from upgrade_state.cli import _doctor  # the store's files, for this answer only

        for finding in _doctor.obstacles(look.environment.store):
            yield f"but no notice is given, as it cannot be recorded: {finding}"
    if look.is_corrupt:
        yield f"the record is corrupt: '{look.environment.record_path}'"
    failure = look.information and look.information.failure
    if verdict.reason in ("cannot-check", "unavailable") or not failure:
        return
    length = failure.at - (failure.since or failure.at)
    words = could_not_check(int(length.total_seconds()), failure.message)
    notified = (look.record or {}).get("failure_notified")
    limit = question.could_not_check
    if length < limit:
        after = duration(int(limit.total_seconds()))
        yield f"{words}; a notice follows after {after} of it"
    elif notified is None:
        yield words
    else:
        when = moment(dt.datetime.fromisoformat(notified))
        yield f"{words}; notified {when}, and again a week later if it goes on"
