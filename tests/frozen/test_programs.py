"""
How a program starts Python code and other programs.
"""

import runpy
import sys
from pathlib import Path

import pytest

import upgrade_state
from upgrade_state import _programs, _pyinstaller
from upgrade_state.cli import _program

PLACE = Path(upgrade_state.__path__[0], "_pyinstaller")
RUNTIME_HOOK = PLACE / "rthooks" / "pyi_rth_upgrade_state.py"


@pytest.fixture
def frozen(monkeypatch):
    """
    Make this a frozen program without the runtime hook.
    """
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/opt/manager")


@pytest.fixture
def hooked(frozen, monkeypatch):
    """
    Make this a frozen program; run the runtime hook with some arguments.
    """
    monkeypatch.setattr(sys, "_upgrade_state_python", None, raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["manager", *arguments])
        runpy.run_path(str(RUNTIME_HOOK))

    return run


class TestRuntimeHook:
    @pytest.mark.parametrize(
        "arguments", [(), ("check",), ("check", "--upgrade-state-code", "x")]
    )
    def test_own_arguments(self, hooked, arguments):
        """
        The program's own arguments are left alone.
        """
        hooked(*arguments)

        assert ["manager", *arguments] == sys.argv

    def test_code(self, hooked, capsys):
        """
        Code runs as with `python -c`, instead of the program.
        """
        with pytest.raises(SystemExit) as leaving:
            hooked("--upgrade-state-code", "import sys; print(sys.argv)", "a")

        assert "['-c', 'a']\n" == capsys.readouterr().out
        assert leaving.value.code is None

    @pytest.mark.parametrize("running", [_programs.running, _program.command])
    def test_command(self, hooked, running):
        """
        Processes are started by that switch.
        """
        hooked()

        assert ["/opt/manager", "--upgrade-state-code", "pass"] == running("pass")

    def test_without(self, frozen):
        """
        Other frozen programs run no code, and their command line is the program.
        """
        assert None is _programs.running("pass")
        assert ["/opt/manager"] == _program.command("pass")


class TestVariables:
    @pytest.mark.parametrize(
        ("changed", "given"),
        [
            ({"LD_LIBRARY_PATH": "/bundle"}, {}),
            (
                {"LD_LIBRARY_PATH": "/bundle:/a", "LD_LIBRARY_PATH_ORIG": "/a"},
                {"LD_LIBRARY_PATH": "/a"},
            ),
        ],
    )
    def test_frozen(self, frozen, monkeypatch, changed, given):
        """
        Another program gets the libraries that the user has set.
        """
        monkeypatch.setattr(sys, "_MEIPASS", "/bundle", raising=False)
        environ = {"PATH": "/bin", **changed}

        reset = {"PATH": "/bin", "PYINSTALLER_RESET_ENVIRONMENT": "1"}
        assert given | reset == _programs.variables(environ)

    @pytest.mark.parametrize("is_frozen", [False, True])
    def test_others(self, monkeypatch, is_frozen):
        """
        A Python, and another frozen program, passes these variables unchanged.
        """
        monkeypatch.setattr(sys, "frozen", is_frozen, raising=False)
        environ = {"PATH": "/bin", "LD_LIBRARY_PATH": "b", "LD_LIBRARY_PATH_ORIG": "a"}

        assert environ == _programs.variables(environ)


def test_hook_directories():
    """
    PyInstaller finds the hooks by the entry point.
    """
    (place,) = _pyinstaller.hook_directories()

    assert Path(place, "hook-upgrade_state.py").is_file()
    assert f'"{RUNTIME_HOOK.name}"' in Path(place, "rthooks.dat").read_text()
