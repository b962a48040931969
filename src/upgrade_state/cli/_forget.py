"""
The command `forget`: delete the records of a directory's environments.
"""

from upgrade_state import Look
from upgrade_state.cli._hints import nothing_known
from upgrade_state.cli._output import err, for_each, out
from upgrade_state.cli._parser import Parser
from upgrade_state.cli._targets import Target, is_recorded, name_of

EXAMPLE = "forget ~/src/shop"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target()


def run(target: Target) -> int:
    """
    Forget each environment; 1 if a check is running.
    """

    def forget(look: Look) -> bool:
        name = name_of(look.environment)
        if not look.environment.forget():
            err(f"{name} is being checked; nothing is forgotten")
            return False
        out(f"{name} is forgotten")
        return True

    looks = list(filter(is_recorded, target.known()))
    if not looks:
        raise nothing_known(target, to_check=False)
    return 0 if all(for_each(looks, forget)) else 1
