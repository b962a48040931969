"""
The memory of upgrades: all that an activation needs of upgrade-state.
"""

import logging
import sys
from datetime import timedelta
from pathlib import Path

from nest.environments import LOCKFILE
from upgrade_state import EnvironmentState, StateStore

_LOG = logging.getLogger("nest")


def state_of(directory: Path) -> EnvironmentState:
    """
    Return the handle of an environment. Nothing is read.
    """
    return StateStore().environment(directory, LOCKFILE)


def remind(directory: Path) -> None:
    """
    Give the notice that is due, and start the check that is due.

    No error reaches the activation: a bug here is one line of ``nest -v``.
    """
    try:
        state = state_of(directory)
        # A claimed notice counts as given, so claim it only if a person sees it.
        if sys.stderr.isatty():
            verdict = state.claim_notice(could_not_check=timedelta(days=7))
            if verdict:
                message = f"nest: {verdict.message} Run 'nest upgrades' for details."
                print(message, file=sys.stderr)
        # The checker runs in `/`, where a relative path names another directory.
        state.start_check([sys.executable, "-m", "nest.checker", directory.absolute()])
    except Exception as error:
        _LOG.debug("no notice: %r", error)
