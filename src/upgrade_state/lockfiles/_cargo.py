"""
Lockfiles of Cargo.
"""

from collections.abc import Iterator

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


def cargo(content: bytes) -> Iterator[Package]:
    """
    Read ``Cargo.lock``.

    The versions of the format differ in where checksums are, which nothing
    here depends on. What has no source is in a directory: a member of the
    workspace, or a neighbour.
    """
    document = load_toml(content)
    # Version 1 does not say that it is.
    demand_version(document.get("version", 1), 1, 2, 3, 4)
    _cargo_checksums(table(document.get("metadata", {})))
    entries = _cargo_entries(document)
    direct = _cargo_direct(entries)
    for entry in entries:
        name, version = text(entry["name"]), text(entry["version"])
        source = optional_text(entry.get("source"))
        yield Package(
            name,
            version,
            ecosystem="cargo",
            build=commit_of(source) if source else None,
            direct=not source or (name,) in direct or (name, version) in direct,
            local=not source,
        )


def _cargo_checksums(metadata: Table) -> None:
    # Other tools have packages in the same place and metadata of their own.
    if not all(key.startswith("checksum ") for key in metadata):
        raise ValueError("no checksums of crates")


def _cargo_entries(document: Table) -> list[Table]:
    entries = tables(document.get("package", []))
    if "root" in document:  # the project itself, as Cargo wrote it until 2017
        entries.append(table(document["root"]))
    if not entries:
        raise LookupError("no package")
    return entries


def _cargo_direct(entries: list[Table]) -> set[tuple[str, ...]]:
    """
    Return what projects ask for: a name, and a version if it has several.
    """
    lists = (items(e.get("dependencies", [])) for e in entries if not e.get("source"))
    return {tuple(text(item).split()[:2]) for found in lists for item in found}
