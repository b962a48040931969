"""
What signals mean to a command that makes checks.
"""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from upgrade_state import checks
from upgrade_state.cli._output import err
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Final

# Ctrl-C is not among them: it raises, and a second one is impatient.
ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ended_by(*numbers: signal.Signals) -> Iterator[checks.Cancellation]:
    """
    Let signals only cancel, so that processes are ended and locks released.

    What a handler raises is lost where it interrupts a finaliser. A signal that is
    ignored stays so: who has begun this by `nohup` wants it to go on.

    Trouble of ours meanwhile is said, and all other goes on.

    Raises:
        SystemExit: One has come; at the end, and with the status that says which.
    """
    came: list[int] = []

    def cancel(number: int, _: FrameType | None) -> None:
        came.append(number)
        cancellation.cancel()

    cancellation = checks.Cancellation()
    with contextlib.ExitStack() as stack:
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                stack.callback(signal.signal, number, signal.signal(number, cancel))
        try:
            yield cancellation
        except UpgradeStateError as error:
            if not came:
                raise
            err(str(error))
    if came:
        raise SystemExit(128 + came[0])
