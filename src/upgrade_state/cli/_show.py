"""
The command `show`: what is known of the environments of a directory.
"""

from upgrade_state import Look
from upgrade_state.cli._output import for_each, out, print_raw
from upgrade_state.cli._parser import Parser, Question
from upgrade_state.cli._targets import Target, is_recorded
from upgrade_state.cli._view import View, print_known, print_view

EXAMPLE = "show ~/src/shop"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target()
    parser.add_shared("--platform", "--interval", "--reminder", "--could-not-check")
    parser.add_shared("--max-age", "--json")
    parser.add("--all", "list every upgrade")


def run(target: Target, question: Question, *, json: bool, all: bool) -> int:  # noqa: A002
    """
    Print each environment; of one of which nothing is known only as JSON.
    """
    looks = target.known()
    known = list(filter(is_recorded, looks))
    is_alone = target.is_alone(looks)

    def show(look: Look) -> None:
        view = View(look, question, is_alone=is_alone)
        if json:
            print_raw(view.as_json(**view.stored_upgrades()))
            return
        if look is not known[0]:
            out()
        print_view(view, every=all)

    if json:
        for_each(looks, show)
    elif known:
        print_known(looks, show)
    if not known:
        raise target.nothing_known()
    return 0
