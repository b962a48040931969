"""
Ctrl-C at any bytecode of an operation leaves the old or the new state, and no lock.
"""

from __future__ import annotations

import random

import pytest

from interrupts import Interrupt, Runs
from operations import OPERATIONS

SHARES = 16


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
class TestOperations:
    def test_at_random(self, tmp_path, operation):
        """
        An interrupt reaches the caller, and the next check neither fails nor waits.

        Locks and descriptors end with the traceback at the latest.
        """
        draw = random.Random(operation.name)
        runs = Runs(operation, str(tmp_path))
        with runs.repeatable():
            complete = runs.measure()
            numbers = draw.sample(complete.ours, 6) + [
                draw.randint(1, complete.count) for _ in range(3)
            ]
            for at in numbers:
                runs.verify(at)

    @pytest.mark.interrupts
    @pytest.mark.parametrize("share", range(SHARES))
    def test_at_every_bytecode(self, tmp_path, operation, share, record_property):
        """
        The same holds at every bytecode.
        """
        runs = Runs(operation, str(tmp_path))
        with runs.repeatable():
            numbers = range(1 + share, runs.measure().count + 1, SHARES)
            places = [place for at in numbers if (place := runs.verify(at))]
        record_property("interrupts", len(numbers))
        record_property("kept as long as the traceback", len(places))


class TestInterrupt:
    def test_counts(self):
        """
        Every bytecode of a call is one, and its number is that of its interrupt.
        """

        def add():
            return "x".join("ab")

        complete = Interrupt()
        assert "axb" == complete.call(add)
        for at in range(1, complete.count + 1):
            with pytest.raises(KeyboardInterrupt):
                Interrupt(at).call(add)
        assert "axb" == Interrupt(complete.count + 1).call(add)
        assert 4 <= complete.count <= 10
