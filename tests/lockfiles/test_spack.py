import json

import pytest

from lockfiles.helpers import cases, packages, problem, rows, upgrades
from upgrade_state.lockfiles import Package

CASES = cases("spack")

META = {"file-type": "spack-lockfile", "lockfile-version": 6}


def spec(name="zlib", version="1.3.1", **fields):
    arch = {"platform": "linux", "platform_os": "ubuntu24.04", "target": "x86_64_v3"}
    return {"name": name, "version": version, "arch": arch} | fields


def environment(specs, *roots, **fields):
    roots = [{"hash": key, "spec": "zlib@1"} for key in roots]
    return {"roots": roots, "concrete_specs": specs} | fields


def write(specs, *roots, **fields):
    return json.dumps({"_meta": META} | environment(specs, *roots, **fields))


class TestPackages:
    @pytest.mark.parametrize("version", [4, 5, 6, 7])
    def test_spec(self, version):
        """
        The build of a spec is its hash.
        """
        content = write({"h1": spec()}, _meta=META | {"lockfile-version": version})

        assert (
            Package("zlib", "1.3.1", ecosystem="spack", build="h1", direct=False),
        ) == packages(content, "spack")

    def test_roots(self):
        """
        Roots are direct.
        """
        content = write({"h1": spec(), "h2": spec("gcc")}, "h2")

        assert [False, True] == [p.direct for p in packages(content, "spack")]

    @pytest.mark.parametrize("place", ["/home/ana/zlib", "../zlib"])
    def test_developed(self, place):
        """
        A spec under development is local, and its path is not kept.
        """
        developed = spec(parameters={"dev_path": place, "pic": True})
        (p,) = packages(write({"h1": developed}), "spack")

        assert p.local
        assert "zlib" not in repr(p).replace("'zlib'", "")

    def test_included(self):
        """
        Included environments are read, and those that they include, too.
        """
        inner = environment({"h3": spec("c")}, "h3")
        outer = environment({"h2": spec("b")}, include_concrete={"/home/c": inner})
        content = write({"h1": spec("a")}, "h1", include_concrete={"/home/b": outer})
        found = packages(content, "spack")

        assert [("a", True), ("b", False), ("c", True)] == [
            (p.name, p.direct) for p in found
        ]
        assert "home" not in repr(found)


class TestDiff:
    @pytest.mark.parametrize("target", ["x86_64_v3", "zen4"])
    def test_rebuild(self, target):
        """
        Another hash of the same version is a rebuild, for another target, too.
        """
        new = spec(arch={"platform": "linux", "target": target})

        assert [("rebuild", ("1.3.1",), ("1.3.1",), "h1", "h2")] == rows(
            write({"h1": spec()}), write({"h2": new}), "spack"
        )

    def test_cascade(self):
        """
        A package that depends on an upgraded one is rebuilt.
        """
        old = write({"a1": spec("a"), "b1": spec("b", "1"), "c1": spec("c")})
        new = write({"a2": spec("a"), "b2": spec("b", "2"), "c1": spec("c")})

        assert [("a", "rebuild"), ("b", "version")] == [
            (u.name, u.kind) for u in upgrades(old, new, "spack")
        ]

    def test_sets(self):
        """
        Versions and hashes of several specs of one name are sets.
        """
        others = {"h1": spec(), "h3": spec(version="1.2")}
        old, new = write(others | {"h2": spec()}), write(others | {"h4": spec()})
        versions = ("1.2", "1.3.1")

        assert [("rebuild", versions, versions, "h1, h2, h3", "h1, h3, h4")] == rows(
            old, new, "spack"
        )


class TestWrong:
    @pytest.mark.parametrize("version", [1, 3, 8])
    def test_version(self, version):
        """
        Other versions have other hashes, or are not known.
        """
        content = write({}, _meta=META | {"lockfile-version": version})

        assert f"unsupported version {version}" == problem(content, "spack")

    @pytest.mark.parametrize("fields", CASES["wrong shape"])
    def test_shape(self, fields):
        """
        One value of another shape makes the lockfile opaque.
        """
        content = write({"h1": spec()}, **fields)

        assert "not a spack lockfile" == problem(content, "spack")
