"""
Durations on the command line: ``90s``, ``10m``, ``12h``, ``7d``, ``2w``, ``0``.
"""

import datetime as dt

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def duration(text: str) -> dt.timedelta:
    """
    Return the duration that *text* stands for.

    Raises:
        ValueError: *text* is no duration; the message lists the units.
    """
    number, unit = (text, "s") if text == "0" else (text[:-1], text[-1:])
    # As many digits as the longest timedelta has seconds.
    if unit in _UNITS and number.isascii() and number.isdigit() and len(number) < 15:
        try:
            return dt.timedelta(seconds=int(number) * _UNITS[unit])
        except OverflowError:
            pass
    raise ValueError(
        f"not a duration: {text!r}; a whole number and one of s, m, h, d, w"
        " (90s, 10m, 12h, 7d, 2w), or 0"
    )


def limit(text: str) -> dt.timedelta:
    """
    Return a duration longer than zero: a zero could be taken for no limit.
    """
    length = duration(text)
    if not length:
        raise ValueError("the time limit must be longer than 0")
    return length
