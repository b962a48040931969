"""
Parse the bytes of a lockfile, and check the shapes of its values.

Lockfiles are untrusted: they come from any directory that a user enters.
Limits, encodings and errors of parsers are handled here for all formats.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from typing import Any, NoReturn

Table = dict[str, Any]

# About 17 times the largest lockfile seen.
MAX_SIZE = 16 * 1024 * 1024

# In one line of TOML, outside of strings. Real keys have up to three.
_MAX_DOTS = 50

_STRING = re.compile(r"""\"(?:[^"\\]|\\.)*\"|'[^']*'""")

# Levels of nesting in YAML. Real lockfiles have up to seven.
_MAX_LEVELS = 100

# A line that starts with a percent sign; YAML knows five line breaks.
_DIRECTIVE = re.compile("(?:^|[\r\n\x85\u2028\u2029])%")

# A version that a problem shows.
_NUMBER = re.compile("[0-9][0-9.]{0,11}")

# A SHA-1 or a SHA-256.
_COMMIT = re.compile("[0-9A-Fa-f]{40}(?:[0-9A-Fa-f]{24})?")


class UnreadableError(ValueError):
    """
    A lockfile is opaque; the message is the problem for its `Snapshot`.
    """


def load_text(content: bytes) -> str:
    """
    Decode *content*, unless it cannot be a lockfile of any format.
    """
    refuse(content)
    return _decode(content)


def load_requirements(content: bytes) -> str:
    """
    Decode *content* from UTF-8, or from UTF-16 if it has a byte order mark.

    PowerShell writes ``pip freeze > requirements.txt`` in UTF-16, and pip reads it.
    """
    if content.startswith((BOM_UTF16_BE, BOM_UTF16_LE)):
        _refuse_at_once(content)
        content = _decode(content, "UTF-16").encode()
    return load_text(content)


def refuse(content: bytes) -> None:
    """
    Raise an error if *content* cannot be a lockfile of any format.
    """
    _refuse_at_once(content)
    _refuse_conflicts(content)


def load_json(content: bytes) -> Any:
    """
    Parse JSON strictly: NaN and Infinity are refused, as RFC 8259 demands.
    """
    import json  # noqa: PLC0415 -- not every format needs it

    _refuse_at_once(content)
    document = _decode(content)
    try:
        return json.loads(document, parse_constant=_refuse_constant)
    except ValueError:  # also for a number of more than 4300 digits
        # Only here: the search takes time, and no valid JSON has conflicts.
        _refuse_conflicts(content)
        raise UnreadableError("cannot be parsed") from None


def load_toml(content: bytes) -> Table:
    """
    Parse TOML, with at most 50 dots in the keys of a line.
    """
    import tomllib  # noqa: PLC0415 -- not every format needs it

    document = load_text(content)
    for line in document.split("\n"):
        dots = line.count(".")
        # A string of several lines has no end that this line would show.
        if dots > _MAX_DOTS and '"""' not in line and "'''" not in line:
            dots = _STRING.sub("", line).count(".")
        # A key of n parts takes tomllib time and memory of the order of n²,
        # without any recursion. A key ends with its line.
        if dots > _MAX_DOTS:
            raise UnreadableError("nested too deeply")
    try:
        return tomllib.loads(document)
    except ValueError:  # also for a number of more than 4300 digits
        raise UnreadableError("cannot be parsed") from None


def load_yaml(content: bytes) -> Any:
    """
    Parse YAML: one document of tables, lists and texts.

    Every scalar is a text, whatever its form or tag; otherwise the version
    1.10 would be 1.1. A value that is left out is an empty text.
    """
    document = load_text(content)
    try:
        import yaml  # noqa: PLC0415 -- not every format needs it
    except ImportError:
        raise UnreadableError("needs upgrade-state[yaml]") from None
    # libyaml takes time of the order of n² for n directives.
    if _DIRECTIVE.search(document):
        raise UnreadableError("cannot be parsed")
    # The loader in Python is ten times as slow.
    loader = yaml.CBaseLoader if hasattr(yaml, "CBaseLoader") else yaml.BaseLoader
    try:
        (value,) = _values(loader(document))
    except UnreadableError:
        raise
    # The loader in Python raises OverflowError for an escape too large.
    except (yaml.YAMLError, OverflowError, TypeError, ValueError):
        raise UnreadableError("cannot be parsed") from None
    # YAML has no closing brackets, so half a lockfile could pass for one of
    # fewer packages. All tools that write such lockfiles end their last line.
    if not document.endswith("\n"):
        raise UnreadableError("cut off")
    return value


def demand_version(version: object, *known: int | str) -> None:
    """
    Refuse a document whose version is not one of *known*.

    Types have to match: neither True nor 1.0 is the version 1.
    """
    if type(version) not in map(type, known):
        raise TypeError("no version")
    if version not in known:
        # Anything else could carry escape sequences to a terminal.
        number = _NUMBER.fullmatch(str(version))
        shown = f" {number[0]}" if number else ""
        raise UnreadableError(f"unsupported version{shown}")


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
    found = items(value)
    for item in found:
        if not isinstance(item, dict):
            raise TypeError("no list of tables")
    return found


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

    Only the commit is kept, because the URL may contain a password.
    """
    commit = url.rpartition("#")[2]
    return commit if _COMMIT.fullmatch(commit) else None


def _refuse_at_once(content: bytes) -> None:
    if len(content) > MAX_SIZE:
        raise UnreadableError("larger than 16 MiB")
    # An empty file is valid TOML, but a sign of a tool that failed, not of
    # packages that were removed.
    if not content or content.isspace():
        raise UnreadableError("empty")
    if content.startswith(BOM_UTF8):
        raise UnreadableError("starts with a byte order mark")


def _refuse_conflicts(content: bytes) -> None:
    # Some formats would accept these lines as content.
    if content.startswith(b"<<<<<<< ") or b"\n<<<<<<< " in content:
        raise UnreadableError("has merge conflicts")


def _decode(content: bytes, encoding: str = "UTF-8") -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise UnreadableError(f"not valid {encoding}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"no number: {name}")


def _values(loader: Any) -> list[Any]:
    """
    Build one value per document from the events of *loader*.

    PyYAML's own constructor takes two to three times as long, lets the last
    of several equal keys win, and crashes on deep nesting.
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
            mapping = dict(zip(pairs[::2], pairs[1::2], strict=True))
            if len(mapping) * 2 != len(pairs):
                raise ValueError("a key occurs twice")
            levels[-1].append(mapping)
        elif kind is events.AliasEvent:
            # n aliases, each of the previous one twice, are 2ⁿ values.
            raise ValueError("an alias")
    return levels[0]
