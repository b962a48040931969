"""
The command `check --all`: look for upgrades in every known environment.
"""

import argparse
import collections
import copy
import datetime as dt
import json as json_
import os
import signal
import sys
from typing import Any, Final

from upgrade_state import EnvironmentState, StateStore, checks
from upgrade_state.cli import _json
from upgrade_state.cli._check import command_of, count_as_notice, mistake, problem_of
from upgrade_state.cli._output import (
    Styled,
    err,
    flush,
    is_terminal,
    moment,
    out,
    print_line,
    print_raw,
    progress,
)
from upgrade_state.cli._parser import Parser, Question, ResolverOptions, limit
from upgrade_state.cli._sharing import origin, sharing
from upgrade_state.cli._signals import ENDING, cancel_on_signals
from upgrade_state.cli._targets import UsageError, name_of, place_of
from upgrade_state.cli._view import View, manager_of

EXAMPLE = "check --all --jobs 4"

DESCRIPTION = """\
Check every environment of the store whose check is due, by the recipe that you
have run in it before, with the same options, or with COMMAND.

Environments that are fresh, just checked or backing off are skipped, so an
interrupted run continues when it is started again.
"""

# The outcomes, in the words and the order of the summary.
_COUNTED: Final = {
    "checked": "checked",
    "fresh": "fresh",
    "just-checked": "just checked",
    "backing-off": "failing",
    "no-consent": "without consent",
    "no-lockfile": "without lockfile",
    "gone": "gone",
    "busy": "busy",
    "dropped": "overtaken",
    "failed": "failed",
    "cancelled": "cancelled",
}

# Nothing failed, and no work is left.
_DONE: Final = frozenset(
    {"checked", "fresh", "just-checked", "no-consent", "no-lockfile", "gone"}
)


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.usage = "%(prog)s [options] [-- COMMAND ...]"
    words = "how many checks run at once (default: 4 for each core, at most 8)"
    parser.add_argument("-j", "--jobs", metavar="N", type=_number, help=words)
    words = "how to go on after a failed check (default: continue)"
    ways = ("continue", "stop", "retry")
    parser.add_argument("--on-error", choices=ways, default=ways[0], help=words)
    parser.add("--restart", "check every environment, however fresh its last check")
    words = "end the run after this time (default: never)"
    parser.add("--timeout", words, "DURATION", limit, dest="deadline")
    parser.add_resolving()
    parser.add_shared("--cache-dir")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10_000):
        raise argparse.ArgumentTypeError(f"not a number of checks: {text!r}")
    return int(text)


def run(
    store: StateStore,
    resolving: ResolverOptions,
    question: Question,
    *,
    json: bool,
    deadline: dt.timedelta | None,
    shared: str | None,
    **scope: Any,
) -> int:
    """
    Check every environment, and print each result as its check ends.

    Args:
        deadline: How long the run may take; None: no limit.

        shared: The URL of shared results; None: that of the variable.

        scope: Further options of `checks.check_all`.

    Returns:
        1 if a check failed or has yet to be made.
    """
    resolver = None
    if resolving.argv is not None:
        try:
            resolver = command_of(resolving)
        except ValueError as error:
            raise mistake(error) from error
    elif resolving.copies or resolving.passes or resolving.sandbox:
        raise UsageError("--copy, --env and --sandbox need a COMMAND with --all")
    environments = sorted(store, key=place_of)

    running: dict[str, str] = {}  # the names, by key
    counts = collections.Counter[str]()  # by the words of the summary
    is_failing = False

    def observe(environment: EnvironmentState, result: checks.Result | None) -> None:
        nonlocal is_failing
        if result is None:
            running[environment.key] = os.path.basename(environment.path or "")
        else:
            left = _left(result)
            counts[left or _COUNTED[result.outcome.state]] += 1
            is_failing = is_failing or _failure(result) is not None
            running.pop(environment.key, None)
            used.report(result.outcome)
            if json or result.outcome.state != "fresh":  # as most are
                _report(environment, result, question, json=json)
        # A terminal must not mix JSON with anything.
        if running and not (json and is_terminal(sys.stdout)):
            ended = f"[{counts.total()}/{len(environments)}]"
            progress(f"{ended} {', '.join(running.values())}")

    try:
        with (
            sharing(shared) as used,
            cancel_on_signals(signal.SIGINT, *ENDING) as cancellation,
        ):
            results = checks.check_all(
                environments,
                resolver,
                timeout=deadline,
                max_age=question.max_age,
                cancellation=cancellation,
                shared=used.results,
                observe=observe,
                **scope,
            )
            in_order = dict.fromkeys((*_COUNTED.values(), *counts))
            parts = [f"{counts[words]} {words}" for words in in_order if counts[words]]
            err(", ".join(parts) or "nothing is known, so there is nothing to check")
    except BrokenPipeError:  # the reader has closed its end, and checks are left
        return 1
    finally:
        progress("")
    # A monitor must not report a failure as mended because it is not retried.
    is_done = {result.outcome.state for result in results} <= _DONE
    return 0 if is_done and not is_failing else 1


def _failure(result: checks.Result) -> dict[str, Any] | None:
    """
    Return the recorded failure of an environment that was skipped; None: there is none.
    """
    look = result.outcome.look
    is_skipped = result.outcome.state in ("backing-off", "no-consent")
    record = look.record if look is not None and is_skipped else None
    return record["failure"] if record is not None else None


def _left(result: checks.Result) -> str | None:
    """
    Return to which manager an environment without consent is left; None: to none.
    """
    look = result.outcome.look
    is_left = look is not None and result.outcome.state == "no-consent"
    manager = manager_of(look) if look is not None and is_left else None
    return manager and f"left to {manager}"


def _report(
    environment: EnvironmentState,
    result: checks.Result,
    question: Question,
    *,
    json: bool,
) -> None:
    """
    Print a result as JSON; for people only if a check was made, or failed before.
    """
    outcome, name = result.outcome, name_of(environment)
    if json:
        fields: dict[str, Any] = {"outcome": outcome.state}
        fields["shared"] = outcome.is_shared
        fields["seconds"] = round(result.seconds, 3)
        if outcome.error is not None:
            fields["message"] = outcome.error.message
        # A handle keeps the record that it has read, and there may be many handles.
        look = outcome.look or copy.copy(environment).look()
        if look.error is None:
            print_raw(_json.line_of(View(look, question), **fields))
        else:
            known = {"environment": result.path, "lockfile": result.lockfile_name}
            known |= {"name": result.name, "key": result.key}
            print_raw(json_.dumps(known | fields))
    elif outcome.state == "checked" and outcome.look is not None:
        parts = (View(outcome.look, question).found, origin(outcome))
        out(Styled("✓", "green"), f" {name}: {', '.join(filter(None, parts))}")
        count_as_notice(environment, question)
    elif result.path is None:  # only the record's place is known
        _failed(f"{outcome.error} (upgrade-state doctor says more)")
    elif (problem := problem_of(outcome)) is not None:
        _failed(f"{name}: {problem}")
    elif outcome.state == "cancelled" and result.seconds:
        _failed(f"{name}: cancelled after {result.seconds:.0f} s")
    elif failure := _failure(result):
        when = "not retried here without consent"
        until = getattr(outcome.freshness, "until", None)
        if outcome.state == "backing-off" and until:
            when = f"retried {moment(until)}"
        elif left := _left(result):
            when = f"{left}, which checks it"
        _failed(f"{name}: {failure['message']}; {when}")
    flush()  # a reader does not wait for the other checks


def _failed(text: str) -> None:
    print_line(Styled("✗", "red"), f" {text}", most=2)
