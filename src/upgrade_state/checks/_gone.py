"""
What of an environment is not there any more, which is no failure of a check.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upgrade_state import _current
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from upgrade_state._environment import EnvironmentState


def gone(environment: EnvironmentState) -> str:
    """
    Say what is gone, in words; "": nothing, or nobody knows, as a check will say.

    A failure would be written into its record then, time and again, which
    would keep `prune` from ever taking it for old.
    """
    directory, name = environment.path or "", environment.lockfile_name
    if _is_missing(directory):
        return "its directory is gone"
    try:
        if name and not _current.is_there(os.path.join(directory, name)):
            return "its lockfile is gone" if had_lockfile(environment) else ""
    except UpgradeStateError:
        pass
    return ""


def had_lockfile(environment: EnvironmentState) -> bool:
    """
    Tell whether the last check was about a lockfile that was there.

    Raises:
        StateReadError: The record cannot be read.
    """
    known = environment.read()
    return bool(known and known.result and known.result.old_lockfile)


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # nobody knows
        return False
    return False
