"""
Draw the two pictures of the concepts: `docs/lanes.svg` and `docs/verdict.svg`.

A phone shows them at their own width of 360 pixels, so the text stays legible.
Colours follow the scheme of the reader.

    python docs/pictures.py [DIRECTORY]
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

DOCS = Path(__file__).resolve().parent

WIDTH = 360
LINE = 16

SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="-2 0 {width} {height}" \
width="{width}" height="{height}" role="img">
<title>{title}</title>
<style>
text {{ font: 12.5px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; \
fill: #1f2328; text-anchor: middle; }}
.code {{ font: 11px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
.head {{ font-weight: bold; }}
.note {{ fill: #57606a; }}
.box {{ fill: #ffffff; stroke: #57606a; }}
.silent {{ fill: #eaeef2; stroke: #8c959f; }}
.speak {{ fill: #dafbe1; stroke: #1a7f37; }}
.record {{ fill: #ddf4ff; stroke: #0969da; }}
.check-lock {{ fill: #fff1d6; stroke: #bf8700; stroke-dasharray: 5 3; }}
.write-lock {{ fill: #ffdcd7; stroke: #cf222e; stroke-dasharray: 5 3; }}
.arrow {{ fill: none; stroke: #57606a; stroke-width: 1.4; \
marker-end: url(#{name}-head); }}
.tip {{ fill: #57606a; }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3; }}
.note {{ fill: #9198a1; }}
.box {{ fill: #161b22; stroke: #8b949e; }}
.silent {{ fill: #262c36; stroke: #6e7681; }}
.speak {{ fill: #12361f; stroke: #3fb950; }}
.record {{ fill: #10294a; stroke: #58a6ff; }}
.check-lock {{ fill: #332707; stroke: #d29922; }}
.write-lock {{ fill: #431c1c; stroke: #ff7b72; }}
.arrow {{ stroke: #9198a1; }}
.tip {{ fill: #9198a1; }}
}}
</style>
<defs>
<marker id="{name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" \
markerHeight="7" orient="auto-start-reverse">
<path class="tip" d="M0 0 8 4 0 8z"/>
</marker>
</defs>
{body}
</svg>
"""

# The conditions of a verdict in their order, and the reason if one holds.
VERDICT = [
    ("A variable switches\nnotices off?", "switched-off"),
    ("No check has\nsucceeded yet?", "nothing-known"),
    ("No upgrades for\nthis platform?", "no-upgrades"),
    ("Has the user paused\nnotices?", "snoozed"),
    ("A notice within a day, or the\nsame one within a week?", "told-recently"),
    ("Have checks failed for as\nlong as the caller allows?", "cannot-check"),
    ("Is the lockfile the one that\nthe upgrade leads to?", "upgraded"),
    ("Is it another one than\nwas checked?", "lockfile-changed"),
    ("Is the write lock held, or was\nanother process faster?", "busy"),
]
SPEAKING = {"cannot-check", "notify"}


def rectangle(x: int, y: int, width: int, height: int, kind: str) -> str:
    """
    Return a rounded rectangle of a class.
    """
    return (
        f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" '
        'rx="6"/>'
    )


def text(x: int, y: int, lines: str, kind: str = "") -> str:
    """
    Return lines of text, centred on a point.
    """
    rows = lines.split("\n")
    top = y - (len(rows) - 1) * LINE / 2 + 4.5
    kind = f' class="{kind}"' if kind else ""
    return "\n".join(
        f'<text{kind} x="{x}" y="{top + LINE * number:g}">{escape(row)}</text>'
        for number, row in enumerate(rows)
    )


def box(
    x: int, y: int, width: int, lines: str, kind: str = "box", font: str = ""
) -> str:
    """
    Return a box with text, whose middle is at the height *y*.
    """
    height = LINE * (lines.count("\n") + 1) + 12
    shape = rectangle(x, y - height // 2, width, height, kind)
    return f"{shape}\n{text(x + width // 2, y, lines, font)}"


def arrow(*points: tuple[int, int]) -> str:
    """
    Return an arrow through points.
    """
    path = " ".join(f"{x} {y}" for x, y in points)
    return f'<path class="arrow" d="M{path}"/>'


def picture(name: str, title: str, height: int, parts: list[str]) -> str:
    """
    Return a picture of a name, with its parts from back to front.
    """
    return SVG.format(
        name=name, title=title, width=WIDTH + 4, height=height, body="\n".join(parts)
    )


def verdict() -> str:
    """
    Return the flow chart of a verdict.
    """
    parts = [text(100, 14, "claim_notice()", "code head"), arrow((100, 24), (100, 38))]
    y = 60
    for question, reason in VERDICT:
        parts += [
            box(4, y, 192, question),
            arrow((196, y), (232, y)),
            text(213, y - 9, "yes", "note"),
            box(
                234, y, 122, reason, "speak" if reason in SPEAKING else "silent", "code"
            ),
            arrow((100, y + 22), (100, y + 40)),
            text(116, y + 30, "no", "note"),
        ]
        y += 62
    parts.append(box(39, y - 8, 122, "notify", "speak", "code head"))
    parts.append(text(295, y - 8, "green: speak\ngrey: silent", "note"))
    return picture("verdict", "When an activation speaks", y + 14, parts)


def lanes() -> str:
    """
    Return an activation and a check as lanes, with the record between them.
    """
    left, right, wide = 4, 244, 112
    parts = [
        text(60, 12, "activation", "head"),
        text(180, 12, "record", "head"),
        text(300, 12, "check", "head"),
        text(60, 29, "milliseconds", "note"),
        text(180, 29, "one file", "note"),
        text(300, 29, "up to minutes", "note"),
        rectangle(236, 44, 122, 408, "check-lock"),
        text(298, 58, "check lock", "note"),
        rectangle(0, 166, 120, 96, "write-lock"),
        text(60, 188, "write lock,\ntried once", "note"),
        rectangle(240, 318, 116, 96, "write-lock"),
        text(298, 340, "write lock,\nwaited for", "note"),
        rectangle(152, 44, 56, 408, "record"),
        # The check begins.
        text(180, 88, "read", "note"),
        box(right, 96, wide, "read record\nand lockfile"),
        arrow((208, 96), (243, 96)),
        arrow((300, 118), (300, 153)),
        box(right, 192, wide, "the tool\nresolves in a\ncopy of the\nproject"),
        # An activation decides, and claims the notice.
        box(left, 96, wide, "decide without\na lock"),
        arrow((152, 96), (117, 96)),
        arrow((60, 118), (60, 165)),
        text(80, 142, "due", "note"),
        box(left, 232, wide, "claim: decide\nagain, record"),
        arrow((116, 232), (151, 232)),
        text(180, 232, "replace", "note"),
        arrow((60, 262), (60, 289)),
        box(left, 304, wide, "print the notice", "speak"),
        # The check commits its result.
        arrow((300, 230), (300, 317)),
        box(right, 384, wide, "commit: merge\nown fields"),
        arrow((244, 384), (209, 384)),
        text(180, 384, "replace", "note"),
        arrow((300, 414), (300, 428)),
        text(298, 438, "delete old results", "note"),
        box(left, 432, wide, "next activation"),
        arrow((152, 432), (117, 432)),
        text(180, 432, "read", "note"),
    ]
    return picture("lanes", "An activation and a check", 456, parts)


def main() -> None:
    """
    Draw the pictures into the directory named on the command line, or here.
    """
    directory = Path(sys.argv[1]) if sys.argv[1:] else DOCS
    (directory / "lanes.svg").write_text(lanes())
    (directory / "verdict.svg").write_text(verdict())


if __name__ == "__main__":
    main()
