"""
Lockfiles of managers that install tools of any language.
"""

from collections.abc import Iterator

from ._model import Document, Packages, make_package
from ._parse import Table, demand_version, optional_text, table, tables, text


def mise(document: Document) -> Packages:
    """
    Read ``mise.lock``.

    The name of a tool includes the prefix of its back end. A tool has the
    same version on all platforms, and is locked for those that the user asked
    for, so packages have no platform.
    """
    # The first files had no version; mise counts them as version 0.
    demand_version(document.get("lockfile_version", 0), 0, 1, 2, 3)
    for name, entries in table(document["tools"]).items():
        # In the first files a tool of one version was a table, not a list.
        for entry in tables(entries if isinstance(entries, list) else [entries]):
            yield make_package(
                text(name),
                text(entry["version"]),
                ecosystem="mise",
                builds=tuple(_mise_builds(entry)),
                direct=True,
            )


def _mise_builds(entry: Table) -> Iterator[tuple[str, str]]:
    # Two checksums are comparable only if platform, algorithm and options are
    # equal: other options select another file.
    options = sorted(table(entry.get("options", {})).items())
    # Some versions of mise quote the whole key: "platforms.linux-x64".
    quoted = {
        key.removeprefix("platforms."): info
        for key, info in entry.items()
        if key.startswith("platforms.")
    }
    for platforms in (table(entry.get("platforms", {})), quoted):
        for platform, info in platforms.items():
            checksum = optional_text(table(info).get("checksum"))
            if checksum:
                yield f"{platform} {checksum.partition(':')[0]} {options}", checksum


def spack(document: Document) -> Packages:
    """
    Read ``spack.lock``.

    The build of a package is its DAG hash; one version often has several. The
    hash covers the target, and a lockfile is for one machine, so packages
    have no platform. Included environments are read, too.
    """
    meta = table(document["_meta"])
    if meta["file-type"] != "spack-lockfile":
        raise ValueError("another file of Spack")
    # Before version 4 a hash did not cover the whole build.
    demand_version(meta["lockfile-version"], 4, 5, 6, 7)
    pending = [document]
    while pending:
        environment = pending.pop()
        roots = {text(root["hash"]) for root in tables(environment["roots"])}
        for key, spec in table(environment["concrete_specs"]).items():
            yield make_package(
                text(table(spec)["name"]),
                text(spec["version"]),
                ecosystem="spack",
                build=text(key),
                direct=key in roots,
                # Under development in a directory of the user.
                local="dev_path" in table(spec.get("parameters", {})),
            )
        included = table(environment.get("include_concrete", {}))
        pending.extend(map(table, included.values()))
