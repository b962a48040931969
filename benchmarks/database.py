"""
Measure how fast a PostgreSQL server answers questions about shared results.

    python benchmarks/database.py [--connections 64] [--seconds 4] [--check]

pgbench asks, and updates single rows of a plain table, in turns: on a server of its
own that syncs every commit, as servers do. It needs psycopg, pytest and PostgreSQL.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import statistics
import sys
import time

import pgbench

from upgrade_state.checks import shared_results
from upgrade_state.checks._sharing import Question

# Of the rate of updates. Answers are limited by the bytes to send, which pgbench
# receives as text of twice the size.
_WANTED = 0.3

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

_SCRIPTS = {
    "update": (_ROWS, "UPDATE plain SET n = n + 1 WHERE id = :n;", 1.0),
    "ask: a new question, a lease": (1 << 60, _ASK.format(":n::bigint"), _WANTED),
    "ask: an old question, a lease": (_ROWS, _ASK.format("-:n::bigint"), _WANTED),
    "ask: an answer of 48 kB": (1000, _ASK.format(f"-{_ROWS} - :n::bigint"), 0.0),
    "ask: another checker is at work": (
        1000,
        _ASK.format(f"-2 * {_ROWS} - :n::bigint"),
        _WANTED,
    ),
}

# Each lease is granted once: its time is moved back before every run.
_BACK = f"""
UPDATE upgrade_state.results SET leased_at = now() - interval '1 hour'
    WHERE fence > {_ROWS}
"""  # noqa: S608


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
    args = pgbench.parser(__doc__, seconds=4, rounds=3).parse_args()
    scripts = {
        name: (f"\\set n random(1, {count})\n{sql}", wanted)
        for name, (count, sql, wanted) in _SCRIPTS.items()
    }
    with pgbench.running(args, _TABLES) as server:
        is_met = pgbench.compare(server, scripts, args, before=_BACK)
        lease, answer = client(server.url())
    print(f"one client: a lease {lease:.2f} ms, an answer of 48 kB {answer:.2f} ms")
    return int(args.check and not is_met)


if __name__ == "__main__":
    sys.exit(main())
