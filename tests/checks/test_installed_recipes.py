"""
Recipes of other distributions.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import upgrade_state
from helpers import install_points
from upgrade_state import Consent, StateStore, checks
from upgrade_state.exceptions import ResolverError

EXAMPLE = Path(__file__).parents[2] / "examples" / "lock-reader"

GROUP = "upgrade_state.recipes"

# Stands in for the tool of the example.
PINS = """\
test "$*" = "resolve --latest" && test -f shop.wishes || exit 2
sed 's/8.0/8.1/' shop.pins > new && mv new shop.pins
"""

RECIPE = """\
from upgrade_state.checks import Recipe
recipe = Recipe(
    name={name!r}, lockfile="{name}.lock", argv=("{name}",), manifests=("wishes",),
    needs="install it", upgrade="{name} upgrade",
)
"""

NOT_LOADED = "Could not load the entry point 'odd'"


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """
    Install a distribution with a recipe.
    """

    def run(name, code=None):
        folder = tmp_path / "site" / name
        install_points(folder, f"dist_{name}", {GROUP: {name: f"{name}_recipe:recipe"}})
        code = RECIPE.format(name=name) if code is None else code
        (folder / f"{name}_recipe.py").write_text(code)
        monkeypatch.delitem(sys.modules, f"{name}_recipe", raising=False)
        monkeypatch.syspath_prepend(folder)

    return run


class TestExample:
    def test_used(self, directory, tmp_path, fill, tool):
        """
        The command line uses the recipe of the example after its installation.
        """
        project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
        install_points(tmp_path / "site", "upgrade_state_pins", project["entry-points"])
        fill(directory, {"shop.wishes": "curl", "shop.pins": "pins 1\ncurl 8.0\n"})
        tool("pins", PINS)
        paths = [tmp_path / "site", EXAMPLE, Path(upgrade_state.__file__).parents[1]]
        environ = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths))}

        def run(*words):
            command = [sys.executable, "-m", "upgrade_state", *words]
            options = {"env": environ, "cwd": directory, "text": True}
            return subprocess.run(command, check=False, capture_output=True, **options)

        checked = run("check", "--recipe", "pins")
        notified = run("notify", "--always", "--lockfile", "shop.pins")

        assert 0 == checked.returncode
        assert "'upgrade-state check --all' may repeat this check" in checked.stderr
        shown = checked.stdout.split()
        assert all(word in shown for word in ("curl", "8.0", "8.1"))
        assert "pins upgrade" in checked.stdout
        assert "pins outdated" in checked.stdout
        assert notified.stderr.endswith("Run 'pins outdated' for details.\n")


class TestLookUp:
    def test_found(self, offer, directory):
        """
        A recipe is found by its name, and by its lockfile.
        """
        offer("pins")
        (directory / "wishes").touch()

        assert "pins upgrade" == checks.recipe_named("pins").upgrade
        assert "pins+sandbox" == checks.recipe_named("pins+sandbox").name
        assert "pins" == checks.recipe_for("pins.lock", str(directory)).name
        assert "pins" in checks.recipe_names()
        assert [] == checks.broken_recipes()

    def test_built_in_wins(self, offer, directory, fill):
        """
        A built-in recipe cannot be replaced by its name or its lockfile.
        """
        offer("uv", "raise SystemExit")
        offer("mine", RECIPE.format(name="mine").replace("mine.lock", "uv.lock"))

        assert checks.RECIPES["uv"] is checks.recipe_named("uv")
        fill(directory, {"pyproject.toml": "", "wishes": ""})
        assert checks.RECIPES["uv"] is checks.recipe_for("uv.lock", str(directory))

    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            ("1 / 0", NOT_LOADED),
            ("", NOT_LOADED),
            ("recipe = 1", "There is no recipe of that name in"),
            (RECIPE.format(name="other"), "There is no recipe of that name in the"),
            (RECIPE.format(name="odd").replace('("odd",)', '"odd"'), "'argv' must be"),
        ],
    )
    def test_broken(self, offer, directory, code, problem):
        """
        A broken recipe is an error of one line, and no obstacle to the others.
        """
        offer("odd", code)
        offer("pins")
        (directory / "wishes").touch()

        with pytest.raises(ResolverError, match=problem) as info:
            checks.recipe_named("odd")
        (line,) = checks.broken_recipes()
        assert info.value.message == line
        assert 1 == len(line.splitlines())
        assert "pins" == checks.recipe_for("pins.lock", str(directory)).name
        assert None is checks.recipe_for("odd.lock", str(directory))


class TestCheck:
    @pytest.fixture
    def check(self, offer, directory, fill, tool):
        """
        Check by the recipe of the record, with a stand-in for its tool.
        """

        def run(code):
            offer("mine", code)
            tool("mine", "echo new > mine.lock")
            old = (directory / "uv.lock").read_text()
            fill(directory, {"wishes": "", "mine.lock": old})
            environment = StateStore().environment(directory, "mine.lock")
            with environment.try_check() as guard:
                guard.commit(b"old", consent=Consent("mine"))
            return environment, checks.check(environment)

        return run

    def test_result(self, check):
        """
        A check uses the recipe that the record names.
        """
        environment, outcome = check(None)

        assert checks.Outcome("checked") == outcome
        assert b"new\n" == environment.look().kept_lockfile("new")

    @pytest.mark.parametrize(
        ("format", "message"),
        [("uv", "not a uv lockfile"), ("nonsense", "Unknown format 'nonsense'")],
    )
    def test_format(self, check, format, message):
        """
        The recipe's format must exist, and is that of the lockfile.
        """
        code = RECIPE.format(name="mine")
        _, outcome = check(code.replace("needs=", f"format={format!r}, needs="))

        assert message in outcome.error.message

    def test_gone(self, environment):
        """
        A recipe that is no longer installed is a failure.
        """
        with environment.try_check() as guard:
            guard.commit(b"", consent=Consent("gone"))

        message = checks.check(environment).error.message
        assert message.startswith("There is no recipe 'gone' (see ")

    def test_unknown_in_sandbox(self):
        """
        An unknown recipe does not exist in a sandbox either.
        """
        with pytest.raises(ResolverError, match="no recipe 'x'"):
            checks.recipe_named("x+sandbox")
