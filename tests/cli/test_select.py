import json
import os
from pathlib import Path

import pytest

from upgrade_state import StateStore


@pytest.fixture
def first(checked, shop, commit):
    """
    An environment that comes before the one that is checked, in the same directory.
    """
    (shop / "Cargo.lock").touch()
    environment = StateStore().environment(shop, "Cargo.lock")
    commit(environment, b"version = 4\n", recipe="cargo")
    return environment


def break_record(environment, monkeypatch):
    opened = os.open

    def refuse(path, *more, **others):
        if path == environment.record_path:
            raise PermissionError(13, "Permission denied", path)
        return opened(path, *more, **others)

    monkeypatch.setattr("os.open", refuse)


def break_lock(environment, _):
    path = Path(environment.store._place(), "locks", f"{environment.key}.write")
    path.unlink()
    path.mkdir()


def break_lockfile(environment, _):
    os.truncate(Path(environment.path, environment.lockfile_name), 70 << 20)


class TestTrouble:
    """
    Trouble with one environment of a directory keeps from none of the others.
    """

    @pytest.fixture(autouse=True)
    def _uv(self, shop, tmp_path, monkeypatch):
        for name in ("pyproject.toml", "Cargo.toml"):
            (shop / name).touch()
        (tmp_path / "bin").mkdir()
        for name in ("cargo", "uv"):
            (tmp_path / "bin" / name).write_text("#!/bin/sh\n")
            (tmp_path / "bin" / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    @pytest.mark.parametrize(
        ("break_", "words", "said"),
        [
            (break_record, ("show",), "(uv.lock)\n  checked:"),
            (break_lock, ("snooze", "--for", "1d"), "(uv.lock) is silent until"),
            (break_lock, ("forget",), "(uv.lock) is forgotten\n"),
            (break_lockfile, ("check",), "(uv.lock): no upgrades\n"),
        ],
    )
    def test_others(self, first, request, break_, words, said):
        """
        It is a line, the exit status tells, and the others are done.
        """
        break_(first, request.getfixturevalue("monkeypatch"))

        result = request.getfixturevalue("run")(*words)

        assert 2 == result.status
        assert said in result.out
        assert first.key in result.err or "Cargo.lock" in result.err

    def test_if_due(self, first, checked, run, commit):
        """
        So it is in the background.
        """
        commit(checked, b"", recipe="uv")
        for environment in (first, checked):
            environment.expire()
        break_lockfile(first, None)

        result = run("check", "--if-due", "--json")

        lines = [json.loads(line) for line in result.out.splitlines()]
        assert 2 == result.status
        assert ["uv.lock"] == [fields["lockfile"] for fields in lines]
        assert "Cargo.lock" in result.err
