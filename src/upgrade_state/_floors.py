"""
Libraries that a later installation has removed, or replaced by ones that are too old.

An installer looks at the requirements of the packages that it installs, not at
those of the packages that are there.
"""

from __future__ import annotations

import contextlib
import functools
import sys

from upgrade_state.exceptions import UpgradeStateError

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Iterator

FLOORS = {
    "attrs": (23, 2),
    "cattrs": (23, 2),
    "filelock": (3, 30),
    "platformdirs": (4, 0),
}


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """
    Import other libraries in a `with` statement.

    Raises:
        UpgradeStateError: One cannot be imported: it is too old, or not there.
    """
    try:
        yield
    except ImportError as error:
        verify()
        message = f"Could not load a library ({error}); install upgrade-state again"
        raise UpgradeStateError(message, None) from error


def verify() -> None:
    """
    Refuse to work with a library that is too old, which is logged once.

    Raises:
        UpgradeStateError: A library is too old.
    """
    for library, version in too_old():
        raise refusal(library, version)


@functools.cache
def too_old() -> tuple[tuple[str, str], ...]:
    """
    Return each library that is too old, with its version.

    One without metadata, as in a frozen program, or without a version of two
    numbers, is not examined.
    """
    # Loading them takes 20 ms; most processes do without.
    import re  # noqa: PLC0415
    from importlib import metadata  # noqa: PLC0415

    found = []
    for library, floor in FLOORS.items():
        # An installer that was interrupted leaves a directory without metadata:
        # KeyError, or None for the version.
        with contextlib.suppress(metadata.PackageNotFoundError, KeyError):
            version = str(metadata.version(library))
            parts = re.match(r"([0-9]+)\.([0-9]+)", version)
            if parts and (int(parts[1]), int(parts[2])) < floor:
                found.append((library, version))
    return tuple(found)


def fact(library: str, version: str) -> str:
    """
    Write that a *library* is too old, for people.
    """
    needed = ".".join(map(str, FLOORS[library]))
    return f"{library} {version} is too old: {needed} or later is needed"


def remedy(library: str) -> str:
    """
    Return the command of a shell that replaces a *library* in this environment.
    """
    import shlex  # noqa: PLC0415

    python = shlex.quote(sys.executable or "python")
    return f"{python} -m pip install --upgrade {library}"


def refusal(library: str, version: str) -> UpgradeStateError:
    """
    Return the error about a *library* that is too old, and log it once.
    """
    message = f"{fact(library, version)}; run {remedy(library)}"
    _warn(message)
    return UpgradeStateError(message, None)


@functools.cache
def _warn(message: str) -> None:
    with contextlib.suppress(Exception):  # as in `_record.debug`
        import logging  # noqa: PLC0415 - it may be what fails

        logger = logging.getLogger("upgrade_state")
        # Without any handler, logging would print the warning on stderr.
        logger.addHandler(logging.NullHandler())
        logger.warning("%s", message)
