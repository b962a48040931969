import json

import pytest

from lockfiles.helpers import cases, packages, problem, rows
from upgrade_state.lockfiles import Package

CASES = cases("conan")


def write(*requires, **fields):
    return json.dumps({"version": "0.5", "requires": requires} | fields)


class TestPackages:
    @pytest.mark.parametrize(
        ("reference", "version", "build"), CASES["packages reference"]
    )
    def test_reference(self, reference, version, build):
        """
        The build is the revision of the recipe; time, user and channel are none.
        """
        assert (Package("fmt", version, ecosystem="conan", build=build),) == packages(
            write(reference), "conan"
        )

    def test_lists(self):
        """
        All lists of packages are read; overrides and aliases are not.
        """
        content = write(
            "a/1",
            build_requires=["b/1"],
            python_requires=["c/1"],
            config_requires=["d/1"],
            overrides={"e/1": ["e/2"]},
            alias={"f/latest": "f/1"},
        )

        assert ["a", "b", "c", "d"] == [p.name for p in packages(content, "conan")]


class TestWrong:
    @pytest.mark.parametrize(("version", "expected"), CASES["wrong version"])
    def test_version(self, version, expected):
        """
        Conan 1 wrote another format under the same name.
        """
        assert expected == problem(write(version=version), "conan")

    @pytest.mark.parametrize(
        "item", [1, None, "", "fmt", "/1", "fmt/", [], [1], {"fmt/1": {}}]
    )
    def test_item(self, item):
        """
        One reference of another shape makes the lockfile opaque.
        """
        assert "not a conan lockfile" == problem(write("a/1", item), "conan")

    @pytest.mark.parametrize("key", ["requires", "build_requires"])
    @pytest.mark.parametrize("value", [None, 1, "fmt/1", {"fmt/1": {}}])
    def test_list(self, value, key):
        """
        So does a list of another shape.
        """
        assert "not a conan lockfile" == problem(write(**{key: value}), "conan")


class TestDiff:
    def test_revision(self):
        """
        Another revision of the recipe is a rebuild.
        """
        old, new = write("fmt/1#r1%1"), write("fmt/1#r2%2")

        assert [("rebuild", ("1",), ("1",), "r1", "r2")] == rows(old, new, "conan")

    @pytest.mark.parametrize(
        "new", ["fmt/1#r1%2", "fmt/1@shop/stable#r1%1", "fmt/1%1", "fmt/1"]
    )
    def test_no_rebuild(self, new):
        """
        Another time or channel, or no revision, is none.
        """
        assert [] == rows(write("fmt/1#r1%1"), write(new), "conan")

    def test_version(self):
        """
        Versions of one name are a set.
        """
        old, new = (
            write("fmt/9.1#r1", "fmt/10.0#r1"),
            write("fmt/10.0#r1", "fmt/10.1#r2"),
        )

        assert [("version", ("9.1", "10.0"), ("10.0", "10.1"), "r1", "r1, r2")] == rows(
            old, new, "conan"
        )
