"""
Every operation that writes to a store, for the tests that interrupt operations.

Each starts from a state that `prepared` makes, and ends with an answer. Its time is
given, so that two runs write the same record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
from typing import TYPE_CHECKING, Any

from upgrade_state import Consent, StateStore
from upgrade_state.cli._main import run as run_command
from workers import NOON, ROWS, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from upgrade_state import EnvironmentState

WEEK = dt.timedelta(days=7)
ZERO = dt.timedelta()
CHECK_FIELDS = ("last_checked", "checker", "result", "generation", "failure")


@dataclasses.dataclass(frozen=True)
class Operation:
    """
    An operation, the state that it starts from, and the fields that it owns.

    Attributes:
        state: The name of a state in `prepared`.

        run: Raises an UpgradeStateError or returns the answer as text: "done",
            the reason of a verdict, or the exit status of a command.

        answer: The answer if nothing interferes.

        owns: The fields of the record that it may change. None: it deletes.
    """

    name: str
    state: str
    run: Callable[[EnvironmentState], str]
    owns: tuple[str, ...] | None
    answer: str = "done"


# States


def new_environment(base: str) -> EnvironmentState:
    """
    Return an environment below the new directory *base*, with a store beside it.
    """
    directory = f"{base}/shop"
    os.makedirs(directory)
    with open(f"{directory}/uv.lock", "wb") as file:
        file.write(b"old")
    return StateStore(f"{base}/cache").environment(directory, "uv.lock")


def root_of(shop: EnvironmentState) -> str:
    return os.path.dirname(shop.record_path)


def prepared(shop: EnvironmentState, state: str) -> None:
    """
    Bring a new environment into a state.

    - unknown: there is no store.
    - known: a record with a value in every field, also in one that is unknown.
    - corrupt: the same, and the record was cut off.
    - failing: the same, and checks have failed for nine days.
    - resolved: the same, with lockfiles before and after an upgrade.
    - removed: the same, and the environment's directory is gone.
    - leftovers: the same, with the files of writers that were killed.
    - orphans: files without a record.
    """
    if state == "unknown":
        return
    _check(shop, b"new", consent=Consent("uv"))
    assert shop.claim_notice(now=NOON - 3 * WEEK)
    assert shop.snooze(NOON - SECOND)
    since = "2026-11-11T12:00:00Z" if state == "failing" else "2026-11-20T11:00:00Z"
    failure = {
        "at": "2026-11-20T11:00:00Z",
        "attempts": 3,
        "message": "no route to host",
        "since": since,
    }
    record = dict(shop.look().record or {})
    write(shop, record | {"failure": failure, "unknown": {"kept": [1, "é"]}})
    {
        "corrupt": _cut_off,
        "resolved": _resolve,
        "removed": _remove_directory,
        "leftovers": _leave_files,
        "orphans": _orphan,
    }.get(state, lambda _: None)(shop)


def write(shop: EnvironmentState, record: dict[str, Any]) -> None:
    with open(shop.record_path, "w", encoding="ascii") as file:
        json.dump(record, file)


def _cut_off(shop: EnvironmentState) -> None:
    os.truncate(shop.record_path, 100)
    # The ticket of a notice of three weeks ago does not count.
    os.unlink(f"{root_of(shop)}/results/{shop.key}/ticket.0.0.0")


def _resolve(shop: EnvironmentState) -> None:
    for name, version in (("uv", 1), ("new", 2)):
        with open(f"{shop.path}/{name}.lock", "w", encoding="ascii") as file:
            file.write(LOCKFILE.format(version))


def _remove_directory(shop: EnvironmentState) -> None:
    assert shop.path is not None
    os.unlink(f"{shop.path}/uv.lock")
    os.rmdir(shop.path)
    os.utime(shop.record_path, (0, 0))


def _leave_files(shop: EnvironmentState) -> None:
    root = root_of(shop)
    for path in (
        f"{root}/tmp/{shop.key}.0123456789abcdef",
        f"{root}/results/{shop.key}/{'0' * 64}",
        f"{root}/results/{shop.key}/{'1' * 64}.0123456789abcdef",
    ):
        with open(path, "wb") as file:
            file.write(b"half")


def _orphan(shop: EnvironmentState) -> None:
    _leave_files(shop)
    with open(f"{root_of(shop)}/logs/{shop.key}.log", "wb") as file:
        file.write(b"2026-11-20T11:00:00Z a check was started\n")
    os.unlink(shop.record_path)


# Operations


def _check(shop: EnvironmentState, new: bytes, **options: Any) -> str:
    with shop.try_check() as guard:
        if guard is None:
            return "busy"
        is_stored = guard.commit(new, upgrades=ROWS, now=NOON, **options)
    return "done" if is_stored else "dropped"


def commit(shop: EnvironmentState) -> str:
    return _check(shop, b"newer", checker="uv")


def fail(shop: EnvironmentState) -> str:
    """
    Let a check fail; the failure's time is that of the clock.
    """
    with contextlib.suppress(LookupError), shop.try_check() as guard:
        if guard is None:
            return "busy"
        raise LookupError("no answer")
    return "done"


def claim(shop: EnvironmentState) -> str:
    return _claim(shop)


def claim_failure(shop: EnvironmentState) -> str:
    return _claim(shop, could_not_check=WEEK)


def _claim(shop: EnvironmentState, **options: Any) -> str:
    verdict = shop.claim_notice(now=NOON + SECOND, **options)
    if verdict.error is not None:
        raise verdict.error
    return verdict.reason


def _answered(is_done: bool) -> str:  # noqa: FBT001
    return "done" if is_done else "refused"


def snooze(shop: EnvironmentState) -> str:
    return _answered(shop.snooze(NOON + WEEK))


def wake(shop: EnvironmentState) -> str:
    return _answered(shop.snooze(None))


def expire(shop: EnvironmentState) -> str:
    return _answered(shop.expire())


def withdraw(shop: EnvironmentState) -> str:
    return _answered(shop.withdraw_consent())


def forget(shop: EnvironmentState) -> str:
    return _answered(shop.forget())


def prune(shop: EnvironmentState) -> str:
    pruned = shop.store.prune(older_than=ZERO)
    return _answered([shop.key] == [environment.key for environment in pruned])


def record(shop: EnvironmentState) -> str:
    """
    Record a check that was made elsewhere; its time is that of the clock.
    """
    old, new = f"{shop.path}/uv.lock", f"{shop.path}/new.lock"
    return _command(shop, "record", old, "--old", old, "--new", new)


def notify(shop: EnvironmentState) -> str:
    """
    Give a notice; its time is that of the clock.
    """
    return _command(shop, "notify", "--always", f"{shop.path}/uv.lock")


def _command(shop: EnvironmentState, *argv: str) -> str:
    cache_dir = os.path.dirname(root_of(shop))
    status = run_command([*argv, "--cache-dir", cache_dir])
    return "done" if status == 0 else f"status {status}"


LOCKFILE = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "attrs"
version = "{}"
source = {{ registry = "https://index.example/simple" }}
"""

NOTICE = ("last_notified", "notified")

OPERATIONS = {
    operation.name: operation
    for operation in (
        Operation("first commit", "unknown", commit, CHECK_FIELDS),
        Operation("commit", "known", commit, CHECK_FIELDS),
        Operation("commit over a corrupt record", "corrupt", commit, CHECK_FIELDS),
        Operation("commit beside leftovers", "leftovers", commit, CHECK_FIELDS),
        Operation("first failure", "unknown", fail, ("failure",)),
        Operation("failure", "known", fail, ("failure",)),
        Operation("claim", "known", claim, NOTICE, "notify"),
        Operation(
            "failure notice",
            "failing",
            claim_failure,
            ("last_notified", "failure_notified"),
            "cannot-check",
        ),
        Operation("snooze", "known", snooze, ("snoozed_until",)),
        Operation("end of a snooze", "known", wake, ("snoozed_until",)),
        Operation("expire", "known", expire, ("last_checked", "failure")),
        Operation("withdraw", "known", withdraw, ("consent",)),
        Operation("forget", "leftovers", forget, None),
        Operation("prune", "removed", prune, None),
        Operation("prune of files without a record", "orphans", prune, None),
        Operation("record", "resolved", record, CHECK_FIELDS),
        Operation("notify", "known", notify, NOTICE),
    )
}
