"""
The command `record`: store the result of a check that was made elsewhere.
"""

import os

from upgrade_state import checks
from upgrade_state.cli._check import BUSY, OVERTAKEN
from upgrade_state.cli._output import err
from upgrade_state.cli._parser import Parser
from upgrade_state.cli._targets import Target, name_of
from upgrade_state.exceptions import StateReadError

EXAMPLE = "record --old uv.lock --new /tmp/uv.lock"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target(".", "this one")
    parser.add_shared("--format")
    parser.add("--old", "the lockfile that was checked", "FILE", required=True)
    parser.add("--new", "the lockfile after the upgrade", "FILE", required=True)


def run(target: Target, *, old: str, new: str, format: str | None) -> int:  # noqa: A002
    """
    Store the result; 1 if a check is running or was faster.
    """
    if not os.path.exists(target.env or ""):
        raise target.no_such()
    environment = target.the_one()
    name = name_of(environment)
    contents = []
    for path in (old, new):
        if not os.path.isfile(path):
            raise StateReadError("There is no regular file", path)
        try:
            with open(path, "rb") as file:
                contents.append(file.read())
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
