"""
Say on which machine the figures were measured.
"""

from __future__ import annotations

import datetime as dt
import os
import platform
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import call, interleave

if TYPE_CHECKING:
    from benchmarks.report import Report

_LIBRARIES = ("upgrade-state", "attrs", "cattrs", "filelock", "platformdirs")


def describe(report: Report) -> None:
    """
    Add the date, the versions, the machine, and what a system call costs there.
    """
    report.fact("date", dt.datetime.now(dt.UTC).date().isoformat())
    report.fact("python", f"{platform.python_implementation()} {_python()}")
    versions = (f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    report.fact("libraries", ", ".join(versions))
    report.fact("system", f"{platform.system()} {platform.release()}")
    report.fact("processors", f"{len(os.sched_getaffinity(0))} x {_processor()}")
    report.fact("file system", _file_system(tempfile.gettempdir()))
    costs = interleave(
        {"call": call(os.getppid, 10_000), "loop": call(_nothing, 10_000)}, 15
    )
    cost = costs["call"].median.cpu - costs["loop"].median.cpu
    report.fact("system call", f"{cost * 1e9:.0f} ns (getppid, above an empty call)")


def _python() -> str:
    has_shared = hasattr(sys.modules.get("_json"), "__file__")
    return f"{platform.python_version()}{', _json is a shared object' * has_shared}"


def _nothing() -> None:
    return None


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if "model name" in line)
    return next(names, platform.machine())


def _file_system(path: str) -> str:
    """
    Return the type of the mount that a path is below: of several, the last one.
    """
    place = f"{os.path.realpath(path)}/"
    lines = Path("/proc/mounts").read_text().splitlines()
    mounts = [line.split()[1:3] for line in reversed(lines)]
    found = [m for m in mounts if place.startswith(f"{m[0].rstrip('/')}/")]
    return max(found, key=lambda mount: len(mount[0]))[1]
