"""
Measure what the library costs, as ratios of things that take turns.

    python -m benchmarks [GROUP ...] [--rounds N] [--check] [--json FILE] [--page]
    python -m benchmarks [GROUP ...] --from FILE [--check] [--json FILE] [--page]

The second form takes the figures of an earlier run, and measures only the named groups
again.

Run it with the interpreter of a virtual environment in which the library is installed
from a wheel. Each figure is the median of the ratios within the rounds of one run. The
CPU time decides, since other programs on the machine change it least.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import machine
from benchmarks.report import Report, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

# In the order of the page. Each is a module with `TITLE` and `measure`; `REASONS` has
# words for the figures that miss their limits.
GROUPS = (
    "activation",
    "operations",
    "claims",
    "checks",
    "many",
    "growth",
    "lockfiles",
    "hook",
    "copies",
    "crowds",
    "machines",
    "database",
)

# Beginnings of variables that silence notices, disable bytecode files, load more
# modules, or lead to the user's own files.
_OFF = (
    "CI",
    "CONTINUOUS_INTEGRATION",
    "NODE_",
    "NO_UPDATE_NOTIFIER",
    "PIP_",
    "PYTHON",
    "UPGRADE_STATE_CACHE_DIR",
    "UPGRADE_STATE_DISABLE",
    "UPGRADE_STATE_SHARED",
    "XDG_",
)


def main() -> int:
    """
    Measure, print, and write what was asked for.
    """
    parser = _parser()
    args = parser.parse_args()
    # An error in the last minute would cost the whole run.
    for mistake in _mistakes(args):
        parser.error(mistake)
    try:
        report = read(args.earlier) if args.earlier else Report(args.rounds or 31)
    except (OSError, ValueError) as error:
        parser.error(f"--from: {error}")
    try:
        if args.json:
            report.write(args.json)
    except OSError as error:
        parser.error(f"--json: {error}")
    groups = args.groups or (() if args.earlier else GROUPS)
    if groups:
        for name in filter(lambda name: name.startswith(_OFF), [*os.environ]):
            del os.environ[name]
        machine.describe(report)
        for name in groups:
            _measure(report, importlib.import_module(f"benchmarks.{name}"))
            if args.json:  # now, in case the next group fails
                report.write(args.json)
    if args.page:
        from benchmarks import page  # noqa: PLC0415 - it needs the groups

        page.write(report)
    return int(args.check and not report.all_met)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        usage=argparse.SUPPRESS,  # it is in the text, and an error is one line
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, help="samples of each; 31", metavar="N")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a limit is missed"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the figures to this file"
    )
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument(
        "--from",
        type=Path,
        metavar="FILE",
        dest="earlier",
        help="the figures of an earlier run",
    )
    return parser


def _mistakes(args: argparse.Namespace) -> Iterator[str]:
    if platform.system() != "Linux":
        yield "the benchmarks need Linux"
    if unknown := {*args.groups} - {*GROUPS}:
        names = ", ".join(sorted(unknown))
        yield f"no such group: {names} (there are {', '.join(GROUPS)})"
    if args.rounds is not None and args.rounds < 1:
        yield "--rounds must be at least 1"
    if args.rounds and args.earlier:
        yield "--from has its own number of rounds: omit --rounds"
    if args.page and args.groups and not args.earlier:
        yield "a page has all groups: name none, or use --from"
    if args.page and importlib.util.find_spec("matplotlib") is None:
        yield "--page needs matplotlib"


def _measure(report: Report, group: ModuleType) -> None:
    """
    Measure one group in a directory of its own, which is the home of its processes.

    It may change the environment variables, which are restored.
    """
    report.begin(group.__name__.rpartition(".")[2], group.TITLE)
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HOME"] = temporary
        try:
            group.measure(report, Path(temporary).resolve())
        finally:
            os.environ.clear()
            os.environ.update(before)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The interpreter flushes stdout when it ends, and would print the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
