"""
The command `notify`, with the arguments that activations do not use.
"""

from upgrade_state import Look
from upgrade_state.cli import _activation
from upgrade_state.cli._hints import nothing_known
from upgrade_state.cli._output import brief, out
from upgrade_state.cli._parser import Parser, Question
from upgrade_state.cli._targets import Target, is_recorded, name_of

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
        from upgrade_state.cli._answers import explanation
        from upgrade_state.cli._show import print_known
        from upgrade_state.cli._view import View

        def print_one(look: Look) -> None:
            if look.error is not None:
                lines = [brief(look.error)]
            else:
                lines = explanation(View(look, question, is_alone=is_alone))
            for line in lines:
                out(f"{name_of(look.environment)}: {line}")

        known = target.known()
        is_alone = target.is_alone(known)
        if not any(map(is_recorded, known)):
            raise nothing_known(target)
        print_known(known, print_one)
        return 0
    looks = target.to_notify_of()
    if peek:
        if text := _activation.count(looks, question.platform):
            out(text)
        return 0
    durations = {
        name: int(length.total_seconds())
        for name in _activation.DURATIONS
        if (length := getattr(question, name)) is not None
    }
    max_age = durations.pop("max_age", None)
    _activation.notify(looks, durations, always=always, platform=question.platform)
    if check:
        _activation.start_checks(looks, max_age=max_age)
    return 0
