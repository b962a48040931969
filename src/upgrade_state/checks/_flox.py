"""
Checks that Flox has made, read from the file in which it keeps the last one.

Flox writes `.flox/cache/upgrade-checks.json` in place, holding `flock(2)` on
`upgrade-checks.lock`, exclusive, from the start of its check.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import stat
import time
from typing import TYPE_CHECKING, Any, Final

from upgrade_state.exceptions import StateReadError

from ._check import Outcome, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrade_state import EnvironmentState

FLOX_LOCKFILE: Final = ".flox/env/manifest.lock"

_MAX_SIZE: Final = 64 << 20

# How far a time may be ahead before the clock counts as wrong, as in the policy.
_TOLERANCE: Final = dt.timedelta(minutes=5)

# Flox writes six digits of the year and nanoseconds: +002026-11-20T12:00:00.5Z.
_TIME: Final = re.compile(
    r"(?:\+00)?([2-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(Z|[+-]\d\d:\d\d)"
)


def import_flox_check(
    environment: EnvironmentState,
    *,
    patience: dt.timedelta = dt.timedelta(seconds=10),
) -> Outcome:
    """
    Record the last check that Flox has made of *environment*, with Flox's time.

    Its lockfile and its upgrades are those that Flox found; version changes and
    rebuilds are counted as Flox counts them. If the current lockfile is another one,
    as Flox compares them, the record says so, and no notice is given.

    Args:
        environment: A handle with the lockfile name ``.flox/env/manifest.lock``. The
            directory of a remote environment is the one where Flox keeps its copy.

        patience: How long to wait while Flox is checking. Zero: not at all.

    Returns:
        The outcome ``checked`` if it is stored; ``fresh`` if the recorded check is
        not older than that of Flox, and nothing has changed; ``no-lockfile`` if Flox
        had no lockfile to compare; ``busy`` if Flox, or a process with the check
        lock, is checking; ``dropped`` as in `Outcome`.

    Raises:
        StateReadError: Flox has made no check, or its file is damaged, half-written,
            of another shape, or more than five minutes ahead of the clock. Nothing
            is recorded.
        ResolverError: The new lockfile is none of Flox. Nothing is recorded.
        UpgradeStateError: See `check`.
        ValueError: The environment has another lockfile, or a name.
    """
    if (environment.lockfile_name, environment.name) != (FLOX_LOCKFILE, None):
        raise ValueError(f"not an environment of Flox: {environment!r}")
    stem = f"{environment.path}/.flox/cache/upgrade-checks"
    content = _read(stem, patience.total_seconds())
    if content is None:
        return Outcome("busy")
    old, new, at = _parse(content, f"{stem}.json")
    latest = dt.datetime.fromtimestamp(time.time(), dt.UTC) + _TOLERANCE
    if at > latest:
        message = "Flox's check is dated ahead of the clock; delete it for another one"
        raise StateReadError(message, f"{stem}.json")
    if old is None:
        return Outcome("no-lockfile")
    judge(environment, _content(old), _content(new))
    with environment.try_check() as guard:
        if guard is None:
            return Outcome("busy")
        known = guard.look().information
        if known and known.last_checked and at <= known.last_checked <= latest:
            return Outcome("fresh", look=guard.look())
        current = guard.old_lockfile
        if current is None or not _is_same(current, old):
            guard.old_lockfile = current = _content(old)
        # Until October 2025 Flox wrote no newline at the end.
        new_lockfile = _content(new).rstrip() + current[-1:].strip(b"}")
        is_stored = guard.commit(new_lockfile, checker="flox", now=at)
    return Outcome("checked" if is_stored else "dropped", look=guard.look())


def _read(stem: str, patience: float) -> bytes | None:
    """
    Read Flox's file while no Flox writes it; None: Flox is still checking.
    """
    path = f"{stem}.json"
    try:
        with _not_written(f"{stem}.lock", time.monotonic() + patience):
            status = os.stat(path)
            if stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_SIZE:
                with open(path, "rb") as file:
                    return file.read(_MAX_SIZE)
        raise StateReadError("Flox's check is no regular file, or too large", path)
    except FileNotFoundError:
        raise StateReadError("Flox has made no check yet", path) from None
    except TimeoutError:
        return None
    except OSError as error:
        message = f"Could not read Flox's check ({error.strerror})"
        raise StateReadError(message, path) from error


@contextlib.contextmanager
def _not_written(path: str, deadline: float) -> Iterator[None]:
    """
    Share Flox's lock for a `with` statement.

    Without a lock file no Flox has written anything: it makes that file before.

    Raises:
        TimeoutError: Flox held it until the *deadline*.
    """
    import fcntl  # noqa: PLC0415 - not on Windows

    if not os.path.lexists(path):
        yield
        return
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise TimeoutError from None
                time.sleep(0.02)
        yield
    finally:
        os.close(fd)


def _parse(content: bytes, path: str) -> tuple[Any, Any, dt.datetime]:
    """
    Return the old lockfile, the new one, and the time of the check.

    Raises:
        StateReadError: They are not there.
    """
    try:
        document = json.loads(content)
        result, text = document["upgrade_result"], document["last_checked"]
        old, new = result["old_lockfile"], result["new_lockfile"]
        for lockfile in (new, new if old is None else old):
            _content(lockfile)
            if "packages" not in lockfile:
                raise ValueError("no lockfile")  # noqa: TRY301 - like any other shape
        found = _TIME.fullmatch(text)
        at = dt.datetime.fromisoformat("".join(found.groups() if found else ()))
        at = at.astimezone(dt.UTC)
    except (LookupError, OverflowError, RecursionError, TypeError, ValueError):
        message = "Flox's check is half-written, or from a Flox of another version"
        raise StateReadError(message, path) from None
    return old, new, at


def _content(lockfile: Any) -> bytes:
    """
    Return a lockfile as Flox writes it to ``manifest.lock``.
    """
    return f"{json.dumps(lockfile, indent=2, ensure_ascii=False)}\n".encode()


def _is_same(content: bytes, lockfile: Any) -> bool:
    """
    Return whether *content* is *lockfile*, in whatever layout.

    Flox compares values, not bytes, and leaves out those that are null.
    """
    try:
        return bool(_without_nulls(json.loads(content)) == _without_nulls(lockfile))
    except (ValueError, RecursionError):
        return False


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [*map(_without_nulls, value)] if isinstance(value, list) else value
