import os
import shlex
import sys
import time
from pathlib import Path

import pytest

import by_hand
from helpers import uv_lock
from processes import LIMIT
from upgrade_state import StateStore
from upgrade_state.checks import _supervisor
from upgrade_state.exceptions import ResolverError

# The supervisor as a module, so that its coverage is measured.
_MEASURED = f"""
import importlib.util
name, path = "upgrade_state.checks._supervisor", {_supervisor.__file__!r}
spec = importlib.util.spec_from_file_location(name, path)
supervisor = importlib.util.module_from_spec(spec)
spec.loader.exec_module(supervisor)
supervisor.main()
"""

# A fixture replaces it by a stand-in.
PYTHON = sys.executable


@pytest.fixture(autouse=True)
def _quiet_surroundings(monkeypatch, tmp_path):
    for name in ("CI", "NO_UPDATE_NOTIFIER", "UPGRADE_STATE_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def supervisor(monkeypatch, tmp_path_factory):
    """
    Let the supervisor execute some lines of Python before its own.

    A stand-in for this Python does it: the supervisor's options are ``-I -S -c``.
    If coverage is measured, that of the supervisor is, too.
    """

    def start(code):
        path = tmp_path_factory.mktemp("python") / Path(PYTHON).name
        path.write_text(
            "#!/bin/sh\n"
            f'[ "$1 $2 $3" = "-I -S -c" ] || exec {PYTHON} "$@"\n'
            f'shift 4; exec {PYTHON} -c {shlex.quote(code + _MEASURED)} "$@"\n'
        )
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    if "COVERAGE_PROCESS_CONFIG" in os.environ:
        start("")
    return start


@pytest.fixture
def late(monkeypatch):
    """
    Let the time for commands be over once a condition is met, and not before.

    Even on a busy machine the command has done by then all that it was to do.
    """

    def late_(is_so):
        clock = time.monotonic
        begin = clock()
        shift = [0.0]

        def monotonic():
            if is_so() or clock() > begin + LIMIT:
                shift[0] = 1e6
            # It goes on then, for the times that begin later.
            return clock() + shift[0] if shift[0] else begin

        monkeypatch.setattr("time.monotonic", monotonic)

    return late_


@pytest.fixture(name="lock_of")
def _lock_of():
    """
    Write a small uv.lock.
    """
    return uv_lock


@pytest.fixture
def scratches(monkeypatch, tmp_path):
    """
    The directory that scratch directories are made in.
    """
    path = tmp_path / "scratches"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    return path


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "shop"
    path.mkdir()
    (path / "uv.lock").write_bytes(uv_lock(attrs="24.2.0"))
    return path


@pytest.fixture
def environment(directory):
    return StateStore().environment(directory, "uv.lock")


@pytest.fixture
def python():
    """
    Make a command of a few lines of Python.
    """
    return lambda code: (PYTHON, "-S", "-c", code)


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """
    Put an executable script in front of all others on the PATH.

    A script without ``#!`` is one of the shell.
    """
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    monkeypatch.setenv("PATH", str(bin_), prepend=os.pathsep)

    def write(name, script):
        path = bin_ / name
        path.write_text(script if script[:2] == "#!" else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


@pytest.fixture
def use_recipe(monkeypatch, tmp_path_factory):
    """
    Put the real tool of a recipe in front of the PATH, or skip the test.
    """
    caches = tmp_path_factory.getbasetemp() / "caches"
    return lambda name: by_hand.use_recipe(monkeypatch, name, caches)


@pytest.fixture
def fill():
    """
    Write texts to files of a directory, by their paths below it.
    """

    def write(directory, files):
        for name, text in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


@pytest.fixture
def failure(environment):
    """
    Run a command that fails, and return the message.
    """

    def run(command):
        with pytest.raises(ResolverError) as info:
            command(environment, b"old\n")
        return info.value.message

    return run
