"""
Which environments a directory or a lockfile on the command line stands for.

Activations ask this, so it imports only what a bare interpreter has loaded.
"""

import os

from upgrade_state import _record
from upgrade_state.lockfiles import format_of
from upgrade_state.lockfiles._names import NAMES

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from upgrade_state._environment import EnvironmentState, StateStore

# Lockfiles that lie below their environment's directory.
_BELOW = (".flox/env/manifest.lock",)


def fixed_names() -> "tuple[str, ...]":
    """
    Return the names of lockfiles that need no pattern, as a shell looks for them.
    """
    return (*NAMES, *_BELOW)


def above(
    store: "StateStore", directory: str, lockfile: "str | None"
) -> "Iterator[list[EnvironmentState]]":
    """
    Stream the environments of *directory* and of those above, each one's together.

    Args:
        lockfile: The name of the lockfile; None: any that needs no pattern.
            Nobody waits until all directories on the way are read.
    """
    names = fixed_names() if lockfile is None else (lockfile,)
    for place in upward(directory):
        yield [store.environment(place, name) for name in _existing(place, names)]


def upward(directory: str) -> "Iterator[str]":
    """
    Stream *directory* and those above it, by steps from there.
    """
    while True:
        yield directory
        parent = f"{directory}/.."
        try:
            is_top = os.path.samefile(directory, parent)
        except OSError:  # nobody may look there
            return
        if is_top:
            return
        directory = parent


def present(
    store: "StateStore", where: str, lockfile: "str | None"
) -> "list[EnvironmentState]":
    """
    Return the environments that are there.

    Args:
        where: A directory, or a lockfile.

        lockfile: The name of the lockfile in a directory; None: every one of a
            known name, sorted.

    Raises:
        ValueError: *where* is a lockfile already, or no path, or *lockfile*
            is no name.
    """
    directory, name = split(where)
    if name is not None:
        if lockfile is not None:
            raise ValueError(f"this is a lockfile already: {where!r}")
        return [store.environment(directory, name)]
    if lockfile is not None:
        return [store.environment(directory, lockfile)]
    return [store.environment(directory, found) for found in _known(directory)]


def split(where: str) -> "tuple[str, str | None]":
    """
    Return directory and lockfile's name; no name for what is a directory.

    What is not there is a lockfile if its name is one.

    Raises:
        ValueError: It is no path, or a relative one where the working directory
            is gone.
    """
    if not where:
        raise ValueError("a directory or a lockfile is needed, not ''")
    name = os.path.basename(where)
    if os.path.isdir(where) or not (os.path.isfile(where) or format_of(name)):
        return where, None
    directory = os.path.dirname(where) or "."
    # As it is given first: on the way to a lockfile below may be symlinks, too.
    for path in (where, f"{_real(directory)}/{name}"):
        for below in _BELOW:
            if f"/{path}".endswith(f"/{below}"):
                return path[: -len(below)] or ".", below
    return directory, name


def _real(directory: str) -> str:
    try:
        return os.path.realpath(directory)
    except OSError as error:
        raise ValueError(f"the working directory is gone: {directory!r}") from error


def _known(directory: str) -> "list[str]":
    try:
        names = [name for name in os.listdir(directory) if _is_known(name)]
    except OSError:
        return []
    return _existing(directory, (*sorted(names), *_BELOW))


def _is_known(name: str) -> bool:
    # With a backslash in it, it would be no name of a lockfile anywhere.
    return format_of(name) is not None and _record.is_lockfile_name(name)


def _existing(directory: str, names: "Iterable[str]") -> "list[str]":
    return [name for name in names if os.path.isfile(f"{directory}/{name}")]
