"""
Lockfiles of tools that build on Nix.
"""

from collections.abc import Iterator

from ._model import Package
from ._parse import Table, demand_version, load_json, optional_text, table, tables, text


def flox(content: bytes) -> Iterator[Package]:
    """
    Read a Flox lockfile (``.flox/env/manifest.lock``).

    Packages go by install id and system, as in Flox; whatever the layout of
    the manifest, they are in the same place.
    """
    document = table(load_json(content))
    demand_version(document["lockfile-version"], 1)
    table(document["manifest"])
    for entry in tables(document["packages"]):
        yield Package(
            text(entry["install_id"]),
            optional_text(entry.get("version")),
            platform=text(entry["system"]),
            build=_derivation(entry),
            # What a package depends on is inside its derivation.
            direct=True,
        )


def _derivation(entry: Table) -> str | None:
    if "derivation" in entry:  # from the catalog, or from a flake
        return text(entry["derivation"])
    # A store path is what it is. It has nothing to be upgraded to, which
    # is why Flox never reports it.
    text(entry["store_path"])
    return None
