"""
A command in a sandbox changes nothing outside of its scratch directory.
"""

import datetime as dt
import os
import signal
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

from bubblewrap import needs_sandbox
from processes import marked, name_of
from upgrade_state import Consent, checks
from upgrade_state.checks import Command, _sandbox, recipe_named

pytestmark = needs_sandbox

OLD = b"old\n"

# Writes the results of attempts to the new lockfile.
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
    Evaluate expressions in a sandbox, and return the values or errors as texts.
    """

    def run(*expressions, **options):
        lines = "\n".join(f"attempt(lambda: {code})" for code in expressions)
        command = Command(python(TRY.format(lines)), sandbox=True, **options)
        return command(environment, OLD).decode().split()

    return run


class TestSandbox:
    def test_result(self, environment, python):
        """
        A command reads and writes the lockfile as without a sandbox.
        """
        command = Command(python("open('uv.lock', 'a').write('new')"), sandbox=True)

        assert b"old\nnew" == command(environment, OLD)

    def test_writes(self, attempt, environment, monkeypatch, tmp_path):
        """
        Only the scratch directory is writable; hidden directories are temporary.
        """
        # One of them may be missing.
        hidden = (*_sandbox._HIDDEN, "/no/such/directory")
        monkeypatch.setattr(_sandbox, "_HIDDEN", hidden)
        home = tmp_path / "home"
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))
        name = uuid.uuid4()
        places = [home, environment.path, "/", "/etc", "/var", "/usr", "/dev"]
        # The sandbox has these, and they are removed with it.
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
        Files and settings of the kernel cannot be changed, even by root.
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
        Processes outside are not visible, and get no signals.
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
            *(
                (home, "/tmp")
                for home in ("/home/ana", "/tmp/", "//tmp/.", "/tmp/../tmp")
            ),
            *((home, "{link}/tmp") for home in ("{link}", "{link}/tmp")),
        ],
    )
    def test_sockets(self, attempt, monkeypatch, tmp_path, home, way):
        """
        Sockets in directories for temporary files are hidden, even below HOME and PATH.
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
        A home in a hidden directory is visible by each of its paths.
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
        An empty HOME is not the working directory of the check.
        """
        (hidden := tmp_path / "hidden" / "here").mkdir(parents=True)
        monkeypatch.setattr(_sandbox, "_HIDDEN", (str(hidden.parent),))
        monkeypatch.setenv("HOME", "")
        monkeypatch.chdir(hidden)

        assert ["False"] == attempt(f"os.path.exists({str(hidden)!r})")

    def test_caches(self, attempt, environment):
        """
        Caches and temporary files are in the scratch directory.
        """
        results = attempt(
            "os.environ['XDG_CACHE_HOME'] == os.environ['TOOL_CACHE']",
            "open(os.environ['TOOL_CACHE'] + '/x', 'w').close()",
            "open(os.environ['TMPDIR'] + '/x', 'w').close()",
            "os.environ['TMPDIR'].startswith(os.path.dirname(os.getcwd()))",
            caches=["TOOL_CACHE"],
        )

        assert ["True", "None", "None", "True"] == results

    def test_planted(self, attempt, failure, python, scratches):
        """
        A file that the tool would find above is hidden in a sandbox, else refused.
        """
        planted = scratches / "wishes"
        planted.write_text("")
        if _sandbox.is_hidden(str(planted)):
            assert ["False"] == attempt(
                f"os.path.exists({str(planted)!r})", searches=["wishes"]
            )

        message = failure(Command(python(""), searches=["wishes"]))
        assert "is above the scratch directory" in message

    def test_nothing_is_left(self, environment, python, scratches):
        """
        Daemons end with the sandbox, and the scratch directory is removed.
        """
        code = "import os, time\nif os.fork() == 0:\n os.setsid(); time.sleep(600)"
        changes = {"MARK": environment.path}
        Command(python(code), sandbox=True, changes=changes)(environment, OLD)

        assert [] == list(scratches.iterdir())
        assert set() == marked(f"MARK={environment.path}")


class TestFailures:
    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["no-such-tool"], "There is no command 'no-such-tool'; install it"),
            (["./no-such-tool"], "There is no command './no-such-tool'; install it"),
            (["./uv.lock"], "Could not start the command in a sandbox (execvp"),
            (["sh", "-c", "kill -11 $$"], "'sh' was killed by SIGSEGV"),
            (["sh", "-c", "printf 'bwrap: '; exit 1"], "Could not make a sandbox ();"),
        ],
    )
    def test_message(self, failure, argv, message):
        """
        A failure in a sandbox has the same message, or names the sandbox.
        """
        command = Command(argv, needs="install it", sandbox=True)

        assert failure(command).startswith(message)

    @pytest.mark.parametrize("path", ["{empty}", ":.:/no/where"])
    def test_no_bwrap(self, failure, directory, tmp_path, fill, monkeypatch, path):
        """
        A sandbox needs bubblewrap, and not from the directory of the check.
        """
        fill(directory, {"bwrap": '#!/bin/sh\ntouch "$OLDPWD/ran"\n'})
        (directory / "bwrap").chmod(0o755)
        monkeypatch.chdir(directory)
        monkeypatch.setenv("PATH", path.format(empty=tmp_path))

        assert (
            "There is no command 'bwrap'; install bubblewrap, or do without a sandbox"
            == failure(Command(["/bin/true"], sandbox=True))
        )

    def test_no_namespaces(self, failure, tool):
        """
        The message says why bubblewrap could not make a sandbox.
        """
        tool("bwrap", "echo 'bwrap: No permissions' >&2; exit 1")

        assert (
            "Could not make a sandbox (No permissions); allow user namespaces, or do"
            " without" == failure(Command(["true"], sandbox=True))
        )

    def test_too_long(self, environment, failure, late):
        """
        A late command is terminated with its sandbox.
        """
        mark = f"MARK={environment.path}"
        late(lambda: [n for p in marked(mark) if (n := name_of(p)) == "sleep"][1:])
        command = Command(
            ["sh", "-c", "trap '' TERM; sleep 600 & sleep 600"],
            timeout=dt.timedelta(seconds=1),
            sandbox=True,
            changes={"MARK": environment.path},
        )

        advice = "check the network and the proxy, or give it more time (--timeout)"
        assert f"'sh' did not end within 1 s; {advice}" == failure(command)
        assert set() == marked(mark)


class TestRecipe:
    def test_name(self, environment, directory, fill, tool):
        """
        A recipe in a sandbox has its own name, by which a check is repeated.
        """
        tool(
            "uv",
            "touch $UPGRADE_STATE_ENV/x 2>/dev/null && exit 1; touch $UV_CACHE_DIR/x",
        )
        fill(directory, {"pyproject.toml": ""})
        recipe = recipe_named("uv").in_sandbox()
        resolver = recipe.resolver(environment)

        consent = Consent(recipe.name)
        for options in ({"resolver": resolver, "consent": consent}, {}):
            outcome = checks.check(environment, **options)
            assert checks.Outcome("checked") == outcome
            assert consent == environment.look().consent
        assert not (directory / "x").exists()
