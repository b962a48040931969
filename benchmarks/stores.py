"""
Make environments to measure.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.floors import calls
from upgrade_state import StateStore, _identity, _record
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from upgrade_state import EnvironmentState, Verdict

ALWAYS = dt.timedelta()

_LIST = """\
import sys
from upgrade_state import StateStore
for environment in StateStore(sys.argv[1]):
    pass
with open("/proc/self/status") as file:
    print(*(line.split()[1] for line in file if line.startswith("VmHWM")))
"""


def checked(place: Path, *, size: int = 10_000, upgrades: int = 2) -> EnvironmentState:
    """
    Make an environment below *place* whose user has not been notified yet.

    Its lockfile has so many bytes, and its list so many upgrades.
    """
    directory = place / f"shop-{size}-{upgrades}"
    directory.mkdir(parents=True)
    (directory / "uv.lock").write_bytes(b"#" * size)
    shop = StateStore(place / "cache").environment(directory, "uv.lock")
    commit(shop, b"+" * size, upgrades)
    return shop


def notified(place: Path, *, size: int = 10_000, upgrades: int = 2) -> EnvironmentState:
    """
    Make such an environment, and notify its user.
    """
    shop = checked(place, size=size, upgrades=upgrades)
    if not shop.claim_notice():
        raise RuntimeError(str(shop.look().verdict()))
    if shop.look().verdict().reason != "told-recently":
        raise RuntimeError(str(shop.look().verdict()))
    return shop


def activation(shop: EnvironmentState) -> Callable[[], Verdict]:
    """
    Return a function that claims by a new handle, as a new process does.
    """
    cache, path = cache_of(shop), str(shop.path)
    return lambda: StateStore(cache).environment(path, "uv.lock").claim_notice()


def program(shop: EnvironmentState, store: str | None = None) -> str:
    """
    Return the beginning of a program that opens an environment as `shop`.
    """
    return f"""\
from upgrade_state import StateStore
shop = StateStore({store or cache_of(shop)!r}).environment({shop.path!r}, "uv.lock")
"""


def commit(shop: EnvironmentState, new: bytes, upgrades: int = 2) -> None:
    """
    Commit a check that found so many upgrades.
    """
    rows = [
        Upgrade(f"p{i}", "version", old=("1.0",), new=("1.1",)) for i in range(upgrades)
    ]
    with shop.try_check() as check:
        if check is None or not check.commit(new, upgrades=rows, checker="uv"):
            raise RuntimeError("no commit")


def consent(shop: EnvironmentState) -> None:
    """
    Record the user's consent to repeat a recipe, as `check` does.
    """
    record = Path(shop.record_path or "")
    consent = {"recipe": "uv"} | (_identity.identity(shop.path or "") or {})
    found = json.loads(record.read_bytes()) | {"consent": consent}
    record.write_text(json.dumps(found))
    if not shop.look().consent:
        raise RuntimeError("no consent")


def putting_back(shop: EnvironmentState) -> Callable[[], None]:
    """
    Return a function that undoes every claim of an environment since now.
    """
    record = Path(shop.record_path or "")
    content, results = record.read_bytes(), record.parent / "results" / shop.key

    def put_back() -> None:
        record.write_bytes(content)
        for ticket in results.glob("ticket.*"):
            ticket.unlink()
        calls.sync(str(results))  # nothing is left for the next sync

    return put_back


def cache_of(shop: EnvironmentState) -> str:
    """
    Return the cache directory that an environment is in.
    """
    return str(Path(shop.record_path or "").parents[1])


def memory(needed: int = 0) -> str | None:
    """
    Return a directory in memory; None: there is none, or not twice the bytes needed.

    There a million files are made in 10 seconds. A disk needs 35, and minutes to delete
    them once they have been written to it.
    """
    lines = Path("/proc/meminfo").read_text().splitlines()
    free = next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
    is_enough = int(free) * 1024 > 2 * needed
    return "/dev/shm" if is_enough and os.access("/dev/shm", os.W_OK) else None


def many(cache: Path, count: int) -> StateStore:
    """
    Make a store of *count* environments, with the record of one that was checked.

    Neither their directories nor their results exist.
    """
    root = cache / "v1"
    root.mkdir(parents=True, mode=0o700)
    with tempfile.TemporaryDirectory() as place:
        record = Path(notified(Path(place).resolve()).record_path or "").read_bytes()
    text = json.dumps(json.loads(record) | {"environment": "{}"})
    before, _, after = text.partition("{}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    for number in range(count):
        environment = f"/home/ana/src/{number}"
        key = _record.environment_key(environment.encode(), b"uv.lock")
        # A third of the time that `Path.write_bytes` takes.
        descriptor = os.open(f"{root}/{key}.json", flags, 0o600)
        os.write(descriptor, f"{before}{environment}{after}".encode())
        os.close(descriptor)
    return StateStore(cache)


def peak_memory(cache: str) -> int:
    """
    Return the kilobytes that a process has at most that lists a store.

    Not `ru_maxrss`, which begins with the memory of the process that has started it.
    """
    command = [sys.executable, "-c", _LIST, cache]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def fresh(place: Path, count: int) -> Path:
    """
    Make so many environments that have just been checked; return their store's place.
    """
    shop = notified(place)
    pattern = json.loads(Path(shop.record_path or "").read_bytes())
    lockfile = Path(shop.path or "", "uv.lock").read_bytes()
    for number in range(1, count):
        directory = place / f"{number}"
        directory.mkdir()
        (directory / "uv.lock").write_bytes(lockfile)
        record = Path(shop.store.environment(directory, "uv.lock").record_path or "")
        record.write_text(json.dumps(pattern | {"environment": str(directory)}))
    return place / "cache"
