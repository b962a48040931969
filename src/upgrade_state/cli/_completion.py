"""
The command `completion`: code that completes the command line in a shell.

A starting shell runs it, and every completion of ENV asks it for the environments,
so neither needs a parser. The code is in `completion.bash`, `completion.zsh` and
`completion.fish`, which `docs/commands.py` makes of the parsers of all commands.
"""

import os
import sys

from upgrade_state import StateStore
from upgrade_state.cli import _program

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from upgrade_state.cli._parser import Parser

SHELLS = ("bash", "zsh", "fish")

EXAMPLE = "completion bash"

DESCRIPTION = """\
Print code that completes commands, options and known environments in a shell, for
its start-up file:

    bash    eval "$(upgrade-state completion bash)"
    zsh     eval "$(upgrade-state completion zsh)"      after compinit
    fish    status is-interactive; and upgrade-state completion fish | source
"""


def add_options(parser: "Parser") -> None:
    """
    Add the arguments of the command.
    """
    parser.add_argument(
        "shell", metavar="|".join(SHELLS), choices=SHELLS, help="the shell"
    )


def try_run(arguments: "list[str]") -> bool:
    """
    Run `completion` if its first argument is a shell or ``--environments``.

    Returns:
        False for other arguments: nothing was done.
    """
    is_asked = arguments[:1] == ["--environments"]
    try:
        if is_asked:
            text = "".join(f"{path}\n" for path in environments(*arguments[1:2]))
        elif len(arguments) == 1 and arguments[0] in SHELLS:
            text = code(arguments[0])
        else:
            return False
        # As UTF-8, which the text of a record stands for in every locale.
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    except Exception:  # noqa: BLE001 - it would appear in the user's command line
        return is_asked  # else the parser's way prints the error
    return True


def run(*, shell: str) -> int:
    """
    Print the code for a shell's start-up file.
    """
    from upgrade_state.cli._output import print_raw

    print_raw(code(shell).rstrip("\n"))
    return 0


def code(shell: str) -> str:
    """
    Return the code for *shell*, one of `SHELLS`.
    """
    return _program.data(f"completion.{shell}").decode()


def environments(word: str = "") -> "list[str]":
    """
    Return the directories of all environments, as a user would type them.

    A path with a character that is not printable, such as a newline, is left out.

    Args:
        word: The beginning as the user has typed it. If it is absolute or in quotes,
            the directories are absolute; else ``~`` is the home directory.
    """
    home = "\0" if word.startswith(("/", "'", '"')) else os.path.expanduser("~/")
    found = filter(str.isprintable, StateStore()._directories())  # noqa: SLF001
    return sorted(p.replace(home, "~/", p.startswith(home)) for p in found)
