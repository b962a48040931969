"""
Find processes, and wait for what they do.
"""

import time
from pathlib import Path

# Seconds that a test waits at most: only ends a hang.
LIMIT = 60


def wait_for(condition, seconds=LIMIT):
    """
    Wait until a condition is true, and return its value; for a path, its content.
    """
    if isinstance(condition, Path):
        path = condition
        return wait_for(lambda: path.exists() and path.read_text(), seconds)
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def state_of(pid):
    """
    The state of a process, one letter. Z: it is a zombie, or does not exist.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def name_of(pid):
    """
    The name of a process; empty: it does not exist.
    """
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_gone(pid):
    """
    Return whether a process ends in time; a zombie has ended.
    """
    return wait_for(lambda: state_of(pid) == "Z")


def marked(mark):
    """
    Find the processes with this text in their command or their initial environment.
    """
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            seen = (path / "environ").read_bytes() + (path / "cmdline").read_bytes()
        except OSError:  # has ended
            continue
        if mark.encode() in seen and state_of(path.name) != "Z":
            found.add(int(path.name))
    return found
