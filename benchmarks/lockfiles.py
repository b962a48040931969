"""
Measure the cost of reading and comparing lockfiles against a lower bound.

    python benchmarks/lockfiles.py [--pairs 31] [--check]

A lockfile is read by its reader and by the bare parser of its syntax, in turns;
two snapshots are compared, and put into two dictionaries. Formats of which there
is no sample beside the checkout (or in UPGRADE_STATE_SAMPLES) are made up.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from run import Table, call

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BESIDE = Path(__file__).parents[2] / "shared" / "lockfiles"
_SAMPLES = Path(os.environ.get("UPGRADE_STATE_SAMPLES", _BESIDE))

_YAML = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_JSON = ("{", "[")
_YAML_FORMATS = ("conda-lock", "pixi")
_TEXT_FORMATS = ("conda-explicit", "requirements")

# So many bytes are read in one measurement, at least.
_AMOUNT = 300_000


def samples() -> Iterator[tuple[str, bytes]]:
    """
    Yield the name of each format, and a lockfile; the largest that is there.
    """
    found = dict(_made_up())
    folders = _SAMPLES.iterdir() if _SAMPLES.is_dir() else []
    for folder in filter(Path.is_dir, folders):
        contents = [path.read_bytes() for path in folder.glob("*/old.*")]
        name = lockfiles.format_of(folder.name) or folder.name
        found[name] = max(contents, key=len)
    yield from sorted(found.items())


def _made_up() -> Iterator[tuple[str, bytes]]:
    names = [f"package-{number}" for number in range(500)]
    url = "https://conda.example/main/linux-64"
    urls = [f"{url}/{name}-1.0-h0_0.conda#{'0' * 32}" for name in names]
    yield "conda-explicit", "\n".join(["@EXPLICIT", *urls, ""]).encode()
    fields = {
        "base_url": "https://conda.example/main",
        "build_number": 0,
        "build_string": "h0_0",
        "channel": "main",
        "platform": "linux-64",
        "version": "1.0",
    }
    listed = [fields | {"dist_name": f"{n}-1.0-h0_0", "name": n} for n in names]
    yield "conda-list", json.dumps(listed, indent=2).encode()
    pins = [f"{name}/1.0#{'0' * 32}%1733936244.862" for name in names]
    conan = {"version": "0.5", "requires": pins, "build_requires": []}
    yield "conan", json.dumps(conan, indent=4).encode()
    hashes = "".join(f" \\\n    --hash=sha256:{digit * 64}" for digit in "0123")
    yield "requirements", "".join(f"{n}==1.0{hashes}\n" for n in names).encode()
    specs = {f"{number:032}": _spec(name) for number, name in enumerate(names)}
    spack = {
        "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6},
        "roots": [{"hash": key, "spec": "x"} for key in list(specs)[:20]],
        "concrete_specs": specs,
    }
    yield "spack", json.dumps(spack).encode()


def _spec(name: str) -> dict[str, object]:
    target = {"name": "zen3", "vendor": "AuthenticAMD", "features": ["aes", "avx"]}
    depends = [{"name": "zlib", "hash": "0" * 32, "parameters": {"deptypes": ["link"]}}]
    return {
        "name": name,
        "version": "1.0",
        "arch": {"platform": "linux", "platform_os": "debian13", "target": target},
        "compiler": {"name": "gcc", "version": "14.2.0"},
        "namespace": "builtin",
        "parameters": {"build_system": "autotools", "cflags": [], "shared": True},
        "package_hash": "0" * 52,
        "dependencies": depends * 4,
    }


def parser(name: str, content: bytes) -> Callable[[], object]:
    """
    Return a function that only parses *content*.
    """
    if name in _TEXT_FORMATS:
        return lambda: content.decode().splitlines()
    if name in _YAML_FORMATS:
        return lambda: yaml.load(content, _YAML)  # noqa: S506 - BaseLoader is safe
    if content.startswith(tuple(start.encode() for start in _JSON)):
        return lambda: json.loads(content)
    return lambda: tomllib.loads(content.decode())


def reading(table: Table) -> None:
    for name, content in samples():
        times = max(1, _AMOUNT // len(content))
        ours, theirs = _reader(name, content), parser(name, content)
        label = f"{name}, {len(content) / 1000:.0f} KB"
        if name in _TEXT_FORMATS:
            table.report(label, call(ours, times))
            continue
        limit = 1.2 if name in _YAML_FORMATS else 1.5
        table.compare(label, call(ours, times), call(theirs, times), cpu=limit)


def _reader(name: str, content: bytes) -> Callable[[], object]:
    if lockfiles.read(content, format=name).problem:
        raise RuntimeError(name)
    return lambda: lockfiles.read(content, format=name)


def comparing(table: Table) -> None:
    old, new = (
        Snapshot(format="uv", digest=digest, packages=tuple(_thousand(version)))
        for digest, version in (("old", "1.0"), ("new", "1.1"))
    )

    def two_dictionaries() -> object:
        return [
            {(p.ecosystem, p.name, p.environment, p.platform): p for p in packages}
            for packages in (old.packages or (), new.packages or ())
        ]

    table.compare(
        "diff of 1000 packages, 20 changed",
        call(lambda: lockfiles.diff(old, new), 10),
        call(two_dictionaries, 10),
        cpu=2,
    )


def _thousand(version: str) -> Iterator[Package]:
    for number in range(1000):
        changed = number % 50 == 0
        yield Package(
            f"package-{number}", version if changed else "2.0", ecosystem="pypi"
        )


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__.split("\n\n", maxsplit=1)[0]
    )
    arguments.add_argument("--pairs", type=int, default=31, help="of each, at least 15")
    arguments.add_argument(
        "--check", action="store_true", help="exit 1 where a limit is missed"
    )
    args = arguments.parse_args()
    table = Table(max(args.pairs, 15))
    gc.disable()  # it comes when it comes, and not to both sides alike
    reading(table)
    comparing(table)
    return int(args.check and not table.all_kept)


if __name__ == "__main__":
    sys.exit(main())
