"""
Measure how much faster many environments are checked at once.

    python benchmarks/many.py [--environments 200] [--pairs 3] [--check]

`upgrade-state check --all` runs with `-j 8` and `-j 1` in turns, and with a stand-in
command that waits, as resolvers do most of the time. The wall time counts.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from upgrade_state import StateStore

_SECONDS = 0.25
_WANTED = 6


def make(place: Path, count: int) -> None:
    """
    Make a store of environments that have been checked once.
    """
    store = StateStore()
    for number in range(count):
        directory = place / f"{number}"
        directory.mkdir()
        (directory / "pins.lock").write_bytes(b"old\n")
        with store.environment(directory, "pins.lock").try_check() as check:
            if check is None or not check.commit(b"old\n"):
                raise RuntimeError("no commit")


def run(jobs: int, count: int) -> float:
    """
    Check all of them; return the seconds that took.
    """
    stand_in = f"sleep {_SECONDS}; echo new >> pins.lock"
    command = [sys.executable, "-m", "upgrade_state", "check", "--all"]
    command += ["-j", str(jobs), "--max-age", "0", "--", "sh", "-c", stand_in]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if f"{count} checked\n" not in done.stderr:
        raise RuntimeError(done.stderr)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--environments", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if the limit is missed"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["UPGRADE_STATE_CACHE_DIR"] = f"{temporary}/cache"
        make(Path(temporary).resolve(), args.environments)
        pairs = [
            (run(8, args.environments), run(1, args.environments))
            for _ in range(args.pairs)
        ]
    many, one = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    ratio = one / many
    missed = "" if ratio >= _WANTED else "  MISSED"
    print(f"check --all of {args.environments} that wait {_SECONDS} s, on the wall")
    print(f"-j 8: {many:.2f} s  -j 1: {one:.2f} s  ", end="")
    print(f"{ratio:.2f} times as fast, wanted {_WANTED}{missed}")
    return int(args.check and ratio < _WANTED)


if __name__ == "__main__":
    sys.exit(main())
