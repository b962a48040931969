"""
The command `recipes`.
"""

import json
import re
import sys

import pytest

from helpers import install_points
from upgrade_state import checks

# A recipe of another distribution, and one that cannot be loaded.
POINTS = {
    "upgrade_state.recipes": {
        "odd": "no_such_module:recipe",
        "pins": "pins_recipe:recipe",
    }
}

PINS = """\
from upgrade_state.checks import Recipe

recipe = Recipe(
    name="pins", lockfile="pins.lock", argv=("pins",), manifests=("pins.in",),
    upgrade="pins lock",
)
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """
    The only directory of PATH that counts: a relative one does not.
    """
    path = tmp_path / "tools"
    path.mkdir()
    for tool in (path / "uv", tmp_path / "poetry"):
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{path}:.")
    return path


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """
    Another distribution with two recipes.
    """
    site = tmp_path / "site"
    install_points(site, "pins", POINTS)
    (site / "pins_recipe.py").write_text(PINS)
    # Another test may have imported a module of this name.
    monkeypatch.delitem(sys.modules, "pins_recipe", raising=False)
    monkeypatch.syspath_prepend(site)


class TestRecipes:
    def test_table(self, run, tools):
        """
        Aligned columns name each recipe, its files and its tool; a mark says "found".
        """
        result = run("recipes")

        head, uv, *rows = result.out.splitlines()
        assert ["recipe", "lockfile", "manifest", "needs"] == head.split()
        assert ["✓ uv", "uv.lock", "pyproject.toml", "uv 0.4 or newer"] == (
            re.split(r"  +", uv)
        )
        (poetry,) = (row for row in rows if row.startswith("  poetry "))
        starts = {
            row.index(re.split(r"  +", row)[-1], 30) for row in (head, uv, poetry)
        }
        assert 1 == len(starts)
        assert (0, "", len(checks.RECIPES)) == (
            result.status,
            result.err,
            len(rows) + 1,
        )

    def test_json(self, run, tools):
        """
        With --json, each recipe is an object, with the path of its tool.
        """
        rows = [json.loads(line) for line in run("recipes", "--json").out.splitlines()]

        assert [*checks.RECIPES] == [row["name"] for row in rows]
        paths = {row["name"]: row["path"] for row in rows}
        assert (str(tools / "uv"), None) == (paths["uv"], paths["poetry"])
        assert {
            "name": "uv",
            "lockfile": "uv.lock",
            "path": str(tools / "uv"),
            "manifests": ["pyproject.toml"],
            "argv": ["uv", "lock", "--upgrade", "--no-progress"],
            "needs": "install uv 0.4 or newer",
        } == rows[0]

    def test_installed(self, run, tools, installed):
        """
        Recipes of other distributions follow; one that cannot be loaded is reported.
        """
        result = run("recipes")

        last = result.out.splitlines()[-1]
        assert ["pins", "pins.lock", "pins.in", "pins"] == last.split()
        assert "Could not load the entry point 'odd' of upgrade_state" in result.err
        assert (0, 1) == (result.status, result.err.count("\n"))
