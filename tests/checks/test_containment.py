"""
Commands that go wrong, and all that they may leave behind.
"""

import contextlib
import errno
import gc
import itertools
import marshal
import os
import py_compile
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import upgrade_state
from helpers import meanwhile
from processes import marked, state_of, wait_for
from upgrade_state import checks
from upgrade_state.checks import Limits, _cancellation, _containment, _supervisor
from upgrade_state.exceptions import ResolverError

SECOND = 1.0
LONG = 600.0

# A fixture replaces it by a stand-in.
PYTHON = sys.executable

# Leave it to the supervisor to end everything, also on a busy machine.
PATIENT = {"patience": 60.0}

LATE = "did not end within 0.1 s"

# A shell that handles SIGTERM, and then waits.
TIDY = 'trap "echo tidy > end; exit" TERM; '
WAIT = "sleep 600 & : > ready; wait"

# Two processes that ignore SIGTERM, each of which makes a file.
DEAF = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "os.fork(); open(f'ready{os.getpid()}', 'w').close(); time.sleep(600)"
)

DEAF_STRAGGLER = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "os.fork() or time.sleep(600)"
)

DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.closerange(0, 3)
        open("ready", "w").write("x")
        time.sleep(600)
    os._exit(0)
while not os.path.exists("ready"):
    time.sleep(0.01)
"""

# Doubles until there are 200 processes, each in a session of its own.
BOMB = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
reader, writer = os.pipe()
os.write(writer, b"x" * 199)
os.set_blocking(reader, False)
while True:
    try:
        os.read(reader, 1)
    except BlockingIOError:
        break
    if os.fork() == 0:
        os.setsid()
open("ready", "a").write("x")
time.sleep(600)
"""


@pytest.fixture
def mark(tmp_path):
    """
    A marker in the environment of the commands of this test only.
    """
    return f"MARK={tmp_path}"


@pytest.fixture
def left(mark):
    """
    Find the processes of the commands of this test.
    """
    return lambda: marked(mark)


@pytest.fixture
def run(place, mark, tmp_path):
    """
    Run a command with the marker.
    """

    def run_(argv, timeout=LONG, **limits):
        name, _, value = mark.partition("=")
        env = {"PATH": os.environ["PATH"], name: value}
        limits = Limits(**PATIENT | limits)
        scratch = str(tmp_path / "scratch")
        with _containment.supervised(scratch, limits) as supervisor:
            return supervisor.run(argv, cwd=str(place), env=env, timeout=timeout)

    return run_


@pytest.fixture
def _unmeasured(monkeypatch):
    # A supervisor that is killed leaves half a file of measurements, and the
    # measurement needs descriptors of its own.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


def python(code):
    return (PYTHON, "-S", "-c", code)


CLOSED = "import os, time; os.close(1); os.close(2); time.sleep(.3); os._exit(7)"


class TestEnd:
    @pytest.mark.parametrize(
        ("argv", "limits", "expected"),
        [
            (["sh", "-c", "echo out; echo err >&2; exit 7"], {}, (7, b"out\nerr\n")),
            (python(CLOSED), {}, (7, b"")),
            (["sleep", "600"], {"timeout": 0.1}, (None, b"", LATE)),
            # Longer than the buffer of the channel.
            (
                ["sh", "-c", 'echo "$*" | wc -c', *["x" * 10**5] * 10],
                {},
                (0, b"900009\n"),
            ),
            (
                # Its output is counted only after its end.
                ["printf", "%04096d", "0"],
                {"output": 1 << 10},
                (None, b"0" * 4096, "wrote more than 1 KiB of output"),
            ),
        ],
        ids=["status", "closed output", "too long", "long words", "too much output"],
    )
    def test_ended(self, run, argv, limits, expected):
        """
        A command has an exit status or a reason, and an output.
        """
        assert _containment.Ended(*expected) == run(argv, **limits)

    @pytest.mark.parametrize(
        "argv", [["sh", "-c", "sleep 600 &"], python(DAEMON)], ids=["job", "daemon"]
    )
    def test_stragglers(self, run, left, argv):
        """
        A background job, and a daemon that ignores SIGTERM, are ended with a command.
        """
        assert 0 == run(argv, grace=0.1).status
        assert set() == left()

    def test_forks(self, run, place, left, late):
        """
        So are processes that fork faster than they can be listed.
        """
        ready = place / "ready"
        late(lambda: ready.exists() and ready.stat().st_size >= 200)

        assert "did not end within 1 s" == run(python(BOMB), SECOND).reason
        assert set() == left()

    @pytest.mark.parametrize(
        ("code", "is_ready"),
        [
            (TIDY + "kill -STOP $$", lambda place, states: "T" in states),
            (TIDY + WAIT, lambda place, states: (place / "ready").exists()),
            (
                f"sh -c '{TIDY + WAIT}' & wait",
                lambda place, _: (place / "ready").exists(),
            ),
        ],
        ids=["stopped", "running", "child"],
    )
    def test_tidy(self, run, place, left, late, code, is_ready):
        """
        A process that handles SIGTERM has time to tidy up, also if it was stopped.
        """
        late(lambda: is_ready(place, list(map(state_of, left()))))

        assert "did not end within 1 s" == run(["sh", "-c", code], SECOND).reason
        assert "tidy\n" == (place / "end").read_text()
        assert set() == left()

    def test_many_threads(self, run, left):
        """
        Several threads may run commands at once.
        """
        with ThreadPoolExecutor(9) as pool:
            ended = list(pool.map(lambda _: run(["sh", "-c", "sleep 600 &"]), range(9)))

        assert [0] * 9 == [e.status for e in ended]
        assert set() == left()

    @pytest.mark.parametrize(
        "start",
        [
            "import sys; sys.platform = 'darwin'",
            "import sys; sys.modules['ctypes'] = None",
            "import os; os.path.exists = lambda _: False",
        ],
        ids=["other system", "no ctypes", "no lists of children"],
    )
    @pytest.mark.parametrize(
        "argv",
        [["sh", "-c", "sleep 600 & sleep 600 &"], python(DEAF), python(DEAF_STRAGGLER)],
        ids=["stragglers", "deaf", "deaf straggler"],
    )
    def test_group(self, run, left, place, late, supervisor, start, argv):
        """
        Without child subreapers at least the process group is ended.
        """
        supervisor(start)
        late(lambda: len(list(place.glob("ready*"))) == 2)

        ended = run(argv, SECOND, grace=0.1)

        expected = "did not end within 1 s" if argv == python(DEAF) else None
        assert expected == ended.reason
        assert set() == left()


class TestLimits:
    def test_tail(self, run):
        """
        Of the output only the end is kept.
        """
        ended = run(python("for i in range(100_000): print(f'line {i}')"))

        assert ended.output.endswith(b"line 99999\n")
        assert _containment.TAIL == len(ended.output)

    def test_output_without_end(self, run, left):
        """
        A command that writes without end is ended.
        """
        assert "wrote more than 16 MiB of output" == run(["yes"]).reason
        assert set() == left()

    def test_memory(self, run):
        """
        A command that fills the memory fails.
        """
        code = "x = [bytearray(1 << 20) for _ in range(1 << 20)]"

        ended = run(python(code), memory=256 << 20)

        assert 1 == ended.status
        assert ended.output.endswith(b"MemoryError\n")

    def test_file(self, run, place):
        """
        A command that writes a file without end is killed.
        """
        ended = run(["sh", "-c", "exec yes > file"], file=1 << 20)

        assert -signal.SIGXFSZ == ended.status
        assert 1 << 20 == (place / "file").stat().st_size

    def test_hard(self, run):
        """
        A command cannot raise a limit, and leaves no core dump.
        """
        names = ("RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_CORE")
        code = f"""if 1:
            import resource
            print(*(resource.getrlimit(getattr(resource, n)) for n in {names}))
        """

        output = run(python(code), file=1 << 40, memory=1 << 30).output.decode()

        assert f"({1 << 40}, {1 << 40}) ({1 << 30}, {1 << 30}) (0, 0)\n" == output

    def test_no_such_limit(self, run, supervisor):
        """
        A system without a limit has none.
        """
        supervisor("import resource as r; r.setrlimit = lambda *_: [].index(1)")

        assert 0 == run(["true"]).status

    @pytest.mark.parametrize(
        ("number", "words"),
        [
            (3 << 29, "1.5 GiB"),
            (16 << 20, "16 MiB"),
            (1 << 10, "1 KiB"),
            (5, "5 bytes"),
        ],
    )
    def test_size(self, number, words):
        """
        Sizes are formatted for people.
        """
        assert words == _containment.size(number)


class TestSurroundings:
    def test_descriptors(self, run):
        """
        A command gets no descriptors but the usual ones.
        """
        leak = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(leak, bool(leak))
        code = "import os; print(os.listdir('/proc/self/fd'))"
        try:
            # The fourth one lists them.
            assert b"['0', '1', '2', '3']\n" == run(python(code)).output
        finally:
            os.close(leak)

    def test_signals(self, run):
        """
        No signal is ignored or blocked, even if this process ignores or blocks it.
        """
        former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        mask = signal.pthread_sigmask(
            signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGCHLD]
        )
        try:
            ended = run(["grep", "-E", "Sig(Blk|Ign)", "/proc/self/status"])
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            signal.signal(signal.SIGHUP, former)

        # Two belong to the C library, and cannot be set.
        masks = [int(mask, 16) for mask in ended.output.split()[1::2]]
        assert [0, 0] == [mask & ~(0b11 << 31) for mask in masks]

    def test_no_terminal(self, run):
        """
        There is no terminal to ask a question on, and the input is empty.
        """
        code = "cat; exec < /dev/tty"

        ended = run(["sh", "-c", code])

        assert 0 != ended.status
        assert b"No such device or address" in ended.output

    def test_arguments_are_private(self, run, place):
        """
        The list of processes does not show the command that a supervisor gets.
        """
        ended = run(["sh", "-c", "tr '\\0' ' ' < /proc/$PPID/cmdline", "x", "secret"])

        assert b"secret" not in ended.output
        assert str(os.getpid()).encode() in ended.output


class TestStart:
    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("no-such-tool", FileNotFoundError),
            ("./folder", PermissionError),
            ("./empty", OSError),
        ],
    )
    def test_impossible(self, run, place, name, error):
        """
        If a command cannot be started, the error is that of the system.
        """
        (place / "folder").mkdir()
        (place / "empty").touch(0o755)

        with pytest.raises(error) as info:
            run([name])
        assert info.value.errno

    def test_odd_variable(self, tmp_path):
        """
        So it is if a variable cannot be set.
        """
        with (
            _containment.supervised(str(tmp_path / "scratch")) as supervisor,
            pytest.raises(OSError, match="Invalid argument"),
        ):
            supervisor.run(["true"], cwd="/", env={"A=B": ""}, timeout=LONG)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("executable", v) for v in (None, "", "/usr/bin/copyq", "/no/python")),
            ("frozen", True),  # it would run itself
        ],
    )
    def test_no_python(self, run, monkeypatch, name, value):
        """
        If there is no Python, nothing is run.
        """
        monkeypatch.setattr(sys, name, value, raising=False)
        reason = r": this application has no Python| \(No such file"

        with pytest.raises(ResolverError, match=f"a supervisor .*command({reason})"):
            run(["true"])

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("echo broken >&2; exit 1", "broken"),
            ("exec <&-; sleep .1", "it said nothing"),
        ],
    )
    def test_broken_python(self, run, monkeypatch, tmp_path, script, words):
        """
        If the Python cannot start, its output is the message.
        """
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

        # More than the buffer of a pipe holds.
        with pytest.raises(ResolverError, match=f"of the command ended early: {words}"):
            run(["true", *["x" * 100_000] * 10])

    @pytest.mark.parametrize("name", ["os.pipe", "selectors.DefaultSelector"])
    def test_no_descriptors(self, run, monkeypatch, name):
        """
        If the system gives no more descriptors, those that were opened are closed.
        """

        def refuse():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        gc.collect()  # what earlier tests have left open
        before = os.listdir("/proc/self/fd")
        monkeypatch.setattr(name, refuse)

        with pytest.raises(ResolverError, match="Too many open files"):
            run(["true"])
        assert before == os.listdir("/proc/self/fd")

    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ("source", "checked"),
            ("zip", "checked"),
            ("compiled", "the source of upgrade-state is not installed"),
        ],
    )
    @pytest.mark.usefixtures("_unmeasured")
    def test_source(self, environment, tmp_path, form, words):
        """
        The source of the supervisor, perhaps in a zip archive, is read at the start.
        """
        library = tmp_path / "library"
        copy = library / "upgrade_state"
        shutil.copytree(Path(upgrade_state.__file__).parent, copy)
        source = copy / "checks/_supervisor.py"
        if form == "compiled":
            py_compile.compile(str(source), str(source.with_suffix(".pyc")))
            source.unlink()
        elif form == "zip":
            library = shutil.make_archive(str(library), "zip", library)
        code = (
            "import os, sys; path, directory = sys.argv[1:]; sys.path.insert(0, path);"
            "from upgrade_state import StateStore, checks;"
            "from upgrade_state.checks import _supervisor;"
            "assert _supervisor.__file__.startswith(path);"
            "os.path.isfile(path) or os.unlink(_supervisor.__file__);"
            "environment = StateStore().environment(directory, 'uv.lock');"
            "print(checks.check(environment, checks.Command(['true'])))"
        )

        done = subprocess.run(
            [PYTHON, "-c", code, library, environment.path],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )

        assert words in done.stdout


@pytest.mark.usefixtures("_unmeasured")
class TestInterrupt:
    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.stress)])
    def test_any_line(self, tmp_path, monkeypatch, left, mark, step):
        """
        Ctrl-C at any line of the start or the end leaves no process and no directory.
        """
        monkeypatch.setenv(*mark.split("="))
        scratch = tmp_path / "scratch"
        lines = 0
        for number in itertools.count(step=step):
            tracer = Interrupting(number)
            former = sys.gettrace()
            begin = time.monotonic()
            sys.settrace(tracer.trace)
            try:
                with _containment.supervised(str(scratch), Limits(**PATIENT)):
                    scratch.mkdir()
                    (scratch / "file").touch()
            except KeyboardInterrupt:
                lines += 1
            finally:
                sys.settrace(former)
            # It has not waited for a supervisor that was never started.
            assert time.monotonic() - begin < 30.0
            gc.collect()
            wait_for(lambda: not left())
            assert not scratch.exists()
            if not tracer.has_interrupted:
                break
        subprocess._cleanup()

        assert 50 // step < lines

    def test_popen(self, monkeypatch, left, mark, tmp_path):
        """
        So does one that hides the process ID of the supervisor.
        """
        monkeypatch.setenv(*mark.split("="))
        popen = subprocess.Popen
        started = []

        def interrupted(*arguments, **more):
            started.append(popen(*arguments, **more))
            raise KeyboardInterrupt

        monkeypatch.setattr(subprocess, "Popen", interrupted)

        with (
            pytest.raises(KeyboardInterrupt),
            _containment.supervised(str(tmp_path / "scratch")),
        ):
            pass
        assert 0 == started[0].wait(60)
        assert set() == left()

    def test_poll(self, run, left, monkeypatch):
        """
        So does one that leaves a lock of the standard library behind.
        """
        poll = subprocess.Popen.poll

        def interrupted(process):
            monkeypatch.setattr(subprocess.Popen, "poll", poll)
            process._waitpid_lock.acquire()
            raise KeyboardInterrupt

        monkeypatch.setattr(subprocess.Popen, "poll", interrupted)

        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            run(["sleep", "600"])
        assert time.monotonic() - begin < PATIENT["patience"]
        assert set() == left()

    def test_second(self, run, place, left):
        """
        A second Ctrl-C kills at once, and leaves nothing either.
        """
        code = (
            "trap 'echo x > again' TERM; echo x > ready;"
            "while :; do sleep 600 & wait; done"
        )

        def interrupt():
            for name in ("ready", "again"):
                wait_for(place / name)
                os.kill(os.getpid(), signal.SIGINT)

        with meanwhile(interrupt), pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", code], grace=LONG)
        assert set() == left()


class Interrupting:
    """
    Raise KeyboardInterrupt at one line of the module, counted as they are executed.
    """

    def __init__(self, number):
        self.has_interrupted = False
        self._rest = number

    def trace(self, frame, event, _):
        if frame.f_code.co_filename != _containment.__file__:
            return None
        if event == "line" and not self.has_interrupted:
            self._rest -= 1
            if self._rest < 0:
                self.has_interrupted = True
                raise KeyboardInterrupt
        return self.trace


class TestSupervisor:
    @pytest.mark.usefixtures("_unmeasured")
    def test_hangs(self, run, supervisor, left):
        """
        A supervisor that does not exit in time is killed.
        """
        supervisor("import os, time; os.getppid = lambda: time.sleep(600);")

        assert LATE == run(["true"], 0.1, grace=0.1, patience=0.1).reason
        assert set() == left()

    def test_killed(self, run, left):
        """
        If the system kills the supervisor, its command goes with it.
        """
        with pytest.raises(ResolverError, match="ended early: it said nothing"):
            run(["sh", "-c", "kill -9 $PPID; exec sleep 600"])
        wait_for(lambda: not left())

    def test_terminated(self, run, left):
        """
        A supervisor that is asked to end takes everything with it.
        """
        ended = run(["sh", "-c", "sleep 600 & kill $PPID; sleep 600"])

        assert -signal.SIGKILL == ended.status
        assert set() == left()

    def test_ended(self):
        """
        A process that has ended has no descendants.
        """
        with subprocess.Popen(["true"]) as process:
            pass

        assert _supervisor.signal_tree(process.pid, signal.SIGKILL) is None

    def test_cancelled(self, run, place, left):
        """
        A cancelled check ends its command, and has no result.
        """
        cancellation = checks.Cancellation()

        def cancel():
            wait_for(place / "ready")
            cancellation.cancel()

        with (
            _cancellation.cancelling(cancellation),
            meanwhile(cancel),
            pytest.raises(checks.Cancelled),
        ):
            run(["sh", "-c", "echo x > ready; sleep 600"])
        assert set() == left()


# A program that uses the library. It is killed or interrupted.
PROGRAM = """
import datetime as dt, os, sys, tempfile, threading, time
from upgrade_state import StateStore, checks
from upgrade_state.checks import _git, _project, _scratch
grace = 2.0
place, tempfile.tempdir, code, limit = sys.argv[1:]
environment = StateStore().environment(place, "uv.lock")
{}
command = checks.Command(
    [sys.executable, "-S", "-c", code],
    passes=["MARK"],
    timeout=dt.timedelta(seconds=float(limit)),
    limits=checks.Limits(grace=grace, patience=600.0),
)
checks.check(environment, command)
"""

FORKING = """
def fork():
    while not os.path.exists(place + "/ready"):
        time.sleep(0.01)
    if os.fork() == 0:
        open(place + "/forked", "w").write("x")
        time.sleep(600)
threading.Thread(target=fork).start()
"""

WAITING = """
import os, signal, time
place = os.environ["UPGRADE_STATE_ENV"]
signal.signal(signal.SIGTERM, lambda *_: open(place + "/asked", "w").write("x"))
os.fork() or os.setsid()
open(place + "/ready", "w").write("x")
while True:
    time.sleep(600)
"""


class TestParent:
    """
    A checking process that is killed or interrupted.
    """

    @pytest.fixture
    def start(self, directory, scratches, mark):
        """
        Start the program in a process of its own.
        """
        programs = []
        name, _, value = mark.partition("=")
        path = os.pathsep.join(sys.path)

        def start_(more="", code=WAITING, stdout=None):
            script = directory.parent / "program.py"
            script.write_text(PROGRAM.replace("{}", more))
            words = [script, directory, scratches, code, LONG]
            program = subprocess.Popen(
                [PYTHON, *map(str, words)],
                env=os.environ | {name: value, "PYTHONPATH": path},
                stdout=stdout,
            )
            programs.append(program)
            return program

        yield start_
        for program in programs:
            program.kill()
            program.wait()

    @pytest.fixture
    def demand_gone(self, left, scratches):
        """
        Demand that only forked copies of the parent are left.
        """

        def demand_gone_(but=0):
            copies = wait_for(lambda: len(found := left()) == but and [found])
            for copy in copies[0]:
                os.kill(copy, signal.SIGKILL)
            assert [] == list(scratches.iterdir())

        return demand_gone_

    def test_forked_copy_of_the_living(self, start, demand_gone):
        """
        A check ends although a forked copy of its process holds its descriptors.
        """
        wait = WAITING.replace(
            "while True:", "while not os.path.exists(place + '/forked'):"
        )
        program = start(
            FORKING, code=wait.replace("time.sleep(600)", "time.sleep(0.01)")
        )

        assert 0 == program.wait(60)
        demand_gone(but=1)

    @pytest.mark.parametrize(
        ("more", "word"), [("", "ready"), (FORKING, "forked")], ids=["alone", "forked"]
    )
    def test_killed(self, start, directory, demand_gone, more, word):
        """
        SIGKILL leaves no command, no daemon, no supervisor and no scratch directory.

        Nor does it if a forked copy of the parent holds its file descriptors.
        """
        program = start(more)
        wait_for(directory / word)

        program.kill()

        program.wait()
        demand_gone(but=int(more == FORKING))

    def test_killed_in_the_grace(self, start, directory, demand_gone):
        """
        Nor does it after the command was asked to end.
        """
        program = start("grace = 600.0")
        wait_for(directory / "ready")
        program.send_signal(signal.SIGINT)
        wait_for(directory / "asked")

        program.kill()

        program.wait()
        demand_gone()

    @pytest.mark.parametrize("code", [WAITING, "pass"], ids=["long", "short"])
    @pytest.mark.parametrize(
        "number", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"]
    )
    @pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.stress)])
    @pytest.mark.usefixtures("_unmeasured")
    def test_any_time(self, start, demand_gone, code, number, step):
        """
        Nor does it, or Ctrl-C, at any instant of the start or the end.
        """
        for delay in range(0, 20, step):
            program = start(
                "print('x', flush=True); grace = 0.1", code=code, stdout=subprocess.PIPE
            )
            program.stdout.read(1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(delay / 100)

            program.send_signal(number)

            program.communicate()
            demand_gone()

    def test_dies_with_a_report_unread(self, tmp_path):
        """
        A report that the parent has not read when it dies leaves nothing either.
        """
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        spec = {"argv": [b"true"], "env": os.environb.copy(), "cwd": b"/"}
        spec |= {"grace": 1.0, "memory": 1 << 30, "file": 1 << 30}
        message = marshal.dumps(spec)
        channel, theirs = socket.socketpair()
        source = Path(_supervisor.__file__).read_text()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", source, str(os.getpid()), scratch],
                stdin=theirs,
                stdout=theirs,
            )
        channel.sendall(len(message).to_bytes(_supervisor.LENGTH, "little") + message)
        select.select([channel], [], [], LONG)

        channel.close()

        assert 0 == process.wait(LONG)
        assert not scratch.exists()

    @pytest.mark.parametrize(
        "name",
        [
            "_git.files_of",
            "_project.Project._write_file",
            "_git.share",
            "_scratch.Scratch.write",
            "_scratch.Scratch.take",
        ],
    )
    @pytest.mark.parametrize("is_forked", [False, True])
    def test_killed_beside(self, start, directory, demand_gone, name, is_forked):
        """
        Nor does SIGKILL before the command starts, and after it has ended.
        """
        subprocess.run(["git", "init", "-q", directory], check=True)
        (directory / "pyproject.toml").touch()
        kill = (
            "def kill(*_):\n"
            f"    while {is_forked} and not os.path.exists(place + '/forked'):\n"
            "        time.sleep(0.01)\n"
            "    os.kill(os.getpid(), 9)\n"
            f"{name} = kill\n"
        )
        fork = FORKING.replace("/ready", "/uv.lock") if is_forked else ""

        assert -signal.SIGKILL == start(fork + kill, code="pass").wait()

        demand_gone(but=int(is_forked))


class TestRemove:
    def test_everything(self, tmp_path):
        """
        Everything in a directory is removed, but not the target of a link.
        """
        top = tmp_path / "top"
        (top / "a/b").mkdir(parents=True)
        (top / "a/b/file").write_text("")
        (top / "empty").mkdir()
        os.mkfifo(top / "a/fifo")
        (tmp_path / "kept").mkdir()
        (tmp_path / "kept/file").write_text("")
        (top / "a/link").symlink_to(tmp_path / "kept")
        (top / "a").chmod(0)

        _supervisor.remove(str(top))

        assert not top.exists()
        assert (tmp_path / "kept/file").exists()

    @pytest.mark.parametrize("is_file", [False, True])
    def test_replaced(self, tmp_path, is_file):
        """
        A symlink or a file in its place is removed, and not followed.
        """
        home = tmp_path / "home"
        (home / "below").mkdir(parents=True)
        (home / "below/file").write_text("")
        home.chmod(0o755)
        top = tmp_path / "top"
        top.write_text("") if is_file else top.symlink_to(home)

        _supervisor.remove(str(top))

        assert not os.path.lexists(top)
        assert (home / "below/file").exists()
        assert 0o755 == stat.S_IMODE(home.stat().st_mode)

    @pytest.mark.parametrize("place", ["top", "top/a/b"])
    def test_mounted(self, tmp_path, place):
        """
        A mount point, at any depth, is not emptied.
        """
        home = tmp_path / "home"
        home.mkdir()
        (home / "file").write_text("")
        home.chmod(0o755)
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / "top/other").write_text("")
        script = (
            "import sys; from upgrade_state.checks import _supervisor;"
            "_supervisor.remove(sys.argv[1])"
        )
        command = 'mount --bind "$1" "$2" || exit 7; shift 2; exec "$@"'
        words = [home, tmp_path / place, PYTHON, "-c", script]
        words += [tmp_path / "top"]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", command, "sh", *map(str, words)],
            check=False,
        )
        if done.returncode in {1, 7}:
            pytest.skip("needs root, to mount something")

        assert 0 == done.returncode
        assert (home / "file").exists()
        assert 0o755 == stat.S_IMODE(home.stat().st_mode)

    def test_too_deep(self, tmp_path, monkeypatch):
        """
        If it is nested too deeply for shutil, it stays, and no error is raised.
        """

        def refuse(*_):
            raise RecursionError

        (tmp_path / "top/a").mkdir(parents=True)
        (tmp_path / "top/a/file").touch()
        monkeypatch.setattr("shutil.rmtree", refuse)

        _supervisor.remove(str(tmp_path / "top"))

        assert (tmp_path / "top/a").exists()
