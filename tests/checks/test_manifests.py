"""
The files that are copied: manifests, and the files and packages that they name.
"""

import itertools
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import StateStore
from upgrade_state.checks import RECIPES, Cancellation, _cancellation, _manifests

# By case: the recipe, the files that are copied, and other files.
CASES = {
    "requirements, constraints and packages": (
        "pip-tools",
        {
            "requirements.in": (
                "-r base.in\n--requirement=more.txt  # as well\n-cpins.txt\n"
                "-e ./lib[extra]\nx @ file:w/x.whl#sha256=1 ; python_version>'3'\n"
                "-r missing.in\n-r ../outside.in\n"
            ),
            "base.in": "-r base.in\n-r deep/er.in",
            "deep/er.in": "-e ../tool",
            "more.txt": "",
            "pins.txt": "",
            "lib/pyproject.toml": 'readme = "README"',
            "lib/README": "",
            "tool/setup.py": "",
            "w/x.whl": "",
        },
        {"../outside.in": "", "other.in": ""},
    ),
    "files that a build back end reads": (
        "uv",
        {
            "pyproject.toml": (
                'readme = "README.md"\nlicense = { file = "LICENSE" }\n'
                "[tool.setuptools.dynamic]\n"
                'dependencies = { file = ["a/requirements.txt", "missing.txt"] }\n'
            ),
            "README.md": "",
            "LICENSE": "",
            "a/requirements.txt": "",
            "setup.py": "",
            ".python-version": "3.13",
        },
        {"other": ""},
    ),
    "a workspace": (
        "uv",
        {
            "pyproject.toml": (
                '[tool.uv.workspace]\nmembers = ["packages/*", "nul\\u0000*"]\n'
                '[tool.uv.sources]\ntool = [{ path = "tools/x", marker = "x" }]\n'
                'wheel = { path = "w/x.whl" }\nagain = { path = "packages/lib" }\n'
                "[tool.x]\nodd = [1.5, true, 2026-11-20, {a = [1, {path = 2}]}]\n"
            ),
            "packages/lib/pyproject.toml": (
                'deep = { path = "../../deep" }\nloop = { path = "../.." }\n'
            ),
            "tools/x/setup.py": "",
            "w/x.whl": "",
            "deep/pyproject.toml": "not TOML",
        },
        {"packages/empty/x": "", "../out/pyproject.toml": ""},
    ),
    "packages that are hidden, installed or generated": (
        "uv",
        {"pyproject.toml": "", "a/pyproject.toml": "", "a/setup.cfg": ""},
        {
            ".hidden/pyproject.toml": "",
            "node_modules/x/pyproject.toml": "",
            "venv/pyvenv.cfg": "",
            "venv/pyproject.toml": "",
            "venv/lib/x/pyproject.toml": "",
            "build/CACHEDIR.TAG": "",
            "build/x/pyproject.toml": "",
        },
    ),
    "packages by path": (
        "poetry",
        {
            "pyproject.toml": (
                'dependencies = ["lib @ file:///${PROJECT_ROOT}/lib", '
                '"far @ file:///far/away"]\n'
                'own = { path = "own", develop = true }\n'
            ),
            "lib/pyproject.toml": "",
            "own/pyproject.toml": "",
            "poetry.toml": "",
        },
        {},
    ),
    "workspaces, links and tarballs": (
        "npm",
        {
            "package.json": (
                '{"workspaces": {"packages": ["packages/**"]}, "dependencies":'
                ' {"a": "file:./libs/a", "b": "link:libs/b", "c": "file:c.tgz"},'
                ' "d": "packages/x/node_modules/y"}'
            ),
            ".npmrc": "",
            "packages/x/package.json": "{}",
            "libs/a/package.json": "{}",
            "libs/b/package.json": "{}",
            "c.tgz": "",
        },
        {"packages/x/node_modules/y/package.json": "{}"},
    ),
    "targets of packages": (
        "cargo",
        {
            "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n',
            "crates/a/Cargo.toml": '[dependencies]\nb = { path = "../../b" }\n',
            "crates/a/src/bin/x.rs": "",
            "b/Cargo.toml": "",
            "b/src/lib.rs": "",
            ".cargo/config.toml": "",
        },
        {"crates/a/src/other.rs": ""},
    ),
    "sources that the lockfile names": (
        "conda-lock",
        {
            "conda-lock.yml": "metadata:\n  sources:\n  - dev.yml\n  - a/x.yaml\n",
            "dev.yml": "- pip:\n  - -r pip.txt\n",
            "a/x.yaml": "",
            "pip.txt": "",
        },
        {},
    ),
    "flakes": (
        "nix",
        {
            "flake.nix": '{ inputs.sub.url = "path:./sub"; inputs.x.url = "x"; }',
            "sub/flake.nix": "{ }",
        },
        {},
    ),
}


@pytest.fixture
def command_of(directory, fill):
    """
    Write files, and return the command of a recipe for them.
    """

    def make(name, files):
        fill(directory, files)
        environment = StateStore().environment(directory, RECIPES[name].lockfile)
        return RECIPES[name].resolver(environment)

    return make


class TestCopies:
    @pytest.mark.parametrize("case", CASES)
    def test_managers(self, command_of, case):
        """
        Packages below the directory and files that manifests name are copied.
        """
        name, copied, others = CASES[case]

        assert sorted(copied) == sorted(command_of(name, copied | others).copies)

    def test_first(self, command_of):
        """
        The first manifest is copied first, even if it is missing.
        """
        assert ("pixi.toml", "pyproject.toml") == command_of(
            "pixi", {"pyproject.toml": ""}
        ).copies

    def test_symlinks(self, command_of, directory, tmp_path, fill):
        """
        A file or package behind a symlink that leads outside is not copied.
        """
        fill(tmp_path, {"secret": "", "far/package.json": "{}"})
        (directory / "README").symlink_to(tmp_path / "secret")
        (directory / "near").symlink_to(tmp_path / "far")
        wishes = {"package.json": '{"a": "near", "b": "README"}'}

        assert ("package.json",) == command_of("npm", wishes).copies

    @pytest.mark.parametrize("word", ["**", "a/up/up/", "a/" * 120_000, "[" * 9999])
    def test_loop(self, command_of, directory, fill, word):
        """
        Symlinks that lead in circles, and odd words, do not stop the search.
        """
        for name in "abc":
            fill(directory, {f"{name}/package.json": "{}"})
            os.symlink("..", directory / name / "up")
        wishes = {"package.json": json.dumps({"workspaces": [word, "a/"]})}

        copies = command_of("npm", wishes).copies
        assert {"package.json", "a/package.json"} <= set(copies)

    def test_too_large_a_manifest(self, command_of, monkeypatch):
        """
        A manifest of more than the maximum size is copied, but not read.
        """
        monkeypatch.setattr("upgrade_state._lockfile.MAX_SIZE", 3)
        files = {"pyproject.toml": 'x = "README"', "README": ""}

        assert ("pyproject.toml",) == command_of("uv", files).copies

    def test_file_is_removed(self, command_of, monkeypatch):
        """
        A file that is removed during the search is not copied.
        """
        look = os.stat

        def look_and_remove(path, **options):
            if str(path).endswith("more.in"):
                os.unlink(path)
            return look(path, **options)

        monkeypatch.setattr(_manifests.os, "stat", look_and_remove)
        files = {"requirements.in": "-r more.in", "more.in": ""}

        assert ("requirements.in",) == command_of("pip", files).copies

    @pytest.mark.parametrize("seen", ["package.json", "a/package.json"])
    def test_cancelled(self, command_of, monkeypatch, seen):
        """
        The search ends when its check is cancelled.
        """
        cancellation = Cancellation()
        look = os.stat

        def look_and_cancel(path, **options):
            if str(path).endswith(f"shop/{seen}"):
                cancellation.cancel()
            return look(path, **options)

        monkeypatch.setattr(_manifests.os, "stat", look_and_cancel)
        files = {"package.json": "", "a/package.json": ""}
        with (
            _cancellation.cancelling(cancellation),
            pytest.raises(_cancellation.Cancelled),
        ):
            command_of("npm", files)


class TestHint:
    @pytest.mark.parametrize(
        ("wishes", "hint"),
        [
            ("-e ../../lib\n-e ../../more\n", "'../lib' is outside of the directory"),
            *((f"-e {word}\n", None) for word in ("../../none", "/bin/sh", ".")),
            *((f"-e {word}\n", None) for word in ("../../shop/in", "../../m*")),
        ],
    )
    def test_outside(self, command_of, tmp_path, fill, wishes, hint):
        """
        The first existing path outside is named; absolute ones are ignored.
        """
        fill(tmp_path, {"lib/setup.py": "", "more/setup.py": ""})
        files = {"requirements.in": "-e in\n", "in/requirements.in": wishes}

        assert (hint and f"{hint} and is not copied") == command_of("pip", files).hint


class TestLimits:
    @pytest.mark.parametrize(
        ("limits", "count"),
        [
            ({"max_directories": 3}, 4),
            ({"max_files": 3}, 3),
            ({"max_bytes": 200}, 6),
            ({"max_words": 1}, 11),
            ({}, 12),
        ],
    )
    def test_limits(self, directory, fill, limits, count):
        """
        Directories, files, bytes and the words of a manifest are limited.
        """
        packages = {f"p/{n}/Cargo.toml": "#" * 60 for n in range(9)}
        fill(directory, {**packages, "Cargo.toml": '"a" "b"\n', "a": "", "b": ""})

        found, _ = _manifests.collect(str(directory), ["Cargo.toml"], (), **limits)
        assert count == len(found)


# Paths that lead outside, in circles, or to no file; and odd names.
_ODD = (
    "..|../far|../far/secret|a/../../far/secret|/etc|/etc/passwd|out|out/secret|out/*"
    "|secret-link|loop|loop/loop/a|up/up/up/a|**|../**|*/../../*|out/**/secret"
    "|[|[!a]|~|$HOME||."
)
ODD = st.sampled_from(
    [*_ODD.split("|"), "\0", "a\0b", "\udcff", "x" * 300, "x/" * 3000, "a/" * 40 + "*"]
)
NAMES = st.sampled_from(["a", "b", "a/b", "x\udcff", "package.json", "y[z]", "n"])
WISHES = st.lists(ODD | NAMES | st.text(max_size=8), max_size=12)
LINKS = {
    "out": st.sampled_from(["../far", "../../far", "/etc", "a"]),
    "loop": st.sampled_from(["loop", ".", "..", "nothing"]),
    "up": st.sampled_from(["..", ".", "../.."]),
    "secret-link": st.sampled_from(["../far/secret", "out/secret"]),
}


def tree(root, content, links):
    """
    Make a directory, and a directory beside it that no file may come from.
    """
    far, shop = root / "far", root / "shop"
    for path in (far, shop / "a" / "b", shop / "x\udcff", shop / "y[z]"):
        path.mkdir(parents=True)
        (path / "package.json").write_text("{}")
    (far / "secret").write_text("secret")
    (far / "secret.in").write_text("-r secret\n")
    (shop / "package.json").write_bytes(content)
    for place, (name, target) in itertools.product(("", "a"), links.items()):
        os.symlink(target, shop / place / name)
    return shop


class TestInside:
    @given(wishes=WISHES, links=st.fixed_dictionaries(LINKS), is_json=st.booleans())
    def test_never_outside(self, wishes, links, is_json):
        """
        Whatever a manifest names, only regular files inside are copied.
        """
        document = {"workspaces": wishes, "dependencies": {"a": wishes}}
        content = json.dumps(document) if is_json else "\n".join(wishes)
        with tempfile.TemporaryDirectory() as root:
            encoded = content.encode(errors="surrogateescape")
            shop = tree(Path(root).resolve(), encoded, links)
            listed = []
            with pytest.MonkeyPatch.context() as patch:
                scan = os.scandir
                patch.setattr(os, "scandir", lambda p: listed.append(p) or scan(p))
                found, _ = _manifests.collect(
                    str(shop), ("package.json",), ("*.toml", "up/*", "**/secret")
                )

            assert "package.json" == found[0]
            assert len(found) == len(set(found))
            for name in found:
                assert os.path.isfile(shop / name)
                assert os.path.normpath(name) == name
            for path in [*(shop / name for name in found), *listed]:
                real = os.path.realpath(path)
                assert real == str(shop) or real.startswith(f"{shop}/")
