"""
The command `check --if-due`: repeat the check that the user has consented to.

`notify --check` starts it in the background. Under the check lock it decides whether
a check is due and whether there is consent, which has the recipe and its options.
"""

import datetime as dt

from upgrade_state import EnvironmentState, checks
from upgrade_state.cli._answers import next_checker
from upgrade_state.cli._check import problem_of
from upgrade_state.cli._hints import no_lockfile
from upgrade_state.cli._output import err, for_each
from upgrade_state.cli._parser import Parser, Question
from upgrade_state.cli._sharing import origin, sharing
from upgrade_state.cli._signals import ENDING, cancel_on_signals
from upgrade_state.cli._targets import Target, name_of
from upgrade_state.cli._view import View

EXAMPLE = "check --if-due --max-age 12h ~/src/shop"

DESCRIPTION = """\
Repeat the check that you have made with a recipe, with the same options, if a check
is due. The hook does this in the background.
"""

_EXPLANATIONS = {
    "no-consent": "no check starts automatically before you have run a recipe here",
    "gone": "the lockfile was removed",
}


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target(".", "this one")
    parser.add_shared("--max-age", "--shared")


def run(target: Target, max_age: dt.timedelta | None, shared: str | None) -> int:
    """
    Make the checks that are due; 1 if one brought no result.

    The lines on stderr are the log of a check in the background.
    """

    def check(environment: EnvironmentState) -> int:
        with cancel_on_signals(*ENDING) as cancellation:
            outcome = checks.check(
                environment,
                without_lockfile=True,
                only_if_due=True,
                max_age=max_age,
                cancellation=cancellation,
                shared=used.results,
            )
        used.report(outcome)
        line = problem_of(outcome) or origin(outcome) or outcome.state
        if outcome.freshness is not None and not outcome.freshness.due:
            line = str(outcome.freshness)
        line = _EXPLANATIONS.get(outcome.state, line)
        look = outcome.look
        if outcome.state == "no-consent" and look and look.record:
            line = next(next_checker(View(look, Question(None, max_age))), line)
        err(f"{name_of(environment)}: {line}")
        return 0 if outcome.state in ("checked", "fresh", "just-checked") else 1

    environments = target.present()
    if not environments:
        raise no_lockfile(target)
    with sharing(shared) as used:
        return max(for_each(environments, check))
