"""
Errors for a place of which nothing is known, each with the command that helps.

`show` and `list` load this module, so it imports recipes only where it needs one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upgrade_state.cli._targets import (
    SEE_LIST,
    Target,
    UsageError,
    is_recorded,
    lockfiles_in,
    name_of,
    shell_path,
    split,
    tilde,
    upward,
)

if TYPE_CHECKING:
    from upgrade_state import EnvironmentState
    from upgrade_state.checks import Recipe


def the_one(target: Target) -> EnvironmentState:
    """
    Return the only environment, which has a lockfile.

    Raises:
        UsageError: There are several, or none.
    """
    found = target.present()
    if not found:
        raise no_lockfile(target, "Name it, such as --lockfile uv.lock")
    if len(found) > 1:
        names = ", ".join(environment.lockfile_name or "" for environment in found)
        message = f"several lockfiles are here: {names}; pick one (--lockfile)"
        raise UsageError(message)
    return found[0]


def no_lockfile(target: Target, hint: str | None = None) -> UsageError:
    """
    Return the error that the directory has no known lockfile, and which above has.

    Raises:
        UsageError: The directory cannot be read.
    """
    try:
        os.listdir(target.where)
        path = os.path.abspath(target.where)
    except OSError as error:  # also if the working directory was removed
        message = f"could not look into {target.where!r} ({error.strerror})"
        raise UsageError(message) from error
    message = f"no lockfile in {tilde(path)}"
    for place in [*upward(target.where)][1:]:
        if lockfiles_in(place):
            above = tilde(os.path.realpath(place))
            return UsageError(f"{message}, but one is in {above}", hint)
    return UsageError(f"{message} or above it", hint)


def nothing_known(target: Target, *, to_check: bool = True) -> UsageError:
    """
    Return the error that nothing is known here, with the command that helps.

    Args:
        to_check: Whether a check helps.
    """
    directory, _ = split(target.where)
    found = target.present()
    here = found[0] if len(found) == 1 else target.environment_in(directory)
    hint = _unrecorded(here) or SEE_LIST
    # A name that is not known is a mistake rather than a new one.
    is_new = target.name is None and hint == SEE_LIST
    for place in upward(directory) if is_new else ():
        if found := target.present(place):
            path = shell_path(found[0].path or "")
            if any(is_recorded(environment.look()) for environment in found):
                hint = f"Run 'upgrade-state show {path}' to see its state."
            elif to_check:
                # One with a recipe is shorter.
                commands = (check_command(e, f" {path}") for e in found)
                hint = f"Run '{min(commands, key=len)}' to look for upgrades."
            break
    return UsageError(f"nothing is known of {name_of(here)}", hint, status=1)


def check_command(environment: EnvironmentState, argument: str) -> str:
    """
    Return the command that makes a check: by a recipe, or else by a COMMAND.
    """
    from upgrade_state.exceptions import ResolverError

    try:
        has_recipe = recipe_for(environment) is not None
    except ResolverError:
        has_recipe = False
    return f"upgrade-state check{argument}{'' if has_recipe else ' -- COMMAND'}"


def recipe_for(
    environment: EnvironmentState, named: Recipe | None = None
) -> Recipe | None:
    """
    Return the recipe for a lockfile; None: there is none.

    Raises:
        ResolverError: There is one, and it cannot be used here.
    """
    from upgrade_state import checks
    from upgrade_state.exceptions import ResolverError

    path, name = environment.path or "", environment.lockfile_name or ""
    recipe = named.bound(path, name) if named else checks.recipe_for(name, path)
    # A file with a lockfile's name may be a list of requirements.
    if recipe and not os.path.isfile(f"{path}/{recipe.manifests[0]}"):
        raise ResolverError(f"there is no {recipe.manifests[0]}", None)
    return recipe


def _unrecorded(environment: EnvironmentState) -> str | None:
    """
    Return how the last check in the background ended, which left no record.

    None if there is no log of one.
    """
    path = environment.log_path
    if not (path and os.path.isfile(path) and os.path.getsize(path)):
        return None
    with open(path, encoding="utf-8", errors="replace") as log:
        *_, last = log
    end = last.partition("Z it ")[2].strip() or "has not ended yet"
    return f"A check {end}, and recorded nothing: {tilde(path)}"
