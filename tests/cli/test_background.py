"""
Checks that start automatically: `notify --check`, and `_background`.
"""

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import LONG_AGO, fail, wait_until
from upgrade_state import Consent

LINE = (
    "upgrade-state: 1 version change available in 'shop'."
    " Run 'uv lock --upgrade --dry-run' for details.\n"
)


class TestNotify:
    @pytest.mark.parametrize("words", [(), ("--interval=1d", "--interval=2d")])
    def test_due(self, desk, run, words):
        """
        A due check is made by the recipe that the user ran.
        """
        result = run("notify", "--always", *words, "--check")
        log = desk.ended()

        assert (0, "", "") == (result.status, result.out, result.err)
        assert desk.starts.read_text().startswith("-P -c ")
        assert " check --if-due " in desk.starts.read_text()
        assert 2 == desk.generation
        assert Consent("uv") == desk.environment.look().consent
        assert f"upgrade-state: {desk.environment.path} (uv.lock): checked\n" in log
        assert LINE == run("notify", "--always").err

    def test_max_age(self, desk, run, commit, lock_of):
        """
        For how long a check is good may be said; it holds for the check as well.
        """
        commit(desk.environment, lock_of(attrs="25"), by="uv")
        words = ("notify", "--always", "--check", "--max-age")

        run(*words, "1h")
        assert not desk.log.exists()
        run(*words, "0")
        desk.ended()
        assert 3 == desk.generation

    def test_long_age(self, desk, run, commit, lock_of):
        """
        The duration may be longer than a record's years.
        """
        commit(desk.environment, b"new", by="uv", now=LONG_AGO)
        Path(desk.environment.path, "uv.lock").write_bytes(lock_of(idna="3.9"))

        run("notify", "--always", "--check", "--max-age", "99999999d")

        assert "checked" in desk.ended()

    def test_place(self, desk, run, monkeypatch):
        """
        Directory, lockfile and store may be named, and are handed on.
        """
        store = os.environ["UPGRADE_STATE_CACHE_DIR"]
        monkeypatch.delenv("UPGRADE_STATE_CACHE_DIR")
        monkeypatch.chdir("/")
        words = ("--cache-dir", store, "--lockfile", "uv.lock", "--")

        run("notify", "--always", "--check", *words, desk.environment.path)
        desk.ended()

        assert 2 == desk.generation


class TestConsent:
    def not_due(self, desk, commit, _):
        commit(desk.environment, b"x", by="uv")

    def no_lockfile(self, desk, *_):
        Path(desk.environment.path, "uv.lock").unlink()

    def withdrawn(self, desk, *_):
        assert desk.environment.withdraw_consent()

    def corrupt(self, desk, *_):
        Path(desk.environment.record_path).write_bytes(b'{"consent": {"recipe": "uv"}}')

    def untrusted(self, desk, *_):
        Path(desk.environment.record_path).parent.chmod(0o777)

    def forgotten(self, desk, *_):
        desk.environment.forget()

    def switched_off(self, _, __, monkeypatch):
        monkeypatch.setenv("CI", "1")

    def nameless(self, desk, commit, _):
        path = Path(desk.environment.path, "uv.lock")
        bare = desk.environment.store.environment(path.parent)
        path.rename(path.with_name("other.txt"))
        commit(bare, b"x", by="uv", now=LONG_AGO)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (None, ()),
            (None, ("--platform=a", "--platform=b")),
            (None, ("--check", "--explain")),
            (not_due, ("--check",)),
            (no_lockfile, ("--check", "--lockfile=uv.lock", ".")),
            (withdrawn, ("--check",)),
            (corrupt, ("--check",)),
            (untrusted, ("--check",)),
            (forgotten, ("--check",)),
            (switched_off, ("--check",)),
            (nameless, ("--check",)),
        ],
    )
    def test_nothing_starts(self, desk, run, commit, monkeypatch, change, words):
        """
        Nothing starts without the option, a due check, a lockfile and a consent.
        """
        if change is not None:
            change(self, desk, commit, monkeypatch)

        result = run("notify", "--always", *words)

        assert 0 == result.status
        assert [] == os.listdir(desk.log.parent)

    def test_first_lockfile(self, desk, run, shop, commit):
        """
        A check may create the first lockfile.
        """
        (shop / "uv.lock").unlink()
        commit(desk.environment, b"x", by="uv", now=LONG_AGO)

        run("notify", "--always", "--check", "--lockfile=uv.lock", shop)

        desk.ended()
        assert desk.starts.exists()

    def test_withdrawn_meanwhile(self, desk, run):
        """
        Withdrawn between the start and the check, nothing is run.
        """
        desk.environment.forget()

        result = run("check", "--if-due", desk.environment.path)

        assert 1 == result.status
        assert "no check starts automatically before you have run" in result.err
        assert not desk.runs.exists()
        assert None is desk.environment.look().information

    def test_a_directory_with_modules(self, desk, shop, tmp_path, monkeypatch):
        """
        Nothing is imported from the directory that was entered.
        """
        marker = tmp_path / "imported"
        for name in ("json", "attr", "argparse", "upgrade_state", "sitecustomize"):
            (shop / f"{name}.py").write_text(f"open({str(marker)!r}, 'w')")
        code = (
            f"import sys; sys.path[:] = {sys.path!r};"
            "from upgrade_state.cli import main; main(['notify', '--check'])"
        )
        monkeypatch.setenv("PYTHONPATH", f".::{os.environ['PYTHONPATH']}")

        subprocess.run([sys.executable, "-I", "-c", code], check=True, cwd=shop)
        desk.ended()

        assert 2 == desk.generation
        assert not marker.exists()

    def test_a_directory_with_programs(self, desk, shop, tmp_path, monkeypatch):
        """
        No program in the directory is run, and no file there is read.
        """
        marker = tmp_path / "ran"
        names = ("uv", "python", "python3", "sh", "bwrap", "env", "true")
        for name in (*names, Path(sys.executable).name):
            (shop / name).write_text(f"#!/bin/sh\necho {name} >> {marker}\n")
            (shop / name).chmod(0o755)
        (shop / "upgrade_state").mkdir()
        (shop / "upgrade_state/__init__.py").write_text(f"open({str(marker)!r}, 'w')")
        (shop / ".cache/upgrade-state/v1").mkdir(parents=True)
        (shop / "pyproject.toml").write_text('[project]\nreadme = ["uv", "python3"]\n')
        monkeypatch.setenv("PATH", f":.:{os.environ['PATH']}:")
        code = "from upgrade_state.cli import main; main(['notify', '--check'])"

        subprocess.run([sys.executable, "-P", "-c", code], check=True, cwd=shop)
        desk.ended()

        assert 2 == desk.generation
        assert not marker.exists()
        assert [] == os.listdir(shop / ".cache/upgrade-state/v1")

    def test_copied_record(self, desk, run, shop, tmp_path, monkeypatch):
        """
        The consent to one environment is none to another, also if copied there.
        """
        other = tmp_path / "other"
        shutil.copytree(shop, other)
        stranger = desk.environment.store.environment(other, "uv.lock")
        shutil.copy(desk.environment.record_path, stranger.record_path)
        monkeypatch.chdir(other)

        assert "" == run("notify", "--always", "--check").err
        assert [] == os.listdir(desk.log.parent)
        assert "before you have run" in run("check", "--if-due", other).err
        assert not desk.runs.exists()

    def test_sandbox(self, desk, run, commit, lock_of, monkeypatch):
        """
        The consent to a sandbox is none to do without.
        """
        old = lock_of(attrs="24.2.0", idna="3.9")
        commit(desk.environment, old, by="uv+sandbox", now=LONG_AGO)
        monkeypatch.setenv("PATH", str(desk.runs.parent / "bin"))

        run("notify", "--always", "--check")

        assert "There is no command 'bwrap'" in desk.ended()
        assert "'bwrap'" in desk.environment.look().information.failure.message
        assert "uv+sandbox" == desk.environment.look().consent.recipe
        assert not desk.runs.exists()


class TestIfDue:
    """
    The command that `notify --check` starts.
    """

    @pytest.fixture
    def background(self, desk, run):
        return lambda *words: run("check", "--if-due", *words, desk.environment.path)

    def test_fresh(self, desk, background, commit, lock_of):
        """
        No check is made if none is due, which is no failure.
        """
        commit(desk.environment, lock_of(attrs="25"), by="uv")

        result = background()

        assert (0, "") == (result.status, result.out)
        assert "fresh: the last check is good until" in result.err
        assert not desk.runs.exists()

    def test_failed(self, desk, background):
        """
        A failed check prints the reason, and is not repeated at once.
        """
        Path(desk.environment.path, "pyproject.toml").unlink()

        first, second = background(), background()

        assert (1, 1) == (first.status, second.status)
        assert "pyproject.toml" in first.err
        assert "backing-off: the last check failed" in second.err

    def test_busy(self, desk, background):
        """
        While another process checks, no check is made.
        """
        with desk.environment.try_check():
            result = background()

        assert 1 == result.status
        assert "another process is checking it" in result.err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                [".", "--", "true"],
                "repeats a recipe and takes no COMMAND",
            ),
            ([".", "--recipe=uv"], "has no option '--recipe'"),
            ([".", "--all"], "has no option '--if-due'"),
            ([".", "--max-age", "soon"], "not a duration"),
            ([".", "--lockfile=../x"], "not a lockfile's name"),
            (["nowhere"], "could not look into 'nowhere'"),
        ],
    )
    def test_mistakes(self, run, words, message):
        """
        Its way of checking is that of the consent: it takes few options.
        """
        result = run("check", "--if-due", *words)

        assert (2, "") == (result.status, result.out)
        assert message in result.err


class TestCrowd:
    def test_one_check(self, desk, run_at_once):
        """
        A hundred activations at once start one process, which makes one check.
        """
        statuses = run_at_once(100, "command_line", "notify", "--check")
        desk.ended()

        assert [0] * 100 == statuses
        assert "ran\n" == desk.runs.read_text()
        assert 1 == len(desk.starts.read_text().splitlines())
        assert 2 == desk.generation

    def test_one_check_of_a_hundred_commands(self, desk, start):
        """
        A hundred commands, one after the other, start one check.
        """
        commands = [start("notify", "--check") for _ in range(100)]
        errors = [command.communicate(timeout=120)[1] for command in commands]
        desk.ended()

        assert {0} == {command.returncode for command in commands}
        assert 1 == len(desk.starts.read_text().splitlines())
        assert "ran\n" == desk.runs.read_text()
        # Some may have come late enough to tell of what it has found.
        assert set(errors) <= {"", LINE}

    def test_breaks_at_once(self, desk, run):
        """
        A check that breaks at its start is not started by every activation.
        """
        Path(desk.starts.parent, "site", "sitecustomize.py").write_text(
            "import sys\nif '--if-due' in sys.orig_argv:\n"
            f"    open({str(desk.runs)!r}, 'a').write('ran\\n')\n"
            "    raise SystemExit(9)"
        )
        for _ in range(5):
            run("notify", "--always", "--check")
            log = desk.ended()

        assert "it ended with exit status 1\n" in log
        assert "ran\n" == desk.runs.read_text()
        assert 1 == desk.generation


class TestDetached:
    COMMAND = f"{sys.executable} -m upgrade_state notify --check"

    @pytest.mark.parametrize(
        "script",
        [
            f'x=$({COMMAND}); echo "<$x>"',
            f'x=$({COMMAND} 2>&1 3>&1 9>&1); echo "<$x>"',
            f"{COMMAND} | cat; echo '<>'",
            f"{COMMAND} <&- >&- 2>&-; echo '<>'",
            f"({COMMAND} &) | cat; echo '<>'",
        ],
    )
    @pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
    def test_returns(self, desk, required, script, shell):
        """
        No caller waits for the check, not even for the end of its output.
        """
        desk.hold.touch()

        done = subprocess.run(
            [required(shell), "-c", script],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )

        assert b"<>\n" == done.stdout
        wait_until(desk.is_running)
        assert 1 == desk.generation
        desk.ended()
        assert 2 == desk.generation

    @pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGHUP])
    def test_terminal(self, desk, ending):
        """
        Neither Ctrl-C in the terminal nor its end ends a check.
        """
        desk.hold.touch()
        terminal, tty = pty.openpty()
        # The first terminal that the leader of a session opens is its own.
        opened = "exec <{0} >{0} 2>&1".format(os.ttyname(tty))
        script = f"{opened}; {self.COMMAND}; echo done; cat"
        with subprocess.Popen(["sh", "-c", script], start_new_session=True) as shell:
            output = b""
            while b"done" not in output:
                output += os.read(terminal, 1000)
            os.close(tty)
            wait_until(desk.is_running)
            if ending is signal.SIGINT:
                os.write(terminal, b"\x03")
            else:
                os.close(terminal)
            assert -ending == shell.wait(60)

        desk.ended()
        assert 2 == desk.generation

    def test_killed(self, desk):
        """
        The end of the starting process does not end a check.
        """
        desk.hold.touch()
        script = f"{self.COMMAND}; echo done; sleep 600"
        with subprocess.Popen(
            ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert b"done\n" == process.stdout.readline()
            wait_until(desk.is_running)
            os.killpg(process.pid, signal.SIGKILL)

        desk.ended()
        assert 2 == desk.generation

    def test_keeps_no_directory_busy(self, desk, shop, monkeypatch):
        """
        No process is in the directory while the check runs.
        """
        monkeypatch.chdir("/")
        desk.hold.touch()
        subprocess.run(self.COMMAND.split(), check=True, cwd=shop)
        wait_until(desk.is_running)

        directories = set()
        for process in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                directories.add(os.readlink(f"/proc/{process}/cwd"))

        assert str(shop) not in directories


class TestGone:
    def test_lockfile(self, environment, shop, run, commit, lock_of):
        """
        If the lockfile was removed, no check starts, and the result is kept.
        """
        commit(environment, lock_of(attrs="24.3.0", idna="3.9"), by="uv")
        (shop / "uv.lock").unlink()
        before = Path(environment.record_path).read_bytes()

        due = run("check", "--if-due", "--max-age=0", "--lockfile=uv.lock", shop)
        every = run("check", "--all", "--max-age=0")
        shown = run("show").out

        line = f"upgrade-state: {shop} (uv.lock): the lockfile was removed\n"
        assert (1, line) == (due.status, due.err)
        assert (0, "upgrade-state: 1 gone\n") == (every.status, every.err)
        assert (
            f"{shop} (uv.lock): the lockfile was removed\n"
            "  to forget it  upgrade-state forget\n"
        ) == shown
        assert json.loads(run("show", "--json").out)["background"] is False
        assert before == Path(environment.record_path).read_bytes()


class TestShow:
    def test_by_itself(self, desk, run):
        """
        Automatic checks and their recipe are shown.
        """
        shown = run("show").out

        assert "  automatic (hook, notify --check), by the recipe uv\n" in shown
        assert "  upgrade-state forget (automatic checks)\n" in shown
        assert "  log  " not in shown
        assert json.loads(run("show", "--json").out)["background"] is True

    def test_log(self, desk, run):
        """
        The path of the last log is shown if a check failed.
        """
        run("notify", "--always", "--check")
        desk.ended()

        assert "  log  " not in run("show").out
        fail(desk.environment)
        assert f"  log           {desk.log}\n" in run("show").out
        assert str(desk.log) == json.loads(run("show", "--json").out)["log_path"]

    def test_empty_log(self, desk, run):
        """
        The path of an empty log, of a start that was refused, is not shown.
        """
        fail(desk.environment)
        desk.log.touch()

        assert "  log  " not in run("show").out
        assert json.loads(run("show", "--json").out)["log_path"] is None

    def test_switched_off(self, desk, run, monkeypatch):
        """
        A variable that prevents automatic checks is shown.
        """
        monkeypatch.setenv("CI", "1")

        words = "not automatic: CI is set in the process"
        assert words in run("show").out
        assert json.loads(run("show", "--json").out)["background"] is False

    def test_withdrawn(self, desk, run):
        """
        So is the fact that there is no consent.
        """
        desk.environment.withdraw_consent()

        words = "not automatic; 'upgrade-state check' allows it\n"
        assert words in run("show").out

    def test_failed(self, failing, run):
        """
        So is the fact that every check has failed so far, perhaps a manager's.
        """
        failing(0)

        unless = "not automatic, unless a manager repeats it"
        words = f"{unless}; 'upgrade-state check -- COMMAND' makes one\n"
        assert words in run("show").out

    def test_unknown(self, environment, run):
        """
        So is the fact that nothing is known.
        """
        assert "nothing is known" in run("show").err
        fields = json.loads(run("show", "--json").out)
        assert (False, None) == (fields["background"], fields["log_path"])
