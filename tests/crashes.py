"""
Functions that the tests of durability run in other processes; most of them die.

    python crashes.py LIMIT NAME ARGUMENTS

prints the result of function NAME. After LIMIT seconds the process ends.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import upgrade_state
from upgrade_state import StateStore, UpgradeStateError
from workers import NOON, ROWS, SECOND, record_of, shop_of

if TYPE_CHECKING:
    from upgrade_state import EnvironmentState

NONE = dt.timedelta()


# Facts that hold after any crash


def facts(shop: EnvironmentState) -> list[Any] | None:
    """
    Return facts of the record, after checking the files that it names.
    """
    information = shop.look().information
    if information is None:
        return None
    result = record_of(shop)["result"]
    for field in ("old_lockfile", "new_lockfile", "upgrades"):
        with open(f"{results_of(shop)}/{result[field]['digest'][8:]}", "rb") as file:
            content = file.read()
        digest = hashlib.blake2b(content, digest_size=32).hexdigest()
        assert f"blake2b:{digest}" == result[field]["digest"]
    assert ROWS == shop.upgrades()
    failure, new = information.failure, shop.kept_lockfile("new")
    assert new is not None
    return [
        information.generation,
        new.decode(),
        str(information.last_notified),
        str(information.snoozed_until),
        None if failure is None else failure.attempts,
    ]


def results_of(shop: EnvironmentState) -> str:
    return f"{os.path.dirname(shop.record_path)}/results/{shop.key}"


def names_in(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def leftovers_of(shop: EnvironmentState) -> list[str]:
    """
    Return temporary files, and files of results that the record does not name.
    """
    root = os.path.dirname(shop.record_path)
    named: set[str] = set()
    with contextlib.suppress(FileNotFoundError):
        result = record_of(shop)["result"]
        fields = ("old_lockfile", "new_lockfile", "upgrades")
        named = {result[field]["digest"][8:] for field in fields}
    return [
        *(f"tmp/{name}" for name in names_in(f"{root}/tmp")),
        *(
            f"results/{name}"
            for name in names_in(results_of(shop))
            if name not in named
        ),
    ]


def go_on(shop: EnvironmentState, number: int) -> None:
    """
    Claim and check once more; the check removes leftovers.
    """
    claimed = shop.claim_notice(interval=NONE, now=NOON + number * SECOND)
    assert claimed.reason in ("notify", "nothing-known"), str(claimed)
    with shop.try_check() as check:
        assert check is not None, "the check lock is not free"
        assert check.commit(b"%d" % number, upgrades=ROWS, now=NOON)
    assert [] == leftovers_of(shop)


# Killed at random instants


def commit_and_claim(shop: EnvironmentState, fd: int, number: int) -> None:
    """
    Commit and claim forever; write each state to *fd* before it is reached.
    """
    state = facts(shop)
    assert state is not None
    while True:
        number += 1
        now = NOON + number * SECOND
        if number % 3:
            state[2] = str(now)
        else:
            state[0] += 1
            state[1] = str(number)
        os.write(fd, json.dumps(state).encode() + b"\n")
        if number % 3:
            assert shop.claim_notice(interval=NONE, now=now)
        else:
            with shop.try_check() as check:
                assert check is not None
                assert check.commit(b"%d" % number, upgrades=ROWS, now=now)
        os.write(fd, b'"done"\n')


def kill_at_random(cache: str, directory: str, rounds: int, seed: int) -> Any:
    """
    Kill a writer *rounds* times; count the stages at which it died.
    """
    chance = random.Random(seed)
    shop = shop_of(cache, directory)
    go_on(shop, 0)
    stages: collections.Counter[str] = collections.Counter()
    for number in range(1000, 1000 * (rounds + 1), 1000):
        before = facts(shop)
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.alarm(60)
            try:
                commit_and_claim(shop, theirs, number)
            finally:
                os._exit(1)
        os.close(theirs)
        first = os.read(ours, 1)
        time.sleep(chance.uniform(0, 0.02))
        os.kill(pid, signal.SIGKILL)
        assert -signal.SIGKILL == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with open(ours, "rb") as file:
            lines = [json.loads(line) for line in (first + file.read()).splitlines()]
        stages[stage(shop, before, lines)] += 1
        go_on(shop, number + 999)
    return stages


def stage(shop: EnvironmentState, before: list[Any] | None, lines: list[Any]) -> str:
    """
    Return the stage of the last operation; its old or new state must be there.
    """
    announced = [before, *(line for line in lines if line != "done")]
    now, left = facts(shop), leftovers_of(shop)
    if lines[-1] == "done":
        assert announced[-1] == now
        return "between two operations"
    assert now in announced[-2:], (announced[-2:], now)
    if now == announced[-1]:
        return "the new record is there, old files too" if left else "new record"
    if any(name.startswith("tmp/") for name in left):
        return "the record is being written"
    if any("." in name for name in left):
        return "a result is being written"
    return "results are written" if left else "old record"


# File systems and users that refuse


def fresh_shop(base: str, name: str) -> EnvironmentState:
    directory = f"{base}/{name}"
    os.mkdir(directory)
    with open(f"{directory}/uv.lock", "wb") as file:
        file.write(b"old")
    return shop_of(f"{directory}/cache", directory)


def commit(shop: EnvironmentState) -> None:
    with shop.try_check() as check:
        assert check is not None
        assert check.commit(b"new", upgrades=ROWS, now=NOON)


def attempt(shop: EnvironmentState) -> dict[str, Any]:
    """
    Try every operation that writes; return the answers.
    """
    verdict = shop.claim_notice(interval=NONE, now=NOON)
    answers: dict[str, Any] = {
        "claim": verdict.reason,
        "path": verdict.error and verdict.error.path,
        "freshness": shop.look(now=NOON).freshness().reason,
    }
    for name, operate in (
        ("snooze", lambda: shop.snooze(NOON)),
        ("commit", lambda: commit(shop)),
        ("read", lambda: demand_read(shop)),
    ):
        try:
            answers[name] = "nothing known" if operate() is False else "done"
        except UpgradeStateError as error:
            answers[name] = type(error).__name__ if error.path else "no path"
    return answers


def demand_read(shop: EnvironmentState) -> None:
    """
    Raise the error that keeps the record from being read.
    """
    if (error := shop.look().error) is not None:
        raise error


def on_full_disk(base: str) -> dict[str, Any]:
    """
    Use a store on a full disk, and again after space was freed.
    """
    mount("-t", "tmpfs", "-o", "size=256k", "tmpfs", base)
    shop = fresh_shop(base, "shop")
    go_on(shop, 0)
    before = record_of(shop)
    fd = os.open(f"{base}/filler", os.O_CREAT | os.O_WRONLY)
    try:
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(4096))
    finally:
        os.close(fd)
    answers = attempt(shop)
    answers["unchanged"] = before == record_of(shop)
    left = leftovers_of(shop)
    answers["temporary"] = [name for name in left if "." in name]
    os.unlink(f"{base}/filler")
    go_on(shop, 1)
    return answers


def on_read_only_disk(base: str) -> dict[str, Any]:
    """
    Use a store on a read-only disk.
    """
    mount("-t", "tmpfs", "tmpfs", base)
    shop = fresh_shop(base, "shop")
    go_on(shop, 0)
    mount("-o", "remount,ro", base)
    return attempt(shop)


def mount(*args: str) -> None:
    subprocess.run(["mount", *args], check=True)


def drop_rights() -> None:
    """
    Continue as a user without the rights of root.
    """
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


def with_mode(base: str, target: str, mode: int) -> dict[str, Any]:
    """
    Use a store while the mode of its record, of itself or of its parent refuses.
    """
    drop_rights()
    shop = fresh_shop(base, "shop")
    go_on(shop, 0)
    root = os.path.dirname(shop.record_path)
    paths = {"record": shop.record_path, "store": root, "cache": os.path.dirname(root)}
    before = os.stat(paths[target]).st_mode
    os.chmod(paths[target], mode)
    answers = attempt(shop)
    os.chmod(paths[target], before)
    (answers["path"],) = (n for n, path in paths.items() if path == answers["path"])
    answers["temporary"] = names_in(f"{root}/tmp")
    go_on(shop, 1)
    return answers


def read_only_home(base: str) -> dict[str, Any]:
    drop_rights()
    home = f"{base}/home"
    os.mkdir(home, 0o500)
    os.environ["HOME"] = home
    shop = StateStore().environment(base, "uv.lock")
    answers = attempt(shop)
    answers["left"] = os.listdir(home)
    return answers


def by_root_in_foreign_home(base: str) -> dict[str, Any]:
    """
    Use a store in the home of another user, as `sudo` may do.
    """
    home = f"{base}/home"
    os.mkdir(home)
    os.chown(home, 65534, 65534)
    shop = StateStore(f"{home}/.cache/upgrade-state").environment(base, "uv.lock")
    answers = attempt(shop)
    answers["left"] = os.listdir(home)
    return answers


def main() -> None:
    signal.alarm(int(sys.argv[1]))
    upgrade_state.preload()  # another user may not be able to read the modules
    result = globals()[sys.argv[2]](*json.loads(sys.argv[3]))
    # `os.write` may be wrapped by now.
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
