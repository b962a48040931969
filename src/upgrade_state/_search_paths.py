"""
Environment variables that list where programs, libraries and modules come from.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def only_absolute(
    variables: Mapping[str, str], lists: Collection[str]
) -> dict[str, str]:
    """
    Return *variables*, of those in *lists* only what leads to one place from anywhere.

    What is relative, or empty, would lead to where a program runs. PATH is set.
    """
    kept = dict(variables)
    for name in kept.keys() & set(lists):
        parts = kept.pop(name).split(os.pathsep)
        if absolute := os.pathsep.join(filter(os.path.isabs, parts)):
            kept[name] = absolute
    # An empty one means the current directory, and to some shells none at all does.
    return {"PATH": os.defpath} | kept
