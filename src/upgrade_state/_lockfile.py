"""
The current lockfile of an environment: read with limits, compared by digest.

An activation loads this module if its answer depends on the lockfile, so it
imports at module level only modules that a bare interpreter has loaded.
"""

import os
import stat

from upgrade_state import _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# 64 times the largest lockfile seen in practice; a check holds two in memory.
MAX_SIZE = 64 << 20

_NO_LOCKFILE = -2
_NOT_LOOKED = -1


def read(path: str) -> "bytes | None":
    """
    Read a whole lockfile. Symlinks are followed.

    Returns:
        None if there is no regular file.

    Raises:
        StateReadError: It cannot be read, or is larger than `MAX_SIZE`.
    """
    size = _size(path)
    if size > MAX_SIZE:
        raise _record.read_error(f"The lockfile is larger than {MAX_SIZE} bytes", path)
    return None if size == _NO_LOCKFILE else _read(path, MAX_SIZE)


def _size(path: str) -> int:
    """
    Return the size of a regular file, or `_NO_LOCKFILE`.

    Called before the file is opened: opening a device can have side effects.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return _NO_LOCKFILE
    except OSError as error:
        raise _record.unreadable("the lockfile", error, path) from error
    return status.st_size if stat.S_ISREG(status.st_mode) else _NO_LOCKFILE


def _read(path: str, limit: int) -> "bytes | None":
    """
    Return the content; None if the file is missing, irregular or too large by now.
    """
    try:
        return _record.read_regular(path, _record.READ, limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _record.unreadable("the lockfile", error, path) from error


class CurrentLockfile:
    """
    The current lockfile, read at most once and only when it is compared.

    Size and digest are kept, so a second comparison, under a lock, reads nothing.

    Args:
        path: Its path; None: there is no lockfile.

        content: Its content, which overrides the file. None: read the file.
    """

    def __init__(self, path: "str | None", content: "bytes | None") -> None:
        self._path = path
        self._content = content
        self._digest: str | None = None
        self._size = _NOT_LOOKED if content is None else len(content)

    def matches(self, recorded: "Mapping[str, Any] | None") -> bool:
        """
        Return whether this is the *recorded* lockfile: by size, then by digest.

        Args:
            recorded: Digest and size in a record; None: there was no lockfile.

        Raises:
            StateReadError: The lockfile exists but cannot be read.
        """
        if self._size == _NOT_LOOKED:
            self._size = _NO_LOCKFILE if self._path is None else _size(self._path)
        if recorded is None or self._size != recorded["size"]:
            return recorded is None and self._size == _NO_LOCKFILE
        if self._digest is None:
            content = self._content
            if content is None and self._path is not None:
                content = _read(self._path, self._size)
            self._digest = "" if content is None else _record.digest(content)
        return self._digest == str(recorded["digest"])
