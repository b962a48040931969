"""
The command `snooze`: no notice for some time.
"""

import datetime as dt

from upgrade_state import Look
from upgrade_state.cli._output import for_each, moment, out
from upgrade_state.cli._parser import Parser, duration
from upgrade_state.cli._targets import Target, UsageError, name_of

EXAMPLE = "snooze --for 7d"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target()
    choice = parser.add_mutually_exclusive_group(required=True)
    words = "how long to stay silent, such as 7d"
    choice.add_argument(
        "--for", dest="length", type=duration, metavar="DURATION", help=words
    )
    words = "end the snooze"
    choice.add_argument("--off", dest="length", action="store_const", help=words)


def run(target: Target, *, length: dt.timedelta | None) -> int:
    """
    Record until when to stay silent; 1 if nothing is known.

    Args:
        length: For how long. None: end the snooze.
    """
    until = None
    if length is not None:
        try:
            until = dt.datetime.now(dt.UTC) + length
        except OverflowError:
            raise UsageError("the snooze would end after the year 9999") from None
    words = "is not snoozed" if until is None else f"is snoozed until {moment(until)}"

    def snooze(look: Look) -> bool:
        recorded = look.environment.snooze(until)
        if recorded:
            out(f"{name_of(look.environment)} {words}")
        return recorded

    if any(for_each(target.known(), snooze)):
        return 0
    raise target.nothing_known()
