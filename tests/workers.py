"""
Functions that tests run in other processes.

    python workers.py LIMIT COUNT NAME ARGUMENTS

forks COUNT processes, releases them at once, and prints the results of function
NAME in each of them. With a COUNT of 0 it calls the function in this process and
prints nothing else. After LIMIT seconds every one of these processes ends.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import filelock

import upgrade_state
from upgrade_state import StateStore, _locks, checks
from upgrade_state.exceptions import StateReadError, StateWriteError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from upgrade_state import CheckGuard, EnvironmentState

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
ROWS = (Upgrade("x", "version"),)


def shop_of(cache: str, directory: str) -> EnvironmentState:
    return StateStore(cache).environment(directory, "uv.lock")


def shared_check(*arguments: str) -> list[Any]:
    """
    Make a check with a store, a home and a checkout of its own, and share the result.
    """
    import shared_file  # noqa: PLC0415 - of the folder of this file

    *_, place, url = arguments
    home = os.path.join(place, str(os.getpid()))
    os.environ["HOME"] = home
    os.makedirs(f"{home}/shop")
    with open(f"{home}/shop/pins.lock", "w") as file:
        file.write("old")
    shop = StateStore(f"{home}/cache").environment(f"{home}/shop", "pins.lock")
    command = checks.Command(["pins", "lock"], version=["pins", "--version"])
    results = shared_file.FileResults(url)
    outcome = checks.check(shop, command, only_if_due=True, shared=results)
    new = shop.kept_lockfile("new").decode()
    return [outcome.state, outcome.shared, outcome.is_shared, new]


def record_of(shop: EnvironmentState) -> dict[str, Any]:
    """
    Read the record like any reader; it must be valid at any time.
    """
    record = shop.look().record
    assert record is not None
    return record


def digest_of(content: bytes) -> str:
    return f"blake2b:{hashlib.blake2b(content, digest_size=32).hexdigest()}"


@contextlib.contextmanager
def patient_check(shop: EnvironmentState) -> Iterator[CheckGuard]:
    """
    Begin a check as soon as no other process is checking.
    """
    while True:
        with shop.try_check() as check:
            if check is not None:
                yield check
                return
        time.sleep(0.001)


# Writers, each of which counts its updates that were undone.


class Book:
    """
    The content that the writers of a field expect in the record.

    A `with` statement waits until no other process has it open.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self.content: Any = None
        self.lost = 0

    def __enter__(self) -> Self:
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        text = os.read(self._fd, 1 << 16)
        self.content = json.loads(text) if text else None
        return self

    def __exit__(self, *exception: object) -> None:
        data = json.dumps(self.content).encode()
        os.truncate(self._fd, 0)
        os.pwrite(self._fd, data, 0)
        os.close(self._fd)

    def compare(self, actual: object) -> None:
        self.lost += actual != self.content


def checked(record: dict[str, Any]) -> list[Any]:
    """
    Return the fields that commits and failures own.
    """
    failure = record["failure"] or {}
    result = record["result"] or {"new_lockfile": {"digest": None}}
    return [
        record["generation"],
        record["checker"],
        record["last_checked"],
        result["new_lockfile"]["digest"],
        failure.get("attempts"),
        failure.get("message"),
    ]


def commits(shop: EnvironmentState, book: Book, count: int, index: int) -> None:
    for number in range(count):
        with patient_check(shop) as check, book:
            book.compare(checked(record_of(shop)))
            checker, content = f"{index}-{number}", b"%d-%d" % (index, number)
            now = NOON + number * SECOND
            stored = check.commit(content, upgrades=ROWS, checker=checker, now=now)
            book.lost += not stored
            book.content = [
                book.content[0] + 1,
                checker,
                now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                digest_of(content),
                None,
                None,
            ]


def failures(shop: EnvironmentState, book: Book, count: int, index: int) -> None:
    for number in range(count):
        with contextlib.suppress(LookupError), patient_check(shop):
            with book:
                book.compare(checked(record_of(shop)))
                message = f"{index}-{number}"
                attempts = (book.content[4] or 0) + 1
                book.content = [*book.content[:4], attempts, f"LookupError: {message}"]
            raise LookupError(message)


def claims(shop: EnvironmentState, book: Book, count: int, index: int) -> None:
    for number in range(count):
        now = NOON + (8 * number + index) * SECOND
        with book:
            book.compare(record_of(shop)["last_notified"])
            while not (
                verdict := shop.claim_notice(b"old", interval=dt.timedelta(), now=now)
            ):
                # Another answer means that the last claim was undone.
                book.lost += verdict.reason != "busy"
                time.sleep(0.001)
            book.content = now.strftime("%Y-%m-%dT%H:%M:%SZ")


def snoozes(shop: EnvironmentState, book: Book, count: int, index: int) -> None:
    for number in range(count):
        until = LONG_AGO + (8 * number + index) * SECOND
        with book:
            book.compare(record_of(shop)["snoozed_until"])
            assert shop.snooze(until)
            book.content = until.strftime("%Y-%m-%dT%H:%M:%SZ")


def others(shop: EnvironmentState, book: Book, count: int, index: int) -> None:
    """
    Change a field that only a later version knows.
    """
    root = os.path.dirname(shop.record_path)
    temporary = f"{root}/tmp/{shop.key}.other"
    for number in range(count):
        with book:
            book.compare(record_of(shop).get("other"))
            with filelock.FileLock(f"{root}/locks/{shop.key}.write", timeout=60):
                record = record_of(shop) | {"other": number}
                with open(temporary, "wb") as file:
                    file.write(json.dumps(record).encode())
                os.replace(temporary, shop.record_path)
            book.content = number


WRITERS = (
    ("check", commits),
    ("check", commits),
    ("check", failures),
    ("claim", claims),
    ("claim", claims),
    ("snooze", snoozes),
    ("snooze", snoozes),
    ("other", others),
)


def write_all(index: int, cache: str, directory: str, books: str, count: int) -> int:
    """
    Write *count* times; return the number of lost updates.
    """
    name, write = WRITERS[index]
    book = Book(f"{books}/{name}")
    write(shop_of(cache, directory), book, count, index)
    return book.lost


def write_when_released(*args: Any) -> None:
    """
    Do the work of `write_all` once the test closes stdin, and print its answer.
    """
    _hold()
    sys.stdout.write(str(write_all(*args)))


def open_books(_: int, cache: str, directory: str, books: str) -> None:
    """
    Note the content of the record before the writers start.
    """
    record = record_of(shop_of(cache, directory))
    for name, content in owned(record):
        with Book(f"{books}/{name}") as book:
            book.content = content


def closed_books(_: int, cache: str, directory: str, books: str) -> dict[str, Any]:
    """
    Compare the record with the last update of each writer.
    """
    record = record_of(shop_of(cache, directory))
    lost = {}
    for name, content in owned(record):
        with Book(f"{books}/{name}") as book:
            lost[name] = int(book.content != content)
    return {"lost": lost, "generation": record["generation"]}


def owned(record: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return (
        ("check", checked(record)),
        ("claim", record["last_notified"]),
        ("snooze", record["snoozed_until"]),
        ("other", record.get("other")),
    )


# Crowds


def claim(_: int, cache: str, directory: str) -> str:
    return shop_of(cache, directory).claim_notice(now=NOON).reason


def claim_until_answered(_: int, url: str, directory: str, days: int) -> str:
    shop, now = shop_of(url, directory), NOON + dt.timedelta(days)
    while (reason := shop.claim_notice(now=now).reason) in ("busy", "unavailable"):
        pass
    return reason


def claim_and_snooze(url: str, directory: str) -> None:
    """
    Claim and snooze at each time on stdin, until the database has answered.
    """
    shop, zero = shop_of(url, directory), dt.timedelta()
    for line in sys.stdin:
        now, reason, is_snoozed = dt.datetime.fromisoformat(line.strip()), "", False
        while reason in ("", "busy", "unavailable"):
            reason = shop.claim_notice(b"old", reminder=zero, now=now).reason
        sys.stdout.write(f"{reason}\n")
        sys.stdout.flush()
        while not is_snoozed:
            with contextlib.suppress(StateReadError, StateWriteError):
                is_snoozed = shop.snooze(now)
        sys.stdout.write("snoozed\n")
        sys.stdout.flush()


def claim_failure(index: int, cache: str, directory: str, share: int) -> str:
    """
    Claim; of every *share* activations the first asks for failures.
    """
    week = dt.timedelta(days=7) if index % share == 0 else None
    shop = shop_of(cache, directory)
    return shop.claim_notice(could_not_check=week, now=NOON).reason


def snooze(_: int, cache: str, directory: str) -> bool:
    return shop_of(cache, directory).snooze(NOON)


def snooze_in_a_loop(_: int, cache: str, directory: str, seconds: float) -> int:
    """
    Snooze for so many seconds; return how often.

    The time limit is longer: on a busy machine, waits in the queue of the kernel take
    up to 10 seconds, too.
    """
    _locks._WAIT_SECONDS = 60
    shop, end, turns = shop_of(cache, directory), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        turns += shop.snooze(NOON)
    return turns


def check_if_due(_: int, cache: str, directory: str) -> str:
    """
    Wait for other checks, and check if that is due.
    """
    with patient_check(shop_of(cache, directory)) as check:
        if not check.freshness(now=NOON).due:
            return "fresh"
        check.commit(b"new", upgrades=ROWS, now=NOON)
        return "checked"


def try_to_check(_: int, cache: str, directory: str) -> str:
    with shop_of(cache, directory).try_check() as check:
        if check is None:
            return "busy"
        if not check.freshness(now=NOON).due:
            return "fresh"
        check.commit(b"new", upgrades=ROWS, now=NOON)
        return "checked"


def claim_or_forget(index: int, cache: str, directory: str) -> str:
    shop = shop_of(cache, directory)
    if index % 2:
        return shop.claim_notice(interval=dt.timedelta(), now=NOON).reason
    return "forgotten" if shop.forget() else "checking"


# Holders: one process that holds a lock until its stdin is closed.


def _hold() -> None:
    sys.stdout.write("held\n")
    sys.stdout.flush()
    sys.stdin.read()


def hold_check(cache: str, directory: str) -> None:
    with shop_of(cache, directory).try_check() as check:
        assert check is not None
        _hold()


def hold_check_and_commit(cache: str, directory: str) -> None:
    with shop_of(cache, directory).try_check() as check:
        assert check is not None
        _hold()
        assert check.commit(b"newer", upgrades=ROWS, now=NOON)


def hold_write(cache: str, directory: str) -> None:
    shop = shop_of(cache, directory)
    path = f"{os.path.dirname(shop.record_path)}/locks/{shop.key}.write"
    with filelock.FileLock(path):
        _hold()


# Forked and executed children


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except RuntimeError:
        return True
    return False


def in_child(function: Callable[[], bool]) -> bool:
    """
    Return what *function* returns in a forked child.
    """
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = int(function())
        finally:
            os._exit(status)
    return bool(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1)


def guard_in_forked_child(_: int, cache: str, directory: str) -> dict[str, bool]:
    shop = shop_of(cache, directory)
    with shop.try_check() as check:
        assert check is not None
        return {
            "freshness is refused": in_child(lambda: refused(check.freshness)),
            "commit is refused": in_child(lambda: refused(lambda: check.commit(b""))),
        }


def leave_in_forked_child(
    _: int, cache: str, directory: str, how: str
) -> dict[str, Any]:
    """
    Let a forked child leave the `with` statement of a guard that is not its own.
    """
    shop = shop_of(cache, directory)
    parent = os.getpid()
    try:
        with shop.try_check() as check:
            assert check is not None
            child = os.fork()
            if child == 0 and how == "raising":
                raise LookupError  # noqa: TRY301 - to be raised right here
            if child != 0:
                os.waitpid(child, 0)
                with shop.try_check() as second:
                    busy = second is None
                stored = check.commit(b"new", upgrades=ROWS, now=NOON)
    except LookupError:
        pass
    if os.getpid() != parent:
        os._exit(0)
    failure = record_of(shop)["failure"]
    return {"still held": busy, "stored": stored, "failure": failure}


def fork_in_resolver(_: int, cache: str, directory: str, how: str) -> dict[str, object]:
    """
    Let the child of a resolver that forks leave the check, too.
    """
    shop, parent, found = shop_of(cache, directory), os.getpid(), {}

    def resolver(environment: EnvironmentState, old: bytes | None, /) -> bytes:
        child = os.fork()
        if child == 0 and how == "raising":
            raise RuntimeError
        if child != 0:
            status = os.waitpid(child, 0)[1]
            found["child fails"] = os.waitstatus_to_exitcode(status) == 1
            with environment.try_check() as second:
                found["still held"] = second is None
        return (old or b"") + b"\n" * (child != 0)

    try:
        outcome = checks.check(shop, resolver)
    except RuntimeError:
        os._exit(1)
    finally:
        if os.getpid() != parent:
            os._exit(0)
    stored = shop.kept_lockfile("new") != shop.kept_lockfile("old")
    return {**found, "state": outcome.state, "stored": stored}


def fork_while_waiting(_: int, cache: str, directory: str) -> list[str]:
    """
    Return the lock files that are open in the child of a process that waits for one.
    """
    shop = shop_of(cache, directory)
    thread = threading.Thread(target=shop.snooze, args=(NOON,), daemon=True)
    thread.start()
    while len(open_locks()) < 2:  # the second is that of the thread in the queue
        time.sleep(0.001)
    time.sleep(0.01)  # it blocks in the system call
    assert len(open_locks()) == 2
    return [] if in_child(lambda: not open_locks()) else open_locks()


def open_locks() -> list[str]:
    paths = [
        os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
    ]
    return [path for path in paths if path.endswith(".write")]


def die_with_a_forked_child(cache: str, directory: str) -> None:
    """
    Die while holding the check lock; a forked child lives on.
    """
    parent = os.getpid()
    with shop_of(cache, directory).try_check() as check:
        assert check is not None
        if os.fork() != 0:
            os.kill(parent, signal.SIGKILL)
        signal.alarm(60)
        while os.getppid() == parent:
            time.sleep(0.001)
        _hold()


def with_an_executed_child(_: int, cache: str, directory: str) -> bool:
    """
    Return whether the check lock is free while an executed child lives on.
    """
    shop = shop_of(cache, directory)
    ours, theirs = os.pipe()
    os.set_inheritable(ours, True)  # noqa: FBT003 - the function's own way
    with shop.try_check() as check:
        assert check is not None
        child = os.posix_spawn("/bin/cat", ["cat", f"/dev/fd/{ours}"], os.environ)
    with shop.try_check() as again:
        free = again is not None
    os.close(theirs)
    os.waitpid(child, 0)
    return free


# Checks in the background


def check_copy(index: int, url: str, place: str, project: str) -> list[Any]:
    """
    Check a copy of a project, with a store of its own and shared results.
    """
    from upgrade_state.checks import _postgresql  # noqa: PLC0415 - needs psycopg

    directory = f"{place}/{index}/{os.path.basename(project)}"
    shutil.copytree(project, directory)
    shop = shop_of(f"{place}/{index}/cache", directory)
    resolver = checks.RECIPES["uv"].resolver(shop)
    # The limit of one machine; here 200 share a processor or two.
    _postgresql._SECONDS = 60
    outcome = checks.check(
        shop, resolver, only_if_due=True, shared=checks.shared_results(url)
    )
    last_checked = dt.datetime.fromisoformat(record_of(shop)["last_checked"])
    message = shop.claim_notice().message
    facts = outcome.state, outcome.shared, message, outcome.is_shared
    return [*facts, last_checked.timestamp()]


def start_check(index: int, cache: str, directory: str, argv: list[str]) -> list[Any]:
    freshness = shop_of(cache, directory).start_check(argv)
    return [freshness.due, freshness.reason]


def command_line(index: int, *words: str) -> int:
    from upgrade_state.cli import main  # noqa: PLC0415 - in the child only

    return main(words)


def run_crowd(limit: int, count: int, name: str, args: list[Any]) -> int:
    ready, go, results = os.pipe(), os.pipe(), os.pipe()
    children = []
    for index in range(count):
        pid = os.fork()
        if pid == 0:
            os.close(go[1])
            _run_one(limit, index, name, args, (ready[1], go[0], results[1]))
        children.append(pid)
    for fd in (ready[1], go[0], results[1]):
        os.close(fd)
    for _ in range(count):
        os.read(ready[0], 1)
    os.close(go[1])  # all of them read the end of this pipe now
    with open(results[0], encoding="ascii") as file:
        answers = dict(json.loads(line) for line in file)
    failed = sum(os.waitpid(pid, 0)[1] != 0 for pid in children)
    json.dump([answers.get(index) for index in range(count)], sys.stdout)
    return int(failed != 0)


def _run_one(
    limit: int, index: int, name: str, args: list[Any], pipes: tuple[int, int, int]
) -> None:
    signal.alarm(limit)
    ready, go, results = pipes
    status = 1
    try:
        os.write(ready, b".")
        os.read(go, 1)
        result = globals()[name](index, *args)
        os.write(results, json.dumps([index, result]).encode() + b"\n")
        status = 0
    except BaseException:  # noqa: BLE001 - the parent reports any error
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> int:
    limit, count, name = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    args = json.loads(sys.argv[4])
    signal.alarm(limit)
    upgrade_state.preload()  # a fork is quick if it has nothing left to load
    if str(args[0]).startswith("postgresql:"):
        StateStore(args[0])  # loads psycopg
        checks.recipe_named("uv")
    if count:
        return run_crowd(limit, count, name, args)
    globals()[name](*args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
