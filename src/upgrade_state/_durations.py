"""
Convert durations and times of the caller to whole seconds.
"""

import datetime as dt

from upgrade_state import _record


def whole_seconds(duration: dt.timedelta, name: str) -> int:
    """
    Return a duration in whole seconds, rounded up.

    Raises:
        ValueError: It is negative or no timedelta; the message contains *name*.
    """
    if not isinstance(duration, dt.timedelta) or duration < dt.timedelta():
        raise ValueError(f"{name} must be a timedelta of zero or more: {duration!r}")
    whole, rest = divmod(duration, dt.timedelta(seconds=1))
    return whole + bool(rest)


def epoch_seconds(moment: dt.datetime, name: str = "now") -> int:
    """
    Return a time in whole seconds since the epoch, rounded down.

    Raises:
        ValueError: It has no time zone, is no datetime, or is outside the years
            1000 to 9999; the message contains *name*.
    """
    if not isinstance(moment, dt.datetime) or moment.utcoffset() is None:
        raise ValueError(f"{name} must be a datetime with a time zone: {moment!r}")
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    seconds = (moment - epoch) // dt.timedelta(seconds=1)
    if not _record.FIRST_SECOND <= seconds <= _record.LAST_SECOND:
        raise ValueError(f"{name} must be in the years 1000 to 9999 (UTC): {moment!r}")
    return seconds
