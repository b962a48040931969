"""
Collect figures: print each one when it is known, and keep all for the page.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from attrs import asdict, define, field, frozen

from benchmarks.measure import interleave

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.measure import Measure, Ratio, Samples


@frozen
class Figure:
    """
    One figure of a group.

    Attributes:
        name: What was measured, and against what: "silent activation / empty script".

        value: The median of the ratios, or a plain number.

        low, high: The quartiles; equal to *value* for a plain number.

        by: The cost that was compared, or the unit of a plain number.

        other: The median ratio of the other cost (wall for cpu); None for a number.

        this, against: The medians of both in seconds; None for a number.

        limit: What was wanted; None: nothing in particular.

        at_least: Whether the limit is the least, not the most.

        series, x: Its curve, as "unit of x: name of the curve", and its place there.
            None: it is in no plot. Without *x*, "ours", "peers" or "floors": it is a
            bar.
    """

    group: str
    name: str
    value: float
    low: float
    high: float
    by: str
    other: float | None = None
    this: float | None = None
    against: float | None = None
    limit: float | None = None
    at_least: bool = False
    series: str | None = None
    x: float | None = None

    @property
    def is_met(self) -> bool:
        """
        Whether the figure is within its limit.
        """
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class Wanted(TypedDict, total=False):
    """
    The fields of a figure that are not measured.
    """

    limit: float | None
    at_least: bool
    series: str | None
    x: float | None


@define
class Report:
    """
    The figures of one run.

    Attributes:
        rounds: How many samples of each thing are compared.

        group: The group that is being measured.

        titles: Of the groups, in the order of the run.

        skipped: Which figures are missing on this machine, and why, by group.
    """

    rounds: int
    group: str = ""
    titles: dict[str, str] = field(factory=dict)
    skipped: dict[str, list[str]] = field(factory=dict)
    figures: list[Figure] = field(factory=list)
    facts: dict[str, str] = field(factory=dict)

    def begin(self, group: str, title: str) -> None:
        """
        Begin a group, without its earlier figures, and print its title.
        """
        self.figures = [f for f in self.figures if f.group != group]
        self.skipped.pop(group, None)
        self.group = group
        self.titles[group] = title
        print(f"\n{title}")
        print(f"{'':56}{'figure':>8}  {'quartiles':17}{'limit':>8}")

    def interleave(
        self, measures: Mapping[str, Measure], rounds: int | None = None
    ) -> dict[str, Samples]:
        """
        Take samples in turns: see `measure.interleave`.
        """
        return interleave(measures, self.rounds if rounds is None else rounds)

    def compare(
        self,
        name: str,
        this: Measure,
        against: Measure,
        *,
        rounds: int | None = None,
        by: Literal["cpu", "wall"] = "cpu",
        **wanted: Unpack[Wanted],
    ) -> None:
        """
        Compare two measures, and add their ratio.
        """
        pair = self.interleave({"this": this, "against": against}, rounds)
        self.add(name, pair["this"] / pair["against"], by=by, **wanted)

    def add(
        self,
        name: str,
        ratio: Ratio,
        *,
        by: Literal["cpu", "wall"] = "cpu",
        **wanted: Unpack[Wanted],
    ) -> None:
        """
        Add a ratio.
        """
        (low, median, high), other = ratio.cpu, ratio.wall.median
        this, against = ratio.this.cpu, ratio.against.cpu
        if by == "wall":
            (low, median, high), other = ratio.wall, ratio.cpu.median
            this, against = ratio.this.wall, ratio.against.wall
        values = (median, low, high, by, other, this, against)
        self._add(Figure(self.group, name, *values, **wanted))

    def number(
        self, name: str, value: float, *, unit: str = "", **wanted: Unpack[Wanted]
    ) -> None:
        """
        Add a plain number, such as a count or a ratio of two peaks of memory.
        """
        self._add(Figure(self.group, name, value, value, value, unit, **wanted))

    def skip(self, reason: str) -> None:
        """
        Say which figures are missing on this machine, and why.
        """
        self.skipped.setdefault(self.group, []).append(reason)
        print(f"skipped: {reason}")

    def fact(self, name: str, text: str) -> None:
        """
        Add a fact about the machine or a version.
        """
        self.facts[name] = text
        print(f"{name:16}{text}")

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        spread, limit = "", ""
        if figure.other is not None:
            spread = f"{shown(figure.low)} to {shown(figure.high)}"
        if figure.limit is not None:
            limit = f"{'≥ ' * figure.at_least}{shown(figure.limit)}"
        missed = "" if figure.is_met else "  MISSED"
        value = shown(figure.value, digits=4)
        line = f"{figure.name:56}{value:>8}  {spread:17}{limit:>8}"
        print(f"{line}{missed}".rstrip(), flush=True)

    @property
    def all_met(self) -> bool:
        """
        Whether every figure is within its limit.
        """
        return all(figure.is_met for figure in self.figures)

    def write(self, path: Path) -> None:
        """
        Write the facts and figures as JSON.
        """
        found = asdict(self)
        del found["group"]
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Report:
    """
    Read what `Report.write` has written.

    Raises:
        OSError: The file cannot be read.

        ValueError: It has something else.
    """
    content = path.read_bytes()
    try:
        found = json.loads(content)
        figures = [Figure(**figure) for figure in found.pop("figures")]
        return Report(**found, figures=figures)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{path} does not have the figures of a run") from None


def shown(value: float, digits: int = 3) -> str:
    """
    Return a figure with so many digits, or as a whole number of thousands.
    """
    return f"{value:,.0f}" if value >= 1000 else f"{value:.{digits}g}"


def as_ratio(value: float) -> str:
    """
    Return a figure with two decimals, or with three digits from ten on.
    """
    return f"{value:.2f}" if value < 10 else shown(value)
