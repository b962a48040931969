import json

import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

COMMITS = "a" * 40, "b" * 40


def entry(version="1.0.0", **fields):
    return {
        "version": version,
        "resolved": "https://user:secret@npm.example/x.tgz",
        "integrity": "sha512-1",
    } | fields


def git(commit):
    return f"git+ssh://git:secret@files.example/x.git#{commit}"


def read_any(**document):
    return lockfiles.read(json.dumps(document).encode(), format="npm")


def read(packages, *, root=None, version=3):
    packages = packages if root is None else {"": root, **packages}
    return read_any(lockfileVersion=version, packages=packages)


def tree(dependencies):
    return read_any(lockfileVersion=1, requires=True, dependencies=dependencies)


def names(snapshot):
    return [(p.name, p.version) for p in snapshot.packages]


def diff(old, new):
    return lockfiles.diff(read(old), read(new)).upgrades


class TestPaths:
    @pytest.mark.parametrize("version", [2, 3])
    def test_package(self, version):
        """
        A package from a registry has a version and nothing else.
        """
        assert (Package("ms", "2.1.3", ecosystem="npm"),) == read(
            {"node_modules/ms": entry("2.1.3")}, version=version
        ).packages

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("node_modules/@a/b", "@a/b"),
            ("node_modules/@a/b/node_modules/c", "c"),
            ("node_modules/c/node_modules/@a/b", "@a/b"),
            ("packages/shop/node_modules/c", "c"),
            ("my_node_modules/node_modules/c", "c"),
        ],
    )
    def test_name(self, path, name):
        """
        The name is what follows the last directory of modules.
        """
        assert [(name, "1.0.0")] == names(read({path: entry()}))

    def test_alias(self):
        """
        An alias goes by the name of what it is.
        """
        snapshot = read({"node_modules/pad": entry(name="left-pad")})

        assert [("left-pad", "1.0.0")] == names(snapshot)

    def test_projects(self):
        """
        The root, workspaces and links are no packages.
        """
        assert [("c", "1.0.0")] == names(
            read(
                {
                    "packages/a": entry(name="a"),
                    "my_node_modules/b": entry(name="b"),
                    "../ext": {},
                    "node_modules/a": {"resolved": "packages/a", "link": True},
                    "node_modules/c": entry(),
                },
                root={"name": "shop", "version": "1.0.0"},
            )
        )

    @pytest.mark.parametrize(
        ("resolved", "build"),
        [
            (git(COMMITS[0]), COMMITS[0]),
            (git("main"), None),
            ("https://npm.example/x.tgz", None),
            ("file:x.tgz", None),
        ],
    )
    def test_build(self, resolved, build):
        """
        The build of a package from git is its commit, without the URL.
        """
        (p,) = read({"node_modules/x": entry(resolved=resolved)}).packages

        assert ("1.0.0", build) == (p.version, p.build)

    def test_bare(self):
        """
        Everything may be missing but the path.
        """
        (p,) = read({"node_modules/x": {"optional": True}}).packages

        assert (None, None) == (p.version, p.build)

    def test_old_tree(self):
        """
        The tree that version 2 has for older programs is not read as well.
        """
        snapshot = read_any(
            lockfileVersion=2,
            packages={"node_modules/x": entry()},
            dependencies={"x": entry(), "y": entry()},
        )

        assert [("x", "1.0.0")] == names(snapshot)

    def test_none(self):
        """
        A lockfile without packages is not opaque.
        """
        assert () == read({}).packages


class TestDirect:
    @pytest.mark.parametrize(
        "kind",
        [
            "dependencies",
            "devDependencies",
            "optionalDependencies",
            "peerDependencies",
        ],
    )
    def test_root(self, kind):
        """
        Direct is what the root asks for, whatever for.
        """
        snapshot = read(
            {"node_modules/a": entry(), "node_modules/b": entry()},
            root={kind: {"a": "^1"}},
        )

        assert [True, False] == [p.direct for p in snapshot.packages]

    def test_nested(self):
        """
        Another copy that a package has for itself is not.
        """
        snapshot = read(
            {"node_modules/a": entry(), "node_modules/b/node_modules/a": entry("2")},
            root={"dependencies": {"a": "^1"}},
        )

        assert [True, False] == [p.direct for p in snapshot.packages]

    def test_alias(self):
        """
        An alias is asked for by the name of its directory.
        """
        snapshot = read(
            {"node_modules/pad": entry(name="left-pad"), "node_modules/left-pad": {}},
            root={"dependencies": {"pad": "npm:left-pad@1"}},
        )

        assert [True, False] == [p.direct for p in snapshot.packages]

    def test_workspace(self):
        """
        In a workspace it is what any member asks for, wherever that is.
        """
        snapshot = read(
            {
                "packages/cart": {"dependencies": {"a": "1", "b": "1"}},
                "node_modules/a": entry(),
                "node_modules/c": entry(),
                "packages/cart/node_modules/b": entry(),
                "packages/cart/node_modules/c": entry(),
            },
            root={"workspaces": ["packages/*"]},
        )

        assert [True, False, True, False] == [p.direct for p in snapshot.packages]

    def test_unknown(self):
        """
        Without a root the lockfile does not say.
        """
        (p,) = read({"node_modules/a": entry()}).packages

        assert p.direct is None


class TestTree:
    def test_nested(self):
        """
        Packages are inside of each other, and direct ones are not told.
        """
        snapshot = tree(
            {"a": entry(dependencies={"b": entry("2.0.0")}), "@c/d": entry("3.0.0")}
        )

        assert {("a", "1.0.0"), ("b", "2.0.0"), ("@c/d", "3.0.0")} == set(
            names(snapshot)
        )
        assert {None} == {p.direct for p in snapshot.packages}

    def test_alias(self):
        """
        An alias has its name before its version.
        """
        snapshot = tree({"pad": {"version": "npm:@a/left-pad@1.3.0"}})

        assert [("@a/left-pad", "1.3.0")] == names(snapshot)

    @pytest.mark.parametrize(
        ("version", "build"),
        [
            (git(COMMITS[0]), COMMITS[0]),
            (f"github:a/b#{COMMITS[0]}", COMMITS[0]),
            ("https://user:secret@files.example/x.tgz", None),
            ("file:vendor/x.tgz", None),
            ("file:vendor/x.tar.gz", None),
        ],
    )
    def test_elsewhere(self, version, build):
        """
        What comes from elsewhere has no version, and its URL goes no further.
        """
        assert (Package("x", None, ecosystem="npm", build=build),) == tree(
            {"x": {"version": version}}
        ).packages

    def test_link(self):
        """
        A directory is no package, what it has for itself is.
        """
        snapshot = tree({"a": {"version": "file:../a", "dependencies": {"b": entry()}}})

        assert [("b", "1.0.0")] == names(snapshot)

    def test_none(self):
        """
        A project without dependencies has no tree.
        """
        assert () == read_any(name="shop", lockfileVersion=1).packages

    def test_first(self):
        """
        Before it had versions the format was a tree, with commits beside it.
        """
        snapshot = read_any(
            name="shop",
            version="1.0.0",
            dependencies={
                "a": entry(
                    **{"from": "a@~1.0.0", "dependencies": {"b": entry("2.0.0")}}
                ),
                "c": entry(resolved=git(COMMITS[0])),
                "d": {"version": "3.0.0", "from": "d@"},
                "e": entry(resolved=f"https://npm.example/e.tgz#{COMMITS[0]}"),
            },
        )

        assert {
            Package("a", "1.0.0", ecosystem="npm"),
            Package("b", "2.0.0", ecosystem="npm"),
            Package("c", "1.0.0", ecosystem="npm", build=COMMITS[0]),
            Package("d", "3.0.0", ecosystem="npm"),
            Package("e", "1.0.0", ecosystem="npm"),
        } == set(snapshot.packages)

    def test_deep(self):
        """
        Nesting has an end, wherever it is.
        """
        content = b'{"lockfileVersion": 1, "dependencies": ' + b'{"a": {"version": "1",'
        content += b'"dependencies": {"a": {"version": "1",' * 100_000

        assert lockfiles.read(content, format="npm").problem in {
            "nested too deeply",
            "cannot be parsed",
        }


class TestDiff:
    def test_versions(self):
        """
        Versions of one name are a set, wherever they are.
        """
        old = {"node_modules/a": entry("1.9.0"), "x/node_modules/a": entry("2.0.0")}
        new = {"node_modules/a": entry("2.0.0"), "y/node_modules/a": entry("1.10.0")}

        (row,) = diff(old, new)

        assert ("version", ("1.9.0", "2.0.0"), ("1.10.0", "2.0.0")) == (
            row.kind,
            row.old,
            row.new,
        )

    @pytest.mark.parametrize(
        "other",
        [
            {"integrity": "sha1-1"},
            {"resolved": "https://files.example/mirror/x.tgz"},
            {"resolved": None},
            {"dev": True},
            {"peer": True, "engines": {}},
        ],
    )
    def test_rewritten(self, other):
        """
        A better checksum, or another mirror or use, is no rebuild.
        """
        assert () == diff(
            {"node_modules/a": entry()}, {"node_modules/a": entry(**other)}
        )

    def test_moved(self):
        """
        Nor is another place.
        """
        assert () == diff(
            {"node_modules/a": entry()}, {"node_modules/b/node_modules/a": entry()}
        )

    def test_commit(self):
        """
        Another commit of the same version is a rebuild.
        """
        (row,) = diff(*({"node_modules/x": entry(resolved=git(c))} for c in COMMITS))

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)

    def test_newer_format(self):
        """
        A lockfile that a newer npm has rewritten has the same packages.
        """
        old = tree({"a": entry(dependencies={"b": entry("2.0.0")})})
        new = read(
            {"node_modules/a": entry(), "node_modules/a/node_modules/b": entry("2.0.0")}
        )

        assert () == lockfiles.diff(old, new).upgrades

    def test_no_url(self):
        """
        No URL is in any row, and no password with it.
        """
        rows = diff(
            {
                "node_modules/x": entry(resolved=git(COMMITS[0])),
                "node_modules/y": entry(),
            },
            {
                "node_modules/x": entry(resolved=git(COMMITS[1])),
                "node_modules/y": entry("2.0.0"),
            },
        )

        assert 2 == len(rows)
        assert "example" not in repr(rows)


class TestWrong:
    @pytest.mark.parametrize(
        "document",
        [
            {"packages": {}},
            {"dependencies": {}},
            {"dependencies": {"a": "^1.0.0"}},
            {"lockfileVersion": None, "dependencies": {"a": entry()}},
            {"packages": {}, "dependencies": {"a": entry()}},
            {"lockfileVersion": 3},
            {"lockfileVersion": 2, "dependencies": {}},
            {"lockfileVersion": 3, "packages": None},
            {"lockfileVersion": 3, "packages": []},
            {"lockfileVersion": 1, "dependencies": None},
            {"lockfileVersion": 1, "dependencies": []},
        ],
    )
    def test_document(self, document):
        """
        Without its keys it is no lockfile of npm.
        """
        assert "not a npm lockfile" == read_any(**document).problem

    @pytest.mark.parametrize(
        "found",
        [
            None,
            "1.0.0",
            {"version": 1},
            {"resolved": 1},
            {"resolved": False},
            {"name": ""},
            {"name": 1},
        ],
    )
    def test_entry(self, found):
        """
        One entry of another shape makes the lockfile opaque.
        """
        assert read({"node_modules/a": entry(), "node_modules/b": found}).problem

    @pytest.mark.parametrize("path", ["node_modules/", "node_modules/a/node_modules/"])
    def test_no_name(self, path):
        """
        So does a path without a name.
        """
        assert read({path: entry()}).problem

    @pytest.mark.parametrize(
        "root", [1, {"dependencies": ["a"]}, {"devDependencies": 1}]
    )
    def test_root(self, root):
        """
        So does a root.
        """
        assert read({"node_modules/a": entry()}, root=root).problem

    @pytest.mark.parametrize(
        "found",
        [
            None,
            "1.0.0",
            {},
            {"version": 1},
            {"version": ""},
            {"version": "npm:"},
            {"version": "npm:a"},
            {"version": "npm:a@"},
            {"version": "1", "dependencies": []},
        ],
    )
    def test_tree(self, found):
        """
        And an entry of the tree.
        """
        assert tree({"a": entry(), "b": found}).problem
