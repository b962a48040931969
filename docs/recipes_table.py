"""
Write the table of built-in recipes into reference.md: `python docs/recipes_table.py`.
"""

from pathlib import Path

from upgrade_state.checks import RECIPES, Recipe

REFERENCE = Path(__file__).with_name("reference.md")

BEGIN = "<!-- made by recipes_table.py -->\n"
END = "<!-- end of the table -->\n"

HEAD = """\
| recipe | lockfile | command | manifests; files beside them | needs | shared |
|---|---|---|---|---|---|
"""


def _row(recipe: Recipe) -> str:
    command = " ".join(f'"{arg}"' if " " in arg else arg for arg in recipe.argv)
    if recipe.options:  # the lockfile names the rest, and the manifests
        command += " …"
    groups = [recipe.manifests, recipe.beside] if recipe.beside else [recipe.manifests]
    files = "; ".join(", ".join(f"`{name}`" for name in names) for names in groups)
    needs = (recipe.needs or "").removeprefix("install ").removesuffix(" or newer")
    shared = "yes" if recipe.version else "no"
    cells = (f"`{recipe.name}`", f"`{recipe.lockfile}`", f"`{command}`")
    cells += (files, needs, shared)
    return f"| {' | '.join(cells)} |\n"


def updated(text: str) -> str:
    """
    Return *text* with the current table between the two markers.
    """
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{HEAD}{''.join(map(_row, RECIPES.values()))}{END}{after}"


if __name__ == "__main__":
    REFERENCE.write_text(updated(REFERENCE.read_text()))
