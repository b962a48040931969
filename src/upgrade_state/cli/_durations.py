"""
Durations on the command line: ``90s``, ``10m``, ``12h``, ``7d``, ``2w``, ``0``.
"""

import datetime as dt

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def duration(text: str) -> dt.timedelta:
    """
    Read a duration.

    Raises:
        ValueError: It is none; the message says what is allowed.
    """
    number, unit = (text, "s") if text == "0" else (text[:-1], text[-1:])
    if unit in _UNITS and number.isascii() and number.isdigit() and len(number) < 12:
        try:
            return dt.timedelta(seconds=int(number) * _UNITS[unit])
        except OverflowError:
            pass
    raise ValueError(
        f"not a duration: {text!r}; a whole number and one of s, m, h, d, w"
        " (90s, 10m, 12h, 7d, 2w), or 0"
    )
