"""
Readers that other distributions provide as entry points.

A reader's code is loaded only when a caller names its format.
"""

import logging
from collections.abc import Iterable

from upgrade_state import _plugins
from upgrade_state._record import is_short_name

from ._model import Package, Reader
from ._parse import UnreadableError, refuse

GROUP = "upgrade_state.lock_readers"

_LOG = logging.getLogger("upgrade_state")

# The fields of a package in their order; builds are pairs of texts.
_TYPES = (Package.__annotations__ | {"builds": tuple}).values()


def names() -> set[str]:
    """
    Return the formats of all installed readers; none is loaded.
    """
    return _plugins.names(GROUP)


def reader_of(name: str) -> Reader | None:
    """
    Load the installed reader of the format *name*; None: there is none.

    Raises:
        ValueError: The reader cannot be loaded, or is not callable.
    """
    point = _plugins.find(GROUP, name)
    if point is None or not is_short_name(name):
        return None
    reader: Reader = _plugins.load(point)
    if callable(reader):
        return _limit(name, reader)
    raise ValueError(f"Could not call {_plugins.shown(point)}")


def _limit(name: str, reader: Reader) -> Reader:
    """
    Return *reader* with the limits of the built-in ones.

    It sees no content that is empty, too large or in the middle of a merge;
    any of its exceptions, and any result but packages, is a problem.
    """

    def read(content: bytes, /) -> Iterable[Package]:
        refuse(content)
        try:
            packages = tuple(reader(content))
        except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
            raise
        except Exception as e:
            # The message of the exception may contain parts of the content.
            _LOG.debug("the reader of %r raised %s", name, type(e).__name__)
            raise UnreadableError(f"the reader of {name} has failed") from e
        if not all(map(_is_sound, packages)):
            raise UnreadableError(f"the reader of {name} gave no packages")
        return packages

    return read


def _is_sound(package: object) -> bool:
    """
    Return whether *package* can be compared with any other.
    """
    return (
        isinstance(package, Package)
        and all(map(isinstance, package, _TYPES))
        and all(
            isinstance(pair, tuple) and [str, str] == [type(text) for text in pair]
            for pair in package.builds
        )
    )
