import json

import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

META = {"hash": {"sha256": "1"}, "pipfile-spec": 6, "requires": {}, "sources": []}
COMMITS = "a" * 40, "b" * 40
HASHES = ["sha256:1"]


def lockfile(default, **categories):
    document = {"_meta": META, "default": default, "develop": {}, **categories}
    return json.dumps(document).encode()


def git(ref):
    return {"x": {"git": "https://user:secret@files.example/x.git", "ref": ref}}


def read(default, **categories):
    return lockfiles.read(lockfile(default, **categories), format="pipfile")


def diff(old, new):
    return lockfiles.diff(read(**old), read(**new)).upgrades


class TestPackages:
    def test_index(self):
        """
        A package from an index has a version and nothing else.
        """
        entry = {"hashes": HASHES, "index": "mirror", "version": "==8.0"}

        assert (Package("zope-interface", "8.0", ecosystem="pypi"),) == read(
            {"zope.interface": entry}
        ).packages

    @pytest.mark.parametrize("version", ["==1.0+cpu", "===1.0+cpu"])
    def test_version(self, version):
        """
        A version is whole, without its operator.
        """
        (p,) = read({"torch": {"version": version}}).packages

        assert "1.0+cpu" == p.version

    def test_star(self):
        """
        What is not needed on the machine that locks has no version.
        """
        entry = {"markers": "sys_platform == 'win32'", "version": "*"}

        assert (Package("x", None, ecosystem="pypi"),) == read({"x": entry}).packages

    def test_categories(self):
        """
        Every category counts, whatever its name.
        """
        packages = read(
            {"a": {"version": "==1"}},
            develop={"b": {"version": "==2"}},
            docs={"c": {"version": "==3"}},
        ).packages

        assert [("a", "1"), ("b", "2"), ("c", "3")] == [
            (p.name, p.version) for p in packages
        ]

    def test_commit(self):
        """
        The build of a package from git is its commit.
        """
        assert (Package("x", None, ecosystem="pypi", build=COMMITS[0]),) == read(
            git(COMMITS[0])
        ).packages

    def test_branch(self):
        """
        A branch is no build.
        """
        assert read(git("main")).packages[0].build is None

    @pytest.mark.parametrize(
        "entry",
        [
            {"path": "../x-1.0-py3-none-any.whl"},
            {"file": "file:///srv/x-1.0.tar.gz#egg=x"},
            {"file": "https://files.example/x"},
        ],
    )
    def test_archive(self, entry):
        """
        The build of an archive is its hash.
        """
        assert (Package("x", None, ecosystem="pypi", build="sha256:1"),) == read(
            {"x": {"hashes": HASHES, **entry}}
        ).packages

    @pytest.mark.parametrize("key", ["path", "file"])
    def test_directory(self, key):
        """
        A directory is local.
        """
        assert (Package("x", None, ecosystem="pypi", local=True),) == read(
            {"x": {"editable": True, key: "."}}
        ).packages

    def test_no_packages(self):
        """
        An environment without packages is not opaque.
        """
        assert () == read({}).packages


class TestWrong:
    @pytest.mark.parametrize("key", ["_meta", "default"])
    def test_key(self, key):
        """
        Without one of its keys it is no Pipfile.lock.
        """
        document = json.loads(lockfile({}))
        del document[key]

        snapshot = lockfiles.read(json.dumps(document).encode(), format="pipfile")

        assert (None, "not a pipfile lockfile") == (snapshot.packages, snapshot.problem)

    @pytest.mark.parametrize("content", [b"[]", b"null", b'"_meta"', b"1"])
    def test_no_table(self, content):
        """
        A lockfile is a table.
        """
        snapshot = lockfiles.read(content, format="pipfile")

        assert "not a pipfile lockfile" == snapshot.problem

    @pytest.mark.parametrize(
        "entry",
        [
            None,
            "==1.0",
            {"version": None},
            {"version": 1},
            {"version": ""},
            {"version": "*1"},
            {"version": "1.0"},
            {"version": "=1.0"},
            {"version": "=="},
            {"version": "~==1.0"},
            {"ref": 1},
            {"path": 1},
            {"file": "x.zip", "hashes": "sha256:1"},
            {"file": "x.zip", "hashes": [1]},
        ],
    )
    def test_entry(self, entry):
        """
        One entry of another shape makes the lockfile opaque.
        """
        snapshot = read({"a": {"version": "==1"}, "x": entry})

        assert (None, "not a pipfile lockfile") == (snapshot.packages, snapshot.problem)

    @pytest.mark.parametrize("category", [None, [], "x", {"": {"version": "==1"}}])
    def test_category(self, category):
        """
        So does a category.
        """
        assert read({}, docs=category).packages is None


class TestDiff:
    def test_categories(self):
        """
        What only one category upgrades is upgraded, in the set of versions.
        """
        one, two = {"x": {"version": "==1"}}, {"x": {"version": "==2"}}
        (row,) = diff(
            {"default": one, "develop": one}, {"default": one, "develop": two}
        )

        assert ("version", ("1",), ("1", "2"), None) == (
            row.kind,
            row.old,
            row.new,
            row.environment,
        )

    def test_moved(self):
        """
        What goes to another category stays the same package.
        """
        one = {"x": {"version": "==1"}}

        assert () == diff({"default": one}, {"default": {}, "docs": one})

    def test_commit(self):
        """
        Another commit is a rebuild.
        """
        (row,) = diff(*({"default": git(c)} for c in COMMITS))

        assert ("rebuild", *COMMITS) == (row.kind, row.old_build, row.new_build)
        assert "example" not in repr(row)
