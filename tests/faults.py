"""
Faults in every system call of every operation that writes; see docs/faults.md.

    python tests/faults.py [--most N] [--seed N] [--page FILE] [OPERATION...]

compiles faults.c, and lists the system calls of each operation of operations.py.
For each fault it then restores the state, runs the operation with that fault, and
examines the state. It prints each finding on a line; the exit status is 1 if there
is one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import functools
import gc
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING, Any

import upgrade_state
from operations import (
    CHECK_FIELDS,
    NOON,
    OPERATIONS,
    commit,
    fail,
    new_environment,
    prepared,
    root_of,
)
from upgrade_state import StateStore, UpgradeStateError
from upgrade_state._store import RESULT_FILES, ticket_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from operations import Operation
    from upgrade_state import EnvironmentState

# Syncs take no time there.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

# A lock is waited for up to 10 seconds.
LIMIT = 30

# Which errno a kind of call can return: its man page, and for ESTALE and EIO what
# network file systems and FUSE add. Not EINTR where Linux restarts the call.
_PATH = "EACCES EIO ELOOP ENAMETOOLONG ENOMEM ESTALE"
_CHANGE = f"{_PATH} EPERM EROFS"
_SPACE = f"{_CHANGE} ENOSPC EDQUOT"
_OPEN = f"{_PATH} EMFILE ENFILE EPERM EINTR"
ERRNOS = {
    kind: errnos.split()
    for kinds, errnos in (
        ("stat lstat newfstatat statx access faccessat faccessat2", _PATH),
        ("readlink readlinkat", _PATH),
        ("open openat", _OPEN),
        ("open+create openat+create creat", f"{_OPEN} ENOSPC EDQUOT EROFS"),
        ("fstat", "EIO ENOMEM ESTALE"),
        ("statfs fstatfs", "EIO ENOSYS EINTR ENOMEM ESTALE"),
        ("read pread64", "EIO EINTR ENOMEM ESTALE"),
        ("write pwrite64", "EIO EINTR ENOMEM ESTALE ENOSPC EDQUOT EPERM"),
        ("fsync fdatasync", "EIO EINTR ESTALE ENOSPC EDQUOT EROFS"),
        ("close", "EIO EINTR ESTALE ENOSPC EDQUOT"),
        ("flock", "EIO EINTR ENOLCK ENOSYS ENOMEM ESTALE"),
        ("rename renameat renameat2", f"{_SPACE} ENOSYS"),
        ("mkdir mkdirat", f"{_SPACE} ENOSYS"),
        ("unlink unlinkat rmdir", f"{_CHANGE} ENOSYS"),
        ("chmod fchmodat fchmod", f"{_CHANGE} ENOSYS"),
        ("ftruncate truncate utimensat", f"{_CHANGE} EINTR ENOSPC EDQUOT"),
        ("getdents64", "EIO ENOMEM ESTALE"),
        ("fcntl dup dup3", "EMFILE"),
        ("getrandom", "EINTR ENOSYS EPERM"),
        ("lseek ioctl", ""),  # fail for errors of the program only
    )
    for kind in kinds.split()
}

# The others are refusals: the kernel returns them before it has done anything.
LATE = frozenset(("EIO", "ESTALE", "ENOMEM", "ENOSPC", "EDQUOT"))
TRANSFERS = ("read", "pread64", "write", "pwrite64")

# As in faults.c, in this order.
HOW = (
    *("nothing", "killed", "killed halfway", "before", "after", "for good"),
    *("half", "half, then", "ends early"),
)


@dataclasses.dataclass(frozen=True)
class Fault:
    how: str
    number: int
    kind: str
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.kind} ({self.number}) {self.how} {self.error or ''}"


def faults_of(calls: list[tuple[str, bool]]) -> Iterator[Fault]:
    """
    Yield the faults of system calls in order: each a kind, and whether it failed.
    """
    for number, (kind, has_failed) in enumerate(calls):
        yield Fault("killed", number, kind)
        for error in ERRNOS[kind]:
            if kind != "close":  # Linux closes the descriptor first
                yield Fault("before", number, kind, error)
            if error in LATE and not has_failed and kind != "getdents64":
                yield Fault("after", number, kind, error)
            if error != "EINTR":
                yield Fault("for good", number, kind, error)
        if kind in TRANSFERS:
            yield Fault("half", number, kind)
        if kind in ("write", "pwrite64"):
            yield Fault("killed halfway", number, kind)
            for error in ("ENOSPC", "EIO", "EDQUOT"):
                yield Fault("half, then", number, kind, error)
        if kind in ("read", "pread64"):
            yield Fault("ends early", number, kind)


# The library that makes the faults


class Injector:
    def __init__(self, place: str) -> None:
        path = f"{place}/faults.so"
        source = f"{os.path.splitext(__file__)[0]}.c"
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None or sys.platform != "linux":
            sys.exit("the faults need Linux and a C compiler")
        options = ("-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC")
        subprocess.run([compiler, *options, "-o", path, source], check=True)
        self._library = ctypes.CDLL(path)
        self._library.name_of.restype = ctypes.c_char_p

    def _kind(self, number: int) -> str:
        name: str = self._library.name_of(number).decode()
        return name + ("+create" if number & 128 else "")

    def arm(self, directory: str, fault: Fault | None) -> None:
        """
        Count the calls below *directory* in this process, and let one of them fail.
        """
        how, number, error = 0, 0, 0
        failing = (ctypes.c_ubyte * 256)()
        if fault is not None:
            how, number = HOW.index(fault.how), fault.number
            error = getattr(errno, fault.error or "", 0)
        if how == HOW.index("for good"):
            for kind in range(256):
                failing[kind] = fault.error in ERRNOS.get(self._kind(kind), ())
        if self._library.arm(
            os.fsencode(directory),
            how,
            ctypes.c_long(number),
            ctypes.c_long(error),
            failing,
        ):
            raise OSError("the kernel refuses the filter")

    def disarm(self) -> list[tuple[str, bool]]:
        """
        Stop; return the kinds of the calls so far, and whether each has failed.
        """
        self._library.disarm()
        count = ctypes.c_long.in_dll(self._library, "count").value
        kinds, failed = (
            (ctypes.c_ubyte * 4096).in_dll(self._library, name)
            for name in ("kinds", "failed")
        )
        return [(self._kind(kinds[i]), bool(failed[i])) for i in range(count)]


# One operation, from the same state each time


@contextlib.contextmanager
def child(function: Callable[[TextIO], None]) -> Iterator[TextIO]:
    """
    Let *function* write in a child, whose stdout and stderr go to a file.

    Raises:
        ChildProcessError: On leaving: the child was killed, or *function* raised.
    """
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            output = os.memfd_create("output")
            for fd in (1, 2):
                os.dup2(output, fd)
            with open(theirs, "w", encoding="utf-8") as file:
                function(file)
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with open(ours, encoding="utf-8") as file:
        yield file
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise ChildProcessError(f"the process ended with status {status}")


class Bench:
    """
    An operation, and the state that it starts from.
    """

    def __init__(self, operation: Operation, base: str, injector: Injector) -> None:
        self.operation = operation
        self.base = base
        self.injector = injector
        shop = new_environment(base)
        prepared(shop, operation.state)
        self.root, self.key = root_of(shop), shop.key
        self.record_path = shop.record_path
        self.files = {
            path: (os.stat(path), _content(path)) for path in _below(f"{base}/cache")
        }
        self.lockfiles = {
            path: _content(path)
            for path in _below(f"{base}/shop")
            if os.path.isfile(path)
        }
        self.old = self.record()
        self.bytes = _content(self.record_path)
        with child(self._write_reference) as file:
            facts = json.load(file)
        self.calls, self.answers, self.output, (self.new, self.newer) = (
            facts[name] for name in ("calls", "answers", "output", "records")
        )

    def shop(self) -> EnvironmentState:
        cache, directory = f"{self.base}/cache", f"{self.base}/shop"
        return StateStore(cache).environment(directory, "uv.lock")

    def record(self) -> dict[str, Any] | None:
        """
        Return the record on disk, read without the library; None if there is none.
        """
        try:
            content = _content(self.record_path)
            return None if content is None else json.loads(content)
        except ValueError:
            return None

    def show_calls(self) -> None:
        """
        Print the system calls, and make them once more for `strace`, between marks.
        """
        sys.stdout.write(
            json.dumps([self.operation.name, self.base, self.calls]) + "\n"
        )
        sys.stdout.flush()
        with child(self._run_between_marks):
            pass

    def _run_between_marks(self, _: TextIO) -> None:
        shop = self.shop()
        os.path.exists(f"/begin {self.operation.name}")
        self.operation.run(shop)
        os.path.exists("/end")

    def restore(self) -> None:
        shutil.rmtree(f"{self.base}/cache", ignore_errors=True)
        for path, (status, content) in self.files.items():
            if content is None:
                os.mkdir(path, 0o700)
                continue
            fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
            os.write(fd, content)
            os.close(fd)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _write_reference(self, file: TextIO) -> None:
        """
        Run the operation twice without a fault; write the facts.
        """
        facts = self._run(None)
        records = [self.record()]
        answers = [facts["answer"], self.operation.run(self.shop())]
        records.append(self.record())
        json.dump(facts | {"answers": answers, "records": records}, file)

    def _run(self, fault: Fault | None) -> dict[str, Any]:
        """
        Run the operation with a fault; return its answer and its output.
        """
        shop = self.shop()
        facts: dict[str, Any] = {"answer": None, "error": None, "problems": []}
        before = _descriptors()
        self.injector.arm(self.base, fault)
        try:
            facts["answer"] = self.operation.run(shop)
        except UpgradeStateError as error:
            facts["error"] = str(error)
            if not error.path:
                facts["problems"].append("an error without a path")
        except BaseException:  # noqa: BLE001 - any other is a finding
            facts["problems"].append(traceback.format_exc())
        facts["calls"] = calls = self.injector.disarm()
        if fault is not None and [fault.kind] != [
            kind for kind, _ in calls[fault.number : fault.number + 1]
        ]:
            facts["problems"].append("this call was not made")
        facts["temporary"] = [
            n for n in _below(f"{self.root}/tmp") if n[-17:-16] == "."
        ]
        if before != (after := _descriptors()):
            facts["problems"].append(f"descriptors: {after - before}")
        sys.stdout.flush()
        sys.stderr.flush()
        facts["output"] = os.pread(1, 1 << 16, 0).decode()
        return facts

    def try_all(self, faults: list[Fault]) -> Iterator[tuple[Fault, list[str], str]]:
        """
        Yield each fault, the problems with it, and how the operation ended.
        """
        while faults:
            done = 0
            try:
                with child(functools.partial(self._write_all, faults)) as file:
                    for line in file:
                        yield faults[done], *json.loads(line)
                        done += 1
            except ChildProcessError as error:
                yield faults[done], [str(error)], "?"
                done += 1
            faults = faults[done:]

    def _write_all(self, faults: list[Fault], file: TextIO) -> None:
        """
        Try faults and write a line about each, up to one that changes the process.
        """
        for fault in faults:
            signal.alarm(LIMIT)
            problems, end = self._attempt(fault)
            file.write(json.dumps((problems, end)) + "\n")
            file.flush()
            # Python never again calls a getrandom() that was refused.
            if problems or fault.error in ERRNOS["getrandom"]:
                break

    def _attempt(self, fault: Fault) -> tuple[list[str], str]:
        self.restore()
        os.ftruncate(1, 0)
        os.lseek(1, 0, os.SEEK_SET)
        if fault.how.startswith("killed"):
            pid = os.fork()
            if pid == 0:
                signal.alarm(LIMIT)
                self._run(fault)
                os._exit(0)
            if -signal.SIGKILL != os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
                return ["it was not killed"], "?"
            facts = self._aftermath(fault)
            return facts["problems"], f"{facts['state']}, killed"
        facts = self._run(fault)
        facts |= self._aftermath(fault, facts)
        problems = facts["problems"]
        if not problems:
            problems += self._dishonesty(facts, fault)
        end = facts["answer"] or (facts["error"] or "").partition(":")[0]
        return problems, f"{facts['state']}, {end}"

    def _dishonesty(self, facts: dict[str, Any], fault: Fault) -> Iterator[str]:
        operation, answer, error = self.operation, facts["answer"], facts["error"]
        is_new = facts["state"] == "new"
        is_command = operation.name in ("record", "notify")
        if facts["output"].count("\n") > 2 * is_command:  # a message and its advice
            yield f"output: {facts['output']!r}"
        # What cannot be removed stays until the next write.
        can_remove = fault.how != "for good" and "unlink" not in fault.kind
        if can_remove and operation.state not in ("leftovers", "orphans"):
            yield from facts["temporary"]
        if operation.name == "notify":
            if is_new != (facts["output"] == self.output):
                yield f"{facts['state']}, but said {facts['output']!r}"
        elif error is not None:
            if is_new and operation.owns is not None:
                yield f"the new state, but: {error}"
        elif answer == operation.answer:
            # The error that was recorded, or not, has reached the caller.
            if not is_new and operation.run is not fail:
                yield f"{facts['state']}, but answered {answer}"
        elif operation.name == "prune" and "stat" in fault.kind and not is_new:
            return  # an environment that cannot be examined stays
        elif is_new or answer in ("refused", "dropped"):
            yield f"{facts['state']}, but answered {answer}"

    def _aftermath(
        self, fault: Fault, facts: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """
        Examine the state after a fault, repeat the operation, and look for litter.
        """
        ticket = f"{self.root}/results/{self.key}/{ticket_name(self.record())}.0"
        problems = list(facts["problems"] if facts else ())
        record, operation = self.record(), self.operation
        state = self._state(record)
        if state is None:
            problems.append(f"the record: {record}")
        problems += self._unreadable(record)
        problems += self._locked()
        if operation.state == "corrupt" and self.bytes not in (
            _content(self.record_path),
            _content(f"{self.record_path}.corrupt"),
        ):
            problems.append("the corrupt record is lost")
        if problems:
            return {"state": state, "problems": problems}
        is_lasting = fault.how == "for good" or fault.how.startswith("killed")
        # A creation whose answer is lost may be that of another process.
        is_unknown = fault.how == "after" and "create" in fault.kind
        may_leave = is_lasting or is_unknown or "unlink" in fault.kind
        has_left = may_leave and ticket not in self.files and os.path.exists(ticket)
        answer = operation.run(self.shop())
        again, allowed = self.record(), list(self.answers)
        if operation.owns is not None:
            allowed = [self.answers[state == "new"]]
            expected = self.newer if state == "new" else self.new
            if has_left:  # that costs one notice
                allowed, expected = ["busy", *allowed], self.old
            if operation.run is fail and state == "failure":
                again, expected = (r | {"failure": None} for r in (again, expected))
            if again != expected:
                problems.append(f"after a repetition: {again}")
            commit(self.shop())
        if answer not in allowed:
            problems.append(f"the repetition answered {answer}")
        problems += self._litter()
        return {"state": state, "problems": problems}

    def _state(self, record: dict[str, Any] | None) -> str | None:
        operation = self.operation
        if record == self.new:
            return "new"
        if record == self.old:
            return "old"
        can_fail = operation.owns == CHECK_FIELDS or operation.run is fail
        if record is None or not can_fail:
            return None
        rest = {name: value for name, value in record.items() if name != "failure"}
        if self.old is not None:
            is_kept = rest == {n: v for n, v in self.old.items() if n != "failure"}
        else:
            identity = ("environment", "lockfile", "name")
            is_kept = not any(v for name, v in rest.items() if name not in identity)
        return "failure" if is_kept and record["failure"] else None

    def _named(self, record: dict[str, Any] | None) -> dict[str, str]:
        result = (record or {}).get("result") or {}
        digests = (result[name]["digest"] for name in RESULT_FILES if result.get(name))
        return {f"{self.root}/results/{self.key}/{d[8:]}": d for d in digests}

    def _unreadable(self, record: dict[str, Any] | None) -> Iterator[str]:
        for path, digest in self._named(record).items():
            content = hashlib.blake2b(_content(path) or b"", digest_size=32).hexdigest()
            if f"blake2b:{content}" != digest:
                yield f"a file that the record names: {path}"
        look = self.shop().look()
        if look.error is not None or look.record != record:
            yield f"a reader: {look.error or look.record}"
        elif record and record["result"]:
            look.upgrades()
            look.kept_lockfile("old")
            look.kept_lockfile("new")

    def _locked(self) -> Iterator[str]:
        for name in ("check", "write"):
            try:
                fd = os.open(f"{self.root}/locks/{self.key}.{name}", os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield f"the {name} lock is held"
            finally:
                os.close(fd)

    def _litter(self) -> Iterator[str]:
        key, record = self.key, self.record()
        expected = {f"{self.root}/locks/{key}.{name}" for name in ("check", "write")}
        if record is not None:
            expected |= {self.record_path, *self._named(record)}
        if self.operation.state == "corrupt":
            expected.add(f"{self.record_path}.corrupt")
        for path in _below(self.root):
            is_ticket = os.path.basename(path).startswith("ticket.")
            if not os.path.isdir(path) and path not in expected and not is_ticket:
                yield f"litter: {path}"


def _below(path: str) -> Iterator[str]:
    for directory, _, names in os.walk(path):
        yield directory
        yield from (f"{directory}/{name}" for name in names)


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, IsADirectoryError):
        return None


def _descriptors() -> set[str]:
    return {fd for fd in os.listdir("/proc/self/fd") if not _is_known(fd)}


def _is_known(fd: str) -> bool:
    """
    Return whether it is open for Python: for the list, or if getrandom() is refused.
    """
    try:
        return os.readlink(f"/proc/self/fd/{fd}") == "/dev/urandom"
    except FileNotFoundError:
        return True


# All of them

COLUMNS = {
    "killed": ("killed", "killed halfway"),
    "before": ("before",),
    "after": ("after",),
    "for good": ("for good",),
    "short": ("half", "half, then", "ends early"),
}


def with_tables(page: str, results: dict[str, collections.Counter[str]]) -> str:
    """
    Return *page* with the rows of its two tables replaced.
    """
    total: collections.Counter[str] = collections.Counter()
    for counts in results.values():
        total.update(counts)
    rows = [
        (name, counts["calls"], *columns, counts["findings"])
        for name, counts in (*results.items(), ("together", total))
        for columns in [[sum(counts[how] for how in c) for c in COLUMNS.values()]]
    ]
    by_errnos: dict[str, list[str]] = {}
    for kind, errnos in ERRNOS.items():
        by_errnos.setdefault(" ".join(errnos) or "none", []).append(kind)
    for heading, table in (
        ("operation", rows),
        ("calls", [(" ".join(kinds), errnos) for errnos, kinds in by_errnos.items()]),
    ):
        text = "".join(f"| {' | '.join(map(str, row))} |\n" for row in table)
        head = rf"^(\| {heading} \|.*\n.*\n)(?:\|.*\n)*"
        page = re.sub(head, rf"\g<1>{text}", page, flags=re.MULTILINE)
    return page


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, help="faults of each operation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--page", help="the page whose tables to replace")
    parser.add_argument("--calls", action="store_true", help="print the system calls")
    parser.add_argument("operations", nargs="*", metavar="OPERATION")
    arguments = parser.parse_args()
    gc.freeze()  # no child copies the pages of objects that it does not use
    gc.disable()
    for name in ("UPGRADE_STATE_DISABLE", "NO_UPDATE_NOTIFIER", "CI"):
        os.environ.pop(name, None)
    upgrade_state.preload()
    now = NOON.timestamp() + 1
    time.time = lambda: now
    chance = random.Random(arguments.seed)
    results: dict[str, collections.Counter[str]] = {}
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        injector = Injector(place)
        for name in arguments.operations or OPERATIONS:
            bench = Bench(OPERATIONS[name], f"{place}/{name}", injector)
            if arguments.calls:
                bench.restore()
                bench.show_calls()
                continue
            faults = list(faults_of(bench.calls))
            if arguments.most is not None and arguments.most < len(faults):
                faults = chance.sample(faults, arguments.most)
            results[name] = counts = collections.Counter(calls=len(bench.calls))
            for fault, problems, end in bench.try_all(faults):
                counts[fault.how] += 1
                counts["findings"] += bool(problems)
                counts[end] += 1
                for problem in problems:
                    sys.stdout.write(f"{name}: {fault}: {problem}\n")
            sys.stdout.write(f"{name}: {len(faults)} faults\n")
            sys.stdout.flush()
    if arguments.page is not None:
        with open(arguments.page, "r+", encoding="utf-8") as file:
            page = with_tables(file.read(), results)
            file.seek(0)
            file.truncate()
            file.write(page)
    return any(counts["findings"] for counts in results.values())


if __name__ == "__main__":
    sys.exit(main())
