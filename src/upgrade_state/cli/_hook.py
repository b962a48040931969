"""
The command `hook`: code for a shell's start-up file.

Every starting shell runs it, so the plain form needs no parser. The code is in
`hook.bash`, `hook.zsh` and `hook.fish`.
"""

import os
import sys

from upgrade_state import lockfiles
from upgrade_state.cli import _program

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from upgrade_state.cli._parser import Parser

SHELLS = ("bash", "zsh", "fish")

EXAMPLE = "hook bash"

DESCRIPTION = """\
Print code that gives notices at a shell's prompt, for its start-up file:

    bash    eval "$(upgrade-state hook bash)"
    zsh     eval "$(upgrade-state hook zsh)"
    fish    status is-interactive; and upgrade-state hook fish | source

On entering a directory with a lockfile of a known name, or one below it, the hook
runs `notify`. It also starts a check in the background, if one is due and you have
run `upgrade-state check` there. In other directories it runs nothing. It looks no
higher than your home directory, and below directories in UPGRADE_STATE_CEILING.

An option given here, such as --interval 3d, sets the variable that is its default:
`show`, `list` and `notify --peek` in that shell use the same value as the hook.
"""

# Not the script that an installer wrote: some load `re` or go through /bin/sh. The
# package may have been uninstalled since, or be incomplete during an upgrade. The end
# of an interpreter takes as long as our imports, and everything is written by then. One
# line: csh_junkie_quotes of zsh allows no more between quotes.
_MAIN = (
    r'exec("try:\n import os\n from upgrade_state.cli import main\n'
    r' os._exit(main())\nexcept (ImportError, KeyboardInterrupt): pass")'
)


def add_options(parser: "Parser") -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--interval", "--reminder", "--max-age", "--could-not-check")
    parser.add_shared("--cache-dir")
    parser.add_argument(
        "shell", metavar="|".join(SHELLS), choices=SHELLS, help="the shell"
    )


def try_run(arguments: "list[str]") -> bool:
    """
    Run `hook` if its only argument is a shell; False: nothing was done.
    """
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        return False
    try:
        _write(code(arguments[0]))
    except OSError:  # the parser's way prints the error
        return False
    return True


def run(
    *, shell: str, cache_dir: "str | None", **durations: "dt.timedelta | None"
) -> int:
    """
    Print the code for a shell's start-up file.

    Args:
        durations: The values of options, by the names of their attributes.
    """
    from upgrade_state.cli._output import writing

    variables = {} if cache_dir is None else {"CACHE_DIR": cache_dir}
    for name, length in durations.items():
        if length is not None:
            variables[name.upper()] = f"{int(length.total_seconds())}s"
    text = code(shell, variables)
    with writing():
        _write(text)
    return 0


def _write(text: str) -> None:
    # As bytes: a path in it may not be valid text.
    if sys.stdout is not None:
        sys.stdout.buffer.write(os.fsencode(text))
        sys.stdout.buffer.flush()


def code(shell: str, variables: "Mapping[str, str] | None" = None) -> str:
    """
    Return the code for *shell*, one of `SHELLS`.

    Args:
        variables: Values of variables that the shell exports, by the ends of their
            names.
    """
    text = _program.data(f"hook.{shell}").decode("ascii")
    lines = [line for line in text.splitlines(keepends=True) if line.strip()]
    text = "".join(line for line in lines if not line.lstrip().startswith("#"))
    # A line of its own, that the shell repeats for every name.
    (test,) = (line.strip() for line in lines if "@NAME@" in line)
    tests = (test.replace("@NAME@", name) for name in lockfiles.names())
    text = text.replace(test, " || ".join(tests))
    # Some managers, such as Spack, install by PYTHONPATH. Its relative entries
    # would mean another directory at every prompt.
    roots = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    roots = [root for root in roots if os.path.isabs(root)]
    command = _program.command(_MAIN)
    values = {"@PROGRAM@": command[0], "@PYTHON@": sys.executable}
    command += ["notify", "--check"]
    values["@PYTHONPATH@"] = os.pathsep.join(roots)
    quote = _quoted_for_fish if shell == "fish" else _quoted
    for name, value in values.items():
        text = text.replace(name, quote(value))
    export = (
        "builtin set -gx {} {}\n" if shell == "fish" else "\\builtin export {}={}\n"
    )
    for name, value in (variables or {}).items():
        text = export.format(f"UPGRADE_STATE_{name}", quote(value)) + text
    return text.replace("@COMMAND@", " ".join(map(quote, command)))


def _quoted(text: str) -> str:
    # Always in quotes: a quoted word is no alias.
    return "'" + text.replace("'", "'\\''") + "'"


def _quoted_for_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
