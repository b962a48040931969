"""
Lockfiles of Cargo.
"""

from ._model import Document, Packages, make_package
from ._parse import commit_of, demand_version, items, optional_text, table, tables, text


def cargo(document: Document) -> Packages:
    """
    Read ``Cargo.lock``.

    The versions of the format differ only in the place of checksums, which
    are not read. An entry without a source is a directory: a member of the
    workspace, or a path dependency. All that such projects depend on is
    direct.
    """
    # Files of version 1 have no version field.
    demand_version(document.get("version", 1), 1, 2, 3, 4)
    # Poetry and PDM have packages in the same place, and metadata of their own.
    if not all(k.startswith("checksum ") for k in table(document.get("metadata", {}))):
        raise ValueError("no checksums of crates")
    entries = tables(document.get("package", []))
    if "root" in document:  # the project itself; Cargo wrote this until 2017
        entries.append(table(document["root"]))
    if not entries:
        raise LookupError("no package")
    # NAME, or NAME VERSION if there are several versions, and a source.
    direct = {
        tuple(text(item).split()[:2])
        for entry in entries
        if not entry.get("source")
        for item in items(entry.get("dependencies", []))
    }
    for entry in entries:
        name, version = text(entry["name"]), text(entry["version"])
        source = optional_text(entry.get("source"))
        yield make_package(
            name,
            version,
            ecosystem="cargo",
            build=commit_of(source) if source else None,
            direct=not source or (name,) in direct or (name, version) in direct,
            local=not source,
        )
