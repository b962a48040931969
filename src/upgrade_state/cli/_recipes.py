"""
The command `recipes`: how `check` can find upgrades, and with which tools.
"""

import json as json_

from upgrade_state import checks
from upgrade_state.cli._output import Styled, err, out, print_raw
from upgrade_state.cli._parser import Parser
from upgrade_state.exceptions import ResolverError

EXAMPLE = "recipes"

DESCRIPTION = """\
List the recipes: the lockfile that each is for, the file that must be beside it, and
the tool that it needs. Those whose tool is installed are marked.
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
    rows = [("", "recipe", "lockfile", "manifest", "needs")]
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
        manifest = recipe.manifests[0].replace("{lockfile}", "named in it")
        mark = "" if path is None else "✓"
        rows.append((mark, name, recipe.lockfile, manifest, needs or recipe.argv[0]))
    if json:
        return 0
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        mark, *cells = map(str.ljust, row, widths)
        text = "  ".join(cells).rstrip()
        # Folded, not cut: the last column has the longest texts.
        out(Styled(mark, "green"), " ", Styled(text, "" if number else "bold"), hang=4)
    return 0
