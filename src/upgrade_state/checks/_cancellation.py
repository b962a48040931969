"""
How a check is ended from outside: by another thread, or by a signal's handler.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import selectors
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, Self


class Cancelled(BaseException):
    """
    The check is not wanted any more.

    No `Exception`, so that a resolver does not take it for a failure of its
    own, and nothing is remembered of the check.
    """


class Cancellation:
    """
    The wish that some checks end, expressed once.

    By any thread, and by any signal's handler. To be used in a `with` statement
    that all of these checks are made in. It belongs to the process that made it:
    what a forked child does with its copy ends nothing.
    """

    def __init__(self) -> None:
        self._is_cancelled = False
        self._process = os.getpid()
        # Else the byte of one thread could go to whatever has got the number of
        # a file descriptor that another thread is closing. Reentrant, since a
        # signal's handler may interrupt who holds it.
        self._lock = threading.RLock()
        # A byte makes it readable, for everybody: nobody takes it out.
        self._reader, self._writer = os.pipe()
        self._open = True

    @property
    def is_cancelled(self) -> bool:
        """
        Whether `cancel` has been called, in this process.
        """
        return self._is_cancelled

    def cancel(self) -> None:
        """
        End the checks. Returns at once; who waits for their end waits for them.

        May be called twice, and after the end; does nothing in a forked child,
        whose parent would be woken up by it.
        """
        if self._process != os.getpid():
            return
        with self._lock:
            # First: who is woken up looks at it.
            is_first, self._is_cancelled = not self._is_cancelled, True
            if is_first and self._open:
                os.write(self._writer, b"\0")

    def fileno(self) -> int:
        """
        Return a file descriptor that can be read from once it is cancelled.

        For `select` and its like; nobody reads from it. -1 once it is closed.
        """
        return self._reader

    def wait(self, seconds: float) -> bool:
        """
        Wait for so many seconds, or until it is cancelled; True if it is.

        Zero or less: only look.
        """
        if not self._is_cancelled:
            with selectors.DefaultSelector() as selector:
                selector.register(self, selectors.EVENT_READ)
                selector.select(max(seconds, 0.0))
        return self._is_cancelled

    def raise_if_cancelled(self) -> None:
        """
        Raise `Cancelled` if it is: for resolvers that take long.
        """
        if self._is_cancelled:
            raise Cancelled

    def close(self) -> None:
        """
        Give the file descriptors back. Leaving the `with` statement does it.

        May be called twice, by any thread. Does nothing in a forked child, where
        another thread may have held the lock for good.
        """
        if self._process != os.getpid():
            return
        with self._lock:
            was_open, self._open = self._open, False
            if was_open:
                os.close(self._writer)
                os.close(self._reader)
                self._reader = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_CURRENT: Final[contextvars.ContextVar[Cancellation | None]] = contextvars.ContextVar(
    "cancellation", default=None
)


def current_cancellation() -> Cancellation | None:
    """
    Return what ends the check that this thread makes; None: nothing does.
    """
    return _CURRENT.get()


@contextlib.contextmanager
def ended_by(cancellation: Cancellation | None) -> Iterator[None]:
    """
    Let *cancellation* end the check that is made meanwhile.
    """
    token = _CURRENT.set(cancellation)
    try:
        yield
    finally:
        _CURRENT.reset(token)
