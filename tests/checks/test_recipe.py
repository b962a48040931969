"""
The facts of recipes: the validation of all, and the built-in ones.
"""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import upgrade_state
from upgrade_state import checks, lockfiles
from upgrade_state.checks import RECIPES, Recipe
from upgrade_state.exceptions import ResolverError

DOCS = Path(__file__).parents[2] / "docs"

FACTS = {
    "name": "pins",
    "lockfile": "a/shop.pins",
    "argv": ("pins", "resolve"),
    "manifests": ("shop.wishes",),
    "upgrade": "pins upgrade",
}

# Facts that a command gets too.
COMMAND = {
    "changes": {"A": None},
    "passes": ("PINS_*",),
    "caches": ("PINS_CACHE",),
    "fence": {"stop": b""},
    "searches": ("stop",),
    "failures": {b"offline": "was offline"},
    "requires": b"/(.*)",
    "needs": "install pins",
    "sandbox": True,
}

WRONG = {
    "name": (None, "", "x" * 57, "pins+box", "pins\n"),
    "lockfile": (None, "../uv.lock", "./uv.lock", "/uv.lock", "*.*"),
    "manifests": ((), "shop.wishes", ("../shop.wishes",)),
    "beside": (("../*",), "x"),
    "argv": ("pins resolve", ("pins", None)),
    "changes": ((), {"A=B": None}, {"A": 1}),
    "passes": (("A*B",), ("*",), "PINS_*"),
    "caches": (("PINS_*",),),
    "fence": (("x", b""), {"./x": b""}, {"x": ""}),
    "searches": (("./stop",),),
    "failures": ((), {"stale": "x"}, {b"stale": ""}),
    "format": ("",),
    "mark": ("pip", b"("),
    "others": ((), {"../x": b""}, {"x": b"["}),
    "options": (("",), "x"),
    "start": (None, "", "/x"),
    "requires": ("x", b"("),
    "venv": ("",),
    "needs": ("",),
    "program": ((None,), "pins"),
    "upgrade": ("pins\nupgrade", "\x1b[31mpins"),
    "details": (None,),
}


class TestFacts:
    @pytest.mark.parametrize(
        ("field", "value"),
        [(f, value) for f, values in WRONG.items() for value in values],
    )
    def test_wrong(self, field, value):
        """
        An error about a wrong value names its field, or the path.
        """
        with pytest.raises(
            (TypeError, ValueError), match=rf"'{field}' must|\({field}\)"
        ):
            Recipe(**FACTS | {field: value})

    @pytest.mark.parametrize("field", ["argv", "program"])
    @pytest.mark.parametrize("argv", [(), ("",)])
    def test_no_command(self, field, argv):
        """
        A recipe needs a command.
        """
        with pytest.raises(ValueError, match="not a command"):
            Recipe(**FACTS | {field: argv})

    def test_resolver(self, environment):
        """
        The command has all facts of the recipe, and those of the caller.
        """
        facts = {"argv": ["pins", "resolve"], "beside": ["shop.*"]}
        recipe = Recipe(**FACTS | facts, **COMMAND)

        assert checks.Command(
            FACTS["argv"],
            **COMMAND | {"passes": ("PINS_*", "B")},
            manifests=("shop.wishes",),
            beside=("shop.*",),
            copies=("y",),
        ) == recipe.resolver(environment, copies=["y"], passes=["B"])

    def test_run_by(self, store, directory, fill):
        """
        The program that hosts the caller runs the recipe, with its arguments.
        """
        fill(directory, {"shop.wishes": "", "a/shop.pins": "old"})
        code = "import sys; open('a/shop.pins', 'w').write(str(sys.argv[1:]))"
        recipe = Recipe(**FACTS).run_by([sys.executable, "-S", "-c", code])
        environment = store.environment(directory, "a/shop.pins")

        assert b"['resolve']" == recipe.resolver(environment)(environment, b"old")
        assert ("pins", "pins upgrade") == (recipe.name, recipe.upgrade)

    @pytest.mark.parametrize(
        ("version", "by_program"),
        [
            (["pins", "-V"], ("python", "-m", "pins", "-V")),
            (["sh", "-c", "pins -V"], ()),
            ([], ()),
        ],
    )
    def test_version_run_by(self, store, directory, version, by_program):
        """
        The program prints its version; a script that names another one is not run.
        """
        recipe = Recipe(**FACTS, version=version, settings=["~/.pins"])
        environment = store.environment(directory, "a/shop.pins")
        program = recipe.run_by(["python", "-m", "pins"])

        assert tuple(version) == recipe.resolver(environment).version
        assert by_program == program.resolver(environment).version
        assert ("~/.pins",) == program.resolver(environment).settings

    @pytest.mark.parametrize("argv", [None, "pins", b"pins", {"pins": 1}, [b"pins"]])
    def test_run_by_no_list(self, argv):
        """
        A program that is no list of texts is refused, and so is none.
        """
        with pytest.raises(TypeError, match=r"argv|str"):
            Recipe(**FACTS).run_by(argv)

    def test_run_by_advice(self, store, directory, fill):
        """
        The advice to install the tool is not given: the program was named.
        """
        fill(directory, {"shop.wishes": "", "a/shop.pins": "old"})
        recipe = Recipe(**FACTS, needs="install pins").run_by(["/none/pins"])
        environment = store.environment(directory, "a/shop.pins")

        with pytest.raises(ResolverError, match="; install it or name its path"):
            recipe.resolver(environment)(environment, b"old")

    def test_run_by_with_options(self, store, directory, fill):
        """
        The command that a lockfile names is still found, and run by the program.
        """
        header = "# This file was autogenerated by uv via the following command:\n"
        header += "#    uv pip compile pyproject.toml --universal -o requirements.txt\n"
        fill(directory, {"requirements.txt": header, "pyproject.toml": ""})
        environment = store.environment(directory, "requirements.txt")
        argv = [sys.executable, "-m", "uv"]

        found = checks.recipe_for("requirements.txt", str(directory)).run_by(argv)
        named = RECIPES["uv-pip"].run_by(argv)

        command = named.resolver(environment)
        assert command == found.resolver(environment)
        assert (*argv, "pip", "compile", "--upgrade") == command.argv[:6]
        assert "--universal" in command.argv

    @pytest.mark.parametrize("recipe", [Recipe(**FACTS), RECIPES["uv"]])
    def test_sandbox(self, recipe):
        """
        A recipe is put into a sandbox once, and has a name of its own there.
        """
        inside = recipe.in_sandbox()

        assert f"{recipe.name}+sandbox" == inside.name
        assert inside is inside.in_sandbox()

    def test_details(self):
        """
        A tool that shows no details is replaced by this one.
        """
        assert "upgrade-state show --all" == Recipe(**FACTS).details


class TestBuiltIn:
    def test_names(self):
        """
        A recipe is found by its name, and by the name of a known lockfile.
        """
        for name, recipe in RECIPES.items():
            assert recipe is checks.recipe_named(name)
            lockfile = recipe.lockfile.replace("*", "x")
            assert recipe.fits(lockfile)
            known = recipe.format or lockfiles.format_of(lockfile)
            assert known in lockfiles.FORMATS
        assert RECIPES["uv"].in_sandbox() == checks.recipe_named("uv+sandbox")
        assert checks.recipe_for("custom.lock", "/") is None
        assert not RECIPES["uv"].fits(None)
        assert not hasattr(checks, "NO_SUCH_NAME")

    def test_inherited(self):
        """
        A recipe that is like another one has all other facts of that one.
        """
        pip, project = RECIPES["pip"], RECIPES["pip-project"]

        assert ("pip lock .", ("pyproject.toml",)) == (
            project.upgrade,
            project.manifests,
        )
        assert (pip.changes, pip.needs) == (project.changes, project.needs)
        assert "src" == pip.changes["PIP_SRC"] == RECIPES["pipenv"].changes["PIP_SRC"]
        assert None is pip.changes["PIP_GROUP"]
        assert {"UV_*", "PYENV_ROOT", "GIT_ASKPASS"} < set(RECIPES["uv"].passes)

    def test_documented(self):
        """
        The table in the reference is current: else run docs/recipes_table.py.
        """
        script = runpy.run_path(str(DOCS / "recipes_table.py"))
        page = (DOCS / "reference.md").read_text()

        assert page == script["updated"](page)
        assert "| `uv` | `uv.lock` | `uv lock --upgrade" in page

    def test_archive(self, tmp_path):
        """
        The recipes are found if the library is in a zip archive.
        """
        root = Path(upgrade_state.__file__).parents[1]
        base = str(tmp_path / "library")
        archive = shutil.make_archive(base, "zip", root, "upgrade_state")
        code = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from upgrade_state import checks\n"
            "print(checks.__file__, checks.recipe_named('uv').upgrade, sep='\\n')"
        )
        argv = [sys.executable, "-c", code, archive]
        # The archive is no source of the coverage.
        environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
        printed = subprocess.check_output(argv, text=True, env=environ)

        module, upgrade = printed.splitlines()
        assert module.startswith(archive)
        assert "uv lock --upgrade" == upgrade
