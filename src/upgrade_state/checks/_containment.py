"""
Run a command within limits, and leave nothing of it behind.

Between this process and the command stands `_supervisor`, which ends the command
and everything that comes of it when it is asked to, and when this process dies.
This is for commands that go wrong. A command that fights its supervisor has the
rights of its user, and gets away; only a sandbox holds it.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from io import FileIO
from socket import SHUT_WR, socketpair  # connected to each other, not to a network
from typing import TYPE_CHECKING, cast

import attrs

from upgrade_state import _programs
from upgrade_state.exceptions import ResolverError

from . import _supervisor
from ._cancellation import POLL_SECONDS, Cancellation, current_cancellation
from ._diagnosis import last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.abc import InspectLoader
    from typing import Final

# Of the output only the end is kept. pip-compile prints the whole new lockfile after
# its warnings.
TAIL: Final = 1 << 20

_LATE: Final = "did not end within"

_NO_SUPERVISOR: Final = "Could not start a supervisor for the command"

# Read once: an upgrade of this library may replace the file of a running process by
# one that expects other messages. None: only its byte code is installed.
_SOURCE: Final = cast("InspectLoader", _supervisor.__loader__).get_source(
    _supervisor.__name__
)


@attrs.frozen(kw_only=True)
class Limits:
    """
    The resources that a command may use, and the time that it gets to end.

    Attributes:
        memory: Bytes of data, for each of its processes.

        file: Bytes of each file that it writes.

        output: Bytes that it writes to stdout and stderr, in all.

        grace: Seconds between the request to end (SIGTERM) and SIGKILL.

        patience: Seconds that the supervisor gets after that, before it is
            killed as well.
    """

    memory: int = 4 << 30
    file: int = 1 << 30
    output: int = 16 << 20
    grace: float = 2.0
    patience: float = 5.0


LIMITS: Final = Limits()


@attrs.frozen
class Ended:
    """
    How a command has ended.

    Attributes:
        status: Exit status; negative: the signal that killed it; None: it was
            ended for *reason*.

        output: The end of its stdout and stderr.

        reason: The limit that it exceeded; None: it ended by itself.
    """

    status: int | None
    output: bytes
    reason: str | None = None

    @property
    def is_late(self) -> bool:
        """
        Whether it ran for too long.
        """
        return self.reason is not None and self.reason.startswith(_LATE)


def size(number: int) -> str:
    """
    Format a number of bytes for people, such as "16 MiB".
    """
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >> shift:
            return f"{number / (1 << shift):.4g} {unit}"
    return f"{number} bytes"


@contextlib.contextmanager
def supervised(scratch: str, limits: Limits = LIMITS) -> Iterator[Supervisor]:
    """
    Start a supervisor for a command, and wait for its end afterwards.

    No process and no directory is left, at whichever instant an exception such as
    `KeyboardInterrupt` arrives.

    Args:
        scratch: A directory that is removed at the end, also if that is the end
            of this process. To be made in the `with` block.

    Raises:
        ResolverError: It cannot be started.
    """
    if os.name == "nt":
        raise ResolverError("Commands are not run on Windows", None)
    argv = _programs.running(_SOURCE or "")
    if not argv or _SOURCE is None:
        lack = "the source of upgrade-state is not installed"
        lack = lack if argv else "this application has no Python to run it with"
        raise ResolverError(f"{_NO_SUPERVISOR}: {lack}", sys.executable or None)
    with contextlib.ExitStack() as stack:
        try:
            supervisor = Supervisor(stack, argv, scratch, limits)
        except OSError as error:
            message = f"{_NO_SUPERVISOR} ({error.strerror})"
            raise ResolverError(message, sys.executable) from error
        yield supervisor


class Supervisor:
    """
    The supervisor of one command, as its parent sees it.

    Args:
        stack: Ends the supervisor, and closes the file descriptors.

        argv: Starts the supervisor; its own arguments follow.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(
        self,
        stack: contextlib.ExitStack,
        argv: Sequence[str],
        scratch: str,
        limits: Limits,
    ) -> None:
        # Unlike a pipe, a socket can be shut down while a forked copy of this process
        # holds it, too. The output is a pipe, since /dev/stderr cannot be opened if
        # it is a socket.
        self._channel, self._stdin = map(stack.enter_context, socketpair())
        self._outputs, self._stderr = map(
            stack.enter_context, map(FileIO, os.pipe(), "rw")
        )
        self._selector = stack.enter_context(selectors.DefaultSelector())
        self._scratch = scratch
        self._limits = limits
        # None: not started, or interrupted before its process ID was known.
        self._process: subprocess.Popen[bytes] | None = None
        self._report = b""
        self._output = b""
        self._written = 0
        self._has_exited = False
        os.set_blocking(self._outputs.fileno(), False)
        for source in (self._channel, self._outputs):
            self._selector.register(source, selectors.EVENT_READ)
        for _ in range(2):  # again if it was interrupted
            stack.callback(self._close)
        # The process alone keeps its ends of the channel and the pipe.
        with self._stdin, self._stderr:
            self._process = subprocess.Popen(  # noqa: S603 - our own source
                [*argv, str(os.getpid()), scratch],
                stdin=self._stdin.fileno(),
                stdout=self._stdin.fileno(),
                stderr=self._stderr,
                start_new_session=True,
                cwd="/",  # so that it blocks no unmount
            )

    def run(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout: float
    ) -> Ended:
        """
        Run *argv* without input, in a session of its own. Call it once at most.

        When it returns or raises, no process of the command is left, unless the
        supervisor hangs, which `_close` kills. They get SIGTERM, and SIGKILL after
        the grace; at once after a second `KeyboardInterrupt`, or if this process
        dies.

        Args:
            timeout: In seconds, on a monotonic clock.

        Raises:
            OSError: The command cannot be started, or not with such a variable.
            ResolverError: The supervisor failed.
            Cancelled: The check was cancelled.
        """
        spec = {
            "argv": [os.fsencode(word) for word in argv],
            "env": {os.fsencode(k): os.fsencode(v) for k, v in env.items()},
            "cwd": os.fsencode(cwd),
            "grace": self._limits.grace,
            "limits": {
                "RLIMIT_CORE": 0,
                "RLIMIT_DATA": self._limits.memory,
                "RLIMIT_FSIZE": self._limits.file,
            },
        }
        message = marshal.dumps(spec)
        length = len(message).to_bytes(_supervisor.LENGTH, "little")
        cancellation = current_cancellation() or Cancellation()
        deadline = time.monotonic() + timeout
        reason = None

        def is_over() -> bool:
            is_too_much = self._written > self._limits.output
            has_ended = self._reported("status") is not None
            return has_ended or is_too_much or cancellation.is_cancelled

        try:
            self._send(length + message, timeout)
            if not self._wait(deadline - time.monotonic(), is_over):
                reason = f"{_LATE} {timeout:g} s"
        finally:
            self._send(b"e", self._limits.patience)
            seconds = self._limits.grace + self._limits.patience
            self._wait(seconds, lambda: self._reported("gone") is not None)
            # Only once: a process that got away may hold the other end.
            self._read_output()
        cancellation.raise_if_cancelled()
        if reason is None and self._written > self._limits.output:
            reason = f"wrote more than {size(self._limits.output)} of output"
        number, status = self._reported("errno"), self._reported("status")
        if number is not None:
            raise OSError(number, os.strerror(number))
        if reason is None and status is None:
            words = last_words(self._output) or "it said nothing"
            problem = f"The supervisor of the command ended early: {words}"
            raise ResolverError(problem, sys.executable)
        return Ended(None if reason else status, self._output, reason)

    def _close(self) -> None:
        """
        End everything that is left, and wait until the supervisor has exited.

        It is killed if it does not exit in time.

        Interrupted, it can be called again. If it is not, the supervisor does the
        rest as soon as this end of the channel is closed.
        """
        # It may have been interrupted before. Then these would hide the exit of a
        # supervisor whose process ID is unknown.
        self._stdin.close()
        self._stderr.close()
        if self._process is not None:
            # Popen.poll() leaves it locked if Ctrl-C comes after acquire() and before
            # its try statement. Then wait() would not end.
            vars(self._process)["_waitpid_lock"] = threading.Lock()
        _supervisor.remove(self._scratch)  # faster than the supervisor would
        with contextlib.suppress(OSError):
            self._channel.shutdown(SHUT_WR)
        self._wait(self._limits.patience, lambda: False)
        if self._process is not None:
            try:
                self._process.wait(self._limits.patience if self._has_exited else 0)
            except subprocess.TimeoutExpired:
                # Before it, since it adopts orphans.
                _supervisor.signal_tree(self._process.pid, signal.SIGKILL)
                self._process.kill()
                self._process.wait()
            self._has_exited = True
        _supervisor.remove(self._scratch)

    def _reported(self, word: str) -> int | None:
        found = re.search(rb"^%b (-?\d+)\n" % word.encode(), self._report, re.MULTILINE)
        return None if found is None else int(found[1])

    def _send(self, data: bytes, seconds: float) -> None:
        # poll(2) counts milliseconds in 31 bits.
        self._channel.settimeout(min(seconds, 2**31 // 1000))
        with contextlib.suppress(OSError):  # it has exited, or does not read
            self._channel.sendall(data)

    def _wait(self, seconds: float, is_over: Callable[[], bool]) -> bool:
        """
        Handle events until the supervisor has exited or *is_over*; False: too late.
        """
        deadline = time.monotonic() + seconds
        while not self._has_exited and not is_over():
            rest = deadline - time.monotonic()
            if rest <= 0:
                return False
            # A forked copy of this process may hold the other end of the channel. Ask
            # first: the report may come between the last read and the exit.
            has_exited = self._process is not None and self._process.poll() is not None
            events = self._selector.select(0 if has_exited else min(rest, POLL_SECONDS))
            # No bound methods: this object has no part in a reference cycle, so that
            # its end of the channel is closed at once if `_close` is not called.
            for key, _ in events:
                if key.fileobj is self._outputs:
                    data = self._read_output()
                else:
                    try:
                        data = self._channel.recv(1 << 10)
                    except ConnectionResetError:  # it left something unread
                        data = b""
                    self._report += data
                    has_exited = has_exited or not data
                if data == b"":
                    self._selector.unregister(key.fileobj)
            self._has_exited = self._has_exited or has_exited
        return True

    def _read_output(self) -> bytes | None:
        # No pipe holds more, unless the administrator has raised the limit.
        data: bytes | None = self._outputs.read(1 << 20)
        if data:
            self._written += len(data)
            self._output = (self._output + data)[-TAIL:]
        return data
