import contextlib
import datetime as dt
import os
import pty
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import fuse
import helpers
import upgrade_state
from helpers import DAY, LONG_AGO, fail, log_after_end, refuse_path, uv_lock
from upgrade_state import StateStore
from upgrade_state.cli import main

# Stands in for uv: says that it runs, waits until it may end, and upgrades.
UV = """\
#!/bin/sh
echo ran >> '{runs}'
while [ -e '{hold}' ]; do sleep 0.01; done
sed -i.bak s/3.9/3.10/ uv.lock
"""

# Says in a file that this check has been started.
SITE = """\
import sys
if "--if-due" in sys.orig_argv:
    with open({starts!r}, "a") as file:
        print(*sys.orig_argv[1:], file=file)
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """
    The cache directory of the test.
    """
    # Processes find what this one has found, wherever they start.
    monkeypatch.setenv("PYTHONPATH", str(Path(upgrade_state.__file__).parents[1]))
    path = tmp_path / "cache"
    monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return path


@pytest.fixture
def required():
    """
    Find a program, or skip; where it must be there, as in CI, fail.
    """

    def find(program):
        found = shutil.which(program)
        if found is None and os.environ.get("UPGRADE_STATE_NEEDS_SHELLS"):
            pytest.fail(f"{program} is not installed")
        if found is None:
            pytest.skip(f"{program} is not installed")
        return found

    return find


@pytest.fixture
def mounted():
    """
    Mount an empty file system on a directory, or skip.
    """
    paths = []

    def mount(path):
        path.mkdir(exist_ok=True)
        try:
            fuse.mount("tmpfs", path)
        except OSError as error:
            pytest.skip(f"nothing may be mounted here ({error.strerror})")
        paths.append(path)

    yield mount
    for path in reversed(paths):
        fuse.unmount(path)


@pytest.fixture
def automounter(tmp_path, mounted):
    """
    Mount a directory in which an unknown name takes 0.1 s. `host` is another device.
    """
    path = tmp_path / "net"
    path.mkdir()
    try:
        directory = fuse.SlowDirectory(path, lambda: time.sleep(0.1))
    except OSError as error:
        pytest.skip(f"there is no FUSE here ({error.strerror})")
    try:
        mounted(path / "host")
        (path / "host" / "project").mkdir()
        yield directory
    finally:
        fuse.unmount(path / "host")
        directory.close()


@pytest.fixture
def lock_of():
    """
    Write a small uv.lock.
    """
    return uv_lock


@pytest.fixture
def shop(tmp_path, monkeypatch, lock_of):
    """
    A directory with a lockfile: the current one.
    """
    path = tmp_path / "shop"
    path.mkdir()
    (path / "uv.lock").write_bytes(lock_of(attrs="24.2.0", idna="3.9"))
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def environment(shop):
    return StateStore().environment(shop, "uv.lock")


@pytest.fixture
def checked(environment, lock_of):
    """
    An environment with something to tell.
    """
    commit(environment, lock_of(attrs="24.3.0", idna="3.9"))
    return environment


@pytest.fixture
def failing(environment):
    """
    Let checks of the environment fail so many days ago each; 0: now.
    """

    def fail_(*days):
        now = dt.datetime.now(dt.UTC)
        for before in days:
            fail(environment, at=now - before * DAY)
        return environment

    return fail_


def commit(environment, new, **more):
    assert helpers.commit(environment, new, **({"now": None} | more))


@pytest.fixture(name="commit")
def _commit():
    return commit


class Desk:
    """
    An environment whose user has run the recipe, and whose check is due.
    """

    def __init__(self, environment, place):
        self.environment = environment
        self.runs, self.hold = place / "runs", place / "hold"
        self.starts = place / "starts"
        self.log = Path(environment.log_path)

    def ended(self):
        """
        Wait for the end of what was started, and return its log.
        """
        self.hold.unlink(missing_ok=True)
        return log_after_end(self.environment)

    def is_running(self):
        return self.runs.exists()

    @property
    def generation(self):
        return self.environment.look().information.generation


@pytest.fixture
def desk(environment, commit, lock_of, tmp_path, monkeypatch):
    desk = Desk(environment, tmp_path)
    commands, site = tmp_path / "bin", tmp_path / "site"
    commands.mkdir()
    site.mkdir()
    (commands / "uv").write_text(UV.format(runs=desk.runs, hold=desk.hold))
    (commands / "uv").chmod(0o755)
    (site / "sitecustomize.py").write_text(SITE.format(starts=str(desk.starts)))
    modules = (str(site), os.environ["PYTHONPATH"])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(modules))
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    Path(environment.path, "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    old = lock_of(attrs="24.2.0", idna="3.9")
    commit(environment, old, by="uv", now=LONG_AGO)
    yield desk
    desk.hold.unlink(missing_ok=True)
    if desk.log.exists():
        desk.ended()


@pytest.fixture
def run(capsys):
    """
    Run the command line in this process.
    """

    def run_(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return SimpleNamespace(status=status, out=out, err=err)

    return run_


@pytest.fixture
def start():
    """
    Start the command line as a process of its own.
    """
    processes = []

    def start_(*words, **more):
        more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
        command = [sys.executable, "-m", "upgrade_state", *map(str, words)]
        process = subprocess.Popen(command, text=True, **more)
        processes.append(process)
        return process

    yield start_
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def in_terminal():
    """
    Run Python with a terminal as stderr, and return the output that arrives there.

    Args:
        see: Called with all output so far, again and again.
    """

    def run_(words, *, see=bytes, env=(), stdout=subprocess.DEVNULL):
        ours, theirs = pty.openpty()
        # Variables that make a terminal of everything.
        forcing = {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
        base = {k: v for k, v in os.environ.items() if k not in forcing}
        with subprocess.Popen(
            [sys.executable, *words],
            stdout=theirs if stdout == "terminal" else stdout,
            stderr=theirs,
            env=base | {"TERM": "xterm", "COLUMNS": "500"} | dict(env),
        ) as process:
            os.close(theirs)
            seen = b""
            with contextlib.suppress(OSError):  # the other side is closed
                while data := os.read(ours, 1024):
                    seen += data
                    see(seen)
            os.close(ours)
        assert process.returncode in {0, 1}
        return seen

    return run_


@pytest.fixture
def python():
    """
    Make a command of a few lines of Python.
    """
    return lambda code: ("--", sys.executable, "-S", "-c", code)


@pytest.fixture
def refused():
    """
    Refuse one path to a function of `os` while a `with` statement runs.
    """

    @contextlib.contextmanager
    def refuse(function, path):
        with pytest.MonkeyPatch.context() as patch:
            refuse_path(patch, function.removeprefix("os."), path)
            yield

    return refuse


@pytest.fixture
def as_user():
    """
    Skip where permissions mean nothing.
    """
    if os.geteuid() == 0:
        pytest.skip("root may do everything")
