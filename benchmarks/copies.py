"""
Compare the copy of a project with git and cp.

A copy with version control takes turns with `git clone --shared` without checkout and
`cp -r` of the same files. The wall time counts; the removal of a copy does not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from benchmarks.measure import timed
from upgrade_state.checks import Command, _project
from upgrade_state.checks._scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.measure import Cost, Measure
    from benchmarks.report import Report

TITLE = "Copy a project for a check"

# Files of a project, and the most rounds: the larger ones vary less.
_SIZES = {100: 31, 5_000: 7, 20_000: 3}

_GIT, _CP = (shutil.which(name) or name for name in ("git", "cp"))


def measure(report: Report, place: Path) -> None:
    """
    Copy projects of several sizes.
    """
    if shutil.which(_GIT) is None:
        report.skip("git is not installed")
        return
    for count, rounds in _SIZES.items():
        top, copy = place / f"{count}", place / "copy"
        _make(top, count)
        report.compare(
            f"copy of {count} files / git clone and cp -r",
            _without_removal(_copied, top, copy),
            _without_removal(_cloned, top, copy),
            rounds=min(rounds, report.rounds),
            limit=1.5,
            by="wall",
        )
        shutil.rmtree(top)


def _make(top: Path, count: int) -> None:
    """
    Make a repository of so many files of 1 to 2 KB, in directories of 50.
    """
    for number in range(count):
        path = top / f"src/part{number // 50}/file{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n" * 200 + f"y = {number}\n")
    for words in ("init -q", "add .", "commit -qm x", "tag v1.0"):
        identity = ["-c", "user.name=a", "-c", "user.email=a@mail.example"]
        subprocess.run([_GIT, *identity, *words.split()], cwd=top, check=True)


def _copied(top: Path, copy: Path) -> None:
    environment = str(top / "src")
    project = _project.project_of(environment, "uv.lock")
    scratch = Scratch(str(copy), environment, project.top)
    if hint := project.copy(scratch, Command(["true"])):
        raise RuntimeError(hint)


def _cloned(top: Path, copy: Path) -> None:
    clone = [_GIT, "clone", "-q", "--shared", "--no-checkout", "--template="]
    subprocess.run([*clone, top, copy], check=True)
    subprocess.run([_CP, "-r", top / "src", copy], check=True)


def _without_removal(
    function: Callable[[Path, Path], None], top: Path, copy: Path
) -> Measure:
    def measure() -> Cost:
        os.sync()  # a copy does not pay for the removal before it
        cost = timed(lambda: function(top, copy))
        shutil.rmtree(copy)
        return cost

    return measure
