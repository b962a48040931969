"""
The command `notify`, where its arguments are not the plain ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrade_state.cli import _notify
from upgrade_state.cli._doctor import obstacles
from upgrade_state.cli._output import out
from upgrade_state.cli._parser import UsageError
from upgrade_state.cli._select import has_record, known, name_of, store_of

if TYPE_CHECKING:
    from argparse import Namespace

    from upgrade_state._environment import EnvironmentState
    from upgrade_state._policy import Verdict


def notify(options: Namespace) -> int:
    """
    Claim the notice, or explain the verdict and claim nothing.
    """
    asked = {"interval": options.interval, "platform": options.platform}
    if options.explain:
        for environment in known(options):
            _explain(environment, environment.verdict(**asked))
        return 0
    try:
        environments = _notify.environments_in(
            store_of(options), options.env, options.lockfile
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    _notify.claim(environments, **asked)
    if options.check:
        _notify.start_checks(environments, max_age=options.max_age)
    return 0


def _explain(environment: EnvironmentState, verdict: Verdict) -> None:
    name = environment.lockfile_name or name_of(environment)
    out(f"{name}: {verdict}")
    if verdict:
        for obstacle in obstacles(environment.store.place()):
            out(f"{name}: but it cannot be recorded, and so is not said: {obstacle}")
    if verdict.reason == "nothing-known" and has_record(environment):
        out(f"{name}: what lies there is no record: '{environment.record_path}'")
