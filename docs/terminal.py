"""
Draw `docs/terminal.svg`, the picture in the README: a session of bash.

The commands run in a pseudo-terminal, on a copy of `examples/shop`. A stand-in
for uv writes the recorded lockfile, so the picture needs no network.

    python docs/terminal.py [FILE]    # needs bash and rich
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

DOCS = Path(__file__).resolve().parent
SHOP = DOCS.parent / "examples" / "shop"
COLUMNS = 88
PROMPT = "$ "

SESSION = (
    "cd shop",
    "cd .. && cd shop",
    "upgrade-state show",
    "upgrade-state snooze --for 7d",
)

# The frame of rich, without its web fonts: a README loads nothing from elsewhere.
SVG = """\
<svg viewBox="0 0 {width} {height}" xml:space="preserve" \
xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px;
    line-height: {line_height}px;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" \
clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def run(work: Path) -> str:
    """
    Type the commands of the session in *work*; return the text on the terminal.
    """
    environ = {
        "HOME": str(work),
        "PATH": os.pathsep.join(
            [str(work / "bin"), os.path.dirname(sys.executable), os.defpath]
        ),
        "PS1": PROMPT,
        "TERM": "dumb",  # no moving display
        "UPGRADE_STATE_CACHE_DIR": str(work / "cache"),
    }
    # In the background, as the hook does: seen at the terminal, it is the notice.
    check = ["upgrade-state", "check", "shop"]
    subprocess.run(check, cwd=work, env=environ, check=True, capture_output=True)  # noqa: S603
    bash = shutil.which("bash") or "bash"
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(work)
        os.execve(bash, ["bash", "--norc", "--noprofile", "--noediting", "-i"], environ)  # noqa: S606
    termios.tcsetwinsize(terminal, (60, COLUMNS))
    until_prompt(terminal)
    send(terminal, 'eval "$(upgrade-state hook bash)"')
    text = "".join(PROMPT + send(terminal, line) for line in SESSION)
    os.write(terminal, b"exit\n")
    os.waitpid(child, 0)
    os.close(terminal)
    return text.replace(str(work), "/home/ana")


def send(terminal: int, line: str) -> str:
    """
    Type a line; return its echo and its output.
    """
    os.write(terminal, line.encode() + b"\n")
    return until_prompt(terminal)


def until_prompt(terminal: int) -> str:
    """
    Return the output up to the next prompt.
    """
    output = b""
    while not output.endswith(PROMPT.encode()):
        output += os.read(terminal, 4096)
    return output.decode().replace("\r\n", "\n").removesuffix(PROMPT)


def draw(text: str) -> str:
    """
    Return the picture of a terminal with this text; commands are bold.
    """
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in text.splitlines():
        style = "bold" if line.startswith(PROMPT) else ""
        console.print(Text.from_ansi(line, style=style))
    svg = console.export_svg(title="", code_format=SVG, unique_id="terminal")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def main() -> None:
    """
    Draw the picture into the file named on the command line.
    """
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory).resolve()
        shutil.copytree(SHOP, work / "shop")
        shutil.copy(SHOP / "recorded" / "old.lock", work / "shop" / "uv.lock")
        uv = work / "bin" / "uv"
        uv.parent.mkdir()
        new = work / "shop" / "recorded" / "new.lock"
        uv.write_text(f"#!/bin/sh\nexec cat {new} >uv.lock\n")
        uv.chmod(0o755)
        picture = draw(run(work))
    target = Path(sys.argv[1]) if sys.argv[1:] else DOCS / "terminal.svg"
    target.write_text(picture)


if __name__ == "__main__":
    main()
