"""
What a record is: its name, its digests, its times, and what counts as valid.

The one place that knows what garbage is, for readers and writers alike. Pure:
no file is touched and no clock is asked. Every activation loads this module:
it imports at module level only what a bare interpreter has loaded, and two C
modules of CPython, each with its public fall-back.
"""

import os
import time

try:
    from _blake2 import blake2b
except ImportError:  # not promised to be there; hashlib is, and takes longer to load
    from hashlib import blake2b

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    Record: TypeAlias = dict[str, Any]

MAX_SIZE = 1 << 20
MAX_DEPTH = 16

# Integers that every JSON implementation holds exactly (RFC 8259, section 6).
MAX_INTEGER = (1 << 53) - 1

# Between these two, times have the same width and compare as text.
FIRST_SECOND = -30_610_224_000  # 1000-01-01T00:00:00Z
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z

_DIGEST_PREFIX = "blake2b:"
_HEX = frozenset("0123456789abcdef")
_MONTH_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def environment_key(directory: bytes, lockfile: "bytes | None") -> str:
    """
    Name the environment of a canonical *directory* and its *lockfile*.

    Returns:
        32 hex digits: BLAKE2b-128 of the directory, followed by a NUL byte and
        the lockfile's name where there is one.
    """
    name = directory if lockfile is None else directory + b"\0" + lockfile
    return blake2b(name, digest_size=16).hexdigest()


def digest(content: bytes) -> str:
    """
    Return ``blake2b:`` and the 64 hex digits of the BLAKE2b-256 of *content*.
    """
    return _DIGEST_PREFIX + blake2b(content, digest_size=32).hexdigest()


def digits(digest: str) -> str:
    """
    Return the 64 hex digits of a *digest*: the name of its file in `results/`.
    """
    return digest[len(_DIGEST_PREFIX) :]


def is_key(text: str) -> bool:
    """
    Tell whether *text* can be the key of an environment.
    """
    return len(text) == 32 and _HEX.issuperset(text)


# Times


def text_of(seconds: int) -> str:
    """
    Write *seconds* since the epoch as ``YYYY-MM-DDTHH:MM:SSZ``.

    What lies outside of the years 1000 to 9999 becomes the nearest time inside.
    """
    seconds = min(max(seconds, FIRST_SECOND), LAST_SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def is_time(value: object) -> bool:
    """
    Tell whether *value* is a time as a record holds it, and in the calendar.
    """
    if type(value) is not str or len(value) != 20 or value[4::3] != "--T::Z":
        return False
    numbers = (value[:4], value[5:7], value[8:10], value[11:13], value[14:16])
    if not all(n.isascii() and n.isdigit() for n in (*numbers, value[17:19])):
        return False
    year, month, day, hour, minute = map(int, numbers)
    return (
        year >= 1000
        and 1 <= month <= 12
        and 1 <= day <= _days_in(year, month)
        and hour < 24
        and minute < 60
        and int(value[17:19]) < 60
    )


def _days_in(year: int, month: int) -> int:
    if month == 2 and (year % 4 or (year % 100 == 0 and year % 400)):
        return 28
    return _MONTH_LENGTHS[month - 1]


# Shapes of the fields


def is_lockfile_name(value: object) -> bool:
    """
    Tell whether *value* names a file below a directory, without detours.
    """
    if type(value) is not str or "\0" in value or "\\" in value:
        return False
    return all(part not in ("", ".", "..") for part in value.split("/"))


def is_short_name(value: object) -> bool:
    """
    Tell whether *value* is fit to be the name of a format or a recipe.
    """
    return type(value) is str and 0 < len(value) <= 64


def _is_directory(value: object) -> bool:
    return type(value) is str and os.path.isabs(value) and "\0" not in value


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _is_digest(value: object) -> bool:
    return (
        type(value) is str
        and len(value) == len(_DIGEST_PREFIX) + 64
        and value.startswith(_DIGEST_PREFIX)
        and _HEX.issuperset(digits(value))
    )


def _optional(check: "Callable[[object], bool]") -> "Callable[[object], bool]":
    return lambda value: value is None or check(value)


def _object(**fields: "Callable[[object], bool]") -> "Callable[[object], bool]":
    """
    Make a check of an object that has all *fields*; others are of no interest.
    """

    def is_object(value: object) -> bool:
        return type(value) is dict and all(
            name in value and check(value[name]) for name, check in fields.items()
        )

    return is_object


def _is_counts(value: object) -> bool:
    return type(value) is dict and "*" in value and all(map(_is_pair, value.values()))


_is_pair = _object(version=_is_count, rebuild=_is_count)
_is_file = _object(digest=_is_digest, size=_is_count)
_is_result = _object(
    format=_optional(is_short_name),
    old_lockfile=_optional(_is_file),
    new_lockfile=_is_file,
    upgrades=_optional(_is_file),
    counts=_optional(_is_counts),
)
_is_failure = _object(
    at=is_time,
    attempts=lambda value: _is_count(value) and value != 0,
    message=lambda value: type(value) is str,
)

# A field that is missing means the same as its default.
_FIELDS = {
    "environment": (None, _is_directory),
    "lockfile": (None, _optional(is_lockfile_name)),
    "recipe": (None, _optional(is_short_name)),
    "generation": (0, _is_count),
    "last_checked": (None, _optional(is_time)),
    "result": (None, _optional(_is_result)),
    "last_notified": (None, _optional(is_time)),
    "snoozed_until": (None, _optional(is_time)),
    "failure": (None, _optional(_is_failure)),
}


# Records


def new_record(environment: str, lockfile: "str | None") -> "Record":
    """
    Make the record of an environment of which nothing else is known.
    """
    record = {name: default for name, (default, _) in _FIELDS.items()}
    return record | {"environment": environment, "lockfile": lockfile}


def valid(data: bytes, key: str) -> "Record | None":
    """
    Turn the bytes of a record's file into its JSON object.

    Args:
        key: The key in the file's name.

    Returns:
        The object with every known field, unknown fields at the top level
        included; None for everything that is no record: see docs/reference.md.
    """
    record = parse(data)
    if record is None:
        return None
    for name, (default, is_valid) in _FIELDS.items():
        if not is_valid(record.setdefault(name, default)):
            return None
    return record if _names(record["environment"], record["lockfile"]) == key else None


def _names(environment: str, lockfile: "str | None") -> "str | None":
    try:
        return environment_key(
            path_bytes(environment), None if lockfile is None else path_bytes(lockfile)
        )
    except UnicodeEncodeError:  # a surrogate that no byte was escaped to
        return None


def path_bytes(text: str) -> bytes:
    """
    Return the bytes of a path as a record holds it.

    Raises:
        UnicodeEncodeError: *text* does not come from `path_text`.
    """
    return text.encode("utf-8", "surrogateescape")


def path_text(path: bytes) -> str:
    """
    Return *path* as a record holds it, whatever the locale's encoding is.
    """
    return path.decode("utf-8", "surrogateescape")


def dump(record: "Record") -> bytes:
    """
    Write *record* as compact ASCII JSON.
    """
    from json import dumps  # noqa: PLC0415 - only who writes needs it

    return dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii")


# JSON


def parse(data: bytes) -> "Record | None":
    """
    Turn *data* into a JSON object within the limits of a record.

    Returns:
        None for what is larger than `MAX_SIZE`, no UTF-8, no JSON object,
        nested deeper than `MAX_DEPTH` or has a number that is not finite.
    """
    if len(data) > MAX_SIZE:
        return None
    try:
        value = load_json(data.decode())
    except (ValueError, RecursionError):
        return None
    # Only what has more than that many brackets can be nested deeper.
    deep = data.count(b"{") + data.count(b"[") > MAX_DEPTH and _is_deep(value)
    return value if type(value) is dict and not deep else None


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
    return any(type(child) in (dict, list) for child in level)


def _children(value: object) -> "Any":
    if type(value) is dict:
        return value.values()
    return value if type(value) is list else ()


def _finite(number: str) -> float:
    value = float(number)
    if value - value != 0:
        raise ValueError(number)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _load_with_json(text: str) -> object:
    from json import loads  # noqa: PLC0415 - the fall-back

    return loads(text, parse_float=_finite, parse_constant=_refuse)


class _Context:
    """
    What the scanner of CPython's json asks of its decoder.
    """

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = _finite
    parse_int = int
    parse_constant = _refuse


try:
    from _json import make_scanner

    _scan = make_scanner(_Context)  # type: ignore[arg-type] # any such object will do
except (ImportError, AttributeError, TypeError):  # another scanner, or none
    load_json = _load_with_json
else:

    def load_json(text: str) -> object:
        """
        Return the value of the JSON *text*; ValueError where it is none.
        """
        text = text.strip(" \t\n\r")
        try:
            value, end = _scan(text, 0)
        except (StopIteration, SystemError):
            # CPython 3.11's scanner raises SystemError where it has found a
            # mistake and json.decoder, which holds the right class, is not loaded.
            raise ValueError("no JSON") from None
        if end != len(text):
            raise ValueError("more than one value")
        return value
