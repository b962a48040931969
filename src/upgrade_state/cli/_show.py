"""
The command `show`: what is known of the environments of a directory.
"""

from collections.abc import Callable

from upgrade_state import Look, UpgradeStateError
from upgrade_state.cli import _json
from upgrade_state.cli._answers import cannot_record, next_check, next_notice
from upgrade_state.cli._hints import nothing_known
from upgrade_state.cli._output import (
    Styled,
    facts,
    for_each,
    out,
    print_raw,
    without_urls,
)
from upgrade_state.cli._parser import Parser, Question
from upgrade_state.cli._targets import Target, is_recorded, tilde
from upgrade_state.cli._upgrades import print_upgrades
from upgrade_state.cli._view import View, print_state, when

EXAMPLE = "show ~/src/shop"


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_target()
    parser.add_shared("--platform", "--interval", "--reminder", "--could-not-check")
    parser.add_shared("--max-age", "--json")
    parser.add("--all", "list every upgrade")


def run(target: Target, question: Question, *, json: bool, all: bool) -> int:  # noqa: A002
    """
    Print each environment; of one of which nothing is known only as JSON.
    """
    looks = target.known()
    known = list(filter(is_recorded, looks))
    is_alone = target.is_alone(looks)

    def show(look: Look) -> None:
        view = View(look, question, is_alone=is_alone)
        if json:
            print_raw(_json.line_of(view, **_json.upgrades_of(view)))
            return
        if look is not known[0]:
            out()
        _print(view, every=all)

    if json:
        for_each(looks, show)
    elif known:
        print_known(looks, show)
    if not known:
        raise nothing_known(target)
    return 0


def print_known(looks: list[Look], act: Callable[[Look], None]) -> None:
    """
    Call *act* for every environment with a record, and print which have none.
    """
    for_each(filter(is_recorded, looks), act)
    names = [x.environment.lockfile_name or "" for x in looks if not is_recorded(x)]
    if names:
        out(Styled(f"also here: {', '.join(names)} (never checked)", "dim"))


def _print(view: View, *, every: bool) -> None:
    """
    Print everything that is known, for people.

    Args:
        every: Print every upgrade, however many there are.
    """
    record, arguments = view.look.record, view.arguments
    print_state(view)
    if view.gone:
        facts("to forget it", f"upgrade-state forget{arguments}", hang=None)
    if view.gone or record is None:
        return
    if view.failure is not None:
        # Another program may have written the record.
        facts("reason", without_urls(view.failure["message"]))
        if view.log_path is not None:
            facts("log", tilde(view.log_path), hang=None)
    if view.result and (every or view.look.lockfile_state != "upgraded"):
        if view.state not in ("upgrades", "up to date"):
            facts("found", view.counts or "no upgrades")
        try:
            print_upgrades(view, every=every)
        except UpgradeStateError as error:  # a file is gone, or damaged
            out(f"    {error}", hang=4)
    silent = {reason.reason for reason in view.reasons}
    if record["last_notified"] is not None and "told-recently" not in silent:
        facts("notified", when(record["last_notified"]))
    facts("next notice", *next_notice(view))
    if cannot_record(view):
        facts("to mend it", "upgrade-state doctor", hang=None)
        return
    facts("next check", *next_check(view))
    stop = []
    if not silent & {"snoozed", "switched-off"}:
        stop.append(f"upgrade-state snooze{arguments} --for 7d (notices)")
    if view.is_automatic:
        stop.append(f"upgrade-state forget{arguments} (automatic checks)")
    facts("to stop", *stop, hang=None)
