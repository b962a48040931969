"""
Import the modules, and read the files, that operations load on first use.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pkgutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

# Modules that the standard library and our dependencies load on first use.
_ELSEWHERE = (
    "ctypes",
    "email.parser",
    "encodings.ascii",
    "filelock",
    "importlib.metadata._adapters",
    "json.decoder",
    "platformdirs",
    "pwd",
    "tomllib",
    "yaml",
)

_LEFT_OUT = tuple(
    f"{__package__}.{name}" for name in ("__main__", "_pyinstaller", "cli", "testing")
)

# A database loads its modules when it is named.
_DATABASE = (f"{__package__}._postgresql", f"{__package__}.checks._postgresql")


def load_all() -> None:
    """
    Import every module except the command line, `testing` and those for a database.
    """
    here = [os.path.dirname(__file__)]
    modules = [module.name for module in pkgutil.walk_packages(here, f"{__package__}.")]
    for name in (*modules, *_ELSEWHERE):
        if not name.startswith(_LEFT_OUT + _DATABASE):
            with contextlib.suppress(ModuleNotFoundError):  # an extra, another system
                importlib.import_module(name)
    checks: Any = sys.modules[f"{__package__}.checks"]
    checks._registry.built_in()  # noqa: SLF001
    checks._diagnosis.tables()  # noqa: SLF001
