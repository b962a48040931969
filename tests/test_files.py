"""
The files of a store: their modes, trust in them, and system calls that fail.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import json
import logging
import os
import resource
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import (
    NOON,
    ROWS,
    SECOND,
    WEEK,
    before_lock,
    commit,
    digest_of,
    lock_of,
    path_named,
    read_record,
    refuse,
    refuse_path,
    results_of,
    root_of,
    text_of,
    write_record,
)
from upgrade_state import StateStore, _files, testing
from upgrade_state.exceptions import (
    StateLockError,
    StateReadError,
    StateWriteError,
    UpgradeStateError,
)

SUBDIRECTORIES = ("locks", "logs", "results", "tmp")


@pytest.fixture
def umask():
    """
    Set the umask until the test ends.
    """
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def modes(paths):
    return {stat.S_IMODE(path.lstat().st_mode) for path in paths}


class TestDirectories:
    @pytest.mark.parametrize("mask", [0, 0o077, 0o177, 0o777])
    def test_modes(self, tmp_path, shop, umask, mask):
        """
        Directories are 0700 and files 0600 under any umask, missing parents too.
        """
        store = StateStore(tmp_path / "a" / "b")
        umask(mask)
        environment = store.environment(shop.path, "uv.lock")
        commit(environment)

        made = [tmp_path / "a", *(tmp_path / "a").rglob("*")]
        assert {0o700} == modes(path for path in made if path.is_dir())
        assert {0o600} == modes(path for path in made if path.is_file())
        assert {*SUBDIRECTORIES, f"{environment.key}.json"} == set(
            os.listdir(root_of(environment))
        )

    def test_existing(self, checked):
        """
        An existing directory keeps its mode.
        """
        root_of(checked).chmod(0o755)
        commit(checked)

        assert {0o755} == modes([root_of(checked)])

    @pytest.mark.parametrize("name", SUBDIRECTORIES)
    def test_deleted_below(self, checked, name):
        """
        A subdirectory that was deleted is made again by the next writer.
        """
        for write in (lambda: checked.snooze(NOON), checked.forget):
            shutil.rmtree(root_of(checked) / name)
            assert write()
            assert (root_of(checked) / name).is_dir()

    @pytest.mark.parametrize("name", SUBDIRECTORIES)
    def test_symlink_below(self, checked, tmp_path, name):
        """
        A symlink in the place of a subdirectory is refused.
        """
        shutil.rmtree(root_of(checked) / name)
        (root_of(checked) / name).symlink_to(tmp_path)

        with pytest.raises(StateWriteError, match="is a symlink") as caught:
            commit(checked)
        assert str(root_of(checked) / name) == caught.value.path

    def test_dangling_symlink(self, shop):
        """
        So is a symlink to nothing in the place of the store.
        """
        root_of(shop).parent.mkdir()
        root_of(shop).symlink_to("none")

        with pytest.raises(UpgradeStateError, match="is a symlink"):
            commit(shop)

    def test_refused(self, shop, monkeypatch):
        """
        A directory that cannot be made is an error with its path.
        """
        monkeypatch.setattr(os, "mkdir", refuse())

        with pytest.raises(StateWriteError) as caught:
            commit(shop)
        assert "Could not make the directory (Permission denied)" == (
            caught.value.message
        )
        assert str(root_of(shop)) == caught.value.path

    def test_made_for_all(self, checked, monkeypatch):
        """
        A new directory is refused that others may write to, as on some file systems.
        """
        shutil.rmtree(root_of(checked) / "logs")
        mkdir = os.mkdir

        def make(path, mode, **where):
            mkdir(path, mode, **where)
            if path == "logs":
                os.chmod(path, 0o777, **where)

        monkeypatch.setattr(os, "mkdir", make)

        with pytest.raises(StateWriteError) as caught:
            checked.snooze(NOON)
        assert str(root_of(checked) / "logs") == caught.value.path

    def test_made_meanwhile(self, shop, monkeypatch):
        """
        A directory that another process makes first is used.
        """
        mkdir = os.mkdir

        def late(path, mode, **where):
            mkdir(path, mode, **where)
            mkdir(path, mode, **where)

        monkeypatch.setattr(os, "mkdir", late)

        assert commit(shop)

    @pytest.mark.parametrize(
        ("user", "owner", "made"),
        [(0, 1000, False), (1000, 0, True), (1000, 1000, True), (0, 0, True)],
    )
    def test_root(self, shop, monkeypatch, user, owner, made):
        """
        Root makes no store in a directory of another user; other users may try.
        """

        def owned(stat, by):
            def answer(path, **options):
                status = list(stat(path, **options))
                return os.stat_result([*status[:4], by, *status[5:]])

            return answer

        monkeypatch.setattr(os, "geteuid", lambda: user)
        monkeypatch.setattr(os, "stat", owned(os.stat, owner))
        monkeypatch.setattr(os, "lstat", owned(os.lstat, user))
        monkeypatch.setattr(os, "fstat", owned(os.fstat, user))

        if made:
            assert commit(shop)
        else:
            with pytest.raises(StateWriteError, match="Not made by root in a direct"):
                commit(shop)
            assert not root_of(shop).parent.exists()

    @pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
    @pytest.mark.parametrize("mode", [0o700, 0o777])
    def test_without_modes(self, shop, monkeypatch, mode, number):
        """
        On FAT, chmod fails: a store for its user alone is used, no other one.

        The mount options decide the modes there.
        """
        mkdir, chmod = os.mkdir, os.chmod

        def mounted(path, _, **where):
            mkdir(path, **where)
            chmod(path, mode, **where)

        monkeypatch.setattr(os, "mkdir", mounted)
        monkeypatch.setattr(os, "chmod", refuse(number))
        monkeypatch.setattr(os, "fchmod", refuse(number))

        if mode == 0o700:
            assert commit(shop)
            files = [path for path in root_of(shop).rglob("*") if path.is_file()]
            assert {0o600} == modes(files)
        else:
            message = "may be written to by others .* set UPGRADE_STATE_CACHE_DIR"
            with pytest.raises(StateWriteError, match=message):
                commit(shop)
            assert [] == os.listdir(root_of(shop))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own two homes")
class TestRoot:
    @pytest.fixture
    def home(self, tmp_path, monkeypatch):
        """
        A home of another user.
        """
        (tmp_path / "uv.lock").write_bytes(b"old")
        path = tmp_path / "home"
        path.mkdir()
        os.chown(path, 1000, 1000)
        monkeypatch.setenv("HOME", str(path))
        return path

    @pytest.fixture(params=["nothing", "cache", "store", "symlink"])
    def littered(self, request, home, tmp_path):
        """
        The same, with directories of root from an earlier `sudo`.
        """
        if request.param == "symlink":
            (home / "caches").mkdir()
            (home / ".cache").symlink_to("caches")
        elif request.param == "store":
            os.chown(home, 0, 0)
            commit(StateStore().environment(tmp_path, "uv.lock"), upgrades=ROWS)
            os.chown(home, 1000, 1000)
        elif request.param == "cache":
            (home / ".cache").mkdir()
        return home

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("HOME", "{}/home"),
            ("HOME", "{}/link"),
            ("XDG_CACHE_HOME", "{}/home/.cache"),
            ("UPGRADE_STATE_CACHE_DIR", "{}/home/.cache/upgrade-state"),
            ("UPGRADE_STATE_CACHE_DIR", "{}/link/.cache/upgrade-state"),
        ],
    )
    def test_home(self, littered, tmp_path, monkeypatch, variable, value):
        """
        Root writes nothing in the home of another user, whatever root owns there.
        """
        (tmp_path / "link").symlink_to("home")
        monkeypatch.setenv(variable, value.format(tmp_path))
        before = snapshot(tmp_path)
        environment = StateStore().environment(tmp_path, "uv.lock")

        verb = "used" if root_of(environment).exists() else "made"
        place = "by root in a directory of user 1000; use 'sudo -H', or set"
        with pytest.raises(StateWriteError, match=f"Not {verb} {place}"):
            commit(environment)
        verdict = environment.claim_notice(now=NOON)
        assert verdict.reason in {"nothing-known", "unavailable"}
        assert before == snapshot(tmp_path)

    def test_unknown_owner(self, shop, tmp_path, monkeypatch):
        """
        A directory whose owner cannot be looked up is an error with the store's path.
        """
        refuse_path(monkeypatch, "stat", tmp_path, errno.EIO)
        with pytest.raises(StateWriteError, match="Could not make the dir") as caught:
            commit(shop)
        assert str(root_of(shop)) == caught.value.path

    def test_symlink(self, home, tmp_path):
        """
        A symlink in the home of another user leads root nowhere.
        """
        (tmp_path / "elsewhere").mkdir()
        (home / ".cache").symlink_to(tmp_path / "elsewhere")

        with pytest.raises(StateWriteError, match="directory of user 1000"):
            commit(StateStore().environment(tmp_path))
        assert [] == list((tmp_path / "elsewhere").iterdir())

    @pytest.mark.parametrize(
        ("words", "status"),
        [("check -- true", 2), ("notify --check", 0), ("doctor", 1)],
    )
    def test_process(self, littered, tmp_path, words, status):
        """
        So does a command that is run by `sudo` with the user's HOME.

        An activation does not say so; the others name the variable that helps.
        """
        before = snapshot(tmp_path)

        result = subprocess.run(
            [sys.executable, "-m", "upgrade_state", *words.split()],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )

        assert before == snapshot(tmp_path)
        assert status == result.returncode
        assert status == 0 or "UPGRADE_STATE_CACHE_DIR" in result.stdout

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("HOME", "{}/none"),
            ("HOME", "{}/mine"),
            ("XDG_CACHE_HOME", "{}/mine"),
            ("UPGRADE_STATE_CACHE_DIR", "{}/mine"),
            ("UPGRADE_STATE_CACHE_DIR", "{}/home-of-root"),
        ],
    )
    def test_elsewhere(self, home, tmp_path, monkeypatch, variable, value):
        """
        Directories of root elsewhere are used, and a home that does not exist.
        """
        (tmp_path / "mine").mkdir()
        monkeypatch.setenv(variable, value.format(tmp_path))

        assert commit(StateStore().environment(tmp_path))
        assert [] == list(home.iterdir())


@pytest.fixture
def fail(monkeypatch):
    """
    Let a function of `os` fail in files whose path contains a text.
    """

    def install(name, number, part):
        function = getattr(os, name)

        def failing(*args, **kwargs):
            path = path_named(args[0], **kwargs)
            if part in path:
                if name == "close":  # Linux closes it all the same
                    function(*args)
                raise OSError(number, os.strerror(number), path)
            return function(*args, **kwargs)

        monkeypatch.setattr(os, name, failing)

    return install


REFUSALS = [
    ("open", errno.EROFS),
    ("open", errno.EACCES),
    ("open", errno.ENOSPC),
    ("open", errno.EMFILE),
    ("write", errno.ENOSPC),
    ("write", errno.EDQUOT),
    ("fsync", errno.EIO),
    ("close", errno.EIO),
    ("replace", errno.EXDEV),
    ("replace", errno.EPERM),
]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names no open files")
class TestRefused:
    def left(self, shop):
        return Path(shop.record_path).read_bytes(), os.listdir(root_of(shop) / "tmp")

    @pytest.mark.parametrize("refusal", REFUSALS)
    @pytest.mark.parametrize("operation", ["claim", "snooze"])
    def test_one_field(self, checked, fail, monkeypatch, refusal, operation):
        """
        A notice that cannot be recorded is not given; a snooze raises an error.

        The old record stays, and no temporary file.
        """
        before = self.left(checked)
        fail(*refusal, "/v1/tmp/")

        if operation == "claim":
            verdict = checked.claim_notice(now=NOON)
            error = verdict.error
            assert "unavailable" == verdict.reason
        else:
            with pytest.raises(StateWriteError) as caught:
                checked.snooze(NOON)
            error = caught.value

        assert isinstance(error, StateWriteError)
        assert checked.record_path == error.path
        assert os.strerror(refusal[1]) in error.message
        assert before == self.left(checked)
        monkeypatch.undo()
        assert checked.claim_notice(now=NOON)

    @pytest.mark.parametrize("where", ["/v1/tmp/", "/v1/results/"])
    @pytest.mark.parametrize("refusal", REFUSALS)
    def test_commit(self, checked, fail, monkeypatch, refusal, where):
        """
        A failed commit raises an error, and the files of the old record stay.
        """
        before = self.left(checked)
        with checked.try_check() as check:
            fail(*refusal, where)
            with pytest.raises(StateWriteError) as caught:
                check.commit(b"newer", upgrades=ROWS, now=NOON)
            monkeypatch.undo()

        assert caught.value.path is not None
        assert before == self.left(checked)
        assert b"new" == checked.kept_lockfile("new")
        assert ROWS == checked.upgrades()
        assert not [path for path in results_of(checked).iterdir() if path.suffix]

    def test_cannot_remove(self, checked, fail):
        """
        The error is that of the write if the temporary file cannot be removed, either.
        """
        fail("fsync", errno.ENOSPC, "/v1/tmp/")
        fail("unlink", errno.EROFS, "/v1/tmp/")

        with pytest.raises(StateWriteError, match="Could not write the file"):
            checked.snooze(NOON)

    def test_interrupted(self, checked, monkeypatch):
        """
        Ctrl-C during a write leaves no temporary file either.
        """
        before = self.left(checked)

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            checked.snooze(NOON)

        assert before == self.left(checked)

    def test_directory_is_not_synced(self, checked, caplog, monkeypatch):
        """
        A change is granted if the file system fails to sync a directory.

        That is logged at level debug, and the directory is closed.
        """
        fsync = os.fsync
        descriptors = os.listdir("/dev/fd")

        def failing(fd):
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            fsync(fd)

        monkeypatch.setattr(os, "fsync", failing)
        with caplog.at_level(logging.DEBUG, "upgrade_state"):
            commit(checked, b"newer")
            assert checked.claim_notice(now=NOON)
            assert checked.snooze(NOON)

        assert b"newer" == checked.kept_lockfile("new")
        assert {logging.DEBUG} == {record.levelno for record in caplog.records}
        assert 3 <= caplog.text.count("could not sync the directory")
        assert descriptors == os.listdir("/dev/fd")

    def test_written_in_pieces(self, checked, monkeypatch):
        """
        A write that takes only a part is continued.
        """
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:7]))

        commit(checked, b"a much longer lockfile")
        assert checked.claim_notice(now=NOON)

        monkeypatch.undo()
        assert b"a much longer lockfile" == checked.kept_lockfile("new")

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EIO])
    def test_no_locks(self, checked, monkeypatch, number):
        """
        Without locks nothing is written.

        An activation stays silent; every other operation names the lock.
        """
        before = self.left(checked)
        monkeypatch.setattr(fcntl, "flock", refuse(number))

        verdict = checked.claim_notice(now=NOON)
        assert "unavailable" == verdict.reason
        assert isinstance(verdict.error, StateLockError)
        assert str(lock_of(checked, "write")) == verdict.error.path
        for operate, lock in (
            (lambda: checked.snooze(NOON), "write"),
            (lambda: commit(checked, b"newer"), "check"),
            (checked.forget, "check"),
        ):
            with pytest.raises(StateLockError, match="Could not lock") as caught:
                operate()
            assert str(lock_of(checked, lock)) == caught.value.path
        assert before == self.left(checked)


class TestStale:
    """
    Another machine has replaced a file, and the server has deleted the old one.
    """

    @pytest.mark.parametrize("times", [1, 2])
    def test_stale(self, checked, monkeypatch, times):
        """
        A read that ends in ESTALE is repeated once, that of a result, too.
        """
        fstat, left = os.fstat, []

        def stale(fd):
            if left and path_named(fd).startswith(left[-1]):
                left.pop()
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return fstat(fd)

        monkeypatch.setattr(os, "fstat", stale)
        left += times * [checked.record_path]
        look = checked.look()
        assert ("Stale" in str(look.error)) == (times == 2)

        left += times * [f"{results_of(checked)}/"]
        if times == 1:
            assert b"new" == checked.kept_lockfile("new")
        else:
            with pytest.raises(StateReadError, match="Stale"):
                checked.kept_lockfile("new")
        assert [] == left


class TestReplaced:
    def test_new_file(self, checked):
        """
        A record is replaced, never modified: an open file keeps the old one.
        """
        with open(checked.record_path, "rb") as file:
            checked.snooze(NOON)
            assert json.load(file)["snoozed_until"] is None

        assert NOON == checked.look().information.snoozed_until

    def test_leftovers(self, checked):
        """
        A check removes temporary files of killed writers of this record, no others.

        Any other writer leaves them: where locks do not exclude, theirs is alive.
        """
        tmp, key = root_of(checked) / "tmp", checked.key
        for name in (f"{key}.0123", f"{'0' * 32}.0123", f"{key}x"):
            (tmp / name).touch()
        (tmp / f"{key}.directory").mkdir()
        checked.snooze(NOON)
        checked.expire()
        assert checked.claim_notice(now=NOON)
        assert 4 == len(os.listdir(tmp))

        commit(checked)
        assert {f"{'0' * 32}.0123", f"{key}x"} == set(os.listdir(tmp))

    def test_many_directories(self, checked):
        """
        As many directories as there are not descriptors are deleted.
        """
        for number in range(100):
            (results_of(checked) / str(number)).mkdir()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (90, limits[1]))
        try:
            assert checked.forget()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

        assert not results_of(checked).exists()

    def test_too_large(self, checked):
        """
        A record that would be too large to be read again is not written.
        """
        record = json.loads(Path(checked.record_path).read_bytes())
        large = json.dumps(record | {"notes": "\xe9" * 300_000}, ensure_ascii=False)
        Path(checked.record_path).write_text(large, encoding="utf-8")

        assert "unavailable" == checked.claim_notice(now=NOON).reason
        for write in (lambda: checked.snooze(NOON), lambda: commit(checked)):
            with pytest.raises(StateWriteError, match="too large"):
                write()
        assert large == Path(checked.record_path).read_text(encoding="utf-8")
        assert ROWS == checked.upgrades()

    @pytest.mark.parametrize(("more", "is_written"), [(0, True), (1, False)])
    def test_largest(self, checked, more, is_written):
        """
        A record of 1 MiB is written and read, and no larger one.
        """
        fields = {"snoozed_until": text_of(NOON), "notes": "\xe9"}
        record = read_record(checked) | fields
        size = len(json.dumps(record, separators=(",", ":")))
        record["notes"] += "x" * ((1 << 20) - size + more)
        large = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        Path(checked.record_path).write_text(large, encoding="utf-8")

        with contextlib.nullcontext() if is_written else pytest.raises(StateWriteError):
            checked.snooze(NOON)
        assert is_written == ((1 << 20) == os.path.getsize(checked.record_path))
        assert ROWS == checked.upgrades()

    def test_answer_is_lost(self, checked, monkeypatch):
        """
        A record is replaced if the rename takes effect and fails all the same.
        """
        replace = os.replace

        def failing(*args, **kwargs):
            replace(*args, **kwargs)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(os, "replace", failing)

        assert checked.claim_notice(now=NOON)
        assert checked.snooze(NOON)
        assert commit(checked, b"newer")
        assert b"newer" == checked.kept_lockfile("new")

    @pytest.mark.parametrize("name", ["shop", "checked"])
    def test_deleted_meanwhile(self, request, name, monkeypatch):
        """
        A temporary file that is gone is no replaced record.
        """
        shop = request.getfixturevalue(name)
        before = shop.look().record

        def failing(source, _, *, src_dir_fd, **__):
            os.unlink(source, dir_fd=src_dir_fd)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

        with monkeypatch.context() as patch, shop.try_check() as check:
            patch.setattr(os, "replace", failing)
            with pytest.raises(StateWriteError, match="No such file"):
                check.commit(b"newer", now=NOON)
        assert before == shop.look().record


class TestRemoved:
    def test_anything(self, checked, tmp_path):
        """
        Files, directories and symlinks go; the target of a symlink stays.
        """
        (tmp_path / "target" / "more").mkdir(parents=True)
        results_of(checked).joinpath("link").symlink_to(tmp_path / "target")
        results_of(checked).joinpath("directory", "more").mkdir(parents=True)
        assert checked.forget()

        assert not results_of(checked).exists()
        assert (tmp_path / "target" / "more").is_dir()

    def test_symlink(self, checked, tmp_path):
        """
        A symlink in the place of a directory goes, and its target stays.
        """
        results_of(checked).rename(tmp_path / "target")
        results_of(checked).symlink_to(tmp_path / "target")
        assert checked.forget()

        assert not results_of(checked).is_symlink()
        assert 3 == len(os.listdir(tmp_path / "target"))

    def test_refused(self, checked, fail):
        """
        A file that cannot be removed is an error with its path.
        """
        fail("unlink", errno.EACCES, checked.record_path)

        with pytest.raises(StateWriteError, match="Permission denied") as caught:
            checked.forget()
        assert checked.record_path == caught.value.path


class TestIteration:
    @pytest.fixture
    def swap(self, checked, monkeypatch):
        """
        Change the directory of the store after it was examined, before it is opened.
        """
        root, function = root_of(checked), os.open

        def install(change):
            def late(path, *args, **options):
                if path == str(root):
                    monkeypatch.undo()
                    change(root)
                return function(path, *args, **options)

            monkeypatch.setattr(os, "open", late)

        return install

    def test_renamed(self, checked, store, tmp_path):
        """
        The store that was opened is read to its end, also under another name.
        """
        other = store.environment(tmp_path / "other")
        commit(other)
        found = iter(store)
        first = next(found)
        root_of(checked).rename(tmp_path / "old")

        assert {checked.key, other.key} == {first.key, *(e.key for e in found)}

    def test_deleted(self, store, swap):
        """
        A store that is deleted before it is opened is empty.
        """
        swap(shutil.rmtree)

        assert [] == list(store)

    def test_not_trusted(self, store, swap):
        """
        The directory that was opened is examined again.
        """
        swap(lambda root: root.chmod(0o777))

        with pytest.raises(StateReadError, match="may be written to by others"):
            list(store)

    def test_symlink(self, store, swap):
        """
        A symlink that takes the place of the store is not followed.
        """

        def change(root):
            root.rename(root.with_name("old"))
            root.symlink_to("old")

        swap(change)

        with pytest.raises(StateReadError, match="Could not read the directory"):
            list(store)

    def test_unreadable(self, store, checked, fail):
        """
        A record that cannot be read is one with an error.
        """
        fail("open", errno.EACCES, checked.key)

        (look,) = store.looks()
        assert isinstance(look.error, StateReadError)
        assert (checked.key, False) == (look.environment.key, look.is_corrupt)

    def test_refused(self, store, checked, monkeypatch):
        """
        A directory that cannot be listed is an error with its path.
        """
        monkeypatch.setattr(os, "scandir", refuse())

        with pytest.raises(StateReadError, match="Permission denied") as caught:
            list(store)
        assert str(root_of(checked)) == caught.value.path


class TestTickets:
    @staticmethod
    def names(environment):
        return sorted(path.name for path in results_of(environment).glob("ticket.*"))

    def test_one_per_notice(self, checked):
        """
        A ticket is named by the times of the last notices, before the new one.
        """
        assert checked.claim_notice(now=NOON)
        assert checked.claim_notice(now=NOON + WEEK)

        assert ["ticket.0.0.0", "ticket.20261120120000.0.0"] == self.names(checked)
        assert {0o600} == modes(results_of(checked).glob("ticket.*"))

    def test_taken(self, checked):
        """
        A claim is silent if another process has the ticket, and records nothing.
        """
        before = read_record(checked)
        (results_of(checked) / "ticket.0.0.0").touch()

        assert "busy" == checked.claim_notice(now=NOON).reason
        assert before == read_record(checked)
        assert ["ticket.0.0.0"] == self.names(checked)

    def test_second_look(self, checked, monkeypatch):
        """
        A claim looks at the record under the lock, before it creates a ticket.

        So a silent one creates none, and an overtaken one is not merely busy.
        """
        before_lock(monkeypatch, lambda: checked.snooze(NOON + WEEK))
        assert "snoozed" == checked.claim_notice(now=NOON).reason
        assert [] == self.names(checked)

        checked.snooze(None)
        before_lock(monkeypatch, lambda: checked.claim_notice(now=NOON))
        assert "told-recently" == checked.claim_notice(now=NOON).reason

    def test_lost_update(self, checked):
        """
        A record from before a notice does not repeat the notice.
        """
        before = read_record(checked)
        assert checked.claim_notice()
        write_record(checked, before)

        assert "busy" == checked.claim_notice().reason

    def test_old(self, checked):
        """
        A process that died with the ticket costs one notice: a pause later it is void.
        """
        ask = functools.partial(checked.claim_notice, interval=SECOND, reminder=SECOND)
        (results_of(checked) / "ticket.0.0.0").touch()
        assert "busy" == ask().reason
        time.sleep(1.1)

        assert ask()
        assert ["ticket.0.0.0", "ticket.0.0.1"] == self.names(checked)

    def test_old_of_failures(self, checked):
        """
        The pause of a notice about failures is the interval, not the reminder.
        """
        assert checked.claim_notice(now=NOON)
        (results_of(checked) / "ticket.20261120120000.0.0").touch()
        for moment in (NOON, NOON + WEEK):
            testing.add_failure(checked, OSError("no route"), at=moment)
        lengths = {"interval": SECOND, "reminder": 3 * WEEK, "could_not_check": WEEK}
        ask = functools.partial(checked.claim_notice, now=NOON + WEEK, **lengths)
        assert "busy" == ask().reason
        time.sleep(1.1)

        assert "cannot-check" == ask().reason

    def test_interval_zero(self, checked):
        """
        Without an interval every claim speaks, several in one second, too.
        """
        assert all(checked.claim_notice(interval=0 * SECOND, now=NOON) for _ in "abc")
        assert [] == self.names(checked)

    @pytest.mark.parametrize("interval", [None, 0 * SECOND])
    def test_error(self, checked, monkeypatch, interval):
        """
        A notice that cannot be recorded leaves no ticket, so the next claim speaks.
        """
        ask = functools.partial(checked.claim_notice, interval=interval, now=NOON)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse(errno.EIO))
            assert "unavailable" == ask().reason
        assert [] == self.names(checked)

        assert ask()

    def test_no_exclusive_creation(self, checked, monkeypatch):
        """
        Without a ticket there is no notice.
        """
        ticket = results_of(checked) / "ticket.0.0.0"
        refuse_path(monkeypatch, "open", ticket, errno.ENOTSUP)
        verdict = checked.claim_notice(now=NOON)

        assert "unavailable" == verdict.reason
        assert "create a ticket" in verdict.error.message

    def test_missing_directory(self, checked):
        """
        The directory of the results is made again.
        """
        shutil.rmtree(results_of(checked))
        assert checked.claim_notice(lockfile=b"old", now=NOON)

        assert ["ticket.0.0.0"] == self.names(checked)
        assert {0o700} == modes([results_of(checked)])

    def test_commit(self, checked, monkeypatch):
        """
        A commit keeps tickets of its own record and new ones, and deletes the others.
        """
        assert checked.claim_notice(now=NOON)
        assert checked.claim_notice(now=NOON + WEEK)
        own = f"ticket.{NOON + WEEK:%Y%m%d%H%M%S}.0.1"
        (results_of(checked) / own).touch()
        before = self.names(checked)
        commit(checked)
        assert before == self.names(checked)

        monkeypatch.setattr(_files, "_MINUTES", -1)
        commit(checked)
        assert [own] == self.names(checked)

    def test_spoken_meanwhile(self, checked, monkeypatch):
        """
        After it has created its ticket, a claim looks for another notice once more.

        Locks that exclude nobody let a commit delete the ticket of that one. Then it
        writes nothing.
        """
        make = _files.ticket

        def after_another(*arguments):
            write_record(checked, read_record(checked) | {"last_notified": told})
            found.append(os.stat(checked.record_path))
            return make(*arguments)

        told, found = text_of(NOON), []
        monkeypatch.setattr(_files, "ticket", after_another)

        assert "told-recently" == checked.claim_notice(now=NOON).reason
        assert found == [os.stat(checked.record_path)]


class TestResults:
    def test_kept_files(self, checked):
        """
        Only the files that the record names stay in the directory of results.
        """
        results_of(checked).joinpath("litter").mkdir()
        commit(checked, b"newer")

        contents = {path.read_bytes() for path in results_of(checked).iterdir()}
        assert {b"old", b"newer"} == contents

    def test_cannot_examine(self, checked, fail):
        """
        A ticket whose age is not known is left for the next check.
        """
        ticket = results_of(checked) / "ticket.1.0.0"
        ticket.touch()
        fail("lstat", errno.EIO, "ticket.")

        assert commit(checked, b"newer")
        assert ticket.exists()

    def test_cannot_remove(self, checked, fail, monkeypatch):
        """
        An old file that cannot be removed is left for the next check.
        """
        fail("unlink", errno.EACCES, "/results/")
        assert commit(checked, b"newer")
        assert 4 == len(os.listdir(results_of(checked)))

        monkeypatch.undo()
        commit(checked, b"newest")
        assert 2 == len(os.listdir(results_of(checked)))

    def test_nested_too_deeply(self, checked):
        """
        Directories that are nested deeper than Python's stack are an error with a path.
        """
        (results_of(checked) / "/".join("d" * 300)).mkdir(parents=True)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(250)
        try:
            with pytest.raises(StateWriteError, match="nested too deeply"):
                checked.forget()
        finally:
            sys.setrecursionlimit(limit)

        assert checked.forget()

    @pytest.mark.parametrize("content", [b"new", b""])
    @pytest.mark.parametrize(
        "in_the_way",
        [
            "directory",
            "half a file",
            "other bytes",
            "symlink",
            "nothing",
            "another mode",
        ],
    )
    def test_replaced(self, checked, tmp_path, content, in_the_way):
        """
        A damaged file of a result, or something else in its place, is replaced.
        """
        commit(checked, content)
        (path,) = (
            p for p in results_of(checked).iterdir() if p.read_bytes() == content
        )
        path.unlink()
        if in_the_way == "directory":
            (path / "more").mkdir(parents=True)
        elif in_the_way == "symlink":
            (tmp_path / "elsewhere").write_bytes(content)
            path.symlink_to(tmp_path / "elsewhere")
        elif in_the_way == "another mode":  # by a `chmod -R`
            path.write_bytes(content)
            path.chmod(0o644)
        elif in_the_way != "nothing":
            path.write_bytes(b"n" if in_the_way == "half a file" else b"odd")
        commit(checked, content)

        assert stat.S_IFREG | 0o600 == path.lstat().st_mode
        assert content == path.read_bytes() == checked.kept_lockfile("new")

    def test_kept(self, checked):
        """
        A whole file that the record names is not written again; others are.
        """
        (results_of(checked) / digest_of(b"newer")[8:]).write_bytes(b"newer")

        def inodes():
            paths = results_of(checked).iterdir()
            return {path.read_bytes(): path.stat().st_ino for path in paths}

        before = inodes()
        commit(checked, b"newer")
        after = inodes()

        assert before[b"old"] == after[b"old"]
        assert before[b"newer"] != after[b"newer"]

    def test_synced(self, checked, monkeypatch):
        """
        A commit of the same lockfiles syncs the record and its directory only.
        """
        synced = []
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
        commit(checked)

        paths = Path(checked.record_path), root_of(checked)
        assert [path.stat().st_ino for path in paths] == synced


# Stores that are not to be trusted


def make_symlink(root):
    root.rename(root.with_name("elsewhere"))
    root.symlink_to("elsewhere")


def make_file(root):
    root.rename(root.with_name("elsewhere"))
    root.touch()


def make_group_writable(root):
    root.chmod(0o770)


def make_world_writable(root):
    root.chmod(0o702)


def make_foreign(root):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(root, 65534, 65534)


SPOIL = {
    make_symlink: "is a symlink",
    make_file: "is no directory",
    make_group_writable: "written to by others",
    make_world_writable: "written to by others",
    make_foreign: "belongs to user 65534",
}


def snapshot(directory):
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }


@pytest.mark.parametrize("spoil", SPOIL)
class TestDistrust:
    def test_activation(self, checked, spoil):
        """
        A store that is not the user's alone is not believed.
        """
        root = root_of(checked)
        spoil(root)
        before = snapshot(root.parent)

        verdict = checked.claim_notice(now=NOON)
        look = checked.look(now=NOON)
        freshness = look.freshness()

        assert "unavailable" == verdict.reason == freshness.reason
        assert not freshness.due
        assert str(root) == verdict.error.path == look.error.path
        assert SPOIL[spoil] in str(verdict)
        assert before == snapshot(root.parent)

    @pytest.mark.parametrize(
        "operation",
        ["upgrades", "kept_lockfile", "snooze", "forget", "check", "list", "prune"],
    )
    def test_everything_else(self, store, checked, spoil, operation):
        """
        Every other operation raises an error with its path, and changes nothing.
        """
        operate = {
            "upgrades": checked.upgrades,
            "kept_lockfile": lambda: checked.kept_lockfile("new"),
            "snooze": lambda: checked.snooze(NOON),
            "forget": checked.forget,
            "check": lambda: commit(checked, b"newer"),
            "list": lambda: list(store),
            "prune": store.prune,
        }
        root = root_of(checked)
        spoil(root)
        before = snapshot(root.parent)

        with pytest.raises(UpgradeStateError, match=SPOIL[spoil]) as caught:
            operate[operation]()

        assert str(root) == caught.value.path
        assert before == snapshot(root.parent)
