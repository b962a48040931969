import json

import pytest

from lockfiles.helpers import COMMITS, SECRET, cases, packages, problem, rows
from upgrade_state.lockfiles import Package

CASES = cases("npm")


def entry(version="1.0.0", **fields):
    resolved = f"{SECRET}/x.tgz"
    return {"version": version, "resolved": resolved, "integrity": "sha512-1"} | fields


def git(commit):
    return f"git+ssh://git:secret@files.example/x.git#{commit}"


def paths(entries, *, root=None, version=3):
    entries = entries if root is None else {"": root, **entries}
    return json.dumps({"lockfileVersion": version, "packages": entries})


def tree(dependencies):
    return json.dumps({"lockfileVersion": 1, "dependencies": dependencies})


def names(content):
    return [(p.name, p.version) for p in packages(content, "npm")]


def directs(entries, **root):
    return [p.direct for p in packages(paths(entries, **root), "npm")]


class TestPaths:
    @pytest.mark.parametrize("version", [2, 3])
    def test_package(self, version):
        """
        A package from a registry has a version and nothing else.
        """
        content = paths({"node_modules/ms": entry("2.1.3")}, version=version)

        assert (Package("ms", "2.1.3", ecosystem="npm"),) == packages(content, "npm")

    @pytest.mark.parametrize(("path", "name"), CASES["paths name"])
    def test_name(self, path, name):
        """
        The name follows the last directory of modules.
        """
        assert [(name, "1.0.0")] == names(paths({path: entry()}))

    def test_alias(self):
        """
        The name of an alias is that of its package.
        """
        content = paths({"node_modules/pad": entry(name="left-pad")})

        assert [("left-pad", "1.0.0")] == names(content)

    def test_projects(self):
        """
        The root, workspaces and links are no packages.
        """
        entries = {
            "packages/a": entry(name="a"),
            "my_node_modules/b": entry(name="b"),
            "../ext": {},
            "node_modules/a": {"resolved": "packages/a", "link": True},
            "node_modules/c": entry(),
        }

        assert [("c", "1.0.0")] == names(paths(entries, root={"name": "shop"}))

    @pytest.mark.parametrize(("resolved", "build"), CASES["paths build"])
    def test_build(self, resolved, build):
        """
        The build of a package from git is its commit, without the URL.
        """
        content = paths({"node_modules/x": entry(resolved=resolved)})

        assert (Package("x", "1.0.0", ecosystem="npm", build=build),) == packages(
            content, "npm"
        )

    def test_bare(self):
        """
        All fields of an entry are optional.
        """
        content = paths({"node_modules/x": {"optional": True}})

        assert (Package("x", None, ecosystem="npm"),) == packages(content, "npm")

    def test_old_tree(self):
        """
        The tree that version 2 has for older programs is not read as well.
        """
        document = json.loads(paths({"node_modules/x": entry()}, version=2))
        document["dependencies"] = {"x": entry(), "y": entry()}

        assert [("x", "1.0.0")] == names(json.dumps(document))


class TestDirect:
    @pytest.mark.parametrize("kind", CASES["direct root"])
    def test_root(self, kind):
        """
        Direct are the packages that the root requires, of whatever kind.
        """
        entries = {"node_modules/a": entry(), "node_modules/b": entry()}

        assert [True, False] == directs(entries, root={kind: {"a": "^1"}})

    @pytest.mark.parametrize(("entries", "name"), CASES["direct one of two"])
    def test_one_of_two(self, entries, name):
        """
        Of two entries of one name only the required one is direct.
        """
        assert [True, False] == directs(entries, root={"dependencies": {name: "1"}})

    def test_workspace(self):
        """
        Direct are the requirements of any member, in its own place or the root's.
        """
        entries = {
            "packages/cart": {"dependencies": {"a": "1", "b": "1"}},
            "node_modules/a": entry(),
            "node_modules/c": entry(),
            "packages/cart/node_modules/b": entry(),
            "packages/cart/node_modules/c": entry(),
        }

        assert [True, False, True, False] == directs(
            entries, root={"workspaces": ["packages/*"]}
        )

    def test_unknown(self):
        """
        Without a root the lockfile does not tell.
        """
        assert [None] == directs({"node_modules/a": entry()})


class TestTree:
    @pytest.mark.parametrize(("dependencies", "expected"), CASES["tree packages"])
    def test_packages(self, dependencies, expected):
        """
        Packages are inside of each other, and the tree does not tell direct ones.
        """
        content = tree(dependencies)

        assert expected == [list(pair) for pair in names(content)]
        assert {None} == {p.direct for p in packages(content, "npm")}

    @pytest.mark.parametrize(("version", "build"), CASES["tree elsewhere"])
    def test_elsewhere(self, version, build):
        """
        A package from another place than a registry has no version and no URL.
        """
        assert (Package("x", None, ecosystem="npm", build=build),) == packages(
            tree({"x": {"version": version}}), "npm"
        )

    @pytest.mark.parametrize(("entry", "expected"), CASES["tree first"])
    def test_first(self, entry, expected):
        """
        npm before version 5 wrote a tree without a version, with commits beside it.
        """
        content = json.dumps({"name": "shop", "dependencies": {"x": entry}})

        assert expected == [
            [p.name, p.version, p.build] for p in packages(content, "npm")
        ]

    def test_bundled(self):
        """
        A package inside the archive of another one has false in place of a URL.
        """
        bundled = {"version": "1.0.0", "resolved": False, "bundled": True}

        for content in (tree({"x": bundled}), paths({"node_modules/x": bundled})):
            (p,) = packages(content, "npm")
            assert ("x", "1.0.0", None) == (p.name, p.version, p.build)

    def test_deep(self):
        """
        A tree of 100 000 levels is refused, by the reader or the parser.
        """
        content = b'{"lockfileVersion": 1, "dependencies": ' + b'{"a": {"version": "1",'
        content += b'"dependencies": {"a": {"version": "1",' * 100_000

        assert problem(content, "npm") in {"nested too deeply", "cannot be parsed"}


X = {"node_modules/x": entry()}


class TestDiff:
    def test_versions(self):
        """
        Versions of one name are a set, in any place.
        """
        old = paths({"node_modules/a": entry("1.9"), "x/node_modules/a": entry("2")})
        new = paths({"node_modules/a": entry("2"), "y/node_modules/a": entry("1.10")})

        assert [("version", ("1.9", "2"), ("1.10", "2"), None, None)] == rows(
            old, new, "npm"
        )

    @pytest.mark.parametrize("new", CASES["diff no upgrade"])
    def test_no_upgrade(self, new):
        """
        Another checksum, mirror, use, place or format is no upgrade.
        """
        assert [] == rows(paths(X), json.dumps(new), "npm")

    def test_commit(self):
        """
        Another commit of the same version is a rebuild, without a URL.
        """
        old, new = (
            paths({"node_modules/x": entry(resolved=git(commit))}) for commit in COMMITS
        )

        assert [("rebuild", ("1.0.0",), ("1.0.0",), *COMMITS)] == rows(old, new, "npm")


class TestWrong:
    @pytest.mark.parametrize("document", CASES["wrong document"])
    def test_document(self, document):
        """
        Without its keys it is no lockfile of npm.
        """
        assert "not a npm lockfile" == problem(json.dumps(document), "npm")

    @pytest.mark.parametrize("entries", CASES["wrong paths"])
    def test_paths(self, entries):
        """
        One entry or path of another shape makes the lockfile opaque.
        """
        assert "not a npm lockfile" == problem(paths(X | entries), "npm")

    @pytest.mark.parametrize("wrong", CASES["wrong tree"])
    def test_tree(self, wrong):
        """
        So does an entry of the tree.
        """
        assert "not a npm lockfile" == problem(tree({"a": entry(), "b": wrong}), "npm")
