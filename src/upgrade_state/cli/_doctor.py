"""
The command `doctor`: problems of the state on disk. It changes nothing.
"""

import contextlib

from upgrade_state import StateStore, UpgradeStateError, _doctor
from upgrade_state.cli._output import out
from upgrade_state.cli._parser import Parser

EXAMPLE = "doctor"

obstacles = _doctor.obstacles


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--cache-dir")


def run(store: StateStore) -> int:
    """
    Print every finding; 1 if there is one.
    """
    with contextlib.suppress(UpgradeStateError):  # a finding
        out(f"the state is in {store._place()}")  # noqa: SLF001
    finding = None
    for finding in _doctor.findings(store):
        out(str(finding))
    if finding is None:
        out("all is well")
    return 0 if finding is None else 1
