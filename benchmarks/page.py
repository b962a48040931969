"""
Write docs/benchmarks.md and its plots from the figures of one run.

`page.md` has the text. A field in braces is a figure, by its name; `|this` and
`|against` are the two times behind it. A line with a figure that the run does not have
is left out. The reasons for missed limits may have such fields, too.
"""

from __future__ import annotations

import importlib
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.growth import short
from benchmarks.report import as_ratio, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.report import Figure, Report

    Curves = Mapping[str, Sequence[Figure]]
    # An operation, the unit and the amount, and the seconds that it takes.
    Row = tuple[str, str, float, float]

TEXT = Path(__file__).with_suffix(".md")
DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURES = DOCS / "static" / "benchmarks.json"

_BARS = "static/benchmarks-peers.svg"

# The sentence of why.md, as a pattern and with its figures.
_OLD = r"It takes .* times as long as a Python interpreter that does nothing: .*"
_NEW = (
    "It takes {notify DIR / bare interpreter} times as long as a Python interpreter "
    "that does nothing: {notify DIR / bare interpreter|this} instead of "
    "{notify DIR / bare interpreter|against} on the machine of the "
    "[benchmarks](benchmarks.md)."
)

# Seconds of CPU time, beyond those for the smallest amount, that a person notices.
_NOTICEABLE = 0.1


def write(report: Report) -> None:
    """
    Write the figures, the page and its plots.
    """
    report.write(FIGURES)
    for name, content in (plots(report) | pages(report)).items():
        (DOCS / name).write_text(content)


def pages(report: Report) -> dict[str, str]:
    """
    Return this page, and the other one that names a figure, by their names.
    """
    why = (DOCS / "why.md").read_text()
    if sentence := _filled(_NEW, _fields(report)):
        why = re.sub(_OLD, sentence, why)
    return {"benchmarks.md": text(report), "why.md": why}


def plots(report: Report) -> dict[str, str]:
    """
    Return the plots by their paths in the docs.
    """
    from benchmarks import plots  # noqa: PLC0415 - the text needs no matplotlib

    found = {}
    if bars := _bars(report):
        found[_BARS] = plots.bars(bars, _words_for_bars(bars))
    for unit, curves in units(report).items():
        plain = {name.replace("`", ""): row for name, row in curves.items()}
        found[_path(unit)] = plots.curves(plain, unit, _words_for_curves(unit, curves))
    return found


def text(report: Report) -> str:
    """
    Return the page.
    """
    by_unit, bars = units(report), _bars(report)
    fields = _fields(report) | {
        "rounds": str(report.rounds),
        "facts": _table(("fact", "value"), [*report.facts.items()], "---"),
        "groups": "\n\n".join(_group(report, name) for name in report.titles),
        "limits": _limits(by_unit),
        "rest": "\n\n".join(_rows_and_reasons(report, "growth")),
        **{f"curves: {unit}": _growth(unit, row) for unit, row in by_unit.items()},
    }
    if bars:
        fields["bars"] = f"![{_words_for_bars(bars)}]({_BARS})"
    page = _filled(TEXT.read_text(), fields)
    return re.sub(r"\n{3,}", "\n\n", page).rstrip() + "\n"


def _fields(report: Report) -> dict[str, str]:
    found = {}
    for figure in report.figures:
        found[figure.name] = as_ratio(figure.value)
        found[f"{figure.name}|this"] = _time(figure.this)
        found[f"{figure.name}|against"] = _time(figure.against)
    return found


def _filled(template: str, fields: Mapping[str, str]) -> str:
    """
    Return a text with its fields, without the lines that have an unknown one.
    """
    lines = []
    for line in template.splitlines():
        names = re.findall(r"\{(.+?)\}", line)
        if unknown := [name for name in names if name not in fields]:
            print(f"left out of the page: a line with {', '.join(unknown)}")
        else:
            lines.append(re.sub(r"\{(.+?)\}", lambda found: fields[found[1]], line))
    return "\n".join(lines)


# Groups


def _group(report: Report, name: str) -> str:
    """
    Return the section of a group; the one with curves is in the text.
    """
    if name == "growth":
        return ""
    documentation = importlib.import_module(f"benchmarks.{name}").__doc__ or ""
    parts = (f"## {report.titles[name]}", documentation.strip())
    return "\n\n".join((*parts, *_rows_and_reasons(report, name)))


def _rows_and_reasons(report: Report, group: str) -> Iterator[str]:
    figures = [figure for figure in report.figures if figure.group == group]
    rows = [_row(figure) for figure in figures if figure.x is None]
    if rows:
        yield _table(("", "times", "quartiles", "this", "against", "limit"), rows)
    missed = [figure for figure in figures if not figure.is_met]
    if missed:
        module = importlib.import_module(f"benchmarks.{group}")
        reasons: Mapping[str, str] = getattr(module, "REASONS", {})
        fields = _fields(report)
        yield "Missed limits:\n\n" + "\n".join(
            f"- {figure.name}: {_filled(reasons.get(figure.name, _UNKNOWN), fields)}"
            for figure in missed
        )
    for words in report.skipped.get(group, ()):
        yield f"Not measured: {words}."


_UNKNOWN = "the reason is not known yet."


def _row(figure: Figure) -> tuple[str, ...]:
    value, spread = as_ratio(figure.value), ""
    if figure.other is None:
        value = f"{value} {figure.by}".strip()
    else:
        spread = f"{as_ratio(figure.low)} to {as_ratio(figure.high)}"
        value += " (wall)" * (figure.by == "wall")
    times = (_time(figure.this), _time(figure.against))
    return (figure.name, value, spread, *times, _limit(figure))


def _limit(figure: Figure) -> str:
    if figure.limit is None:
        return ""
    return f"{_wanted(figure)}, {'met' if figure.is_met else '**missed**'}"


def _wanted(figure: Figure) -> str:
    return f"{'≥' if figure.at_least else '≤'} {shown(figure.limit or 0)}"


# Growth


def units(report: Report) -> dict[str, dict[str, list[Figure]]]:
    """
    Return the curves by the unit of their amounts, and by their names.
    """
    found: dict[str, dict[str, list[Figure]]] = {}
    for figure in report.figures:
        if figure.series and figure.x is not None:
            unit, _, name = figure.series.partition(": ")
            found.setdefault(unit, {}).setdefault(name, []).append(figure)
    return found


def _path(unit: str) -> str:
    return f"static/benchmarks-{unit.replace(' ', '-')}.svg"


def _growth(unit: str, curves: Curves) -> str:
    """
    Return the plot and the table of some curves.
    """
    amounts = sorted({figure.x or 0 for row in curves.values() for figure in row})
    rows = []
    for name, figures in curves.items():
        cells = {
            f.x: as_ratio(f.value) if f.is_met else f"**{as_ratio(f.value)}**"
            for f in figures
        }
        wanted = {_wanted(figure) for figure in figures if figure.limit is not None}
        rows.append((name, *(cells.get(x, "") for x in amounts), *(wanted or {""})))
    plot = f"![{_words_for_curves(unit, curves)}]({_path(unit)})"
    return f"{plot}\n\n{_table((unit, *map(short, amounts), 'limit'), rows)}"


def _words_for_curves(unit: str, curves: Curves) -> str:
    ends = [f"{name} {as_ratio(row[-1].value)}" for name, row in curves.items()]
    return f"Growth with {unit}, at the largest amount: {', '.join(ends)}"


def _limits(curves: Mapping[str, Curves]) -> str:
    """
    Return a table of the amounts at which operations are noticed.
    """
    rows = [row for found in noticed(curves) for row in found]
    cells = [
        (name, f"{short(x)} {unit}", _time(taken)) for name, unit, x, taken in rows
    ]
    return _table(("", "amount", "CPU time"), cells)


def noticed(units: Mapping[str, Curves]) -> tuple[list[Row], list[Row]]:
    """
    Return the amounts at which operations are noticed.

    Returns:
        The operations that are, and the others at the largest amount that was measured.
    """
    reached: list[Row] = []
    others: list[Row] = []
    for unit, curves in units.items():
        for name, figures in curves.items():
            operation, _, per = name.partition(", per ")
            points = [
                (figure.x, figure.this * (figure.x if per else 1))
                for figure in figures
                if figure.x and figure.this and figure.by == "cpu"
            ]
            if points and (x := _reached(points)):
                reached.append((operation, unit, x, points[0][1] + _NOTICEABLE))
            elif points:
                others.append((operation, unit, *points[-1]))
    return reached, others


def _reached(points: Sequence[tuple[float, float]]) -> float | None:
    """
    Return the amount, between two that were measured, at which a cost is noticed.
    """
    wanted = points[0][1] + _NOTICEABLE
    for (x, low), (y, high) in pairwise(points):
        if low < wanted <= high:
            share = math.log(wanted / low) / math.log(high / low)
            return float(f"{x * math.pow(y / x, share):.1g}")
    return None


# Bars


def _bars(report: Report) -> list[Figure]:
    return [figure for figure in report.figures if figure.series and figure.x is None]


def _words_for_bars(bars: Sequence[Figure]) -> str:
    rows = sorted(bars, key=lambda figure: figure.value)
    parts = (f"{row.name.partition(' / ')[0]} {as_ratio(row.value)}" for row in rows)
    return f"Times the CPU time of a bare interpreter: {', '.join(parts)}"


# Text


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for unit, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{shown(seconds / unit)} {name}"
    return f"{shown(seconds * 1e9)} ns"


def _table(
    head: Sequence[str], rows: Sequence[Sequence[str]], others: str = "--:"
) -> str:
    lines = [head, ("---", *[others] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
