"""
Measure the cost of an activation against the least that it could cost.

    python benchmarks/run.py [--pairs 31] [--check]

Run it with the interpreter of a virtual environment in which the library is
installed from a wheel. Each promise is a ratio: two commands take turns, and the
median of the first is divided by the median of the second. CPU time decides, since
other programs on the machine change it least; wall time is shown in brackets.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from upgrade_state import StateStore, _background, _record
from upgrade_state._policy import Freshness
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, TypeAlias

    from upgrade_state import EnvironmentState

    # CPU and wall, in seconds.
    Cost: TypeAlias = tuple[float, float]
    Measure: TypeAlias = Callable[[], Cost]

_ALWAYS = dt.timedelta()

# Variables that silence notices, disable bytecode files or load more modules.
_OFF = (
    "CI",
    "NO_UPDATE_NOTIFIER",
    "UPGRADE_STATE_DISABLE",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
)

_SILENT = """\
from upgrade_state import StateStore

verdict = StateStore({cache!r}).environment({path!r}, "uv.lock").claim_notice()
"""


class Table:
    """
    Print lines, and remember whether every limit holds.
    """

    def __init__(self, pairs: int) -> None:
        self.pairs = pairs
        self.all_kept = True
        print(f"Python {sys.version.split()[0]}, {pairs} pairs, medians, CPU (wall)\n")
        print(f"{'':44}{'this':>17}{'against':>17}{'ratio':>13}  limit")

    def compare(
        self,
        name: str,
        this: Measure,
        against: Measure,
        *,
        cpu: float,
        wall: float | None = None,
    ) -> None:
        ours, theirs = _take_turns(this, against, self.pairs)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        kept = ratios[0] <= cpu and (wall is None or ratios[1] <= wall)
        limit = f"{cpu:.2f}" if wall is None else f"{cpu:.2f} ({wall:.2f})"
        ratio = f"{ratios[0]:.2f} ({ratios[1]:.2f})"
        self._line(name, _shown(ours), _shown(theirs), ratio, limit, kept=kept)

    def count(self, name: str, found: list[str], limit: int) -> None:
        kept = len(found) <= limit
        self._line(name, str(len(found)), "", "", str(limit), kept=kept)
        for line in found:
            print(f"    {line}")

    def report(self, name: str, measure: Measure) -> None:
        samples = [measure() for _ in range(self.pairs)]
        self._line(name, _shown(_median(samples)), "", "", "none", kept=True)

    def say(self, name: str, text: str) -> None:
        print(f"{name:44}{text:>17}")

    def _line(self, name: str, *cells: str, kept: bool) -> None:
        this, against, ratio, limit = cells
        missed = "" if kept else "  MISSED"
        print(f"{name:44}{this:>17}{against:>17}{ratio:>13}  {limit}{missed}")
        self.all_kept &= kept


def _take_turns(this: Measure, against: Measure, pairs: int) -> tuple[Cost, Cost]:
    this(), against()  # the first run fills caches
    samples = [(this(), against()) for _ in range(pairs)]
    return _median([a for a, _ in samples]), _median([b for _, b in samples])


def _median(samples: list[Cost]) -> Cost:
    cpu, wall = zip(*samples, strict=True)
    return statistics.median(cpu), statistics.median(wall)


def _shown(cost: Cost) -> str:
    unit, factor = ("ms", 1e3) if max(cost) >= 1e-3 else ("us", 1e6)
    return f"{cost[0] * factor:.2f} ({cost[1] * factor:.2f}) {unit}"


# Measures


def process(*command: str) -> Measure:
    """
    Measure a whole process, from its start until it has been waited for.
    """
    argv = list(command)
    nowhere = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, nowhere, fd) for fd in (0, 1, 2)]

    def measure() -> Cost:
        start = time.perf_counter()
        pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        if status != 0:
            raise RuntimeError(f"failed: {argv}")
        return usage.ru_utime + usage.ru_stime, wall

    return measure


def call(function: Callable[[], object], times: int) -> Measure:
    """
    Measure one call of *function*, averaged over *times* calls in a row.
    """

    def measure() -> Cost:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            function()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return cpu / times, wall / times

    return measure


def notified_shop(
    place: Path, *, size: int = 10_000, upgrades: int = 2
) -> EnvironmentState:
    """
    Create an environment whose user was notified today.
    """
    directory = place / f"shop-{size}-{upgrades}"
    directory.mkdir()
    (directory / "uv.lock").write_bytes(b"#" * size)
    shop = StateStore(place / "cache").environment(directory, "uv.lock")
    commit(shop, b"+" * size, upgrades)
    if not shop.claim_notice():
        raise RuntimeError(str(shop.look().verdict()))
    if shop.look().verdict().reason != "told-recently":
        raise RuntimeError(str(shop.look().verdict()))
    return shop


def commit(shop: EnvironmentState, new: bytes, upgrades: int = 2) -> None:
    rows = [
        Upgrade(f"p{i}", "version", old=("1.0",), new=("1.1",)) for i in range(upgrades)
    ]
    with shop.try_check() as check:
        if check is None or not check.commit(new, upgrades=rows, checker="uv"):
            raise RuntimeError("no commit")


def starts(shop: EnvironmentState, start: Callable[[], object]) -> Measure:
    """
    Measure how long *start* keeps its caller, then wait for the process it started.
    """
    log = shop.log_path

    def measure() -> Cost:
        wall, cpu = time.perf_counter(), time.process_time()
        started = start()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if isinstance(started, Freshness) and not started.due:
            raise RuntimeError(str(started))
        while _background._children:  # noqa: SLF001
            _background._reap()  # noqa: SLF001
            time.sleep(0.001)
        with contextlib.suppress(ChildProcessError):
            os.wait()
        # An empty log: the next start does not count as one after this one.
        with open(log, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
        return cpu, wall

    return measure


def look_at(path: str) -> Callable[[], None]:
    """
    Return the three calls without which no file is read.
    """

    def look() -> None:
        fd = os.open(path, os.O_RDONLY)
        os.read(fd, 4096)
        os.close(fd)

    return look


def fresh(shop: EnvironmentState) -> Callable[[], object]:
    """
    Return a silent claim by a new handle, as in a new process.
    """
    cache = str(Path(shop.record_path).parents[1])
    path = str(shop.path)
    return lambda: StateStore(cache).environment(path, "uv.lock").claim_notice()


def modules(*command: str) -> list[str]:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.split()


def numbers() -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield b"%d" % number


def many(place: Path, count: int) -> StateStore:
    """
    Create a store of *count* environments with empty records.
    """
    root = place / "many" / "v1"
    root.mkdir(parents=True, mode=0o700)
    for number in range(count):
        environment = f"/home/ana/src/{number}"
        key = _record.environment_key(environment.encode(), b"uv.lock")
        record = _record.DEFAULTS | {"environment": environment, "lockfile": "uv.lock"}
        (root / f"{key}.json").write_bytes(json.dumps(record).encode())
    return StateStore(root.parent)


# The table


def whole_processes(table: Table, place: Path, shop: EnvironmentState) -> None:
    python = sys.executable
    cache = str(Path(shop.record_path).parents[1])
    silent, empty = place / "silent.py", place / "empty.py"
    silent.write_text(_SILENT.format(cache=cache, path=shop.path))
    empty.write_text("")
    bare = process(python, "-c", "pass")
    table.compare(
        "import upgrade_state",
        process(python, "-c", "import upgrade_state"),
        bare,
        cpu=1.05,
    )
    table.compare(
        "silent activation, against an empty script",
        process(python, str(silent)),
        process(python, str(empty)),
        cpu=1.12,
        wall=1.15,
    )
    os.environ["UPGRADE_STATE_CACHE_DIR"] = cache
    for options in (["--lockfile", "uv.lock"], []):
        name = " ".join(["upgrade-state notify DIR", *options])
        command = _command("notify", str(shop.path), *options)
        if command is None:
            table.say(name, "no such command yet")
        else:
            table.compare(name, process(*command), bare, cpu=1.25)
    program = "import os\nfrom upgrade_state.cli import main\nos._exit(main())"
    hooked = [python, "-P", "-c", program, "notify"]
    table.compare(
        "notify --peek DIR, as the hook starts notify",
        process(*hooked, "--peek", str(shop.path)),
        bare,
        cpu=1.25,
    )
    table.compare(
        "notify --peek DIR by -m, against -m this",
        process(python, "-m", "upgrade_state", "notify", "--peek", str(shop.path)),
        process(python, "-m", "this"),
        cpu=1.35,
    )
    for limit, words in ((4, ["show", "--json", str(shop.path)]), (3.5, ["--help"])):
        name = f"python -m upgrade_state {' '.join(words[:2])}"
        this = process(python, "-m", "upgrade_state", *words)
        table.compare(name, this, bare, cpu=limit)
    command, check = (_command("notify", str(shop.path), *o) for o in ([], ["--check"]))
    if command is not None and check is not None:
        name = "the same --check when none is due, against it"
        table.compare(name, process(*check), process(*command), cpu=1.1)
    show = "\nimport sys; print(*sys.modules)\n"
    silent.write_text(silent.read_text() + show)
    empty.write_text(show)
    beyond = sorted({*modules(python, str(silent))} - {*modules(python, str(empty))})
    table.count("modules beyond a bare interpreter", beyond, 8)


def completing(table: Table, place: Path) -> None:
    code = "from upgrade_state.cli import main; main(['completion', '--environments'])"
    before = os.environ["UPGRADE_STATE_CACHE_DIR"]
    for count, limit in ((100, 1.5), (5000, 10)):
        known = place / f"{count} known"
        many(known, count)
        os.environ["UPGRADE_STATE_CACHE_DIR"] = str(known / "many")
        table.compare(
            f"environments to complete, {count}",
            process(sys.executable, "-c", code),
            process(sys.executable, "-c", "pass"),
            cpu=limit,
        )
    os.environ["UPGRADE_STATE_CACHE_DIR"] = before


def _command(*args: str) -> list[str] | None:
    """
    Return the installed command, if it succeeds without output.
    """
    path = shutil.which("upgrade-state", path=str(Path(sys.executable).parent))
    if path is None:
        return None
    command = [path, *args]
    done = subprocess.run(command, check=False, capture_output=True)
    if done.returncode != 0 or done.stderr or done.stdout:
        return None
    return command


def single_calls(table: Table, place: Path, shop: EnvironmentState) -> None:
    table.compare(
        "silent claim by a kept handle, against a read",
        call(shop.claim_notice, 2000),
        call(look_at(shop.record_path), 2000),
        cpu=4,
    )
    table.compare(
        "lockfile of 5 MB, against 10 KB",
        call(fresh(notified_shop(place, size=5_000_000)), 500),
        call(fresh(shop), 500),
        cpu=1.1,
    )
    table.compare(
        "5000 upgrades, against 2",
        call(fresh(notified_shop(place, upgrades=5000)), 500),
        call(fresh(shop), 500),
        cpu=1.1,
    )


def starting(table: Table, shop: EnvironmentState) -> None:
    """
    Start a program that does nothing, wrapped as a check is wrapped.
    """
    program = shutil.which("true") or "true"
    command: list[Any] = [*_background._wrapper(), program]  # noqa: SLF001
    this = starts(shop, lambda: shop.start_check([program], max_age=_ALWAYS))
    table.compare(
        "start_check, against posix_spawn of the same",
        this,
        starts(shop, lambda: spawned(command)),
        cpu=3,
    )
    table.compare(
        "start_check, against subprocess.Popen",
        this,
        starts(shop, lambda: popened(command)),
        cpu=2.5,
    )


def spawned(command: Sequence[Any]) -> object:
    actions = [
        (os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1, 2)
    ]
    return os.posix_spawn(
        command[0], command, os.environ, file_actions=actions, setsid=True
    )


def popened(command: Sequence[Any]) -> object:
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(
        command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
    )


def without_limits(table: Table, place: Path, shop: EnvironmentState) -> None:
    contents = numbers()
    table.report(
        "claim that speaks", call(lambda: shop.claim_notice(interval=_ALWAYS), 5)
    )
    table.report("commit of 2 upgrades", call(lambda: commit(shop, next(contents)), 5))
    table.report("look().information", call(lambda: shop.look().information, 200))
    store = many(place, 10_000)
    table.report("list of 10 000 environments", call(lambda: sum(1 for _ in store), 1))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=31, help="of each, at least 15")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if a limit is missed"
    )
    args = parser.parse_args()
    for name in _OFF:
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary).resolve()
        os.environ["HOME"] = temporary
        shop = notified_shop(place)
        table = Table(max(args.pairs, 15))
        whole_processes(table, place, shop)
        completing(table, place)
        single_calls(table, place, shop)
        starting(table, shop)
        without_limits(table, place, shop)
    return int(args.check and not table.all_kept)


if __name__ == "__main__":
    sys.exit(main())
