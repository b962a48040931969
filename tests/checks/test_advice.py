"""
The advice of a recipe leads to the lockfile that the check has announced.

The recipes that have a pattern for the lockfile's name, with the real tools: each
lockfile is made with a command, and gets older versions.
"""

import re
import shlex
import shutil
import subprocess

import pytest

from by_hand import use_tool
from upgrade_state import StateStore, checks, lockfiles

pytestmark = pytest.mark.network

PROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.10"
dependencies = ["idna"]
[project.optional-dependencies]
dev = ["iniconfig"]
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
bypass-selection = true
[dependency-groups]
dev = ["sniffio"]
"""

SCRIPT = """\
# /// script
# requires-python = ">=3.10"
# dependencies = ["idna", "iniconfig"]
# ///
"""

SETUP = "from setuptools import setup\nsetup(name='x', install_requires=['idna'])\n"

FILES = {
    "pyproject.toml": PROJECT,
    "tool.py": SCRIPT,
    "requirements.in": "idna\niniconfig\ncolorama ; sys_platform == 'win32'\n",
    "requirements/base.in": "-c limits.in\n-e ./lib\n",
    "requirements/limits.in": "idna<3.11\n",
    "lib/pyproject.toml": PROJECT.replace('"shop"', '"lib"'),
}

PIP_COMPILE = "pip-compile --quiet --strip-extras"
UV = "uv pip compile --quiet"

COMMANDS = [
    f"{PIP_COMPILE}",
    f"{PIP_COMPILE} --extra dev pyproject.toml",
    f"{PIP_COMPILE} --all-extras --generate-hashes -o requirements-x.txt setup.py",
    f"{PIP_COMPILE} --pre --no-annotate -c requirements/limits.in requirements.in",
    f"{PIP_COMPILE} -o requirements/base.txt requirements/base.in",
    f"{PIP_COMPILE} -o requirements.lock requirements.in",
    f"{UV} requirements.in > requirements.txt",
    f"{UV} --universal requirements.in -o requirements.txt",
    f"{UV} --all-extras --generate-hashes pyproject.toml -o requirements-dev.txt",
    f"{UV} --group dev -c requirements/limits.in pyproject.toml -o requirements.lock",
    f"{UV} requirements/base.in -o requirements/base.txt",
    f"{UV} --universal --extra dev pyproject.toml -o pylock.dev.toml",
    "uv lock --quiet --script tool.py",
    "pdm lock --quiet --lockfile pdm.dev.lock --group dev --group :all",
]


@pytest.fixture
def run(monkeypatch):
    """
    Run a command line, or skip the test if its tool is not installed.
    """
    monkeypatch.setenv("PDM_USE_VENV", "0")
    monkeypatch.setenv("PDM_CHECK_UPDATE", "0")

    def run_(directory, line):
        tool = next(word for word in shlex.split(line) if word not in {"cd", ".."})
        use_tool(monkeypatch, tool)
        subprocess.run(["sh", "-c", line], cwd=directory, check=True, timeout=300)

    return run_


@pytest.mark.parametrize("line", COMMANDS)
def test_advice(directory, fill, run, tmp_path, line):
    """
    The command that a check advises gives the packages of the check.
    """
    (directory / "uv.lock").unlink()
    fill(directory, FILES)
    if line.endswith("setup.py"):
        fill(directory, {"setup.py": SETUP})
        (directory / "pyproject.toml").unlink()
    run(directory, line)
    found = (str(path.relative_to(directory)) for path in directory.rglob("*.*"))
    (name,) = filter(lockfiles.format_of, found)
    path = directory / name
    text = re.sub(r"(?m)^idna==\S*", "idna==3.4", path.read_text())
    text = re.sub(r'(name = "idna"\nversion = ")[^"]*', r"\g<1>3.4", text)
    text = re.sub(r"idna-3[.\d]*\d(-py3|\.tar)", r"idna-3.4\1", text)
    path.write_text(text)
    by_hand = tmp_path / "by hand"
    shutil.copytree(directory, by_hand)

    environment = StateStore().environment(directory, name)
    recipe = checks.recipe_for(name, str(directory))
    resolver = recipe.resolver(environment)
    outcome = checks.check(environment, resolver, format=recipe.format)
    assert checks.Outcome("checked") == outcome
    assert text == path.read_text()
    run(by_hand, recipe.upgrade.replace("pdm update", "pdm lock"))

    rows = {u.name: u for u in environment.upgrades()}
    assert ["idna"] == sorted(rows)
    assert ("version", ("3.4",)) == (rows["idna"].kind, rows["idna"].old)
    new = environment.look().kept_lockfile("new")
    packages = [
        sorted(
            (p.name, p.version)
            for p in lockfiles.read(text, format=recipe.format).packages
        )
        for text in (new, (by_hand / name).read_bytes())
    ]
    assert packages[0] == packages[1]
