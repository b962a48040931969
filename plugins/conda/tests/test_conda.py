"""
The plugin inside conda, and the scripts for activations.

conda is in no package index. Unless the interpreter has it, a stand-in with its
documented interface for plugins takes its place.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from situations import Done, Manager, Scene, Situations

CONFIGURATION = """\
channels: [{channel}]
default_channels: []
solver: classic
auto_update_conda: false
aggressive_update_packages: []
"""

# As conda writes it after `conda create thing=1.0`.
HISTORY = """\
==> 2026-11-20 08:00:00 <==
# cmd: conda create thing=1.0
# conda version: 26.7.0
+noarch::thing-1.0-0
# update specs: ['thing']
"""

# Each shell does what conda makes it do on an activation.
SHELLS = {
    "bash": 'set -eu; . "$0"/upgrade-state.sh; echo ok',
    "dash": 'set -eu; . "$0"/upgrade-state.sh; echo ok',
    "zsh": 'set -eu; . "$0"/upgrade-state.sh; echo ok',
    "fish": "source $argv[1]/upgrade-state.fish; and echo ok",
}


class Conda(Manager):
    name = "conda"
    lockfile = "conda-meta/history"
    checker = "the conda plugin"
    command = ("list", "--prefix", ".")
    quiet = ("--json",)
    missing = "import conda.plugins.types as m; del m.CondaSetting"
    breakage = "import conda.plugins.types as m; del m.CondaPreCommand"
    if not getattr(importlib.util.find_spec("conda"), "origin", None):
        stand_in = Path(__file__).parent / "standin"

    def make(self, project: Path, index: str, python: str) -> None:
        package = {"name": "thing", "version": "1.0", "build": "0", "build_number": 0}
        package |= {"channel": "local", "subdir": "noarch", "noarch": "generic"}
        package |= {"fn": "thing-1.0-0.tar.bz2", "url": "", "depends": [], "files": []}
        (project / "conda-meta").mkdir()
        (project / "conda-meta" / "thing-1.0-0.json").write_text(json.dumps(package))
        (project / "conda-meta" / "history").write_text(HISTORY)

    def settle(self, scene: Scene) -> None:
        channel = scene.index.url.replace("/simple/", "/conda")
        text = CONFIGURATION.format(channel=channel)
        (scene.home / ".condarc").write_text(text)

    def argv(self, python: str, *options: str) -> list[str]:
        return [python, "-m", "conda", *self.command, *options]

    def variables(self, scene: Scene) -> dict[str, str]:
        return {"PYTHONPATH": str(self.stand_in)} if self.stand_in else {}

    def switch_off(self, scene: Scene) -> None:
        # As `conda config --set plugins.upgrade_notice false` does it.
        with (scene.home / ".condarc").open("a") as file:
            file.write("plugins:\n  upgrade_notice: false\n")


MANAGER = Conda()


def activate(scene: Scene, shell: str = "bash", **variables: str) -> Done:
    """
    Run the script of the plugin in one shell, at a terminal.
    """
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    scripts = f"{sys.prefix}/etc/conda/activate.d"
    given = {"CONDA_PREFIX": str(scene.project), "CONDA_PYTHON_EXE": sys.executable}
    argv = [shell, "-c", SHELLS[shell], scripts]
    done = scene.start(argv, **{**given, **variables}).end()
    assert (0, "ok\n") == (done.status, done.stdout), done
    return done


class TestConda(Situations):
    manager = MANAGER

    def test_upgraded(self, scene):
        """
        After the upgrade there is no notice of it, and a check is due.
        """
        scene.check()
        with (scene.project / "conda-meta" / "history").open("a") as file:
            file.write(HISTORY.replace("1.0", "1.1").replace("create", "update"))

        assert "" == scene.run().added
        assert "lockfile-changed" == scene.environment.look().verdict().reason

    @pytest.mark.parametrize("shell", SHELLS)
    def test_activation(self, scene, shell: str):
        """
        An activation starts a check, the second gives the notice, the third is silent.
        """
        first = activate(scene, shell)
        found = scene.wait_for_check()
        second, third = activate(scene, shell), activate(scene, shell)

        assert ("", None) == (first.stderr, found.failure)
        assert self.manager.notice in second.stderr
        assert "" == third.stderr

    @pytest.mark.parametrize("shell", SHELLS)
    @pytest.mark.parametrize("python", ["", "/nowhere/python", "/bin/false"])
    def test_activation_without_plugin(self, scene, shell: str, python: str):
        """
        Without conda's interpreter, or without the plugin in it, there is silence.
        """
        assert "" == activate(scene, shell, CONDA_PYTHON_EXE=python).stderr

    @pytest.mark.parametrize("shell", SHELLS)
    @pytest.mark.parametrize("place", ["~", "CONDARC", "prefix", "root"])
    def test_activation_switched_off(self, scene, shell: str, place: str):
        """
        The key in a file of conda also silences an activation.
        """
        root = scene.home / "conda"
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "python").symlink_to(sys.executable)
        folders = {"~": scene.home, "prefix": scene.project, "root": root}
        file = folders.get(place, root / "x") / ".condarc"
        file.parent.mkdir(exist_ok=True)
        file.write_text("plugins:\n  upgrade_notice: false\n")
        given = {"CONDA_PYTHON_EXE": str(root / "bin" / "python")}
        if place == "CONDARC":
            given["CONDARC"] = str(file)

        assert "" == activate(scene, shell, **given).stderr
        assert not scene.was_started()

    def test_activation_elsewhere(self, scene, tmp_path: Path):
        """
        A module in the working directory is not imported.
        """
        (scene.project / "upgrade_state_conda.py").write_text("print('harm')")
        (scene.project / "upgrade_state.py").write_text("print('harm')")

        assert "" == activate(scene).stderr
        assert scene.wait_for_check().failure is None

    def test_bare_activation(self, scene):
        """
        In a CI, and outside of a terminal, an activation is silent.
        """
        scene.check()
        scripts = f"{sys.prefix}/etc/conda/activate.d"
        given = {"CONDA_PREFIX": str(scene.project), "CONDA_PYTHON_EXE": sys.executable}
        argv = ["bash", "-c", SHELLS["bash"], scripts]

        piped = scene.start(argv, terminal=False, **given).end()

        assert ("ok\n", "") == (piped.stdout, piped.stderr)
        assert "" == activate(scene, CI="1").stderr
        assert self.manager.notice in activate(scene).stderr
