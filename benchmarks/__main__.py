"""
Measure what the library costs, as ratios of things that take turns.

    python -m benchmarks [GROUP ...] [--rounds 31] [--check] [--json FILE] [--page]
    python -m benchmarks [GROUP ...] --from FILE [--json FILE] [--page]

The second form takes the figures of an earlier run, and measures only the named groups
again.

Run it with the interpreter of a virtual environment in which the library is installed
from a wheel. Each figure is the median of the ratios within the rounds of one run. The
CPU time decides, since other programs on the machine change it least.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import machine
from benchmarks.report import Report, read

if TYPE_CHECKING:
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0].strip())
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--rounds", type=int, default=31, help="of each; 31")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if a limit is missed"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument(
        "--from", type=Path, dest="earlier", help="the figures of an earlier run"
    )
    args = parser.parse_args()
    if unknown := {*args.groups} - {*GROUPS}:
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    if args.page and args.groups and not args.earlier:
        parser.error("a page has all groups: name none, or use --from")
    report = read(args.earlier) if args.earlier else Report(args.rounds)
    groups = args.groups or (() if args.earlier else GROUPS)
    if groups:
        for name in filter(lambda name: name.startswith(_OFF), [*os.environ]):
            del os.environ[name]
        machine.describe(report)
        for name in groups:
            _measure(report, importlib.import_module(f"benchmarks.{name}"))
    if args.json:
        report.write(args.json)
    if args.page:
        from benchmarks import page  # noqa: PLC0415 - it needs the groups

        page.write(report)
    return int(args.check and not report.all_met)


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
    sys.exit(main())
