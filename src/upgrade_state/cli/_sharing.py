"""
The shared results that the checks of a command use, and the lines about their use.
"""

import contextlib
import datetime as dt
import os
from collections.abc import Iterator
from typing import Final

from upgrade_state import checks
from upgrade_state.cli._output import err, progress
from upgrade_state.cli._parser import SHARED_VARIABLE
from upgrade_state.cli._targets import UsageError
from upgrade_state.cli._view import ago


class _Watched:
    """
    Shared results that draw a line while another checker makes the check.
    """

    def __init__(self, results: checks.SharedResults) -> None:
        self._results: Final = results
        self.answer: Final = results.answer
        self.give_up: Final = results.give_up
        self.close: Final = results.close

    def ask(self, question: checks.Question, max_age: dt.timedelta) -> checks.Reply:
        reply = self._results.ask(question, max_age)
        waiting = "another checker is making this check; waiting for its result…"
        name = question.lockfile_name
        progress(f"checking {name}…" if reply.busy_until is None else waiting)
        return reply


class Sharing:
    """
    The shared results of one command.

    Attributes:
        results: For the checks; None: there are none.
    """

    def __init__(self, url: str | None) -> None:
        self.results: checks.SharedResults | None = None
        self._is_option: Final = url is not None
        self._reasons: set[str] = set()

    def report(self, outcome: checks.Outcome) -> None:
        """
        Print why a check was made alone, once for each reason.

        If the URL is the variable's, which holds for all checks, only for trouble.
        """
        why = outcome.shared
        is_said = why in self._reasons or not (outcome.has_trouble or self._is_option)
        if why is not None and not is_said:
            self._reasons.add(why)
            err(f"shared results: {why}; checked alone")


@contextlib.contextmanager
def sharing(url: str | None, *, is_drawn: bool = False) -> Iterator[Sharing]:
    """
    Find the shared results for the checks of a `with` statement.

    Args:
        url: The value of the option; None: that of the variable. "": there are none.

        is_drawn: Whether a terminal may show that a check waits.

    Raises:
        UsageError: The value of the option is not usable.
    """
    used, place = Sharing(url), os.environ.get(SHARED_VARIABLE) if url is None else url
    with contextlib.ExitStack() as stack:
        try:
            if place:
                results = checks.shared_results(place)
                stack.callback(results.close)
                used.results = _Watched(results) if is_drawn else results
        except Exception as error:
            if url is not None and isinstance(error, ValueError):
                raise UsageError(f"--shared: {error}") from error
            err(f"shared results: {error}; checked alone")
        yield used


def origin(outcome: checks.Outcome) -> str:
    """
    Return that another checker has made the check, and when; "": none has.
    """
    record = outcome.look.record if outcome.look and outcome.is_shared else None
    if record is None:
        return ""
    return f"another checker made this check {ago(record['last_checked'])}"
