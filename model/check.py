"""
Check the protocol's model with spin: every configuration, and every broken variant.

    python model/check.py [NAME…]

A configuration must have no error in any of its states. A variant is one change of
the protocol; spin must find the error that it makes.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

HERE = os.path.dirname(os.path.abspath(__file__))

# Numbers of processes and of events; each process may be killed at any step.
CONFIGURATIONS = {
    "checks": "CHECKERS=2 ACTIVATIONS=1 READERS=1",
    "fields": "CHECKERS=1 SNOOZERS=1 EXPIRERS=1 WITHDRAWERS=1",
    "fields and a claim": "SNOOZERS=1 EXPIRERS=1 WITHDRAWERS=1 ACTIVATIONS=1",
    "notices": "ACTIVATIONS=2 FAILURE_NOTICES=1 SNOOZERS=1 TICKS=1",
    "notices and checks": "CHECKERS=2 ACTIVATIONS=1 FAILURE_NOTICES=1 TICKS=1",
    "a clock set back": "ACTIVATIONS=2 FAILURE_NOTICES=1 TICKS=1 STEPS_BACK=1",
    "forget": "FORGETTERS=1 CHECKERS=2 READERS=1",
    "forget and notices": "FORGETTERS=1 CHECKERS=1 ACTIVATIONS=2 TICKS=1",
    "forget twice": "FORGETTERS=2 CHECKERS=1 SNOOZERS=1",
    "a check lock that excludes nothing": (
        "CHECKERS=2 ACTIVATIONS=1 LOCKS_EXCLUDE_NOTHING=1"
    ),
    "locks that exclude nothing": "CHECKERS=2 ACTIVATIONS=1 LOCKS_EXCLUDE_NOTHING=2",
}

CHECKS = "CHECKERS=2"
FIELDS = "CHECKERS=1 ACTIVATIONS=1 SNOOZERS=1"
NOTICES = "ACTIVATIONS=2 TICKS=1"
FORGET = "FORGETTERS=1 CHECKERS=1 READERS=1"

# The switch of each variant, the processes that show the error, and its assertion.
VARIANTS = {
    "DISJOINT_LOCKS": FIELDS,
    "REWRITE_IN_PLACE": "CHECKERS=1 READERS=1",
    "UNLINK_LOCKS": "SNOOZERS=3",
    "RELEASE_BEFORE_RENAME": FIELDS,
    "MERGE_WITHOUT_READING": FIELDS,
    "NO_GENERATION": f"{CHECKS} LOCKS_EXCLUDE_NOTHING=1",
    "NO_GENERATION ": f"{CHECKS} LOCKS_EXCLUDE_NOTHING=2",
    "RESULTS_AFTER_RECORD": CHECKS,
    "SWEEP_BEFORE_RENAME": CHECKS,
    "SWEEP_BEFORE_SYNC": CHECKS,
    "SWEEP_WITHOUT_CHECK_LOCK": CHECKS,
    "NO_SYNC_OF_RESULTS": CHECKS,
    "NO_SECOND_LOOK": NOTICES,
    "NO_COMPARISON": f"{NOTICES} STEPS_BACK=1",
    "CLOCK_BEFORE_LOCK": NOTICES,
    "SPEAK_BEFORE_RECORDING": NOTICES,
    "SPEAK_BEFORE_SYNC": NOTICES,
    "FORGET_WITHOUT_CHECK_LOCK": FORGET,
    "FORGET_IN_WRONG_ORDER": FORGET,
    "FORGET_RESULTS_FIRST": FORGET,
    "FORGET_WITHOUT_SYNC": FORGET,
    "READ_ONCE": FORGET,
}


class Outcome(NamedTuple):
    """
    The outcome of one search: its states, its seconds, and the error or "".
    """

    states: int
    seconds: float
    error: str


def search(defines: str) -> Outcome:
    """
    Search all states of the model; stop at the first error.
    """
    started = time.monotonic()
    options = [f"-D{define}" for define in f"KILLS {defines}".split()]
    with tempfile.TemporaryDirectory() as place:
        run(place, "spin", "-a", *options, os.path.join(HERE, "protocol.pml"))
        # SAFETY: no cycles are searched, every process ends. 6 000 MiB at most.
        flags = "-O2 -DSAFETY -DCOLLAPSE -DMEMLIM=6000 -DVECTORSZ=2048".split()
        run(place, "gcc", *flags, "-o", "pan", "pan.c")
        output = run(place, "./pan", "-m100000")
    states = int(re.search(r"(\d+) states, stored", output)[1])
    found = re.search(r"^pan:1: (.*) \(at depth \d+\)", output, re.MULTILINE)
    error = found[1] if found else ""
    if "errors: 0" not in output and not error or "not complete" in output and not found:
        sys.exit(f"no answer for {defines}:\n{output}")
    return Outcome(states, time.monotonic() - started, error)


def run(place: str, *command: str) -> str:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(names: list[str]) -> int:
    missing = [name for name in ("spin", "gcc") if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian packages spin and gcc)"
    all_names = [*CONFIGURATIONS, *VARIANTS]
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {}
        for name in names or all_names:
            if name in CONFIGURATIONS:
                jobs[name] = pool.submit(search, CONFIGURATIONS[name])
            else:
                jobs[name] = pool.submit(search, f"{name} {VARIANTS[name]}")
        for name, job in jobs.items():
            states, seconds, error = job.result()
            wrong += bool(error) == (name in CONFIGURATIONS)
            print(f"{name:36}{states:12,}{seconds:7.1f} s  {error}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
