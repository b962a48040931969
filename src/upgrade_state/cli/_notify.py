"""
The activation path, `upgrade-state notify`, without a parser.

Whatever is unusual is left to the parser, which knows the same options.
"""

import os
import sys

from upgrade_state._environment import StateStore
from upgrade_state.cli import _targets

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt

    from upgrade_state._environment import EnvironmentState

_OPTIONS = ("--interval", "--platform", "--lockfile", "--cache-dir")


def try_run(words: "list[str]") -> bool:
    """
    Run `notify` with *words*, unless they are unusual: then nothing is done.
    """
    options = _read(words)
    if options is None:
        return False
    try:
        store = StateStore(options.get("--cache-dir"))
        where, lockfile = options.get("ENV", "."), options.get("--lockfile")
        environments = environments_in(store, where, lockfile)
        interval = _interval(options.get("--interval"))
    except ValueError:
        return False
    claim(environments, interval=interval, platform=options.get("--platform"))
    return True


def environments_in(
    store: "StateStore", where: str, lockfile: "str | None"
) -> "list[EnvironmentState]":
    """
    Return the environments to speak of: a directory has one at least.
    """
    found = _targets.present(store, where, lockfile)
    return found or [store.environment(where)]


def claim(
    environments: "list[EnvironmentState]",
    *,
    interval: "dt.timedelta | None",
    platform: "str | None",
) -> None:
    """
    Claim the notices of *environments* and say what is to be said.
    """
    for environment in environments:
        verdict = environment.claim_notice(interval=interval, platform=platform)
        if verdict:
            # Only who speaks has the time to look recipes up.
            from upgrade_state.cli import _hints  # noqa: PLC0415 - see above

            say(verdict.message + _hints.details_hint(environment))


def say(line: str) -> None:
    """
    Write a line to stderr; if nobody can read it, nobody is told.
    """
    if sys.stderr is None:  # closed; print() would take stdout instead
        return
    try:
        print(line, file=sys.stderr)  # noqa: T201 - the voice of the library
    except OSError:
        # Else the interpreter would try again at its end, and complain.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the end


def _read(words: "list[str]") -> "dict[str, str] | None":
    """
    Read options and ENV; None for anything but the plain forms of them.
    """
    options: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            name, value = "ENV", word
        elif name not in _OPTIONS:
            return None
        elif not equals:
            value = next(rest, "-")
        if name in options or value.startswith("-"):
            return None
        options[name] = value
    return options


def _interval(text: "str | None") -> "dt.timedelta | None":
    if text is None:
        return None
    from upgrade_state.cli._durations import duration  # noqa: PLC0415 - if asked

    return duration(text)
