"""
A command as resolver: it finds a lockfile in a scratch directory and leaves one.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import re
import shutil
import signal
from typing import TYPE_CHECKING

import attrs

from upgrade_state import _text
from upgrade_state.exceptions import ResolverError

from ._process import run
from ._scratch import copied_name, scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

    from upgrade_state._environment import EnvironmentState

    from ._process import Ended
    from ._scratch import Scratch

ENVIRONMENT_VARIABLE: Final = "UPGRADE_STATE_ENV"

DEFAULT_TIMEOUT: Final = dt.timedelta(minutes=10)

_MESSAGE_LENGTH: Final = 400
_LINES: Final = 4

# Colours and the like: a message is read in places that have none.
_STYLE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


def _words(argv: Iterable[str]) -> tuple[str, ...]:
    if isinstance(argv, str):
        raise TypeError("argv must be a list of arguments, not one text: no shell")
    return tuple(argv)


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(copied_name, names))


def _name(name: str | None) -> str | None:
    return None if name is None else copied_name(name)


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

    A signal that raises no exception in this process, such as SIGTERM without
    a handler, ends nothing: turn it into one, as the command line does.

    No shell is involved. ``UPGRADE_STATE_ENV`` names the environment's
    directory. What lies there under the lockfile's name afterwards is the new
    lockfile. Whatever happens, no process and no scratch directory is left.

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

        needs: What to do if there is no such command.

        sandbox: Let it write nowhere but in the scratch directory.

    Raises:
        TypeError: The command is one text.
        ValueError: A file to copy is not below the environment's directory,
            there is no command, or no time for it.
    """

    argv: tuple[str, ...] = attrs.field(converter=_words, validator=_is_command)
    copies: tuple[str, ...] = attrs.field(default=(), converter=_names, kw_only=True)
    result: str | None = attrs.field(default=None, converter=_name, kw_only=True)
    timeout: dt.timedelta = attrs.field(
        default=DEFAULT_TIMEOUT, kw_only=True, validator=_is_timeout
    )
    changes: Mapping[str, str | None] = attrs.field(factory=dict, kw_only=True)
    passes: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    caches: tuple[str, ...] = attrs.field(default=(), converter=tuple, kw_only=True)
    fence: tuple[str, bytes] | None = attrs.field(default=None, kw_only=True)
    needs: str = attrs.field(default="install it or name its path", kw_only=True)
    sandbox: bool = attrs.field(default=False, kw_only=True)

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
        with scratch(directory) as place:
            self._fill(place)
            if old_lockfile is not None:
                place.write(name, old_lockfile)
            self._demand_success(self._run(directory, place), directory)
            return place.take(self.result or name)

    def _fill(self, place: Scratch) -> None:
        if self.fence is not None:
            place.write(os.path.join(place.above, self.fence[0]), self.fence[1])
        for copy in self.copies:
            place.copy(copy)

    def _run(self, directory: str, place: Scratch) -> Ended:
        env = {**os.environ, **self.changes, ENVIRONMENT_VARIABLE: directory}
        env["PWD"] = place.path
        set_ones = {name: value for name, value in env.items() if value is not None}
        try:
            seconds = self.timeout.total_seconds()
            return run(self.argv, cwd=place.path, env=set_ones, timeout=seconds)
        except OSError as error:
            raise ResolverError(self._refusal(error), directory) from error

    def _refusal(self, error: OSError) -> str:
        name = _text.message_of(self.argv[0], _MESSAGE_LENGTH)
        # A directory of PATH that may not be searched makes it another error.
        is_name = "/" not in self.argv[0]
        if error.errno == errno.ENOENT or (is_name and not shutil.which(self.argv[0])):
            return f"There is no command {name!r}; {self.needs}"
        return f"Could not start {name!r} ({error.strerror})"

    def _demand_success(self, ended: Ended, directory: str) -> None:
        if ended.status == 0:
            return
        name = _text.message_of(os.path.basename(self.argv[0]), _MESSAGE_LENGTH)
        words = f"{name!r} {self._fate(ended.status)}"
        last = _last_words(ended.output)
        raise ResolverError(f"{words}: {last}" if last else words, directory)

    def _fate(self, status: int | None) -> str:
        if status is None:
            return f"did not end within {self.timeout.total_seconds():g} s"
        if status > 0:
            return f"failed with exit status {status}"
        return f"was killed by {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _last_words(output: bytes) -> str:
    """
    Return what a tool said when it gave up, as one line.

    From the last line that calls itself an error on, if there is one.
    """
    text = _STYLE.sub("", output.decode(errors="backslashreplace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [i for i, line in enumerate(lines) if line.lower().startswith("error")]
    start = errors[-1] if errors else -1
    # Each line alone: a URL ends where its line does.
    return _text.message_of("; ".join(lines[start:][:_LINES]), _MESSAGE_LENGTH)
