"""
Print on stdout and stderr, and survive streams that cannot be written to.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from upgrade_state import UpgradeStateError, _messages, _redact

clean = _redact.clean
could_not_check = _messages.could_not_check
duration = _messages.duration
moment = _messages.moment

T = TypeVar("T")
Answer = TypeVar("Answer")


class OutputError(Exception):
    """
    The answer cannot be written to stdout.
    """


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """
    Tell an error of stdout from every other OSError.

    Raises:
        OutputError: Stdout cannot be written to.
        BrokenPipeError: The reader of stdout has closed it.
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
    Print escapes on a terminal that lacks a character.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def out(line: str = "") -> None:
    """
    Print a line of the answer for people.
    """
    print_raw(clean(line))


def print_raw(text: str) -> None:
    """
    Print text for other programs, unchanged.
    """
    with writing():
        print(text)  # noqa: T201 - answers go to stdout


def print_line(line: str) -> None:
    """
    Print a line on stderr; a stream that cannot be written to is no error.
    """
    if sys.stderr is None:  # closed: print() would use stdout instead
        return
    try:
        print(line, file=sys.stderr)  # noqa: T201 - notices go to stderr
    except OSError:
        # The interpreter would flush the stream at its end, and complain.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the end


def err(line: str) -> None:
    """
    Print a message on stderr; a stream that cannot be written to is no error.
    """
    print_line(f"upgrade-state: {clean(line)}")


def flush() -> None:
    """
    Write buffered output, so that an error of stdout is raised here.
    """
    if sys.stdout is not None:
        with writing():
            sys.stdout.flush()


def give_up() -> None:
    """
    Discard all further output, at the end of the interpreter as well.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the end


def for_each(things: Iterable[T], act: Callable[[T], Answer]) -> list[Answer]:
    """
    Call *act* for every environment; an error of one does not stop the others.

    Raises:
        SystemExit: There were errors, which were printed; after the last call.
    """
    answers, failed = [], False
    for thing in things:
        try:
            answers.append(act(thing))
        except UpgradeStateError as error:
            err(str(error))
            failed = True
    if failed:
        raise SystemExit(2)
    return answers
