"""
The scratch directory of a command: a copy goes in, the new lockfile comes out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from typing import TYPE_CHECKING, Final

from upgrade_state import _files, _lockfile, _record
from upgrade_state.exceptions import ResolverError, StateReadError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The file itself, without waiting for the writer of a FIFO.
READ: Final = _record.READ | _record.NO_LINKS

# The limit of a lockfile in bytes.
MAX_SIZE: Final = _lockfile.MAX_SIZE


class Scratch:
    """
    A copy of an environment's project, and what a command needs besides.

    Attributes:
        environment: The environment's directory.

        top: The project's directory, which is copied.

        objects: The directories of git objects that the copy reads.

        above: A directory that only its owner can enter. A tool that searches
            the directories above finds it first, and can be stopped there.

        project: The copy, in *above*.

        path: The working directory of the command: the environment in the copy.

        temporary: A directory for temporary files, in *above*.

    Args:
        above: The path at which it is made. The supervisor removes it.

    Raises:
        ResolverError: It cannot be made.
    """

    def __init__(self, above: str, environment: str, top: str) -> None:
        self.above: Final = above
        self.environment: Final = environment
        self.top: Final = top
        self.objects: Final[list[str]] = []
        with _making(above):
            os.mkdir(above, 0o700)
            self.project: Final = self.directory("project")
            self.temporary: Final = self.directory("tmp")
        below = os.path.relpath(environment, top)
        self.path: Final = os.path.normpath(os.path.join(self.project, below))

    def directory(self, name: str) -> str:
        """
        Make a directory beside the copy.
        """
        path = os.path.join(self.above, name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def write(self, name: str, content: bytes) -> None:
        """
        Write *content* to a file, which it replaces.
        """
        target = os.path.join(self.path, name)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            with open(target, "wb") as file:
                file.write(content)
            with contextlib.suppress(OSError):  # make compares it with others
                time = os.stat(os.path.join(self.environment, name)).st_mtime_ns
                os.utime(target, ns=(time, time))
        except OSError as error:
            raise self.error(name, error) from error

    def take(self, name: str) -> bytes:
        """
        Return the content of a file.

        Raises:
            FileNotFoundError: There is no regular file of this name.
            ResolverError: It is too large, or cannot be read.
        """
        path = os.path.join(self.path, name)
        # A symlink, even to a directory on the way, leads to a file that the command
        # has not written.
        if os.path.realpath(path) != path or not os.path.isfile(path):
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
            if not is_inside(os.path.dirname(self.environment), directory):
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

    def error(
        self, name: str, error: OSError, total: str | None = None
    ) -> ResolverError:
        """
        Return the failure for a file that could not be copied.

        Args:
            total: The size of all files that are copied; None: of this one alone.
        """
        message = f"Could not copy {name!r} ({error.strerror})"
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            message += f", {total} in all" if total else ""
            message += f"; {self.remedy}"
        return ResolverError(message, self.environment)


def read_file(path: str) -> bytes | None:
    """
    Read a file of the environment; None if there is none, or it cannot be read.

    The tool, or the check, reports a file that cannot be read.
    """
    try:
        return _lockfile.read(path)
    except StateReadError:
        return None


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


def is_inside(path: str, directory: str) -> bool:
    """
    Return whether *path* is *directory*, or below it, by their spellings.
    """
    return os.path.join(path, "").startswith(os.path.join(directory, ""))


def scratch_name() -> str:
    """
    Return an unused path for a scratch directory.

    Raises:
        ResolverError: There is no directory for temporary files.
    """
    with _making(None):
        temporary = os.path.realpath(tempfile.gettempdir())
    return os.path.join(temporary, f"upgrade-state-{os.urandom(8).hex()}")


@contextlib.contextmanager
def _making(path: str | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"Could not make a scratch directory ({error.strerror})"
        raise ResolverError(message, path) from error
