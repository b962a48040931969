import ast
import contextlib
import datetime as dt
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from upgrade_state import StateStore, checks
from upgrade_state.checks import Command, Limits
from upgrade_state.exceptions import ResolverError

SECOND = dt.timedelta(seconds=1)

OLD = b"old\n"


class TestCommand:
    def test_result(self, environment, python, scratches):
        """
        What lies there under the lockfile's name afterwards is the new lockfile.
        """
        command = Command(python("open('uv.lock', 'ab').write(b'new')"))

        assert b"old\nnew" == command(environment, OLD)

    def test_nothing_is_left(self, environment, python, scratches):
        """
        The scratch directory is gone afterwards.
        """
        Command(python("open('x', 'w')"))(environment, OLD)

        assert [] == list(scratches.iterdir())

    def test_environment_is_not_touched(self, environment, directory, python):
        """
        The environment's own lockfile stays as it is.
        """
        before = (directory / "uv.lock").read_bytes()

        Command(python("open('uv.lock', 'w').write('new')"))(environment, OLD)

        assert before == (directory / "uv.lock").read_bytes()
        assert ["uv.lock"] == os.listdir(directory)

    def test_private(self, environment, python, scratches):
        """
        Nobody else may enter the scratch directory.
        """
        code = "import os; print(oct(os.stat('..').st_mode), file=open('uv.lock','w'))"

        assert b"0o40700\n" == Command(python(code))(environment, OLD)

    def test_variable(self, environment, directory, python):
        """
        UPGRADE_STATE_ENV names the environment's directory.
        """
        code = "import os; open('uv.lock','w').write(os.environ['UPGRADE_STATE_ENV'])"

        assert str(directory).encode() == Command(python(code))(environment, OLD)

    def test_no_input(self, environment, python):
        """
        There is nothing to read, so that no tool waits for an answer.
        """
        code = "import sys; open('uv.lock', 'w').write(repr(sys.stdin.read()))"
        saved, (theirs, ours) = os.dup(0), os.pipe()
        os.write(ours, b"yes")
        os.close(ours)
        os.dup2(theirs, 0)
        try:
            assert b"''" == Command(python(code))(environment, OLD)
        finally:
            os.dup2(saved, 0)
            os.close(saved)
            os.close(theirs)

    def test_no_shell(self, environment, python):
        """
        Arguments arrive as they are.
        """
        code = "import sys; open('uv.lock', 'w').write(sys.argv[1])"
        command = Command((*python(code), "$(id); * 'x"))

        assert b"$(id); * 'x" == command(environment, OLD)

    @pytest.mark.parametrize("entry", ["", "."])
    def test_searched_nowhere_near(self, environment, directory, monkeypatch, entry):
        """
        A program is not looked for among the copies, whatever PATH has.
        """
        (directory / "tool").write_text("#!/bin/sh\n")
        (directory / "tool").chmod(0o755)
        for name in ("PATH", "LD_LIBRARY_PATH"):
            monkeypatch.setenv(name, f"{entry}:/usr/bin:/bin:{entry}")
        seen = Command(["sh", "-c", "echo $PATH $LD_LIBRARY_PATH > uv.lock"])

        with pytest.raises(ResolverError, match="There is no command 'tool'"):
            Command(["tool"], copies=["tool"])(environment, b"")
        assert b"/usr/bin:/bin /usr/bin:/bin\n" == seen(environment, b"")

    @pytest.mark.parametrize("path", ["", ".", "bin:.:", None])
    def test_nowhere_else_to_search(self, environment, directory, monkeypatch, path):
        """
        Nor where PATH has nothing else: the system's own directories are searched.
        """
        (directory / "tool").write_text("#!/bin/sh\n")
        (directory / "tool").chmod(0o755)
        for name in ("PATH", "LD_LIBRARY_PATH"):
            monkeypatch.delenv(name, raising=False)
            if path is not None:
                monkeypatch.setenv(name, path)
        seen = Command(["sh", "-c", "env > uv.lock"])(environment, b"").split(b"\n")

        with pytest.raises(ResolverError, match="There is no command 'tool'"):
            Command(["tool"], copies=["tool"])(environment, b"")
        assert f"PATH={os.defpath}".encode() in seen
        assert not any(line.startswith(b"LD_LIBRARY_PATH") for line in seen)

    def test_no_old_lockfile(self, environment, python):
        """
        Where there is no lockfile, none is found.
        """
        code = "import os; open('uv.lock', 'x').write(repr(os.listdir()))"

        assert b"['uv.lock']" == Command(python(code))(environment, None)

    def test_lockfile_below(self, directory, python):
        """
        A lockfile below the directory keeps its path.
        """
        name = ".flox/env/manifest.lock"
        environment = StateStore().environment(directory, name)
        code = f"open({name!r}, 'ab').write(b'new')"

        assert b"old\nnew" == Command(python(code))(environment, OLD)

    def test_copies(self, environment, directory, python):
        """
        Other files are copied with their paths, and programs are programs.
        """
        (directory / "tools").mkdir()
        script = directory / "tools/relock"
        script.write_text("#!/bin/sh\necho new > uv.lock\n")
        script.chmod(0o755)

        command = Command(["tools/relock"], copies=["./tools/relock"])

        assert b"new\n" == command(environment, OLD)

    def test_lockfile_as_copy(self, environment, python):
        """
        The content that the check is about wins over what lies on disk.
        """
        command = Command(python(""), copies=["uv.lock"])

        assert OLD == command(environment, OLD)

    def test_read_only(self, environment, directory, python):
        """
        A copy can be written to, whatever it is a copy of; the lockfile can.
        """
        (directory / "tool").touch()
        (directory / "tool").chmod(0o555)
        (directory / "uv.lock").chmod(0o444)
        modes = "*[oct(os.stat(name).st_mode & 0o777) for name in ('uv.lock', 'tool')]"
        code = f"import os; print({modes}, file=open('uv.lock', 'w'))"

        command = Command(python(code), copies=["uv.lock", "tool"])
        assert b"0o600 0o700\n" == command(environment, OLD)

    @pytest.mark.parametrize("name", ["", "..", "../x", "/etc/passwd", "a/../../x"])
    def test_copy_leads_elsewhere(self, name):
        """
        A file to copy is below the environment's directory.
        """
        with pytest.raises(ValueError, match="not a file below"):
            Command(["x"], copies=[name])
        with pytest.raises(ValueError, match="'fence' must be below a directory"):
            Command(["x"], fence={name: b""})

    def test_copy_is_a_symlink_to_elsewhere(self, environment, directory, tmp_path):
        """
        A symlink does not lead out of the environment's directory, either.
        """
        (tmp_path / "secret").write_text("x")
        (directory / "link").symlink_to(tmp_path / "secret")

        with pytest.raises(ResolverError, match="There is no file 'link' to copy"):
            Command(["true"], copies=["link"])(environment, OLD)

    def test_copy_is_missing(self, environment, directory):
        """
        A file to copy that is not there is named, with the directory.
        """
        with pytest.raises(ResolverError, match="no file 'x' to copy") as info:
            Command(["true"], copies=["x"])(environment, OLD)

        assert str(directory) == info.value.path

    def test_copies_in_each_others_way(self, environment, directory):
        """
        What cannot be put into the scratch directory is named.
        """
        (directory / "a").write_text("")
        changed = StateStore().environment(directory, "a/uv.lock")

        with pytest.raises(ResolverError, match=r"Could not copy 'a/uv\.lock'"):
            Command(["true"], copies=["a"])(changed, OLD)

    @pytest.mark.parametrize("argv", [(), ("",), ("a\0b",)])
    def test_no_command(self, argv):
        """
        A command has a name and no NUL characters.
        """
        with pytest.raises(ValueError, match="not a command"):
            Command(argv)

    def test_no_lockfile_name(self, directory):
        """
        Without a lockfile's name there is nothing to look for.
        """
        with pytest.raises(ValueError, match="lockfile's name"):
            Command(["true"])(StateStore().environment(directory), None)

    def test_fence(self, environment, python):
        """
        A fence lies in the directory above.
        """
        code = "open('uv.lock', 'w').write(open('../stop').read())"
        command = Command(python(code), fence={"stop": b"here"})

        assert b"here" == command(environment, OLD)


class TestVariables:
    """
    A command gets what tools need, and what is named.
    """

    @pytest.fixture
    def env_of(self, environment, python):
        """
        Run a command, and return the environment variables that it had.
        """
        code = "import os; open('uv.lock', 'w').write(repr(dict(os.environ)))"

        def env_of_(**more):
            output = Command(python(code), **more)(environment, OLD)
            env = ast.literal_eval(output.decode())
            # What this interpreter and a measurement set themselves.
            return {k: v for k, v in env.items() if k[:3] not in {"LC_", "COV"}}

        return env_of_

    @pytest.fixture(autouse=True)
    def _variables(self, monkeypatch):
        for name in list(os.environ):
            if name != "PATH" and not name.startswith(("COVERAGE", "UPGRADE_STATE")):
                monkeypatch.delenv(name)

    def test_usual(self, env_of, directory, monkeypatch):
        """
        Secrets of others stay here, the usual goes along.
        """
        monkeypatch.setenv("SECRET", "x")
        monkeypatch.setenv("HOME", "/home/ana")
        monkeypatch.setenv("https_proxy", "p.example")

        env = env_of()

        above = os.path.dirname(env["PWD"])
        assert {
            "PATH": os.environ["PATH"],
            "HOME": "/home/ana",
            "https_proxy": "p.example",
            "NO_COLOR": "1",
            "TERM": "dumb",
            "PWD": f"{above}/environment",
            "TMPDIR": f"{above}/tmp",
            "GIT_CEILING_DIRECTORIES": above,
            "MISE_CEILING_PATHS": above,
            "UPGRADE_STATE_ENV": str(directory),
        } == env

    def test_passes(self, env_of, monkeypatch):
        """
        Others are named, one by one or by how they begin.
        """
        for name in ("A", "AB", "TOOL_A", "TOOL_B", "TOOL"):
            monkeypatch.setenv(name, "x")

        env = env_of(passes=["A", "TOOL_*"])

        assert {"A", "TOOL_A", "TOOL_B"} == {k for k, v in env.items() if v == "x"}

    def test_changes(self, env_of, monkeypatch):
        """
        Environment variables are set and removed.
        """
        monkeypatch.setenv("B", "2")

        env = env_of(changes={"A": "1", "B": None, "HOME": "/x"}, passes=["B"])

        assert ("1", None, "/x") == tuple(env.get(k) for k in ("A", "B", "HOME"))

    @pytest.mark.parametrize("name", ["", "*", "A=B", "A*B", "A\0"])
    def test_no_name(self, name):
        """
        What is no name is a mistake.
        """
        with pytest.raises(ValueError, match="not the name of an environment"):
            Command(["x"], passes=[name])

    def test_one_text(self):
        """
        So is one name instead of a list.
        """
        with pytest.raises(TypeError, match=r"'caches' must be .*tuple"):
            Command(["x"], caches="UV_CACHE_DIR")


class TestMistakes:
    def test_one_text(self):
        """
        A command is a list: nobody takes one text apart.
        """
        with pytest.raises(TypeError, match=r"'argv' must be .*tuple"):
            Command("sed -i s/1/2/ uv.lock")

    @pytest.mark.parametrize("timeout", [1, 0.5, dt.timedelta(), -dt.timedelta(1)])
    def test_timeout(self, timeout):
        """
        A time limit is a duration like every other one, and not nothing.
        """
        with pytest.raises(ValueError, match="timeout must be a timedelta"):
            Command(["true"], timeout=timeout)


class TestFailures:
    def error_of(self, command, environment):
        with pytest.raises(ResolverError) as info:
            command(environment, OLD)
        return info.value.message

    def test_not_found(self, environment):
        """
        A command that is not there is named, with what to do.
        """
        command = Command(["no-such-tool"], needs="install it")

        assert "There is no command 'no-such-tool'; install it" == self.error_of(
            command, environment
        )

    def test_hidden_directory(self, environment, monkeypatch, tmp_path):
        """
        What is no directory in PATH is no reason to say otherwise.
        """
        (tmp_path / "file").write_text("")
        path = f"{tmp_path}/file/x:{os.environ['PATH']}"
        monkeypatch.setenv("PATH", path)

        assert "There is no command 'no-such-tool'; install it" == self.error_of(
            Command(["no-such-tool"], needs="install it"), environment
        )

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("folder", "Permission denied"),
            ("odd", "its interpreter is missing"),
            ("empty", "Exec format error"),
        ],
    )
    def test_not_to_be_started(self, environment, directory, name, words):
        """
        A command that cannot be started is not said to be missing.
        """
        (directory / "folder").mkdir()
        (directory / "odd").write_text("#!/no/such/interpreter\n")
        (directory / "empty").write_text("")
        for file in ("odd", "empty"):
            (directory / file).chmod(0o755)

        assert (
            f"Could not start '{directory}/{name}' ({words}); install it"
            == self.error_of(
                Command([f"{directory}/{name}"], needs="install it"), environment
            )
        )

    def test_directory_is_gone(self, environment, directory):
        """
        Where the environment is gone nothing is started.
        """
        (directory / "uv.lock").unlink()
        directory.rmdir()

        assert "The environment's directory is gone" == self.error_of(
            Command(["no-such-tool"]), environment
        )

    def test_too_old(self, environment):
        """
        A tool that does not know an option needs something, if that is known.
        """
        argv = ["sh", "-c", "echo \"error: unexpected argument '--x' found\"; exit 2"]
        message = (
            "'sh' failed with exit status 2: error: unexpected argument '--x' found"
        )

        assert message == self.error_of(Command(argv), environment)
        assert f"{message}; install 2.0 or newer" == self.error_of(
            Command(argv, needs="install 2.0 or newer"), environment
        )

    def test_no_supervisor(self, environment, monkeypatch):
        """
        Where a command cannot be supervised that is the failure.
        """
        monkeypatch.setattr("sys.executable", "")

        assert "Could not start a supervisor for the command" in self.error_of(
            Command(["true"]), environment
        )

    def test_too_large_a_file(self, environment):
        """
        A command that was killed for its files is told so.
        """
        limits = Limits(file=1 << 20)

        assert "'sh' was killed by SIGXFSZ (a file larger than 1 MiB)" == self.error_of(
            Command(["sh", "-c", "exec yes > x"], limits=limits), environment
        )

    def test_no_terminal(self, environment):
        """
        A tool that asks a question on the terminal fails with its own words.
        """
        argv = ["sh", "-c", "printf 'Password: ' > /dev/tty"]

        assert "No such device or address" in self.error_of(Command(argv), environment)

    def test_waits_for_an_answer(self, environment, directory, late):
        """
        Or at the deadline, with its question.
        """
        ask = "printf 'Password: '; : > $UPGRADE_STATE_ENV/asked"
        argv = ["sh", "-c", f"{ask}; read x || sleep 600"]
        late((directory / "asked").exists)

        words = "it asked a question: run it once yourself, and answer"
        assert f"'sh' did not end within 1 s: Password:; {words}" == self.error_of(
            Command(argv, timeout=SECOND), environment
        )

    def test_not_executable(self, environment, directory):
        """
        A command that may not be run is named.
        """
        command = Command([str(directory / "uv.lock")])

        assert "(Permission denied)" in self.error_of(command, environment)

    def test_exit_status(self, environment, python):
        """
        The exit status and the last line are told, without URLs and styles.
        """
        code = (
            "import sys; print('first', flush=True); sys.stderr.write("
            "'\\x1b[31mno \\x07answer from https://u:p@index.example/x\\n\\n');"
            "sys.exit(3)"
        )
        name = os.path.basename(python("")[0])

        assert (
            rf"'{name}' failed with exit status 3: no \x07answer from <URL>"
            == self.error_of(Command(python(code)), environment)
        )

    def test_error_line(self, environment, python):
        """
        Where a line calls itself an error, the words begin there.
        """
        code = "print('x\\nerror: a\\n  b\\nhint: c'); raise SystemExit(1)"

        assert self.error_of(Command(python(code)), environment).endswith(
            "exit status 1: error: a; b; hint: c"
        )

    def test_hint(self, environment):
        """
        What the caller suspects is told where the command's words tell no remedy.
        """
        silent = Command(["false"], hint="look at it")
        telling = Command(["sh", "-c", "echo ENOSPC; exit 1"], hint="look at it")

        assert self.error_of(silent, environment).endswith("status 1; look at it")
        assert "look at it" not in self.error_of(telling, environment)

    @pytest.mark.parametrize("words", ["", "npm http fetch GET 200 index.example"])
    def test_silent(self, environment, python, words):
        """
        A command that says nothing of its trouble is quoted with nothing.
        """
        code = f"print({words!r}); raise SystemExit(1)"
        message = self.error_of(Command(python(code)), environment)

        assert message.endswith(
            "failed with exit status 1; it gave no reason: run it once yourself"
        )

    @pytest.mark.parametrize(
        ("number", "name"),
        [(signal.SIGKILL, "SIGKILL"), (signal.SIGRTMIN + 3, "signal 37")],
    )
    def test_killed(self, environment, python, number, name):
        """
        A signal that has killed the command is named.
        """
        code = f"import os; os.kill(os.getpid(), {int(number)})"

        assert self.error_of(Command(python(code)), environment).endswith(
            f"was killed by {name}"
        )

    @pytest.fixture
    def pids(self, directory, late):
        """
        A file in which a command says what runs; it is too late after that.
        """
        path = directory / "pids"
        late(lambda: path.exists() and path.read_text())
        return path

    def test_too_long(self, environment, python, pids, scratches, is_gone):
        """
        A command that does not end in time is ended, with its children.
        """
        code = (
            "import os, subprocess, time;"
            "p = subprocess.Popen(['sleep', '600']);"
            "open(os.environ['UPGRADE_STATE_ENV'] + '/pids', 'w')"
            ".write(f'{os.getpid()} {p.pid}'); time.sleep(600)"
        )
        message = self.error_of(Command(python(code), timeout=SECOND), environment)

        assert "did not end within 1 s; check the network" in message
        assert [True, True] == [is_gone(pid) for pid in pids.read_text().split()]
        assert [] == list(scratches.iterdir())

    def test_deaf(self, environment, python, pids, is_gone):
        """
        What does not listen to SIGTERM is killed.
        """
        code = (
            "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "open(os.environ['UPGRADE_STATE_ENV'] + '/pids', 'w')"
            ".write(str(os.getpid())); time.sleep(60);"
            "open(os.environ['UPGRADE_STATE_ENV'] + '/woke', 'w')"
        )
        command = Command(python(code), timeout=SECOND, limits=Limits(grace=0.2))
        self.error_of(command, environment)

        assert is_gone(int(pids.read_text()))
        assert not Path(environment.path, "woke").exists()

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (0, "was offline and answered from its cache"),
            (1, "failed with exit status 1: 5 ms (stale), no such host"),
        ],
    )
    def test_offline(self, environment, python, status, words):
        """
        Who answers from its cache since nobody else did has failed.
        """
        code = f"print('5 ms (stale), no such host'); raise SystemExit({status})"
        command = Command(python(code), offline=b"(stale)")
        name = Path(sys.executable).name

        message = self.error_of(command, environment)

        assert f"{name!r} {words}" == message.partition(";")[0]
        assert (status == 0) == message.endswith("; check the network and the proxy")

    def test_left_nothing(self, environment, python):
        """
        A command that removes the lockfile has left none.
        """
        code = "import os; os.unlink('uv.lock')"
        name = Path(sys.executable).name

        assert (
            f"'{name}' left no 'uv.lock'; it must write one to its working directory"
            == self.error_of(Command(python(code)), environment)
        )

    @pytest.mark.parametrize(
        "code",
        [
            "os.symlink('/etc/passwd', 'uv.lock')",
            "os.mkfifo('uv.lock')",
            "os.mkdir('uv.lock')",
        ],
    )
    def test_left_no_file(self, environment, python, code):
        """
        What is no regular file is no lockfile.
        """
        code = f"import os; os.unlink('uv.lock'); {code}"

        assert "left no 'uv.lock'" in self.error_of(Command(python(code)), environment)

    def test_left_a_file_elsewhere(self, directory, python):
        """
        A directory that is a symlink does not lead to a lockfile.
        """
        (directory / "lock").write_text("not made by a check")
        environment = StateStore().environment(directory, "a/lock")
        code = (
            "import os; os.unlink('a/lock'); os.rmdir('a');"
            "os.symlink(os.environ['UPGRADE_STATE_ENV'], 'a')"
        )

        assert "left no 'a/lock'" in self.error_of(Command(python(code)), environment)

    def test_left_too_much(self, environment, python, monkeypatch):
        """
        A lockfile beyond every size is refused.
        """
        monkeypatch.setattr("upgrade_state._lockfile.MAX_SIZE", 100)
        code = "open('uv.lock', 'w').write('x' * 101)"

        assert "The lockfile is larger than 100 bytes" == self.error_of(
            Command(python(code)), environment
        )

    def test_nowhere(self, environment, monkeypatch):
        """
        Nor is there one where nothing can be written at all.
        """
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setattr("tempfile._candidate_tempdir_list", list)

        assert "Could not make a scratch directory" in self.error_of(
            Command(["true"]), environment
        )

    def test_no_place(self, environment, monkeypatch, tmp_path):
        """
        Where no scratch directory can be made, that is the failure.
        """
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))

        assert "Could not make a scratch directory" in self.error_of(
            Command(["true"]), environment
        )

    def test_permissions_taken_away(self, environment, python, scratches):
        """
        Directories that a command has closed are removed, and links not followed.
        """
        keep = Path(environment.path)
        mode = stat.S_IMODE(keep.stat().st_mode)
        code = (
            "import os; os.makedirs('a/b/c'); os.chmod('a/b', 0); os.chmod('a', 0o500);"
            "os.symlink(os.environ['UPGRADE_STATE_ENV'], 'link')"
        )
        Command(python(code))(environment, OLD)

        assert [] == list(scratches.iterdir())
        assert mode == stat.S_IMODE(keep.stat().st_mode)
        assert ["uv.lock"] == os.listdir(keep)

    def test_permissions_of_everything(self, environment, scratches):
        """
        So is the scratch directory itself.
        """
        argv = ["sh", "-c", "chmod 000 uv.lock . .. ../tmp"]

        with contextlib.suppress(ResolverError):
            Command(argv)(environment, OLD)

        assert [] == list(scratches.iterdir())

    def test_full_disk(self, environment, python, small_disk):
        """
        Where the disk is full it is said what to do.
        """
        code = "with open('x', 'wb', 0) as f:\n while 1: f.write(bytes(4096))"

        message = self.error_of(Command(python(code)), environment)

        assert message.endswith(
            "OSError: [Errno 28] No space left on device; no space is left in"
            f" '{small_disk}': free some, or set TMPDIR"
        )
        assert [] == os.listdir(small_disk)

    def test_no_disk_any_more(self, environment, scratches):
        """
        Nobody knows whether what a command has removed was full.
        """
        argv = ["sh", "-c", f"rm -r '{scratches}'; exit 3"]

        assert (
            "'sh' failed with exit status 3; it gave no reason: run it once yourself"
            == self.error_of(Command(argv), environment)
        )

    def test_no_files_left(self, environment, python, small_disk):
        """
        A disk is full, too, that takes no more files.
        """
        code = "for i in range(99): open(str(i), 'w')"

        message = self.error_of(Command(python(code)), environment)

        assert message.endswith("free some, or set TMPDIR")

    def test_no_space_for_copies(self, environment, directory, small_disk):
        """
        Also if nothing was started yet.
        """
        (directory / "big").write_bytes(bytes(2 << 20))

        assert (
            "Could not copy 'big' (No space left on device); no space is left in"
            f" '{small_disk}': free some, or set TMPDIR"
            == self.error_of(Command(["true"], copies=["big"]), environment)
        )
        assert [] == os.listdir(small_disk)

    def test_no_space_at_all(self, environment, small_disk):
        """
        Also if there is not even space for the directory.
        """
        # As many files as there may be.
        with contextlib.suppress(OSError):
            for number in range(100):
                (small_disk / str(number)).touch()

        assert "Could not make a scratch directory" in self.error_of(
            Command(["true"]), environment
        )

    @pytest.fixture
    def small_disk(self, tmp_path, monkeypatch):
        """
        A file system of 1 MiB and some files for scratch directories.
        """
        path = tmp_path / "small"
        path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=50", "x", path]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("needs a root that may mount")
        monkeypatch.setattr("tempfile.tempdir", str(path))
        yield path
        subprocess.run(["umount", path], check=True)

    def test_impatient_removal(self, environment, monkeypatch, scratches):
        """
        A Ctrl-C while the scratch directory is removed does not keep it.
        """
        wait = subprocess.Popen.wait
        interrupts = iter([KeyboardInterrupt])

        def interrupted(process, timeout=None):
            for interrupt in interrupts:
                raise interrupt
            return wait(process, timeout)

        monkeypatch.setattr(subprocess.Popen, "wait", interrupted)

        with pytest.raises(KeyboardInterrupt):
            Command(["true"])(environment, OLD)
        assert [] == list(scratches.iterdir())


class TestInterrupt:
    def test_interrupt(self, environment, python, scratches, wait_for, is_gone):
        """
        Ctrl-C ends the command, leaves nothing behind and records nothing.
        """
        started = Path(environment.path, "pid")
        code = (
            "import os, time; open(os.environ['UPGRADE_STATE_ENV'] + '/pid', 'w')"
            ".write(str(os.getpid())); time.sleep(60)"
        )

        def interrupt():
            wait_for(started)
            signal.raise_signal(signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            checks.check(environment, Command(python(code)))
        thread.join(30)

        assert is_gone(int(started.read_text()))
        assert [] == list(scratches.iterdir())
        assert environment.look().information is None
        with environment.try_check() as guard:
            assert guard is not None

    def test_cancelled(self, environment, python, scratches, wait_for, is_gone):
        """
        Cancelling ends the command, leaves nothing behind and records nothing.
        """
        started = Path(environment.path, "pid")
        code = (
            "import os, time; open(os.environ['UPGRADE_STATE_ENV'] + '/pid', 'w')"
            ".write(str(os.getpid())); time.sleep(60)"
        )
        cancellation = checks.Cancellation()

        def cancel():
            wait_for(started)
            cancellation.cancel()

        thread = threading.Thread(target=cancel)
        thread.start()
        outcome = checks.check(
            environment, Command(python(code)), cancellation=cancellation
        )
        thread.join(30)

        assert "cancelled" == outcome.state
        assert is_gone(int(started.read_text()))
        assert [] == list(scratches.iterdir())
        assert environment.look().information is None
