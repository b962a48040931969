import ast
import contextlib
import datetime as dt
import os
import re
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from processes import is_gone, wait_for
from upgrade_state import StateStore, checks
from upgrade_state.checks import Command, Limits
from upgrade_state.exceptions import ResolverError

SECOND = dt.timedelta(seconds=1)

OLD = b"old\n"

NEEDS = {"needs": "install it"}
SILENT = "'sh' failed with exit status 1; it gave no reason: run it once yourself"
NO_OPTION = "error: unexpected argument '--x' found"
NETWORK = "check the network and the proxy"
QUESTION = "it asked a question: run it once yourself, and answer"
FULL = "no space is left in '{}': free some, or set TMPDIR"
LEFT_NOTHING = "'sh' left no 'uv.lock'; it must write one to its working directory"

# Values that a command refuses.
NO_PATHS = ("", "/etc/passwd", "a\0")
NO_NAMES = ("", "*", "A=B", "A*B", "A\0")
NO_TIMEOUTS = (1, 0.5, dt.timedelta(), -SECOND)

# Writes a process to a file of the environment.
TELL_PID = (
    "import os, signal, subprocess, time\n"
    "def tell(*pids):\n"
    " path = os.environ['UPGRADE_STATE_ENV'] + '/pids'\n"
    " open(path, 'w').write(' '.join(map(str, pids)))\n"
)


@pytest.fixture
def value_of(environment, python):
    """
    Evaluate a Python expression in a command, and return its value as text.
    """

    def run(expression, *arguments, old=OLD, **options):
        code = (
            f"import os, sys; value = {expression}; open('uv.lock', 'w').write("
            "value if isinstance(value, str) else repr(value))"
        )
        command = Command((*python(code), *arguments), **options)
        return command(environment, old).decode()

    return run


class TestCommand:
    def test_result(self, environment, directory, python, scratches):
        """
        The result is the lockfile in the scratch directory, which is removed.
        """
        before = (directory / "uv.lock").read_bytes()
        command = Command(python("open('uv.lock', 'ab').write(b'new'); open('x', 'w')"))

        assert b"old\nnew" == command(environment, OLD)
        assert [] == list(scratches.iterdir())
        assert before == (directory / "uv.lock").read_bytes()
        assert ["uv.lock"] == os.listdir(directory)

    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("oct(os.stat('..').st_mode)", "0o40700"),
            ("os.environ['UPGRADE_STATE_ENV']", "{directory}"),
            ("sys.argv[1]", "$(id); * 'x"),
            ("os.listdir()", "['uv.lock']"),
            ("open('../stop').read()", "here"),
        ],
    )
    def test_surroundings(self, value_of, directory, expression, value):
        """
        A command gets a private directory, its arguments as they are, and a fence.
        """
        expected = value.format(directory=directory)
        fence = {"stop": b"here"}

        assert expected == value_of(expression, "$(id); * 'x", fence=fence)

    def test_no_input(self, value_of):
        """
        The standard input is empty, so that no tool waits for an answer.
        """
        saved, (theirs, ours) = os.dup(0), os.pipe()
        os.write(ours, b"yes")
        os.close(ours)
        os.dup2(theirs, 0)
        try:
            assert "" == value_of("sys.stdin.read()")
        finally:
            os.dup2(saved, 0)
            os.close(saved)
            os.close(theirs)

    @pytest.mark.parametrize("path", ["{0}:/usr/bin:/bin:{0}", "{0}", "bin:.:", None])
    @pytest.mark.parametrize("entry", ["", "."])
    def test_search_paths(
        self, environment, directory, failure, fill, monkeypatch, path, entry
    ):
        """
        Relative entries of search paths, which would lead to copies, are removed.
        """
        fill(directory, {"tool": "#!/bin/sh\n"})
        (directory / "tool").chmod(0o755)
        for name in ("PATH", "LD_LIBRARY_PATH"):
            monkeypatch.delenv(name, raising=False)
            if path is not None:
                monkeypatch.setenv(name, path.format(entry))
        kept = "/usr/bin:/bin" if "/" in (path or "") else ""
        seen = Command(["sh", "-c", "env > uv.lock"])(environment, OLD).decode()
        values = dict(line.partition("=")[::2] for line in seen.splitlines())

        message = failure(Command(["tool"], copies=["tool"]))
        assert message.startswith("There is no command 'tool'")
        assert (kept or os.defpath) == values["PATH"]
        assert (kept or None) == values.get("LD_LIBRARY_PATH")

    def test_no_old_lockfile(self, value_of):
        """
        Without an old lockfile the command finds none.
        """
        assert "[]" == value_of("os.listdir()", old=None)

    def test_lockfile_below(self, directory, python):
        """
        A lockfile below the directory keeps its path.
        """
        name = ".flox/env/manifest.lock"
        environment = StateStore().environment(directory, name)
        code = f"open({name!r}, 'ab').write(b'new')"

        assert b"old\nnew" == Command(python(code))(environment, OLD)

    def test_copies(self, environment, directory, fill):
        """
        Copies keep their paths, and programs stay executable.
        """
        fill(directory, {"tools/relock": "#!/bin/sh\necho new > uv.lock\n"})
        (directory / "tools/relock").chmod(0o755)
        command = Command(["tools/relock"])

        assert b"new\n" == command(environment, OLD)

    def test_lockfile_as_copy(self, environment):
        """
        The old lockfile of the check overrides a copy of the file on disk.
        """
        assert OLD == Command(["true"], copies=["uv.lock"])(environment, OLD)

    def test_read_only(self, value_of, directory):
        """
        A copy is writable, even if its original is not.
        """
        (directory / "tool").touch(0o555)
        (directory / "list").touch(0o444)
        modes = "[oct(os.stat(n).st_mode)[-3:] for n in ('list', 'tool')]"

        assert "['600', '700']" == value_of(modes)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"manifests": ["x"]}, "There is no file 'x' to copy"),
            ({"manifests": ["link"]}, "There is no file 'link' to copy"),
            *(
                ({"copies": [name]}, f"Could not copy {name!r}: it is no file or dir")
                for name in ("link", "../secret", "../x", "fifo", ".git", "../shop/..")
            ),
        ],
    )
    def test_not_copied(self, failure, directory, tmp_path, options, message):
        """
        An error names the file that is missing, or outside of the project.
        """
        (tmp_path / "secret").write_text("x")
        (directory / "link").symlink_to(tmp_path / "secret")
        (directory / ".git").mkdir()
        os.mkfifo(directory / "fifo")

        assert failure(Command(["true"], **options)).startswith(message)

    def test_no_lockfile_name(self, directory):
        """
        An environment without a lockfile's name is refused.
        """
        with pytest.raises(ValueError, match="lockfile's name"):
            Command(["true"])(StateStore().environment(directory), None)

    @pytest.mark.parametrize(
        ("field", "value", "error", "message"),
        [
            *(("copies", [n], ValueError, "not a path below") for n in NO_PATHS),
            ("copies", "x", TypeError, "'copies' must be .*tuple"),
            ("manifests", ["../x"], ValueError, "'manifests' must be below"),
            ("fence", {"../x": b""}, ValueError, "'fence' must be below"),
            ("fence", {"./x": b""}, ValueError, "'fence' must be below"),
            ("fence", {"x": ""}, TypeError, "'fence' must be <class 'bytes'>"),
            *(("argv", a, ValueError, "not a command") for a in ((), ("",), ("a\0b",))),
            ("argv", "sed -i s/1/2/ uv.lock", TypeError, "'argv' must be .*tuple"),
            *(("passes", [n], ValueError, r"variable.*\(passes") for n in NO_NAMES),
            ("caches", "UV_CACHE_DIR", TypeError, "'caches' must be .*tuple"),
            *(("timeout", t, ValueError, "timeout must be a") for t in NO_TIMEOUTS),
        ],
    )
    def test_wrong(self, field, value, error, message):
        """
        A field with a wrong value or type is an error that names it.
        """
        with pytest.raises(error, match=message):
            Command(**{"argv": ["x"], field: value})


class TestVariables:
    @pytest.fixture
    def env_of(self, value_of, monkeypatch):
        """
        Run a command, and return the environment variables that it had.
        """
        for name in list(os.environ):
            if name != "PATH" and not name.startswith(("COVERAGE", "UPGRADE_STATE")):
                monkeypatch.delenv(name)

        def run(**options):
            env = ast.literal_eval(value_of("dict(os.environ)", **options))
            # Set by this interpreter and by a measurement.
            return {k: v for k, v in env.items() if k[:3] not in {"LC_", "COV"}}

        return run

    def test_usual(self, env_of, directory, monkeypatch):
        """
        A command gets the usual variables, and no secrets of other programs.
        """
        usual = {"HOME": "/home/ana", "https_proxy": "p.example"}
        for name, value in (usual | {"SECRET": "x"}).items():
            monkeypatch.setenv(name, value)

        env = env_of()

        above = os.path.dirname(env["PWD"])
        assert (
            usual
            | {
                "PATH": os.environ["PATH"],
                "NO_COLOR": "1",
                "TERM": "dumb",
                "PWD": f"{above}/project",
                "TMPDIR": f"{above}/tmp",
                "GIT_CEILING_DIRECTORIES": above,
                "MISE_CEILING_PATHS": above,
                "UPGRADE_STATE_ENV": str(directory),
                "UPGRADE_STATE_DISABLE": "1",
            }
            == env
        )

    def test_passes(self, env_of, monkeypatch):
        """
        Other variables are named, one by one or by their beginning.
        """
        for name in ("A", "AB", "TOOL_A", "TOOL_B", "TOOL"):
            monkeypatch.setenv(name, "x")

        env = env_of(passes=["A", "TOOL_*"])

        assert {"A", "TOOL_A", "TOOL_B"} == {k for k, v in env.items() if v == "x"}

    def test_changes(self, env_of, monkeypatch):
        """
        Variables are set and removed.
        """
        monkeypatch.setenv("B", "2")

        env = env_of(changes={"A": "1", "B": None, "HOME": "/x"}, passes=["B"])

        assert ("1", None, "/x") == tuple(env.get(k) for k in ("A", "B", "HOME"))

    def test_silent_inside(self, env_of):
        """
        A command gives no notice and starts no check, whatever variables it sets.
        """
        name = "UPGRADE_STATE_DISABLE"

        assert ["1"] * 2 == [env_of(changes={name: v})[name] for v in (None, "0")]


class TestFailures:
    @pytest.mark.parametrize(
        ("script", "options", "message"),
        [
            (f'echo "{NO_OPTION}"; exit 2', {}, f"status 2: {NO_OPTION}"),
            (f'echo "{NO_OPTION}"; exit 2', NEEDS, f"2: {NO_OPTION}; install it"),
            (
                "exec yes > x",
                {"limits": Limits(file=1 << 20)},
                "'sh' was killed by SIGXFSZ (a file larger than 1 MiB)",
            ),
            (
                "printf 'Password: ' > /dev/tty",
                {},
                f"No such device or address; {QUESTION}",
            ),
            (
                r"echo; printf '\033[31mno \007 https://u:p@a.example\n\n' >&2; exit 3",
                {},
                r"'sh' failed with exit status 3: no \x07 <URL>",
            ),
            (
                r"printf 'x\nerror: a\n  b\nhint: c\n'; exit 1",
                {},
                "exit status 1: error: a; b; hint: c",
            ),
            ("exit 1", {}, SILENT),
            ("echo npm http fetch GET 200 index.example; exit 1", {}, SILENT),
            (
                "echo ENOSPC; exit 1",
                {},
                "ENOSPC; free some space, for example in its cache",
            ),
            ("kill -9 $$", {}, "'sh' was killed by SIGKILL"),
            (f"kill -{signal.SIGRTMIN + 3} $$", {}, "'sh' was killed by signal 37"),
            (
                "echo '5 ms (stale), none'",
                {"failures": {b"(other)": "x", b"(stale)": "was offline; see x"}},
                "'sh' was offline; see x",
            ),
            (
                "echo '5 ms (stale), none'; exit 1",
                {"failures": {b"(stale)": "was offline"}},
                "'sh' failed with exit status 1: 5 ms (stale), none",
            ),
            ("rm uv.lock", {}, LEFT_NOTHING),
            ("rm uv.lock", NEEDS, "'sh' left no 'uv.lock'; install it"),
            ("ln -sf /etc/passwd uv.lock", {}, LEFT_NOTHING),
            ("rm uv.lock; mkfifo uv.lock", {}, LEFT_NOTHING),
            ("rm uv.lock; mkdir uv.lock", {}, LEFT_NOTHING),
        ],
    )
    def test_message(self, failure, script, options, message):
        """
        The message has the exit status or signal, the reason, and advice.
        """
        assert failure(Command(["sh", "-c", script], **options)).endswith(message)

    @pytest.mark.parametrize("entry", ["", "{tmp_path}/file/x:"])
    @pytest.mark.parametrize("options", [NEEDS, {}])
    def test_not_found(self, failure, monkeypatch, tmp_path, entry, options):
        """
        A missing command is named, even if PATH has an entry that is no directory.
        """
        (tmp_path / "file").write_text("")
        path = entry.format(tmp_path=tmp_path) + os.environ["PATH"]
        monkeypatch.setenv("PATH", path)
        advice = options.get("needs", "install it or name its path")

        assert f"There is no command 'no-such-tool'; {advice}" == failure(
            Command(["no-such-tool"], **options)
        )

    @pytest.mark.parametrize("name", ["no-such-tool", "/no/such/tool"])
    def test_not_found_first(self, failure, monkeypatch, name):
        """
        Nothing is copied for a missing command.
        """
        monkeypatch.setattr("upgrade_state.checks._project.MAX_FILES", -1)

        assert failure(Command([name])).startswith(f"There is no command {name!r}")
        assert "has more than -1 files" in failure(Command(["./no-such-tool"]))

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("uv.lock", "Permission denied"),
            ("folder", "Permission denied"),
            ("odd", "its interpreter is missing"),
            ("empty", "Exec format error"),
        ],
    )
    def test_not_started(self, failure, directory, name, reason):
        """
        A command that exists but cannot be started is not reported as missing.
        """
        (directory / "folder").mkdir()
        (directory / "odd").write_text("#!/no/such/interpreter\n")
        for file in ("odd", "empty"):
            (directory / file).touch()
            (directory / file).chmod(0o755)

        assert (
            f"Could not start '{directory}/{name}' ({reason}); install it"
            == failure(Command([f"{directory}/{name}"], **NEEDS))
        )

    def test_directory_is_gone(self, failure, directory):
        """
        Nothing is started if the environment's directory is gone.
        """
        (directory / "uv.lock").unlink()
        directory.rmdir()

        assert "The environment's directory is gone" == failure(Command(["no-tool"]))

    @pytest.mark.parametrize(
        ("target", "value", "message"),
        [
            ("sys.executable", "", "Could not start a supervisor for the command"),
            ("tempfile.tempdir", "/no/such", "Could not make a scratch directory"),
            ("tempfile._candidate_tempdir_list", list, "Could not make a scratch"),
            ("upgrade_state._lockfile.MAX_SIZE", 3, "The lockfile is larger than 3"),
        ],
    )
    def test_surroundings(self, failure, monkeypatch, target, value, message):
        """
        No supervisor, no scratch directory, and a huge lockfile are failures.
        """
        monkeypatch.setattr("tempfile.tempdir", None)
        monkeypatch.setattr(target, value)

        assert failure(Command(["true"])).startswith(message)

    def test_question(self, failure, directory, late):
        """
        A tool that waits for an answer fails at the time limit, with its question.
        """
        ask = "printf 'Password: '; : > $UPGRADE_STATE_ENV/asked"
        argv = ["sh", "-c", f"{ask}; read x || sleep 600"]
        late((directory / "asked").exists)

        assert f"'sh' did not end within 1 s: Password:; {QUESTION}" == failure(
            Command(argv, timeout=SECOND)
        )

    @pytest.mark.parametrize(
        "code",
        [
            "tell(os.getpid(), subprocess.Popen(['sleep', '600']).pid)",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); tell(os.getpid())",
        ],
    )
    def test_too_long(self, failure, python, directory, late, code):
        """
        A late command is terminated with its children, or killed.
        """
        pids = directory / "pids"
        late(lambda: pids.exists() and pids.read_text())
        woke = "open(os.environ['UPGRADE_STATE_ENV'] + '/woke', 'w')"
        argv = python(f"{TELL_PID}{code}\ntime.sleep(60); {woke}")

        command = Command(argv, timeout=SECOND, limits=Limits(grace=0.2))
        assert f"did not end within 1 s; {NETWORK}" in failure(command)
        assert all(is_gone(int(pid)) for pid in pids.read_text().split())
        assert not (directory / "woke").exists()

    def test_unlimited(self, value_of):
        """
        No time is too long for the system calls that wait.
        """
        assert "2" == value_of("1 + 1", timeout=dt.timedelta.max)

    def test_left_a_file_elsewhere(self, directory, python):
        """
        A directory that was replaced by a symlink does not lead to a lockfile.
        """
        (directory / "lock").write_text("not made by a check")
        environment = StateStore().environment(directory, "a/lock")
        code = (
            "import os; os.unlink('a/lock'); os.rmdir('a');"
            "os.symlink(os.environ['UPGRADE_STATE_ENV'], 'a')"
        )

        with pytest.raises(ResolverError, match="left no 'a/lock'"):
            Command(python(code))(environment, OLD)

    @pytest.mark.parametrize(
        "script",
        [
            "mkdir -p a/b/c; chmod 0 a/b; chmod 500 a; ln -s $UPGRADE_STATE_ENV link",
            "chmod 000 uv.lock . .. ../tmp",
        ],
    )
    def test_permissions(self, environment, directory, scratches, script):
        """
        Directories without permissions are removed; symlinks are not followed.
        """
        mode = stat.S_IMODE(directory.stat().st_mode)
        with contextlib.suppress(ResolverError):
            Command(["sh", "-c", script])(environment, OLD)

        assert [] == list(scratches.iterdir())
        assert mode == stat.S_IMODE(directory.stat().st_mode)
        assert ["uv.lock"] == os.listdir(directory)

    def test_impatient_removal(self, environment, monkeypatch, scratches):
        """
        Ctrl-C during the removal of the scratch directory does not keep it.
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

    @pytest.mark.parametrize("is_cancelled", [False, True])
    def test_interrupt(self, environment, python, scratches, is_cancelled):
        """
        Ctrl-C and cancelling end the command, leave no files, and record nothing.
        """
        pids = Path(environment.path, "pids")
        command = Command(python(f"{TELL_PID}tell(os.getpid()); time.sleep(60)"))
        cancellation = checks.Cancellation()
        interrupted = contextlib.nullcontext()

        def interrupt():
            wait_for(pids)
            if is_cancelled:
                cancellation.cancel()
            else:
                signal.raise_signal(signal.SIGINT)

        if not is_cancelled:
            interrupted = pytest.raises(KeyboardInterrupt)
        thread = threading.Thread(target=interrupt)
        thread.start()
        with interrupted:
            outcome = checks.check(environment, command, cancellation=cancellation)
            assert "cancelled" == outcome.state
        thread.join(30)

        assert is_gone(int(pids.read_text()))
        assert [] == list(scratches.iterdir())
        assert environment.look().information is None
        with environment.try_check() as guard:
            assert guard is not None


class TestFullDisk:
    @pytest.fixture
    def small_disk(self, tmp_path, monkeypatch):
        """
        Mount a file system of 1 MiB and 50 files for scratch directories.
        """
        path = tmp_path / "small"
        path.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=50", "x", path]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("needs a root that may mount")
        monkeypatch.setattr("tempfile.tempdir", str(path))
        yield path
        subprocess.run(["umount", path], check=True)

    @pytest.mark.parametrize(
        ("code", "size", "message"),
        [
            (
                "with open('x', 'wb', 0) as f:\n while 1: f.write(bytes(4096))",
                0,
                f"OSError: [Errno 28] No space left on device; {FULL}",
            ),
            ("for i in range(99): open(str(i), 'w')", 0, FULL),
            (
                "",
                2 << 20,
                f"'big' (No space left on device), 2 MiB in all; {FULL}",
            ),
        ],
    )
    def test_advice(self, failure, directory, python, small_disk, code, size, message):
        """
        The message names the full file system, whether bytes or files ran out.
        """
        (directory / "big").write_bytes(bytes(size))

        said = failure(Command(python(code)))
        assert said.endswith(message.format(small_disk))
        assert [] == os.listdir(small_disk)

    def test_lockfile(self, environment, small_disk):
        """
        So does that of a lockfile which does not fit.
        """
        message = "Could not copy 'uv.lock' (No space left on device); no space is left"
        with pytest.raises(ResolverError, match=re.escape(message)):
            Command(["true"])(environment, bytes(2 << 20))

    def test_no_directory(self, failure, small_disk):
        """
        There may be no space even for the scratch directory.
        """
        with contextlib.suppress(OSError):
            for number in range(100):
                (small_disk / str(number)).touch()

        assert "Could not make a scratch directory" in failure(Command(["true"]))

    def test_removed(self, failure, scratches):
        """
        A file system that the command has removed is not reported as full.
        """
        assert failure(Command(["sh", "-c", f"rm -r '{scratches}'; exit 1"])) == SILENT
