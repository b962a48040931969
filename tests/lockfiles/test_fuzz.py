"""
A million damaged lockfiles: each is read or opaque, in time and in space.
"""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from upgrade_state import lockfiles

COUNT = 1_000_000 // len(lockfiles.FORMATS) + 1

FUZZ = Path(__file__).with_name("fuzz.py")


def fuzz(name, count, factor, *samples):
    command = [sys.executable, FUZZ, name, str(count), str(factor), *samples]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=3600)
    return json.loads(done.stdout)


def samples_of(name, folder):
    return [
        path
        for path in sorted(folder.glob("*/*/old.*"))
        if name in {lockfiles.format_of(path.parts[-3]), path.parts[-3]}
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc for the memory")
@pytest.mark.parametrize("name", lockfiles.FORMATS)
class TestDamaged:
    def test_some(self, name):
        """
        A few hundred of each, whatever time they take.
        """
        assert [] == fuzz(name, 300, math.inf)["problems"]

    @pytest.mark.fuzz
    def test_many(self, name, sample_folder, record_property):
        """
        A million of all together, and some megabytes of real ones.
        """
        done = fuzz(name, COUNT, 10, *samples_of(name, sample_folder))
        record_property("done", f"{done['read']} read, {done['peak_kb']} KB")

        assert [] == done["problems"]
