import json

import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package


def spec(name="zlib", version="1.3.1", **fields):
    arch = {"platform": "linux", "platform_os": "ubuntu24.04", "target": "x86_64_v3"}
    return {"name": name, "version": version, "arch": arch} | fields


def environment(specs, *roots, **fields):
    return {
        "roots": [{"hash": key, "spec": "zlib@1"} for key in roots],
        "concrete_specs": specs,
    } | fields


def read(specs, *roots, version=6, **fields):
    meta = {"file-type": "spack-lockfile", "lockfile-version": version}
    document = {"_meta": meta} | environment(specs, *roots, **fields)
    return lockfiles.read(json.dumps(document).encode(), format="spack")


def diff(old, new):
    return lockfiles.diff(read(old), read(new)).upgrades


class TestPackages:
    @pytest.mark.parametrize("version", [4, 5, 6, 7])
    def test_spec(self, version):
        """
        The build of a spec is its hash.
        """
        assert (
            Package("zlib", "1.3.1", ecosystem="spack", build="h1", direct=False),
        ) == read({"h1": spec()}, version=version).packages

    def test_roots(self):
        """
        Direct is what the environment asks for.
        """
        snapshot = read({"h1": spec(), "h2": spec("gcc")}, "h2")

        assert [False, True] == [p.direct for p in snapshot.packages]

    @pytest.mark.parametrize("place", ["/home/ana/zlib", "../zlib"])
    def test_developed(self, place):
        """
        What is developed is local, and where is nobody's business.
        """
        (p,) = read({"h1": spec(parameters={"dev_path": place, "pic": True})}).packages

        assert p.local
        assert "zlib" not in repr(p).replace("'zlib'", "")

    def test_included(self):
        """
        Environments that are included are part of it, and theirs, too.
        """
        inner = environment({"h3": spec("c")}, "h3")
        outer = environment({"h2": spec("b")}, include_concrete={"/home/c": inner})

        snapshot = read({"h1": spec("a")}, "h1", include_concrete={"/home/b": outer})

        assert [("a", True), ("b", False), ("c", True)] == [
            (p.name, p.direct) for p in snapshot.packages
        ]
        assert "home" not in repr(snapshot)

    def test_none(self):
        """
        An environment without specs is not opaque.
        """
        assert () == read({}).packages


class TestDiff:
    def test_rebuild(self):
        """
        Another hash of the same version is a rebuild.
        """
        (row,) = diff({"h1": spec()}, {"h2": spec()})

        assert ("rebuild", "h1", "h2", None) == (
            row.kind,
            row.old_build,
            row.new_build,
            row.platform,
        )

    def test_cascade(self):
        """
        What depends on something new is rebuilt.
        """
        old = {"a1": spec("a"), "b1": spec("b", "1"), "c1": spec("c")}
        new = {"a2": spec("a"), "b2": spec("b", "2"), "c1": spec("c")}

        assert [("a", "rebuild"), ("b", "version")] == [
            (u.name, u.kind) for u in diff(old, new)
        ]

    def test_sets(self):
        """
        Of several specs of one name, versions and hashes are sets.
        """
        old = {"h1": spec(), "h2": spec(), "h3": spec(version="1.2")}
        new = {"h1": spec(), "h4": spec(), "h3": spec(version="1.2")}

        (row,) = diff(old, new)

        assert ("rebuild", ("1.2", "1.3.1"), "h1, h2, h3", "h1, h3, h4") == (
            row.kind,
            row.new,
            row.old_build,
            row.new_build,
        )

    def test_target(self):
        """
        Another target is a rebuild, not another package.
        """
        target = {"platform": "linux", "platform_os": "ubuntu24.04", "target": "zen4"}

        (row,) = diff({"h1": spec()}, {"h2": spec(arch=target)})

        assert "rebuild" == row.kind


class TestWrong:
    @pytest.mark.parametrize("key", ["_meta", "roots", "concrete_specs"])
    def test_key(self, key):
        """
        Without one of its keys it is no lockfile of Spack.
        """
        meta = {"file-type": "spack-lockfile", "lockfile-version": 6}
        document = {"_meta": meta} | environment({})
        del document[key]

        snapshot = lockfiles.read(json.dumps(document).encode(), format="spack")

        assert "not a spack lockfile" == snapshot.problem

    @pytest.mark.parametrize(
        "meta",
        [
            1,
            {},
            {"lockfile-version": 6},
            {"file-type": "spack-lockfile"},
            {"file-type": "spack-database", "lockfile-version": 6},
        ],
    )
    def test_meta(self, meta):
        """
        Spack has other files of a similar shape.
        """
        assert "not a spack lockfile" == read({}, _meta=meta).problem

    @pytest.mark.parametrize("version", [1, 3, 8])
    def test_version(self, version):
        """
        Older ones have other hashes, and newer ones are not known.
        """
        assert f"unsupported version {version}" == read({}, version=version).problem

    @pytest.mark.parametrize(
        "found",
        [
            None,
            1,
            {},
            {"name": "zlib"},
            {"version": "1"},
            {"zlib": {"version": "1"}},
            spec(name=""),
            spec(version=1.3),
            spec(parameters=[]),
        ],
    )
    def test_spec(self, found):
        """
        One spec of another shape makes the lockfile opaque.
        """
        assert "not a spack lockfile" == read({"h1": spec(), "h2": found}).problem

    @pytest.mark.parametrize(
        "fields",
        [
            {"roots": {}},
            {"roots": ["h1"]},
            {"roots": [{"spec": "zlib"}]},
            {"roots": [{"hash": 1}]},
            {"concrete_specs": []},
            {"concrete_specs": {"": spec()}},
            {"include_concrete": []},
            {"include_concrete": {"a": 1}},
            {"include_concrete": {"a": {}}},
        ],
    )
    def test_shape(self, fields):
        """
        So does anything else of another shape.
        """
        assert "not a spack lockfile" == read({"h1": spec()}, **fields).problem
