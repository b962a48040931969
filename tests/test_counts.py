"""
Hold the work of a silent activation by counts, which other programs do not change.
"""

from __future__ import annotations

from counting import counts, instructions, python, system_calls


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

    def test_instructions(self):
        """
        The same process has the same number of instructions, but for few.
        """
        once, again = instructions(python("pass")), instructions(python("pass"))

        assert 0.001 > abs(once / again - 1)
