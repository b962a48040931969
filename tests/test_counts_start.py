"""
Hold the work of `start_check` and of the process that it starts by counts.
"""

from __future__ import annotations

import fcntl
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from counting import counts, instructions, names, system_calls
from helpers import commit, place_of, run_python
from upgrade_state import _background

if TYPE_CHECKING:
    from upgrade_state import EnvironmentState

# The log relative to its directories, and its lock.
LOCK = Counter(open=3, fstat=2, geteuid=2, close=3, flock=1)

START = "freshness = shop.start_check(['/bin/true'], max_age=always)"

SETUP = """
import datetime as dt, fcntl
from upgrade_state import StateStore, _background, _durations
shop = StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock")
always = dt.timedelta()
os.posix_spawn = lambda *_, **__: os.getppid()  # one system call, and no process
"""


def calls(shop: EnvironmentState, code: str) -> list[str]:
    return system_calls(code, *place_of(shop), setup=SETUP)


def write_log(shop: EnvironmentState, text: str) -> str:
    path = Path(shop.log_path or "")
    path.touch(0o600)
    path.write_text(text)
    return str(path)


@pytest.fixture
def fresh(shop: EnvironmentState) -> EnvironmentState:
    commit(shop, now=None)
    return shop


class TestStart:
    def test_not_due(self, fresh):
        """
        If no check is due, it makes the calls of the question, and no other.
        """
        asked = calls(fresh, "shop.look().freshness()")
        started = calls(fresh, "shop.start_check(['/bin/true'])")

        assert names(asked) == names(started)

    def test_running(self, fresh):
        """
        While a check runs, the lock is tried, and nothing is prepared for a start.
        """
        with open(write_log(fresh, "")) as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            found = counts(calls(fresh, START))
            assert counts(calls(fresh, "shop.look()")) + LOCK == found

    def test_starts(self, fresh):
        """
        A start reads the record twice, and looks for its program and this library.
        """
        write_log(fresh, "2026-11-20T12:00:00Z a check was started\n")
        look, found = (counts(calls(fresh, code)) for code in ("shop.look()", START))

        prepared = Counter(pread64=1, stat=2, access=1, write=1, getppid=1)
        prepared["ftruncate"] = 1
        # The descriptors that the process would inherit; one call asks about each.
        listed = Counter(open=1, fstat=1, getdents64=2, close=1)
        listed["fcntl"] = found["fcntl"]
        assert look + LOCK + look + prepared + listed == found


def test_notify_while_one_runs(fresh):
    """
    While a check runs, `notify --check` loads no library and no typed record.
    """
    commit(fresh, now=None, by="uv")
    code = (
        "import sys\nbefore = set(sys.modules)\n"
        "from upgrade_state.cli import main\n"
        "cache, directory = sys.argv[1:]\n"
        "main(['notify', '--check', '--max-age=0s', '--cache-dir', cache, directory])\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    with open(write_log(fresh, "")) as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        loaded = set(run_python(code, *place_of(fresh), measured=False).split())

    assert "upgrade_state._background" in loaded
    assert set() == loaded & {"attr", "cattrs", "datetime", "json", "re", "typing"}


class TestLogRunner:
    def wrapper(self, *program: str) -> list[str]:
        return [str(word) for word in (*_background._wrapper(), *program)]

    def test_modules(self, tmp_path):
        """
        The process around a check loads five modules beyond a bare interpreter's.
        """
        code = (
            "import os, sys\nbefore = set(sys.modules)\n"
            "os.dup2(os.open(sys.argv[2], os.O_RDWR | os.O_CREAT), 2)\n"
            "sys.path.append(sys.argv[1])\n"
            "from upgrade_state import _log_runner\n"
            "_log_runner.main(['/bin/true'])\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        here = self.wrapper()[-1]
        loaded = run_python(code, here, str(tmp_path / "log"), measured=False)

        ours = {"", "._log_runner", "._programs", "._redact"}
        allowed = {f"upgrade_state{name}" for name in ours} | {"select"}
        assert allowed >= set(loaded.split())

    def test_instructions(self):
        """
        It takes less than an interpreter that runs nothing.
        """
        bare = instructions([sys.executable, "-I", "-c", "pass"])
        isolated = instructions([sys.executable, "-I", "-S", "-c", "pass"])
        ours = instructions(self.wrapper("/bin/true"))

        assert ours < bare
        assert 1.2 > ours / isolated
