"""
The same operation with more of everything, as a multiple of the smallest amount.

The first point of a curve compares the smallest amount with itself: its distance from
1 is noise. Processes at once share the processors, so a flat curve falls to one divided
by their number.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from benchmarks import contention, stores
from benchmarks.measure import at_once, call, part, process, script
from upgrade_state import preload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from benchmarks.measure import Measure
    from benchmarks.report import Report
    from upgrade_state import EnvironmentState, StateStore

TITLE = "Growth"

SIZES = (10_000, 100_000, 1_000_000, 5_000_000, 20_000_000)
ENVIRONMENTS = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
PROCESSES = (1, 4, 16, 64, 256)
UPGRADES = (1, 10, 100, 1_000, 10_000)

SILENT = "silent claim"
WHOLE = "silent activation"
GRANTED = "granted claim"

# The silent path is flat: DESIGN gives no other number.
_FLAT = 1.1

# A block, an inode and a name for each record.
_BYTES, _SPARE = 4096 + 512, 1.2

# Seconds of one sample of a short function.
_SAMPLE = 4e-3


def measure(report: Report, place: Path) -> None:
    """
    Measure one amount after the other, each in a directory of its own.
    """
    preload()
    needed = int(_SPARE * sum(ENVIRONMENTS) * _BYTES)
    for function in (_lockfile, _upgrades, _activations, _claims, _environments):
        memory = stores.memory(needed) if function is _environments else None
        with tempfile.TemporaryDirectory(dir=memory or place) as directory:
            function(report, Path(directory).resolve())


def _curve(
    report: Report,
    series: str,
    measures: Mapping[int, Measure],
    *,
    limit: float | None = None,
    by: Literal["cpu", "wall"] = "cpu",
    most: int = 10**6,
    floor: tuple[str, Measure] | None = None,
) -> None:
    """
    Compare each amount with the smallest.

    Args:
        series: The unit of the amount, and the name of the curve.

        most: The amount that one measure may take without fewer rounds.

        floor: The name and the measure of the calls that the largest amount needs.
    """
    unit, _, name = series.partition(": ")
    smallest, largest = min(measures), max(measures)
    for x, this in measures.items():
        turns = {"this": this, "smallest": measures[smallest]}
        if floor and x == largest:
            turns["floor"] = floor[1]
        rounds = max(3, min(report.rounds, report.rounds * most // x))
        samples = report.interleave(turns, rounds)
        report.add(
            f"{name}: {short(x)} / {short(smallest)} {unit}",
            samples["this"] / samples["smallest"],
            limit=limit,
            by=by,
            series=series,
            x=x,
        )
        if "floor" in samples and floor:
            report.add(
                f"{name}: {short(x)} / {floor[0]}",
                samples["this"] / samples["floor"],
                by=by,
            )


def short(number: float) -> str:
    """
    Return a number as "10k" or "1M".
    """
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def _repeated(function: Callable[[], object]) -> Measure:
    """
    Measure one call, averaged over as many as take some milliseconds.
    """
    took = 0.0
    for _ in range(2):  # the first call fills caches
        if took < _SAMPLE:
            start = time.perf_counter()
            function()
            took = time.perf_counter() - start
    return call(function, max(1, min(200, int(_SAMPLE / took))))


def _activation(shop: EnvironmentState) -> list[str]:
    """
    Return the command of a silent activation.
    """
    path = Path(shop.path or "", "activation.py")
    return script(path, f"{stores.program(shop)}shop.claim_notice()\n")


def _granted(shop: EnvironmentState) -> Callable[[], None]:
    """
    Return a function that claims a notice, as if none had been given.
    """
    always = stores.ALWAYS

    def claim() -> None:
        verdict = shop.claim_notice(interval=always, reminder=always)
        if not verdict:
            raise RuntimeError(str(verdict))

    return claim


def _flat(report: Report, unit: str, shops: Mapping[int, EnvironmentState]) -> None:
    """
    Measure silent claims in this process, and at both ends in a process of their own.
    """
    claims = {x: _repeated(stores.activation(shop)) for x, shop in shops.items()}
    _curve(report, f"{unit}: {SILENT}", claims, limit=_FLAT)
    ends = {x: process(*_activation(shops[x])) for x in (min(shops), max(shops))}
    _curve(report, f"{unit}: {WHOLE}", ends, limit=_FLAT)


def _lockfile(report: Report, place: Path) -> None:
    """
    Vary the size of the lockfile, and whether the answer depends on it.
    """
    unit = "bytes of lockfile"
    told = {size: stores.notified(place / "told", size=size) for size in SIZES}
    _flat(report, unit, told)
    due = {size: stores.checked(place / "due", size=size) for size in SIZES}
    granted = {size: _repeated(_granted(shop)) for size, shop in due.items()}
    _curve(report, f"{unit}: {GRANTED}", granted)
    changed = {size: stores.checked(place / "changed", size=size) for size in SIZES}
    for size, shop in changed.items():
        Path(shop.path or "", "uv.lock").write_bytes(b"%" * size)
        verdict = shop.claim_notice()
        if verdict.reason != "lockfile-changed":
            raise RuntimeError(str(verdict))
    read = {size: _repeated(stores.activation(s)) for size, s in changed.items()}
    path = Path(changed[max(SIZES)].path or "", "uv.lock")
    _curve(
        report,
        f"{unit}: claim that reads the lockfile",
        read,
        floor=("reading and hashing it", _repeated(_digest(path))),
    )


def _digest(path: Path) -> Callable[[], str]:
    return lambda: hashlib.blake2b(path.read_bytes(), digest_size=32).hexdigest()


def _upgrades(report: Report, place: Path) -> None:
    """
    Vary the number of upgrades that the last check has found.
    """
    told = {n: stores.notified(place / "told", upgrades=n) for n in UPGRADES}
    _flat(report, "upgrades", told)
    due = {n: stores.checked(place / "due", upgrades=n) for n in UPGRADES}
    granted = {n: _repeated(_granted(shop)) for n, shop in due.items()}
    _curve(report, f"upgrades: {GRANTED}", granted, limit=_FLAT)
    rows = {n: _repeated(shop.upgrades) for n, shop in told.items()}
    most = max(UPGRADES)
    lines = [json.dumps(attrs.asdict(row)) for row in told[most].upgrades()]
    floor = ("json.loads of the same", _repeated(lambda: list(map(json.loads, lines))))
    _curve(report, "upgrades: `upgrades()`", rows, floor=floor)
    os.environ["UPGRADE_STATE_CACHE_DIR"] = stores.cache_of(told[most])
    command = (sys.executable, "-m", "upgrade_state", "show")
    shown = {n: process(*command, str(shop.path)) for n, shop in told.items()}
    _curve(report, "upgrades: `show`", shown)


def _activations(report: Report, place: Path) -> None:
    """
    Vary the number of processes that are started at the same time.
    """
    shop = stores.notified(place)
    commands = {
        WHOLE: _activation(shop),
        "bare interpreter": [sys.executable, "-c", ""],
    }
    for name, command in commands.items():
        measures = {n: process(*command, count=n) for n in PROCESSES}
        _curve(report, f"processes at once: {name}", measures, by="wall", most=8)


def _claims(report: Report, place: Path) -> None:
    """
    Vary the number of claims at the same time, of which one is granted.
    """
    told = call(stores.activation(stores.notified(place / "told")))
    shop = stores.checked(place)
    ways = {
        "refused claim": (stores.putting_back(shop), stores.activation(shop)),
        "in sqlite3": _database(str(place / "state.db")),
    }
    for count in filter(lambda n: n > 1, PROCESSES):
        refused: dict[str, list[float]] = {way: [] for way in ways}
        alone: list[float] = []
        for _ in range(max(4, report.rounds * 16 // count)):
            alone += [wall for _, wall in at_once(1, told)]
            for way, (prepare, claim) in ways.items():
                prepare()
                costs = contention.refused_at_once(count, claim)
                refused[way] += [cost.wall for cost in costs]
        for way, took in refused.items():
            percentiles = statistics.quantiles(took, n=100)
            for number in (50, 99):
                report.number(
                    f"{way}, p{number}: {count} at once / a silent claim alone",
                    percentiles[number - 1] / statistics.median(alone),
                    series=f"claims at once: {way}, p{number}",
                    x=count,
                )


def _database(path: str) -> tuple[Callable[[], object], Callable[[], bool]]:
    """
    Make a database with one row; return functions that make a notice due and claim it.

    A claim reads first, and takes the lock only if the notice is due. It opens the
    database, as each activation has to.
    """
    is_told = "SELECT told FROM environments WHERE name = 'shop'"
    update = "UPDATE environments SET told = ? WHERE name = 'shop'"

    def connect() -> contextlib.closing[sqlite3.Connection]:
        return contextlib.closing(sqlite3.connect(path, 10, isolation_level=None))

    with connect() as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE environments (name TEXT PRIMARY KEY, told INT)")
        database.execute("INSERT INTO environments VALUES ('shop', 0)")

    def prepare() -> None:
        with connect() as database:
            database.execute(update, (False,))

    def claim() -> bool:
        with connect() as database:
            if database.execute(is_told).fetchone()[0]:
                return False
            database.execute("BEGIN IMMEDIATE")
            is_due = not database.execute(is_told).fetchone()[0]
            if is_due:
                database.execute(update, (True,))
            database.execute("COMMIT")
            return is_due

    return prepare, claim


def _environments(report: Report, place: Path) -> None:
    """
    Vary the number of environments in the store.
    """
    unit = "environments"
    made = dict(_stores(report, place))
    told = {n: stores.notified(place / f"{n}") for n in made}
    _flat(report, unit, told)
    # Above it one call is a sample, and there are fewer rounds.
    most = 10_000
    for name, function in ("`list`", _list), ("`prune`", lambda store: store.prune):
        measures = {
            n: part((_repeated if n < most else call)(function(store)), n)
            for n, store in made.items()
        }
        _curve(report, f"{unit}: {name}, per environment", measures, most=most)
    smallest = stores.peak_memory(stores.cache_of(told[min(told)]))
    for n, shop in told.items():
        series = f"{unit}: peak memory of `list`"
        peak = stores.peak_memory(stores.cache_of(shop))
        name = f"peak memory of `list`: {short(n)} / {short(min(told))} {unit}"
        report.number(name, peak / smallest, limit=1.2, series=series, x=n)


def _stores(report: Report, place: Path) -> Iterator[tuple[int, StateStore]]:
    """
    Make the stores for which there is room.
    """
    for count in ENVIRONMENTS:
        disk, needed = os.statvfs(place), count * _SPARE
        has_room = disk.f_bavail * disk.f_frsize > needed * _BYTES
        if has_room and (disk.f_favail > needed or not disk.f_files):
            yield count, stores.many(place / f"{count}" / "cache", count)
        else:
            report.skip(f"{count} environments: there is no room")


def _list(store: StateStore) -> Callable[[], int]:
    return lambda: sum(1 for _ in store)
