"""
Write the completion code, the man page and commands.md: `python docs/commands.py`.

They are made of the parsers of all commands, and the same with every Python.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import shtab
from argparse_manpage.manpage import Manpage

from upgrade_state import checks, lockfiles
from upgrade_state.cli import _completion, _main
from upgrade_state.cli._parser import Parser

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
PURPOSE: Final = "look for upgrades of environments, and be notified of them"

# How the value of an option or argument is completed, by its name. shtab's own
# functions for bash split a word at its spaces. It lets readline quote the candidates
# of a function if "_dir" or "_file" is in its name.
_FISH_DIRS: Final = "__fish_complete_directories (commandline -ct) directory"
FUNCTIONS: Final = {
    "ENV": {
        "bash": "_upgrade_state_env_dirs",
        "zsh": "_upgrade_state_environments",
        "fish": f"(_upgrade_state_environments; {_FISH_DIRS})",
    },
    "DIR": {
        "bash": "_upgrade_state_dirs",
        "zsh": "_files -/",
        "fish": f"({_FISH_DIRS})",
    },
    "FILE": {
        "bash": "_upgrade_state_files",
        "zsh": "_files",
        "fish": "(__fish_complete_path (commandline -ct))",
    },
}
FUNCTIONS["PATH"] = FUNCTIONS["FILE"]

CHOICES: Final = {
    "--format": lockfiles.FORMATS,
    "--lockfile": lockfiles.names(),
    "--recipe": tuple(checks.RECIPES),
}

PREAMBLE: Final = {
    "bash": r"""
_upgrade_state_dirs() { compgen -d -- "$1"; }
_upgrade_state_files() { compgen -f -- "$1"; }

# $1: the word as it is typed. A name with $ is left out: bash may not quote the $.
_upgrade_state_env_dirs() {
  local typed=${1//\\/} line
  case $1 in
    [\"\']*) typed=${1#?} ;;
  esac
  while IFS= read -r line; do
    if [[ $line == "$typed"* && $line != *\$* ]]; then printf '%s\n' "$line"; fi
  done < <(command upgrade-state completion --environments "$1" 2>/dev/null)
  compgen -d -- "$1"
}
""",
    "zsh": r"""
# Within quotes only directories: two kinds of candidates for one would erase the word.
_upgrade_state_environments() {
  local line expl
  local -a found
  if [[ -z $compstate[quote] ]]; then
    command upgrade-state completion --environments "$PREFIX" 2>/dev/null |
    while IFS= read -r line; do
      found+=("${${(q)line}/#\\~/~}")
    done
    _wanted environments expl 'checked environment' compadd -Q -a found
  fi
  _files -/
}
""",
    "fish": r"""
# fish also asks for arguments if an option is typed.
function _upgrade_state_environments
    string match -q -- '-*' (commandline -ct); and return
    command upgrade-state completion --environments (commandline -ct) 2>/dev/null |
        string replace -r '$' '\tchecked environment'
end
""",
}


def parser(*, merged: bool) -> argparse.ArgumentParser:
    """
    Return the parser of the whole command line.

    Args:
        merged: `check` has the options of its modes, too, and every command those
            of all. Else each mode is a command of its own.
    """
    root = argparse.ArgumentParser(
        "upgrade-state",
        usage="%(prog)s COMMAND [options]",
        # Else the width of the terminal would decide.
        formatter_class=functools.partial(argparse.HelpFormatter, width=80),
    )
    words = "print the version"
    root.add_argument("-V", "--version", action="store_true", help=words)
    shared = ("cache_dir", "color")  # may precede the command
    for action in _parser_of("list")._actions:
        if action.dest in shared:
            root._add_action(action)
    commands = root.add_subparsers(title="commands", parser_class=_parser_of)
    for name, summary in _main._COMMANDS.items():
        added = commands.add_parser(name, prog=name, help=summary)
        for mode in ("--all", "--if-due") if name == "check" else ():
            title, more = f"{name} {mode}", _parser_of(f"{name} {mode}")
            if not merged:
                commands.add_parser(title, prog=title, help=_summary(more))
                continue
            for action in more._actions:
                known = added._option_string_actions.keys()
                if action.option_strings and known.isdisjoint(action.option_strings):
                    action.help = f"with {mode}: {action.help}"
                    added._add_action(action)
            added.add_argument(mode, action="store_true", help=_summary(more))
    for command in (root, *commands.choices.values()):
        operands = " ".join(map(_operand, command._get_positional_actions()))
        command.usage = command.usage or f"%(prog)s [options] {operands}".rstrip()
        for action in command._actions:
            _complete(action)
            if not merged and command is not root and action.dest in shared:
                action.help = argparse.SUPPRESS
    return root


def _complete(action: argparse.Action) -> None:
    """
    Tell shtab how to complete the value of an option or argument.
    """
    if action.metavar in FUNCTIONS:
        action.complete = FUNCTIONS[action.metavar]
    if action.dest == "command":  # of `help`
        action.choices = tuple(_main._COMMANDS)
    for option in action.option_strings:
        action.choices = CHOICES.get(option, action.choices)


def _parser_of(prog: str, **_: Any) -> Parser:
    place = prog.replace(" --", "_").replace("-", "_")
    module: Any = importlib.import_module(f"upgrade_state.cli._{place}")
    return Parser(prog, _main._COMMANDS[prog.split(maxsplit=1)[0]], module)


def _operand(action: argparse.Action) -> str:
    name = action.metavar or action.dest
    return f"[{name}]" if action.nargs == "?" else str(name)


def _summary(command: argparse.ArgumentParser) -> str:
    """
    Return the first sentence of a command's description.
    """
    first, _, _ = " ".join((command.description or "").split()).partition(". ")
    return f"{first.rstrip('.')}."


def completion(shell: str) -> str:
    """
    Return the completion code for a shell.
    """
    command_line = parser(merged=True)
    for command in dict(_commands(command_line)).values():
        command.description = _summary(command)
    code = shtab.complete(command_line, shell, preamble=PREAMBLE)
    # Further names that shtab's code for another program may have, too.
    code = re.sub(r"\b_(set_|shtab_(?!upgrade))", r"_upgrade_state_\1", code)
    head = "# Made by docs/commands.py with shtab.\n"
    return re.sub(r"# AUTOMATICALLY .*\n(#.*\n)*", head, code).rstrip() + "\n"


def man_page() -> str:
    """
    Return the man page, without a date: it changes with the commands only.
    """
    page = Manpage(parser(merged=False), {"description": PURPOSE})
    page.date, page.manual = "", "User Commands"
    for heading in ("Exit status and output", "Environment variables"):
        section = heading.removesuffix(" and output").removesuffix(" variables")
        page.add_section(section, ">", _rows(heading))
    # fish reads man pages for options, below a heading that begins with OPTIONS, and
    # would offer those of all commands after each.
    text = re.sub(
        r"^\.SH OPTIONS (.*)$", r".SH \1 OPTIONS", str(page), flags=re.MULTILINE
    )
    return text.replace(".SH OPTIONS\n", ".SH GLOBAL OPTIONS\n")


def _rows(heading: str) -> str:
    """
    Return the first table below a heading of the reference, for the man page.
    """
    text = (ROOT / "docs" / "reference.md").read_text()
    _, _, table = text.partition(f"### {heading}\n")
    table, _, _ = table.partition("\n#")
    lines = []
    for name, means in re.findall(r"^\| ([`\d].*) \| (.*) \|$", table, re.MULTILINE):
        lines += [".TP", name, means]
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", "\n".join(lines))
    return plain.replace("`", "").replace("-", r"\-")


def reference() -> str:
    """
    Return the page of all commands.
    """
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    root = parser(merged=False)
    yield from ("<!-- made by commands.py -->", "", "# Commands", "")
    yield "This page lists each command with its options, as `--help` prints them."
    yield "For a first session, read the [tutorial](tutorial.md)."
    yield from (
        "",
        "These options precede or follow a command; `--version` stands alone:",
        "",
    )
    yield from _options(root)
    for name, command in _commands(root):
        yield from ("", f"## {name}", "", str(command.description).rstrip(), "")
        usage = command.format_usage().replace("usage: ", " " * 7)
        yield from ("```text", textwrap.dedent(usage).rstrip(), "```", "")
        options = list(_options(command))
        yield from (*options, "") if options else ()
        example = str(command.epilog).removeprefix("example: ").strip()
        yield f"Example: `{example}`"
    yield ""


def _options(command: argparse.ArgumentParser) -> Iterator[str]:
    for action in command._actions:
        if argparse.SUPPRESS in (action.help, action.dest):  # the latter: the commands
            continue
        value = "" if action.nargs == 0 else str(action.metavar or action.dest)
        names = [f"{option} {value}".rstrip() for option in action.option_strings]
        text = re.sub(r"([*_<])", r"\\\1", str(action.help))
        if command.prog == "upgrade-state" or "--help" not in names:
            yield f"- `{'`, `'.join(names or [value])}`: {text}"


def _commands(root: argparse.ArgumentParser) -> Iterator[tuple[str, Any]]:
    for action in root._actions:
        if action.nargs == argparse.PARSER:
            yield from dict(action.choices or {}).items()


def made() -> dict[str, str]:
    """
    Return the text of every file that is made here, by its path in the repository.
    """
    code = "src/upgrade_state/cli/completion"
    files = {f"{code}.{shell}": completion(shell) for shell in _completion.SHELLS}
    return files | {"docs/upgrade-state.1": man_page(), "docs/commands.md": reference()}


if __name__ == "__main__":
    for name, text in made().items():
        (ROOT / name).write_text(text)
