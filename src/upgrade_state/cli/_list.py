"""
The command `list`: one line for every environment of which something is known.
"""

from upgrade_state import StateStore
from upgrade_state.cli._output import err, out, print_raw
from upgrade_state.cli._parser import Parser, Question
from upgrade_state.cli._view import View, ago

EXAMPLE = "list --json"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--platform", "--interval", "--reminder", "--could-not-check")
    parser.add_shared("--max-age", "--json", "--cache-dir")


def run(store: StateStore, question: Question, *, json: bool) -> int:
    """
    Print every environment as its record is read.
    """
    for look in store.looks():
        environment = look.environment
        if look.record is None:
            line = f"corrupt or not readable: '{environment.record_path}'"
            err(line) if json else out(line)
            continue
        view = View(look, question)
        if json:
            print_raw(view.as_json())
            continue
        parts = [view.found, view.outdated]
        if look.record["last_checked"] is not None:
            parts.append(f"checked {ago(look.record['last_checked'])}")
        if look.record["failure"] is not None:
            parts.append(f"last check failed {ago(look.record['failure']['at'])}")
        out(f"{view.name}: {', '.join(filter(None, parts))}")
    return 0
