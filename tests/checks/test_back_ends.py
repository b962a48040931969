"""
Projects of every common build back end, by every recipe that builds one.

Each project needs one package, which its lockfile has in an old version. The check
gives the upgrades that the tool itself finds in a copy of the project.
"""

import json
import os
import tomllib
from pathlib import Path

import pytest

import by_hand

pytestmark = pytest.mark.network

PROJECTS = tomllib.loads(
    (Path(__file__).parent / "data/back_ends.toml").read_text(encoding="utf-8")
)

# The files of a package, but for its module and README.
BACK_ENDS = PROJECTS["back-ends"]


def plain(name, *dependencies):
    """
    Return the manifest of a project that is not built.
    """
    return (
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        f'requires-python = ">=3.11,<4"\ndependencies = {json.dumps(dependencies)}\n'
    )


def below(place, files, name="shop"):
    """
    Return the files of a package by their paths, with a module and a README.
    """
    module = f'"""A {name}."""\n\n__version__ = "1.0"\n'
    files = files | {"README.md": "# Shop\n", f"src/{name}/__init__.py": module}
    return {
        os.path.normpath(os.path.join(place, path)): text.replace("shop", name)
        for path, text in files.items()
    }


# How a project states the package for the tool: files beside the package, and the
# directory of the package.
RECIPES = {
    "uv": ({}, "."),
    "pip-project": ({}, "."),
    "pip": ({"requirements.in": "-e .\n"}, "."),
    "pip-tools": ({}, "."),
    "uv-pip": ({}, "."),
    "pipenv": (
        {"Pipfile": '[packages]\nshop = { path = ".", editable = true }\n'},
        ".",
    ),
    "pdm": ({}, "."),
    "poetry": ({}, "."),
    "poetry-path": (
        {
            "pyproject.toml": "[tool.poetry]\npackage-mode = false\n"
            '[tool.poetry.dependencies]\npython = ">=3.11,<4"\n'
            'shop = { path = "libs/shop", develop = true }\n'
        },
        "libs/shop",
    ),
}

# A pylock.toml does not say whether pip locked the project or a list that names it.
OPTIONS = {"pip": ("--recipe=pip",)}

# Pairs that the tool itself cannot lock, with its words; "" if it says nothing, and
# locks no package.
IMPOSSIBLE = {
    (back_end, "poetry"): "Either [project.version] or"
    for back_end, files in BACK_ENDS.items()
    if "dynamic" in files["pyproject.toml"]
} | {
    # PDM reads dependencies from [project] alone, uv needs that table.
    ("setuptools-files", "pdm"): "",
    ("poetry-core-own", "uv"): "",
}

PAIRS = [(back_end, recipe) for back_end in BACK_ENDS for recipe in RECIPES]

# Commands that make another work tree of the repository `shop`, and its path.
WORK_TREES = {
    "worktree": ("git -C shop worktree add --quiet --detach ../x", "x"),
    "clone": ("git clone --quiet shop x", "x"),
    "shared": ("git clone --quiet --shared shop x", "x"),
    "shallow": ('git clone --quiet --depth=1 "file://$PWD/shop" x', "x"),
    "partial": ('git clone --quiet --filter=blob:none "file://$PWD/shop" x', "x"),
    "submodule": (
        "git init --quiet y; git -C y submodule --quiet add ../shop x",
        "y/x",
    ),
}


class TestBackEnds:
    @pytest.mark.parametrize(("back_end", "recipe"), PAIRS)
    def test_rows(self, back_end, recipe, use_recipe, tmp_path):
        """
        The check finds the upgrades that the tool finds in a copy.
        """
        name = recipe.removesuffix("-path")
        use_recipe(name)
        others, place = RECIPES[recipe]
        top = tmp_path / "shop"
        files = others | below(place, BACK_ENDS[back_end])
        done = by_hand.make(top, files, name)
        reason = IMPOSSIBLE.get((back_end, recipe))
        if reason is None:
            assert 0 == done.returncode, done.stdout
            expected = by_hand.upgrades_by_hand(top, name)
            assert [("idna", ("3.4",))] == [(u.name, u.old) for u in expected]
            options = OPTIONS.get(recipe, ())
            assert expected == by_hand.upgrades_of_check(top, name, ".", *options)
        else:
            assert reason in done.stdout
            locked = top / by_hand.lockfile_of(name)
            assert done.returncode if reason else "idna" not in locked.read_text()

    @pytest.mark.parametrize("plugin", PROJECTS["versions"])
    def test_version(self, plugin, use_recipe, tmp_path):
        """
        A package that requires the version of the tag is resolved.
        """
        use_recipe("uv")
        meson = "project('shop', version: run_command('git', 'describe', '--tags',"
        files = {
            "pyproject.toml": plain("app", "shop>=1.0")
            + '[tool.uv.sources]\nshop = { path = "shop" }\n',
            **below("shop", {"pyproject.toml": PROJECTS["versions"][plugin]}),
            "shop/meson.build": f"{meson} check: true).stdout().strip().strip('v'))\n",
        }
        top = tmp_path / "shop"
        done = by_hand.make(top, files, "uv")
        assert 0 == done.returncode, done.stdout

        expected = by_hand.upgrades_by_hand(top, "uv")

        assert expected
        assert expected == by_hand.upgrades_of_check(top, "uv")

    @pytest.mark.parametrize("kind", WORK_TREES)
    def test_work_trees(self, kind, use_recipe, tmp_path):
        """
        The version of the tag is found in every kind of work tree.
        """
        use_recipe("uv")
        by_hand.make(tmp_path / "shop", below(".", BACK_ENDS["hatch-vcs"]), "uv")
        command, place = WORK_TREES[kind]
        # Git refuses a submodule from a directory by default.
        allowed = {"GIT_ALLOW_PROTOCOL": "file"}
        by_hand.run(tmp_path, "sh", "-c", command, check=True, **allowed)
        top = tmp_path / place
        expected = by_hand.upgrades_by_hand(top, "uv")

        assert expected
        assert expected == by_hand.upgrades_of_check(top, "uv")

    @pytest.mark.parametrize("layout", PROJECTS["layouts"])
    def test_layouts(self, layout, use_recipe, tmp_path):
        """
        Packages elsewhere in the repository are found.
        """
        facts = PROJECTS["layouts"][layout]
        name, place, files = facts["recipe"], facts["directory"], facts["files"]
        for path, back_end in facts.get("packages", {}).items():
            files = files | below(path, BACK_ENDS[back_end], os.path.basename(path))
        use_recipe(name)
        top = tmp_path / "shop"
        done = by_hand.make(top, files, name, place)
        assert 0 == done.returncode, done.stdout

        expected = by_hand.upgrades_by_hand(top, name, place)

        assert expected
        assert expected == by_hand.upgrades_of_check(top, name, place)

    @pytest.mark.parametrize("name", ["uv", "pip-project"])
    def test_describe(self, name, use_recipe, tmp_path):
        """
        Git describes the copy as the project.
        """
        use_recipe(name)
        top = tmp_path / "shop"
        by_hand.make(top, below(".", PROJECTS["described"]), name, tag="v3.4")
        by_hand.run(top, "git", "tag", "--delete", "v3.4", check=True)
        by_hand.run(top, "git", "tag", "v3.7", check=True)

        (found,) = by_hand.upgrades_of_check(top, name)

        assert (("3.4",), ("3.7",)) == (found.old, found.new)
