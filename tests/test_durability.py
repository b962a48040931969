from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

_REFUSALS = Path(__file__).with_name("refusals.py")

# Only ends a hang.
_LIMIT = 600


def run(name, *args, within=()):
    """
    Return what a function of refusals.py returns in a process of its own.

    Args:
        within: A program that starts it.
    """
    arguments = json.dumps(args, default=str)
    done = subprocess.run(
        [*within, sys.executable, str(_REFUSALS), str(_LIMIT), name, arguments],
        stdout=subprocess.PIPE,
        check=True,
        timeout=_LIMIT + 30,
    )
    return json.loads(done.stdout)


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
