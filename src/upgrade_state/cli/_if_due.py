"""
The command `check --if-due`: what runs in the background.

What is decided is decided under the check lock: whether a check is due, and
whether it is wanted, which is so where the record names a recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrade_state import checks
from upgrade_state.cli._outcomes import trouble
from upgrade_state.cli._output import err, raw
from upgrade_state.cli._parser import refuse
from upgrade_state.cli._select import each, name_of, no_lockfile, present
from upgrade_state.cli._signals import ENDING, ended_by
from upgrade_state.cli._view import View

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Final

    from upgrade_state._environment import EnvironmentState
    from upgrade_state.checks import Outcome

_NO_RECIPE: Final = "no recipe was run on purpose, and none starts by itself"


def check(options: Namespace) -> int:
    """
    Make a check of each environment where one is due and wanted.
    """
    words = "makes no sense with --if-due, which goes by the record"
    refuse(options, "argv", "recipe", "format", words=words)
    refuse(options, "limit", "copy", "pass_on", "sandbox", words=words)
    environments = present(options)
    if not environments:
        err(no_lockfile(options))
        return 1
    return max(each(environments, lambda environment: _check(environment, options)))


def _check(environment: EnvironmentState, options: Namespace) -> int:
    with ended_by(*ENDING) as cancellation:
        outcome = checks.check(
            environment,
            only_if_due=True,
            max_age=options.max_age,
            cancellation=cancellation,
        )
    err(f"{name_of(environment)}: {_words(outcome)}")
    if options.json:
        raw(View(environment, options).as_json(outcome=outcome.state))
    return 0 if outcome.state in ("checked", "fresh") else 1


def _words(outcome: Outcome) -> str:
    if outcome.state in ("fresh", "backing-off"):
        return str(outcome.freshness)
    if outcome.state == "no-recipe":
        return _NO_RECIPE
    if outcome.state == "gone":
        return "its lockfile is gone"
    return trouble(outcome) or outcome.state
