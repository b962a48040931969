import subprocess
import sys


def modules_after(statement):
    """
    Return the modules that *statement* adds to a bare interpreter.
    """
    code = (
        "import sys; before = set(sys.modules);"
        f"{statement}; print(*sorted(sys.modules.keys() - before))"
    )
    command = [sys.executable, "-S", "-c", f"import sys; sys.path = {sys.path};{code}"]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()


class TestImports:
    def test_names_cost_nothing(self):
        """
        To tell a format by its name imports nothing but our own modules.
        """
        loaded = modules_after(
            "from upgrade_state import lockfiles; lockfiles.names();"
            "lockfiles.is_format(lockfiles.format_of('uv.lock'))"
        )

        assert [
            "upgrade_state",
            "upgrade_state.lockfiles",
            "upgrade_state.lockfiles._names",
        ] == loaded

    def test_only_what_the_format_needs(self):
        """
        To read one format does not load the parsers and readers of others.
        """
        loaded = modules_after(
            "from upgrade_state.lockfiles import read; read(b'{}', format='flox')"
        )

        assert "json" in loaded
        assert {"tomllib", "upgrade_state.lockfiles._python"}.isdisjoint(loaded)
