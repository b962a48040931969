"""
Why a check has brought no result, in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

    from upgrade_state.checks import Outcome

BUSY: Final = "another process is checking it"
OVERTAKEN: Final = "another check was faster; its result is kept"


def trouble(outcome: Outcome) -> str | None:
    """
    Say what has kept a check from its result; None: nothing has.
    """
    if outcome.error is not None:
        return outcome.error.message
    return {"busy": BUSY, "dropped": OVERTAKEN}.get(outcome.state)
