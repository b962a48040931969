"""
Make the world read-only for a command, with bubblewrap (``bwrap``).

The command can write only to its scratch directory. The directories with the
sockets of other programs are hidden, because a socket is a way out. The network
and all files that the user can read stay, because credentials for private packages
are among them.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from upgrade_state.exceptions import ResolverError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

    from ._scratch import Scratch

_PROGRAM: Final = "bwrap"

# Begins the message of a bwrap that could not make a sandbox.
_PREFIX: Final = b"bwrap: "

# Directories with the sockets of desktops, terminals, containers and agents.
_HIDDEN: Final = ("/tmp", "/var/tmp", "/run")

# Needed nevertheless: host names, and the programs of NixOS.
_SHOWN: Final = (
    "/run/current-system",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/connman",
    "/run/nscd",
)

_SETTINGS: Final = (
    # The command sees, signals and traces no other process. All processes in the
    # sandbox end with the first.
    "--unshare-pid",
    "--unshare-ipc",
    "--die-with-parent",
    "--new-session",
    # Root could otherwise make the world writable again.
    "--cap-drop",
    "ALL",
)


def sandboxed(
    argv: Sequence[str], program: str, place: Scratch, env: Mapping[str, str]
) -> list[str]:
    """
    Return the command that runs *argv* in a sandbox.

    Args:
        program: The path of the program that argv begins with.

    Raises:
        ResolverError: bubblewrap is not installed.
    """
    path = env.get("PATH", os.defpath)
    bwrap = shutil.which(_PROGRAM, path=path)
    if bwrap is None:
        message = "There is no command 'bwrap'; install bubblewrap, or do without"
        raise ResolverError(f"{message} a sandbox", place.environment)
    shared = place.directory("shm")
    programs = map(os.path.dirname, (program, os.path.realpath(program)))
    home = env.get("HOME", "")
    project = (place.top, *place.objects)
    readable = [*_SHOWN, *project, home, *path.split(os.pathsep), *programs]
    return [
        bwrap,
        *_SETTINGS,
        *("--ro-bind", "/", "/"),
        *("--dev", "/dev", "--remount-ro", "/dev", "--bind", shared, "/dev/shm"),
        # Root can set parameters of the kernel there, even without capabilities.
        *("--proc", "/proc", "--remount-ro", "/proc"),
        *_hide(place.temporary),
        *_show(readable),
        *("--bind", place.above, place.above),
        *("--chdir", env["PWD"], "--", *argv),
    ]


def _hide(temporary: str) -> Iterator[str]:
    for path in _HIDDEN:
        # A symlink leads to another of these directories.
        if os.path.isdir(path) and not os.path.islink(path):
            yield from ("--bind", temporary, path)


def _show(paths: Sequence[str]) -> Iterator[str]:
    for path in filter(os.path.isabs, paths):
        real = os.path.realpath(path)
        above = os.path.join(real, "")
        # A directory above a hidden one would show it again.
        would_unhide = any(f"{hidden}/".startswith(above) for hidden in _HIDDEN)
        if os.path.isdir(real) and not would_unhide:
            # A visible symlink may lead into a hidden directory.
            for place in filter(is_hidden, {path, real}):
                yield from ("--ro-bind", real, place)


def is_hidden(path: str) -> bool:
    """
    Return whether an absolute *path* is in a hidden directory, however it is written.
    """
    path = os.path.normpath("/" + path.lstrip("/"))
    return any(path.startswith(f"{hidden}/") for hidden in _HIDDEN)


def refusal(output: bytes) -> str | None:
    """
    Return why there was no sandbox, by the output of bwrap; None: there was one.
    """
    if not output.startswith(_PREFIX):
        return None
    line = output[len(_PREFIX) :].partition(b"\n")[0]
    reason = line.decode(errors="replace")
    if reason.startswith("execvp"):
        return f"Could not start the command in a sandbox ({reason})"
    return f"Could not make a sandbox ({reason}); allow user namespaces, or do without"
