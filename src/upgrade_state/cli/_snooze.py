"""
The command `snooze`: no notice for some time.
"""

import argparse
import datetime as dt
import time

from upgrade_state import Look
from upgrade_state.cli import _times
from upgrade_state.cli._hints import nothing_known
from upgrade_state.cli._output import for_each, moment, out
from upgrade_state.cli._parser import Parser, duration
from upgrade_state.cli._targets import Target, name_of

EXAMPLE = "snooze --until monday"

DESCRIPTION = """\
Give no notice for some time.

--until takes a local time: 2026-12-24, '2026-12-24 09:00', tomorrow, monday,
'monday 09:00'. A day means its beginning: notices are silent through the day before.
"""


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target()
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument(
        "--for",
        dest="until",
        type=_from_now,
        metavar="DURATION",
        help="how long to stay silent, such as 12h, 7d or '2 weeks'",
    )
    choice.add_argument(
        "--until",
        type=_moment,
        metavar="TIME",
        help="stay silent up to this time, such as tomorrow or 2026-12-24",
    )
    words = "end the snooze"
    choice.add_argument("--off", dest="until", action="store_const", help=words)


def _from_now(text: str) -> dt.datetime:
    now = dt.datetime.fromtimestamp(time.time(), dt.UTC)
    length = duration(text)
    if not length:
        raise argparse.ArgumentTypeError("to end a snooze, run 'snooze --off'")
    try:
        return now + length
    except OverflowError:
        message = "the snooze would end after the year 9999"
        raise argparse.ArgumentTypeError(message) from None


def _moment(text: str) -> dt.datetime:
    try:
        return _times.future_of(text, time.time())
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(target: Target, *, until: dt.datetime | None) -> int:
    """
    Record until when to stay silent.

    Args:
        until: The end of the snooze; None: it ends now.
    """
    words = ": notices are on again"
    if until is not None:
        words = f" is snoozed until {moment(until)}"

    def snooze(look: Look) -> bool:
        recorded = look.environment.snooze(until)
        if recorded:
            out(f"{name_of(look.environment)}{words}")
        return recorded

    if any(for_each(target.known(), snooze)):
        return 0
    raise nothing_known(target)
