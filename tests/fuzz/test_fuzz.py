"""
Damaged records, lockfiles, names and arguments: an answer or an error of this library.

Each test runs a target in a process of its own, which has limited memory and is ended
by a signal if an input hangs. The longer ones are for `nox -s fuzz`.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import node
from upgrade_state import lockfiles

TESTS = Path(__file__).parents[1]

# Lockfiles of each format; records in parts, which run at the same time.
LOCKFILES = 1_000_000 // len(lockfiles.FORMATS) + 1
PARTS, RECORDS = 10, 1_000_000

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="looks at /proc for the memory"
)


def run(target, seed, count, *arguments, patch="", limit=7200):
    """
    Run a target, after some code in its process.
    """
    # Without coverage, which takes longer than all the rest.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    code = f"from fuzz import __main__\n{patch}\n__main__.main()"
    words = [sys.executable, "-c", code, target, seed, count, *arguments]
    return subprocess.run(
        [str(word) for word in words],
        cwd=TESTS,
        env=environ,
        capture_output=True,
        check=False,
        timeout=limit,
    )


def fuzz(*arguments):
    """
    Run a target, which must find no problem; return its facts.
    """
    done = run(*arguments)
    assert (0, b"") == (done.returncode, done.stderr)
    facts = json.loads(done.stdout)
    assert [] == facts.pop("problems")
    return facts


class TestSome:
    """
    Some of each, whatever time they take.
    """

    def test_records(self):
        """
        A hundred thousand records; most are damaged, and many of these are valid.
        """
        done = fuzz("records", 1, 100_000)

        assert 100_000 == done["read"]
        assert 20_000 < done["valid"] < 80_000
        assert 10 <= done["valid doors"] < done["doors"]

    def test_both_implementations(self):
        """
        The second implementation agrees about a few hundred of them.
        """
        assert fuzz("vectors", 1, 300, node())["asked"] > 100

    def test_lockfiles(self):
        """
        A few hundred lockfiles of every format.
        """
        assert fuzz("lockfile", 1, 300, "inf", "all")["read"] > 6000

    def test_arguments(self):
        """
        A few hundred command lines of all commands.
        """
        assert fuzz("arguments", 1, 400)["status 0"] > 50

    def test_names(self):
        """
        A few hundred names of environments.
        """
        assert fuzz("names", 1, 500)["named"] > 50


@pytest.mark.fuzz
class TestMany:
    """
    Minutes of each.
    """

    @pytest.mark.parametrize("part", range(PARTS))
    def test_records(self, part, record_property):
        """
        Ten million records in all, ten thousand of them through the public door.
        """
        record_property("done", fuzz("records", part, RECORDS))

    def test_both_implementations(self, record_property):
        """
        The second implementation agrees about tens of thousands of them.
        """
        record_property("done", fuzz("vectors", 2, 50_000, node()))

    @pytest.mark.parametrize("name", lockfiles.FORMATS)
    def test_lockfiles(self, name, sample_folder, record_property):
        """
        A million lockfiles of all formats, and some megabytes of real ones.
        """
        samples = [
            path
            for path in sorted(sample_folder.glob("*/*/old.*"))
            if name in {lockfiles.format_of(path.parts[-3]), path.parts[-3]}
        ]
        done = fuzz("lockfile", 2, LOCKFILES, 10, name, *samples)
        record_property("done", done)

    @pytest.mark.parametrize("part", range(2))
    def test_arguments(self, part, record_property):
        """
        Tens of thousands of command lines.
        """
        record_property("done", fuzz("arguments", part + 2, 25_000))

    def test_names(self, record_property):
        """
        A hundred thousand names of environments.
        """
        record_property("done", fuzz("names", 2, 100_000))


# Changes the answer that the target gets for a valid record.
CHANGED = """\
import types
from fuzz import records
ours = records._record
def changed(data, key):
    record = ours.valid(data, key)
    if record is not None:
        {}
    return record
records._record = types.SimpleNamespace(**{{**vars(ours), "valid": changed}})
"""


class TestProgram:
    @pytest.mark.parametrize(
        ("code", "problem"),
        [
            ("record['checker'] = 'x' * 65", "AssertionError"),
            ("raise OSError('no')", "OSError: no"),
            ("bytearray(300 << 20)", "MemoryError"),
        ],
    )
    def test_problem(self, code, problem):
        """
        Wrong answers, exceptions and too much memory are problems.
        """
        done = run("records", 1, 100, patch=CHANGED.format(code))

        problems = json.loads(done.stdout)["problems"]
        assert problem in problems[0][0]
        assert '"environment":' in problems[0][1]

    def test_hang(self):
        """
        An input that hangs ends the process by a signal, and leaves a traceback.
        """
        patch = "__main__.HANGS = 0.5\n" + CHANGED.format("while True: pass")
        done = run("records", 1, 100, patch=patch, limit=120)

        assert -signal.SIGPROF == done.returncode
        assert b"in changed\n" in done.stderr
