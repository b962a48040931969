"""
Measure the copy of a project against git and cp.

    python benchmarks/project.py [--files 100 5000 100000] [--pairs 7] [--check]

A copy with version control takes turns with `git clone --shared` without checkout and
`cp -r` of the same files. The wall time counts; the removal of a copy does not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from upgrade_state.checks import Command, _project
from upgrade_state.checks._scratch import scratch

_WANTED = 1.5

_GIT, _CP = (shutil.which(name) or name for name in ("git", "cp"))

_IN_A_DIRECTORY = 50
_LINES = 200


def make(top: Path, count: int) -> None:
    """
    Make a repository of so many files of 1 to 2 KB, in directories of 50.
    """
    for number in range(count):
        path = top / f"src/part{number // _IN_A_DIRECTORY}/file{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n" * _LINES + f"y = {number}\n")
    for words in ("init -q", "add .", "commit -qm x", "tag v1.0"):
        identity = ["-c", "user.name=a", "-c", "user.email=a@mail.example"]
        subprocess.run([_GIT, *identity, *words.split()], cwd=top, check=True)


def copied(top: Path, place: Path) -> float:
    """
    Copy the project; return the seconds that took.
    """
    start = time.perf_counter()
    project = _project.Project(str(top / "src"))
    above = scratch(str(place), str(top / "src"), project.top)
    project.copy(above, Command(["true"]), "uv.lock")
    return time.perf_counter() - start


def cloned(top: Path, place: Path) -> float:
    """
    Do the same with git and cp.
    """
    start = time.perf_counter()
    clone = [_GIT, "clone", "-q", "--shared", "--no-checkout", "--template="]
    subprocess.run([*clone, top, place], check=True)
    subprocess.run([_CP, "-r", top / "src", place], check=True)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--files", type=int, nargs="+", default=[100, 5_000, 100_000])
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if the limit is missed"
    )
    args = parser.parse_args()
    _project.MAX_SECONDS = 3_600  # also on a busy machine
    is_missed = False
    print(f"medians of {args.pairs} pairs, on the wall")
    for count in args.files:
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(os.path.realpath(temporary))
            make(place / "top", count)
            pairs = []
            for number in range(args.pairs):
                # In both orders, since each one pays for the removal before it.
                pair = {}
                for way in (copied, cloned) if number % 2 else (cloned, copied):
                    os.sync()
                    pair[way] = way(place / "top", place / "copy")
                    shutil.rmtree(place / "copy")
                pairs.append((pair[copied], pair[cloned]))
        ours, theirs = (statistics.median(s) for s in zip(*pairs, strict=True))
        ratio = ours / theirs
        missed = "" if ratio <= _WANTED else "  MISSED"
        is_missed = is_missed or bool(missed)
        print(f"{count:7} files: {ours:.3f} s  git and cp: {theirs:.3f} s  ", end="")
        print(f"ratio {ratio:.2f}, limit {_WANTED}{missed}")
    return int(args.check and is_missed)


if __name__ == "__main__":
    sys.exit(main())
