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
import time
from io import FileIO
from socket import SHUT_WR, socketpair  # connected to each other, not to a network
from typing import TYPE_CHECKING, cast

import attrs

from upgrade_state import _background
from upgrade_state.exceptions import ResolverError

from . import _supervisor
from ._cancellation import POLL_SECONDS, current_cancellation
from ._diagnosis import last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.abc import InspectLoader
    from typing import Final

# Of the output only the end is kept: there tools say why they failed.
TAIL: Final = 8192

_LATE: Final = "did not end within"

# No pipe holds more, unless the administrator has raised the limit.
_PIPE_SIZE: Final = 1 << 20

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
            return f"{number / (1 << shift):g} {unit}"
    return f"{number} bytes"


@contextlib.contextmanager
def supervised(
    scratch: str | None = None, limits: Limits = LIMITS
) -> Iterator[Supervisor]:
    """
    Start a supervisor for a command, and wait for its end afterwards.

    No process and no directory is left, at whichever instant an exception such as
    `KeyboardInterrupt` arrives.

    Args:
        scratch: A directory that is removed at the end, also if that is the end
            of this process. To be made in the `with` block. None: no directory.

    Raises:
        ResolverError: It cannot be started.
    """
    if os.name == "nt":
        raise ResolverError("Commands are not run on Windows", None)
    python = _background.python()
    if not python:
        message = f"{_NO_SUPERVISOR}: this application has no Python to run it with"
        raise ResolverError(message, sys.executable or None)
    if _SOURCE is None:
        message = f"{_NO_SUPERVISOR}: the source of upgrade-state is not installed"
        raise ResolverError(message, _supervisor.__file__)
    supervisor = None
    with contextlib.ExitStack() as stack:
        try:
            try:
                supervisor = Supervisor(stack, scratch, limits)
                supervisor.start(python, _SOURCE)
            except OSError as error:
                message = f"{_NO_SUPERVISOR} ({error.strerror})"
                raise ResolverError(message, sys.executable) from error
            yield supervisor
        finally:
            if supervisor is not None:
                try:
                    supervisor.close()
                except BaseException:
                    # Interrupted, perhaps before its first line.
                    supervisor.close()
                    raise


class Supervisor:
    """
    The supervisor of one command, as its parent sees it.

    Args:
        stack: Closes the file descriptors that are opened here.

    Raises:
        OSError: There are not enough file descriptors.
    """

    def __init__(
        self, stack: contextlib.ExitStack, scratch: str | None, limits: Limits
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
        self._is_running = False
        self._has_exited = False
        os.set_blocking(self._outputs.fileno(), False)
        for source in (self._channel, self._outputs):
            self._selector.register(source, selectors.EVENT_READ)

    def start(self, python: str, source: str) -> None:
        """
        Start the process, which alone keeps its ends of the channel and the pipe.

        Raises:
            OSError: It cannot be started.
        """
        argv = [python, "-I", "-S", "-c", source, str(os.getpid())]
        if self._scratch is not None:
            argv.append(self._scratch)
        with self._stdin, self._stderr:
            self._process = subprocess.Popen(  # noqa: S603 - our own source
                argv,
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

        When it returns or raises, no process of the command is left. They get
        SIGTERM, and SIGKILL after the grace; at once after a second
        `KeyboardInterrupt`, or if this process dies.

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
            "memory": self._limits.memory,
            "file": self._limits.file,
        }
        message = marshal.dumps(spec)
        reason = None
        deadline = time.monotonic() + timeout
        cancellation = current_cancellation()
        try:
            self._send(len(message).to_bytes(_supervisor.LENGTH, "little"), timeout)
            self._is_running = self._send(message, timeout)
            while not self._has_exited and self._reported("status") is None:
                rest = deadline - time.monotonic()
                if rest <= 0:
                    reason = f"{_LATE} {timeout:g} s"
                is_cancelled = cancellation is not None and cancellation.is_cancelled
                if reason or is_cancelled or self._written > self._limits.output:
                    break
                self._step(min(rest, POLL_SECONDS))
        finally:
            self._end()
        if cancellation is not None:
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

    def close(self) -> None:
        """
        End everything that is left, and wait until the supervisor has exited.

        Interrupted, it can be called again. If it is not, the supervisor does the
        rest as soon as this end of the channel is closed.
        """
        # It may have been interrupted before. Then these would hide the exit of a
        # supervisor whose process ID is unknown.
        self._stdin.close()
        self._stderr.close()
        if self._is_gone:  # faster than the supervisor would
            self._remove()
        with contextlib.suppress(OSError):
            self._channel.shutdown(SHUT_WR)
        self._wait(self._limits.patience, lambda: self._has_exited)
        self._kill()
        self._remove()

    def _end(self) -> None:
        """
        End all processes of the command, by force if the supervisor takes too long.
        """
        if self._is_running:
            self._send(b"e", self._limits.patience)
            seconds = self._limits.grace + self._limits.patience
            self._wait(seconds, lambda: self._is_gone)
            if not self._is_gone:
                self._kill()
        # Only once: a process that got away may hold the other end.
        self._read_output(_PIPE_SIZE)

    def _kill(self) -> None:
        """
        Wait for the supervisor's exit, and kill it if it does not exit.
        """
        if self._process is None:
            return
        try:
            self._process.wait(self._limits.patience if self._has_exited else 0)
        except subprocess.TimeoutExpired:
            # Before it, since it adopts orphans.
            with contextlib.suppress(OSError):  # a system without /proc
                _supervisor.signal_tree(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        self._has_exited = True

    def _remove(self) -> None:
        if self._scratch is not None:
            _supervisor.remove(self._scratch)

    @property
    def _is_gone(self) -> bool:
        return self._has_exited or self._reported("gone") is not None

    def _reported(self, word: str) -> int | None:
        found = re.search(rb"^%b (-?\d+)\n" % word.encode(), self._report, re.MULTILINE)
        return None if found is None else int(found[1])

    def _send(self, data: bytes, seconds: float) -> bool:
        """
        Send *data*, and return whether the supervisor, or the buffer, has taken it.
        """
        self._channel.settimeout(seconds)
        try:
            self._channel.sendall(data)
        except OSError:  # it has exited, or does not read
            return False
        return True

    def _wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        deadline = time.monotonic() + seconds
        while not is_over() and (rest := deadline - time.monotonic()) > 0:
            self._step(min(rest, POLL_SECONDS))

    def _step(self, seconds: float) -> None:
        """
        Wait at most so many seconds for an event, and handle it.
        """
        # A forked copy of this process may hold the other end of the channel. Ask
        # first: the report may come between the last read and the exit.
        has_exited = self._process is not None and self._process.poll() is not None
        for key, _ in self._selector.select(0 if has_exited else seconds):
            # No bound methods: this object has no part in a reference cycle, so that
            # its end of the channel is closed at once if `close` is not called.
            if key.fileobj is self._channel:
                self._read_report()
            else:
                self._read_output()
        self._has_exited = self._has_exited or has_exited

    def _read_report(self) -> None:
        try:
            data = self._channel.recv(1 << 10)
        except ConnectionResetError:  # it has exited, and left something unread
            data = b""
        self._report += data
        if not data:
            self._selector.unregister(self._channel)
            self._has_exited = True

    def _read_output(self, size: int = 1 << 16) -> None:
        data = self._outputs.read(size)
        if data:
            self._written += len(data)
            self._output = (self._output + data)[-TAIL:]
        elif data is not None and self._outputs in self._selector.get_map():
            self._selector.unregister(self._outputs)
