"""
The command `notify`, where its arguments are not the plain ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrade_state import _policy
from upgrade_state._messages import could_not_check, duration, moment
from upgrade_state.cli import _notify
from upgrade_state.cli._doctor import obstacles
from upgrade_state.cli._output import out
from upgrade_state.cli._parser import UsageError
from upgrade_state.cli._select import has_record, known, name_of, store_of
from upgrade_state.cli._view import time_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from upgrade_state._environment import EnvironmentState
    from upgrade_state._record import Record


def notify(options: Namespace) -> int:
    """
    Claim the notice, or explain the verdict and claim nothing.
    """
    if options.explain:
        for environment in _spoken_of(options) if options.or_above else known(options):
            _explain(environment, options)
        return 0
    environments = _spoken_of(options)
    _notify.claim(
        environments,
        interval=options.interval,
        platform=options.platform,
        could_not_check=_notify.seconds_of(options.could_not_check),
    )
    if options.check:
        _notify.start_checks(environments, max_age=options.max_age)
    return 0


def _spoken_of(options: Namespace) -> list[EnvironmentState]:
    store, env, lockfile = store_of(options), options.env, options.lockfile
    try:
        return _notify.environments_in(store, env, lockfile, or_above=options.or_above)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _explain(environment: EnvironmentState, options: Namespace) -> None:
    name = name_of(environment)
    if not options.or_above:  # it is known where it is
        name = environment.lockfile_name or name
    verdict = environment.look().verdict(
        interval=options.interval,
        platform=options.platform,
        could_not_check=options.could_not_check,
    )
    out(f"{name}: {verdict}")
    if verdict:
        for obstacle in obstacles(environment.store._place()):  # noqa: SLF001
            out(f"{name}: but it cannot be recorded, and so is not said: {obstacle}")
    if verdict.reason not in ("cannot-check", "unavailable"):
        limit = _notify.seconds_of(options.could_not_check)
        for line in _beside(environment, limit):
            out(f"{name}: {line}")


def _beside(environment: EnvironmentState, limit: int) -> Iterator[str]:
    """
    Say what else the record tells: that it is none, or that checks fail.
    """
    record = environment.look().record
    if record is None:
        if has_record(environment):
            yield f"what lies there is no record: '{environment.record_path}'"
    elif record["failure"] is not None:
        yield _failing(record, limit)


def _failing(record: Record, limit: int) -> str:
    failure, told = record["failure"], record.get("failure_notified")
    seconds = _policy.failed_for(failure)
    words = could_not_check(seconds, failure["message"])
    if seconds < limit:
        return f"{words}; told after {duration(limit)} of it"
    if told is None:
        return words
    when = moment(time_of(told))
    return f"{words}; told {when}, and a week later if it goes on"
