"""
Count what a process does: its system calls by strace, its instructions by valgrind.

Other programs on the machine do not change these counts, as they change times.
"""

from __future__ import annotations

import compileall
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest

import upgrade_state

_BEGIN, _END = "/begin counting", "/end counting"

# Made by allocators, threads and the C library, whose versions differ.
_NOT_OURS = "brk,futex,madvise,mmap,mprotect,mremap,munmap,rt_sigaction,rt_sigprocmask"

# The same call has several names, by the versions of the C library.
_NAMES = {
    "faccessat": "access",
    "faccessat2": "access",
    "fstat64": "fstat",
    "lstat": "stat",
    "newfstatat": "stat",
    "openat": "open",
    "readlinkat": "readlink",
    "stat64": "stat",
    "statx": "stat",
}

# Each would make a process load other modules, or other versions of ours.
_FOREIGN = ("COVERAGE", "PYTHON", "LD_")


def environ() -> dict[str, str]:
    """
    Return variables with which each run of a command does the same.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    here = str(Path(upgrade_state.__file__).parents[1])
    return kept | {"PYTHONHASHSEED": "0", "PYTHONPATH": here}


def python(code: str, *args: str) -> list[str]:
    """
    Return the command that runs *code* without the packages of this interpreter.

    Their ``.pth`` files, such as that of coverage, would load modules. This library
    is found by `environ`, and not in the working directory, where coverage makes
    thousands of files.
    """
    return [sys.executable, "-S", "-P", "-c", code, *args]


def system_calls(code: str, *args: str, setup: str = "pass") -> list[str]:
    """
    Return the system calls of *code* in a new interpreter, as strace shows them.

    Calls that concern memory, threads and signals are left out. The test is skipped
    if there is no strace, or if it may not trace.

    Args:
        args: The arguments of the process, in ``sys.argv``.

        setup: Code that runs before, in the same process, and is not counted.
    """
    begin, end = (f"os.access({mark!r}, os.F_OK)" for mark in (_BEGIN, _END))
    whole = f"import os, sys\n{setup}\n{begin}\n{code}\n{end}"
    options = ("-f", "-qq", "-s", "256", "-e", f"trace=!{_NOT_OURS}")
    with tempfile.NamedTemporaryFile("r") as log:
        command = [_usable("strace"), *options, "-o", log.name, *python(whole, *args)]
        subprocess.run(command, check=True, env=environ(), capture_output=True)
        lines = [line.partition(" ")[2].strip() for line in log]
    calls = [line for line in lines if not line.startswith(("<...", "+++"))]
    # In double quotes: it is also in the arguments of the interpreter.
    first, last = (
        next(n for n, call in enumerate(calls) if f'"{mark}"' in call)
        for mark in (_BEGIN, _END)
    )
    return calls[first + 1 : last]


def names(calls: list[str]) -> list[str]:
    """
    Return the names of system calls, each kind under one name: open, stat, read, ….
    """
    found = []
    for call in calls:
        name = call.partition("(")[0]
        name = "fstat" if "AT_EMPTY_PATH" in call else _NAMES.get(name, name)
        found.append(name)
    return found


def counts(calls: list[str]) -> Counter[str]:
    """
    Return how often each kind of system call is made.
    """
    return Counter(names(calls))


def instructions(command: list[str]) -> int:
    """
    Return how many machine instructions the whole process of *command* executes.

    The same command gives the same number, but for a few in a million. The test is
    skipped if valgrind does not work here.
    """
    valgrind = _usable("valgrind")
    options = ("--tool=callgrind", "--callgrind-out-file=/dev/null")
    command = [valgrind, *options, *command]
    done = subprocess.run(
        command, check=True, env=environ(), capture_output=True, text=True
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1])


def _usable(program: str) -> str:
    reason = _trouble(program)
    if reason is not None:
        pytest.skip(reason)
    return program


@functools.cache
def _trouble(program: str) -> str | None:
    """
    Return why *program* cannot run another one here; None if it can.
    """
    if shutil.which(program) is None:
        # Set where the tests must not be skipped.
        if os.environ.get("UPGRADE_STATE_NEEDS_SHELLS"):
            pytest.fail(f"{program} is not installed")
        return f"{program} is not installed"
    # Else the first process would compile the library.
    compileall.compile_dir(os.path.dirname(upgrade_state.__file__), quiet=2)
    # A container may forbid to trace, and valgrind may not know the processor.
    command = [program, *python("pass")]
    done = subprocess.run(command, check=False, env=environ(), capture_output=True)
    return f"{program} does not work here" if done.returncode else None
