"""
Print on stdout and stderr: columns, colours, and streams that cannot be written to.

At a terminal no line is longer than its width: a sentence is folded between words, a
row of a table is cut. A pipe gets whole lines.
"""

import contextlib
import errno
import io
import itertools
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from upgrade_state import UpgradeStateError, _messages, _record, _redact
from upgrade_state.cli._targets import tilde
from upgrade_state.exceptions import StateLockError, StateWriteError

clean = _redact.clean
could_not_check = _messages.could_not_check
duration = _messages.duration
epoch_of = _record.epoch_of
moment = _messages.moment
quoted_name = _messages.quoted_name
record_fields = _record.DEFAULTS
summary = _messages.summary
without_urls = _redact.without_urls

T = TypeVar("T")
Answer = TypeVar("Answer")

_CODES: Final = {"": 0, "bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}

# In a line, code N is the character _MARK + N. It is for private use, so `clean`
# leaves none in a text.
_MARK: Final = 0xE000
_END: Final = chr(_MARK)
_MARKS: Final = re.compile(f"[{_END}-{chr(_MARK + 99)}]")

# Written in place of a character that the stream's encoding lacks.
_PLAIN: Final = str.maketrans({"→": "->", "…": "...", "✓": "ok", "✗": "x"})

# A time for people stays on one line.
_TIME: Final = r"(?:yesterday|today|tomorrow|\d\d? [^ ]+(?: \d{4})?) \d\d:\d\d"

# The file of an environment, in the directory of the store.
_IN_STORE: Final = re.compile("(?<=/v1)/([a-z]+/)?[0-9a-f]{32}.*")

_REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)

# The width of the labels of facts.
_LABEL: Final = 14

# A column is not cut below this width.
_NARROW: Final = 16


class Styled(NamedTuple):
    """
    A text in bold, dim, red, green or yellow; "": in none of them.
    """

    text: str
    style: str = ""


Part: TypeAlias = str | Styled


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
    Tell an error of stdout from every other OSError; further output is discarded.

    Raises:
        OutputError: Stdout cannot be written to.
        BrokenPipeError: The reader of stdout has closed it.
    """
    try:
        yield
    except OSError as error:
        # The interpreter would flush the stream at its end, and complain.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the end
        if isinstance(error, BrokenPipeError):
            raise
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


def out(*parts: Part, hang: int | None = 2) -> None:
    """
    Print a line of the answer for people.

    Args:
        hang: How far a terminal that is too narrow indents the rest of the line;
            None: it is a command and stays whole, to be copied.
    """
    text = _line(parts, sys.stdout)
    width = sys.maxsize if hang is None else width_of(sys.stdout)
    for line in _folded(text, width, hang or 0):
        print_raw(_written(line, sys.stdout))


def facts(label: str, *texts: str, hang: int | None = _LABEL + 2) -> None:
    """
    Print facts below each other, the first one after its label.

    Args:
        hang: See `out`.
    """
    for text in texts:
        blanks = " " * (_LABEL - len(label))
        out("  ", Styled(label, "dim"), blanks + text, hang=hang)
        label = ""


def table(
    rows: Iterable[Sequence[Part]], *, indent: int = 0, path: int | None = None
) -> None:
    """
    Print rows in aligned columns, cut to the width of a terminal.

    Args:
        indent: The number of blanks before each row.

        path: The column of paths, which are cut in the middle.
    """
    cells = [[_line([part], sys.stdout) for part in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    limit = width_of(sys.stdout)
    while max(widths, default=0) > _NARROW:
        if indent + sum(widths) + 2 * len(widths) - 2 <= limit:
            break
        widths[widths.index(max(widths))] -= 1
    for row in cells:
        line = " " * indent
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            text = _cut(cell, width, is_path=number == path)
            line += text + " " * (width - _width(text) + 2 * bool(width))
        print_raw(_written(_cut(line.rstrip(), limit), sys.stdout))


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
        last = f"{lines[most - 1]} {lines[most].lstrip()}"
        lines[most - 1 :] = [_cut(last, width)]
    for line in lines:
        _print_on_stderr(f"{_written(line, sys.stderr)}\n")


def err(line: str) -> None:
    """
    Print a message on stderr; a stream that cannot be written to is no error.
    """
    print_line(f"upgrade-state: {line}")


def brief(error: UpgradeStateError) -> str:
    """
    Return the message and the path for people.
    """
    return error.message + (f": {tilde(error.path)}" if error.path else "")


def report(error: UpgradeStateError) -> None:
    """
    Print an error on stderr, with the remedy for a store that cannot be written.
    """
    is_of_store = isinstance(error, StateWriteError | StateLockError)
    is_refused = getattr(error.__cause__, "errno", None) in _REFUSED
    if not (is_of_store and is_refused):
        err(brief(error))
        return
    err(_IN_STORE.sub("", brief(error)))
    variable = "UPGRADE_STATE_CACHE_DIR"
    print_line(f"Set {variable} to a directory that you can write to.")


def progress(text: str) -> None:
    """
    Draw a line at the terminal that the next output replaces; "": remove it.
    """
    if _Terminal.drawn:
        _print_on_stderr(f"\r{' ' * _Terminal.drawn}\r")
        _Terminal.drawn = 0
    if text and is_terminal(sys.stderr) and not _is_shared():
        # A character in the last column would begin the next line.
        line = _cut(_line([text], sys.stderr), min(width_of(sys.stderr), 80) - 1)
        _print_on_stderr(line)
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
        # As in `writing`.
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - until the end


def flush() -> None:
    """
    Write buffered output, so that an error of stdout is raised here.
    """
    if sys.stdout is not None:
        with writing():
            sys.stdout.flush()


def is_terminal(stream: Any) -> bool:
    """
    Return whether *stream* is a terminal; None: it is closed.
    """
    return stream is not None and bool(stream.isatty())


def width_of(stream: Any) -> int:
    """
    Return the number of columns of a terminal; for every other stream: no limit.
    """
    columns, width = os.environ.get("COLUMNS", ""), 0
    if is_terminal(stream) and columns.isascii() and columns.isdigit():
        width = int(columns)
    elif is_terminal(stream):
        with contextlib.suppress(OSError):  # the stream is no file
            width = os.get_terminal_size(stream.fileno()).columns
    return width or sys.maxsize


def _is_colored(stream: Any) -> bool:
    if _Terminal.color != "auto":
        return _Terminal.color == "always"
    environ = os.environ
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return is_terminal(stream) and environ.get("TERM") != "dumb"


def _line(parts: Iterable[Part], stream: Any) -> str:
    """
    Return *parts* with marks around those with a style.

    All other characters are printable and in the stream's encoding.
    """
    line = ""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for part in parts:
        text, style = part if isinstance(part, Styled) else (part, "")
        text = clean(text)
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            encoded = text.translate(_PLAIN).encode(encoding, "backslashreplace")
            text = encoded.decode(encoding)
        line += f"{chr(_MARK + _CODES[style])}{text}{_END}" if text and style else text
    return line


def _written(line: str, stream: Any) -> str:
    """
    Replace the marks in *line* by escape sequences, or by nothing.
    """
    is_colored = _is_colored(stream)
    codes = _CODES.values()
    return line.translate({_MARK + n: f"\x1b[{n}m" * is_colored for n in codes})


def _width(line: str) -> int:
    text = _MARKS.sub("", line)
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    """
    Return the number of columns that a terminal gives to a character.
    """
    if char.isascii():
        return 1
    import unicodedata

    # A mark, or it combines with the one before.
    if unicodedata.category(char) in ("Co", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _fitting(text: str, width: int) -> int:
    """
    Return how many characters from the beginning have room.
    """
    sums = itertools.accumulate(map(_columns, text))
    return sum(1 for used in sums if used <= width)


def _cut(text: str, width: int, *, is_path: bool = False) -> str:
    """
    Return the part of *text* that has room, with "…" in place of the rest.
    """
    if _width(text) <= width:
        return text
    mark = _line("…", sys.stdout)[: max(width, 0)]
    if is_path:  # the end has the project's name
        begin = text[: _fitting(text, width // 4)]
        rest = width - len(mark) - _width(begin)
        return begin + mark + text[len(text) - _fitting(text[::-1], rest) :]
    return text[: _fitting(text, width - len(mark))] + mark + _END * (_END in text)


def _folded(text: str, limit: int, hang: int) -> Iterator[str]:
    """
    Stream the lines of at most *limit* columns; the second one begins with blanks.

    A command in quotes is whole, to be copied; a terminal wraps it if it is longer.
    """
    indent, line = " " * min(hang, limit // 2), ""
    for word in re.findall(f" *(?:{_TIME}|'[^']*'|[^ ])[^ ]*| +$", text):
        # A short first word would leave most of a line empty.
        is_short = _width(line) <= max(limit // 3, len(indent)) and " '" not in word
        if not line.strip() or is_short or _width(line + word) <= limit:
            line += word
        else:
            yield line
            line = indent + word.lstrip()
        while _width(line) > limit and "'" not in word:
            end = max(_fitting(line, limit), len(indent) + 1)
            yield line[:end]
            line = indent + line[end:]
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
            report(error)
            failed = True
    if failed:
        raise SystemExit(2)
    return answers
