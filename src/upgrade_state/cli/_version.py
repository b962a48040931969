"""
The command `version`.
"""

import upgrade_state
from upgrade_state.cli._output import out
from upgrade_state.cli._parser import Parser

EXAMPLE = "version"


def add_options(_: Parser) -> None:
    """
    Add nothing: the command has no arguments.
    """


def run() -> int:
    """
    Print the version of the library.
    """
    out(f"upgrade-state {upgrade_state.__version__}")
    return 0
