"""
The cases from the field, by the command line and the real tools.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from by_hand import contents, run
from upgrade_state import StateStore

pytestmark = pytest.mark.network

FIELD = Path(__file__).parents[3] / "shared" / "field"

COMMAND = (sys.executable, "-m", "upgrade_state")

AUTHOR = {
    f"GIT_{role}_{fact}": f"ana{'@example.com' * (fact == 'EMAIL')}"
    for role in ("AUTHOR", "COMMITTER")
    for fact in ("NAME", "EMAIL")
}


@pytest.fixture(name="case")
def _case(tmp_path):
    """
    Copy some files of a case, all by default, and return the directory.
    """
    if not FIELD.is_dir():
        pytest.skip("no cases from the field here")

    def copy(name, files=None):
        place = tmp_path / name
        shutil.copytree(FIELD / name, place)
        for old, new in (files or {}).items():
            (place / old).rename(place / new)
        return place

    return copy


def expected(place):
    return json.loads((place / "expected.json").read_text())


def check(place, lockfile, *options):
    """
    Check an environment by the command line, and return its upgrades.
    """
    before = contents(place)
    done = run(place, *COMMAND, "check", "--lockfile", lockfile, *options)
    assert 0 == done.returncode, done.stdout
    assert before == contents(place)
    upgrades = StateStore().environment(place, lockfile).upgrades()
    return [[u.kind, u.name, *u.old, *u.new] for u in upgrades]


def numbers(version):
    return [int(part) for part in version.split(".")]


def assert_rows(place, rows):
    """
    Compare *rows* with those of a case, whose last version may be ``N or newer``.
    """
    wishes = expected(place)["rows"]
    assert [row[:-1] for row in wishes] == [row[:-1] for row in rows]
    for wish, row in zip(wishes, rows, strict=True):
        least, _, _ = wish[-1].partition(" or newer")
        assert numbers(least) <= numbers(row[-1])


class TestField:
    def test_version_control(self, case, use_recipe):
        use_recipe("uv")
        place = case("uv-hatch-vcs")
        done = run(place, "sh", "prepare.sh", **AUTHOR)
        assert 0 == done.returncode, done.stdout

        assert_rows(place, check(place, "uv.lock"))

    def test_uv_pip_compile(self, case, use_recipe):
        use_recipe("uv")
        place = case("requirements-of-uv")

        assert_rows(place, check(place, "requirements.txt"))

    def test_mise_settings(self, case, use_recipe):
        use_recipe("mise")
        use_recipe("npm")
        place = case("mise-settings")

        assert_rows(place, check(place, "mise.lock"))

    def test_wheels_for_pip(self, case, use_recipe):
        use_recipe("pip")
        place = case("find-links")

        assert [] == check(place, "pylock.toml") == expected(place)["rows"]

    @pytest.mark.parametrize(
        ("recipe", "command"),
        [
            ("pip-tools", "pip-compile requirements.in"),
            ("uv-pip", "uv pip compile requirements.in -o requirements.txt"),
        ],
    )
    def test_wheels_for_requirements(self, recipe, command, case, use_recipe):
        use_recipe(recipe)
        place = case("find-links")
        done = run(place, *command.split())
        lockfile = "requirements.txt"
        assert "99.0+ours" in (place / lockfile).read_text(), done.stdout

        assert [] == check(place, lockfile) == expected(place)["rows"]

    @pytest.mark.parametrize("tool", ["uv", "pdm"])
    def test_wheels(self, tool, case, use_recipe):
        """
        A wheel in a directory of the project is found, even if git ignores it.
        """
        use_recipe(tool)
        place = case("find-links", {f"{tool}-pyproject.toml": "pyproject.toml"})
        (place / ".gitignore").write_text("*.whl\n")
        run(place, "git", "init", "--quiet")
        done = run(place, tool, "lock")
        lockfile = f"{tool}.lock"
        assert "99.0+ours" in (place / lockfile).read_text(), done.stdout

        assert [] == check(place, lockfile) == expected(place)["rows"]

    def test_copy_is_kept(self, case, use_recipe, monkeypatch):
        """
        The automatic check repeats the options of the check before it.
        """
        commands = os.path.dirname(sys.executable)
        monkeypatch.setenv("PATH", commands, prepend=os.pathsep)
        use_recipe("pip")
        place = case("copy-is-forgotten")
        (place / ".gitignore").write_text("src/\n")
        run(place, "git", "init", "--quiet", check=True)
        without = run(place, *COMMAND, "check", ".")
        assert 1 == without.returncode, without.stdout

        done = run(place, "sh", "steps.sh")

        assert expected(place)["second_exit"] == done.returncode, done.stdout
        assert done.stdout.endswith(": checked\n")

    def test_project_root(self, case, tool):
        """
        The files that PDM finds below its project are in the copy.
        """
        tool("pdm", "find . -type f | tr '\\n' ' ' >&2; exit 1")
        place = case("pdm-project-root")
        (place / "pdm.lock").write_text("[metadata]\n")
        recipe = f"--recipe={expected(place)['recipe']}"
        done = run(place, *COMMAND, "check", recipe)

        assert 1 == done.returncode
        for path in expected(place)["seen_by_the_tool"]:
            assert f"./{path}" in re.split(r"[;\s]", done.stdout)
