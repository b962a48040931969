import errno
import os
from types import SimpleNamespace

import pytest

from upgrade_state.exceptions import StateReadError, StateWriteError


@pytest.fixture
def root(checked, cache):
    """
    The directory of a store that is well.
    """
    return cache / "v1"


@pytest.fixture
def findings(run, root):
    """
    What the doctor finds.
    """

    def look():
        result = run("doctor")
        lines = result.out.splitlines()
        assert f"the state is in {root}" == lines.pop(0)
        assert (1 if lines != ["all is well"] else 0) == result.status
        return lines

    return look


def contents(path):
    """
    Everything below a directory, with sizes, modes and times.
    """
    return sorted(
        (os.path.join(base, name), os.lstat(os.path.join(base, name)).st_mtime_ns)
        for base, directories, files in os.walk(path)
        for name in [*directories, *files]
    )


class TestDoctor:
    def test_well(self, findings):
        """
        Where nothing is wrong, that is said.
        """
        assert ["all is well"] == findings()

    def test_no_store(self, run, cache):
        """
        A store that is not there yet is well, and is not made.
        """
        result = run("doctor")

        assert 0 == result.status
        assert not cache.exists()

    def test_changes_nothing(self, findings, root):
        """
        A look changes nothing.
        """
        (root / "tmp/x").write_text("")
        before = contents(root)

        findings()

        assert before == contents(root)

    def test_switch(self, root, run, monkeypatch):
        """
        An off switch that is set is named.
        """
        monkeypatch.setenv("NO_UPDATE_NOTIFIER", "1")

        result = run("doctor")

        assert 1 == result.status
        assert "NO_UPDATE_NOTIFIER is set" in result.out

    def test_relative_variables(self, root, run, monkeypatch):
        """
        A path that is ignored is named.
        """
        monkeypatch.setenv("HOME", "here")

        assert "HOME is not an absolute path and is ignored: 'here'" in (
            run("doctor").out
        )

    def test_relative_cache(self, run, monkeypatch):
        """
        So is a cache directory that is refused.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "here")

        result = run("doctor")

        assert 1 == result.status
        assert "UPGRADE_STATE_CACHE_DIR is not an absolute path: 'here'\n" == result.out

    def test_not_trusted(self, findings, root):
        """
        A store that is not believed is looked at no further.
        """
        root.chmod(0o777)
        (root / "x").write_text("")

        assert [
            f"The store may be written to by others and is not used: '{root}'"
        ] == findings()

    def test_modes(self, findings, root):
        """
        What others may read is named.
        """
        (root / "logs").chmod(0o755)

        assert [f"is open to others (drwxr-xr-x): '{root}/logs'"] == findings()

    def test_symlink(self, findings, root, checked):
        """
        A symlink below is named.
        """
        path = f"{root}/locks/{checked.key}.write"
        os.unlink(path)
        os.symlink("/etc/passwd", path)

        assert f"is a symlink: '{path}'" in findings()

    def test_no_directory(self, findings, root):
        """
        A file where a directory should be is named.
        """
        (root / "tmp").rmdir()
        (root / "tmp").write_text("")

        assert [f"is no directory: '{root}/tmp'"] == findings()

    def test_missing_directories(self, findings, root):
        """
        What was not made yet is no trouble.
        """
        (root / "logs").rmdir()
        for name in os.listdir(root / "locks"):
            (root / "locks" / name).unlink()
        (root / "locks").rmdir()

        assert ["all is well"] == findings()

    def test_corrupt(self, findings, root, checked):
        """
        A record that is none is named, and so is one that was set aside.
        """
        (root / f"{checked.key}.json").write_text("{")
        (root / f"{checked.key}.json").chmod(0o600)
        (root / f"{checked.key}.json.corrupt").write_text("{")
        (root / f"{checked.key}.json.corrupt").chmod(0o600)

        path = f"{root}/{checked.key}.json"
        assert [
            f"is no record; a check, or prune in time, removes it: '{path}'",
            f"was no record and has been set aside; remove it: '{path}.corrupt'",
        ] == sorted(findings())

    def test_kept_files(self, findings, root, checked):
        """
        What a record names and what is gone, or damaged, is named.
        """
        results = root / "results" / checked.key
        kept = checked.kept_lockfile("new")
        for path in results.iterdir():
            if path.read_bytes() == kept:
                path.write_bytes(kept[::-1])
                damaged = path
            else:
                path.unlink()

        gone = "The file of the {} is missing; the next check replaces it: '{}'"
        assert [
            f"A kept file is damaged; a new check heals that: '{damaged}'",
            gone.format("old_lockfile", results),
            gone.format("upgrades", results),
        ] == sorted(findings())

    def test_forgotten_meanwhile(self, findings, root, checked, monkeypatch):
        """
        What goes away during the look is no trouble.
        """

        def forget(_):
            checked.forget()

        monkeypatch.setattr("upgrade_state._store.read", forget)

        assert ["all is well"] == findings()

    def test_gone_before_the_look(self, findings, root, monkeypatch):
        """
        Nor is what was listed and is gone.
        """
        monkeypatch.setattr(
            "upgrade_state._files.names_in",
            lambda path: ["0" * 32 + ".json"] if str(root) == path else [],
        )

        assert ["all is well"] == findings()

    def test_unreadable(self, findings, root, checked, monkeypatch):
        """
        A record that cannot be read is named.
        """

        def refuse(entry):
            raise StateReadError("Could not read the file", entry.files.record)

        monkeypatch.setattr("upgrade_state._store.read", refuse)

        assert [f"Could not read the file: '{root}/{checked.key}.json'"] == findings()

    def test_stranger(self, findings, root):
        """
        What does not belong there is named.
        """
        (root / "notes").touch(0o600)

        assert [f"does not belong here: '{root}/notes'"] == findings()

    def test_leftovers(self, findings, root):
        """
        What no record names is named.
        """
        key = "0" * 32
        (root / "results" / key).mkdir(0o700)
        (root / f"tmp/{key}.1").touch(0o600)

        assert [
            f"was left behind; prune removes it: '{root}/results/{key}'",
            f"was left behind; prune removes it: '{root}/tmp/{key}.1'",
        ] == findings()

    def test_foreign(self, findings, root, checked, monkeypatch):
        """
        What belongs to somebody else is named.
        """
        real = os.lstat

        def lstat(path):
            status = real(path)
            if str(path) != f"{root}/{checked.key}.json":
                return status
            return os.stat_result([*status[:4], 4711, *status[5:]])

        monkeypatch.setattr("upgrade_state.cli._doctor.os.lstat", lstat)

        assert [f"belongs to user 4711: '{root}/{checked.key}.json'"] == findings()

    def test_read_only(self, findings, root, monkeypatch):
        """
        A store that cannot be written to is named.
        """
        monkeypatch.setattr("os.access", lambda path, _: "locks" not in path)

        assert [f"cannot be written to: '{root}/locks'"] == findings()

    def test_of_a_record(self, findings, root, checked):
        """
        What a writer of a record that is there has left is the next one's.
        """
        os.close(os.open(root / "tmp" / f"{checked.key}.1", os.O_CREAT, 0o600))

        path = f"{root}/tmp/{checked.key}.1"
        assert [f"was left behind; the next writer removes it: '{path}'"] == findings()

    @pytest.mark.parametrize("files", [(0, 0), (9, 0), (9, 9)])
    @pytest.mark.parametrize("blocks", [(0, 0), (9, 0), (999, 999)])
    def test_full(self, findings, root, monkeypatch, blocks, files):
        """
        So is a file system that takes nothing more; of none, it does not count.
        """
        words = ("f_blocks", "f_bavail", "f_files", "f_favail")
        fields = dict(zip(words, (*blocks, *files), strict=True))
        space = SimpleNamespace(f_frsize=4096, **fields)
        monkeypatch.setattr("os.statvfs", lambda _: space)

        is_full = (9, 0) in {blocks, files}
        full = f"the file system is full: '{root}'"
        assert [full if is_full else "all is well"] == findings()

    def test_below_a_file(self, run, cache):
        """
        A place that can never be made is named before it is missed.
        """
        cache.write_text("")

        result = run("doctor")

        assert 1 == result.status
        assert "Could not read the store (Not a directory)" in result.out

    @pytest.mark.parametrize("place", ["/proc", "/dev/null"])
    def test_not_to_be_made(self, run, monkeypatch, place):
        """
        So is one in a place where nothing can be made.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", f"{place}/sub")
        monkeypatch.setattr("os.access", lambda *_: False)

        assert 1 == run("doctor").status

    def test_dangling_place(self, run, tmp_path, monkeypatch):
        """
        A symlink that leads nowhere is no place for a directory.
        """
        (tmp_path / "link").symlink_to("nowhere")
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(tmp_path / "link" / "sub"))

        result = run("doctor")

        assert 1 == result.status
        assert f"is no directory: '{tmp_path}/link'" in result.out

    def test_at_the_user(self, run, monkeypatch, tmp_path):
        """
        Root in the place of somebody else is told before anything is made.
        """

        def refuse(root):
            raise StateWriteError("Not made by root", root)

        monkeypatch.setattr("upgrade_state._files.refuse_for_root", refuse)

        assert "Not made by root" in run("doctor").out

    @pytest.mark.parametrize(
        ("number", "line"),
        [
            (errno.ENOLCK, "the file system has no locks (No locks available)"),
            (errno.EWOULDBLOCK, "all is well"),
        ],
    )
    def test_locks(self, findings, root, monkeypatch, number, line):
        """
        A file system without locks is named; a busy one is no trouble.
        """

        def refuse(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("fcntl.flock", refuse)

        assert findings()[0].startswith(line)
