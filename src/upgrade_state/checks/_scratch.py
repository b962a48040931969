"""
The scratch directory of a command: copies go in, the new lockfile comes out.
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
    A copy of the few files of an environment that a command needs.

    Attributes:
        environment: The environment's directory.

        above: A directory that only its owner can enter. A tool that searches
            the directories above finds it first, and can be stopped there.

        path: The working directory of the command, in *above*, with the copies.

        temporary: A directory for temporary files, in *above*.
    """

    def __init__(self, above: str, environment: str) -> None:
        self.above: Final = above
        self.environment: Final = environment
        self.path: Final = self.directory("environment")
        self.temporary: Final = self.directory("tmp")

    def directory(self, name: str) -> str:
        """
        Make a directory beside the copies.
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
        source = source_of(name, self.environment)
        with self._target(name) as target:
            shutil.copyfile(source, target)
            # Tools write to their copies, whatever the mode of the original.
            os.chmod(target, 0o600 | os.stat(source).st_mode & stat.S_IXUSR)

    def write(self, name: str, content: bytes) -> None:
        """
        Write *content* to a file, which it replaces.
        """
        with self._target(name) as target, open(target, "wb") as file:
            file.write(content)

    def take(self, name: str) -> bytes:
        """
        Return the content of a file.

        Raises:
            FileNotFoundError: There is no regular file of this name.
            ResolverError: It is too large, or cannot be read.
        """
        path = os.path.join(self.path, name)
        try:
            is_regular = stat.S_ISREG(os.lstat(path).st_mode)
        except OSError:
            is_regular = False
        # A symlink, even to a directory on the way, leads to a file that the command
        # has not written.
        if not is_regular or os.path.realpath(path) != path:
            raise FileNotFoundError(name)
        try:
            content = _lockfile.read(path)
        except StateReadError as error:
            raise ResolverError(error.message, self.environment) from error
        return content or b""

    def files_above(self, names: Iterable[str]) -> Iterator[str]:
        """
        Stream the files of these *names* in the directories above.

        A file that is also above the environment is left out: the tool reads it
        in the environment too.
        """
        directory = self.above
        while directory != (directory := os.path.dirname(directory)):
            if not _is_below(self.environment, directory):
                paths = (os.path.join(directory, name) for name in names)
                yield from filter(os.path.lexists, paths)

    def is_full(self) -> bool:
        """
        Return whether the file system has no space left.
        """
        return _files.is_full(os.path.dirname(self.above))

    @property
    def remedy(self) -> str:
        """
        The advice for a full file system.
        """
        where = os.path.dirname(self.above)
        return f"no space is left in {where!r}: free some, or set TMPDIR"

    @contextlib.contextmanager
    def _target(self, name: str) -> Iterator[str]:
        target = os.path.join(self.path, name)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            yield target
        except OSError as error:
            message = f"Could not copy {name!r} ({error.strerror})"
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                message += f"; {self.remedy}"
            raise ResolverError(message, self.environment) from error


def read_file(path: str) -> bytes | None:
    """
    Read a file of the environment; None if there is none, or it cannot be read.

    The tool, or the check, reports a file that cannot be read.
    """
    try:
        return _lockfile.read(path)
    except StateReadError:
        return None


def source_of(name: str, directory: str) -> str:
    """
    Return the file that is copied as *name* of an environment's *directory*.

    Raises:
        ResolverError: There is no regular file of this name, or a symlink leads
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


def scratch_name() -> str:
    """
    Return an unused path for a scratch directory.

    Raises:
        ResolverError: There is no directory for temporary files.
    """
    try:
        temporary = os.path.realpath(tempfile.gettempdir())
    except OSError as error:
        raise _impossible(error, None) from error
    return os.path.join(temporary, f"upgrade-state-{os.urandom(8).hex()}")


def scratch(above: str, environment: str) -> Scratch:
    """
    Make a scratch directory at the path *above*. The supervisor removes it.

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
