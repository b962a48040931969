"""
Print on stdout and stderr: columns, colours, and streams that cannot be written to.

At a terminal no line is longer than its width: a sentence is folded between words, a
row of a table is cut. A pipe gets whole lines.
"""

import contextlib
import io
import itertools
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from upgrade_state import UpgradeStateError, _messages, _redact

clean = _redact.clean
could_not_check = _messages.could_not_check
duration = _messages.duration
moment = _messages.moment
without_urls = _redact.without_urls

T = TypeVar("T")
Answer = TypeVar("Answer")

_CODES: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}

# Written in place of a character that the stream's encoding lacks.
_PLAIN: Final = str.maketrans({"→": "->", "…": "...", "✓": "ok", "✗": "x"})

# A column is not cut below this width.
_NARROW: Final = 16


class Styled(NamedTuple):
    """
    A text, and the parameters of the escape sequence that colours it.
    """

    text: str
    code: str = ""


Part: TypeAlias = str | Styled

# The characters of a line, each with its code.
_Line: TypeAlias = list[tuple[str, str]]


class OutputError(Exception):
    """
    The answer cannot be written to stdout.
    """


class _Terminal:
    """
    How this process writes to its terminal.

    Attributes:
        color: The option --color.

        drawn: The width of the line that `progress` has drawn.
    """

    color = "auto"
    drawn = 0


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


def prepare(color: str = "auto") -> None:
    """
    Print escapes on a terminal that lacks a character, and choose when to colour.

    Args:
        color: ``always``, ``never``, or ``auto``: if stdout or stderr is a terminal,
            unless the variables of the process say otherwise.
    """
    _Terminal.color = color
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def styled(text: str, *styles: str) -> Styled:
    """
    Return *text* in bold, dim, red, green or yellow, where there are colours.
    """
    return Styled(text, ";".join(_CODES[style] for style in styles))


def out(*parts: Part, hang: int = 2) -> None:
    """
    Print a line of the answer for people.

    Args:
        hang: How far a terminal that is too narrow indents the rest of the line.
    """
    for line in _folded(_line(parts, sys.stdout), width_of(sys.stdout), hang):
        print_raw(_written(line, sys.stdout))


def table(
    rows: Iterable[Sequence[Part]], *, indent: int = 0, path: int | None = None
) -> None:
    """
    Print rows in aligned columns, cut to the width of a terminal.

    Args:
        indent: The number of blanks before each row.

        path: The column of paths, which are cut at their beginning.
    """
    limit, blank = width_of(sys.stdout), [(" ", "")]
    cells = [[_line([part], sys.stdout) for part in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    while limit and max(widths, default=0) > _NARROW:
        if indent + sum(widths) + 2 * len(widths) - 2 <= limit:
            break
        widths[widths.index(max(widths))] -= 1
    for row in cells:
        line = blank * indent
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            fitting = _cut(cell, width, at_start=number == path)
            line += fitting + blank * (width - _width(fitting) + 2 * bool(width))
        while line and line[-1][0] == " ":
            line.pop()
        print_raw(_written(_cut(line, limit) if limit else line, sys.stdout))


def print_raw(text: str) -> None:
    """
    Print text for other programs, unchanged.
    """
    progress("")
    with writing():
        print(text)  # noqa: T201 - answers go to stdout


def print_line(*parts: Part, most: int | None = None) -> None:
    """
    Print a line on stderr; a stream that cannot be written to is no error.

    Args:
        most: The largest number of lines of a terminal; the end is cut.
    """
    if sys.stderr is None:  # closed: print() would use stdout instead
        return
    progress("")
    width = width_of(sys.stderr)
    lines = list(_folded(_line(parts, sys.stderr), width, 2))
    if most is not None and len(lines) > most:
        del lines[most:]
        lines[-1] = _cut([*lines[-1], *_line([" " * width], sys.stderr)], width)
    for line in lines:
        _print_on_stderr(f"{_written(line, sys.stderr)}\n")


def err(line: str) -> None:
    """
    Print a message on stderr; a stream that cannot be written to is no error.
    """
    print_line(f"upgrade-state: {line}")


def progress(text: str) -> None:
    """
    Draw a line at the terminal that the next output replaces; "": remove it.
    """
    if _Terminal.drawn:
        _print_on_stderr(f"\r{' ' * _Terminal.drawn}\r")
        _Terminal.drawn = 0
    if text and is_terminal(sys.stderr) and not _is_shared():
        # A character in the last column would begin the next line.
        line = _cut(_line([text], sys.stderr), (width_of(sys.stderr) or 80) - 1)
        _print_on_stderr(_written(line, sys.stderr))
        _Terminal.drawn = _width(line)


def _is_shared() -> bool:
    """
    Return whether a line cannot be replaced: at a dumb terminal, or next to a pipe.

    The reader of a pipe may print on the same terminal.
    """
    if os.environ.get("TERM") == "dumb" or sys.stdout is None:
        return True
    try:
        return stat.S_ISFIFO(os.fstat(sys.stdout.fileno()).st_mode)
    except OSError:  # the stream is no file
        return True


def _print_on_stderr(text: str) -> None:
    try:
        print(text, end="", file=sys.stderr, flush=True)  # noqa: T201 - notices go there
    except OSError:
        # The interpreter would flush the stream at its end, and complain.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the end


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


def is_terminal(stream: Any) -> bool:
    """
    Return whether *stream* is a terminal; None: it is closed.
    """
    return stream is not None and bool(stream.isatty())


def width_of(stream: Any) -> int:
    """
    Return the number of columns of a terminal; 0: it has none, or it is unknown.
    """
    if not is_terminal(stream):
        return 0
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit():
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:  # the stream is no file
        return 0


def _is_colored(stream: Any) -> bool:
    if _Terminal.color != "auto":
        return _Terminal.color == "always"
    environ = os.environ
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def _line(parts: Iterable[Part], stream: Any) -> _Line:
    """
    Return the characters of *parts*: each is printable and in the stream's encoding.
    """
    line: _Line = []
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for part in parts:
        text, code = part if isinstance(part, Styled) else (part, "")
        text = clean(text)
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            encoded = text.translate(_PLAIN).encode(encoding, "backslashreplace")
            text = encoded.decode(encoding)
        line += [(char, code) for char in text]
    return line


def _written(line: _Line, stream: Any) -> str:
    if not _is_colored(stream):
        return "".join(char for char, _ in line)
    texts = ""
    for code, chars in itertools.groupby(line, key=lambda pair: pair[1]):
        text = "".join(char for char, _ in chars)
        texts += f"\x1b[{code}m{text}\x1b[0m" if code else text
    return texts


def _width(line: _Line) -> int:
    return sum(_columns(char) for char, _ in line)


def _columns(char: str) -> int:
    """
    Return the number of columns that a terminal gives to a character.
    """
    if char.isascii():
        return 1
    import unicodedata

    if unicodedata.category(char) in ("Mn", "Me"):  # combines with the one before
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fitting(line: _Line, width: int) -> int:
    """
    Return how many characters from the beginning have room.
    """
    sums = itertools.accumulate(_columns(char) for char, _ in line)
    return sum(1 for used in sums if used <= width)


def _cut(line: _Line, width: int, *, at_start: bool = False) -> _Line:
    """
    Return what has room of a line, with "…" in place of the rest.
    """
    if _width(line) <= width:
        return line
    mark = _line(["…"], sys.stdout)[: max(width, 0)]
    if at_start:
        return mark + line[len(line) - _fitting(line[::-1], width - len(mark)) :]
    return line[: _fitting(line, width - len(mark))] + mark


def _folded(line: _Line, limit: int, hang: int) -> Iterator[_Line]:
    """
    Stream the lines of at most *limit* columns; 0: one line.

    A command in quotes stays on one line if it can.
    """
    indent = [(" ", "")] * min(hang, limit // 2)
    while limit and _width(line) > limit:
        text = "".join(char for char, _ in line)
        start = len(text) - len(text.lstrip())
        if start > limit // 2:
            del line[limit // 2 : start]
            continue
        end = max(_fitting(line, limit), start + 1)
        whole = re.sub("'[^']*'", lambda quoted: "x" * len(quoted[0]), text)
        blanks = (t.rfind(" ", start, end + 1) for t in (whole, text))
        # A short first word would leave most of a line empty.
        end = next((blank for blank in blanks if blank > limit // 3), end)
        yield line[:end]
        rest = text[end:]
        line = indent + line[end + len(rest) - len(rest.lstrip()) :]
    yield line


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
