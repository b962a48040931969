"""
What `uv lock` needs of a project, besides the lockfile.

The manifests of the project, of its workspace's members and of the packages
that it has by path, each with the files that they name: where metadata are
dynamic, uv asks the build backend, and that reads a version, requirements or
a readme from them. Without these some fail, and some find no requirements.
"""

from __future__ import annotations

import glob
import os
import tomllib
from typing import TYPE_CHECKING

from upgrade_state import _current
from upgrade_state.exceptions import StateReadError

from ._scratch import copied_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

_MANIFEST: Final = "pyproject.toml"
_BESIDE: Final = ("uv.toml", ".python-version", ".python-versions")
_BACKEND: Final = ("setup.py", "setup.cfg")

# A project that names more is beyond what a check without build can do.
_MAX_PACKAGES: Final = 1000

CHANGES: Final[Mapping[str, str | None]] = {
    # These say where and how to work, which is not where we work; with the
    # last two uv would succeed without upgrading anything.
    "VIRTUAL_ENV": None,
    "UV_PROJECT": None,
    "UV_PROJECT_ENVIRONMENT": None,
    "UV_WORKING_DIR": None,
    "UV_WORKING_DIRECTORY": None,
    "UV_LOCKED": None,
    "UV_FROZEN": None,
    # No check installs a Python.
    "UV_PYTHON_DOWNLOADS": "manual",
    "NO_COLOR": "1",
}

# uv searches the directories above for a workspace, up to the first project.
FENCE: Final = (_MANIFEST, b'[project]\nname = "fence"\nversion = "0"\n')


def manifests(directory: str) -> list[str]:
    """
    Return what to copy, as paths below *directory*; what is missing is not listed.

    The manifest itself always is, so that its absence is noticed.
    """
    found = dict.fromkeys((_MANIFEST, *_existing(directory, ".", _BESIDE)))
    packages = ["."]
    seen = {"."}
    while packages:
        package = packages.pop()
        manifest = _load(directory, package)
        found.update(dict.fromkeys(_files_of(directory, package, manifest)))
        for other in _packages_of(directory, package, manifest):
            if other not in seen and len(seen) < _MAX_PACKAGES:
                seen.add(other)
                packages.append(other)
    return list(found)


def _load(directory: str, package: str) -> dict[str, Any]:
    """
    Read a manifest; what uv cannot read either is for uv to say.
    """
    path = os.path.join(directory, package, _MANIFEST)
    try:
        return tomllib.loads((_current.read(path) or b"").decode())
    except (StateReadError, ValueError, RecursionError):
        return {}


def _files_of(directory: str, package: str, manifest: dict[str, Any]) -> Iterator[str]:
    yield from _existing(directory, package, (_MANIFEST, *_BACKEND, *_texts(manifest)))


def _existing(
    directory: str, package: str, names: tuple[str, ...] | list[str]
) -> Iterator[str]:
    for name in names:
        try:
            below = copied_name(os.path.join(package, name))
        except ValueError:
            continue
        if _is_file_below(directory, below):
            yield below


def _is_file_below(directory: str, name: str) -> bool:
    path = os.path.realpath(os.path.join(directory, name))
    return path.startswith(os.path.join(directory, "")) and os.path.isfile(path)


def _texts(value: object) -> list[str]:
    """
    Return every text in a document: some of them are names of files.
    """
    texts: list[str] = []
    rest = [value]
    while rest:
        item = rest.pop()
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, dict):
            rest += item.values()
        elif isinstance(item, list):
            rest += item
    return texts


def _packages_of(
    directory: str, package: str, manifest: dict[str, Any]
) -> Iterator[str]:
    """
    Stream the directories of the packages that *manifest* leads to.
    """
    settings = _table(_table(manifest.get("tool")).get("uv"))
    sources = _table(settings.get("sources")).values()
    for source in sources:
        for choice in source if isinstance(source, list) else [source]:
            yield from _inside(package, _table(choice).get("path"))
    workspace = _table(settings.get("workspace"))
    excluded = set(_matches(directory, package, workspace.get("exclude")))
    for member in _matches(directory, package, workspace.get("members")):
        if member not in excluded:
            yield member


def _matches(directory: str, package: str, patterns: object) -> Iterator[str]:
    root = os.path.join(directory, package)
    for pattern in _texts(patterns):
        if "\0" in pattern:
            continue
        for name in glob.iglob(pattern, root_dir=root, recursive=True):
            yield from _inside(package, name)


def _inside(package: str, name: object) -> Iterator[str]:
    if isinstance(name, str):
        try:
            yield copied_name(os.path.join(package, name))
        except ValueError:  # outside: uv will say that it is missing
            return


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
