"""
The recipes with stand-ins that behave as the tools' documentation says.

A stand-in takes one command line, wants its manifest, asks nobody, and leaves
the lockfile of an upgrade. The tools that are run themselves are in
test_real_tools.py and test_cargo_recipe.py.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from upgrade_state import StateStore, checks
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

# What the documentation calls for, the manifest, and the lockfile for a version.
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


def lockfile_of(text, version):
    number = int(version[0])
    return text.format(version, f"{number}" * 40, number)


@pytest.fixture(name="stand_in")
def _stand_in(tmp_path, monkeypatch):
    """
    Put a stand-in on the path, and its environment beside it.
    """

    def make(name):
        recipe = RECIPES[name]
        words, manifest, text = TOOLS[name]
        bin_, shop = tmp_path / "bin", tmp_path / "shop"
        bin_.mkdir()
        shop.mkdir()
        script = bin_ / recipe.argv[0]
        script.write_text(f"""\
#!{sys.executable} -S
import os, sys
if " ".join(sys.argv[1:]) != {words!r}:
    sys.exit("error: unexpected argument")
if {manifest!r} and not os.path.isfile({manifest!r}):
    sys.exit("error: no {manifest}")
if sys.stdin.read():
    sys.exit("error: somebody answers")
if os.path.exists({recipe.lockfile!r}):
    open({recipe.lockfile!r}, "w").write({lockfile_of(text, "2.0")!r})
""")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(bin_))
        if manifest:
            (shop / manifest).write_text("")
        (shop / recipe.lockfile).write_text(lockfile_of(text, "1.0"))
        return StateStore().environment(shop, recipe.lockfile)

    return make


class TestStandIns:
    def test_all(self):
        """
        Every recipe is run, be it with the tool itself or with a stand-in.
        """
        here = Path(__file__).parent
        real = {path.name for path in (here / "real").iterdir()}

        assert RECIPES.keys() == real | TOOLS.keys() | {"cargo"}

    @pytest.mark.parametrize("name", TOOLS)
    def test_upgrade(self, name, stand_in, scratches):
        """
        The command is the documented one, and its lockfile is the result.
        """
        if name in {"conda-lock", "pixi", "pixi-pyproject"}:
            pytest.importorskip("yaml")
        environment = stand_in(name)
        before = (Path(environment.path) / environment.lockfile_name).read_text()
        recipe = checks.recipe_for(environment.lockfile_name, environment.path)

        outcome = checks.check(
            environment, recipe.resolver(environment), recipe=recipe.name
        )

        assert checks.Outcome("checked") == outcome
        assert name == environment.look().information.recipe
        assert ["x"] == [u.name for u in environment.upgrades()]
        assert (
            before == (Path(environment.path) / environment.lockfile_name).read_text()
        )
        assert [] == list(scratches.iterdir())

    @pytest.mark.parametrize("name", sorted(TOOLS.keys() - {"conda-lock"}))
    def test_no_manifest(self, name, stand_in):
        """
        Without its manifest nothing is run, and that is said.
        """
        environment = stand_in(name)
        (Path(environment.path) / TOOLS[name][1]).unlink()

        outcome = checks.check(environment, RECIPES[name].resolver(environment))

        assert f"There is no file {TOOLS[name][1]!r} to copy" == outcome.error.message


class TestMissing:
    @pytest.mark.parametrize("name", RECIPES)
    def test_tool(self, name, tmp_path, monkeypatch):
        """
        Whoever has not got the tool is told what to install.
        """
        recipe = RECIPES[name]
        monkeypatch.setenv("PATH", str(tmp_path))
        (tmp_path / recipe.manifests[0]).write_text("")
        (tmp_path / recipe.lockfile).write_text("")
        environment = StateStore(tmp_path / "c").environment(tmp_path, recipe.lockfile)

        outcome = checks.check(environment, recipe.resolver(environment), recipe=name)

        line = f"There is no command {recipe.argv[0]!r}; {recipe.needs}"
        assert line == outcome.error.message
        assert line == environment.look().information.failure.message


class TestChanges:
    @pytest.mark.parametrize(
        ("name", "variable"),
        [
            ("uv", "UV_FROZEN"),
            ("poetry", "VIRTUAL_ENV"),
            ("poetry", "PYENV_DIR"),
            ("uv", "UV_OFFLINE"),
            ("pdm", "PDM_PROJECT"),
            ("pipenv", "PIPENV_PIPFILE"),
            ("pip", "PIP_REQUIREMENT"),
            ("pip-tools", "PIP_EDITABLE"),
            ("npm", "npm_config_workspace"),
            ("npm", "NPM_CONFIG_OFFLINE"),
            ("npm", "NPM_CONFIG_FETCH_RETRY_MINTIMEOUT"),
            ("cargo", "CARGO_NET_OFFLINE"),
            ("pixi", "PIXI_FROZEN"),
            ("mise", "MISE_LOCKED"),
            ("spack", "SPACK_ENV"),
        ],
    )
    def test_misleading(self, name, variable, tmp_path, monkeypatch):
        """
        Variables that would lead a tool elsewhere do not reach it.
        """
        recipe = RECIPES[name]
        script = tmp_path / "bin" / recipe.argv[0]
        script.parent.mkdir()
        script.write_text(
            f"#!{sys.executable} -S\nimport json, os\n"
            f"json.dump(dict(os.environ), open({recipe.lockfile!r}, 'w'))\n"
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)
        monkeypatch.setenv(variable, "1")
        (tmp_path / recipe.manifests[0]).write_text("")
        environment = StateStore().environment(tmp_path, recipe.lockfile)

        seen = json.loads(recipe.resolver(environment)(environment, b""))

        assert variable not in seen
        for changed, value in recipe.changes.items():
            assert value == seen.get(changed)
