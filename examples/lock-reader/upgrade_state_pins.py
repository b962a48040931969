"""
Reads pins, a format that only serves as an example.
"""

from collections.abc import Iterator

from upgrade_state.lockfiles import Package


def read(content: bytes, /) -> Iterator[Package]:
    """
    Read a line that says what it is, then name and version of a package each.

    A line of any other number of words is a ValueError, as is what is no text.
    """
    first, *lines = content.decode().splitlines()
    if first != "pins 1":
        raise ValueError("no pins")
    for line in lines:
        name, version = line.split()
        yield Package(name, version)
