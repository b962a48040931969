"""
Read lockfiles and compare them: bytes in, facts out.

Nothing here opens a file, asks for the time or raises because of what a
lockfile contains. Names are loaded on first use; to tell a format by a
lockfile's name costs no import.
"""

from ._names import FORMATS, format_of, is_format, names

# Every type checker knows this name, and importing typing would cost more
# than all of this package's silent path.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._counts import counts
    from ._diff import diff
    from ._model import Diff, Package, Reader, Snapshot, Upgrade
    from ._read import read
else:
    # Out of sight of type checkers, so that a misspelt import is an error.
    _MODULES = {
        "Diff": "_model",
        "Package": "_model",
        "Reader": "_model",
        "Snapshot": "_model",
        "Upgrade": "_model",
        "counts": "_counts",
        "diff": "_diff",
        "read": "_read",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 -- on first use only

        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [  # noqa: RUF022 -- sorted as sorted() does it, which is what a test asks
    "Diff",
    "FORMATS",
    "Package",
    "Reader",
    "Snapshot",
    "Upgrade",
    "counts",
    "diff",
    "format_of",
    "is_format",
    "names",
    "read",
]
