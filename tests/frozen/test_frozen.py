"""
Managers that are archives or frozen programs.

By default an archive made here and a stand-in for a frozen program are tested;
`nox -s frozen` builds all kinds from the wheel.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

import upgrade_state
from helpers import is_free, log_after_end
from processes import is_gone, marked, wait_for
from upgrade_state import StateStore

HERE = Path(__file__).parent
HOOK = Path(upgrade_state.__path__[0], "_pyinstaller/rthooks/pyi_rth_upgrade_state.py")

# The session builds these.
BUILT = os.environ.get("UPGRADE_STATE_FROZEN", "")
KINDS = ("zipapp.pyz", "shiv.pyz", "pex.pex", "pex-venv.pex")
KINDS += ("onefile", "onedir/onedir")
FROM_WHEELS = [pytest.param(kind, marks=pytest.mark.frozen) for kind in KINDS]

LIBRARIES = ("upgrade_state", "attr", "attrs", "cattr", "cattrs", "filelock")
LIBRARIES += ("platformdirs", "typing_extensions")

MESSAGE = "1 version change available in 'shop'."

# A program that behaves as one that PyInstaller has made.
STAND_IN = """\
#!{python} -IS
import os, runpy, sys
sys.path += {path!r}
sys.frozen, sys._MEIPASS = True, "/bundle"
if os.environ.pop("PYINSTALLER_RESET_ENVIRONMENT", None) or "BUNDLE" not in os.environ:
    libraries = os.environ.pop("LD_LIBRARY_PATH", "")
    os.environ |= dict(BUNDLE="", LD_LIBRARY_PATH_ORIG=libraries)
    os.environ["LD_LIBRARY_PATH"] = "/bundle:" + libraries
sys.executable = os.path.abspath(__file__)
runpy.run_path({hook!r}, run_name="__main__")
import manager
manager.run()
"""


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory):
    """
    An archive and a stand-in for a frozen program.
    """
    place = tmp_path_factory.mktemp("stand-ins")
    source = place / "source"
    source.mkdir()
    for name in LIBRARIES:
        origin = Path(importlib.util.find_spec(name).origin)
        if origin.name == "__init__.py":
            shutil.copytree(origin.parent, source / name)
        else:
            (source / origin.name).write_bytes(origin.read_bytes())
    (source / "manager.py").write_bytes((HERE / "manager.py").read_bytes())
    archive = place / "zipapp"
    zipapp.create_archive(source, archive, sys.executable, "manager:run")
    program = place / "stand-in"
    values = {"path": [str(source)], "hook": str(HOOK)}
    program.write_text(STAND_IN.format(python=sys.executable, **values))
    program.chmod(0o755)
    return place


@pytest.fixture(params=["zipapp", "stand-in", *FROM_WHEELS])
def program(request, stand_ins):
    """
    The path of a program of each kind.
    """
    return Path(BUILT if request.param in KINDS else stand_ins, request.param)


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """
    The directory of an environment, with a uv that finds an upgrade.
    """
    path = tmp_path / "shop"
    path.mkdir()
    (path / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1"\n')
    text = '[[package]]\nname = "attrs"\nversion = "24.1"\n'
    text += 'source = { registry = "https://index.example/simple" }\n'
    (path / "uv.lock").write_text(f'version = 1\nrequires-python = ">=3.11"\n{text}')
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "uv").write_text("#!/bin/sh\nexec sed -i s/24.1/24.3/ uv.lock\n")
    (bin_ / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    monkeypatch.setenv("SECONDS_LEFT", f"{os.getpid()}.{id(path)}")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return path


@pytest.fixture
def shop(directory):
    return StateStore().environment(directory, "uv.lock")


@pytest.fixture
def run(program, directory):
    """
    Run a program; return its answer about the directory, or the command line's output.
    """

    def run_(word, *arguments):
        done = subprocess.run(
            [program, word, *arguments],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            cwd=directory,
            timeout=120,
        )
        return json.loads(done.stdout) if arguments[:1] == (directory,) else done.stdout

    return run_


def parent_of(pid):
    """
    The parent of a process.
    """
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_frozen(program):
    return program.name in ("stand-in", "onefile", "onedir")


class TestLibrary:
    def test_state(self, run, directory):
        """
        A check is committed, announced and forgotten.
        """
        upgrades = [["attrs", ["24.1"], ["24.3"]]]

        assert [True, MESSAGE, upgrades, "snoozed", False] == run("state", directory)

    @pytest.mark.parametrize("program", FROM_WHEELS, indirect=True)
    def test_plugin(self, run, directory):
        """
        Plugins are found by their entry points.
        """
        assert ["attrs"] == run("plugin", directory)
        assert "pins" in run("recipes")

    def test_preload(self, program, directory, tmp_path):
        """
        Preloaded, it needs its own file only to start processes.

        A frozen program is its own Python, which it then lacks.
        """
        # Alone in its directory but for the parts of a frozen program.
        place = program.parent if program.parent.name == "onedir" else program
        copy = tmp_path / place.name
        (shutil.copytree if place.is_dir() else shutil.copy)(place, copy)
        copy = copy / program.name if place.is_dir() else copy
        words = ("preload", directory, copy)
        done = subprocess.run([copy, *words], stdout=subprocess.PIPE, check=True)
        state, command, recipe, start = json.loads(done.stdout)

        assert [True, MESSAGE] == state[:2]
        if is_frozen(program):
            assert command[0] == recipe[0] == "failed"
            assert "Could not start a supervisor for the command" in command[1]
        else:
            assert ["checked", ""] == command == recipe
        if is_frozen(program):
            assert start.startswith("unavailable: There is no such program")
        elif program.name.startswith("zipapp"):
            assert start.startswith("unavailable: Could not start a check (No such")

    def test_removed_environment(self, stand_ins, directory, tmp_path):
        """
        A manager that removes the libraries it runs with needs them only for a start.
        """
        place = tmp_path / "site-packages"
        shutil.copytree(stand_ins / "source", place)
        # Without its own site-packages, this Python has only the copies.
        argv = [sys.executable, "-S", place / "manager.py", "preload", directory]
        libraries = [path for path in place.iterdir() if path.name != "manager.py"]
        done = subprocess.run([*argv, *libraries], stdout=subprocess.PIPE, check=True)
        state, command, recipe, start = json.loads(done.stdout)

        assert [True, MESSAGE] == state[:2]
        assert ["checked", ""] == command == recipe
        assert start.startswith("unavailable: Could not start a check (No such file")


class TestCommand:
    def test_command(self, run, directory):
        """
        A command makes a check, and nothing of it is left.
        """
        assert ["checked", ""] == run("command", directory)
        assert not marked(os.environ["SECONDS_LEFT"])

    def test_variables(self, run, directory):
        """
        A command gets the libraries of the user, not those of the program.
        """
        code = 'echo "error: $LD_LIBRARY_PATH" >&2; exit 1'
        state, error = run("command", directory, code)

        assert "failed" == state
        assert error.partition("error: ")[2].startswith("/opt/lib")

    def test_killed(self, program, directory, tmp_path):
        """
        If the program is killed, its command ends.
        """
        code = f"echo $$ >{tmp_path}/pid; exec sleep 600"
        manager = subprocess.Popen([program, "command", directory, code])
        pid = int(wait_for(tmp_path / "pid"))
        # Not the bootloader of a one-file program, which is the parent of the program.
        os.kill(parent_of(parent_of(pid)), signal.SIGKILL)
        manager.wait()

        assert is_gone(pid)

    def test_recipe(self, run, directory):
        """
        A recipe makes a check.
        """
        assert ["checked", ""] == run("recipe", directory)


class TestStart:
    def test_process(self, run, shop, directory):
        """
        It starts itself as a checker: detached, with a bounded log.
        """
        assert "never-checked: a check is needed" == run("start", directory)
        log = log_after_end(shop)
        facts = json.loads(log.splitlines()[-2])

        assert "fresh" == shop.look().freshness().reason
        assert log.endswith("it ended with exit status 0\n")
        assert 40_000 > len(log)
        assert ("/", "") == (facts["cwd"], facts["input"])
        assert os.getsid(0) != facts["session"]
        bundle = facts["bundle"]
        assert f"{bundle}:/opt/lib".removeprefix(":") == facts["libraries"]

    def test_once(self, run, shop, directory, tmp_path):
        """
        While it runs, no other call starts one.
        """
        run("start", directory, tmp_path / "awaited")

        assert not is_free(shop.log_path)
        assert run("start", directory).startswith("busy")
        (tmp_path / "awaited").touch()
        log_after_end(shop)
        assert shop.look().information is not None


class TestCommandLine:
    def test_hook(self, run, shop, directory):
        """
        The hook finds the program, which starts a check as the user ran it.
        """
        assert "checked" in run("check")
        code = f"{run('hook', 'bash')}\n__upgrade_state_prompt"
        environ = os.environ | {"UPGRADE_STATE_MAX_AGE": "0s"}
        reader, terminal = os.openpty()
        with open(reader, "rb", 0) as output, open(terminal, "wb", 0) as stderr:
            argv = ["bash", "-c", code]
            subprocess.run(argv, check=True, cwd=directory, env=environ, stderr=stderr)
            assert b"1 version change available in 'shop'" in output.read(1000)

        assert " checked\n" in log_after_end(shop)
        assert 2 == shop.look().record["generation"]

    def test_files(self, run, directory):
        """
        It finds its data.
        """
        assert "upgrade-state" in run("completion", "bash")
        assert "poetry" in run("recipes")
        run("check")
        assert "all is well" in run("doctor")
        assert "" == run("prune", "--dry-run")
