"""
The record of one environment: its name, its times, its reading, its validity.

In this order:

keys: the name of an environment's files, and digests of content;
times: whole seconds since the epoch, as text of fixed width;
reading: whether the store is trusted, and safe reading of its files;
shapes: the type and form of every known field;
records: bytes to a valid JSON object, and paths as text;
JSON: parsing within the limits of a record.

Validity is decided here alone, for readers and writers. Every activation loads
this module: it imports at module level only modules that a bare interpreter has
loaded, and two C modules of CPython, each with its public fallback.
"""

import os
import stat
import sys
import time

try:
    from _blake2 import blake2b
except ImportError:  # private to CPython; hashlib takes longer to load
    from hashlib import blake2b

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeAlias

    from upgrade_state.exceptions import StateReadError

    Record: TypeAlias = dict[str, Any]

MAX_SIZE = 1 << 20
MAX_DEPTH = 16

# A record stays below 4 KiB whatever options a check has.
OPTIONS_LENGTH = 1000

# Integers that every JSON implementation holds exactly (RFC 8259, section 6).
MAX_INTEGER = (1 << 53) - 1

# Between these two, times have a fixed width, so they compare as text.
FIRST_SECOND = -30_610_224_000  # 1000-01-01T00:00:00Z
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z

# O_NONBLOCK: opening a FIFO would wait for a writer.
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
_KIND = 0o170000  # the mask of stat.S_IFMT, which costs a call
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_DIGEST_PREFIX = "blake2b:"
HEX = "0123456789abcdef"

# A time with zeros for digits.
_FORM = b"0000-00-00T00:00:00Z"
_ZEROS = bytes.maketrans(b"123456789", b"000000000")


def environment_key(
    directory: bytes, lockfile: "bytes | None", name: "bytes | None" = None
) -> str:
    """
    Return the key of an environment: a canonical *directory*, *lockfile* and *name*.

    Returns:
        32 hex digits: BLAKE2b-128 of the directory, followed, if there is a
        lockfile, by a NUL byte and its name; then, if the environment has a name,
        by another NUL byte and that name, after an empty lockfile if there is none.
    """
    if name is not None:
        lockfile = (lockfile or b"") + b"\0" + name
    text = directory if lockfile is None else directory + b"\0" + lockfile
    return blake2b(text, digest_size=16).hexdigest()


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

    A time outside the years 1000 to 9999 becomes the nearest time inside.
    """
    seconds = min(max(seconds, FIRST_SECOND), LAST_SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def epoch_of(text: str) -> int:
    """
    Return seconds since the epoch for a time of a record; reverses `text_of`.
    """
    year, month = int(text[:4]), int(text[5:7])
    # Count years from March, so that a leap day is the last day of its year.
    if month < 3:
        year, month = year - 1, month + 12
    leap_days = year // 4 - year // 100 + year // 400
    days = 365 * year + leap_days + (153 * month - 457) // 5 + int(text[8:10])
    seconds = 3600 * int(text[11:13]) + 60 * int(text[14:16]) + int(text[17:19])
    return 86_400 * (days - 719_469) + seconds


def is_time(value: object) -> bool:
    """
    Return whether *value* is a time of a record, and a day of the calendar.
    """
    return (
        type(value) is str
        and value.isascii()
        and value.encode().translate(_ZEROS) == _FORM
        and value >= "1000"
        and "01" <= value[5:7] <= "12"
        and value[11:13] < "24"
        and value[14:16] < "60"
        and value[17:19] < "60"
        # Every month has 28 days. Another day, such as 30 February, has another text.
        and ("01" <= value[8:10] <= "28" or text_of(epoch_of(value)) == value)
    )


# Reading


def record_path(root: str, key: str) -> str:
    """
    Return the path of the record of *key* below *root*, the directory ``v1``.
    """
    return f"{root}/{key}.json"


def log_path(root: str, key: str) -> str:
    """
    Return the path of the log of its last background check.
    """
    return f"{root}/logs/{key}.log"


def distrust(root: "os.stat_result") -> "str | None":
    """
    Return a message if the directory *root* is not trusted; None if it is.

    A trusted one is no symlink, belongs to the effective user and is writable
    by no other user.
    """
    mode = root.st_mode
    todo = ""
    if mode & _KIND != _DIRECTORY:
        problem = "is a symlink" if stat.S_ISLNK(mode) else "is no directory"
    elif os.name == "nt":  # the ACLs of the profile directory decide
        return None
    elif root.st_uid != os.geteuid():
        problem = f"belongs to user {root.st_uid}, not {os.geteuid()},"
        todo = "; set UPGRADE_STATE_CACHE_DIR"
    elif mode & _OTHERS_WRITE:
        problem = "may be written to by others"
        # On FAT, exFAT and drives of Windows in WSL, chmod has no effect.
        todo = "; run chmod 700, or set UPGRADE_STATE_CACHE_DIR"
    else:
        return None
    return f"The store {problem} and is not used{todo}"


def trusted(root: str) -> "os.stat_result | None":
    """
    Return the status of the directory *root*; None if it does not exist.

    Raises:
        StateReadError: It exists and is not trusted, or cannot be examined.
    """
    try:
        status = os.lstat(root)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable("the store", error, root) from error
    problem = distrust(status)
    if problem is None:
        return status
    raise read_error(problem, root)


def read_file(
    root: str, path: str, limit: int, *, again: bool = True
) -> "bytes | None":
    """
    Read a file of the store below *root*.

    Args:
        again: Whether to try once more after ESTALE: the server of a network file
            system has deleted the file that was replaced.

    Returns:
        None if there is no such file; ``b""`` if it is a symlink, no regular
        file, or larger than *limit* bytes.

    Raises:
        StateReadError: It exists but cannot be read, it belongs to another user,
            or the store is not trusted.
    """
    store = trusted(root)
    if store is None:
        return None
    try:
        return read_regular(path, READ | NO_LINKS, limit, store.st_uid) or b""
    except FileNotFoundError:
        return None
    except OSError as error:
        try:  # open(2) refuses symlinks (ELOOP) and sockets (ENXIO)
            if not stat.S_ISREG(os.lstat(path).st_mode):
                return b""
        except OSError:  # a check may have replaced it by now
            pass
        from errno import ESTALE

        if again and error.errno == ESTALE:
            return read_file(root, path, limit, again=False)
        raise unreadable("the file", error, path) from error


def read_regular(
    path: str,
    flags: int,
    limit: int,
    owner: "int | None" = None,
    opener: "Callable[[str, int], int] | None" = None,
) -> "bytes | None":
    """
    Return the content of a regular file; None for another kind or a larger file.

    Args:
        owner: The user to whom it must belong. None: any.

        opener: A function of C that opens it. None: `os.open`.

    Raises:
        StateReadError: It belongs to another user.
        OSError: It cannot be read to its end.
    """
    # Calls of C move the descriptor into the list and out of it: an interrupt between
    # two bytecodes neither loses it nor closes it twice.
    opened: list[int] = []
    try:
        try:
            opened += map(opener or os.open, (path,), (flags,))
            fd = opened[0]
            status = os.fstat(fd)
            if status.st_mode & _KIND != _REGULAR or status.st_size > limit:
                return None
            if owner is not None and status.st_uid != owner:
                message = f"The file belongs to user {status.st_uid} and is not used"
                raise read_error(message, path)
            # One byte more than its size, to notice that it has grown.
            data = os.read(fd, status.st_size + 1)
            if len(data) != status.st_size:
                data = _read_on(fd, data, status.st_size, limit)
            return data
        finally:
            list(map(os.close, map(opened.pop, opened and (0,))))
    finally:  # if the other one was interrupted
        list(map(os.close, opened))


def _read_on(fd: int, data: bytes, size: int, limit: int) -> bytes:
    """
    Return *data* and the rest of a file whose status has named another *size*.

    Network file systems return less than asked for, and FUSE keeps the size of the
    file that was replaced for a second.

    Raises:
        OSError: The file is smaller: the status is stale.
    """
    while len(data) <= limit and (more := os.read(fd, limit)):
        data += more
    if len(data) < size:
        from errno import ESTALE

        raise OSError(ESTALE, "it ends early")
    return data


def unreadable(noun: str, error: OSError, path: str) -> "StateReadError":
    """
    Return the StateReadError for a file that cannot be read because of *error*.
    """
    return read_error(f"Could not read {noun} ({error.strerror})", path)


def debug(message: str, *facts: object) -> None:
    """
    Log a line at level debug, if this process has loaded `logging`. Never raises.

    Otherwise no handler can be set, and loading it takes longer than an activation.
    """
    logging = sys.modules.get("logging")
    if logging is not None:
        # A handler or a filter raises, another thread is still importing logging,
        # or a module of the project has its name. Loading contextlib takes longer.
        try:  # noqa: SIM105
            logging.getLogger("upgrade_state").debug(message, *facts)
        except Exception:  # noqa: BLE001, S110 - logging is what failed
            pass


def read_error(message: str, path: "str | None") -> "StateReadError":
    """
    Return a StateReadError; its class is loaded here, since few activations need it.
    """
    from upgrade_state.exceptions import StateReadError

    return StateReadError(message, path)


# Shapes of the fields


def is_lockfile_name(value: object) -> bool:
    """
    Return whether *value* is a relative path without ``.``, ``..`` or backslash.
    """
    if type(value) is not str or "\0" in value or "\\" in value:
        return False
    return {"", ".", ".."}.isdisjoint(value.split("/"))


def is_environment_name(value: object) -> bool:
    """
    Return whether *value* can be the name of one of several environments.
    """
    try:
        return (
            type(value) is str
            and "\0" not in value
            and 0 < len(path_bytes(value)) <= 255
        )
    except UnicodeEncodeError:  # a surrogate that escapes no byte
        return False


def name_text(name: str) -> str:
    """
    Return an environment's *name* in the one spelling that all with its bytes have.
    """
    return path_bytes(name).decode("utf-8", "surrogateescape")


def is_short_name(value: object) -> bool:
    """
    Return whether *value* can be the name of a format, a recipe or a checker.
    """
    return type(value) is str and 0 < len(value) <= 64


def plain(name: str, noun: str, is_valid: "Callable[[object], bool]") -> str:
    """
    Return *name* as a plain str: readers of TOML give their callers subclasses.
    """
    if not isinstance(name, str):
        raise TypeError(f"{noun} must be text, not {type(name).__name__}")
    plain = str.__str__(name)
    if not is_valid(plain):
        raise ValueError(f"not {noun}: {plain!r}")
    return plain


def are_options(texts: "Iterable[object]") -> bool:
    """
    Return whether *texts* can be the options of a consent.

    Each is text as `path_text` makes it. In JSON, with quotes and a comma each, they
    have at most `OPTIONS_LENGTH` characters together.
    """
    try:
        from _json import encode_basestring_ascii
    except ImportError:  # private to CPython
        from json.encoder import encode_basestring_ascii
    length = 0
    for text in texts:
        if type(text) is not str or not text or "\0" in text:
            return False
        try:
            path_bytes(text)
        except UnicodeEncodeError:  # a surrogate that escapes no byte
            return False
        length += len(encode_basestring_ascii(text)) + 1
    return length <= OPTIONS_LENGTH


def _is_directory(value: object) -> bool:
    return type(value) is str and os.path.isabs(value) and "\0" not in value


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_INTEGER


def _is_digest(value: object) -> bool:
    return (
        type(value) is str
        and len(value) == 72
        and value.startswith(_DIGEST_PREFIX)
        and value.isascii()
        and not digits(value).encode().translate(None, b"0123456789abcdef")
    )


def _is_consent(value: object) -> bool:
    if type(value) is not dict or not _fits(value, _CONSENT):
        return False
    copy, env = value.get("copy") or (), value.get("env") or ()
    if not (copy or env):
        return True
    return are_options([*copy, *env]) and not any("=" in name for name in env)


def _is_result(value: object) -> bool:
    # Without the lockfile that it leads to, a result needs both: the notice takes
    # its numbers from the counts, and its identity from the list.
    if type(value) is not dict or not _fits(value, _RESULT):
        return False
    is_alone = value["new_lockfile"] is None
    return not is_alone or None not in (value["upgrades"], value["counts"])


def _is_counts(value: object) -> bool:
    if type(value) is not dict or "*" not in value:
        return False
    return all(_fits(count, _COUNT) for count in value.values())


# The value of a missing field; JSON has no such value.
_MISSING: "Any" = ...

# A shape is a dictionary of fields. The kind of a field is a test, a type or a shape;
# (None, kind) if it may be null, or (_MISSING, kind) if it may be missing or null.
# These are plain data because closures take longer to create.
_COUNT = {"version": _is_count, "rebuild": _is_count}
_FILE = {"digest": _is_digest, "size": _is_count}
_RESULT = {
    "format": (None, is_short_name),
    "old_lockfile": (None, _FILE),
    "new_lockfile": (None, _FILE),
    "upgrades": (None, _FILE),
    "counts": (None, _is_counts),
}
_FAILURE = {
    "at": is_time,
    "attempts": _is_count,
    "message": str,
    "since": (_MISSING, is_time),
}
_CONSENT = {
    "recipe": is_short_name,
    "directory": _is_count,
    "file_system": (_MISSING, is_short_name),
    "copy": (_MISSING, list),
    "env": (_MISSING, list),
}
_RECORD = {
    "environment": _is_directory,
    "lockfile": (None, is_lockfile_name),
    "name": (None, is_environment_name),
    "generation": _is_count,
    "last_checked": (None, is_time),
    "checker": (None, is_short_name),
    "result": (None, _is_result),
    "last_notified": (None, is_time),
    "notified": (None, _is_digest),
    "snoozed_until": (None, is_time),
    "failure": (None, _FAILURE),
    "consent": (None, _is_consent),
}

# A missing field means null, and a missing generation means zero.
DEFAULTS: "Record" = {**dict.fromkeys(_RECORD), "generation": 0}

# No default: records without a notice about failures do not have the field.
_RECORD["failure_notified"] = (_MISSING, is_time)


def _fits(value: object, shape: "dict[str, Any]") -> bool:
    """
    Return whether *value* has the fields of a *shape*; further ones are ignored.
    """
    if type(value) is not dict:
        return False
    for name, field in shape.items():
        part, kind = value.get(name, _MISSING), field
        if type(field) is tuple:
            if part is None or part is field[0]:
                continue
            kind = field[1]
        if type(kind) is dict:
            fits = _fits(part, kind)
        else:
            fits = type(part) is kind if type(kind) is type else kind(part)
        if not fits:
            return False
    return True


# Records


def valid(data: bytes, key: str) -> "Record | None":
    """
    Turn the bytes of a record's file into its JSON object.

    Args:
        key: The key in the file's name.

    Returns:
        The object with every known field, unknown top-level fields included;
        None if it is no valid record: see docs/format.md.
    """
    record = parse(data)
    if record is None:
        return None
    record = {**DEFAULTS, **record}
    if not _fits(record, _RECORD):
        return None
    try:
        directory, lockfile = path_bytes(record["environment"]), record["lockfile"]
        name = record["name"]
        lockfile, name = lockfile and path_bytes(lockfile), name and path_bytes(name)
        found = environment_key(directory, lockfile, name)
    except UnicodeEncodeError:  # a surrogate that escapes no byte
        return None
    return record if found == key else None


def path_bytes(text: str) -> bytes:
    """
    Return the bytes of a path that a record holds as text.

    Raises:
        UnicodeEncodeError: *text* does not come from `path_text`.
    """
    return text.encode("utf-8", "surrogateescape")


def path_of(text: str) -> str:
    """
    Return a path that a record holds as text, as functions of `os` take it.
    """
    return os.fsdecode(path_bytes(text))


def path_text(path: str) -> str:
    """
    Return *path* as text for a record, independent of the locale's encoding.
    """
    return os.fsencode(path).decode("utf-8", "surrogateescape")


# JSON


def parse(data: bytes) -> "Record | None":
    """
    Turn *data* into a JSON object within the limits of a record.

    Returns:
        None if it is larger than `MAX_SIZE`, no UTF-8, no JSON object, nested
        deeper than `MAX_DEPTH`, or contains a number that is not finite.
    """
    if len(data) > MAX_SIZE:
        return None
    # Count brackets first, which is cheap. The depth is limited before parsing, so
    # a RecursionError comes from the depth of the caller's stack: it propagates,
    # and the record is not replaced as an invalid one.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH < _nesting(data):
        return None
    try:
        value = load_json(data.decode())
    except ValueError:
        return None
    return value if type(value) is dict else None


def rows(data: bytes, path: "str | None") -> "list[Record]":
    """
    Turn a stored list of upgrades into its JSON objects, one per line.

    Raises:
        StateReadError: A line is none, or has no name; the error names *path*.
    """
    found = []
    for line in data.splitlines():
        row = parse(line)
        if row is None or type(row.get("name")) is not str:
            message = "The list of upgrades is damaged; the next check replaces it"
            raise read_error(message, path)
        found.append(row)
    return found


def _nesting(data: bytes) -> int:
    """
    Return how deep the brackets of JSON *data* are nested, up to the limit plus one.
    """
    # Drop escaped backslashes, then escaped quotes, then everything in quotes.
    parts = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
    others = bytes(range(256)).translate(None, b"{}[]")
    depth = deepest = 0
    for bracket in b"".join(parts[::2]).translate(None, others):
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

    # The scanner reads attributes of its decoder. The type of sys.implementation
    # is types.SimpleNamespace, without loading types.
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
        Return the value of the JSON *text*; raise ValueError if it is invalid.
        """
        text = text.strip(" \t\n\r")
        try:
            value, end = _scan(text, 0)
        except (StopIteration, SystemError):
            # CPython 3.11's scanner raises SystemError for an error if json.decoder,
            # which defines JSONDecodeError, is not loaded.
            raise ValueError("no JSON") from None
        if end != len(text):
            raise ValueError("more than one value")
        return value
