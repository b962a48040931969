"""
The answers of this library in words, for people.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from upgrade_state._text import clean

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from typing import Final

    from upgrade_state._policy import Freshness, Verdict

_FRESHNESS: Final[Mapping[str, str]] = {
    "backing-off": "the last check failed; nothing is tried again until {until}",
    "never-checked": "no check has succeeded yet",
    "expired": "the last check is too old",
    "lockfile-changed": "the lockfile is not the one that was checked",
    "fresh": "the last check is good until {until}",
    "busy": "a check has just been started",
    "switched-off": "{switch} is set in the process environment",
    "unavailable": "{error}",
}

_VERDICTS: Final[Mapping[str, str]] = {
    "switched-off": "{switch} is set in the process environment",
    "nothing-known": "no check has succeeded yet",
    "no-upgrades": "the last check found nothing to upgrade",
    "snoozed": "the user does not want to hear of it until {until}",
    "told-recently": "the user was told; the next notice is due at {until}",
    "lockfile-changed": "the lockfile is not the one that was checked",
    "busy": "another process is writing the record; the next activation asks again",
    "notify": "{summary} available",
    "unavailable": "{error}",
}


_NO_ERROR: Final = "the system refuses everything: too many open files?"


def explain_freshness(freshness: Freshness) -> str:
    """
    Explain in one line why a check is (not) due.
    """
    words = _FRESHNESS[freshness.reason]
    return f"{freshness.reason}: " + words.format(
        until=moment(freshness.until),
        error=freshness.error or _NO_ERROR,
        switch=freshness.switch,
    )


def explain_verdict(verdict: Verdict) -> str:
    """
    Explain in one line why the user is (not) told.
    """
    words = _VERDICTS[verdict.reason]
    return f"{verdict.reason}: " + words.format(
        until=moment(verdict.until),
        error=verdict.error or _NO_ERROR,
        switch=verdict.switch,
        summary=verdict.summary,
    )


def moment(when: dt.datetime | None) -> str:
    """
    Write a time in UTC for people: ``2026-11-20 04:18:00 UTC``.
    """
    return "the end of all time" if when is None else f"{when:%Y-%m-%d %H:%M:%S} UTC"


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
    name = os.path.basename(directory) or directory
    return f"{summary} available in '{clean(name)}'."
