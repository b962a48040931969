"""
Lockfiles of Python package managers.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from ._model import Package
from ._parse import (
    Table,
    commit_of,
    demand_version,
    items,
    load_json,
    load_toml,
    optional_text,
    table,
    tables,
    text,
)

_SEPARATORS = re.compile("[-_.]+")

# What pip takes for an archive.
_PACKED = (".tar.bz2", ".tar.gz", ".tar.lz", ".tar.lzma", ".tar.xz")
ARCHIVES = (".whl", ".zip", ".tar", *_PACKED, ".tbz", ".tgz", ".tlz", ".txz")


def normalized(name: object) -> str:
    """
    Return *name* as PEP 503 compares names.

    Poetry and Pipenv write what the package calls itself, or what the user
    has typed: if only the spelling changes, no other package is meant.
    """
    lower = text(name).lower()
    return lower if lower.isalnum() else _SEPARATORS.sub("-", lower)


def is_directory(location: str) -> bool:
    """
    Tell whether a path, or a URL, leads to a directory of this machine.

    Nobody looks there: what is no archive by its name is a directory.
    """
    path = location.partition("#")[0].lower()
    is_remote = "://" in path and not path.startswith("file:")
    return not (is_remote or path.endswith(ARCHIVES))


def pdm(content: bytes) -> Iterator[Package]:
    """
    Read ``pdm.lock``.

    An extra makes another entry of the same name and version.
    """
    document = load_toml(content)
    _demand_major(table(document["metadata"])["lock_version"], "4")
    for entry in tables(document["package"]):
        path = optional_text(entry.get("path"))
        yield Package(
            normalized(entry["name"]),
            optional_text(entry.get("version")),
            ecosystem="pypi",
            build=_pdm_build(entry),
            local=path is not None and is_directory(path),
        )


def _pdm_build(entry: Table) -> str | None:
    if "url" in entry or "path" in entry:
        return _hash_of(entry.get("files", []))
    # From a repository; one that is editable has none.
    return optional_text(entry.get("revision"))


def pipfile(content: bytes) -> Iterator[Package]:
    """
    Read ``Pipfile.lock``.

    All categories go into one virtual environment, whatever their names, so
    one package may have the versions of several.
    """
    document = table(load_json(content))
    demand_version(table(document.pop("_meta"))["pipfile-spec"], 6)
    table(document["default"])
    for category in document.values():
        for name, found in table(category).items():
            entry = table(found)
            location = optional_text(entry.get("path", entry.get("file")))
            yield Package(
                normalized(name),
                _pipfile_version(entry),
                ecosystem="pypi",
                build=_pipfile_build(entry, location),
                local=location is not None and is_directory(location),
            )


def _pipfile_version(entry: Table) -> str | None:
    # From elsewhere than an index; or "*", whose markers have ruled it out on
    # the machine that locked.
    version = text(entry.get("version", "*"))
    if version == "*":
        return None
    if not version.startswith("=="):
        raise ValueError("not pinned")
    return text(version.lstrip("="))


def _pipfile_build(entry: Table, location: str | None) -> str | None:
    if "ref" in entry:  # a branch, if an old Pipenv could not resolve it
        return commit_of(text(entry["ref"]))
    if location is not None:
        return min(map(text, items(entry.get("hashes", []))), default=None)
    return None


def poetry(content: bytes) -> Iterator[Package]:
    """
    Read ``poetry.lock``.

    Every index but the default one has a source; that makes its packages no
    others. Before version 2, hashes were in another place and are not known.
    """
    document = load_toml(content)
    _demand_major(table(document["metadata"])["lock-version"], "1", "2")
    for entry in tables(document["package"]):
        source = table(entry.get("source", {}))
        yield Package(
            normalized(entry["name"]),
            text(entry["version"]),
            ecosystem="pypi",
            build=_poetry_build(entry, source),
            local=source.get("type") == "directory",
        )


def _poetry_build(entry: Table, source: Table) -> str | None:
    if source.get("type") in {"file", "url"}:
        return _hash_of(entry.get("files", []))
    return optional_text(source.get("resolved_reference"))


def pylock(content: bytes) -> Iterator[Package]:
    """
    Read ``pylock.toml`` (PEP 751), whoever has written it.

    One name has several entries if their markers exclude one another.
    """
    document = load_toml(content)
    _demand_major(document["lock-version"], "1")
    text(document["created-by"])
    for entry in tables(document["packages"]):
        yield Package(
            normalized(entry["name"]),
            optional_text(entry.get("version")),
            ecosystem="pypi",
            build=_pylock_build(entry),
            local=bool(table(entry.get("directory", {}))),
        )


def _pylock_build(entry: Table) -> str | None:
    if "vcs" in entry:
        return text(table(entry["vcs"])["commit-id"])
    if "archive" in entry:
        hashes = table(table(entry["archive"])["hashes"])
        # The others come and go with the tool.
        algorithm = "sha256" if "sha256" in hashes else min(hashes)
        return f"{algorithm}:{text(hashes[algorithm])}"
    return None


def uv(content: bytes) -> Iterator[Package]:
    """
    Read ``uv.lock``.

    uv promises that revisions of version 1 stay readable, so the revision is
    not looked at. An index that has moved makes no other package.
    """
    document = load_toml(content)
    demand_version(document["version"], 1)
    text(document["requires-python"])
    entries = tables(document["package"])
    direct = _uv_direct(table(document.get("manifest", {})), entries)
    for entry in entries:
        source = table(entry["source"])
        yield Package(
            text(entry["name"]),
            optional_text(entry.get("version")),
            ecosystem="pypi",
            build=_uv_build(entry, source),
            direct=entry["name"] in direct if direct else None,
            local=not source.keys().isdisjoint(("directory", "editable", "virtual")),
        )


def _uv_build(entry: Table, source: Table) -> str | None:
    # uv itself compares version and commit. What lies behind a URL or a path
    # may change as well without another version, and then has another hash.
    if "git" in source:
        return commit_of(text(source["git"]))
    if "url" in source or "path" in source:
        return _hash_of([entry.get("sdist", {}), *items(entry.get("wheels", []))])
    return None


def _uv_direct(manifest: Table, entries: list[Table]) -> set[str]:
    """
    Return what is asked for by name, the projects themselves included.

    Empty: the lockfile does not say.
    """
    roots = _uv_roots(manifest, entries)
    # A script, or a workspace without a project of its own, has its
    # requirements in the manifest.
    groups = [
        roots,
        manifest.get("requirements", []),
        *table(manifest.get("dependency-groups", {})).values(),
        *chain.from_iterable(map(_uv_requirements, roots)),
    ]
    return {text(item["name"]) for group in groups for item in tables(group)}


def _uv_roots(manifest: Table, entries: list[Table]) -> list[Table]:
    if "members" in manifest:
        members = set(map(text, items(manifest["members"])))
        return [entry for entry in entries if entry["name"] in members]
    # The only member is the project beside the lockfile, or there is none.
    return [entry for entry in entries if _is_beside(table(entry["source"]))]


def _is_beside(source: Table) -> bool:
    return "." in (source.get("editable"), source.get("virtual"))


def _uv_requirements(root: Table) -> Iterable[object]:
    yield root.get("dependencies", [])
    yield from table(root.get("optional-dependencies", {})).values()
    yield from table(root.get("dev-dependencies", {})).values()


def _demand_major(found: object, *known: str) -> None:
    # Minor versions only add to what was there.
    demand_version(text(found).partition(".")[0], *known)


def _hash_of(files: object) -> str | None:
    """
    Return the hash of what lies at a URL or path: there is one file only.
    """
    hashes = (optional_text(file.get("hash")) for file in tables(files))
    return min(filter(None, hashes), default=None)
