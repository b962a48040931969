"""
Lockfiles of Python package managers.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from ._model import Package
from ._parse import (
    Table,
    commit_of,
    demand_version,
    items,
    load_toml,
    optional_text,
    table,
    tables,
    text,
)


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
        files = [table(entry.get("sdist", {})), *tables(entry.get("wheels", []))]
        hashes = (optional_text(file.get("hash")) for file in files)
        return next(filter(None, hashes), None)
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
