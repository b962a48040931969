"""
Run a command: bounded in time, output, memory and files, and nothing is left of it.

Between this process and the command stands `_supervisor`, which ends the command
with everything that came of it when it is told to, and when this process dies.
"""

from __future__ import annotations

import contextlib
import functools
import marshal
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from io import FileIO
from typing import TYPE_CHECKING

import attrs

from upgrade_state import _background
from upgrade_state.exceptions import ResolverError

from . import _supervisor
from ._cancellation import current_cancellation
from ._diagnosis import last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Final

    from ._cancellation import Cancellation

# Of its output only the end is kept: that is where tools say what went wrong.
TAIL: Final = 8192

# Between a friendly and an unfriendly end.
_GRACE_SECONDS: Final = 2.0

# How long a supervisor may take that has been told to end everything at once.
_PATIENCE_SECONDS: Final = 5.0

_LATE: Final = "did not end within"

# No pipe has more in it, unless the administrator wants it so.
_PIPE_SIZE: Final = 1 << 20

# Nobody is waked when the machine wakes up, so the clocks are looked at.
_GLANCE_SECONDS: Final = 1.0

# As a script, without anything that others have installed.
_SUPERVISOR: Final = ("-I", "-S", os.path.abspath(_supervisor.__file__))

_NO_SUPERVISOR: Final = "Could not start a supervisor for the command"


@attrs.frozen(kw_only=True)
class Limits:
    """
    What a command may use.

    Attributes:
        memory: Bytes of data, for each of its processes.

        file: Bytes of each file that it writes.

        output: Bytes that it writes to stdout and stderr, in all.
    """

    memory: int = 4 << 30
    file: int = 1 << 30
    output: int = 16 << 20


LIMITS: Final = Limits()


@attrs.frozen
class Ended:
    """
    How a command has ended.

    Attributes:
        status: Exit status; negative: the signal that has killed it; None: it
            was ended, or nobody knows.

        output: The end of what it wrote to stdout and stderr.

        reason: What it did to be ended; "": it ended by itself.
    """

    status: int | None
    output: bytes
    reason: str = ""

    @property
    def is_late(self) -> bool:
        """
        Whether it ran for too long.
        """
        return self.reason.startswith(_LATE)


def awake_and_asleep() -> float:
    """
    Return the seconds on a clock that goes on while the machine sleeps.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time()


@contextlib.contextmanager
def supervised(scratch: str = "") -> Iterator[Supervisor]:
    """
    Start a supervisor for a command, and have it around until the end.

    Args:
        scratch: A directory that it removes at the end, also if that is the
            end of this process. To be made afterwards. "": none.

    Raises:
        ResolverError: It cannot be started.
    """
    try:
        # An exception may come at any instant: it ends by itself if it loses us.
        supervisor = Supervisor(scratch)
    except OSError as error:
        message = f"{_NO_SUPERVISOR} ({error.strerror})"
        raise ResolverError(message, sys.executable) from error
    try:
        yield supervisor
    finally:
        supervisor.close()


class _Bounds:
    """
    How long a command may run, and how much it may write.
    """

    def __init__(self, timeout: float, output: int) -> None:
        self._timeout = timeout
        self._output = output
        self._end = time.monotonic() + timeout
        self._end_with_sleep = awake_and_asleep() + 2 * timeout

    def overstepped(self, written: int) -> str:
        """
        Say what was overstepped; "": nothing yet.
        """
        if time.monotonic() >= self._end:
            return f"{_LATE} {self._timeout:g} s"
        if awake_and_asleep() >= self._end_with_sleep:
            return f"{_LATE} {2 * self._timeout:g} s, sleep included"
        return self.too_much(written)

    def too_much(self, written: int) -> str:
        """
        Say that so many bytes of output are too much; "": they are not.
        """
        too_much = written > self._output
        return f"wrote more than {size(self._output)} of output" if too_much else ""

    def rest(self) -> float:
        """
        Return for how many seconds there is no need to look again.
        """
        rest = self._end - time.monotonic()
        rest_with_sleep = self._end_with_sleep - awake_and_asleep()
        return max(min(rest, rest_with_sleep, _GLANCE_SECONDS), 0.0)


def size(number: int) -> str:
    """
    Say how many bytes these are.
    """
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >> shift:
            return f"{number / (1 << shift):g} {unit}"
    return f"{number} bytes"


def _start(
    ours: contextlib.ExitStack,
) -> tuple[subprocess.Popen[bytes], FileIO, FileIO, FileIO]:
    """
    Start a supervisor; also return its lifeline, its report and the output.
    """
    python = _interpreter()
    with contextlib.ExitStack() as theirs:
        # Popen would leave some of them open where there is no room for all.
        stdin, lifeline = _pipe(theirs, ours)
        report, stdout = _pipe(ours, theirs)
        output, stderr = _pipe(ours, theirs)
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [python, *_SUPERVISOR, str(os.getpid())],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            cwd="/",  # no directory is kept from going
        )
    return process, lifeline, report, output


def _pipe(
    readers: contextlib.ExitStack, writers: contextlib.ExitStack
) -> tuple[FileIO, FileIO]:
    reader, writer = map(FileIO, os.pipe(), "rw")
    return readers.enter_context(reader), writers.enter_context(writer)


def _interpreter() -> str:
    """
    Return the path of a Python.
    """
    if os.name == "nt":
        raise ResolverError("Commands are not run on Windows", None)
    python = _background.python()
    if not python:
        message = f"{_NO_SUPERVISOR}: this application has no Python to run it with"
        raise ResolverError(message, sys.executable or None)
    return python


class Supervisor:
    """
    A supervisor, as its parent sees it.
    """

    def __init__(self, scratch: str) -> None:
        self._output = b""
        self._written = 0
        # Nothing of the command is left, or nobody is there to say so.
        self._is_gone = False
        self._is_cancelled = False
        self._report = b""
        self._scratch = scratch
        self._to_send = _message(os.fsencode(scratch))
        with contextlib.ExitStack() as stack:
            self._selector: Final = stack.enter_context(selectors.DefaultSelector())
            process, self._lifeline, self._reports, self._outputs = _start(stack)
            self._process: Final = process
            # Before anything else is done, and it fits into any pipe.
            self._send()
            os.set_blocking(self._lifeline.fileno(), False)
            os.set_blocking(self._outputs.fileno(), False)
            self._listen(self._reports, selectors.EVENT_READ, self._read_report)
            self._listen(self._outputs, selectors.EVENT_READ, self._read_output)
            self._open = stack.pop_all()

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        timeout: float,
    ) -> Ended:
        """
        Run *argv* without input, in a session of its own; once at most.

        Whatever happens, also `KeyboardInterrupt`: on return no process of it is
        left. They are asked to end, and killed 2 seconds later; at once after a
        second Ctrl-C, and if this process dies.

        Args:
            timeout: In seconds, on a clock that nobody sets. Twice as many on
                one that goes on while the machine sleeps: what a tool was
                connected to is gone by then.

        Raises:
            OSError: It could not be started, or not with such a variable.
            ResolverError: The supervisor could not do it.
            Cancelled: The check was cancelled.
        """
        spec = {
            "argv": [os.fsencode(word) for word in argv],
            "env": {os.fsencode(k): os.fsencode(v) for k, v in env.items()},
            "cwd": os.fsencode(cwd),
            "grace": _GRACE_SECONDS,
            "memory": LIMITS.memory,
            "file": LIMITS.file,
        }
        bounds = _Bounds(timeout, LIMITS.output)
        cancellation = current_cancellation()
        try:
            try:
                self._tell(_message(marshal.dumps(spec)))
                reason = self._attend(bounds, cancellation)
            finally:
                self._finish(_supervisor.END, _GRACE_SECONDS + _PATIENCE_SECONDS)
        except BaseException:  # perhaps somebody is impatient: a second Ctrl-C
            self._finish(_supervisor.KILL, _PATIENCE_SECONDS)
            raise
        if cancellation is not None:
            cancellation.raise_if_cancelled()
        return self._ended(reason or bounds.too_much(self._written))

    def close(self) -> None:
        """
        Dismiss it, and wait until it has gone, and the scratch directory with it.
        """
        try:
            self._process.send_signal(signal.SIGUSR1)
            self._process.wait(_PATIENCE_SECONDS)
        except BaseException as error:
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
        finally:
            self._open.close()
            # Somebody may have killed it, or it may have had no time to begin.
            _supervisor.remove(self._scratch)

    def _attend(self, bounds: _Bounds, cancellation: Cancellation | None) -> str:
        """
        Wait for the command's end, or for a reason to end it.

        Returns:
            The reason; "": it has ended by itself, or the check is cancelled.
        """
        if cancellation is not None:
            cancel = functools.partial(self._cancel, cancellation)
            self._listen(cancellation, selectors.EVENT_READ, cancel)
        while not self._is_over:
            reason = bounds.overstepped(self._written)
            if reason:
                return reason
            self._step(bounds.rest())
        return ""

    def _finish(self, wish: bytes, seconds: float) -> None:
        """
        Have everything ended; at last, or if nobody does it, by force.
        """
        self._tell(wish)
        deadline = time.monotonic() + seconds
        while not self._is_gone and (rest := deadline - time.monotonic()) > 0:
            self._step(min(rest, _GLANCE_SECONDS))
        if self._told("gone") is None:
            self._kill()
        # Whoever has escaped may hold the other end. Unregistered twice: no more.
        with contextlib.suppress(BlockingIOError, KeyError):
            self._read_output(_PIPE_SIZE)

    def _ended(self, reason: str) -> Ended:
        """
        Say how it has ended.
        """
        number = self._told("errno")
        if number is not None:
            raise OSError(number, os.strerror(number))
        if not reason and self._told("pid") is None:
            words = last_words(self._output) or "it said nothing"
            raise ResolverError(f"{_NO_SUPERVISOR}: {words}", sys.executable)
        status = self._told("status")
        if not reason and status is None:
            reason = "was ended, since something has killed its supervisor"
        return Ended(None if reason else status, self._output, reason)

    @property
    def _is_over(self) -> bool:
        return self._is_gone or self._is_cancelled or self._told("status") is not None

    def _told(self, word: str) -> int | None:
        found = re.search(rb"^%b (-?\d+)\n" % word.encode(), self._report, re.MULTILINE)
        return None if found is None else int(found[1])

    def _tell(self, words: bytes) -> None:
        self._to_send += words
        self._listen(self._lifeline, selectors.EVENT_WRITE, self._send_more)

    def _listen(
        self, to: FileIO | Cancellation, events: int, handle: Callable[[], None]
    ) -> None:
        with contextlib.suppress(KeyError):  # it is listened to already
            self._selector.register(to, events, handle)

    def _step(self, seconds: float) -> None:
        """
        Wait so long for something to happen.
        """
        events = self._selector.select(seconds)
        for key, _ in events:
            key.data()
        # Somebody else may hold the other end of its report.
        if not events and self._process.poll() is not None:
            self._is_gone = True

    def _send_more(self) -> None:
        self._send()
        if not self._to_send:
            self._selector.unregister(self._lifeline)

    def _send(self) -> None:
        try:
            sent = os.write(self._lifeline.fileno(), self._to_send)
            self._to_send = self._to_send[sent:]
        except BrokenPipeError:
            self._to_send = b""

    def _read_report(self) -> None:
        data = os.read(self._reports.fileno(), 1 << 10)
        self._report += data
        if not data or self._told("gone") is not None:
            self._selector.unregister(self._reports)
            self._is_gone = True

    def _read_output(self, size: int = 1 << 16) -> None:
        data = os.read(self._outputs.fileno(), size)
        self._written += len(data)
        self._output = (self._output + data)[-TAIL:]
        if not data:
            self._selector.unregister(self._outputs)

    def _cancel(self, cancellation: Cancellation) -> None:
        self._selector.unregister(cancellation)
        self._is_cancelled = True

    def _kill(self) -> None:
        """
        Kill it, and before that, since orphans come to it, all that it has.
        """
        if self._process.poll() is None:
            with contextlib.suppress(OSError):  # no such list of processes
                _supervisor.kill_below(self._process.pid)
        self._process.kill()
        self._process.wait()
        group = self._told("pid")
        if group is not None:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)


def _message(content: bytes) -> bytes:
    return len(content).to_bytes(4, "little") + content
