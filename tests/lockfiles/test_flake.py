import json

import pytest

from lockfiles.helpers import SECRET, cases, packages, problem, rows, upgrades
from upgrade_state.lockfiles import Package

CASES = cases("flake")


def node(rev=None, inputs=None, **locked):
    locked = {"type": "github", "lastModified": 1} | locked
    locked |= {"rev": rev} if rev else {}
    return {"locked": locked} | ({} if inputs is None else {"inputs": inputs})


def write(root_inputs, others, **fields):
    nodes = {"root": {"inputs": root_inputs}, **others}
    return json.dumps({"nodes": nodes, "root": "root", "version": 7} | fields)


def paths(root_inputs, nodes, **fields):
    found = packages(write(root_inputs, nodes, **fields), "flake")
    return sorted(p.name for p in found)


class TestInputs:
    @pytest.mark.parametrize("name", ["devenv", "flake"])
    def test_direct(self, name):
        """
        An input has a revision, and is direct if it is one of the root.
        """
        nodes = {"a": node("1", {"b": "b_2"}), "b_2": node("2")}

        assert (
            Package("a", "1", ecosystem="flake", direct=True),
            Package("a/b", "2", ecosystem="flake", direct=False),
        ) == packages(write({"a": "a"}, nodes), name)

    @pytest.mark.parametrize(("inputs", "nodes", "expected"), CASES["inputs paths"])
    def test_paths(self, inputs, nodes, expected):
        """
        The name of an input is its path from the root.
        """
        found = paths(inputs, {name: node("1", below) for name, below in nodes.items()})

        assert expected == found

    def test_other_root(self):
        """
        The lockfile names its root.
        """
        nodes = {"top": {"inputs": {"a": "a"}}, "a": node("1")}

        assert ["a"] == paths({}, nodes, root="top")

    @pytest.mark.parametrize(("locked", "version", "local"), CASES["inputs version"])
    def test_version(self, locked, version, local):
        """
        The version is the revision, or else the hash; a directory is local.
        """
        (p,) = packages(write({"a": "a"}, {"a": node(**locked)}), "flake")

        assert (version, local) == (p.version, p.local)


class TestLimits:
    def test_doubling(self):
        """
        A lockfile has no more inputs than references.
        """
        nodes = {
            f"n{i}": node("1", {"x": f"n{i + 1}", "y": f"n{i + 1}"}) for i in range(100)
        }

        assert 201 == len(paths({"a": "n0"}, nodes | {"n100": node("1")}))

    def test_longest(self):
        """
        A path of 256 characters, and 10 000 inputs, are read.
        """
        assert 1 == len(paths({"a" * 256: "a"}, {"a": node("1")}))
        assert 10_000 == len(
            paths(dict.fromkeys(map(str, range(10_000)), "a"), {"a": node("1")})
        )

    @pytest.mark.parametrize(
        ("inputs", "nodes", "expected"),
        [
            ({"a" * 257: "a"}, {"a": node("1")}, "nested too deeply"),
            (
                {"a": "n0"},
                {f"n{i}": node("1", {"x": f"n{i + 1}"}) for i in range(20_000)},
                "nested too deeply",
            ),
            (
                dict.fromkeys(map(str, range(10_001)), "a"),
                {"a": node("1")},
                "has too many inputs",
            ),
        ],
        ids=["long", "deep", "many"],
    )
    def test_refused(self, inputs, nodes, expected):
        """
        A longer path, a chain of inputs or more inputs are refused.
        """
        assert expected == problem(write(inputs, nodes), "flake")


class TestDiff:
    def test_numbers(self):
        """
        Nodes with other numbers are the same inputs.
        """
        old = {"a": node("1", {"n": "n"}), "n": node("3"), "n_2": node("4")}
        new = {"a": node("1", {"n": "n_2"}), "n": node("4"), "n_2": node("3")}

        assert [] == rows(
            write({"a": "a", "n": "n_2"}, old),
            write({"a": "a", "n": "n"}, new),
            "flake",
        )

    @pytest.mark.parametrize("key", ["rev", "narHash"])
    def test_revision(self, key):
        """
        Another revision or hash is another version; no URL is in the row.
        """
        locked = {"type": "tarball", "url": f"{SECRET}/a.tar.gz"}
        old, new = (write({"a": "a"}, {"a": node(**locked, **{key: v})}) for v in "12")
        (row,) = upgrades(old, new, "flake")

        assert ("version", ("1",), ("2",), None, True) == (
            row.kind, row.old, row.new, row.old_build, row.direct,
        )  # fmt: skip

    def test_date(self):
        """
        Another date, or another request, is no upgrade.
        """
        old = write({"a": "a"}, {"a": node("1")})
        new = write({"a": "a"}, {"a": node("1", lastModified=2) | {"original": {}}})

        assert [] == rows(old, new, "flake")


class TestWrong:
    @pytest.mark.parametrize("name", ["devenv", "flake"])
    @pytest.mark.parametrize("fields", CASES["wrong shape"])
    def test_shape(self, fields, name):
        """
        One value of another shape makes the lockfile opaque.
        """
        content = write({"a": "a"}, {"a": node("1")}, **fields)

        assert f"not a {name} lockfile" == problem(content, name)
