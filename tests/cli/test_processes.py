import importlib
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import upgrade_state
from helpers import wait_until
from upgrade_state import StateStore
from upgrade_state.exceptions import UpgradeStateError

SLOW = (
    "import os, time, subprocess; p = subprocess.Popen(['sleep', '600']);"
    "f = open(os.environ['UPGRADE_STATE_ENV'] + '/pids', 'w');"
    "f.write(f'{os.getpid()} {p.pid}\\n'); f.close(); time.sleep(600)"
)

# A signal at a place where Python prints what is raised, and goes on.
FINALISER = """
import os, signal, sys
from upgrade_state import checks
from upgrade_state.cli import main
class Finalised:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
call = checks.Command.__call__
def late(*arguments):
    Finalised()
    return call(*arguments)
checks.Command.__call__ = late
sys.exit(main())
"""


def wait_for(path):
    """
    Wait until a file has a whole line, and return it.
    """
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text()


def is_gone(pid):
    """
    Return whether a process has ended; a zombie has.
    """
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "status"),
        [("INT", 130), ("TERM", 143), ("HUP", 129), ("KILL", -signal.SIGKILL)],
    )
    def test_check(self, shop, start, python, tmp_path, number, status):
        """
        A check that is interrupted or killed leaves nothing and records nothing.
        """
        scratches = tmp_path / "scratches"
        scratches.mkdir()
        process = start(
            "check", *python(SLOW), env=os.environ | {"TMPDIR": str(scratches)}
        )
        pids = [int(pid) for pid in wait_for(shop / "pids").split()]

        process.send_signal(getattr(signal, f"SIG{number}"))
        out, err = process.communicate(timeout=60)

        environment = StateStore().environment(shop, "uv.lock")
        assert (status, "", "") == (process.returncode, out, err)
        if number != "KILL":
            assert [] == os.listdir(scratches)
        wait_until(lambda: all(map(is_gone, pids)))
        wait_until(lambda: not os.listdir(scratches))
        assert None is environment.look().information
        with environment.try_check() as guard:
            assert guard is not None

    @pytest.mark.parametrize("number", ["HUP", "TERM", "INT"])
    @pytest.mark.parametrize("words", [("check",), ("check", "--all")])
    def test_ignored(self, checked, shop, python, words, number):
        """
        An ignored signal, as under `nohup` and &, ends no check.
        """
        checked.expire()
        code = (
            "import os, time; place = os.environ['UPGRADE_STATE_ENV'];"
            "f = open(f'{place}/pids', 'w'); f.write('begun\\n'); f.close()\n"
            "while not os.path.exists(f'{place}/go'): time.sleep(0.01)"
        )
        script = f'trap \'\' {number}; exec "$0" -m upgrade_state "$@"'
        process = subprocess.Popen(
            ["sh", "-c", script, sys.executable, *words, *python(code)],
            stdout=subprocess.DEVNULL,
        )
        wait_for(shop / "pids")

        process.send_signal(getattr(signal, f"SIG{number}"))
        (shop / "go").touch()

        assert 0 == process.wait(60)
        assert (
            2 == StateStore().environment(shop, "uv.lock").look().information.generation
        )

    def test_finaliser(self, environment, python):
        """
        A signal during a finaliser ends a check, too.
        """
        process = subprocess.run(
            [sys.executable, "-c", FINALISER, "check", *python("")],
            check=False,
            timeout=60,
            capture_output=True,
        )

        assert (143, b"", b"") == (process.returncode, process.stdout, process.stderr)
        assert None is environment.look().information

    @pytest.fixture
    def fail(self, monkeypatch):
        """
        Let SIGTERM and then an error come in a check.
        """

        def fail_(error):
            def check(*_, **__):
                os.kill(os.getpid(), signal.SIGTERM)
                raise error

            monkeypatch.setattr("upgrade_state.checks.check", check)

        return fail_

    def test_trouble(self, fail, environment, run):
        """
        Trouble on the way to the end is said, and hides not that it was asked for.
        """
        fail(UpgradeStateError("no lock in time", "/x"))

        result = run("check", "--", "true")

        assert 143 == result.status
        assert "upgrade-state: no lock in time: '/x'\n" == result.err

    def test_bug(self, fail, environment, run):
        """
        A bug on the way to the end is not hidden by it.
        """
        fail(AssertionError("a bug"))

        with pytest.raises(AssertionError, match="a bug"):
            run("check", "--", "true")

    def test_interrupt_elsewhere(self, checked, run, monkeypatch):
        """
        Ctrl-C is an exit status everywhere.
        """

        def interrupt(_):
            raise KeyboardInterrupt

        monkeypatch.setattr(StateStore, "looks", interrupt)

        assert 130 == run("list").status


class TestOutput:
    @pytest.mark.parametrize("is_known", [True, False])
    def test_closed_pipe(self, environment, commit, start, monkeypatch, is_known):
        """
        A closed pipe is no error message, and does not change the answer.
        """
        monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
        if is_known:
            commit(environment, b"x")
        read, write = os.pipe()
        os.close(read)
        process = start("show", stdout=write)
        os.close(write)

        told = f"upgrade-state: nothing is known of {environment.path} (uv.lock)\n"
        assert ("" if is_known else told) == process.communicate(timeout=60)[1]
        assert (0 if is_known else 1) == process.returncode

    def test_full_disk(self, checked, start):
        """
        Output that cannot be written is one line.
        """
        with open("/dev/full", "w") as full:
            process = start("show", stdout=full)

        assert (
            "upgrade-state: Could not write the output (No space left on device)\n"
            == process.communicate(timeout=60)[1]
        )
        assert 2 == process.returncode

    def test_ascii(self, tmp_path, commit, start):
        """
        A terminal that knows only ASCII gets escapes; a name may be no text.
        """
        path = tmp_path / "caffè\udce8"
        path.mkdir()
        commit(StateStore().environment(path), b"x", upgrades=[])

        process = start(
            "list", env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        )
        out, err = process.communicate(timeout=60)

        assert ("", 0) == (err, process.returncode)
        assert r"caff\xe8\udce8  up to date  checked" in out

    def test_no_streams(self, checked, start):
        """
        Without stdout and stderr there is nothing to complain to.
        """
        code = (
            "import sys; sys.stdout = sys.stderr = None;"
            "from upgrade_state.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        for words in (["show"], ["check", "--", "true"], ["notify"], ["nonsense"]):
            result = subprocess.run(
                [sys.executable, "-c", code, *words], check=False, timeout=60
            )
            assert result.returncode in {0, 2}


class TestPlaces:
    GONE = 'mkdir gone; cd gone; rmdir ../gone; exec "$0" -m upgrade_state "$@"'

    @pytest.mark.parametrize(
        ("words", "status", "message"),
        [
            (("notify", "uv.lock"), 0, "the working directory is gone: '.'"),
            (("show", "x/uv.lock"), 2, "the working directory is gone: 'x'"),
            (("check", "..", "--", "x"), 2, "The working directory was removed: '..'"),
            (("check", "{shop}", "--", "./x"), 2, "[Errno 2] No such file"),
        ],
    )
    def test_deleted(self, shop, words, status, message):
        """
        In a directory that was deleted, that is the trouble, and no other.
        """
        words = [word.format(shop=shop) for word in words]
        process = subprocess.run(
            ["sh", "-c", self.GONE, sys.executable, *words],
            check=False,
            timeout=60,
            capture_output=True,
            text=True,
        )

        assert (status, "") == (process.returncode, process.stdout)
        assert process.stderr.startswith(f"upgrade-state: {message}")
        assert 1 == len(process.stderr.splitlines())

    @pytest.mark.parametrize("name", ["list", "show", "prune", "path"])
    def test_no_cache_directory(self, shop, run, monkeypatch, name):
        """
        Without a place for the state, each command prints one line.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "relative")

        result = run(name)

        assert (2, "") == (result.status, result.out)
        assert (
            "upgrade-state: UPGRADE_STATE_CACHE_DIR is not an absolute path:"
            " 'relative'\n" == result.err
        )

    def test_another_one(self, checked, run, tmp_path):
        """
        The place may be named; a path that is none is a mistake.
        """
        assert "" == run("list", "--cache-dir", tmp_path / "other").out
        assert 2 == run("list", "--cache-dir", "/a\0b").status

    def test_foreign(self, checked, run, monkeypatch):
        """
        A store of another user is one line.
        """
        monkeypatch.setattr("os.geteuid", lambda: 4711)

        result = run("show")

        assert 2 == result.status
        assert "belongs to user" in result.err


class TestTerminal:
    @pytest.mark.parametrize("term", ["xterm", "dumb"])
    def test_progress(self, environment, python, in_terminal, term):
        """
        A terminal that can erase it shows the running check on one line.
        """
        words = ["-m", "upgrade_state", "check", *python("")]
        env = {"TERM": term, "COLUMNS": "30", "NO_COLOR": "1"}
        seen = in_terminal(words, env=env, stdout="terminal").decode()

        shown = f"checking {environment.path}"[:28] + "…"
        before = "" if term == "dumb" else f"{shown}\r{' ' * 29}\r"
        assert seen.startswith(f"{before}{environment.path}"[: len(before) + 30])
        assert "\x1b" not in seen

    def test_interrupted(self, environment, python, in_terminal):
        """
        Ctrl-C removes the line of the running check.
        """
        line = (
            "import os, signal, sys, threading, time\n"
            "def interrupt():\n"
            "    while not os.path.exists('pids'): time.sleep(.01)\n"
            "    os.kill(os.getpid(), signal.SIGINT)\n"
            "threading.Thread(target=interrupt).start()\n"
            "from upgrade_state.cli import main\n"
            "sys.exit(main() != 130)"
        )
        seen = in_terminal(["-c", line, "check", *python(SLOW)]).decode()

        assert "checking" in seen
        assert "" == seen.split("\r")[-1]


class TestHelp:
    def test_option_first(self, run):
        """
        An option before the command is a mistake with a line of its own.
        """
        result = run("--cache-dir", "/x", "show")

        words = "the COMMAND comes first, and then its options: --cache-dir"
        assert (2, f"upgrade-state: {words}\n") == (result.status, result.err)

    def test_unknown_option(self, run):
        """
        An unknown option leads to the help of its command.
        """
        result = run("show", "--nope")

        words = "unrecognized arguments: --nope (see upgrade-state show --help)"
        assert (2, f"upgrade-state: {words}\n") == (result.status, result.err)

    NAMES = (
        "show list check record notify snooze forget prune hook path recipes"
        " completion doctor"
    )

    @pytest.mark.parametrize("name", NAMES.split())
    def test_command(self, run, name, monkeypatch):
        """
        Every command has help with an example, without any store.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "relative")

        result = run(name, "--help")

        assert 0 == result.status
        assert f"example: upgrade-state {name}" in result.out

    def test_all(self, run):
        """
        All commands are listed.
        """
        result = run("--help")

        assert 0 == result.status
        assert self.NAMES.split() == [
            line.split()[0]
            for line in result.out.splitlines()
            if line.startswith("    ") and not line.startswith("     ")
        ]

    @pytest.mark.parametrize("version", ["1.2.3", None])
    def test_version(self, run, monkeypatch, version):
        """
        The version is that of the distribution, if there is one.
        """

        def find(_):
            if version is None:
                raise metadata.PackageNotFoundError
            return version

        monkeypatch.setattr(metadata, "version", find)

        result = run("--version")

        assert 0 == result.status
        assert f"upgrade-state {version or 'unknown'}\n" == result.out
        assert (version or "unknown") == upgrade_state.__version__

    @pytest.mark.parametrize("words", [[], ["nonsense"], ["sho"], ["list", "--js"]])
    def test_mistake(self, run, words):
        """
        A mistake is one line and exit status 2; nothing is guessed.
        """
        result = run(*words)

        assert (2, "") == (result.status, result.out)
        assert 1 == len(result.err.splitlines())

    def test_import(self):
        """
        To import what runs the package does not run it.
        """
        importlib.import_module("upgrade_state.__main__")

    def test_module(self, start):
        """
        The package can be run.
        """
        assert "usage: upgrade-state" in start("--help").communicate(timeout=60)[0]
