"""
Readers that other distributions bring along, as entry points.

Their code is run for whoever names their format, and for nobody else.
"""

import logging
from collections.abc import Iterable

from upgrade_state import _plugins
from upgrade_state._record import is_short_name

from ._model import Package, Reader
from ._parse import UnreadableError, refuse

GROUP = "upgrade_state.lock_readers"

_LOG = logging.getLogger("upgrade_state")

_TEXTS = ("ecosystem", "platform", "environment", "version", "build")


def names() -> set[str]:
    """
    Return the names of all formats that somebody has installed a reader of.
    """
    return _plugins.names(GROUP)


def reader_of(name: str) -> Reader | None:
    """
    Load the reader of the format *name*; None: nobody brings one.

    Raises:
        ValueError: It cannot be loaded, or is nothing that could be called.
    """
    point = _plugins.find(GROUP, name)
    if point is None or not is_short_name(name):
        return None
    reader: Reader = _plugins.load(point)
    if callable(reader):
        return _guarded(name, reader)
    raise ValueError(f"Could not call {_plugins.shown(point)}")


def _guarded(name: str, reader: Reader) -> Reader:
    """
    Return *reader*, with the limits and the manners of those in this package.
    """

    def read(content: bytes, /) -> Iterable[Package]:
        refuse(content)
        try:
            packages = tuple(reader(content))
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            raise
        except Exception as e:
            # The message of an exception may have been made from the content.
            _LOG.debug("the reader of %r raised %s", name, type(e).__name__)
            raise UnreadableError(f"the reader of {name} has failed") from e
        if not all(map(_is_sound, packages)):
            raise UnreadableError(f"the reader of {name} gave no packages")
        return packages

    return read


def _is_sound(package: object) -> bool:
    """
    Tell whether *package* can be compared with any other.
    """
    return (
        isinstance(package, Package)
        and isinstance(package.name, str)
        and all(isinstance(getattr(package, f), str | None) for f in _TEXTS)
        and isinstance(package.direct, bool | None)
        and isinstance(package.builds, tuple)
        and all(map(_is_part, package.builds))
    )


def _is_part(pair: object) -> bool:
    return isinstance(pair, tuple) and [str, str] == [type(word) for word in pair]
