"""
Measure the cost of the hook at a prompt, in each installed shell.

    python benchmarks/hook.py [--pairs 31] [--check]

Needs the interpreter of a virtual environment in which the library is installed.
Without a lockfile, a shell runs the prompt function many times in a row, in turns with
an empty function; the difference of the medians is the cost. With a lockfile a whole
command runs; it is compared to a bare interpreter that the same shell starts.
"""

from __future__ import annotations

import argparse
import os
import pty
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from run import _OFF, notified_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

# Functions, and how many microseconds each may take. fish needs most of them, as it
# runs a command for each name.
CASES = {
    "us, the same directory": ("__upgrade_state_prompt", 100),
    "us, another one, 8 levels below home": ("entered", 1500),
    "us, another one, outside of home": ("outside", 3000),
}

# Against a bare interpreter.
LIMIT = 1.35

# Runs each line of the input, and prints an empty line after it.
LOOPS = {
    "bash": 'while read -r line; do eval "$line"; echo; done',
    "zsh": 'while read -r line; do eval "$line"; echo; done',
    "fish": "while read line; eval $line; echo; end",
}

# Functions for those lines.
FUNCTIONS = {
    "bash": """
nothing() { :; }
entered() { __upgrade_state_dir=; __upgrade_state_prompt; }
outside() { HOME=/nowhere; entered; HOME=$PLACE; }
bare() { "$PYTHON" -c pass </dev/null >/dev/null; }
turn() { for ((i = 0; i < $2; i++)); do $1; done; }
""",
    "fish": """
function nothing; end
function entered; set -g __upgrade_state_dir; __upgrade_state_prompt; end
function outside; set -g HOME /nowhere; entered; set -g HOME $PLACE; end
function bare; $PYTHON -c pass </dev/null >/dev/null; end
function turn; for i in (seq $argv[2]); $argv[1]; end; end
""",
}
FUNCTIONS["zsh"] = FUNCTIONS["bash"]


class Shell:
    """
    A shell with the hook, whose stderr is a terminal.
    """

    def __init__(self, name: str) -> None:
        hook = subprocess.run(
            [Path(sys.executable).with_name("upgrade-state"), "hook", name],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
        ours, theirs = pty.openpty()
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
        self._process = subprocess.Popen(
            [name, "-c", f"{hook}\n{FUNCTIONS[name]}\n{LOOPS[name]}"],
            env=os.environ | {"PYTHON": sys.executable, "PLACE": os.environ["HOME"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            bufsize=1,
        )
        os.close(theirs)

    def run(self, line: str) -> float:
        """
        Run a line and return the seconds it took.
        """
        assert self._process.stdin  # noqa: S101 - for the reader of types
        assert self._process.stdout  # noqa: S101
        start = time.perf_counter()
        self._process.stdin.write(f"{line}\n")
        self._process.stdout.readline()
        return time.perf_counter() - start

    def take_turns(
        self, this: str, against: str, *, calls: int, pairs: int
    ) -> tuple[float, float]:
        """
        Return the medians for one call each, in microseconds.
        """
        lines = [f"turn {name} {calls}" for name in (this, against)]
        samples = [[self.run(line) for line in lines] for _ in range(pairs)]
        ours, theirs = map(statistics.median, zip(*samples, strict=True))
        return ours / calls * 1e6, theirs / calls * 1e6

    def close(self) -> None:
        self._process.communicate()


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except OSError:  # the other end is closed
        os.close(fd)


def measure(name: str, place: Path, pairs: int) -> Iterator[tuple[str, float, float]]:
    """
    Measure one shell; stream names, values and limits.
    """
    shell = Shell(name)
    deep = place.joinpath(*"12345678")
    deep.mkdir(parents=True, exist_ok=True)
    shell.run(f"cd '{deep}'")
    shell.run("entered")
    for what, (case, limit) in CASES.items():
        this, nothing = shell.take_turns(case, "nothing", calls=200, pairs=pairs)
        yield what, this - nothing, limit
    shell.run(f"cd '{notified_shop(place).path}'")
    this, bare = shell.take_turns("entered", "bare", calls=1, pairs=pairs)
    yield "a lockfile there / a bare interpreter", this / bare, LIMIT
    shell.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=31)
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a limit is missed"
    )
    args = parser.parse_args()
    for name in _OFF:
        os.environ.pop(name, None)
    all_kept = True
    for name in LOOPS:
        if shutil.which(name) is None:
            print(f"{name:6}is not installed")
            continue
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary).resolve()
            os.environ["HOME"] = temporary
            os.environ["UPGRADE_STATE_CACHE_DIR"] = str(place / "cache")
            for what, value, limit in measure(name, place, args.pairs):
                missed = "" if value <= limit else "  MISSED"
                print(f"{name:6}{what:40}{value:8.2f}  limit {limit}{missed}")
                all_kept &= not missed
    return int(args.check and not all_kept)


if __name__ == "__main__":
    sys.exit(main())
