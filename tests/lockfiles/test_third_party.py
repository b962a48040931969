"""
Readers that are installed beside this library.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import upgrade_state
from helpers import install_points
from lockfiles.helpers import cases
from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

CASES = cases("third_party")

GROUP = "upgrade_state.lock_readers"
ROOT = Path(__file__).parents[2]
IMPORT = "from upgrade_state.lockfiles import Package\n"
EXAMPLE = ROOT / "examples" / "lock-reader"

# A manager that uses the example, and prints the result of a check.
MANAGER = """\
import sys
from upgrade_state import StateStore

shop = StateStore(sys.argv[1]).environment(sys.argv[1], "shop.pins")
with shop.try_check(b"pins 1\\ncurl 8.0\\ngit 2.40\\n") as check:
    check.commit(b"pins 1\\ncurl 8.1\\ngit 2.40\\n", format="pins")
look = shop.look(b"pins 1\\ncurl 8.0\\ngit 2.40\\n")
print(look.verdict().summary)
print([(u.name, u.old, u.new) for u in look.upgrades()], look.information.result.format)
"""
SEEN = "1 version change\n[('curl', ('8.0',), ('8.1',))] pins\n"


@pytest.fixture(name="offer")
def _offer(tmp_path, monkeypatch):
    """
    Install a distribution that offers the format `pins`.
    """

    def offer(code, value="pins_{}:read", name="pins"):
        value = value.format(number := len(list(tmp_path.iterdir())))
        folder = tmp_path / str(number)
        # Another test may have imported its own.
        monkeypatch.delitem(sys.modules, f"pins_{number}", raising=False)
        install_points(folder, f"dist{number}", {GROUP: {name: value}})
        (folder / f"pins_{number}.py").write_text(code)
        monkeypatch.syspath_prepend(folder)

    return offer


def problem(content=b"x"):
    return lockfiles.read(content, format="pins").problem


class TestExample:
    @pytest.fixture(name="python")
    def _python(self, tmp_path):
        """
        The interpreter of a virtual environment with the example, and no network.
        """
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True
        )
        (site,) = (tmp_path / "v").glob("lib/python*/site-packages")
        project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
        points = project["project"]["entry-points"][GROUP]
        install_points(site, "upgrade_state_pins", {GROUP: points})
        for module in EXAMPLE.glob("*.py"):
            shutil.copy(module, site)
        ours = str(Path(upgrade_state.__file__).parents[1])
        paths = [ours, *(path for path in sys.path if path.endswith("-packages"))]
        (site / "others.pth").write_text("\n".join(paths))
        return tmp_path / "v" / "bin" / "python"

    def test_used(self, python, tmp_path):
        """
        A manager reads its lockfiles by the example's reader.
        """
        assert SEEN == run(python, tmp_path / "shop")

    @pytest.mark.network
    def test_installed(self, tmp_path):
        """
        It does so, too, when pip has installed both.
        """
        subprocess.run([sys.executable, "-m", "venv", tmp_path / "v"], check=True)
        python = tmp_path / "v" / "bin" / "python"
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", ROOT, EXAMPLE], check=True
        )

        assert SEEN == run(python, tmp_path / "shop")


def run(python, folder):
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [python, "-c", MANAGER, folder]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


class TestLoad:
    def test_packages(self, offer):
        """
        The packages of an installed reader are those of the snapshot.
        """
        offer(f"{IMPORT}def read(content): return [Package('x', content.decode())]")

        assert lockfiles.is_format("pins")
        assert (Package("x", "1"),) == lockfiles.read(b"1", format="pins").packages

    def test_unknown(self, offer):
        """
        The error about an unknown name lists installed formats, too.
        """
        offer("")

        with pytest.raises(ValueError, match=r"'pin', choose from: .*, pins, "):
            lockfiles.read(b"", format="pin")

    def test_long_name(self, offer):
        """
        A name that a record cannot hold is no format.
        """
        offer("read = list", name="p" * 65)

        with pytest.raises(ValueError, match=r"Unknown format 'p{65}'"):
            lockfiles.read(b"", format="p" * 65)

    @pytest.mark.parametrize(("code", "value"), CASES["not loaded"])
    def test_cannot_be_loaded(self, offer, code, value):
        """
        A broken distribution is an error that names the entry point.
        """
        offer(code, value)

        assert not lockfiles.is_format("pins")
        with pytest.raises(ValueError, match=r"'pins' of upgrade_state\.lock_readers"):
            lockfiles.read(b"x", format="pins")

    def test_first(self, offer):
        """
        Of several of one name the first on the path is used, as with modules.
        """
        offer("def read(content): raise KeyError")
        offer("def read(content): return []")

        assert None is problem()

    def test_not_asked(self, offer):
        """
        No installed reader replaces a built-in one, or tells a format by a name.
        """
        offer("raise SystemExit", name="uv")
        offer("raise SystemExit", name="pins")

        assert "empty" == lockfiles.read(b"", format="uv").problem
        assert None is lockfiles.format_of("shop.pins")


class TestContent:
    @pytest.mark.parametrize(
        "error", ["AttributeError", "LookupError", "TypeError", "ValueError"]
    )
    def test_no_such_lockfile(self, offer, error):
        """
        Some errors mean that it is no such lockfile.
        """
        offer(f"def read(content):\n  yield\n  raise {error}")

        assert "not a pins lockfile" == problem()

    @pytest.mark.parametrize(("code", "expected"), CASES["failed"])
    def test_failed(self, offer, code, expected):
        """
        Any other failure is a problem, without the exception's message.

        So is a package that cannot be compared.
        """
        offer(f"{IMPORT}def read(content):\n  {code}")

        assert expected == problem()

    def test_sound(self, offer):
        """
        A package with all fields is read.
        """
        package = Package("x", "1", build="b", builds=(("p", "b"),), direct=True)
        offer(f"{IMPORT}def read(content): return [{package!r}]")

        assert (package,) == lockfiles.read(b"x", format="pins").packages

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b" \n", "empty"),
            (b" " * (16 * 1024 * 1024 + 1), "larger than 16 MiB"),
            (b"x\n<<<<<<< HEAD\n", "has merge conflicts"),
        ],
    )
    def test_not_shown(self, offer, content, expected):
        """
        An installed reader does not see content that cannot be a lockfile.
        """
        offer("def read(content): raise SystemExit")

        assert expected == problem(content)
