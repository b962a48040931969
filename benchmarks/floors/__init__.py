"""
Floors: the system calls of an operation and nothing else, in Python and in C.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.report import Report


def build(report: Report, name: str, place: Path) -> str | None:
    """
    Compile a floor in C, and return its path; None: there is no compiler that can.
    """
    source, program = Path(__file__).parent / f"{name}.c", place / f"{name}-floor"
    try:
        command = ["cc", "-O2", "-o", program, source]
        subprocess.run(command, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        report.skip(f"the calls in C: {error}")
        return None
    return str(program)
