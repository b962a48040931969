"""
A reader for pins, a lockfile format made up for this example.
"""

from collections.abc import Iterator

from upgrade_state.lockfiles import Package


def read(content: bytes, /) -> Iterator[Package]:
    """
    Yield the packages of a file of pins.

    The first line is ``pins 1``; each other line has a name and a version.

    Raises:
        ValueError: A line has another shape, or the content is no text.
    """
    first, *lines = content.decode().splitlines()
    if first != "pins 1":
        raise ValueError("no pins")
    for line in lines:
        name, version = line.split()
        yield Package(name, version)
