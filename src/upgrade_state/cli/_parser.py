"""
What the command line understands.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from typing import TYPE_CHECKING, NoReturn

from upgrade_state import lockfiles
from upgrade_state.cli._durations import duration
from upgrade_state.cli._hook import SHELLS
from upgrade_state.cli._output import out

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, TypeVar

    T = TypeVar("T")

    # argparse has no public name for what holds its commands.
    Commands = argparse._SubParsersAction["Parser"]  # noqa: SLF001

_WEEK: Final = dt.timedelta(days=7)

# Where an option does not go by the name of what it sets.
_SHOWN: Final = {
    "argv": "COMMAND",
    "env": "ENV",
    "limit": "--timeout",
    "pass_on": "--env",
}

_EPILOG: Final = """\
exit status: 0 done; 1 the answer is no (nothing known, busy, check failed);
2 usage or error; 130 ended by Ctrl-C; notify always 0
"""


class UsageError(Exception):
    """
    The command line cannot be understood.
    """


class Parser(argparse.ArgumentParser):
    """
    A parser that raises instead of leaving, and guesses nothing.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """
        Raise a `UsageError`.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")


class _Version(argparse.Action):
    """
    Print the version, which takes time to find and is seldom asked for.

    "unknown" where the library is used from its sources.
    """

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata  # noqa: PLC0415 - see above

        try:
            version = metadata.version("upgrade-state")
        except metadata.PackageNotFoundError:
            version = "unknown"
        out(f"upgrade-state {version}")
        parser.exit()


def make_parser() -> Parser:
    """
    Make the parser. What a command needs is `run`, its function's name.
    """
    parser = Parser(
        prog="upgrade-state",
        description="Remembers when upgrades were last checked, what was found,"
        " and when you were told.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version and leave"
    )
    commands = parser.add_subparsers(
        metavar="COMMAND", required=True, dest="command", parser_class=Parser
    )
    for add in (_show, _list, _check, _record, _notify, _snooze, _forget, _prune):
        add(commands)
    _hook(commands)
    _path(commands)
    _doctor(commands)
    return parser


def _command(commands: Commands, name: str, words: str, example: str) -> Parser:
    parser = commands.add_parser(
        name,
        help=words,
        description=f"{words[0].upper()}{words[1:]}.",
        epilog=f"example: upgrade-state {example}\n",
    )
    parser.add_argument(
        "--cache-dir",
        metavar="DIR",
        type=_absolute,
        help="an absolute path: where the state is kept",
    )
    return parser


def _environment(parser: Parser, *, here: bool = False) -> None:
    """
    Add ENV; *here*: where none is given, nothing else than here is meant.
    """
    which = "the current one" if here else "upward, the nearest that is known"
    words = f"a directory (default: {which}) or a lockfile"
    default = "." if here else None
    parser.add_argument("env", metavar="ENV", nargs="?", default=default, help=words)
    parser.add_argument(
        "--lockfile", metavar="NAME", help="the lockfile's name in the directory"
    )


def _duration(parser: Parser, option: str, words: str, **more: Any) -> None:
    parser.add_argument(
        option, metavar="TIME", type=_typed(duration), help=words, **more
    )


def _asking(parser: Parser) -> None:
    """
    Add what a verdict and a freshness are asked with.
    """
    _platform(parser)
    _interval(parser)
    _max_age(parser)


def _platform(parser: Parser) -> None:
    parser.add_argument(
        "--platform",
        metavar="NAME",
        help="look at this platform only, in the lockfile format's own word",
    )


def _max_age(parser: Parser) -> None:
    _duration(parser, "--max-age", "for how long a check is good (default: 1d)")


def _interval(parser: Parser) -> None:
    words = "minimum time between two notices (default: 1d; 0: none)"
    _duration(parser, "--interval", words)
    words = "tell, once a week, that checks fail for so long (default: 7d)"
    _duration(parser, "--could-not-check", words, default=_WEEK)


def _json(parser: Parser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="one JSON object per environment and line"
    )


def _show(commands: Commands) -> None:
    words = "show what is known, and why you were (not) told"
    parser = _command(commands, "show", words, "show ~/src/shop")
    _environment(parser)
    _asking(parser)
    _json(parser)
    parser.add_argument("--all", action="store_true", help="list every upgrade")


def _list(commands: Commands) -> None:
    words = "list the environments that something is known of"
    parser = _command(commands, "list", words, "list --json")
    _asking(parser)
    _json(parser)


def _many(parser: Parser) -> None:
    """
    Add what a check of all environments is made with.
    """
    parser.set_defaults(env=None)  # to know whether one was given
    parser.usage = """%(prog)s [options] [ENV] [-- COMMAND ...]
       %(prog)s --all [options] [-- COMMAND ...]"""
    parser.add_argument(
        "--all",
        action="store_true",
        help="check what is due of all that the store knows, by the recipes that"
        " the records name or with COMMAND",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=_typed(_number),
        help="with --all: how many at once (default: 4 for each core, at most 8)",
    )
    parser.add_argument(
        "--on-error",
        choices=("continue", "stop", "retry"),
        help="with --all: what a failure means for the others (default: continue)",
    )
    parser.add_argument(
        "--restart",
        action="store_true",
        help="with --all: forget when they were checked, and begin anew",
    )


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10_000):
        raise ValueError(f"not a number of checks: {text!r}")
    return int(text)


def _some_time(text: str) -> dt.timedelta:
    """
    Read a duration other than zero, which may be taken for no limit.
    """
    length = duration(text)
    if not length:
        raise ValueError(f"nothing ends in no time: {text!r}")
    return length


def _check(commands: Commands) -> None:
    words = "make a check now, with the recipe for the lockfile or with COMMAND"
    parser = _command(commands, "check", words, "check --copy Makefile -- make relock")
    _environment(parser, here=True)
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help="use this recipe (default: by the lockfile and the manifest beside it)",
    )
    _many(parser)
    parser.add_argument(
        "--timeout",
        dest="limit",
        metavar="TIME",
        type=_typed(_some_time),
        help="end the check after this time (default: 10m); with --all: the whole run"
        " (default: never), each check having its 10m",
    )
    parser.add_argument(
        "--copy",
        metavar="FILE",
        action="append",
        default=[],
        help="copy this file of the environment, too",
    )
    parser.add_argument(
        "--if-due",
        action="store_true",
        help="only where a check is due, and by the recipe that was run before",
    )
    parser.add_argument(
        "--env",
        dest="pass_on",
        metavar="NAME",
        action="append",
        default=[],
        help="pass this environment variable on, too (X_*: all that begin so)",
    )
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="let it write nowhere but in its scratch directory (needs bwrap)",
    )
    _format(parser)
    _platform(parser)
    _max_age(parser)
    # A check tells nobody by itself: its verdict is as the defaults have it.
    parser.set_defaults(interval=None, could_not_check=_WEEK)
    _json(parser)
    parser.description = """\
Make a check now: find out what an upgrade would change, and remember it. The
environment itself is not touched.

Without COMMAND, the recipe for the lockfile that is there is used. That is your
consent: from then on the hook and `notify --check` may make such a check by
themselves; `show` says whether they do, `forget` withdraws it, and so does a check
by a COMMAND, which is never repeated.

COMMAND runs without a shell in a scratch directory with a copy of the lockfile and
of each --copy FILE; what lies there under the lockfile's name afterwards is the new
lockfile. UPGRADE_STATE_ENV names the environment's directory.

With --all, what is fresh or backing off is skipped, so that a run that was
interrupted goes on if it is started again.
"""


def _record(commands: Commands) -> None:
    words = "store the result of a check that was made elsewhere"
    example = "record --old uv.lock --new /tmp/uv.lock"
    parser = _command(commands, "record", words, example)
    _environment(parser, here=True)
    _format(parser)
    for name, what in (("old", "that was checked"), ("new", "the upgrade leads to")):
        parser.add_argument(
            f"--{name}", metavar="FILE", required=True, help=f"the lockfile {what}"
        )


def _notify(commands: Commands) -> None:
    words = "tell of upgrades on stderr, once per interval; for activation scripts"
    parser = _command(commands, "notify", words, "notify --explain")
    parser.description = f"""\
{words[0].upper()}{words[1:]}.

The exit status is always 0: mistakes in its arguments are one line on stderr.
"""
    _environment(parser, here=True)
    _platform(parser)
    _interval(parser)
    parser.add_argument(
        "--explain", action="store_true", help="say why (not), and claim nothing"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="start a check in the background, if one is due and you have run a"
        " recipe here before",
    )
    parser.add_argument(
        "--or-above",
        action="store_true",
        help="where nothing is known of ENV, speak of the nearest directory above"
        " that something is known of",
    )
    _max_age(parser)


def _snooze(commands: Commands) -> None:
    words = "keep silent for some time"
    parser = _command(commands, "snooze", words, "snooze --for 7d")
    _environment(parser)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument(
        "--for", dest="length", metavar="TIME", type=_typed(duration), help="so long"
    )
    choice.add_argument("--off", action="store_true", help="speak again")


def _forget(commands: Commands) -> None:
    words = "forget all that is known of an environment, your consent to checks too"
    _environment(_command(commands, "forget", words, "forget ~/src/shop"), here=True)


def _prune(commands: Commands) -> None:
    words = "forget environments whose directories are gone"
    parser = _command(commands, "prune", words, "prune --dry-run")
    _duration(
        parser, "--older-than", "and that were last written so long ago (default: 90d)"
    )
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")


def _path(commands: Commands) -> None:
    words = "print where the record is, or would be"
    _environment(_command(commands, "path", words, "path ~/src/shop"))


def _doctor(commands: Commands) -> None:
    words = "look for what is wrong with the state on disk, and change nothing"
    _command(commands, "doctor", words, "doctor")


def _hook(commands: Commands) -> None:
    words = "print what makes a shell tell of upgrades by itself"
    parser = _command(commands, "hook", words, "hook bash")
    parser.description = """\
Print what makes a shell tell of upgrades by itself, for its start-up file:

    bash    eval "$(upgrade-state hook bash)"
    zsh     eval "$(upgrade-state hook zsh)"
    fish    status is-interactive; and upgrade-state hook fish | source

In a directory with a lockfile of a known name in it or above it, the notice is
then claimed, and a check that is due is started in the background if you have run
`upgrade-state check` there yourself; elsewhere nothing runs.
"""
    parser.add_argument(
        "shell", metavar="|".join(SHELLS), choices=SHELLS, help="the shell"
    )


def _format(parser: Parser) -> None:
    parser.add_argument(
        "--format",
        metavar="NAME",
        type=_typed(_format_name),
        help="the lockfile's format (default: by its name)",
    )


def _format_name(name: str) -> str:
    """
    Return the name of a format; a ValueError lists them.
    """
    lockfiles.read(b"", format=name)
    return name


def _typed(convert: Callable[[str], T]) -> Callable[[str], T]:
    """
    Make argparse print the message of a ValueError.
    """

    def converted(text: str) -> T:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return converted


def _absolute(path: str) -> str:
    if not os.path.isabs(path):
        raise argparse.ArgumentTypeError(f"not an absolute path: {path!r}")
    return path


def refuse(options: argparse.Namespace, *names: str, words: str) -> None:
    """
    Refuse options that would have no effect together with others.

    Raises:
        UsageError: One of *names* is given; *words* say why not.
    """
    for name in names:
        if vars(options).get(name) not in (None, False, []):
            shown = _SHOWN.get(name, f"--{name.replace('_', '-')}")
            raise UsageError(f"{shown} {words}")
