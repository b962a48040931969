import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

TAIL = "[metadata]\nlock-version = '2.1'\ncontent-hash = '1'\n"
COMMITS = "a" * 40, "b" * 40


def package(name="x", version="1.0", more=""):
    return f"[[package]]\nname = '{name}'\nversion = '{version}'\n{more}\n"


def source(kind, more=""):
    url = "https://user:secret@files.example/x"
    return f"[package.source]\ntype = '{kind}'\nurl = '{url}'\n{more}\n"


def git(commit):
    reference = f"reference = 'main'\nresolved_reference = '{commit}'"
    return package(more=source("git", reference))


def archive(kind, digest):
    return package(
        more=f"files = [{{ file = 'x', hash = '{digest}' }}]\n{source(kind)}"
    )


def read(*packages, tail=TAIL):
    return lockfiles.read(("".join(packages) + tail).encode(), format="poetry")


def diff(old, new):
    return lockfiles.diff(read(*old), read(*new)).upgrades


class TestPackages:
    @pytest.mark.parametrize("index", ["", source("legacy", "reference = 'mirror'")])
    def test_index(self, index):
        """
        A package from any index has a version and nothing else.
        """
        files = "files = [{ file = 'a', hash = 'sha256:1' }]\n"

        assert (Package("attrs", "25.1.0", ecosystem="pypi"),) == read(
            package("attrs", "25.1.0", files + index)
        ).packages

    def test_name(self):
        """
        Poetry writes what the package calls itself.
        """
        assert "zope-interface" == read(package("Zope.Interface")).packages[0].name

    def test_commit(self):
        """
        The build of a package from git is its commit, not the branch.
        """
        (p,) = read(git(COMMITS[0])).packages

        assert (COMMITS[0], False) == (p.build, p.local)

    @pytest.mark.parametrize("kind", ["file", "url"])
    def test_archive(self, kind):
        """
        The build of an archive is its hash.
        """
        (p,) = read(archive(kind, "sha256:1")).packages

        assert ("sha256:1", False) == (p.build, p.local)

    def test_directory(self):
        """
        A directory is local.
        """
        (p,) = read(package(more=f"files = []\n{source('directory')}")).packages

        assert (None, True) == (p.build, p.local)

    @pytest.mark.parametrize("version", ["1.1", "2.0"])
    def test_old(self, version):
        """
        Older lockfiles have the hashes elsewhere, and no groups.
        """
        tail = TAIL.replace("2.1", version) + "[metadata.files]\nx = []\n"

        assert (Package("x", "1.0", ecosystem="pypi"),) == read(
            package(more=source("url")), tail=tail
        ).packages

    def test_no_packages(self):
        """
        An environment without packages is not opaque.
        """
        assert () == read("package = []\n").packages


class TestWrong:
    @pytest.mark.parametrize("tail", ["", "[metadata]\n", "metadata = 1\n"])
    def test_tail(self, tail):
        """
        A lockfile that is cut off between packages is none.
        """
        snapshot = read(package(), tail=tail)

        assert (None, "not a poetry lockfile") == (snapshot.packages, snapshot.problem)

    def test_no_packages(self):
        """
        Nor is one without a list of packages.
        """
        assert "not a poetry lockfile" == read().problem

    @pytest.mark.parametrize(
        "entry",
        [
            "version = '1.0'",
            "name = 1\nversion = '1.0'",
            "name = ''\nversion = '1.0'",
            "name = 'x'",
            "name = 'x'\nversion = 1.0",
            "name = 'x'\nversion = '1.0'\nsource = 'git'",
            "name = 'x'\nversion = '1.0'\nsource = { type = [] }",
            "name = 'x'\nversion = '1.0'\nsource = { resolved_reference = 1 }",
            "name = 'x'\nversion = '1.0'\nfiles = 1\nsource = { type = 'url' }",
            "name = 'x'\nversion = '1.0'\nfiles = ['x']\nsource = { type = 'url' }",
        ],
    )
    def test_entry(self, entry):
        """
        One entry of another shape makes the lockfile opaque.
        """
        snapshot = read(package("a"), f"[[package]]\n{entry}\n")

        assert (None, "not a poetry lockfile") == (snapshot.packages, snapshot.problem)


class TestDiff:
    def test_markers(self):
        """
        Versions of one name are a set.
        """
        forks = [package("numpy", "2.2.6"), package("numpy", "2.10.0")]
        (row,) = diff([package("numpy", "2.2.6")], forks)

        assert ("version", ("2.2.6",), ("2.2.6", "2.10.0")) == (
            row.kind,
            row.old,
            row.new,
        )
        assert () == diff(forks, reversed(forks))

    def test_spelling(self):
        """
        Another spelling is no other package.
        """
        assert () == diff([package("Jinja2")], [package("jinja2")])

    def test_index(self):
        """
        Another index makes no upgrade.
        """
        assert () == diff([package()], [package(more=source("legacy"))])

    def test_commit(self):
        """
        Another commit of the same version is a rebuild.
        """
        (row,) = diff(*([git(c)] for c in COMMITS))

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)
        assert "example" not in repr(row)

    def test_archive(self):
        """
        So is another archive.
        """
        (row,) = diff([archive("url", "sha256:1")], [archive("url", "sha256:2")])

        assert ("rebuild", "sha256:1", "sha256:2") == (
            row.kind,
            row.old_build,
            row.new_build,
        )
