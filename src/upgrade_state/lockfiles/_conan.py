"""
Lockfiles of Conan.
"""

from ._model import Document, Packages, make_package
from ._parse import demand_version, items, text

_LISTS = ("requires", "build_requires", "python_requires", "config_requires")


def conan(document: Document) -> Packages:
    """
    Read ``conan.lock`` of Conan 2.

    A reference is ``NAME/VERSION@USER/CHANNEL#REVISION%TIME``, all after the
    version optional. The build is the revision of the recipe; another channel
    or time makes no other package. A package that is needed for building and
    for running may be in two lists, with two versions.
    """
    demand_version(document["version"], "0.5")
    items(document["requires"])
    for key in _LISTS:
        for item in items(document.get(key, [])):
            # The option --lockfile-packages adds ids of binary packages.
            reference = text(item[0] if isinstance(item, list) else item)
            pinned, _, revision = reference.partition("%")[0].partition("#")
            name, _, version = pinned.partition("@")[0].partition("/")
            yield make_package(
                text(name), text(version), ecosystem="conan", build=revision or None
            )
