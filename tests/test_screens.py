"""
The output of the commands at a terminal is that of `tests/screens/`.

After a change of output, run `python tests/screens.py` and look at the difference.
"""

from __future__ import annotations

import re

import pytest

import screens

RAW: dict[tuple[str, bool], dict[int, str]] = {}

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


# Whole at every width: a typed command, a path for programs, and a command or path that
# is to be copied.
WHOLE = re.compile(r"\$ |/h|.*'|(  .{12})?  +(rm|uv|cd|export|upgrade-state) |  to ")


def raw(situation: str, *, colored: bool = False) -> dict[int, str]:
    """
    Return the raw output in a situation, which is made once.
    """
    key = situation, colored
    if key not in RAW:
        RAW[key] = screens.screens(situation, colored=colored)
    return RAW[key]


def test_files():
    """
    Each situation has a file for each width, and there are no other files.
    """
    names = {f"{s}-{width}.txt" for s in screens.SITUATIONS for width in screens.WIDTHS}

    found = {path.name for path in screens.SCREENS.iterdir()}
    assert names | {f"{screens.COLORED}-80-colour.txt"} == found


@pytest.mark.xdist_group("screens")
@pytest.mark.parametrize("situation", screens.SITUATIONS)
class TestScreens:
    def test_is_current(self, situation):
        """
        A terminal shows the text of the file.
        """
        for width, output in raw(situation).items():
            path = screens.SCREENS / f"{situation}-{width}.txt"
            assert path.read_text(encoding="utf-8") == screens.displayed(output)

    def test_fits(self, situation):
        """
        No line is longer than the terminal, ends with blanks or has an escape.

        Commands, and paths for other programs, are whole.
        """
        for width, output in raw(situation).items():
            lines = screens.displayed(output).split("\n")
            long = [x for x in lines if len(x) > width]
            assert [] == [x for x in long if not WHOLE.match(x)]
            assert [] == [
                x for x in output.split("\n") if x.split("\r")[-1][-1:] == " "
            ]
            assert "\x1b" not in output


def test_colour():
    """
    A terminal with colours shows the same text.
    """
    (colored,) = raw(screens.COLORED, colored=True).values()
    path = screens.SCREENS / f"{screens.COLORED}-80-colour.txt"

    text = screens.displayed(colored)
    assert path.read_text(encoding="utf-8") == text.replace("\x1b", "ESC")
    assert raw(screens.COLORED)[80] == ESCAPE.sub("", colored)
