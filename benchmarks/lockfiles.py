"""
Compare the readers of lockfiles with the bare parsers of their syntaxes.

The samples are beside the checkout, or in UPGRADE_STATE_SAMPLES. A small one of JSON
is read once more when it is repeated, with other names, up to 100 KB. Some that have no
sample are made up.
"""

from __future__ import annotations

import importlib.util
import json
import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import call
from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.report import Report

TITLE = "Read and compare lockfiles"

REASONS = {
    "conan, 142 KB / json.loads": (
        "a package is one string of 75 bytes, which the parser reads in 0.05 µs. The "
        "digest alone takes as long as the parser. Real files have a few KB."
    ),
    "devbox, 104 KB / json.loads": (
        "a package has a store path for each system, and each path is checked and "
        "kept with its system."
    ),
    "pipfile, 172 KB / json.loads": (
        "the digest takes 0.8 of the time of the parser, which reads long strings. "
        "With it, 0.2 µs are left for a package."
    ),
}

_BESIDE = Path(__file__).parents[2] / "shared" / "lockfiles"
_SAMPLES = Path(os.environ.get("UPGRADE_STATE_SAMPLES", _BESIDE))

_LARGE = 100_000

# So many bytes are read in one sample, at least.
_AMOUNT = 300_000

# Against the bare parser. For small JSON files there is no limit.
_LIMITS = {"json.loads": 2, "tomllib": 1.5, "PyYAML": 1.2}

_YAML = ("conda-lock", "pixi")

# Where the JSON of these formats has its packages.
_PACKAGES = {
    "devbox": "packages",
    "devenv": "nodes",
    "flake": "nodes",
    "flox": "packages",
    "pipfile": "develop",
}


def measure(report: Report, place: Path) -> None:  # noqa: ARG001
    """
    Read a lockfile of each format, and compare two lists of packages.
    """
    if not _SAMPLES.is_dir():
        report.skip(f"most formats: there are no samples in {_SAMPLES}")
    if not (has_yaml := importlib.util.find_spec("yaml") is not None):
        report.skip(f"{' and '.join(_YAML)}: PyYAML is not installed")
    for name, content in sorted(_contents()):
        if has_yaml or name not in _YAML:
            _reading(report, name, content)
    _comparing(report)


def _contents() -> Iterator[tuple[str, bytes]]:
    """
    Yield the largest sample of each format, repeated ones, and those made up.
    """
    for folder in _SAMPLES.iterdir() if _SAMPLES.is_dir() else ():
        if contents := [path.read_bytes() for path in folder.glob("*/old.*")]:
            name = lockfiles.format_of(folder.name) or folder.name
            content = max(contents, key=len)
            yield name, content
            if name in _PACKAGES and len(content) < _LARGE:
                yield name, _repeated(content, _PACKAGES[name])
    for name, document in _made_up().items():
        yield name, json.dumps(document, indent=2).encode()


def _made_up() -> dict[str, object]:
    """
    Return documents of formats that are JSON and have no sample.
    """
    names = [f"package-{number}" for number in range(500)]
    digest, target = "0" * 32, {"name": "zen3", "features": ["aes", "avx"]}
    conda = {"build_string": "h0_0", "channel": "main", "platform": "linux-64"}
    renv = {"Source": "Repository", "Repository": "CRAN", "Requirements": ["R", "cli"]}
    spack = {
        "version": "1.0",
        "arch": {"platform": "linux", "platform_os": "debian13", "target": target},
        "parameters": {"build_system": "autotools", "cflags": [], "shared": True},
        "dependencies": [{"name": "zlib", "hash": digest}] * 4,
    }
    return {
        "conan": {
            "version": "0.5",
            "requires": [f"{name}/1.0#{digest}%1733936244.862" for name in names * 4],
        },
        "conda-list": [
            {"name": name, "version": "1.0", "dist_name": f"{name}-1.0-h0_0", **conda}
            for name in names * 2
        ],
        "renv": {
            "R": {},
            "Packages": {
                name: {"Package": name, "Version": "1.0", "Hash": digest, **renv}
                for name in names
            },
        },
        "spack": {
            "_meta": {"file-type": "spack-lockfile", "lockfile-version": 6},
            "roots": [],
            "concrete_specs": {
                f"{digest}{name}": {"name": name, **spack} for name in names
            },
        },
    }


def _repeated(content: bytes, key: str) -> bytes:
    document = json.loads(content)
    packages = document[key]
    if isinstance(packages, list):
        names = {package["install_id"] for package in packages}
    else:
        root = document.get("root")
        names = packages.keys() | packages.get(root, {}).get("inputs", {}).keys()
        names -= {root}
    repeated, number = document, 0
    while len(content := json.dumps(repeated, indent=2).encode()) < _LARGE:
        number += 1
        repeated = _merged(repeated, _renamed(document, names, f"-{number}"))
    return content


def _renamed(value: Any, names: set[str], end: str) -> Any:
    """
    Append *end* to those of *names* that are in a document.
    """
    if isinstance(value, dict):
        return {
            _renamed(key, names, end): _renamed(each, names, end)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_renamed(each, names, end) for each in value]
    return f"{value}{end}" if value in names else value


def _merged(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        common = {key: _merged(one[key], other[key]) for key in one.keys() & other}
        return one | other | common
    return one + other if isinstance(one, list) else one


def _reading(report: Report, name: str, content: bytes) -> None:
    if problem := lockfiles.read(content, format=name).problem:
        raise RuntimeError(f"{name}: {problem}")
    times = max(1, _AMOUNT // len(content))
    parser, parse = _parser(name, content)
    is_small = parser == "json.loads" and len(content) < _LARGE
    report.compare(
        f"{name}, {len(content) / 1000:.0f} KB / {parser}",
        call(lambda: lockfiles.read(content, format=name), times),
        call(parse, times),
        limit=None if is_small else _LIMITS.get(parser),
    )


def _parser(name: str, content: bytes) -> tuple[str, Callable[[], object]]:
    """
    Return the name of a parser, and a function that only parses *content*.
    """
    if name in _YAML:
        import yaml  # noqa: PLC0415 - it may not be installed

        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        return "PyYAML", lambda: yaml.load(content, loader)  # noqa: S506 - no objects
    if content.startswith((b"{", b"[")):
        return "json.loads", lambda: json.loads(content)
    return "tomllib", lambda: tomllib.loads(content.decode())


def _comparing(report: Report) -> None:
    old, new = (
        Snapshot(format="uv", digest=version, packages=tuple(_thousand(version)))
        for version in ("1.0", "1.1")
    )

    def two_dictionaries() -> object:
        return [
            {(p.ecosystem, p.name, p.environment, p.platform): p for p in packages}
            for packages in (old.packages or (), new.packages or ())
        ]

    report.compare(
        "diff of 1000 packages, 20 changed / two dictionaries",
        call(lambda: lockfiles.diff(old, new), 10),
        call(two_dictionaries, 10),
        limit=2,
    )


def _thousand(version: str) -> Iterator[Package]:
    for number in range(1000):
        current = "2.0" if number % 50 else version
        yield Package(f"package-{number}", current, ecosystem="pypi")
