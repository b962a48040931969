"""
A look at an environment, in words: its state, and the line that begins with its name.
"""

import contextlib
import functools
import os
import time
from collections import Counter
from typing import Any, Final

from upgrade_state import Look, UpgradeStateError, lockfiles
from upgrade_state.cli._commands import Arguments
from upgrade_state.cli._output import (
    Styled,
    duration,
    epoch_of,
    moment,
    out,
    without_urls,
)
from upgrade_state.cli._parser import Question
from upgrade_state.cli._targets import lockfiles_in, name_of, tilde
from upgrade_state.cli._upgrades import rows_of

# Of a lockfile that is no file: its upgrades are known, but not whether it has changed.
PRIVATE: Final = "lockfile known to its manager only"

# The summary of a lockfile that can only be compared as a whole.
_OPAQUE: Final = "the lockfile would change"

_COLORS: Final = {
    **dict.fromkeys(("up to date", "upgraded"), "green"),
    **dict.fromkeys(("upgrades", "changed", "never checked"), "yellow"),
}


class View:
    """
    A look at an environment, in words.

    Args:
        is_alone: See `Arguments`.

    Attributes:
        name: The environment for people.

        arguments: The environment for a command.

        reasons: Every reason for silence, or the verdict to speak, alone.

        gone: Which part was removed, as a sentence; None: none was.

    Raises:
        UpgradeStateError: The record could not be read.
    """

    def __init__(
        self, look: Look, question: Question, *, is_alone: bool | None = None
    ) -> None:
        if look.error is not None:
            raise look.error
        self.look: Final = look
        self.question: Final = question
        self.arguments: Final = Arguments(look.environment, is_alone=is_alone)
        asked = question._asdict()
        self.freshness: Final = look.freshness(max_age=asked.pop("max_age"))
        self.reasons: Final = look.reasons(**asked)
        missing = None if look.record is None else look.missing
        self.gone: Final = missing and f"the {missing} was removed"
        self.name = name_of(look.environment)
        if missing == "directory":
            self.name = tilde(look.environment.path or "")
        record = look.record or {}
        self.result: Final[dict[str, Any] | None] = record.get("result")
        self.consent: Final[dict[str, Any] | None] = record.get("consent")
        self.failure: dict[str, Any] | None = record.get("failure")
        if self.failure is not None:
            since = self.failure.get("since") or self.failure["at"]
            self.failure = self.failure | {"since": since}

    @functools.cached_property
    def summary(self) -> str | None:
        """
        The result of the last check; None: there are no upgrades, or none are known.
        """
        summary = self.look.summary(self.question.platform)
        return _OPAQUE if summary == "Upgrades" else summary

    @property
    def found(self) -> str:
        """
        The result in words: ``3 version changes available``, ``up to date``.
        """
        found = self.counts or "up to date"
        is_bare = self.summary and found == self.summary != _OPAQUE
        return f"{found} available" if is_bare else found

    @property
    def counts(self) -> str:
        """
        The summary, and how many packages are added or removed; "": nothing.
        """
        kinds = Counter[str]()
        with contextlib.suppress(UpgradeStateError):  # a file is gone, or damaged
            rows = rows_of(self.look.upgrades(), self.question.platform)
            kinds.update(row.kind for row, _ in rows if not (row.local or row.internal))
        more = (f"{kinds[kind]} {kind}" for kind in ("added", "removed") if kinds[kind])
        return ", ".join(filter(None, (self.summary, *more)))

    @functools.cached_property
    def state(self) -> str:
        """
        The state of the environment, in one to three words.
        """
        if self.look.is_corrupt:
            return "corrupt record"
        if self.gone:
            return "gone"
        if self.failure is not None:
            return "failing"
        if not self.result:
            return "never checked"
        if self.look.lockfile_state in ("upgraded", "changed"):
            return str(self.look.lockfile_state)
        return "upgrades" if self.summary else "up to date"

    @property
    def color(self) -> str:
        """
        The colour of the state.
        """
        return _COLORS.get(self.state, "red")

    @property
    def is_outdated(self) -> bool:
        """
        Whether there are upgrades for the current lockfile.
        """
        state = self.look.lockfile_state
        return bool(self.summary) and not self.gone and state in ("checked", None)

    @property
    def is_elsewhere(self) -> bool:
        """
        Whether the consent is for another directory than the one that is here now.
        """
        return bool(self.consent) and not self.look._consent_holds()

    @property
    def is_private(self) -> bool:
        """
        Whether only the manager knows the lockfile: the last one checked was no file.
        """
        is_file = self.look.environment.lockfile_name is not None
        return not is_file and bool(self.result and self.result["old_lockfile"])

    @property
    def is_hooked(self) -> bool:
        """
        Whether the hook may find the environment: it knows no names of environments.
        """
        environment = self.look.environment
        name = environment.lockfile_name
        is_known = name is None or lockfiles.format_of(name) is not None
        return is_known and environment.name is None

    @property
    def is_found(self) -> bool:
        """
        Whether the hook finds the environment: its lockfile exists.
        """
        environment = self.look.environment
        file = environment.lockfile_name
        is_there = file is None or file in lockfiles_in(environment.path or "")
        return self.is_hooked and is_there

    @property
    def is_repeated(self) -> bool:
        """
        Whether `notify --check` and `check --all` repeat the check.
        """
        is_allowed = bool(self.consent) and not self.is_elsewhere
        is_here = self.gone is None and not self.is_private
        return is_allowed and is_here and self.reasons[0].switch is None

    @property
    def is_automatic(self) -> bool:
        """
        Whether the hook repeats the check.
        """
        return self.is_repeated and self.is_found

    @property
    def log_path(self) -> str | None:
        """
        The log of the last check in the background; None: there was none.

        An empty one is left by a start that was refused.
        """
        path = self.look.environment.log_path
        is_log = path and os.path.isfile(path) and os.path.getsize(path)
        return path if is_log else None


def manager_of(look: Look) -> str | None:
    """
    Return the manager that has made the last check, and makes the next one.

    None: a recipe made it, or there is consent to one, or it is unknown.
    """
    record = look.record
    if not record or not record["checker"] or record["consent"]:
        return None
    checker: str = without_urls(record["checker"])
    # No recipe's name has a blank. To look it up takes three times as long as a list.
    is_recipe = " " not in checker and checker.partition("+")[0] in _recipe_names()
    return None if is_recipe else checker


@functools.cache
def _recipe_names() -> frozenset[str]:
    from upgrade_state import checks

    return frozenset(checks.recipe_names())  # asks for installed distributions


def print_state(view: View) -> None:
    """
    Print in which state the environment is, when it was checked, and by which tool.
    """
    record, failure, state = view.look.record or {}, view.failure, view.state
    text = {
        "corrupt record": "the record is corrupt; the next check replaces it",
        "gone": view.gone,
        "upgraded": "upgraded since the check",
        "changed": "changed since the check",
    }.get(state) or state
    verb = {"failing": ", last good check", "upgraded": "", "changed": ""}
    checked = ", as of the check" if view.is_private else ", checked"
    if state in ("upgrades", "up to date"):
        text = view.found
    elif state == "failing" and failure is not None:
        text = f"the last check failed {when(failure['at'])}"
        if (times := failure["attempts"]) > 1:
            text = f"checks are failing since {when(failure['since'])} ({times} times)"
    if record.get("last_checked") is None or view.gone:
        checked = ""
    else:
        checked = f"{verb.get(state, checked)} {when(record['last_checked'])}"
        checked += f" by {record['checker']}" if record["checker"] else ""
    out(Styled(view.name, "bold"), ": ", Styled(text, view.color), checked)


def when(text: str) -> str:
    """
    Return a time of a record for people.
    """
    seconds = epoch_of(text)
    # As long as the policy believes a time that is ahead.
    is_ahead = seconds > time.time() + 300
    return moment(seconds) + " (in the future: the clock was set back)" * is_ahead


def ago(text: str) -> str:
    """
    Return how long ago a time of a record was.
    """
    seconds = int(time.time() - epoch_of(text))
    if seconds < -1:
        return "in the future"
    return f"{duration(seconds)} ago" if seconds >= 60 else "just now"
