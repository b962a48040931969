"""
Lockfiles of pixi.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ._conda import archive_of, git_commit
from ._model import Package
from ._parse import (
    Table,
    demand_version,
    load_yaml,
    optional_text,
    table,
    tables,
    text,
)

_ECOSYSTEMS = {"conda": "conda", "conda_source": "conda", "pypi": "pypi"}
_ARCHIVES = (".conda", ".tar.bz2", ".whl", ".tar.gz", ".zip")

# What tells packages at one location apart.
_SELECTORS = ("name", "version", "build", "subdir", "variants")

# There are as many as platforms and variants. All of them are looked at for
# each reference, of which hostile content has hundreds of thousands.
_MAX_CANDIDATES = 100

# Kind and location.
_Key = tuple[str, str]


class _Pin(NamedTuple):
    """
    What an entry says of its package, wherever that is installed.
    """

    name: str
    version: str | None
    ecosystem: str
    build: str | None
    local: bool


def pixi(content: bytes) -> Iterator[Package]:
    """
    Read ``pixi.lock``, of version 4 or later.

    A platform is called what the lockfile calls it: since version 7 several
    of them may have one subdir, and other system requirements.
    """
    document = table(load_yaml(content))
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
        # Since version 6 a field is left out if the file's name says the same.
        name, version, build = (
            name or archive[0],
            version or archive[1],
            build or archive[2],
        )
    return _Pin(
        text(name),
        version or None,
        _ECOSYSTEMS[kind],
        # What is built from git is rebuilt for another commit, too.
        " ".join(filter(None, (build, git_commit(location)))) or None,
        _is_directory(location),
    )


def _is_directory(location: str) -> bool:
    is_path = location.startswith("file:") or "://" not in location
    return is_path and not location.endswith(_ARCHIVES)


def _select(candidates: list[tuple[Table, _Pin]], reference: Table) -> _Pin:
    if len(candidates) == 1:
        return candidates[0][1]
    if len(candidates) > _MAX_CANDIDATES:
        raise ValueError("too many packages at one location")
    wanted = {key: reference[key] for key in _SELECTORS if key in reference}
    for entry, pin in candidates:
        # What an entry leaves out is in its location, which is the same.
        if wanted.items() <= {**wanted, **entry}.items():
            return pin
    raise LookupError("no such package")
