"""
What becomes of hostile and of unlucky commands, with real ones.
"""

import contextlib
import errno
import gc
import itertools
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from upgrade_state import checks
from upgrade_state.checks import _cancellation, _containment, _supervisor
from upgrade_state.exceptions import ResolverError

SECOND = 1.0
LONG = 600.0

# There are two of it, which do not listen and say that they are there.
DEAF = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "os.fork(); open(f'ready{os.getpid()}', 'w').close(); time.sleep(600)"
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

# Doubles until there are 200 of it, each in a session of its own.
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

# Is never there for long: whoever looks for it finds its parent.
COMET = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("ready", "w").write("x")
while os.fork() == 0:
    os.setsid()
"""


def run_one(argv, **more):
    with _containment.supervised() as supervisor:
        return supervisor.run(argv, **more)


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "place"
    path.mkdir()
    return path


@pytest.fixture
def mark(tmp_path):
    """
    A text in the environment of commands that nothing else has.
    """
    return f"MARK={tmp_path}"


@pytest.fixture
def left(marked, mark):
    """
    The processes of commands that are there.
    """
    return lambda: marked(mark)


@pytest.fixture
def run(place, mark):
    """
    Run a command that has a mark.
    """

    def run_(argv, timeout=LONG, **more):
        name, _, value = mark.partition("=")
        env = {"PATH": os.environ["PATH"], name: value}
        return run_one(argv, cwd=str(place), env=env, timeout=timeout, **more)

    return run_


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """
    Leave it to the supervisor to end everything, also on a busy machine.
    """
    monkeypatch.setattr(_containment, "_PATIENCE_SECONDS", 60.0)


class TestEnd:
    def test_status(self, run):
        """
        A command that ends by itself has an exit status and a last word.
        """
        ended = run(["sh", "-c", "echo out; echo err >&2; exit 7"])

        assert _containment.Ended(7, b"out\nerr\n") == ended

    def test_closed_output(self, run, python):
        """
        A command that closes its output is waited for.
        """
        code = "import os, time; os.close(1); os.close(2); time.sleep(.3); os._exit(7)"

        assert _containment.Ended(7, b"") == run(python(code))

    def test_stragglers(self, run, left):
        """
        What a command leaves running in the background is ended with it.
        """
        ended = run(["sh", "-c", "sleep 600 & echo $!"])

        assert 0 == ended.status
        assert set() == left()

    def test_daemon(self, run, python, left, monkeypatch):
        """
        So is a daemon in a session of its own that does not listen.
        """
        monkeypatch.setattr(_containment, "_GRACE_SECONDS", 0.1)

        assert 0 == run(python(DAEMON)).status
        assert set() == left()

    @pytest.mark.parametrize("code", [BOMB, COMET], ids=["bomb", "comet"])
    def test_forks(self, run, place, left, wait_for, code):
        """
        Forking faster than anybody can look does not help.
        """
        enough = 200 if code is BOMB else 1
        most = []

        def cancel():
            ready = place / "ready"
            wait_for(lambda: ready.exists() and ready.stat().st_size >= enough)
            most.append(len(left()))
            cancellation.cancel()

        with (
            checks.Cancellation() as cancellation,
            _cancellation.ended_by(cancellation),
        ):
            thread = threading.Thread(target=cancel)
            thread.start()
            with contextlib.suppress(checks.Cancelled):
                run([sys.executable, "-S", "-c", code])
            thread.join()
        assert code is COMET or most == [200]
        assert set() == left()

    def test_stopped(self, run, place, left, late, state_of):
        """
        What has stopped itself is ended, too, and has time to tidy up.
        """
        code = "trap 'echo tidy > end; exit' TERM; kill -STOP $$"
        late(lambda: "T" in map(state_of, left()))

        assert "did not end within 1 s" == run(["sh", "-c", code], SECOND).reason
        assert "tidy\n" == (place / "end").read_text()
        assert set() == left()

    def test_friendly(self, run, place, late):
        """
        A command that listens has time to tidy up.
        """
        code = "trap 'echo tidy > end; exit' TERM; : > ready; sleep 600 & wait"
        late((place / "ready").exists)

        assert "did not end within 1 s" == run(["sh", "-c", code], SECOND).reason
        assert "tidy\n" == (place / "end").read_text()

    def test_many_threads(self, run, python, left):
        """
        Checks may be made in many threads at once.
        """
        with ThreadPoolExecutor(9) as pool:
            ended = list(pool.map(lambda _: run(["sh", "-c", "sleep 600 &"]), range(9)))

        assert [0] * 9 == [e.status for e in ended]
        assert set() == left()


class TestOutside:
    """
    Where orphans cannot be adopted there is the process group.
    """

    @pytest.fixture(
        autouse=True,
        params=[
            "import sys; sys.platform = 'darwin'",
            "import sys; sys.modules['ctypes'] = None",
        ],
        ids=["other system", "no ctypes"],
    )
    def _elsewhere(self, supervisor, request):
        supervisor(request.param)

    def test_stragglers(self, run, left):
        """
        What is in the group is ended with the command.
        """
        assert 0 == run(["sh", "-c", "sleep 600 & sleep 600 &"]).status
        assert set() == left()

    @pytest.fixture
    def _late_once_deaf(self, place, late, monkeypatch):
        monkeypatch.setattr(_containment, "_GRACE_SECONDS", 0.1)
        late(lambda: len(list(place.glob("ready*"))) == 2)

    @pytest.mark.usefixtures("_late_once_deaf")
    def test_deaf(self, run, python, left):
        """
        And killed if it does not listen.
        """
        assert "did not end within 1 s" == run(python(DEAF), SECOND).reason
        assert set() == left()

    def test_deaf_straggler(self, run, python, left, monkeypatch):
        """
        So is what does not listen and is left when the command has ended.
        """
        monkeypatch.setattr(_containment, "_GRACE_SECONDS", 0.1)
        code = (
            "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "os.fork() or time.sleep(600)"
        )

        assert _containment.Ended(0, b"") == run(python(code))
        assert set() == left()


class TestLimits:
    def set(self, monkeypatch, **limits):
        monkeypatch.setattr(_containment, "LIMITS", _containment.Limits(**limits))

    def test_tail(self, run, python):
        """
        Of the output only the end is kept.
        """
        code = "for i in range(100_000): print(f'line {i}')"

        ended = run(python(code))

        assert ended.output.endswith(b"line 99999\n")
        assert _containment.TAIL == len(ended.output)

    def test_output_without_end(self, run, left):
        """
        Whoever writes without end is ended.
        """
        ended = run(["yes"])

        assert (None, "wrote more than 16 MiB of output") == (
            ended.status,
            ended.reason,
        )
        assert set() == left()

    def test_too_much_at_once(self, run, python, monkeypatch):
        """
        It does not help to be faster than that.
        """
        self.set(monkeypatch, output=1 << 10)

        ended = run(python("print('x' * 2000)"))

        assert "wrote more than 1 KiB of output" == ended.reason

    def test_memory(self, run, python, monkeypatch):
        """
        Whoever fills the memory fails.
        """
        self.set(monkeypatch, memory=256 << 20)

        ended = run(python("x = [bytearray(1 << 20) for _ in range(1 << 20)]"))

        assert 1 == ended.status
        assert ended.output.endswith(b"MemoryError\n")

    def test_file(self, run, place, monkeypatch):
        """
        Whoever writes a file without end is killed.
        """
        self.set(monkeypatch, file=1 << 20)

        ended = run(["sh", "-c", "exec yes > file"])

        assert -signal.SIGXFSZ == ended.status
        assert 1 << 20 == (place / "file").stat().st_size

    def test_none_is_raised(self, run, python, monkeypatch, supervisor):
        """
        A limit that is lower already stays, and a command cannot raise any.
        """
        self.set(monkeypatch, file=1 << 50, memory=1 << 30)
        names = ("RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_CORE")
        code = f"""if 1:
            import resource
            print(*(resource.getrlimit(getattr(resource, n)) for n in {names}))
        """
        lower = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (1 << 40, 1 << 41));"

        supervisor(lower)
        output = run(python(code)).output.decode()

        assert f"({1 << 41}, {1 << 41}) ({1 << 30}, {1 << 30}) (0, 0)\n" == output

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
        Sizes are said as people say them.
        """
        assert words == _containment.size(number)


class TestClocks:
    @pytest.fixture(autouse=True)
    def _unmeasured(self, monkeypatch):
        # What is ended before it is the command would leave half a file.
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)

    def test_too_long(self, run):
        """
        A command that does not end in time is ended.
        """
        ended = run(["sleep", "600"], 0.1)

        assert _containment.Ended(None, b"", "did not end within 0.1 s") == ended

    def test_not_even_begun(self, run, supervisor, monkeypatch):
        """
        So is one whose supervisor has not come to it by then.
        """
        monkeypatch.setattr(_containment, "_GRACE_SECONDS", 0.1)
        monkeypatch.setattr(_containment, "_PATIENCE_SECONDS", 0.1)
        supervisor("import time; time.sleep(600);")

        ended = run(["true"], 0.1)

        assert _containment.Ended(None, b"", "did not end within 0.1 s") == ended

    def test_machine_slept(self, run, monkeypatch):
        """
        So is one that has slept for as long, with the machine.
        """
        slept = iter([0.0, 0.0])
        monkeypatch.setattr(
            _containment, "awake_and_asleep", lambda: next(slept, 2000.0)
        )

        ended = run(["sleep", "600"], 1000.0)

        assert "did not end within 2000 s, sleep included" == ended.reason

    def test_machine_dozed(self, run, monkeypatch):
        """
        Some sleep is no reason.
        """
        slept = iter([0.0])
        monkeypatch.setattr(
            _containment, "awake_and_asleep", lambda: next(slept, 1999.0)
        )

        assert 0 == run(["true"], 1000.0).status

    def test_no_such_clock(self, monkeypatch):
        """
        Where no clock counts sleep it is the one on the wall.
        """
        monkeypatch.delattr(time, "CLOCK_BOOTTIME")
        monkeypatch.setattr(time, "time", lambda: 5.0)

        assert 5.0 == _containment.awake_and_asleep()


class TestSurroundings:
    def test_descriptors(self, run, python):
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
        No signal is ignored or blocked, whatever is here.
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
        Nobody can be asked: there is no terminal, and the input is empty.
        """
        code = "cat; exec < /dev/tty"

        ended = run(["sh", "-c", code])

        assert 0 != ended.status
        assert b"No such device or address" in ended.output

    def test_arguments_are_private(self, run, place):
        """
        Nobody sees in the list of processes what a supervisor was told.
        """
        ended = run(["sh", "-c", "tr '\\0' ' ' < /proc/$PPID/cmdline", "x", "secret"])

        assert b"secret" not in ended.output
        assert str(os.getpid()).encode() in ended.output


class TestStart:
    @pytest.mark.parametrize(
        ("name", "error"),
        [
            ("no-such-tool", FileNotFoundError),
            ("./plain", PermissionError),
            ("./folder", PermissionError),
            ("./odd", FileNotFoundError),
            ("./empty", OSError),
        ],
    )
    def test_impossible(self, run, place, name, error):
        """
        A command that cannot be started is the system's error, as ever.
        """
        (place / "plain").write_text("")
        (place / "folder").mkdir()
        (place / "odd").write_text("#!/no/such/interpreter\n")
        (place / "empty").write_text("")
        for file in ("odd", "empty"):
            (place / file).chmod(0o755)

        with pytest.raises(error) as info:
            run([name])
        assert info.value.errno

    def test_odd_variable(self, place):
        """
        So is a variable that cannot be set.
        """
        with pytest.raises(OSError, match="Invalid argument"):
            run_one(["true"], cwd=str(place), env={"A=B": ""}, timeout=LONG)

    def test_long_arguments(self, run):
        """
        A command may be longer than what a pipe takes at once.
        """
        words = ["x" * 100_000] * 10

        ended = run(["sh", "-c", 'printf %s "$*" | wc -c', "sh", *words])

        assert b"1000009" == ended.output.strip()

    @pytest.mark.parametrize(
        "name", [None, "", "/usr/sbin/uwsgi", "/usr/bin/copyq", "/no/such/python"]
    )
    def test_no_python(self, run, monkeypatch, name):
        """
        Where there is no Python, nothing is run instead.
        """
        monkeypatch.setattr(sys, "executable", name)

        with pytest.raises(ResolverError, match="Could not start a supervisor"):
            run(["true"])

    def test_frozen(self, run, monkeypatch):
        """
        A frozen application would run itself.
        """
        monkeypatch.setattr(sys, "frozen", True, raising=False)

        with pytest.raises(ResolverError, match="no Python to run it with"):
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
        What a Python says that cannot start is the message.
        """
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

        # More than fits into the pipe of somebody who does not read.
        with pytest.raises(ResolverError, match=f"for the command: .*{words}"):
            run(["true", *["x" * 100_000] * 10])

    @pytest.mark.parametrize("room", range(4))
    def test_no_room(self, run, monkeypatch, room):
        """
        Where there is no room for all of its pipes, none is left open.
        """
        pipe = os.pipe
        pipes = iter([pipe] * room)

        def make():
            for make_one in pipes:
                return make_one()
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        gc.collect()  # what earlier tests have left open
        before = os.listdir("/proc/self/fd")
        monkeypatch.setattr(os, "pipe", make)

        with pytest.raises(ResolverError, match="Too many open files"):
            run(["true"])
        assert before == os.listdir("/proc/self/fd")

    @pytest.mark.filterwarnings("ignore::ResourceWarning")
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_interrupt(self, run, monkeypatch, is_gone):
        """
        Ctrl-C at the moment when the supervisor starts: it ends by itself.
        """
        pids = []
        start = subprocess.Popen

        def interrupted(*arguments, **more):
            process = start(*arguments, **more)
            pids.append(process.pid)
            raise KeyboardInterrupt

        monkeypatch.setattr(subprocess, "Popen", interrupted)

        with contextlib.suppress(KeyboardInterrupt):
            run(["sleep", "600"])
        gc.collect()

        assert [True] == [is_gone(pid) for pid in pids]
        subprocess._cleanup()


class TestSupervisor:
    @pytest.fixture
    def _hurry(self, monkeypatch):
        # Half a file of what it has executed is none.
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        monkeypatch.setattr(_containment, "_GRACE_SECONDS", 0.1)
        monkeypatch.setattr(_containment, "_PATIENCE_SECONDS", 0.1)

    def test_killed(self, run, left, wait_for):
        """
        A command that kills its supervisor goes with it, and with its group.
        """
        ended = run(["sh", "-c", "sleep 600 & kill -9 $PPID; sleep 600"])

        words = "was ended, since something has killed its supervisor"
        assert (None, words) == (ended.status, ended.reason)
        wait_for(lambda: not left())

    @pytest.fixture
    def _late_once_stopped(self, late, place, state_of):
        # The command writes down whom it stops.
        victim = place / "victim"
        late(lambda: victim.exists() and state_of(victim.read_text().strip()) == "T")

    @pytest.mark.usefixtures("_hurry", "_late_once_stopped")
    def test_stopped(self, run, left, wait_for):
        """
        One that stops its supervisor does not get more time by that.
        """
        code = "sleep 600 & echo $PPID > victim; kill -STOP $PPID; sleep 600"
        ended = run(["sh", "-c", code], SECOND)

        assert "did not end within 1 s" == ended.reason
        wait_for(lambda: not left())

    @pytest.mark.usefixtures("_hurry", "_late_once_stopped")
    def test_stopped_by_a_daemon(self, run, python, left, wait_for):
        """
        Not even for daemons: what comes to it is found although it stands still.
        """
        stop = (
            "top = os.getppid(); open('victim', 'w').write(str(top));"
            "os.kill(top, signal.SIGSTOP); time.sleep(600)"
        )

        run(python(DAEMON + stop), SECOND)

        wait_for(lambda: not left())

    @pytest.mark.usefixtures("_hurry")
    def test_does_not_go(self, run, supervisor, left):
        """
        One that does not go when it is dismissed is killed.
        """
        supervisor(
            "import _signal; listen = _signal.signal;"
            "_signal.signal = lambda n, h: listen(n, 1 if n == _signal.SIGUSR1 else h)"
        )

        assert 0 == run(["true"]).status
        assert set() == left()

    @pytest.mark.usefixtures("_hurry")
    def test_interrupted_dismissal(self, run, monkeypatch, left):
        """
        So is one that nobody has the patience to wait for.
        """
        wait = subprocess.Popen.wait
        patience = iter([KeyboardInterrupt])

        def impatient(process, timeout=None):
            for error in patience:
                raise error
            return wait(process, timeout)

        monkeypatch.setattr(subprocess.Popen, "wait", impatient)

        with pytest.raises(KeyboardInterrupt):
            run(["true"])
        assert set() == left()

    def test_killed_alone(self, run, left, wait_for, monkeypatch):
        """
        Even if nobody else does anything the command goes with it.
        """
        monkeypatch.setattr(_containment.Supervisor, "_kill", lambda _: None)

        run(["sh", "-c", "kill -9 $PPID; exec sleep 600"])

        wait_for(lambda: not left())

    def test_asked_to_end_beforehand(self, place, wait_for):
        """
        One that was asked to end before it was told what to run does not run it.
        """

        def status(word, base=10):
            text = Path(f"/proc/{supervisor._process.pid}/status").read_text()
            return int(text.split(f"{word}:")[1].split()[0], base)

        with _containment.supervised() as supervisor:
            wait_for(lambda: status("SigCgt", 16) & 1 << (signal.SIGTERM - 1))
            before = status("voluntary_ctxt_switches")
            supervisor._process.terminate()
            wait_for(lambda: status("voluntary_ctxt_switches") > before)
            more = {"cwd": str(place), "env": os.environ, "timeout": LONG}
            with pytest.raises(ResolverError, match="Could not start a supervisor"):
                supervisor.run(["touch", "ran"], **more)

        assert [] == os.listdir(place)

    def test_asked_to_end(self, run, left):
        """
        A supervisor that is asked to end takes everything with it.
        """
        ended = run(["sh", "-c", "sleep 600 & kill $PPID; sleep 600"])

        assert -signal.SIGKILL == ended.status
        assert set() == left()

    @pytest.fixture
    def _late_once_done(self, late, place):
        late((place / "done").exists)

    @pytest.mark.parametrize(
        "attack",
        [
            "tell(1, b'status 0\\ngone 0\\n')",
            "tell(0, b'ekek' * 9); wait()",
            "os.kill(top, signal.SIGUSR1); wait()",
            "ctypes.CDLL(None).ptrace(16, top, 0, 0); wait()",
        ],
        ids=["forged report", "forged wishes", "dismissed", "traced"],
    )
    @pytest.mark.usefixtures("_hurry", "_late_once_done")
    def test_deceived(self, run, python, left, wait_for, attack):
        """
        A command that deceives its supervisor, or us, leaves no daemon either.
        """
        code = f"""
import ctypes
top = os.getppid()
def tell(number, words):
    fd = os.open(f"/proc/{{top}}/fd/{{number}}", os.O_WRONLY)
    os.write(fd, words)
def wait():
    open("done", "w").close()
    time.sleep(600)
{attack}
"""

        run(python(DAEMON + code), SECOND)

        wait_for(lambda: not left())

    def test_lost_and_not_noticed(self, run, monkeypatch):
        """
        It is noticed even where somebody else holds the report's other end.
        """
        kept = []
        start = subprocess.Popen

        def started(*arguments, **more):
            process = start(*arguments, **more)
            kept.append(os.open(f"/proc/{process.pid}/fd/1", os.O_WRONLY))
            return process

        monkeypatch.setattr(subprocess, "Popen", started)

        ended = run(["sh", "-c", "kill -9 $PPID"])
        os.close(*kept)

        assert None is ended.status


class TestCancellation:
    def test_other_thread(self, run, place, wait_for, left):
        """
        A check that is cancelled ends its command, and has no result.
        """

        def cancel():
            wait_for(place / "ready")
            cancellation.cancel()

        with (
            checks.Cancellation() as cancellation,
            _cancellation.ended_by(cancellation),
        ):
            thread = threading.Thread(target=cancel)
            thread.start()
            with pytest.raises(checks.Cancelled):
                run(["sh", "-c", "echo x > ready; sleep 600"])
            thread.join()
        assert set() == left()

    def test_not_cancelled(self, run):
        """
        A check that could have been cancelled is one like every other.
        """
        with (
            checks.Cancellation() as cancellation,
            _cancellation.ended_by(cancellation),
        ):
            assert 0 == run(["true"]).status

    def test_impatience(self, run, place, wait_for, left, monkeypatch):
        """
        A second Ctrl-C kills at once, and leaves nothing either.
        """
        monkeypatch.setattr(_containment, "_GRACE_SECONDS", LONG)
        code = (
            "trap 'echo x > again' TERM; echo x > ready;"
            "while :; do sleep 600 & wait; done"
        )

        def interrupt():
            wait_for(place / "ready")
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(place / "again")
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", code])
        thread.join()
        assert set() == left()


# A program that uses the library, and is killed.
PROGRAM = """
import datetime as dt, os, sys, tempfile, threading, time
from upgrade_state import StateStore, checks
from upgrade_state.checks import _containment, _scratch
place, tempfile.tempdir, code, limit = sys.argv[1:]
environment = StateStore().environment(place, "uv.lock")
command = checks.Command(
    [sys.executable, "-S", "-c", code],
    passes=["MARK"],
    timeout=dt.timedelta(seconds=float(limit)),
)
{}
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

WITHOUT_PIDFD = "import os; del os.pidfd_open"

LONG_GRACE = "_containment._GRACE_SECONDS = 600"

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
    A parent that is killed with SIGKILL.
    """

    @pytest.fixture
    def start(self, directory, scratches, mark, supervisor):
        """
        Start the program in a process of its own.
        """
        programs = []
        name, _, value = mark.partition("=")
        path = os.pathsep.join(sys.path)

        def start_(more="", before="", code=WAITING, stdout=None):
            if before:
                supervisor(before)
            script = directory.parent / "program.py"
            more = f"_containment._SUPERVISOR = {_containment._SUPERVISOR!r}\n{more}"
            script.write_text(PROGRAM.replace("{}", more))
            words = [script, directory, scratches, code, LONG]
            program = subprocess.Popen(
                [sys.executable, *map(str, words)],
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
    def demand_gone(self, left, scratches, wait_for):
        """
        Demand that nothing is left but some copies of the parent.
        """

        def demand_gone_(but=0):
            copies = wait_for(lambda: len(found := left()) == but and [found])
            for copy in copies[0]:
                os.kill(copy, signal.SIGKILL)
            assert [] == list(scratches.iterdir())

        return demand_gone_

    def test_killed(self, start, directory, scratches, wait_for, left):
        """
        Its command goes with it, daemons, supervisor and scratch directory too.
        """
        program = start()
        wait_for(directory / "ready")
        # The program, the supervisor and at least one of the command's.
        assert len(left()) in {3, 4}

        program.kill()

        program.wait()
        wait_for(lambda: not left())
        assert [] == list(scratches.iterdir())

    def test_killed_in_the_grace(self, start, directory, wait_for, left):
        """
        Also where the command was asked to end just now.
        """
        program = start(LONG_GRACE)
        wait_for(directory / "ready")
        program.send_signal(signal.SIGINT)
        wait_for(directory / "asked")

        program.kill()

        program.wait()
        wait_for(lambda: not left())

    @pytest.mark.parametrize("before", ["", WITHOUT_PIDFD])
    def test_forked_copy(self, start, directory, wait_for, left, before):
        """
        Also where a forked copy of the parent holds all that it held.
        """
        program = start(FORKING, before=before)
        wait_for(directory / "forked")

        program.kill()

        program.wait()
        (copy,) = wait_for(lambda: len(found := left()) == 1 and found)
        os.kill(copy, signal.SIGKILL)

    def test_killed_while_all_stands_still(self, start, directory, wait_for, left):
        """
        Also where the command has stopped its supervisor before.
        """
        stop = "os.kill(os.getppid(), signal.SIGSTOP)\n"
        program = start(code=WAITING.replace("os.fork()", stop + "os.fork()"))
        wait_for(directory / "ready")

        program.kill()

        program.wait()
        wait_for(lambda: not left())

    @pytest.mark.parametrize("code", [WAITING, "pass"], ids=["long", "short"])
    def test_killed_at_any_time(self, start, demand_gone, monkeypatch, code):
        """
        Also at any instant while it starts, or ends.
        """
        # Half a file of what it has executed is none.
        monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        for delay in range(20):
            program = start("print('x', flush=True)", code=code, stdout=subprocess.PIPE)
            program.stdout.read(1)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(delay / 100)

            program.kill()

            program.communicate()
            demand_gone()

    @pytest.mark.parametrize("name", ["write", "take"])
    @pytest.mark.parametrize("is_forked", [False, True])
    def test_killed_beside(self, start, demand_gone, name, is_forked):
        """
        Also before there is a command, and after there was one.
        """
        kill = (
            "def kill(*_):\n"
            f"    while {is_forked} and not os.path.exists(place + '/forked'):\n"
            "        time.sleep(0.01)\n"
            "    os.kill(os.getpid(), 9)\n"
            f"_scratch.Scratch.{name} = kill\n"
        )
        fork = FORKING.replace("/ready", "/uv.lock") if is_forked else ""

        assert -signal.SIGKILL == start(fork + kill, code="pass").wait()

        demand_gone(but=int(is_forked))


class TestOddities:
    def test_no_such_limit(self, run, supervisor):
        """
        A system without a limit has none.
        """
        supervisor("import resource as r; r.setrlimit = lambda *_: [].index(1)")

        assert 0 == run(["true"]).status

    def test_supervisor_ends_first(self, run, supervisor):
        """
        A command whose supervisor has ended just now is not begun.
        """
        supervisor(
            "import os; me = os.getpid(); ask = os.getppid;"
            "os.getppid = lambda: ask() if os.getpid() == me else 1"
        )

        assert _containment.Ended(127, b"") == run(["echo", "x"])

    def test_faster_than_stopping(self, monkeypatch):
        """
        What forks faster than it is stopped is killed all the same.
        """
        counter = itertools.count()
        sent = []
        monkeypatch.setattr(_supervisor, "descendants", lambda _: {next(counter): 0})
        monkeypatch.setattr(_supervisor, "_signal", lambda _, n: sent.append(n))

        _supervisor.kill_below(1)

        assert signal.SIGKILL == sent.pop()
        assert {signal.SIGSTOP} == set(sent)

    def test_supervisor_dies_meanwhile(self, monkeypatch):
        """
        What was stopped is not left so where nobody is above it any more.
        """
        found = iter([{7: 7}])
        sent = []
        monkeypatch.setattr(_supervisor, "descendants", lambda _: next(found, {}))
        monkeypatch.setattr(_supervisor, "_signal", lambda *sent_: sent.append(sent_))

        _supervisor.kill_below(1)

        assert [({7: 7}, signal.SIGSTOP), ({7: 7}, signal.SIGKILL)] == sent

    def test_ends_while_looked_at(self, monkeypatch):
        """
        A process that has ended since it was listed is nobody's descendant.
        """
        with subprocess.Popen(["true"]) as process:
            pass
        names = [*os.listdir("/proc"), str(process.pid)]
        monkeypatch.setattr(os, "listdir", lambda _: names)

        found = _supervisor.descendants(os.getppid())

        assert os.getpid() in found
        assert process.pid not in found

    def test_not_yet_in_a_group(self):
        """
        What is still in the supervisor's own group is signalled alone.
        """
        with subprocess.Popen(["sleep", "600"]) as process:
            assert process.pid in _supervisor.descendants(os.getpid())
            group = os.getpgrp()
            _supervisor._signal({process.pid: group}, signal.SIGKILL)

        assert -signal.SIGKILL == process.returncode


class TestRemove:
    def test_deep(self, tmp_path):
        """
        Directories nested deeper than any path are removed.
        """
        top = tmp_path / "top"
        top.mkdir()
        subprocess.run(
            [
                sys.executable,
                "-c",
                "import os\nfor i in range(1500): os.mkdir('-0'); os.chdir('-0')",
            ],
            cwd=top,
            check=True,
        )

        _supervisor.remove(str(top))

        assert not top.exists()

    def test_everything(self, tmp_path):
        """
        So is everything else; what a link leads to stays.
        """
        top = tmp_path / "top"
        (top / "a/b").mkdir(parents=True)
        (top / "a/b/file").write_text("")
        (top / "-0").mkdir()
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
        A command that puts a link or a file into its place harms nobody else.
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
        Nor does one that mounts something there.
        """
        home = tmp_path / "home"
        home.mkdir()
        (home / "file").write_text("")
        home.chmod(0o755)
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / "top/other").write_text("")
        script = (
            "import runpy, sys; path, top = sys.argv[1:];"
            "runpy.run_path(path)['remove'](top)"
        )
        command = 'mount --bind "$1" "$2" || exit 7; shift 2; exec "$@"'
        words = [home, tmp_path / place, sys.executable, "-c", script]
        words += [_supervisor.__file__, tmp_path / "top"]
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", command, "sh", *map(str, words)],
            check=False,
        )
        if done.returncode in {1, 7}:
            pytest.skip("needs root, to mount something")

        assert 0 == done.returncode
        assert (home / "file").exists()
        assert 0o755 == stat.S_IMODE(home.stat().st_mode)

    @pytest.mark.parametrize("name", ["scandir", "rename"])
    def test_refused(self, tmp_path, monkeypatch, name):
        """
        What the system refuses stays, and stops nobody.
        """

        def refuse(*_):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        (tmp_path / "top/a/b").mkdir(parents=True)
        monkeypatch.setattr(_supervisor, "_LONG", 1)
        monkeypatch.setattr(os, name, refuse)

        _supervisor.remove(str(tmp_path / "top"))

        assert (name == "scandir") == (tmp_path / "top/a/b").exists()

    def test_as_a_user(self, tmp_path):
        """
        Permissions that were taken away stop nobody who owns the directory.
        """
        if os.geteuid():
            pytest.skip("needs root, to become somebody else")
        script = Path(_supervisor.__file__).read_text()
        code = (
            "import os, sys, tempfile; names = {'__name__': 'x'};"
            "exec(sys.stdin.read(), names); os.setuid(65534);"
            "top = tempfile.mkdtemp(); os.makedirs(top + '/a/b/c');"
            "open(top + '/a/f', 'w').close();"
            "[os.chmod(top + p, 0) for p in ('/a/b/c', '/a/b', '/a', '')];"
            "names['remove'](top); print(os.path.exists(top))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            input=script,
            text=True,
            stdout=subprocess.PIPE,
            check=True,
            env={"TMPDIR": "/tmp"},
        )

        assert "False\n" == done.stdout
