"""
The files of a Flox environment, as Flox writes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from typing import TYPE_CHECKING, Any

from upgrade_state.checks import FLOX_LOCKFILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINUX, DARWIN = "x86_64-linux", "aarch64-darwin"
TIME = "+002026-11-20T12:00:00.123456789Z"


def package(
    name: str, version: str, derivation: str, system: str = LINUX
) -> dict[str, Any]:
    return {
        "attr_path": name,
        "broken": False,
        "derivation": f"/nix/store/{derivation}-{name}.drv",
        "description": f"All about “{name}”",
        "install_id": name,
        "license": "MIT",
        "locked_url": "https://github.com/flox/nixpkgs?rev=1",
        "name": f"{name}-{version}",
        "pname": name,
        "rev": "1",
        "rev_count": 1,
        "rev_date": "2026-11-01T00:00:00Z",
        "scrape_date": "2026-11-02T00:00:00Z",
        "stabilities": ["unstable"],
        "version": version,
        "outputs_to_install": ["out"],
        "outputs": {"out": f"/nix/store/{derivation}-{name}"},
        "system": system,
        "group": "toplevel",
        "priority": 5,
    }


def store_path(path: str, system: str = LINUX) -> dict[str, Any]:
    return {"install_id": "a", "store_path": path, "system": system, "priority": 5}


def lockfile(*packages: dict[str, Any]) -> dict[str, Any]:
    manifest = {"schema-version": "1.11.0", "install": {}, "hook": {}, "options": {}}
    return {"lockfile-version": 1, "manifest": manifest, "packages": list(packages)}


OLD = lockfile(package("curl", "8.0", "a"), package("jq", "1.7", "b"))
NEW = lockfile(package("curl", "8.1", "c"), package("jq", "1.7", "d"))


def pretty(document: object, end: str = "\n") -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False) + end).encode()


class Flox:
    """
    What Flox keeps in the directory of an environment.
    """

    def __init__(self, place: Path) -> None:
        self.lockfile = place / FLOX_LOCKFILE
        self.file = place / ".flox" / "cache" / "upgrade-checks.json"
        self.lock = self.file.with_suffix(".lock")
        for path in (self.lockfile, self.file):
            path.parent.mkdir(parents=True)
        self.lockfile.write_bytes(pretty(OLD))

    def write(self, old: object = OLD, new: object = NEW, at: object = TIME) -> None:
        self.lock.touch()
        result = {"old_lockfile": old, "new_lockfile": new, "store_path": None}
        document = {"last_checked": at, "upgrade_result": result}
        self.file.write_text(json.dumps(document, separators=(",", ":")))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with open(self.lock, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
