import pytest

from lockfiles.helpers import COMMITS, SECRET, cases, packages, problem, rows
from upgrade_state.lockfiles import Package

CASES = cases("cargo")

INDEX = "registry+https://user:secret@index.example/crates"


def package(name, version="1.0.0", source=INDEX, more=""):
    source = "" if source is None else f"source = '{source}'\n"
    return f"[[package]]\nname = '{name}'\nversion = '{version}'\n{source}{more}\n"


def member(name, *dependencies):
    return package(name, source=None, more=f"dependencies = {list(dependencies)}")


def git(name, commit):
    return package(name, source=f"git+{SECRET}/x?branch=main#{commit}")


def write(*entries, head="version = 4\n"):
    return head + "".join(entries)


def read(*entries, **head):
    return packages(write(*entries, **head), "cargo")


class TestPackages:
    def test_registry(self):
        """
        A crate from a registry has a version and no build.
        """
        assert (Package("serde", "1.0.0", ecosystem="cargo", direct=False),) == read(
            package("serde")
        )

    def test_member(self):
        """
        A crate without a source is local.
        """
        assert (
            Package("shop", "1.0.0", ecosystem="cargo", direct=True, local=True),
        ) == read(member("shop"))

    def test_git(self):
        """
        The build of a crate from git is its commit, without the URL.
        """
        assert (
            Package("x", "1.0.0", ecosystem="cargo", build=COMMITS[0], direct=False),
        ) == read(git("x", COMMITS[0]))

    @pytest.mark.parametrize("version", ["", *(f"version = {n}\n" for n in "1234")])
    def test_versions(self, version):
        """
        All versions of the format have their packages in one place.
        """
        metadata = f"[metadata]\n'checksum x 1.0.0 ({INDEX})' = '1'\n"

        assert 1 == len(read(package("x"), metadata, head=version))

    @pytest.mark.parametrize("others", [[], [package("x")]])
    def test_root(self, others):
        """
        Until 2017 the project had a table of its own.
        """
        root = "[root]\nname = 'shop'\nversion = '0.1.0'\ndependencies = ['x 1.0.0']\n"
        found = read(root, *others, head="")

        assert [("x", True, False)] * len(others) + [("shop", True, True)] == [
            (p.name, p.direct, p.local) for p in found
        ]

    def test_unused_patch(self):
        """
        A patch that is not used is no package.
        """
        patch = package("y").replace("package", "patch.unused")

        assert ["x"] == [p.name for p in read(package("x"), patch)]

    def test_direct(self):
        """
        Direct are the members of the workspace, and their dependencies.
        """
        found = read(
            member("cart", "a"),
            member("shop", "b", "cart"),
            package("a", more="dependencies = ['c']"),
            package("b"),
            package("c"),
        )

        assert {"cart": True, "shop": True, "a": True, "b": True, "c": False} == {
            p.name: p.direct for p in found
        }

    @pytest.mark.parametrize("requirement", ["a 2.0.0", f"a 2.0.0 ({INDEX})"])
    def test_direct_version(self, requirement):
        """
        Of several versions of a crate, the required one is direct.
        """
        found = read(member("shop", requirement), package("a"), package("a", "2.0.0"))

        assert [True, False, True] == [p.direct for p in found]


class TestWrong:
    @pytest.mark.parametrize("content", CASES["wrong shape"])
    def test_shape(self, content):
        """
        Another shape, another tool's table or no package makes it opaque.
        """
        assert "not a cargo lockfile" == problem(f"version = 4\n{content}", "cargo")


class TestDiff:
    def test_versions(self):
        """
        Versions of one name are a set.
        """
        old, new = (write(package("syn"), package("syn", f"2.0.{n}")) for n in (9, 10))

        assert [
            ("version", ("1.0.0", "2.0.9"), ("1.0.0", "2.0.10"), None, None)
        ] == rows(old, new, "cargo")

    @pytest.mark.parametrize("others", [[], [package("x")]])
    def test_commit(self, others):
        """
        Another commit is a rebuild, also beside a copy from a registry.
        """
        old, new = (write(*others, git("x", commit)) for commit in COMMITS)

        assert [("rebuild", ("1.0.0",), ("1.0.0",), *COMMITS)] == rows(
            old, new, "cargo"
        )

    @pytest.mark.parametrize(
        "old",
        [git("x", COMMITS[0]), package("x", source="sparse+x", more="checksum = ''")],
    )
    def test_no_upgrade(self, old):
        """
        A release of a commit, another registry or checksum is no upgrade.
        """
        assert [] == rows(write(old), write(package("x")), "cargo")
