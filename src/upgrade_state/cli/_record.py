"""
The command `record`: store the result of a check that was made elsewhere.
"""

import os

from upgrade_state import checks
from upgrade_state.cli._check import BUSY, OVERTAKEN
from upgrade_state.cli._hints import the_one
from upgrade_state.cli._output import err
from upgrade_state.cli._parser import Parser
from upgrade_state.cli._targets import Target, UsageError, name_of
from upgrade_state.exceptions import StateReadError

EXAMPLE = "record --old uv.lock --new /tmp/uv.lock"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target(".", "this one")
    parser.add_shared("--format")
    parser.add("--old", "the lockfile that was checked", "FILE")
    parser.add("--new", "the lockfile after the upgrade", "FILE")
    parser.add("--flox", "instead: the last check that Flox itself has made")


def run(
    target: Target,
    *,
    old: str | None,
    new: str | None,
    format: str | None,  # noqa: A002
    flox: bool,
) -> int:
    """
    Store the result; 1 if a check is running or was faster.
    """
    hint = "Run 'upgrade-state record --help' to see its options."
    if flox and (old or new or format or target.name):
        raise UsageError("--flox takes no --old, --new, --format or --name", hint)
    if not os.path.exists(target.env or ""):
        raise target.no_such(hint=None)
    if flox:
        return _of_flox(target)
    if old is None or new is None:
        raise UsageError("record needs --old and --new, or --flox", hint)
    environment = the_one(target)
    name = name_of(environment)
    contents = []
    for path in (old, new):
        if not os.path.isfile(path):
            raise StateReadError("There is no regular file", path)
        try:
            with open(path, "rb") as file:
                contents.append(file.read())
                if len(contents[-1]) < os.fstat(file.fileno()).st_size:
                    raise OSError(0, "it ends early")  # noqa: TRY301 - as the system
        except OSError as error:
            message = f"Could not read the file ({error.strerror})"
            raise StateReadError(message, path) from error
    checks.judge(environment, *contents, format=format)
    with environment.try_check(contents[0]) as guard:
        if guard is None:
            err(f"{name}: {BUSY}")
            return 1
        is_stored = guard.commit(contents[1], format=format)
    if not is_stored:
        err(f"{name}: {OVERTAKEN}")
        return 1
    if environment.look().lockfile_state == "changed":
        err(f"{name}: its lockfile is another one than {old}")
    return 0


def _of_flox(target: Target) -> int:
    if target.lockfile is None and os.path.isdir(target.env or ""):
        target = Target(target.store, target.env, checks.FLOX_LOCKFILE, target.name)
    environment = the_one(target)
    if (name := environment.lockfile_name) != checks.FLOX_LOCKFILE:
        raise UsageError(f"--flox is for {checks.FLOX_LOCKFILE}, not for {name}")
    state = checks.import_flox_check(environment).state
    words = {
        "checked": "the check of Flox is recorded",
        "fresh": "Flox has made no check since the last record",
        "busy": BUSY,
        "dropped": OVERTAKEN,
        "no-lockfile": "Flox has checked it without a lockfile",
    }
    err(f"{name_of(environment)}: {words[state]}")
    return 0 if state in ("checked", "fresh") else 1
