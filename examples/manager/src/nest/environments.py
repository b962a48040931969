"""
An environment: a directory with ``nest.json`` and the lockfile ``nest.lock``.

The lockfile has a line ``name==version`` for each package. The index is a JSON file
with the versions of each package, the newest one last.
"""

import json
from pathlib import Path

from upgrade_state.exceptions import ResolverError
from upgrade_state.lockfiles import Upgrade

LOCKFILE = "nest.lock"


def resolve(directory: Path) -> bytes:
    """
    Return the lockfile with the newest version of each package. Nothing is written.

    Raises:
        ResolverError: The index does not have a package.
        OSError: The manifest or the index cannot be read.
    """
    manifest = json.loads((directory / "nest.json").read_bytes())
    index = json.loads((directory / manifest["index"]).read_bytes())
    lines = []
    for name in sorted(manifest["packages"]):
        if name not in index:
            raise ResolverError(f"the index has no package {name!r}", str(directory))
        lines.append(f"{name}=={index[name][-1]}\n")
    return "".join(lines).encode()


def compare(old: bytes, new: bytes) -> list[Upgrade]:
    """
    Return the packages that get another version from one lockfile to the other.
    """
    before, after = _pins(old), _pins(new)
    return [
        Upgrade(name, "version", old=(before[name],), new=(after[name],))
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]


def _pins(lockfile: bytes) -> dict[str, str]:
    pairs = (line.partition("==") for line in lockfile.decode().splitlines())
    return {name: version for name, _, version in pairs}
