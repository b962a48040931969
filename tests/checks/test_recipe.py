"""
The facts of a recipe: third parties write them, too.
"""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import upgrade_state
from upgrade_state import checks, lockfiles
from upgrade_state.checks import RECIPES, Recipe

DOCS = Path(__file__).parents[2] / "docs"

FACTS = {
    "name": "pins",
    "lockfile": "a/shop.pins",
    "argv": ("pins", "resolve"),
    "manifests": ("shop.wishes",),
    "needs": "install pins",
    "upgrade": "pins upgrade",
}

WRONG = [
    ("name", [None, "", "x" * 57, "pins+box", "pins\n"]),
    ("lockfile", [None, "../uv.lock", "./uv.lock", "/uv.lock"]),
    ("argv", ["pins resolve", (), ("",), ("a\0",), ("pins", None), None]),
    ("manifests", [(), "shop.wishes", ("../shop.wishes",), (1,)]),
    ("beside", [("../*",), "x"]),
    ("changes", [(), {"A=B": None}, {"A": 1}, {"A": "\0"}]),
    ("passes", [("A*B",), ("*",), "PINS_*", (1,)]),
    ("caches", [("PINS_*",)]),
    ("fence", [("x",), {"../x": b""}, {"x": ""}]),
    ("searches", [("../stop",)]),
    ("offline", ["stale"]),
    ("format", [""]),
    ("mark", ["pip"]),
    ("needs", [""]),
    ("upgrade", ["pins\nupgrade", "\x1b[31mpins", None]),
    ("details", [None]),
]


class TestFacts:
    @pytest.mark.parametrize(
        ("field", "value"),
        [(field, value) for field, values in WRONG for value in values],
    )
    def test_wrong(self, field, value):
        """
        An error names the field that is wrong.
        """
        with pytest.raises((TypeError, ValueError), match=rf"'{field}'|\({field}\)"):
            Recipe(**FACTS | {field: value})

    def test_lists(self):
        """
        Lists are as good as tuples.
        """
        facts = {n: list(v) if isinstance(v, tuple) else v for n, v in FACTS.items()}

        assert Recipe(**FACTS) == Recipe(**facts)

    def test_all(self, environment):
        """
        The facts of running the command arrive at the command.
        """
        facts = {
            "changes": {"A": None},
            "caches": ("PINS_CACHE",),
            "fence": {"stop": b""},
            "searches": ("stop",),
            "offline": b"stale",
            "needs": "install pins",
            "sandbox": True,
        }
        recipe = Recipe(
            **FACTS | facts,
            beside=("*.x",),
            passes=("PINS_*",),
            details="pins outdated",
        )
        command = checks.Command(
            ("pins", "resolve"),
            copies=("shop.wishes", "y"),
            passes=("PINS_*", "Z"),
            **facts,
        )

        assert command == recipe.resolver(environment, copies=["y"], passes=["Z"])

    def test_sandbox(self):
        """
        A recipe in a sandbox has a name of its own, and cannot be put into another.
        """
        recipe = Recipe(**FACTS).in_sandbox()

        assert "pins+sandbox" == recipe.name
        assert recipe is recipe.in_sandbox()

    def test_details(self):
        """
        The default details are those that this program shows.
        """
        assert "upgrade-state show --all" == Recipe(**FACTS).details


class TestBuiltIn:
    @pytest.mark.parametrize("name", RECIPES)
    def test_known_lockfile(self, name):
        """
        Each is for a lockfile that is found by its name, and can be read.
        """
        assert lockfiles.format_of(RECIPES[name].lockfile) is not None

    def test_documented(self):
        """
        The table in the reference is that of the file.
        """
        spec = importlib.util.spec_from_file_location(
            "table", DOCS / "recipes_table.py"
        )
        table = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(table)
        text = table.REFERENCE.read_text()

        assert text.count(table.BEGIN) == text.count(table.END) == 1
        assert text == table.updated(text)

    def test_zip(self, tmp_path):
        """
        The file is found in a zip archive, too.
        """
        package = Path(upgrade_state.__file__).parent
        archive = shutil.make_archive(
            tmp_path / "library", "zip", package.parent, package.name
        )
        code = (
            "from upgrade_state import checks; print(checks.__file__, *checks.RECIPES)"
        )
        code = f"import sys; sys.path.insert(0, {archive!r}); {code}"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )

        path, *names = done.stdout.split()
        assert path.startswith(archive)
        assert [*RECIPES] == names

    def test_unknown_name(self):
        """
        The module has no other names that are made on first use.
        """
        with pytest.raises(AttributeError, match="no attribute 'RECIPE'"):
            checks.RECIPE  # noqa: B018


class TestSandbox:
    def test_twice(self):
        """
        A recipe in a sandbox cannot be put into another one.
        """
        recipe = checks.RECIPES["uv"].in_sandbox()

        assert "uv+sandbox" == recipe.in_sandbox().name
        assert recipe == checks.recipe_named("uv+sandbox")
