from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helpers import place_of

_CRASHES = Path(__file__).with_name("crashes.py")

# Only ends a hang.
_LIMIT = 600


def run(name, *args, within=()):
    """
    Return what a function of crashes.py returns in a process of its own.

    Args:
        within: A program that starts it.
    """
    arguments = json.dumps(args, default=str)
    done = subprocess.run(
        [*within, sys.executable, str(_CRASHES), str(_LIMIT), name, arguments],
        stdout=subprocess.PIPE,
        check=True,
        timeout=_LIMIT + 30,
    )
    return json.loads(done.stdout)


class TestKilled:
    @pytest.mark.parametrize("seed", range(2))
    def test_at_random(self, shop, seed, record_property):
        """
        Whenever a writer is killed, the old or the new record is there.

        So are the files it names; its locks are free; the next check cleans up.
        """
        stages = run("kill_at_random", *place_of(shop), 250, seed)

        record_property("stages", stages)
        assert 250 == sum(stages.values())
        assert stages.keys() - {"between two operations"}

    @pytest.mark.parametrize(
        ("prepared", "operation"),
        [
            ("unknown", "commit"),
            ("known", "commit"),
            ("corrupt", "commit"),
            ("known", "fail"),
            ("known", "claim"),
            ("known", "snooze"),
            ("known", "expire"),
            ("known", "forget"),
        ],
    )
    @pytest.mark.parametrize("how", ["before", "torn"])
    def test_at_every_call(self, tmp_path, prepared, operation, how):
        """
        So it is at each system call of every operation, and halfway in a write.
        """
        crashes = run("crash_everywhere", tmp_path, prepared, operation, how)

        assert (operation == "forget" and how == "torn") == (crashes == 0)


# In order, with random parts of names replaced.
FILE = [
    "write results/KEY/FILE.RANDOM",
    "fsync results/KEY/FILE.RANDOM",
    "replace results/KEY/FILE.RANDOM results/KEY/FILE",
]
# The process that made the directories may have died before it synced them.
KEPT = ["fsync results/KEY", "fsync results", "fsync v1"]
RECORD = [
    "lock locks/KEY.write",
    "write tmp/KEY.RANDOM",
    "fsync tmp/KEY.RANDOM",
    "replace tmp/KEY.RANDOM KEY.json",
    "unlock locks/KEY.write",
    "fsync v1",
]


class TestPowerCut:
    """
    After a power cut a name may be old and a content empty, unless it is synced.

    So the order is: the files that a record names, their directory, the record,
    its name; then the answer; then the removal of files that are named no more.
    """

    @pytest.mark.parametrize("operation", ["claim", "snooze", "expire"])
    def test_one_field(self, tmp_path, operation):
        """
        A record is synced before its rename, and the rename before the answer.

        The write lock is released before the rename is synced.
        """
        clean = ["unlink tmp/KEY.0"]

        assert [*RECORD[:1], *clean, *RECORD[1:], "return"] == run(
            "trace", tmp_path, "known", operation
        )

    def test_failure(self, tmp_path):
        """
        The failure of a check is recorded under both locks.
        """
        assert [
            "lock locks/KEY.check",
            "lock locks/KEY.write",
            "unlink tmp/KEY.0",
            *RECORD[1:],
            "unlock locks/KEY.check",
            "return",
        ] == run("trace", tmp_path, "known", "fail")

    def test_commit(self, tmp_path):
        """
        A record follows the files it names; old files go after the old record.
        """
        calls = run("trace", tmp_path, "known", "commit")

        assert [
            "lock locks/KEY.check",
            *FILE * 3,
            *KEPT,
            f"fsync {tmp_path}/shop/cache",
            "lock locks/KEY.write",
            "unlink tmp/KEY.0",
            *RECORD[1:],
        ] == calls[:-4]
        assert ["unlink results/KEY/0", "unlink results/KEY/FILE"] == sorted(
            calls[-4:-2]
        )
        assert ["unlock locks/KEY.check", "return"] == calls[-2:]

    def test_heal(self, tmp_path):
        """
        A corrupt record is set aside under the write lock, never overwritten.
        """
        calls = run("trace", tmp_path, "corrupt", "commit")

        start = calls.index("lock locks/KEY.write")
        assert [
            "lock locks/KEY.write",
            "replace KEY.json KEY.json.corrupt",
            "unlink tmp/KEY.0",
            *RECORD[1:],
        ] == calls[start : start + len(RECORD) + 2]

    def test_first_commit(self, tmp_path):
        """
        A new directory is synced into the one above it.
        """
        above = f"{tmp_path}/shop"

        assert [
            f"mkdir {above}/cache",
            f"fsync {above}",
            "mkdir v1",
            f"fsync {above}/cache",
            *(
                line
                for name in ("locks", "logs", "results", "tmp")
                for line in (f"mkdir {name}", "fsync v1")
            ),
            "lock locks/KEY.check",
            "mkdir results/KEY",
            "fsync results",
            *FILE * 3,
            *KEPT,
            f"fsync {above}/cache",
            *RECORD,
            "unlock locks/KEY.check",
            "return",
        ] == run("trace", tmp_path, "unknown", "commit")

    def test_forget(self, tmp_path):
        """
        The files of a record go after the removal of the record is synced.
        """
        calls = run("trace", tmp_path, "known", "forget")

        gone = calls.index("unlink KEY.json")
        synced = calls.index("fsync v1")
        first = min(i for i, call in enumerate(calls) if call.endswith("FILE"))
        assert gone < synced < first


@pytest.fixture
def own_mounts():
    """
    The start of a command that runs another one in a mount namespace of its own.
    """
    unshare = shutil.which("unshare")
    if unshare is None or sys.platform != "linux":
        pytest.skip("no unshare(1) here")
    for command in ((unshare, "-m"), (unshare, "-rm")):
        mount = "mount -t tmpfs tmpfs /mnt && mount -o remount,ro /mnt"
        if subprocess.run([*command, "sh", "-c", mount], check=False).returncode == 0:
            return command
    pytest.skip("not permitted to mount anything")


NAMES = ("claim", "freshness", "snooze", "commit", "read")
WRITE, READ, LOCK = "StateWriteError", "StateReadError", "StateLockError"


class TestDisk:
    @pytest.mark.parametrize(
        ("disk", "error", "more"),
        [
            ("on_full_disk", WRITE, {"unchanged": True, "temporary": []}),
            ("on_read_only_disk", LOCK, {}),
        ],
    )
    def test_refuses(self, tmp_path, own_mounts, disk, error, more):
        """
        On a full or read-only disk every operation answers, and nothing is lost.
        """
        answers = run(disk, tmp_path, within=own_mounts)

        assert f"{tmp_path}/shop/cache/v1/" in answers.pop("path")
        expected = ("unavailable", "fresh", error, error, "done")
        assert dict(zip(NAMES, expected, strict=True)) | more == answers


@pytest.fixture
def open_place():
    """
    A directory that a process of another user can reach, and owns.
    """
    path = Path(tempfile.mkdtemp())
    try:
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        yield path.resolve()
    finally:
        shutil.rmtree(path)


class TestPermissions:
    @pytest.mark.parametrize(
        ("target", "mode", "path", "expected"),
        [
            ("record", 0, "record", ("unavailable", READ, READ, READ)),
            ("store", 0o500, "record", ("fresh", WRITE, WRITE, "done")),
            ("cache", 0, "store", ("unavailable", READ, WRITE, READ)),
        ],
    )
    def test_modes(self, open_place, target, mode, path, expected):
        """
        A record that may not be read is not absent, and is not overwritten.

        If it cannot be replaced, it stays, and no other file.
        """
        answers = dict(zip(NAMES, ("unavailable", *expected), strict=True))

        assert answers | {"path": path, "temporary": []} == run(
            "with_mode", open_place, target, mode
        )

    @pytest.mark.parametrize(
        "case",
        [
            "read_only_home",
            pytest.param(
                "by_root_in_foreign_home",
                marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
            ),
        ],
    )
    def test_home(self, open_place, case):
        """
        If no store can be made, nothing is known, and only a check raises.

        Root makes nothing in the directory of another user.
        """
        expected = ("nothing-known", "never-checked", "nothing known", WRITE, "done")
        answers = dict(zip(NAMES, expected, strict=True))

        assert answers | {"path": None, "left": []} == run(case, open_place)
