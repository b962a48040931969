"""
The plugin inside tox.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from situations import Done, Manager, Scene, Situations

if TYPE_CHECKING:
    from pathlib import Path

    from upgrade_state import EnvironmentState

CONFIGURATION = """\
[tox]
env_list = py
skipsdist = true

[testenv]
set_env = PIP_INDEX_URL = {index}
deps = thing
commands = python -c "print('done'); raise SystemExit(3)"
"""

LIBRARY = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "lib"
version = "1"
"""


class Tox(Manager):
    name = "tox"
    environment_name = "py"
    checker = "the tox plugin"
    command = ("run", "-e", "py")
    notice = "1 version change available in 'py' of 'shop'"
    debug = ("-vvv",)
    breakage = (
        "from tox.tox_env.python.virtual_env.api import VirtualEnv\n"
        "VirtualEnv.env_site_package_dir = None"
    )

    def make(self, project: Path, index: str, python: str) -> None:
        (project / "tox.ini").write_text(CONFIGURATION.format(index=index))
        argv = [python, "-m", "tox", "run", "--notest"]
        subprocess.run(argv, cwd=project, check=True)

    def argv(self, python: str, *options: str) -> list[str]:
        # Without either, tox prints times.
        return [python, "-m", "tox", *self.command, *(options or ("-qq",))]

    def stable(self, stdout: str) -> str:
        return re.sub(r"\d+\.\d+ seconds|pid=\d+", "", stdout)

    def environment(self, scene: Scene) -> EnvironmentState:
        return scene.store.environment(scene.project, name="py")

    def switch_off(self, scene: Scene) -> None:
        path = scene.project / "tox.ini"
        text = path.read_text().replace("[tox]", "[tox]\nupgrade_notice = false")
        path.write_text(text)


MANAGER = Tox()


class TestTox(Situations):
    manager = MANAGER

    def test_upgrade(self, scene):
        """
        After `tox -r` there is no notice of the upgrade that it made.
        """
        scene.check()
        scene.start(["rm", "-r", ".tox"]).end()

        assert "" == scene.compare(scene.plain(), self.recreate(scene)).added
        verdict = scene.environment.look(b"thing==1.1\n").verdict()
        assert "upgraded" == verdict.reason

    def test_required_by_project(self, scene):
        """
        In the tox that a project has made for itself, the plugin does nothing.
        """
        prefix = str(scene.project / ".tox" / ".tox")
        code = f"import sys, runpy; sys.prefix = {prefix!r}\n"
        code += "runpy.run_module('tox', None, '__main__', True)"
        argv = [sys.executable, "-c", code, *self.manager.argv(sys.executable)[3:]]

        done = scene.compare(scene.plain(), scene.start(argv).end())

        assert "" == done.added
        assert not scene.was_started()

    def recreate(self, scene: Scene) -> Done:
        """
        Run tox until the packages are installed again.
        """
        argv = self.manager.argv(sys.executable, "-qqr")
        return scene.start(argv).end()

    def test_local_requirement(self, scene):
        """
        A check builds no local project, which would leave files in it.
        """
        code = "def get_requires_for_build_wheel(_=None):\n    open('harm', 'w')\n"
        library = scene.project / "lib"
        library.mkdir()
        (library / "backend.py").write_text(code)
        (library / "pyproject.toml").write_text(LIBRARY)
        env = scene.project / ".tox" / "py"
        path = env / ".tox-info.json"
        info = json.loads(path.read_text())
        url = f"lib @ {library.as_uri()}"
        info["PythonRun"]["deps"]["requirements"] += ["./lib", "-e ./lib", url]
        path.write_text(json.dumps(info))
        (site,) = env.glob("lib/python*/site-packages")
        (site / "~hing-0.9.dist-info").mkdir()

        paths = [str(env), str(env / "bin" / "python"), str(site)]
        check = ["-m", "upgrade_state_tox", str(scene.project), "py", *paths]
        done = scene.start([sys.executable, *check]).end()

        assert (0, "", "") == (done.status, done.stdout, done.stderr)
        assert b"thing==1.0\n" == scene.environment.kept_lockfile("old")
        assert b"thing==1.1\n" == scene.environment.kept_lockfile("new")
        assert not (library / "harm").exists()

    @pytest.mark.parametrize(
        ("value", "checks"), [("off", False), ("yes", True), ("nope", True)]
    )
    def test_switch(self, scene, value: str, *, checks: bool):
        """
        A value of the key that says neither on nor off changes nothing, and is named.
        """
        path = scene.project / "tox.ini"
        text = path.read_text().replace("[tox]", f"[tox]\nupgrade_notice = {value}")
        path.write_text(text)

        done = scene.start(self.manager.argv(sys.executable, "-vvv")).end()

        assert f"Switch: upgrade_notice = {value}" in done.stdout + done.stderr
        assert checks is scene.was_started()
