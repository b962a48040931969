"""
Many machines with stores of their own share the results of their checks.
"""

from __future__ import annotations

import runpy
import statistics
from pathlib import Path

SIMULATION = runpy.run_path(
    str(Path(__file__).parents[1] / "benchmarks" / "machines.py")
)


def simulated(machines):
    """
    Simulate two days of some machines with ten projects, alone and shared.
    """
    options = ["--machines", str(machines), "--days", "2", "--projects", "10"]
    return SIMULATION["simulated"](SIMULATION["arguments"](options))


class TestSimulation:
    def test_shared_results(self):
        """
        Shared results replace most checks, and no check is made twice at once.
        """
        alone, shared = simulated(200)

        assert shared.checks < alone.checks / 10
        assert shared.most_at_once < alone.most_at_once
        assert shared.most_of_one == 1 < alone.most_of_one
        assert statistics.fmean(shared.ages) < 1.25 * statistics.fmean(alone.ages)
        assert alone.requests.total() == 0 < shared.requests.total()
        # Every machine asks, and every question is answered by a check.
        assert shared.requests.total() > alone.checks / 2
        assert len(shared.questions) <= shared.checks

    def test_more_machines(self):
        """
        Three times as many machines make hardly more shared checks, and a seed counts.
        """
        few, many, again = simulated(100), simulated(300), simulated(100)

        assert many[0].checks > 2.5 * few[0].checks
        assert many[1].checks < 1.5 * few[1].checks
        assert [each.requests for each in few] == [each.requests for each in again]
