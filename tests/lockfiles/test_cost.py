"""
A package's cost beside the parser of its syntax, in counts without noise.
"""

import gc
import json
import sys
import tomllib
import tracemalloc

import pytest

from lockfiles.helpers import cases, packages
from upgrade_state import lockfiles

CASES = cases("cost")


def lockfile(frame, entry, number):
    """
    Return a lockfile with so many packages.
    """
    entries = (entry.replace("NAME", f"a-{n:04}") for n in range(number))
    return (frame % ",\n".join(entries)).encode()


def calls(content, name):
    """
    Return how many calls it takes to read *content*.
    """
    count = 0

    def see(_frame, event, _argument):
        nonlocal count
        count += event in {"call", "c_call"}

    lockfiles.read(content, format=name)  # imports the reader
    before = sys.getprofile()
    gc.disable()  # Hypothesis has a callback
    sys.setprofile(see)
    try:
        lockfiles.read(content, format=name)
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def peak(function, *args, **options):
    """
    Return the most memory that *function* allocates at once, in bytes.
    """
    function(*args, **options)
    tracemalloc.start()
    try:
        function(*args, **options)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("name", "frame", "entry", "limit"), CASES["calls"])
def test_calls(name, frame, entry, limit):
    """
    A package takes so many calls, however many there are.
    """
    contents = [lockfile(frame, entry, number) for number in (10, 20, 220)]
    few, more, many = (calls(content, name) for content in contents)

    assert 220 == len(packages(contents[-1], name))
    assert (many - few) / 210 == (more - few) / 10 <= limit


@pytest.mark.parametrize(("name", "frame", "entry"), CASES["memory"])
def test_memory(name, frame, entry):
    """
    Reading takes no more memory than to decode and to parse.
    """
    content = lockfile(frame, entry, 1000)
    parse = json.loads if content.startswith(b"{") else tomllib.loads

    assert packages(content, name)
    assert peak(lockfiles.read, content, format=name) <= 1.02 * peak(
        lambda: parse(content.decode())
    )
