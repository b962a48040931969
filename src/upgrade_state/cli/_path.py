"""
The command `path`: where the records of a directory's environments are.
"""

from upgrade_state.cli._output import print_raw
from upgrade_state.cli._parser import Parser
from upgrade_state.cli._targets import Target

EXAMPLE = "path ~/src/shop"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target()


def run(target: Target) -> int:
    """
    Print one path for each environment, whether or not its record exists.
    """
    for look in target.known():
        print_raw(look.environment.record_path or "")  # for other programs
    return 0
