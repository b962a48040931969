"""
The command `doctor`: problems of the state on disk. It changes nothing.
"""

import contextlib
import json as json_
import shlex

from upgrade_state import StateStore, UpgradeStateError, _doctor
from upgrade_state.cli._output import out, print_raw
from upgrade_state.cli._parser import Parser
from upgrade_state.cli._targets import shell_path, tilde

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
    if json:
        finding = None
        for finding in _doctor.findings(store):
            print_raw(json_.dumps(finding._asdict()))
        return 0 if finding is None else 1
    found = list(_doctor.findings(store))
    if not found:
        out("all is well")
        return 0
    where = ""
    with contextlib.suppress(UpgradeStateError):  # a finding
        where = f" in {tilde(store._place())}"  # noqa: SLF001
    out(f"{len(found)} problem{'s'[: len(found) > 1]}{where}")
    for finding in found:
        out(text_of(finding))
        mend = " ".join(map(shell_path, shlex.split(finding.mend)))
        out(f"  {mend}", hang=None)
    return 1


def text_of(finding: _doctor.Finding) -> str:
    """
    Return the subject of a finding and the problem.
    """
    place = "" if finding.path is None else f"{tilde(finding.path)}: "
    return place + finding.fact
