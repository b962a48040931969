"""
An environment's lockfile as it is now, looked at with suspicion.

An activation loads this module when it comes to that, so it imports at module
level only what a bare interpreter has loaded.
"""

import os
import stat

from upgrade_state import _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# 64 times the largest lockfile that was ever seen; a check keeps two copies.
MAX_SIZE = 64 << 20

_NO_LOCKFILE = -2
_NOT_LOOKED = -1


def read(path: str) -> "bytes | None":
    """
    Read a lockfile as a whole; symlinks are followed.

    Returns:
        None where there is no regular file.

    Raises:
        StateReadError: It cannot be read, or is larger than `MAX_SIZE`.
    """
    size = _size(path)
    if size > MAX_SIZE:
        raise _record.read_error(f"The lockfile is larger than {MAX_SIZE} bytes", path)
    return None if size == _NO_LOCKFILE else _read(path, MAX_SIZE)


def _size(path: str) -> int:
    """
    Return the size of a regular file.

    Asked before anything is opened: opening a device can have effects.
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
    Return what is there; None where it is gone, no file or larger by now.
    """
    try:
        return _record.read_regular(path, _record.READ, limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _record.unreadable("the lockfile", error, path) from error


class CurrentLockfile:
    """
    The lockfile as it is now: looked at late, and once.

    Given bytes are what it is, whatever lies on disk. The answer is kept, so
    that a second question, under a lock, costs no look at the disk.

    Args:
        path: Where it lies; None: there is none.

        content: What it contains. None: what lies there.
    """

    def __init__(self, path: "str | None", content: "bytes | None") -> None:
        self._path = path
        self._content = content
        self._digest: str | None = None
        self._size = _NOT_LOOKED if content is None else len(content)

    def matches(self, recorded: "Mapping[str, Any] | None") -> bool:
        """
        Tell whether it is the lockfile that was *recorded*: by size, then digest.

        Args:
            recorded: Its digest and size; None where there was no lockfile.

        Raises:
            StateReadError: There is one, but it cannot be read.
        """
        if self._size == _NOT_LOOKED:
            self._size = _NO_LOCKFILE if self._path is None else _size(self._path)
        if recorded is None or self._size != recorded["size"]:
            return recorded is None and self._size == _NO_LOCKFILE
        if self._digest is None:
            content = self._read()
            self._digest = "" if content is None else _record.digest(content)
        return self._digest == str(recorded["digest"])

    def _read(self) -> "bytes | None":
        if self._content is not None or self._path is None:
            return self._content
        return _read(self._path, self._size)
