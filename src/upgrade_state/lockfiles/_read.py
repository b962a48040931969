"""
Read the bytes of a lockfile into a snapshot.
"""

from codecs import BOM_UTF8

from upgrade_state._record import digest

from ._formats import FORMATS, reader_of
from ._model import Snapshot
from ._parse import UnreadableError


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
    skips_mark = format in FORMATS and FORMATS[format].skips_mark
    try:
        packages = tuple(reader(content.removeprefix(BOM_UTF8 if skips_mark else b"")))
    except UnreadableError as e:
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
