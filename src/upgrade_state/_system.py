"""
What is asked of the system: the contents of files, and the current time.

No file is trusted, neither those of a store nor lockfiles. Every activation
loads this module, so it imports at module level only what a bare interpreter
has loaded.
"""

import os
import stat
import time

from upgrade_state import _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from typing import Any


# O_NONBLOCK: opening a FIFO must not wait for its other end.
READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = stat.S_IFDIR
_REGULAR = stat.S_IFREG
_KIND = 0o170000  # what stat.S_IFMT masks, without the call
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def record_path(root: str, key: str) -> str:
    """
    Return where the record of *key* lies below *root*, the directory ``v1``.
    """
    return f"{root}/{key}.json"


def distrust(root: "os.stat_result") -> "str | None":
    """
    Say why nothing in the directory *root* is to be believed or written.

    Returns:
        None where it is a directory of the effective user that nobody else
        may write to.
    """
    mode = root.st_mode
    if mode & _KIND != _DIRECTORY:
        return "is a symlink" if stat.S_ISLNK(mode) else "is no directory"
    if os.name == "nt":  # ACLs of the profile directory decide there
        return None
    if root.st_uid != os.geteuid():
        return f"belongs to user {root.st_uid}, not to user {os.geteuid()}"
    return "may be written to by others" if mode & _OTHERS_WRITE else None


def is_trusted(root: str) -> bool:
    """
    Tell whether the directory *root* is there.

    Raises:
        StateReadError: It is there and not to be believed, or hidden.
    """
    try:
        problem = distrust(os.lstat(root))
    except FileNotFoundError:
        return False
    except OSError as error:
        from upgrade_state.exceptions import unreadable  # noqa: PLC0415 - rare

        raise unreadable("the store", error, root) from error
    if problem is None:
        return True
    from upgrade_state.exceptions import StateReadError  # noqa: PLC0415 - rare

    raise StateReadError(f"The store {problem} and is not used", root)


def read_file(root: str, path: str, limit: int) -> "bytes | None":
    """
    Read a file of the store below *root*.

    Returns:
        None where there is no such file; no bytes for what is no regular file,
        a symlink included, or is larger than *limit* bytes.

    Raises:
        StateReadError: It exists, but cannot be read or is not to be believed.
    """
    if not is_trusted(root):
        return None
    try:
        return read_regular(path, READ | _NO_LINKS, limit) or b""
    except FileNotFoundError:
        return None
    except OSError as error:
        # A symlink, a socket and the like cannot even be opened.
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            return b""
        from upgrade_state.exceptions import unreadable  # noqa: PLC0415 - rare

        raise unreadable("the file", error, path) from error


def read_regular(path: str, flags: int, limit: int) -> "bytes | None":
    """
    Return the contents of a regular file; None for anything else or larger.
    """
    fd = os.open(path, flags)
    try:
        status = os.fstat(fd)
        if status.st_mode & _KIND != _REGULAR or status.st_size > limit:
            return None
        # One byte more than it had, so that growth is seen as well.
        data = os.read(fd, status.st_size + 1)
        while len(data) < status.st_size and (more := os.read(fd, limit)):
            data += more  # a network file system cut it short
        return data
    finally:
        os.close(fd)


def size_of_regular(path: str) -> "int | None":
    """
    Return the size of a regular file, None for anything else or nothing.

    Asked before anything is opened: opening a device can have effects.
    """
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


class Lockfile:
    """
    An environment's lockfile as it is now: looked at late, and once.

    Given bytes are what it is, whatever lies on disk. The answer is kept, so
    that a second question under a lock costs no look at the disk.
    """

    __slots__ = ("_content", "_digest", "_path", "_size")

    def __init__(self, path: "str | None", content: "bytes | None") -> None:
        self._path = path
        self._content = content
        self._digest: str | None = None
        self._size = -1 if content is None else len(content)

    def matches(self, recorded: "Mapping[str, Any] | None") -> bool:
        """
        Tell whether it is the lockfile that was *recorded*.

        Args:
            recorded: Its digest and size; None where there was no lockfile.

        Raises:
            StateReadError: There is one, but it cannot be read.
        """
        if self._size == -1:
            self._size = self._look()
        if recorded is None or self._size != recorded["size"]:
            return recorded is None and self._size == _NO_LOCKFILE
        if self._digest is None:
            content = self._read()
            self._digest = "" if content is None else _record.digest(content)
        same: bool = self._digest == recorded["digest"]
        return same

    def _look(self) -> int:
        if self._path is None:
            return _NO_LOCKFILE
        try:
            size = size_of_regular(self._path)
        except OSError as error:
            from upgrade_state.exceptions import unreadable  # noqa: PLC0415 - rare

            raise unreadable("the lockfile", error, self._path) from error
        return _NO_LOCKFILE if size is None else size

    def _read(self) -> "bytes | None":
        """
        Return what is there; None where it is gone or larger by now.
        """
        if self._content is not None or self._path is None:
            return self._content
        try:
            return read_regular(self._path, READ, self._size)
        except FileNotFoundError:
            return None
        except OSError as error:
            from upgrade_state.exceptions import unreadable  # noqa: PLC0415 - rare

            raise unreadable("the lockfile", error, self._path) from error


_NO_LOCKFILE = -2


# Durations and times at the door


def seconds_of(duration: "dt.timedelta | None", default: int, name: str) -> int:
    """
    Return a duration in whole seconds, rounded up: times have no fractions.
    """
    if duration is None:
        return default
    import datetime as dt  # noqa: PLC0415 - who passes one has loaded it

    if not isinstance(duration, dt.timedelta) or duration < dt.timedelta():
        raise ValueError(f"{name} must be a timedelta of zero or more: {duration!r}")
    whole, rest = divmod(duration, dt.timedelta(seconds=1))
    return whole + bool(rest)


def second_of(now: "dt.datetime | None", name: str = "now") -> int:
    """
    Return a time as whole seconds since the epoch; the current one for None.
    """
    if now is None:
        return int(time.time())
    import datetime as dt  # noqa: PLC0415 - who passes one has loaded it

    if not isinstance(now, dt.datetime) or now.utcoffset() is None:
        raise ValueError(f"{name} must be a datetime with a time zone: {now!r}")
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    seconds = (now - epoch) // dt.timedelta(seconds=1)
    if not _record.FIRST_SECOND <= seconds <= _record.LAST_SECOND:
        raise ValueError(f"{name} must be in the years 1000 to 9999 (UTC): {now!r}")
    return seconds
