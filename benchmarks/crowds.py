"""
Measure writers of one record that wait for each other.

    python benchmarks/crowds.py [--writers 4 50] [--seconds 10] [--pairs 3] [--check]

Processes snooze in loops. In turns, they wait as the library does, and in the queue of
the kernel: by a plain `flock(2)` without a time limit, around the same replacement.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import fcntl
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from upgrade_state import StateStore, _locks, preload
from upgrade_state.exceptions import StateLockError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from upgrade_state import EnvironmentState

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)

# Of the kernel's throughput; of the mean of the turns; of the median; of one core.
_THROUGHPUT, _FAIRNESS, _TAIL, _CPU = 0.5, 0.1, 20, 0.02

# Seconds after which the library gives up. The kernel does not.
_LIMIT = 10


@contextlib.contextmanager
def kernel_queue(path: str) -> Iterator[None]:
    """
    Hold the lock on a file, after waiting for it without a time limit.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


WAYS = {"library": _locks.wait_for_lock, "kernel": kernel_queue}


@contextlib.contextmanager
def made() -> Iterator[EnvironmentState]:
    """
    Make an environment with an upgrade, in a new store.
    """
    with tempfile.TemporaryDirectory() as place:
        shop = StateStore(f"{place}/cache").environment(place, "pins.lock")
        with open(f"{place}/pins.lock", "wb") as file:
            file.write(b"old")
        rows = [Upgrade("x", "version")]
        with shop.try_check() as check:
            if check is None or not check.commit(b"new", upgrades=rows):
                raise RuntimeError("no commit")
        yield shop


def at_once(count: int, function: Callable[[int], Any]) -> list[Any]:
    """
    Call a function in so many processes at the same time; return its answers.
    """
    ready, go, answers = os.pipe(), os.pipe(), os.pipe()
    for index in range(count):
        if os.fork() == 0:
            os.close(go[1])
            os.write(ready[1], b".")
            os.read(go[0], 1)
            os.write(answers[1], json.dumps(function(index)).encode() + b"\n")
            os._exit(0)
    for _ in range(count):
        os.read(ready[0], 1)
    for descriptor in (*ready, go[0], go[1], answers[1]):
        os.close(descriptor)
    with open(answers[0], encoding="ascii") as file:
        found = [json.loads(line) for line in file]
    for _ in range(count):
        os.wait()
    return found


def write(way: str, count: int, seconds: float) -> list[tuple[list[float], int]]:
    """
    Snooze in loops; return the seconds of each snooze, and the time-outs, by writer.
    """
    _locks.wait_for_lock = WAYS[way]
    with made() as shop:

        def loop(_: int) -> tuple[list[float], int]:
            took, late, end = [], 0, time.monotonic() + seconds
            while (start := time.monotonic()) < end:
                with contextlib.suppress(StateLockError):
                    shop.snooze(NOON)
                took.append(time.monotonic() - start)
                late += took[-1] >= _LIMIT
            return took, late

        return at_once(count, loop)


def measure_writers(count: int, seconds: float, pairs: int) -> Iterator[bool]:
    turns: dict[str, list[list[int]]] = {way: [] for way in WAYS}
    late = dict.fromkeys(WAYS, 0)
    for number in range(pairs):
        for way in sorted(WAYS, reverse=bool(number % 2)):
            writers = write(way, count, seconds)
            turns[way].append([len(took) for took, _ in writers])
            late[way] += sum(late for _, late in writers)
    ratio = statistics.median(
        sum(ours) / sum(theirs) for ours, theirs in zip(*turns.values(), strict=True)
    )
    fairness = {
        way: statistics.median(min(run) / statistics.mean(run) for run in runs)
        for way, runs in turns.items()
    }
    mean = statistics.mean(map(statistics.mean, turns["library"]))
    name = f"{count} writers"
    yield show(f"{name}, turns / kernel's", ratio, ratio >= _THROUGHPUT)
    fair = fairness["library"] >= _FAIRNESS
    yield show(f"{name}, fewest turns / mean of {mean:.0f}", fairness["library"], fair)
    print(f"{'  the same in the queue of the kernel':55} {fairness['kernel']:8.3g}")
    yield show(f"{name}, time-outs", late["library"], late["library"] <= late["kernel"])
    print(f"{'  waits as long in the queue of the kernel':55} {late['kernel']:8}")


def measure_tail(seconds: float) -> bool:
    """
    Measure the snoozes of one of nine writers against their median.
    """
    took = sorted(write("library", 9, seconds)[0][0])
    ratio = took[len(took) * 99 // 100] / statistics.median(took)
    name = f"one of 9 writers, p99 / median of {len(took)} turns"
    return show(name, ratio, ratio <= _TAIL)


def measure_cpu() -> bool:
    """
    Measure a writer that waits the full 10 seconds in vain.
    """
    _locks.wait_for_lock = WAYS["library"]
    with made() as shop:
        path = f"{os.path.dirname(shop.record_path)}/locks/{shop.key}.write"
        shop.snooze(NOON)
        with kernel_queue(path), contextlib.suppress(StateLockError):
            start, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
            shop.snooze(NOON)
        now = resource.getrusage(resource.RUSAGE_SELF)
        wall = time.monotonic() - start
    share = (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) / wall
    return show(
        f"a writer that waits {wall:.1f} s, share of a core", share, share < _CPU
    )


def measure_claims(count: int) -> bool:
    """
    Count the notices of processes that claim at once.
    """
    with made() as shop:
        reasons = Counter(at_once(count, lambda _: shop.claim_notice().reason))
    print(f"  {dict(reasons)}")
    return show(
        f"{count} claims at once, notices", reasons["notify"], reasons["notify"] == 1
    )


def show(name: str, value: float, is_met: bool) -> bool:  # noqa: FBT001
    """
    Print a figure; return whether it meets its target.
    """
    print(f"{name:55} {value:8.3g}{'' if is_met else '  MISSED'}", flush=True)
    return is_met


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--writers", type=int, nargs="+", default=[4, 50, 200])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a target is missed"
    )
    args = parser.parse_args()
    preload()
    met = []
    for count in args.writers:
        met += measure_writers(count, args.seconds, args.pairs)
    met += [measure_tail(args.seconds), measure_cpu(), measure_claims(1000)]
    return int(args.check and not all(met))


if __name__ == "__main__":
    sys.exit(main())
