"""
The command `recipes`: how `check` can find upgrades, and with which tools.
"""

import json as json_

from upgrade_state import checks
from upgrade_state.cli._output import Part, Styled, err, print_raw, table
from upgrade_state.cli._parser import Parser
from upgrade_state.exceptions import ResolverError

EXAMPLE = "recipes"

DESCRIPTION = """\
List the recipes: the lockfile that each is for, the file that must be beside it,
the tool that it runs, whether the tool is installed, and the version it needs.
"""


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--json")


def run(*, json: bool) -> int:
    """
    Print the built-in recipes in their order, then those of other distributions.
    """
    names = [*checks.RECIPES]
    names += [name for name in checks.recipe_names() if name not in checks.RECIPES]
    titles = ("recipe", "lockfile", "manifest", "tool", "found", "needs")
    rows: list[list[Part]] = [[Styled(title, "bold") for title in titles]]
    for name in names:
        try:
            recipe = checks.recipe_named(name)
        except ResolverError as error:
            err(error.message)
            continue
        path = recipe.program_path("")
        if json:
            known = {"name": name, "lockfile": recipe.lockfile, "path": path}
            more = {"manifests": recipe.manifests, "argv": recipe.argv}
            print_raw(json_.dumps(known | more | {"needs": recipe.needs}))
            continue
        needs = (recipe.needs or "").removeprefix("install ")
        found = Styled("no", "dim") if path is None else Styled("yes", "green")
        texts = (name, recipe.lockfile, recipe.manifests[0], recipe.argv[0])
        rows.append([*texts, found, needs])
    if not json:
        table(rows)
    return 0
