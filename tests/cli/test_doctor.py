import errno
import os
import subprocess
from types import SimpleNamespace

import pytest

from upgrade_state.exceptions import StateWriteError

# The key of no environment.
STRANGER = "0" * 32

CORRUPT = "is a corrupt record; the next check replaces it, or prune deletes it"
SET_ASIDE = "was a corrupt record, which a check has replaced; delete it"


@pytest.fixture
def root(checked, cache):
    """
    The directory of a store without a problem.
    """
    return cache / "v1"


@pytest.fixture
def findings(run, root):
    """
    Run `doctor`, and return its findings.
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
    Return all paths below a directory, with their times.
    """
    return sorted(
        (os.path.join(base, name), os.lstat(os.path.join(base, name)).st_mtime_ns)
        for base, directories, files in os.walk(path)
        for name in [*directories, *files]
    )


class TestDoctor:
    @pytest.mark.parametrize(
        ("script", "line"),
        [
            ("true", "all is well"),
            ("rmdir logs; rm -r locks", "all is well"),
            ("chmod 755 logs", "is open to others (drwxr-xr-x): '{root}/logs'"),
            (
                "chmod 777 .; touch x",
                "The store may be written to by others and is not used: '{root}'",
            ),
            ("rmdir tmp; touch tmp", "is no directory: '{root}/tmp'"),
            ("touch notes", "does not belong here: '{root}/notes'"),
            (
                f"mkdir results/{STRANGER}",
                "was left behind; prune deletes it: '{root}/results/{STRANGER}'",
            ),
            (
                f"touch tmp/{STRANGER}.1",
                "was left behind; prune deletes it: '{root}/tmp/{STRANGER}.1'",
            ),
            (
                "touch tmp/$KEY.1",
                "was left behind; the next writer deletes it: '{root}/tmp/{key}.1'",
            ),
            (
                "touch $KEY.json.corrupt",
                f"{SET_ASIDE}: '{{root}}/{{key}}.json.corrupt'",
            ),
            (
                "echo { > $KEY.json",
                f"{CORRUPT}: '{{root}}/{{key}}.json'",
            ),
        ],
    )
    def test_finding(self, findings, root, checked, script, line):
        """
        Each problem is one line, and looking for it changes nothing.
        """
        command = ["sh", "-c", f"umask 077; {script}"]
        subprocess.run(command, check=True, cwd=root, env={"KEY": checked.key})
        before = contents(root)

        names = {"root": root, "key": checked.key, "STRANGER": STRANGER}
        assert [line.format(**names)] == findings()
        assert before == contents(root)

    def test_no_store(self, run, cache):
        """
        A store that does not exist yet is no problem, and is not created.
        """
        result = run("doctor")

        assert 0 == result.status
        assert not cache.exists()

    @pytest.mark.parametrize(
        ("name", "value", "line"),
        [
            ("NO_UPDATE_NOTIFIER", "1", "NO_UPDATE_NOTIFIER is set: there are no"),
            ("HOME", "here", "HOME is not an absolute path and is ignored: 'here'"),
        ],
    )
    def test_variable(self, findings, monkeypatch, name, value, line):
        """
        A variable that silences the library, or is ignored, is a finding.
        """
        monkeypatch.setenv(name, value)

        (found,) = findings()
        assert found.startswith(line)

    def test_relative_cache(self, run, monkeypatch):
        """
        A relative cache directory is the only finding.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "here")

        result = run("doctor")

        assert 1 == result.status
        assert "UPGRADE_STATE_CACHE_DIR is not an absolute path: 'here'\n" == result.out

    def test_symlink(self, findings, root, checked):
        """
        A symlink in the store is a finding.
        """
        path = f"{root}/locks/{checked.key}.write"
        os.unlink(path)
        os.symlink("/etc/passwd", path)

        assert f"is a symlink: '{path}'" in findings()

    def test_kept_files(self, findings, root, checked):
        """
        A file of the result that is missing or damaged is a finding.
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
            f"A stored file is damaged; the next check replaces it: '{damaged}'",
            gone.format("old_lockfile", results),
            gone.format("upgrades", results),
        ] == sorted(findings())

    def test_forgotten_meanwhile(self, findings, root, checked, monkeypatch):
        """
        A record that is deleted meanwhile is no problem.
        """

        def forget(_):
            checked.forget()

        monkeypatch.setattr("upgrade_state._store.read", forget)

        assert ["all is well"] == findings()

    def test_gone_before_the_look(self, findings, root, monkeypatch):
        """
        A file that is deleted after it was listed is no problem.
        """
        monkeypatch.setattr(
            "upgrade_state._files.names_in",
            lambda path: ["0" * 32 + ".json"] if str(root) == path else [],
        )

        assert ["all is well"] == findings()

    def test_unreadable(self, findings, root, checked, refused):
        """
        A record or a directory that may not be read is a finding.
        """
        with refused("os.open", checked.record_path):
            (found,) = findings()
        path = checked.record_path
        assert f"Could not read the file (Permission denied): '{path}'" == found
        with refused("os.scandir", f"{root}/tmp"):
            (found,) = findings()
        assert (
            f"Could not read the directory (Permission denied): '{root}/tmp'" == found
        )

    def test_foreign(self, findings, root, checked, monkeypatch):
        """
        A file of another user is a finding.
        """
        real = os.lstat

        def lstat(path):
            status = real(path)
            if str(path) != f"{root}/{checked.key}.json":
                return status
            return os.stat_result([*status[:4], 4711, *status[5:]])

        monkeypatch.setattr("os.lstat", lstat)

        assert [f"belongs to user 4711: '{root}/{checked.key}.json'"] == findings()

    def test_read_only(self, findings, root, monkeypatch):
        """
        A directory that cannot be written to is a finding.
        """
        monkeypatch.setattr("os.access", lambda path, _: "locks" not in path)

        assert [f"cannot be written to: '{root}/locks'"] == findings()

    @pytest.mark.parametrize("files", [(0, 0), (9, 0), (9, 9)])
    @pytest.mark.parametrize("blocks", [(0, 0), (9, 0), (999, 999)])
    def test_full(self, findings, root, monkeypatch, blocks, files):
        """
        A full file system is a finding, unless it does not count its blocks.
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
        A file in place of the cache directory is a finding.
        """
        cache.write_text("")

        result = run("doctor")

        assert 1 == result.status
        assert "Could not read the store (Not a directory)" in result.out

    @pytest.mark.parametrize("place", ["/proc", "/dev/null"])
    def test_not_to_be_made(self, run, monkeypatch, place):
        """
        A cache directory that cannot be created is a finding.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", f"{place}/sub")
        monkeypatch.setattr("os.access", lambda *_: False)

        assert 1 == run("doctor").status

    def test_dangling_place(self, run, tmp_path, monkeypatch):
        """
        A dangling symlink on its path is a finding.
        """
        (tmp_path / "link").symlink_to("nowhere")
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(tmp_path / "link" / "sub"))

        result = run("doctor")

        assert 1 == result.status
        assert f"is no directory: '{tmp_path}/link'" in result.out

    def test_at_the_user(self, run, monkeypatch, tmp_path):
        """
        A directory of another user is a finding for root.
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
        A file system without locks is a finding; a busy lock is none.
        """

        def refuse(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("fcntl.flock", refuse)

        assert findings()[0].startswith(line)
