"""
Take samples in turns, so that the speed of the machine at the moment cancels out.

`interleave` runs several measures in rounds, each round in another order; the quotient
of two of them is a `Ratio`: the median and the quartiles of the ratios within a round.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import resource
import signal
import statistics
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class Cost(NamedTuple):
    """
    What one sample took, in seconds.
    """

    cpu: float
    wall: float


Measure: TypeAlias = "Callable[[], Cost]"


class Quartiles(NamedTuple):
    """
    The median of the ratios, and the two quartiles around it.
    """

    low: float
    median: float
    high: float


class Ratio(NamedTuple):
    """
    How often the cost of one thing another takes, and the medians of both.
    """

    cpu: Quartiles
    wall: Quartiles
    this: Cost
    against: Cost


class Samples(list[Cost]):
    """
    The costs of one measure, one from each round.
    """

    @property
    def median(self) -> Cost:
        """
        The median of each cost.
        """
        return Cost(*map(statistics.median, zip(*self, strict=True)))

    def __sub__(self, other: Samples) -> Samples:
        """
        Return what this one takes beyond another measure of the same rounds.
        """
        rounds = zip(self, other, strict=True)
        return Samples(Cost(a.cpu - b.cpu, a.wall - b.wall) for a, b in rounds)

    def __truediv__(self, other: Samples) -> Ratio:
        """
        Compare with another measure of the same rounds.
        """
        rounds = list(zip(self, other, strict=True))
        return Ratio(
            cpu=_quartiles([this.cpu / against.cpu for this, against in rounds]),
            wall=_quartiles([this.wall / against.wall for this, against in rounds]),
            this=self.median,
            against=other.median,
        )


def _quartiles(values: list[float]) -> Quartiles:
    if len(values) == 1:
        return Quartiles(*values * 3)
    return Quartiles(*statistics.quantiles(values, n=4, method="inclusive"))


def interleave(measures: Mapping[str, Measure], rounds: int) -> dict[str, Samples]:
    """
    Take so many samples of each measure, in turns. One more, the first, fills caches.

    The order changes, because a large process leaves the next one with cold caches.
    """
    samples = {name: Samples() for name in measures}
    for measure in measures.values():
        measure()
    order, shuffle = [*measures], random.Random(0).shuffle  # noqa: S311 - no secret
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            samples[name].append(measures[name]())
    return samples


def process(
    *argv: str | os.PathLike[str], stderr: int | None = None, count: int = 1
) -> Measure:
    """
    Measure a whole process, without input and output, until it has been waited for.

    Args:
        argv: The command; its first part is an absolute path.

        stderr: A descriptor, such as one of a terminal; None: it is discarded.

        count: How many start at the same time; the cost is divided by it.
    """
    command = [os.fspath(part) for part in argv]
    actions = [*_NOTHING]
    if stderr is not None:
        actions.append((os.POSIX_SPAWN_DUP2, stderr, 2))

    def measure() -> Cost:
        cpu, start = 0.0, time.perf_counter()
        with _children() as pids:
            for _ in range(count):
                program, environ = command[0], os.environ
                pids.append(
                    os.posix_spawn(program, command, environ, file_actions=actions)
                )
            for pid in [*pids]:
                _, ended, usage = os.wait4(pid, 0)
                pids.remove(pid)
                cpu += usage.ru_utime + usage.ru_stime
                if ended:
                    raise RuntimeError(f"failed: {command}")
        return Cost(cpu / count, (time.perf_counter() - start) / count)

    return measure


@contextlib.contextmanager
def _children() -> Iterator[list[int]]:
    """
    End the children in a list if an error or Ctrl-C comes before their end.

    They would write to a directory while it is deleted.
    """
    pids: list[int] = []
    try:
        yield pids
    except BaseException:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        for pid in pids:
            os.waitpid(pid, 0)
        raise


_NOTHING: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
    (os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)
]


def script(path: Path, text: str) -> list[str]:
    """
    Write a program, and return the command that runs it.
    """
    path.write_text(text)
    return [sys.executable, str(path)]


def call(function: Callable[[], object], times: int = 1) -> Measure:
    """
    Measure one call of *function* in this process, averaged over *times* in a row.
    """

    def measure() -> Cost:
        gc.disable()  # it comes when it comes, and not to both sides alike
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(times):
                function()
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        finally:
            gc.enable()
        return Cost(cpu / times, wall / times)

    return measure


def part(measure: Measure, count: int) -> Measure:
    """
    Measure a part of *count* that take the same time.
    """
    return lambda: Cost(*(seconds / count for seconds in measure()))


def timed(function: Callable[[], object]) -> Cost:
    """
    Return the cost of one call, with the CPU time of children that it waits for.
    """
    wall, cpu = time.perf_counter(), _cpu_with_children()
    function()
    return Cost(_cpu_with_children() - cpu, time.perf_counter() - wall)


def _cpu_with_children() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def prepared(prepare: Callable[[], object], measure: Measure) -> Measure:
    """
    Call *prepare* before each sample, outside of it.
    """

    def measure_prepared() -> Cost:
        prepare()
        return measure()

    return measure_prepared


def at_once(count: int, function: Callable[[], Any]) -> list[Any]:
    """
    Call a function in so many processes at the same time; return its answers.

    They come as JSON.
    """
    waiting, begin = os.pipe()
    with contextlib.ExitStack() as stack:
        files = [
            stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count)
        ]
        pids = stack.enter_context(_children())
        for file in files:
            pids.append(os.fork())
            if pids[-1] == 0:
                status = 1
                try:
                    os.close(begin)
                    os.read(waiting, 1)  # the end, when the last process has begun
                    json.dump(function(), file)
                    file.flush()
                    status = 0
                except Exception:  # noqa: BLE001 - no caller sees it
                    traceback.print_exc()
                finally:
                    os._exit(status)
        os.close(begin)
        os.close(waiting)
        for pid in [*pids]:
            _, ended = os.waitpid(pid, 0)
            pids.remove(pid)
            if ended:
                raise RuntimeError("a process has failed")
        for file in files:
            file.seek(0)
        return [json.load(file) for file in files]
