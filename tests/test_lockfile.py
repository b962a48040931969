from __future__ import annotations

import os

import pytest

from upgrade_state import _lockfile, _record
from upgrade_state.exceptions import StateReadError


def file_of(content: bytes) -> dict[str, object]:
    return {"digest": _record.digest(content), "size": len(content)}


@pytest.fixture
def lockfile(tmp_path):
    path = tmp_path / "uv.lock"
    path.write_bytes(b"content")
    return path


@pytest.fixture(
    params=["gone", "directory", "fifo", "device", "endless", "below a file"]
)
def odd(request, tmp_path, lockfile):
    """
    What may lie in the place of a lockfile.
    """
    path = tmp_path / "odd"
    if request.param == "directory":
        path.mkdir()
    elif request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "device":
        path.symlink_to("/dev/null")
    elif request.param == "endless":
        path.symlink_to("/dev/zero")
    elif request.param == "below a file":
        path = lockfile / "odd"
    return path


class TestRead:
    def test_content(self, lockfile):
        """
        A lockfile is read as a whole.
        """
        assert b"content" == _lockfile.read(str(lockfile))

    def test_symlink(self, lockfile, tmp_path):
        """
        A symlink to one is one.
        """
        (tmp_path / "link").symlink_to(lockfile)

        assert b"content" == _lockfile.read(str(tmp_path / "link"))

    def test_odd(self, odd):
        """
        What is no regular file is none, at once.
        """
        assert _lockfile.read(str(odd)) is None

    def test_too_large(self, tmp_path):
        """
        A file that no lockfile could be is an error with its path.
        """
        path = tmp_path / "huge"
        with path.open("wb") as file:
            file.truncate(_lockfile.MAX_SIZE + 1)

        with pytest.raises(StateReadError, match="larger than") as caught:
            _lockfile.read(str(path))
        assert str(path) == caught.value.path

    @pytest.mark.parametrize("call", ["stat", "open"])
    def test_refused(self, lockfile, monkeypatch, call):
        """
        One that may not be read is an error with its path.
        """

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, call, refuse)
        with pytest.raises(StateReadError, match="Permission denied") as caught:
            _lockfile.read(str(lockfile))
        assert str(lockfile) == caught.value.path

    def test_gone_meanwhile(self, lockfile, monkeypatch):
        """
        One that vanishes between the two looks is gone.
        """
        status = lockfile.stat()
        lockfile.unlink()
        monkeypatch.setattr(os, "stat", lambda _: status)

        assert _lockfile.read(str(lockfile)) is None


class TestCurrentLockfile:
    def test_same(self, lockfile):
        """
        The same bytes are the same lockfile, symlink or not.
        """
        current = _lockfile.CurrentLockfile(str(lockfile), None)

        assert current.matches(file_of(b"content"))

    @pytest.mark.parametrize("other", [b"CONTENT", b"contents", b""])
    def test_other(self, lockfile, other):
        """
        Other bytes are another one, of the same size or not.
        """
        current = _lockfile.CurrentLockfile(str(lockfile), None)

        assert not current.matches(file_of(other))

    def test_odd(self, odd):
        """
        What is no regular file is another one, and none where none was.
        """
        current = _lockfile.CurrentLockfile(str(odd), None)

        assert not current.matches(file_of(b""))
        assert current.matches(None)

    def test_appeared(self, lockfile):
        """
        A lockfile where there was none is another one.
        """
        assert not _lockfile.CurrentLockfile(str(lockfile), None).matches(None)

    def test_given(self, lockfile):
        """
        Given bytes count, and the file does not.
        """
        current = _lockfile.CurrentLockfile(str(lockfile), b"given")

        assert current.matches(file_of(b"given"))
        assert not current.matches(file_of(b"content"))

    def test_no_lockfile(self):
        """
        An environment without a lockfile has none, now as then.
        """
        current = _lockfile.CurrentLockfile(None, None)

        assert current.matches(None)
        assert not current.matches(file_of(b""))

    def test_looked_at_once(self, lockfile, monkeypatch):
        """
        A second question, under a lock, does not touch the disk.
        """
        current = _lockfile.CurrentLockfile(str(lockfile), None)
        current.matches(file_of(b"content"))
        monkeypatch.setattr(os, "stat", None)
        monkeypatch.setattr(os, "open", None)

        assert current.matches(file_of(b"content"))
        assert not current.matches(file_of(b"CONTENT"))
        assert not current.matches(file_of(b"other"))

    def test_other_size_is_not_read(self, lockfile, monkeypatch):
        """
        Where the size says it all, nothing is read.
        """
        monkeypatch.setattr(os, "open", None)
        current = _lockfile.CurrentLockfile(str(lockfile), None)

        assert not current.matches(file_of(b"other"))

    @pytest.mark.parametrize("then", [b"contents", b"", None])
    def test_changing(self, lockfile, monkeypatch, then):
        """
        One that changes between the two looks is another one.
        """
        status = lockfile.stat()
        monkeypatch.setattr(os, "stat", lambda _: status)
        if then is None:
            lockfile.unlink()
        else:
            lockfile.write_bytes(then)
        current = _lockfile.CurrentLockfile(str(lockfile), None)

        assert not current.matches(file_of(b"content"))

    def test_refused(self, lockfile, monkeypatch):
        """
        One that may not be read is an error, not another one.
        """

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(StateReadError, match="Permission denied"):
            _lockfile.CurrentLockfile(str(lockfile), None).matches(file_of(b"content"))
