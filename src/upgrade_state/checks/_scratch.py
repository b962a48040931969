"""
A directory of a resolver's own: what is put there, and what is taken from it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from typing import TYPE_CHECKING

from upgrade_state import _files, _lockfile, _record
from upgrade_state.exceptions import ResolverError, StateReadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final


class Scratch:
    """
    A copy of the few files of an environment that a resolver needs.

    Attributes:
        path: Where they are: a directory in one that nobody else may enter.

        above: That one. A resolver that searches the directories above finds
            this first, and can be stopped there.

        temporary: A directory for temporary files, which go with the others.
    """

    def __init__(self, above: str, environment: str) -> None:
        self.above: Final = above
        self.path: Final = os.path.join(above, "environment")
        self._environment = environment
        os.mkdir(self.path, 0o700)
        self.temporary: Final = self.directory("tmp")

    @property
    def cache(self) -> str:
        """
        A directory for caches that nobody keeps.
        """
        return self.directory("cache")

    def directory(self, name: str) -> str:
        """
        Make a directory of this name beside the copies.
        """
        path = os.path.join(self.above, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def copy(self, name: str) -> None:
        """
        Copy a file, *name* being its path below the environment's directory.

        Raises:
            ResolverError: See `source_of`.
        """
        source = source_of(name, self._environment)
        with self._filling(name) as target:
            shutil.copyfile(source, target)
            # To be written to, perhaps by the very next copy.
            os.chmod(target, 0o600 | os.stat(source).st_mode & stat.S_IXUSR)

    def write(self, name: str, content: bytes) -> None:
        """
        Put *content* there, whatever lies there already.
        """
        with self._filling(name) as target, open(target, "wb") as file:
            file.write(content)

    def take(self, name: str) -> bytes:
        """
        Return what lies there as *name*.

        Raises:
            FileNotFoundError: No regular file does.
            ResolverError: It is too large, or cannot be read.
        """
        path = os.path.join(self.path, name)
        # Not even a directory on the way may be a symlink: it would lead to a
        # file that no check has made.
        if not _is_regular(path) or os.path.realpath(path) != path:
            raise FileNotFoundError(name)
        try:
            content = _lockfile.read(path)
        except StateReadError as error:
            raise ResolverError(error.message, self._environment) from error
        return content or b""

    def lying_above(self, names: Iterable[str]) -> Iterator[str]:
        """
        Stream what lies under one of *names* in a directory above.

        Not what lies above the environment as well: it takes part there, too.
        """
        shared = os.path.join(self._environment, "")
        for directory in _directories_above(self.above):
            if not _is_below(shared, directory):
                paths = (os.path.join(directory, name) for name in names)
                yield from filter(os.path.lexists, paths)

    def is_full(self) -> bool:
        """
        Tell whether there is no space left for anything.
        """
        return _files.is_full(os.path.dirname(self.above))

    @property
    def remedy(self) -> str:
        """
        What to do about it.
        """
        where = os.path.dirname(self.above)
        return f"no space is left in {where!r}: free some, or set TMPDIR"

    @contextlib.contextmanager
    def _filling(self, name: str) -> Iterator[str]:
        target = os.path.join(self.path, name)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            yield target
        except OSError as error:
            message = f"Could not copy {name!r} ({error.strerror})"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                message += f"; {self.remedy}"
            raise ResolverError(message, self._environment) from error


def source_of(name: str, directory: str) -> str:
    """
    Return the file that is copied as *name* of an environment's *directory*.

    Raises:
        ResolverError: There is no regular file of that name, or a symlink leads
            out of the directory.
    """
    source = os.path.realpath(os.path.join(directory, name))
    if not _is_below(source, directory) or not os.path.isfile(source):
        raise ResolverError(f"There is no file {name!r} to copy", directory)
    return source


def copied_name(name: str) -> str:
    """
    Return *name* as a path below an environment's directory, without detours.

    Raises:
        ValueError: It leads elsewhere.
    """
    normal = os.path.normpath(name).replace(os.sep, "/")
    if not name or os.path.isabs(name) or not _record.is_lockfile_name(normal):
        raise ValueError(f"not a file below the environment's directory: {name!r}")
    return normal


def _is_below(path: str, directory: str) -> bool:
    return path.startswith(os.path.join(directory, ""))


def _directories_above(path: str) -> Iterator[str]:
    while path != (path := os.path.dirname(path)):
        yield path


def _is_regular(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def scratch_name() -> str:
    """
    Return where a scratch directory could be made.

    Raises:
        ResolverError: Nowhere.
    """
    try:
        temporary = os.path.realpath(tempfile.gettempdir())
    except OSError as error:
        raise _impossible(error, None) from error
    return os.path.join(temporary, f"upgrade-state-{os.urandom(8).hex()}")


def scratch(above: str, environment: str) -> Scratch:
    """
    Make a scratch directory, which somebody else removes.

    Raises:
        ResolverError: It cannot be made.
    """
    try:
        os.mkdir(above, 0o700)
        return Scratch(above, environment)
    except OSError as error:
        raise _impossible(error, above) from error


def _impossible(error: OSError, path: str | None) -> ResolverError:
    message = f"Could not make a scratch directory ({error.strerror})"
    return ResolverError(message, path)
