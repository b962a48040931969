"""
Import what operations import when they need it.
"""

from __future__ import annotations

import importlib
import pkgutil

import upgrade_state

# What the modules of this library, and those they build on, load on first use.
_ELSEWHERE = ("encodings.ascii", "json.decoder", "json.encoder", "platformdirs")


def load_all() -> None:
    """
    Import every module of this library but the command line, and what they use.
    """
    for module in pkgutil.walk_packages(upgrade_state.__path__, "upgrade_state."):
        if not module.name.startswith("upgrade_state.cli"):
            importlib.import_module(module.name)
    for name in _ELSEWHERE:
        importlib.import_module(name)
