"""
Durations and moments as people write them.

A silent activation loads this module if an option or a variable has a duration, so
it imports at module level only modules that a bare interpreter has loaded.
"""

import os

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}

_WEEKDAYS = (
    *("monday", "tuesday", "wednesday", "thursday"),
    *("friday", "saturday", "sunday"),
)

_DIGITS, _LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"

# Of the longest timedelta.
_LONGEST = 999_999_999 * 86_400


def seconds_of(text: str) -> int:
    """
    Return a duration in seconds: ``90s``, ``7 days``, ``1w2d``, ``0``.

    Raises:
        ValueError: *text* is no duration; the message has examples.
    """
    total, rest = 0, text.strip(" ")
    is_valid = rest != ""
    rest = "" if rest == "0" else rest
    while rest and is_valid:
        after = rest.lstrip(_DIGITS)
        number, after = rest[: len(rest) - len(after)], after.lstrip(" ")
        rest = after.lstrip(_LETTERS)
        unit, rest = after[: len(after) - len(rest)], rest.lstrip(" ")
        # More digits than the longest timedelta has seconds would take long to read.
        is_valid = unit in _UNITS and 0 < len(number) < 15
        total += int(number) * _UNITS[unit] if is_valid else 0
    if is_valid and total <= _LONGEST:
        return total
    is_number = text.isdigit() and len(text) < 5
    hint = f"; did you mean {text}d?" if is_number else " (such as 12h, 7d, 1w2d)"
    raise ValueError(f"not a duration: {_short(text)!r}{hint}")


def future_of(text: str, now: float) -> "dt.datetime":
    """
    Return a local time after *now*: ``2026-12-24 09:00``, ``tomorrow``, ``monday``.

    A day means its beginning. A weekday is the next one, not today.

    Args:
        now: Seconds since the epoch.

    Raises:
        ValueError: *text* is no time, or has passed.
    """
    import datetime as dt

    day, _, clock = text.strip().partition(" ")
    try:
        today = dt.datetime.fromtimestamp(now, dt.UTC).astimezone().date()
    except ValueError:  # a day or more from UTC
        zone = os.environ.get("TZ", "")
        raise ValueError(f"not a time zone: TZ={_short(zone)}") from None
    days = {"today": 0, "tomorrow": 1}
    for number, name in enumerate(_WEEKDAYS):
        days[name] = days[name[:3]] = (number - today.weekday() - 1) % 7 + 1
    if (ahead := days.get(day.lower())) is not None:
        text = f"{today + dt.timedelta(days=ahead)} {clock.strip() or '00:00'}"
    try:
        naive = dt.datetime.fromisoformat(text.strip())
        # Of a time that the clock skips, the one after the gap is its fold or not,
        # depending on the platform.
        moment = max(naive.replace(fold=fold).astimezone() for fold in (0, 1))
    except (ValueError, OverflowError, OSError):
        message = f"not a time: {_short(text)!r} (such as 2026-12-24, monday)"
        raise ValueError(message) from None
    if moment.timestamp() <= now:
        raise ValueError(f"{_short(text)!r} has passed")
    return moment


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:19]}…"


def of_variables(variables: "Mapping[str, str]") -> "dict[str, int]":
    """
    Return the durations in seconds that variables give for options.

    A bad value is one line on stderr, and counts as none.

    Args:
        variables: The names of the variables, by the options.
    """
    found = {}
    for name, variable in variables.items():
        text = os.environ.get(variable)
        try:
            if text:
                found[name] = seconds_of(text)
        except ValueError as error:
            from upgrade_state.cli._output import err

            err(f"{variable} is ignored: {error}")
    return found
