"""
From bytes to a document, and what readers may believe of one.

Lockfiles come from directories that one merely enters. Limits, encodings and
parser errors are dealt with here, once for all formats.
"""

from io import StringIO
from string import hexdigits
from typing import Any, NoReturn

Table = dict[str, Any]

# Some 17 times the largest lockfile seen.
MAX_SIZE = 16 * 1024 * 1024

# In one line. Real lockfiles have up to 50, in lists of version ranges.
_MAX_DOTS = 1000

# The length of a SHA-1 and of a SHA-256.
_COMMIT_LENGTHS = (40, 64)


class UnreadableError(ValueError):
    """
    A lockfile is opaque; the message is the problem for its `Snapshot`.
    """


def load_text(content: bytes) -> str:
    """
    Decode *content*, unless it cannot be a lockfile of any format.
    """
    if problem := _problem(content):
        raise UnreadableError(problem)
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UnreadableError("not valid UTF-8") from None


def load_json(content: bytes) -> Any:
    """
    Parse JSON, strictly: NaN and Infinity are no JSON.
    """
    import json  # noqa: PLC0415 -- not every format needs it

    text = load_text(content)
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:  # a number of too many digits included
        raise UnreadableError("cannot be parsed") from None


def load_toml(content: bytes) -> Table:
    """
    Parse TOML.
    """
    import tomllib  # noqa: PLC0415 -- not every format needs it

    text = load_text(content)
    # A key of n parts takes tomllib time and memory of the order of n², and
    # needs no recursion. It cannot be longer than its line.
    if any(line.count(".") > _MAX_DOTS for line in StringIO(text)):
        raise UnreadableError("nested too deeply")
    try:
        return tomllib.loads(text)
    except ValueError:  # a number of too many digits included
        raise UnreadableError("cannot be parsed") from None


def demand_version(found: object, *known: int | str) -> None:
    """
    Refuse a document whose version is not one of *known*.

    True is not 1, and 1.0 is not either.
    """
    if type(found) not in {type(version) for version in known}:
        raise TypeError("no version")
    if found not in known:
        raise UnreadableError(f"unsupported version {_number(str(found))}".rstrip())


def table(value: object) -> Table:
    """
    Return *value*, which has to be a table.
    """
    if not isinstance(value, dict):
        raise TypeError("no table")
    return value


def items(value: object) -> list[Any]:
    """
    Return *value*, which has to be a list.
    """
    if not isinstance(value, list):
        raise TypeError("no list")
    return value


def tables(value: object) -> list[Table]:
    """
    Return *value*, which has to be a list of tables.
    """
    return [table(item) for item in items(value)]


def text(value: object) -> str:
    """
    Return *value*, which has to be a text that is not empty.
    """
    if not isinstance(value, str) or not value:
        raise TypeError("no text")
    return value


def optional_text(value: object) -> str | None:
    """
    Return *value*, which has to be a text, possibly empty, or None.
    """
    if value is not None and not isinstance(value, str):
        raise TypeError("neither text nor None")
    return value


def commit_of(url: str) -> str | None:
    """
    Return the commit that the fragment of a repository's *url* names.

    The URL itself goes no further: it may hold a password.
    """
    commit = url.rpartition("#")[2]
    is_commit = len(commit) in _COMMIT_LENGTHS and set(commit) <= set(hexdigits)
    return commit if is_commit else None


def _problem(content: bytes) -> str | None:
    if len(content) > MAX_SIZE:
        return "larger than 16 MiB"
    # Valid TOML, but a tool that has written nothing has not removed all
    # packages.
    if not content.strip():
        return "empty"
    if content.startswith(b"\xef\xbb\xbf"):
        return "starts with a byte order mark"
    # Some formats would take these lines for content.
    if content.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in content:
        return "has merge conflicts"
    return None


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("no number")


def _number(version: str) -> str:
    # Anything longer or stranger is hostile, and would reach a terminal.
    is_number = len(version) <= 12 and version.replace(".", "").isdecimal()
    return version if is_number and version.isascii() else ""
