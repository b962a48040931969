"""
Find the files beside the commands, and the command for another process.

This works in an archive and in a frozen program, too.
"""

import os
import site
import sys

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from typing import Any

_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOT = os.path.dirname(os.path.dirname(_HERE))


def data(name: str) -> bytes:
    """
    Read a file of this package.
    """
    loader: Any = __spec__.loader  # in a zip archive the file has no path
    content: bytes = loader.get_data(os.path.join(_HERE, name))
    return content


def command(code: str) -> list[str]:
    """
    Return a command that runs *code* and finds this library, from any directory.

    A program that brings the library with it, such as an archive, is to run this
    command line itself: the command is that program, without *code*.
    """
    if getattr(sys, "frozen", False):
        python = getattr(sys, "_upgrade_state_python", None)  # by our runtime hook
        return [*python, code] if python else [sys.executable]
    # Some managers, such as Spack, install by PYTHONPATH.
    roots = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if _ROOT not in (*roots, *site.getsitepackages(), site.getusersitepackages()):
        program = os.path.abspath(sys.argv[0])
        # A script may say where the package is, as with Nix. Else it is a source tree.
        if os.access(program, os.X_OK) and not program.endswith(".py"):
            return [program]
        code = f"import sys; sys.path.append({_ROOT!r}); {code}"
    # -P: the directory that was entered provides no modules.
    return [sys.executable or "python3", "-P", "-c", code]
