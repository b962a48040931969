from __future__ import annotations

import datetime as dt
import errno
import fcntl
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from upgrade_state.exceptions import StateLockError, StateWriteError, UpgradeStateError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from upgrade_state import EnvironmentState, StateStore

    Run: TypeAlias = Callable[..., Any]

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
ROWS = (Upgrade("x", "version"),)

_CRASHES = Path(__file__).with_name("crashes.py")

# Only ends a hang.
_LIMIT = 600


def run(name: str, *args: object, within: tuple[str, ...] = ()) -> Any:
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


@pytest.fixture
def checked(shop: EnvironmentState) -> EnvironmentState:
    """
    The shop, with an upgrade to tell of.
    """
    commit(shop, b"new")
    return shop


def commit(shop: EnvironmentState, new: bytes) -> None:
    with shop.try_check() as check:
        assert check is not None
        assert check.commit(new, upgrades=ROWS, now=NOON)


class TestKilled:
    @pytest.mark.parametrize("seed", range(2))
    def test_at_random(
        self,
        shop: EnvironmentState,
        seed: int,
        record_property: Callable[[str, object], None],
    ) -> None:
        """
        Whenever a writer is killed, the old or the new record is there.

        So is what it names; its locks are free, and the next check cleans up.
        """
        cache = Path(shop.record_path).parents[1]

        stages = run("kill_at_random", cache, shop.path, 250, seed)

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
    def test_at_every_call(
        self, tmp_path: Path, prepared: str, operation: str, how: str
    ) -> None:
        """
        So it is at each system call of every operation, in half a write as well.
        """
        crashes = run("crash_everywhere", tmp_path, prepared, operation, how)

        assert (operation == "forget" and how == "torn") == (crashes == 0)


# In order, and with what happens by chance left out.
FILE = [
    "write results/KEY/FILE.RANDOM",
    "fsync results/KEY/FILE.RANDOM",
    "replace results/KEY/FILE.RANDOM results/KEY/FILE",
]
# Whoever made the directories may have died before it synced them.
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

    So the order is: what a record names, its directory, the record, its name;
    then the answer; and what nobody names any more goes after all of that.
    """

    @pytest.mark.parametrize("operation", ["claim", "snooze", "expire"])
    def test_one_field(self, tmp_path: Path, operation: str) -> None:
        """
        A record is synced before its rename, and that before the answer.

        Nobody has to wait for the second of these under the write lock.
        """
        clean = ["unlink tmp/KEY.0"]

        assert [*RECORD[:1], *clean, *RECORD[1:], "return"] == run(
            "trace", tmp_path, "known", operation
        )

    def test_failure(self, tmp_path: Path) -> None:
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

    def test_commit(self, tmp_path: Path) -> None:
        """
        A record follows what it names, and old files go after the old record.
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

    def test_heal(self, tmp_path: Path) -> None:
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

    def test_first_commit(self, tmp_path: Path) -> None:
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

    def test_forget(self, tmp_path: Path) -> None:
        """
        What a record names goes after the record has gone for good.
        """
        calls = run("trace", tmp_path, "known", "forget")

        gone = calls.index("unlink KEY.json")
        synced = calls.index("fsync v1")
        first = min(i for i, call in enumerate(calls) if call.endswith("FILE"))
        assert gone < synced < first


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """
    Let a function of `os` fail in files whose path has a part.
    """

    def install(name: str, number: int, part: str) -> None:
        function = getattr(os, name)

        def failing(*args: Any, **kwargs: Any) -> Any:
            path = args[0]
            if isinstance(path, int):
                path = os.readlink(f"/proc/self/fd/{path}")
            if part in os.fsdecode(path):
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
    ("replace", errno.EXDEV),
    ("replace", errno.EPERM),
]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names no open files")
class TestRefused:
    """
    The only tests that put something between the library and the system.
    """

    def left(self, shop: EnvironmentState) -> tuple[bytes, list[Path]]:
        record = Path(shop.record_path)
        return record.read_bytes(), list((record.parent / "tmp").iterdir())

    @pytest.mark.parametrize(("name", "number"), REFUSALS)
    def test_claim(
        self,
        checked: EnvironmentState,
        fail: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        number: int,
    ) -> None:
        """
        What cannot be recorded is not said; the old record stays.
        """
        before = self.left(checked)
        fail(name, number, "/v1/tmp/")

        verdict = checked.claim_notice(now=NOON)

        assert "unavailable" == verdict.reason
        assert isinstance(verdict.error, StateWriteError)
        assert checked.record_path == verdict.error.path
        assert os.strerror(number) in verdict.error.message
        assert before == self.left(checked)
        monkeypatch.undo()
        assert checked.claim_notice(now=NOON)

    @pytest.mark.parametrize(("name", "number"), REFUSALS)
    def test_snooze(
        self,
        checked: EnvironmentState,
        fail: Callable[..., None],
        name: str,
        number: int,
    ) -> None:
        """
        A snooze that is not recorded is an error with a path.
        """
        before = self.left(checked)
        fail(name, number, "/v1/tmp/")

        with pytest.raises(StateWriteError) as caught:
            checked.snooze(NOON)

        assert checked.record_path == caught.value.path
        assert before == self.left(checked)

    @pytest.mark.parametrize("where", ["/v1/tmp/", "/v1/results/"])
    @pytest.mark.parametrize("refusal", REFUSALS)
    def test_commit(
        self,
        checked: EnvironmentState,
        fail: Callable[..., None],
        monkeypatch: pytest.MonkeyPatch,
        refusal: tuple[str, int],
        where: str,
    ) -> None:
        """
        So is a commit, and what the old record names stays as well.
        """
        before = self.left(checked)
        with checked.try_check() as check:
            assert check is not None
            fail(*refusal, where)
            with pytest.raises(StateWriteError) as caught:
                check.commit(b"newer", upgrades=ROWS, now=NOON)
            monkeypatch.undo()

        assert caught.value.path is not None
        assert before == self.left(checked)
        assert b"new" == checked.kept_lockfile("new")
        assert ROWS == checked.upgrades()
        results = Path(checked.record_path).parent / "results" / checked.key
        assert not [path for path in results.iterdir() if path.suffix]

    def test_directory_is_not_synced(
        self,
        checked: EnvironmentState,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        By the time a directory is synced it has happened: that is only logged.
        """
        fsync = os.fsync

        def failing(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            fsync(fd)

        monkeypatch.setattr(os, "fsync", failing)
        with caplog.at_level(logging.DEBUG, "upgrade_state"):
            commit(checked, b"newer")
            assert checked.claim_notice(now=NOON)
            assert checked.snooze(NOON)

        assert b"newer" == checked.kept_lockfile("new")
        assert {logging.DEBUG} == {record.levelno for record in caplog.records}
        assert 3 <= caplog.text.count("could not sync the directory")

    def test_written_in_pieces(
        self, checked: EnvironmentState, monkeypatch: pytest.MonkeyPatch
    ) -> None:
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
    def test_no_locks(
        self,
        checked: EnvironmentState,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
    ) -> None:
        """
        Without locks nothing is written.

        An activation stays silent, everything else names the lock in question.
        """

        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        before = self.left(checked)
        monkeypatch.setattr(fcntl, "flock", refuse)

        verdict = checked.claim_notice(now=NOON)
        assert "unavailable" == verdict.reason
        assert isinstance(verdict.error, StateLockError)
        assert str(verdict.error.path).endswith(f"/locks/{checked.key}.write")
        for operate, lock in (
            (lambda: checked.snooze(NOON), "write"),
            (lambda: commit(checked, b"newer"), "check"),
            (checked.forget, "check"),
        ):
            with pytest.raises(StateLockError) as caught:
                operate()
            assert str(caught.value.path).endswith(f"/locks/{checked.key}.{lock}")
        assert before == self.left(checked)


@pytest.fixture
def own_mounts() -> tuple[str, ...]:
    """
    A program that starts another one where mounting concerns nobody else.
    """
    unshare = shutil.which("unshare")
    if unshare is None or sys.platform != "linux":
        pytest.skip("no unshare(1) here")
    for command in ((unshare, "-m"), (unshare, "-rm")):
        mount = "mount -t tmpfs tmpfs /mnt && mount -o remount,ro /mnt"
        if subprocess.run([*command, "sh", "-c", mount], check=False).returncode == 0:
            return command
    pytest.skip("not permitted to mount anything")


class TestDisk:
    def test_full(self, tmp_path: Path, own_mounts: tuple[str, ...]) -> None:
        """
        On a full disk everybody gets an answer at once, and nothing is lost.
        """
        answers = run("on_full_disk", tmp_path, within=own_mounts)

        assert f"{tmp_path}/shop/cache/v1/" in answers.pop("path")
        assert {
            "claim": "unavailable",
            "freshness": "fresh",
            "snooze": "StateWriteError",
            "commit": "StateWriteError",
            "read": "done",
            "unchanged": True,
            "temporary": [],
        } == answers

    def test_read_only(self, tmp_path: Path, own_mounts: tuple[str, ...]) -> None:
        """
        So it is where nothing may be written; what is known can be read.
        """
        answers = run("on_read_only_disk", tmp_path, within=own_mounts)

        assert f"{tmp_path}/shop/cache/v1/" in answers.pop("path")
        assert {
            "claim": "unavailable",
            "freshness": "fresh",
            "snooze": "StateLockError",
            "commit": "StateLockError",
            "read": "done",
        } == answers


@pytest.fixture
def open_place() -> Iterator[Path]:
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


def demand_read(environment: EnvironmentState) -> None:
    """
    Raise the error that keeps the record from being read.
    """
    if (error := environment.look().error) is not None:
        raise error


class TestPermissions:
    def test_unreadable_record(self, open_place: Path) -> None:
        """
        What may not be read is not absent: nobody writes over it.
        """
        assert {
            "claim": "unavailable",
            "path is that of": "record",
            "freshness": "unavailable",
            "snooze": "StateReadError",
            "commit": "StateReadError",
            "read": "StateReadError",
        } == run("unreadable_record", open_place)

    def test_unwritable_store(self, open_place: Path) -> None:
        """
        Where no record can be replaced, the old one is there, and no other file.
        """
        assert {
            "claim": "unavailable",
            "path is that of": "record",
            "freshness": "fresh",
            "snooze": "StateWriteError",
            "commit": "StateWriteError",
            "read": "done",
            "temporary": [],
        } == run("unwritable_store", open_place)

    def test_hidden_store(self, open_place: Path) -> None:
        """
        A store behind a closed door is not absent either.
        """
        assert {
            "claim": "unavailable",
            "path is that of": "store",
            "freshness": "unavailable",
            "snooze": "StateReadError",
            "commit": "StateWriteError",
            "read": "StateReadError",
        } == run("hidden_store", open_place)

    def test_read_only_home(self, open_place: Path) -> None:
        """
        Where no store can be made, nothing is known, and only a check complains.
        """
        assert {
            "claim": "nothing-known",
            "path": None,
            "freshness": "never-checked",
            "snooze": "nothing known",
            "commit": "StateWriteError",
            "read": "done",
            "left": [],
        } == run("read_only_home", open_place)

    @pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
    def test_root_in_foreign_home(self, tmp_path: Path) -> None:
        """
        Root makes nothing in the directory of another user.
        """
        assert {
            "claim": "nothing-known",
            "path": None,
            "freshness": "never-checked",
            "snooze": "nothing known",
            "commit": "StateWriteError",
            "read": "done",
            "left": [],
        } == run("by_root_in_foreign_home", tmp_path)


def make_symlink(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))
    root.symlink_to("elsewhere")


def make_file(root: Path) -> None:
    root.rename(root.with_name("elsewhere"))
    root.touch()


def make_group_writable(root: Path) -> None:
    root.chmod(0o770)


def make_world_writable(root: Path) -> None:
    root.chmod(0o702)


def make_foreign(root: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(root, 65534, 65534)


def snapshot(directory: Path) -> dict[str, bytes | None]:
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


@pytest.mark.parametrize(
    "spoil",
    [
        make_symlink,
        make_file,
        make_group_writable,
        make_world_writable,
        make_foreign,
    ],
)
class TestDistrust:
    def test_activation(
        self, checked: EnvironmentState, spoil: Callable[[Path], None]
    ) -> None:
        """
        What lies in a store that is not the user's alone is not believed.
        """
        root = Path(checked.record_path).parent
        spoil(root)
        before = snapshot(root.parent)

        verdict = checked.claim_notice(now=NOON)
        freshness = checked.look(now=NOON).freshness()

        assert "unavailable" == verdict.reason
        assert "unavailable" == freshness.reason
        assert not freshness.due
        assert verdict.error is not None
        assert str(root) == verdict.error.path
        assert before == snapshot(root.parent)

    @pytest.mark.parametrize(
        "operation",
        ["read", "upgrades", "kept_lockfile", "snooze", "forget", "check", "list"],
    )
    def test_everything_else(
        self,
        store: StateStore,
        checked: EnvironmentState,
        spoil: Callable[[Path], None],
        operation: str,
    ) -> None:
        """
        Everything else is refused with the path of the store, and changes nothing.
        """
        operate: dict[str, Callable[[], object]] = {
            "read": lambda: demand_read(checked),
            "upgrades": checked.upgrades,
            "kept_lockfile": lambda: checked.kept_lockfile("new"),
            "snooze": lambda: checked.snooze(NOON),
            "forget": checked.forget,
            "check": lambda: commit(checked, b"newer"),
            "list": lambda: list(store),
        }
        root = Path(checked.record_path).parent
        spoil(root)
        before = snapshot(root.parent)

        with pytest.raises(UpgradeStateError) as caught:
            operate[operation]()

        assert str(root) == caught.value.path
        assert before == snapshot(root.parent)
