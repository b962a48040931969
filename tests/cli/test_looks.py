"""
Every command answers from one read of a record.
"""

import json
import subprocess
import sys

import pytest

# Counts how often a file is opened while this process holds no lock.
COUNT = """
import fcntl, os, sys
name, count, held = os.path.basename(sys.argv.pop(1)), 0, 0
def hook(event, arguments):
    global count, held
    if event == "fcntl.flock":
        held += -1 if arguments[1] & fcntl.LOCK_UN else 1
    elif event == "open" and not held and isinstance(arguments[0], (str, bytes)):
        count += os.path.basename(os.fsdecode(arguments[0])) == name
sys.addaudithook(hook)
from upgrade_state.cli import main
main()
print(count, file=sys.stderr)
"""

# Snoozes, and ends the snooze, until its input is closed.
TOGGLE = """
import datetime as dt, select, sys
from upgrade_state import StateStore
shop = StateStore().environment(sys.argv[1], "uv.lock")
until = dt.datetime(2999, 1, 1, tzinfo=dt.UTC)
print("begins", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    shop.snooze(until)
    shop.snooze(None)
"""


@pytest.fixture
def opens(checked, shop):
    """
    Run a command, and count how often it opens the record.
    """
    (shop / "src").mkdir()

    def opens_(words):
        command = [sys.executable, "-c", COUNT, checked.record_path, *words.split()]
        done = subprocess.run(command, check=True, capture_output=True, timeout=60)
        return int(done.stderr.splitlines()[-1])

    return opens_


@pytest.mark.parametrize(
    "words",
    [
        "show",
        "show .",
        "show --json uv.lock",
        "list",
        "list --json",
        "list --outdated",
        "show --all",
        "notify",
        "notify --interval=0",
        "notify --explain",
        "notify --peek",
        "notify --peek --platform=linux-64",
        "notify --check .",
        "record --old=uv.lock --new=uv.lock",
        "path",
        "check -- true",
        "forget",
        "snooze --for 7d",
        "snooze --off uv.lock",
    ],
)
@pytest.mark.parametrize("recipe", [None, "uv"])
def test_one_read(checked, opens, commit, lock_of, words, recipe):
    """
    A command opens a record once, apart from reads under a lock.
    """
    commit(checked, lock_of(attrs="25.1", idna="3.9"), by=recipe)

    assert 1 == opens(words)


def test_all(opens):
    """
    `check --all` lists the records, and reads each again when its turn comes.
    """
    assert 2 == opens("check --all -- true")


def test_no_contradiction(checked, shop, run):
    """
    A snooze of another process never makes `show` contradict itself.
    """
    with subprocess.Popen(
        [sys.executable, "-c", TOGGLE, shop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as toggling:
        toggling.stdout.readline()
        seen = set()
        for _ in range(1000):
            fields = json.loads(run("show", "--json").out)
            seen.add((fields["snoozed_until"], fields["verdict"]["reason"]))
        toggling.stdin.close()

    assert {(None, "notify"), ("2999-01-01T00:00:00Z", "snoozed")} == seen
