"""
Whole processes at the door of an environment, against programs that do the same.

All take turns in the same rounds. The user was notified today, and the lockfile is the
one that was checked, so all are silent.

A claim asks whether a notice is due. With *no check due*, the program also asks whether
a check is due, which needs the digest of the lockfile. Every program with another
store answers both questions; *a notice only* means the first one. The naive version
imports everything at its top, and keeps JSON under one lock for readers and writers.
update_checker and update-notifier know no lockfiles. *The calls* read the record and
the lockfile, and do nothing else.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import floors, peers, stores
from benchmarks.floors import calls
from benchmarks.measure import process, script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.measure import Measure, Samples
    from benchmarks.report import Report
    from upgrade_state import EnvironmentState

TITLE = "An activation, as a whole process"

REASONS = {
    "silent claim / an empty script": (
        "five modules, two shared objects and three system calls take 0.08 of the "
        "instructions, which is the floor. The rest is the code of the library. In "
        "one module, which would have four subjects, it would be 0.03 less."
    ),
}

_SILENT = """\
if shop.claim_notice():
    print("upgrades")
"""

_CHECK = """\
if shop.start_check(["true"]).due:
    print("a check is due")
"""

_FLOOR = """\
from calls import silent
silent({store!r}, {record!r}, {lockfile!r})
"""

# Samples, by their words on the page.
BARE, EMPTY, BOTH = "bare interpreter", "an empty script", "silent claim, no check due"
NOTIFY, NOTICE_ONLY = "notify DIR", "with sqlite3, a notice only"
PIP, PIP_ALONE = "pip install of nothing", "without its check of itself"

# The bars of the page, against a bare interpreter, and their limits.
_BARS: dict[str, dict[str, float | None]] = {
    "ours": {
        "import": 1.03,
        "silent claim": None,
        BOTH: None,
        NOTIFY: 1.25,
        "the command of the hook": 1.25,
    },
    "floors": dict.fromkeys(("the calls in C", "the calls in Python", EMPTY, "Node")),
    "peers": dict.fromkeys(
        (
            *peers.STORES,
            "with update_checker",
            "with configstore",
            "with update-notifier",
        )
    ),
}

# The other rows: this, against, and the limit.
_ROWS: tuple[tuple[str, str, float | None], ...] = (
    ("silent claim", EMPTY, 1.12),
    (BOTH, EMPTY, None),
    ("notify DIR --lockfile NAME", BARE, 1.25),
    ("notify DIR --check, none due", NOTIFY, 1.1),
    ("notify DIR --peek", BARE, 1.25),
    ("python -m upgrade_state notify", "python -m this", 1.35),
    (BOTH, "the calls in Python", None),
    (BOTH, "the calls in C", None),
    ("silent claim", NOTICE_ONLY, None),
    (BOTH, "with sqlite3", 0.65),
    (BOTH, "with diskcache", 0.4),
    (BOTH, "with shelve", None),
    (BOTH, "a naive version", None),
    (BOTH, "with configstore", 0.25),
    (BOTH, "with update-notifier", None),
    (BOTH, "with update_checker", None),
    (PIP, PIP_ALONE, None),
)


def measure(report: Report, place: Path) -> None:
    """
    Take all samples, then compare.
    """
    shop = stores.notified(place)
    stores.consent(shop)
    os.environ["UPGRADE_STATE_CACHE_DIR"] = stores.cache_of(shop)
    with contextlib.chdir(shop.path or ""), _terminal() as terminal:
        samples = report.interleave(
            {
                **_library(place, shop, terminal),
                **_floors(report, place, shop),
                **_peers(report, place, shop),
            }
        )
    _compare(report, samples)


@contextlib.contextmanager
def _terminal() -> Iterator[int]:
    """
    Open a terminal: if stderr is none, `notify` claims nothing.
    """
    ours, theirs = pty.openpty()
    yield theirs
    os.close(theirs)
    os.close(ours)


def _library(place: Path, shop: EnvironmentState, terminal: int) -> dict[str, Measure]:
    python = sys.executable
    silent = stores.program(shop) + _SILENT
    command = Path(python).with_name("upgrade-state")
    notify = (command, "notify", str(shop.path))
    module = ("-m", "upgrade_state", "notify", str(shop.path))
    return {
        BARE: process(python, "-c", "pass"),
        "import": process(python, "-c", "import upgrade_state"),
        "python -m this": process(python, "-m", "this"),
        EMPTY: process(*script(place / "empty.py", "")),
        "silent claim": process(*script(place / "silent.py", silent)),
        BOTH: process(*script(place / "activation.py", silent + _CHECK)),
        NOTIFY: process(*notify, stderr=terminal),
        "notify DIR --lockfile NAME": process(
            *notify, "--lockfile", "uv.lock", stderr=terminal
        ),
        "notify DIR --check, none due": process(*notify, "--check", stderr=terminal),
        "notify DIR --peek": process(*notify, "--peek"),
        "python -m upgrade_state notify": process(python, *module, stderr=terminal),
        "the command of the hook": process(*_hook(command), stderr=terminal),
    }


def _hook(command: Path) -> list[str]:
    """
    Return the command that the hook of bash runs at a prompt.
    """
    done = subprocess.run(
        [command, "hook", "bash"], check=True, stdout=subprocess.PIPE, text=True
    )
    (line,) = (line for line in done.stdout.splitlines() if "'notify'" in line)
    words = shlex.split(line)
    return words[words.index("PYTHONPATH=") + 1 : words.index("</dev/null")]


def _floors(report: Report, place: Path, shop: EnvironmentState) -> dict[str, Measure]:
    record, lockfile = str(shop.record_path), f"{shop.path}/{shop.lockfile_name}"
    store = os.path.dirname(record)
    shutil.copy(calls.__file__, place)
    text = _FLOOR.format(store=store, record=record, lockfile=lockfile)
    found = {"the calls in Python": process(*script(place / "floor.py", text))}
    if program := floors.build(report, "silent", place):
        found["the calls in C"] = process(program, "1", store, record, lockfile)
    return found


def _peers(report: Report, place: Path, shop: EnvironmentState) -> dict[str, Measure]:
    """
    Return the peers that can be measured on this machine.
    """
    lockfile = f"{shop.path}/{shop.lockfile_name}"
    makers: dict[str, Callable[..., list[str]]] = {
        words: functools.partial(peers.activation, module, place, shop)
        for words, module in peers.STORES.items()
    }
    makers |= {
        NOTICE_ONLY: functools.partial(makers["with sqlite3"], asks_check=False),
        "with update_checker": peers.update_checker,
        "Node": peers.node,
        "with configstore": lambda: peers.npm("configstore", str(shop.path), lockfile),
        "with update-notifier": lambda: peers.npm("update_notifier"),
        PIP: lambda: peers.pip(place),
    }
    commands: dict[str, list[str]] = {}
    for words, make in makers.items():
        try:
            commands[words] = make()
        except peers.MissingError as error:
            report.skip(f"{words}: {error}")
    if PIP in commands:
        commands[PIP_ALONE] = [*commands[PIP], "--disable-pip-version-check"]
    return {words: process(*command) for words, command in commands.items()}


def _compare(report: Report, samples: dict[str, Samples]) -> None:
    for kind, limits in _BARS.items():
        for this, limit in limits.items():
            if this in samples:
                ratio = samples[this] / samples[BARE]
                report.add(f"{this} / {BARE}", ratio, limit=limit, series=kind)
    for this, against, limit in _ROWS:
        if this in samples and against in samples:
            report.add(
                f"{this} / {against}", samples[this] / samples[against], limit=limit
            )
    for name in ("configstore", "update-notifier"):
        if (peer := f"with {name}") in samples:
            ratio = (samples[BOTH] - samples[EMPTY]) / (samples[peer] - samples["Node"])
            report.add(f"beyond an empty script / {name} beyond Node", ratio)
