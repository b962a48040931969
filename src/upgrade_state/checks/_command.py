"""
Run a command as resolver: it writes a new lockfile in a scratch directory.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import functools
import os
import re
import shutil
import signal
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs
from attrs import validators

from upgrade_state.exceptions import ResolverError

from ._containment import LIMITS, Limits, size, supervised
from ._diagnosis import advice, last_lines, last_words, one_line
from ._environ import selected
from ._project import project_of
from ._question import digest_of
from ._sandbox import is_hidden, refusal, sandboxed
from ._scratch import Scratch, copied_name, is_inside, read_file, scratch_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

    from upgrade_state import EnvironmentState

    from ._containment import Ended, Supervisor

ENVIRONMENT_VARIABLE: Final = "UPGRADE_STATE_ENV"

# A plugin of the manager that a command runs neither speaks nor starts a check.
_OWN: Final = {"UPGRADE_STATE_DISABLE": "1"}

DEFAULT_TIMEOUT: Final = dt.timedelta(minutes=10)

# Poetry and PDM take seconds for their first start on a busy machine.
_VERSION_TIMEOUT: Final = dt.timedelta(seconds=30)

# The directories in which git looks for no repository, and mise for no settings. A
# shim of mise can start any tool.
_CEILINGS: Final = ("GIT_CEILING_DIRECTORIES", "MISE_CEILING_PATHS")

# bwrap exits with this plus the number of the signal that killed its command.
_BY_SIGNAL: Final = 128


def as_tuple(values: Iterable[str]) -> tuple[str, ...]:
    """
    Return a list as a tuple; leave a text to the validator, which names the field.
    """
    is_list = isinstance(values, Iterable) and not isinstance(values, str)
    return tuple(values) if is_list else cast("tuple[str, ...]", values)


def is_path(_self: object, field: attrs.Attribute[Any], value: Any) -> None:
    """
    Validate a path below a directory: relative, and without detours.
    """
    with contextlib.suppress(ValueError):
        if isinstance(value, str) and copied_name(value) == value:
            return
    raise ValueError(f"{field.name!r} must be below a directory: {value!r}")


def _is_relative(_self: object, field: attrs.Attribute[Any], path: str) -> None:
    if not path or os.path.isabs(path) or "\0" in path:
        raise ValueError(f"not a path below a directory: {path!r} ({field.name})")


def _is_settings(_self: object, field: attrs.Attribute[Any], path: Any) -> None:
    if not isinstance(path, str) or path[:1] not in tuple("~$/") or "\0" in path:
        raise ValueError(f"must begin with ~, $ or /: {path!r} ({field.name})")


def _is_variable(_self: object, field: attrs.Attribute[Any], name: str) -> None:
    stem = name.removesuffix("*") if field.name == "passes" else name
    if not stem or set(stem) & set("=*\0"):
        place = f"{name!r} ({field.name})"
        raise ValueError(f"not the name of an environment variable: {place}")


def is_command(_self: object, field: Any, argv: tuple[str, ...]) -> None:
    """
    Validate a command: a program, and arguments without NUL characters.
    """
    if not argv or not argv[0] or any("\0" in part for part in argv):
        words = " ".join(map(repr, argv))
        raise ValueError(f"not a command: {words} ({field.name})")


def _is_command_or_none(self: object, field: Any, argv: tuple[str, ...]) -> None:
    if argv:
        is_command(self, field, argv)


def _is_timeout(_self: object, _field: object, timeout: dt.timedelta) -> None:
    if not isinstance(timeout, dt.timedelta) or timeout <= dt.timedelta():
        raise ValueError(f"timeout must be a timedelta above zero: {timeout!r}")


def _is_expression(_self: object, field: attrs.Attribute[Any], value: Any) -> None:
    try:
        re.compile(value)
    except re.error as error:
        message = f"{field.name!r} must be a regular expression: {value!r} ({error})"
        raise ValueError(message) from error


def _matching(pattern: str) -> Any:
    return validators.and_(validators.instance_of(str), validators.matches_re(pattern))


def list_of(validator: Any) -> Any:
    """
    Return the validator of a tuple whose members pass *validator*.
    """
    return validators.deep_iterable(validator, validators.instance_of(tuple))


def mapping_of(key: Any, value: Any) -> Any:
    """
    Return the validator of a dict whose keys and values pass these validators.
    """
    return validators.deep_mapping(key, value, validators.instance_of(dict))


STR: Final = validators.instance_of(str)
_BYTES: Final = validators.instance_of(bytes)
_RELATIVE: Final = validators.and_(STR, _is_relative)
TEXT: Final = _matching(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+")
EXPRESSION: Final = validators.and_(_BYTES, _is_expression)
_VARIABLE: Final = validators.and_(STR, _is_variable)
_CHANGES: Final = mapping_of(_VARIABLE, validators.optional(_matching(r"[^\0]*")))


@attrs.frozen
class Program:
    """
    A program that writes a new lockfile, and the facts of running it.

    Attributes: see `Command`.
    """

    argv: tuple[str, ...] = attrs.field(
        converter=as_tuple, validator=[list_of(STR), is_command]
    )
    manifests: tuple[str, ...] = attrs.field(
        default=(), kw_only=True, converter=as_tuple, validator=list_of(is_path)
    )
    beside: tuple[str, ...] = attrs.field(
        default=(), kw_only=True, converter=as_tuple, validator=list_of(is_path)
    )
    changes: Mapping[str, str | None] = attrs.field(
        factory=dict, kw_only=True, validator=_CHANGES
    )
    passes: tuple[str, ...] = attrs.field(
        default=(), kw_only=True, converter=as_tuple, validator=list_of(_VARIABLE)
    )
    caches: tuple[str, ...] = attrs.field(
        default=(), kw_only=True, converter=as_tuple, validator=list_of(_VARIABLE)
    )
    fence: Mapping[str, bytes] = attrs.field(
        factory=dict, kw_only=True, validator=mapping_of(is_path, _BYTES)
    )
    searches: tuple[str, ...] = attrs.field(
        default=(), kw_only=True, converter=as_tuple, validator=list_of(is_path)
    )
    failures: Mapping[bytes, str] = attrs.field(
        factory=dict, kw_only=True, validator=mapping_of(_BYTES, TEXT)
    )
    requires: bytes = attrs.field(default=b"", kw_only=True, validator=EXPRESSION)
    start: str = attrs.field(default=".", kw_only=True, validator=_RELATIVE)
    needs: str | None = attrs.field(
        default=None, kw_only=True, validator=validators.optional(TEXT)
    )
    version: tuple[str, ...] = attrs.field(
        default=(),
        kw_only=True,
        converter=as_tuple,
        validator=[list_of(STR), _is_command_or_none],
    )
    settings: tuple[str, ...] = attrs.field(
        default=(), kw_only=True, converter=as_tuple, validator=list_of(_is_settings)
    )
    sandbox: bool = attrs.field(default=False, kw_only=True)

    def program_path(self, directory: str) -> str | None:
        """
        Return the path of the program that would run; None: there is none.

        Args:
            directory: The command's working directory.
        """
        name = self.argv[0]
        if "/" in name:
            path = os.path.join(directory, name)
            return path if os.path.exists(path) else None
        env = {**selected(os.environ, self.passes), **self.changes}
        return shutil.which(name, path=env.get("PATH") or os.defpath)


@attrs.frozen
class Prepared:
    """
    A command that can be run in its copy of the project.

    Attributes:
        question: Returns the digest of the question that this check answers, for a
            format of the lockfile or None. To be called before *run*. It raises
            ResolverError if no other machine can ask the same question.

        run: Runs the command, and returns the new lockfile; see `Command`.
    """

    question: Callable[[str | None], str]
    run: Callable[[], bytes]


@attrs.frozen
class Command(Program):
    """
    Run a command in a copy of the project.

    The project is the git work tree that the environment's directory is in, or else
    that directory. No shell is involved. ``UPGRADE_STATE_ENV`` names the
    environment's directory; the working directory is its copy. The file of the
    lockfile's name there is the new lockfile afterwards. ``UPGRADE_STATE_DISABLE``
    is set, so the command itself gives no notice and starts no check. No process
    and no copy is left, even if this process is killed.

    Attributes:
        argv: The command and its arguments.

        manifests: Names of files in the environment's directory, the first of which
            must exist. They are copied even if git ignores them, and so are the
            files that one of them names.

        beside: Glob patterns of other files in the environment's directory that are
            copied even if git ignores them.

        copies: More files and directories to copy, by their paths from the
            environment's directory. They are inside the project. If the project
            is too large, no other files are copied but those named above.

        timeout: The command is terminated after this time, and has failed.

        changes: Environment variables to set; None: to remove.

        passes: Names of environment variables to pass in addition to the usual
            ones. A name that ends in ``*`` stands for all with this beginning.

        caches: Names of the environment variables with the directory of the
            tool's cache. In a sandbox it is in the scratch directory.

        fence: Files to write above the scratch directory, by name, at which the
            tool stops its search in the directories above.

        searches: Names of files for which the tool searches all directories
            above. If one exists there, nothing is run: any user may have put it
            into a shared directory for temporary files.

        failures: Text in the last MiB of output by which the tool admits that its
            lockfile is not the one it was asked for, such as after an answer from
            its cache; and for each the end of the message, with the advice. The
            check then fails even on exit status 0.

        requires: A regular expression for the first manifest. What its group matches
            is a path without which the tool would resolve something else in
            silence. The check fails if the copy lacks it. Empty: no path.

        start: The working directory, by its path from the environment's directory.
            It is inside the project.

        needs: The advice if the command is missing or does not know its
            arguments. None: general advice, only if it is missing.

        version: A command that prints the version of the tool, and of whatever else
            is no file of the project and changes its result. Then results may be
            shared with other machines. Empty: they are not shared.

        settings: Files outside of the project that change the result of the tool:
            absolute paths, or glob patterns, that may begin with ``~`` or a variable.
            ``~/.config`` is ``XDG_CONFIG_HOME`` if that is set. Results are shared
            between machines on which they are equal, except for secrets.

        sandbox: Make everything but the scratch directory read-only.

        limits: The resources that it may use, and the time that it gets to end.

    Raises:
        TypeError: A field has the wrong type.
        ValueError: A field has a wrong value, such as a path that leads out of
            the directory, an empty command, or a timeout of zero.
    """

    copies: tuple[str, ...] = attrs.field(
        default=(), kw_only=True, converter=as_tuple, validator=list_of(_RELATIVE)
    )
    timeout: dt.timedelta = attrs.field(
        default=DEFAULT_TIMEOUT, kw_only=True, validator=_is_timeout
    )
    limits: Limits = attrs.field(default=LIMITS, kw_only=True)

    def __call__(
        self, environment: EnvironmentState, old_lockfile: bytes | None, /
    ) -> bytes:
        """
        Resolve, as `Resolver` says.

        Raises:
            ResolverError: The command could not be started, failed, ran for too
                long, or left no lockfile.
            ValueError: The environment has no lockfile name.
        """
        with self.prepared(environment, old_lockfile) as prepared:
            return prepared.run()

    @contextlib.contextmanager
    def prepared(
        self, environment: EnvironmentState, old_lockfile: bytes | None
    ) -> Iterator[Prepared]:
        """
        Copy the project for a `with` statement, so that the command can be run.

        Raises:
            ResolverError: The project could not be copied, or there is no command.
            ValueError: The environment has no lockfile name.
        """
        directory, name = environment.path, environment.lockfile_name
        if directory is None or name is None:
            raise ValueError("a command needs a directory and a lockfile's name")
        if not os.path.isdir(directory):
            raise ResolverError("The environment's directory is gone", directory)
        above = scratch_name()
        with supervised(above, self.limits) as supervisor:  # removes it at the end
            # Before anything is copied; a relative path is one in the copy.
            is_relative = "/" in self.argv[0] and not os.path.isabs(self.argv[0])
            if not is_relative and self.program_path("") is None:
                raise self._not_started(None, directory)
            project = project_of(directory, name)
            place = Scratch(above, directory, project.top)
            self._guard(place)
            hint = project.copy(place, self)
            self._demand_paths(place)
            if old_lockfile is not None:
                place.write(name, old_lockfile)
            yield Prepared(
                functools.partial(self._question, place, name),
                functools.partial(self._resolved, place, supervisor, name, hint),
            )

    def _guard(self, place: Scratch) -> None:
        """
        Keep the tool from files above the scratch directory.
        """
        for path in place.files_above(self.searches):
            if not (self.sandbox and is_hidden(path)):
                message = f"{path!r} is above the scratch directory and would take part"
                todo = "remove it, or set TMPDIR"
                raise ResolverError(f"{message}; {todo}", place.environment)
        for name, content in self.fence.items():
            place.write(os.path.join(place.above, name), content)

    def _demand_paths(self, place: Scratch) -> None:
        """
        Raise an error if the copy lacks a path that *requires* finds.
        """
        for manifest in self.manifests[:1] if self.requires else ():
            content = read_file(os.path.join(place.path, manifest)) or b""
            for path in map(os.fsdecode, re.findall(self.requires, content)):
                if not os.path.exists(os.path.join(place.path, path)):
                    message = f"{manifest} names {one_line(path)!r}"
                    message += ", which is not in the project or not copied"
                    raise ResolverError(message, place.environment)

    def _question(self, place: Scratch, name: str, format: str | None) -> str:  # noqa: A002
        by = attrs.evolve(self, argv=self.version, timeout=_VERSION_TIMEOUT)
        facts = {"lockfile": name, "format": format}
        try:
            return digest_of(self, place, facts, lambda: by._printed(place))  # noqa: SLF001
        except ResolverError as error:
            message = f"the version of {self.tool} is unknown: {error.message}"
            raise ResolverError(message, place.environment) from error

    def _printed(self, place: Scratch) -> bytes:
        """
        Run the command, and return its output.
        """
        path = os.path.join(place.above, "version")
        with supervised(path, self.limits) as supervisor:
            ended = self._run(place, supervisor)
        if ended.status != 0:
            raise self._failed(self._fate(ended.status, ended), None, ended, place)
        return ended.output

    def _resolved(
        self, place: Scratch, supervisor: Supervisor, name: str, hint: str | None
    ) -> bytes:
        ended = self._run(place, supervisor)
        self._raise_for(ended, place, hint)
        try:
            return place.take(name)
        except FileNotFoundError as error:
            todo = self.needs or "it must write one to its working directory"
            raise self._failed(f"left no {name!r}", todo, ended, place) from error

    def _run(self, place: Scratch, supervisor: Supervisor) -> Ended:
        cwd = os.path.normpath(os.path.join(place.path, self.start))
        if not is_inside(cwd, place.project):
            message = f"{self.tool} starts outside of the project, in {self.start!r}"
            raise ResolverError(message, place.environment)
        env = self._env(place) | {"PWD": cwd}
        path = self.program_path(cwd)
        argv: Sequence[str] = self.argv
        try:
            if self.sandbox:
                if path is None:  # bwrap would report it in its own words
                    raise self._not_started(None, place.environment)
                argv = sandboxed(argv, path, place, env)
            timeout = self.timeout.total_seconds()
            return supervisor.run(argv, cwd=cwd, env=env, timeout=timeout)
        except OSError as error:
            # Not by errno: a directory of PATH without access makes it EACCES.
            cause = None if path is None else error
            raise self._not_started(cause, place.environment) from error
        except ResolverError as error:
            raise ResolverError(error.message, place.environment) from error

    def _not_started(self, error: OSError | None, directory: str) -> ResolverError:
        """
        Return the failure of a command that was not started; no *error*: none exists.
        """
        name = one_line(self.argv[0])
        if error is None:
            message = f"There is no command {name!r}"
        else:
            is_odd = error.errno == errno.ENOENT
            reason = "its interpreter is missing" if is_odd else error.strerror
            message = f"Could not start {name!r} ({reason})"
        todo = self.needs or "install it or name its path"
        return ResolverError(f"{message}; {todo}", directory)

    def _env(self, place: Scratch) -> dict[str, str]:
        env = selected(os.environ, self.passes) | {"TMPDIR": place.temporary}
        env |= dict.fromkeys(_CEILINGS, place.above)
        if self.sandbox:
            names = ("XDG_CACHE_HOME", *self.caches)
            env |= dict.fromkeys(names, place.directory("cache"))
        env = {k: v for k, v in {**env, **self.changes}.items() if v is not None}
        return env | _OWN | {ENVIRONMENT_VARIABLE: place.environment}

    def _raise_for(self, ended: Ended, place: Scratch, hint: str | None) -> None:
        """
        Raise the error, with advice, if the command has failed.
        """
        status = ended.status
        if status == 0:
            for text, reason in self.failures.items():
                if text in ended.output:
                    message = f"{self.tool} {reason}"
                    raise ResolverError(message, place.environment)
            return
        if self.sandbox:
            if (problem := refusal(ended.output)) is not None:
                raise ResolverError(problem, place.environment)
            if status is not None and status > _BY_SIGNAL:
                status = _BY_SIGNAL - status
        if place.is_full():
            todo: str | None = place.remedy
        else:
            todo = advice(
                ended.output, is_late=ended.is_late, needs=self.needs, hint=hint
            )
        if todo is None and (status or 0) > 0 and not last_words(ended.output):
            todo = "it gave no reason: run it once yourself"
        raise self._failed(self._fate(status, ended), todo, ended, place)

    def _failed(
        self, fate: str, hint: str | None, ended: Ended, place: Scratch
    ) -> ResolverError:
        summary = f"{self.tool} {fate}"
        words = last_words(ended.output)
        message = f"{summary}: {words}" if words else summary
        return ResolverError(
            message if hint is None else f"{message}; {hint}",
            place.environment,
            output=last_lines(ended.output),
            summary=summary,
            hint=hint,
        )

    @property
    def tool(self) -> str:
        """
        The name of the command in a message, in quotes.
        """
        return repr(one_line(os.path.basename(self.argv[0])))

    def _fate(self, status: int | None, ended: Ended) -> str:
        if status is None:
            return ended.reason or ""
        if status > 0:
            return f"failed with exit status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:  # a real-time signal
            name = f"signal {-status}"
        too_large = f" (a file larger than {size(self.limits.file)})"
        return f"was killed by {name}" + too_large * (-status == signal.SIGXFSZ)
