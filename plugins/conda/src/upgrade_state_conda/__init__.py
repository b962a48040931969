"""
conda tells its user when the packages of an environment have upgrades.

`plugin` gives the notice in a command of conda. conda asks no plugin when it activates
an environment: there a script in ``etc/conda/activate.d`` runs `__main__`.
"""

import sys
from datetime import timedelta

LOCKFILE = "conda-meta/history"  # conda appends to it whenever it changes packages


def notice_of(prefix: str) -> str:
    """
    Claim the notice of the environment in the directory *prefix*, and start a check.
    """
    from upgrade_state import StateStore

    environment = StateStore().environment(prefix, LOCKFILE)
    verdict = environment.claim_notice(could_not_check=timedelta(days=7))
    environment.start_check([sys.executable, "-m", __name__, prefix, "check"])
    return f"{verdict.message} See 'conda update --all --dry-run'.\n" if verdict else ""
