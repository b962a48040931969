"""
What a recipe is: the facts of how one environment manager makes a lockfile.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from upgrade_state import _lockfile
from upgrade_state.exceptions import StateReadError

from . import _manifests
from ._command import DEFAULT_TIMEOUT, Command
from ._scratch import copied_name

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Collection
    from typing import Any, Final

    from upgrade_state._environment import EnvironmentState

# Ends the name of a recipe in a record: run in a sandbox.
IN_SANDBOX: Final = "+sandbox"

_OUTSIDE: Final = "lies outside of the environment's directory, and is not copied"


def _must(be: str, test: Callable[[Any], bool]) -> Callable[..., None]:
    """
    Make a validator: who writes a recipe may have no type checker.
    """

    def validate(_self: object, field: attrs.Attribute[Any], value: Any) -> None:
        if not test(value):
            raise ValueError(f"a recipe's {field.name} must be {be}: {value!r}")

    return validate


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value != ""


def _is_bytes(value: Any) -> bool:
    return isinstance(value, bytes)


def _like(pattern: str) -> Callable[[Any], bool]:
    return lambda value: _is_text(value) and re.fullmatch(pattern, value) is not None


def _is_path(value: Any) -> bool:
    try:
        return _is_text(value) and copied_name(value) == value
    except ValueError:
        return False


def _is_fence(value: Any) -> bool:
    is_pair = isinstance(value, tuple) and len(value) == 2
    return is_pair and _is_path(value[0]) and _is_bytes(value[1])


def _are(test: Callable[[Any], bool], *, least: int = 0) -> Callable[[Any], bool]:
    def are(values: Any) -> bool:
        is_tuple = isinstance(values, tuple) and len(values) >= least
        return is_tuple and all(map(test, values))

    return are


def _are_changes(value: Any) -> bool:
    is_mapping = isinstance(value, Mapping)
    return is_mapping and all(
        _is_variable(name) and isinstance(text, str | None)
        for name, text in value.items()
    )


# Stands in records, which have room for 64, with what marks a sandbox.
_is_name: Final = _like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,55}(?:\+sandbox)?")
_is_variable: Final = _like("[A-Za-z_][A-Za-z0-9_]*")
_is_pass: Final = _like(r"[A-Za-z_][A-Za-z0-9_]*\*?")

_BYTES: Final = _must("bytes", _is_bytes)
_TEXT: Final = _must("one line of text", _is_text)
_PATH: Final = _must("a path below a directory, without detours", _is_path)
_PATHS: Final = _must("a tuple of paths below a directory", _are(_is_path))
_VARIABLES: Final = _must("a tuple of environment variables", _are(_is_variable))


@attrs.frozen(kw_only=True)
class Recipe:
    """
    How one environment manager makes a new lockfile in a scratch directory.

    Attributes:
        name: Stands in the record, and is what `--recipe` asks for.

        lockfile: The lockfile's name below the environment's directory.

        argv: The command.

        manifests: Names of the files that the manager reads its wishes from.
            The first must be there. What they name below the environment's
            directory is copied, too.

        beside: Other files to copy where they are, as glob patterns, of the
            environment's directory and of each package that a manifest names.

        result, changes, passes, caches, fence, searches, offline, sandbox: See
            `Command`.

        format: The lockfile's format, where another one than its name says, or
            where that says none.

        mark: What each lockfile of this tool contains, where other tools write
            some by that name, too. Empty: nobody else does.

        needs: What to do if the command is missing or too old.

        upgrade: What the user runs to upgrade.

        details: What the user runs to see what an upgrade would do.

    Raises:
        ValueError: A fact has a shape that it cannot have.
    """

    name: str = attrs.field(
        validator=_must("1 to 56 letters, digits, '.', '_' and '-'", _is_name)
    )
    lockfile: str = attrs.field(validator=_PATH)
    argv: tuple[str, ...] = attrs.field(
        validator=_must("a tuple of texts, one at least", _are(_is_text, least=1))
    )
    manifests: tuple[str, ...] = attrs.field(
        validator=_must("a tuple of paths, one at least", _are(_is_path, least=1))
    )
    beside: tuple[str, ...] = attrs.field(default=(), validator=_PATHS)
    result: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_PATH)
    )
    changes: Mapping[str, str | None] = attrs.field(
        factory=dict,
        validator=_must("texts or None, by environment variable", _are_changes),
    )
    passes: tuple[str, ...] = attrs.field(
        default=(),
        validator=_must("a tuple of environment variables", _are(_is_pass)),
    )
    caches: tuple[str, ...] = attrs.field(default=(), validator=_VARIABLES)
    fence: tuple[str, bytes] | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            _must("a tuple of a file's name and its content (bytes)", _is_fence)
        ),
    )
    searches: tuple[str, ...] = attrs.field(default=(), validator=_PATHS)
    offline: bytes = attrs.field(default=b"", validator=_BYTES)
    format: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(_TEXT)
    )
    mark: bytes = attrs.field(default=b"", validator=_BYTES)
    needs: str = attrs.field(validator=_TEXT)
    upgrade: str = attrs.field(validator=_TEXT)
    details: str = attrs.field(default="upgrade-state show --all", validator=_TEXT)
    sandbox: bool = False

    def may_be_for(self, directory: str) -> bool:
        """
        Tell whether the lockfile in *directory* may be one of this tool.
        """
        if not self.mark:
            return True
        try:
            content = _lockfile.read(os.path.join(directory, self.lockfile))
        except StateReadError:  # which the check will say
            return True
        return content is None or self.mark in content

    def in_sandbox(self) -> Recipe:
        """
        Return the recipe whose command may write nowhere but in its scratch directory.

        It goes by a name of its own, so that a check that starts by itself never
        has more rights than the one that its user ran.
        """
        if self.sandbox:
            return self
        return attrs.evolve(self, name=self.name + IN_SANDBOX, sandbox=True)

    def resolver(
        self,
        environment: EnvironmentState,
        *,
        copies: Collection[str] = (),
        passes: Collection[str] = (),
        timeout: dt.timedelta = DEFAULT_TIMEOUT,
    ) -> Command:
        """
        Make the resolver for *environment*.

        Args:
            copies: Files to copy besides those that the recipe knows of.

            passes: Environment variables besides those that the recipe names.

            timeout: See `Command`.

        Raises:
            ValueError: One of *copies* is not below the environment's directory,
                or one of *passes* is no name.
        """
        found, outside = _manifests.collect(
            environment.path or "", self.manifests, self.beside
        )
        return Command(
            self.argv,
            copies=(*found, *copies),
            result=self.result,
            timeout=timeout,
            changes=self.changes,
            passes=(*self.passes, *passes),
            caches=self.caches,
            fence=self.fence,
            searches=self.searches,
            offline=self.offline,
            needs=self.needs,
            hint=outside and f"{outside!r} {_OUTSIDE}",
            sandbox=self.sandbox,
        )
