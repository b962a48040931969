"""
Compare what a PostgreSQL server does for the library with its own updates.

pgbench runs the statements of the library, and updates of single rows of plain tables,
in turns, in 64 connections to a server that syncs every commit, as servers do. It
needs psycopg, pytest and PostgreSQL.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from benchmarks import stores
from benchmarks.measure import Cost, call, process, timed
from upgrade_state import StateStore
from upgrade_state.checks import shared_results
from upgrade_state.checks._sharing import Question, Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Measure, Samples
    from benchmarks.report import Report
    from database import Server

# By name: the statements, and the least that is wanted, as a share of the executions of
# the first one.
Scripts: TypeAlias = "dict[str, tuple[str, float | None]]"

TITLE = "Results and records in a database"

REASONS = {
    "claim / update of a text, per second": (
        "the function that claims calls the update, and compares the version of the "
        "row. Runs on the same machine had 0.86 to 0.96."
    ),
}

_CONNECTIONS = 64

_SETTINGS = """
fsync = on
full_page_writes = on
synchronous_commit = on
shared_buffers = 128MB
"""

# Rows of the plain table, and questions that can be asked again.
_ROWS = 100_000

# 48 kB, as the lockfile of a project with 200 packages.
_RESULTS = f"""
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

# Each lease is granted once: its time is moved back before every run.
_NOT_LEASED = f"""
UPDATE upgrade_state.results SET leased_at = now() - interval '1 hour'
    WHERE fence > {_ROWS}
"""  # noqa: S608

_ASK = """\\set n random(1, {})
SELECT * FROM upgrade_state.ask(sha256(int8send({})), 86400, 'uv.lock', NULL);
"""

_UPDATE = f"\\set n random(1, {_ROWS})\nUPDATE plain SET n = n + 1 WHERE id = :n;"

# An answer is limited by the bytes to send: pgbench receives text, twice the size.
_ASKED: Scripts = {
    "update of a row": (_UPDATE, None),
    "a new question, a lease": (_ASK.format(1 << 60, ":n::bigint"), 0.3),
    "an old question, a lease": (_ASK.format(_ROWS, "-:n::bigint"), 0.3),
    "an answer of 48 kB": (_ASK.format(1000, f"-{_ROWS} - :n::bigint"), None),
    "another checker is at work": (
        _ASK.format(1000, f"-2 * {_ROWS} - :n::bigint"),
        0.3,
    ),
}

# As long as the record in docs/format.md. Each connection has a row of its own: a row
# is written by one environment's users only.
_TEXT = 800 * "x"
_RECORDS = f"""
CREATE TABLE texts (key text COLLATE "C" PRIMARY KEY, value text)
    WITH (fillfactor = 50);
INSERT INTO texts SELECT lpad(n::text, 32, '0'), '{_TEXT}'
    FROM generate_series(0, 999) n;
INSERT INTO upgrade_state.records (key, record, version)
    SELECT key, value, 0 FROM texts;
"""  # noqa: S608

_NO_VERSION = "UPDATE upgrade_state.records SET version = 0"

_KEY = "lpad((:client_id)::text, 32, '0')"
_READ = f"""
SELECT record, version, fence FROM upgrade_state.records
    WHERE owner = current_user AND key = {_KEY} \\gset
"""  # noqa: S608
_CLAIM = f"""
SELECT upgrade_state.replace({_KEY}, :version, '{_TEXT}') AS version \\gset
"""

_UPDATE_TEXT = f"UPDATE texts SET value = '{_TEXT}' WHERE key = {_KEY};"  # noqa: S608

_CLAIMED: Scripts = {
    "update of a text": (_UPDATE_TEXT, None),
    "read": (_READ, 1.0),
    "claim": (_CLAIM, 0.9),
    "read and claim": (_READ + _CLAIM, 0.5),
}


def measure(report: Report, place: Path) -> None:
    """
    Measure many connections, and then one client.
    """
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        import psycopg  # noqa: F401, PLC0415

        import database  # noqa: PLC0415 - of the tests, which need pytest
        from upgrade_state._postgresql import _connection  # noqa: PLC0415
    except ImportError as error:
        report.skip(f"{error.name} is not installed")
        return
    if (pgbench := database.find("pgbench")) is None:
        report.skip("pgbench is not installed")
        return
    with database.running_server(_SETTINGS, _CONNECTIONS + 10) as server:
        _connection.create(server.url())

        def compare(scripts: Scripts, before: str, seconds: int, rounds: int) -> None:
            samples = report.interleave(
                {
                    name: _rate(pgbench, server, script, before, seconds)
                    for name, (script, _) in scripts.items()
                },
                rounds,
            )
            (first, updates), *others = samples.items()
            for name, each in others:
                report.add(
                    f"{name} / {first}, per second",
                    updates / each,
                    limit=scripts[name][1],
                    at_least=True,
                    by="wall",
                )

        server.sql(_RESULTS)
        compare(_ASKED, _NOT_LEASED, seconds=2, rounds=3)
        _asking(report, server.url())
        server.sql(_RECORDS)
        compare(_CLAIMED, _NO_VERSION, seconds=1, rounds=7)
        server.sql("DELETE FROM upgrade_state.records")
        _claiming(report, server.url(), place)


def _rate(
    pgbench: str, server: Server, script: str, before: str, seconds: int
) -> Measure:
    """
    Measure one execution of a script, in all connections at once.
    """
    argv = [pgbench, "-n", "-M", "extended", "-D", "version=0", "-T", f"{seconds}"]
    argv += ["-c", f"{_CONNECTIONS}", "-j", "2", "-f", "-", server.url()]

    def measure() -> Cost:
        server.sql(f"{before}; CHECKPOINT")
        done = []
        cost = timed(
            lambda: done.append(
                subprocess.run(
                    argv, input=script, capture_output=True, text=True, check=True
                )
            )
        )
        # A script whose variable gets no value ends its connection.
        if "ERROR" in done[0].stderr or "aborted" in done[0].stderr:
            raise RuntimeError(done[0].stderr)
        (rate,) = map(float, re.findall(r"tps = ([0-9.]+)", done[0].stdout))
        return Cost(cost.cpu / seconds / rate, 1 / rate)

    return measure


def _asking(report: Report, url: str) -> None:
    """
    Measure the questions of one client.
    """
    day, answer = dt.timedelta(days=1), bytes(48_000)
    numbers = itertools.count()
    question = Question(f"{next(numbers):064x}", "uv.lock")
    with contextlib.closing(shared_results(url)) as results:

        def lease() -> Cost:
            nonlocal question
            question = Question(f"{next(numbers):064x}", "uv.lock")
            replies: list[Reply] = []
            cost = timed(lambda: replies.append(results.ask(question, day)))
            results.answer(question, replies[0].fence, answer)
            return cost

        samples = report.interleave(
            {
                "a lease": lease,
                "an answer of 48 kB": lambda: timed(lambda: results.ask(question, day)),
            },
            rounds=300,
        )
    _report(report, samples)


def _claiming(report: Report, url: str, place: Path) -> None:
    """
    Measure the claims of one client, and of processes that end after one.
    """
    path = stores.notified(place).path
    shop = StateStore(url).environment(path, "uv.lock")
    stores.commit(shop, b"+" * 10_000)
    if not shop.claim_notice(interval=stores.ALWAYS):
        raise RuntimeError(str(shop.look().verdict()))
    samples = report.interleave(
        {
            "a silent claim": call(shop.claim_notice),
            "a granted claim": call(lambda: shop.claim_notice(interval=stores.ALWAYS)),
        },
        rounds=300,
    )
    _report(report, samples)
    report.compare(
        "silent activation with a database / bare interpreter",
        process(
            sys.executable, "-c", f"{stores.program(shop, url)}shop.claim_notice()"
        ),
        process(sys.executable, "-c", "pass"),
    )


def _report(report: Report, samples: Mapping[str, Samples]) -> None:
    for name, each in samples.items():
        milliseconds = each.median.wall * 1000
        report.number(f"one client, {name} (ms)", milliseconds, unit="ms")
