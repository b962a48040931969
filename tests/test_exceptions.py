"""
The family of errors.
"""

from __future__ import annotations

import copy
import pickle

import pytest

from upgrade_state import exceptions


@pytest.mark.parametrize(
    ("path", "text"),
    [("/a b", "no: '/a b'"), (None, "no"), ("/a\n\x1b[2J", r"no: '/a\n\x1b[2J'")],
)
def test_message_and_path(path, text):
    """
    An error is its message and its path, if any, with control characters escaped.
    """
    error = exceptions.StateReadError("no", path)

    assert (text, "no", path) == (str(error), error.message, error.path)


def test_one_family():
    """
    Every error is an `UpgradeStateError`, and can be pickled.
    """
    names = ("StateReadError", "StateWriteError", "StateLockError", "ResolverError")
    for name in names:
        error = pickle.loads(pickle.dumps(getattr(exceptions, name)("no", "/a")))
        assert isinstance(error, exceptions.UpgradeStateError)
        assert ("no", "/a") == (error.message, error.path)


def test_output_of_a_tool():
    """
    The error of a resolver carries the lines of a tool, also as a copy.
    """
    parts = {"output": ("  a", "b"), "summary": "x failed", "hint": "do y"}
    error = exceptions.ResolverError("x failed: a; b; do y", "/a", **parts)

    for same in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert ("x failed: a; b; do y", "/a") == (same.message, same.path)
        assert parts == {name: getattr(same, name) for name in parts}


def test_without_output():
    """
    Without lines of a tool, the message is its own summary.
    """
    error = exceptions.ResolverError("no", "/a")

    assert ((), "no", None) == (error.output, error.summary, error.hint)
