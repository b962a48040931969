from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Only ends a hang.
_LIMIT = 60

# Prompts with status, pipe status and a number, all without a process.
PROMPTS = {
    "bash": "n=${START-0}; PS1='[$?|${PIPESTATUS[*]}]READY$((n+=1))> '",
    "zsh": "setopt prompt_subst; unsetopt prompt_sp prompt_cr zle; n=${START-0};"
    " PS1='[%?|${(j: :)pipestatus}]READY$((n+=1))> '",
    "fish": """
set -q START; or set START 0
set -g n $START
function fish_prompt
    echo -n "[$status|$pipestatus]READY$n> "
    set -g n (math $n + 1)
end
function fish_greeting
end
""",
}

HOOKS = {
    "bash": """eval "$({} hook bash | sed '{}')\"""",
    "zsh": """eval "$({} hook zsh | sed '{}')\"""",
    "fish": "{} hook fish | sed '{}' | source",
}

# Makes its input the terminal that Ctrl-C comes from, and becomes the shell.
TAKE = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""

# Gives the hook as the command does, with itself as the interpreter, and then writes
# down what a shell runs.
STAND_IN = """\
#!{python}
import json, os, sys
if sys.argv[1:2] == ["hook"]:
    sys.executable = os.path.abspath(sys.argv[0])
    from upgrade_state.cli import main
    sys.exit(main())
assert sys.argv[1:3] == ["-P", "-c"]
call = {{
    "argv": sys.argv[4:],
    "directory": os.getcwd(),
    "input": sys.stdin.read(),
    "is_terminal": [os.isatty(fd) for fd in (0, 1, 2)],
}}
with open({log!r}, "a") as log:
    print(json.dumps(call), file=log)
print("not to be seen")
print("TOLD", file=sys.stderr, flush=True)
{more}
"""


class Terminal:
    """
    An interactive shell on a terminal, driven from prompt to prompt.
    """

    def __init__(self, argv: list[str], **more: Any) -> None:
        self._ours, theirs = pty.openpty()
        # No line is as long, so none is wrapped.
        size = struct.pack("HHHH", 50, 4000, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", TAKE, *argv],
            start_new_session=True,
            **(streams | more),
        )
        os.close(theirs)
        self._seen = ""
        self._prompts = -1

    def wait(self) -> str:
        """
        Wait for the next prompt; return the output up to its end.
        """
        return self.until(self._next_prompt)

    def until(self, found: Callable[[], int | None]) -> str:
        deadline = time.monotonic() + _LIMIT
        while (end := found()) is None:
            self._read(deadline)
        seen, self._seen = self._seen[:end], self._seen[end:]
        return seen

    def _next_prompt(self) -> int | None:
        for match in re.finditer(r"READY(\d+)> ", self._seen):
            if int(match[1]) > self._prompts:
                self._prompts = int(match[1])
                return match.end()
        return None

    def _read(self, deadline: float) -> None:
        left = max(0, deadline - time.monotonic())
        if not select.select([self._ours], [], [], left)[0]:
            raise AssertionError(f"no prompt after {self._seen!r}")
        try:
            data = os.read(self._ours, 4096)
        except OSError:  # Linux: the last other end is closed
            data = b""
        if not data:
            raise AssertionError(f"the shell has ended after {self._seen!r}")
        self._seen += data.decode(errors="replace")

    def send(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def run(self, *lines: str) -> str:
        """
        Run lines, each when the shell is ready; return the output of the last.
        """
        shown = ""
        for line in lines:
            self.send(f"{line}\n")
            shown = self.wait()
        return shown

    def close(self) -> None:
        self.process.send_signal(signal.SIGHUP)
        os.close(self._ours)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(_LIMIT)


class Shell:
    """
    One of the shells, with a start-up file of its own.
    """

    def __init__(self, program: str, home: Path, command: Path) -> None:
        self.program, self.home, self.command = program, home, command
        self.name = Path(program).name
        self.tracer: list[str] = []
        self.rewrite = ""
        # Else a fish that starts for the first time reads all manuals there are.
        (home / ".data/fish/generated_completions").mkdir(parents=True)

    @property
    def is_fish(self) -> bool:
        return self.name == "fish"

    def hook(self) -> str:
        """
        Return the line of the start-up file.
        """
        return HOOKS[self.name].format('"$HOOKED"', self.rewrite)

    def argv(self, before: str = "", after: str = "") -> list[str]:
        """
        Write the start-up file and return the command line.
        """
        lines = [before, self.hook(), after, PROMPTS[self.name]]
        file = {"bash": "rc", "zsh": ".zshrc", "fish": ".config/fish/config.fish"}
        path = self.home / file[self.name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        options = {
            "bash": ["--noprofile", "--rcfile", str(path), "-i"],
            "zsh": ["-d", "-i"],
            "fish": ["--private", "-i"],
        }
        return [*self.tracer, self.program, *options[self.name]]

    def environment(self, **more: str) -> dict[str, str]:
        ours = {
            "HOME": str(self.home),
            "HOOKED": str(self.command),
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".data"),
            "ZDOTDIR": str(self.home),
        }
        theirs = {"ENV", "BASH_ENV", "PROMPT_COMMAND", "PS1"}
        kept = {k: v for k, v in os.environ.items() if k not in theirs}
        return kept | ours | more


@pytest.fixture
def shell_of(required, tmp_path, stand_in):
    """
    Make a shell by its name.
    """

    def make(name):
        home = tmp_path / "home"
        home.mkdir()
        return Shell(required(name), home, stand_in.path)

    return make


@pytest.fixture(params=["bash", "zsh", "fish"])
def shell(request, shell_of):
    """
    Each of the shells.
    """
    return shell_of(request.param)


@pytest.fixture
def bash(shell_of):
    return shell_of("bash")


@pytest.fixture
def zsh(shell_of):
    return shell_of("zsh")


class StandIn:
    """
    In place of `upgrade-state` and of Python: prints TOLD, and records its arguments.
    """

    def __init__(self, directory: Path, log: Path) -> None:
        self.path, self._log = directory / "upgrade-state", log
        self.make()

    def make(self, more: str = "") -> None:
        self.path.parent.mkdir(exist_ok=True)
        text = STAND_IN.format(python=sys.executable, log=str(self._log), more=more)
        self.path.write_text(text)
        self.path.chmod(0o755)

    @property
    def calls(self) -> list[dict[str, Any]]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def directories(self) -> list[str]:
        return [call["directory"] for call in self.calls]


@pytest.fixture
def stand_in(tmp_path):
    """
    The command, as it is installed, and the interpreter that the hook starts.
    """
    return StandIn(tmp_path / "installed here", tmp_path / "log")


@pytest.fixture
def desk(tmp_path):
    """
    Directories: `shop` with a lockfile, `shop/sub/sub`, and `plain` beside it.
    """
    path = Path(os.path.realpath(tmp_path)) / "desk"
    (path / "shop" / "sub" / "sub").mkdir(parents=True)
    (path / "shop" / "uv.lock").write_bytes(b"")
    (path / "plain" / "sub").mkdir(parents=True)
    return path


@pytest.fixture
def terminal(desk) -> Iterator[Callable[..., Terminal]]:
    """
    Start a shell on a terminal and wait for its first prompt.
    """
    ttys = []

    def start_(shell: Shell, before="", after="", **more):
        more.setdefault("cwd", desk)
        more["env"] = shell.environment(**more.get("env", {}))
        tty = Terminal(shell.argv(before, after), **more)
        ttys.append(tty)
        tty.first = tty.wait()  # type: ignore[attr-defined]
        return tty

    yield start_
    for tty in ttys:
        tty.close()
