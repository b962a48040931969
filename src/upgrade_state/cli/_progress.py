"""
Progress of checks on a terminal.
"""

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Self, TextIO

from upgrade_state.cli._output import err

if TYPE_CHECKING:
    from rich.progress import Progress


class Counter(contextlib.ExitStack):
    """
    Counts on a terminal the checks that run and those that are left.

    With rich, on one line that stays below the output. Without rich, and if
    stdout is a pipe, whose reader may print on the same terminal, with one line
    for every check that begins.

    Args:
        total: The number of environments.

        json: Stdout is for other programs: a terminal must not wrap its lines.
    """

    def __init__(self, total: int, *, json: bool) -> None:
        super().__init__()
        self._total = self._left = total
        self._running: set[str] = set()
        self._is_shown = is_terminal(sys.stderr) and not (
            json and is_terminal(sys.stdout)
        )
        self._bar: Progress | None = None

    def __enter__(self) -> Self:
        if self._is_shown and not _is_pipe(sys.stdout):
            with contextlib.suppress(ImportError):
                from rich import console, progress

                screen = console.Console(stderr=True)
                self._bar = progress.Progress(
                    progress.TextColumn("{task.description}", markup=False),
                    progress.BarColumn(),
                    progress.TimeElapsedColumn(),
                    console=screen,
                    redirect_stdout=is_terminal(sys.stdout),
                    transient=True,
                    # It cannot move the cursor: rich would print an empty line.
                    disable=screen.is_dumb_terminal,
                )
                self._task = self._bar.add_task("checking", total=self._total)
                self.enter_context(self._bar)
        return self

    def count(self, name: str, *, is_over: bool) -> None:
        """
        Count a check that begins, or an environment whose check is over.
        """
        if is_over:
            self._left -= 1
            self._running.discard(name)
        else:
            self._running.add(name)
        if self._bar is not None:
            line, running = f"checking {name}", len(self._running)
            if self._total > 1:
                line = f"{running} running, {self._left - running} left"
            done = self._total - self._left
            self._bar.update(self._task, description=line, completed=done)
        elif self._is_shown and not is_over:
            err(f"checking {name}")


def _is_pipe(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except OSError:  # the stream is no file
        return False


def is_terminal(stream: TextIO | None) -> bool:
    """
    Return whether *stream* is a terminal; None: it is closed.
    """
    return stream is not None and stream.isatty()
