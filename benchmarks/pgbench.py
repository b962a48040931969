"""
Compare SQL scripts on a PostgreSQL server of its own that syncs every commit.

It needs psycopg, pytest and PostgreSQL with pgbench.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from upgrade_state._postgresql import _connection

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SETTINGS = """
fsync = on
full_page_writes = on
synchronous_commit = on
shared_buffers = 128MB
"""


def parser(doc: str, *, seconds: int, rounds: int) -> argparse.ArgumentParser:
    """
    Return the options of a comparison, with their defaults.
    """
    made = argparse.ArgumentParser(description=doc.split("\n\n", maxsplit=1)[0])
    made.add_argument("--connections", type=int, default=64)
    made.add_argument("--seconds", type=int, default=seconds)
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument(
        "--check", action="store_true", help="exit with 1 if a limit is missed"
    )
    return made


@contextlib.contextmanager
def running(args: argparse.Namespace, tables: str) -> Iterator[database.Server]:
    """
    Run a server with the schema and further tables.
    """
    with database.running_server(_SETTINGS, args.connections + 10) as server:
        _connection.create(server.url())
        server.sql(tables)
        yield server


def compare(
    server: database.Server,
    scripts: Mapping[str, tuple[str, float]],
    args: argparse.Namespace,
    *,
    before: str,
) -> bool:
    """
    Run scripts in many connections, in turns; print their executions per second.

    Args:
        scripts: Each with the least that is wanted, as a share of the rate of the one
            named "update".

        before: Statements before each run.

    Returns:
        Whether every limit is met.
    """
    rates: dict[str, list[float]] = {script: [] for script in scripts}
    for number in range(args.rounds):
        for script in sorted(scripts, reverse=bool(number % 2)):
            server.sql(f"{before}; CHECKPOINT")
            rates[script].append(_rate(server, scripts[script][0], args))
    print(f"per second, {args.connections} connections, every commit is synced")
    is_met = True
    for script, found in rates.items():
        pairs = zip(found, rates["update"], strict=True)
        ratio = statistics.median(mine / update for mine, update in pairs)
        is_missed = ratio < scripts[script][1]
        is_met = is_met and not is_missed
        end = "  MISSED" * is_missed
        print(f"{script:34} {statistics.median(found):8.0f}  {ratio:5.2f} times{end}")
    return is_met


def _rate(server: database.Server, script: str, args: argparse.Namespace) -> float:
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        argv = [database.find("pgbench"), "-n", "-M", "extended", "-f", file.name]
        argv += ["-D", "version=0", "-c", f"{args.connections}", "-j", "2"]
        argv += ["-T", f"{args.seconds}", server.url()]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    (found,) = re.findall(r"tps = ([0-9.]+)", done.stdout)
    # A script whose variable gets no value ends its connection.
    if "ERROR" in done.stderr or "aborted" in done.stderr:
        raise RuntimeError(done.stderr)
    return float(found)
