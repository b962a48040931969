"""
End checks from outside: by another thread, or by a signal handler.
"""

from __future__ import annotations

import contextlib
import contextvars
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

# How often waiting code asks whether it is cancelled. A flag that is polled needs no
# lock and no file descriptor, so a signal handler may set it at any instant.
POLL_SECONDS: Final = 0.05


class Cancelled(BaseException):
    """
    The check was cancelled.

    It is no `Exception`, so that no resolver takes it for a failure of its own, and
    nothing is recorded of the check.
    """


class Cancellation:
    """
    A request to end some checks, made once.

    Any thread and any signal handler may make it. A copy in a forked child is
    independent of its parent's.
    """

    def __init__(self) -> None:
        self._is_cancelled = False

    @property
    def is_cancelled(self) -> bool:
        """
        Whether `cancel` has been called, in this process.
        """
        return self._is_cancelled

    def cancel(self) -> None:
        """
        End the checks. Returns at once, without waiting for their end.
        """
        self._is_cancelled = True

    def wait(self, seconds: float) -> bool:
        """
        Wait for so many seconds, or until it is cancelled.

        Args:
            seconds: Zero or less: do not wait.

        Returns:
            Whether it is cancelled.
        """
        deadline = time.monotonic() + seconds
        while not self._is_cancelled and (rest := deadline - time.monotonic()) > 0:
            time.sleep(min(rest, POLL_SECONDS))
        return self._is_cancelled

    def raise_if_cancelled(self) -> None:
        """
        Raise `Cancelled` if it is cancelled: for resolvers that take long.
        """
        if self._is_cancelled:
            raise Cancelled


_CURRENT: Final[contextvars.ContextVar[Cancellation | None]] = contextvars.ContextVar(
    "cancellation", default=None
)


def current_cancellation() -> Cancellation | None:
    """
    Return the cancellation of the check that this thread makes.

    None: the thread makes no check, or one that cannot be cancelled.
    """
    return _CURRENT.get()


@contextlib.contextmanager
def cancelling(cancellation: Cancellation | None) -> Iterator[None]:
    """
    Let *cancellation* end the check that is made in the `with` block.
    """
    token = _CURRENT.set(cancellation)
    try:
        yield
    finally:
        _CURRENT.reset(token)
