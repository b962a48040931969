"""
The command `list`: every environment that has been checked.
"""

import sys
from collections import Counter
from typing import TypeAlias

from upgrade_state import Look, StateStore
from upgrade_state.cli import _json
from upgrade_state.cli._output import (
    Part,
    Styled,
    err,
    out,
    print_raw,
    table,
    width_of,
)
from upgrade_state.cli._parser import Parser, Question
from upgrade_state.cli._targets import UsageError, name_of, place_of, tilde
from upgrade_state.cli._view import PRIVATE, View, ago, manager_of

EXAMPLE = "list --outdated"

# So many rows are sorted and aligned together, so that memory does not grow further.
_ROWS = 1000

# At a narrower terminal, the only lockfile of a directory is not named.
_SHORT = 100

# Its place among others, and its cells.
_Row: TypeAlias = tuple[tuple[str, ...], list[Part]]

_COUNTED = {
    "outdated": "with upgrades",
    "failing": "failing",
    "never checked": "never checked",
    "gone": "gone",
    "corrupt record": "with a corrupt record",
    "not readable": "not readable",
}


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    words = "only those with upgrades for their current lockfile, if that is known"
    parser.add("--outdated", words)
    parser.add("--failing", "only those whose last check has failed")
    parser.add_shared("--platform", "--interval", "--reminder", "--could-not-check")
    parser.add_shared("--max-age", "--json", "--cache-dir")


def run(
    store: StateStore, question: Question, *, outdated: bool, failing: bool, json: bool
) -> int:
    """
    Print a table, sorted by path, or JSON as the records are read; 1 if it is empty.

    A store with more environments than a table has rows gets several tables.
    """
    counts = Counter[str]()
    rows: list[_Row] = []
    for look in store.looks():
        view = None if look.error else View(look, question)
        is_outdated = view is not None and view.is_outdated
        is_failing = view is not None and view.failure is not None
        if (outdated and not is_outdated) or (failing and not is_failing):
            continue
        state = view.state if view else "not readable"
        counts[state] += 1
        counts["outdated"] += is_outdated and not is_failing
        if not json:
            if len(rows) == _ROWS:
                _print(rows)
                rows.clear()
            rows.append((place_of(look.environment), _row(look, view, state)))
        elif view is None or look.is_corrupt:
            err(f"{state}: '{look.environment.record_path}'")
        else:
            print_raw(_json.line_of(view))
    if not counts:
        raise _nothing(store)
    if json:
        return 0
    number = counts.total() - counts["outdated"]
    if number == len(rows) and width_of(sys.stdout) < _SHORT:
        known = Counter(path for (path, *_), _ in rows)
        for (path, *_), cells in rows:
            if path and known[path] == 1:
                cells[0] = tilde(path)
    _print(rows)
    noun = "environment" if number == 1 else "environments"
    parts = [f"{counts[s]} {text}" for s, text in _COUNTED.items() if counts[s]]
    out(f"{number} {noun}{': ' * bool(parts)}{', '.join(parts)}")
    return 0


def _print(rows: list[_Row]) -> None:
    rows.sort(key=lambda row: row[0])
    table((cells for _, cells in rows), path=0)


def _row(look: Look, view: View | None, state: str) -> list[Part]:
    if view is None or look.record is None:
        return [tilde(look.environment.record_path or ""), Styled(state, "red"), "", ""]
    checked = look.record["last_checked"]
    text = f"checked {ago(checked)}" if checked else "to be checked"
    text += f" by {manager}" if (manager := manager_of(look)) else ""
    if view.failure is not None:
        text = f"failed {ago(view.failure['at'])}"
    if view.is_private:  # first: a narrow terminal cuts the end
        text = f"{PRIVATE}, {text}"
    if view.is_elsewhere:
        text += ", in another directory"
    if "snoozed" in [reason.reason for reason in view.reasons]:
        text += ", snoozed"
    summary = None if look.lockfile_state == "upgraded" else view.summary
    name = name_of(look.environment)
    return [name, Styled(state, view.color), summary or "", text]


def _nothing(store: StateStore) -> UsageError:
    """
    Return why the list is empty.
    """
    if any(True for _ in store):
        hint = "Run 'upgrade-state list' to see the environments that are known."
        return UsageError("no environment is in that state", hint, status=1)
    hint = "Run 'upgrade-state check' in one to look for upgrades."
    return UsageError("nothing is known of any environment", hint, status=1)
