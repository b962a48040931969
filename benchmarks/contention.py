"""
Claims that meet other processes, for the group `claims`.
"""

from __future__ import annotations

import contextlib
import functools
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import stores
from benchmarks.measure import Cost, Samples, at_once, call
from upgrade_state import preload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.measure import Measure
    from benchmarks.report import Report
    from upgrade_state import EnvironmentState, Verdict

# A check that resolves until its input ends.
_RESOLVING = """\
import sys
with shop.try_check() as check:
    print("running", flush=True)
    sys.stdin.read()
"""

# Checks that find something else each time, or fail, one after the other.
_COMMITTING = """\
import contextlib
print("running", flush=True)
for number in range(1_000_000):
    with contextlib.suppress(ZeroDivisionError), shop.try_check() as check:
        check.commit(b"%d" % (number // (number % 2)))
"""

_CLAIMERS = 64


def measure(report: Report, place: Path) -> None:
    """
    Measure claims beside a check of the same environment, and claims in a crowd.
    """
    _beside_a_check(report, place / "check")
    _in_a_crowd(report, place / "crowd")


def _beside_a_check(report: Report, place: Path) -> None:
    """
    Claim in an environment that is being checked, in turns with another one.
    """
    busy, quiet = (stores.checked(place, size=size) for size in (10_000, 10_001))
    names = {"while it resolves": _RESOLVING, "while it commits or fails": _COMMITTING}
    for name, program in names.items():
        refused: list[bool] = []
        with _running(stores.program(busy) + program):
            report.compare(
                f"granted claim {name} / without a check",
                _until_granted(busy, refused),
                _until_granted(quiet, []),
                limit=1.2,
                by="wall",
            )
        share = refused.count(True) / len(refused)
        report.number(f"granted claim {name}, share refused at first", share)


@contextlib.contextmanager
def _running(program: str) -> Iterator[None]:
    """
    Run a program beside a `with` statement.
    """
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        try:
            assert process.stdout  # noqa: S101 - for the reader of types
            process.stdout.readline()
            yield
            if process.poll() is not None:
                raise RuntimeError("the check has ended")
        finally:
            process.kill()


def _until_granted(shop: EnvironmentState, refused: list[bool]) -> Measure:
    """
    Measure a claim that is granted, and note whether an earlier one was refused.

    A writer holds the lock for the time of one replacement. A claim that meets it is
    refused at once, and the notice is left to the next activation.
    """
    verdicts: list[Verdict] = []
    claim = functools.partial(
        shop.claim_notice, interval=stores.ALWAYS, reminder=stores.ALWAYS
    )
    once = call(lambda: verdicts.append(claim()))

    def measure() -> Cost:
        cost = once()
        refused.append(not verdicts[-1])
        while not verdicts.pop():
            cost = once()
        return cost

    return measure


def _in_a_crowd(report: Report, place: Path) -> None:
    """
    Let processes claim at the same instant, and compare those that are refused.

    Most of the longest waits are for a processor, as those of loops without any call.
    """
    shop = stores.checked(place)
    put_back = stores.putting_back(shop)
    preload()
    refused, loops = Samples(), Samples()

    def loop() -> Cost:
        return call(lambda: _use_processor(refused.median.cpu))()

    for _ in range(report.rounds):
        put_back()
        refused += refused_at_once(_CLAIMERS, shop.claim_notice)
        loops += [Cost(*cost) for cost in at_once(_CLAIMERS, loop)]
    name = f"{_CLAIMERS} claims at once, refused: p99 / p50"
    report.number(f"{name}, wall", _tail([c.wall for c in refused]), limit=10)
    report.number(f"{name}, CPU", _tail([c.cpu for c in refused]))
    name = f"{_CLAIMERS} loops at once of as much CPU: p99 / p50, wall"
    report.number(name, _tail([c.wall for c in loops]))


def refused_at_once(count: int, claim: Callable[[], object]) -> list[Cost]:
    """
    Claim in so many processes; return the costs of the claims that are refused.
    """

    def measured() -> tuple[bool, Cost]:
        verdicts: list[object] = []
        cost = call(lambda: verdicts.append(claim()))()
        return bool(verdicts[0]), cost

    answers = at_once(count, measured)
    refused = [Cost(*cost) for is_granted, cost in answers if not is_granted]
    if len(refused) != count - 1:
        raise RuntimeError(f"{count - len(refused)} notices")
    return refused


def _tail(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[-1] / statistics.median(seconds)


def _use_processor(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
