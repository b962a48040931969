"""
Measure claims on records in a database: against its own updates, and against files.

    python benchmarks/records.py [--connections 64] [--rounds 9] [--check]

pgbench claims, and updates single rows of a plain table with the same text, in turns:
on a server of its own that syncs every commit, as servers do. Then whole processes
make one silent claim each. It needs psycopg, pytest and PostgreSQL.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import run

from upgrade_state import StateStore
from upgrade_state._postgresql import _connection

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import database

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTINGS = """
fsync = on
full_page_writes = on
synchronous_commit = on
shared_buffers = 128MB
"""

# As long as the record in docs/format.md. Each connection has a row of its own: a row
# is written by one environment's users only.
_TEXT = 800 * "x"
_TABLES = f"""
CREATE TABLE plain (key text COLLATE "C" PRIMARY KEY, value text)
    WITH (fillfactor = 50);
INSERT INTO plain SELECT lpad(n::text, 32, '0'), '{_TEXT}'
    FROM generate_series(0, 999) n;
INSERT INTO upgrade_state.records (key, record, version)
    SELECT key, value, 0 FROM plain;
"""  # noqa: S608

_KEY = "lpad((:client_id)::text, 32, '0')"
_READ = f"""
SELECT record, version, fence FROM upgrade_state.records
    WHERE owner = current_user AND key = {_KEY} \\gset
"""  # noqa: S608

_CLAIM = f"""
SELECT upgrade_state.replace({_KEY}, :version, '{_TEXT}') AS version \\gset
"""

# With the least that is wanted, as a share of the rate of updates.
SCRIPTS = {
    "update": (f"UPDATE plain SET value = '{_TEXT}' WHERE key = {_KEY};", 1.0),  # noqa: S608
    "read": (_READ, 1.0),
    "claim": (_CLAIM, 0.9),
    "read and claim": (_READ + _CLAIM, 0.5),
}

_SILENT = """\
from upgrade_state import StateStore

StateStore({store!r}).environment({path!r}, "uv.lock").claim_notice()
"""


def rate(server: database.Server, script: str, options: Sequence[str]) -> float:
    """
    Run a script in many connections; return its executions per second.
    """
    server.sql("UPDATE upgrade_state.records SET version = 0; CHECKPOINT")
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(SCRIPTS[script][0])
        file.flush()
        argv = [database.find("pgbench"), "-n", "-M", "extended", "-f", file.name]
        argv += ["-D", "version=0", *options, server.url()]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    (found,) = re.findall(r"tps = ([0-9.]+)", done.stdout)
    # A claim that found another version has no new one, and ends its connection.
    if done.stderr.count("ERROR") or "aborted" in done.stderr:
        raise RuntimeError(done.stderr)
    return float(found)


def client(url: str, path: Path, count: int = 500) -> list[float]:
    """
    Return the medians of the milliseconds of a silent claim and of a granted one.
    """
    shop = StateStore(url).environment(path, "uv.lock")
    took: list[list[float]] = [[], []]
    for _ in range(count):
        for part, options in zip(took, ({}, {"interval": run._ALWAYS}), strict=True):  # noqa: SLF001
            begin = time.perf_counter()
            verdict = shop.claim_notice(**options)
            part.append((time.perf_counter() - begin) * 1000)
            if bool(verdict) is not bool(options):
                raise RuntimeError(str(verdict))
    return [statistics.median(part) for part in took]


def processes(url: str, place: Path, pairs: int) -> None:
    """
    Compare processes that make one silent claim with a bare interpreter, in turns.
    """
    table = run.Table(pairs)
    files = run.notified_shop(place)
    shop = StateStore(url).environment(str(files.path), "uv.lock")
    run.commit(shop, b"+" * 10_000)
    if not shop.claim_notice():
        raise RuntimeError(str(shop.look().verdict()))
    bare = run.process(sys.executable, "-c", "pass")
    for name, store in (("files", str(place / "cache")), ("a database", url)):
        script = place / f"{name}.py"
        script.write_text(_SILENT.format(store=store, path=files.path))
        silent = run.process(sys.executable, str(script))
        table.compare(f"silent activation, {name}", silent, bare, cpu=100)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a limit is missed"
    )
    args = parser.parse_args()
    for name in run._OFF:  # noqa: SLF001
        os.environ.pop(name, None)
    options = ("-c", f"{args.connections}", "-j", "2", "-T", f"{args.seconds}")
    rates: dict[str, list[float]] = {script: [] for script in SCRIPTS}
    is_met = True
    with (
        database.running_server(_SETTINGS, args.connections + 10) as server,
        tempfile.TemporaryDirectory() as place,
    ):
        _connection.create(server.url())
        server.sql(_TABLES)
        for number in range(args.rounds):
            for script in sorted(SCRIPTS, reverse=bool(number % 2)):
                rates[script].append(rate(server, script, options))
        print(f"per second, {args.connections} connections, every commit is synced")
        for script, found in rates.items():
            pairs = zip(found, rates["update"], strict=True)
            ratio = statistics.median(mine / update for mine, update in pairs)
            is_missed = ratio < SCRIPTS[script][1]
            is_met = is_met and not is_missed
            end = "  MISSED" * is_missed
            print(
                f"{script:34} {statistics.median(found):8.0f}  {ratio:5.2f} times{end}"
            )
        server.sql("DELETE FROM upgrade_state.records")
        processes(server.url(), Path(place), args.pairs)
        silent, granted = client(server.url(), Path(place) / "shop-10000-2")
        print(f"one client: {silent:.2f} ms if silent, {granted:.2f} ms if granted")
    return int(args.check and not is_met)


if __name__ == "__main__":
    sys.exit(main())
