"""
Run the vectors of format v1 against a program that speaks the line protocol.

    python conformance/drive.py [--only KIND] [--race ROUNDS] PROGRAM [ARGUMENT...]

README.md beside this file describes the vectors and the protocol. The exit status
is 0 if every vector that the program supports passes, 1 if one fails, and 2 if the
program does not answer the first request. Needs Python 3.11, and a system with
flock(2).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VECTORS = Path(__file__).with_name("vectors")
KINDS = ("key", "read", "freshness", "verdict", "claim", "writers")
NOW = "2026-11-20T12:00:00Z"

# A program that does not answer a request for so long is killed.
SECONDS = 10

# It removes bits that every file and directory has to have: chmod restores them.
UMASK = 0o277

# Stores that only root can make.
OF_OTHERS = ("of another user", "in a directory of another user")

# Fields that mean null if they are missing.
NULLS = (
    *("environment", "lockfile", "name", "last_checked", "checker", "result"),
    *("last_notified", "notified", "snoozed_until", "failure", "consent"),
    "failure_notified",
)
SPEAKS = ("notify", "cannot-check")
DEFAULTS = {
    "freshness": {"until": None},
    "verdict": {"until": None, "version_changes": 0, "rebuilds": 0, "opaque": False},
}
DEFAULTS["claim"] = DEFAULTS["verdict"]


def load(kind: str) -> list[dict[str, Any]]:
    """
    Return the vectors of a kind.
    """
    vectors: list[dict[str, Any]] = json.loads((VECTORS / f"{kind}.json").read_text())
    return [{"ask": kind} | vector for vector in vectors]


RECORDS: dict[str, dict[str, Any]] = json.loads((VECTORS / "records.json").read_text())


def same(expected: object, found: object) -> bool:
    """
    Compare JSON values: 1 is 1.0, but true is not 1.
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(
            same(value, found[name]) for name, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(same, expected, found))
    if isinstance(expected, bool) or isinstance(found, bool):
        return expected is found
    return expected == found


def canonical(record: dict[str, Any]) -> dict[str, Any]:
    """
    Return *record* with every known field.
    """
    return {"generation": 0} | dict.fromkeys(NULLS) | record


# The store of a vector


def path_bytes(text: str) -> bytes:
    """
    Return the bytes of a path; also of one that no record may have.
    """
    return b"".join(
        bytes([ord(sign) - 0xDC00])
        if "\udc80" <= sign <= "\udcff"
        else sign.encode("utf-8", "surrogatepass")
        for sign in text
    )


def is_possible(vector: dict[str, Any]) -> bool:
    """
    Return whether this user can make the vector's store.
    """
    is_root = os.geteuid() == 0
    kinds = {vector.get("root"), vector.get("kind")}
    kinds.add(vector.get("on_disk", {}).get("kind"))
    return kinds.isdisjoint(["without permission"] if is_root else OF_OTHERS)


class Case:
    """
    One vector: its record, its store, its request, and its answer.
    """

    def __init__(self, vector: dict[str, Any], place: Path) -> None:
        self.vector = vector
        base = RECORDS[vector.get("record") or "shop"]
        identity = vector.get("of", base)
        names = (identity["directory" if "of" in vector else "environment"],)
        names += (identity.get("lockfile"), identity.get("name"))
        self.disk: dict[str, Any] | None = vector.get("on_disk")
        self.place = Path(os.path.realpath(place))
        if self.disk is not None:
            name = self.disk.get("name", names[1])
            names = (os.fsdecode(self.place / "project"), name, names[2])
        self.names = [None if name is None else path_bytes(name) for name in names]
        parts = [self.names[0] or b""]
        if self.names[1] is not None or self.names[2] is not None:
            parts.append(self.names[1] or b"")
        if self.names[2] is not None:
            parts.append(self.names[2])
        self.key = hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()
        self.cache, self.root = self.place, self.place / "v1"
        self.path = self.root / f"{self.key}.json"
        self.record: dict[str, Any] | None = None
        self.data = self._content()
        self._has_paused = False
        self._pause_problems: list[str] = []

    def _content(self) -> bytes | None:
        """
        Return the bytes of the record's file; None: there is none.
        """
        vector = self.vector
        if "hex" in vector:
            return bytes.fromhex(vector["hex"])
        if "text" in vector:
            text = vector["text"]
            for sign, (unit, count) in vector.get("fill", {}).items():
                text = text.replace(sign, unit * count)
            return text.encode().ljust(vector.get("padded_to", 0))
        if vector["record"] is None:
            return None
        self.record = json.loads(json.dumps(RECORDS[vector["record"]]))
        if self.disk is not None:
            names = (name and name.decode() for name in self.names)
            self.record |= zip(("environment", "lockfile", "name"), names, strict=True)
        for dotted, value in vector.get("fields", {}).items():
            part, name = self._part(dotted)
            part[name] = value
        for dotted in vector.get("without", ()):
            part, name = self._part(dotted)
            del part[name]
        return json.dumps(self.record).encode()

    def _part(self, dotted: str) -> tuple[dict[str, Any], str]:
        *parents, name = dotted.split(".")
        part: Any = self.record
        for parent in parents:
            part = part[parent]
        return part, name

    def _below(self, name: str) -> Path:
        return self.root / name.replace("{key}", self.key)

    def make_store(self) -> None:
        if self.disk is not None:
            self._put_lockfile(**self.disk)
        vector, root, kind = self.vector, self.root, self.vector.get("root", "0700")
        if kind == "missing":
            return
        if kind == "below a file":
            self.cache = self.cache / "file"
            self.cache.touch()
            return
        if kind == "file":
            root.touch(0o600)
            return
        if kind == "symlink":
            root.symlink_to("elsewhere")
            (self.cache / "elsewhere").mkdir(0o700)
        else:
            root.mkdir()
            root.chmod(0o700 if kind in OF_OTHERS else int(kind, 8))
        if self.data is not None:
            self._put_record(self.data, vector.get("kind", "file"))
        for name in vector.get("files", ()):
            path = self._below(name)
            for parent in reversed(path.parents):
                parent.mkdir(0o700, exist_ok=True)
            path.write_text("content")
            path.chmod(0o600)
        for name, target in vector.get("symlinks", {}).items():
            path = self._below(name)
            path.parent.mkdir(0o700, exist_ok=True)
            path.symlink_to(self.cache / target)
            if target == "a file":
                (self.cache / target).write_text("content")
        if kind in OF_OTHERS:
            os.chown(root if kind == OF_OTHERS[0] else self.cache, 65_534, -1)

    def _put_lockfile(self, kind: str, content: Any = "old", name: str = "") -> None:
        path = self.place / "project" / (name or (self.names[1] or b"").decode())
        if kind == "the directory is a file":
            path.parent.touch()
            return
        path.parent.mkdir()
        target = path.with_name("target")
        if kind == "directory":
            path.mkdir()
        elif kind == "FIFO":
            os.mkfifo(path)
        elif kind == "endless symlink":
            path.symlink_to(path.name)
        elif kind == "dangling symlink":
            path.symlink_to(target)
        elif kind == "symlink":
            target.write_bytes(bytes_of(content))
            path.symlink_to(target)
        elif kind != "missing":
            path.write_bytes(bytes_of(content))
            path.chmod(0o000 if kind == "without permission" else 0o600)

    def _put_record(self, data: bytes, kind: str) -> None:
        if kind == "directory":
            self.path.mkdir()
        elif kind == "FIFO":
            os.mkfifo(self.path)
        elif kind == "endless symlink":
            self.path.symlink_to(self.path.name)
        elif kind == "symlink":
            (self.cache / "target.json").write_bytes(data)
            self.path.symlink_to(self.cache / "target.json")
        else:
            self.path.write_bytes(data)
            self.path.chmod(0o000 if kind == "without permission" else 0o600)
            # A record that is replaced, and not modified, leaves the link as it is.
            os.link(self.path, self.place / "the record before")

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """
        Hold the locks that the vector names.
        """
        with contextlib.ExitStack() as stack:
            for name in self.vector.get("held", ()):
                lock, _, another = name.partition(" of ")
                key = self.key[::-1] if another else self.key
                path = self.root / "locks" / f"{key}.{lock}"
                path.parent.mkdir(0o700, exist_ok=True)
                file = stack.enter_context(path.open("w"))
                path.chmod(0o600)
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield

    def request(self) -> dict[str, Any]:
        vector = self.vector
        directory, lockfile, name = (
            None if name is None else name.hex() for name in self.names
        )
        content = vector.get("content", "old")
        made: dict[str, Any] = {
            "ask": vector["ask"],
            "cache_dir": str(self.cache),
            "directory": directory,
            "lockfile": lockfile,
            "name": name,
            "content": None if content is None else bytes_of(content).hex(),
            "now": vector.get("now", NOW),
            "switches": vector.get("switches", {}),
        }
        if self.disk is not None:
            made["content"] = None
        if "new_lockfile" in vector:
            made["new_lockfile"] = vector["new_lockfile"].encode().hex()
        options = (
            *("max_age", "interval", "reminder", "platform", "could_not_check"),
            *("until", "message", "rows", "format", "checker", "pause"),
        )
        return made | {name: vector[name] for name in options if name in vector}

    def meanwhile(self) -> None:
        """
        Do what another process does while the program pauses.
        """
        self._has_paused = True
        if self.vector["pause"] != "before-lock":
            self._pause_problems = list(self._replace_problems())
        if "meanwhile" not in self.vector:
            return
        change = self.vector["meanwhile"]
        if not isinstance(change, dict):
            self.path.unlink()
            if change == "a directory":
                self.path.mkdir()
            return
        for dotted, value in change.items():
            part, name = self._part(dotted)
            part[name] = value
        self.data = json.dumps(self.record).encode()
        new = self.place / "new"
        new.write_bytes(self.data)
        new.chmod(0o600)
        new.rename(self.path)

    def _replace_problems(self) -> Iterator[str]:
        """
        Check that the program holds the lock, and whether the record is replaced.
        """
        with (self.root / "locks" / f"{self.key}.write").open("rb") as file:
            try:
                # Refused only if the other lock is exclusive.
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                yield "the write lock is not held, or not exclusive"
            except BlockingIOError:
                pass
        is_check = self.vector["ask"] in ("commit", "fail")
        if not is_check and (self.root / "locks" / f"{self.key}.check").exists():
            yield "the check lock is used"
        is_before = self.vector["pause"] == "before-rename"
        if (self.path.read_bytes() == self.data) is not is_before:
            yield f"the record is not the one of the pause {self.vector['pause']}"
        modes = [path.lstat().st_mode for path in self.root.glob(f"tmp/{self.key}.*")]
        if modes != [0o100600] * is_before:
            yield f"temporary files have the modes {modes}"

    # The answer

    def problems(self, answer: dict[str, Any]) -> Iterator[str]:
        yield from self._pause_problems
        if "pause" in self.vector and not self._has_paused:
            yield "the program did not pause"
        expect = self.vector["expect"]
        if self.vector["ask"] == "read":
            yield from self._read_problems(expect, answer)
            return
        expect = DEFAULTS.get(self.vector["ask"], {}) | expect
        if self.vector["ask"] in ("verdict", "claim"):
            expect["speak"] = expect["reason"] in SPEAKS
        if not same(expect, {name: answer.get(name, "nothing") for name in expect}):
            yield f"expected {expect}, got {answer}"

    def _read_problems(
        self, expect: dict[str, Any], answer: dict[str, Any]
    ) -> Iterator[str]:
        if expect["state"] != answer.get("state"):
            yield f"expected {expect['state']}, got {answer}"
        if expect["state"] != "record":
            return
        found = canonical(answer.get("record") or {})
        if "has" in expect:
            found = {name: found.get(name, "nothing") for name in expect["has"]}
        wanted = expect["has"] if "has" in expect else canonical(self.record or {})
        if not same(wanted, found):
            yield f"expected the record {wanted}, got {found}"

    def disk_problems(self, before: dict[Path, object]) -> Iterator[str]:
        """
        Compare all files with what the vector says about them after an operation.
        """
        vector, after = self.vector, contents(self.place)
        for path in sorted(before.keys() | after.keys()):
            is_ours = self.root in (path, *path.parents) and not self.root.is_symlink()
            may_change = is_ours and not self._is_silent()
            if not may_change and before.get(path) != after.get(path):
                yield f"{path} has changed: {before.get(path)} -> {after.get(path)}"
        if vector.get("kind") == "without permission":
            self.path.chmod(0o600)
        has_replaced = self._has_paused or vector.get("after")
        kept = set(map(self._below, vector.get("kept", ())))
        if has_replaced and {*self.root.glob(f"tmp/{self.key}.*")} - kept:
            yield "a temporary file is left"
        for name in vector.get("gone", ()):
            if os.path.lexists(self._below(name)):
                yield f"{name} is still there"
        for name in vector.get("kept", ()):
            if not os.path.lexists(self._below(name)):
                yield f"{name} is gone"
        if "after" in vector:
            yield from self._record_problems(vector["after"])

    def _is_silent(self) -> bool:
        """
        Return whether the operation may change nothing.
        """
        is_question = self.vector["ask"] in ("read", "freshness", "verdict")
        return is_question or self.vector.get("untouched", False)

    def _record_problems(self, after: dict[str, Any]) -> Iterator[str]:
        data = self.path.read_bytes()
        if not after:
            if data != self.data:
                yield f"the record has changed: {data!r}"
            return
        is_new = self.record is None or self.vector.get("fresh", False)
        wanted = canonical(after if is_new else (self.record or {}) | after)
        found = canonical(json.loads(data))
        if wanted["result"] and wanted["result"]["upgrades"] == "the rows":
            rows = self.vector["rows"]
            stored = self.vector.get("stored_rows", range(len(rows)))
            yield from self._row_problems([rows[n] for n in stored], found)
            wanted["result"] = wanted["result"] | {
                "upgrades": (found["result"] or {}).get("upgrades")
            }
        if not same(wanted, found):
            yield f"expected the record {wanted}, got {found}"
        if not data.isascii() or b"\n" in data:
            yield "the record is not ASCII in one line"
        modes = {
            self.path: 0o600,
            **{self.root / name: 0o700 for name in ("locks", "logs", "results", "tmp")},
        }
        modes |= dict.fromkeys(self.root.glob(f"locks/{self.key}.*"), 0o600)
        for path, mode in modes.items():
            if path.lstat().st_mode & 0o7777 != mode:
                yield f"{path.name} has the mode {path.lstat().st_mode:o}"
        if "results" in self.vector:
            yield from self._result_problems(found)

    def _row_problems(
        self, wanted: list[dict[str, Any]], record: dict[str, Any]
    ) -> Iterator[str]:
        file = record["result"]["upgrades"]
        data = self._stored(file)
        if file != {"digest": digest(data), "size": len(data)}:
            yield "the list of upgrades has another digest or size"
        stored = [json.loads(line) for line in data.splitlines()]
        missing = {"old": [], "new": [], "local": False, "internal": False}
        for field in ("ecosystem", "platform", "environment", "old_build"):
            missing[field] = None
        missing |= {"new_build": None, "direct": None}
        found = [missing | row for row in stored]
        if not same([missing | row for row in wanted], found):
            yield f"expected the rows {wanted}, got {found}"

    def _stored(self, file: dict[str, Any]) -> bytes:
        digits = file["digest"].removeprefix("blake2b:")
        return (self.root / "results" / self.key / digits).read_bytes()

    def _result_problems(self, record: dict[str, Any]) -> Iterator[str]:
        wanted = {digest(text.encode()) for text in self.vector["results"]}
        if record["result"]["upgrades"] is not None:
            wanted.add(record["result"]["upgrades"]["digest"])
        names = {name.removeprefix("blake2b:") for name in wanted}
        found = set(os.listdir(self.root / "results" / self.key))
        if names != found:
            yield f"expected the results {names}, got {found}"


def digest(content: bytes) -> str:
    return f"blake2b:{hashlib.blake2b(content, digest_size=32).hexdigest()}"


def bytes_of(content: str | list[Any]) -> bytes:
    """
    Return the bytes of a content: a text, or a text and how often it is repeated.
    """
    text, count = (content, 1) if isinstance(content, str) else content
    return str(text).encode() * int(count)


def contents(place: Path) -> dict[Path, object]:
    """
    Return the mode and content of everything below *place*.
    """
    found: dict[Path, object] = {}
    for path in place.rglob("*"):
        status = path.lstat()
        is_file = path.is_file() and os.access(path, os.R_OK)
        content = path.read_bytes() if is_file else b""
        found[path] = (status.st_mode, status.st_ino, content)
    return found


# Running


def problems_of(
    vector: dict[str, Any], ask: Callable[..., dict[str, Any]], place: Path
) -> list[str]:
    """
    Return why a vector fails; an empty list if it passes.

    Args:
        ask: Returns the answer of the program to a request. Its second argument is
            called when the program pauses.

        place: An empty directory.
    """
    if not is_possible(vector):
        return []
    if vector["ask"] == "key":
        names = ("ask", "directory", "lockfile", "name")
        answer = ask({name: vector[name] for name in names}, None)
        return [] if answer == vector["expect"] else [f"got {answer}"]
    case = Case(vector, place)
    case.make_store()
    with case.holding():
        before = contents(case.place)
        answer = ask(case.request(), case.meanwhile)
    found = []
    try:
        for problem in chain(case.problems(answer), case.disk_problems(before)):
            found.append(problem)  # noqa: PERF402 - those before an error count
    except (OSError, ValueError, KeyError) as error:
        found.append(f"{error!r} after the answer {answer}")
    return found


class NoAnswerError(Exception):
    """
    The program has ended, has not answered in time, or its answer is no JSON object.
    """


class Program:
    """
    A program that answers one request per line.
    """

    def __init__(self, argv: list[str]) -> None:
        self._argv = argv
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the user's program
            self._argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            umask=UMASK,
            # Python would make directories of bytecode that cannot be changed.
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        )

    def ask(
        self, request: dict[str, Any], meanwhile: Callable[[], None] | None = None
    ) -> dict[str, Any]:
        """
        Return the answer to *request*.

        Args:
            meanwhile: Called when the program pauses.

        Raises:
            NoAnswerError: There is none.
        """
        timer = threading.Timer(SECONDS, self._process.kill)
        timer.start()
        try:
            self.send(request)
            answer = self.receive()
            if meanwhile is not None and answer == {"paused": True}:
                meanwhile()
                self._write(b"\n")
                answer = self.receive()
        finally:
            timer.cancel()
        return answer

    def send(self, request: dict[str, Any]) -> None:
        self._write(f"{json.dumps(request)}\n".encode())

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        try:
            self._process.stdin.write(data)
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise NoAnswerError("the program has ended") from error

    def receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            raise NoAnswerError(
                f"no answer within {SECONDS} s"
                if status == -signal.SIGKILL
                else f"the program has ended with status {status}"
            )
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NoAnswerError(f"no JSON object: {line[:1000]!r}")
        return answer

    def close(self) -> None:
        """
        End the program.
        """
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def restart(self) -> None:
        self._process.kill()
        self.close()
        self.start()


def _result_of(kind: str, vector: dict[str, Any], program: Program) -> str:
    """
    Return whether a vector has passed, and print why if it has failed.
    """
    place = Path(tempfile.mkdtemp())
    try:
        problems = problems_of(vector, program.ask, place)
    except NoAnswerError as error:
        problems = [str(error)]
        program.restart()
    finally:
        shutil.rmtree(place)
    for problem in problems:
        print(f"{kind}: {vector['id']}: {problem}")
    return "failed" if problems else "passed"


def race(
    programs: list[Program], request: dict[str, Any], rounds: int
) -> list[list[str]]:
    """
    Let all programs claim at once, a day later each round, and return the reasons.
    """
    found = []
    for number in range(rounds):
        now = {"now": f"{2027 + number}-01-01T00:00:00Z"}
        # Another order each round, so that each program is the first in some.
        turn = number % len(programs)
        for program in programs[turn:] + programs[:turn]:
            program.send(request | now)
        found.append([program.receive()["reason"] for program in programs])
    return found


def _race_result(argv: list[str], rounds: int) -> int:
    """
    Let eight processes of one program race; print the rounds in which not one speaks.
    """
    place = Path(tempfile.mkdtemp())
    case = Case({"ask": "claim", "record": "shop"}, place)
    case.make_store()
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, place)
        programs = [Program(argv) for _ in range(8)]
        for program in programs:
            stack.callback(program.close)
        found = race(programs, case.request(), rounds)
    wrong = [reasons for reasons in found if reasons.count("notify") != 1]
    for reasons in wrong:
        print(f"race: {reasons.count('notify')} of 8 processes speak: {reasons}")
    print(f"{rounds - len(wrong)} rounds passed, {len(wrong)} failed")
    return 1 if wrong else 0


def main(arguments: list[str]) -> int:
    """
    Print the vectors that fail, and a summary.
    """
    parser = argparse.ArgumentParser(description="Run the vectors of format v1.")
    parser.add_argument("--only", choices=KINDS, help="vectors of one kind")
    parser.add_argument(
        "--race",
        type=int,
        metavar="ROUNDS",
        help="instead, let eight processes claim one notice at once",
    )
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="PROGRAM")
    options = parser.parse_args(arguments)
    if not options.argv:
        parser.error("a program is needed")
    if options.race is not None:
        return _race_result(options.argv, options.race)
    counts = {"passed": 0, "failed": 0, "not supported": 0}
    kinds = [options.only] if options.only else KINDS
    with contextlib.closing(Program(options.argv)) as program:
        try:
            supported = program.ask({"ask": "supports"})["supports"]
        except (NoAnswerError, KeyError) as error:
            print(f"no answer: {error!r}")
            return 2
        for kind in kinds:
            for vector in load(kind):
                needs = {vector["ask"]} | ({"pause"} if "pause" in vector else set())
                result = "not supported"
                if needs <= set(supported) and is_possible(vector):
                    result = _result_of(kind, vector, program)
                counts[result] += 1
    print(", ".join(f"{count} {result}" for result, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
