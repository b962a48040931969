"""
The command `doctor`: problems of the state on disk. It changes nothing.
"""

import contextlib
import json as json_

import attrs

from upgrade_state import StateStore, UpgradeStateError, _doctor
from upgrade_state.cli._output import out, print_raw
from upgrade_state.cli._parser import Parser
from upgrade_state.cli._targets import tilde

EXAMPLE = "doctor"

obstacles = _doctor.obstacles


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--json", "--cache-dir")


def run(store: StateStore, *, json: bool) -> int:
    """
    Print every finding, and the command that mends it; 1 if there is one.
    """
    if not json:
        with contextlib.suppress(UpgradeStateError):  # a finding
            out(f"the state is in {tilde(store._place())}")  # noqa: SLF001
    finding = None
    for finding in _doctor.findings(store):
        if json:
            print_raw(json_.dumps(attrs.asdict(finding)))
        else:
            out(str(finding))
            out(f"  {finding.mend}", hang=None)
    if finding is None and not json:
        out("all is well")
    return 0 if finding is None else 1
