"""
Work under way in threads that end before a `with` statement does.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import signal
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import Any, Final, Self

    from ._cancellation import Cancellation

T = TypeVar("T")

# A signal may be delivered to another thread, which does not wake the main one, and
# only that one calls handlers.
_NAP_SECONDS: Final = 0.5


class Threads(Generic[T]):
    """
    Pieces of work, each in a thread of its own.

    All of its methods are for the thread that has made it. Leaving the `with`
    statement waits for all of the work, and drops what is not taken by then.

    Args:
        alarm: What ends a wait besides the end of a piece of work.
    """

    def __init__(self, alarm: Cancellation | None) -> None:
        self._threads: dict[int, threading.Thread] = {}
        self._ended: queue.SimpleQueue[tuple[int, T]] = queue.SimpleQueue()
        with contextlib.ExitStack() as stack:
            self._selector: Final = stack.enter_context(selectors.DefaultSelector())
            # A queue cannot be waited for together with an alarm. A pipe can.
            self._reader, self._writer = os.pipe()
            stack.callback(os.close, self._reader)
            stack.callback(os.close, self._writer)
            for source in (self._reader, alarm):
                if source is not None:
                    self._selector.register(source, selectors.EVENT_READ)
            self._open: Final = stack.pop_all()

    def __len__(self) -> int:
        """
        Return how many pieces have begun and were not taken yet.
        """
        return len(self._threads)

    def start(self, number: int, work: Callable[[], T]) -> None:
        """
        Begin a piece of work, which must not raise.

        Args:
            number: What it is to be known by.

        Raises:
            RuntimeError: There can be no more threads.
        """
        thread = threading.Thread(target=self._run, args=(number, work))
        thread.start()
        self._threads[number] = thread

    def _run(self, number: int, work: Callable[[], T]) -> None:
        self._ended.put((number, work()))
        os.write(self._writer, b"\0")

    def take(self, seconds: float) -> Iterator[tuple[int, T]]:
        """
        Stream what has ended, and wait a moment for it if nothing has.

        Args:
            seconds: For how long at most. An alarm ends the wait once, and
                never again.
        """
        for key, _ in self._selector.select(min(seconds, _NAP_SECONDS)):
            if key.fd == self._reader:
                os.read(self._reader, 4096)
            else:  # it stays readable
                self._selector.unregister(key.fileobj)
        while not self._ended.empty():
            number, result = self._ended.get()
            self._threads.pop(number).join()
            yield number, result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads.values():
            thread.join()
        self._open.close()


@contextlib.contextmanager
def handlers_raise_later(tell: Callable[[], None]) -> Iterator[None]:
    """
    Keep what signals' handlers raise, as Ctrl-C's does, until the end.

    The handlers themselves are called at once. An exception at any place
    whatever, and another one while the first is dealt with, could leave a
    thread behind.

    Args:
        tell: Called as soon as a handler has raised.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's business
        return
    raised: list[BaseException] = []

    def note(exception: BaseException) -> None:
        raised.append(exception)
        tell()

    try:
        with contextlib.ExitStack() as stack:
            for number in signal.valid_signals():
                handler = signal.getsignal(number)
                if callable(handler):
                    stack.callback(signal.signal, number, handler)
                    signal.signal(number, _raising_later(handler, note))
            yield
    finally:
        if raised:
            raise raised[0]


def _raising_later(
    handler: Callable[[int, FrameType | None], Any],
    note: Callable[[BaseException], None],
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except BaseException as exception:  # noqa: BLE001 - it is not lost
            note(exception)

    return handle
