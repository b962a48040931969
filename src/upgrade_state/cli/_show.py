"""
The commands `show` and `list`: what is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrade_state._redact import clean
from upgrade_state.cli._output import err, out, raw
from upgrade_state.cli._select import each, has_record, known, nothing_known, store_of
from upgrade_state.cli._view import View, ago, print_view
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from argparse import Namespace

    from upgrade_state._environment import EnvironmentState


def show(options: Namespace) -> int:
    """
    Show what is known of the environments, and why the user was (not) told.
    """
    environments = known(options)
    something = any(map(has_record, environments))
    each(enumerate(environments), lambda numbered: _show(*numbered, options))
    if not something:
        err(nothing_known(options))
    return 0 if something else 1


def _show(number: int, environment: EnvironmentState, options: Namespace) -> None:
    view = View(environment, options)
    if options.json:
        raw(view.as_json())
        return
    if number:
        out()
    print_view(view, every=options.all)


def list(options: Namespace) -> int:  # noqa: A001 - the command's name
    """
    List what has a record, one line each, as it comes.
    """
    for environment in store_of(options):
        line = (
            _json(environment, options) if options.json else _line(environment, options)
        )
        if line is not None:
            raw(line)
    return 0


def _json(environment: EnvironmentState, options: Namespace) -> str | None:
    if environment.path is not None:
        try:
            return View(environment, options).as_json()
        except UpgradeStateError as error:  # it went away, or bad, just now
            err(str(error))
            return None
    err(f"corrupt or not readable: '{environment.record_path}'")
    return None


def _line(environment: EnvironmentState, options: Namespace) -> str | None:
    if environment.path is None:
        return clean(f"corrupt or not readable: {environment.record_path}")
    try:
        view = View(environment, options)
    except UpgradeStateError as error:
        return f"not readable: {error}"
    record = view.record
    if record is None:  # forgotten just now
        return None
    parts = [view.summary]
    if view.since:
        parts.append(view.since)
    if record["last_checked"] is not None:
        parts.append(f"checked {ago(record['last_checked'])}")
    if record["failure"] is not None:
        parts.append(f"last check failed {ago(record['failure']['at'])}")
    return clean(f"{view.name}: {', '.join(parts)}")
