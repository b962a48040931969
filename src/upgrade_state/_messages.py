"""
Texts for users: the reasons of answers, counts and notices.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from upgrade_state._redact import MESSAGE_LENGTH, clean, message_of, safe

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from typing import Final

# Why a check is (not) due.
FRESHNESS: Final[Mapping[str, str]] = {
    "backing-off": "the last check failed; it is not repeated {until}",
    "never-checked": "a check is needed",
    "expired": "the last check is too old",
    "lockfile-changed": "the lockfile has changed since the check",
    "fresh": "the last check is good {until}",
    "just-checked": "the lockfile has changed since the last check; no other {until}",
    "busy": "a check is running",
    "switched-off": "{switch} is set in the process environment",
    "unavailable": "{error}",
}

# The same, while no other process is started: most would end like the last one.
RECORDED_NOTHING: Final = (
    "the last start recorded nothing, see its log; no other {until}"
)

# Why the user is (not) notified.
VERDICTS: Final[Mapping[str, str]] = {
    "switched-off": "{switch} is set in the process environment",
    "nothing-known": "its upgrades are not known yet",
    "no-upgrades": "nothing to upgrade",
    "snoozed": "snoozed {until}",
    "told-recently": "you were notified; no reminder {until}",
    "upgraded": "you have made the upgrade",
    "lockfile-changed": "the lockfile has changed since the check",
    "busy": "another process is writing the record; the next activation tries again",
    "notify": "{summary} available",
    "cannot-check": "{summary}",
    "unavailable": "{error}",
}

NO_ERROR: Final = "unknown error (too many open files?)"


def moment(when: dt.datetime | float) -> str:
    """
    Write a time for people, in the local zone: ``today 09:12``, ``24 Dec 09:12``.

    Args:
        when: An aware datetime, or seconds since the epoch.
    """
    then = time.localtime(when if isinstance(when, int | float) else when.timestamp())
    now = time.localtime(time.time())
    for shift, name in enumerate(("yesterday", "today", "tomorrow"), -1):
        # At noon, because a day may have 23 hours; mktime knows the days of a month.
        noon = (*now[:2], now.tm_mday + shift, 12, 0, 0, 0, 0, -1)
        if time.localtime(time.mktime(noon))[:3] == then[:3]:
            return time.strftime(f"{name} %H:%M", then)
    year = "" if then.tm_year == now.tm_year else f" {then.tm_year}"
    return time.strftime(f"{then.tm_mday} %b{year} %H:%M", then)


def until(when: dt.datetime | None) -> str:
    """
    Return until when an answer holds; None: it is not known to change.
    """
    return "forever" if when is None else f"until {moment(when)}"


def summary(version_changes: int, rebuilds: int) -> str:
    """
    Write counts as "2 version changes and 1 rebuild", without those that are zero.
    """
    parts = (_count(version_changes, "version change"), _count(rebuilds, "rebuild"))
    return " and ".join(filter(None, parts))


def _count(number: int, noun: str) -> str:
    if number == 0:
        return ""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def message(summary: str, directory: str, name: str | None = None) -> str:
    """
    Write the notice, with the name of *directory* and that of the environment.
    """
    return f"{summary} available in {quoted_name(directory, name)}."


def could_not_check(seconds: int, why: str) -> str:
    """
    Write for how many *seconds* checks have failed, and *why*.
    """
    return f"could not check{_for(seconds)}{_because(why)}"


def could_not_check_message(
    seconds: int, why: str, directory: str, name: str | None = None
) -> str:
    """
    Write the same as a notice, with the same names.
    """
    upgrades = f"upgrades of {quoted_name(directory, name)}"
    return f"Could not check for {upgrades}{_for(seconds)}{_because(why)}."


def quoted_name(directory: str, name: str | None = None) -> str:
    """
    Return the last part of a path, after a *name* in it, as in the notice.
    """
    text = f"'{clean(os.path.basename(directory) or directory)}'"
    return text if name is None else f"'{safe(name)}' of {text}"


def _for(seconds: int) -> str:
    length = duration(seconds)
    return length and f" for {length}"


def _because(why: str) -> str:
    # Another program may have written the record: its text is not safe to print.
    why = message_of(why, MESSAGE_LENGTH).rstrip(". ")
    return why and f": {why}"


def duration(seconds: int) -> str:
    """
    Write a duration in its largest unit, rounded down; "" for zero.
    """
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return _count(seconds // size, unit)
    return ""
