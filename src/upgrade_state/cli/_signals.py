"""
Signals during a check: they cancel it, so that processes and locks are released.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

from upgrade_state import UpgradeStateError, checks
from upgrade_state.cli._output import report

# Not SIGINT: Ctrl-C raises KeyboardInterrupt, and a second one ends the wait.
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def cancel_on_signals(*numbers: signal.Signals) -> Iterator[checks.Cancellation]:
    """
    Cancel the checks of a `with` statement when one of the signals arrives.

    The handler does not raise: an exception that interrupts a finaliser is lost.
    An ignored signal stays ignored, as `nohup` wants it. An error of this library
    after a signal is printed, and the statement is left as after the signal.

    Raises:
        SystemExit: A signal arrived; at the end, with the status that names it.
    """
    cancellation = checks.Cancellation()
    arrived: list[int] = []

    def cancel(number: int, _: FrameType | None) -> None:
        arrived.append(number)
        cancellation.cancel()

    with contextlib.ExitStack() as stack:
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                stack.callback(signal.signal, number, signal.signal(number, cancel))
        try:
            yield cancellation
        except UpgradeStateError as error:
            if not arrived:
                raise
            report(error)
    if arrived:
        raise SystemExit(128 + arrived[0])
