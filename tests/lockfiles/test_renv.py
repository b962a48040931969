import json

import pytest

from lockfiles.helpers import COMMITS, SECRET, cases, packages, problem, rows, upgrades
from upgrade_state.lockfiles import Package

CASES = cases("renv")


def write(*entries, **fields):
    document = {
        "R": {"Version": "4.4.1", "Repositories": [{"Name": "A", "URL": SECRET}]},
        "Packages": {entry["Package"]: entry for entry in entries},
    }
    return json.dumps(document | fields)


def entry(version="1.0", name="x", **fields):
    return {"Package": name, "Version": version, "Source": "Repository"} | fields


class TestPackages:
    @pytest.mark.parametrize(("fields", "build"), CASES["packages build"])
    def test_build(self, fields, build):
        """
        The build is the commit of a repository, if the package is from one.
        """
        content = write(entry(**fields))

        assert (Package("x", "1.0", ecosystem="cran", build=build),) == packages(
            content, "renv"
        )

    @pytest.mark.parametrize("source", ["Local", "local"])
    def test_local(self, source):
        """
        A package from a directory is local, and its path is not kept.
        """
        content = write(entry(Source=source, RemoteUrl="~/src/x"))
        (p,) = packages(content, "renv")

        assert p.local
        assert "src" not in repr(p)

    def test_no_version(self):
        """
        A user may remove the version, so that renv installs the latest one.
        """
        content = write({"Package": "x", "Source": "Repository"})

        assert [None] == [p.version for p in packages(content, "renv")]

    @pytest.mark.parametrize("empty", [[], {}])
    def test_none(self, empty):
        """
        A project without packages has an empty list or table of them.
        """
        assert () == packages(write(Packages=empty), "renv")

    def test_old_r(self):
        """
        Some versions of renv wrote an empty list in place of the version of R.
        """
        assert packages(write(entry(), R={"Version": []}), "renv")


class TestDiff:
    def test_version(self):
        """
        Another version is a version change, from whatever source.
        """
        old = write(entry())
        new = write(entry("1.1", Source="GitHub", RemoteSha=COMMITS[0]))

        assert [("version", ("1.0",), ("1.1",), None, COMMITS[0])] == rows(
            old, new, "renv"
        )

    def test_commit(self):
        """
        Another commit of the same version is a rebuild; no URL is in the row.
        """
        old, new = (
            write(entry(Source="GitHub", RemoteSha=commit, RemoteUrl=SECRET))
            for commit in COMMITS
        )
        (row,) = upgrades(old, new, "renv")

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)

    @pytest.mark.parametrize("fields", CASES["diff same"])
    def test_same(self, fields):
        """
        Other metadata of the same version are no upgrade.
        """
        assert [] == rows(write(entry()), write(entry(**fields)), "renv")


class TestWrong:
    @pytest.mark.parametrize("fields", CASES["wrong shape"])
    def test_shape(self, fields):
        """
        One value of another shape makes the lockfile opaque.
        """
        assert "not a renv lockfile" == problem(write(entry(), **fields), "renv")
