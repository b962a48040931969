"""
Damaged lockfiles: each is read or opaque, in time and in space.

The arguments are how much longer than a valid file of its size a damaged one may take,
the format (all: every format), and real lockfiles. The damage is done to small seeds,
and a little of it to the real ones.
"""

import statistics
import time
from pathlib import Path

from fuzz import damage
from lockfiles.helpers import SEEDS
from upgrade_state import lockfiles

# Of samples, so many bytes altogether, and at least so many files.
SAMPLE_BYTES, SAMPLE_FILES = 20_000_000, 30

# One in so many files is a flood.
FLOODS = 200


class Clock:
    """
    Knows how long reading a valid file takes, whatever its size.
    """

    def __init__(self, name, factor, content):
        self.name = name
        self.factor = factor
        self.size = len(content)
        self.snapshot = lockfiles.read(content, format=name)
        spent = [self.spent(content) for _ in range(25)]
        self.valid = statistics.median(spent[5:])

    def spent(self, content):
        start = time.thread_time()
        lockfiles.read(content, format=self.name)
        return time.thread_time() - start

    def limit(self, content):
        return self.factor * self.valid * max(1, len(content) / self.size)

    def is_slow(self, content):
        """
        Look again: once may be bad luck.
        """
        return min(self.spent(content) for _ in range(7)) > self.limit(content)


class Target:
    def __init__(self, _, factor, name, *paths):
        damage.OTHERS.extend(SEEDS.values())
        names = lockfiles.FORMATS if name == "all" else [name]
        self.seeds = [(name, SEEDS[name]) for name in names]
        self.samples = [(name, Path(path).read_bytes()) for path in paths]
        self.factor, self.facts = float(factor), {"read": 0}

    def candidates(self, rng, count):
        jobs = [(*seed, count, damage.damaged) for seed in self.seeds]
        jobs += [(*seed, count // FLOODS, damage.flood) for seed in self.seeds]
        for name, content in self.samples:
            number = max(SAMPLE_FILES, SAMPLE_BYTES // len(content))
            jobs.append((name, content, number, damage.damaged))
        for name, content, number, act in jobs:
            clock = Clock(name, self.factor, content)
            for _ in range(number):
                yield clock, act(rng, content)

    def examine(self, candidate):
        clock, content = candidate
        self.facts["read"] += 1
        start = time.perf_counter()
        snapshot = lockfiles.read(content, format=clock.name)
        spent = time.perf_counter() - start
        lockfiles.diff(clock.snapshot, snapshot)
        assert (snapshot.packages is None) is not (snapshot.problem is None)
        if spent > clock.limit(content) and clock.is_slow(content):
            raise AssertionError(f"{spent:.6f} s for {len(content)} bytes")
