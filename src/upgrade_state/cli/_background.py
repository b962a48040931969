"""
The hidden command `_background`: one check that `notify --check` has started.

Under the check lock it decides again whether a check is due and whether there is
consent, which has the recipe and its options.
"""

import datetime as dt

from upgrade_state import StateStore, checks
from upgrade_state.cli._check import problem_of
from upgrade_state.cli._output import err
from upgrade_state.cli._parser import Parser
from upgrade_state.cli._signals import ENDING, cancel_on_signals
from upgrade_state.cli._targets import UsageError, name_of

EXAMPLE = "_background -- ~/src/shop uv.lock"

_EXPLANATIONS = {
    "no-consent": "no check starts automatically before you have run a recipe here",
    "gone": "its lockfile is gone",
}


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--max-age", "--cache-dir")
    parser.add_argument("directory", metavar="DIRECTORY")
    parser.add_argument("lockfile_name", metavar="LOCKFILE_NAME")


def run(
    store: StateStore, directory: str, lockfile_name: str, max_age: dt.timedelta | None
) -> int:
    """
    Make the check if it is due; 1 if it brought no result.

    Its line on stderr is the environment's log.
    """
    try:
        environment = store.environment(directory, lockfile_name)
    except ValueError as error:
        raise UsageError(str(error)) from error
    with cancel_on_signals(*ENDING) as cancellation:
        outcome = checks.check(
            environment, only_if_due=True, max_age=max_age, cancellation=cancellation
        )
    line = problem_of(outcome) or outcome.state
    if outcome.freshness is not None and not outcome.freshness.due:
        line = str(outcome.freshness)
    line = _EXPLANATIONS.get(outcome.state, line)
    err(f"{name_of(environment)}: {line}")
    return 0 if outcome.state in ("checked", "fresh", "just-checked") else 1
