"""
The facts of a recipe: third parties write them, too.
"""

from pathlib import Path

import pytest

from upgrade_state import checks, lockfiles
from upgrade_state.checks import Recipe
from upgrade_state.checks import RECIPES

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"

FACTS = {
    "name": "pins",
    "lockfile": "a/shop.pins",
    "argv": ("pins", "resolve"),
    "manifests": ("shop.wishes",),
    "needs": "install pins",
    "upgrade": "pins upgrade",
}


class TestFacts:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", None),
            ("name", ""),
            ("name", "x" * 57),
            ("name", "pins+box"),
            ("name", "pins\n"),
            ("lockfile", None),
            ("lockfile", "../uv.lock"),
            ("lockfile", "./uv.lock"),
            ("lockfile", "/uv.lock"),
            ("argv", "pins resolve"),
            ("argv", ()),
            ("argv", ("",)),
            ("argv", ["pins"]),
            ("argv", ("pins", None)),
            ("manifests", ()),
            ("manifests", "shop.wishes"),
            ("manifests", ("../shop.wishes",)),
            ("beside", ("../*",)),
            ("beside", "x"),
            ("result", "../x"),
            ("changes", ()),
            ("changes", {"A=B": None}),
            ("changes", {"A": 1}),
            ("passes", ("A*B",)),
            ("passes", ("*",)),
            ("passes", "PINS_*"),
            ("caches", ("PINS_*",)),
            ("fence", ("x",)),
            ("fence", ("../x", b"")),
            ("fence", ("x", "")),
            ("searches", ("../stop",)),
            ("format", ""),
            ("mark", "pip"),
            ("needs", ""),
            ("upgrade", "pins\nupgrade"),
            ("upgrade", "\x1b[31mpins"),
            ("details", None),
        ],
    )
    def test_wrong(self, field, value):
        """
        A fact of a shape that it cannot have is named.
        """
        with pytest.raises(ValueError, match=rf"a recipe's {field} must be "):
            Recipe(**FACTS | {field: value})

    def test_all(self, environment):
        """
        All of them arrive at the command.
        """
        recipe = Recipe(
            **FACTS,
            beside=("*.x",),
            result="out/lock",
            changes={"A": None},
            passes=("PINS_*",),
            caches=("PINS_CACHE",),
            fence=("stop", b""),
            searches=("stop",),
            details="pins outdated",
        )
        command = recipe.resolver(environment, copies=["y"])

        assert (
            checks.Command(
                ("pins", "resolve"),
                copies=("shop.wishes", "y"),
                result="out/lock",
                changes={"A": None},
                passes=("PINS_*",),
                caches=("PINS_CACHE",),
                fence=("stop", b""),
                searches=("stop",),
                needs="install pins",
            )
            == command
        )

    def test_sandbox(self):
        """
        What is in a sandbox is in no other one.
        """
        recipe = Recipe(**FACTS).in_sandbox()

        assert "pins+sandbox" == recipe.name
        assert recipe is recipe.in_sandbox()

    def test_details(self):
        """
        Where a tool shows no details, we do.
        """
        assert "upgrade-state show --all" == Recipe(**FACTS).details


class TestBuiltIn:
    @pytest.mark.parametrize("name", RECIPES)
    def test_known_lockfile(self, name):
        """
        Each is for a lockfile that is found by its name, and can be read.
        """
        assert lockfiles.format_of(RECIPES[name].lockfile) is not None

    @pytest.mark.parametrize("name", RECIPES)
    def test_documented(self, name):
        """
        Each is in the reference, with its command and what it needs.
        """
        recipe = RECIPES[name]
        _, _, table = REFERENCE.read_text().partition("## Recipes")
        row = next(r for r in table.splitlines() if r.startswith(f"| `{name}` |"))

        command = " ".join(f'"{w}"' if " " in w else w for w in recipe.argv)
        needs, _, _ = recipe.needs.removeprefix("install ").partition(" or newer")
        assert f"`{recipe.lockfile}`" in row
        assert f"`{command}`" in row or "the same" in row
        assert needs in row
        assert {name for name in recipe.manifests if f"`{name}`" not in row} <= {
            recipe.lockfile
        }


class TestSandbox:
    def test_twice(self):
        """
        A recipe in a sandbox is in no other one when that is asked for again.
        """
        recipe = checks.RECIPES["uv"].in_sandbox()

        assert "uv+sandbox" == recipe.in_sandbox().name
        assert recipe == checks.recipe_named("uv+sandbox")
