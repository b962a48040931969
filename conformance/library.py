"""
Answer the line protocol of README.md with the Python library.

    python conformance/drive.py python conformance/library.py

The tests call `answer` in their own process.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from upgrade_state import StateStore, _files, _locks, _record
from upgrade_state._look import SWITCHES
from upgrade_state.exceptions import UpgradeStateError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from upgrade_state import EnvironmentState, Freshness, Verdict

DURATIONS = ("interval", "reminder", "could_not_check")


def moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def text_of(time: dt.datetime | None) -> str | None:
    return None if time is None else f"{time:%Y-%m-%dT%H:%M:%SZ}"


def bytes_of(digits: str | None) -> bytes | None:
    return None if digits is None else bytes.fromhex(digits)


def environment_of(request: dict[str, Any]) -> EnvironmentState:
    lockfile, name = bytes_of(request["lockfile"]), bytes_of(request["name"])
    # The path is canonical, although /home is a symlink on some systems.
    with mock.patch.object(os.path, "realpath", lambda path: path):
        return StateStore(request.get("cache_dir", "/nowhere")).environment(
            bytes.fromhex(request["directory"]),
            None if lockfile is None else os.fsdecode(lockfile),
            name=None if name is None else name.decode("utf-8", "surrogateescape"),
        )


def key(request: dict[str, Any]) -> dict[str, Any]:
    return {"key": environment_of(request).key}


def read(request: dict[str, Any]) -> dict[str, Any]:
    names = ("directory", "lockfile", "name")
    wanted = _record.environment_key(*(bytes_of(request[name]) for name in names))
    environment = None
    with contextlib.suppress(ValueError):
        environment = environment_of(request)
    if environment is None or environment.key != wanted:
        # No environment has these names, so it has no handle.
        path = f"{request['cache_dir']}/v1/{wanted}.json"
        record = _record.valid(Path(path).read_bytes(), wanted)
        return {"state": "record" if record else "corrupt", "record": record}
    look = environment.look()
    if look.error is not None:
        return {"state": "unreadable"}
    if look.record is None:
        return {"state": "corrupt" if look.is_corrupt else "missing"}
    return {"state": "record", "record": look.record}


def freshness(request: dict[str, Any]) -> dict[str, Any]:
    look = environment_of(request).look(
        bytes_of(request["content"]), now=moment(request["now"])
    )
    max_age = request.get("max_age")
    found: Freshness = look.freshness(
        max_age=None if max_age is None else dt.timedelta(seconds=max_age)
    )
    return {"due": found.due, "reason": found.reason, "until": text_of(found.until)}


def _verdict_of(ask: Callable[..., Verdict], request: dict[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {
        name: dt.timedelta(seconds=request[name])
        for name in DURATIONS
        if request.get(name) is not None
    }
    found = ask(platform=request.get("platform"), **options)
    return {
        "speak": bool(found),
        "reason": found.reason,
        "until": text_of(found.until),
        "version_changes": found.version_changes,
        "rebuilds": found.rebuilds,
        "opaque": found.opaque,
    }


def verdict(request: dict[str, Any]) -> dict[str, Any]:
    content, now = bytes_of(request["content"]), moment(request["now"])
    look = environment_of(request).look(content, now=now)
    with _switches(request):
        return _verdict_of(look.verdict, request)


def claim(request: dict[str, Any]) -> dict[str, Any]:
    environment = environment_of(request)

    def ask(**options: Any) -> Verdict:
        content, now = bytes_of(request["content"]), moment(request["now"])
        return environment.claim_notice(content, now=now, **options)

    with _switches(request):
        return _verdict_of(ask, request)


@contextlib.contextmanager
def _switches(request: dict[str, Any]):
    """
    Let only the switches of the request be set.
    """
    others = {k: v for k, v in os.environ.items() if k not in SWITCHES}
    switches = others | request.get("switches", {})
    with mock.patch.dict(os.environ, switches, clear=True):
        yield


def snooze(request: dict[str, Any]) -> dict[str, Any]:
    until = request["until"]
    return {
        "known": environment_of(request).snooze(
            None if until is None else moment(until)
        )
    }


def expire(request: dict[str, Any]) -> dict[str, Any]:
    return {"known": environment_of(request).expire()}


def withdraw(request: dict[str, Any]) -> dict[str, Any]:
    return {"known": environment_of(request).withdraw_consent()}


def forget(request: dict[str, Any]) -> dict[str, Any]:
    return {"forgotten": environment_of(request).forget()}


class CheckError(UpgradeStateError):
    """
    The check of a request has failed.
    """


def fail(request: dict[str, Any]) -> dict[str, Any]:
    busy = False
    with (
        mock.patch("time.time", return_value=moment(request["now"]).timestamp()),
        contextlib.suppress(CheckError),
        environment_of(request).try_check(bytes_of(request["content"])) as check,
    ):
        busy = check is None
        if not busy:
            raise CheckError(request["message"], None)
    return {"busy": busy}


def commit(request: dict[str, Any]) -> dict[str, Any]:
    rows = request.get("rows")
    if rows is not None:
        tuples = ("old", "new")
        rows = [
            Upgrade(**{k: tuple(v) if k in tuples else v for k, v in row.items()})
            for row in rows
        ]
    content = bytes_of(request["content"])
    with environment_of(request).try_check(content) as check:
        if check is None:
            return {"busy": True}
        stored = check.commit(
            bytes_of(request.get("new_lockfile")),
            upgrades=rows,
            format=request.get("format"),
            checker=request.get("checker"),
            now=moment(request["now"]),
        )
        return {"busy": False, "stored": stored}


ANSWERS = {
    function.__name__: function
    for function in (
        *(key, read, freshness, verdict, claim),
        *(snooze, expire, withdraw, forget, fail, commit),
    )
}


@contextlib.contextmanager
def pausing(request: dict[str, Any], meanwhile: Callable[[], None] | None):
    """
    Call *meanwhile* at the point at which the request lets the program pause.
    """
    module, name = _files, "_rename"
    if request.get("pause") == "before-lock":
        module, name = _locks, "try_lock"
    act = getattr(module, name)

    def pause_and_act(*args: Any):
        is_point = module is _locks or args[-1].endswith(".json")
        pauses = contextlib.ExitStack()
        if meanwhile is not None and is_point:
            pauses.callback(meanwhile)
        if request.get("pause") != "after-rename":
            pauses.close()
        with pauses:
            return act(*args)

    with mock.patch.object(module, name, pause_and_act):
        yield


def answer(
    request: dict[str, Any], meanwhile: Callable[[], None] | None = None
) -> dict[str, Any]:
    """
    Return the library's answer to a request.

    Args:
        meanwhile: Called when the library pauses.
    """
    if request["ask"] == "supports":
        return {"supports": [*ANSWERS, "pause"]}
    with pausing(request, meanwhile if "pause" in request else None):
        try:
            return ANSWERS[request["ask"]](request)
        except UpgradeStateError:
            return {"unavailable": True}


def write(value: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


def pause() -> None:
    write({"paused": True})
    sys.stdin.readline()


if __name__ == "__main__":
    while line := sys.stdin.readline():
        write(answer(json.loads(line), pause))
