"""
Measure claims on records in a database: against its own updates, and against files.

    python benchmarks/records.py [--connections 64] [--rounds 9] [--check]

pgbench claims, and updates single rows of a plain table with the same text, in turns:
on a server of its own that syncs every commit, as servers do. Then whole processes
make one silent claim each. It needs psycopg, pytest and PostgreSQL.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pgbench
import run

from upgrade_state import StateStore

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
_SCRIPTS = {
    "update": (f"UPDATE plain SET value = '{_TEXT}' WHERE key = {_KEY};", 1.0),  # noqa: S608
    "read": (_READ, 1.0),
    "claim": (_CLAIM, 0.9),
    "read and claim": (_READ + _CLAIM, 0.5),
}

_SILENT = """\
from upgrade_state import StateStore

StateStore({store!r}).environment({path!r}, "uv.lock").claim_notice()
"""


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
    parser = pgbench.parser(__doc__, seconds=1, rounds=9)
    parser.add_argument("--pairs", type=int, default=31)
    args = parser.parse_args()
    for name in run._OFF:  # noqa: SLF001
        os.environ.pop(name, None)
    before = "UPDATE upgrade_state.records SET version = 0"
    with (
        pgbench.running(args, _TABLES) as server,
        tempfile.TemporaryDirectory() as place,
    ):
        is_met = pgbench.compare(server, _SCRIPTS, args, before=before)
        server.sql("DELETE FROM upgrade_state.records")
        processes(server.url(), Path(place), args.pairs)
        silent, granted = client(server.url(), Path(place) / "shop-10000-2")
        print(f"one client: {silent:.2f} ms if silent, {granted:.2f} ms if granted")
    return int(args.check and not is_met)


if __name__ == "__main__":
    sys.exit(main())
