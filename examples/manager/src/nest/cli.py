"""
The commands. Stdout has the answer; notices and errors are on stderr.
"""

import argparse
import datetime as dt
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from nest.environments import LOCKFILE, resolve
from nest.memory import remind, state_of
from upgrade_state import UpgradeStateError


def activate(directory: Path) -> None:
    """
    Print a script that activates the environment: eval "$(nest activate)".
    """
    if not (directory / LOCKFILE).exists():
        raise FileNotFoundError(f"no {LOCKFILE} in {directory}; run 'nest upgrade'")
    print(f"export NEST_ENVIRONMENT={shlex.quote(str(directory))}")
    print(f'export PATH={shlex.quote(str(directory / "bin"))}:"$PATH"')
    remind(directory)


def upgrade(directory: Path) -> None:
    """
    Lock the newest version of each package.
    """
    (directory / LOCKFILE).write_bytes(resolve(directory))


def upgrades(directory: Path) -> None:
    """
    List the upgrades that the last check has found.
    """
    look = state_of(directory).look()
    if look.lockfile_state == "checked":
        for row in look.upgrades():
            print(row.name, *row.old, "->", *row.new)
    print(look.freshness(), file=sys.stderr)


def snooze(directory: Path, days: int) -> None:
    """
    Give no notice for some days; 0 ends that.
    """
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=days) if days else None
    if not state_of(directory).snooze(until):
        print("nest: nothing to snooze before the first check", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a command and return its exit status.
    """
    args = _parser().parse_args(argv)
    if args.verbose:
        logging.basicConfig(format="%(name)s: %(message)s")
        for name in ("nest", "upgrade_state"):
            logging.getLogger(name).setLevel(logging.DEBUG)
    options = {"days": args.days} if args.command is snooze else {}
    try:
        args.command(args.directory.resolve(), **options)
    except (OSError, UpgradeStateError) as error:
        print(f"nest: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nest", description="Manage environments.")
    parser.add_argument("-v", "--verbose", action="store_true", help="explain silence")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in (activate, upgrade, upgrades, snooze):
        own = commands.add_parser(command.__name__, help=command.__doc__)
        own.set_defaults(command=command)
        own.add_argument("directory", nargs="?", type=Path, default=Path())
        if command is snooze:
            own.add_argument("--days", type=int, default=7, help="7 if not given")
    return parser
