"""
The command `help`, of which only its own help is printed here: see `_main`.
"""

from upgrade_state.cli._parser import Parser

EXAMPLE = "help check"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_argument("command", metavar="COMMAND", nargs="?", help="a command")
