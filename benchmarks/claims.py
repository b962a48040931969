"""
Claims that are granted, and those that meet other processes.

Before each sample the record is put back, so every claim is the first one of its day.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import contention, floors, stores
from benchmarks.floors import calls
from benchmarks.measure import call, prepared, process, script

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.report import Report

TITLE = "A claim that is granted, or refused by another process"

REASONS = {
    "granted claim / bare interpreter": (
        "`import filelock` alone takes about 6 times the instructions. With "
        "`fcntl.flock` in its place the process would take about 2.3 times, but a "
        "second implementation of locks would have to be as well tested."
    ),
    "granted claim, disk / the calls in Python": (
        "a claim creates a second file, the ticket that excludes other machines, and "
        "checks each directory after it has opened it. Without a disk that is "
        "{granted claim, memory / the calls in Python|this}."
    ),
    "64 claims at once, refused: p99 / p50, wall": (
        "the longest waits are for a processor, not for a lock. 64 loops of as much "
        "CPU time, without a call, have "
        "{64 loops at once of as much CPU: p99 / p50, wall}. By the CPU time of each "
        "claim it is {64 claims at once, refused: p99 / p50, CPU}."
    ),
}

_CLAIM = """\
if not shop.claim_notice():
    raise SystemExit("no notice")
"""

_FLOOR = """\
from calls import claim
claim({directory!r}, b"x" * {size})
"""


def measure(report: Report, place: Path) -> None:
    """
    Measure claims in a process of their own, in this one, and in a crowd.
    """
    _whole_processes(report, place / "processes")
    _in_this_process(report, place / "disk", "disk")
    memory = stores.memory()
    if memory is None:
        report.skip("claims in memory: no /dev/shm")
    with tempfile.TemporaryDirectory(dir=memory or place) as directory:
        where = Path(directory).resolve()
        if memory:
            _in_this_process(report, where / "claims", "memory")
        # A disk that is busy with another process hides what the locks cost.
        contention.measure(report, where / "contention")


def _whole_processes(report: Report, place: Path) -> None:
    shop = stores.checked(place)
    put_back = stores.putting_back(shop)
    shutil.copy(calls.__file__, place)
    size = os.path.getsize(shop.record_path or "")
    floor = _FLOOR.format(directory=str(place), size=size)
    commands: dict[str, list[str]] = {
        "bare": [sys.executable, "-c", "pass"],
        "claim": script(place / "claim.py", stores.program(shop) + _CLAIM),
        "floor": script(place / "floor.py", floor),
    }
    if program := floors.build(report, "claim", place):
        commands["C"] = [program, "1", str(place), str(size)]
    samples = report.interleave(
        {name: prepared(put_back, process(*argv)) for name, argv in commands.items()}
    )
    claim = samples["claim"]
    report.add("granted claim / bare interpreter", claim / samples["bare"], limit=5)
    report.add("granted claim / the calls in Python", claim / samples["floor"])
    if "C" in samples:
        report.add("granted claim / the calls in C", claim / samples["C"])


def _in_this_process(report: Report, place: Path, where: str) -> None:
    shop = stores.checked(place)
    put_back = stores.putting_back(shop)
    content = Path(shop.record_path or "").read_bytes()
    (place / "floor").mkdir()
    functions: dict[str, Callable[[], object]] = {
        "claim": lambda: _granted(shop.claim_notice()),
        "floor": lambda: calls.claim(f"{place}/floor", content),
        "sqlite3": _sqlite(place),
    }
    try:
        functions["diskcache"] = _diskcache(place)
    except ImportError as error:
        report.skip(f"diskcache: {error}")
    samples = report.interleave(
        {name: prepared(put_back, call(f)) for name, f in functions.items()}
    )

    def add(name: str, against: str, limit: float | None = None) -> None:
        if against in samples:
            words = f"granted claim, {where} / {name}"
            ratio = samples["claim"] / samples[against]
            report.add(words, ratio, limit=limit, by="wall")

    # In memory a sync is free, so only the share of Python is left.
    add("the calls in Python", "floor", 1.5 if where == "disk" else None)
    add("an update of sqlite3, synced", "sqlite3")
    add("a set of diskcache, not synced", "diskcache")


def _granted(verdict: object) -> None:
    if not verdict:
        raise RuntimeError(str(verdict))


def _sqlite(place: Path) -> Callable[[], object]:
    """
    Return an update of the same moment, by a connection that stays open.
    """
    database = sqlite3.connect(place / "state.sqlite")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE environments (directory PRIMARY KEY, notified)")
    database.execute("INSERT INTO environments VALUES ('shop', 0)")
    database.commit()
    statement = "UPDATE environments SET notified = ? WHERE directory = 'shop'"

    def update() -> None:
        with database:
            database.execute(statement, (time.time(),))

    return update


def _diskcache(place: Path) -> Callable[[], object]:
    import diskcache  # noqa: PLC0415 - it may be missing

    cache = diskcache.Cache(place / "diskcache")
    return lambda: cache.set("shop", time.time())
