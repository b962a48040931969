"""
What is copied of an environment's directory: what its manifests lead to.
"""

import itertools
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state.checks import RECIPES, Cancellation, _cancellation, _manifests


def make(directory, **files):
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def collected(directory, name, **limits):
    recipe = RECIPES[name]
    return _manifests.collect(str(directory), recipe.manifests, recipe.beside, **limits)


def copied(directory, name, **limits):
    return sorted(collected(directory, name, **limits)[0])


class TestManagers:
    def test_requirements(self, directory):
        """
        Requirements lead to others, to constraints, and to packages.
        """
        make(
            directory,
            **{
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
                "../outside.in": "",
                "other.in": "",
            },
        )

        assert [
            "base.in",
            "deep/er.in",
            "lib/README",
            "lib/pyproject.toml",
            "more.txt",
            "pins.txt",
            "requirements.in",
            "tool/setup.py",
            "w/x.whl",
        ] == copied(directory, "pip-tools")

    def test_poetry_and_pdm(self, directory):
        """
        Packages by path are found as either of them writes it.
        """
        make(
            directory,
            **{
                "pyproject.toml": """\
[project]
dependencies = ["lib @ file:///${PROJECT_ROOT}/lib", "far @ file:///far/away"]
[tool.poetry.dependencies]
own = { path = "own", develop = true }
""",
                "lib/pyproject.toml": "",
                "own/pyproject.toml": "",
                "poetry.toml": "",
            },
        )

        assert [
            "lib/pyproject.toml",
            "own/pyproject.toml",
            "poetry.toml",
            "pyproject.toml",
        ] == copied(directory, "poetry")

    def test_npm(self, directory):
        """
        Workspaces, links and tarballs; nothing that is installed.
        """
        make(
            directory,
            **{
                "package.json": """\
{"workspaces": {"packages": ["packages/**"]},
 "dependencies": {"a": "file:./libs/a", "b": "link:libs/b", "c": "file:c.tgz"}}
""",
                ".npmrc": "",
                "packages/x/package.json": "{}",
                "packages/x/node_modules/y/package.json": "{}",
                "libs/a/package.json": "{}",
                "libs/b/package.json": "{}",
                "c.tgz": "",
            },
        )

        assert [
            ".npmrc",
            "c.tgz",
            "libs/a/package.json",
            "libs/b/package.json",
            "package.json",
            "packages/x/package.json",
        ] == copied(directory, "npm")

    def test_cargo(self, directory):
        """
        Every package has a target, else Cargo refuses it.
        """
        make(
            directory,
            **{
                "Cargo.toml": '[workspace]\nmembers = ["crates/*"]\n',
                "crates/a/Cargo.toml": '[dependencies]\nb = { path = "../../b" }\n',
                "crates/a/src/bin/x.rs": "",
                "crates/a/src/other.rs": "",
                "b/Cargo.toml": "",
                "b/src/lib.rs": "",
                ".cargo/config.toml": "",
            },
        )

        assert [
            ".cargo/config.toml",
            "Cargo.toml",
            "b/Cargo.toml",
            "b/src/lib.rs",
            "crates/a/Cargo.toml",
            "crates/a/src/bin/x.rs",
        ] == copied(directory, "cargo")

    def test_conda_lock(self, directory):
        """
        conda-lock's lockfile names what it was made from.
        """
        make(
            directory,
            **{
                "conda-lock.yml": "metadata:\n  sources:\n  - dev.yml\n  - a/x.yaml\n",
                "dev.yml": "- pip:\n  - -r pip.txt\n",
                "a/x.yaml": "",
                "pip.txt": "",
            },
        )

        assert [
            "a/x.yaml",
            "conda-lock.yml",
            "dev.yml",
            "pip.txt",
        ] == copied(directory, "conda-lock")

    def test_nix(self, directory):
        """
        A flake leads to flakes by path.
        """
        make(
            directory,
            **{
                "flake.nix": '{ inputs.sub.url = "path:./sub"; inputs.x.url = "x"; }',
                "sub/flake.nix": "{ }",
            },
        )

        assert ["flake.nix", "sub/flake.nix"] == copied(directory, "nix")


class TestBounds:
    @pytest.mark.parametrize(
        ("limit", "value"),
        [("max_directories", 4), ("max_files", 3), ("max_bytes", 200)],
    )
    def test_too_many(self, directory, limit, value):
        """
        Directories, files and bytes are limited.
        """
        packages = {f"p/{n}/Cargo.toml": "#" * 60 for n in range(9)}
        make(directory, **packages, **{"Cargo.toml": '[w]\nmembers = ["p/*"]\n'})

        assert 3 == len(copied(directory, "cargo", **{limit: value}))

    def test_too_many_names(self, directory):
        """
        Of one manifest, only the beginning is read.
        """
        make(directory, **{f"{n}.in": "" for n in "abcdef"})
        make(directory, **{"requirements.in": "-r a.in\n-r b.in\n-r c.in\n"})

        assert ["a.in", "requirements.in"] == copied(directory, "pip", max_words=1)

    @pytest.mark.parametrize(
        "path", [".venv/x", "node_modules/x", "env/lib/x", "target/package/x"]
    )
    def test_no_package(self, directory, path):
        """
        Hidden directories, installed packages and generated files are no packages.
        """
        make(directory, **{"package.json": "", f"{path}/package.json": ""})
        make(directory, **{"env/pyvenv.cfg": "", "target/CACHEDIR.TAG": ""})

        assert ["package.json"] == copied(directory, "npm")

    def test_generated_files_in_the_root(self, directory):
        """
        The root is searched even if it is a virtual environment.
        """
        make(directory, **{"pyvenv.cfg": "", "a/package.json": "", "package.json": ""})

        assert ["a/package.json", "package.json"] == copied(directory, "npm")

    def test_named_directory(self, directory):
        """
        A directory that is not searched is a package if a manifest names it.
        """
        make(directory, **{"package.json": '{"x": "file:.deps/x"}'})
        make(directory, **{".deps/x/package.json": '{"y": "file:y.tgz"}'})
        make(directory, **{".deps/x/y.tgz": "", ".deps/z/package.json": ""})

        assert [".deps/x/package.json", ".deps/x/y.tgz", "package.json"] == copied(
            directory, "npm"
        )

    def test_directories_that_lead_elsewhere(self, directory, tmp_path):
        """
        A package that only seems to be inside is not copied.
        """
        make(tmp_path, **{"far/package.json": "{}"})
        (directory / "near").symlink_to(tmp_path / "far")
        make(directory, **{"package.json": '{"a": "near", "workspaces": ["ne*"]}'})

        assert ["package.json"] == copied(directory, "npm")

    def test_outside(self, directory, tmp_path):
        """
        The first named path outside is returned, from any package.
        """
        make(tmp_path, **{"lib/setup.py": "", "more/setup.py": ""})
        make(directory, **{"requirements.in": "-e in\n", "in/requirements.in": ""})
        (directory / "in/requirements.in").write_text("-e ../../lib\n-e ../../more\n")

        assert "../lib" == collected(directory, "pip")[1]

    @pytest.mark.parametrize("word", ["../none", "/bin/sh", ".", "../{}/in", "../m*"])
    def test_nothing_outside(self, directory, tmp_path, word):
        """
        Unless nothing is there, or it is no place beside the environment.
        """
        make(tmp_path, **{"more/package.json": "{}"})
        make(directory, **{"in/package.json": "{}"})
        words = [word.format(directory.name)]
        make(directory, **{"package.json": json.dumps({"workspaces": words})})

        assert None is collected(directory, "npm")[1]

    @pytest.mark.parametrize("pattern", ["**", "**/x", "*/" * 40 + "x"])
    def test_loop(self, directory, pattern):
        """
        Symlinks that lead in circles have an end.
        """
        for name in "abc":
            make(directory, **{f"{name}/package.json": "{}"})
            os.symlink("..", directory / name / "up")
        content = json.dumps({"workspaces": [pattern, "a/"]})
        make(directory, **{"package.json": content})

        assert {"package.json", "a/package.json"} <= set(copied(directory, "npm"))

    def test_cancelled(self, directory):
        """
        The walk ends when its check is cancelled.
        """
        make(directory, **{"package.json": ""})
        cancellation = Cancellation()
        with _cancellation.cancelling(cancellation):
            cancellation.cancel()
            with pytest.raises(_cancellation.Cancelled):
                copied(directory, "npm")

    def test_many_symlinks(self, directory):
        """
        However many there are, and however many ways through them.
        """
        make(directory, **{"a/package.json": "{}"})
        for number in range(300):
            os.symlink(".", directory / f"s{number}")
        wishes = {"workspaces": ["a", "*/" * 6 + "x", "s*/" * 6 + "a"]}
        make(directory, **{"package.json": json.dumps(wishes)})

        found, _ = _manifests.collect(str(directory), ("package.json",), ())
        assert {"package.json", "a/package.json"} <= set(found)
        assert 2 == len(found)


# What leads outside, in circles, or nowhere; and what is no name at all.
ODD = st.sampled_from(
    [
        "..",
        "../far",
        "../far/secret",
        "a/../../far/secret",
        "/etc",
        "/etc/passwd",
        "out",
        "out/secret",
        "out/*",
        "secret-link",
        "loop",
        "loop/loop/a",
        "up/up/up/a",
        "**",
        "../**",
        "*/../../*",
        "out/**/secret",
        "\0",
        "a\0b",
        "x" * 300,
        "x/" * 3000,
        "a/" * 40 + "*",
        "\udcff",
        "[",
        "[!a]",
        "~",
        "$HOME",
        "",
        ".",
    ]
)
NAMES = st.sampled_from(["a", "b", "a/b", "x\udcff", "package.json", "y[z]", "n"])
WISHES = st.lists(ODD | NAMES | st.text(max_size=8), max_size=12)


def tree(root, content, links):
    """
    Make a directory, with another one beside it that nothing may come from.
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
    @given(
        wishes=WISHES,
        links=st.fixed_dictionaries(
            {
                "out": st.sampled_from(["../far", "../../far", "/etc", "a"]),
                "loop": st.sampled_from(["loop", ".", "..", "nothing"]),
                "up": st.sampled_from(["..", ".", "../.."]),
                "secret-link": st.sampled_from(["../far/secret", "out/secret"]),
            }
        ),
        is_json=st.booleans(),
    )
    def test_never_outside(self, wishes, links, is_json):
        """
        Whatever a manifest names: what is taken are regular files inside.
        """
        document = {"workspaces": wishes, "dependencies": {"a": wishes}}
        content = json.dumps(document) if is_json else "\n".join(wishes)
        with tempfile.TemporaryDirectory() as root:
            encoded = content.encode(errors="surrogateescape")
            shop = tree(Path(root).resolve(), encoded, links)
            found, _ = _manifests.collect(
                str(shop), ("package.json",), ("*.toml", "up/*", "**/secret")
            )

            assert "package.json" == found[0]
            assert len(found) == len(set(found)) <= _manifests.MAX_FILES
            for name in found:
                assert os.path.isfile(shop / name)
                assert os.path.normpath(name) == name
            for name in found:
                real = os.path.realpath(shop / name)
                assert real == str(shop) or real.startswith(f"{shop}/")
