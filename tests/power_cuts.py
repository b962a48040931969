"""
Every directory that a power cut can leave during an operation, and after its answer.

An operation runs once while its system calls are recorded, with the bytes that it
writes. A model of the disk has the same calls, and lists after each of them the
directories that the disk may have:

- The content of a file, until it is synced: the old one, none, half of the new one,
  zeros of its length, or the new one.
- The ordered model, of journalling file systems: the first calls that changed a
  directory, up to any one. A sync makes every call durable up to the last one that
  concerned the synced file or directory.
- The POSIX model: any subset of the calls that changed a directory, but those before
  a sync of that directory. A rename adds the new name before it removes the old one,
  at once in one directory.

The states are complete, not a sample. A kill leaves the directory that has all calls
and all content.

    python tests/power_cuts.py

makes each state on the disk, uses it, and writes `docs/power-cuts.md`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import functools
import io
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import pytest

import operations
from operations import NOON, OPERATIONS, SECOND, WEEK, ZERO
from upgrade_state import _record, _store
from workers import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Relative paths with the content of files; None: a directory.
Tree: TypeAlias = dict[str, bytes | None]

# An entry of a directory, which is a number as every file is.
Place: TypeAlias = tuple[int, str]

State: TypeAlias = "frozenset[tuple[str, bytes | None]]"

MODELS = ("ordered", "POSIX")
PAGE = Path(__file__).parents[1] / "docs" / "power-cuts.md"


class Call(NamedTuple):
    """
    A system call that changes, syncs or locks a file.

    Attributes:
        more: The bytes that were written, or the target of a rename.
    """

    name: str
    path: str
    more: Any = None


# Recording


class Recorder:
    """
    Wrappers of the functions that change, sync and lock files below *base*.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self.calls: list[Call] = []
        self.paths: dict[int, str] = {}
        self.locked: set[int] = set()
        self.os = {name: getattr(os, name) for name in dir(os)}
        self.real_flock = fcntl.flock

    def whole(self, path: Any, directory: int | None) -> str:
        path = os.fsdecode(path)
        return path if directory is None else f"{self.paths[directory]}/{path}"

    def note(self, name: str, path: str, more: Any = None) -> None:
        if path == self.base or path.startswith(f"{self.base}/cache"):
            self.calls.append(Call(name, path[len(self.base) + 1 :], more))

    def open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        place = self.whole(path, options.get("dir_fd"))
        exists = os.path.lexists(place)
        fd: int = self.os["open"](path, flags, mode, **options)
        self.paths[fd] = place
        if not exists:
            self.note("create", place)
        elif flags & os.O_TRUNC:
            self.note("truncate", place)
        return fd

    def write(self, fd: int, data: Any) -> int:
        count: int = self.os["write"](fd, data)
        self.note("write", self.paths.get(fd, ""), bytes(data[:count]))
        return count

    def fsync(self, fd: int) -> None:
        self.os["fsync"](fd)
        self.note("sync", self.paths[fd])

    def close(self, fd: int) -> None:
        self.os["close"](fd)
        self.unlock(fd)
        self.paths.pop(fd, None)

    def unlock(self, fd: int) -> None:
        if fd in self.locked:
            self.locked.remove(fd)
            self.note("unlock", self.paths[fd])

    def flock(self, fd: int, kind: int) -> None:
        self.real_flock(fd, kind)
        if kind & fcntl.LOCK_UN:
            self.unlock(fd)
        else:
            self.locked.add(fd)
            self.note("lock", self.paths[fd])

    def changing(self, function: str, name: str) -> Callable[..., None]:
        def change(path: Any, *args: Any, **options: Any) -> None:
            place = self.whole(path, options.get("dir_fd"))
            self.os[function](path, *args, **options)
            self.note(name, place)

        return change

    def rename(self, source: Any, target: Any, **options: Any) -> None:
        old = self.whole(source, options.get("src_dir_fd"))
        new = self.whole(target, options.get("dst_dir_fd"))
        self.os["replace"](source, target, **options)
        self.note("rename", old, new[len(self.base) + 1 :])


@contextlib.contextmanager
def recording(base: str) -> Iterator[list[Call]]:
    """
    Record the calls of this process on the store below *base*.
    """
    recorder = Recorder(base)
    os.access(f"{base}/begin", os.F_OK)  # strace sees when the recording begins
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", recorder.flock)
        for name in ("open", "write", "fsync", "close", "rename"):
            patch.setattr(os, name, getattr(recorder, name))
        patch.setattr(os, "replace", recorder.rename)
        patch.setattr(os, "mkdir", recorder.changing("mkdir", "mkdir"))
        for name in ("unlink", "remove", "rmdir"):
            patch.setattr(os, name, recorder.changing(name, "remove"))
        yield recorder.calls
    os.access(f"{base}/end", os.F_OK)


# The disk


class Disk:
    """
    The names and contents that a file system has in memory, and may have on disk.
    """

    def __init__(self, tree: Tree) -> None:
        self.content: list[bytes | None] = [None]
        self.durable: list[bytes | None] = [None]
        self.start: dict[Place, int | None] = {}
        self.names: dict[Place, int | None] = self.start
        # Of each call that changed directories: the changes of each, the last first.
        self.steps: list[list[dict[Place, int | None]]] = []
        self.first = 0  # the number of steps that the ordered model has made durable
        self.synced: set[tuple[int, int]] = set()  # those of the POSIX model
        for path in sorted(tree):
            self.start[self.place(path)] = self.new(tree[path])
        self.durable = list(self.content)
        self.names = dict(self.start)

    def new(self, content: bytes | None) -> int:
        self.content.append(content)
        self.durable.append(b"")
        return len(self.content) - 1

    def node(self, path: str) -> int:
        return self.names[self.place(path)] or 0 if path else 0

    def place(self, path: str) -> Place:
        above, _, name = path.rpartition("/")
        return self.node(above), name

    def apply(self, call: Call) -> None:
        """
        Do what a system call does.
        """
        name, path, more = call
        if name in ("mkdir", "create"):
            self.change({self.place(path): self.new(None if name == "mkdir" else b"")})
        elif name == "remove":
            self.change({self.place(path): None})
        elif name == "rename":
            self.change({self.place(more): self.node(path), self.place(path): None})
        elif name == "truncate":
            self.content[self.node(path)] = b""
        elif name == "write":
            self.content[self.node(path)] = (
                self.content[self.node(path)] or b""
            ) + more
        elif name == "sync":
            self.sync(self.node(path))

    def change(self, entries: dict[Place, int | None]) -> None:
        self.names.update(entries)
        parts: dict[int, dict[Place, int | None]] = {}
        for place, node in entries.items():
            parts.setdefault(place[0], {})[place] = node
        self.steps.append(list(parts.values()))

    def sync(self, node: int) -> None:
        self.durable[node] = self.content[node]
        for number, step in enumerate(self.steps):
            for index, part in enumerate(step):
                if any(directory == node for directory, _ in part):
                    self.synced.add((number, index))
                    self.first = max(self.first, number + 1)
                if node in part.values():
                    self.first = max(self.first, number + 1)

    def entries(self, model: str) -> Iterator[dict[Place, int | None]]:
        """
        List the names that the disk may have after a power cut.
        """
        if model == "kill":
            yield self.names
            return
        if model == "ordered":
            for end in range(self.first, len(self.steps) + 1):
                names = dict(self.start)
                for part in itertools.chain(*self.steps[:end]):
                    names.update(part)
                yield names
            return
        states = {frozenset(self.start.items())}
        for number, step in enumerate(self.steps):
            # None of a call, the new name, or all: no less than is synced.
            least = max(
                (i + 1 for i in range(len(step)) if (number, i) in self.synced),
                default=0,
            )
            states = {
                frozenset(
                    (
                        dict(state)
                        | dict(itertools.chain(*(part.items() for part in step[:end])))
                    ).items()
                )
                for state in states
                for end in range(least, len(step) + 1)
            }
        yield from map(dict, states)

    def contents(self, node: int) -> set[bytes | None]:
        new, old = self.content[node], self.durable[node]
        if new is None or new == old:
            return {new}
        return {old, b"", new[: len(new) // 2], bytes(len(new)), new}

    def trees(self, model: str) -> Iterator[Tree]:
        """
        List the directories that the disk may have after a power cut.
        """
        for names in self.entries(model):
            below: dict[int, list[tuple[str, int]]] = {}
            for (directory, name), node in names.items():
                if node is not None:
                    below.setdefault(directory, []).append((name, node))
            paths: dict[str, int] = {}
            left = [("", 0)]
            while left:
                above, directory = left.pop()
                for name, node in below.get(directory, ()):
                    paths[above + name] = node
                    left.append((f"{above}{name}/", node))
            if model == "kill":
                yield {path: self.content[node] for path, node in paths.items()}
                return
            for contents in itertools.product(*map(self.contents, paths.values())):
                yield dict(zip(paths, contents, strict=True))


# Operations


def tree_of(base: str) -> Tree:
    """
    Read the store below *base*.
    """
    paths = (Path(base, "cache"), *Path(base, "cache").rglob("*"))
    return {
        str(path.relative_to(base)): None if path.is_dir() else path.read_bytes()
        for path in paths
        if path.exists()
    }


def put(base: str, tree: Tree) -> None:
    """
    Replace the store below *base*.
    """
    shutil.rmtree(f"{base}/cache", ignore_errors=True)
    for path in sorted(tree):
        content = tree[path]
        if content is None:
            os.mkdir(f"{base}/{path}", 0o700)
        else:
            fd = os.open(f"{base}/{path}", os.O_WRONLY | os.O_CREAT, 0o600)
            os.write(fd, content)
            os.close(fd)


class Run:
    """
    An operation that was recorded, and the states that it starts from and leads to.

    Args:
        killed: An earlier operation, and the number of its calls after which it was
            killed: its directory is the start, and no more of it is durable than
            these calls have synced. None: the start is durable.
    """

    def __init__(
        self, base: str, name: str, killed: tuple[Run, int] | None = None
    ) -> None:
        self.base = base
        self.operation = OPERATIONS[name]
        self.before: list[Call] = []
        if killed is None:
            self.shop = operations.new_environment(base)
            operations.prepared(self.shop, self.operation.state)
            self.start = tree_of(base)
        else:
            self.shop, self.start = killed[0].shop, killed[0].start
            self.before = killed[0].calls[: killed[1]]
            put(base, next(self.disk().trees("kill")))
        self.path = f"cache/v1/{self.shop.key}.json"
        self.old = {self.start.get(self.path), tree_of(base).get(self.path)}
        with recording(base) as self.calls, contextlib.redirect_stderr(io.StringIO()):
            answer = self.operation.run(self.shop)
        self.new = {tree_of(base).get(self.path)}
        if answer != self.operation.answer:
            # Nothing was written, or the notice of the killed process holds.
            assert killed is not None, answer
            assert name in ("claim", "snooze"), answer
            self.new |= self.old
        # Whether the caller may give a notice after the answer.
        has_claimed = "last_notified" in (self.operation.owns or ())
        self.speaks = has_claimed and answer == self.operation.answer
        # The bytes of a corrupt record, which are kept; None: there are none.
        data, is_deletion = self.start.get(self.path), self.operation.owns is None
        is_valid = data is None or valid(data, self.shop.key) is not None
        self.corrupt = None if is_valid or is_deletion else data

    def disk(self) -> Disk:
        """
        Return the disk before the first call.
        """
        disk = Disk(self.start)
        for call in self.before:
            disk.apply(call)
        return disk

    def misplaced(self) -> list[Call]:
        """
        Return the calls that need a lock and do not hold it, or hold one too long.

        The check lock protects results, either lock a ticket. The write lock protects
        every other file; under it only the temporary file is synced.
        """
        held: list[str] = []
        found = []
        for call in self.calls:
            name, path, _ = call
            lock = path.removeprefix(f"cache/v1/locks/{self.shop.key}.")
            if name == "lock":
                held.append(lock)
                is_right = held in (["check"], ["write"], ["check", "write"])
            elif name == "unlock":
                is_right = held.pop() == lock
            elif name == "sync":
                is_right = "write" not in held or path.startswith("cache/v1/tmp/")
            elif self.shop.key not in path or lock != path:
                is_right = True  # a directory of all environments, or a lock
            else:
                is_result = path.startswith("cache/v1/results/")
                is_right = ("check" if is_result else "write") in held
                is_right |= "/ticket." in path and bool(held)
            found += [] if is_right else [call]
        return found + [Call("unlock", lock) for lock in held]

    def states(self) -> dict[State, set[str]]:
        """
        Return each state that a power cut can leave.

        With the models that have it, and "answered" if it is one after the answer.
        """
        found: dict[State, set[str]] = {}
        disk = self.disk()
        for call in (Call("begin", ""), *self.calls):
            disk.apply(call)
            if call.name in ("lock", "unlock"):
                continue
            for model in MODELS:
                for tree in disk.trees(model):
                    found.setdefault(frozenset(tree.items()), set()).add(model)
        for model in MODELS:
            for tree in disk.trees(model):
                found[frozenset(tree.items())].add("answered")
        return found

    def finding(self, state: State, when: set[str]) -> str | None:
        """
        Return which promise a state breaks; None: it breaks none.
        """
        tree = dict(state)
        data = tree.get(self.path)
        is_answered = "answered" in when
        allowed = self.new if is_answered else self.old | self.new
        if self.corrupt is not None and not is_answered:
            allowed = {*allowed, None}  # set aside
        if data not in allowed:
            return "another record"
        record = None if data is None else valid(data, self.shop.key)
        for digest in [] if record is None else _store.named_files(record):
            name = f"cache/v1/results/{self.shop.key}/{_record.digits(digest)}"
            if digest != digest_of(tree.get(name) or b""):
                return "a file that the record names is missing or torn"
        if self.corrupt not in (None, data, tree.get(f"{self.path}.corrupt")):
            return NOT_KEPT
        return None

    def use(self, state: State, when: set[str]) -> None:
        """
        Make a state on the disk; read it, claim, check, and claim again.
        """
        tree, shop = dict(state), self.shop
        put(self.base, tree)
        look, data = shop.look(), tree.get(self.path)
        assert (None if data is None else valid(data, shop.key)) == look.record
        assert look.error is None
        assert look.is_corrupt == (data is not None and look.record is None)
        has_result = look.record is not None and look.record["result"] is not None
        assert has_result == (shop.kept_lockfile("new") is not None)
        assert has_result == bool(shop.upgrades())
        shop.kept_lockfile("old")
        now = None if self.operation.name == "notify" else NOON + SECOND
        verdicts = [shop.claim_notice(now=now, could_not_check=WEEK) for _ in range(2)]
        reasons = {verdict.reason for verdict in verdicts}
        # The process that created the ticket has died: that costs one notice.
        ticket = f"cache/v1/results/{shop.key}/{_store.ticket_name(look.record)}.0"
        assert not {"busy", "unavailable"} & reasons - {
            "busy" if ticket in tree else ""
        }
        assert sum(map(bool, verdicts)) <= (not self.speaks or "answered" not in when)
        assert "done" == operations.commit(shop)
        assert "done" == operations.wake(shop)
        assert shop.claim_notice(interval=ZERO, now=NOON + 2 * SECOND)
        record = shop.look().record
        assert record is not None
        named = {_record.digits(digest) for digest in _store.named_files(record)}
        root = operations.root_of(shop)
        found = os.listdir(f"{root}/results/{shop.key}")
        assert named == {name for name in found if not name.startswith("ticket.")}
        assert [] == os.listdir(f"{root}/tmp")


valid = functools.cache(_record.valid)
NOT_KEPT = "the corrupt record is lost"


# All operations


class Row(NamedTuple):
    """
    A row of the table: the number of calls, of states, and of broken promises.
    """

    name: str
    calls: int
    ordered: int
    posix: int
    after_kills: int
    findings: list[str]


# An operation that finds the directory of one that was killed.
NEXT = ("commit", "failure", "claim", "snooze", "forget")


def row(name: str) -> Row:
    """
    Check every state of an operation, and of others after each kill of it.
    """
    with (
        tempfile.TemporaryDirectory() as base,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(os, "fsync", lambda fd: None)  # the checks lose no power
        run = Run(base, name)
        states = run.states()
        findings = [str(call) for call in run.misplaced()]
        findings += broken(run, states)
        for state, when in states.items():
            try:
                run.use(state, when)
            except Exception:  # noqa: BLE001
                findings.append(traceback.format_exc())
        count = 0
        for number, other in itertools.product(range(len(run.calls) + 1), NEXT):
            later = Run(base, other, (run, number))
            after = later.states()
            count += len(after)
            found = broken(later, after)
            findings += [f"{other} after call {number}: {text}" for text in found]
            for state in random.Random(number).sample(
                [*after], min(SAMPLE, len(after))
            ):
                try:
                    later.use(state, after[state])
                except Exception:  # noqa: BLE001
                    findings.append(
                        f"{other} after call {number}: {traceback.format_exc()}"
                    )
        of_model = [sum(model in when for when in states.values()) for model in MODELS]
        return Row(name, len(run.calls), *of_model, count, findings)


def broken(run: Run, states: dict[State, set[str]]) -> list[str]:
    """
    Return the promises that states break, but for the one exception.

    The old bytes of a corrupt record may be lost before the answer, if the file
    system makes the second of two renames durable, and not the first.
    """
    found = []
    for state, when in states.items():
        finding = run.finding(state, when)
        if finding is not None and (finding, when) != (NOT_KEPT, {"POSIX"}):
            found.append(f"{finding} ({', '.join(sorted(when))})")
    return found


# Of each kill, so many states are used on the disk; all are read in memory.
SAMPLE = 5

BEGIN = "<!-- made by power_cuts.py -->\n"
END = "<!-- end of the table -->\n"
HEAD = """\
| operation | system calls | ordered | POSIX | after a kill | findings |
|---|---|---|---|---|---|
"""


def updated(text: str, rows: list[Row]) -> str:
    """
    Return the page with the table of all operations between the two markers.
    """
    cells = [(*row[:5], len(row.findings)) for row in rows]
    columns = list(zip(*cells, strict=True))[1:]
    cells.append(("together", *map(sum, columns)))
    table = "".join(
        f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |\n"
        for name, *numbers in cells
    )
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{HEAD}{table.replace(',', ' ')}{END}{after}"


def main() -> int:
    """
    Check every operation and write the page; print the findings.
    """
    for switch in ("CI", "NO_UPDATE_NOTIFIER", "UPGRADE_STATE_DISABLE"):
        os.environ.pop(switch, None)
    # A commit writes its files in the order of a set, which the table depends on.
    if os.environ.get("PYTHONHASHSEED") != "0":
        environ = os.environ | {"PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, *sys.argv], environ)
    if sys.argv[1:]:  # of a test: print the calls only
        if not os.path.isabs(sys.argv[1]):
            sys.exit(__doc__)
        bases = {name: f"{sys.argv[1]}/{i:02}" for i, name in enumerate(OPERATIONS)}
        json.dump([recorded(*item) for item in bases.items()], sys.stdout)
        return 0
    with concurrent.futures.ProcessPoolExecutor() as pool:
        rows = list(pool.map(row, OPERATIONS))
    PAGE.write_text(updated(PAGE.read_text(), rows))
    for each in rows:
        for finding in each.findings:
            sys.stderr.write(f"{each.name}: {finding}\n")
    return int(any(each.findings for each in rows))


def recorded(name: str, base: str) -> list[Any]:
    """
    Return the calls of an operation in a new directory, and what was there before.
    """
    run = Run(base, name)
    calls = [
        (*call[:2], call.more.hex() if call.name == "write" else call.more)
        for call in run.calls
    ]
    return [base, sorted(run.start), calls]


if __name__ == "__main__":
    sys.exit(main())
