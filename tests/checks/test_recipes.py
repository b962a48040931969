import datetime as dt
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from upgrade_state import checks
from upgrade_state.checks import _manifests

PROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
"""


@pytest.fixture
def fake_uv(tmp_path, monkeypatch):
    """
    A stand-in that says what it found, and makes a new lockfile.
    """
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    seen = tmp_path / "seen"
    code = f"""\
#!{sys.executable} -S
import os, sys
with open({str(seen)!r}, "w") as file:
    print(*sys.argv[1:], file=file)
    print(*sorted(k for k in os.environ if "UV" in k or "VIRTUAL" in k), file=file)
    for base, _, names in sorted(os.walk(".")):
        print(*(os.path.join(base, name) for name in sorted(names)), file=file)
text = open("uv.lock").read().replace("24.2.0", "24.3.0")
open("uv.lock", "w").write(text)
"""
    (bin_ / "uv").write_text(code)
    (bin_ / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_))
    return seen


def make(directory, **files):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def manifests_of(directory, name="uv"):
    """
    What a recipe copies.
    """
    recipe = checks.RECIPES[name]
    return _manifests.collect(str(directory), recipe.manifests, recipe.beside)[0]


class TestRecipes:
    def test_names(self):
        """
        A recipe goes by its name, and is found by its lockfile.
        """
        assert all(name == recipe.name for name, recipe in checks.RECIPES.items())
        assert checks.RECIPES["uv"] is checks.recipe_for("uv.lock")
        assert checks.recipe_for("custom.lock") is None
        assert checks.recipe_for(None) is None

    @pytest.mark.parametrize(
        ("content", "name"),
        [
            (None, "pip-project"),
            ('created-by = "pip"', "pip-project"),
            ('created-by = "uv"', None),
        ],
    )
    def test_mark(self, directory, content, name):
        """
        Of tools that write the same lockfile, it is the one that has made it.
        """
        make(directory, **{"pyproject.toml": PROJECT})
        if content is not None:
            make(directory, **{"pylock.toml": content})

        recipe = checks.recipe_for("pylock.toml", str(directory))

        assert name == (recipe and recipe.name)

    def test_mark_unreadable(self, directory):
        """
        What cannot be read is for the check to tell of.
        """
        make(directory, **{"pyproject.toml": PROJECT})
        with (directory / "pylock.toml").open("wb") as file:
            file.truncate(1 << 30)

        recipe = checks.recipe_for("pylock.toml", str(directory))

        assert "pip-project" == recipe.name

    def test_uv(self, environment, directory, fake_uv, monkeypatch):
        """
        Uv gets its manifests, and no hint of where it was called.
        """
        make(
            directory, **{"pyproject.toml": PROJECT, "uv.toml": "", "x.py": "", "y": ""}
        )
        for name in ("VIRTUAL_ENV", "UV_FROZEN", "UV_PROJECT", "UV_INDEX"):
            monkeypatch.setenv(name, "x")
        resolver = checks.RECIPES["uv"].resolver(environment, copies=["y"])

        outcome = checks.check(environment, resolver, recipe="uv")

        assert "checked" == outcome.state
        assert [
            "lock --upgrade --no-progress",
            "UV_INDEX UV_PYTHON_DOWNLOADS",
            "./pyproject.toml ./uv.lock ./uv.toml ./y",
        ] == fake_uv.read_text().splitlines()
        assert ["24.3.0"] == [v for u in environment.upgrades() for v in u.new]

    def test_no_manifest(self, environment, fake_uv):
        """
        A lockfile without its manifest is no project.
        """
        outcome = checks.check(environment, checks.RECIPES["uv"].resolver(environment))

        assert "There is no file 'pyproject.toml' to copy" == outcome.error.message

    def test_outside(self, environment, directory, fake_uv):
        """
        What lies outside is named where the command fails, and not its own way.
        """
        source = 'libp = { path = "../lib", editable = true }'
        wishes = f"{PROJECT}[tool.uv.sources]\n{source}\n"
        make(directory, **{"pyproject.toml": wishes, "../lib/pyproject.toml": ""})
        words = "error: Distribution not found at: file:///tmp/x/lib"
        Path(fake_uv.parent, "bin/uv").write_text(f"#!/bin/sh\necho {words}\nexit 1\n")

        outcome = checks.check(environment, checks.RECIPES["uv"].resolver(environment))

        assert (
            "'uv' failed with exit status 1: error: Distribution not found at: <URL>;"
            " '../lib' is outside of the directory and is not copied"
        ) == outcome.error.message

    def test_no_uv(self, environment, directory, monkeypatch):
        """
        Who has no uv is told to install it.
        """
        make(directory, **{"pyproject.toml": PROJECT})
        monkeypatch.setenv("PATH", str(directory))

        outcome = checks.check(environment, checks.RECIPES["uv"].resolver(environment))

        assert (
            "There is no command 'uv'; install uv 0.4 or newer" == outcome.error.message
        )


# The end of a tool that waits for something until it is too late.
HANG = ": > $UPGRADE_STATE_ENV/hangs; exec sleep 600"

# What a tool does, and what a person then reads.
LINES = {
    "rm uv.lock": "'uv' left no 'uv.lock'; install uv 0.4 or newer",
    "rm uv.lock; mkdir uv.lock; echo done": (
        "'uv' left no 'uv.lock': done; install uv 0.4 or newer"
    ),
    ": > uv.lock": ("The new lockfile is not a uv lockfile: empty; see what wrote it"),
    "echo version = 99 > uv.lock": (
        "The new lockfile is not a uv lockfile: unsupported version 99;"
        " a newer upgrade-state may read it"
    ),
    "read x || { echo EOF when reading a line; exit 1; }": (
        "'uv' failed with exit status 1: EOF when reading a line;"
        " it asked a question: run it once yourself, and answer"
    ),
    "echo 'cannot open /dev/tty'; exit 2": (
        "'uv' failed with exit status 2: cannot open /dev/tty;"
        " it asked a question: run it once yourself, and answer"
    ),
    f"printf 'Password: '; {HANG}": (
        "'uv' did not end within 2 s: Password:;"
        " it asked a question: run it once yourself, and answer"
    ),
    f"echo Resolving; {HANG}": (
        "'uv' did not end within 2 s: Resolving;"
        " check the network and the proxy, or give it more time"
    ),
    "echo \"error: unexpected argument '--upgrade' found\"; exit 2": (
        "'uv' failed with exit status 2: error: unexpected argument '--upgrade'"
        " found; install uv 0.4 or newer"
    ),
    "echo 'dns error: name resolution'; exit 2": (
        "'uv' failed with exit status 2: dns error: name resolution;"
        " check the network and the proxy"
    ),
    "echo 'error: No space left on device (os error 28)'; exit 2": (
        "'uv' failed with exit status 2: error: No space left on device (os error"
        " 28); free some space, for example in its cache"
    ),
    "exit 3": (
        "'uv' failed with exit status 3; it gave no reason: run it once yourself"
    ),
}


class TestFailures:
    """
    Whatever goes wrong, the line says what to do; data/ has what tools say.
    """

    @pytest.fixture
    def _late_once_hanging(self, directory, late):
        late((directory / "hangs").exists)

    @pytest.mark.parametrize("script", LINES)
    @pytest.mark.usefixtures("_late_once_hanging")
    def test_line(self, environment, directory, tmp_path, monkeypatch, script):
        """
        One line, which is remembered; the environment is not touched.
        """
        make(directory, **{"pyproject.toml": PROJECT})
        make(tmp_path, **{"bin/uv": f"#!/bin/sh\n{script}\n"})
        (tmp_path / "bin" / "uv").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
        before = (directory / "uv.lock").read_bytes()
        limit = dt.timedelta(seconds=2)
        resolver = checks.RECIPES["uv"].resolver(environment, timeout=limit)

        outcome = checks.check(environment, resolver, recipe="uv")

        assert LINES[script] == outcome.error.message
        assert LINES[script] == environment.look().information.failure.message
        assert before == (directory / "uv.lock").read_bytes()


class TestManifests:
    def test_named_files(self, directory):
        """
        Files that the manifest names are copied, wherever it names them.
        """
        manifest = f"""\
{PROJECT}
readme = "README.md"
license = {{ file = "LICENSE" }}
[tool.setuptools.dynamic]
dependencies = {{ file = ["a/requirements.txt", "missing.txt"] }}
"""
        make(
            directory,
            **{
                "pyproject.toml": manifest,
                "README.md": "",
                "LICENSE": "",
                "a/requirements.txt": "",
                "setup.py": "",
                ".python-version": "3.13",
                "other": "",
            },
        )

        assert [
            ".python-version",
            "LICENSE",
            "README.md",
            "a/requirements.txt",
            "pyproject.toml",
            "setup.py",
        ] == sorted(manifests_of(directory))

    def test_workspace(self, directory):
        """
        The manifests of members are copied, and of what these have by path.
        """
        make(
            directory,
            **{
                "pyproject.toml": f"""\
{PROJECT}
[tool.uv.workspace]
members = ["packages/*", "nul\\u0000*", "../*"]
exclude = ["packages/old"]
[tool.uv.sources]
lib = {{ workspace = true }}
tool = [{{ path = "tools/x", marker = "x" }}, {{ path = "w/x.whl" }}]
out = {{ path = "../out" }}
again = {{ path = "packages/lib" }}
""",
                "packages/lib/pyproject.toml": """\
[tool.uv.sources]
deep = { path = "../../deep" }
loop = { path = "../.." }
""",
                "packages/old/pyproject.toml": "",
                "packages/empty/x": "",
                "tools/x/setup.py": "",
                "w/x.whl": "",
                "deep/pyproject.toml": "not TOML",
                "../out/pyproject.toml": "",
            },
        )

        assert [
            "deep/pyproject.toml",
            "packages/lib/pyproject.toml",
            "packages/old/pyproject.toml",
            "pyproject.toml",
            "tools/x/setup.py",
            "w/x.whl",
        ] == sorted(manifests_of(directory))

    def test_strange_shapes(self, directory):
        """
        What has the wrong shape is uv's business.
        """
        make(
            directory,
            **{
                "pyproject.toml": """\
[tool]
uv = {sources = {a = 1, b = [1, {path = 2}]}, workspace = 3}
x = [1.5, true, 2026-11-20]
"""
            },
        )

        assert ["pyproject.toml"] == manifests_of(directory)

    def test_symlink_to_elsewhere(self, directory, tmp_path):
        """
        A file that only seems to be inside is not copied.
        """
        (tmp_path / "secret").write_text("")
        (directory / "README").symlink_to(tmp_path / "secret")
        make(directory, **{"pyproject.toml": 'x = "README"'})

        assert ["pyproject.toml"] == manifests_of(directory)

    def test_too_large_a_manifest(self, directory, monkeypatch):
        """
        A manifest beyond every size is copied, not read.
        """
        monkeypatch.setattr("upgrade_state._lockfile.MAX_SIZE", 3)
        make(directory, **{"pyproject.toml": PROJECT})

        assert ["pyproject.toml"] == manifests_of(directory)


@pytest.mark.network
class TestRealUv:
    """
    With the real tool, and whatever index it is configured for.
    """

    @pytest.fixture(autouse=True)
    def _uv(self, monkeypatch):
        places = os.environ.get("UPGRADE_STATE_TOOLS", "")
        found = shutil.which("uv", path=places) or shutil.which("uv")
        if found is None:
            pytest.skip("no uv here")
        path = os.pathsep.join([os.path.dirname(found), os.environ["PATH"]])
        monkeypatch.setenv("PATH", path)

    def lock(self, directory):
        subprocess.run(
            ["uv", "lock", "--quiet"], cwd=directory, check=True, timeout=120
        )

    def check(self, environment):
        recipe = checks.RECIPES["uv"]
        return checks.check(environment, recipe.resolver(environment), recipe="uv")

    def test_upgrade(self, environment, directory):
        """
        A package that was held back is found.
        """
        path = directory / "pyproject.toml"
        path.write_text(f'{PROJECT}dependencies = ["iniconfig==2.0.0"]')
        (directory / "uv.lock").unlink()
        self.lock(directory)
        path.write_text(f'{PROJECT}dependencies = ["iniconfig"]')

        outcome = self.check(environment)

        assert checks.Outcome("checked") == outcome
        assert [("iniconfig", ("2.0.0",))] == [
            (u.name, u.old) for u in environment.upgrades()
        ]

    @pytest.mark.skipif(not shutil.which("bwrap"), reason="no bwrap here")
    def test_sandbox(self, environment, directory):
        """
        Nothing that uv needs is beyond a sandbox.
        """
        make(directory, **{"pyproject.toml": f'{PROJECT}dependencies = ["iniconfig"]'})
        (directory / "uv.lock").unlink()
        self.lock(directory)
        resolver = checks.RECIPES["uv"].in_sandbox().resolver(environment)

        assert checks.Outcome("checked") == checks.check(environment, resolver)

    def test_workspace(self, environment, directory):
        """
        A workspace with members and packages by path is resolved as it is at home.
        """
        make(
            directory,
            **{
                "pyproject.toml": f"""\
{PROJECT}
dependencies = ["lib", "x"]
[tool.uv.workspace]
members = ["packages/*"]
[tool.uv.sources]
lib = {{ workspace = true }}
x = {{ path = "libs/x" }}
""",
                "packages/lib/pyproject.toml": PROJECT.replace("shop", "lib"),
                "libs/x/pyproject.toml": PROJECT.replace("shop", "x"),
            },
        )
        (directory / "uv.lock").unlink()
        self.lock(directory)

        assert checks.Outcome("checked") == self.check(environment)
        assert () == environment.upgrades()

    def test_fence(self, environment, directory, scratches):
        """
        A workspace that somebody has put above the scratch directory is not ours.
        """
        (Path(scratches) / "pyproject.toml").write_text(
            '[tool.uv.workspace]\nmembers = ["*/*"]\n'
        )
        make(directory, **{"pyproject.toml": PROJECT})
        (directory / "uv.lock").unlink()
        self.lock(directory)

        assert checks.Outcome("checked") == self.check(environment)
        assert ["pyproject.toml"] == os.listdir(scratches)
