"""
A recipe: the facts of how one environment manager writes a new lockfile.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs
from attrs import validators

from ._command import (
    DEFAULT_TIMEOUT,
    TEXT,
    Command,
    Program,
    as_tuple,
    is_path,
    list_of,
)
from ._scratch import read_file

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable
    from typing import Final

    from upgrade_state import EnvironmentState

# Ends the name that a record has for a recipe in a sandbox.
IN_SANDBOX: Final = "+sandbox"

# A record has room for 64 characters, this ending included.
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,55}(?:\+sandbox)?"


@attrs.frozen(kw_only=True)
class Recipe(Program):
    """
    How one environment manager writes a new lockfile in a scratch directory.

    The other attributes are those of `Command`.

    Attributes:
        name: The name in a record, and the argument of ``--recipe``.

        lockfile: The lockfile's path below the environment's directory.

        manifests: Names of the files that state the requirements. The first
            must exist.

        beside: Glob patterns of other files that the tool reads.

        format: The lockfile's format. None: the lockfile's name tells.

        mark: Bytes in each lockfile of this tool, if other tools write
            lockfiles of the same name. Empty: no other tool does.

        upgrade: The command that upgrades, for the user.

        details: The command that lists what an upgrade would do, for the user.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field has a wrong value. Both messages name the field.
    """

    name: str = attrs.field(
        validator=[validators.instance_of(str), validators.matches_re(_NAME)]
    )
    lockfile: str = attrs.field(validator=is_path)
    manifests: tuple[str, ...] = attrs.field(
        converter=as_tuple, validator=[list_of(is_path), validators.min_len(1)]
    )
    beside: tuple[str, ...] = attrs.field(
        default=(), converter=as_tuple, validator=list_of(is_path)
    )
    format: str | None = attrs.field(default=None, validator=validators.optional(TEXT))
    mark: bytes = attrs.field(default=b"", validator=validators.instance_of(bytes))
    upgrade: str = attrs.field(validator=TEXT)
    details: str = attrs.field(default="upgrade-state show --all", validator=TEXT)

    def may_be_for(self, directory: str) -> bool:
        """
        Return whether this tool may have written the lockfile in *directory*.
        """
        if not self.mark:
            return True
        content = read_file(os.path.join(directory, self.lockfile))
        return content is None or self.mark in content

    def in_sandbox(self) -> Recipe:
        """
        Return the recipe whose command can write only to its scratch directory.

        It has a name of its own in the record, so that an automatic check never
        has more rights than the check that the user ran.
        """
        if self.sandbox:
            return self
        return attrs.evolve(self, name=self.name + IN_SANDBOX, sandbox=True)

    def resolver(
        self,
        environment: EnvironmentState,  # noqa: ARG002 - a recipe may need it one day
        *,
        copies: Iterable[str] = (),
        passes: Iterable[str] = (),
        timeout: dt.timedelta = DEFAULT_TIMEOUT,
    ) -> Command:
        """
        Make the resolver for *environment*.

        Args:
            copies: Files and directories to copy in addition to the project.

            passes: Environment variables to pass in addition to those of the
                recipe.

            timeout: See `Command`.

        Raises:
            ValueError: One of *copies* is no relative path, or one of *passes*
                cannot be a variable's name.
        """
        program: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in attrs.fields(Program)
        }
        program["passes"] = (*self.passes, *passes)
        return Command(
            **program,
            manifests=self.manifests,
            beside=self.beside,
            copies=tuple(copies),
            timeout=timeout,
        )
