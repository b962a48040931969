"""
Checks that start in the background: at most one, and nothing of the caller in it.
"""

import contextlib
import datetime as dt
import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from upgrade_state import StateStore, _background
from upgrade_state.exceptions import UpgradeStateError

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
DAY = dt.timedelta(days=1)


def log_of(environment):
    return Path(environment.record_path).parent / "logs" / f"{environment.key}.log"


def wait_until(is_so, seconds=60):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_free(log):
    with log.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def ended(environment):
    """
    Wait until what was started has ended, and return its log.
    """
    log = log_of(environment)
    wait_until(lambda: is_free(log))
    return log.read_text()


@pytest.fixture
def runs(tmp_path):
    """
    A file that gets a line for each run of a command.
    """
    return tmp_path / "runs"


@pytest.fixture
def command(runs):
    """
    Make a command of a few lines of Python, which leaves a line in a file.
    """

    def make(code=""):
        note = f"with open({str(runs)!r}, 'a') as f: print('ran', file=f)\n"
        imports = "import os, signal, sys, time\n"
        return [sys.executable, "-S", "-c", f"{imports}{note}{code}"]

    return make


class TestStart:
    def test_due(self, shop, command, runs):
        """
        Where a check is due, the command is run.
        """
        freshness = shop.start_check(command())
        ended(shop)

        assert (True, "never-checked") == (freshness.due, freshness.reason)
        assert "ran\n" == runs.read_text()

    def test_store(self, shop, command, runs):
        """
        What is run opens the same store, without being told of it.
        """
        note = f"open({str(runs)!r}, 'w').write(os.environ['UPGRADE_STATE_CACHE_DIR'])"
        shop.start_check(command(note))
        ended(shop)

        assert str(Path(shop.record_path).parents[1]) == runs.read_text()

    def test_not_due(self, shop, command, runs):
        """
        Where none is due, nothing is started and nothing written.
        """
        with shop.try_check() as check:
            check.commit(b"new")

        freshness = shop.start_check(command())

        assert (False, "fresh") == (freshness.due, freshness.reason)
        assert not log_of(shop).exists()

    def test_like_freshness(self, shop, command):
        """
        Age, lockfile and time are asked for as by `freshness`.
        """
        with shop.try_check() as check:
            check.commit(b"new", now=NOON)
        later = {"now": NOON + 2 * SECOND}

        assert "fresh" == shop.start_check(command(), **later).reason
        assert (
            "lockfile-changed"
            == shop.start_check(["true"], lockfile=b"", **later).reason
        )
        ended(shop)
        log_of(shop).unlink()
        assert "expired" == shop.start_check(["true"], max_age=SECOND, **later).reason

    @pytest.mark.parametrize(
        "name", ["UPGRADE_STATE_DISABLE", "NO_UPDATE_NOTIFIER", "CI"]
    )
    def test_switched_off(self, shop, command, monkeypatch, name):
        """
        Where notices are switched off, so are checks that nobody asked for.
        """
        monkeypatch.setenv(name, "1")

        freshness = shop.start_check(command())

        assert (False, "switched-off", name) == (
            freshness.due,
            freshness.reason,
            freshness.switch,
        )
        assert not os.path.exists(shop.store._place())

    def test_arguments(self, shop, command, tmp_path):
        """
        Arguments arrive as they are, bytes that are no text included.
        """
        words = ["a b", "", "*", b"\xff", tmp_path, "$HOME", "--", "\n"]
        code = "print([os.fsencode(a) for a in sys.argv[1:]], file=sys.stderr)"

        shop.start_check([*command(code), *words])

        assert str([os.fsencode(word) for word in words]) in ended(shop)

    @pytest.mark.parametrize(
        ("argv", "error"),
        [
            ("sleep 1", TypeError),
            (b"sleep", TypeError),
            ([1], TypeError),
            ([], ValueError),
            ([""], ValueError),
            (["a\0b"], ValueError),
            (["a", b"\0"], ValueError),
        ],
    )
    def test_mistakes(self, shop, argv, error, monkeypatch):
        """
        Mistakes of the caller are errors, also where all is switched off.
        """
        monkeypatch.setenv("CI", "1")

        with pytest.raises(error):
            shop.start_check(argv)

    def test_other_mistakes(self, shop):
        """
        So are those that `freshness` refuses.
        """
        for wrong in ({"max_age": -SECOND}, {"now": dt.datetime(2026, 1, 1)}):  # noqa: DTZ001
            with pytest.raises(ValueError, match="must be"):
                shop.start_check(["true"], **wrong)
        with pytest.raises(TypeError):
            shop.start_check(["true"], lockfile="text")

    def test_no_path(self, shop):
        """
        What a corrupt record belonged to cannot be checked.
        """
        with shop.try_check() as check:
            check.commit(b"new")
        Path(shop.record_path).write_bytes(b"")
        (corrupt,) = shop.store

        with pytest.raises(ValueError, match="without a path"):
            corrupt.start_check(["true"])

    def test_no_working_directory(self, store, tmp_path, monkeypatch):
        """
        What goes by no absolute path cannot be found by another process.
        """
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()

        freshness = store.environment("shop").start_check(["true"])

        assert "unavailable" == freshness.reason
        assert "The working directory was removed" == freshness.error.message


class TestOne:
    def test_crowd(self, shop, command, runs, run_at_once):
        """
        Of a hundred that ask at once, one starts a check.
        """
        cache = str(Path(shop.store._place()).parent)

        answers = run_at_once(100, "start_check", cache, shop.path, command())
        ended(shop)

        assert 1 == sum(due for due, _ in answers)
        assert {"never-checked", "busy"} == {reason for _, reason in answers}
        assert "ran\n" == runs.read_text()

    def test_while_one_runs(self, shop, command):
        """
        While one runs there is no second one, however long it takes.
        """
        (shop_file := Path(shop.path, "go")).write_text("")
        code = f"\nwhile os.path.exists({str(shop_file)!r}): time.sleep(0.01)"
        shop.start_check(command(code))

        later = shop.start_check(command(), now=NOON + dt.timedelta(days=9999))
        shop_file.unlink()
        ended(shop)

        assert (False, "busy", None) == (later.due, later.reason, later.until)

    def test_breaks_at_once(self, shop, command, runs):
        """
        What breaks before it can record that is started every 5 minutes only.
        """
        at = [0, 1, 299, 300, 599]
        answers = []
        for seconds in at:
            answers.append(
                shop.start_check(command("sys.exit(1)"), now=NOON + seconds * SECOND)
            )
            ended(shop)

        assert [True, False, False, True, False] == [a.due for a in answers]
        assert "busy" == answers[1].reason
        assert NOON + 300 * SECOND == answers[1].until
        assert 2 == len(runs.read_text().splitlines())

    def test_clock_set_back(self, shop, command):
        """
        A start in the future was long ago.
        """
        shop.start_check(command(), now=NOON)
        ended(shop)

        assert shop.start_check(command(), now=NOON - 301 * SECOND).due
        ended(shop)

    def test_left_a_trace(self, shop, command):
        """
        After a check that was recorded, another one may start at once.
        """
        shop.start_check(command(), now=NOON)
        ended(shop)
        with shop.try_check() as check:
            check.commit(b"new", now=NOON)

        assert shop.start_check(command(), max_age=0 * SECOND, now=NOON).due
        ended(shop)

    def test_left_a_failure(self):
        """
        A failure that was recorded is a trace as well.
        """
        since = "2026-11-20T12:00:00Z"
        failures = (None, {"at": "2026-11-20T11:59:59Z"}, {"at": since})
        records = [{"failure": f, "last_checked": None} for f in failures]

        now = int(NOON.timestamp()) + 60
        under_way = [_background._is_under_way(since, r, now) for r in records]
        assert [True, True, False] == under_way

    def test_older_traces(self, shop, command):
        """
        What was recorded before the start is no trace of it.
        """
        with shop.try_check() as check:
            check.commit(b"new", now=NOON)
        later = {"max_age": 0 * SECOND, "now": NOON + SECOND}
        shop.start_check(command(), **later)
        ended(shop)

        assert "busy" == shop.start_check(command(), **later).reason

    def test_decided_again(self, shop, command, runs, monkeypatch):
        """
        What was checked since the first look is not checked again.
        """
        flock = fcntl.flock

        def slow(*args):
            flock(*args)
            monkeypatch.undo()
            with shop.try_check() as check:
                check.commit(b"new")

        monkeypatch.setattr("fcntl.flock", slow)

        freshness = shop.start_check(command())

        assert (False, "fresh") == (freshness.due, freshness.reason)
        assert "" == log_of(shop).read_text()

    def test_forgotten(self, shop, command):
        """
        Once it is forgotten, nothing is known of a start either.
        """
        shop.start_check(command())
        ended(shop)
        shop.forget()

        assert shop.start_check(command()).due
        ended(shop)

    def test_of_itself(self, shop, command):
        """
        A check that starts checks of its own environment starts none.
        """
        cache = str(Path(shop.store._place()).parent)
        code = (
            f"sys.path[:] = {sys.path!r}\nfrom upgrade_state import StateStore\n"
            f"shop = StateStore({cache!r}).environment({shop.path!r}, 'uv.lock')\n"
            "print(shop.start_check(['true']).reason, file=sys.stderr)"
        )

        shop.start_check(command(code))

        assert "\nbusy\n" in ended(shop)


def open_files(process):
    for link in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed by now
            yield os.readlink(link)


LOOK = """
def is_empty(fd):
    return os.path.samestat(os.fstat(fd), os.stat(os.devnull))

def say(*words):
    print(*words, file=sys.stderr)

fds = sorted(int(fd) for fd in os.listdir('/dev/fd'))
say('fds', fds[:-1], 'of', len(fds))
say('streams', is_empty(0), is_empty(1))
say('cwd', os.getcwd())
say('session', os.getsid(0) == os.getppid())
say('mask', len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
say('ignored', *(s for s in (1, 2, 3, 15) if signal.getsignal(s) is signal.SIG_IGN))
say('variable', os.environ.get('SHOP'))
"""


class TestDetached:
    def facts(self, environment):
        lines = ended(environment).splitlines()[1:-1]
        return dict(line.partition(" ")[::2] for line in lines)

    def test_inherits_nothing(self, shop, command, monkeypatch):
        """
        Nothing of the caller is in it, but its environment variables.
        """
        monkeypatch.setenv("SHOP", "a b")
        previous = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        read, write = os.pipe()
        for fd in (read, write):
            fcntl.fcntl(fd, fcntl.F_SETFD, 0)
        try:
            shop.start_check(command(LOOK))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            signal.signal(signal.SIGQUIT, previous)
        os.close(write)
        facts = self.facts(shop)
        os.close(read)

        assert "[0, 1, 2] of 4" == facts["fds"]
        assert "True True" == facts["streams"]
        assert "/" == facts["cwd"]
        assert "True" == facts["session"]
        assert "0" == facts["mask"]
        assert "" == facts["ignored"]
        assert "a b" == facts["variable"]

    def test_from_the_beginning(self, shop, tmp_path, monkeypatch):
        """
        So it is before anything of ours runs in it.
        """
        previous = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETFD, 0)
        pipe = os.readlink(f"/proc/self/fd/{write}")
        hold = tmp_path / "hold"
        hold.touch()
        waiting = "import os, time\n"
        waiting += f"while os.path.exists({str(hold)!r}): time.sleep(0.01)"
        monkeypatch.setattr(_background, "_WRAPPER", waiting)
        try:
            _background._children.clear()
            shop.start_check(["true"])
            (child,) = _background._children
            status = Path(f"/proc/{child}/status").read_text().splitlines()
            targets = set(open_files(child))
        finally:
            hold.unlink()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            signal.signal(signal.SIGQUIT, previous)
            os.close(read)
            os.close(write)
        ended(shop)

        fields = dict(line.partition(":\t")[::2] for line in status)
        assert str(child) == fields["NSsid"]
        assert 0 == int(fields["SigBlk"], 16)
        assert 0 == int(fields["SigIgn"], 16) >> signal.SIGQUIT - 1 & 1
        assert pipe not in targets
        assert {os.devnull, str(log_of(shop))} <= targets

    def test_descriptors_that_cannot_be_listed(self, shop, command, monkeypatch):
        """
        Where descriptors cannot be listed, they are closed a little later.
        """

        def refuse(path):
            raise FileNotFoundError(errno.ENOENT, "No such file", path)

        read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETFD, 0)
        with monkeypatch.context() as patch:
            patch.setattr("os.listdir", refuse)
            shop.start_check(command(LOOK))
        facts = self.facts(shop)
        os.close(read), os.close(write)

        assert "[0, 1, 2] of 4" == facts["fds"]

    def test_no_setsid(self, shop, command, monkeypatch):
        """
        A system that cannot start a session at once starts one a little later.
        """
        spawn = os.posix_spawn

        def old(*args, **options):
            if "setsid" in options:
                raise NotImplementedError
            return spawn(*args, **options)

        monkeypatch.setattr("os.posix_spawn", old)
        shop.start_check(command(LOOK))

        assert "True" == self.facts(shop)["session"]

    @pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
    def test_closed_streams(self, shop, command, closed):
        """
        Streams that the caller has closed stay empty, and none is the log.
        """
        cache = str(Path(shop.store._place()).parent)
        code = (
            "import sys; from upgrade_state import StateStore;"
            f"StateStore({cache!r}).environment({shop.path!r}, 'uv.lock')"
            ".start_check(sys.argv[1:])"
        )
        script = f'exec "$@" {closed}'
        argv = ["sh", "-c", script, "sh", sys.executable, "-c", code, *command(LOOK)]

        subprocess.run(
            argv, check=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        )
        facts = self.facts(shop)

        assert "[0, 1, 2] of 4" == facts["fds"]
        assert "True True" == facts["streams"]

    def test_no_zombies(self, shop, command, tmp_path):
        """
        One that has ended is let go by the next start, whoever waited for it.
        """
        hold = tmp_path / "hold"
        hold.touch()
        waiting = f"while os.path.exists({str(hold)!r}): time.sleep(0.01)"
        at = iter(range(0, 10_000, 1000))
        _background._children.clear()  # an earlier test's may not have ended yet
        for _ in range(3):
            shop.start_check(command(), now=NOON + next(at) * SECOND)
            # The log is let go a little before.
            (child,) = _background._children
            os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
            assert is_free(log_of(shop))
        os.waitpid(child, 0)
        shop.start_check(command(waiting), now=NOON + next(at) * SECOND)
        (other,) = _background._children
        _background._reap()
        hold.unlink()

        assert child != other
        assert {other} == _background._children
        os.waitpid(other, 0)


class TestProgram:
    def run(self, shop, name):
        return shop.start_check([name])

    def make(self, path, words="here"):
        path.write_text(f"#!/bin/sh\necho {words} >&2\n")
        path.chmod(0o755)

    def test_from_path(self, shop, tmp_path, monkeypatch):
        """
        A name is looked for in PATH; what cannot be executed is none.
        """
        for directory in ("a", "b", "c"):
            (tmp_path / directory).mkdir()
        (tmp_path / "a" / "checker").write_text("")
        (tmp_path / "b" / "checker").mkdir()
        self.make(tmp_path / "c" / "checker")
        path = os.pathsep.join(str(tmp_path / d) for d in ("a", "b", "c", "d"))
        monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")

        self.run(shop, "checker")

        assert "\nhere\n" in ended(shop)

    def test_not_from_here(self, shop, tmp_path, monkeypatch):
        """
        A PATH that has the current directory in it does not lead to a program there.
        """
        self.make(tmp_path / "checker")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", "::.:/usr/bin:/bin")

        freshness = self.run(shop, "checker")

        assert (False, "unavailable") == (freshness.due, freshness.reason)
        assert "There is no such program: 'checker'" == str(freshness.error)
        assert not log_of(shop).exists()

    def test_relative(self, shop, tmp_path, monkeypatch):
        """
        A relative path starts at the current directory.
        """
        self.make(tmp_path / "checker")
        monkeypatch.chdir(tmp_path)

        self.run(shop, "./checker")

        assert "\nhere\n" in ended(shop)

    def test_no_interpreter(self, shop, tmp_path):
        """
        What cannot be executed after all is said in the log.
        """
        (tmp_path / "checker").write_text("#!/no/such/shell\n")
        (tmp_path / "checker").chmod(0o755)

        assert self.run(shop, str(tmp_path / "checker")).due
        assert "it could not be run (No such file or directory)\n" in ended(shop)

    @pytest.mark.parametrize("executable", ["", "/opt/manager"])
    def test_frozen(self, shop, monkeypatch, executable):
        """
        A program that is no Python cannot start one.
        """
        monkeypatch.setattr("sys.frozen", True, raising=False)
        monkeypatch.setattr("sys.executable", executable)

        freshness = shop.start_check(["true"])

        assert "unavailable" == freshness.reason
        assert "this is no Python" in str(freshness)

    @pytest.mark.parametrize("name", ["python", "python3.13t", "PyPy3", "graalpy"])
    def test_pythons(self, monkeypatch, name):
        """
        Those that are one say so.
        """
        monkeypatch.setattr("sys.executable", f"/opt/{name}")

        assert f"/opt/{name}" == _background.python()

    @pytest.mark.parametrize(
        "executable", [None, "", "./python", "/usr/sbin/uwsgi", "/usr/bin/spyder"]
    )
    def test_no_python(self, shop, monkeypatch, tmp_path, executable):
        """
        Nor does one that says so, or that would be looked for nearby.
        """
        (tmp_path / "python").symlink_to("/bin/true")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.executable", executable)

        freshness = shop.start_check(["true"])

        assert "this is no Python" in str(freshness)
        assert not log_of(shop).exists()


class TestRefused:
    def unmeasured(self, code, environment):
        """
        Run code in a process of its own, which opens nothing but what it needs.
        """
        cache = str(Path(environment.store._place()).parent)
        words = (cache, environment.path, environment.lockfile_name)
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            check=True,
            capture_output=True,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")},
        )

    def refused(self, shop, command, words):
        freshness = shop.start_check(command())

        assert (False, "unavailable") == (freshness.due, freshness.reason)
        assert isinstance(freshness.error, UpgradeStateError)
        assert words in str(freshness.error)

    def test_spawn(self, shop, command, monkeypatch):
        """
        A system that has no process left is a reason; the next activation tries.
        """

        def refuse(*_, **__):
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

        with monkeypatch.context() as patch:
            patch.setattr("os.posix_spawn", refuse)
            self.refused(shop, command, "(Resource temporarily unavailable)")

        assert shop.start_check(command()).due
        ended(shop)

    def test_no_locks(self, shop, command, monkeypatch):
        """
        So is a file system without locks: nothing could be recorded there.
        """

        def refuse(*_):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr("fcntl.flock", refuse)
        self.refused(shop, command, f"(No locks available): '{log_of(shop)}'")

    def test_full_disk(self, shop, command, runs, monkeypatch):
        """
        So is a start that cannot be recorded: it would be repeated each time.
        """

        def refuse(*_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("os.write", refuse)
        self.refused(shop, command, "(No space left on device)")
        assert not runs.exists()

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_no_file(self, shop, command, runs, make):
        """
        Something else in place of the log is a reason, and no hang.
        """
        with shop.try_check():
            pass
        make(log_of(shop))

        self.refused(shop, command, f"'{log_of(shop)}'")
        assert not runs.exists()

    def test_foreign_file(self, shop, command, monkeypatch):
        """
        So is a file of somebody else.
        """
        with shop.try_check():
            pass
        log_of(shop).write_text("mine")
        real, own = os.fstat, log_of(shop).stat()
        foreign = os.stat_result([*own[:4], own.st_uid + 1, *own[5:]])
        monkeypatch.setattr(
            "os.fstat",
            lambda fd: foreign if own.st_ino == real(fd).st_ino else real(fd),
        )

        self.refused(shop, command, "The log is no regular file of this user")
        assert "mine" == log_of(shop).read_text()

    def test_link(self, shop, command, tmp_path):
        """
        A symlink in place of the log is not followed.
        """
        with shop.try_check():
            pass
        (tmp_path / "elsewhere").write_text("mine")
        log_of(shop).symlink_to(tmp_path / "elsewhere")

        self.refused(shop, command, "Too many levels of symbolic links")
        assert "mine" == (tmp_path / "elsewhere").read_text()

    def test_dangling_link(self, shop, command, tmp_path):
        """
        Nor is anything made where a symlink leads.
        """
        with shop.try_check():
            pass
        log_of(shop).symlink_to(tmp_path / "elsewhere")

        self.refused(shop, command, "Too many levels of symbolic links")
        assert not (tmp_path / "elsewhere").exists()

    def test_store_that_is_not_trusted(self, shop, command):
        """
        A store that others may write to is not used.
        """
        with shop.try_check():
            pass
        os.chmod(shop.store._place(), 0o777)

        self.refused(shop, command, "may be written to by others")
        assert not log_of(shop).exists()

    def test_root_in_a_home(self, tmp_path, command, monkeypatch):
        """
        Root makes nothing in the home of somebody else.
        """
        home = tmp_path / "ana"
        home.mkdir()
        monkeypatch.setattr("os.geteuid", lambda: 0)
        real = os.stat
        foreign = os.stat_result([*real(home)[:4], 4711, *real(home)[5:]])
        monkeypatch.setattr(
            "os.stat",
            lambda path, **more: foreign if path == str(home) else real(path, **more),
        )

        freshness = StateStore(home / "cache").environment(home).start_check(command())

        assert "unavailable" == freshness.reason
        assert "Not made by root in a directory of user 4711" in str(freshness.error)
        assert [] == os.listdir(home)

    def test_read_only_store(self, shop, command, monkeypatch):
        """
        A store that cannot be written to starts nothing.
        """
        with shop.try_check():
            pass
        real = os.open

        def refuse(path, flags, *more):
            if path == str(log_of(shop)):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return real(path, flags, *more)

        monkeypatch.setattr("os.open", refuse)
        self.refused(shop, command, f"(Read-only file system): '{log_of(shop)}'")

    def test_no_descriptor_left(self, shop):
        """
        With no descriptor left to load what starts it, there is a reason.
        """
        code = (
            "import os, resource, sys, upgrade_state._environment as e\n"
            "shop = e.StateStore(sys.argv[1]).environment(*sys.argv[2:])\n"
            "former = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
            "limit = len(os.listdir('/dev/fd')) - 1\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, former[1]))\n"
            "freshness = shop.start_check(['true'])\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, former)\n"
            "print(freshness)"
        )
        done = self.unmeasured(code, shop)

        assert done.stdout.startswith("unavailable: the system refuses everything")

    def test_nothing_can_be_loaded(self, shop, monkeypatch):
        """
        Where the system refuses to load what is needed, that is a reason.
        """
        monkeypatch.setitem(sys.modules, "fcntl", None)
        assert "Could not start" in str(shop.start_check(["true"]))

        def refuse(*_):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr("upgrade_state._look.whole_seconds", refuse)
        assert "unavailable" == shop.claim_notice(could_not_check=SECOND).reason

    @pytest.mark.parametrize("loaded", ["", "from upgrade_state import exceptions\n"])
    def test_few_descriptors(self, shop, loaded):
        """
        Whichever is the one that is missing, no answer of an activation raises.
        """
        with shop.try_check() as check:
            check.commit(b"new", now=NOON)
        code = (
            "import datetime as dt, os, resource, sys, traceback\n"
            f"import upgrade_state._environment as e\n{loaded}"
            "shop = e.StateStore(sys.argv[1]).environment(*sys.argv[2:])\n"
            "day = dt.timedelta(days=1)\n"
            # Not when this runs: the check must be due.
            f"at = {{'now': dt.datetime.fromisoformat('{NOON + 2 * DAY}')}}\n"
            "for call in (\n"
            "    lambda: shop.claim_notice(interval=day, could_not_check=day, **at),\n"
            "    lambda: shop.look(**at).verdict(could_not_check=day),\n"
            "    lambda: shop.look(**at).freshness(max_age=day),\n"
            "    lambda: shop.start_check(['true'], max_age=day, **at),\n"
            "):\n"
            "    for limit in range(3, 10):\n"
            "        if os.fork() == 0:\n"
            "            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))\n"
            "            try:\n"
            "                call()\n"
            "            except Exception:\n"
            "                traceback.print_exc()\n"
            "            os._exit(0)\n"
            "        os.wait()\n"
        )
        done = self.unmeasured(code, shop)
        ended(shop)

        assert "" == done.stderr


class TestLog:
    def test_modes(self, shop, command):
        """
        The log belongs to its user alone, whatever the umask is.
        """
        with shop.try_check():
            pass
        previous = os.umask(0o777)
        try:
            shop.start_check(command())
        finally:
            os.umask(previous)
        text = ended(shop)

        assert 0o600 == log_of(shop).stat().st_mode & 0o777
        assert text.endswith(" it ended with exit status 0\n")

    def test_directory_is_missing(self, shop, command):
        """
        A directory for logs that is missing is made.
        """
        with shop.try_check():
            pass
        log_of(shop).parent.rmdir()

        assert shop.start_check(command()).due
        ended(shop)
        assert 0o700 == log_of(shop).parent.stat().st_mode & 0o777

    def test_only_the_last(self, shop, command):
        """
        The log is about the last check.
        """
        shop.start_check(command("print('first', file=sys.stderr)"), now=NOON)
        ended(shop)
        shop.start_check(
            command("print('second', file=sys.stderr)"), now=NOON + 301 * SECOND
        )
        lines = ended(shop).splitlines()

        assert ["2026-11-20T12:05:01Z a check was started", "second"] == lines[:2]
        assert 3 == len(lines)

    def test_bounded(self, shop, command):
        """
        Of a flood the end is kept, and the first line.
        """
        code = "for i in range(200_000): print(f'{i:060}', file=sys.stderr)"
        shop.start_check(command(code), now=NOON)
        lines = ended(shop).splitlines()

        assert log_of(shop).stat().st_size < (1 << 16) + 200
        assert "2026-11-20T12:00:00Z a check was started" == lines[0]
        assert "[...]" == lines[1]
        assert f"{199_999:060}" == lines[-2]
        assert lines[-1].endswith("it ended with exit status 0")
