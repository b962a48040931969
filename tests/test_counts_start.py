"""
Hold the work of `start_check` and of the process that it starts by counts.
"""

from __future__ import annotations

import sys

from counting import instructions
from helpers import run_python
from upgrade_state import _background


class TestLogRunner:
    def wrapper(self, *program: str) -> list[str]:
        return [str(word) for word in (*_background._wrapper(), *program)]

    def test_modules(self, tmp_path):
        """
        The process around a check loads five modules beyond a bare interpreter's.
        """
        code = (
            "import os, sys\nbefore = set(sys.modules)\n"
            "os.dup2(os.open(sys.argv[2], os.O_RDWR | os.O_CREAT), 2)\n"
            "sys.path.append(sys.argv[1])\n"
            "from upgrade_state import _log_runner\n"
            "_log_runner.main(['/bin/true'])\n"
            "print(*sorted(set(sys.modules) - before))"
        )
        here = self.wrapper()[-1]
        loaded = run_python(code, here, str(tmp_path / "log"), measured=False)

        ours = {"", "._log_runner", "._programs", "._redact"}
        allowed = {f"upgrade_state{name}" for name in ours} | {"select"}
        assert allowed >= set(loaded.split())

    def test_instructions(self):
        """
        It takes less than an interpreter that runs nothing.
        """
        bare = instructions([sys.executable, "-I", "-c", "pass"])
        isolated = instructions([sys.executable, "-I", "-S", "-c", "pass"])
        ours = instructions(self.wrapper("/bin/true"))

        assert ours < bare
        assert 1.2 > ours / isolated
