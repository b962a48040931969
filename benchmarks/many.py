"""
Measure what many environments in one store cost.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from benchmarks import stores
from benchmarks.measure import call, process
from upgrade_state import StateStore

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.report import Report

TITLE = "Many environments"

REASONS = {
    "list of 100000 / scandir": (
        "the path of an environment is only in its record, so each record is opened "
        "and read. In C these calls take 8 times; in Python the list takes "
        "{list of 100000 / scandir, open, read, close} times as long as they do."
    ),
}

_COUNT = 100_000

_COMPLETE = "from upgrade_state.cli import main; main(['completion', '--environments'])"


def measure(report: Report, place: Path) -> None:
    """
    List, prune, complete and check many environments.
    """
    _listing(report, place / "cache")
    _completing(report, place)
    _checking(report, place)


def _listing(report: Report, cache: Path) -> None:
    store, root = stores.many(cache, _COUNT), str(cache / "v1")
    samples = report.interleave(
        {
            "list": call(lambda: sum(1 for _ in store)),
            "prune": call(store.prune),
            "scandir": call(lambda: sum(1 for _ in os.scandir(root))),
            "stat": call(lambda: _stat(root)),
            "read": call(lambda: _read(root)),
        },
        min(5, report.rounds),
    )
    for name, this, against, limit in (
        ("list of {} / scandir", "list", "scandir", 10),
        ("list of {} / scandir, open, read, close", "list", "read", None),
        ("prune of {}, nothing to do / scandir, stat", "prune", "stat", 1.5),
    ):
        ratio = samples[this] / samples[against]
        report.add(name.format(_COUNT), ratio, limit=limit)


def _stat(root: str) -> None:
    directory = os.open(root, os.O_RDONLY)
    for entry in os.scandir(directory):
        entry.stat(follow_symlinks=False)
    os.close(directory)


def _read(root: str) -> None:
    directory = os.open(root, os.O_RDONLY)
    for entry in os.scandir(directory):
        if entry.name.endswith(".json"):
            descriptor = os.open(entry.name, os.O_RDONLY, dir_fd=directory)
            os.read(descriptor, 4096)
            os.close(descriptor)
    os.close(directory)


def _completing(report: Report, place: Path) -> None:
    for count, limit in ((100, 1.5), (5000, 10)):
        cache = place / f"{count} to complete"
        stores.many(cache, count)
        os.environ["UPGRADE_STATE_CACHE_DIR"] = str(cache)
        report.compare(
            f"completion of {count} environments / bare interpreter",
            process(sys.executable, "-c", _COMPLETE),
            process(sys.executable, "-c", "pass"),
            limit=limit,
        )


def _checking(report: Report, place: Path) -> None:
    """
    Check environments with a command that waits, as resolvers do most of the time.
    """
    cache = place / "to check"
    os.environ["UPGRADE_STATE_CACHE_DIR"] = str(cache)
    count, rounds = 48, 2
    shops = []
    for number in range(count):
        directory = place / f"check {number}"
        directory.mkdir()
        (directory / "pins.lock").write_bytes(b"old\n")
        shops.append(StateStore().environment(directory, "pins.lock"))
        stores.commit(shops[-1], b"old\n")
    command = [sys.executable, "-m", "upgrade_state", "check", "--all", "--max-age=0"]
    wait = ["--", "sh", "-c", "sleep 0.25; echo new >> pins.lock"]
    samples = report.interleave(
        {jobs: process(*command, "-j", jobs, *wait) for jobs in ("1", "8")}, rounds
    )
    report.add(
        f"check --all of {count} that wait 0.25 s, -j 1 / -j 8",
        samples["1"] / samples["8"],
        limit=6,
        at_least=True,
        by="wall",
    )
    records = [shop.look().record or {} for shop in shops]
    if {record["generation"] for record in records} != {1 + 2 * (rounds + 1)}:
        raise RuntimeError("not every check was made")
