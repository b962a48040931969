"""
Projects of every common build back end, by every recipe that builds one.

Each project needs one package, which its lockfile has in an old version. The check
gives the upgrades that the tool itself finds in a copy of the project.
"""

import json
import os

import pytest

import by_hand

pytestmark = pytest.mark.network

STATIC = """\
[project]
name = "shop"
version = "1.0"
description = "A shop"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["<idna==3.4|idna>"]
"""

DYNAMIC = STATIC.replace('version = "1.0"', 'dynamic = ["version"]')


def built_by(name, *requirements):
    listed = ", ".join(f'"{requirement}"' for requirement in requirements)
    return f'[build-system]\nbuild-backend = "{name}"\nrequires = [{listed}]\n'


SETUPTOOLS = built_by("setuptools.build_meta", "setuptools>=77")

HATCHLING = built_by("hatchling.build", "hatchling")

PDM = built_by("pdm.backend", "pdm-backend")


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


# The files of a package, but for its module and README.
BACK_ENDS = {
    "setuptools": {"pyproject.toml": STATIC + SETUPTOOLS},
    "setuptools-attr": {
        "pyproject.toml": DYNAMIC
        + SETUPTOOLS
        + '[tool.setuptools.dynamic]\nversion = { attr = "shop.__version__" }\n'
    },
    "setuptools-files": {
        "pyproject.toml": '[project]\nname = "shop"\nrequires-python = ">=3.11"\n'
        'dynamic = ["dependencies", "readme", "version"]\n'
        + SETUPTOOLS
        + "[tool.setuptools.dynamic]\n"
        'dependencies = { file = ["requirements/base.txt"] }\n'
        'readme = { file = ["README.md", "docs/more.md"] }\n'
        'version = { file = "VERSION" }\n',
        "requirements/base.txt": "<idna==3.4|idna>\n",
        "docs/more.md": "More.\n",
        "VERSION": "1.0\n",
    },
    "setuptools-scm": {
        "pyproject.toml": DYNAMIC
        + built_by("setuptools.build_meta", "setuptools>=77", "setuptools-scm>=8")
        + "[tool.setuptools_scm]\nsearch_parent_directories = true\n"
        'version_file = "src/shop/_version.py"\n'
    },
    "hatchling": {"pyproject.toml": STATIC + HATCHLING},
    "hatch-vcs": {
        "pyproject.toml": DYNAMIC
        + built_by("hatchling.build", "hatchling", "hatch-vcs")
        + '[tool.hatch.version]\nsource = "vcs"\n'
        "raw-options = { search_parent_directories = true }\n"
    },
    "flit": {
        "pyproject.toml": STATIC.replace(
            'version = "1.0"\ndescription = "A shop"',
            'dynamic = ["description", "version"]',
        )
        + built_by("flit_core.buildapi", "flit_core>=3.11")
    },
    "poetry-core": {
        "pyproject.toml": STATIC + built_by("poetry.core.masonry.api", "poetry-core>=2")
    },
    "poetry-core-own": {
        "pyproject.toml": '[tool.poetry]\nname = "shop"\nversion = "1.0"\n'
        'description = "A shop"\nauthors = ["Ana <ana@example.com>"]\n'
        'readme = "README.md"\npackages = [{ include = "shop", from = "src" }]\n'
        '[tool.poetry.dependencies]\npython = ">=3.11"\nidna = "<3.4|*>"\n'
        + built_by("poetry.core.masonry.api", "poetry-core>=2")
    },
    "pdm-backend": {"pyproject.toml": STATIC + PDM},
    "pdm-backend-scm": {
        "pyproject.toml": DYNAMIC + PDM + '[tool.pdm.version]\nsource = "scm"\n'
    },
    "uv-build": {"pyproject.toml": STATIC + built_by("uv_build", "uv_build")},
    "scikit-build-core": {
        "pyproject.toml": DYNAMIC
        + built_by("scikit_build_core.build", "scikit-build-core>=0.10")
        + "[tool.scikit-build.metadata.version]\n"
        'provider = "scikit_build_core.metadata.regex"\n'
        'input = "src/shop/__init__.py"\n',
        "CMakeLists.txt": "cmake_minimum_required(VERSION 3.15...3.30)\n"
        "project(shop LANGUAGES NONE)\n",
    },
    "maturin": {
        "pyproject.toml": DYNAMIC
        + built_by("maturin", "maturin>=1.7,<2")
        + '[tool.maturin]\nbindings = "bin"\n',
        "Cargo.toml": '[package]\nname = "shop"\nversion = "1.0.0"\nedition = "2021"\n',
        "src/main.rs": "fn main() {}\n",
    },
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

# More ways to the version of a tag, each with one recipe.
VERSIONS = {
    "uv-dynamic-versioning": DYNAMIC
    + built_by("hatchling.build", "hatchling", "uv-dynamic-versioning")
    + '[tool.hatch.version]\nsource = "uv-dynamic-versioning"\n',
    "versioningit": DYNAMIC
    + built_by("setuptools.build_meta", "setuptools", "versioningit")
    + "[tool.versioningit]\n",
    "setuptools-git-versioning": DYNAMIC
    + built_by("setuptools.build_meta", "setuptools", "setuptools-git-versioning")
    + "[tool.setuptools-git-versioning]\nenabled = true\n",
    "poetry-dynamic-versioning": DYNAMIC
    + built_by(
        "poetry_dynamic_versioning.backend", "poetry-core", "poetry-dynamic-versioning"
    )
    + '[tool.poetry]\nversion = "0.0.0"\n'
    "[tool.poetry-dynamic-versioning]\nenable = true\n",
    "meson-python": DYNAMIC + built_by("mesonpy", "meson-python"),
}

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


# Packages elsewhere in the repository: recipe, the environment's directory, and files.
LAYOUTS = {
    "uv workspace": (
        "uv",
        ".",
        {
            "pyproject.toml": plain("app", "shop")
            + "[tool.uv.sources]\nshop = { workspace = true }\n"
            '[tool.uv.workspace]\nmembers = ["packages/*"]\n',
            **below("packages/shop", BACK_ENDS["hatch-vcs"]),
            **below("packages/other", BACK_ENDS["setuptools-attr"], name="other"),
        },
    ),
    "uv path": (
        "uv",
        "services/app",
        {
            "services/app/pyproject.toml": plain("app", "shop") + "[tool.uv.sources]\n"
            'shop = { path = "../../libs/shop", editable = true }\n',
            **below("libs/shop", BACK_ENDS["flit"]),
        },
    ),
    "uv script": (
        "uv-script",
        ".",
        {
            "shop.py": '# /// script\n# requires-python = ">=3.11"\n'
            '# dependencies = ["shop"]\n'
            '# [tool.uv.sources]\n# shop = { path = "libs/shop" }\n# ///\n',
            **below("libs/shop", BACK_ENDS["flit"]),
        },
    ),
    "uv pylock": (
        "uv-pylock",
        "services/app",
        {
            "services/app/pyproject.toml": plain("app", "shop")
            + '[tool.uv.sources]\nshop = { path = "../../libs/shop" }\n',
            **below("libs/shop", BACK_ENDS["hatch-vcs"]),
        },
    ),
    "pdm path": (
        "pdm",
        "services/app",
        {
            "services/app/pyproject.toml": plain(
                "app", "shop @ file:///${PROJECT_ROOT}/../../libs/shop"
            )
            + "[dependency-groups]\n"
            'dev = ["-e file:///${PROJECT_ROOT}/../../libs/other#egg=other"]\n',
            **below("libs/shop", BACK_ENDS["pdm-backend-scm"]),
            **below("libs/other", BACK_ENDS["setuptools-attr"], name="other"),
        },
    ),
    "poetry path": (
        "poetry",
        "services/app",
        {
            "services/app/pyproject.toml": plain("app") + "[tool.poetry.dependencies]\n"
            'shop = { path = "../../libs/shop", develop = true }\n',
            **below("libs/shop", BACK_ENDS["setuptools-scm"]),
        },
    ),
    # pip writes no lockfile if a package is not below its directory.
    "pip path": (
        "pip",
        ".",
        {
            "requirements.in": "-r requirements/base.in\n",
            "requirements/base.in": "-e ./libs/shop\n",
            **below("libs/shop", BACK_ENDS["hatch-vcs"]),
        },
    ),
    "pipenv path": (
        "pipenv",
        "services/app",
        {
            "services/app/Pipfile": "[packages]\n"
            'shop = { path = "../../libs/shop", editable = true }\n',
            **below("libs/shop", BACK_ENDS["flit"]),
        },
    ),
    "npm workspaces": (
        "npm",
        ".",
        {
            "package.json": '{"name": "app", "workspaces": ["packages/*"]}',
            "packages/shop/package.json": '{"name": "shop", "version": "1.0.0",'
            ' "dependencies": {"isarray": "<2.0.0|^2>"}}',
        },
    ),
    "npm path": (
        "npm",
        "services/app",
        {
            "services/app/package.json": '{"name": "app",'
            ' "dependencies": {"isarray": "<2.0.0|^2>", "shop": "../../libs/shop"}}',
            "libs/shop/package.json": '{"name": "shop", "version": "1.0.0",'
            ' "dependencies": {"isarray": "^2"}}',
        },
    ),
}

# A package whose dependency is the version that git describes.
DESCRIBED = {
    "pyproject.toml": """\
[project]
name = "shop"
version = "1.0"
requires-python = ">=3.11"
dynamic = ["dependencies"]
"""
    + SETUPTOOLS,
    "setup.py": """\
import subprocess
import setuptools
tag = subprocess.check_output(["git", "describe", "--tags", "--dirty"], text=True)
setuptools.setup(install_requires=[f"idna<={tag.strip().removeprefix('v')}"])
""",
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

    @pytest.mark.parametrize("plugin", VERSIONS)
    def test_version(self, plugin, use_recipe, tmp_path):
        """
        A package that requires the version of the tag is resolved.
        """
        use_recipe("uv")
        meson = "project('shop', version: run_command('git', 'describe', '--tags',"
        files = {
            "pyproject.toml": plain("app", "shop>=1.0")
            + '[tool.uv.sources]\nshop = { path = "shop" }\n',
            **below("shop", {"pyproject.toml": VERSIONS[plugin]}),
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

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_layouts(self, layout, use_recipe, tmp_path):
        """
        Packages elsewhere in the repository are found.
        """
        name, place, files = LAYOUTS[layout]
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
        by_hand.make(top, below(".", DESCRIBED), name, tag="v3.4")
        by_hand.run(top, "git", "tag", "--delete", "v3.4", check=True)
        by_hand.run(top, "git", "tag", "v3.7", check=True)

        (found,) = by_hand.upgrades_of_check(top, name)

        assert (("3.4",), ("3.7",)) == (found.old, found.new)
