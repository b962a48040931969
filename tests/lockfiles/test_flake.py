import json

import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package


def node(rev=None, inputs=None, **locked):
    locked = {"type": "github", "lastModified": 1} | locked
    locked |= {"rev": rev} if rev else {}
    return {"locked": locked} | ({} if inputs is None else {"inputs": inputs})


def read(root_inputs, others, *, name="flake", **fields):
    nodes = {"root": {"inputs": root_inputs}, **others}
    document = {"nodes": nodes, "root": "root", "version": 7} | fields
    return lockfiles.read(json.dumps(document).encode(), format=name)


def paths(root_inputs, nodes):
    return sorted(p.name for p in read(root_inputs, nodes).packages)


class TestInputs:
    def test_direct(self):
        """
        An input has a revision, and is direct if it is one of the root.
        """
        snapshot = read({"a": "a"}, {"a": node("1", {"b": "b_2"}), "b_2": node("2")})

        assert (
            Package("a", "1", ecosystem="flake", direct=True),
            Package("a/b", "2", ecosystem="flake", direct=False),
        ) == snapshot.packages

    @pytest.mark.parametrize("name", ["devenv", "flake"])
    def test_formats(self, name):
        """
        What devenv writes is what Nix writes.
        """
        snapshot = read({"a": "a"}, {"a": node("1")}, name=name)

        assert (name, 1) == (snapshot.format, len(snapshot.packages))

    def test_follows(self):
        """
        An input that follows another one is none of its own.
        """
        assert ["a", "b"] == paths(
            {"a": "a", "b": "b", "c": ["a"], "d": []},
            {"a": node("1"), "b": node("2", {"a": ["a"]})},
        )

    def test_unused(self):
        """
        Nor is a node that nothing refers to.
        """
        assert ["a"] == paths({"a": "a"}, {"a": node("1"), "b": node("2")})

    def test_other_root(self):
        """
        The root is where the lockfile says.
        """
        nodes = {"top": {"inputs": {"a": "a"}}, "a": node("1")}

        assert ["a"] == [p.name for p in read({}, nodes, root="top").packages]

    def test_no_inputs(self):
        """
        A flake without inputs is not opaque.
        """
        document = {"nodes": {"root": {}}, "root": "root", "version": 7}

        snapshot = lockfiles.read(json.dumps(document).encode(), format="flake")

        assert () == snapshot.packages

    @pytest.mark.parametrize(
        ("locked", "version", "local"),
        [
            ({"type": "tarball", "narHash": "sha256-1", "rev": "1"}, "1", False),
            ({"type": "tarball", "narHash": "sha256-1"}, "sha256-1", False),
            ({"type": "file", "narHash": "sha256-1"}, "sha256-1", False),
            ({"type": "path", "narHash": "sha256-1", "path": "/a"}, "sha256-1", True),
            ({"type": "path", "path": "."}, None, True),
            ({"type": "path", "rev": "1", "path": "/nix/store/a"}, "1", False),
            ({"type": "git", "dirtyRev": "1-dirty"}, None, False),
        ],
    )
    def test_version(self, locked, version, local):
        """
        Without a revision the hash tells; a directory is local, a copy is not.
        """
        (p,) = read({"a": "a"}, {"a": node(**locked)}).packages

        assert (version, local) == (p.version, p.local)


class TestGraph:
    def test_cycle(self):
        """
        A cycle has an end.
        """
        nodes = {"a": node("1", {"b": "b"}), "b": node("2", {"a": "a", "r": "root"})}
        nodes["root"] = node("3", {"a": "a"})

        assert ["a", "a/b", "a/b/a", "a/b/r"] == paths({}, nodes)

    def test_itself(self):
        """
        So has an input of itself.
        """
        assert ["a", "a/a"] == paths({"a": "a"}, {"a": node("1", {"a": "a"})})

    @pytest.mark.parametrize("names", ["ab", "ba"])
    def test_shared(self, names):
        """
        A node that several inputs share has its own inputs once, below the first.
        """
        nodes = {"x": node("1", {"y": "y"}), "y": node("2")}

        assert ["a", "a/y", "b"] == paths(dict.fromkeys(names, "x"), nodes)

    def test_doubling(self):
        """
        A lockfile cannot name more inputs than it has references.
        """
        nodes = {
            f"n{i}": node("1", {"x": f"n{i + 1}", "y": f"n{i + 1}"}) for i in range(100)
        }
        nodes["n100"] = node("1")

        assert 201 == len(paths({"a": "n0"}, nodes))

    @pytest.mark.parametrize(("length", "fits"), [(256, True), (257, False)])
    def test_long(self, length, fits):
        """
        The path to an input has an end, too.
        """
        snapshot = read({"a" * length: "a"}, {"a": node("1")})

        assert (None if fits else "nested too deeply") == snapshot.problem

    def test_deep(self):
        """
        So a chain of inputs has.
        """
        nodes = {f"n{i}": node("1", {"x": f"n{i + 1}"}) for i in range(20_000)}

        assert "nested too deeply" == read({"a": "n0"}, nodes).problem

    @pytest.mark.parametrize(("count", "fits"), [(10_000, True), (10_001, False)])
    def test_many(self, count, fits):
        """
        There are only so many inputs.
        """
        snapshot = read({f"i{n}": "a" for n in range(count)}, {"a": node("1")})

        assert (None if fits else "has too many inputs") == snapshot.problem


class TestDiff:
    def test_numbers(self):
        """
        Nodes that are numbered anew are the same inputs.
        """
        old = {"a": node("1", {"n": "n"}), "n": node("3"), "n_2": node("4")}
        new = {"a": node("1", {"n": "n_2"}), "n": node("4"), "n_2": node("3")}

        diff = lockfiles.diff(
            read({"a": "a", "n": "n_2"}, old), read({"a": "a", "n": "n"}, new)
        )

        assert (True, ()) == (diff.changed, diff.upgrades)

    def test_revision(self):
        """
        Another revision is another version.
        """
        old, new = (read({"a": "a"}, {"a": node(rev)}) for rev in "12")

        (row,) = lockfiles.diff(old, new).upgrades

        assert ("version", ("1",), ("2",), None, True) == (
            row.kind,
            row.old,
            row.new,
            row.old_build,
            row.direct,
        )

    def test_date(self):
        """
        Another date alone is nothing.
        """
        old = read({"a": "a"}, {"a": node("1")})
        new = read({"a": "a"}, {"a": node("1") | {"original": {"ref": "main"}}})

        assert () == lockfiles.diff(old, new).upgrades

    def test_no_url(self):
        """
        No URL is in any row, and no password with it.
        """
        url = "https://user:secret@files.example/a.tar.gz"
        old, new = (
            read({"a": "a"}, {"a": node(type="tarball", url=url, narHash=h)})
            for h in "12"
        )

        rows = lockfiles.diff(old, new).upgrades

        assert 1 == len(rows)
        assert "example" not in repr(rows)


class TestWrong:
    @pytest.mark.parametrize("key", ["nodes", "root", "version"])
    def test_key(self, key):
        """
        Without one of its keys it is no lockfile of a flake.
        """
        document = {"nodes": {"root": {}}, "root": "root", "version": 7}
        del document[key]

        snapshot = lockfiles.read(json.dumps(document).encode(), format="flake")

        assert "not a flake lockfile" == snapshot.problem

    @pytest.mark.parametrize(
        "fields",
        [
            {"nodes": []},
            {"nodes": {}},
            {"nodes": {"root": []}},
            {"nodes": {"root": {"inputs": []}}},
            {"nodes": {"root": {"inputs": {"a": 1}}}},
            {"nodes": {"root": {"inputs": {"a": "a"}}}},
            {"nodes": {"root": {"inputs": {"a": "a"}}, "a": {}}},
            {"nodes": {"root": {"inputs": {"a": "a"}}, "a": {"locked": "1"}}},
            {"nodes": {"root": {"inputs": {"a": "a"}}, "a": {"locked": {"rev": 1}}}},
            {"nodes": {"root": {"inputs": {"": "a"}}, "a": node("1")}},
            {"root": ""},
            {"root": 1},
            {"root": "top"},
            {"root": ["root"]},
        ],
    )
    def test_shape(self, fields):
        """
        One value of another shape makes the lockfile opaque.
        """
        snapshot = read({"a": "a"}, {"a": node("1")}, **fields)

        assert (None, "not a flake lockfile") == (snapshot.packages, snapshot.problem)

    def test_devenv(self):
        """
        What is wrong is said of the format that was asked for.
        """
        assert "not a devenv lockfile" == read([], {}, name="devenv").problem
