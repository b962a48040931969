from __future__ import annotations

import logging
import os
import stat

import pytest

from upgrade_state import _files
from upgrade_state.exceptions import StateReadError, StateWriteError

KEY = "f2662004f1f127e1ee13f55584477bec"


@pytest.fixture
def root(tmp_path):
    """
    A store's directory that has been made.
    """
    root = tmp_path / "cache" / "v1"
    _files.ensure(str(root))
    return root


@pytest.fixture
def place(root):
    """
    One environment in it.
    """
    return _files.Files(str(root), KEY)


def refuse(*_, **__):
    raise PermissionError(13, "Permission denied")


class TestEnsure:
    @pytest.mark.parametrize("umask", [0, 0o077, 0o177, 0o777])
    def test_modes(self, tmp_path, umask):
        """
        Every directory is for the user alone, missing parents as well.
        """
        umask = os.umask(umask)
        try:
            _files.ensure(str(tmp_path / "a" / "b" / "v1"))
        finally:
            os.umask(umask)

        made = [*list((tmp_path / "a").rglob("*")), tmp_path / "a"]
        assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in made}
        assert {"a", "b", "v1", "locks", "logs", "results", "tmp"} == {
            path.name for path in made
        }

    def test_twice(self, root):
        """
        What is there is left as it is.
        """
        root.chmod(0o755)
        _files.ensure(str(root))

        assert 0o755 == stat.S_IMODE(root.stat().st_mode)

    @pytest.mark.parametrize("mode", [0o770, 0o702])
    def test_distrust(self, root, mode):
        """
        Nothing is written where others may write.
        """
        root.chmod(mode)

        with pytest.raises(StateWriteError, match="written to by others") as caught:
            _files.ensure(str(root))
        assert str(root) == caught.value.path

    def test_symlink(self, root, tmp_path):
        """
        Nor behind a symlink, wherever it leads.
        """
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "v1").symlink_to(root)
        (tmp_path / "dangling").symlink_to("none")

        for link in (tmp_path / "other" / "v1", tmp_path / "dangling"):
            with pytest.raises(StateWriteError, match="is a symlink"):
                _files.ensure(str(link))

    @pytest.mark.parametrize("name", _files.SUBDIRECTORIES)
    def test_symlink_below(self, root, tmp_path, name):
        """
        Nor in a subdirectory that is one.
        """
        (root / name).rmdir()
        (root / name).symlink_to(tmp_path)

        with pytest.raises(StateWriteError, match="This is no directory") as caught:
            _files.ensure(str(root))
        assert str(root / name) == caught.value.path

    def test_refused(self, tmp_path, monkeypatch):
        """
        What cannot be made is an error with its path.
        """
        monkeypatch.setattr(os, "mkdir", refuse)

        with pytest.raises(StateWriteError, match="Permission denied") as caught:
            _files.ensure(str(tmp_path / "v1"))
        assert str(tmp_path / "v1") == caught.value.path

    def test_made_meanwhile(self, tmp_path, monkeypatch):
        """
        That another process was faster is fine.
        """
        mkdir = os.mkdir

        def late(path, mode):
            mkdir(path, mode)
            mkdir(path, mode)

        monkeypatch.setattr(os, "mkdir", late)
        _files.ensure(str(tmp_path / "cache" / "v1"))

        assert (tmp_path / "cache" / "v1" / "tmp").is_dir()

    def test_root_at_the_user(self, tmp_path, monkeypatch):
        """
        Root makes nothing in a directory of somebody else.
        """
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "stat", lambda path: _Owned(path, 1000))

        with pytest.raises(StateWriteError, match="Not made by root"):
            _files.ensure(str(tmp_path / "a" / "v1"))
        assert [] == list(tmp_path.iterdir())

    @pytest.mark.parametrize(("user", "owner"), [(1000, 0), (1000, 1000), (0, 0)])
    def test_others_may(self, tmp_path, monkeypatch, user, owner):
        """
        Everybody else may try, and so may root where all is root's.
        """
        monkeypatch.setattr(os, "geteuid", lambda: user)
        monkeypatch.setattr(os, "stat", lambda path: _Owned(path, owner))

        _files.refuse_for_root(str(tmp_path / "a" / "v1"))


class _Owned:
    """
    What `os.stat` says of a directory of another user.
    """

    def __init__(self, path, user):
        assert os.path.lexists(path)
        self.st_uid = user


class TestReplaceRecord:
    def test_mode(self, place):
        """
        A record is for the user alone.
        """
        umask = os.umask(0)
        try:
            _files.replace_record(place, b"{}")
        finally:
            os.umask(umask)

        assert 0o600 == stat.S_IMODE(os.stat(place.record).st_mode)

    @pytest.mark.parametrize("umask", [0o177, 0o777])
    def test_umask(self, place, umask):
        """
        Also if the umask would take that away.
        """
        previous = os.umask(umask)
        try:
            _files.replace_record(place, b"{}")
        finally:
            os.umask(previous)

        assert 0o600 == stat.S_IMODE(os.stat(place.record).st_mode)

    def test_new_file(self, place):
        """
        It is replaced, never modified: who has it open keeps the old one.
        """
        _files.replace_record(place, b"old")
        with open(place.record, "rb") as file:
            _files.replace_record(place, b"new")
            assert b"old" == file.read()

        with open(place.record, "rb") as file:
            assert b"new" == file.read()

    def test_leftovers(self, place, root):
        """
        What a killed writer of this record left is removed, and no other's.
        """
        for name in (f"{KEY}.0123", f"{'0' * 32}.0123", f"{KEY}x"):
            (root / "tmp" / name).touch()
        (root / "tmp" / f"{KEY}.directory").mkdir()
        _files.replace_record(place, b"{}")

        assert {f"{'0' * 32}.0123", f"{KEY}x"} == set(os.listdir(root / "tmp"))

    @pytest.mark.parametrize("call", ["open", "write", "fsync", "close", "replace"])
    def test_failing(self, place, root, monkeypatch, call):
        """
        Whatever fails, the old record is in place and nothing is left.
        """
        _files.replace_record(place, b"old")
        real = getattr(os, call)

        def fail(*args, **more):
            if call == "close":
                real(*args, **more)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(StateWriteError, match="No space left") as caught:
            _files.replace_record(place, b"new")
        monkeypatch.undo()

        assert place.record == caught.value.path
        assert [] == os.listdir(root / "tmp")
        with open(place.record, "rb") as file:
            assert b"old" == file.read()

    def test_interrupted(self, place, root, monkeypatch):
        """
        So it is if somebody loses patience.
        """

        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            _files.replace_record(place, b"new")

        assert [] == os.listdir(root / "tmp")
        assert not os.path.exists(place.record)

    def test_in_pieces(self, place, monkeypatch):
        """
        A system that takes less than it was given gets the rest.
        """
        write = os.write
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
        _files.replace_record(place, b"0123456789")
        monkeypatch.undo()

        with open(place.record, "rb") as file:
            assert b"0123456789" == file.read()


class TestSyncDirectory:
    def test_failure_is_logged(self, root, monkeypatch, caplog):
        """
        What has happened has happened; a failure is for the log.
        """
        monkeypatch.setattr(os, "fsync", refuse)
        with caplog.at_level(logging.DEBUG, "upgrade_state"):
            _files.sync_directory(str(root))

        assert "could not sync the directory" in caplog.text

    def test_no_descriptor_is_left_open(self, root, monkeypatch):
        """
        Nor does a failure leave anything open.
        """
        before = os.listdir("/dev/fd")
        monkeypatch.setattr(os, "fsync", refuse)
        _files.sync_directory(str(root))

        assert before == os.listdir("/dev/fd")


class TestRemove:
    def test_anything(self, tmp_path):
        """
        A file, a symlink and a directory with all that is in it go.
        """
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("target")
        (tmp_path / "directory" / "more").mkdir(parents=True)
        for name in ("file", "link", "directory", "none"):
            _files.remove(str(tmp_path / name))

        assert [] == os.listdir(tmp_path)

    def test_no_symlink_is_followed(self, tmp_path):
        """
        What a symlink leads to stays.
        """
        (tmp_path / "target" / "more").mkdir(parents=True)
        (tmp_path / "link").symlink_to("target")
        _files.remove(str(tmp_path / "link"))

        assert (tmp_path / "target" / "more").is_dir()

    def test_refused(self, tmp_path, monkeypatch):
        """
        What cannot be removed is an error with its path.
        """
        (tmp_path / "file").touch()
        monkeypatch.setattr(os, "unlink", refuse)

        with pytest.raises(StateWriteError, match="Permission denied") as caught:
            _files.remove(str(tmp_path / "file"))
        assert str(tmp_path / "file") == caught.value.path


class TestNamesIn:
    def test_refused(self, tmp_path, monkeypatch):
        """
        A directory that may not be read is an error with its path.
        """
        monkeypatch.setattr(os, "scandir", refuse)

        with pytest.raises(StateReadError, match="Permission denied") as caught:
            list(_files.names_in(str(tmp_path)))
        assert str(tmp_path) == caught.value.path

    def test_missing(self, tmp_path):
        """
        Where there is none there are no names.
        """
        assert [] == list(_files.names_in(str(tmp_path / "none")))


class TestResults:
    def test_kept_whole(self, place):
        """
        What is kept is there under its digest, for the user alone.
        """
        _files.store_results(place, {b"one", b""})

        modes = {e.stat().st_mode & 0o777 for e in os.scandir(place.results)}
        assert ({0o600}, 2) == (modes, len(os.listdir(place.results)))

    def test_directory_in_the_way(self, place):
        """
        A directory under that name is nothing of ours, and goes.
        """
        _files.store_results(place, {b"content"})
        (name,) = os.listdir(place.results)
        path = os.path.join(place.results, name)
        os.unlink(path)
        os.makedirs(os.path.join(path, "more"))
        _files.store_results(place, {b"content"})

        assert os.path.isfile(path)

    def test_written_anew(self, place):
        """
        What a killed check left under that name is not relied on.
        """
        _files.store_results(place, {b"content"})
        (name,) = os.listdir(place.results)
        with open(os.path.join(place.results, name), "wb") as file:
            file.write(b"half")
        _files.store_results(place, {b"content"})

        with open(os.path.join(place.results, name), "rb") as file:
            assert b"content" == file.read()
