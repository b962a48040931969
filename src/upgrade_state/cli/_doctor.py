"""
The command `doctor`: problems of the store and of shared results.
"""

import contextlib
import datetime as dt
import itertools
import json as json_
import os
import shlex
import time
from collections.abc import Iterator

from upgrade_state import StateStore, UpgradeStateError, _doctor, _floors
from upgrade_state.cli._output import duration, out, print_raw
from upgrade_state.cli._parser import SHARED_VARIABLE, Parser
from upgrade_state.cli._targets import shell_path, tilde

EXAMPLE = "doctor"

obstacles = _doctor.obstacles

# Seconds; the times of a record are as lenient.
_CLOCK_LIMIT = 300


def add_options(parser: Parser) -> None:
    """
    Add the arguments of the command.
    """
    parser.add_shared("--json", "--cache-dir")


def run(store: StateStore, *, json: bool) -> int:
    """
    Print every finding, and the command that mends it; 1 if there is one.
    """
    number = 0
    for finding in itertools.chain(_doctor.findings(store), _of_shared_results()):
        number += 1
        if json:
            print_raw(json_.dumps(finding._asdict()))
        else:
            out(text_of(finding))
            mend = " ".join(map(shell_path, shlex.split(finding.mend)))
            out(f"  {mend}", hang=None)
    if json:
        return min(number, 1)
    if not number:
        out("all is well")
        return 0
    where = ""
    with contextlib.suppress(UpgradeStateError):  # a finding
        where = f" in {tilde(store._place())}"  # noqa: SLF001
    out(f"{number} problem{'s'[: number > 1]}{where}")
    return 1


def text_of(finding: _doctor.Finding) -> str:
    """
    Return the subject of a finding and the problem.
    """
    place = "" if finding.path is None else f"{tilde(finding.path)}: "
    return place + finding.fact


def _of_shared_results() -> Iterator[_doctor.Finding]:
    """
    Stream the problems of the shared results that the variable names.
    """
    place = os.environ.get(SHARED_VARIABLE)
    if not place:
        return
    from upgrade_state import checks  # opens a connection, which the library may not

    try:
        with contextlib.closing(checks.shared_results(place)) as results:
            now = server_now = dt.datetime.fromtimestamp(time.time(), dt.UTC)
            if isinstance(results, checks.ManagedResults):
                server_now = results.examine()
    except ValueError as error:
        words = f"{SHARED_VARIABLE} is ignored: {error}"
        yield _doctor.Finding("variable", words, None, f"unset {SHARED_VARIABLE}")
        return
    except Exception as error:  # noqa: BLE001 - all troubles of a server
        mend = f"unset {SHARED_VARIABLE}"
        if isinstance(error.__cause__, ImportError):
            mend = _floors.remedy("'upgrade-state[postgresql]'")
        elif "shared init" in str(error):  # its advice
            mend = "upgrade-state shared init"
        fact = f"shared results are not used: {str(error).partition('; ')[0]}"
        yield _doctor.Finding("shared", fact, None, mend)
        return
    ahead = (now - server_now).total_seconds()
    if abs(ahead) > _CLOCK_LIMIT:
        where = "ahead of" if ahead > 0 else "behind"
        fact = f"the clock is {duration(int(abs(ahead)))} {where} the server's"
        yield _doctor.Finding("shared", fact, None, "timedatectl set-ntp true")
