"""
Measure the cost of the hook at a prompt, in each installed shell.

Each sample is a shell that calls a function many times. Without a lockfile, the prompt
function takes turns with an empty one. With a lockfile, a command runs; it takes turns
with a bare interpreter that the same shell starts, both less the shell itself.
"""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import stores
from benchmarks.measure import process

if TYPE_CHECKING:
    from benchmarks.measure import Measure
    from benchmarks.report import Report

TITLE = "The hook at a prompt"

# Functions, calls in a row, and how many microseconds each may take. fish needs most
# of them, as it runs a command for each name.
_CASES = {
    "the same directory": ("__upgrade_state_prompt", 2000, 100),
    "another one, 8 levels below home": ("entered", 100, 1500),
    "another one, outside of home": ("outside", 100, 3000),
}

_FUNCTIONS = """
nothing() { :; }
entered() { __upgrade_state_dir=; __upgrade_state_prompt; }
outside() { HOME=/nowhere; entered; HOME=$PLACE; }
bare() { "$PYTHON" -c pass </dev/null >/dev/null; }
repeat_() { for ((i = 0; i < $2; i++)); do $1; done; }
"""

_FISH = """
function nothing; end
function entered; set -g __upgrade_state_dir; __upgrade_state_prompt; end
function outside; set -g HOME /nowhere; entered; set -g HOME $PLACE; end
function bare; $PYTHON -c pass </dev/null >/dev/null; end
function repeat_; for i in (seq $argv[2]); $argv[1]; end; end
"""

_SHELLS = {"bash": _FUNCTIONS, "zsh": _FUNCTIONS, "fish": _FISH}


def measure(report: Report, place: Path) -> None:
    """
    Measure prompts in a directory without a lockfile, and in one with it.
    """
    empty = place.joinpath(*"12345678")
    empty.mkdir(parents=True)
    shop = stores.notified(place)
    os.environ["UPGRADE_STATE_CACHE_DIR"] = stores.cache_of(shop)
    os.environ |= {"PYTHON": sys.executable, "PLACE": str(place)}
    ours, theirs = pty.openpty()  # the hook is silent if stderr is no terminal
    os.set_blocking(ours, False)
    for name in _SHELLS:
        if shutil.which(name) is None:
            report.skip(f"{name} is not installed")
            continue
        for case, (function, calls, limit) in _CASES.items():
            pair = report.interleave(
                {
                    each: _repeated(name, empty, each, calls, theirs)
                    for each in (function, "nothing")
                }
            )
            costs = [samples.median.cpu for samples in pair.values()]
            above = (costs[0] - costs[1]) / calls * 1e6
            report.number(f"{name}, {case} (µs)", above, unit="µs", limit=limit)
        there = str(shop.path)
        trio = report.interleave(
            {
                each: _repeated(name, there, each, 5, theirs)
                for each in ("entered", "bare", "nothing")
            }
        )
        prompt, bare = (trio[each] - trio["nothing"] for each in ("entered", "bare"))
        report.add(f"{name}, a lockfile / bare interpreter", prompt / bare, limit=1.25)
    try:
        raise RuntimeError(os.read(ours, 4096).decode())
    except BlockingIOError:
        os.close(ours)
        os.close(theirs)


def _repeated(
    shell: str, directory: str | Path, function: str, calls: int, stderr: int
) -> Measure:
    """
    Measure a shell that calls a function in a directory, after one prompt there.
    """
    command = Path(sys.executable).with_name("upgrade-state")
    hook = subprocess.check_output([command, "hook", shell], text=True)
    run = f"cd {shlex.quote(str(directory))}; entered; repeat_ {function} {calls}"
    script = f"{hook}\n{_SHELLS[shell]}\n{run}"
    return process(shutil.which(shell) or shell, "-c", script, stderr=stderr)
