"""
The plugin inside Poetry.
"""

from __future__ import annotations

import venv
from typing import TYPE_CHECKING

from situations import Manager, Scene, Situations, run_in

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11,<4"
dependencies = ["thing"]

[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "local"
url = "{index}"
"""


class Poetry(Manager):
    name = "poetry"
    lockfile = "poetry.lock"
    checker = "the Poetry plugin"
    command = ("run", "python", "-c", "print('done'); raise SystemExit(3)")
    active = (
        ("run", "-v", "true"),
        ("install", "-v"),
        ("sync", "-v"),
        ("env", "activate", "-v"),
    )
    other = (
        ("--version", "-v"),
        ("lock", "-v"),
        ("show", "-v"),
        ("config", "--list", "-v"),
        ("update", "-v"),
    )
    quiet = ("-q",)
    verbose = ("-v",)
    debug = ("-vvv",)
    missing = """\
import poetry.console.application
import cleo.events.console_events as events
del events.COMMAND
"""
    breakage = "from poetry.packages import Locker; del Locker.is_locked"

    def make(self, project: Path, index: str, python: str) -> None:
        (project / "pyproject.toml").write_text(PROJECT.format(index=index))
        (project / "poetry.toml").write_text("[virtualenvs]\nin-project = true\n")
        venv.create(project / ".venv", symlinks=True)
        run_in(project, python, "-m", "poetry", "lock")

    def place(self, scene: Scene) -> Path:
        return scene.project / ".poetry" / "plugins"

    def switch_off(self, scene: Scene) -> None:
        with (scene.project / "poetry.toml").open("a") as file:
            file.write("[upgrade-state]\nenabled = false\n")


MANAGER = Poetry()


class TestPoetry(Situations):
    manager = MANAGER

    def test_variable(self, scene):
        """
        The variable overrides the key; a value that is neither on nor off is named.
        """
        self.manager.switch_off(scene)
        assert "enabled = False: the plugin is off" in scene.run("-v").added
        off = scene.run("-v", POETRY_UPGRADE_STATE_ENABLED="No").added
        assert "= No: the plugin is off" in off
        assert not scene.was_started()

        on = scene.run("-v", POETRY_UPGRADE_STATE_ENABLED="nope").added

        assert "= nope: the plugin is on" in on
        assert scene.was_started()
