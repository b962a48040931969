"""
A command as resolver: it finds a lockfile in a scratch directory and leaves one.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import signal
from typing import TYPE_CHECKING

import attrs

from upgrade_state import _redact
from upgrade_state.exceptions import ResolverError

from ._containment import LIMITS, Limits, size, supervised
from ._diagnosis import LENGTH, NO_NETWORK, advice, last_words
from ._environ import checked_names, selected
from ._sandbox import is_hidden, refusal, sandboxed
from ._scratch import copied_name, scratch, scratch_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Final

    from upgrade_state._environment import EnvironmentState

    from ._containment import Ended, Supervisor
    from ._scratch import Scratch

ENVIRONMENT_VARIABLE: Final = "UPGRADE_STATE_ENV"

DEFAULT_TIMEOUT: Final = dt.timedelta(minutes=10)

# Which directories are not searched for a repository, or for settings of mise,
# which any tool may have been started by.
_CEILINGS: Final = ("GIT_CEILING_DIRECTORIES", "MISE_CEILING_PATHS")

# With what a sandbox says which signal has killed its command.
_BY_SIGNAL: Final = 128

_NEEDS: Final = "install it or name its path"


def _words(argv: Iterable[str]) -> tuple[str, ...]:
    if isinstance(argv, str):
        raise TypeError("argv must be a list of arguments, not one text: no shell")
    return tuple(argv)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(copied_name, names))


def _name(name: str | None) -> str | None:
    return None if name is None else copied_name(name)


def _fence(fence: tuple[str, bytes] | None) -> tuple[str, bytes] | None:
    return None if fence is None else (copied_name(fence[0]), fence[1])


def _is_command(_self: object, _field: object, argv: tuple[str, ...]) -> None:
    if not argv or not argv[0] or any("\0" in part for part in argv):
        raise ValueError("not a command: " + " ".join(map(repr, argv)))


def _is_timeout(_self: object, _field: object, timeout: dt.timedelta) -> None:
    if not isinstance(timeout, dt.timedelta) or timeout <= dt.timedelta():
        raise ValueError(f"timeout must be a timedelta above zero: {timeout!r}")


@attrs.frozen
class Command:
    """
    Run a command in a scratch directory that has a copy of the lockfile.

    No shell is involved. ``UPGRADE_STATE_ENV`` names the environment's
    directory. What lies there under the lockfile's name afterwards is the new
    lockfile. Whatever happens, also if this process is killed, no process and
    no scratch directory is left.

    Attributes:
        argv: The command and its arguments.

        copies: Other files to copy, by their paths below the environment's
            directory.

        result: Where the new lockfile appears, a path below the scratch
            directory. None: under the lockfile's name.

        timeout: After that the command is ended, which is a failure.

        changes: Environment variables to set; None: to remove.

        passes: Names of environment variables that the command gets besides
            the usual ones; what ends in ``*`` stands for all that begin so.

        caches: Names of environment variables that say where the tool keeps
            its cache. In a sandbox they lead into the scratch directory.

        fence: Name and content of a file above the scratch directory, to stop
            a tool from searching further up, where anybody may write.

        searches: Names of files that the tool looks for in all directories
            above as well. Where one lies there, nothing is run: anybody may
            have put it there.

        offline: What it prints, in the last 8 KiB, where it reached nobody and
            answered from its cache. That is a failure, whatever its exit status.
            Empty: it does no such thing.

        needs: What to do if there is no such command, or one that does not
            know what it is asked for.

        hint: What may be the reason where it fails, and its words tell nobody
            what to do. Empty: nobody knows.

        sandbox: Let it write nowhere but in the scratch directory.

        limits: The resources that it may use, and the time that it gets to end.

    Raises:
        TypeError: A list is one text.
        ValueError: A file to copy, the result or the fence leads elsewhere,
            something is no name, there is no command, or no time for it.
    """

    argv: tuple[str, ...] = attrs.field(converter=_words, validator=_is_command)
    copies: tuple[str, ...] = attrs.field(default=(), converter=_names, kw_only=True)
    result: str | None = attrs.field(default=None, converter=_name, kw_only=True)
    timeout: dt.timedelta = attrs.field(
        default=DEFAULT_TIMEOUT, kw_only=True, validator=_is_timeout
    )
    changes: Mapping[str, str | None] = attrs.field(factory=dict, kw_only=True)
    passes: tuple[str, ...] = attrs.field(
        default=(), converter=checked_names, kw_only=True
    )
    caches: tuple[str, ...] = attrs.field(
        default=(), converter=checked_names, kw_only=True
    )
    fence: tuple[str, bytes] | None = attrs.field(
        default=None, converter=_fence, kw_only=True
    )
    searches: tuple[str, ...] = attrs.field(default=(), converter=_names, kw_only=True)
    offline: bytes = attrs.field(default=b"", kw_only=True)
    needs: str = attrs.field(default=_NEEDS, kw_only=True)
    hint: str = attrs.field(default="", kw_only=True)
    sandbox: bool = attrs.field(default=False, kw_only=True)
    limits: Limits = attrs.field(default=LIMITS, kw_only=True)

    def __call__(
        self, environment: EnvironmentState, old_lockfile: bytes | None, /
    ) -> bytes:
        """
        Resolve, as `Resolver` says.

        Raises:
            ResolverError: The command could not be started, failed, ran for too
                long, or left no lockfile.
            ValueError: The environment has no lockfile's name.
        """
        directory, name = environment.path, environment.lockfile_name
        if directory is None or name is None:
            raise ValueError("a command needs a directory and a lockfile's name")
        if not os.path.isdir(directory):
            raise ResolverError("The environment's directory is gone", directory)
        above = scratch_name()
        with supervised(above, self.limits) as supervisor:  # removes it at the end
            place = scratch(above, directory)
            self._refuse_others(place, directory)
            self._fill(place)
            if old_lockfile is not None:
                place.write(name, old_lockfile)
            ended = self._run(directory, place, supervisor)
            self._demand_success(ended, place, directory)
            return self._taken(ended, place, directory, self.result or name)

    def _refuse_others(self, place: Scratch, directory: str) -> None:
        for path in place.lying_above(self.searches):
            if not (self.sandbox and is_hidden(path)):
                message = f"{path!r} lies above the scratch directory and would take"
                raise ResolverError(
                    f"{message} part; remove it, or set TMPDIR", directory
                )

    def _fill(self, place: Scratch) -> None:
        if self.fence is not None:
            place.write(os.path.join(place.above, self.fence[0]), self.fence[1])
        for copy in self.copies:
            place.copy(copy)

    def _run(self, directory: str, place: Scratch, supervisor: Supervisor) -> Ended:
        env = self._env(directory, place)
        try:
            return supervisor.run(
                self._argv(directory, place, env),
                cwd=place.path,
                env=env,
                timeout=self.timeout.total_seconds(),
            )
        except OSError as error:
            message = self._refusal(error, place, env)
            raise ResolverError(message, directory) from error
        except ResolverError as error:
            raise ResolverError(error.message, directory) from error

    def _env(self, directory: str, place: Scratch) -> dict[str, str]:
        env = selected(os.environ, self.passes) | {"TMPDIR": place.temporary}
        env |= dict.fromkeys(_CEILINGS, place.above)
        if self.sandbox:
            env |= dict.fromkeys(("XDG_CACHE_HOME", *self.caches), place.cache)
        for name, value in self.changes.items():
            env.pop(name, None)
            if value is not None:
                env[name] = value
        return env | {ENVIRONMENT_VARIABLE: directory, "PWD": place.path}

    def _argv(
        self, directory: str, place: Scratch, env: Mapping[str, str]
    ) -> Sequence[str]:
        if not self.sandbox:
            return self.argv
        command = self._found(place, env)
        if command is None:  # or the sandbox would have to say so
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return sandboxed(self.argv, command, place, env, directory)

    def _found(self, place: Scratch, env: Mapping[str, str]) -> str | None:
        """
        Return the command's file; None: there is none.
        """
        name = self.argv[0]
        if "/" in name:  # looked for where the command runs
            path = os.path.join(place.path, name)
            return path if os.path.exists(path) else None
        return shutil.which(name, path=env.get("PATH", os.defpath))

    def _refusal(self, error: OSError, place: Scratch, env: Mapping[str, str]) -> str:
        name = _redact.message_of(self.argv[0], LENGTH)
        # A directory of PATH that may not be searched makes it another error.
        if self._found(place, env) is None:
            return f"There is no command {name!r}; {self.needs}"
        is_odd = error.errno == errno.ENOENT
        reason = "its interpreter is not there" if is_odd else error.strerror
        return f"Could not start {name!r} ({reason}); {self.needs}"

    def _demand_success(self, ended: Ended, place: Scratch, directory: str) -> None:
        if ended.status == 0:
            if self.offline and self.offline in ended.output:
                message = f"{self._name} reached nobody, and answered from its cache"
                raise ResolverError(f"{message}; {NO_NETWORK}", directory)
            return
        no_sandbox = refusal(ended.output) if self.sandbox else ""
        raise ResolverError(no_sandbox or self._failure(ended, place), directory)

    def _taken(self, ended: Ended, place: Scratch, directory: str, name: str) -> bytes:
        try:
            return place.take(name)
        except FileNotFoundError as error:
            message = self._said(ended, f"left no {name!r}")
            todo = self._needs or "let it leave one where it is run"
            raise ResolverError(f"{message}; {todo}", directory) from error

    def _failure(self, ended: Ended, place: Scratch) -> str:
        message = self._said(ended, self._fate(ended))
        todo = place.remedy if place.is_full() else self._advice(ended)
        return f"{message}; {todo}" if todo else message

    def _said(self, ended: Ended, fate: str) -> str:
        last = last_words(ended.output)
        return f"{self._name} {fate}{last and ': '}{last}"

    @property
    def _name(self) -> str:
        return repr(_redact.message_of(os.path.basename(self.argv[0]), LENGTH))

    @property
    def _needs(self) -> str:
        return "" if self.needs == _NEEDS else self.needs

    def _advice(self, ended: Ended) -> str:
        known = advice(ended.output, is_late=ended.is_late, needs=self._needs)
        is_silent = (self._status(ended) or 0) > 0 and not last_words(ended.output)
        todo = "it did not say why: run it once by hand" if is_silent else ""
        return known or self.hint or todo

    def _status(self, ended: Ended) -> int | None:
        status = ended.status
        if self.sandbox and status is not None and status > _BY_SIGNAL:
            return _BY_SIGNAL - status  # as a shell says it
        return status

    def _fate(self, ended: Ended) -> str:
        status = self._status(ended)
        if status is None:
            return ended.reason or ""
        if status > 0:
            return f"failed with exit status {status}"
        words = f"was killed by {_signal_name(-status)}"
        if status == -signal.SIGXFSZ:
            words += f" (a file larger than {size(self.limits.file)})"
        return words


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
