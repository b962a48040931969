"""
Measure how fast a PostgreSQL server answers questions about shared results.

    python benchmarks/database.py [--connections 64] [--seconds 4] [--check]

pgbench asks, and updates single rows of a plain table, in turns: on a server of its
own that syncs every commit, as servers do. It needs psycopg, pytest and PostgreSQL.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from upgrade_state._postgresql import _connection
from upgrade_state.checks import shared_results
from upgrade_state.checks._sharing import Question

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import database

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of the rate of updates. Answers are limited by the bytes to send, which pgbench
# receives as text of twice the size.
_WANTED = 0.3

_SETTINGS = """
fsync = on
full_page_writes = on
synchronous_commit = on
shared_buffers = 128MB
"""

# Rows of the plain table, and questions that can be asked again.
_ROWS = 100_000

# 48 kB, as the lockfile of a project with 200 packages.
_TABLES = f"""
SELECT setval('upgrade_state.fences', {_ROWS});
CREATE TABLE plain (id bigint PRIMARY KEY, n bigint) WITH (fillfactor = 70);
INSERT INTO plain SELECT id, 0 FROM generate_series(1, {_ROWS}) AS id;
INSERT INTO upgrade_state.results (question, lockfile, fence, leased_at)
    SELECT sha256(int8send(-id)), 'uv.lock', id, now() - interval '1 hour'
    FROM generate_series(1, {_ROWS}) AS id;
INSERT INTO upgrade_state.results (
    question, lockfile, fence, leased_at, is_leased, new_lockfile, answered_at)
    SELECT sha256(int8send(-{_ROWS} - id)), 'uv.lock', id, now(), false,
        (SELECT string_agg(sha256(int8send(id * 1500 + n)), '')
            FROM generate_series(1, 1500) AS n), now()
    FROM generate_series(1, 1000) AS id;
INSERT INTO upgrade_state.results (question, lockfile, fence, leased_at)
    SELECT sha256(int8send(-2 * {_ROWS} - id)), 'uv.lock', id, now()
    FROM generate_series(1, 1000) AS id;
"""  # noqa: S608

_ASK = "SELECT * FROM upgrade_state.ask(sha256(int8send({})), 86400, 'uv.lock', NULL);"

SCRIPTS = {
    "update": (_ROWS, "UPDATE plain SET n = n + 1 WHERE id = :n;"),
    "ask: a new question, a lease": (1 << 60, _ASK.format(":n::bigint")),
    "ask: an old question, a lease": (_ROWS, _ASK.format("-:n::bigint")),
    "ask: an answer of 48 kB": (1000, _ASK.format(f"-{_ROWS} - :n::bigint")),
    "ask: another checker is at work": (
        1000,
        _ASK.format(f"-2 * {_ROWS} - :n::bigint"),
    ),
}


def rate(server: database.Server, script: str, options: Sequence[str]) -> float:
    """
    Run a script in many connections; return its executions per second.
    """
    count, sql = SCRIPTS[script]
    # Each lease is granted once: its time is moved back before every turn.
    back = "SET leased_at = now() - interval '1 hour'"
    server.sql(f"UPDATE upgrade_state.results {back} WHERE fence > {_ROWS}; CHECKPOINT")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(f"\\set n random(1, {count})\n{sql}\n")
        file.flush()
        argv = [database.find("pgbench"), "-n", "-M", "extended", "-f", file.name]
        argv += [*options, server.url()]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    (found,) = re.findall(r"tps = ([0-9.]+)", done.stdout)
    return float(found)


def client(url: str, count: int = 300) -> tuple[float, float]:
    """
    Return the medians of the milliseconds of a lease and of an answer of 48 kB.
    """
    day, answer = dt.timedelta(days=1), bytes(48_000)
    with contextlib.closing(shared_results(url)) as results:
        took: tuple[list[float], list[float]] = ([], [])
        for number in range(count):
            question = Question(f"{number:064x}", "uv.lock")
            for part in took:
                begin = time.perf_counter()
                reply = results.ask(question, day)
                part.append((time.perf_counter() - begin) * 1000)
                if reply.fence is not None:
                    results.answer(question, reply.fence, answer)
    leases, answers = map(statistics.median, took)
    return leases, answers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if the limit is missed"
    )
    args = parser.parse_args()
    options = ("-c", f"{args.connections}", "-j", "2", "-T", f"{args.seconds}")
    rates: dict[str, list[float]] = {script: [] for script in SCRIPTS}
    with database.running_server(_SETTINGS, args.connections + 10) as server:
        _connection.create(server.url())
        server.sql(_TABLES)
        for number in range(args.rounds):
            for script in sorted(SCRIPTS, reverse=bool(number % 2)):
                rates[script].append(rate(server, script, options))
        lease, answer = client(server.url())
    print(f"per second, {args.connections} connections, every commit is synced")
    is_met = True
    for script, found in rates.items():
        pairs = zip(found, rates["update"], strict=True)
        ratio = statistics.median(mine / update for mine, update in pairs)
        is_missed = ratio < _WANTED and "kB" not in script
        is_met = is_met and not is_missed
        end = "  MISSED" * is_missed
        print(f"{script:34} {statistics.median(found):8.0f}  {ratio:5.2f} times{end}")
    print(f"one client: a lease {lease:.2f} ms, an answer of 48 kB {answer:.2f} ms")
    return int(args.check and not is_met)


if __name__ == "__main__":
    sys.exit(main())
