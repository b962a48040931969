import errno
import importlib
import os
import signal
import subprocess
import sys
from importlib import metadata

import pytest

import upgrade_state
from helpers import refuse
from processes import is_gone, wait_for
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
        assert all(map(is_gone, pids))
        wait_for(lambda: not os.listdir(scratches))
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
        assert "upgrade-state: no lock in time: /x\n" == result.err

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

        told = (
            f"upgrade-state: nothing is known of {environment.path} (uv.lock)\n"
            f"Run 'upgrade-state check {environment.path} -- COMMAND'"
            " to look for upgrades.\n"
        )
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


class TestScript:
    CODE = (
        "import atexit, sys; from upgrade_state.cli import script;"
        "atexit.register(print, 'taken apart'); sys.exit(script())"
    )

    @pytest.mark.parametrize(
        ("words", "status", "out"),
        [
            (("notify", "--peek"), 0, "1\n"),
            (("notify", "--nonsense"), 0, ""),
            (("nonsense",), 2, "taken apart\n"),
        ],
    )
    def test_end(self, checked, words, status, out):
        """
        `notify` ends its process with everything written; no module is taken apart.
        """
        command = [sys.executable, "-c", self.CODE, *words]
        done = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=-3, text=True
        )

        assert (status, out) == (done.returncode, done.stdout)


class TestPlaces:
    GONE = 'mkdir gone; cd gone; rmdir ../gone; exec "$0" -m upgrade_state "$@"'

    @pytest.mark.parametrize(
        ("words", "status", "message"),
        [
            (("notify", "uv.lock"), 0, "the working directory is gone: '.'"),
            (("show", "x/uv.lock"), 2, "the working directory is gone: 'x'"),
            (("check", "..", "--", "x"), 2, "The working directory was removed: .."),
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
            " relative\n" == result.err
        )

    def test_another_one(self, checked, run, tmp_path):
        """
        The place may be named; a path that is none is a mistake.
        """
        assert "" == run("list", "--cache-dir", tmp_path / "other").out
        assert 2 == run("list", "--cache-dir", "/a\0b").status

    @pytest.mark.parametrize("words", [("snooze", "--off"), ("forget",)])
    def test_refused(self, checked, run, cache, monkeypatch, words):
        """
        An error of the whole store names it alone, and the remedy.
        """
        monkeypatch.setattr("fcntl.flock", refuse(errno.EROFS))
        monkeypatch.setenv("HOME", str(cache.parent))

        result = run(*words)

        assert (2, "") == (result.status, result.out)
        assert [
            "upgrade-state: Could not lock (Read-only file system): ~/cache/v1",
            "Set UPGRADE_STATE_CACHE_DIR to a directory that you can write to.",
        ] == result.err.splitlines()

    def test_foreign(self, checked, run, monkeypatch):
        """
        A store of another user is one line.
        """
        monkeypatch.setattr("os.geteuid", lambda: 4711)

        result = run("show")

        assert 2 == result.status
        assert "belongs to user" in result.err


class TestSurroundings:
    """
    A locale without UTF-8, a pipe that closes, and no home directory.
    """

    COMMANDS = (
        ("help",),
        ("help", "snooze"),
        ("chék",),
        ("show", "café"),
        ("show",),
        ("show", "--json"),
        ("list",),
        ("snooze", "--until=café"),
        ("notify", "--always", "--interval=0"),
        ("notify", "--peek", "café"),
        ("notify", "--peek"),
    )

    @pytest.mark.parametrize("words", COMMANDS)
    def test_no_utf8(self, checked, start, monkeypatch, words):
        """
        Every command works where only ASCII can be printed.
        """
        for name, value in (("LC_ALL", "C"), ("PYTHONCOERCECLOCALE", "0")):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PYTHONUTF8", "0")
        out, err = start(*words).communicate(timeout=60)

        assert (out + err).isascii()
        assert "Traceback" not in err
        assert 2 >= len(err.splitlines())

    @pytest.mark.parametrize("words", COMMANDS)
    def test_closed_pipe(self, checked, start, words):
        """
        A reader that leaves is no error.
        """
        read, write = os.pipe()
        os.close(read)
        process = start(*words, stdout=write)
        os.close(write)

        assert "Traceback" not in (err := process.communicate(timeout=60)[1])
        assert "Broken pipe" not in err

    @pytest.mark.parametrize("words", COMMANDS)
    def test_no_home(self, checked, start, monkeypatch, words):
        """
        Without a home directory every command works.
        """
        monkeypatch.delenv("HOME")
        _, err = start(*words).communicate(timeout=60)

        assert "Traceback" not in err
        assert 2 >= len(err.splitlines())


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
    @pytest.mark.parametrize(
        "words",
        [
            ("--cache-dir", "{}", "--color=never", "list"),
            ("--color", "never", "--cache-dir={}", "list"),
            ("--cache-dir={}", "list", "--color", "never"),
            ("list", "--color=never", "--cache-dir={}"),
        ],
    )
    def test_option_first(self, checked, run, monkeypatch, cache, words):
        """
        The options of all commands may come before the command, or after it.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "/nowhere")

        assert "shop (uv.lock)" in run(*(word.format(cache) for word in words)).out

    @pytest.mark.parametrize("words", [("version",), ("hook", "bash")])
    def test_options_everywhere(self, run, words):
        """
        Every command takes them.
        """
        assert 0 == run("--cache-dir=/x", "--color=never", *words).status

    @pytest.mark.parametrize(
        ("words", "message", "hint"),
        [
            (["chek"], "there is no command 'chek'; did you mean 'check'?", "help"),
            (["nonsense"], "there is no command 'nonsense'", "help"),
            (
                ["help", "sho"],
                "there is no command 'sho'; did you mean 'show'?",
                "help",
            ),
            (
                ["--versio"],
                "there is no option '--versio'; did you mean 'version'?",
                "help",
            ),
            (["show", "--nope"], "show has no option '--nope'", "show --help"),
            (
                ["snooze", "--fro=7d"],
                "snooze has no option '--fro'; did you mean '--for'?",
                "snooze --help",
            ),
            (["list", "-x"], "list has no option '-x'", "list --help"),
            (["list", "--", "--all"], "list does not take '--all'", "list --help"),
            (["help", "--all"], "help has no option '--all'", "help --help"),
            (
                ["check", "--all", "--copys=x"],
                "check --all has no option '--copys'; did you mean '--copy'?",
                "check --all --help",
            ),
            (
                ["list", "--color", "x"],
                "--color: not 'x' ('auto', 'always', 'never')",
                "list --help",
            ),
            (["hook"], "hook needs bash, zsh or fish", "hook --help"),
            (["hook", "csh"], "hook needs bash, zsh or fish, not 'csh'", "hook --help"),
            (["snooze", "-x"], "snooze has no option '-x'", "snooze --help"),
            (
                ["record"],
                "record needs --old and --new, or --flox",
                "record --help",
            ),
            (["show", "--shwo"], "show has no option '--shwo'", "show --help"),
            (
                ["show", "--max-age", "-1d"],
                "--max-age needs a value, such as 7d",
                "show --help",
            ),
            (["check", "--all", "-j"], "--jobs needs a value", "check --all --help"),
            (
                ["check", "", ""],
                "check does not take ''; a COMMAND comes after --",
                "check --help",
            ),
            (
                ["show", "--max-age=--"],
                "--max-age: not a duration: '--' (such as 12h, 7d, 1w2d)",
                "show --help",
            ),
            (
                ["check", "--all", "-j--"],
                "--jobs: not a number of checks: '--'",
                "check --all --help",
            ),
            (
                ["list", "--cache-dir=--"],
                "--cache-dir: not an absolute path: '--'",
                "list --help",
            ),
            (
                ["show", "--platform=--", "a", "b"],
                "show does not take 'b'",
                "show --help",
            ),
            (["--cache-dir"], "--cache-dir needs a value", "help --help"),
            (
                ["--color", "x"],
                "--color: not 'x' ('auto', 'always', 'never')",
                "help --help",
            ),
        ],
    )
    def test_mistakes(self, run, words, message, hint):
        """
        A mistake names the command that helps, in two short lines; nothing is guessed.
        """
        result = run(*words)

        first, second = result.err.splitlines()
        assert (2, "") == (result.status, result.out)
        assert f"upgrade-state: {message}" == first
        assert second.startswith(f"Run 'upgrade-state {hint}' to see ")
        assert max(len(first), len(second)) <= 80

    @pytest.mark.parametrize("command", ["path", "check", "record", "notify"])
    def test_nul(self, run, command):
        """
        A NUL character, which only a caller in the same process can pass, is refused.
        """
        result = run(command, "a\0")

        assert (0 if command == "notify" else 2) == result.status
        assert "upgrade-state: an argument contains a NUL character\n" == result.err

    @pytest.mark.parametrize("words", [("x" * 999,), ("show", "x" * 999)])
    def test_long_argument(self, run, words):
        """
        A long argument is cut in a message.
        """
        first, _ = run(*words).err.splitlines()
        assert first.endswith("xxx…'")
        assert len(first) <= 160

    def test_overview_with_options(self, run):
        """
        Options of all commands without a command have no other effect.
        """
        assert run("help").out == run("--color", "never").out

    GROUPS = (
        ("every day:", "check show list snooze forget"),
        ("at the prompt:", "hook notify completion"),
        ("more:", "record path shared recipes prune doctor version help"),
    )
    NAMES = " ".join(names for _, names in GROUPS)

    @pytest.mark.parametrize("name", NAMES.split())
    @pytest.mark.parametrize("columns", ["80", "40", "", "300", "wide"])
    def test_width(self, run, name, columns, monkeypatch):
        """
        Help fits the terminal, and 80 columns; indented code may not.
        """
        monkeypatch.setenv("COLUMNS", columns)
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

        words = run("help", name).out
        width = 40 if columns == "40" else 80
        long = [line for line in words.splitlines() if len(line) > width]
        assert [] == [line for line in long if not line.startswith("    ")]
        assert width > 40 or name in ("hook", "completion", "shared") or not long

    @pytest.mark.parametrize("name", ["help", "recipes"])
    def test_narrow(self, run, name, monkeypatch):
        """
        The overview and the list of recipes are folded, and nothing is cut.
        """
        whole = run(name).out
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)

        lines = run(name).out.splitlines()

        assert [] == [line for line in lines if len(line) > 40]
        assert whole.split() == " ".join(lines).split()

    @pytest.mark.parametrize("name", NAMES.split())
    def test_command(self, run, name, monkeypatch):
        """
        Every command has help with an example, without any store.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "relative")

        result = run(name, "--help")

        assert 0 == result.status
        assert f"example: upgrade-state {name}" in result.out
        assert vars(result) == vars(run("help", name))
        assert vars(result) == vars(run("help", "--color", "never", name))

    @pytest.mark.parametrize(
        "words",
        [(), ("-h",), ("--help",), ("help",), ("help", "--"), ("--color=never",)],
    )
    def test_all(self, run, words):
        """
        Without a command, all commands are listed in groups.
        """
        result = run(*words)

        assert (0, "") == (result.status, result.err)
        for title, names in self.GROUPS:
            _, _, rest = result.out.partition(f"\n{title}\n")
            lines = rest.partition("\n\n")[0].splitlines()
            assert names.split() == [line.split()[0] for line in lines]
        assert max(map(len, result.out.splitlines())) <= 80

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

        for words in ("--version", "-V", "version"):
            result = run(words)
            assert (0, "") == (result.status, result.err)
            assert f"upgrade-state {version or 'unknown'}\n" == result.out
        assert (version or "unknown") == upgrade_state.__version__

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
