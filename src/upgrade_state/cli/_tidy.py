"""
The commands `snooze`, `forget`, `prune` and `path`.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from upgrade_state._messages import moment
from upgrade_state.cli._output import err, out, raw
from upgrade_state.cli._parser import UsageError
from upgrade_state.cli._select import (
    each,
    has_record,
    known,
    name_of,
    nothing_known,
    store_of,
)

if TYPE_CHECKING:
    from argparse import Namespace

    from upgrade_state._environment import EnvironmentState


def snooze(options: Namespace) -> int:
    """
    Keep silent for some time, or no longer.
    """
    until = None if options.off else _later(options.length)
    words = "speaks again" if until is None else f"is silent until {moment(until)}"

    def snooze_one(environment: EnvironmentState) -> bool:
        done = environment.snooze(until)
        if done:
            out(f"{name_of(environment)} {words}")
        return done

    if any(each(known(options), snooze_one)):
        return 0
    err(nothing_known(options))
    return 1


def _later(length: dt.timedelta) -> dt.datetime:
    try:
        return dt.datetime.now(dt.UTC) + length
    except OverflowError:
        raise UsageError("that is longer than the calendar goes") from None


def forget(options: Namespace) -> int:
    """
    Forget environments with all that belongs to them.
    """
    environments = [e for e in known(options) if has_record(e)]
    if not environments:
        err(nothing_known(options))
        return 1
    return 0 if all(each(environments, _forget)) else 1


def _forget(environment: EnvironmentState) -> bool:
    done = environment.forget()
    if done:
        out(f"{name_of(environment)} is forgotten")
    else:
        err(f"{name_of(environment)} is being checked; nothing is forgotten")
    return done


def prune(options: Namespace) -> int:
    """
    Forget what is gone, and say what that was.
    """
    words = "would be forgotten" if options.dry_run else "is forgotten"
    store = store_of(options)
    for environment in store.prune(
        older_than=options.older_than, dry_run=options.dry_run
    ):
        out(f"{name_of(environment)} {words}")
    return 0


def path(options: Namespace) -> int:
    """
    Print where records are, whether they are there or not.
    """
    for environment in known(options):
        # As it is: the line is for other programs.
        raw(environment.record_path)
    return 0
