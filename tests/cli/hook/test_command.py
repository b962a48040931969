"""
The command `hook` itself, and the hook with the real `notify`.
"""

import _io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from upgrade_state import cli, lockfiles

FILES = Path(cli.__file__).parent
ROOT = FILES.parents[1]
SHELLS = ("bash", "zsh", "fish")
NAMES = lockfiles.names()
LINE = "1 version change available in 'shop'."

# The real command, installed.
REAL = """\
#!{python}
import sys
from upgrade_state.cli import main
sys.exit(main())
"""


class TestCommand:
    @pytest.mark.parametrize("name", SHELLS)
    def test_prints(self, run, name):
        """
        The code is printed as a whole, without a placeholder or a comment.
        """
        result = run("hook", name)

        assert (0, "") == (result.status, result.err)
        assert "notify' '--check'" in result.out
        assert not [c for c in ("@NAME", "@P", "@C") if c in result.out]
        lines = result.out.splitlines()
        assert not [line for line in lines if line.lstrip().startswith(("#", "\n"))]

    @pytest.mark.parametrize("name", SHELLS)
    def test_parsed(self, run, name, required):
        """
        Each shell can read what it gets.
        """
        code = run("hook", name).out
        shell = required(name)
        done = subprocess.run(
            [shell, "-n"], input=code, text=True, capture_output=True, check=False
        )

        assert (0, "") == (done.returncode, done.stderr)

    @pytest.mark.parametrize("name", SHELLS)
    def test_options(self, run, monkeypatch, required, name):
        """
        The shell exports the options, which win over its variables. None is fixed.
        """
        monkeypatch.setenv("UPGRADE_STATE_INTERVAL", "5d")
        monkeypatch.setenv("UPGRADE_STATE_MAX_AGE", "bad")
        monkeypatch.delenv("UPGRADE_STATE_CACHE_DIR")
        # Set where the tests run.
        monkeypatch.delenv("UPGRADE_STATE_NEEDS_SHELLS", raising=False)
        words = ("--could-not-check=3 days", "--max-age=12h", "--cache-dir=/it's")
        result = run("hook", name, *words)
        code = f"{result.out}\nenv"
        done = subprocess.run(
            [required(name), "-c", code], check=True, stdout=-1, text=True
        )

        assert (0, "") == (result.status, result.err)
        lines = done.stdout.splitlines()
        assert [
            "UPGRADE_STATE_CACHE_DIR=/it's",
            "UPGRADE_STATE_COULD_NOT_CHECK=259200s",
            "UPGRADE_STATE_INTERVAL=5d",
            "UPGRADE_STATE_MAX_AGE=43200s",
        ] == sorted(line for line in lines if line.startswith("UPGRADE_STATE_"))

    def test_bad_duration(self, run):
        """
        A bad duration is an error where the hook is made, not at every prompt.
        """
        result = run("hook", "bash", "--interval=3x")

        assert (2, "") == (result.status, result.out)

    def test_incomplete(self, run, monkeypatch):
        """
        A missing file of the package is named.
        """
        read = _io.open_code

        def miss(path):
            if path.endswith("hook.bash"):
                raise FileNotFoundError(2, "No such file or directory", path)
            return read(path)

        monkeypatch.setattr(_io, "open_code", miss)

        result = run("hook", "bash")

        assert 2 == result.status
        assert result.err.endswith(f"such file or directory: '{FILES}/hook.bash'\n")

    @pytest.mark.parametrize("words", [[], ["csh"], ["bash", "zsh"], ["--", "csh"]])
    def test_mistake(self, run, words):
        """
        A shell that is none of these is a mistake, and the choices are listed.
        """
        result = run("hook", *words)

        assert (2, "") == (result.status, result.out)
        assert 2 == len(result.err.splitlines())
        if words != ["bash", "zsh"]:
            assert all(shell in result.err for shell in SHELLS)

    def test_cache_directory(self, run):
        """
        Only an absolute one holds in every directory.
        """
        assert 2 == run("hook", "bash", "--cache-dir", "a").status

    def test_light(self, start):
        """
        A shell that starts does not wait for a parser.
        """
        code = (
            "import sys; sys.argv = ['upgrade-state', 'hook', 'zsh'];"
            "from upgrade_state.cli import main; status = main();"
            "print(*sys.modules, file=sys.stderr); sys.exit(status)"
        )
        done = subprocess.run(
            [sys.executable, "-S", "-c", code], capture_output=True, check=True
        )

        loaded = set(done.stderr.decode().split())
        assert set() == loaded & {"argparse", "datetime", "re", "shlex", "typing"}

    def test_full_disk(self, start):
        """
        Output that cannot be written is one line.
        """
        with open("/dev/full", "w") as full:
            process = start("hook", "bash", stdout=full)

        _, err = process.communicate(timeout=60)
        assert 2 == process.returncode
        assert "upgrade-state: Could not write the output" in err
        assert 1 == len(err.splitlines())

    def test_no_output(self, run, monkeypatch):
        """
        With stdout closed there is nothing to do.
        """
        monkeypatch.setattr(sys, "stdout", None)

        assert 0 == cli.main(["hook", "bash", "--cache-dir=/x"])

    def test_as_a_module(self, run, monkeypatch):
        """
        Run as a module, it is found again, and not in the current directory.
        """
        monkeypatch.setattr(sys, "argv", [f"{FILES.parent}/__main__.py", "hook"])
        monkeypatch.setenv("PYTHONPATH", "/a:relative::/b")
        monkeypatch.setattr("site.getsitepackages", list)

        code = run("hook", "bash").out
        assert f"PYTHONPATH='/a:/b' '{sys.executable}' '-P' '-c'" in code
        assert f"sys.path.append('\\''{ROOT}'\\'')" in code

    @pytest.fixture
    def script(self, monkeypatch, tmp_path):
        """
        The script that runs.
        """
        path = tmp_path / "upgrade-state"
        path.touch(0o755)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["./upgrade-state", "hook"])
        return path

    def test_as_installed(self, run, script, monkeypatch):
        """
        Installed, the interpreter is called, and Python looks nowhere else.
        """
        monkeypatch.setattr("site.getsitepackages", lambda: [str(ROOT)])
        monkeypatch.setenv("PYTHONPATH", ":")

        code = run("hook", "bash").out
        assert f"PYTHONPATH='' '{sys.executable}' '-P' '-c'" in code

    def test_on_the_path(self, run, script, monkeypatch):
        """
        A manager may install by PYTHONPATH.
        """
        monkeypatch.setenv("PYTHONPATH", f"/a:{ROOT}")

        code = run("hook", "bash").out
        assert f"PYTHONPATH='/a:{ROOT}' '{sys.executable}' '-P' '-c'" in code

    def test_where_only_a_script_finds_it(self, run, script, monkeypatch):
        """
        If the interpreter would not find the package, the script is called.
        """
        monkeypatch.setattr("site.getsitepackages", list)
        monkeypatch.setenv("PYTHONPATH", "")

        code = run("hook", "bash").out
        assert f"PYTHONPATH='' '{script}' 'notify'" in code


class TestFiles:
    def test_no_mistake(self, required):
        """
        A second reader finds no mistake.
        """
        command = [required("shellcheck"), "--shell=bash", FILES / "hook.bash"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert "" == done.stdout

    @pytest.mark.parametrize("name", SHELLS)
    def test_readable(self, name, required):
        """
        Each file is code of its shell before anything is filled in.
        """
        command = [required(name), "-n", FILES / f"hook.{name}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)

        assert (0, "") == (done.returncode, done.stderr)


class TestNames:
    def test_known(self, tmp_path, run):
        """
        The command finds every lockfile for which a shell looks.
        """
        for number, name in enumerate(NAMES):
            path = tmp_path / str(number) / name
            path.parent.mkdir(parents=True)
            path.touch()

            shown = run("show", tmp_path / str(number)).err
            assert f"nothing is known of {tmp_path / str(number)} ({name})\n" in shown

    @pytest.mark.parametrize("name", SHELLS)
    def test_all(self, run, name):
        """
        A shell looks for every name, and none has a character special to it.
        """
        code = run("hook", name).out

        for lockfile in NAMES:
            assert lockfile in code
            assert lockfile.replace("/", "").replace("-", "").replace(".", "").isalnum()


class TestReal:
    @pytest.fixture(autouse=True)
    def _real(self, stand_in):
        stand_in.path.write_text(REAL.format(python=sys.executable))
        stand_in.path.chmod(0o755)

    def test_once(self, shell, terminal, checked, tmp_path):
        """
        The notice is given once, in one shell.
        """
        one, other = terminal(shell, cwd=tmp_path), terminal(shell, cwd=tmp_path)
        lines = ("cd shop", "echo", "cd ..", "cd shop")
        shown = [tty.run(line) for tty in (one, other) for line in lines]

        assert [1, *[0] * 7] == [text.count(LINE) for text in shown]

    def test_other_script(self, shell, terminal, checked, stand_in, tmp_path):
        """
        The script that an installer wrote does not run.
        """
        tty = terminal(shell, cwd=tmp_path)
        stand_in.make("sys.exit(3)")
        shown = tty.run("cd shop")

        assert LINE in shown
        assert "TOLD" not in shown

    def test_incomplete(self, shell, terminal, checked, tmp_path):
        """
        If the package is gone, or is being replaced, nothing is printed.
        """
        place = tmp_path / "packages"
        place.mkdir()
        (place / "upgrade_state").symlink_to(FILES.parent)
        tty = terminal(shell, cwd=tmp_path, env={"PYTHONPATH": str(place)})
        (place / "upgrade_state").unlink()
        (place / "upgrade_state").mkdir()
        (place / "upgrade_state" / "__init__.py").touch()
        shown = tty.run("cd shop")

        assert "[0|0]" in shown
        assert "Error" not in shown
        assert LINE not in shown

    def test_below(self, shell, terminal, checked, shop):
        """
        Below the project, the notice is about the project.
        """
        (shop / "sub").mkdir()
        tty = terminal(shell, cwd=shop / "sub")

        assert LINE in tty.first

    def test_unknown(self, shell, terminal, shop, tmp_path, cache):
        """
        If nothing is known, nothing is printed, started or written.
        """
        shown = terminal(shell, cwd=tmp_path).run("cd shop")

        assert [] == [line for line in shown.splitlines() if "upgrade" in line]
        assert not cache.exists()

    def test_foreign_modules(self, shell, terminal, shop, tmp_path):
        """
        Modules in a directory that is entered are not imported.
        """
        marker = tmp_path / "marker"
        for name in ("sitecustomize", "upgrade_state", "os", "_json"):
            code = f"open({str(marker)!r}, 'w')"
            (shop / f"{name}.py").write_text(code)
        path = f":{os.environ['PYTHONPATH']}:."
        tty = terminal(shell, cwd=tmp_path, env={"PYTHONPATH": path})
        tty.run("cd shop", "echo")

        assert not marker.exists()
