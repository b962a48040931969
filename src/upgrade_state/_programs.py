"""
Start other programs, and Python code as one, also from a frozen program.

A program frozen by PyInstaller has no Python beside it. The runtime hook of
`_pyinstaller` lets such a program itself run code, as a Python does for ``-c``, if
a switch is its first argument. Other programs that embed a Python have no switch.
"""

import os
import sys

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_PYTHONS = ("python", "pypy", "graalpy")


def is_frozen() -> bool:
    """
    Return whether this program contains its Python and all modules.
    """
    return getattr(sys, "frozen", False)


def running(code: str) -> "list[str] | None":
    """
    Return a command that runs Python *code*; None: this program cannot.

    Arguments of the code may follow. It can import the standard library; a frozen
    program also finds its own modules. Nothing is imported from the working directory.
    """
    path = sys.executable or ""
    # A relative path would be resolved in the directory that the user entered.
    if not os.path.isabs(path):
        return None
    if is_frozen():
        python = getattr(sys, "_upgrade_state_python", None)  # by the runtime hook
        return python and [*python, code]
    # sys.executable of an embedded interpreter is the application.
    is_python = os.path.basename(path).lower().startswith(_PYTHONS)
    return [path, "-I", "-S", "-c", code] if is_python else None


def variables(
    environ: "Mapping[str, str]", search_paths: "Collection[str]" = ()
) -> "dict[str, str]":
    """
    Copy *environ* for another program.

    PATH is always set. Changes that PyInstaller made for its own program are undone.

    Args:
        search_paths: Variables of which only absolute entries are kept: others would
            mean the working directory of the program.
    """
    kept = dict(environ)
    if is_frozen() and hasattr(sys, "_MEIPASS"):  # by PyInstaller
        # Its libraries are not those of other programs.
        original = kept.pop("LD_LIBRARY_PATH_ORIG", "")
        kept["LD_LIBRARY_PATH"] = original
        # Started once more, a one-file program must not use the directory to which
        # this one was unpacked, and which it removes at its end.
        kept["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
        search_paths = {*search_paths, "LD_LIBRARY_PATH"}
    for name in kept.keys() & set(search_paths):
        parts = kept.pop(name).split(os.pathsep)
        # An empty variable means the working directory too, so it is removed.
        if absolute := os.pathsep.join(filter(os.path.isabs, parts)):
            kept[name] = absolute
    # Without PATH, some shells search the working directory.
    return {"PATH": os.defpath} | kept
