"""
Lockfiles of pixi.
"""

from ._conda import archive_of, git_commit
from ._model import Document, Package, Packages, make_package
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


def pixi(document: Document) -> Packages:
    """
    Read ``pixi.lock`` of version 4 to 7.

    Platforms have the lockfile's own names: since version 7 several of them
    can have one subdir and differ in virtual packages.
    """
    demand_version(document["version"], "4", "5", "6", "7")
    pins: dict[_Key, list[tuple[Table, Package]]] = {}
    for entry in tables(document["packages"]):
        key = _key(entry)
        pins.setdefault(key, []).append((entry, _package(key, entry)))
    for environment, contents in table(document["environments"]).items():
        for platform, references in table(table(contents)["packages"]).items():
            for reference in tables(references):
                package = _select(pins[_key(reference)], reference)
                yield package._replace(
                    platform=text(platform), environment=text(environment)
                )


def _key(entry: Table) -> _Key:
    """
    Return the kind and the location of a package or of a reference to it.
    """
    if "kind" in entry:  # a package in versions 4 and 5
        return text(entry["kind"]), text(entry.get("url") or entry["path"])
    (kind,) = entry.keys() & _ECOSYSTEMS.keys()
    return kind, text(entry[kind])


def _package(key: _Key, entry: Table) -> Package:
    """
    Return a package without the environments and platforms that refer to it.
    """
    kind, location = key
    name, version, build = (
        optional_text(entry.get(field)) for field in ("name", "version", "build")
    )
    if kind == "conda_source":  # NAME[HASH] @ LOCATION
        name, _, rest = location.partition("[")
        location = text(rest.partition("] @ ")[2])
    elif kind == "conda" and (archive := archive_of(location)):
        # Since version 6 pixi leaves out fields that repeat the file name.
        stated = zip((name, version, build), archive, strict=True)
        name, version, build = (field or default for field, default in stated)
    is_path = location.startswith("file:") or "://" not in location
    return make_package(
        text(name),
        version or None,
        ecosystem=_ECOSYSTEMS[kind],
        # A package built from git has a build string and a commit.
        build=" ".join(filter(None, (build, git_commit(location)))) or None,
        local=is_path and not location.endswith(_ARCHIVES),
    )


def _select(candidates: list[tuple[Table, Package]], reference: Table) -> Package:
    """
    Return the package of one location that *reference* means.
    """
    if len(candidates) == 1:
        return candidates[0][1]
    if len(candidates) > _MAX_CANDIDATES:
        raise ValueError("too many packages at one location")
    wanted = {key: reference[key] for key in _SELECTORS if key in reference}
    for entry, package in candidates:
        # A field that the entry leaves out does not exclude it.
        if wanted.items() <= {**wanted, **entry}.items():
            return package
    raise LookupError("no such package")
