from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import helpers
from database import (  # noqa: F401
    database,
    name_of,
    own,
    patience,
    pooler,
    schema,
    server,
)
from upgrade_state import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from database import Server
    from upgrade_state import EnvironmentState

# The duration of an example depends on the load of the machine.
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


@pytest.fixture(autouse=True)
def _plain_surroundings(tmp_path: Path) -> Iterator[None]:
    """
    Unset every switch and the terminal's variables, and replace the home directory.

    A test's own patches come on top, and can be undone without undoing these.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "UPGRADE_STATE_DISABLE",
            "NO_UPDATE_NOTIFIER",
            "CI",
            "UPGRADE_STATE_CACHE_DIR",
            "XDG_CACHE_HOME",
            "COLUMNS",
            "FORCE_COLOR",
            "NO_COLOR",
        ):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(tmp_path / "home"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """
    Handle SIGINT and SIGHUP, which a shell's ``&`` and ``nohup`` ignore.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """
    An empty directory.
    """
    path = tmp_path / "place"
    path.mkdir()
    return path


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    """
    A store in which nothing was written.
    """
    return StateStore(tmp_path / "cache")


@pytest.fixture
def records(server: Server, schema: str) -> str:  # noqa: F811
    """
    The URL of a database with the schema, without a record.
    """
    server.sql("truncate upgrade_state.records", name_of(schema))
    return schema


@pytest.fixture(params=["files", pytest.param("records", marks=pytest.mark.database)])
def any_store(request: pytest.FixtureRequest) -> StateStore:
    """
    The store of `store`, and one in a database.
    """
    if request.param == "records":
        return StateStore(request.getfixturevalue("records"))
    return StateStore(request.getfixturevalue("tmp_path") / "cache")


@pytest.fixture
def shop(store: StateStore, tmp_path: Path) -> EnvironmentState:
    """
    An environment with the lockfile "old" and without a record.
    """
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "uv.lock").write_bytes(b"old")
    return store.environment(directory, "uv.lock")


@pytest.fixture
def checked(shop: EnvironmentState) -> EnvironmentState:
    """
    The same after a check at noon, which found one upgrade.
    """
    assert helpers.commit(shop, upgrades=helpers.ROWS)
    return shop


@pytest.fixture
def failing(shop: EnvironmentState) -> EnvironmentState:
    """
    An environment whose checks have failed for nine days.
    """
    for days in (9, 5, 0):
        helpers.fail(shop, at=helpers.NOON - days * helpers.DAY)
    return shop


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
def run_at_once() -> Callable[..., list[object]]:
    return helpers.run_at_once


@pytest.fixture(scope="session")
def sample_folder() -> Path:
    """
    The directory of real pairs of lockfiles; skip without it.
    """
    beside = Path(__file__).parents[2] / "shared" / "lockfiles"
    folder = Path(os.environ.get("UPGRADE_STATE_SAMPLES", beside))
    if not folder.is_dir():
        pytest.skip("no sample lockfiles here (UPGRADE_STATE_SAMPLES)")
    return folder


@pytest.fixture(scope="session")
def samples(sample_folder: Path) -> Callable[[str], tuple[Path, Path]]:
    """
    Return the old and the new lockfile of a sample by name.
    """

    def pair(name: str) -> tuple[Path, Path]:
        (old,) = (sample_folder / name).glob("old.*")
        (new,) = (sample_folder / name).glob("new.*")
        return old, new

    return pair
