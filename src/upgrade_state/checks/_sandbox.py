"""
A read-only world for a command, by bubblewrap (``bwrap``).

Only the scratch directory can be written to. What others listen on is hidden as
far as its places are known: a socket that can be reached is a way out. The
network is as it is, and what the user may read can be read: credentials for
private packages lie there.
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

# With which words it says that there was no sandbox to run anything in.
_PREFIX: Final = b"bwrap: "

# Where sockets lie: those of desktops, terminals, containers and agents.
_HIDDEN: Final = ("/tmp", "/var/tmp", "/run")

# What has to be seen there: names and hosts, and the tools of NixOS.
_SHOWN: Final = (
    "/run/current-system",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/run/connman",
    "/run/nscd",
)

_SETTINGS: Final = (
    # Nobody outside can be signalled or traced, and all end with the first.
    "--unshare-pid",
    "--unshare-ipc",
    "--die-with-parent",
    "--new-session",
    # Root could otherwise make the world writable again.
    "--cap-drop",
    "ALL",
)


def sandboxed(
    argv: Sequence[str],
    command: str,
    place: Scratch,
    env: Mapping[str, str],
    environment: str,
) -> list[str]:
    """
    Return the command that runs *argv* in a sandbox.

    Args:
        command: The file that argv begins with.

        environment: The environment's directory, which can be read.

    Raises:
        ResolverError: There is no bubblewrap.
    """
    path = env.get("PATH", os.defpath)
    program = shutil.which(_PROGRAM, path=path)
    if program is None:
        message = "There is no command 'bwrap'; install bubblewrap, or do without"
        raise ResolverError(f"{message} a sandbox", environment)
    shared = place.directory("shm")
    commands = (command, os.path.realpath(command))
    readable = [*_SHOWN, environment, env.get("HOME", ""), *path.split(os.pathsep)]
    return [
        program,
        *_SETTINGS,
        *("--ro-bind", "/", "/"),
        *("--dev", "/dev", "--remount-ro", "/dev", "--bind", shared, "/dev/shm"),
        # Root may set parameters of the kernel there, without any capability.
        *("--proc", "/proc", "--remount-ro", "/proc"),
        *_hidings(place.temporary),
        *_showings([*readable, *map(os.path.dirname, commands)]),
        *("--bind", place.above, place.above),
        *("--chdir", place.path, "--", *argv),
    ]


def _hidings(tmp: str) -> Iterator[str]:
    for path in _HIDDEN:
        # A symlink leads to another one of them.
        if os.path.isdir(path) and not os.path.islink(path):
            yield from ("--bind", tmp, path)


def _showings(paths: Sequence[str]) -> Iterator[str]:
    for path in filter(os.path.isabs, paths):
        real = os.path.realpath(path)
        if os.path.isdir(real) and not _would_unhide(real):
            # A symlink that is seen may lead to where nothing is.
            for place in filter(is_hidden, {path, real}):
                yield from ("--ro-bind", real, place)


def _would_unhide(real: str) -> bool:
    above = os.path.join(real, "")
    return any(f"{hidden}/".startswith(above) for hidden in _HIDDEN)


def is_hidden(path: str) -> bool:
    """
    Tell whether *path*, however it is written, lies in a directory that is not seen.
    """
    path = os.path.normpath("/" + path.lstrip("/"))
    return any(path.startswith(f"{hidden}/") for hidden in _HIDDEN)


def refusal(output: bytes) -> str:
    """
    Return why there was no sandbox, from what was written; "": there was one.
    """
    if not output.startswith(_PREFIX):
        return ""
    line = output[len(_PREFIX) :].partition(b"\n")[0]
    words = line.decode(errors="replace")
    if words.startswith("execvp"):
        return f"Could not start the command in a sandbox ({words})"
    return f"Could not make a sandbox ({words}); allow user namespaces, or do without"
