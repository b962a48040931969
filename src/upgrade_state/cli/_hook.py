"""
The command `hook`: what makes a shell tell of upgrades by itself.

Every shell asks for it when it starts, so no parser is loaded for the plain form.
What a shell gets is in `hook.bash`, `hook.zsh` and `hook.fish`, beside this.
"""

import os
import sys

from upgrade_state.cli._targets import fixed_names

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from argparse import Namespace

SHELLS = ("bash", "zsh", "fish")

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))


def try_run(words: "list[str]") -> bool:
    """
    Run `hook` with *words*, unless they are unusual: then nothing is done.
    """
    if len(words) != 1 or words[0] not in SHELLS:
        return False
    try:
        _write(code(words[0], []))
    except OSError:  # the parser's way knows what to say
        return False
    return True


def hook(options: "Namespace") -> int:
    """
    Print the code for a shell's start-up file.
    """
    from upgrade_state.cli._output import writing  # noqa: PLC0415 - see the top

    where = options.cache_dir
    text = code(options.shell, [] if where is None else ["--cache-dir", where])
    with writing():
        _write(text)
    return 0


def _write(text: str) -> None:
    # Bytes: the paths in it may be no text.
    if sys.stdout is not None:
        sys.stdout.buffer.write(os.fsencode(text))
        sys.stdout.buffer.flush()


def code(shell: str, options: "list[str]") -> str:
    """
    Return the code for *shell*, one of `SHELLS`.

    Args:
        options: What `notify` gets besides.
    """
    program = _program()
    path = _python_path([_ROOT] if "-m" in program else [])
    words = [*program, "notify", "--check", "--or-above", *options]
    quote = _quoted_for_fish if shell == "fish" else _quoted
    text = _with_names(_template(shell))
    for name, value in (
        ("@PROGRAM@", quote(program[0])),
        ("@PYTHON@", quote(sys.executable)),
        ("@PYTHONPATH@", quote(path)),
        ("@COMMAND@", " ".join(map(quote, words))),
    ):
        text = text.replace(name, value)
    return text


def _template(shell: str) -> str:
    """
    Return the code with its placeholders, without what is for its readers.
    """
    with open(f"{_HERE}/hook.{shell}", encoding="ascii") as file:
        lines = [line for line in file if line.strip()]
    return "".join(line for line in lines if not line.lstrip().startswith("#"))


def _with_names(text: str) -> str:
    """
    Fill in the names of lockfiles: as a list, or repeating a test.
    """
    one = "-f $__upgrade_state_up/@NAME@"
    names = fixed_names()
    tests = (one.replace("@NAME@", name) for name in names)
    return text.replace(one, " || ".join(tests)).replace("@NAMES@", ",".join(names))


def _program() -> "list[str]":
    """
    Return what runs this command from any directory.
    """
    path = os.path.abspath(sys.argv[0])
    if os.access(path, os.X_OK) and not path.endswith(".py"):
        return [path]
    # Run as a module. Without -P the directory that one merely enters would be
    # the first to give Python its modules.
    return [sys.executable, "-P", "-m", "upgrade_state"]


def _python_path(parts: "list[str]") -> str:
    """
    Return *parts*, and what of PYTHONPATH means the same in any directory.

    Some managers, Spack for one, install by it.
    """
    parts = [*parts, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return os.pathsep.join(part for part in parts if os.path.isabs(part))


def _quoted(word: str) -> str:
    # Always: what is quoted is no alias either.
    return "'" + word.replace("'", "'\\''") + "'"


def _quoted_for_fish(word: str) -> str:
    return "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"
