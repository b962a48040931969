"""
The recipes with stand-ins that behave as the documentation of the tools says.

A stand-in accepts one command line, needs its manifest, asks no question, and
writes the lockfile of an upgrade. test_real_tools.py and test_cargo_recipe.py run
the tools that are installed.
"""

import json
import sys
from pathlib import Path

import pytest

from upgrade_state import Consent, StateStore, checks
from upgrade_state.checks import RECIPES

UV = ("uv.lock", 'version = 1\n[[package]]\nname = "x"\nversion = "{}"\n')
CONDA = """\
version: 1
metadata:
  content_hash: {{}}
  channels: []
  platforms: [linux-64]
  sources: [environment.yml]
package:
- name: x
  version: "{0}"
  manager: conda
  platform: linux-64
  url: https://files.example/x-{0}-0.conda
  hash: {{}}
"""
PIXI = """\
version: 6
environments:
  default:
    channels: []
    packages:
      linux-64:
      - conda: https://files.example/linux-64/x-{0}-0.conda
packages:
- conda: https://files.example/linux-64/x-{0}-0.conda
"""
DEVBOX = """\
{{"lockfile_version": "1", "packages": {{"x@latest": {{"version": "{0}",
"resolved": "github:NixOS/nixpkgs/{1}#x", "source": "devbox-search"}}}}}}
"""
MISE = '[[tools.x]]\nversion = "{0}"\nbackend = "core:x"\n'
SPACK = """\
{{"_meta": {{"file-type": "spack-lockfile", "lockfile-version": 5,
"specfile-version": 4}}, "roots": [{{"hash": "h{0}", "spec": "x"}}],
"concrete_specs": {{"h{0}": {{"name": "x", "version": "{0}", "hash": "h{0}"}}}}}}
"""
FLAKE = """\
{{"nodes": {{"root": {{"inputs": {{"x": "x"}}}}, "x": {{"locked": {{"type": "github",
"owner": "o", "repo": "x", "rev": "{1}", "narHash": "sha256-{0}",
"lastModified": {2}}}, "original": {{"type": "github", "owner": "o", "repo": "x"}}}}}},
"root": "root", "version": 7}}
"""

# The documented arguments, the manifest, and the lockfile of a version.
TOOLS = {
    "conda-lock": ("lock --kind=lock --lockfile=conda-lock.yml", None, CONDA),
    "pixi": ("update --no-install", "pixi.toml", PIXI),
    "pixi-pyproject": ("update --no-install", "pyproject.toml", PIXI),
    "devbox": ("update --no-install", "devbox.json", DEVBOX),
    "mise": ("lock --bump", "mise.toml", MISE),
    "mise-dot": ("lock --bump", ".mise.toml", MISE),
    "spack": ("--env-dir . concretize --force --fresh", "spack.yaml", SPACK),
    "nix": (
        "--extra-experimental-features nix-command flakes flake update --flake path:.",
        "flake.nix",
        FLAKE,
    ),
}


# Variables that must not reach any tool, and those that must not reach one.
ALWAYS = {"VIRTUAL_ENV", "PYENV_DIR", "GIT_DIR"}
OWN = {
    "uv": {"UV_FROZEN", "UV_OFFLINE"},
    "pdm": {"PDM_PROJECT"},
    "pipenv": {"PIPENV_PIPFILE"},
    "pip": {"PIP_REQUIREMENT"},
    "pip-tools": {"PIP_EDITABLE"},
    "npm": {
        "npm_config_workspace",
        "NPM_CONFIG_OFFLINE",
        "NPM_CONFIG_FETCH_RETRY_MINTIMEOUT",
    },
    "cargo": {"CARGO_NET_OFFLINE"},
    "pixi": {"PIXI_FROZEN"},
    "mise": {"MISE_LOCKED"},
    "spack": {"SPACK_ENV"},
}
MISLEADING = ALWAYS.union(*OWN.values())


def lockfile_of(text, version):
    number = int(version[0])
    return text.format(version, f"{number}" * 40, number)


@pytest.fixture
def stand_in(directory, fill, tool):
    """
    Write a stand-in for the tool of a recipe, and an environment for it.
    """

    def make(name):
        recipe = RECIPES[name]
        words, manifest, text = TOOLS[name]
        manifest = manifest or recipe.lockfile
        script = f"""\
#!{sys.executable} -S
import os, sys
if " ".join(sys.argv[1:]) != {words!r}:
    sys.exit("error: unexpected argument")
if not os.path.isfile({manifest!r}):
    sys.exit("error: no manifest")
if sys.stdin.read():
    sys.exit("error: there is input")
if os.path.exists({recipe.lockfile!r}):
    open({recipe.lockfile!r}, "w").write({lockfile_of(text, "2.0")!r})
"""
        tool(recipe.argv[0], script)
        fill(directory, {manifest: "", recipe.lockfile: lockfile_of(text, "1.0")})
        return StateStore().environment(directory, recipe.lockfile)

    return make


class TestStandIns:
    def test_all(self):
        """
        Each recipe is tested with the tool itself or with a stand-in.
        """
        here = Path(__file__).parent
        real = {path.name for path in (here / "real").iterdir()}

        assert RECIPES.keys() == real | TOOLS.keys() | {"cargo"}

    @pytest.mark.parametrize("name", TOOLS)
    def test_upgrade(self, name, stand_in, scratches):
        """
        The command is the documented one; its lockfile is the result.
        """
        if name in {"conda-lock", "pixi", "pixi-pyproject"}:
            pytest.importorskip("yaml")
        environment = stand_in(name)
        lockfile = Path(environment.path, environment.lockfile_name)
        before = lockfile.read_text()
        recipe = checks.recipe_for(environment.lockfile_name, environment.path)
        resolver = recipe.resolver(environment)

        outcome = checks.check(environment, resolver, consent=Consent(recipe.name))
        assert checks.Outcome("checked") == outcome
        assert Consent(name) == environment.look().consent
        assert ["x"] == [u.name for u in environment.upgrades()]
        assert before == lockfile.read_text()
        assert [] == list(scratches.iterdir())

    @pytest.mark.parametrize("name", sorted(TOOLS.keys() - {"conda-lock"}))
    def test_no_manifest(self, name, stand_in):
        """
        A missing manifest is the failure, and no command is run.
        """
        environment = stand_in(name)
        (Path(environment.path) / TOOLS[name][1]).unlink()

        outcome = checks.check(environment, RECIPES[name].resolver(environment))

        assert f"There is no file {TOOLS[name][1]!r} to copy" == outcome.error.message


class TestMissing:
    @pytest.mark.parametrize("name", RECIPES)
    def test_tool(self, name, directory, fill, monkeypatch):
        """
        The failure for a missing tool says which version to install.
        """
        recipe = RECIPES[name]
        monkeypatch.setenv("PATH", str(directory))
        fill(directory, {recipe.manifests[0]: "", recipe.lockfile: ""})
        environment = StateStore().environment(directory, recipe.lockfile)

        outcome = checks.check(
            environment, recipe.resolver(environment), consent=Consent(name)
        )

        line = f"There is no command {recipe.argv[0]!r}; {recipe.needs}"
        assert line == outcome.error.message
        assert line == environment.look().information.failure.message


class TestChanges:
    @pytest.mark.parametrize("name", RECIPES)
    def test_misleading(self, name, directory, fill, tool, monkeypatch):
        """
        Variables that would send a tool to other files or answers do not reach it.
        """
        recipe = RECIPES[name]
        for variable in (*MISLEADING, *recipe.changes):
            monkeypatch.setenv(variable, "misleading")
        tool(
            recipe.argv[0],
            f"#!{sys.executable} -S\nimport json, os\n"
            f"json.dump(dict(os.environ), open({recipe.lockfile!r}, 'w'))\n",
        )
        fill(directory, {recipe.manifests[0]: ""})
        environment = StateStore().environment(directory, recipe.lockfile)

        variables = json.loads(recipe.resolver(environment)(environment, b""))
        changed = {variable: variables.get(variable) for variable in recipe.changes}
        assert recipe.changes == changed
        passed = {v for v, value in variables.items() if value == "misleading"}
        assert set() == passed & {*ALWAYS, *OWN.get(name, ())}
