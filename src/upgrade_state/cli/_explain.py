"""
The command `notify`, where its arguments are not the plain ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from upgrade_state.cli import _notify
from upgrade_state.cli._output import out
from upgrade_state.cli._parser import UsageError
from upgrade_state.cli._select import store_of

if TYPE_CHECKING:
    from argparse import Namespace


def notify(options: Namespace) -> int:
    """
    Claim the notice, or explain the verdict and claim nothing.
    """
    try:
        environments = _notify.environments_in(
            store_of(options), options.env, options.lockfile
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    asked = {"interval": options.interval, "platform": options.platform}
    if not options.explain:
        _notify.claim(environments, **asked)
        return 0
    for environment in environments:
        name = environment.lockfile_name or environment.path
        out(f"{name}: {environment.verdict(**asked)}")
    return 0
