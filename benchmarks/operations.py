"""
One operation in a process that has loaded the library, by a kept handle.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks import floors, stores
from benchmarks.floors import calls
from benchmarks.measure import call, part, process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.report import Report

TITLE = "One operation in a process"

_TIMES = 1000


def measure(report: Report, place: Path) -> None:
    """
    Compare silent claims with the calls without which no file is read.
    """
    shop = stores.notified(place)
    record = shop.record_path or ""
    store = os.path.dirname(record)
    functions: dict[str, Callable[[], object]] = {
        "claim": shop.claim_notice,
        "new handle": stores.activation(shop),
        "look": shop.look,
        "information": lambda: shop.look().information,
        "read": _read(record),
        "floor": lambda: calls.silent(store, record),
    }
    measures = {name: call(function, _TIMES) for name, function in functions.items()}
    if program := floors.build(report, "silent", place):
        times = 20 * _TIMES
        measures["C"] = part(process(program, str(times), store, record), times)
    samples = report.interleave(measures)

    def add(name: str, this: str, against: str, limit: float | None = None) -> None:
        report.add(name, samples[this] / samples[against], limit=limit)

    # Where a call costs more, the limit is the number below.
    limit = 4 if samples["read"].median.cpu < 4e-6 else None
    add("silent claim, kept handle / open, read, close", "claim", "read", limit)
    more = (samples["claim"] - samples["read"]).median.cpu * 1e6
    report.number("the same, above the three calls (µs)", more, unit="µs", limit=10)
    add("the same / lstat, open, fstat, read, close", "claim", "floor")
    if "C" in samples:
        add("the same / these calls in C", "claim", "C")
    add("silent claim, new handle / open, read, close", "new handle", "read")
    add("look / open, read, close", "look", "read")
    add("look().information / look", "information", "look")


def _read(path: str) -> Callable[[], None]:
    """
    Return the three calls.
    """

    def read() -> None:
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 4096)
        os.close(descriptor)

    return read
