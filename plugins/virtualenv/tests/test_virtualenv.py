"""
The plugin inside virtualenv, and the activate scripts that it extends.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from situations import Manager, Scene, Situations

if TYPE_CHECKING:
    from upgrade_state import EnvironmentState

# Each shell activates the environment, works in it and leaves it.
SHELLS = {
    "bash": "set -eu; . .venv/bin/activate; echo $VIRTUAL_ENV; deactivate; echo $-",
    "dash": "set -e; . .venv/bin/activate; echo $VIRTUAL_ENV; deactivate; echo $-",
    "zsh": "set -eu; . .venv/bin/activate; echo $VIRTUAL_ENV; deactivate; echo ok",
    "fish": "source .venv/bin/activate.fish; echo $VIRTUAL_ENV; deactivate; echo ok",
}

# Things that a later virtualenv may do differently: it asks an activator for no
# options, and lets its file not be changed.
NEWER = (
    """
from upgrade_state_virtualenv import NoticeActivator
NoticeActivator.add_parser_arguments = lambda *_: None
""",
    """
from virtualenv.create.pyenv_cfg import PyEnvCfg
PyEnvCfg.__setattr__ = lambda c, n, v: 1 / 0 if n == "write" else vars(c).update({n: v})
""",
)

SCRIPTS = ("activate", "activate.fish")


class Virtualenv(Manager):
    """
    The command is an activation: with the plugin of ``.venv``, without of ``.plain``.
    """

    name = "virtualenv"
    environment_name = ".venv"
    checker = "virtualenv's plugin"
    command = ("source", ".venv/bin/activate")
    notice = "1 version change available in '.venv' of 'shop'"

    def make(self, project: Path, index: str, python: str) -> None:
        self.made = project  # the scripts name it
        for name, by in ((".plain", python), (".venv", sys.executable)):
            make = [by, "-m", "virtualenv", "--quiet", str(project / name)]
            subprocess.run(make, check=True)
        pip = [project / ".venv/bin/pip", "install", "--quiet", "--index-url", index]
        subprocess.run([*pip, "thing"], check=True)

    def settle(self, scene: Scene) -> None:
        for script in scene.project.glob(".*/bin/activate*"):
            text = script.read_text()
            script.write_text(text.replace(str(self.made), str(scene.project)))

    def argv(self, python: str, *options: str) -> list[str]:
        name = ".venv" if python == sys.executable else ".plain"
        return ["bash", "-c", '. "$0"/bin/activate; echo done; exit 3', name]

    def measured(self, python: str) -> list[str]:
        return [python, "-m", "virtualenv", "--quiet", "--clear", "made"]

    def variables(self, scene: Scene) -> dict[str, str]:
        return {"PIP_INDEX_URL": scene.index.url}

    def environment(self, scene: Scene) -> EnvironmentState:
        return scene.store.environment(scene.project, name=".venv")

    def switch_off(self, scene: Scene) -> None:
        settings = scene.home / ".config" / "virtualenv" / "virtualenv.ini"
        settings.parent.mkdir(parents=True)
        page = (Path(__file__).parents[1] / "README.md").read_text()
        (line,) = re.findall(r"`(\w+ = true)` in the section `\[virtualenv\]`", page)
        settings.write_text(f"[virtualenv]\n{line}\n")
        create(scene)


MANAGER = Virtualenv()


def create(scene: Scene, *options: str, code: str = "", **variables: str) -> None:
    """
    Make the environment of *scene* again, with the plugin.
    """
    run = (
        f"{code}\nimport runpy\nrunpy.run_module('virtualenv', None, '__main__', True)"
    )
    argv = [sys.executable, "-c", f"{code}\n{run}", "--quiet", *options, ".venv"]
    done = scene.start(argv, **variables).end()
    assert (0, "", "") == (done.status, done.stdout, done.stderr)


def lines(scene: Scene, name: str = "activate") -> list[str]:
    """
    Return the lines of the plugin in one script.
    """
    text = (scene.project / ".venv" / "bin" / name).read_text()
    return [line for line in text.splitlines() if "upgrade_state_virtualenv" in line]


def broken(scene: Scene, old: str, new: str) -> None:
    """
    Replace a text in every activate script.
    """
    for name in SCRIPTS:
        script = scene.project / ".venv" / "bin" / name
        assert old in script.read_text()
        script.write_text(script.read_text().replace(old, new))


class TestVirtualenv(Situations):
    manager = MANAGER

    @pytest.mark.parametrize("name", SCRIPTS)
    def test_one_line(self, scene, name: str):
        """
        A script has one line of the plugin, also if the environment is made again.
        """
        create(scene)
        create(scene)

        assert 1 == len(lines(scene, name))

    @pytest.mark.parametrize("shell", SHELLS)
    def test_shells(self, scene, shell: str):
        """
        Each shell gives the notice, and its user can work, and leave the environment.
        """
        if shutil.which(shell) is None:
            pytest.skip(f"there is no {shell}")
        scene.check()
        argv = [shell, "-c", SHELLS[shell]]

        first, second = scene.start(argv).end(), scene.start(argv).end()

        assert self.manager.notice in first.stderr
        assert "" == second.stderr
        for done in (first, second):
            assert 0 == done.status
            assert [str(scene.project / ".venv")] == done.stdout.splitlines()[:1]
            assert 2 == len(done.stdout.splitlines())

    @pytest.mark.parametrize("shell", SHELLS)
    @pytest.mark.parametrize("part", ["__main__.py", sys.executable])
    def test_uninstalled(self, scene, shell: str, part: str):
        """
        After the plugin or its interpreter was removed, an activation is silent.
        """
        if shutil.which(shell) is None:
            pytest.skip(f"there is no {shell}")
        broken(scene, part, f"{part}-gone")

        done = scene.start([shell, "-c", SHELLS[shell]]).end()

        assert (0, "") == (done.status, done.stderr)
        assert 2 == len(done.stdout.splitlines())

    @pytest.mark.parametrize("shell", SHELLS)
    def test_no_terminal(self, scene, tmp_path: Path, shell: str):
        """
        Without a terminal no interpreter is started.
        """
        if shutil.which(shell) is None:
            pytest.skip(f"there is no {shell}")
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
        program.chmod(0o755)
        broken(scene, sys.executable, str(program))

        for terminal in (False, True):
            scene.start([shell, "-c", SHELLS[shell]], terminal=terminal).end()
            assert terminal is os.path.exists(tmp_path / "started")

    def test_options(self, scene):
        """
        The option and the variable switch the plugin off for a new environment.
        """
        create(scene, "--no-upgrade-notice")
        assert [] == lines(scene)

        create(scene, VIRTUALENV_NO_UPGRADE_NOTICE="1")
        assert [] == lines(scene)

        create(scene)
        assert 1 == len(lines(scene))

    @pytest.mark.parametrize("code", NEWER)
    def test_newer_virtualenv(self, scene, code: str):
        """
        If virtualenv lacks something that the plugin asks for, it does its own work.
        """
        create(scene, "--clear", code=code)

        assert [] == lines(scene)

    def test_fresh_environment(self, scene):
        """
        In an environment without packages, pip is no reason for a check.
        """
        create(scene, "--clear")

        assert "" == scene.run().added
        assert not scene.was_started()

    def test_upgrade(self, scene):
        """
        After the upgrade there is no notice of it.
        """
        scene.check()
        pip = [".venv/bin/python", "-m", "pip", "install", "--quiet", "--upgrade"]
        scene.start([*pip, "thing"]).end()

        assert "" == scene.run().added
        verdict = scene.environment.look(b"thing==1.1\n").verdict()
        assert "upgraded" == verdict.reason

    @pytest.mark.parametrize("path", [":", "."])
    def test_directory_with_code(self, scene, path: str):
        """
        A module in the directory that the user enters is not imported.
        """
        for name in ("upgrade_state", "datetime", "sitecustomize"):
            text = f"open({str(scene.home / 'harm')!r}, 'w')"
            (scene.project / f"{name}.py").write_text(text)

        first = scene.run(PYTHONPATH=path)
        found = scene.wait_for_check()

        assert ("", None) == (first.added, found.failure)
        assert not (scene.home / "harm").exists()

    def test_source_distribution(self, scene, tmp_path: Path):
        """
        A check builds nothing: an index may have other code by the same name.
        """
        code = f"open({str(scene.home / 'harm')!r}, 'w')".encode()
        facts = b"Metadata-Version: 2.1\nName: thing\nVersion: 2.0\n"
        with tarfile.open(tmp_path / "thing-2.0.tar.gz", "w:gz") as archive:
            for name, content in (("setup.py", code), ("PKG-INFO", facts)):
                member = tarfile.TarInfo(f"thing-2.0/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

        scene.run(PIP_FIND_LINKS=str(tmp_path))
        found = scene.wait_for_check()

        assert found.failure is None
        assert b"thing==1.1\n" == scene.environment.kept_lockfile("new")
        assert not (scene.home / "harm").exists()

    def test_leftovers(self, scene):
        """
        A directory of `site-packages` whose name is not one for pip is left out.
        """
        (site,) = scene.project.glob(".venv/lib/python*/site-packages")
        for name in ("~hing-0.9", "-r-1.0", "é-1.0", "thing x-1.0"):
            (site / f"{name}.dist-info").mkdir()

        scene.check()

        assert b"thing==1.0\n" == scene.environment.kept_lockfile("old")

    def test_failure(self, scene):
        """
        The recorded failure is the error of pip, not the last line that it wrote.
        """
        scene.index.is_broken = True
        scene.run()

        message = scene.wait_for_check().failure.message

        assert "Could not find a version that satisfies the requirement" in message
