"""
Libraries that a later installation has replaced by ones that are too old.

An installer looks at the requirements of the packages that it installs, not at
those of the packages that are there. filelock is examined where it is used.
"""

from __future__ import annotations

import functools
import logging
import re
from importlib import metadata

from upgrade_state.exceptions import UpgradeStateError

_FLOORS = {"attrs": (23, 2), "cattrs": (23, 2), "platformdirs": (4, 0)}


def verify() -> None:
    """
    Refuse to work with a library that is too old, which is logged once.

    A library without metadata, as in a frozen program, is not examined.

    Raises:
        UpgradeStateError: A library is too old.
    """
    message = _problem()
    if message is not None:
        raise UpgradeStateError(message, None)


@functools.cache
def _problem() -> str | None:
    for library, floor in _FLOORS.items():
        try:
            version = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
        if tuple(map(int, re.findall("[0-9]+", version)))[:2] < floor:
            return refusal(library, version, floor)
    return None


@functools.cache
def refusal(library: str, version: str, floor: tuple[int, int]) -> str:
    """
    Return the message about a *library* that is too old, and log it once.
    """
    needed = ".".join(map(str, floor))
    message = f"upgrade-state needs {library} {needed} or later, not {version}"
    logging.getLogger("upgrade_state").warning("%s", message)
    return message
