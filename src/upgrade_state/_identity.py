"""
The identity of a directory: another directory at the same path has another one.

A path leads to another directory after a rename, a removal or a mount. The number
of the inode does not tell: ext4 gives a new directory the number of the one that was
just removed, and the root of every tmpfs has the number 1.

An activation loads this module if a check is due, so it imports at module level only
modules that a bare interpreter has loaded.
"""

import os

from upgrade_state import _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from upgrade_state._record import Record

# Of linux/stat.h and linux/fcntl.h.
_HAS_BIRTH = 0x800  # STATX_BTIME
_STATX_SIZE, _BIRTH_OFFSET = 256, 80
_AT_FDCWD = -100


def identity(path: "str | bytes") -> "Record | None":
    """
    Return the fields `directory` and `file_system` of a consent for *path*.

    A new name, another mode and other content of the directory do not change them.

    Returns:
        None if *path* cannot be examined.
    """
    try:
        status = os.stat(path)
        born = getattr(status, "st_birthtime", None)
        if born is not None:  # macOS, whose file system identifiers may change
            system = f"{born:.6f}"
        else:
            system = f"{os.statvfs(path).f_fsid:x}{_birth(path)}"
    except OSError:
        return None
    return {"directory": status.st_ino & _record.MAX_INTEGER, "file_system": system}


def _birth(path: "str | bytes") -> str:
    """
    Return the time of birth of a directory; empty if the system does not tell.

    Python has no statx(2) before 3.15, and a libc of before 2018 has none.
    """
    try:
        import ctypes
        import struct

        statx = ctypes.CDLL(None).statx
    except (ImportError, AttributeError):
        return ""
    answer = ctypes.create_string_buffer(_STATX_SIZE)
    if statx(_AT_FDCWD, os.fsencode(path), 0, _HAS_BIRTH, answer):
        return ""
    (known,) = struct.unpack_from("=I", answer)
    seconds, nanoseconds = struct.unpack_from("=qI", answer, _BIRTH_OFFSET)
    return f"@{seconds}.{nanoseconds:09}" if known & _HAS_BIRTH else ""


def holds(consent: "Record", here: "Record | None") -> bool:
    """
    Return whether a record's *consent* is for the directory with the identity *here*.

    A consent without a file system is for the inode alone.
    """
    return here is not None and all(
        consent.get(field) in (None, value) for field, value in here.items()
    )
