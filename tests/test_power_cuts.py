"""
After a power cut the old or the new record is there, and the files that it names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import power_cuts
from operations import OPERATIONS
from power_cuts import Call, Disk, Run

# Calls on files that change no name and no content. A mode is right from the start.
HARMLESS = {
    "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat",
    "statx", "readlink", "readlinkat", "statfs", "fstatfs", "getcwd", "chdir",
    "read", "pread64", "lseek", "getdents64", "fcntl", "ioctl", "close",
    "chmod", "fchmod", "fchmodat", "open", "openat",
}  # fmt: skip

MEANINGS = {
    "mkdirat": "mkdir",
    "unlink": "remove",
    "unlinkat": "remove",
    "rmdir": "remove",
    "renameat": "rename",
    "renameat2": "rename",
    "fsync": "sync",
}


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    """
    Sync nothing: no test loses power.
    """
    monkeypatch.setattr(os, "fsync", lambda fd: None)


class TestStates:
    @pytest.mark.parametrize("name", OPERATIONS)
    def test_every_cut(self, tmp_path, name):
        """
        At every call the state is the old or the new one, and after the answer new.

        Only the bytes of a corrupt record can be lost, and only under POSIX. Files
        change under the lock that protects them, and no directory is synced there.
        """
        run = Run(str(tmp_path), name)
        states = run.states()

        assert [] == power_cuts.broken(run, states)
        lost = [state for state, when in states.items() if run.finding(state, when)]
        assert (run.corrupt is not None) == bool(lost)
        assert [] == run.misplaced()

    @pytest.mark.parametrize("name", ["commit over a corrupt record", "claim"])
    def test_next_operations(self, tmp_path, name):
        """
        Every state can be read and used, and the next check removes leftovers.
        """
        run = Run(str(tmp_path), name)

        for state, when in run.states().items():
            if "ordered" in when:
                run.use(state, when)

    @pytest.mark.parametrize("name", ["commit", "failure"])
    def test_after_kill(self, tmp_path, name):
        """
        An operation makes durable the directories of one that was killed.
        """
        killed = Run(str(tmp_path), "first commit")
        for number, call in enumerate(killed.calls, 1):
            if call.name == "mkdir":
                run = Run(str(tmp_path), name, (killed, number))
                assert [] == power_cuts.broken(run, run.states()), call


class TestModel:
    def test_states(self):
        """
        The models list each state of two renames, and no other.
        """
        disk = Disk({"a": None, "b": None, "a/old": b"1"})
        disk.apply(Call("create", "a/new"))
        disk.apply(Call("write", "a/new", b"22"))
        disk.apply(Call("sync", "a/new"))
        disk.apply(Call("rename", "a/old", "b/kept"))
        disk.apply(Call("rename", "a/new", "a/old"))
        disk.apply(Call("sync", "b"))

        def states(model):
            return sorted(
                " ".join(
                    f"{path}={data.decode()}"
                    for path, data in sorted(tree.items())
                    if data is not None
                )
                for tree in disk.trees(model)
            )

        assert [
            "a/new=22 b/kept=1",
            "a/old=22 b/kept=1",
        ] == states("ordered")
        assert [
            "a/new=22 a/old=1 b/kept=1",
            "a/new=22 b/kept=1",
            "a/old=1 b/kept=1",
            "a/old=22 b/kept=1",
            "b/kept=1",
        ] == states("POSIX")

    def test_contents(self):
        """
        Content that is not synced may be old, empty, half, zero or new.
        """
        disk = Disk({"a": b"old"})
        for call in (Call("truncate", "a"), Call("write", "a", b"1234")):
            disk.apply(call)

        expected = {b"old", b"", b"12", bytes(4), b"1234"}
        for model in power_cuts.MODELS:
            assert expected == {tree["a"] for tree in disk.trees(model)}

    def test_every_sync_is_needed(self, tmp_path):
        """
        Without any sync of a commit or a removal, a promise is broken.
        """
        for name in ("commit", "forget"):
            run = Run(str(tmp_path / name), name)
            for call in [call for call in run.calls if call.name == "sync"]:
                # Only a killed operation leaves this directory unsynced.
                if call.path != "cache/v1/results":
                    whole = list(run.calls)
                    run.calls.remove(call)
                    assert power_cuts.broken(run, run.states()), call
                    run.calls = whole


class TestRecording:
    @pytest.mark.power_cut
    def test_sees_every_call(self, tmp_path):
        """
        strace sees the same changes of the store in the same order, with their bytes.
        """
        strace, log = shutil.which("strace"), tmp_path / "log"
        options = ("-f", "-y", "-xx", "-s", "4096", "-e", "trace=%file,%desc")
        command = [str(strace), *options, "-o", str(log)]
        if strace is None or subprocess.run([*command, "true"], check=False).returncode:
            pytest.skip("no strace(1) here, or not permitted")
        environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
        done = subprocess.run(
            [*command, sys.executable, power_cuts.__file__, str(tmp_path)],
            stdout=subprocess.PIPE,
            check=True,
            env=environ,
        )
        lines = log.read_text().splitlines()

        for base, start, calls in json.loads(done.stdout):
            assert [tuple(call) for call in calls] == traced(lines, base, {*start})


def traced(lines: list[str], base: str, paths: set[str]) -> list[tuple[str, ...]]:
    """
    Return the calls in strace's lines that change the store below *base*.

    Args:
        paths: The files that exist before.
    """
    marks = hexed(f"{base}/begin"), hexed(f"{base}/end")
    begin, end = (next(n for n, line in enumerate(lines) if m in line) for m in marks)
    needle = hexed(base)
    found: list[tuple[str, ...]] = []
    held: set[str] = set()
    for line in lines[begin + 1 : end]:
        name, args, result = re.match(r"\d+ +(\w+)\((.*)\) += (\S+)", line).groups()
        if result == "-1" or needle not in args:
            continue
        above, places, data = "", [], b""
        for mark, text in re.findall(r'([<"])((?:\\x..)*)[>"]', args):
            data = bytes.fromhex(text.replace("\\x", ""))
            path = os.fsdecode(data)
            if mark == "<":
                above = path
            elif name != "write" and path:
                places.append(os.path.join(above, path))
        path, *target = [place[len(base) + 1 :] for place in places or [above]]
        if path and not path.startswith("cache"):
            continue
        flags = {*re.findall("[A-Z_]+", args)}
        if "O_CREAT" in flags and path not in paths:
            name = "create"
        elif name == "flock":
            name = "unlock" if "LOCK_UN" in flags else "lock"
        elif name == "close" and path in held:
            name = "unlock"
        elif "O_TRUNC" in flags:
            name = "truncate"
        name = MEANINGS.get(name, name)
        if name not in HARMLESS:
            more = data[: int(result)].hex() if name == "write" else (*target, None)[0]
            found.append((name, path, more))
        paths = {*paths, *target, path} - ({path} if name == "remove" else set())
        held = held ^ {path} if name in ("lock", "unlock") else held
    return found


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


class TestPage:
    def test_is_complete(self):
        """
        The table has every operation and no finding: else run power_cuts.py.
        """
        table = power_cuts.PAGE.read_text().split(power_cuts.BEGIN)[1]
        rows = [line.split(" | ") for line in table.split("\n| ")[1:]]

        names = [row[0] for row in rows if not row[0].startswith("-")]
        assert [*OPERATIONS, "together"] == names
        assert all(row[-1].startswith("0 |") for row in rows)

    def test_table(self):
        """
        The table has one row for each operation, and the sums.
        """
        rows = [
            power_cuts.Row("claim", 7, 6, 7, 1500, []),
            power_cuts.Row("forget", 13, 9, 68, 9694, ["another record"]),
        ]
        page = power_cuts.updated(f"a\n{power_cuts.BEGIN}b{power_cuts.END}c\n", rows)

        assert [
            "| claim | 7 | 6 | 7 | 1 500 | 0 |",
            "| forget | 13 | 9 | 68 | 9 694 | 1 |",
            "| together | 20 | 15 | 75 | 11 194 | 1 |",
        ] == page.splitlines()[4:7]
