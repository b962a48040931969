import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

HEAD = "[metadata]\nlock_version = '4.5.0'\n"
COMMITS = "a" * 40, "b" * 40
FILES = "files = [{ file = 'x', hash = 'sha256:1' }]"


def package(name="x", version="1.0", more=""):
    return f"[[package]]\nname = '{name}'\nversion = '{version}'\n{more}\n"


def git(commit):
    url = "https://user:secret@files.example/x.git"
    return package(more=f"git = '{url}'\nref = 'main'\nrevision = '{commit}'")


def read(*packages, head=HEAD):
    return lockfiles.read((head + "".join(packages)).encode(), format="pdm")


def diff(old, new):
    return lockfiles.diff(read(*old), read(*new)).upgrades


class TestPackages:
    def test_index(self):
        """
        A package from an index has a version and nothing else.
        """
        assert (Package("zope-interface", "8.0", ecosystem="pypi"),) == read(
            package("zope.interface", "8.0", FILES)
        ).packages

    def test_commit(self):
        """
        The build of a package from git is its commit.
        """
        (p,) = read(git(COMMITS[0])).packages

        assert (COMMITS[0], False) == (p.build, p.local)

    def test_editable_repository(self):
        """
        The commit of an editable package from git is not locked.
        """
        more = "editable = true\ngit = 'https://files.example/x.git'\nref = 'main'"

        assert (Package("x", "1.0", ecosystem="pypi"),) == read(
            package(more=more)
        ).packages

    @pytest.mark.parametrize(
        "location",
        [
            "path = './x-1.0-py3-none-any.whl'",
            "path = '../X-1.0.TAR.GZ'",
            "url = 'https://files.example/x'",
        ],
    )
    def test_archive(self, location):
        """
        The build of an archive is its hash.
        """
        (p,) = read(package(more=f"{location}\n{FILES}")).packages

        assert ("sha256:1", False) == (p.build, p.local)

    def test_archive_without_hash(self):
        """
        It was in another place once.
        """
        (p,) = read(package(more="url = 'https://files.example/x'")).packages

        assert p.build is None

    @pytest.mark.parametrize("editable", ["", "editable = true\n"])
    def test_directory(self, editable):
        """
        A directory is local, editable or not.
        """
        assert (Package("x", "1.0", ecosystem="pypi", local=True),) == read(
            package(more=f"{editable}path = '../x'")
        ).packages

    def test_no_packages(self):
        """
        An environment without packages is not opaque.
        """
        assert () == read(head=f"package = []\n{HEAD}").packages


class TestWrong:
    @pytest.mark.parametrize("head", ["", "[metadata]\n", "metadata = 1\n"])
    def test_head(self, head):
        """
        Without its metadata it is no PDM lockfile.
        """
        snapshot = read(package(), head=head)

        assert (None, "not a pdm lockfile") == (snapshot.packages, snapshot.problem)

    def test_no_packages(self):
        """
        A lockfile cut off before its packages has not lost them.
        """
        assert "not a pdm lockfile" == read().problem

    @pytest.mark.parametrize(
        "entry",
        [
            "version = '1.0'",
            "name = 1",
            "name = ''",
            "name = 'x'\nversion = 1.0",
            "name = 'x'\nrevision = 1",
            "name = 'x'\npath = 1",
            "name = 'x'\npath = 'x.whl'\nfiles = {}",
            "name = 'x'\npath = 'x.whl'\nfiles = [1]",
            "name = 'x'\npath = 'x.whl'\nfiles = [{ hash = 1 }]",
        ],
    )
    def test_entry(self, entry):
        """
        One entry of another shape makes the lockfile opaque.
        """
        snapshot = read(package("a"), f"[[package]]\n{entry}\n")

        assert (None, "not a pdm lockfile") == (snapshot.packages, snapshot.problem)


class TestDiff:
    def test_extras(self):
        """
        An extra has an entry of its own, but is no other package.
        """
        plain, extra = package("httpx"), package("httpx", more="extras = ['http2']")

        assert () == diff([plain], [plain, extra])
        assert ["version"] == [
            u.kind for u in diff([plain, extra], [package("httpx", "1.1")])
        ]

    def test_forks(self):
        """
        Forks that have become one are a version change without a new version.
        """
        forks = [package("numpy", "2.2.6"), package("numpy", "2.10.0")]
        (row,) = diff(forks, [package("numpy", "2.10.0")])

        assert ("version", ("2.2.6", "2.10.0"), ("2.10.0",)) == (
            row.kind,
            row.old,
            row.new,
        )
        assert () == diff(forks, reversed(forks))

    def test_commit(self):
        """
        Another commit of the same version is a rebuild.
        """
        (row,) = diff(*([git(c)] for c in COMMITS))

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)
        assert "example" not in repr(row)
