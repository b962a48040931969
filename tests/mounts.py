"""
Groups of processes that share a store through mounts whose locks do not exclude.

    python mounts.py COUNT HOW DIRECTORY CACHE...

Each cache directory is that of one group, and all lead to one store. The processes
live through COUNT intervals, each beginning with a notice of the one before. Prints for
each interval how many notices were given. Checks find a new lockfile in each interval.

HOW is a text of letters. ``n``: no lock excludes. ``c``: in each group a process makes
checks, and one changes the record. ``t``: no claim takes a ticket.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import multiprocessing
import os
import sys
from typing import Any

import filelock

from upgrade_state import UpgradeStateError, _files
from workers import NOON, ROWS, record_of, shop_of

DAY = dt.timedelta(days=1)
CLAIMS = 4  # processes of a group that claim

# Only ends a hang.
LIMIT = 60


@contextlib.contextmanager
def no_ticket(*_: object) -> Any:
    yield True


def live(
    work: str, count: int, directory: str, cache: str, barrier: Any, told: Any
) -> None:
    """
    Do one kind of *work* in each interval.
    """
    shop = shop_of(cache, directory)
    for number in range(count):
        now = NOON + number * DAY
        if barrier.wait(LIMIT) == 0:
            record = record_of(shop)
            record["last_notified"] = f"{now - DAY:%Y-%m-%dT%H:%M:%SZ}"
            with open(f"{shop.record_path}.new", "w", encoding="ascii") as file:
                json.dump(record, file)
            os.replace(f"{shop.record_path}.new", shop.record_path)
        barrier.wait(LIMIT)
        with contextlib.suppress(UpgradeStateError):
            if work == "claim":
                if shop.claim_notice(b"old", interval=DAY, reminder=DAY, now=now):
                    with told.get_lock():
                        told[number] += 1
            elif work == "check":
                with shop.try_check(b"old") as guard:
                    if guard is not None:
                        guard.commit(b"new %d" % number, upgrades=ROWS, now=now)
            else:
                shop.expire()
    barrier.wait(LIMIT)


def main(count: int, how: str, directory: str, *caches: str) -> int:
    """
    Let the groups live, and print the numbers of notices.
    """
    if "n" in how:
        filelock.lock_descriptor = lambda _, *, blocking: True
    if "t" in how:
        _files.ticket = no_ticket
    works = [*["claim"] * CLAIMS, *["check", "change"] * ("c" in how)]
    fork = multiprocessing.get_context("fork")
    barrier = fork.Barrier(len(works) * len(caches))
    told = fork.Array("i", count)
    processes = [
        fork.Process(target=live, args=(work, count, directory, cache, barrier, told))
        for cache in caches
        for work in works
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    json.dump(list(told), sys.stdout)
    return int(any(process.exitcode for process in processes))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
