"""
Give a notice of a conda environment on its activation, or make the check.

``python -m upgrade_state_conda PREFIX [check]`` runs with the Python of conda, and
without conda, which takes longer to load than an activation may.
"""

import os
import sys

import upgrade_state
from upgrade_state_conda import LOCKFILE, notice_of


def main(prefix: str, *check: str) -> None:
    """
    Give a notice and start a check, or make the check.
    """
    if check:
        environment = upgrade_state.StateStore().environment(prefix, LOCKFILE)
        with environment.try_check() as guard:
            if guard and guard.old_lockfile and guard.freshness().due:
                guard.commit(upgrades=upgrades(prefix), checker="the conda plugin")
    else:
        sys.stdout.write(notice_of(prefix))


def upgrades(prefix: str) -> list["upgrade_state.lockfiles.Upgrade"]:
    """
    Return the changes of version or build that conda's own dry run announces.
    """
    import json  # an activation needs neither
    from subprocess import run

    conda = [sys.executable, "-m", "conda", "update", "--all", "--dry-run", "--json"]
    os.environ["UPGRADE_STATE_DISABLE"] = "1"
    done = run([*conda, "-p", prefix], timeout=1800, capture_output=True, check=False)  # noqa: S603
    answer = json.loads(done.stdout)
    if done.returncode:
        raise RuntimeError(answer["message"].partition("\n")[0])
    lists = map(answer.get("actions", {}).get, ("UNLINK", "LINK"))
    old, new = ({one["name"]: one for one in packages or ()} for packages in lists)
    return [upgrade(old[name], new[name]) for name in sorted(old.keys() & new)]


def upgrade(
    old: dict[str, str], new: dict[str, str]
) -> "upgrade_state.lockfiles.Upgrade":
    """
    Return one row, of the records of a package that conda would exchange.
    """
    from typing import Any

    from upgrade_state import lockfiles

    kind: Any = "rebuild" if old["version"] == new["version"] else "version"
    fields: Any = {"old": (old["version"],), "new": (new["version"],)}
    fields |= {"old_build": old["build_string"], "new_build": new["build_string"]}
    return lockfiles.Upgrade(old["name"], kind, ecosystem="conda", **fields)


if __name__ == "__main__":
    main(*sys.argv[1:])
