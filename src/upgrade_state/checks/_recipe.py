"""
A recipe: the facts of how one environment manager writes a new lockfile.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping  # noqa: TC003 -- cattrs resolves annotations
from typing import TYPE_CHECKING, Any

import attrs
from attrs import validators

from upgrade_state.exceptions import ResolverError

from . import _git, _requirements
from ._command import (
    DEFAULT_TIMEOUT,
    EXPRESSION,
    STR,
    TEXT,
    Command,
    Program,
    as_tuple,
    is_command,
    is_path,
    list_of,
    mapping_of,
)
from ._scratch import read_file

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence
    from typing import Final

    from upgrade_state import EnvironmentState

# Ends the name that a record has for a recipe in a sandbox.
IN_SANDBOX: Final = "+sandbox"

# A record has room for 64 characters, this ending included.
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,55}(?:\+sandbox)?"

_PLACEHOLDER: Final = re.compile(r"\{(?:lockfile|\*)\}")


def _is_pattern(self: object, field: attrs.Attribute[Any], value: Any) -> None:
    is_path(self, field, value)
    if value.count("*") > 1:
        raise ValueError(f"{field.name!r} must have at most one *: {value!r}")


@attrs.frozen(kw_only=True)
class Recipe(Program):
    """
    How one environment manager writes a new lockfile in a scratch directory.

    The other attributes are those of `Command`.

    In *argv*, *manifests*, *upgrade* and *details*, ``{lockfile}`` stands for the
    lockfile's name, and ``{*}`` for the text that the ``*`` in *lockfile* matches.

    Attributes:
        name: The name in a record, and the argument of ``--recipe``.

        lockfile: The lockfile's path below the environment's directory. One ``*``
            matches any text.

        manifests: Names of the files that state the requirements. The first
            must exist.

        beside: Glob patterns of other files that the tool reads.

        format: The lockfile's format. None: the lockfile's name tells.

        mark: A regular expression that is found in each lockfile of this tool, if
            other tools write lockfiles of the same name. Empty: no other tool does.

        others: Files by name, and for each a regular expression. If it is found
            there, the lockfile was made in another way in spite of the mark.

        options: The lockfile names the command that made it, in a comment after
            the mark. These are the options of that command that may be repeated,
            without dashes; if they have a value, with ``=`` at the end. *argv* is
            the beginning of the command. Empty: *argv* is the whole command.

        venv: With *options*: the environment variable that tells the tool which
            virtual environment it would find in the project, as the copy has none.
            None: it looks for none.

        upgrade: The command that upgrades, for the user. Of no effect if there are
            *options*.

        details: The command that lists what an upgrade would do, for the user.

        program: The program and its arguments in place of the first word of
            *argv*: see `run_by`. None: the program of that name on the PATH.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field has a wrong value. Both messages name the field.
    """

    name: str = attrs.field(
        validator=[validators.instance_of(str), validators.matches_re(_NAME)]
    )
    lockfile: str = attrs.field(validator=_is_pattern)
    manifests: tuple[str, ...] = attrs.field(
        converter=as_tuple, validator=[list_of(is_path), validators.min_len(1)]
    )
    format: str | None = attrs.field(default=None, validator=validators.optional(TEXT))
    mark: bytes = attrs.field(default=b"", validator=EXPRESSION)
    others: Mapping[str, bytes] = attrs.field(
        factory=dict, validator=mapping_of(is_path, EXPRESSION)
    )
    options: tuple[str, ...] = attrs.field(
        default=(), converter=as_tuple, validator=list_of(TEXT)
    )
    venv: str | None = attrs.field(default=None, validator=validators.optional(TEXT))
    upgrade: str = attrs.field(validator=TEXT)
    details: str = attrs.field(default="upgrade-state show --all", validator=TEXT)
    program: tuple[str, ...] | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(as_tuple),
        validator=validators.optional([list_of(STR), is_command]),
    )

    def fits(self, lockfile: str | None) -> bool:
        """
        Return whether the recipe is for lockfiles of this name.
        """
        first, star, last = self.lockfile.partition("*")
        if lockfile is None or not star:
            return lockfile == self.lockfile
        is_long = len(lockfile) >= len(first) + len(last)
        return is_long and lockfile.startswith(first) and lockfile.endswith(last)

    def may_be_for(self, directory: str, lockfile: str) -> bool:
        """
        Return whether this tool may have written the lockfile in *directory*.
        """
        content = read_file(os.path.join(directory, lockfile))
        if content is None:  # without its first lines there is no command to repeat
            return not self.options
        return re.search(self.mark, content) is not None

    def usable(self, directory: str, lockfile: str) -> Recipe:
        """
        Return the recipe, `bound` to a lockfile that its tool may have written.

        Raises:
            ResolverError: The lockfile was made in another way, names no command
                that can be repeated, or its manifest is missing.
        """
        for name, mark in self.others.items():
            content = read_file(os.path.join(directory, name))
            if content is not None and re.search(mark, content):
                problem = f"{name} says that it was made in another way"
                raise ResolverError(problem, directory)
        bound = self.bound(directory, lockfile)
        if not os.path.isfile(os.path.join(directory, bound.manifests[0])):
            raise ResolverError(f"there is no {bound.manifests[0]}", directory)
        return bound

    def bound(self, directory: str, lockfile: str) -> Recipe:
        """
        Return the recipe for one lockfile, with its name and its command filled in.

        Raises:
            ResolverError: The lockfile names no command that can be repeated, or
                its name has control characters.
        """
        first, _, last = self.lockfile.partition("*")
        end = len(lockfile) - len(last)
        names = {"{lockfile}": lockfile, "{*}": lockfile[len(first) : end]}

        def filled(text: str, quoted: Callable[[str], str] = str) -> str:
            return _PLACEHOLDER.sub(lambda found: quoted(names[found[0]]), text)

        fields: dict[str, Any] = {
            "lockfile": lockfile,
            "argv": map(filled, self.argv),
            "manifests": map(filled, self.manifests),
            "upgrade": filled(self.upgrade, shlex.quote),
            "details": filled(self.details, shlex.quote),
        }
        if self.options:
            fields |= self._repeated(directory, lockfile)
        try:
            bound = attrs.evolve(self, **fields)
        except ValueError as error:
            message = "its name or its command has control characters"
            raise ResolverError(message, directory) from error
        return self if bound == self else bound

    def _repeated(self, directory: str, lockfile: str) -> dict[str, Any]:
        path = os.path.join(directory, lockfile)
        content = read_file(path) or b""
        mark = re.search(self.mark, content)
        header = content[mark.start() if mark else len(content) :]
        top = _git.top_of(directory) or directory
        argv, place = _requirements.repeated(header, self.argv, self.options, path, top)
        changes = dict(self.changes)
        if self.venv is not None and self.venv not in os.environ:
            for above in reversed(_requirements.upward(place, top)):
                if os.path.isfile(f"{above}/.venv/pyvenv.cfg"):
                    changes[self.venv] = f"{above}/.venv"
        command = shlex.join(argv)
        if "://" in command:  # with a password, perhaps
            command = f"the command in {shlex.quote(lockfile)}, with --upgrade"
        start = os.path.relpath(place, directory)
        if start != ".":
            command = f"cd {shlex.quote(start)} && {command}"
        fields = {"argv": argv, "start": start, "changes": changes, "upgrade": command}
        return {**fields, "options": ()}

    def run_by(self, argv: Sequence[str]) -> Recipe:
        """
        Return the recipe with another program than the one on the PATH.

        A manager passes its own program, so the check runs the same version,
        wherever that is installed. The recipe's name stays the same: a check that
        starts automatically by consent runs the program on the PATH.

        Args:
            argv: The program and the arguments that start the manager, such as
                ``[sys.executable, "-m", "poetry"]``. The recipe's own follow.

        Raises:
            TypeError: *argv* is not a list or a tuple of text.
            ValueError: *argv* is empty or contains a NUL character.
        """
        if not isinstance(argv, list | tuple):
            raise TypeError(f"argv must be a list or a tuple: {argv!r}")
        return attrs.evolve(self, program=argv)

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
        environment: EnvironmentState,
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
            ResolverError: See `bound`.
            ValueError: One of *copies* is no relative path, or one of *passes*
                cannot be a variable's name.
        """
        bound = self.bound(environment.path or "", environment.lockfile_name or "")
        program: dict[str, Any] = {
            field.name: getattr(bound, field.name) for field in attrs.fields(Program)
        }
        if self.program is not None:
            # The advice to install the tool is for the one on the PATH.
            program |= {"argv": (*self.program, *bound.argv[1:]), "needs": None}
            is_same = bound.version[:1] == bound.argv[:1]
            program["version"] = (*self.program, *bound.version[1:]) if is_same else ()
        program["passes"] = (*self.passes, *passes)
        return Command(**program, copies=tuple(copies), timeout=timeout)
