"""
The plugin inside PDM.
"""

from __future__ import annotations

import sys
import venv
from pathlib import Path

from situations import Manager, Scene, Situations, run_in

PROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = ["thing"]

[tool.pdm]
distribution = false

[[tool.pdm.source]]
name = "pypi"
url = "{index}"
"""


class PDM(Manager):
    name = "pdm"
    lockfile = "pdm.lock"
    checker = "the PDM plugin"
    command = ("run", "python", "-c", "print('done'); raise SystemExit(3)")
    active = (
        ("run", "-v", "true"),
        ("install", "-v"),
        ("sync", "-v"),
        ("venv", "activate", "-v"),
    )
    other = (
        ("--version",),
        ("lock", "-v"),
        ("list", "-v"),
        ("config", "-v"),
        ("update", "-v"),
    )
    quiet = ("-q",)
    verbose = ("-v",)
    debug = ("-vv",)
    missing = "import pdm.signals; del pdm.signals.pre_invoke"
    # The signal comes without its arguments.
    breakage = """\
from pdm.cli.hooks import HookManager
emit = HookManager.try_emit
HookManager.try_emit = lambda self, name, **_: emit(self, name)
"""

    def argv(self, python: str, *options: str) -> list[str]:
        return [python, "-m", "pdm", "run", *options, *self.command[1:]]

    def make(self, project: Path, index: str, python: str) -> None:
        (project / "pyproject.toml").write_text(PROJECT.format(index=index))
        venv.create(project / ".venv", symlinks=True)
        run_in(project, python, "-m", "pdm", "lock")

    def variables(self, scene: Scene) -> dict[str, str]:
        return {"PDM_CHECK_UPDATE": "false"}

    def place(self, scene: Scene) -> Path:
        code = "from pdm.core import Core; print(Core().create_project('.')"
        code += ".project_plugins_dir)"
        done = scene.start([scene.bare, "-c", code]).end()
        python = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return Path(done.stdout.strip(), "lib", python, "site-packages")

    def switch_off(self, scene: Scene) -> None:
        with (scene.project / "pyproject.toml").open("a") as file:
            file.write("\n[tool.pdm.upgrade-state]\nenabled = false\n")


MANAGER = PDM()


class TestPDM(Situations):
    manager = MANAGER

    def test_variable(self, scene):
        """
        The variable overrides the key; a value that is neither on nor off is named.
        """
        off = scene.run("-v", PDM_UPGRADE_STATE_ENABLED="No").added
        assert "= No: the plugin is off" in off
        assert not scene.was_started()
        self.manager.switch_off(scene)
        assert "= False: the plugin is off" in scene.run("-v").added

        on = scene.run("-v", PDM_UPGRADE_STATE_ENABLED="nope").added

        assert "= nope: the plugin is on" in on
        assert scene.was_started()
