"""
No fault of a system call loses anything: a sample of `nox -s faults`.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from operations import OPERATIONS

PROGRAM = Path(__file__).with_name("faults.py")
PAGE = Path(__file__).parents[1] / "docs" / "faults.md"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not any(map(shutil.which, ("cc", "gcc", "clang"))),
    reason="needs Linux and a C compiler",
)


def run(*args, within=()):
    # The measurement of coverage makes system calls of its own.
    env = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    argv = [*within, sys.executable, str(PROGRAM), *args]
    return subprocess.run(
        argv, env=env, stdout=subprocess.PIPE, text=True, timeout=300, check=False
    )


def test_sample(record_property):
    """
    The state is old or new and the answer true after a few faults in each operation.
    """
    seed = random.randrange(1 << 32)
    record_property("seed", seed)

    done = run("--most=8", f"--seed={seed}")

    assert 0 == done.returncode, f"--seed={seed}\n{done.stdout}"
    assert 8 * len(OPERATIONS) == sum(
        map(int, re.findall(r" (\d+) faults", done.stdout))
    )


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_complete(tmp_path):
    """
    No system call on the store is missed: strace sees the same ones in this order.
    """
    log = tmp_path / "log"
    traced = (
        "strace",
        "-f",
        "-y",
        "--seccomp-bpf",
        "-e",
        "trace=%file,%desc,getrandom",
    )

    done = run("--calls", within=(*traced, "-o", str(log)))

    assert 0 == done.returncode
    seen = log.read_text()
    for name, base, calls in map(json.loads, done.stdout.splitlines()):
        between = seen.partition(f'"/begin {name}"')[2].partition('"/end"')[0]
        lines = [
            line.partition(" ")[2]
            for line in between.splitlines()
            # A call during which another process is seen has a second line.
            if (base in line or "getrandom(" in line) and " resumed>" not in line
        ]
        expected = [kind.partition("+")[0] for kind, _ in calls]
        assert expected == [line.partition("(")[0].strip() for line in lines], name


def test_page():
    """
    The page has a row without findings for each operation.
    """
    rows = re.findall(r"^\| (.+?) \|.* (\d+) \|$", PAGE.read_text(), re.MULTILINE)

    assert [(name, "0") for name in (*OPERATIONS, "together")] == rows
