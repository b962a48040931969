"""
Run a command: bounded in time and output, and nothing of it is left running.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import attrs

from ._cancel import current_cancellation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

# Of its output only the end is kept: that is where tools say what went wrong.
TAIL: Final = 8192

# What ends a program by an exception, if by anything.
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM) + (
    () if os.name == "nt" else (signal.SIGHUP,)
)

# Between a friendly and an unfriendly end.
_GRACE_SECONDS: Final = 2.0

# How long it may take to see that a command has ended which handed its output
# on to something that goes on.
_GLANCE_SECONDS: Final = 0.1


@attrs.frozen
class Ended:
    """
    How a command has ended.

    Attributes:
        status: Exit status; negative: the signal that has killed it; None: it
            ran for too long and was ended.

        output: The end of what it wrote to stdout and stderr.
    """

    status: int | None
    output: bytes


def run(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout: float
) -> Ended:
    """
    Run *argv* without input, in a session of its own.

    Whatever happens, also `KeyboardInterrupt`: on return no process of its
    process group is left. They are asked to end, and killed 2 seconds later.

    Args:
        timeout: In seconds, on a clock that nobody sets.

    Raises:
        Cancelled: The check is not wanted any more.
        OSError: It could not be started.
        ValueError: An argument contains a NUL character.
    """
    deadline = time.monotonic() + timeout
    cancellation = current_cancellation()
    with contextlib.ExitStack() as stack:
        # A signal that came once the command runs, and before anybody is there
        # to end it, would leave it running.
        with _signals_held_back():
            process = _start(argv, cwd, env)
            stack.enter_context(process)
            stack.enter_context(_ended(process))
        output = _Tail(process)
        while process.poll() is None:
            if cancellation is not None:
                cancellation.raise_if_cancelled()
            rest = deadline - time.monotonic()
            if rest <= 0:
                return Ended(None, output.content)
            output.read(min(rest, _GLANCE_SECONDS))
        output.read(0)
        return Ended(process.returncode, output.content)


def _start(
    argv: Sequence[str], cwd: str, env: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - argv is what the user asked for
        argv,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """
    Keep signals that would raise here until the end.

    Not by the signal mask: the command would inherit that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # they are the main thread's business
        return
    came: list[int] = []
    previous = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in _SIGNALS
        if callable(signal.getsignal(number))
    }
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)


class _Tail:
    """
    The end of what a process writes.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        self._fd = process.stdout.fileno()
        os.set_blocking(self._fd, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._fd, selectors.EVENT_READ)
        self.content = b""
        self._at_end = False

    def read(self, patience: float) -> None:
        """
        Wait for output, and read what is there; little at a time.
        """
        if self._at_end:
            # It has closed its output and goes on: there is nothing to wait for.
            time.sleep(min(patience, 0.05))
        elif self._selector.select(patience):
            data = os.read(self._fd, 1 << 16)
            self._at_end = not data
            self.content = (self.content + data)[-TAIL:]


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        try:
            _end(process)
        except BaseException:
            # Somebody is impatient: a second Ctrl-C.
            _signal(process, signal.SIGKILL)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """
    End the whole process group and wait until it is gone.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(process, number)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            if not _is_there(process):
                return
            time.sleep(0.01)


def _is_there(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    return _signal(process, 0)


def _signal(process: subprocess.Popen[bytes], number: int) -> bool:
    """
    Send a signal to the process group; False where there is none any more.

    As long as one process of it is left, no other group can get its number.
    """
    if os.name == "nt":
        process.kill()
        return False
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS: only zombies are left
        return False
    return True
