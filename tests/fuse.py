"""
A FUSE file system of directories in which looking up an unknown name takes time.

It speaks the kernel's protocol itself: two libraries and a setuid program less, for a
handful of requests. Mounting needs root.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
# MNT_FORCE ends the requests of a FUSE file system, MNT_DETACH ignores users.
_AT_ONCE = 1 | 2

_LOOKUP, _FORGET, _GETATTR, _INIT, _OPENDIR, _READDIR = 1, 2, 3, 26, 27, 28
_RELEASEDIR, _INTERRUPT, _BATCH_FORGET = 29, 36, 42
_UNANSWERED = (_FORGET, _INTERRUPT, _BATCH_FORGET)

# Protocol 7.31; no flags; writes of 128 KiB; times in nanoseconds.
_WELCOME = struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 0, 8, 8, 131072, 1, 1, 0, *[0] * 8)
_ALWAYS = {_INIT: _WELCOME, _OPENDIR: bytes(16), _RELEASEDIR: b""}
_HEADER = struct.Struct("<IIQQIIII")


class SlowDirectory:
    """
    A mounted directory with one directory `host` in it.

    Attributes:
        unknown: The unknown names that were looked up, those in `host` with it.
    """

    def __init__(self, path: Path, wait: Callable[[], object]) -> None:
        """
        Mount it.

        Args:
            wait: Called for each unknown name, before the answer.

        Raises:
            OSError: There is no FUSE here, or no right to mount.
        """
        self.unknown: list[str] = []
        self._path, self._wait = path, wait
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0"
        try:
            mount("fuse", path, options)
        except OSError:
            os.close(self._device)
            raise
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        unmount(self._path)
        self._thread.join()
        os.close(self._device)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 20)
            except OSError as error:
                if error.errno == errno.ENODEV:  # it is not mounted any more
                    return
                if error.errno in (errno.ENOENT, errno.EINTR):  # it was interrupted
                    continue
                raise
            _, code, unique, node, *_ = _HEADER.unpack_from(request)
            if code in _UNANSWERED:
                continue
            try:
                answer, error_number = self._answer(code, node, request[40:]), 0
            except OSError as error:
                answer, error_number = b"", error.errno or errno.EIO
            head = struct.pack("<IiQ", 16 + len(answer), -error_number, unique)
            try:
                os.write(self._device, head + answer)
            except OSError as error:
                if error.errno != errno.ENOENT:  # the process was killed
                    raise

    def _answer(self, code: int, node: int, body: bytes) -> bytes:
        if code in _ALWAYS:
            return _ALWAYS[code]
        if code == _GETATTR:
            return bytes(16) + _attributes(node)
        if code == _LOOKUP:
            name = body.rstrip(b"\0")
            if (node, name) == (1, b"host"):
                # The entry and its attributes are valid for no time.
                return struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + _attributes(2)
            self.unknown.append(os.fsdecode(name if node == 1 else b"host/" + name))
            self._wait()
            raise OSError(errno.ENOENT, "no such name")
        if code == _READDIR:
            offset = struct.unpack_from("<QQ", body)[1]
            if node != 1 or offset:
                return b""
            return struct.pack("<QQII8s", 2, 1, 4, stat.S_IFDIR >> 12, b"host")
        raise OSError(errno.ENOSYS, "not needed")


def _attributes(node: int) -> bytes:
    mode = stat.S_IFDIR | 0o755
    return struct.pack("<QQQQQQIIIIIIIIII", node, *[0] * 8, mode, 2, *[0] * 5)


def mount(kind: str, path: Path, options: str = "") -> None:
    """
    Mount a file system without a source.

    Raises:
        OSError: It was refused.
    """
    if sys.platform != "linux":  # it takes other arguments elsewhere
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path)
    names = (kind.encode(), os.fsencode(path), kind.encode())
    if _LIBC.mount(*names, 0, options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def unmount(path: Path) -> None:
    """
    Unmount a file system, which programs may still be in.
    """
    _LIBC.umount2(os.fsencode(path), _AT_ONCE)
