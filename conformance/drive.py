"""
Run the vectors of format v1 against a program that speaks the line protocol.

    python conformance/drive.py [--only KIND] PROGRAM [ARGUMENT...]

README.md beside this file describes the vectors and the protocol. The exit status
is 0 if every vector that the program supports passes, 1 if one fails, and 2 if the
program does not answer. Needs Python 3.11, and a system with flock(2).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VECTORS = Path(__file__).with_name("vectors")
KINDS = ("key", "read", "freshness", "verdict", "claim", "writers")
NOW = "2026-11-20T12:00:00Z"

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
    return not kinds & {"without permission" if is_root else "of another user"}


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
        self.names = [None if name is None else path_bytes(name) for name in names]
        parts = [self.names[0] or b""]
        if self.names[1] is not None or self.names[2] is not None:
            parts.append(self.names[1] or b"")
        if self.names[2] is not None:
            parts.append(self.names[2])
        self.key = hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()
        self.cache, self.root = place, place / "v1"
        self.path = self.root / f"{self.key}.json"
        self.record: dict[str, Any] | None = None
        self.data = self._content()

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
            root.chmod(0o700 if kind == "of another user" else int(kind, 8))
        if self.data is not None:
            self._put_record(self.data, vector.get("kind", "file"))
        for name in vector.get("files", ()):
            path = self._below(name)
            for parent in reversed(path.parents):
                parent.mkdir(0o700, exist_ok=True)
            path.write_text("content")
        for name in vector.get("symlinks", ()):
            path = self._below(name)
            path.parent.mkdir(0o700, exist_ok=True)
            path.symlink_to(self.cache)
        if kind == "of another user":
            os.chown(root, 65_534, -1)

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
            "content": None if content is None else content.encode().hex(),
            "now": vector.get("now", NOW),
        }
        if "new_lockfile" in vector:
            made["new_lockfile"] = vector["new_lockfile"].encode().hex()
        options = (
            *("max_age", "interval", "reminder", "platform", "could_not_check"),
            *("switches", "until", "message", "rows", "format", "checker"),
        )
        return made | {name: vector[name] for name in options if name in vector}

    # The answer

    def problems(self, answer: dict[str, Any]) -> Iterator[str]:
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

    def disk_problems(self, before: dict[str, object]) -> Iterator[str]:
        """
        Compare the store with what the vector says about it after an operation.
        """
        vector = self.vector
        if vector.get("untouched") and before != contents(self.cache):
            yield f"the store has changed: {before} -> {contents(self.cache)}"
        for name in vector.get("gone", ()):
            if os.path.lexists(self._below(name)):
                yield f"{name} is still there"
        for name in vector.get("kept", ()):
            if not os.path.lexists(self._below(name)):
                yield f"{name} is gone"
        if "after" in vector:
            yield from self._record_problems(vector["after"])

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
        for path, mode in modes.items():
            if path.lstat().st_mode & 0o7777 != mode:
                yield f"{path.name} has the mode {path.lstat().st_mode:o}"
        if list(self.root.glob(f"tmp/{self.key}.*")):
            yield "a temporary file is left"
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


def contents(place: Path) -> dict[str, object]:
    """
    Return the mode and content of everything below *place*.
    """
    found: dict[str, object] = {}
    for path in sorted(place.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (status.st_mode, status.st_ino, content)
    return found


# Running


def problems_of(
    vector: dict[str, Any], ask: Callable[[dict[str, Any]], dict[str, Any]], place: Path
) -> list[str]:
    """
    Return why a vector fails; an empty list if it passes.

    Args:
        ask: Returns the answer of the program to a request.

        place: An empty directory.
    """
    if not is_possible(vector):
        return []
    if vector["ask"] == "key":
        names = ("ask", "directory", "lockfile", "name")
        answer = ask({name: vector[name] for name in names})
        return [] if answer == vector["expect"] else [f"got {answer}"]
    case = Case(vector, place)
    case.make_store()
    with case.holding():
        before = contents(place) if vector.get("untouched") else {}
        answer = ask(case.request())
    found = []
    try:
        for problem in chain(case.problems(answer), case.disk_problems(before)):
            found.append(problem)  # noqa: PERF402 - those before an error count
    except (OSError, ValueError, KeyError) as error:
        found.append(f"{error!r} after the answer {answer}")
    return found


class Program:
    """
    A program that answers one request per line.
    """

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the user's program
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """
        Return the answer to *request*.

        Raises:
            EOFError: The program has ended.
        """
        self.send(request)
        return self.receive()

    def send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        try:
            self._process.stdin.write(f"{json.dumps(request)}\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise EOFError("the program has ended") from error

    def receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        line = self._process.stdout.readline()
        if not line:
            raise EOFError("the program has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.communicate()


def _result_of(kind: str, vector: dict[str, Any], program: Program) -> str:
    """
    Return whether a vector has passed, and print why if it has failed.
    """
    place = Path(tempfile.mkdtemp())
    try:
        problems = problems_of(vector, program.ask, place)
    finally:
        shutil.rmtree(place)
    for problem in problems:
        print(f"{kind}: {vector['id']}: {problem}")
    return "failed" if problems else "passed"


def main(arguments: list[str]) -> int:
    """
    Print the vectors that fail, and a summary.
    """
    parser = argparse.ArgumentParser(description="Run the vectors of format v1.")
    parser.add_argument("--only", choices=KINDS, help="vectors of one kind")
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="PROGRAM")
    options = parser.parse_args(arguments)
    if not options.argv:
        parser.error("a program is needed")
    counts = {"passed": 0, "failed": 0, "not supported": 0}
    kinds = [options.only] if options.only else KINDS
    try:
        with contextlib.closing(Program(options.argv)) as program:
            supported = program.ask({"ask": "supports"})["supports"]
            for kind in kinds:
                for vector in load(kind):
                    result = "not supported"
                    if vector["ask"] in supported and is_possible(vector):
                        result = _result_of(kind, vector, program)
                    counts[result] += 1
    except (OSError, EOFError, ValueError, KeyError) as error:
        print(f"no answer: {error!r}")
        return 2
    print(", ".join(f"{count} {result}" for result, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
