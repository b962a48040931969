"""
The options that commands share, and the requests that are made of them.
"""

import argparse
import datetime as dt
import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, NoReturn

from upgrade_state import StateStore, lockfiles
from upgrade_state.cli import _times
from upgrade_state.cli._activation import DURATIONS
from upgrade_state.cli._output import width_of
from upgrade_state.cli._targets import Target, UsageError

SHARED_VARIABLE: Final = "UPGRADE_STATE_SHARED"


class Question(NamedTuple):
    """
    How a command asks for a verdict and a freshness.

    Attributes:
        platform: The platform whose upgrades count; None: all platforms.

        max_age: How long a check is good for; None: a day.

        interval: Minimum time between two notices.

        could_not_check: How long checks must have failed before a notice says so.

        reminder: Minimum time between two notices of the same upgrades; None: a week,
            or zero if *interval* is zero.
    """

    platform: str | None = None
    max_age: dt.timedelta | None = None
    interval: dt.timedelta = dt.timedelta(days=1)
    could_not_check: dt.timedelta = dt.timedelta(days=7)
    reminder: dt.timedelta | None = None


class ResolverOptions(NamedTuple):
    """
    How the resolver of a check runs.

    Attributes:
        copies: Further files of the environment to copy.

        passes: Names of environment variables to pass on.

        sandbox: Whether it may write only in its scratch directory.

        argv: The COMMAND and its arguments; None: a recipe.

        recipe: The name of the recipe; None: the one for the lockfile.

        timeout: How long it may run.
    """

    copies: list[str]
    passes: list[str]
    sandbox: bool
    argv: list[str] | None = None
    recipe: str | None = None
    timeout: dt.timedelta = dt.timedelta(minutes=10)


class _Formatter(argparse.HelpFormatter):
    """
    Fill paragraphs to the terminal's width, at most 80; keep those that are indented.
    """

    def __init__(self, prog: str) -> None:
        # Not by argparse, which loads shutil and all compression for it.
        super().__init__(prog, width=min(width_of(sys.stdout), 80) - 2)

    def _format_usage(self, *arguments: Any, **named: Any) -> str:
        text = super()._format_usage(*arguments, **named)
        if max(map(len, text.splitlines())) <= self._width:
            return text
        import textwrap  # for help only

        lines = [f"    {line.strip()}" for line in text.strip().splitlines()]
        lines[0] = lines[0].lstrip()
        indent = " " * 8
        folded = (
            textwrap.fill(line, self._width, subsequent_indent=indent) for line in lines
        )
        return "\n".join(folded) + "\n\n"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        paragraphs = text.strip("\n").split("\n\n")
        filled = (p if p[0] == " " else fill(p, width, indent) for p in paragraphs)
        return "\n\n".join(filled) + "\n"


class Parser(argparse.ArgumentParser):
    """
    A parser that raises `UsageError` and accepts no abbreviated options.
    """

    def __init__(self, name: str, summary: str, module: Any) -> None:
        super().__init__(
            prog=f"upgrade-state {name}",
            description=getattr(module, "DESCRIPTION", summary),
            epilog=f"example: upgrade-state {module.EXAMPLE}",
            formatter_class=_Formatter,
            allow_abbrev=False,
        )
        self.hint = f"Run '{self.prog} --help' to see its options."
        module.add_options(self)
        if "--cache-dir" not in self._option_string_actions:  # accepted everywhere
            self.add_argument("--cache-dir", dest="unused", help=argparse.SUPPRESS)
        ways = ("auto", "always", "never")
        words = "use colours: auto (default), always or never"
        self.add_argument(
            "--color", metavar="WHEN", choices=ways, default=ways[0], help=words
        )

    def parse(self, arguments: list[str]) -> dict[str, Any]:
        """
        Return the values of *arguments*.

        Raises:
            UsageError: One of them is unknown, missing or of no use.
        """
        command, known = self.prog.partition(" ")[2], self._option_string_actions
        # First: that an option is required is no help if it is misspelt.
        for argument in itertools.takewhile("--".__ne__, arguments):
            is_long = argument.startswith("--")
            name = argument.partition("=")[0] if is_long else argument[:2]
            # A number is the value of the option before it.
            if name[:1] == "-" and name not in known and not name[1:].isdigit():
                message = f"{command} has no option {name!r}{meant(name, known)}"
                raise UsageError(message, self.hint)
        # argparse takes an optional argument for absent if an option precedes it.
        is_alone = len(self._get_positional_actions()) < 2
        parse = self.parse_known_args if is_alone else self.parse_known_intermixed_args
        parsed, rest = parse(arguments)
        if rest := [word for word in rest if word != "--"]:
            message = f"{command} does not take {rest[0]!r}"
            if "COMMAND" in (self.usage or "") and not rest[0].startswith("-"):
                message += "; a COMMAND comes after --"
            raise UsageError(message, self.hint)
        return vars(parsed)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        # Before CPython 3.13, argparse drops "--" also if it is an option's value, as
        # in `--interval=--`, and stores an empty list without a conversion.
        if action.option_strings and arg_strings == ["--"]:
            value = self._get_value(action, "--")
            self._check_value(action, value)
            return value
        return super()._get_values(action, arg_strings)

    def error(self, message: str) -> NoReturn:
        """
        Raise a `UsageError`.
        """
        command = self.prog.partition(" ")[2]
        for pattern, replacement in _MISTAKES.items():
            message = re.sub(pattern, replacement, message)
        action = self._option_string_actions.get(message.split()[0])
        if message.endswith(" needs a value") and action is not None:
            message += ", such as 7d" * (action.metavar == "DURATION")
        raise UsageError(message.replace("{command}", command), self.hint)

    def add(
        self,
        name: str,
        words: str,
        metavar: str | None = None,
        convert: Callable[[str], object] = str,
        default: object = None,
        **more: Any,
    ) -> None:
        """
        Add an option with a value, or a switch.

        Args:
            words: The help text.

            metavar: The name of the value; None: it is a switch.

            convert: Returns the value; an ArgumentTypeError is the user's mistake.

            default: The value if there is none; it is converted if it is text.
        """
        if metavar is None:
            more["action"] = "store_true"
        else:
            more |= {"metavar": metavar, "type": convert, "default": default}
        self.add_argument(name, help=words, **more)

    def add_shared(self, *names: str) -> None:
        """
        Add options that several commands have, by their names.
        """
        for name in names:
            self.add(name, *_SHARED[name])

    def add_resolving(self) -> None:
        """
        Add what the `ResolverOptions` of every check are made of.
        """
        words = "also copy this file or directory, which git may ignore"
        self.add("--copy", words, "PATH", dest="copies", action="append", default=[])
        words = "also pass on this environment variable (X_*: all that begin with X_)"
        self.add("--env", words, "NAME", dest="passes", action="append", default=[])
        self.add_shared("--sandbox", "--platform", "--max-age", "--shared", "--json")

    def add_target(
        self, default: str | None = None, which: str = "the nearest known one, upward"
    ) -> None:
        """
        Add the arguments of a `Target`, and the cache directory.

        Args:
            default: ENV if none is given. None: the command finds one.

            which: The one that it finds.
        """
        self.add_argument(
            "env",
            metavar="ENV",
            nargs="?",
            default=default,
            help=f"a directory (default: {which}) or a lockfile",
        )
        self.add_shared("--lockfile", "--name", "--cache-dir")


def requests_of(options: dict[str, Any]) -> dict[str, Any]:
    """
    Turn parsed options into the arguments of a command's `run`.
    """
    # `hook` passes the path on, and some commands use no store.
    if "cache_dir" in options and "shell" not in options:
        options["store"] = StateStore(options.pop("cache_dir"))
        unset = {n: v for n, v in DURATIONS.items() if options.get(n, "") is None}
        for name, seconds in _times.of_variables(unset).items():
            options[name] = dt.timedelta(seconds=seconds)
    options.pop("unused", None)
    requests: tuple[tuple[str, type[Any], tuple[str, ...]], ...] = (
        ("target", Target, ("env", "store", "lockfile", "name")),
        ("question", Question, Question._fields),
        ("resolving", ResolverOptions, ResolverOptions._fields),
    )
    for name, request, fields in requests:
        if fields[0] in options:
            known = {field: options.pop(field, None) for field in fields}
            # The defaults are those of the request.
            given = {field: v for field, v in known.items() if v is not None}
            options[name] = request(**given)
    return options


def meant(name: str, known: Iterable[str]) -> str:
    """
    Return a question for the name that *name* may be a mistake for; "": for none.
    """
    import difflib  # for a mistake only

    names = {full.lstrip("-"): full for full in known}
    found = difflib.get_close_matches(name.lstrip("-"), names, 1)
    return f"; did you mean {names[found[0]]!r}?" if found else ""


def duration(text: str) -> dt.timedelta:
    """
    Return a duration: see `_times.seconds_of`.

    Raises:
        ArgumentTypeError: *text* is no duration.
    """
    try:
        return dt.timedelta(seconds=_times.seconds_of(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def limit(text: str) -> dt.timedelta:
    """
    Return a duration longer than zero: a zero could be taken for no limit.
    """
    length = duration(text)
    if not length:
        raise argparse.ArgumentTypeError("the time limit must be longer than 0")
    return length


def _absolute(path: str) -> str:
    if not os.path.isabs(path):
        raise argparse.ArgumentTypeError(f"not an absolute path: {path!r}")
    return path


def _format(name: str) -> str:
    try:
        lockfiles.read(b"", format=name)
    except ValueError as error:  # it lists the formats, as the help does
        message = f"there is no format {name!r}"
        raise argparse.ArgumentTypeError(message) from error
    return name


# Messages of argparse, in our words.
_MISTAKES: Final = {
    r"^argument -./": "argument ",
    r"^argument (--\S+): expected one argument$": r"\1 needs a value",
    r"^argument (.*): not allowed with argument (.*)": r"either \2 or \1, not both",
    r"^one of the .*": "say how long: --for 7d, --until monday or --off",
    r"^the following arguments are required: ": "{command} needs ",
    r"^argument (?!-)(.*): invalid choice: ('.*') .*": r"{command} needs \1, not \2",
    r"^argument (.*): invalid choice: ('.*') \(choose from (.*)\)": r"\1: not \2 (\3)",
    r"^argument ": "",
    r"\|(?=\w+\|)": ", ",
    r"\|": " or ",
}

_FORMAT = f"the lockfile's format, if not by its name: {', '.join(lockfiles.FORMATS)}"
_INTERVAL = "minimum time between two notices (default: 1d; 0: none)"
_REMINDER = "minimum time before unchanged upgrades are announced again (default: 7d)"
_FAILING = "notify, at most weekly, when checks have failed this long (default: 7d)"

_TEAM = f"share results with a team: see shared (default: {SHARED_VARIABLE})"

# Help, metavar (None: a switch), type and default of options of several commands.
_SHARED: Final[dict[str, tuple[Any, ...]]] = {
    "--cache-dir": ("the absolute path of the cache directory", "DIR", _absolute),
    "--lockfile": ("the lockfile's name in the directory", "NAME"),
    "--name": ("the environment's name, if the lockfile has several", "NAME"),
    "--json": ("print one JSON object per environment and line",),
    "--platform": ("count upgrades for this platform, in the lockfile's word", "NAME"),
    "--max-age": ("how long a check is good for (default: 1d)", "DURATION", duration),
    "--interval": (_INTERVAL, "DURATION", duration),
    "--reminder": (_REMINDER, "DURATION", duration),
    "--could-not-check": (_FAILING, "DURATION", duration),
    "--format": (_FORMAT, "NAME", _format),
    "--shared": (_TEAM, "URL"),
    "--sandbox": ("allow writing only in the scratch directory (needs bwrap)",),
}
