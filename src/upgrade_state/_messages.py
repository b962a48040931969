"""
The answers of this library in words, for people.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upgrade_state._redact import MESSAGE_LENGTH, clean, message_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from typing import Final

# Why a check is (not) due.
FRESHNESS: Final[Mapping[str, str]] = {
    "backing-off": "the last check failed; nothing is tried again {until}",
    "never-checked": "no check has succeeded yet",
    "expired": "the last check is too old",
    "lockfile-changed": "the lockfile is not the one that was checked",
    "fresh": "the last check is good {until}",
    "busy": "a check has just been started",
    "switched-off": "{switch} is set in the process environment",
    "unavailable": "{error}",
}

# Why the user is (not) told.
VERDICTS: Final[Mapping[str, str]] = {
    "switched-off": "{switch} is set in the process environment",
    "nothing-known": "no check has succeeded yet",
    "no-upgrades": "the last check found nothing to upgrade",
    "snoozed": "snoozed {until}",
    "told-recently": "you were notified; no further notice {until}",
    "lockfile-changed": "the lockfile is not the one that was checked",
    "busy": "another process is writing the record; the next activation asks again",
    "notify": "{summary} available",
    "cannot-check": "{summary}",
    "unavailable": "{error}",
}

NO_ERROR: Final = "unknown error (too many open files?)"


def moment(when: dt.datetime) -> str:
    """
    Write a time in UTC for people: ``2026-11-20 04:18:00 UTC``.
    """
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def until(when: dt.datetime | None) -> str:
    """
    Return until when an answer holds; None: it is not known to change.
    """
    return "forever" if when is None else f"until {moment(when)}"


def summary(version_changes: int, rebuilds: int) -> str:
    """
    Write counts as words; what is zero is left out.
    """
    parts = (_count(version_changes, "version change"), _count(rebuilds, "rebuild"))
    return " and ".join(filter(None, parts))


def _count(number: int, noun: str) -> str:
    if number == 0:
        return ""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def message(summary: str, directory: str) -> str:
    """
    Write the notice, with the name of *directory*.
    """
    return f"{summary} available in '{_name(directory)}'."


def could_not_check(seconds: int, why: str) -> str:
    """
    Write that checks have failed for so many *seconds*.
    """
    return f"could not check{_for(seconds)}{_because(why)}"


def could_not_check_message(seconds: int, why: str, directory: str) -> str:
    """
    Write the same as a notice, with the name of *directory*.
    """
    what = f"upgrades of '{_name(directory)}'"
    return f"Could not check for {what}{_for(seconds)}{_because(why)}."


def _name(directory: str) -> str:
    return clean(os.path.basename(directory) or directory)


def _for(seconds: int) -> str:
    length = duration(seconds)
    return length and f" for {length}"


def _because(why: str) -> str:
    # The record may come from another program: nothing is believed of it.
    why = message_of(why, MESSAGE_LENGTH).rstrip(". ")
    return why and f": {why}"


def duration(seconds: int) -> str:
    """
    Write a length of time in its largest unit, cut; "" for none.
    """
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return _count(seconds // size, unit)
    return ""
