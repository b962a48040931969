"""
One operation in a process that has loaded the library, by a kept handle.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks import stores
from benchmarks.measure import call
from upgrade_state import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.report import Report
    from upgrade_state import EnvironmentState

TITLE = "One operation in a process"

_TIMES = 1000


def measure(report: Report, place: Path) -> None:
    """
    Compare a silent claim with the three calls without which no file is read.
    """
    shop = stores.notified(place)
    pair = report.interleave(
        {
            "claim": call(shop.claim_notice, _TIMES),
            "new handle": call(_fresh(shop), _TIMES),
            "read": call(_read(shop.record_path), _TIMES),
        }
    )
    limit = 4 if pair["read"].median.cpu < 4e-6 else None
    ratio = pair["claim"] / pair["read"]
    report.add("silent claim, kept handle / open, read, close", ratio, limit=limit)
    more = (ratio.this.cpu - ratio.against.cpu) * 1e6
    report.number("the same, above the three calls (µs)", more, unit="µs", limit=10)
    report.add(
        "silent claim, new handle / open, read, close",
        pair["new handle"] / pair["read"],
    )


def _fresh(shop: EnvironmentState) -> Callable[[], object]:
    cache, path = stores.cache_of(shop), str(shop.path)
    return lambda: StateStore(cache).environment(path, "uv.lock").claim_notice()


def _read(path: str) -> Callable[[], None]:
    def read() -> None:
        descriptor = os.open(path, os.O_RDONLY)
        os.read(descriptor, 4096)
        os.close(descriptor)

    return read
