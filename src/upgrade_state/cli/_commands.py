"""
The arguments that name an environment in the commands that are printed.
"""

import functools
import os
from typing import Final

from upgrade_state import EnvironmentState
from upgrade_state.cli._hints import check_command
from upgrade_state.cli._targets import shell_path


class Arguments:
    """
    The arguments that name an environment to a command, each after a blank.

    Args:
        is_alone: Whether no other environment of the directory is known; None: ask
            the store.
    """

    def __init__(
        self, environment: EnvironmentState, *, is_alone: bool | None = None
    ) -> None:
        self.environment: Final = environment
        self._is_alone = is_alone

    def __str__(self) -> str:
        return self.place + self.options

    @property
    def place(self) -> str:
        """
        The directory; "" in it.
        """
        path = self.environment.path
        try:
            is_here = path is None or os.path.samefile(path, ".")
        except OSError:
            is_here = False
        return "" if is_here or path is None else f" {shell_path(path)}"

    @functools.cached_property
    def options(self) -> str:
        """
        The options that tell it from other environments of the directory; "": none is.
        """
        this, is_alone = self.environment, self._is_alone
        if is_alone is None:
            known = (look.environment for look in this.store.looks())
            is_alone = all(e.path != this.path or e.key == this.key for e in known)
        return "" if is_alone else self.names

    @property
    def names(self) -> str:
        """
        The options for a command that looks for lockfiles and not for records.
        """
        this = self.environment
        options = {"--lockfile": this.lockfile_name, "--name": this.name}
        given = {name: text for name, text in options.items() if text is not None}
        return "".join(
            f" {name}{'=' if text[0] == '-' else ' '}{shell_path(text)}"
            for name, text in given.items()
        )

    @functools.cached_property
    def check(self) -> str:
        """
        The whole command that makes a check.
        """
        names = self.options if self.environment.name is None else self.names
        return check_command(self.environment, self.place + names)
