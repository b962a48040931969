"""
Measure a check without its resolver: its start, its commit, the command around it.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import stores
from benchmarks.floors import calls
from benchmarks.measure import Cost, call, prepared, process
from upgrade_state import StateStore, _background

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.measure import Measure
    from benchmarks.report import Report
    from upgrade_state import EnvironmentState

TITLE = "A check: its start, its commit, and the commands"

REASONS = {
    "commit, pins.lock (2 x 500 KB) / writing the same": (
        "a commit syncs three directories, not one, so that no record on the disk "
        "names a missing file; it hashes both files, and deletes those of the earlier "
        "check. If the lockfile that was checked is known, its file is kept."
    ),
    "start_check that starts / posix_spawn, same options": (
        "the same system calls in a straight line, without a function, take 1.8 times. "
        "The rest is code that has left the caches of the processor while another "
        "process ran. It happens once per check."
    ),
}

_SIZE = 500_000
_VERSION = b"1.000000"
_PARSERS = {"uv.lock": tomllib.loads, "package-lock.json": json.loads}
_TRUE = shutil.which("true") or "true"


def measure(report: Report, place: Path) -> None:
    """
    Measure commits, starts and commands.
    """
    for name, content in _contents():
        _commits(report, place / name, name, content)
    shop = stores.notified(place)
    _starts(report, shop)
    os.environ["UPGRADE_STATE_CACHE_DIR"] = stores.cache_of(shop)
    _commands(report, shop)
    _all(report, place / "all")


# Commits


def _contents() -> Iterator[tuple[str, bytes]]:
    """
    Stream lockfiles of one size, whose packages have the same version.
    """
    yield "pins.lock", _VERSION.ljust(_SIZE, b"#")
    version = _VERSION.decode()
    package = f"""
[[package]]
name = "package-0000"
version = "{version}"
source = {{ registry = "https://index.example/simple" }}
dependencies = [{{ name = "package-0000" }}]
sdist = {{ url = "https://files.example/p.tar.gz", hash = "sha256:{"0" * 64}" }}
"""
    head = 'version = 1\nrequires-python = ">=3.11"\n'
    yield "uv.lock", (head + "".join(_numbered(package))).encode()
    fields = {"version": version, "license": "MIT", "integrity": "sha512-" + "0" * 88}
    packages = ", ".join(
        _numbered(f'"node_modules/package-0000": {json.dumps(fields)}')
    )
    text = f'{{"lockfileVersion": 3, "packages": {{{packages}}}}}'
    yield "package-lock.json", text.encode()


def _numbered(package: str) -> Iterator[str]:
    numbers = range(_SIZE // len(package))
    return (package.replace("0000", f"{n:04}", 1) for n in numbers)


def _commits(report: Report, place: Path, name: str, content: bytes) -> None:
    """
    Commit two lockfiles that are new, in turns with writing the same files.

    One package of them has another version each time.
    """
    place.mkdir()
    lockfile = place / name
    shop = StateStore(place / "cache").environment(place, name)
    numbers = itertools.count()

    def changed() -> bytes:
        return content.replace(_VERSION, b"1.%06d" % next(numbers), 1)

    def commit() -> Cost:
        lockfile.write_bytes(changed())
        new = changed()
        calls.sync(str(place))
        with shop.try_check() as check:
            if check is None:
                raise RuntimeError("the check lock is busy")
            return call(lambda: check.commit(new))()

    commit()
    record = Path(shop.record_path or "")
    results = [*(record.parent / "results" / shop.key).iterdir()]
    files = {path.name: path.read_bytes() for path in (*results, record)}
    floor = place / "floor"

    def write() -> None:
        for file, data in files.items():
            calls.replace(f"{floor}/{file}", f"{floor}/temporary", data)
        calls.sync(str(floor))

    def anew(function: Callable[[], None]) -> Measure:
        def make_floor() -> None:
            shutil.rmtree(floor, ignore_errors=True)
            floor.mkdir()
            calls.sync(str(place))

        return prepared(make_floor, call(function))

    parse = _PARSERS.get(name)
    words = f"commit, {name} (2 x {_SIZE // 1000} KB)"
    limit = None if parse else 1.5
    report.compare(
        f"{words} / writing the same", commit, anew(write), limit=limit, by="wall"
    )
    if parse is not None:

        def parse_and_write() -> None:
            for _ in range(2):
                parse(changed().decode())
            write()

        words = f"{words} / parsing and writing"
        report.compare(words, commit, anew(parse_and_write), by="wall")


# Starts


def _starts(report: Report, shop: EnvironmentState) -> None:
    """
    Start a program that does nothing, wrapped as a check is wrapped.
    """
    wrapper = _background._wrapper()  # noqa: SLF001
    command: list[Any] = [*wrapper, _TRUE]
    how: dict[str, Any] = {"setsid": True, "setsigmask": (), "setsigdef": range(1, 32)}
    actions: list[Any] = [
        (os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)
    ]

    def start() -> int | None:
        return shop.start_check([_TRUE], max_age=stores.ALWAYS).pid

    def spawn() -> int:
        argv, environ = command, os.environ
        return os.posix_spawn(argv[0], argv, environ, file_actions=actions, **how)

    def popen() -> int:
        nowhere = subprocess.DEVNULL
        child = subprocess.Popen(
            command,
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            start_new_session=True,
        )
        child.returncode = 0  # it is waited for here
        return child.pid

    functions = {"start": start, "spawn": spawn, "popen": popen}
    samples = report.interleave(
        {name: _starting(shop, function) for name, function in functions.items()}
    )
    start_samples = samples["start"]
    words = "start_check that starts / posix_spawn"
    report.add(f"{words}, same options", start_samples / samples["spawn"], limit=2)
    words = "start_check that starts / subprocess.Popen"
    report.add(words, start_samples / samples["popen"])
    with open(shop.log_path or "", "rb+") as log:
        report.compare(
            "the started wrapper and its program / bare interpreter",
            process(*command, stderr=log.fileno()),
            process(sys.executable, "-c", "pass"),
        )


def _starting(shop: EnvironmentState, start: Callable[[], int | None]) -> Measure:
    """
    Measure how long *start* keeps its caller; then wait for the process.
    """
    pids: list[int | None] = []
    once = call(lambda: pids.append(start()))

    def measure() -> Cost:
        cost = once()
        pid = pids.pop()
        if pid is None:
            raise RuntimeError("no check was started")
        os.waitpid(pid, 0)
        # Without a log, the next start does not count as one right after this one.
        with open(shop.log_path or "", "w") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
        return cost

    return measure


# Commands


def _commands(report: Report, shop: EnvironmentState) -> None:
    bare = process(sys.executable, "-c", "pass")
    show = ["show", "--json", str(shop.path)]
    for arguments, limit in ((show, 4), (["--help"], 3.5)):
        words = " ".join(arguments[:2])
        this = process(sys.executable, "-m", "upgrade_state", *arguments)
        name = f"upgrade-state {words} / bare interpreter"
        report.compare(name, this, bare, limit=limit)


def _all(report: Report, place: Path) -> None:
    """
    Compare what more fresh environments cost with the decisions that they are fresh.
    """
    caches = [stores.fresh(place / str(count), count) for count in (10, 1010)]
    cache, more = caches[1], [*StateStore(caches[1])][10:]

    def decide() -> None:
        for known in more:
            handle = StateStore(cache).environment(known.path or "", "uv.lock")
            if handle.look().freshness().due:
                raise RuntimeError("a check is due")

    command = (sys.executable, "-m", "upgrade_state", "check", "--all", "--cache-dir")
    few, many = (process(*command, cache) for cache in caches)
    samples = report.interleave({"few": few, "many": many, "decide": call(decide)})
    ratio = (samples["many"] - samples["few"]) / samples["decide"]
    name = "check --all, 1000 more fresh environments / decisions"
    report.add(name, ratio, limit=3)
