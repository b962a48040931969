"""
The plugin inside tox.
"""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

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
