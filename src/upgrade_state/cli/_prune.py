"""
The command `prune`: forget environments whose directories were removed.
"""

import datetime as dt

from upgrade_state import StateStore
from upgrade_state.cli._output import err, out
from upgrade_state.cli._parser import Parser, duration
from upgrade_state.cli._targets import name_of

EXAMPLE = "prune --dry-run"

_YOUNGER = "; to include recent removals, add --older-than 0"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--cache-dir")
    words = "only records that were last written so long ago (default: 90d)"
    parser.add("--older-than", words, "DURATION", duration)
    parser.add("--dry-run", "print them, and forget none")


def run(store: StateStore, *, older_than: dt.timedelta | None, dry_run: bool) -> int:
    """
    Forget them, and print their names.
    """
    words = "would be forgotten" if dry_run else "is forgotten"
    environment = None
    for environment in store._pruned(older_than, dry_run=dry_run):  # noqa: SLF001
        out(f"{name_of(environment)} {words}")
    if environment is None:
        # Whether there is one would take ten times as long to find out.
        more = "" if older_than == dt.timedelta(0) else _YOUNGER
        err(f"nothing to forget{more}")
    return 0
