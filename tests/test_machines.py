"""
Many machines with stores of their own share the results of their checks.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import runpy
import select
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from database import directory, name_of, running_server
from helpers import run_at_once, uv_lock, wait_until
from upgrade_state import StateStore, checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from database import Server

SIMULATION = runpy.run_path(
    str(Path(__file__).parents[1] / "benchmarks" / "machines.py")
)


def simulated(machines):
    """
    Simulate two days of some machines with ten projects, alone and shared.
    """
    terms = SIMULATION["Terms"](machines=machines, days=2, projects=10)
    return SIMULATION["simulated"](terms)


class TestSimulation:
    def test_shared_results(self):
        """
        Shared results replace most checks, and no check is made twice at once.
        """
        alone, shared = simulated(200)

        assert shared.checks < alone.checks / 10
        assert shared.most_at_once < alone.most_at_once
        assert shared.most_of_one == 1 < alone.most_of_one
        assert statistics.fmean(shared.ages) < 1.25 * statistics.fmean(alone.ages)
        assert alone.requests.total() == 0 < shared.requests.total()
        # Every machine asks, and every question is answered by a check.
        assert shared.requests.total() > alone.checks / 2
        assert len(shared.questions) <= shared.checks

    def test_more_machines(self):
        """
        Three times as many machines make hardly more shared checks, and a seed counts.
        """
        few, many, again = simulated(100), simulated(300), simulated(100)

        assert many[0].checks > 2.5 * few[0].checks
        assert many[1].checks < 1.5 * few[1].checks
        assert [each.requests for each in few] == [each.requests for each in again]


LOCKFILE = uv_lock(idna="1.0").decode()

# It counts its runs, and waits for a file.
TOOL = """\
#!/bin/sh
case $1 in --version) echo "uv 1.2"; exit;; esac
echo run >>{place}/runs
until [ -e {place}/go ]; do sleep 0.05; done
sed -i.bak 's/"1.0"/"1.1"/' uv.lock
rm uv.lock.bak
"""


class Machines:
    """
    Machines that have the same project and the same tool.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.project = place / "shop"
        self.project.mkdir()
        (self.project / "uv.lock").write_text(LOCKFILE)
        (self.project / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
        (place / "bin").mkdir()
        (place / "bin" / "uv").write_text(TOOL.format(place=place))
        (place / "bin" / "uv").chmod(0o755)

    def go(self) -> None:
        """
        Let the tool end, in this run and in all later ones.
        """
        (self.place / "go").touch()

    @property
    def runs(self) -> int:
        """
        How often the tool has been run.
        """
        path = self.place / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def check(self, machine: str, *options: str, **env: str) -> subprocess.Popen[str]:
        """
        Start a check by the command line on one machine.
        """
        env |= {"UPGRADE_STATE_CACHE_DIR": str(self.place / machine)}
        argv = [sys.executable, "-m", "upgrade_state", "check", "--once", *options]
        return subprocess.Popen(
            [*argv, str(self.project)],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def notice(self, machine: str) -> str:
        """
        Claim the notice of one machine.
        """
        store = StateStore(self.place / machine)
        return store.environment(self.project, "uv.lock").claim_notice().message


@pytest.fixture
def machines(tmp_path, monkeypatch):
    made = Machines(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    return made


@pytest.fixture
def results(database):
    """
    The URL of a database with the schema.
    """
    from upgrade_state._postgresql._connection import create  # noqa: PLC0415

    create(database)
    return database


NOTICE = "1 version change available in 'shop'."
LATE = "did not answer in time"


@pytest.mark.database
class TestManyMachines:
    def test_one_check(self, machines):
        """
        Of 200 machines that check one project at once, one runs the tool.
        """
        from upgrade_state._postgresql._connection import create  # noqa: PLC0415

        with running_server(connections=250) as server:
            place = server.url(server.database())
            create(place)
            machines.go()
            found = run_at_once(
                200, "check_copy", place, machines.place, machines.project
            )

        times = [last_checked for *_, last_checked in found]
        assert [["checked", None, NOTICE]] * 200 == [each[:3] for each in found]
        assert 1 == machines.runs
        assert 199 == sum(is_shared for *_, is_shared, _ in found)
        # The answer comes with its age, within 4 seconds, in whole seconds.
        assert max(times) - min(times) <= 5


@contextlib.contextmanager
def proxy(server: Server, *, is_closing: bool) -> Iterator[str]:
    """
    Relay connections to a server, and stall, or close each, when its client asks.
    """
    with directory() as place, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}/.s.PGSQL.5432")
        listener.listen()

        def relay() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:  # closed
                    return
                with client, socket.socket(socket.AF_UNIX) as back:
                    back.connect(f"{server.place}/.s.PGSQL.5432")
                    copy(client, back)
                    if not is_closing:
                        client.recv(1)  # until the client goes

        def copy(client: socket.socket, back: socket.socket) -> None:
            ends = {client: back, back: client}
            while True:
                for end in select.select([*ends], [], [])[0]:
                    data = end.recv(1 << 16)
                    if not data or b"upgrade_state.ask" in data:
                        return
                    ends[end].sendall(data)

        threading.Thread(target=relay, daemon=True).start()
        yield str(place)


@pytest.mark.database
class TestTrouble:
    @pytest.fixture
    def place(self, request, server, results):
        """
        The URL of shared results that cannot be used.
        """
        name = name_of(results)
        with contextlib.ExitStack() as stack:
            match request.param:
                case "refused":
                    yield server.url(name, host="/nowhere")
                case "stopped":
                    stack.enter_context(server.paused())
                    yield results
                case "stalled" | "dropped":
                    way = proxy(server, is_closing=request.param == "dropped")
                    yield server.url(name, host=stack.enter_context(way))
                case "password":
                    yield server.url(name, "guarded")
                case "no schema":
                    yield server.url(server.database())
                case "version":
                    function = "upgrade_state.version() returns bigint language sql"
                    server.sql(
                        f"create or replace function {function} as 'select 2::bigint'",
                        name,
                    )
                    yield results
                case "connections":
                    server.database("limited")
                    server.sql(f"alter database {name} connection limit 0")
                    yield server.url(name, "limited")
                case "read-only":
                    setting = "default_transaction_read_only = on"
                    server.sql(f"alter database {name} set {setting}")
                    yield results

    @pytest.mark.parametrize(
        ("place", "reason"),
        [
            ("refused", "No such file"),
            ("dropped", "closed"),
            ("password", "password"),
            ("no schema", "no schema"),
            ("version", "version 2"),
            ("connections", "too many connections"),
            ("read-only", "read-only"),
            ("stopped", LATE),
            ("stalled", LATE),
        ],
        indirect=["place"],
    )
    def test_checked_alone(self, machines, place, reason):
        """
        A check succeeds at most 5 seconds later, and says why in one line.
        """
        machines.go()
        late = []
        # A machine that is busy for a moment delays one of two processes, or an answer.
        while len(late) < 4 and not any(seconds < 5 for seconds in late):
            begin, other = time.monotonic(), machines.check(f"alone {len(late)}")
            name = f"shared {len(late)}"
            process = machines.check(name, "--shared", place, PGPASSWORD="wrong")
            assert "" == other.communicate(timeout=90)[1]
            alone = time.monotonic() - begin
            _, errors = process.communicate(timeout=90)
            is_told = reason in errors
            late.append(time.monotonic() - begin - alone if is_told else math.inf)

            assert 0 == process.returncode
            assert 1 == errors.count("\n"), errors
            assert errors.startswith("upgrade-state: shared results")
            assert errors.endswith("checked alone\n")
            assert is_told or LATE in errors
            assert NOTICE == machines.notice(name)
        assert min(late) < 5


@pytest.mark.database
class TestPage:
    def test_grants(self, server, machines, results):
        """
        A machine with the grants on the page takes part, and cannot list.
        """
        page = Path(__file__).parents[1] / "docs" / "more-than-one-machine.md"
        (sql,) = re.findall(r"<<'SQL'\n(.*?)\nSQL\n", page.read_text(), re.DOTALL)
        name = name_of(results)
        server.sql(re.sub(r"\b(checkers|managers|ana)\b", r"\1_on_page", sql), name)
        place = server.url(name, "ana_on_page")
        machines.go()
        first = machines.check("one", "--shared", place).communicate(timeout=60)
        ((*second, _),) = run_at_once(
            1, "check_copy", place, machines.place, machines.project
        )

        assert "" == first[1]
        assert ["checked", None, NOTICE, True] == second
        with pytest.raises(Exception, match="permission denied"):
            list(checks.shared_results(place).list())


@pytest.mark.database
class TestKilledChecker:
    def test_is_replaced(self, server, machines, results):
        """
        After a checker was killed, another machine makes its check after the lease.
        """
        name = name_of(results)
        killed = machines.check("killed", "--shared", results)
        wait_until(lambda: machines.runs == 1)
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=60)
        second = machines.check("second", "--shared", results)
        time.sleep(2)
        assert second.poll() is None
        assert 1 == machines.runs

        machines.go()
        earlier = "leased_at = leased_at - interval '15 minutes'"
        server.sql(f"update upgrade_state.results set {earlier}", name)
        _, errors = second.communicate(timeout=60)
        assert (0, "") == (second.returncode, errors)
        ((*third, _),) = run_at_once(
            1, "check_copy", results, machines.place, machines.project
        )

        assert ["checked", None, NOTICE, True] == third
        assert 2 == machines.runs
        assert ["", NOTICE] == [machines.notice(each) for each in ("killed", "second")]
