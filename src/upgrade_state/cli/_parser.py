"""
The options that commands share, and the requests that are made of them.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from typing import TYPE_CHECKING, Literal, NoReturn

import attrs

from upgrade_state import StateStore, lockfiles
from upgrade_state.cli._durations import duration, limit
from upgrade_state.cli._targets import Target, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, TypeVar

    from upgrade_state import Freshness, Look, Verdict

    T = TypeVar("T")

WEEK: Final = dt.timedelta(days=7)


def _or_week(given: dt.timedelta | None) -> dt.timedelta:
    return WEEK if given is None else given


@attrs.frozen
class Question:
    """
    How a command asks for a verdict and a freshness.

    Attributes:
        platform: The platform whose upgrades count; None: all platforms.

        max_age: How long a check is good for; None: a day.

        interval: Minimum time between two notices; None: a day.

        could_not_check: How long checks must have failed before a notice says so.
    """

    platform: str | None
    max_age: dt.timedelta | None
    interval: dt.timedelta | None = None
    could_not_check: dt.timedelta = attrs.field(default=None, converter=_or_week)

    def verdict(self, look: Look) -> Verdict:
        """
        Return the verdict of a look.
        """
        return look.verdict(
            interval=self.interval,
            platform=self.platform,
            could_not_check=self.could_not_check,
        )

    def freshness(self, look: Look) -> Freshness:
        """
        Return the freshness of a look.
        """
        return look.freshness(max_age=self.max_age)


@attrs.frozen
class ResolverOptions:
    """
    How the resolver of a check runs.

    Attributes:
        argv: The COMMAND and its arguments; None: a recipe.

        copies: Further files of the environment to copy.

        passes: Names of environment variables to pass on.

        sandbox: Whether it may write only in its scratch directory.

        recipe: The name of the recipe; None: the one for the lockfile.

        timeout: How long it may run; None: 10 minutes.
    """

    argv: list[str] | None
    copies: list[str]
    passes: list[str]
    sandbox: bool
    recipe: str | None = None
    timeout: dt.timedelta | None = None


@attrs.frozen
class ScopeOptions:
    """
    How many checks run together; see `checks.check_all`.
    """

    jobs: int | None
    timeout: dt.timedelta | None
    on_error: Literal["continue", "stop", "retry"]
    restart: bool


class Parser(argparse.ArgumentParser):
    """
    A parser that raises `UsageError` and accepts no abbreviated options.
    """

    def __init__(self, name: str, summary: str, module: Any) -> None:
        super().__init__(
            prog=f"upgrade-state {name}",
            description=getattr(module, "DESCRIPTION", summary),
            epilog=f"example: upgrade-state {module.EXAMPLE}\n",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.add_options(self)

    def error(self, message: str) -> NoReturn:
        """
        Raise a `UsageError`.
        """
        raise UsageError(f"{message} (see {self.prog} --help)")

    def add(
        self,
        name: str,
        words: str,
        metavar: str | None = None,
        convert: Callable[[str], object] = str,
        **more: Any,
    ) -> None:
        """
        Add an option with a value, or a switch.

        Args:
            words: The help text.

            metavar: The name of the value; None: it is a switch.

            convert: Returns the value; a ValueError is the user's mistake.
        """
        settings: dict[str, Any] = {"action": "store_true"}
        if metavar is not None:
            settings = {"metavar": metavar, "type": typed(convert)}
        self.add_argument(name, help=words, **settings | more)

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
        words = "also copy this file of the environment"
        self.add("--copy", words, "FILE", dest="copies", action="append", default=[])
        words = "also pass on this environment variable (X_*: all that begin with X_)"
        self.add("--env", words, "NAME", dest="passes", action="append", default=[])
        self.add_shared("--sandbox", "--platform", "--max-age", "--json")

    def add_target(self, default: str | None = None) -> None:
        """
        Add the arguments of a `Target`, and the cache directory.

        Args:
            default: ENV if none is given. None: the nearest known directory.
        """
        which = "the nearest known one, upward" if default is None else "this one"
        self.add_argument(
            "env",
            metavar="ENV",
            nargs="?",
            default=default,
            help=f"a directory (default: {which}) or a lockfile",
        )
        self.add_shared("--lockfile", "--cache-dir")


def requests_of(options: dict[str, Any]) -> dict[str, Any]:
    """
    Turn parsed options into the arguments of a command's `run`.

    Raises:
        UsageError: The cache directory is no usable path.
    """
    if "shell" not in options:  # `hook` passes the path on
        try:
            options["store"] = StateStore(options.pop("cache_dir"))
        except ValueError as error:
            raise UsageError(str(error)) from error
    if "env" in options:
        where = options.pop("env"), options.pop("lockfile")
        options["target"] = Target(options.pop("store"), *where)
    if "platform" in options:
        options["question"] = Question(**_taken(options, Question))
    if "jobs" in options:
        options["scope"] = ScopeOptions(**_taken(options, ScopeOptions))
    if "copies" in options:
        options["resolving"] = ResolverOptions(**_taken(options, ResolverOptions))
    return options


def _taken(options: dict[str, Any], request: type[Any]) -> dict[str, Any]:
    names = [field.name for field in attrs.fields(request)]
    return {name: options.pop(name) for name in names if name in options}


def typed(convert: Callable[[str], T]) -> Callable[[str], T]:
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
        raise ValueError(f"not an absolute path: {path!r}")
    return path


def _format(name: str) -> str:
    lockfiles.read(b"", format=name)  # a ValueError lists the formats
    return name


# Help, metavar (None: a switch) and type of options that several commands have.
_SHARED: Final[dict[str, tuple[Any, ...]]] = {
    "--cache-dir": ("the absolute path of the cache directory", "DIR", _absolute),
    "--lockfile": ("the lockfile's name in the directory", "NAME"),
    "--json": ("print one JSON object per environment and line",),
    "--platform": ("count upgrades for this platform, in the lockfile's word", "NAME"),
    "--max-age": ("how long a check is good for (default: 1d)", "DURATION", duration),
    "--interval": (
        "minimum time between two notices (default: 1d; 0: none)",
        "DURATION",
        duration,
    ),
    "--could-not-check": (
        "also notify, weekly, if checks have failed for so long (default: 7d)",
        "DURATION",
        duration,
    ),
    "--timeout": ("end a check after this time (default: 10m)", "DURATION", limit),
    "--format": ("the lockfile's format (default: by its name)", "NAME", _format),
    "--sandbox": ("allow writing only in the scratch directory (needs bwrap)",),
}
