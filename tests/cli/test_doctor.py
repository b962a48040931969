import errno
import functools
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from helpers import refuse, refuse_path

# The key of no environment.
STRANGER = "0" * 32

CORRUPT = "a corrupt record; the next check replaces it"
OPEN = "may be written to by others and is not used"


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
        as_json = run("doctor", "--json").out.splitlines()
        mends = [f"  {json.loads(line)['mend']}" for line in as_json]
        *lines, last = result.out.splitlines()
        assert bool(mends) == result.status
        if not mends:
            return [last]
        count = f"{len(mends)} problem{'s' * (len(mends) > 1)}"
        assert f"{count} in {root}" == last
        assert lines[1::2] == mends
        return lines[::2]

    return look


@pytest.fixture
def commands(tmp_path):
    """
    The variables of a process that finds the command `upgrade-state`.
    """
    path = tmp_path / "bin" / "upgrade-state"
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m upgrade_state "$@"\n')
    path.chmod(0o755)
    return os.environ | {"PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}


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
            ("chmod 755 logs", "{root}/logs: open to others (drwxr-xr-x)"),
            ("chmod 777 tmp", "{root}/tmp: open to others (drwxrwxrwx)"),
            (
                "chmod 777 .; touch x",
                f"{{root}}: the store {OPEN}",
            ),
            (
                "rm locks/$KEY.write; ln -s /etc/passwd locks/$KEY.write",
                "{root}/locks/{key}.write: a symlink",
            ),
            ("rmdir tmp; touch tmp", "{root}/tmp: no directory"),
            ("rmdir logs; touch logs", "{root}/logs: no directory"),
            ("rm -r locks; ln -s logs locks", "{root}/locks: no directory"),
            ("touch notes", "{root}/notes: does not belong here"),
            ("mkdir notes", "{root}/notes: does not belong here"),
            ("ln -s . notes", "{root}/notes: a symlink"),
            ("mkdir tmp/notes", "{root}/tmp/notes: does not belong here"),
            ("ln -s . tmp/notes", "{root}/tmp/notes: a symlink"),
            ("touch results/$KEY.x", "{root}/results/{key}.x: does not belong here"),
            (
                f"touch results/{STRANGER}",
                "{root}/results/{STRANGER}: does not belong here",
            ),
            (
                f"mkdir results/{STRANGER}",
                "{root}/results/{STRANGER}: left behind",
            ),
            (
                f"touch tmp/{STRANGER}.1",
                "{root}/tmp/{STRANGER}.1: left behind",
            ),
            (
                "touch tmp/$KEY.1",
                "{root}/tmp/{key}.1: left behind",
            ),
            ("touch $KEY.json.corrupt", "all is well"),
            ("echo { > $KEY.json", f"{{root}}/{{key}}.json: {CORRUPT}"),
            (
                "rm $KEY.json; mkdir $KEY.json",
                f"{{root}}/{{key}}.json: {CORRUPT}",
            ),
            (
                "mv $KEY.json x; ln -s x $KEY.json; chmod 777 x; rm x",
                "{root}/{key}.json: a symlink",
            ),
        ],
    )
    def test_finding(self, findings, root, checked, run, commands, script, line):
        """
        Looking for a problem changes nothing; its command mends it.
        """
        command = ["sh", "-c", f"umask 077; {script}"]
        subprocess.run(command, check=True, cwd=root, env={"KEY": checked.key})
        before = contents(root)

        names = {"root": root, "key": checked.key, "STRANGER": STRANGER}
        assert [line.format(**names)] == findings()
        assert before == contents(root)

        while found := run("doctor", "--json").out:  # each command mends one problem
            mend = json.loads(found.splitlines()[0])["mend"]
            subprocess.run(["sh", "-c", mend], check=True, env=commands)
        assert ["all is well"] == findings()

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

    def test_switches(self, findings, monkeypatch):
        """
        Each variable that silences is a finding of its own.
        """
        for name in ("CI", "UPGRADE_STATE_DISABLE"):
            monkeypatch.setenv(name, "1")

        assert ["UPGRADE_STATE_DISABLE is set", "CI is set"] == [
            line.partition(":")[0] for line in findings()
        ]

    @pytest.mark.parametrize(
        ("place", "status", "line"),
        [
            ("{}/none", 0, "all is well"),
            ("here", 1, "here: UPGRADE_STATE_CACHE_DIR is not an absolute path"),
            ("{}/file", 1, "{}/file/v1: could not read the store (Not a directory)"),
            ("/proc/sub", 1, "/proc: cannot be written to"),
            ("/dev/null/sub", 1, "v1: could not read the store (Not a directory)"),
            ("{}/link/sub", 1, "{}/link: no directory"),
        ],
    )
    def test_place(self, run, tmp_path, monkeypatch, place, status, line):
        """
        A place where no store can be created is a finding, and is left alone.
        """
        (tmp_path / "file").touch()
        (tmp_path / "link").symlink_to("nowhere")
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", place.format(tmp_path))
        if place.startswith("/proc"):
            monkeypatch.setattr("os.access", lambda *_: False)

        result = run("doctor")

        assert status == result.status
        assert line.format(tmp_path) in result.out
        assert not (tmp_path / "none").exists()

    def test_kept_files(self, findings, root, checked):
        """
        A file of the result that is missing or damaged is a finding.
        """
        results = root / "results" / checked.key
        result = checked.look().record["result"]
        kept = checked.kept_lockfile("new")
        for path in results.iterdir():
            if path.read_bytes() == kept:
                path.write_bytes(kept[::-1])
                damaged = path
            else:
                path.unlink()

        old, upgrades = (
            f"{results / result[field]['digest'][-64:]}: the file of the {field} is"
            for field in ("old_lockfile", "upgrades")
        )
        assert [
            f"{old} missing",
            f"{damaged}: a stored file is damaged",
            f"{upgrades} missing",
        ] == findings()

    def test_forgotten_meanwhile(self, findings, checked, monkeypatch):
        """
        A record that is deleted meanwhile is no problem.
        """
        real = os.open

        def forget_and_open(path, *more, **others):
            if path == checked.record_path:
                monkeypatch.setattr("os.open", real)
                checked.forget()
            return real(path, *more, **others)

        monkeypatch.setattr("os.open", forget_and_open)

        assert ["all is well"] == findings()

    def test_home(self, run, root, checked, monkeypatch):
        """
        A path in the home directory begins with ~, also in the command.
        """
        monkeypatch.setenv("HOME", str(root.parent))
        (root / "x").touch(0o600)
        (root / "x y").touch(0o600)
        (root / "y\n").touch(0o600)

        assert [
            f"  rm '{root}/y\\n'",
            "  rm ~/v1/x",
            "  rm ~/v1/x\\ y",
            "3 problems in ~/v1",
            "~/v1/x y: does not belong here",
            "~/v1/x: does not belong here",
            "~/v1/y\\n: does not belong here",
        ] == sorted(run("doctor").out.splitlines())

    def test_deleted_meanwhile(self, findings, root, checked, monkeypatch):
        """
        A file that is deleted after it was listed is no problem.
        """
        path = root / "locks" / f"{checked.key}.write"
        refuse_path(monkeypatch, "lstat", path, errno.ENOENT)

        assert ["all is well"] == findings()

    def test_store_deleted_meanwhile(self, findings, root, monkeypatch):
        """
        Nor is a store that another command deletes.
        """
        monkeypatch.setattr("os.statvfs", refuse(errno.ENOENT))

        assert ["all is well"] == findings()

    def test_unreadable(self, findings, root, checked, refused):
        """
        A record or a directory that may not be read is a finding.
        """
        with refused("os.open", checked.record_path):
            (found,) = findings()
        path = checked.record_path
        assert f"{path}: could not read the file (Permission denied)" == found
        with refused("os.scandir", f"{root}/tmp"):
            (found,) = findings()
        assert f"{root}/tmp: could not read the directory (Permission denied)" == found

    def test_foreign(self, findings, root, checked, monkeypatch):
        """
        A file of another user is a finding.
        """
        inode = os.stat(checked.record_path).st_ino

        def foreign(real, *arguments, **others):
            status = real(*arguments, **others)
            uid = 4711 if status.st_ino == inode else status.st_uid
            return os.stat_result([*status[:4], uid, *status[5:]])

        for name in ("lstat", "fstat"):
            real = getattr(os, name)
            monkeypatch.setattr(f"os.{name}", functools.partial(foreign, real))

        assert [f"{root}/{checked.key}.json: belongs to user 4711"] == findings()

    def test_read_only(self, findings, root, monkeypatch):
        """
        A directory that cannot be written to is a finding.
        """
        monkeypatch.setattr("os.access", lambda path, _: "locks" not in path)

        assert [f"{root}/locks: cannot be written to"] == findings()

    def test_read_only_file_system(self, findings, root, monkeypatch):
        """
        On a read-only file system, only another directory helps.
        """
        monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_flag=1))

        assert [f"{root}: the file system is read-only"] == findings()

    @pytest.mark.parametrize("files", [(0, 0), (9, 0), (9, 9)])
    @pytest.mark.parametrize("blocks", [(0, 0), (9, 0), (999, 16)])
    def test_full(self, findings, root, monkeypatch, blocks, files):
        """
        Less than 64 KiB is a finding, unless the file system does not count its blocks.
        """
        words = ("f_blocks", "f_bavail", "f_files", "f_favail")
        fields = dict(zip(words, (*blocks, *files), strict=True))
        space = SimpleNamespace(f_frsize=4096, f_flag=0, **fields)
        monkeypatch.setattr("os.statvfs", lambda _: space)

        is_full = (9, 0) in {blocks, files}
        full = f"{root}: the file system is full"
        assert [full if is_full else "all is well"] == findings()

    def test_at_the_user(self, run, monkeypatch, tmp_path):
        """
        A directory of another user is a finding for root.
        """
        real = os.stat

        def stat(path, *more, **others):
            status = real(path, *more, **others)
            if str(path) != str(tmp_path):
                return status
            return os.stat_result([*status[:4], 4711, *status[5:]])

        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr("os.stat", stat)

        assert "not made by root" in run("doctor").out

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
        monkeypatch.setattr("fcntl.flock", refuse(number))

        assert findings()[0].removeprefix(f"{root}/locks: ").startswith(line)
