"""
The command `doctor`: problems of the state on disk. It changes nothing.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from upgrade_state import _doctor
from upgrade_state.cli._output import out
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from upgrade_state import StateStore
    from upgrade_state.cli._parser import Parser

EXAMPLE = "doctor"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--cache-dir")


def run(store: StateStore) -> int:
    """
    Print every finding; 1 if there is one.
    """
    status = 0
    with contextlib.suppress(UpgradeStateError):  # a finding
        out(f"the state is in {store._place()}")  # noqa: SLF001
    for finding in _doctor.findings(store):
        out(str(finding))
        status = 1
    if not status:
        out("all is well")
    return status
