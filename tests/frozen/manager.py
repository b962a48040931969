"""
A manager that is built as an archive and as a frozen program, for the tests.

``manager WORD DIRECTORY [ARGUMENT...]`` prints one JSON value. Other words are for the
command line of the library.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import time

import upgrade_state
from upgrade_state import StateStore, checks, lockfiles
from upgrade_state.cli import main

OLD = (
    b'version = 1\nrequires-python = ">=3.11"\n'
    b'[[package]]\nname = "attrs"\nversion = "24.1"\n'
    b'source = { registry = "https://index.example/simple" }\n'
)
NEW = OLD.replace(b"24.1", b"24.3")

# A resolver: it upgrades `attrs` and leaves a daemon behind.
UPGRADE = "sleep $SECONDS_LEFT & sed s/24.1/24.3/ uv.lock >new && mv new uv.lock"

DAY = dt.timedelta(days=1)


def again() -> list[str]:
    """
    Return the command that starts this program once more.
    """
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, os.path.abspath(sys.argv[0])]


def shop(directory: str) -> upgrade_state.EnvironmentState:
    return StateStore().environment(directory, "uv.lock")


def commit(environment: upgrade_state.EnvironmentState) -> bool:
    with environment.try_check() as check:
        return check is not None and check.commit(NEW, checker="manager")


def state(directory: str) -> object:
    """
    Commit and use the result.
    """
    environment = shop(directory)
    committed = commit(environment)
    verdict = environment.claim_notice()
    upgrades = [(u.name, u.old, u.new) for u in environment.upgrades()]
    environment.snooze(dt.datetime.now(dt.UTC) + DAY)
    snoozed = environment.look().verdict().reason
    environment.forget()
    known = environment.look().information is not None
    return [committed, verdict.message, upgrades, snoozed, known]


def start(directory: str, *more: str) -> object:
    """
    Start this program as the checker.
    """
    return str(shop(directory).start_check([*again(), "checker", directory, *more]))


def checker(directory: str, awaited: str = "/") -> object:
    """
    Be the checker; write facts about this process, and much else, to stderr.

    It commits once there is an *awaited* file.
    """
    facts = {
        "cwd": os.getcwd(),
        "session": os.getsid(0),
        "input": os.read(0, 1).decode(),
        "libraries": os.environ.get("LD_LIBRARY_PATH", ""),
        "bundle": getattr(sys, "_MEIPASS", ""),
    }
    while not os.path.exists(awaited):
        time.sleep(0.05)
    sys.stderr.write("x" * 200_000 + "\n" + json.dumps(facts) + "\n")
    return commit(shop(directory))


def command(directory: str, code: str = UPGRADE) -> object:
    """
    Check with a command.
    """
    resolver = checks.Command(["sh", "-c", code], passes=["SECONDS_LEFT"])
    outcome = checks.check(shop(directory), resolver)
    return [outcome.state, str(outcome.error or "")]


def recipe(directory: str) -> object:
    """
    Check with the recipe of uv.
    """
    environment = shop(directory)
    found = checks.recipe_for("uv.lock", directory)
    assert found is not None
    outcome = checks.check(environment, found.resolver(environment))
    return [outcome.state, str(outcome.error or "")]


def plugin(_directory: str) -> object:
    """
    Read a lockfile with the reader of another distribution.
    """
    snapshot = lockfiles.read(b"pins 1\nattrs 24.1\n", format="pins")
    return [package.name for package in snapshot.packages or ()]


def preload(directory: str, *paths: str) -> object:
    """
    Use everything after files of this program were removed.
    """
    upgrade_state.preload()
    for path in paths:
        os.rename(path, f"{path}.old")
    answers = [state(directory), command(directory), recipe(directory)]
    shop(directory).forget()
    return [*answers, start(directory)]


_WORDS = {
    function.__name__: function
    for function in (state, start, checker, command, recipe, plugin, preload)
}


def run() -> None:
    """
    Run the program.
    """
    word, *arguments = sys.argv[1:]
    if word not in _WORDS:
        sys.exit(main(sys.argv[1:]))
    sys.stdout.write(json.dumps(_WORDS[word](*arguments)) + "\n")


if __name__ == "__main__":
    run()
