"""
From bytes to a document, and what readers may believe of one.

Lockfiles come from directories that one merely enters. Limits, encodings and
parser errors are dealt with here, once for all formats.
"""

import re
from functools import cache
from io import StringIO
from string import hexdigits
from typing import Any, NoReturn

Table = dict[str, Any]

# Some 17 times the largest lockfile seen.
MAX_SIZE = 16 * 1024 * 1024

# In one line of TOML, strings left out. Real keys have up to three.
_MAX_DOTS = 50

_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'[^']*'""")

# Of values inside one another in YAML. Real lockfiles have up to seven levels.
_MAX_LEVELS = 100

# A line that starts with a percent sign; YAML knows five line breaks.
_DIRECTIVE = re.compile("(?:^|[\r\n\x85\u2028\u2029])%")

_CONFLICTS = "has merge conflicts"

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
    refuse(content)
    return _decoded(content)


def refuse(content: bytes) -> None:
    """
    Raise an error if *content* cannot be a lockfile of any format.
    """
    if problem := _problem(content):
        raise UnreadableError(problem)
    if _has_conflicts(content):
        raise UnreadableError(_CONFLICTS)


def load_json(content: bytes) -> Any:
    """
    Parse JSON, strictly: NaN and Infinity are no JSON.
    """
    if problem := _problem(content):
        raise UnreadableError(problem)
    try:
        return _json_decoder().decode(_decoded(content))
    except UnreadableError:
        raise
    except ValueError:  # a number of too many digits included
        # No JSON could have these; to look for them takes time.
        problem = _CONFLICTS if _has_conflicts(content) else "cannot be parsed"
        raise UnreadableError(problem) from None


def load_toml(content: bytes) -> Table:
    """
    Parse TOML.
    """
    import tomllib  # noqa: PLC0415 -- not every format needs it

    text = load_text(content)
    # A key of n parts takes tomllib time and memory of the order of n², and
    # needs no recursion. It cannot be longer than its line.
    if any(_dots(line) > _MAX_DOTS for line in StringIO(text)):
        raise UnreadableError("nested too deeply")
    try:
        return tomllib.loads(text)
    except ValueError:  # a number of too many digits included
        raise UnreadableError("cannot be parsed") from None


def load_yaml(content: bytes) -> Any:
    """
    Parse YAML: one document of tables, lists and texts.

    Every scalar is a text, whatever it looks like and however it is tagged;
    else version 1.10 would be 1.1. One that is left out is an empty text.
    """
    text = load_text(content)
    try:
        import yaml  # noqa: PLC0415 -- not every format needs it
    except ImportError:
        raise UnreadableError("needs upgrade-state[yaml]") from None
    # libyaml takes time of the order of n² for n directives.
    if _DIRECTIVE.search(text):
        raise UnreadableError("cannot be parsed")
    # The one in Python is ten times as slow.
    loader = yaml.CBaseLoader if hasattr(yaml, "CBaseLoader") else yaml.BaseLoader
    try:
        (document,) = _documents(loader(text))
    except UnreadableError:
        raise
    # An overflow is how the loader in Python fails at an escape too large.
    except (yaml.YAMLError, OverflowError, TypeError, ValueError):
        raise UnreadableError("cannot be parsed") from None
    # Nothing has to be closed in YAML, so half a lockfile could pass for one
    # of fewer packages. Whoever writes lockfiles ends their last line.
    if not text.endswith("\n"):
        raise UnreadableError("cut off")
    return document


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
    if not content or content.isspace():
        return "empty"
    if content.startswith(b"\xef\xbb\xbf"):
        return "starts with a byte order mark"
    return None


def _has_conflicts(content: bytes) -> bool:
    # Some formats would take these lines for content.
    return content.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in content


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise UnreadableError("not valid UTF-8") from None


def _dots(line: str) -> int:
    """
    Return how many dots there are in a line of TOML, if they may be in keys.
    """
    dots = line.count(".")
    # Of a string of several lines it does not show where it ends.
    if dots <= _MAX_DOTS or '"""' in line or "'''" in line:
        return dots
    return _STRING.sub("", line).count(".")


@cache
def _json_decoder() -> Any:
    from json import JSONDecoder  # noqa: PLC0415 -- not every format needs it

    return JSONDecoder(parse_constant=_refuse)


def _documents(loader: Any) -> list[Any]:
    """
    Build documents from the events of *loader*.

    Its own way to build them takes two to three times as long, lets the last
    of several equal keys win, and crashes where they are nested deeply.
    """
    from yaml import events  # noqa: PLC0415 -- see load_yaml()

    levels: list[list[Any]] = [[]]
    for event in iter(loader.get_event, None):
        kind = type(event)
        if kind is events.ScalarEvent:
            levels[-1].append(event.value)
        elif kind is events.SequenceStartEvent or kind is events.MappingStartEvent:
            if len(levels) > _MAX_LEVELS:
                raise UnreadableError("nested too deeply")
            levels.append([])
        elif kind is events.SequenceEndEvent:
            value = levels.pop()
            levels[-1].append(value)
        elif kind is events.MappingEndEvent:
            pairs = levels.pop()
            levels[-1].append(_mapping(pairs[::2], pairs[1::2]))
        elif kind is events.AliasEvent:
            # A few of them, each of the last one twice, are billions of values.
            raise ValueError("an alias")
    return levels[0]


def _mapping(keys: list[Any], values: list[Any]) -> Table:
    mapping = dict(zip(keys, values, strict=True))
    if len(mapping) != len(keys):
        raise ValueError("a key is there twice")
    return mapping


def _refuse(_constant: str) -> NoReturn:
    raise ValueError("no number")


def _number(version: str) -> str:
    # Anything longer or stranger is hostile, and would reach a terminal.
    is_number = len(version) <= 12 and version.replace(".", "").isdecimal()
    return version if is_number and version.isascii() else ""
