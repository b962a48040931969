"""
Whole processes at the door of an environment, against programs that do the same.

All take turns in the same rounds. The user was notified today, and the lockfile is the
one that was checked, so all are silent.

A claim asks whether a notice is due. With *no check due*, the program also asks whether
a check is due, which needs the digest of the lockfile. Every program with another
store answers both questions, except beside *silent claim*, where it answers the first
one. The naive version imports everything at its top, and keeps JSON under one lock for
readers and writers. update_checker and update-notifier know no lockfiles. *The calls*
read the record and the lockfile, and do nothing else.
"""

from __future__ import annotations

import contextlib
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
from benchmarks.measure import process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Measure, Samples
    from benchmarks.report import Report
    from upgrade_state import EnvironmentState

TITLE = "An activation, as a whole process"

REASONS = {
    "silent claim / empty script": (
        "five modules, two shared objects and three system calls take 0.08 of the "
        "instructions, which is the floor. The rest is the code of the library. In "
        "one module, which would have four subjects, it would be 0.03 less."
    ),
}

_SILENT = """\
from upgrade_state import StateStore
shop = StateStore({cache!r}).environment({path!r}, "uv.lock")
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
                **_floors(place, shop),
                **dict(_peers(report, place, shop)),
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
    def script(name: str, text: str) -> Measure:
        path = place / f"{name}.py"
        path.write_text(text)
        return process(python, path)

    python = sys.executable
    silent = _SILENT.format(cache=stores.cache_of(shop), path=shop.path)
    command = Path(python).with_name("upgrade-state")
    notify = (command, "notify", str(shop.path))
    module = ("-m", "upgrade_state", "notify", str(shop.path))
    return {
        "bare": process(python, "-c", "pass"),
        "import": process(python, "-c", "import upgrade_state"),
        "this": process(python, "-m", "this"),
        "empty": script("empty", ""),
        "silent": script("silent", silent),
        "activation": script("activation", silent + _CHECK),
        "notify": process(*notify, stderr=terminal),
        "notify file": process(*notify, "--lockfile", "uv.lock", stderr=terminal),
        "notify check": process(*notify, "--check", stderr=terminal),
        "notify peek": process(*notify, "--peek"),
        "notify -m": process(python, *module, stderr=terminal),
        "hook": process(*_hook(command), stderr=terminal),
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


def _floors(place: Path, shop: EnvironmentState) -> dict[str, Measure]:
    record, lockfile = str(shop.record_path), f"{shop.path}/{shop.lockfile_name}"
    store = os.path.dirname(record)
    shutil.copy(calls.__file__, place)
    script = place / "floor.py"
    script.write_text(_FLOOR.format(store=store, record=record, lockfile=lockfile))
    found = {"floor": process(sys.executable, script)}
    program = floors.build("silent", place)
    if program is not None:
        found["C"] = process(program, "1", store, record, lockfile)
    return found


def _peers(
    report: Report, place: Path, shop: EnvironmentState
) -> Iterator[tuple[str, Measure]]:
    """
    Stream the peers that can be measured on this machine.
    """

    @contextlib.contextmanager
    def skipping(name: str) -> Iterator[None]:
        try:
            yield
        except peers.MissingError as error:
            report.skip(f"{name}: {error}")

    for name, module in peers.STORES.items():
        with skipping(name):
            notice = peers.notice(module, place, shop)
            both = peers.activation(module, place, shop)
            yield f"{name}, notice", process(*notice)
            yield name, process(*both)
    with skipping("update_checker"):
        yield "update_checker", process(*peers.update_checker())
    lockfile = f"{shop.path}/{shop.lockfile_name}"
    with skipping("configstore"):
        configstore = peers.node("configstore", str(shop.path), lockfile)
        yield "node", process(configstore[0], "-e", "0")
        yield "configstore", process(*configstore)
    with skipping("update-notifier"):
        yield "update-notifier", process(*peers.node("update_notifier"))
    with skipping("pip"):
        checking, plain = peers.pip(place)
        yield "pip", process(*checking)
        yield "pip without", process(*plain)


# The bars of the page: a name, the sample, and its limit against a bare interpreter.
_BARS = {
    "ours": (
        ("import", "import", 1.03),
        ("silent claim", "silent", None),
        ("silent claim, no check due", "activation", None),
        ("notify DIR", "notify", 1.25),
        ("the command of the hook", "hook", 1.25),
    ),
    "floors": (
        ("the calls in C", "C", None),
        ("the calls in Python", "floor", None),
        ("an empty script", "empty", None),
        ("Node", "node", None),
    ),
    "peers": (
        ("with sqlite3", "sqlite3", None),
        ("with diskcache", "diskcache", None),
        ("with shelve", "shelve", None),
        ("a naive version", "naive", None),
        ("with update_checker", "update_checker", None),
        ("with configstore", "configstore", None),
        ("with update-notifier", "update-notifier", None),
    ),
}


def _compare(report: Report, samples: dict[str, Samples]) -> None:
    def add(
        name: str,
        this: str,
        against: str,
        limit: float | None = None,
        series: str | None = None,
    ) -> None:
        if this in samples and against in samples:
            ratio = samples[this] / samples[against]
            report.add(name, ratio, limit=limit, series=series)

    def add_excess(name: str, this: str, against: str) -> None:
        if this in samples:
            ours = samples["activation"] - samples["empty"]
            report.add(name, ours / (samples[this] - samples[against]))

    for kind, bars in _BARS.items():
        for name, this, limit in bars:
            add(f"{name} / bare interpreter", this, "bare", limit, kind)
    add("silent claim / empty script", "silent", "empty", 1.12)
    add("silent claim, no check due / empty script", "activation", "empty")
    add("notify DIR --lockfile NAME / bare interpreter", "notify file", "bare", 1.25)
    add("notify DIR --check, none due / notify DIR", "notify check", "notify", 1.1)
    add("notify DIR --peek / bare interpreter", "notify peek", "bare", 1.25)
    add("python -m upgrade_state notify / python -m this", "notify -m", "this", 1.35)
    add("silent claim, no check due / the calls in Python", "activation", "floor")
    add("silent claim, no check due / the calls in C", "activation", "C")
    for name in peers.STORES:
        add(f"silent claim / {_with(name)}", "silent", f"{name}, notice")
    limits = {"sqlite3": 0.65, "diskcache": 0.4, "configstore": 0.25}
    for name in (*peers.STORES, "configstore", "update-notifier", "update_checker"):
        words = f"silent claim, no check due / {_with(name)}"
        add(words, "activation", name, limits.get(name))
    add_excess(
        "beyond an empty script / configstore beyond Node", "configstore", "node"
    )
    add_excess("the same / update-notifier beyond Node", "update-notifier", "node")
    add("pip install of nothing / without its check of itself", "pip", "pip without")


def _with(peer: str) -> str:
    return "a naive version" if peer == "naive" else f"with {peer}"
