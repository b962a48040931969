"""
The system calls of a claim and of a commit, one by one, and the modules of a claim.

A call that is added or removed here needs a reason, and docs/faults.md made anew.
"""

from __future__ import annotations

import os
import subprocess
import sys

import counting
from helpers import lock_of, place_of

# As in a process that runs: nothing is left to import.
SETUP = """
sys.path += sys.argv[3].split(os.pathsep)
import datetime, fcntl
import upgrade_state
upgrade_state.preload()
shop = upgrade_state.StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock")
now = datetime.datetime(2026, 11, 20, 13, tzinfo=datetime.UTC)
"""

# Where filelock, attrs and cattrs are: not always in one directory.
LIBRARIES = os.pathsep.join(filter(None, sys.path))

CLAIM = "answer = shop.claim_notice(now=now).reason"

GRANTED = """
open fstat              v1
open fstat              locks
open flock fstat        the write lock; its mode, and whether it was deleted
open fstat              logs: something else in its place is refused
open fstat              results
open fstat              tmp
stat                    v1
open fstat read close   the record
open fstat              results/KEY
open fchmod             the ticket
stat                    v1
open fstat read close   the record: another machine's lock may exclude nothing
getrandom               a name for the temporary file
open fchmod write       the temporary file
fsync close renameat    it replaces the record
flock close             the lock is free
fsync                   v1
close close close       v1, locks, logs
close close close       results, results/KEY, tmp
close                   the ticket
"""

BUSY = """
open fstat              v1
open fstat              locks
open flock              the write lock is held
close close             v1, locks
flock close             the write lock
"""

COMMIT = """
open fstat              v1
open fstat              results
open fstat              results/KEY
stat                    the mode of the old lockfile, which the record names
open fstat read close   the old lockfile
stat                    no directory has the name of the new lockfile
getrandom               a name for the temporary file
open fchmod write       the temporary file
fsync close renameat    it becomes the new lockfile
fsync                   results/KEY
open fstat              locks
open flock fstat        the write lock
open fstat              logs
open fstat              tmp
stat                    v1
open fstat read close   the record
open fstat              the names in tmp: what other writers left behind
getdents64 getdents64 close
getrandom               a name for the temporary file
open fchmod write       the temporary file
fsync close renameat    it replaces the record
flock close             the lock is free
fsync                   v1
open fstat              the names in results/KEY
getdents64 getdents64 close
stat unlinkat           the new lockfile of the last result
stat unlinkat           and the list of its upgrades
close close close       v1, locks, logs
close close close       results, results/KEY, tmp
"""


def words(table):
    """
    Return the names of the calls in a table, without its remarks.
    """
    lines = table.strip().splitlines()
    return [name for line in lines for name in line.partition("  ")[0].split()]


def calls(shop, code, setup=SETUP):
    """
    Return the names of the calls on the store, from the first directory on.
    """
    found = counting.system_calls(code, *place_of(shop), LIBRARIES, setup=setup)
    first = next(n for n, call in enumerate(found) if "O_DIRECTORY" in call)
    return [name for name in counting.names(found[first:]) if name != "geteuid"]


class TestSystemCalls:
    def test_granted(self, checked):
        """
        A claim that is granted opens each directory once.
        """
        assert words(GRANTED) == calls(checked, CLAIM + "; assert answer == 'notify'")

    def test_busy(self, checked):
        """
        One that finds the lock held looks no further.
        """
        lock = f"open({str(lock_of(checked, 'write'))!r}, 'w')"
        setup = f"{SETUP}\nlock = {lock}\nfcntl.flock(lock, fcntl.LOCK_EX)"

        assert words(BUSY) == calls(checked, CLAIM + "; assert answer == 'busy'", setup)

    def test_commit(self, checked):
        """
        A commit writes the new lockfile and the record, and not the old lockfile.
        """
        setup = f"{SETUP}\ncheck = shop.try_check()\nguard = check.__enter__()"
        code = "assert guard.commit(b'newer', now=now)"

        assert words(COMMIT) == calls(checked, code, setup)


OURS = """
_environment _files _floors _housekeeping _lockfile _locks _look _policy _record
_store exceptions
"""

# filelock loads some of them, by its version.
OTHERS = {"_blake2", "_json", "json", "upgrade_state"}

NEW_MODULES = """
import os, sys
sys.path += sys.argv[1].split(os.pathsep)
import filelock
before = set(sys.modules)
{}
print(*(set(sys.modules) - before))
"""


class TestModules:
    def test_granted(self, checked):
        """
        Besides what filelock loads, a granted claim loads json and these modules.
        """
        cache, directory = place_of(checked)
        code = NEW_MODULES.format(
            "from upgrade_state import StateStore\n"
            f"shop = StateStore({cache!r}).environment({directory!r}, 'uv.lock')\n"
            "assert shop.claim_notice()"
        )
        command = counting.python(code, LIBRARIES)
        done = subprocess.run(
            command, check=True, env=counting.environ(), stdout=subprocess.PIPE
        )
        loaded = [name.split(".") for name in done.stdout.decode().split()]
        ours = [name[1] for name in loaded if name[0] == "upgrade_state" and name[1:]]

        assert OURS.split() == sorted(ours)
        assert OTHERS >= {name[0] for name in loaded}
