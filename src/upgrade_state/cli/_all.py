"""
The command `check --all`: every environment that the store knows.
"""

from __future__ import annotations

import copy
import json
import signal
from collections import Counter
from typing import TYPE_CHECKING

from upgrade_state import checks
from upgrade_state.cli._live import Live
from upgrade_state.cli._outcomes import trouble
from upgrade_state.cli._output import err, flush, give_up, out, raw
from upgrade_state.cli._select import name_of, store_of
from upgrade_state.cli._signals import ENDING, ended_by
from upgrade_state.cli._view import View
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Final

    from upgrade_state._environment import EnvironmentState
    from upgrade_state.checks import Resolver, Result

# In this order, and with these words, the outcomes are counted at the end.
_COUNTED: Final = {
    "checked": "checked",
    "fresh": "fresh",
    "backing-off": "backing off",
    "no-recipe": "without a recipe",
    "gone": "gone",
    "busy": "busy",
    "dropped": "overtaken",
    "failed": "failed",
    "cancelled": "cancelled",
}

# Nothing has gone wrong, and nothing is left to do now. What is backing off has
# failed, and a monitor is not to take that for mended.
_DONE: Final = frozenset({"checked", "fresh", "no-recipe", "gone"})


def check_all(options: Namespace, resolver: Resolver | None) -> int:
    """
    Check what is due, and say how each check has ended as soon as it has.

    Args:
        resolver: For all of them. None: by the recipes that the records name.
    """
    try:
        return _check_all(options, resolver)
    except BrokenPipeError:  # who read it has had enough, and something is left to do
        give_up()
        return 1


def _check_all(options: Namespace, resolver: Resolver | None) -> int:
    environments = sorted(
        store_of(options), key=lambda e: (e.path or "", e.lockfile_name or "")
    )
    with ended_by(signal.SIGINT, *ENDING) as cancellation:
        with Live(len(environments), json=options.json) as live:
            results = checks.check_all(
                environments,
                resolver,
                jobs=options.jobs,
                timeout=options.limit,
                on_error=options.on_error or "continue",
                max_age=options.max_age,
                restart=options.restart,
                cancellation=cancellation,
                observe=_observer(live, options),
            )
        err(_summary(results))
    return 0 if all(result.outcome.state in _DONE for result in results) else 1


def _observer(
    live: Live, options: Namespace
) -> Callable[[EnvironmentState, Result | None], None]:
    def observe(environment: EnvironmentState, result: Result | None) -> None:
        live.see(environment, ended=result is not None)
        if result is not None:
            _report(environment, result, options)

    return observe


def _report(environment: EnvironmentState, result: Result, options: Namespace) -> None:
    """
    Print what has ended; for people only what has begun, the rest is counted.
    """
    outcome, name = result.outcome, name_of(environment)
    if options.json:
        raw(_json(environment, result, options))
    elif outcome.state == "checked":
        out(f"{name}: {_found(environment, options)}")
    elif environment.path is None:  # all that is known is where the record is
        err(f"{outcome.error} (upgrade-state doctor says more)")
    elif (words := trouble(outcome)) is not None:
        err(f"{name}: {words}")
    elif outcome.state == "cancelled" and result.seconds:
        err(f"{name}: cancelled after {result.seconds:.0f} s")
    flush()  # whoever reads it does not wait for the others


def _view(environment: EnvironmentState, options: Namespace) -> View:
    # A handle keeps the record that it has read, and there may be many of them.
    return View(copy.copy(environment), options)


def _found(environment: EnvironmentState, options: Namespace) -> str:
    try:
        return _view(environment, options).summary
    except UpgradeStateError as error:  # it went away, or bad, just now
        return str(error)


def _json(environment: EnvironmentState, result: Result, options: Namespace) -> str:
    outcome = result.outcome
    fields: dict[str, object] = {
        "outcome": outcome.state,
        "seconds": round(result.seconds, 3),
    }
    if outcome.error is not None:
        fields["message"] = outcome.error.message
    try:
        return _view(environment, options).as_json(**fields)
    except UpgradeStateError:  # which is the message, or went bad just now
        known = {"environment": environment.path, "key": environment.key}
        known |= {"lockfile": environment.lockfile_name}
        return json.dumps(known | fields)


def _summary(results: list[Result]) -> str:
    counts = Counter[str](result.outcome.state for result in results)
    parts = [f"{counts[state]} {words}" for state, words in _COUNTED.items()]
    told = [part for part in parts if not part.startswith("0 ")]
    return ", ".join(told) or "nothing is known, so there is nothing to check"
