"""
Check the model of the protocol with spin: configurations and broken variants.

    python model/check.py [NAME…]

A configuration must have no error in any of its states. A variant breaks one rule of
the protocol, and spin must find the error that README.md describes.
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

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "protocol.pml")

NO_LOCKS = "LOCKS_EXCLUDE_NOTHING=2"

# Numbers of processes and of events. Each process may be killed at any step.
CONFIGURATIONS = {
    "checks": "CHECKERS=2 ACTIVATIONS=1 READERS=1",
    "fields": "CHECKERS=1 SNOOZERS=1 EXPIRERS=1 WITHDRAWERS=1",
    "fields-and-claim": "SNOOZERS=1 EXPIRERS=1 WITHDRAWERS=1 ACTIVATIONS=1",
    "notices": "ACTIVATIONS=2 FAILURE_NOTICES=1 SNOOZERS=1 TICKS=1",
    "notices-and-checks": "CHECKERS=2 ACTIVATIONS=1 FAILURE_NOTICES=1 TICKS=1",
    "clock-set-back": "ACTIVATIONS=2 FAILURE_NOTICES=1 TICKS=1 STEPS_BACK=1",
    "forget": "FORGETTERS=1 CHECKERS=2 READERS=1",
    "forget-and-notices": "FORGETTERS=1 CHECKERS=1 ACTIVATIONS=2 TICKS=1",
    "forget-twice": "FORGETTERS=2 CHECKERS=1 SNOOZERS=1",
    # The check lock, or both locks, exclude nothing.
    "no-check-lock": "CHECKERS=2 ACTIVATIONS=1 LOCKS_EXCLUDE_NOTHING=1",
    "no-locks": "CHECKERS=2 ACTIVATIONS=1 LOCKS_EXCLUDE_NOTHING=2",
    "no-locks-notices": f"ACTIVATIONS=2 FAILURE_NOTICES=1 TICKS=1 {NO_LOCKS}",
    "no-locks-updates": f"ACTIVATIONS=2 SNOOZERS=1 CHECKERS=1 {NO_LOCKS}",
}

CHECKS = "CHECKERS=2"
FIELDS = "CHECKERS=1 ACTIVATIONS=1 SNOOZERS=1"
NOTICES = "ACTIVATIONS=2 TICKS=1"
FORGET = "FORGETTERS=1 CHECKERS=1 READERS=1"
MISSING = "the record names a missing file"
CUT = "a power cut leaves a record without its file"
TWICE = "two notices in one interval"

# The switch of each variant: the processes that show the error, and the error.
VARIANTS = {
    "DISJOINT_LOCKS": (FIELDS, "an update is undone"),
    "REWRITE_IN_PLACE": ("CHECKERS=1 READERS=1", "a reader sees half of a record"),
    "UNLINK_LOCKS": ("CHECKERS=1 SNOOZERS=2", "an update is undone"),
    "RELEASE_BEFORE_RENAME": (FIELDS, "an update is undone"),
    "MERGE_WITHOUT_READING": (FIELDS, "an update is undone"),
    "NO_GENERATION": (
        f"{CHECKS} LOCKS_EXCLUDE_NOTHING=2",
        "a late result replaces a later one",
    ),
    "RESULTS_AFTER_RECORD": (CHECKS, MISSING),
    "SWEEP_BEFORE_RENAME": (CHECKS, MISSING),
    "SWEEP_BEFORE_SYNC": (CHECKS, CUT),
    "SWEEP_WITHOUT_CHECK_LOCK": (CHECKS, MISSING),
    "NO_SYNC_OF_RESULTS": (CHECKS, CUT),
    "NO_SECOND_LOOK": (NOTICES, TWICE),
    "NO_TICKET": (f"ACTIVATIONS=2 {NO_LOCKS}", TWICE),
    "SWEEP_NEW_TICKETS": (f"ACTIVATIONS=2 EXPIRERS=1 CHECKERS=1 {NO_LOCKS}", TWICE),
    "NO_COMPARISON": (f"{NOTICES} STEPS_BACK=1", "two notices after one look"),
    "CLOCK_BEFORE_LOCK": (NOTICES, TWICE),
    "SPEAK_BEFORE_RECORDING": (NOTICES, "a notice is given before it is recorded"),
    "SPEAK_BEFORE_SYNC": (NOTICES, "a notice is given before it is on disk"),
    "FORGET_WITHOUT_CHECK_LOCK": (FORGET, "forget leaves files"),
    "FORGET_IN_WRONG_ORDER": (FORGET, "processes wait forever"),
    "FORGET_RESULTS_FIRST": (FORGET, MISSING),
    "FORGET_WITHOUT_SYNC": (FORGET, CUT),
    "READ_ONCE": (FORGET, "a reader reports a missing file"),
}


def search(defines: str) -> tuple[int, float, str]:
    """
    Search all states of the model, up to the first error.

    Returns:
        The number of states, the seconds, and the error; "" if there is none.
    """
    started = time.monotonic()
    options = [f"-D{define}" for define in ("KILLS", *defines.split())]
    with tempfile.TemporaryDirectory() as place:
        run(place, "spin", "-a", *options, MODEL)
        # Every process ends, so no search for cycles. At most 6 000 MiB.
        flags = "-O1 -DSAFETY -DCOLLAPSE -DMEMLIM=6000 -DVECTORSZ=2048 -o pan pan.c"
        run(place, "gcc", *flags.split())
        output = run(place, "./pan", "-m100000")
        states = re.search(r"^ *(\S+) states, stored", output, re.MULTILINE)
        error = ""
        if "errors: 0" not in output:
            error = explain(
                run(place, "spin", "-t", "-k", trail(place), *options, MODEL)
            )
        elif not states or "Search not completed" in output:
            sys.exit(f"no answer for {defines}:\n{output}")
    return int(float(states[1])), time.monotonic() - started, error


def trail(place: str) -> str:
    """
    Return the name of the file with the steps to the error.
    """
    return next(name for name in os.listdir(place) if name.endswith(".trail"))


def explain(replay: str) -> str:
    """
    Return the comment above the assertion that fails at the end of a *replay*.
    """
    found = re.search(r"\.pml:(\d+), Error: assertion violated", replay)
    if found is None:
        return "processes wait forever"
    with open(MODEL, encoding="ascii") as file:
        lines = file.read().splitlines()[: int(found[1])]
    return next(line for line in reversed(lines) if "/*" in line).strip(" /*")


def run(place: str, *command: str) -> str:
    """
    Run a program in *place* and return its output; exit if it fails.
    """
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, check=False
    )
    if done.returncode and "-t" not in command:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(names: list[str]) -> int:
    """
    Check the named configurations and variants, by default all.
    """
    missing = [name for name in ("spin", "gcc") if shutil.which(name) is None]
    if missing:
        sys.exit(f"not installed: {' and '.join(missing)} (packages of that name)")
    searches = {name: (defines, "") for name, defines in CONFIGURATIONS.items()}
    for name, (defines, error) in VARIANTS.items():
        searches[name] = f"{name} {defines}", error
    wrong = 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        names = names or list(searches)
        if unknown := ", ".join(set(names) - searches.keys()):
            sys.exit(f"unknown: {unknown}; known: {', '.join(searches)}")
        answers = pool.map(lambda name: search(searches[name][0]), names)
        for name, (states, seconds, error) in zip(names, answers, strict=True):
            is_right = error == searches[name][1]
            wrong += not is_right
            mark = "" if is_right else "   WRONG"
            text = error or "no error"
            print(f"{name:26}{states:12,}{seconds:7.1f} s  {text}{mark}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
