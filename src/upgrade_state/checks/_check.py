"""
One whole check: take the guard, resolve, judge, commit.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import attrs

from upgrade_state import _durations, _record, lockfiles
from upgrade_state.exceptions import ResolverError, UpgradeStateError

from ._cancellation import (
    Cancellation,
    Cancelled,
    cancelling,
    current_cancellation,
)
from ._command import Command
from ._registry import recipe_named
from ._sharing import FailsElsewhereError, Question, SharedResults, Sharing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from upgrade_state import Consent, EnvironmentState, Freshness, Look


_DAY: Final = dt.timedelta(days=1)


class Resolver(Protocol):
    """
    A callable that produces the new lockfile in a check.

    It runs in the caller's process and thread: it prints to the caller's stdout, and
    the check ends after it. A child that it forks cannot store a result. `Command` is
    a resolver without these limits.
    """

    def __call__(
        self, environment: EnvironmentState, old_lockfile: bytes | None, /
    ) -> bytes:
        """
        Return the lockfile that an upgrade of *environment* would lead to.

        Args:
            old_lockfile: The content that the check is about, even if the file on
                disk has changed since. None: there is no lockfile, and the check was
                called with *without_lockfile*.

        Raises:
            ResolverError: There is none, with one line that says what to do.
        """
        ...


OutcomeState: TypeAlias = Literal[
    "checked",
    "fresh",
    "just-checked",
    "backing-off",
    "busy",
    "dropped",
    "failed",
    "cancelled",
    "no-consent",
    "no-lockfile",
    "gone",
]


@attrs.frozen
class Outcome:
    """
    How a check has ended.

    Attributes:
        state: ``checked``: the result is stored. ``fresh``,
            ``just-checked``, ``backing-off``: no check is due, as decided under the
            check lock. ``busy``: another process is checking. ``dropped``: another
            check was committed meanwhile. ``failed``: there is no new lockfile.
            ``cancelled``: nothing is recorded. ``no-consent``: the user has run no
            recipe in this directory, so nothing was run. ``no-lockfile``: there is
            no lockfile, so nothing was run and nothing is recorded. ``gone``: the
            directory or the lockfile of the last check was removed (only asked if a
            check by consent has to be due, and in `check_all`).

        error: Why the check failed. None: it did not.

        freshness: Why the check was due, or was not. None: that was not asked, or
            the check ended before.

        shared: Why shared results were not used, in one line. None: they were, or
            the check ended before.

        has_trouble: Whether that is a trouble with them, and not how the resolver or
            the rights of this machine are.

        is_shared: Whether the result is that of another machine's check.

        look: The record after the check, without another read. None: the check
            ended before it was read. Not compared.
    """

    state: OutcomeState
    error: UpgradeStateError | None = None
    freshness: Freshness | None = None
    shared: str | None = attrs.field(default=None, kw_only=True)
    has_trouble: bool = attrs.field(default=False, kw_only=True)
    is_shared: bool = attrs.field(default=False, kw_only=True)
    look: Look | None = attrs.field(default=None, eq=False, repr=False)


def check(  # noqa: PLR0912, PLR0913, PLR0915 - the public door
    environment: EnvironmentState,
    resolver: Resolver | None = None,
    *,
    lockfile: bytes | None = None,
    without_lockfile: bool = False,
    consent: Consent | None = None,
    checker: str | None = None,
    format: str | None = None,  # noqa: A002 - the field's own word
    only_if_due: bool = False,
    max_age: dt.timedelta | None = None,
    retries: Iterable[float] = (),
    cancellation: Cancellation | None = None,
    shared: SharedResults | None = None,
    observe: Callable[[bytes | None, bytes], None] | None = None,
) -> Outcome:
    """
    Make one check of *environment* and record its result.

    Args:
        environment: The handle of the environment, from `StateStore.environment`.

        resolver: Produces the new lockfile. None: repeat the recipe of the consent
            that holds once the check lock is held, with its options. If there is no
            consent, nothing is run.

        lockfile: The content that the check is about. None: read the file once the
            check lock is held.

        without_lockfile: Call the resolver also if there is no lockfile; it makes
            the first one. False: the outcome is ``no-lockfile``, and the check stays
            due.

        consent: The recipe that *resolver* is, and its options, if the user runs it
            on purpose; recorded if the check succeeds. None: the record's consent
            stays as it is.

        checker: The name of the recipe or manager that *resolver* is, for display.
            None: the recipe of the consent, or unknown.

        format: The format of the lockfile. None: the one that its name says, or
            that of the recipe if *resolver* is None.

        only_if_due: Make no check unless it is due and, if *resolver* is None,
            the lockfile of the last check still exists.

        max_age: How long a check is good for, with *only_if_due* and for *shared*,
            whose results may be half as old. None: a day; but a check that need not
            be due, or of an environment that was expired, accepts no earlier result
            of *shared*.

        retries: Seconds to wait before a resolver that failed is tried again; each
            number is one more attempt. Zero: at once. All attempts are one check.
            An iterator is advanced only when an attempt has failed.

        cancellation: Ends the check when it is cancelled. None: only an exception
            ends it. A resolver that does not look at `current_cancellation` is
            waited for, and its result is stored.

        shared: Results of other machines. If one of them has made or makes the same
            check, its result is taken; otherwise this one answers for them. Only for
            a `Command` with a *version*, such as those of recipes. The check never
            fails because of them, but it fails if it has just failed elsewhere, and
            *max_age* is not zero. None: the check is made here.

        observe: Called with the old and the new lockfile before the result is
            stored, which may fail. None: no call.

    Returns:
        How the check has ended. A failure is recorded, unless the record has
        consent to another recipe than this *checker*: that recipe does not back off
        because of another resolver.

    Raises:
        UpgradeStateError: The store could not be read, locked or written. The
            result of the last check is kept.
        TypeError: *lockfile* is not bytes, *checker* is not text, or *shared* has not
            the methods of `SharedResults`.
        ValueError: There is no such format, *checker* is no name, or *max_age* or
            one of *retries* is negative. Nothing was run.
        Exception: Any other exception of *resolver*, which is a failure, too.
        KeyboardInterrupt: Nothing is recorded, and nothing is left behind.
    """
    # A mistake of the caller must not pass for a failed check.
    if checker is not None and not _record.is_short_name(checker):
        checker = _record.plain(checker, "a checker's name", _record.is_short_name)
    if format is not None:
        lockfiles.read(b"", format=format)  # raises the ValueError
    if max_age is not None:
        _durations.whole_seconds(max_age, "max_age")
    if not isinstance(retries, Iterator) and not all(s >= 0 for s in retries):
        raise ValueError(f"retries must be seconds, zero or more: {retries!r}")
    if not isinstance(shared, SharedResults | None):
        raise TypeError(f"shared must be SharedResults, not {type(shared).__name__}")
    if checker is None and consent is not None:
        checker = consent.recipe
    guard = freshness = error = unrecorded = None
    sharing = answered_at = None
    state: OutcomeState = "failed"
    try:
        if cancellation is not None:
            cancellation.raise_if_cancelled()
        with cancelling(cancellation), environment.try_check(lockfile) as guard:
            if guard is None:
                return Outcome("busy")
            look = guard.look()
            if guard.old_lockfile is None:
                if only_if_due and resolver is None and look.missing:
                    return Outcome("gone", look=look)
                if not without_lockfile:
                    return Outcome("no-lockfile", look=look)
            if only_if_due:
                freshness = guard.freshness(max_age=max_age)
                if freshness.reason in ("fresh", "just-checked", "backing-off"):
                    return Outcome(freshness.reason, None, freshness, look)
            if resolver is None:
                if guard.consent is None:
                    return Outcome("no-consent", None, freshness, look)
                consent, checker = None, guard.consent.recipe
                resolver, format = _repeated(guard.consent, look)  # noqa: A001
            old, other = guard.old_lockfile, look.record and look.record["consent"]
            if shared is not None:
                if max_age is None:
                    max_age = _DAY if only_if_due else _DAY * 0
                sharing = _sharing(shared, look, max_age)
            try:
                with sharing or contextlib.nullcontext():
                    new, answered_at = _resolve(
                        environment, old, resolver, format, retries, sharing
                    )
            except Exception as failure:
                if other is None or other["recipe"] == checker:
                    raise
                unrecorded = failure
            else:
                if observe is not None:
                    observe(old, new)
                is_stored = guard.commit(
                    new,
                    format=format,
                    checker=checker,
                    consent=consent,
                    now=answered_at,
                )
                state = "checked" if is_stored else "dropped"
        if unrecorded is not None:
            raise unrecorded
    except Cancelled:
        state = "cancelled"
    except ResolverError as failure:
        error = failure
    return Outcome(
        state,
        error,
        freshness,
        None if guard is None else guard.look(),
        shared=None if sharing is None else sharing.problem,
        has_trouble=sharing is not None and sharing.has_trouble,
        is_shared=answered_at is not None,
    )


def _sharing(shared: SharedResults, look: Look, max_age: dt.timedelta) -> Sharing:
    """
    Return the use of shared results in a check of an environment.
    """
    # A user who expires an environment asks for a check.
    record = look.record
    is_expired = record and record["result"] and not record["last_checked"]
    # An older answer would soon be due again: see benchmarks/machines.py.
    return Sharing(shared, _DAY * 0 if is_expired else max_age / 2)


def _repeated(consent: Consent, look: Look) -> tuple[Resolver, str | None]:
    """
    Return the resolver that a consent is for, and the format of its lockfile.

    Raises:
        ResolverError: There is no such recipe any more, an option is not usable, or
            the lockfile was made in another way since.
    """
    recipe, environment = recipe_named(consent.recipe), look.environment
    # The user may have named the recipe for the lockfile of the last check.
    if look.lockfile_state == "changed":
        place = environment.path or "", environment.lockfile_name or ""
        if not recipe.may_be_for(*place):
            problem = f"it was not made by the tool of the recipe {recipe.name}"
            raise ResolverError(problem, environment.path)
        recipe.usable(*place)
    try:
        lockfiles.read(b"", format=recipe.format)
        resolver = recipe.resolver(environment, copies=consent.copy, passes=consent.env)
    except ValueError as unusable:
        raise ResolverError(str(unusable), None) from unusable
    return resolver, recipe.format


def _resolve(
    environment: EnvironmentState,
    old: bytes | None,
    resolver: Resolver,
    format: str | None,  # noqa: A002
    retries: Iterable[float],
    sharing: Sharing | None,
) -> tuple[bytes, dt.datetime | None]:
    """
    Return a new lockfile that `judge` accepts, after as many attempts as permitted.

    If it is that of another machine, the time of its check follows, else None.
    """
    pauses = iter(retries)
    cancellation = current_cancellation() or Cancellation()
    while True:
        try:
            return _attempt(environment, old, resolver, format, sharing)
        except FailsElsewhereError:
            raise
        except Exception:
            pause = next(pauses, None)
            if pause is None:
                raise
        cancellation.wait(pause)
        cancellation.raise_if_cancelled()


def _attempt(
    environment: EnvironmentState,
    old: bytes | None,
    resolver: Resolver,
    format: str | None,  # noqa: A002
    sharing: Sharing | None,
) -> tuple[bytes, dt.datetime | None]:
    """
    Return what `_resolve` returns, after one attempt.
    """
    command = resolver if isinstance(resolver, Command) and resolver.version else None
    if sharing is not None and command is None:
        why = "this resolver has no command that prints its version"
        sharing.refuse(why, is_trouble=False)
    if sharing is None or command is None or sharing.is_off:
        new = resolver(environment, old)
        judge(environment, old, new, format=format)
        return new, None
    name = environment.lockfile_name or ""
    read_as = lockfiles.format_of(name) if format is None else format
    with command.prepared(environment, old) as prepared:
        reply = None
        try:
            digest = prepared.question(read_as)
        except (ResolverError, OSError) as error:
            sharing.refuse(getattr(error, "message", error))
        else:
            reply = sharing.ask(Question(digest, name, read_as, old))
        if reply is not None:
            new, at = reply.new_lockfile or b"", reply.answered_at
            try:
                judge(environment, old, new, format=format)
            except ResolverError as error:
                sharing.refuse(f"the shared result is unusable: {error.message}")
            else:
                now = dt.datetime.fromtimestamp(time.time(), dt.UTC)
                return new, min(at or now, now)
        new = prepared.run()
    judge(environment, old, new, format=format)
    sharing.answer(new)
    return new, None


def judge(
    environment: EnvironmentState,
    old: bytes | None,
    new: bytes,
    *,
    format: str | None = None,  # noqa: A002
) -> None:
    """
    Refuse a *new* lockfile that is unreadable, unless the *old* one is, too.

    A tool that wrote nothing, or half a file, has found no upgrades.

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
