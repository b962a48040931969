import sys

import pytest

from upgrade_state import StateStore


def lock_of(**versions):
    """
    Write a small uv.lock.
    """
    packages = "".join(
        f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
        'source = { registry = "https://index.example/simple" }\n'
        for name, version in versions.items()
    )
    return f'version = 1\nrequires-python = ">=3.11"\n{packages}'.encode()


@pytest.fixture(autouse=True)
def _quiet_surroundings(monkeypatch, tmp_path):
    for name in ("CI", "NO_UPDATE_NOTIFIER", "UPGRADE_STATE_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture(name="lock_of")
def _lock_of():
    return lock_of


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
    (path / "uv.lock").write_bytes(lock_of(attrs="24.2.0"))
    return path


@pytest.fixture
def environment(directory):
    return StateStore().environment(directory, "uv.lock")


@pytest.fixture
def python():
    """
    Make a command of a few lines of Python.
    """
    return lambda code: (sys.executable, "-S", "-c", code)
