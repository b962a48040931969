"""
Recipes that are installed beside this library.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import upgrade_state
from upgrade_state import StateStore, checks
from upgrade_state.exceptions import ResolverError

EXAMPLE = Path(__file__).parents[2] / "examples" / "lock-reader"

# What its documentation says of `pins`, in a few lines.
PINS = """\
#!/bin/sh
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


def install(folder, distribution, groups):
    """
    Write what an installer writes for entry points.
    """
    info = folder / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\n")
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{k} = {v}" for k, v in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture(name="offer")
def _offer(tmp_path, monkeypatch):
    """
    Install a distribution that offers a recipe.
    """

    def offer(name, code=None):
        folder = tmp_path / "site" / name
        points = {"upgrade_state.recipes": {name: f"{name}_recipe:recipe"}}
        install(folder, f"dist_{name}", points)
        code = RECIPE.format(name=name) if code is None else code
        (folder / f"{name}_recipe.py").write_text(code)
        monkeypatch.delitem(sys.modules, f"{name}_recipe", raising=False)
        monkeypatch.syspath_prepend(folder)

    return offer


class TestExample:
    def test_used(self, tmp_path):
        """
        Where the example is installed, the command line uses its recipe.
        """
        site, shop, bin_ = tmp_path / "site", tmp_path / "shop", tmp_path / "bin"
        project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
        install(site, "upgrade_state_pins", project["entry-points"])
        for module in EXAMPLE.glob("*.py"):
            shutil.copy(module, site)
        shop.mkdir()
        (shop / "shop.wishes").write_text("curl")
        (shop / "shop.pins").write_text("pins 1\ncurl 8.0\n")
        bin_.mkdir()
        (bin_ / "pins").write_text(PINS)
        (bin_ / "pins").chmod(0o755)
        ours = str(Path(upgrade_state.__file__).parents[1])
        environment = os.environ | {
            "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(site), ours]),
        }

        def run(*words):
            return subprocess.run(
                [sys.executable, "-m", "upgrade_state", *words],
                env=environment,
                cwd=shop,
                capture_output=True,
                text=True,
                check=False,
            )

        checked = run("check", "--recipe", "pins")
        told = run("notify", "--lockfile", "shop.pins")

        assert (0, "") == (checked.returncode, checked.stderr)
        assert "curl: 8.0 -> 8.1" in checked.stdout
        assert "to upgrade: pins upgrade (details: pins outdated)" in checked.stdout
        assert told.stderr.endswith("Run 'pins outdated' for details.\n")


class TestLookUp:
    def test_found(self, offer):
        """
        It is found by its name, and by its lockfile's.
        """
        offer("pins")

        assert "pins upgrade" == checks.recipe_named("pins").upgrade
        assert "pins" == checks.recipe_for("pins.lock").name
        assert "pins" in checks.recipe_names()
        assert [] == checks.broken_recipes()

    def test_built_in_wins(self, offer):
        """
        Nobody takes the name or the lockfile of a built-in one.
        """
        offer("uv", "raise SystemExit")
        offer("mine", RECIPE.format(name="mine").replace("mine.lock", "uv.lock"))

        assert checks.RECIPES["uv"] is checks.recipe_named("uv")
        assert checks.RECIPES["uv"] is checks.recipe_for("uv.lock", "/nowhere")

    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            ("1 / 0", "Could not load the entry point 'odd'"),
            ("", "Could not load the entry point 'odd'"),
            ("recipe = 1", "There is no recipe of that name in"),
            (
                RECIPE.format(name="other"),
                "There is no recipe of that name in the entry point 'odd'",
            ),
            (
                RECIPE.format(name="odd").replace('("odd",)', '"odd"'),
                "'argv' must be <class 'tuple'>",
            ),
        ],
    )
    def test_broken(self, offer, code, problem):
        """
        A broken one is one line for who asks for it, and no obstacle to others.
        """
        offer("odd", code)
        offer("pins")

        with pytest.raises(ResolverError, match=problem) as info:
            checks.recipe_named("odd")
        (line,) = checks.broken_recipes()
        assert info.value.message == line
        assert 1 == len(line.splitlines())
        assert "pins" == checks.recipe_for("pins.lock").name
        assert None is checks.recipe_for("odd.lock")

    def test_gone(self, environment, offer):
        """
        A record may name one that is not installed any more: that is a failure.
        """
        with environment.try_check() as guard:
            guard.commit(b"", recipe="gone")

        outcome = checks.check(environment)

        assert "failed" == outcome.state
        assert outcome.error.message.startswith("There is no recipe 'gone'; recipes: ")

    @pytest.mark.parametrize(
        ("name", "words"),
        [("uv", "not a uv lockfile"), ("nonsense", "Unknown format 'nonsense'")],
    )
    def test_format(self, offer, directory, monkeypatch, name, words):
        """
        Its format is that of each check, and has to be one.
        """
        code = RECIPE.format(name="mine")
        offer("mine", code.replace("needs=", f"format={name!r}, needs="))
        (directory / "mine").write_text("#!/bin/sh\necho > mine.lock\n")
        (directory / "mine").chmod(0o755)
        monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
        (directory / "wishes").write_text("")
        (directory / "uv.lock").rename(directory / "mine.lock")
        environment = StateStore().environment(directory, "mine.lock")
        with environment.try_check() as guard:
            guard.commit(b"old", recipe="mine")

        assert words in checks.check(environment).error.message

    def test_check(self, offer, tmp_path, monkeypatch):
        """
        Its checks are made by the name that the record has.
        """
        offer("pins")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "pins").write_text("#!/bin/sh\necho new > pins.lock\n")
        (tmp_path / "bin" / "pins").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop" / "wishes").write_text("")
        (tmp_path / "shop" / "pins.lock").write_text("old\n")
        environment = StateStore().environment(tmp_path / "shop", "pins.lock")
        with environment.try_check() as guard:
            guard.commit(b"old", recipe="pins")

        assert checks.Outcome("checked") == checks.check(environment)
        assert b"new\n" == environment.kept_lockfile("new")
