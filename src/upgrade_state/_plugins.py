"""
Load plugins: what other distributions offer as entry points of a group.

The code of a plugin runs only when a caller asks for it by name.
"""

from importlib import metadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def names(group: str) -> set[str]:
    """
    Return the names of all entry points of *group*, without loading any.
    """
    return {point.name for point in metadata.entry_points(group=group)}


def find(group: str, name: str) -> metadata.EntryPoint | None:
    """
    Return the entry point of this name; None: no distribution has one.
    """
    # As with modules, the first on the path wins.
    return next(iter(metadata.entry_points(group=group, name=name)), None)


def load(point: metadata.EntryPoint) -> "Any":
    """
    Load the object that an entry point names.

    Raises:
        ValueError: It cannot be loaded; the message, one line, names the entry
            point.
    """
    try:
        return point.load()
    except Exception as e:  # importing a module can raise anything
        # The validators of attrs put the message first, then long representations.
        reason = e.args[0] if len(e.args) > 1 and isinstance(e.args[0], str) else e
        line = " ".join(f"{type(e).__name__}: {reason}".split())
        raise ValueError(f"Could not load {shown(point)}: {line}") from e


def shown(point: metadata.EntryPoint) -> str:
    """
    Describe an entry point for a message: its name, its group and its target.
    """
    return f"the entry point {point.name!r} of {point.group} ({point.value})"
