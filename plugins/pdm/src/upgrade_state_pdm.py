"""
PDM tells its user when the packages of a project have upgrades.

The plugin listens to the commands with which a user works in the project's
environment. `python -m upgrade_state_pdm DIRECTORY` is the check.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdm.core import Core
    from pdm.project import Project

# The user works in the environment with these. Others change the lockfile or
# concern something else.
COMMANDS = frozenset({"activate", "install", "run", "sync"})

LOCKFILE = "pdm.lock"

VARIABLE = "PDM_UPGRADE_STATE_ENABLED"


def plugin(_core: Core) -> None:
    """
    Listen to the commands of PDM.

    No error in here reaches PDM: it becomes one line at debug level (``-vv``).
    """
    try:
        from pdm.signals import pre_invoke

        pre_invoke.connect(_before)
    except Exception as error:  # noqa: BLE001 - a later PDM may differ
        logging.getLogger(__name__).debug("No upgrade notices: %r", error)


def _before(project: Project, **sent: Any) -> None:
    try:
        if sent["command"] in COMMANDS and not project.is_global:
            _work(project)
    except Exception as error:  # noqa: BLE001 - a later PDM may differ
        with contextlib.suppress(Exception):
            _explain(project, f"No upgrade notice: {error!r}", 2)


def _work(project: Project) -> None:
    # A project that requires the plugin does not decide for its user.
    place = getattr(project, "project_plugins_dir", project.root / ".pdm-plugins")
    directory = os.path.realpath(project.root)
    if __file__.startswith(f"{place}{os.sep}"):
        return
    # No key of PDM's configuration: PDM ends with an error if its file has a key of
    # a plugin that was removed.
    table = project.pyproject.settings.get("upgrade-state", {})
    switch = os.environ.get(VARIABLE) or table.get("enabled")
    is_off = str(switch).lower() in ("0", "false", "no", "off")
    if switch is not None:
        text = f"{VARIABLE} or tool.pdm.upgrade-state.enabled = {switch}"
        _explain(project, f"{text}: the plugin is {'off' if is_off else 'on'}", 1)
    if is_off or not os.path.isfile(os.path.join(directory, LOCKFILE)):
        return
    from upgrade_state import StateStore

    environment = StateStore().environment(directory, LOCKFILE)
    if sys.stderr.isatty() and project.core.ui.verbosity >= 0:
        verdict = environment.claim_notice(could_not_check=timedelta(days=7))
        if verdict:
            hint = "Run 'pdm update --dry-run --no-sync' for details."
            _explain(project, f"{verdict.message} {hint}", 0)
        else:
            _explain(project, f"Upgrade notice: {verdict}", 1)
    freshness = environment.start_check([sys.executable, "-m", __name__, directory])
    _explain(project, f"Upgrade check: {freshness}", 1)


def _explain(project: Project, text: str, verbosity: int) -> None:
    from pdm.termui import Verbosity

    plain = {"markup": False, "highlight": False, "soft_wrap": True}
    project.core.ui.echo(text, err=True, verbosity=Verbosity(verbosity), **plain)


def main() -> None:
    """
    Make the check of the directory in the first argument, by this PDM.
    """
    from upgrade_state import StateStore, checks

    environment = StateStore().environment(sys.argv[1], LOCKFILE)
    recipe = checks.RECIPES["pdm"].run_by([sys.executable, "-m", "pdm"])
    checks.check(
        environment,
        recipe.resolver(environment),
        only_if_due=True,
        checker="the PDM plugin",
    )


if __name__ == "__main__":
    main()
