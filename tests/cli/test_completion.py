"""
The command `completion`, and its code in real shells.
"""

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from upgrade_state import StateStore, _record
from upgrade_state.cli import _completion

# Only ends a hang.
LIMIT = 60

# Names of directories that mean something else to a shell.
NAMES = (
    "my shop",
    "it's",
    "naïve",
    "a:b",
    'quo"te',
    "run $(touch x)",
    "back\\slash",
    "*",
)

# The command as typed prints its arguments; completion asks the one on PATH.
START = {
    "bash": """
n=0; PS1='READY$((n+=1))> '
eval "$(upgrade-state completion bash)"
upgrade-state() { printf RAN; printf '<%s>' "$@"; echo NAR; }
""",
    "zsh": """
n=0; PS1='READY$((n+=1))> '; setopt prompt_subst; unsetopt prompt_sp prompt_cr beep
autoload -Uz compinit; compinit -u -D
eval "$(upgrade-state completion zsh)"
upgrade-state() { printf RAN; printf '<%s>' "$@"; echo NAR }
""",
    "fish": """
set -g n 0
function fish_prompt; set -g n (math $n + 1); echo -n "READY$n> "; end
function fish_greeting; end
upgrade-state completion fish | source
function upgrade-state; printf RAN; printf '<%s>' $argv; echo NAR; end
""",
}

# Makes its input the terminal that Ctrl-C comes from, and becomes the shell.
TAKE = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """
    The home directory, and the command on PATH.
    """
    path = tmp_path / "home"
    # Else a fish that starts for the first time reads all manuals there are.
    (path / ".data/fish/generated_completions").mkdir(parents=True)
    (path / "desk" / "other dir").mkdir(parents=True)
    (path / "desk" / "old one.lock").touch()
    command = tmp_path / "bin" / "upgrade-state"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m upgrade_state "$@"\n')
    command.chmod(0o755)
    variables = {
        "HOME": path,
        "LC_ALL": "C.UTF-8",
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "TERM": "dumb",
        "XDG_CONFIG_HOME": path / ".config",
        "XDG_DATA_HOME": path / ".data",
        "ZDOTDIR": path,
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    return path


@pytest.fixture
def known(home, commit):
    """
    Remember a check of directories below `src`; return their parent.
    """

    def make(*names):
        for name in names:
            (home / "src" / name).mkdir(parents=True)
            commit(StateStore().environment(home / "src" / name, "uv.lock"), b"")
        return home / "src"

    return make


class TestEnvironments:
    def test_as_typed(self, run, known):
        """
        Directories are printed once each and sorted, with ~ for the home directory.
        """
        place = known("b", "a b")
        StateStore().environment("/srv/c").expire()
        environment = StateStore().environment(place / "b", "pdm.lock")
        with environment.try_check(b"") as check:
            check.commit(b"")

        result = run("completion", "--environments", "~/s")

        assert "~/src/a b\n~/src/b\n" == result.out
        assert (0, "") == (result.status, result.err)

    @pytest.mark.parametrize("word", ["/s", "'", '"~/s'])
    def test_absolute(self, run, known, word):
        """
        A word that begins with a slash or a quote asks for absolute paths.
        """
        place = known("a b")

        assert f"{place}/a b\n" == run("completion", "--environments", word).out

    def test_not_printable(self, run, known):
        """
        A directory whose name would move the cursor or end the line is left out.
        """
        known("new\nline", "esc\x1b[0m", "naïve", os.fsdecode(b"\xff"))

        assert "~/src/naïve\n" == run("completion", "--environments").out

    @pytest.mark.parametrize(
        "content", [b"", b"[]", b"{", b'{"environment": 1}', b'{"environment": "a"}']
    )
    def test_damaged(self, run, known, cache, content):
        """
        A damaged record is left out.
        """
        known("shop")
        key = _record.environment_key(b"/x", None)
        (cache / "v1" / f"{key}.json").write_bytes(content)

        assert "~/src/shop\n" == run("completion", "--environments").out

    def test_no_errors(self, run, known, cache):
        """
        A store that is missing, or not trusted, is no error in the command line.
        """
        before = run("completion", "--environments")
        known("shop")
        (cache / "v1").chmod(0o777)
        after = run("completion", "--environments")

        assert (0, "", "") == (before.status, before.out, before.err)
        assert (0, "", "") == (after.status, after.out, after.err)


class TestCode:
    @pytest.mark.parametrize("shell", _completion.SHELLS)
    @pytest.mark.parametrize("words", [(), ("--",)])
    def test_is_printed(self, run, shell, words):
        """
        The code is printed, by a parser or without.
        """
        result = run("completion", *words, shell)

        assert "--could-not-check" in result.out
        assert result.out.endswith("\n")
        assert not result.out.endswith("\n\n")
        assert (0, "") == (result.status, result.err)

    @pytest.mark.parametrize("words", [(), ("tcsh",), ("bash", "zsh")])
    def test_mistake(self, run, words):
        """
        A mistake is two lines at most.
        """
        result = run("completion", *words)

        assert (2, "", 2) == (result.status, result.out, result.err.count("\n"))

    def test_not_written(self):
        """
        An error of stdout is reported in one line.
        """
        command = [sys.executable, "-m", "upgrade_state", "completion", "bash"]
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                command, check=False, stdout=full, stderr=-1, text=True
            )

        assert 2 == done.returncode
        words = "upgrade-state: Could not write the output (No space left on device)\n"
        assert words == done.stderr


class Terminal:
    """
    A shell on a terminal. Every line is completed and run.
    """

    def __init__(self, argv, directory):
        self._ours, theirs = pty.openpty()
        # No line is as long, so none is wrapped.
        size = struct.pack("HHHH", 50, 4000, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", TAKE, *argv],
            cwd=directory,
            start_new_session=True,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.name = os.path.basename(argv[0])
        self._prompts = 0
        self.wait()

    def wait(self):
        """
        Return the output up to the next prompt.
        """
        seen, deadline = b"", time.monotonic() + LIMIT
        while f"READY{self._prompts + 1}> ".encode() not in seen:
            left = max(0, deadline - time.monotonic())
            assert select.select([self._ours], [], [], left)[0], seen
            seen += os.read(self._ours, 4096)
        self._prompts += 1
        return seen.decode()

    def arguments(self, line):
        """
        Type a line, whose TAB completes a word; return the arguments of the command.
        """
        os.write(self._ours, f"upgrade-state {line}\n".encode())
        (words,) = re.findall("RAN<(.*)>NAR", self.wait())
        return [word.rstrip("/") for word in words.split("><")]

    def close(self):
        self.process.kill()
        self.process.wait(LIMIT)
        os.close(self._ours)


@pytest.fixture(params=["bash", "zsh", "fish"])
def terminal(request, required, home):
    """
    Each of the shells, in `desk`.
    """
    program, name = required(request.param), request.param
    file = {"bash": "rc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
    path = home / file[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(START[name])
    options = {
        "bash": ["--noprofile", "--rcfile", path, "-i"],
        "zsh": ["-d", "-i"],
        "fish": ["--private", "-i"],
    }
    terminal = Terminal([program, *options[name]], home / "desk")
    yield terminal
    terminal.close()


class TestShells:
    def test_words(self, terminal):
        """
        Commands, options after a command, closed sets and files complete.
        """
        expected = {
            "sn\t": ["snooze"],
            "show --plat\tlinux": ["show", "--platform", "linux"],
            "show . --js\t": ["show", ".", "--json"],
            "check --if\t": ["check", "--if-due"],
            "check --on-error s\t": ["check", "--on-error", "stop"],
            "check --recipe pdm-\t": ["check", "--recipe", "pdm-named"],
            "check --format pip\t": ["check", "--format", "pipfile"],
            "show --lockfile uv\t": ["show", "--lockfile", "uv.lock"],
            "completion f\t": ["completion", "fish"],
            "help sho\t": ["help", "show"],
            "--col\tnev\tlist": ["--color", "never", "list"],
            "--color never li\t": ["--color", "never", "list"],
            "record --old ol\t": ["record", "--old", "old one.lock"],
            "list --cache-dir oth\t": ["list", "--cache-dir", "other dir"],
        }

        assert expected == {line: terminal.arguments(line) for line in expected}

    def test_environments(self, terminal, known):
        """
        ENV completes to known environments and to directories, whatever their names.
        """
        place = known(*NAMES, "new\nline")
        shutil.rmtree(place)
        # bash 5.2 does not quote the $ in the name of a missing file.
        end = "" if terminal.name == "bash" else " $(touch x)"
        expected = {
            f"show {place}/my\t": ["show", f"{place}/my shop"],
            "show ~/src/my\t": ["show", f"{place}/my shop"],
            "show ~/src/my\\ s\t": ["show", f"{place}/my shop"],
            "show --json ~/src/it\t": ["show", "--json", f"{place}/it's"],
            "forget ~/src/na\t": ["forget", f"{place}/naïve"],
            "path ~/src/a\t": ["path", f"{place}/a:b"],
            "check ~/src/quo\t": ["check", f'{place}/quo"te'],
            "check ~/src/run\t": ["check", f"{place}/run{end}"],
            "notify ~/src/back\t": ["notify", f"{place}/back\\slash"],
            "snooze oth\t": ["snooze", "other dir"],
        }

        assert expected == {line: terminal.arguments(line) for line in expected}
        assert ["list"] == terminal.arguments("list")
        assert [] == [path.name for path in place.parent.rglob("x")]

    def test_in_quotes(self, terminal, known):
        """
        A word in quotes completes too; in zsh to directories only.
        """
        place = known("my shop")
        if terminal.name != "zsh":
            shutil.rmtree(place)
        end = '"' if terminal.name == "zsh" else ""  # which closes no directory's quote

        assert ["show", f"{place}/my shop"] == (
            terminal.arguments(f'show "{place}/my\t{end}')
        )


class TestManPage:
    def test_no_options_for_fish(self, required, home, tmp_path, monkeypatch):
        """
        fish completes no options from our man page: it would mix those of all commands.
        """
        page = Path(__file__).parents[2] / "docs" / "upgrade-state.1"
        (tmp_path / "man" / "man1").mkdir(parents=True)
        shutil.copy(page, tmp_path / "man" / "man1")
        monkeypatch.setenv("MANPATH", str(tmp_path / "man"))
        code = """
            fish_update_completions >/dev/null
            upgrade-state completion fish | source
            complete -C "upgrade-state forget --"
        """
        command = [required("fish"), "--private", "-c", code]
        done = subprocess.run(command, check=True, stdout=-1, text=True, timeout=LIMIT)

        found = {line.partition("\t")[0] for line in done.stdout.splitlines()}
        assert {"--help", "--lockfile", "--name", "--cache-dir", "--color"} == found


class TestFish:
    def test_descriptions(self, required, known):
        """
        fish tells environments and directories apart.
        """
        place = known("shop")
        line = f"upgrade-state show {place}/"
        code = f"upgrade-state completion fish | source; complete -C '{line}'"
        command = [required("fish"), "--private", "-c", code]
        done = subprocess.run(command, check=True, stdout=-1, text=True, timeout=LIMIT)

        assert {
            f"{place}/shop\tchecked environment",
            f"{place}/shop/\tdirectory",
        } == set(done.stdout.splitlines())
