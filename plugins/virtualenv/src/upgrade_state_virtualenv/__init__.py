"""
Environments of virtualenv tell on activation when their packages have upgrades.

virtualenv runs only when an environment is made. So this activator appends one line
to the activate scripts, and the line runs ``__main__.py``, without virtualenv.
"""

import logging
import shlex
import sys
from typing import Any

from virtualenv.activation.activator import Activator

PYTHON, MAIN = map(shlex.quote, (sys.executable, __file__.replace("init__", "main__")))


class NoticeActivator(Activator):
    """
    Append a line to the activate scripts for sh, bash and zsh, and for fish.
    """

    @classmethod
    def add_parser_arguments(cls, parser: Any, *_: Any) -> None:
        """
        Add the option, and so the configuration key, that switches the plugin off.
        """
        text = "do not tell on activation when the packages have upgrades"
        parser.add_argument("--no-upgrade-notice", action="store_true", help=text)

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._is_off = getattr(options, "no_upgrade_notice", True)

    def generate(self, creator: Any) -> list[Any]:
        """
        Append the lines as soon as virtualenv has written the scripts.
        """
        logging.getLogger(__name__).info("no_upgrade_notice = %s", self._is_off)
        if not self._is_off:
            attempt(defer, creator)
        return []


def attempt(step: Any, creator: Any) -> Any:
    """
    Take one step. No error reaches virtualenv: it becomes a line at debug level.
    """
    try:
        step(creator)
    except Exception as error:  # noqa: BLE001 - a later virtualenv may differ
        logging.getLogger(__name__).debug("No upgrade notices: %r", error)


def defer(creator: Any) -> None:
    """
    Append when virtualenv writes ``pyvenv.cfg``.

    It does so at the end; its own activators run after those of other distributions.
    """
    write = creator.pyenv_cfg.write
    creator.pyenv_cfg.write = lambda: (write(), attempt(append, creator))


def append(creator: Any) -> None:
    """
    Append to each activate script its line, with the paths of the environment.
    """
    # -E: an entry of PYTHONPATH may be the directory that the user has entered.
    run = f"{PYTHON} -E {MAIN} {shlex.join(map(str, (creator.dest, creator.purelib)))}"
    run += " >&2 2>/dev/null"  # the notice goes to stderr, an error nowhere
    # The plugin may be removed before the environment. A shell may be under `set -e`.
    lines = {
        "activate": f"if [ -t 2 -a -x {PYTHON} -a -f {MAIN} ]; then {run} || :; fi\n",
        "activate.fish": f"test -t 2 -a -x {PYTHON} -a -f {MAIN}; and {run}; or true\n",
    }
    for script in creator.bin_dir.iterdir():
        if line := lines.get(script.name):
            script.write_bytes(script.read_bytes() + line.encode())
