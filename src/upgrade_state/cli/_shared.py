"""
The command `shared`: the results that the checks of a team share.
"""

import contextlib
import datetime as dt
import json as json_
import os
from collections import Counter
from typing import Any, Final

import attrs

from upgrade_state import checks
from upgrade_state.cli._output import (
    Part,
    Styled,
    err,
    moment,
    out,
    print_raw,
    summary,
    table,
)
from upgrade_state.cli._parser import SHARED_VARIABLE, Parser, duration
from upgrade_state.cli._targets import UsageError
from upgrade_state.cli._view import ago

EXAMPLE = "shared list 'postgresql:///checks?service=team'"

DESCRIPTION = """\
Set up, list and prune the results that the checks of a team share: one machine makes
a check, and the others use its result.

    init    create the schema in a database, and print which rights to grant
    list    list the checks
    prune   delete old results

URL has no password: PostgreSQL's client reads it from its own files, such as ~/.pgpass.
"""

_ACTIONS: Final = ("init", "list", "prune")


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    words = "what to do"
    parser.add_argument(
        "action", metavar="|".join(_ACTIONS), choices=_ACTIONS, help=words
    )
    words = f"where the results are (default: {SHARED_VARIABLE})"
    parser.add_argument("url", metavar="URL", nargs="?", help=words)
    words = "with prune: results that are at least so old (default: 90d)"
    parser.add("--older-than", words, "DURATION", duration)
    parser.add("--json", "with list: print one JSON object per check and line")


def run(
    *, action: str, url: str | None, older_than: dt.timedelta | None, json: bool
) -> int:
    """
    Call the method of the shared results, and print the answer.

    Raises:
        UsageError: The URL is not usable, the server has not done it, or there is
            nothing to list.
    """
    if older_than is not None and action != "prune":
        raise UsageError(f"shared {action} has no option '--older-than'")
    if json and action != "list":
        raise UsageError(f"shared {action} has no option '--json'")
    place = os.environ.get(SHARED_VARIABLE, "") if url is None else url
    if not place:
        hint = f"Set {SHARED_VARIABLE}, or name one: postgresql:///checks?service=team"
        raise UsageError(f"shared {action} needs a URL", hint)
    age = dt.timedelta(days=90) if older_than is None else older_than
    try:
        found = _found(place, action, age)
    except Exception as error:
        hint = "The owner's 'upgrade-state shared init' prints the grants."
        is_refused = "permission denied for function" in str(error)
        words = f"shared results: {error}"
        raise UsageError(words, hint if is_refused else None) from error
    if action == "list":
        _print_list(found, json=json)
    elif action == "prune":
        out(f"{found[0]} result{'s' * (found[0] != 1)} deleted")
    else:
        err(f"shared results are set up{'; grant these rights next:' if found else ''}")
        for line in found:
            print_raw(line)
    return 0


def _found(place: str, action: str, age: dt.timedelta) -> list[Any]:
    with contextlib.closing(checks.shared_results(place)) as results:
        if not isinstance(results, checks.ManagedResults):  # of another distribution
            raise TypeError(f"those of this kind have no {action}")
        if action == "prune":
            return [results.prune(age)]
        return [*(results.list() if action == "list" else results.create())]


def _print_list(entries: list[Any], *, json: bool) -> None:
    """
    Print a table and a summary, or JSON.

    Raises:
        UsageError: There are no entries.
    """
    if not entries:
        raise UsageError("there are no shared results yet", status=1)
    for entry in entries if json else ():
        fields = attrs.asdict(entry)
        fields = {"lockfile": fields.pop("lockfile_name"), **fields}
        print_raw(json_.dumps(fields, default=_text_of))
    if json:
        return
    rows: list[list[Part]] = []
    counts = Counter[str]()
    for entry in entries:
        checked, versions = entry.last_checked, entry.version_changes
        found = summary(versions or 0, entry.rebuilds or 0)
        state, color = ("upgrades", "yellow") if found else ("up to date", "green")
        text = f"checked {ago(_text_of(checked))}" if checked else ""
        if entry.failing_since is not None:
            state, color = "failing", "red"
            text = f"since {moment(entry.failing_since)}"
        elif checked is None or versions is None:  # the format may be opaque
            state = "checking" if entry.is_busy else ""
        counts[state] += 1
        name = entry.lockfile_name
        rows.append([entry.label or "", name, Styled(state, color), found, text])
    table(rows)
    words = {"upgrades": "with upgrades", "failing": "failing"}
    parts = [f"{counts[s]} {text}" for s, text in words.items() if counts[s]]
    noun = "check" if len(rows) == 1 else "checks"
    out(f"{len(rows)} {noun}{': ' * bool(parts)}{', '.join(parts)}")


def _text_of(when: dt.datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"
