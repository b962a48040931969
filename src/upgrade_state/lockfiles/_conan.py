"""
Lockfiles of Conan.
"""

from collections.abc import Iterator

from ._model import Package
from ._parse import demand_version, items, load_json, table, text

_LISTS = ("requires", "build_requires", "python_requires", "config_requires")


def conan(content: bytes) -> Iterator[Package]:
    """
    Read ``conan.lock`` of Conan 2.

    A package that is needed for building as well as for running may be in
    two lists, with two versions.
    """
    document = table(load_json(content))
    demand_version(document["version"], "0.5")
    items(document["requires"])
    for key in _LISTS:
        for item in items(document.get(key, [])):
            # On request there are ids of binary packages beside the reference.
            yield _conan_package(text(item[0] if isinstance(item, list) else item))


def _conan_package(reference: str) -> Package:
    # Behind name and version there may be user and channel, the revision of
    # the recipe, and its time. The same recipe in another channel is no other.
    reference, _, revision = reference.partition("%")[0].partition("#")
    name, _, version = reference.partition("@")[0].partition("/")
    return Package(text(name), text(version), ecosystem="conan", build=revision or None)
