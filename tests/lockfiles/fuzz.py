"""
Read damaged lockfiles of one format, and print the failures.

    python fuzz.py FORMAT COUNT FACTOR [SAMPLE...]

Run by test_fuzz.py. FACTOR is how much longer than a valid file of its size a
damaged one may take. The damage is done to small seeds, and a little of it to the
real lockfiles named; it is the same each time.
"""

import json
import random
import re
import resource
import signal
import statistics
import sys
import time
from pathlib import Path

from helpers import SEEDS
from upgrade_state import lockfiles

# Of samples, so many bytes altogether, and at least so many files.
SAMPLE_BYTES, SAMPLE_FILES = 20_000_000, 30

# Bytes of one flood, and one in so many files is one.
FLOOD, FLOODS = 100_000, 200

# The memory that a process may add to its memory at the start.
MEMORY = 256 * 1024 * 1024

HANGS = 20  # seconds

TOKENS = (
    *(bytes([number]) for number in range(129)),
    *(b"null true -1 1e999 [] {} '' \"\" [[ ]] = : , . - # & * ! | > % @ \\".split()),
    *(b"\\ud800 \\u0000 \xef\xbb\xbf \xff\xfe \xc2\x85 \xe2\x80\xa8".split()),
    *(b"!!binary &a *a << ? --- ... ''' \"\"\" <<<<<<< >>>>>>>".split()),
    *(b"\r\n", b"\n\n", b"\n- ", b"\n  ", b"\n[a]\n", b"\n[[a]]\n", b"\na = ", b"a."),
    *(b"9" * 5000, b"[" * 300, b"{" * 300, b"a." * 300, b'{"a":' * 300, b"- " * 300),
    *(b"node_modules/", b"git+https://u:p@h/x@", b"#" + b"a" * 40, b"@1.0", b"name"),
)


def damaged(rng, content):
    """
    Return *content* with one to four things done to it.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        content = rng.choice(DAMAGES)(rng, content)
    return content


def cut(rng, content):
    """
    Return two places in *content*, mostly near each other.
    """
    start = rng.randint(0, len(content))
    length = rng.choice((1, 4, 16, 64, 256, len(content)))
    return start, min(len(content), start + rng.randint(0, length))


def flip(rng, content):
    if not content:
        return content
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def insert(rng, content):
    start, stop = cut(rng, content)
    return content[:start] + rng.choice(TOKENS) + content[rng.choice((start, stop)) :]


def rearrange(rng, content):
    """
    Delete, truncate, repeat or move a piece.
    """
    start, stop = cut(rng, content)
    pieces = content[:start], content[start:stop], content[stop:]
    return b"".join(rng.choices(pieces, k=rng.randint(1, 5)))


def splice(rng, content):
    other = rng.choice(tuple(SEEDS.values()))
    return content[: cut(rng, content)[0]] + other[cut(rng, other)[0] :]


def flood(rng, content):
    """
    Repeat a piece, or put in a token, until there are a hundred kilobytes.

    This finds readers whose time grows with the square of the size.
    """
    start, stop = cut(rng, content)
    piece = rng.choice((content[start:stop], rng.choice(TOKENS))) or b"\n"
    times = FLOOD // len(piece)
    return damaged(rng, content[:stop] + piece * times + content[stop:])


def lines(rng, content):
    found = content.splitlines(keepends=True)
    rng.shuffle(found)
    return b"".join(found[: rng.randint(1, len(found) + 1)])


def values(rng, content):
    """
    Put something else in place of a word, everywhere.
    """
    words = content.replace(b'"', b" ").replace(b"'", b" ").split()
    if not words:
        return content
    return content.replace(rng.choice(words), rng.choice(TOKENS), rng.choice((1, -1)))


def reassign(rng, content):
    """
    Give some key another value, of any shape, so that most of it stays valid.
    """
    places = list(VALUE.finditer(content))
    if not places:
        return content
    place = rng.choice(places)
    value = rng.choice((rng.choice(places)[0], *SHAPES))
    return content[: place.start()] + value + content[place.end() :]


VALUE = re.compile(rb"(?<=[=:[,])\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,\"'\]}[{]+)")
SHAPES = (
    *(b" 1", b" 0", b" -1.5", b" true", b" null", b" [ ]", b" {}", b" [[1]]", b" [{}]"),
    *(b' ""', b' "x"', b' "1@2/3#4"', b' "\\u0000"', b' {"a" = 1}', b' {"a": "b"}'),
)

DAMAGES = (
    reassign,
    reassign,
    reassign,
    flip,
    insert,
    rearrange,
    rearrange,
    rearrange,
    splice,
    lines,
    values,
)


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


def problem(clock, content):
    """
    Return the failure of reading *content*; None: there is none.
    """
    signal.setitimer(signal.ITIMER_REAL, HANGS)
    start = time.perf_counter()
    try:
        snapshot = lockfiles.read(content, format=clock.name)
        spent = time.perf_counter() - start
        lockfiles.diff(clock.snapshot, snapshot)
    except BaseException as e:  # noqa: BLE001 - every kind is wrong, and to be reported
        return repr(e)
    if (snapshot.packages is None) is (snapshot.problem is None):
        return "neither packages nor a problem"
    if spent > clock.limit(content) and clock.is_slow(content):
        return f"{spent:.6f} s for {len(content)} bytes"
    return None


def fuzz(clock, content, count, rng, damage):
    for _ in range(count):
        candidate = damage(rng, content)
        found = problem(clock, candidate)
        if found is not None:
            yield [found, repr(candidate[:2000])]


def main():
    name, count, factor, *paths = sys.argv[1:]
    signal.signal(signal.SIGALRM, hangs)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    rng = random.Random(name)
    seed = SEEDS[name]
    jobs = [(seed, int(count), damaged), (seed, int(count) // FLOODS, flood)]
    for path in paths:
        content = Path(path).read_bytes()
        jobs.append((content, max(SAMPLE_FILES, SAMPLE_BYTES // len(content)), damaged))
    found = [
        problem
        for content, n, damage in jobs
        for problem in fuzz(
            Clock(name, float(factor), content), content, n, rng, damage
        )
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = sum(n for _, n, _ in jobs)
    sys.stdout.write(
        json.dumps({"read": read, "peak_kb": peak, "problems": found[:20]})
    )


def hangs(*_):
    raise TimeoutError(f"more than {HANGS} s")


if __name__ == "__main__":
    main()
