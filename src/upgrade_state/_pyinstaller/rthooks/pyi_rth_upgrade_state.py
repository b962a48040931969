"""
Let a frozen program run the code of the processes that this library starts.

PyInstaller runs this before the program's own script.
"""

import sys

# Only the first argument counts: a rule of sudo, say, that fixes the first argument
# of the program excludes the switch.
_SWITCH = "--upgrade-state-code"

# The beginning of a command, like `python -c`.
sys._upgrade_state_python = [sys.executable, _SWITCH]  # type: ignore[attr-defined]  # noqa: SLF001

if sys.argv[1:2] == [_SWITCH]:
    code = sys.argv[2]
    sys.argv[:] = ["-c", *sys.argv[3:]]
    exec(code, {"__name__": "__main__"})  # noqa: S102 - as `python -c` does
    sys.exit()
