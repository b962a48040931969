from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from upgrade_state import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from upgrade_state import EnvironmentState

_WORKERS = Path(__file__).with_name("workers.py")

# How long an example takes is a matter of what else the machine does.
settings.register_profile(
    "patient",
    settings.default,
    deadline=None,
    suppress_health_check=[
        *settings.default.suppress_health_check,
        HealthCheck.too_slow,
    ],
)
settings.load_profile("patient")

# Only ends a hang; what is worth a longer one says so.
_LIMIT = 120


@pytest.fixture(autouse=True)
def _plain_surroundings(tmp_path: Path) -> Iterator[None]:
    """
    Switch nothing off, and keep out of the home of whoever runs the tests.

    Whatever a test patches, and takes back, is on top of that.
    """
    with pytest.MonkeyPatch.context() as patch:
        _surround(patch, tmp_path / "home")
        yield


def _surround(patch: pytest.MonkeyPatch, home: Path) -> None:
    for name in (
        "UPGRADE_STATE_DISABLE",
        "NO_UPDATE_NOTIFIER",
        "CI",
        "UPGRADE_STATE_CACHE_DIR",
        "XDG_CACHE_HOME",
    ):
        patch.delenv(name, raising=False)
    patch.setenv("HOME", str(home))


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """
    Let Ctrl-C mean what it does, also where a shell has started this with an &.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    """
    A store that nobody has written to.
    """
    return StateStore(tmp_path / "cache")


@pytest.fixture
def shop(store: StateStore, tmp_path: Path) -> EnvironmentState:
    """
    An environment with a lockfile, of which nothing is known.
    """
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "uv.lock").write_bytes(b"old")
    return store.environment(directory, "uv.lock")


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A uv that only makes its lockfile a line longer.
    """
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "uv").write_text("#!/bin/sh\necho >> uv.lock\n")
    (commands / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def run_at_once() -> Callable[..., list[Any]]:
    """
    Run a function of workers.py in so many processes, let go by a barrier.
    """

    def run(count: int, name: str, *args: object, limit: int = _LIMIT) -> list[Any]:
        done = subprocess.run(
            _command(limit, count, name, args),
            stdout=subprocess.PIPE,
            check=True,
            # The workers end themselves at the limit, together.
            timeout=limit + 30,
        )
        results: list[Any] = json.loads(done.stdout)
        return results

    return run


@pytest.fixture
def holding() -> Callable[..., AbstractContextManager[subprocess.Popen[str]]]:
    """
    Let another process hold something while a `with` statement is executed.
    """

    @contextlib.contextmanager
    def hold(name: str, *args: object) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            _command(_LIMIT, 0, name, args),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                assert "held\n" == process.stdout.readline()
                yield process
            finally:
                process.stdin.close()
                process.wait(_LIMIT)

    return hold


def _command(limit: int, count: int, name: str, args: tuple[object, ...]) -> list[str]:
    arguments = json.dumps(args, default=str)
    return [sys.executable, str(_WORKERS), str(limit), str(count), name, arguments]


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """
    The directory with real pairs of lockfiles, or skip: it is not part of this.
    """
    beside = Path(__file__).parents[2] / "shared" / "lockfiles"
    folder = Path(os.environ.get("UPGRADE_STATE_SAMPLES", beside))
    if not folder.is_dir():
        pytest.skip("no sample lockfiles here (UPGRADE_STATE_SAMPLES)")
    return folder


@pytest.fixture(scope="session")
def samples(sample_folder: Path) -> Callable[[str], tuple[Path, Path]]:
    """
    Give the old and the new lockfile of a sample by name.
    """

    def pair(name: str) -> tuple[Path, Path]:
        (old,) = (sample_folder / name).glob("old.*")
        (new,) = (sample_folder / name).glob("new.*")
        return old, new

    return pair
