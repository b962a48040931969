"""
Run a program and keep the end of its stderr in a bounded log.

`_background` starts this as a process. Its stderr is the log, whose lock it holds
while the program runs; its other streams are empty. The program's stderr is a
pipe to this process; it inherits nothing else. Its working directory is `/`, so
it blocks no unmount and imports nothing from the directory the user entered.
"""

import codecs
import os
import select
import time

from upgrade_state import _programs
from upgrade_state._redact import clean

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # without its enums, which take as long as the rest

# Maximum size of the log in bytes, without its first and its last line.
LIMIT = 1 << 16

_CUT = b"[...]\n"

# Search paths whose relative entries would start at `/`.
_LISTS = ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH")

# `_background` closes the descriptors that it can list; this closes the others.
_MAX_DESCRIPTORS = 4096


class Log:
    """
    A file of bounded size that keeps the end of longer output.

    The initial content stays. Everything written is safe for a terminal.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._start = os.fstat(fd).st_size
        self._kept = b""
        self._decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode

    def add(self, data: bytes, *, final: bool = False) -> None:
        """
        Write *data*. Write errors are ignored: the program must not suffer.

        Args:
            final: No more data follows; an incomplete character is escaped.
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

    def add_last_line(self, message: str) -> None:
        """
        Write a last line, with the time.
        """
        self.add(b"", final=True)
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        gap = "" if self._kept.endswith(b"\n") or not self._kept else "\n"
        self.add(f"{gap}{now} {message}\n".encode())


def main(argv: list[str]) -> None:
    """
    Run *argv* and return when it has ended.
    """
    log = Log(2)
    try:
        try:  # noqa: SIM105 - loading contextlib takes longer
            os.setsid()
        except PermissionError:  # posix_spawn has done it
            pass
        os.closerange(3, _MAX_DESCRIPTORS)
        os.chdir("/")
        status = _run(argv, log)
    except OSError as error:
        log.add_last_line(f"it could not be run ({error.strerror})")
        return
    log.add_last_line(
        f"it ended with exit status {status}"
        if status >= 0
        else f"it was ended by signal {-status}"
    )


def _run(argv: list[str], log: Log) -> int:
    """
    Run *argv* and return its exit status, negative for a signal.

    Does not wait for end of file: a process it left running may hold the pipe.
    """
    reader, writer = os.pipe()
    # SIGCHLD makes this pipe readable, so that poll(2) returns.
    child_ended, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Python ignores SIGPIPE and SIGXFSZ; the program gets the defaults.
    child = os.posix_spawn(
        argv[0],
        argv,
        _programs.variables(os.environ, _LISTS),
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
