"""
What a record is: its name, how it is read, and what counts as valid.

The one place that knows what garbage is, for readers and writers alike. Every
activation loads this module: it imports at module level only what a bare
interpreter has loaded, and two C modules of CPython, each with its public
fall-back.
"""

import os
import stat
import sys
import time

try:
    from _blake2 import blake2b
except ImportError:  # not promised to be there; hashlib is, and takes longer to load
    from hashlib import blake2b

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from upgrade_state.exceptions import StateReadError

    Record: TypeAlias = dict[str, Any]

MAX_SIZE = 1 << 20
MAX_DEPTH = 16

# Integers that every JSON implementation holds exactly (RFC 8259, section 6).
MAX_INTEGER = (1 << 53) - 1

# Between these two, times have the same width and compare as text.
FIRST_SECOND = -30_610_224_000  # 1000-01-01T00:00:00Z
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z

# O_NONBLOCK: opening a FIFO must not wait for its other end.
READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY = stat.S_IFDIR
_REGULAR = stat.S_IFREG
_KIND = 0o170000  # what stat.S_IFMT masks, without the call
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))

_DIGEST_PREFIX = "blake2b:"
HEX = frozenset("0123456789abcdef")
_MONTH_LENGTHS = {
    **dict.fromkeys(("01", "03", "05", "07", "08", "10", "12"), "31"),
    **dict.fromkeys(("04", "06", "09", "11"), "30"),
    "02": "28",
}


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


# Times


def text_of(seconds: int) -> str:
    """
    Write *seconds* since the epoch as ``YYYY-MM-DDTHH:MM:SSZ``.

    What lies outside of the years 1000 to 9999 becomes the nearest time inside.
    """
    seconds = min(max(seconds, FIRST_SECOND), LAST_SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def epoch_of(text: str) -> int:
    """
    Return a time of a record in seconds since the epoch: `text_of` the other way.
    """
    year, month, day = int(text[:4]), int(text[5:7]), int(text[8:10])
    # Years from March to February: their leap day is the last one.
    year, month = (year - 1, month + 9) if month < 3 else (year, month - 3)
    leap_days = year // 4 - year // 100 + year // 400
    days = 365 * year + leap_days + (153 * month + 2) // 5 + day - 719_469
    hours = 24 * days + int(text[11:13])
    return 3600 * hours + 60 * int(text[14:16]) + int(text[17:19])


def is_time(value: object) -> bool:
    """
    Tell whether *value* is a time as a record holds it, and in the calendar.
    """
    if type(value) is not str or len(value) != 20 or value[4::3] != "--T::Z":
        return False
    digits = value[:4] + value[5:7] + value[8:10] + value[11:13] + value[14:16]
    digits += value[17:19]
    if not (digits.isascii() and digits.isdigit() and digits >= "1000"):
        return False
    day, last = digits[6:8], _days_in(int(digits[:4]), digits[4:6])
    return (
        "01" <= day <= last
        and digits[8:10] < "24"
        and max(digits[10:12], digits[12:]) < "60"
    )


def _days_in(year: int, month: str) -> str:
    """
    Return the number of the last day; "" for no month of the calendar.
    """
    if month == "02" and year % 4 == 0 and (year % 100 or year % 400 == 0):
        return "29"
    return _MONTH_LENGTHS.get(month, "")


# Reading


def record_path(root: str, key: str) -> str:
    """
    Return where the record of *key* lies below *root*, the directory ``v1``.
    """
    return f"{root}/{key}.json"


def log_path(root: str, key: str) -> str:
    """
    Return where the log of its last check in the background lies.
    """
    return f"{root}/logs/{key}.log"


def distrust(root: "os.stat_result") -> "str | None":
    """
    Say why nothing in the directory *root* is to be believed or written.

    Returns:
        None where it is a directory of the effective user that nobody else
        may write to.
    """
    mode = root.st_mode
    if mode & _KIND != _DIRECTORY:
        return "is a symlink" if stat.S_ISLNK(mode) else "is no directory"
    if os.name == "nt":  # ACLs of the profile directory decide there
        return None
    if root.st_uid != os.geteuid():
        return f"belongs to user {root.st_uid}, not to user {os.geteuid()}"
    return "may be written to by others" if mode & _OTHERS_WRITE else None


def is_trusted(root: str) -> bool:
    """
    Tell whether the directory *root* is there.

    Raises:
        StateReadError: It is there and not to be believed, or hidden.
    """
    try:
        problem = distrust(os.lstat(root))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable("the store", error, root) from error
    if problem is None:
        return True
    raise read_error(f"The store {problem} and is not used", root)


def read_file(root: str, path: str, limit: int) -> "bytes | None":
    """
    Read a file of the store below *root*.

    Returns:
        None where there is no such file; no bytes for what is no regular file,
        a symlink included, or is larger than *limit* bytes.

    Raises:
        StateReadError: It exists, but cannot be read or is not to be believed.
    """
    if not is_trusted(root):
        return None
    try:
        return read_regular(path, READ | NO_LINKS, limit) or b""
    except FileNotFoundError:
        return None
    except OSError as error:
        # A symlink, a socket and the like cannot even be opened.
        if _is_irregular(path):
            return b""
        raise unreadable("the file", error, path) from error


def _is_irregular(path: str) -> bool:
    """
    Tell whether there is something other than a regular file, as far as one sees.
    """
    try:
        return not stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:  # a check may have healed it by now
        return False


def read_regular(path: str, flags: int, limit: int) -> "bytes | None":
    """
    Return the contents of a regular file; None for anything else or larger.
    """
    fd = os.open(path, flags)
    try:
        status = os.fstat(fd)
        if status.st_mode & _KIND != _REGULAR or status.st_size > limit:
            return None
        # One byte more than it had, so that growth is seen as well.
        data = os.read(fd, status.st_size + 1)
        while len(data) < status.st_size and (more := os.read(fd, limit)):
            data += more  # a network file system cut it short
        return data
    finally:
        os.close(fd)


def unreadable(noun: str, error: OSError, path: str) -> "StateReadError":
    """
    Return the error that a file cannot be read; to be raised `from` *error*.
    """
    return read_error(f"Could not read {noun} ({error.strerror})", path)


def read_error(message: str, path: "str | None") -> "StateReadError":
    """
    Return an error whose class is loaded now: an activation seldom needs one.
    """
    from upgrade_state.exceptions import StateReadError

    return StateReadError(message, path)


# Shapes of the fields


def is_lockfile_name(value: object) -> bool:
    """
    Tell whether *value* names a file below a directory, without detours.
    """
    if type(value) is not str or "\0" in value or "\\" in value:
        return False
    return {"", ".", ".."}.isdisjoint(value.split("/"))


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
        and HEX.issuperset(digits(value))
    )


def _is_counts(value: object) -> bool:
    if type(value) is not dict or "*" not in value:
        return False
    return all(_fits(count, _COUNT) for count in value.values())


# What stands for a field that is missing; no JSON is that.
_MISSING: "Any" = ...

# A shape is a test, a type, an object's fields with a shape each, (None, shape)
# for what may be null, or (_MISSING, shape) for what may also be missing: added
# later. Plain data and one loop: closures take longer to make.
_COUNT = {"version": _is_count, "rebuild": _is_count}
_FILE = {"digest": _is_digest, "size": _is_count}
_RESULT = {
    "format": (None, is_short_name),
    "old_lockfile": (None, _FILE),
    "new_lockfile": _FILE,
    "upgrades": (None, _FILE),
    "counts": (None, _is_counts),
}
_FAILURE = {
    "at": is_time,
    "attempts": _is_count,
    "message": str,
    "since": (_MISSING, is_time),
}
_RECORD = {
    "environment": _is_directory,
    "lockfile": (None, is_lockfile_name),
    "recipe": (None, is_short_name),
    "generation": _is_count,
    "last_checked": (None, is_time),
    "result": (None, _RESULT),
    "last_notified": (None, is_time),
    "snoozed_until": (None, is_time),
    "failure": (None, _FAILURE),
}

# A field that is missing means the same as null, and no generation means none.
DEFAULTS = {**dict.fromkeys(_RECORD), "generation": 0}

# Missing until there is something to say, so that records stay the bytes they were.
_RECORD["failure_notified"] = (_MISSING, is_time)


def _fits(value: object, shape: "Any") -> bool:
    """
    Tell whether *value* has a *shape*; more fields than those are of no interest.
    """
    kind = type(shape)
    if kind is tuple:
        return value is None or value is shape[0] or _fits(value, shape[1])
    if kind is type:
        return type(value) is shape
    if kind is not dict:
        fits: bool = shape(value)
        return fits
    if type(value) is not dict:
        return False
    for name, field in shape.items():
        part = value.get(name, _MISSING)
        if not _fits(part, field):
            return False
    return True


# Records


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
    record = {**DEFAULTS, **record}
    if not _fits(record, _RECORD):
        return None
    directory, lockfile = record["environment"], record["lockfile"]
    try:
        name = None if lockfile is None else path_bytes(lockfile)
        return record if environment_key(path_bytes(directory), name) == key else None
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
    # Only what has more than that many brackets can be nested deeper. Looked at
    # first: then it is the caller who is to blame where the stack is used up,
    # and not the record, which would be replaced as garbage.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH < _nesting(data):
        return None
    try:
        value = load_json(data.decode())
    except ValueError:
        return None
    return value if type(value) is dict else None


def _nesting(data: bytes) -> int:
    """
    Count how deep the brackets of JSON *data* are nested; no further than it takes.
    """
    # What is between quotes; escaped ones are none, escaped backslashes are gone.
    parts = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    depth = deepest = 0
    for bracket in b"".join(parts[::2]).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"{[" else -1
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            break
    return deepest


def _finite(number: str) -> float:
    value = float(number)
    if value - value != 0:
        raise ValueError(number)
    return value


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _load_with_json(text: str) -> object:
    from json import loads

    return loads(text, parse_float=_finite, parse_constant=_refuse)


try:
    from _json import make_scanner

    # What it asks of its decoder; a types.SimpleNamespace without loading types.
    _decoder: "Any" = type(sys.implementation)
    _scan = make_scanner(
        _decoder(
            strict=True,
            object_hook=None,
            object_pairs_hook=None,
            parse_float=_finite,
            parse_int=int,
            parse_constant=_refuse,
        )
    )
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
