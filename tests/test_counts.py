"""
Hold the work of a silent activation by counts, which other programs do not change.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from counting import counts, instructions, names, python, system_calls
from helpers import commit, place_of, run_python

if TYPE_CHECKING:
    from upgrade_state import EnvironmentState

IMPORT = "from upgrade_state import StateStore"
HANDLE = "shop = StateStore(sys.argv[1]).environment(sys.argv[2], 'uv.lock')"
CLAIM = "assert shop.claim_notice().reason == 'told-recently'"

# No answer depends on the lockfile.
OURS = ("", "._environment", "._look", "._policy", "._record")

# Shared objects, in builds that have them apart.
THEIRS = {"_blake2", "_json"}

# A silent activation against a script that only imports what it finds loaded in a
# usual interpreter: 3 per cent more than the 1.219 of CPython 3.11. That of 3.12 is
# 1.202, that of 3.13 is 1.179.
RATIO = 1.255


@pytest.fixture
def told(shop: EnvironmentState) -> tuple[str, str]:
    """
    The cache directory and the path of an environment whose user was notified today.
    """
    commit(shop, now=None)
    assert shop.claim_notice()
    return place_of(shop)


class TestCounting:
    def test_system_calls(self, tmp_path):
        """
        The calls of the code are counted, and none of the interpreter's start.
        """
        path = tmp_path / "file"
        path.write_text("content")
        code = "fd = os.open(path, os.O_RDONLY); os.read(fd, 9); os.close(fd)"
        calls = system_calls(code, str(path), setup="path = sys.argv[1]")

        assert f'"{path}"' in calls[0]
        assert {"open": 1, "read": 1, "close": 1} == counts(calls)


class TestSilentClaim:
    @pytest.mark.parametrize("code", [CLAIM, f"{HANDLE}; {CLAIM}"])
    def test_in_process(self, told, code):
        """
        One examines the store, and opens, examines, reads and closes the record.

        A new handle examines each part of its directory's path before.
        """
        setup = f"{IMPORT}\n{HANDLE}\n{CLAIM}"
        found = names(system_calls(code, *told, setup=setup))
        parts = told[1].count("/") if HANDLE in code else 0
        if sys.platform == "linux":
            found.remove("geteuid")

        assert ["stat"] * parts == found[:parts]
        assert ["stat", "open", "fstat", "read", "close"] == found[parts:]

    def test_modules(self, told):
        """
        A process that makes one loads these modules, and no others.
        """
        show = "print(*sorted(sys.modules))"
        before = run_python(f"import sys; {show}", measured=False)
        code = f"import sys; {IMPORT}; {HANDLE}; {CLAIM}; {show}"
        loaded = run_python(code, *told, measured=False)
        found = {*loaded.split()} - {*before.split()}

        assert {f"upgrade_state{name}" for name in OURS} == found - THEIRS

    def test_files(self, told):
        """
        A process that makes one opens these modules, and the record.
        """
        calls = system_calls(f"{IMPORT}; {HANDLE}; {CLAIM}", *told)
        opened = [call.split('"')[1] for call in calls if call.startswith("open")]
        files = [os.path.basename(path) for path in opened if os.path.isfile(path)]
        found = {name.partition(".")[0] for name in files} - THEIRS

        assert len(OURS) + 1 == len(found)
        assert {name[1:] or "__init__" for name in OURS} < found

    @pytest.mark.skipif(sys.version_info >= (3, 14), reason="not measured yet")
    def test_instructions(self, told):
        """
        A process that makes one takes few more instructions than one that does nothing.
        """
        silent = instructions(python(f"import sys; {IMPORT}; {HANDLE}; {CLAIM}", *told))

        assert RATIO > silent / instructions(python("import os, sys"))
