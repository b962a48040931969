"""
Public projects as they are: the check finds the upgrades that the tool itself finds.

A project is the content of its source archive in a new repository with the tag of its
version. If it has no lockfile, the tool makes one of a time in the past.
"""

import re
import tarfile

import pytest

import by_hand

pytestmark = pytest.mark.network

DAY = "2026-03-01"

# The variables with which a tool makes a lockfile of that day.
PAST = {
    "uv": {"UV_EXCLUDE_NEWER": f"{DAY}T00:00:00Z"},
    "pip-project": {"PIP_UPLOADED_PRIOR_TO": DAY},
    "uv-pip": {"UV_EXCLUDE_NEWER": f"{DAY}T00:00:00Z"},
    "npm": {"npm_config_before": DAY},
}

# Recipe and archive. The comment names the back end.
PROJECTS = [
    ("uv", "copier==9.11.0"),  # hatch-vcs; has a lockfile
    ("uv", "mcp==1.26.0"),  # uv-dynamic-versioning; a workspace with a lockfile
    ("uv", "fastmcp==2.14.0"),  # uv-dynamic-versioning; has a lockfile
    ("uv", "pytest==9.0.0"),  # setuptools-scm
    ("uv", "build==1.4.0"),  # flit-core
    ("uv", "fastapi==0.128.0"),  # pdm-backend
    ("uv", "pydantic==2.12.0"),  # hatchling with a plugin for the README
    ("uv", "scikit-build-core==0.11.6"),  # hatch-vcs; many groups
    ("pip-project", "black==26.1.0"),  # hatch-vcs
    ("uv-pip", "httpx==0.28.1"),  # hatchling with a plugin for the README
    ("pdm", "unearth==0.18.0"),  # pdm-backend with the version of git
    ("poetry", "rich==14.3.0"),  # poetry-core
    ("npm", "nodemon@3.1.10"),
    ("npm", "express@5.1.0"),
]

# Poetry has no such option: a requirement of rich, at first in an old version.
OLD = ('pygments = "^2.13.0"', 'pygments = "2.13.0"')


@pytest.fixture(name="project")
def _project(use_recipe, tmp_path):
    """
    Unpack an archive, and add a lockfile if there is none.
    """

    def unpack(recipe, wish):
        use_recipe(recipe)
        name = re.split("[=@]", wish)[0]
        if recipe == "npm":
            by_hand.run(tmp_path, "npm", "pack", wish, check=True)
        else:
            argv = ("pip", "download", "--no-deps", "--no-binary", name, wish)
            by_hand.run(tmp_path, *argv, check=True)
        (archive,) = tmp_path.glob("*gz")
        with tarfile.open(archive) as file:
            file.extractall(tmp_path / "archive", filter="data")
        (top,) = (tmp_path / "archive").iterdir()
        if not (top / by_hand.lockfile_of(recipe)).exists():
            lock_in_the_past(top, recipe)
        return top

    return unpack


def lock_in_the_past(top, recipe):
    manifest = top / "pyproject.toml"
    if recipe == "pdm":
        done = by_hand.run(top, "pdm", "lock", "--exclude-newer", DAY)
    elif recipe == "poetry":
        text = manifest.read_text() + by_hand.poetry_source()
        assert OLD[0] in text
        manifest.write_text(text.replace(*OLD))
        done = by_hand.lock(top, recipe)
        manifest.write_text(text)
    else:
        done = by_hand.lock(top, recipe, **PAST[recipe])
    assert 0 == done.returncode, done.stdout


def printed(upgrade):
    """
    Return the line that uv prints for an upgrade.
    """
    old, new = (
        ", ".join(f"v{version}" for version in versions)
        for versions in (upgrade.old, upgrade.new)
    )
    return {
        "added": f"Add {upgrade.name} {new}",
        "removed": f"Remove {upgrade.name} {old}",
        "version": f"Update {upgrade.name} {old} -> {new}",
    }[upgrade.kind]


class TestPublicProjects:
    @pytest.mark.parametrize(("recipe", "wish"), PROJECTS)
    def test_rows(self, recipe, wish, project):
        """
        In a repository, a back end finds the version of the tag.
        """
        top = project(recipe, wish)
        (top / "PKG-INFO").unlink(missing_ok=True)
        by_hand.commit(top, f"v{re.split('[=@]+', wish)[1]}")

        expected = by_hand.upgrades_by_hand(top, recipe)

        assert expected
        assert expected == by_hand.upgrades_of_check(top, recipe)

    def test_archive(self, project):
        """
        Without a repository too, the rows are those that uv prints.
        """
        top = project("uv", "copier==9.11.0")
        output = by_hand.output_of(top, "uv", "lock", "--upgrade", "--dry-run")

        found = by_hand.upgrades_of_check(top, "uv")

        report = re.findall("^(?:Add|Remove|Update) .*", output, re.MULTILINE)
        assert report
        assert set(report) == set(map(printed, found))
