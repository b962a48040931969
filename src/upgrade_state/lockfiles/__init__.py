"""
Read lockfiles and compare them: bytes in, facts out.

No function opens a file, asks for the current time or raises because of a
lockfile's content. Names are loaded on first use: `format_of`, `names`, and
`is_format` for a built-in format, import nothing.
"""

from ._names import FORMATS, format_of, is_format, names

# Type checkers know this name. Importing typing would cost more than all of
# the silent path.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ._counts import counts
    from ._diff import diff
    from ._model import Diff, Package, Reader, Snapshot, Upgrade
    from ._read import read
else:
    # Type checkers do not see this, so they report a misspelt import.

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415 -- on first use only

        # A function has a module of its own, all classes have one together.
        module = f"._{name}" if name.islower() else "._model"
        value = globals()[name] = getattr(import_module(module, __name__), name)
        return value

    def __dir__():
        return sorted({*globals(), *__all__})


__all__ = [  # noqa: RUF022 -- sorted as by sorted()
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
