"""
Disks and users that refuse, each tried in a process of its own.

    python refusals.py LIMIT NAME ARGUMENTS

prints the result of function NAME. After LIMIT seconds the process ends.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import upgrade_state
from upgrade_state import StateStore, UpgradeStateError
from workers import NOON, ROWS, SECOND, record_of, shop_of

if TYPE_CHECKING:
    from upgrade_state import EnvironmentState

NONE = dt.timedelta()


# The state afterwards


def results_of(shop: EnvironmentState) -> str:
    return f"{os.path.dirname(shop.record_path)}/results/{shop.key}"


def names_in(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def leftovers_of(shop: EnvironmentState) -> list[str]:
    """
    Return temporary files, and files that the record does not name. No tickets.
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
            if name not in named and not name.startswith("ticket.")
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
