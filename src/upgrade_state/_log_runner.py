"""
Run a program, and keep the end of what it complains of in a bounded log.

A process of its own that `_background` starts: its stderr is the log, which it
holds the lock on for as long as the program runs, its other streams are empty.
The program gets its stderr from a pipe, and nothing else of it. It runs in the
root directory, to keep no other busy and to import nothing from one that was
merely entered.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import time
from typing import TYPE_CHECKING

from upgrade_state._redact import clean
from upgrade_state._search_paths import only_absolute

if TYPE_CHECKING:
    from typing import Final

# What the log holds at most, in bytes, beside its first and its last line.
LIMIT: Final = 1 << 16

_CUT: Final = b"[...]\n"

# What of these is relative would begin at the root now.
_LISTS: Final = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")

# Whoever started this has closed what could be listed; there is no telling.
_MANY: Final = 4096


class Log:
    """
    A file that does not grow beyond some size: of more the end is kept.

    What lies there at first stays. Whatever is written is fit for a terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._start = os.fstat(fd).st_size
        self._kept = b""
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode

    def add(self, data: bytes, *, final: bool = False) -> None:
        """
        Write *data*. Where the disk is full, that is not the program's trouble.

        Args:
            final: There is no more, so that half a character is none.
        """
        lines = self._decode(data, final).replace("\r\n", "\n").split("\n")
        text = "\n".join(clean(line.expandtabs()) for line in lines).encode()
        end = self._start + len(self._kept)
        self._kept += text
        try:
            if len(self._kept) <= LIMIT:
                os.pwrite(self._fd, text, end)
                return
            self._kept = _CUT + self._kept[-LIMIT // 2 :]
            os.pwrite(self._fd, self._kept, self._start)
            os.ftruncate(self._fd, self._start + len(self._kept))
        except OSError:
            return

    def say(self, words: str) -> None:
        """
        Write a last line, with the time.
        """
        self.add(b"", final=True)
        gap = "" if self._kept.endswith(b"\n") or not self._kept else "\n"
        self.add(f"{gap}{_now()} {words}\n".encode())


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def main(argv: list[str]) -> None:
    """
    Run *argv*, and return when it has ended.
    """
    log = Log(2)
    try:
        _detach()
        status = _run(argv, log)
    except OSError as error:
        log.say(f"it could not be run ({error.strerror})")
        return
    log.say(
        f"it ended with exit status {status}"
        if status >= 0
        else f"it was ended by signal {-status}"
    )


def _detach() -> None:
    with contextlib.suppress(PermissionError):  # done by who started this
        os.setsid()
    os.closerange(3, _MANY)
    os.chdir("/")


def _run(argv: list[str], log: Log) -> int:
    """
    Run *argv* until it has ended: what it has left running may keep its stderr.
    """
    reader, writer = os.pipe()
    child_ended = _pipe_of(signal.SIGCHLD)
    # As it was before Python came: some signals it ignores.
    child = os.posix_spawn(
        argv[0],
        argv,
        only_absolute(os.environ, _LISTS),
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 2)],
        setsigmask=(),
        setsigdef=signal.valid_signals(),
    )
    os.close(writer)
    ready = select.poll()
    ready.register(reader)
    ready.register(child_ended)
    while True:
        has_ended, status = os.waitpid(child, os.WNOHANG)
        if has_ended:
            os.set_blocking(reader, False)
        for fd, _ in ready.poll(0 if has_ended else None):
            data = os.read(fd, LIMIT)
            if fd == reader:
                log.add(data)
                if not data:
                    ready.unregister(reader)
        if has_ended:
            return os.waitstatus_to_exitcode(status)


def _pipe_of(number: int) -> int:
    """
    Return what can be read from once a signal has come.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(number, lambda *_: None)
    return reader
