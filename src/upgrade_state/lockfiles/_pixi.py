"""
Lockfiles of pixi.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from ._conda import archive_of, git_commit
from ._model import Package
from ._parse import Table, demand_version, optional_text, table, tables, text

_ECOSYSTEMS = {"conda": "conda", "conda_source": "conda", "pypi": "pypi"}
_ARCHIVES = (".conda", ".tar.bz2", ".whl", ".tar.gz", ".zip")

# The fields that differ between packages at one location.
_SELECTORS = ("name", "version", "build", "subdir", "variants")

# Real locations have one per platform and variant. All of them are compared
# with each reference, and hostile content has hundreds of thousands of both.
_MAX_CANDIDATES = 100

# Kind and location.
_Key = tuple[str, str]


class _Pin(NamedTuple):
    """
    The facts about a package that all its environments share.
    """

    name: str
    version: str | None
    ecosystem: str
    build: str | None
    local: bool


def pixi(document: Any) -> Iterator[Package]:
    """
    Read ``pixi.lock`` of version 4 to 7.

    Platforms have the lockfile's own names: since version 7 several of them
    can have one subdir and differ in virtual packages.
    """
    demand_version(document["version"], "4", "5", "6", "7")
    pins: dict[_Key, list[tuple[Table, _Pin]]] = {}
    for entry in tables(document["packages"]):
        key = _key(entry)
        pins.setdefault(key, []).append((entry, _pin(key, entry)))
    for environment, contents in table(document["environments"]).items():
        for platform, references in table(table(contents)["packages"]).items():
            for reference in tables(references):
                pin = _select(pins[_key(reference)], reference)
                yield Package(
                    pin.name,
                    pin.version,
                    ecosystem=pin.ecosystem,
                    platform=text(platform),
                    environment=text(environment),
                    build=pin.build,
                    local=pin.local,
                )


def _key(entry: Table) -> _Key:
    """
    Return the kind and the location of a package or of a reference to it.
    """
    if "kind" in entry:  # a package in versions 4 and 5
        return text(entry["kind"]), text(entry.get("url") or entry["path"])
    (kind,) = entry.keys() & _ECOSYSTEMS.keys()
    return kind, text(entry[kind])


def _pin(key: _Key, entry: Table) -> _Pin:
    kind, location = key
    name, version, build = (
        optional_text(entry.get(field)) for field in ("name", "version", "build")
    )
    if kind == "conda_source":  # NAME[HASH] @ LOCATION
        name, _, rest = location.partition("[")
        location = text(rest.partition("] @ ")[2])
    elif kind == "conda" and (archive := archive_of(location)):
        # Since version 6 pixi leaves out fields that repeat the file name.
        name, version, build = (
            name or archive[0],
            version or archive[1],
            build or archive[2],
        )
    is_path = location.startswith("file:") or "://" not in location
    return _Pin(
        text(name),
        version or None,
        _ECOSYSTEMS[kind],
        # A package built from git has a build string and a commit.
        " ".join(filter(None, (build, git_commit(location)))) or None,
        is_path and not location.endswith(_ARCHIVES),
    )


def _select(candidates: list[tuple[Table, _Pin]], reference: Table) -> _Pin:
    """
    Return the package of one location that *reference* means.
    """
    if len(candidates) == 1:
        return candidates[0][1]
    if len(candidates) > _MAX_CANDIDATES:
        raise ValueError("too many packages at one location")
    wanted = {key: reference[key] for key in _SELECTORS if key in reference}
    for entry, pin in candidates:
        # A field that the entry leaves out does not exclude it.
        if wanted.items() <= {**wanted, **entry}.items():
            return pin
    raise LookupError("no such package")
