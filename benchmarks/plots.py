"""
Draw the plots of docs/benchmarks.md: bars beside the peers, and curves of growth.

Each is as wide as a phone, so that its text stays legible there. Colours follow the
scheme of the reader.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.growth import short
from benchmarks.report import as_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.report import Figure

WIDTH = 360

# Of each colour, the one on a dark page.
INK, PALE, GRID = "#1f2328", "#57606a", "#d0d7de"
GREEN, BLUE, AMBER, RED, VIOLET = "#1a7f37", "#0969da", "#bf8700", "#cf222e", "#8250df"
DARK = {
    INK: "#e6edf3",
    PALE: "#9198a1",
    GRID: "#3d444d",
    GREEN: "#3fb950",
    BLUE: "#58a6ff",
    AMBER: "#d29922",
    RED: "#ff7b72",
    VIOLET: "#a371f7",
}

KINDS = {"ours": GREEN, "peers": BLUE, "floors": PALE}
# Markers and dashes tell them apart without colours, and where they overlap.
CURVES: Any = (
    (GREEN, "o", "-"),
    (BLUE, "s", (0, (4, 2))),
    (AMBER, "^", (0, (6, 1.5, 1, 1.5))),
    (RED, "D", (0, (1.5, 1.5))),
    (VIOLET, "v", (0, (8, 4))),
)

FONTS = 'system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif'

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "upgrade-state",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": PALE,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": PALE,
    "xtick.labelcolor": INK,
    "ytick.color": PALE,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 11,
}


def bars(figures: Sequence[Figure], title: str) -> str:
    """
    Return bars from the shortest to the longest, each with its quartiles.
    """
    rows = sorted(figures, key=lambda figure: figure.value, reverse=True)
    height = 22 * len(rows) + 62
    with mpl.rc_context(_SETTINGS):
        canvas, axes = _canvas(height, left=150, right=44, top=8, bottom=40)
        for place, row in enumerate(rows):
            axes.barh(place, row.value, height=0.62, color=KINDS[row.series or ""])
            spread = [[row.value - row.low], [row.high - row.value]]
            axes.errorbar(row.value, place, xerr=spread, color=INK, elinewidth=1.2)
            axes.annotate(
                as_ratio(row.value),
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(40, 0),
                textcoords="offset points",
                ha="right",
                va="center",
            )
        axes.set_yticks(range(len(rows)), [_first(row.name) for row in rows])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(0, max(row.high for row in rows) * 1.02)
        axes.axvline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        axes.set_xlabel("times the CPU of a bare interpreter")
        return _svg(canvas, title)


def curves(named: Mapping[str, Sequence[Figure]], label: str, title: str) -> str:
    """
    Return one curve for each name, over amounts on a logarithmic axis.
    """
    top = 15 * len(named) + 24
    points = [figure for figures in named.values() for figure in figures]
    smallest = points[0].name.partition(" / ")[2]
    smallest = re.sub(r"^1 (process|upgrade)e?s", r"one \1", smallest)
    with mpl.rc_context(_SETTINGS):
        canvas, axes = _canvas(172 + top, left=46, right=16, top=top, bottom=42)
        for (name, figures), style in zip(named.items(), CURVES, strict=False):
            color, marker, dashes = style
            values = [figure.value for figure in figures]
            spread = [
                [figure.value - figure.low for figure in figures],
                [figure.high - figure.value for figure in figures],
            ]
            amounts = [figure.x or 0 for figure in figures]
            axes.plot(
                amounts, values, color=color, marker=marker, ls=dashes, label=name
            )
            axes.errorbar(amounts, values, yerr=spread, color=color, fmt="none")
        amounts = sorted({figure.x or 0 for figure in points})
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(amounts))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: short(x)))
        axes.set_yscale("log")
        low, high = (f(p.value for p in points) for f in (min, max))
        axes.set_ylim(min(low / 1.3, 0.4), max(high * 1.3, 4))
        steps = (1, 2, 5) if high / low < 30 else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: short(y)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.axhline(1, color=INK, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_xlabel(label)
        axes.set_title(f"times the cost of {smallest}", loc="left", fontsize=11)
        canvas.legend(
            loc="upper left",
            bbox_to_anchor=(40 / WIDTH, 1),
            borderaxespad=0,
            labelspacing=0.15,
        )
        return _svg(canvas, title)


def _canvas(height: int, **margins: int) -> tuple[Canvas, mpl.axes.Axes]:
    """
    Return a canvas whose unit is a pixel, and its axes within margins.
    """
    canvas = Canvas(figsize=(WIDTH / 72, height / 72), dpi=72)
    axes = canvas.add_axes(
        (
            margins["left"] / WIDTH,
            margins["bottom"] / height,
            1 - (margins["left"] + margins["right"]) / WIDTH,
            1 - (margins["bottom"] + margins["top"]) / height,
        )
    )
    return canvas, axes


def _svg(canvas: Canvas, title: str) -> str:
    """
    Return the text of a picture, with the colours of a dark page, and no date.
    """
    file = io.StringIO()
    canvas.savefig(
        file,
        format="svg",
        transparent=True,
        metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
    )
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', svg)
    svg = re.sub(r" <metadata>.*?</metadata>\n", "", svg, flags=re.DOTALL)
    svg = svg.replace("'DejaVu Sans', sans-serif", escape(FONTS))
    rules = "\n".join(
        f'[style*="{what}: {light}"] {{ {what}: {dark} !important; }}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
        if f"{what}: {light}" in svg
    )
    style = f"@media (prefers-color-scheme: dark) {{\n{rules}\n}}"
    head = f"<title>{escape(title)}</title>\n <style>{style}</style>\n <defs>"
    return svg.replace("<defs>", head, 1)


def _first(name: str) -> str:
    return name.partition(" / ")[0]
