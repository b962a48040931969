"""
The hooks of conda, by their documented names.
"""

import logging
import sys
from importlib import import_module
from typing import Any

from upgrade_state_conda import notice_of


def quiet(step: Any) -> Any:
    """
    Return a step whose errors do not reach conda: each becomes a line at debug level.
    """

    def attempt(*arguments: Any) -> Any:
        try:
            return step(*arguments)
        except Exception as error:  # noqa: BLE001 - a later conda may differ
            logging.getLogger(__name__).debug("No upgrade notice: %r", error)
            return []

    return attempt


def act(_command: str) -> None:
    """
    Give a notice of the environment of the command, and start a check.
    """
    context = import_module("conda.base.context").context
    if not context.plugins.upgrade_notice:
        logging.getLogger(__name__).info("switched off by plugins.upgrade_notice")
    elif sys.stderr.isatty() and not context.json:
        sys.stderr.write(notice_of(context.target_prefix))


def key() -> Any:
    """
    Add the key with which the plugin is switched off.
    """
    text = "give notices of upgrades, and look for them in the background"
    parameter = import_module("conda.common.configuration").PrimitiveParameter
    setting = import_module("conda.plugins.types").CondaSetting
    return [setting("upgrade_notice", text, parameter(default=True))]


def around(kind: str, *commands: str) -> Any:
    """
    Return a hook that lets conda call `act` before or after these commands.
    """

    def hook() -> Any:
        types = import_module("conda.plugins.types")
        return [getattr(types, kind)("upgrade-state", quiet(act), {*commands})]

    return hookimpl(quiet(hook))


hookimpl = import_module("conda.plugins").hookimpl
conda_settings = hookimpl(quiet(key))
conda_pre_commands = around("CondaPreCommand", "list", "run")
conda_post_commands = around(
    "CondaPostCommand", "create", "env_update", "install", "remove", "update"
)
