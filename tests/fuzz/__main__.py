"""
Fuzz one part of the library, and print the failures.

    python -m fuzz TARGET SEED COUNT [ARGUMENT...]

Run by test_fuzz.py in the directory above. The inputs are the same for the same
SEED. An input that hangs ends the process by a signal, after a traceback on stderr.
"""

import faulthandler
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path

# The memory that a process may add to its memory at the start.
MEMORY = 256 << 20

# Seconds of CPU time for some inputs; ten times as long if the process waits or gets
# little of a busy machine.
HANGS = 60

# Enough to see what is wrong.
PROBLEMS = 20


def watch(seconds):
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


def problems(target, candidates):
    for number, candidate in enumerate(candidates):
        if number % 64 == 0:  # it takes as long as an input
            watch(HANGS)
        try:
            target.examine(candidate)
        except BaseException as error:  # noqa: BLE001 - every kind is wrong
            lines = traceback.format_exception(error)
            yield ["".join(lines)[-3000:], repr(candidate[-1])[:3000]]
    watch(0)


def main():
    name, seed, count, *arguments = sys.argv[1:]
    module, rng = importlib.import_module(f"fuzz.{name}"), random.Random(name + seed)
    # In memory if possible: a target that writes syncs each file.
    parent = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=parent) as place:
        os.environ["HOME"] = place
        # Not a handler in Python: that would wait for the end of a C function.
        for number in (signal.SIGPROF, signal.SIGALRM):
            faulthandler.register(number, chain=True)
        watch(HANGS)
        target = module.Target(os.path.realpath(place), *arguments)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        found = []
        for problem in problems(target, target.candidates(rng, int(count))):
            found.append(problem)
            if len(found) == PROBLEMS:
                break
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    facts = {"problems": found, "peak_kb": peak, **target.facts}
    sys.stdout.write(json.dumps(facts))


if __name__ == "__main__":
    main()
