"""
Lockfiles of managers of tools, whatever these are written in.
"""

from collections.abc import Iterator

from ._model import Package
from ._parse import (
    Table,
    demand_version,
    load_json,
    load_toml,
    optional_text,
    table,
    tables,
    text,
)


def mise(content: bytes) -> Iterator[Package]:
    """
    Read ``mise.lock``.

    A tool goes by its name with the back end's prefix. It is the same on all
    platforms, and locked for those that somebody asked for, so packages have
    no platform.
    """
    document = load_toml(content)
    # Files from before there were versions have none, and mise calls them 0.
    demand_version(document.get("lockfile_version", 0), 0, 1, 2, 3)
    for name, entries in table(document["tools"]).items():
        # A tool of one version was no list once.
        for entry in tables(entries if isinstance(entries, list) else [entries]):
            yield Package(
                text(name),
                text(entry["version"]),
                ecosystem="mise",
                builds=tuple(_mise_builds(entry)),
                direct=True,
            )


def _mise_builds(entry: Table) -> Iterator[tuple[str, str]]:
    # With other options it is another file, and with another algorithm
    # another number for what may be the same file.
    options = sorted(table(entry.get("options", {})).items())
    for platform, info in _mise_platforms(entry):
        checksum = optional_text(table(info).get("checksum"))
        if checksum:
            yield f"{platform} {checksum.partition(':')[0]} {options}", checksum


def _mise_platforms(entry: Table) -> Iterator[tuple[str, object]]:
    yield from table(entry.get("platforms", {})).items()
    for key, info in entry.items():
        if key.startswith("platforms."):  # the whole key was quoted
            yield key.removeprefix("platforms."), info


def spack(content: bytes) -> Iterator[Package]:
    """
    Read ``spack.lock``.

    A package has as many builds as there are hashes of it, one version's
    often several. The target is in the hash, and everything in the lockfile
    is for the machine that it is on, so packages have no platform.
    """
    document = table(load_json(content))
    meta = table(document["_meta"])
    if meta["file-type"] != "spack-lockfile":
        raise ValueError("another file of Spack")
    # Before version 4 a hash did not tell one build from another.
    demand_version(meta["lockfile-version"], 4, 5, 6, 7)
    pending = [document]
    while pending:
        environment = pending.pop()
        yield from _spack_specs(environment)
        included = table(environment.get("include_concrete", {}))
        pending.extend(map(table, included.values()))


def _spack_specs(environment: Table) -> Iterator[Package]:
    roots = {text(root["hash"]) for root in tables(environment["roots"])}
    for key, spec in table(environment["concrete_specs"]).items():
        yield Package(
            text(table(spec)["name"]),
            text(spec["version"]),
            ecosystem="spack",
            build=text(key),
            direct=key in roots,
            # Somebody develops it, in a directory of theirs.
            local="dev_path" in table(spec.get("parameters", {})),
        )
