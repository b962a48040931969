"""
Make one check. An activation starts it: ``python -m nest.checker DIRECTORY``.

Its stderr is kept in the log that ``upgrade-state show`` names.
"""

import sys
from pathlib import Path

from nest.environments import compare, resolve
from nest.memory import state_of


def check(directory: Path) -> str:
    """
    Check for upgrades, unless another process does or has done so.

    An exception that leaves the `with` statement is recorded as the failure of the
    check, which is repeated later and later.
    """
    with state_of(directory).try_check() as guard:
        if guard is None:
            return "another process is checking"
        if not guard.freshness().due:
            return "no check is due"
        if guard.old_lockfile is None:
            return "there is no lockfile"
        new = resolve(directory)
        guard.commit(new, upgrades=compare(guard.old_lockfile, new), checker="nest")
        return "checked"


if __name__ == "__main__":
    print(check(Path(sys.argv[1])), file=sys.stderr)
