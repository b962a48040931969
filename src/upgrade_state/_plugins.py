"""
What other distributions bring along, as entry points of a group.

Their code is run for whoever names it, and for nobody else.
"""

from importlib import metadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def names(group: str) -> set[str]:
    """
    Return the names of all entry points of *group*; nothing is loaded.
    """
    return {point.name for point in metadata.entry_points(group=group)}


def find(group: str, name: str) -> metadata.EntryPoint | None:
    """
    Return the entry point of that name; None: nobody brings one.
    """
    # As with modules, the first on the path wins.
    return next(iter(metadata.entry_points(group=group, name=name)), None)


def load(point: metadata.EntryPoint) -> "Any":
    """
    Load what an entry point names.

    Raises:
        ValueError: It cannot be loaded; the message names the entry point.
    """
    try:
        return point.load()
    except Exception as e:  # what an import raises is up to the imported
        raise ValueError(f"Could not load {shown(point)}: {e!r}") from e


def shown(point: metadata.EntryPoint) -> str:
    """
    Say which entry point it is.
    """
    return f"the entry point {point.name!r} of {point.group} ({point.value})"
