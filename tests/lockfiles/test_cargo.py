import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

INDEX = "registry+https://user:secret@index.example/crates"
COMMITS = "a" * 40, "b" * 40


def package(name, version="1.0.0", source=INDEX, more=""):
    source = "" if source is None else f"source = '{source}'\n"
    return f"[[package]]\nname = '{name}'\nversion = '{version}'\n{source}{more}\n"


def member(name, *dependencies):
    return package(name, source=None, more=f"dependencies = {list(dependencies)}")


def git(commit):
    return f"git+https://user:secret@files.example/x?branch=main#{commit}"


def read(*packages, head="version = 4\n"):
    return lockfiles.read((head + "".join(packages)).encode(), format="cargo")


def diff(old, new):
    return lockfiles.diff(read(*old), read(*new)).upgrades


def directs(*packages):
    return [(p.name, p.version, p.direct) for p in read(*packages).packages]


class TestPackages:
    def test_registry(self):
        """
        A crate from a registry has a version and nothing else.
        """
        assert (Package("serde", "1.0.0", ecosystem="cargo", direct=False),) == read(
            package("serde")
        ).packages

    def test_member(self):
        """
        What has no source is local.
        """
        assert (
            Package("shop", "1.0.0", ecosystem="cargo", direct=True, local=True),
        ) == read(member("shop")).packages

    def test_git(self):
        """
        The build of a crate from git is its commit, without the URL.
        """
        (p,) = read(package("x", source=git(COMMITS[0]))).packages

        assert (COMMITS[0], False) == (p.build, p.local)

    @pytest.mark.parametrize(
        "head",
        ["", "version = 1\n", "version = 2\n", "version = 3\n", "version = 4\n"],
    )
    def test_versions(self, head):
        """
        All versions of the format have their packages in one place.
        """
        assert 1 == len(read(package("x"), head=head).packages)

    def test_checksums(self):
        """
        The first version has its checksums at the end.
        """
        metadata = f"[metadata]\n'checksum x 1.0.0 ({INDEX})' = '1'\n"

        assert 1 == len(read(package("x"), metadata, head="").packages)

    def test_root(self):
        """
        Before that the project had a table of its own.
        """
        root = "[root]\nname = 'shop'\nversion = '0.1.0'\ndependencies = ['x 1.0.0']\n"

        assert [("x", True, False), ("shop", True, True)] == [
            (p.name, p.direct, p.local)
            for p in read(root, package("x"), head="").packages
        ]

    def test_root_alone(self):
        """
        A project without dependencies has nothing but that table.
        """
        root = "[root]\nname = 'shop'\nversion = '0.1.0'\n"

        assert ["shop"] == [p.name for p in read(root, head="").packages]

    def test_unused_patch(self):
        """
        A patch that is not used is no package.
        """
        patch = package("y").replace("package", "patch.unused")

        assert ["x"] == [p.name for p in read(package("x"), patch).packages]


class TestDirect:
    def test_members(self):
        """
        Direct are projects, and what any of them asks for.
        """
        assert [
            ("cart", "1.0.0", True),
            ("shop", "1.0.0", True),
            ("a", "1.0.0", True),
            ("b", "1.0.0", True),
            ("c", "1.0.0", False),
        ] == directs(
            member("cart", "a"),
            member("shop", "b", "cart"),
            package("a", more="dependencies = ['c']"),
            package("b"),
            package("c"),
        )

    @pytest.mark.parametrize("asked", ["a 2.0.0", f"a 2.0.0 ({INDEX})"])
    def test_version(self, asked):
        """
        Of several versions of a crate, it is the one that is asked for.
        """
        assert [
            ("shop", "1.0.0", True),
            ("a", "1.0.0", False),
            ("a", "2.0.0", True),
        ] == directs(member("shop", asked), package("a"), package("a", "2.0.0"))


class TestWrong:
    def test_no_packages(self):
        """
        A lockfile cut off before its packages has not lost them.
        """
        assert "not a cargo lockfile" == read().problem

    @pytest.mark.parametrize(
        "more",
        [
            "package = 1",
            "package = ['x']",
            "root = 1",
            "metadata = 1",
            "metadata = { lock-version = '2.1' }",
        ],
    )
    def test_head(self, more):
        """
        The tables of the file have their shapes, and no other tool's.
        """
        entries = [] if "package" in more else [package("x")]

        snapshot = read(*entries, head=f"version = 4\n{more}\n")

        assert (None, "not a cargo lockfile") == (snapshot.packages, snapshot.problem)

    @pytest.mark.parametrize(
        "entry",
        [
            "name = 'x'",
            "version = '1'",
            "name = ''\nversion = '1'",
            "name = 1\nversion = '1'",
            "name = 'x'\nversion = 1.0",
            "name = 'x'\nversion = '1'\nsource = { registry = 'x' }",
            "name = 'x'\nversion = '1'\ndependencies = { y = '1' }",
            "name = 'x'\nversion = '1'\ndependencies = [1]",
        ],
    )
    def test_entry(self, entry):
        """
        One entry of another shape makes the lockfile opaque.
        """
        assert "not a cargo lockfile" == read(f"[[package]]\n{entry}\n").problem


class TestDiff:
    def test_versions(self):
        """
        Versions of one name are a set.
        """
        (row,) = diff(
            [package("syn"), package("syn", "2.0.9")],
            [package("syn"), package("syn", "2.0.10")],
        )

        assert ("version", ("1.0.0", "2.0.9"), ("1.0.0", "2.0.10")) == (
            row.kind,
            row.old,
            row.new,
        )

    def test_commit(self):
        """
        Another commit of the same version is a rebuild.
        """
        (row,) = diff(*([package("x", source=git(c))] for c in COMMITS))

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)

    def test_from_git_to_registry(self):
        """
        A release of what was taken from git is none.
        """
        assert () == diff([package("x", source=git(COMMITS[0]))], [package("x")])

    def test_two_sources(self):
        """
        A crate from git beside the same one from a registry goes by commit.
        """
        (row,) = diff(
            *([package("x"), package("x", source=git(commit))] for commit in COMMITS)
        )

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)

    def test_mirror(self):
        """
        Neither is another registry, or another checksum.
        """
        mirror = package(
            "x", source="sparse+https://files.example/", more="checksum=''"
        )

        assert () == diff([package("x")], [mirror])

    def test_no_url(self):
        """
        No URL is in any row, and no password with it.
        """
        rows = diff(
            [package("x", source=git(COMMITS[0])), package("y")],
            [package("x", "2.0.0", source=git(COMMITS[1])), package("y", "2.0.0")],
        )

        assert 2 == len(rows)
        assert "example" not in repr(rows)
