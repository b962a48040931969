"""
What somebody at a terminal sees of many checks while they run.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from typing import TYPE_CHECKING

from upgrade_state._redact import clean
from upgrade_state.cli._output import err
from upgrade_state.cli._select import name_of

if TYPE_CHECKING:
    from typing import Self, TextIO

    from rich.console import Group

    from upgrade_state._environment import EnvironmentState


class Live(contextlib.ExitStack):
    """
    Shows which checks run, for how long, and how many are left.

    On stderr, if that is a terminal; lines that are printed meanwhile scroll
    above it. Without rich, and where stdout is a pipe, there is a line for each
    check that begins.

    Args:
        total: How many environments there are.

        json: Stdout is for other programs: no line of it may be wrapped.
    """

    def __init__(self, total: int, *, json: bool) -> None:
        super().__init__()
        self._left = total
        self._running: dict[str, tuple[str, float]] = {}
        self._is_shown = _is_terminal(sys.stderr) and not (
            json and _is_terminal(sys.stdout)
        )
        # Who reads the lines may print them here, unseen by rich.
        self._says_lines = self._is_shown and _is_pipe(sys.stdout)

    def __enter__(self) -> Self:
        if self._is_shown and not self._says_lines:
            try:
                self._show()
            except ImportError:
                self._says_lines = True
        return self

    def _show(self) -> None:
        from rich import live  # noqa: PLC0415 - an extra
        from rich.console import Console  # noqa: PLC0415 - an extra

        display = live.Live(
            console=Console(stderr=True),
            get_renderable=self._picture,
            redirect_stdout=_is_terminal(sys.stdout),
            transient=True,
        )
        self.enter_context(display)

    def see(self, environment: EnvironmentState, *, ended: bool) -> None:
        """
        Take note of a check that begins, or of an environment that is done with.
        """
        if ended:
            self._left -= 1
            self._running.pop(environment.key, None)
            return
        name = name_of(environment)
        self._running[environment.key] = name, time.monotonic()
        if self._says_lines:
            err(f"checking {name}")

    def _picture(self) -> Group:
        from rich.console import Group  # noqa: PLC0415 - an extra
        from rich.text import Text  # noqa: PLC0415 - an extra

        now = time.monotonic()
        # At once, since another thread asks.
        running = list(self._running.values())
        lines = [f"{now - begin:4.0f} s  {clean(name)}" for name, begin in running]
        lines.append(f"{len(running)} running, {self._left - len(running)} left")
        return Group(*(Text(x, no_wrap=True, overflow="ellipsis") for x in lines))


def _is_pipe(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:  # no file
        return False


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()
