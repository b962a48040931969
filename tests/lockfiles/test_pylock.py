import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

HEAD = "lock-version = '1.0'\ncreated-by = 'x'\n"
COMMITS = "a" * 40, "b" * 40


def package(name, version="1.0", more=""):
    version = "" if version is None else f"version = '{version}'\n"
    return f"[[packages]]\nname = '{name}'\n{version}{more}\n"


def vcs(commit, version=None):
    url = "https://user:secret@files.example/x.git"
    source = f"{{ type = 'git', url = '{url}', commit-id = '{commit}' }}"
    return package("x", version, f"vcs = {source}")


def archive(hashes, version="1.0"):
    source = f"{{ url = 'https://files.example/x.zip', hashes = {{ {hashes} }} }}"
    return package("x", version, f"archive = {source}")


def read(*packages, head=HEAD):
    return lockfiles.read((head + "".join(packages)).encode(), format="pylock")


def diff(old, new):
    return lockfiles.diff(read(*old), read(*new)).upgrades


class TestPackages:
    def test_index(self):
        """
        A package from an index has a version and nothing else.
        """
        files = "wheels = [{ url = 'https://files.example/a', hashes = { md5 = '1' } }]"

        assert (Package("attrs", "25.1.0", ecosystem="pypi"),) == read(
            package("attrs", "25.1.0", files)
        ).packages

    @pytest.mark.parametrize("name", ["Zope.Interface", "zope_-interface"])
    def test_name(self, name):
        """
        Names are normalized even by those who should have done it.
        """
        assert "zope-interface" == read(package(name)).packages[0].name

    def test_commit(self):
        """
        The build of a package from a repository is its commit.
        """
        assert (Package("x", None, ecosystem="pypi", build=COMMITS[0]),) == read(
            vcs(COMMITS[0])
        ).packages

    @pytest.mark.parametrize(
        ("hashes", "expected"),
        [
            ("sha256 = '1'", "sha256:1"),
            ("md5 = '2', sha256 = '1', blake2b = '3'", "sha256:1"),
            ("sha512 = '2', sha384 = '1'", "sha384:1"),
        ],
    )
    def test_archive(self, hashes, expected):
        """
        The build of an archive is its hash, by SHA-256 if there are several.
        """
        (p,) = read(archive(hashes)).packages

        assert ("1.0", expected) == (p.version, p.build)

    def test_directory(self):
        """
        A directory is local.
        """
        directory = "directory = { path = '.', editable = true }"

        assert (Package("x", None, ecosystem="pypi", local=True),) == read(
            package("x", None, directory)
        ).packages

    def test_no_packages(self):
        """
        An environment without packages is not opaque.
        """
        assert () == read(head=f"{HEAD}packages = []\n").packages


class TestWrong:
    @pytest.mark.parametrize("line", HEAD.splitlines(keepends=True))
    def test_head(self, line):
        """
        Without one of its keys it is no pylock file.
        """
        snapshot = read(package("x"), head=HEAD.replace(line, ""))

        assert (None, "not a pylock lockfile") == (snapshot.packages, snapshot.problem)

    def test_no_packages(self):
        """
        A lockfile cut off before its packages has not lost them.
        """
        assert "not a pylock lockfile" == read().problem

    @pytest.mark.parametrize(
        "entry",
        [
            "version = '1.0'",
            "name = 1",
            "name = ''",
            "name = 'x'\nversion = 1.0",
            "name = 'x'\nvcs = 1",
            "name = 'x'\nvcs = { type = 'git' }",
            "name = 'x'\nvcs = { type = 'git', commit-id = '' }",
            "name = 'x'\narchive = 1",
            "name = 'x'\narchive = {}",
            "name = 'x'\narchive = { hashes = {} }",
            "name = 'x'\narchive = { hashes = { sha256 = 1 } }",
            "name = 'x'\ndirectory = '.'",
        ],
    )
    def test_entry(self, entry):
        """
        One entry of another shape makes the lockfile opaque.
        """
        snapshot = read(package("a"), f"[[packages]]\n{entry}\n")

        assert (None, "not a pylock lockfile") == (snapshot.packages, snapshot.problem)


class TestDiff:
    def test_markers(self):
        """
        Entries for different environments are a set.
        """
        forks = [
            package("numpy", version, f"marker = \"python_version {marker} '3.12'\"")
            for version, marker in [("2.2.6", "<"), ("2.10.0", ">=")]
        ]
        (row,) = diff([package("numpy", "2.2.6")], forks)

        assert ("version", ("2.2.6",), ("2.2.6", "2.10.0")) == (
            row.kind,
            row.old,
            row.new,
        )
        assert () == diff(forks, reversed(forks))

    @pytest.mark.parametrize("version", [None, "1.0"])
    def test_commit(self, version):
        """
        Another commit of the same version, or of none, is a rebuild.
        """
        (row,) = diff(*([vcs(c, version)] for c in COMMITS))

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)

    def test_hashes_of_files(self):
        """
        What is uploaded later is no rebuild.
        """
        more = "sdist = { url = 'https://files.example/x', hashes = { sha256 = '1' } }"

        assert () == diff([package("x")], [package("x", more=more)])

    def test_no_url(self):
        """
        No URL is in any row, and no password with it.
        """
        old = [vcs(COMMITS[0]), package("y")]
        new = [vcs(COMMITS[1], "1.0"), package("y", "2.0")]

        rows = diff(old, new)

        assert 2 == len(rows)
        assert "example" not in repr(rows)
