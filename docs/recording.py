"""
Record the session in the README: from an empty home directory to the first notice.

The commands are typed into bash, in a pseudo-terminal of 80 columns, with a copy of
`examples/shop`. pipx installs this checkout. A stand-in for uv writes the recorded
lockfile, and the clock stands still at the time of each screen.

    python docs/recording.py            # needs bash, pipx and a package index
    python docs/recording.py --print    # print it; use the installed command
"""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN = "<!-- The output of docs/recording.py -->\n\n```console\n"
END = "```\n\n<!-- ends here. -->\n"
PROMPT = "$ "

TODAY = 1_795_510_800  # 2026-11-24 09:00 UTC
TOMORROW = TODAY + 26 * 3600
LATER = TOMORROW + 60

INSTALL = "pipx install --quiet upgrade-state"
# Then, at each of these times, a new shell. An empty line begins a new screen.
SESSION = {
    TODAY: [
        "",
        "upgrade-state check shop",
        "",
        """echo 'eval "$(upgrade-state hook bash)"' >>~/.bashrc""",
    ],
    TOMORROW: [
        "",
        "cd shop             # the next day: this starts a check in the background",
    ],
    LATER: [
        "cd shop             # a minute later, in another shell",
        "cd .. && cd shop    # one notice is enough",
        "",
        "upgrade-state notify --explain",
        "upgrade-state snooze --for 7d",
    ],
}

# Every interpreter runs it at its start.
CLOCK = 'import os, time; time.time = lambda: float(os.environ["NOW"])\n'


def prepare(home: Path) -> dict[str, str]:
    """
    Create a home directory with a project; return the environment variables.
    """
    shop, recorded = home / "shop", home / "recorded"
    shutil.copytree(ROOT / "examples" / "shop", shop)
    shutil.move(shop / "recorded", recorded)
    shutil.copy(recorded / "old.lock", shop / "uv.lock")
    # A version that is not published on the first day.
    new = (recorded / "new.lock").read_text()
    (recorded / "early.lock").write_text(new.replace('"26.1.0"', '"25.3.0"'))
    (home / ".bashrc").write_text(f"PS1='{PROMPT}'\n")
    (home / "bin").mkdir()
    (home / "constraint").write_text(f"upgrade-state @ {ROOT.as_uri()}\n")
    network = ("pip_", "ssl_", "http_proxy", "https_proxy")
    return {k: v for k, v in os.environ.items() if k.lower().startswith(network)} | {
        "BASH_SILENCE_DEPRECATION_WARNING": "1",  # of macOS
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PATH": f"{home}/bin:{home}/.local/bin:{os.environ['PATH']}",
        "PIP_CONSTRAINT": f"{home}/constraint",
        "PIPX_HOME": f"{home}/pipx",
        "TERM": "dumb",  # no moving display
        "TZ": "UTC",
    }


def stand_in(home: Path, lockfile: str) -> None:
    """
    Let uv write this recorded lockfile.
    """
    uv = home / "bin" / "uv"
    uv.write_text(f"#!/bin/sh\nexec cat '{home}/recorded/{lockfile}' >uv.lock\n")
    uv.chmod(0o755)


def typed(home: Path, environ: dict[str, str], lines: list[str]) -> str:
    """
    Type *lines* into a new shell; return the text on the terminal.
    """
    bash = shutil.which("bash") or "bash"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execve(bash, ["bash", "--noediting", "-i"], environ)  # noqa: S606
    termios.tcsetwinsize(terminal, (40, 80))
    until_prompt(terminal)
    text = ""
    for line in lines:
        if line:
            os.write(terminal, line.encode() + b"\n")
            text += PROMPT + until_prompt(terminal)
        else:
            text += "\n"
    os.write(terminal, b"exit\n")
    os.waitpid(child, 0)
    os.close(terminal)
    return text


def until_prompt(terminal: int) -> str:
    """
    Return the output up to the next prompt.
    """
    output = b""
    while not output.endswith(PROMPT.encode()):
        output += os.read(terminal, 4096)
    text = re.sub(r"\x1b\[\?25[lh]", "", output.decode())  # pipx hides the cursor
    return text.replace("\r\n", "\n").removesuffix(PROMPT)


def wait_for_check(home: Path, environ: dict[str, str], now: int) -> None:
    """
    Return when a check of *now* is recorded.
    """
    program = shutil.which("upgrade-state", path=environ["PATH"]) or "upgrade-state"
    command = [program, "show", "--json", str(home / "shop")]
    expected = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    last_checked, end = None, time.monotonic() + 60
    while last_checked != expected:
        if time.monotonic() > end:
            sys.exit(f"there is no check of {expected}, the last is of {last_checked}")
        time.sleep(0.1)
        done = subprocess.run(command, env=environ, check=True, capture_output=True)  # noqa: S603
        last_checked = json.loads(done.stdout)["last_checked"]


def record(home: Path, *, install: bool) -> str:
    """
    Make the session in the directory *home*; return the text on the terminal.

    Args:
        install: Run the first command. Else this interpreter's command is used.
    """
    environ = prepare(home)
    text = f"{PROMPT}{INSTALL}\n"
    if install:
        text = typed(home, environ, [INSTALL])
        # Not PYTHONPATH: the command's first line has -E.
        (packages,) = home.glob("pipx/venvs/*/lib/*/site-packages")
        (packages / "clock.pth").write_text(CLOCK)
    else:
        (home / "sitecustomize.py").write_text(CLOCK)
        environ["PYTHONPATH"] = str(home)
        (home / ".local").mkdir()
        (home / ".local" / "bin").symlink_to(Path(sys.executable).parent)
    for now, lines in SESSION.items():
        stand_in(home, "early.lock" if now == TODAY else "new.lock")
        environ["NOW"] = str(now)
        text += typed(home, environ, lines)
        wait_for_check(home, environ, min(now, TOMORROW))
    return text.replace(str(home), "/home/ana")


def main() -> None:
    """
    Replace the recording in the README, or print one.
    """
    is_printed = sys.argv[1:] == ["--print"]
    with tempfile.TemporaryDirectory() as directory:
        text = record(Path(directory).resolve(), install=not is_printed)
    if is_printed:
        sys.stdout.write(text)
        return
    before, begin, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    README.write_text(f"{before}{begin}{text}{end}{after}")


if __name__ == "__main__":
    main()
