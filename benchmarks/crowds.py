"""
Measure writers of one record that wait for each other.

Processes snooze in loops. In turns, they wait as the library does, and in the queue of
the kernel: by a plain `flock(2)` without a time limit, around the same replacement.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import statistics
import time
from typing import TYPE_CHECKING

from attrs import define, field

from benchmarks import stores
from benchmarks.measure import Cost, at_once, timed
from upgrade_state import _locks, preload
from upgrade_state.exceptions import StateLockError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.report import Report
    from upgrade_state import EnvironmentState
    from upgrade_state._files import Descriptors

TITLE = "Crowds that write one record"

_NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)

# Writers, and the seconds of each sample: a writer has some tens of turns.
_CROWDS = {4: 2, 50: 3, 200: 6}
_ROUNDS = 3

# Of one sample of nine writers.
_SECONDS = 4

# Seconds after which the library gives up. The kernel does not.
_LIMIT = 10


@contextlib.contextmanager
def _kernel_queue(store: Descriptors, path: str) -> Iterator[None]:
    """
    Hold a lock as the library does, but wait for it in a plain `flock(2)`.
    """
    store.enter(os.path.dirname(path))
    with _held(path):
        store.ensure()
        yield


@contextlib.contextmanager
def _held(path: str) -> Iterator[None]:
    """
    Hold the lock on a file, after waiting for it without a time limit.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_WAYS = {"library": _locks.wait_for_lock, "kernel": _kernel_queue}


def measure(report: Report, place: Path) -> None:
    """
    Compare crowds of several sizes, and measure one writer that waits in vain.
    """
    preload()
    shop = stores.notified(place)
    for count, seconds in _CROWDS.items():
        crowds = {way: Crowd(shop, way, count, seconds) for way in _WAYS}
        ours, theirs = crowds.values()
        samples = report.interleave(
            {way: crowd.sample for way, crowd in crowds.items()},
            min(_ROUNDS, report.rounds),
        )
        name = f"{count} writers"
        report.add(
            f"{name}, turns / in the queue of the kernel",
            samples["kernel"] / samples["library"],
            limit=0.5,
            at_least=True,
            by="wall",
        )
        report.number(
            f"{name}, fewest turns / mean", ours.fairness, limit=0.1, at_least=True
        )
        report.number(f"{name} in the queue of the kernel, the same", theirs.fairness)
        report.number(f"{name}, waits of {_LIMIT} s", ours.late, limit=theirs.late)
    one = Crowd(shop, "library", 9, _SECONDS)
    one.sample()
    took = sorted(one.took[0][0])
    tail = took[len(took) * 99 // 100] / statistics.median(took)
    report.number("one of 9 writers, p99 / median of a turn", tail, limit=20)
    cost = _in_vain(shop)
    name = f"a writer that waits {cost.wall:.0f} s, share of a core"
    report.number(name, cost.cpu / cost.wall, limit=0.02)


@define
class Crowd:
    """
    Processes that snooze in loops.

    Attributes:
        took: The seconds of each turn, by writer, of one sample after the other.
    """

    shop: EnvironmentState
    way: str
    count: int
    seconds: float
    took: list[list[list[float]]] = field(factory=list)

    def sample(self) -> Cost:
        """
        Return the mean cost of a turn.
        """
        _locks.wait_for_lock = _WAYS[self.way]
        cost = timed(lambda: self.took.append(at_once(self.count, self._snooze)))
        turns = sum(map(len, self.took[-1]))
        return Cost(cost.cpu / turns, self.seconds / turns)

    def _snooze(self) -> list[float]:
        took, end = [], time.monotonic() + self.seconds
        while (start := time.monotonic()) < end:
            with contextlib.suppress(StateLockError):
                self.shop.snooze(_NOON)
            took.append(time.monotonic() - start)
        return took

    @property
    def fairness(self) -> float:
        """
        The turns of the writer with the fewest, as a share of the mean.
        """
        turns = [[len(writer) for writer in writers] for writers in self.took]
        return statistics.median(min(each) / statistics.mean(each) for each in turns)

    @property
    def late(self) -> int:
        """
        How many turns took as long as the library waits.
        """
        writers = [writer for writers in self.took for writer in writers]
        return sum(seconds >= _LIMIT for writer in writers for seconds in writer)


def _in_vain(shop: EnvironmentState) -> Cost:
    """
    Measure a writer that waits the full time for another process.
    """

    def wait() -> None:
        with contextlib.suppress(StateLockError):
            shop.snooze(_NOON)

    _locks.wait_for_lock = _WAYS["library"]
    path = f"{os.path.dirname(shop.record_path)}/locks/{shop.key}.write"
    with _held(path):
        return timed(wait)
