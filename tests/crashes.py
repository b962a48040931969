"""
Functions that the tests of durability run in other processes; most of them die.

    python crashes.py LIMIT NAME ARGUMENTS

prints the result of function NAME. After LIMIT seconds the process ends.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import upgrade_state
from upgrade_state import StateStore, UpgradeStateError
from workers import NOON, ROWS, SECOND, record_of, shop_of

if TYPE_CHECKING:
    from collections.abc import Callable

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


# Killed at each system call


class Calls:
    """
    Wrappers of the system calls that change files.
    """

    def __init__(self, before: Callable[[str, tuple[Any, ...]], None]) -> None:
        self.before = before
        self.log: list[str] = []
        self.paths: dict[int, str] = {}
        names = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")
        for name in (*names, "rmdir"):
            setattr(os, name, self.wrapper(name, getattr(os, name)))
        fcntl.flock = self.wrapper("flock", fcntl.flock)

    def wrapper(self, name: str, function: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.before(name, args)
            result = function(*args, **kwargs)
            directories = [kwargs.get("dir_fd", kwargs.get("src_dir_fd"))]
            directories.append(kwargs.get("dst_dir_fd"))
            whole = [
                arg if directory is None else f"{self.paths[directory]}/{arg}"
                for arg, directory in zip(args, directories, strict=False)
            ]
            self.after(name, [*whole, *args[2:]], result)
            return result

        return wrapped

    def after(self, name: str, args: list[Any], result: Any) -> None:
        if name == "open":
            self.paths[result] = args[0]
        elif name == "flock":
            word = "unlock" if args[1] == fcntl.LOCK_UN else "lock"
            self.log.append(f"{word} {self.paths[args[0]]}")
        elif name in ("write", "fsync"):
            self.log.append(f"{name} {self.paths[args[0]]}")
        elif name != "close":
            self.log.append(
                " ".join((name, *map(str, args[: 1 + (name == "replace")])))
            )


def known(shop: EnvironmentState) -> None:
    """
    Make a record with every field, and leftovers of a killed writer.
    """
    go_on(shop, 0)
    assert shop.snooze(NOON - SECOND)
    assert shop.claim_notice(interval=NONE, now=NOON)
    with contextlib.suppress(LookupError), shop.try_check():
        raise LookupError
    tmp = f"{os.path.dirname(shop.record_path)}/tmp"
    for path in (f"{tmp}/{shop.key}.0", f"{results_of(shop)}/0"):
        with open(path, "w", encoding="ascii"):
            pass


def corrupt(shop: EnvironmentState) -> None:
    known(shop)
    with open(shop.record_path, "w", encoding="ascii") as file:
        file.write("{")


def unknown(shop: EnvironmentState) -> None:
    """
    Leave the store missing.
    """


def commit(shop: EnvironmentState) -> None:
    with shop.try_check() as check:
        assert check is not None
        assert check.commit(b"new", upgrades=ROWS, now=NOON)


def fail(shop: EnvironmentState) -> None:
    with contextlib.suppress(LookupError), shop.try_check():
        raise LookupError


def claim(shop: EnvironmentState) -> None:
    assert shop.claim_notice(interval=NONE, now=NOON + SECOND)


def snooze(shop: EnvironmentState) -> None:
    assert shop.snooze(NOON - 2 * SECOND)


def expire(shop: EnvironmentState) -> None:
    assert shop.expire()


def forget(shop: EnvironmentState) -> None:
    assert shop.forget()


def crash_everywhere(base: str, prepared: str, operation: str, how: str) -> int:
    """
    Crash at each system call of an operation; return the number of crashes.
    """
    prepare, operate = globals()[prepared], globals()[operation]
    whole = fresh_shop(base, "whole")
    prepare(whole)
    allowed = [facts(whole)]
    operate(whole)
    allowed.append(facts(whole))
    count = 0
    while True:
        shop = fresh_shop(base, str(count))
        prepare(shop)
        if not crashed(operate, shop, count + 1, how):
            return count
        count += 1
        assert facts(shop) in allowed, (count, allowed, facts(shop))
        go_on(shop, 100)


def fresh_shop(base: str, name: str) -> EnvironmentState:
    directory = f"{base}/{name}"
    os.mkdir(directory)
    with open(f"{directory}/uv.lock", "wb") as file:
        file.write(b"old")
    return shop_of(f"{directory}/cache", directory)


def crashed(
    operate: Callable[[EnvironmentState], None],
    shop: EnvironmentState,
    number: int,
    how: str,
) -> bool:
    """
    Return whether a child died at the system call with this *number*.

    Args:
        how: "before": the call does not happen; "torn": half of a write does.
    """
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        status = 1
        write = os.write
        count = 0

        def before(name: str, args: tuple[Any, ...]) -> None:
            nonlocal count
            count += how == "before" or name == "write"
            if count == number:
                if how == "torn":
                    write(args[0], args[1][: len(args[1]) // 2])
                os._exit(9)

        try:
            Calls(before)
            operate(shop)
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 9)
    return status == 9


def trace(base: str, prepared: str, operation: str) -> list[str]:
    """
    Return the system calls of an operation in order, random names replaced.
    """
    shop = fresh_shop(base, "shop")
    globals()[prepared](shop)
    operate = globals()[operation]
    root = os.path.dirname(shop.record_path)
    calls = Calls(lambda *_: None)
    operate(shop)
    calls.log.append("return")
    return [plain(line, root, shop.key) for line in calls.log]


def plain(line: str, root: str, key: str) -> str:
    line = line.replace(f"{root}/", "").replace(root, "v1").replace(key, "KEY")
    line = re.sub(r"\b[0-9a-f]{64}\b", "FILE", line)
    return re.sub(r"\b[0-9a-f]{16}\b", "RANDOM", line)


# File systems and users that refuse


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
