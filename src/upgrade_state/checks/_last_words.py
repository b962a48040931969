"""
What a tool said when it gave up, in one line that is fit for a terminal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from upgrade_state import _text

if TYPE_CHECKING:
    from typing import Final

LENGTH: Final = 400
_LINES: Final = 4

# Colours and the like: a message is read in places that have none. Also what
# sets a window's title or makes a link.
_STYLE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

# Where tools begin to say what went wrong: after a mark or their own name, with
# the name of an exception, or with a mark alone.
_ERROR: Final = re.compile(
    r"(?:[^\w\s]+\s*)?(?:\w[\w.-]*:? )?(?:err!|(?:error|fatal|critical)\b)"
    r"|\[?[a-z]\w*(?:error|exception)\b|\[\w+\]:|\u00d7 ",
    re.IGNORECASE,
)

# How they say that they do not know a command or an option.
_UNKNOWN: Final = re.compile(
    r"(?:unknown|unrecogni[sz]ed|no such|unexpected|invalid|unsupported)"
    r" (?:sub-?command|command|option|flag|argument|choice)s?(?![\w-])"
    r"|(?:command|option|flag|argument) \S+ (?:does not exist|is not defined)"
    r"|is not (?:a recogni[sz]ed|a known|a valid|expected)\b",
    re.IGNORECASE,
)


def last_words(output: bytes) -> str:
    """
    Return what a tool said when it gave up, as one line; "": nothing.

    From the last lines that call themselves errors on, if there are any.
    """
    text = "; ".join(_last_lines(output))
    return _text.message_of(text, LENGTH)


def is_unknown(output: bytes) -> bool:
    """
    Tell whether a tool does not know what it was asked for: it is too old.
    """
    return any(map(_UNKNOWN.search, _last_lines(output)))


def _last_lines(output: bytes) -> list[str]:
    text = _STYLE.sub("", output.decode(errors="backslashreplace"))
    # What was drawn over, as by a progress display, is not there any more.
    drawn = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    lines = [line.strip() for line in drawn if line.strip()]
    errors = [bool(_ERROR.match(line)) for line in lines]
    start = len(lines) - 1 - errors[::-1].index(True) if any(errors) else -1
    while start > 0 and errors[start - 1]:
        start -= 1
    return lines[start:][:_LINES]
