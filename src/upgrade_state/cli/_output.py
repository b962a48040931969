"""
Where output goes, and what may go wrong with it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

from upgrade_state._redact import clean
from upgrade_state.cli._notify import say

if TYPE_CHECKING:
    from collections.abc import Iterator


class OutputError(Exception):
    """
    What was asked for cannot be written.
    """


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """
    Tell trouble with stdout from all other.

    Raises:
        OutputError: There was some.
        BrokenPipeError: Nobody reads it any more.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        message = f"Could not write the output ({error.strerror})"
        raise OutputError(message) from error


def prepare() -> None:
    """
    Keep a terminal that knows few characters from being an error.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def out(line: str = "") -> None:
    """
    Write a line that was asked for.
    """
    raw(clean(line))


def raw(line: str) -> None:
    """
    Write a line for other programs, as it is.
    """
    with writing():
        print(line)  # noqa: T201 - what stdout is for


def err(line: str) -> None:
    """
    Write a line about what happens; if nobody can read it, so be it.
    """
    say(f"upgrade-state: {clean(line)}")


def flush() -> None:
    """
    Write what is buffered, so that what goes wrong goes wrong now.
    """
    if sys.stdout is not None:
        with writing():
            sys.stdout.flush()


def give_up() -> None:
    """
    Write nothing more to stdout, not even at the end of the interpreter.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the end


@contextlib.contextmanager
def progress(line: str) -> Iterator[None]:
    """
    Show somebody at a terminal that something is going on.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    try:
        from rich.console import Console  # noqa: PLC0415 - an extra
        from rich.text import Text  # noqa: PLC0415 - an extra
    except ImportError:
        err(line)
        yield
        return
    with Console(stderr=True).status(Text(clean(line))):
        yield
