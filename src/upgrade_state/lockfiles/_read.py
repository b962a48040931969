"""
Read the bytes of a lockfile into a snapshot.
"""

from codecs import BOM_UTF8
from importlib import import_module

from upgrade_state._record import digest

from . import _parse
from ._model import Reader, Snapshot
from ._names import FORMATS, READERS


def read(content: bytes, *, format: str | None = None) -> Snapshot:  # noqa: A002 -- the word for it
    """
    Read a lockfile.

    Never raises because of *content*: a lockfile that cannot be read as a
    whole is opaque, and the snapshot names the problem. Nothing in it is
    executed or fetched.

    Args:
        content: The raw bytes.

        format:
            One of `FORMATS`, or the name of an installed `Reader`. None: the
            format is unknown, so the content is opaque.

    Returns:
        The snapshot, always with the digest of *content*.

    Raises:
        ValueError: There is no such format, or its reader cannot be loaded.

        TypeError: *content* is not bytes.
    """
    if not isinstance(content, bytes):
        raise TypeError(f"content must be bytes, not {type(content).__name__}")
    if format is None:
        return Snapshot(format=None, digest=digest(content), problem="unknown format")
    reader = reader_of(format)
    try:
        packages = tuple(reader(content))
    except _parse.UnreadableError as e:
        problem = str(e)
    except RecursionError:
        problem = "nested too deeply"
    except (AttributeError, LookupError, TypeError, ValueError):
        # A key is missing, or a value has another shape than the format
        # demands. Skipping the entry would report its package as removed.
        problem = f"not a {format} lockfile"
    else:
        return Snapshot(format=format, digest=digest(content), packages=packages)
    return Snapshot(format=format, digest=digest(content), problem=problem)


def reader_of(name: str) -> Reader:
    """
    Import the reader of the format *name*, built-in or installed.

    A built-in format takes precedence over an installed reader of its name.

    Raises:
        ValueError: There is no such format, or its reader cannot be loaded.
    """
    if name in READERS:
        module, syntax, *flags = READERS[name].split()
        read_document = getattr(
            import_module(f".{module}", __package__), name.replace("-", "_")
        )
        load = getattr(_parse, f"load_{syntax}")
        mark = BOM_UTF8 if "mark" in flags else b""
        return lambda content: read_document(load(content.removeprefix(mark)))
    from . import _third_party  # noqa: PLC0415 -- scans installed distributions

    reader = _third_party.reader_of(name)
    if reader is None:
        choices = ", ".join(sorted({*FORMATS, *_third_party.names()}))
        raise ValueError(f"Unknown format {name!r}, choose from: {choices}")
    return reader
