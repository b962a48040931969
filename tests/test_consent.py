"""
Consent to automatic checks, and the directory for which it holds.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

from helpers import commit, fail, read_record, root_of, write_record
from upgrade_state import Consent
from upgrade_state._identity import identity

UV = Consent("uv")


class TestConsent:
    def test_options(self):
        """
        Options are any lists of texts, and equal as tuples.
        """
        consent = Consent("uv", copy=["a", "b"], env=iter(["UV_*"]))

        assert Consent("uv", ("a", "b"), ("UV_*",)) == consent
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            consent.recipe = "pip"

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"recipe": ""}, ValueError),
            ({"recipe": "x" * 65}, ValueError),
            ({"copy": "setup.py"}, TypeError),
            ({"copy": [b"setup.py"]}, TypeError),
            ({"copy": [3]}, TypeError),
            ({"copy": [""]}, ValueError),
            ({"copy": ["a\0"]}, ValueError),
            ({"copy": ["\ud800"]}, ValueError),
            ({"env": ["x" * 1001]}, ValueError),
            ({"copy": ["x" * 500], "env": ["x" * 501]}, ValueError),
            ({"copy": ["\u65e5" * 167]}, ValueError),
            ({"copy": ["\x01" * 167]}, ValueError),
            ({"env": ["x"] * 251}, ValueError),
            ({"env": ["TOKEN=secret"]}, ValueError),
        ],
    )
    def test_mistakes(self, fields, error):
        """
        A record has room for short names, and for 1000 characters of options.
        """
        with pytest.raises(error):
            Consent(**({"recipe": "uv"} | fields))

    def test_limit(self):
        """
        Options count as in JSON, with quotes and a comma each.
        """
        assert Consent("x" * 64, ["\u65e5" * 83, "\udce9" * 82], ["x"])

    def test_limit_without_json(self, monkeypatch):
        """
        They do so also in a Python without the C module of json.
        """
        monkeypatch.setitem(sys.modules, "_json", None)

        assert Consent("uv", ["\u65e5" * 166])
        with pytest.raises(ValueError, match="1000 characters"):
            Consent("uv", ["\u65e5" * 167])


class TestRecorded:
    @pytest.mark.parametrize(
        "copy", ["src/shop.py", "caf\udce9", "\u65e5\n", "a/../b", "--x", "\x1b[31m"]
    )
    def test_round_trip(self, shop, copy):
        """
        Names of any bytes are recorded as they are.
        """
        consent = Consent("uv+sandbox", [copy], ["PIP_INDEX_URL", "UV_*"])
        commit(shop, consent=consent)

        look = shop.look()
        assert consent == look.consent == look.information.consent
        with shop.try_check() as check:
            assert consent == check.consent == check.look().consent

    def test_kept(self, shop):
        """
        A check without consent, and a failure, leave the consent as it is.
        """
        commit(shop, checker="uv", consent=UV)
        commit(shop, checker="my manager")
        fail(shop)

        information = shop.look().information
        assert ("my manager", UV) == (information.checker, information.consent)

    def test_none(self, checked):
        """
        Without a recipe that the user ran there is none.
        """
        with checked.try_check() as check:
            nothing = (check.consent, checked.look().consent)

        assert (None, None) == nothing

    def test_no_directory(self, store):
        """
        No consent is recorded for a directory that cannot be examined.
        """
        desk = store.environment("/none", "uv.lock")
        assert commit(desk, consent=UV)

        assert read_record(desk)["consent"] is None

    @pytest.mark.parametrize(
        ("checker", "expected"),
        [
            ("my manager", "my manager"),
            ("a\x1b]0;x", r"a\x1b]0;x"),
            ("\n", r"\n"),
            ("https://u:p@index.example/x", "<URL>"),
            ("\x1b" * 64, r"\x1b" * 16),
        ],
    )
    def test_checker(self, shop, checker, expected):
        """
        A checker's name is recorded without control characters and URLs.
        """
        commit(shop, checker=checker)

        assert expected == shop.look().information.checker


class TestRecordOfOthers:
    @pytest.mark.parametrize(
        ("inode", "holds"), [(0, True), (1, False)], ids=["same", "other"]
    )
    def test_inode_alone(self, shop, inode, holds):
        """
        A consent that another program recorded without a file system is checked, too.
        """
        commit(shop, consent=UV)
        record = read_record(shop)
        del record["consent"]["file_system"]
        record["consent"]["directory"] += inode
        write_record(shop, record)

        assert holds == (shop.look().consent is not None)


class TestWithdraw:
    def test_kept(self, shop):
        """
        Withdrawing changes nothing but the consent.
        """
        commit(shop, consent=UV)
        before = read_record(shop)

        assert shop.withdraw_consent()

        assert shop.look().consent is None
        assert before | {"consent": None} == read_record(shop)

    def test_nothing_known(self, shop):
        """
        Without a record there is nothing to withdraw, and nothing is written.
        """
        assert not shop.withdraw_consent()
        assert not root_of(shop).exists()

    def test_during_a_check(self, shop):
        """
        A check that repeats the recipe does not give the consent again.
        """
        commit(shop, consent=UV)
        with shop.try_check() as check:
            shop.withdraw_consent()
            check.commit(b"newer", checker="uv")

        assert shop.look().consent is None


def mount(*words):
    """
    Mount a file system; skip if that is not permitted.
    """
    command = ["mount", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")


@pytest.fixture
def mounted(place):
    """
    Mount a tmpfs over a place, as often as it is called.
    """
    mounts = []

    def mount_():
        mount("-t", "tmpfs", "none", place)
        mounts.append(place)
        return place

    yield mount_
    for path in mounts:
        subprocess.run(["umount", path], check=True)


class TestIdentity:
    def test_same(self, place, tmp_path):
        """
        Content, mode, owner and a rename away and back are no other directory.
        """
        before = identity(place)
        subprocess.run(["git", "init", "-q", place], check=True)
        subprocess.run(["git", "-C", place, "gc", "-q"], check=True)
        (place / "uv.lock").touch()
        place.chmod(0o755)
        place.rename(tmp_path / "away")
        (tmp_path / "away").rename(place)
        (tmp_path / "link").symlink_to(place)

        assert before == identity(place) == identity(os.fsencode(tmp_path / "link"))

    def test_recreated(self, place):
        """
        A new directory is another one, even if it gets the same inode number.
        """
        seen = set()
        for _ in range(50):
            seen.add(tuple(identity(place).values()))
            shutil.rmtree(place)
            place.mkdir()

        assert len(seen) == 50

    def test_mounted(self, mounted):
        """
        Two mounts are two directories, although their inodes have one number.
        """
        first, second = identity(mounted()), identity(mounted())

        assert first["directory"] == second["directory"]
        assert first["file_system"] != second["file_system"]

    def test_recreated_in_a_container(self, place, tmp_path):
        """
        So is a new directory on overlayfs.
        """
        for name in ("lower", "upper", "work"):
            (tmp_path / name).mkdir()
        options = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper"
        options += f",workdir={tmp_path}/work"
        mount("-t", "overlay", "-o", options, "overlay", place)
        try:
            seen = []
            for _ in range(20):
                (place / "d").mkdir()
                seen.append(identity(place / "d"))
                (place / "d").rmdir()
        finally:
            subprocess.run(["umount", place], check=True)

        assert 20 == len({here["file_system"] for here in seen})

    def test_birth(self, place):
        """
        The time of birth tells new directories with one inode number apart.
        """
        command = ["stat", "-c", "%W", place]
        born = subprocess.run(command, check=True, capture_output=True, text=True)

        system, _, time = identity(place)["file_system"].partition("@")
        assert f"{os.statvfs(place).f_fsid:x}" == system
        assert re.fullmatch(rf"{born.stdout.strip()}\.\d{{9}}", time)

    @pytest.mark.parametrize(
        "libc",
        [
            SimpleNamespace(),
            SimpleNamespace(statx=lambda *_: -1),
            SimpleNamespace(statx=lambda *_: 0),
        ],
        ids=["no statx", "refused", "no time of birth"],
    )
    def test_no_birth(self, place, monkeypatch, libc):
        """
        Without one, the file system and the inode's number are left.
        """
        monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)

        system = f"{os.statvfs(place).f_fsid:x}"
        here = {"directory": place.stat().st_ino, "file_system": system}
        assert here == identity(place)

    def test_time_of_birth(self, place, monkeypatch):
        """
        Where the system has it, the time of birth replaces the rest.
        """

        class Status:
            st_ino = 2**64 - 1
            st_birthtime = 1795148280.25

        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", lambda _: Status)
            found = identity(place)

        assert {"directory": 2**53 - 1, "file_system": "1795148280.250000"} == found

    def test_missing(self, place):
        """
        A directory that does not exist has none.
        """
        assert identity(place / "none") is None


class TestOtherDirectory:
    def renamed(self, path, tmp_path):
        (tmp_path / "other").mkdir()
        path.rename(tmp_path / "away")
        (tmp_path / "other").rename(path)

    def recreated(self, path, _):
        shutil.rmtree(path)
        path.mkdir()

    @pytest.mark.parametrize("change", [renamed, recreated])
    def test_has_none(self, shop, tmp_path, change):
        """
        Another directory at the path has no consent; the record keeps the first one's.
        """
        commit(shop, consent=UV)
        change(self, Path(shop.path), tmp_path)

        look = shop.look()
        with shop.try_check() as check:
            assert (None, None) == (look.consent, check.consent)
        assert UV == look.information.consent

    def test_back(self, shop, tmp_path):
        """
        Once the first directory is back, its consent holds again.
        """
        commit(shop, consent=UV)
        self.renamed(Path(shop.path), tmp_path)
        assert shop.look().consent is None
        commit(shop)

        shutil.rmtree(shop.path)
        (tmp_path / "away").rename(shop.path)

        assert UV == shop.look().consent

    def test_during_a_check(self, shop, tmp_path):
        """
        Consent is for the directory at the beginning of the check.
        """
        with shop.try_check() as check:
            self.renamed(Path(shop.path), tmp_path)
            check.commit(b"new", consent=UV)
            assert check.look().consent is None

        shutil.rmtree(shop.path)
        (tmp_path / "away").rename(shop.path)
        assert UV == shop.look().consent

    def test_before_the_lockfile(self, shop, tmp_path, monkeypatch):
        """
        The directory is examined before its lockfile is read.
        """
        read = "upgrade_state._lockfile.read"

        def replace_and_read(path):
            monkeypatch.undo()
            self.renamed(Path(shop.path), tmp_path)
            return b"of the other"

        monkeypatch.setattr(read, replace_and_read)
        commit(shop, consent=UV)

        assert shop.look().consent is None
