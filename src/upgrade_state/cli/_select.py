"""
From the options of a command to the environments it is about.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upgrade_state._environment import StateStore
from upgrade_state.cli import _targets
from upgrade_state.cli._output import err
from upgrade_state.cli._parser import UsageError
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")
    Answer = TypeVar("Answer")

    from upgrade_state._environment import EnvironmentState


def store_of(options: Namespace) -> StateStore:
    """
    Return the store that is asked for.
    """
    try:
        return StateStore(options.cache_dir)
    except ValueError as error:
        raise UsageError(str(error)) from error


def present(options: Namespace) -> list[EnvironmentState]:
    """
    Return the environments whose lockfiles are there or named.
    """
    return _present(store_of(options), options.env, options.lockfile)


def _present(
    store: StateStore, env: str, lockfile: str | None
) -> list[EnvironmentState]:
    try:
        return _targets.present(store, env, lockfile)
    except ValueError as error:
        raise UsageError(str(error)) from error


def known(options: Namespace) -> list[EnvironmentState]:
    """
    Return these, and what else the store knows of the directory; one at least.

    Also lockfiles of other names, and those that are gone, have been checked.
    For that, all records are read: nothing for an activation.
    """
    if options.env is not None and (options.lockfile is not None or _is_one(options)):
        return present(options)
    store = store_of(options)
    recorded = list(store)
    if options.env is None:
        options.env = _nearest(store, recorded, options.lockfile)
    found = _in(store, recorded, options.env, options.lockfile)
    return found or [store.environment(options.env)]


def _is_one(options: Namespace) -> bool:
    """
    Tell whether ENV is a lockfile.
    """
    try:
        return _targets.split(options.env)[1] is not None
    except ValueError as error:
        raise UsageError(str(error)) from error


def _in(
    store: StateStore,
    recorded: list[EnvironmentState],
    directory: str,
    lockfile: str | None,
) -> list[EnvironmentState]:
    """
    Return the environments of a directory: present, or *recorded*.
    """
    found = _present(store, directory, lockfile)
    if lockfile is not None:
        return found
    bare = store.environment(directory)
    keys = {environment.key for environment in found}
    others = [e for e in recorded if e.key not in keys and _belongs(e, bare)]
    return found + sorted(others, key=lambda e: e.lockfile_name or "")


def _nearest(
    store: StateStore, recorded: list[EnvironmentState], lockfile: str | None
) -> str:
    """
    Return the nearest directory, from the current one upward, that is known.

    The current one where none is. What the hook tells of below a project is
    found so.
    """
    keys = {environment.key for environment in recorded}
    for directory in _targets.upward("."):
        found = _in(store, recorded, directory, lockfile)
        if any(environment.key in keys for environment in found):
            return directory
    return "."


def _belongs(environment: EnvironmentState, bare: EnvironmentState) -> bool:
    # The key is there also where a corrupt record does not tell the path.
    return environment.path == bare.path or environment.key == bare.key


def each(things: Iterable[T], do: Callable[[T], Answer]) -> list[Answer]:
    """
    Do something about each environment: trouble with one is no reason to stop.

    Raises:
        SystemExit: There was some, which was said; when all the others are done.
    """
    answers, is_well = [], True
    for thing in things:
        try:
            answers.append(do(thing))
        except UpgradeStateError as error:
            err(str(error))
            is_well = False
    if not is_well:
        raise SystemExit(2)
    return answers


def the_one(options: Namespace) -> EnvironmentState:
    """
    Return the only environment; several are a question to the user.
    """
    found = present(options)
    if len(found) > 1:
        names = ", ".join(e.lockfile_name or "" for e in found)
        raise UsageError(f"several lockfiles are here: {names}; pick one (--lockfile)")
    if found:
        return found[0]
    directory, _ = _targets.split(options.env)
    return store_of(options).environment(directory)


def no_lockfile(options: Namespace) -> str:
    """
    Say that no known lockfile is in a directory, and where else one is.

    Raises:
        UsageError: Nobody can tell, since it cannot be looked into.
    """
    env = options.env
    try:
        os.listdir(env)
        path = os.path.abspath(env)
    except OSError as error:  # also where the working directory is gone
        raise UsageError(f"could not look into {env!r} ({error.strerror})") from error
    return f"no known lockfile is in {path!r}{_above(path, options)}"


def _above(path: str, options: Namespace) -> str:
    """
    Say in which directory above the next known lockfile is; "": in none.
    """
    while path != (path := os.path.dirname(path)):
        if _targets.present(store_of(options), path, None):
            return f", but one is in {path!r}"
    return ""


def nothing_known(options: Namespace) -> str:
    """
    Say that nothing is known, and why, where the reason is the wrong directory.
    """
    found = present(options)
    if found:
        return f"nothing is known of {', '.join(map(name_of, found))}"
    return f"nothing is known of it: {no_lockfile(options)}"


def name_of(environment: EnvironmentState) -> str:
    """
    Say what it is called: the directory, and the lockfile where there is one.

    The key, where the record that tells is corrupt.
    """
    if environment.path is None:
        return environment.key
    name = environment.lockfile_name
    return environment.path if name is None else f"{environment.path} ({name})"


def has_record(environment: EnvironmentState) -> bool:
    """
    Tell whether something lies where the record should be, if only rubbish.
    """
    return os.path.lexists(environment.record_path)
