"""
What a command can do to the world outside of its sandbox: nothing.
"""

import contextlib
import datetime as dt
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

from upgrade_state import checks
from upgrade_state.checks import Command, _sandbox, recipe_named
from upgrade_state.exceptions import ResolverError

pytestmark = pytest.mark.skipif(
    not shutil.which("bwrap")
    or subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "true"], check=False
    ).returncode,
    reason="no bwrap here, or it may not make namespaces",
)

OLD = b"old\n"

# Tries things, and leaves what came of them as the new lockfile.
TRY = """
import os, signal, socket
results = []
def attempt(do):
    try:
        results.append(str(do()))
    except OSError as error:
        results.append(type(error).__name__)
{}
open("uv.lock", "w").write(" ".join(results))
"""


@pytest.fixture
def attempt(environment, python):
    """
    Let a sandboxed command try something, and return how that went.
    """

    def attempt_(*what, **more):
        lines = "\n".join(f"attempt(lambda: {w})" for w in what)
        command = Command(python(TRY.format(lines)), sandbox=True, **more)
        return command(environment, OLD).decode().split()

    return attempt_


def name_of(pid):
    with contextlib.suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/comm").read_text().strip()


class TestSandbox:
    def test_result(self, environment, python):
        """
        A command works as ever, with a lockfile that it finds and leaves.
        """
        command = Command(python("open('uv.lock', 'a').write('new')"), sandbox=True)

        assert b"old\nnew" == command(environment, OLD)

    def test_writes(self, attempt, environment, monkeypatch, tmp_path):
        """
        Nothing outside of the scratch directory can be written to.
        """
        # One of them may be missing.
        hidden = (*_sandbox._HIDDEN, "/no/such/directory")
        monkeypatch.setattr(_sandbox, "_HIDDEN", hidden)
        home = tmp_path / "home"
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        name = uuid.uuid4()
        places = [home, environment.path, "/", "/etc", "/var", "/usr", "/dev"]
        # A place that is nobody's is made up, and goes with the sandbox.
        ours = ["/tmp", "/var/tmp", "/dev/shm"]

        assert ["OSError"] * len(places) == attempt(
            *(f"open('{place}/{name}', 'w').close()" for place in places)
        )
        assert ["None"] * 3 == attempt(
            *(f"open('{p}/{name}', 'w').close()" for p in ours)
        )
        assert not any(os.path.exists(f"{place}/{name}") for place in (*places, *ours))

    def test_changes(self, attempt, environment):
        """
        What is there cannot be changed or removed, whoever one is.
        """
        lockfile = f"{environment.path}/uv.lock"
        before = Path(lockfile).read_bytes()

        results = attempt(
            f"os.unlink({lockfile!r})",
            f"os.truncate({lockfile!r}, 0)",
            f"os.chmod({lockfile!r}, 0)",
            "os.open('/proc/sys/kernel/hostname', os.O_WRONLY)",
            "os.mknod('/dev/x')",
            "os.system('mount -o remount,rw / 2>/dev/null') != 0",
            "os.system('echo x > /dev/null')",
        )

        assert before == Path(lockfile).read_bytes()
        assert {"OSError", "PermissionError"} >= set(results[:-2])
        assert ["True", "0"] == results[-2:]

    def test_signals(self, attempt):
        """
        Processes outside are neither seen nor signalled.
        """
        with subprocess.Popen(["sleep", "600"]) as process:
            results = attempt(
                f"os.kill({process.pid}, {int(signal.SIGKILL)})",
                "len([p for p in os.listdir('/proc') if p.isdigit()]) < 6",
                "os.kill(-1, 0)",
            )
            assert None is process.poll()
            process.kill()

        assert ["ProcessLookupError", "True"] == results[:2]

    @pytest.mark.parametrize(
        ("home", "way"),
        [
            ("/home/ana", "/tmp"),
            ("/tmp/", "/tmp"),
            ("//tmp/.", "/tmp"),
            ("/tmp/../tmp", "/tmp"),
            ("{link}", "{link}/tmp"),
            ("{link}/tmp", "{link}/tmp"),
        ],
    )
    def test_sockets(self, attempt, monkeypatch, tmp_path, home, way):
        """
        Who listens on a socket among temporary files is not there, whatever is shown.
        """
        (link := tmp_path / "link").symlink_to("/")
        monkeypatch.setenv("HOME", home.format(link=link))
        monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{home.format(link=link)}")
        with (
            # Not below the directory of the test: the path of a socket is short.
            tempfile.TemporaryDirectory(dir="/tmp") as directory,
            socket.socket(socket.AF_UNIX) as server,
        ):
            server.bind(f"{directory}/socket")
            server.listen()
            there = f"{way.format(link=link)}/{os.path.basename(directory)}/socket"
            results = attempt(f"socket.socket(socket.AF_UNIX).connect({there!r})")

        assert ["FileNotFoundError"] == results

    @pytest.mark.parametrize(
        "home",
        [
            "{hidden}/home",
            "/{hidden}/home/",
            "{hidden}/../hidden/home",
            "{above}/./hidden/home",
            "{above}/link",
            "{hidden}/link",
        ],
    )
    def test_home(self, attempt, monkeypatch, tmp_path, home):
        """
        What the user has among hidden files is there, however one comes to it.
        """
        hidden = tmp_path / "hidden"
        (hidden / "home").mkdir(parents=True)
        (hidden / "home" / "settings").write_text("mine")
        for link in (tmp_path / "link", hidden / "link"):
            link.symlink_to(hidden / "home")
        (hidden / "other").touch()
        monkeypatch.setattr(_sandbox, "_HIDDEN", (str(hidden),))
        monkeypatch.setenv("HOME", home.format(hidden=hidden, above=tmp_path))

        assert ["mine", "False"] == attempt(
            "open(os.environ['HOME'] + '/settings').read()",
            f"os.path.exists({str(hidden / 'other')!r})",
        )

    def test_no_home(self, attempt, monkeypatch, tmp_path):
        """
        No home is not the directory that the check was begun in.
        """
        (hidden := tmp_path / "hidden" / "here").mkdir(parents=True)
        monkeypatch.setattr(_sandbox, "_HIDDEN", (str(hidden.parent),))
        monkeypatch.setenv("HOME", "")
        monkeypatch.chdir(hidden)

        assert ["False"] == attempt(f"os.path.exists({str(hidden)!r})")

    def test_caches(self, attempt, environment):
        """
        Caches are in the scratch directory, and other temporary files.
        """
        results = attempt(
            "os.environ['XDG_CACHE_HOME'] == os.environ['TOOL_CACHE']",
            "open(os.environ['TOOL_CACHE'] + '/x', 'w').close()",
            "open(os.environ['TMPDIR'] + '/x', 'w').close()",
            "os.environ['TMPDIR'].startswith(os.path.dirname(os.getcwd()))",
            caches=["TOOL_CACHE"],
        )

        assert ["True", "None", "None", "True"] == results

    def test_planted(self, attempt, environment, python, scratches):
        """
        What lies among hidden files takes no part; elsewhere it would.
        """
        planted = scratches / "wishes"
        planted.write_text("")
        if _sandbox.is_hidden(str(planted)):
            assert ["False"] == attempt(
                f"os.path.exists({str(planted)!r})", searches=["wishes"]
            )

        with pytest.raises(ResolverError, match="is above the scratch directory"):
            Command(python(""), searches=["wishes"])(environment, OLD)

    def test_nothing_is_left(self, environment, python, scratches, marked):
        """
        Daemons end with the sandbox, and the scratch directory goes.
        """
        code = "import os, time\nif os.fork() == 0:\n os.setsid(); time.sleep(600)"
        changes = {"MARK": environment.path}
        Command(python(code), sandbox=True, changes=changes)(environment, OLD)

        assert [] == list(scratches.iterdir())
        assert set() == marked(f"MARK={environment.path}")


class TestFailures:
    def error_of(self, command, environment):
        with pytest.raises(ResolverError) as info:
            command(environment, OLD)
        return info.value.message

    def test_no_bwrap(self, environment, monkeypatch, tmp_path):
        """
        Where there is no bubblewrap, it is said what to do.
        """
        (tmp_path / "tool").symlink_to("/bin/true")
        monkeypatch.setenv("PATH", str(tmp_path))

        assert (
            "There is no command 'bwrap'; install bubblewrap, or do without a sandbox"
            == self.error_of(Command(["tool"], sandbox=True), environment)
        )

    def test_bwrap_nearby(self, environment, directory, monkeypatch):
        """
        One that lies in the directory is none, whatever PATH has.
        """
        (directory / "bwrap").write_text('#!/bin/sh\ntouch "$OLDPWD/ran"\n')
        (directory / "bwrap").chmod(0o755)
        monkeypatch.chdir(directory)
        monkeypatch.setenv("PATH", ":.:/no/where")

        with pytest.raises(ResolverError, match="There is no command 'bwrap'"):
            checks.Command(["/bin/true"], sandbox=True)(environment, b"")

    def test_no_namespaces(self, environment, monkeypatch, tmp_path):
        """
        Where it may not make namespaces, too.
        """
        fake = tmp_path / "bwrap"
        fake.write_text("#!/bin/sh\necho 'bwrap: No permissions' >&2; exit 1\n")
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

        assert (
            "Could not make a sandbox (No permissions); allow user namespaces, or do"
            " without" == self.error_of(Command(["true"], sandbox=True), environment)
        )

    def test_no_words(self, environment):
        """
        Who says nothing about it is quoted with nothing.
        """
        command = Command(["sh", "-c", "printf 'bwrap: '; exit 1"], sandbox=True)

        assert "Could not make a sandbox ()" in self.error_of(command, environment)

    def test_no_command(self, environment):
        """
        A missing command is named as ever.
        """
        command = Command(["no-such-tool"], needs="install it", sandbox=True)

        assert "There is no command 'no-such-tool'; install it" == self.error_of(
            command, environment
        )

    def test_not_executable(self, environment, directory):
        """
        One that cannot be started is a line, too.
        """
        command = Command([str(directory / "uv.lock")], sandbox=True)

        assert "Could not start the command in a sandbox (execvp" in self.error_of(
            command, environment
        )

    def test_killed(self, environment, python):
        """
        A signal that has killed the command is named as ever.
        """
        code = "import os; os.kill(os.getpid(), 11)"

        assert self.error_of(Command(python(code), sandbox=True), environment).endswith(
            "was killed by SIGSEGV"
        )

    def test_too_long(self, environment, marked, late):
        """
        A command in a sandbox that ends too late is ended with it.
        """
        mark = f"MARK={environment.path}"
        late(lambda: [n for p in marked(mark) if (n := name_of(p)) == "sleep"][1:])
        command = Command(
            ["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"],
            timeout=dt.timedelta(seconds=1),
            sandbox=True,
            changes={"MARK": environment.path},
        )

        words = "check the network and the proxy, or give it more time"
        assert f"'sh' did not end within 1 s; {words}" == self.error_of(
            command, environment
        )
        assert set() == marked(f"MARK={environment.path}")


class TestRecipe:
    def test_name(self, environment, directory, monkeypatch, tmp_path):
        """
        A recipe in a sandbox is one of its own, that is found by its name.
        """
        tool = tmp_path / "uv"
        tool.write_text(
            "#!/bin/sh\n"
            "touch $UPGRADE_STATE_ENV/x 2>/dev/null && exit 1\n"
            "touch $UV_CACHE_DIR/x\n"
        )
        tool.chmod(0o755)
        (directory / "pyproject.toml").write_text("")
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        recipe = recipe_named("uv").in_sandbox()

        outcome = checks.check(
            environment, recipe.resolver(environment), recipe=recipe.name
        )
        assert (checks.Outcome("checked"), "uv+sandbox") == (
            outcome,
            environment.look().information.recipe,
        )
        assert "checked" == checks.check(environment).state
        assert "uv+sandbox" == environment.look().information.recipe
        assert not (directory / "x").exists()

    def test_unknown(self):
        """
        A sandbox makes no recipe.
        """
        with pytest.raises(ResolverError, match="no recipe 'x"):
            recipe_named("x+sandbox")
