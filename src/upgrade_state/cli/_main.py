"""
From arguments to an exit status.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from upgrade_state.cli import _output
from upgrade_state.cli._parser import UsageError, make_parser
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any, Final

# What may stand in the place of a command.
_OPTIONS: Final = {"-h", "--help", "--version"}

# Where a command lives that has no module of its own name.
_HOMES: Final = {
    "list": "_show",
    "record": "_check",
    "notify": "_explain",
} | dict.fromkeys(("snooze", "forget", "prune", "path"), "_tidy")


def run(words: list[str]) -> int:
    """
    Run the command in *words* and return the exit status.
    """
    _output.prepare()
    status = 0
    try:
        status = _status(words)
        _output.flush()
    except BrokenPipeError:  # who read it has had enough
        _output.give_up()
    except _output.OutputError as error:
        _output.give_up()
        _output.err(str(error))
        status = 2
    except OSError as error:
        _output.err(str(error))
        status = 2
    # The shell's prompt depends on it.
    return 0 if words[:1] == ["notify"] else status


def _status(words: list[str]) -> int:
    try:
        return _run(words)
    except (UsageError, UpgradeStateError) as error:
        _output.err(str(error))
        return 2
    except SystemExit as leaving:  # of argparse, and of SIGTERM
        return leaving.code if isinstance(leaving.code, int) else 0


def _run(words: list[str]) -> int:
    words, command = _cut(words)
    options = _parsed(words)
    options.argv = command
    name = options.command
    module: Any = import_module(f"upgrade_state.cli.{_HOMES.get(name, f'_{name}')}")
    status: int = getattr(module, name)(options)
    return status


def _parsed(words: list[str]) -> Namespace:
    if words and words[0].startswith("-") and words[0] not in _OPTIONS:
        raise UsageError(f"the COMMAND comes first, and then its options: {words[0]}")
    options, others = make_parser().parse_known_args(words)
    if others:
        help_ = f"upgrade-state {options.command} --help"
        after = "a COMMAND comes after --; " if options.command == "check" else ""
        unknown = f"unrecognized arguments: {' '.join(others)}"
        raise UsageError(f"{unknown} ({after}see {help_})")
    return options


def _cut(words: list[str]) -> tuple[list[str], list[str] | None]:
    """
    Cut off the COMMAND of a check, before anything is parsed.
    """
    if words[:1] != ["check"] or "--" not in words:
        return words, None
    at = words.index("--")
    if at + 1 == len(words):
        raise UsageError("there is no COMMAND after --")
    return words[:at], words[at + 1 :]
