"""
One whole check: take the guard, resolve, judge, commit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import attrs

from upgrade_state import _durations, _record, lockfiles
from upgrade_state.exceptions import ResolverError, UpgradeStateError

from ._cancellation import Cancelled, current_cancellation, ended_by
from ._registry import recipe_named

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from upgrade_state._environment import EnvironmentState
    from upgrade_state._guard import CheckGuard
    from upgrade_state._policy import Freshness

    from ._cancellation import Cancellation
    from ._recipe import Recipe


class Resolver(Protocol):
    """
    What makes the new lockfile in a check.
    """

    def __call__(
        self, environment: EnvironmentState, old_lockfile: bytes | None, /
    ) -> bytes:
        """
        Return the lockfile that an upgrade of *environment* would lead to.

        Args:
            old_lockfile: The content that the check is about, whatever lies on
                disk by now; None: there is no lockfile.

        Raises:
            ResolverError: There is none, with one line that says what to do.
        """
        ...


OutcomeState: TypeAlias = Literal[
    "checked",
    "fresh",
    "backing-off",
    "busy",
    "dropped",
    "failed",
    "cancelled",
    "no-recipe",
    "gone",
]


@attrs.frozen
class Outcome:
    """
    How a check has ended.

    Attributes:
        state: ``checked``: stored, and on disk. ``fresh``, ``backing-off``: no
            check is due, by what was decided under the check lock. ``busy``:
            another process is checking. ``dropped``: another check was
            committed meanwhile. ``failed``: no new lockfile; that is
            remembered. ``cancelled``: nothing is recorded. ``no-recipe``: the
            record names none, so nothing was run. ``gone``: the lockfile
            that the last check was about is not there any more (asked where
            a check by the recipe of the record has to be due), or, in
            `check_all`, the directory.

        error: Why it has failed.

        freshness: What was decided on, where that was asked and came to pass.
    """

    state: OutcomeState
    error: UpgradeStateError | None = None
    freshness: Freshness | None = None


def check(  # noqa: PLR0913 - what a check depends on
    environment: EnvironmentState,
    resolver: Resolver | None = None,
    *,
    recipe: str | None = None,
    format: str | None = None,  # noqa: A002 - the field's own word
    only_if_due: bool = False,
    max_age: dt.timedelta | None = None,
    retries: Iterable[float] = (),
    cancellation: Cancellation | None = None,
) -> Outcome:
    """
    Make one check of *environment* and remember what it finds.

    Args:
        resolver: What makes the new lockfile. None: the recipe that the record
            names once the check lock is held, which its user ran on purpose;
            where it names none nothing is run.

        recipe: The name of the recipe that *resolver* is, if the user runs it
            on purpose. None: a command; then no check starts by itself later.

        format: The lockfile's format. None: by its name. Where *resolver* is
            None, the recipe knows.

        only_if_due: Ask first whether a check is due and, where *resolver* is
            None, whether the lockfile that was checked last is still there.

        max_age: For how long a check is good, if that is asked. None: a day.

        retries: After how many seconds a resolver that has failed is tried
            again, and after how many more; all of them are one check. An
            iterator is asked once they are needed, not before.

        cancellation: What ends the check. None: nothing but an exception. A
            resolver that does not look at `current_cancellation` is waited for,
            and what it finds is stored.

    Returns:
        How the check has ended; a failure is remembered.

    Raises:
        UpgradeStateError: Something could not be read, locked or stored. What
            an earlier check found stays.
        ValueError: There is no such format, *recipe* is no name, or *max_age*
            or one of *retries* is negative. Nothing was run.
        Exception: Whatever else *resolver* has raised, once it is remembered as
            the check's failure.
        KeyboardInterrupt: Nothing is recorded, and nothing is left behind.
    """
    _refuse_mistakes(recipe, format, max_age, retries)
    freshness = None
    try:
        if cancellation is not None:
            cancellation.raise_if_cancelled()
        with ended_by(cancellation), environment.try_check() as guard:
            if guard is None:
                return Outcome("busy")
            if only_if_due:
                freshness = guard.freshness(max_age=max_age)
                is_file = resolver is None and environment.lockfile_name is not None
                skipped = _skipped(guard, freshness, is_file=is_file)
                if skipped is not None:
                    return skipped
            if resolver is None:
                recipe = guard.recipe
                if recipe is None:
                    return Outcome("no-recipe", None, freshness)
                known = recipe_named(recipe)
                resolver, format = known.resolver(environment), _format_of(known)  # noqa: A001
            new = _resolve(environment, guard, resolver, format, iter(retries))
            stored = guard.commit(new, format=format, recipe=recipe)
    except Cancelled:
        return Outcome("cancelled", None, freshness)
    except ResolverError as error:
        return Outcome("failed", error, freshness)
    return Outcome("checked" if stored else "dropped", None, freshness)


def _refuse_mistakes(
    recipe: str | None,
    format: str | None,  # noqa: A002
    max_age: dt.timedelta | None,
    retries: Iterable[float],
) -> None:
    """
    Refuse what the caller got wrong before that could pass for a failed check.
    """
    if recipe is not None and not _record.is_short_name(recipe):
        raise ValueError(f"not a recipe's name: {recipe!r}")
    if format is not None:
        lockfiles.read(b"", format=format)
    if max_age is not None:
        _durations.whole_seconds(max_age, "max_age")
    if not isinstance(retries, Iterator):
        for seconds in retries:
            if not seconds >= 0:
                raise ValueError(f"retries must be seconds, zero or more: {seconds!r}")


def _format_of(recipe: Recipe) -> str | None:
    try:
        lockfiles.read(b"", format=recipe.format)
    except ValueError as error:
        raise ResolverError(str(error), None) from error
    return recipe.format


def _skipped(
    guard: CheckGuard, freshness: Freshness, *, is_file: bool
) -> Outcome | None:
    """
    Return the outcome where no check is to be made; None: one is.

    Args:
        is_file: What is checked is a file that can be gone, no manager's own bytes.
    """
    # Made anew from nothing it would pass for one that has no upgrades.
    is_gone = is_file and guard.old_lockfile is None
    if is_gone and guard.look().missing == "lockfile":
        return Outcome("gone")
    if freshness.due:
        return None
    is_fresh = freshness.reason == "fresh"
    return Outcome("fresh" if is_fresh else "backing-off", None, freshness)


def _resolve(
    environment: EnvironmentState,
    guard: CheckGuard,
    resolver: Resolver,
    format: str | None,  # noqa: A002
    pauses: Iterator[float],
) -> bytes:
    old = guard.old_lockfile
    while True:
        try:
            new = resolver(environment, old)
            judge(environment, old, new, format=format)
        except Exception:
            pause = next(pauses, None)
            if pause is None:
                raise
        else:
            return new
        _rest(pause)


def _rest(seconds: float) -> None:
    cancellation = current_cancellation()
    if cancellation is None:
        time.sleep(seconds)
    elif cancellation.wait(seconds):
        raise Cancelled


def judge(
    environment: EnvironmentState,
    old: bytes | None,
    new: bytes,
    *,
    format: str | None = None,  # noqa: A002
) -> None:
    """
    Refuse a *new* lockfile that is unreadable, unless the *old* one was, too.

    A tool that has written nothing, or half of it, has found no upgrades.

    Raises:
        ResolverError: It is refused.
        ValueError: There is no such format.
    """
    name = environment.lockfile_name
    if format is None and name is not None:
        format = lockfiles.format_of(name)  # noqa: A001
    if format is None:
        return
    problem = lockfiles.read(new, format=format).problem
    if problem is None:
        return
    if old is None or lockfiles.read(old, format=format).problem is None:
        is_later = problem.startswith("unsupported")
        todo = "a newer upgrade-state may read it" if is_later else "see what wrote it"
        message = f"The new lockfile is not a {format} lockfile: {problem}; {todo}"
        raise ResolverError(message, environment.path)
