"""
Poetry tells its user when the packages of a project have upgrades.

The plugin listens to the commands with which a user works in the project's
environment. `python -m upgrade_state_poetry DIRECTORY` is the check.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from poetry.plugins.application_plugin import ApplicationPlugin

if TYPE_CHECKING:
    from cleo.events.event import Event
    from cleo.events.event_dispatcher import EventDispatcher
    from cleo.io.outputs.output import Output
    from poetry.console.application import Application

# The user works in the environment with these. Others change the lockfile or
# concern something else.
COMMANDS = frozenset({"env activate", "install", "run", "shell", "sync"})

LOCKFILE = "poetry.lock"

KEY = "upgrade-state.enabled"

log = logging.getLogger(__name__)


class UpgradeStatePlugin(ApplicationPlugin):
    """
    Give a notice before a command of the user, and start a check if one is due.

    No error in here reaches Poetry: it becomes one line at debug level (``-vvv``).
    """

    def activate(self, application: Application) -> None:
        """
        Listen to the commands of Poetry.
        """
        try:
            from cleo.events.console_events import COMMAND

            self._application = application
            if application.event_dispatcher is not None:
                application.event_dispatcher.add_listener(COMMAND, self._before)
        except Exception as error:  # noqa: BLE001 - a later Poetry may differ
            log.debug("No upgrade notices with this Poetry: %r", error)

    def _before(self, event: Event, _name: str, _dispatcher: EventDispatcher) -> None:
        try:
            from cleo.events.console_command_event import ConsoleCommandEvent

            if not isinstance(event, ConsoleCommandEvent):
                return
            if event.command.name in COMMANDS:
                self._work(event.io.error_output)
        except Exception as error:  # noqa: BLE001 - a later Poetry may differ
            log.debug("No upgrade notice: %r", error)

    def _work(self, stderr: Output) -> None:
        # A project that requires the plugin does not decide for its user.
        if os.path.join(".poetry", "plugins") in __file__:
            return
        poetry = self._application.poetry
        from cleo.io.outputs.output import Type, Verbosity

        enabled = poetry.config.get(KEY)
        is_off = str(enabled).lower() in ("0", "false", "no", "off")
        if enabled is not None:
            text = f"{KEY} = {enabled}: the plugin is {'off' if is_off else 'on'}"
            stderr.write_line(text, Verbosity.VERBOSE, Type.RAW)
        if is_off or not poetry.locker.is_locked():
            return
        from upgrade_state import StateStore

        directory = os.path.realpath(poetry.file.path.parent)
        environment = StateStore().environment(directory, LOCKFILE)
        if sys.stderr.isatty() and not stderr.is_quiet():
            verdict = environment.claim_notice(could_not_check=timedelta(days=7))
            if verdict:
                hint = "Run 'poetry update --dry-run' for details."
                stderr.write_line(f"{verdict.message} {hint}", type=Type.RAW)
            else:
                text = f"Upgrade notice: {verdict}"
                stderr.write_line(text, Verbosity.VERBOSE, Type.RAW)
        freshness = environment.start_check([sys.executable, "-m", __name__, directory])
        stderr.write_line(f"Upgrade check: {freshness}", Verbosity.VERBOSE, Type.RAW)


def main() -> None:
    """
    Make the check of the directory in the first argument, by this Poetry.
    """
    from upgrade_state import StateStore, checks

    environment = StateStore().environment(sys.argv[1], LOCKFILE)
    recipe = checks.RECIPES["poetry"].run_by([sys.executable, "-m", "poetry"])
    checks.check(
        environment,
        recipe.resolver(environment),
        only_if_due=True,
        checker="the Poetry plugin",
    )


if __name__ == "__main__":
    main()
