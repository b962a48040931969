import json

import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package


def read(*requires, **fields):
    document = {"version": "0.5", "requires": requires} | fields
    return lockfiles.read(json.dumps(document).encode(), format="conan")


def diff(old, new):
    return lockfiles.diff(read(*old), read(*new)).upgrades


class TestPackages:
    @pytest.mark.parametrize(
        ("reference", "version", "build"),
        [
            ("fmt/10.2.1#r1%1702468534.383", "10.2.1", "r1"),
            ("fmt/10.2.1#r1", "10.2.1", "r1"),
            ("fmt/10.2.1", "10.2.1", None),
            ("fmt/10.2.1%1702468534.383", "10.2.1", None),
            ("fmt/10.2.1@shop/stable#r1%1", "10.2.1", "r1"),
            ("fmt/10.2.1@shop", "10.2.1", None),
            ("fmt/cci.20240102", "cci.20240102", None),
        ],
    )
    def test_reference(self, reference, version, build):
        """
        The build is the revision of the recipe; time, user and channel are none.
        """
        assert (Package("fmt", version, ecosystem="conan", build=build),) == read(
            reference
        ).packages

    def test_lists(self):
        """
        All lists are read, whatever the packages are for.
        """
        snapshot = read(
            "a/1",
            build_requires=["b/1"],
            python_requires=["c/1"],
            config_requires=["d/1"],
            overrides={"e/1": ["e/2"]},
            alias={"f/latest": "f/1"},
        )

        assert ["a", "b", "c", "d"] == [p.name for p in snapshot.packages]

    def test_binaries(self):
        """
        A reference may have ids of binary packages beside it.
        """
        (p,) = read(["fmt/10.2.1#r1", {"p1": "prev1"}]).packages

        assert ("fmt", "10.2.1", "r1") == (p.name, p.version, p.build)

    def test_none(self):
        """
        A lockfile without packages is not opaque.
        """
        assert () == read().packages


class TestWrong:
    @pytest.mark.parametrize("key", ["version", "requires"])
    def test_key(self, key):
        """
        Without one of its keys it is no lockfile of Conan.
        """
        document = {"version": "0.5", "requires": []}
        del document[key]

        snapshot = lockfiles.read(json.dumps(document).encode(), format="conan")

        assert "not a conan lockfile" == snapshot.problem

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ("0.4", "unsupported version 0.4"),
            ("0.6", "unsupported version 0.6"),
            ("\x1b[31m", "unsupported version"),
            (0.5, "not a conan lockfile"),
            (None, "not a conan lockfile"),
        ],
    )
    def test_version(self, version, expected):
        """
        Conan 1 wrote another format under the same name.
        """
        assert expected == read(version=version).problem

    @pytest.mark.parametrize(
        "item", [1, None, "", "fmt", "/1", "fmt/", [], [1], {"fmt/1": {}}]
    )
    def test_item(self, item):
        """
        One reference of another shape makes the lockfile opaque.
        """
        assert "not a conan lockfile" == read("a/1", item).problem

    @pytest.mark.parametrize("key", ["requires", "build_requires"])
    @pytest.mark.parametrize("found", [None, 1, "fmt/1", {"fmt/1": {}}])
    def test_list(self, found, key):
        """
        So does a list of another shape.
        """
        assert read(**{key: found}).packages is None


class TestDiff:
    def test_revision(self):
        """
        Another revision of the recipe is a rebuild.
        """
        (row,) = diff(["fmt/1#r1%1"], ["fmt/1#r2%2"])

        assert ("rebuild", "r1", "r2") == (row.kind, row.old_build, row.new_build)

    @pytest.mark.parametrize(
        "new", ["fmt/1#r1%2", "fmt/1@shop/stable#r1%1", "fmt/1%1", "fmt/1"]
    )
    def test_no_rebuild(self, new):
        """
        Another time or channel, or no revision, is none.
        """
        assert () == diff(["fmt/1#r1%1"], [new])

    def test_version(self):
        """
        Versions of one name are a set.
        """
        (row,) = diff(["fmt/9.1#r1", "fmt/10.0#r1"], ["fmt/10.0#r1", "fmt/10.1#r2"])

        assert ("version", ("9.1", "10.0"), ("10.0", "10.1"), "r1", "r1, r2") == (
            row.kind,
            row.old,
            row.new,
            row.old_build,
            row.new_build,
        )
