"""
The activation path, `upgrade-state notify`, without a parser.

Whatever is unusual is left to the parser, which knows the same options.
"""

import os
import sys

from upgrade_state import _look, _policy
from upgrade_state._environment import StateStore
from upgrade_state.cli import _targets

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt

    from upgrade_state._environment import EnvironmentState

_OPTIONS = (
    "--interval",
    "--could-not-check",
    "--platform",
    "--lockfile",
    "--cache-dir",
    "--max-age",
)

# More than a lifetime, in as many digits as a duration may have.
_LONGEST = 99_999_999_999


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
        or_above = "--or-above" in options
        environments = environments_in(store, where, lockfile, or_above=or_above)
        interval = _duration(options.get("--interval"))
        failing = _duration(options.get("--could-not-check"))
        max_age = _duration(options.get("--max-age"))
    except ValueError:
        return False
    claim(
        environments,
        interval=interval,
        platform=options.get("--platform"),
        could_not_check=_policy.WEEK if failing is None else seconds_of(failing),
    )
    if "--check" in options:
        start_checks(environments, max_age=max_age)
    return True


def environments_in(
    store: "StateStore", where: str, lockfile: "str | None", *, or_above: bool
) -> "list[EnvironmentState]":
    """
    Return the environments to speak of: a directory has one at least.

    Args:
        or_above: Where nothing is known of them, return the nearest ones above
            that something is known of.
    """
    found = _targets.present(store, where, lockfile)
    if or_above and not any(map(_is_known, found)):
        directory, _ = _targets.split(where)
        for others in _targets.above(store, directory, lockfile):
            if any(map(_is_known, others)):
                return others
    return found or [store.environment(where)]


def _is_known(environment: "EnvironmentState") -> bool:
    return environment.look().record is not None


def claim(
    environments: "list[EnvironmentState]",
    *,
    interval: "dt.timedelta | None",
    platform: "str | None",
    could_not_check: int,
) -> None:
    """
    Claim the notices of *environments* and say what is to be said.

    *could_not_check* is in seconds: a timedelta takes longer to load than all else.
    """
    for environment in environments:
        question = _policy.Question(
            interval=_look.whole_seconds(interval, _policy.DAY, "interval"),
            platform=platform,
            could_not_check=could_not_check,
            switch=_look.switch(),
            directory=environment.path or "",
        )
        verdict = environment._claim(environment.look(), question)  # noqa: SLF001
        if verdict.reason == "cannot-check":  # the tool may be what is missing
            say(verdict.message)
        elif verdict:
            # Only who speaks has the time to look recipes up.
            from upgrade_state.cli import _hints  # noqa: PLC0415 - see above

            say(verdict.message + _hints.details_hint(environment))


def start_checks(
    environments: "list[EnvironmentState]", *, max_age: "dt.timedelta | None"
) -> None:
    """
    Start the checks that are due, of what its user has checked on purpose.
    """
    for environment in environments:
        if _is_wanted(environment):
            environment.start_check(_argv(environment, max_age), max_age=max_age)


def _is_wanted(environment: "EnvironmentState") -> bool:
    look = environment.look()
    # To enter a directory is no consent: resolving can run code from it.
    # A check would only say that it is gone, in a process of its own.
    return look.recipe is not None and look.missing is None


def _argv(
    environment: "EnvironmentState", max_age: "dt.timedelta | None"
) -> "list[str]":
    """
    Return the command that makes a check where one is (still) due and wanted.
    """
    # -P: nothing is imported from the directory it runs in.
    argv = [sys.executable or "python3", "-P", "-m", "upgrade_state"]
    argv += ["check", "--if-due"]
    if environment.lockfile_name is not None:
        argv.append(f"--lockfile={environment.lockfile_name}")
    if max_age is not None:
        argv.append(f"--max-age={min(int(max_age.total_seconds()), _LONGEST)}s")
    return [*argv, environment.path or ""]


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
        elif word == "--":
            name, value = "ENV", next(rest, "-")
        elif word in ("--check", "--or-above"):
            value = ""
        elif name not in _OPTIONS:
            return None
        elif not equals:
            value = next(rest, "-")
        if name in options or value.startswith("-"):
            return None
        options[name] = value
    return options


def seconds_of(duration: "dt.timedelta") -> int:
    """
    Return a duration of the command line, which has whole seconds.
    """
    return int(duration.total_seconds())


def _duration(text: "str | None") -> "dt.timedelta | None":
    if text is None:
        return None
    from upgrade_state.cli._durations import duration  # noqa: PLC0415 - if asked

    return duration(text)
