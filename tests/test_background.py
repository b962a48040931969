"""
Checks in the background: at most one, which inherits nothing of the caller.
"""

import builtins
import contextlib
import datetime as dt
import errno
import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

import upgrade_state
from helpers import (
    DAY,
    HOUR,
    NOON,
    SECOND,
    commit,
    fail,
    is_free,
    log_after_end,
    place_of,
    refuse,
    refuse_path,
    root_of,
    run_at_once,
    run_python,
)
from upgrade_state import StateStore, _background
from upgrade_state.exceptions import UpgradeStateError

LATER = {"now": NOON + 2 * SECOND}


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


@pytest.fixture
def run(shop, command):
    """
    Run a command in the background; return the log without its first line.
    """

    def run_(code="", argv=None):
        assert shop.start_check(argv or command(code)).due
        return log_after_end(shop).splitlines()[1:]

    return run_


@pytest.fixture
def spawned(monkeypatch):
    """
    The processes that were started.
    """
    spawn, processes = os.posix_spawn, []

    def spawn_and_note(*args, **options):
        processes.append(spawn(*args, **options))
        return processes[-1]

    monkeypatch.setattr(os, "posix_spawn", spawn_and_note)
    return processes


@pytest.fixture
def made(shop):
    """
    The environment in a store that exists.
    """
    with shop.try_check():
        pass
    return shop


def log_of(environment):
    return Path(environment.log_path)


class TestStart:
    def test_due(self, shop, command, runs):
        """
        A check that is due runs the command, which is told the same store.
        """
        variable = "os.environ['UPGRADE_STATE_CACHE_DIR']"
        freshness = shop.start_check(command(f"print({variable}, file=sys.stderr)"))

        cache = str(root_of(shop).parent)
        assert cache == log_after_end(shop).splitlines()[1]
        assert (True, "never-checked") == (freshness.due, freshness.reason)
        assert "ran\n" == runs.read_text()

    def test_not_due(self, checked, command):
        """
        A check that is not due starts nothing and writes nothing.
        """
        freshness = checked.start_check(command(), **LATER)

        assert (False, "fresh") == (freshness.due, freshness.reason)
        assert not log_of(checked).exists()

    def test_like_freshness(self, checked):
        """
        Age, lockfile and time are the arguments of `freshness`.
        """
        changed = checked.start_check(["true"], lockfile=b"", now=NOON + HOUR)
        log_after_end(checked)
        log_of(checked).unlink()
        expired = checked.start_check(["true"], max_age=SECOND, **LATER)
        log_after_end(checked)

        assert ["lockfile-changed", "expired"] == [changed.reason, expired.reason]

    def test_arguments(self, shop, command, tmp_path):
        """
        Arguments arrive unchanged, bytes that are no text included.
        """
        words = ["a b", "", "*", b"\xff", tmp_path, "$HOME", "--", "\n"]
        code = "print([os.fsencode(a) for a in sys.argv[1:]], file=sys.stderr)"

        shop.start_check([*command(code), *words])

        assert str([os.fsencode(word) for word in words]) in log_after_end(shop)

    def test_variables(self, shop, tmp_path, monkeypatch):
        """
        Variables of the caller override those of this process, except for the store.

        The program is looked up in their PATH.
        """
        checker = tmp_path / "checker"
        words = '"$A,$B,$CI,$UPGRADE_STATE_CACHE_DIR"'
        checker.write_text(f"#!/bin/sh\necho {words} >&2\n")
        checker.chmod(0o755)
        monkeypatch.setenv("A", "here")
        monkeypatch.setenv("B", "there")
        env = {"PATH": f"{tmp_path}:/bin", "B": "other", "CI": "1"}
        env |= {"UPGRADE_STATE_CACHE_DIR": "/nowhere"}

        assert shop.start_check(["checker"], env=env).due

        line = f"here,other,1,{root_of(shop).parent}"
        assert line == log_after_end(shop).splitlines()[1]
        assert "there" == os.environ["B"]

    def test_process(self, shop, command, runs):
        """
        The answer names a process that can be waited for; only if one was started.
        """
        freshness = shop.start_check(command("time.sleep(0.2); sys.exit(3)"))
        again = shop.start_check(command())

        assert (freshness.pid, 0) == os.waitpid(freshness.pid, 0)
        assert "ran\n" == runs.read_text()
        assert "exit status 3" in log_of(shop).read_text()
        assert (None, None) == (again.pid, shop.look().freshness().pid)

    @pytest.mark.parametrize(
        ("argv", "options", "error"),
        [
            ("sleep 1", {}, TypeError),
            (b"sleep", {}, TypeError),
            ([1], {}, TypeError),
            ([], {}, ValueError),
            ([""], {}, ValueError),
            (["a\0b"], {}, ValueError),
            (["a", b"\0"], {}, ValueError),
            (["true"], {"env": ["A=b"]}, TypeError),
            (["true"], {"env": {b"A": b"b"}}, TypeError),
            (["true"], {"env": {"A": None}}, TypeError),
            (["true"], {"env": {"": "b"}}, ValueError),
            (["true"], {"env": {"A=b": "c"}}, ValueError),
            (["true"], {"env": {"A": "\0"}}, ValueError),
            (["true"], {"env": {"A": "\ud800"}}, ValueError),
            (["true"], {"lockfile": "text"}, TypeError),
            (["true"], {"max_age": -SECOND}, ValueError),
            (["true"], {"now": dt.datetime(2026, 1, 1)}, ValueError),  # noqa: DTZ001
        ],
    )
    def test_mistakes(self, shop, argv, options, error, monkeypatch):
        """
        Mistakes of the caller are errors, also while a switch is set.
        """
        monkeypatch.setenv("CI", "1")

        with pytest.raises(error):
            shop.start_check(argv, **options)


class TestOne:
    def test_crowd(self, shop, command, runs):
        """
        Of a hundred simultaneous calls one starts a check.
        """
        answers = run_at_once(100, "start_check", *place_of(shop), command())
        log_after_end(shop)

        assert 1 == sum(due for due, _ in answers)
        assert {"never-checked", "busy"} == {reason for _, reason in answers}
        assert "ran\n" == runs.read_text()

    def test_while_one_runs(self, shop, command):
        """
        While one runs no other one starts, however long it takes.
        """
        (shop_file := Path(shop.path, "go")).write_text("")
        code = f"\nwhile os.path.exists({str(shop_file)!r}): time.sleep(0.01)"
        shop.start_check(command(code))

        later = shop.start_check(command(), now=NOON + 9999 * DAY)
        shop_file.unlink()
        log_after_end(shop)

        assert (False, "busy", None) == (later.due, later.reason, later.until)
        assert "busy: a check is running" == str(later)

    def test_breaks_at_once(self, shop, command, runs):
        """
        A command that breaks before it records anything starts every 5 minutes.
        """
        answers = []
        for seconds in (0, 1, 299, 300, 599):
            now = NOON + seconds * SECOND
            answers.append(shop.start_check(command("sys.exit(1)"), now=now))
            log_after_end(shop)

        assert [True, False, False, True, False] == [a.due for a in answers]
        assert ("busy", NOON + 300 * SECOND) == (answers[1].reason, answers[1].until)
        assert "busy: the last start recorded nothing, see its log; no " in str(
            answers[1]
        )
        assert 2 == len(runs.read_text().splitlines())

    def test_clock_set_back(self, shop, command):
        """
        A start in the future was long ago.
        """
        for now in (NOON, NOON - 301 * SECOND):
            assert shop.start_check(command(), now=now).due
            log_after_end(shop)

    def test_recorded(self, shop, command):
        """
        After a check that was recorded another one may start at once.

        A check that was recorded before the start is no trace of it.
        """
        reasons = []
        for now in (NOON, NOON + SECOND, NOON + SECOND):
            commit(shop, now=NOON)
            freshness = shop.start_check(command(), max_age=0 * DAY, now=now)
            reasons.append(freshness.reason)
            log_after_end(shop)

        assert ["expired", "expired", "busy"] == reasons

    @pytest.mark.parametrize(
        ("at", "reason"), [(NOON - SECOND, "busy"), (NOON, "never-checked")]
    )
    def test_recorded_failure(self, shop, command, at, reason):
        """
        A failure that was recorded since the start is a trace as well.
        """
        shop.start_check(command(), now=NOON)
        log_after_end(shop)
        fail(shop, at=at)
        until = shop.look(now=NOON).freshness().until

        assert reason == shop.start_check(command(), now=until).reason
        log_after_end(shop)

    def test_decided_again(self, shop, command, monkeypatch):
        """
        A check that was made since the first look is not repeated.
        """
        flock = fcntl.flock

        def slow(*args):
            flock(*args)
            monkeypatch.undo()
            commit(shop, now=None)

        monkeypatch.setattr(fcntl, "flock", slow)

        freshness = shop.start_check(command())

        assert (False, "fresh") == (freshness.due, freshness.reason)
        assert "" == log_of(shop).read_text()

    def test_forgotten(self, shop, run):
        """
        `forget` also forgets the last start.
        """
        run()
        shop.forget()

        run()

    def test_refused(self, shop, command):
        """
        A start that is refused leaves the log of the last one as it was.
        """
        shop.start_check(command())
        text = log_after_end(shop)
        later = shop.start_check(["/no/such/program"], now=NOON + 301 * SECOND)

        assert "There is no such program: '/no/such/program'" == str(later.error)
        assert text == log_of(shop).read_text()

    def test_not_shortened(self, shop, command, monkeypatch):
        """
        A log that cannot be shortened once is no trace of a start.
        """
        shop.start_check(command())
        log_after_end(shop)
        real, refusals = os.ftruncate, [refuse(errno.EIO)]

        def once(*args):
            (refusals.pop() if refusals else real)(*args)

        monkeypatch.setattr(os, "ftruncate", once)
        reasons = [
            shop.start_check(command(), now=NOON + seconds * SECOND).reason
            for seconds in (301, 302)
        ]
        log_after_end(shop)

        assert ["unavailable", "never-checked"] == reasons

    def test_of_itself(self, shop, run):
        """
        A check that starts a check of its own environment starts none.
        """
        cache, directory = place_of(shop)
        code = (
            f"sys.path[:] = {sys.path!r}\nfrom upgrade_state import StateStore\n"
            f"shop = StateStore({cache!r}).environment({directory!r}, 'uv.lock')\n"
            "print(shop.start_check(['true']).reason, file=sys.stderr)"
        )

        assert "busy" == run(code)[0]


def open_files(process):
    for link in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed by now
            yield os.readlink(link)


FACTS = """
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


def facts_of(lines):
    return dict(line.partition(" ")[::2] for line in lines[:-1])


@pytest.fixture
def odd_caller():
    """
    Ignore and block a signal each; return a pipe that processes inherit.
    """
    previous = signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    read, write = os.pipe()
    for fd in (read, write):
        os.set_inheritable(fd, True)  # noqa: FBT003 - the function's own way
    yield os.readlink(f"/proc/self/fd/{write}")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGQUIT, previous)
    os.close(read)
    os.close(write)


class TestDetached:
    def test_inherits_nothing(self, run, monkeypatch, odd_caller):
        """
        The command inherits nothing but the environment variables.
        """
        monkeypatch.setenv("SHOP", "a b")

        assert {
            "fds": "[0, 1, 2] of 4",
            "streams": "True True",
            "cwd": "/",
            "session": "True",
            "mask": "0",
            "ignored": "",
            "variable": "a b",
        } == facts_of(run(FACTS))

    def test_from_the_beginning(self, shop, tmp_path, monkeypatch, odd_caller):
        """
        So it is before any code of this library runs in the process.
        """
        hold, spawn, children = tmp_path / "hold", os.posix_spawn, []
        hold.touch()

        def spawn_waiting(program, argv, *args, **options):
            waiting = "import os, time\n"
            waiting += f"while os.path.exists({str(hold)!r}): time.sleep(0.01)"
            argv = [program, "-S", "-c", waiting]
            children.append(spawn(program, argv, *args, **options))
            return children[0]

        monkeypatch.setattr(os, "posix_spawn", spawn_waiting)
        shop.start_check(["true"])
        (child,) = children
        status = Path(f"/proc/{child}/status").read_text().splitlines()
        targets = set(open_files(child))
        hold.unlink()
        log_after_end(shop)

        fields = dict(line.partition(":\t")[::2] for line in status)
        assert str(child) == fields["NSsid"]
        assert 0 == int(fields["SigBlk"], 16)
        assert 0 == int(fields["SigIgn"], 16) >> signal.SIGQUIT - 1 & 1
        assert odd_caller not in targets
        assert {os.devnull, shop.log_path} <= targets

    def test_descriptors_that_cannot_be_listed(self, run, monkeypatch, odd_caller):
        """
        Descriptors that cannot be listed are closed a little later.
        """
        refuse_path(monkeypatch, "listdir", "/dev/fd", errno.ENOENT)

        assert "[0, 1, 2] of 4" == facts_of(run(FACTS))["fds"]

    def test_no_setsid(self, run, monkeypatch):
        """
        On a system without `setsid` for new processes the session starts later.
        """
        spawn = os.posix_spawn

        def old(*args, **options):
            if "setsid" in options:
                raise NotImplementedError
            return spawn(*args, **options)

        monkeypatch.setattr(os, "posix_spawn", old)

        assert "True" == facts_of(run(FACTS))["session"]

    @pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]])
    def test_closed_streams(self, shop, command, closed):
        """
        Streams that the caller has closed are empty, and none is the log.
        """
        code = (
            "import os, sys; from upgrade_state import StateStore\n"
            "shop = StateStore(sys.argv[1]).environment(sys.argv[2], 'uv.lock')\n"
            f"for fd in {closed}: os.close(fd)\n"
            "shop.start_check(sys.argv[3:])\n"
            "os._exit(0)"
        )
        run_python(code, *place_of(shop), *command(FACTS))
        facts = facts_of(log_after_end(shop).splitlines()[1:])

        assert ("[0, 1, 2] of 4", "True True") == (facts["fds"], facts["streams"])

    def test_no_zombies(self, shop, store, command, tmp_path, spawned):
        """
        The next start reaps earlier processes that have ended, and no others.
        """
        (hold := tmp_path / "hold").touch()
        waiting = f"while os.path.exists({str(hold)!r}): time.sleep(0.01)"
        for number in range(3):
            shop.start_check(command(), now=NOON + 1000 * number * SECOND)
            # The lock on the log is released a little before the end.
            os.waitid(os.P_PID, spawned[-1], os.WEXITED | os.WNOWAIT)
            assert is_free(shop.log_path)
        os.waitpid(spawned[2], 0)  # as a caller may do
        shop.start_check(command(waiting), now=NOON + DAY)
        store.environment("/srv/other").start_check(command())
        hold.unlink()

        for child in spawned[:3]:
            with pytest.raises(ChildProcessError):
                os.waitpid(child, 0)
        assert (spawned[3], 0) == os.waitpid(spawned[3], 0)
        os.waitpid(spawned[4], 0)


class TestProgram:
    def make(self, path, mode=0o755):
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\necho here >&2\n")
        path.chmod(mode)

    def test_from_path(self, run, tmp_path, monkeypatch):
        """
        A name is looked up in PATH; a file that is not executable is skipped.
        """
        self.make(tmp_path / "a" / "checker", 0o644)
        (tmp_path / "b" / "checker").mkdir(parents=True)
        self.make(tmp_path / "c" / "checker")
        path = os.pathsep.join(str(tmp_path / d) for d in ("a", "b", "c", "d"))
        monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")

        assert "here" == run(argv=["checker"])[0]

    def test_not_from_here(self, shop, tmp_path, monkeypatch):
        """
        Relative entries of PATH are skipped.
        """
        self.make(tmp_path / "checker")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", "::.:/usr/bin:/bin")

        freshness = shop.start_check(["checker"])

        assert (False, "unavailable") == (freshness.due, freshness.reason)
        assert "There is no such program: 'checker'" == str(freshness.error)
        assert "" == log_of(shop).read_text()

    def test_relative(self, run, tmp_path, monkeypatch):
        """
        A relative path starts at the working directory of the caller.
        """
        self.make(tmp_path / "checker")
        monkeypatch.chdir(tmp_path)

        assert "here" == run(argv=["./checker"])[0]

    def test_no_interpreter(self, run, tmp_path):
        """
        The log says that a program could not be executed.
        """
        (tmp_path / "checker").write_text("#!/no/such/shell\n")
        (tmp_path / "checker").chmod(0o755)

        (line,) = run(argv=[str(tmp_path / "checker")])
        assert "it could not be run (No such file or directory)" in line

    @pytest.mark.parametrize(
        ("executable", "is_frozen"),
        [
            *((None, False), ("", False), ("./python", False)),
            *(("/usr/sbin/uwsgi", False), ("/usr/bin/spyder", False)),
            *(("", True), ("/opt/manager", True), (sys.executable, True)),
        ],
    )
    def test_no_python(self, shop, monkeypatch, tmp_path, executable, is_frozen):
        """
        A program that is no Python, or has no absolute path, cannot start a check.
        """
        (tmp_path / "python").symlink_to("/bin/true")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "executable", executable)
        monkeypatch.setattr(sys, "frozen", is_frozen, raising=False)

        freshness = shop.start_check(["true"])

        assert "unavailable" == freshness.reason
        assert "this is no Python" in str(freshness)
        assert "" == log_of(shop).read_text()

    def test_frozen(self, run, monkeypatch):
        """
        A frozen program with a switch for code is its own Python.
        """
        switch = [sys.executable, "-I", "-c"]
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        monkeypatch.setattr(sys, "_upgrade_state_python", switch, raising=False)

        assert "it ended with exit status 0" in run(argv=["true"])[0]

    @pytest.mark.parametrize(
        ("place", "reason"), [("", "No such file"), ("archive", "Not a directory")]
    )
    def test_removed(self, shop, monkeypatch, tmp_path, place, reason):
        """
        Nothing starts if the library was removed: the process would not find it.
        """
        (tmp_path / "archive").write_text("which is none")
        file = tmp_path / place / "_background.py"
        monkeypatch.setattr(_background, "__file__", str(file))

        freshness = shop.start_check(["true"])

        assert "unavailable" == freshness.reason
        assert f"Could not start a check ({reason}" in str(freshness)
        assert "" == log_of(shop).read_text()

    def test_archive(self, shop, tmp_path):
        """
        The process finds the library in a zip archive.
        """
        root = Path(upgrade_state.__file__).parents[1]
        base = str(tmp_path / "library")
        archive = shutil.make_archive(base, "zip", root, "upgrade_state")
        code = (
            "import sys; sys.path.insert(0, sys.argv[3])\n"
            "from upgrade_state import StateStore, _background\n"
            "shop = StateStore(sys.argv[1]).environment(sys.argv[2], 'uv.lock')\n"
            "print(_background.__file__, shop.start_check(['true']).reason)"
        )
        printed = run_python(code, *place_of(shop), archive, measured=False)

        assert printed.startswith(archive)
        assert printed.endswith(" never-checked\n")
        assert log_after_end(shop).endswith(" it ended with exit status 0\n")

    @pytest.mark.parametrize("name", ["python", "python3.13t", "PyPy3", "graalpy"])
    def test_pythons(self, run, monkeypatch, tmp_path, name):
        """
        A Python is recognized by its name.
        """
        (tmp_path / name).write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (tmp_path / name).chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / name))

        assert "it ended with exit status 0" in run(argv=["true"])[0]


class TestRefused:
    """
    An activation gets a reason for everything that prevents a start.
    """

    @pytest.fixture
    def refused(self, made, command, runs):
        """
        Assert that the start of a check is refused with a message.
        """

        def refused_(message):
            freshness = made.start_check(command())

            assert (False, "unavailable") == (freshness.due, freshness.reason)
            assert isinstance(freshness.error, UpgradeStateError)
            assert message in str(freshness.error)
            assert not runs.exists()

        return refused_

    @pytest.mark.parametrize(
        ("module", "name", "number"),
        [
            (os, "posix_spawn", errno.EAGAIN),
            (fcntl, "flock", errno.ENOLCK),
            # It could not be recorded, so every activation would repeat it.
            (os, "write", errno.ENOSPC),
        ],
    )
    def test_system_call(self, refused, run, monkeypatch, module, name, number):
        """
        The system refuses a process, a lock or a write; the next activation tries.
        """
        with monkeypatch.context() as patch:
            patch.setattr(module, name, refuse(number))
            refused(f"({os.strerror(number)})")

        run()

    @pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
    def test_no_file(self, made, refused, make):
        """
        Something else is in the place of the log; there is no waiting.
        """
        make(log_of(made))

        refused(f"'{log_of(made)}'")

    @pytest.mark.parametrize("is_dangling", [False, True])
    def test_link(self, made, refused, tmp_path, is_dangling):
        """
        A symlink is in the place of the log; it is not followed.
        """
        target = tmp_path / "elsewhere"
        if not is_dangling:
            target.write_text("mine")
        log_of(made).symlink_to(target)

        refused("Too many levels of symbolic links")
        assert not target.exists() if is_dangling else "mine" == target.read_text()

    def test_hard_link(self, made, refused, tmp_path):
        """
        The log has another name, under which its content stays.
        """
        (tmp_path / "mine").write_text("mine")
        os.link(tmp_path / "mine", log_of(made))

        refused(f"The log has a hard link elsewhere: '{log_of(made)}'")
        assert "mine" == log_of(made).read_text()

    @pytest.mark.parametrize("is_writable", [False, True])
    def test_directory_of_logs(self, made, refused, tmp_path, is_writable):
        """
        The directory of the log is a symlink, or other users may write to it.
        """
        logs = log_of(made).parent
        if is_writable:
            logs.chmod(0o777)
        else:
            logs.rename(tmp_path / "logs")
            logs.symlink_to(tmp_path / "logs")

        refused("written to by others" if is_writable else "Could not start a check (")
        assert [] == list(logs.iterdir())

    def test_foreign_file(self, made, refused, monkeypatch):
        """
        The log belongs to another user.
        """
        log_of(made).write_text("mine")
        real, own = os.fstat, log_of(made).stat()
        foreign = os.stat_result([*own[:4], own.st_uid + 1, *own[5:]])
        monkeypatch.setattr(
            "os.fstat",
            lambda fd: foreign if own.st_ino == real(fd).st_ino else real(fd),
        )

        refused("The log is no regular file of this user")
        assert "mine" == log_of(made).read_text()

    def test_store_that_is_not_trusted(self, made, refused):
        """
        Other users may write to the store.
        """
        root_of(made).chmod(0o777)

        refused("may be written to by others")
        assert not log_of(made).exists()

    def test_root_in_a_home(self, tmp_path, command, monkeypatch):
        """
        Root would make a store in the home of another user.
        """
        home = tmp_path / "ana"
        home.mkdir()
        monkeypatch.setattr(os, "geteuid", lambda: 0)
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

    def test_read_only_store(self, made, refused, monkeypatch):
        """
        The log cannot be opened.
        """
        refuse_path(monkeypatch, "open", made.log_path, errno.EROFS)

        refused(f"(Read-only file system): '{log_of(made)}'")

    def test_nothing_can_be_loaded(self, shop, monkeypatch):
        """
        A module cannot be loaded.
        """
        monkeypatch.setitem(sys.modules, "fcntl", None)
        assert "Could not start" in str(shop.start_check(["true"]))

        monkeypatch.setattr(builtins, "__import__", refuse(errno.EMFILE))
        reason = shop.claim_notice(could_not_check=SECOND).reason
        reasons = [reason, shop.look().verdict(could_not_check=SECOND).reason]
        monkeypatch.undo()

        assert ["unavailable"] * 2 == reasons

    def test_no_descriptor_left(self, shop):
        """
        No descriptor is left to load a module, or even an error.
        """
        code = (
            "import os, resource, sys; from upgrade_state import StateStore\n"
            "shop = StateStore(sys.argv[1]).environment(sys.argv[2], 'uv.lock')\n"
            "former = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
            "limit = len(os.listdir('/dev/fd')) - 1\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, former[1]))\n"
            "look = shop.look()\n"
            "answers = [shop.start_check(['true']), shop.claim_notice()]\n"
            "answers += [look.freshness(), look.verdict()]\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, former)\n"
            "print(*answers, sep='\\n')"
        )
        commit(shop)
        lines = run_python(code, *place_of(shop), measured=False).splitlines()

        assert [True] * 4 == [line.startswith("unavailable: ") for line in lines]
        assert "too many open files?" in lines[0]

    @pytest.mark.parametrize("loaded", ["", "from upgrade_state import exceptions\n"])
    def test_few_descriptors(self, checked, loaded):
        """
        No answer of an activation raises, however few descriptors there are.
        """
        code = (
            "import datetime as dt, os, resource, sys, traceback\n"
            f"from upgrade_state import StateStore\n{loaded}"
            "shop = StateStore(sys.argv[1]).environment(sys.argv[2], 'uv.lock')\n"
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
        run_python(code, *place_of(checked), measured=False)
        log_after_end(checked)


class TestLog:
    def test_modes(self, made, command):
        """
        Log and directory are made for the user alone under any umask.
        """
        log_of(made).parent.rmdir()
        previous = os.umask(0o777)
        try:
            made.start_check(command())
        finally:
            os.umask(previous)
        text = log_after_end(made)

        assert 0o600 == log_of(made).stat().st_mode & 0o777
        assert 0o700 == log_of(made).parent.stat().st_mode & 0o777
        assert text.endswith(" it ended with exit status 0\n")

    def test_only_the_last(self, shop, command):
        """
        The log is about the last check.
        """
        for word, seconds in (("first", 0), ("second", 301)):
            argv = command(f"print({word!r}, file=sys.stderr)")
            shop.start_check(argv, now=NOON + seconds * SECOND)
            lines = log_after_end(shop).splitlines()

        assert ["2026-11-20T12:05:01Z a check was started", "second"] == lines[:2]
        assert 3 == len(lines)

    def test_unfinished_line(self, run):
        """
        The last line begins on a line of its own.
        """
        lines = run("os.write(2, b'half\\xc3')")

        assert r"half\xc3" == lines[0]
        assert 2 == len(lines)

    def test_signals(self, run):
        """
        No signal is ignored that Python ignores.
        """
        found = run(argv=["/bin/sh", "-c", "cat /proc/self/status >&2"])
        lines = dict(line.partition(":")[::2] for line in found)

        assert 0 == int(lines["SigBlk"], 16)
        # 32 and 33 are the C library's own.
        assert 0 == int(lines["SigIgn"], 16) & 0x7FFF_FFFF

    def test_closes_its_stderr(self, run):
        """
        A program that closes its stderr goes on, and is waited for.
        """
        # Its parent, which that wakes up, is asleep again.
        code = """
def state():
    with open(f"/proc/{os.getppid()}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
while state() != "S":
    time.sleep(0.01)
os.close(2)
while state() != "S":
    pass
os._exit(5)
"""
        assert "it ended with exit status 5" == run(code)[-1].partition(" ")[2]

    def test_leaves_something_running(self, run, tmp_path):
        """
        A process that the program leaves running is not waited for.
        """
        pid = tmp_path / "pid"
        code = (
            "import subprocess\np = subprocess.Popen(['sleep', '600'])\n"
            f"open({str(pid)!r}, 'w').write(str(p.pid))\n"
            "print('last words', file=sys.stderr)"
        )
        lines = run(code)
        os.kill(int(pid.read_text()), signal.SIGKILL)

        assert "last words" == lines[0]
        assert "it ended with exit status 0" == lines[1].partition(" ")[2]
