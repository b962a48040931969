"""
What of an environment is not there any more, which is no failure of a check.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upgrade_state import _lockfile, _record
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
    if directory_is_gone(environment):
        return "its directory is gone"
    try:
        if name and not _lockfile.is_there(os.path.join(directory, name)):
            record = environment._record()  # noqa: SLF001 - a friend
            return "its lockfile is gone" if _record.had_lockfile(record) else ""
    except UpgradeStateError:
        pass
    return ""


def directory_is_gone(environment: EnvironmentState) -> bool:
    """
    Tell whether the directory is gone; False also where nobody knows.
    """
    try:
        os.stat(environment.path or "")
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # nobody knows
        return False
    return False
