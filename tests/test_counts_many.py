"""
What a listing and a prune cost for each environment: calls, and memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc

import pytest

from counting import counts, system_calls
from helpers import run_python
from upgrade_state import StateStore, _record

LIST = "sum(1 for _ in store.looks())"
PRUNE = "store.prune(dry_run=True)"
SETUP = """
from upgrade_state import StateStore, _housekeeping
store = StateStore(sys.argv[1])
"""

# The largest number of bytes that were in use, in KiB. It counts the modules, too.
PEAK = """
import os, resource, sys
os.environ["UPGRADE_STATE_CACHE_DIR"] = sys.argv.pop(1)
from upgrade_state.cli import main
answer, sys.stdout = sys.stdout, open(os.devnull, "w")
sys.stderr = sys.stdout
main()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=answer)
"""

COUNTED = """
import os, sys
os.environ["UPGRADE_STATE_CACHE_DIR"] = sys.argv.pop(1)
from upgrade_state.cli import main
count = 0
def hook(name, arguments):
    global count
    count += name == "open" and str(arguments[0]).endswith(".json")
sys.addaudithook(hook)
main()
print(count, file=sys.stderr)
"""


@pytest.fixture
def store_of(tmp_path):
    """
    Make a store of environments whose directories do not exist.
    """

    def make(count, *, results=0):
        root = tmp_path / f"{count}-{results}" / "v1"
        for name in ("", "logs", "results", "tmp"):
            (root / name).mkdir(0o700, parents=True)
        for number in range(count):
            path = f"/nowhere/{number}"
            key = _record.environment_key(path.encode(), b"uv.lock")
            record = {"environment": path, "lockfile": "uv.lock"}
            (root / f"{key}.json").write_text(json.dumps(record))
            if number < results:
                (root / "results" / key).mkdir()
        return root.parent

    return make


def per_record(store_of, code, **options):
    """
    Return the calls of *code* for each of 100 more records.
    """
    few, more = (
        counts(system_calls(code, str(store_of(count, **options)), setup=SETUP))
        for count in (10, 110)
    )
    return {
        name: (number - few[name]) / 100
        for name, number in more.items()
        if number - few[name] >= 10  # a longer directory is read in more parts
    }


class TestCalls:
    def test_list(self, store_of):
        """
        A listing opens and reads each record once, and examines nothing else.
        """
        expected = {"open": 1, "fstat": 1, "read": 1, "close": 1}

        assert expected == per_record(store_of, LIST)

    def test_prune(self, store_of):
        """
        `prune` looks at the age of a young record, and does not read it.
        """
        assert {"stat": 1} == per_record(store_of, PRUNE)

    def test_results(self, store_of):
        """
        For a directory of results it asks once whether there is a record.
        """
        few, more = (
            counts(system_calls(PRUNE, str(store_of(100, results=n)), setup=SETUP))
            for n in (0, 100)
        )

        assert {"stat": 100} == {
            name: number
            for name, number in (more - few).items()
            if name not in ("getdents64", "getdents")
        }


class TestMemory:
    @pytest.mark.parametrize(
        "words",
        [["list"], ["list", "--json"], ["prune"], ["doctor"], ["doctor", "--json"]],
        ids=" ".join,
    )
    def test_flat(self, store_of, words):
        """
        A command needs as much memory for 6 000 environments as for 10, or 1.2 times.
        """
        few, many = (
            int(run_python(PEAK, str(store_of(count)), *words, measured=False))
            for count in (10, 6000)
        )

        assert many < 1.2 * few

    def test_handles(self, store_of):
        """
        Iterating over a store keeps no handle, and neither does `prune`.
        """
        store = StateStore(store_of(2000))
        tracemalloc.start()
        try:
            for _ in store:
                pass
            store.prune()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert peak < 200_000


class TestEnd:
    @pytest.mark.parametrize("words", [["list"], ["list", "--json"], ["doctor"]])
    def test_closed_pipe(self, store_of, words):
        """
        A command whose reader has closed the pipe reads no further records.
        """
        place = str(store_of(6000))
        command = [sys.executable, "-c", COUNTED, place, *words]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            process.stdout.close()
            opened = int(process.stderr.read())

        assert opened < 3000
