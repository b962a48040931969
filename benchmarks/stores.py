"""
Make environments to measure.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING

from upgrade_state import StateStore, _record
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from upgrade_state import EnvironmentState

ALWAYS = dt.timedelta()


def notified(place: Path, *, size: int = 10_000, upgrades: int = 2) -> EnvironmentState:
    """
    Make an environment below *place* whose user was notified today.

    Its lockfile has so many bytes, and its list so many upgrades.
    """
    directory = place / f"shop-{size}-{upgrades}"
    directory.mkdir(parents=True)
    (directory / "uv.lock").write_bytes(b"#" * size)
    shop = StateStore(place / "cache").environment(directory, "uv.lock")
    commit(shop, b"+" * size, upgrades)
    if not shop.claim_notice():
        raise RuntimeError(str(shop.look().verdict()))
    if shop.look().verdict().reason != "told-recently":
        raise RuntimeError(str(shop.look().verdict()))
    return shop


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


def cache_of(shop: EnvironmentState) -> str:
    """
    Return the cache directory that an environment is in.
    """
    return str(Path(shop.record_path).parents[1])


def many(cache: Path, count: int) -> StateStore:
    """
    Make a store of *count* environments that have been checked, without results.
    """
    root = cache / "v1"
    root.mkdir(parents=True, mode=0o700)
    for number in range(count):
        environment = f"/home/ana/src/{number}"
        key = _record.environment_key(environment.encode(), b"uv.lock")
        record = _record.DEFAULTS | {"environment": environment, "lockfile": "uv.lock"}
        (root / f"{key}.json").write_bytes(json.dumps(record).encode())
    return StateStore(cache)
