import json

import pytest

from lockfiles.helpers import COMMITS, cases, packages, problem, rows
from lockfiles.helpers import SECRET as HOST
from upgrade_state.lockfiles import Package

CASES = cases("devbox")

LINUX, DARWIN = "x86_64-linux", "aarch64-darwin"
SECRET = f"{HOST}/org"


def nixpkgs(commit, attribute="go"):
    return f"github:NixOS/nixpkgs/{commit}#{attribute}"


def system(path):
    outputs = [{"name": "out", "path": path, "default": True}]
    return {"outputs": outputs, "store_path": path}


def entry(version="1.24", commit=COMMITS[0], **systems):
    fields = {"resolved": nixpkgs(commit), "source": "devbox-search"}
    fields |= {"systems": systems} if systems else {}
    return fields | ({"version": version} if version else {})


def write(entries, **fields):
    return json.dumps({"lockfile_version": "1", "packages": entries} | fields)


def one(key, value):
    """
    Return the package of a lockfile with one entry.
    """
    (p,) = packages(write({key: value}), "devbox")
    return p


def builds(old, new):
    """
    Return kind and builds of the upgrades between two entries for one package.
    """
    sides = (write({"go@latest": side}) for side in (old, new))
    return [(kind, *both) for kind, _, _, *both in rows(*sides, "devbox")]


class TestNames:
    @pytest.mark.parametrize(("key", "name"), CASES["names name"])
    def test_name(self, key, name):
        """
        The request is no part of the name, nor are a URL and its passwords.
        """
        assert name == one(key, {}).name

    @pytest.mark.parametrize("reference", ["nixpkgs-unstable", COMMITS[0], ""])
    def test_own_pin(self, reference):
        """
        Devbox's own nixpkgs is internal, and its version is a commit.
        """
        key = f"github:NixOS/nixpkgs/{reference}"
        resolved = (
            f"github:NixOS/nixpkgs/{COMMITS[0]}?lastModified=1&narHash=sha256-a%3D"
        )

        assert Package(
            key, COMMITS[0], ecosystem="nix", build=resolved, internal=True
        ) == one(key, {"resolved": resolved})

    @pytest.mark.parametrize(
        "resolved",
        [None, "", "path:/home/ana", f"{SECRET}/a", nixpkgs(COMMITS[0]) + "?token=1"],
    )
    def test_own_pin_elsewhere(self, resolved):
        """
        From any other place it has no version and no build.
        """
        key = "github:NixOS/nixpkgs/nixpkgs-unstable"

        assert Package(key, None, ecosystem="nix", internal=True) == one(
            key, {"resolved": resolved}
        )


class TestPackages:
    def test_package(self):
        """
        A package has a build as a whole, and one for each system.
        """
        systems = {LINUX: system("/nix/store/l"), DARWIN: system("/nix/store/d")}

        assert Package(
            "go",
            "1.24",
            ecosystem="nix",
            build=nixpkgs(COMMITS[0]),
            builds=((LINUX, "/nix/store/l"), (DARWIN, "/nix/store/d")),
            direct=True,
        ) == one("go@latest", entry(**systems))

    @pytest.mark.parametrize(("outputs", "expected"), CASES["packages output"])
    def test_output(self, outputs, expected):
        """
        The build is the first default output; older lockfiles have one path.
        """
        p = one("go@latest", entry(**{LINUX: {"store_path": "/a"} | outputs}))

        assert ((LINUX, expected),) == p.builds

    def test_no_path(self):
        """
        A system may have no path.
        """
        assert () == one("go@latest", entry(**{LINUX: {}})).builds

    @pytest.mark.parametrize(("resolved", "build"), CASES["packages resolved"])
    def test_resolved(self, resolved, build):
        """
        The build is the part of the reference that identifies the content.
        """
        assert build == one("x", {"resolved": resolved}).build

    def test_flake(self):
        """
        A flake has no version, and one in a directory is local.
        """
        flake, local = one("github:a/b", {}), one("path:./c#d", {"version": ""})

        assert (None, False) == (flake.version, flake.local)
        assert (None, True) == (local.version, local.local)


NIXPKGS = nixpkgs(COMMITS[0]), nixpkgs(COMMITS[1])


def made(version="1.24", commit=0, **paths):
    """
    Return an entry of the table, with the path of an output per system.
    """
    systems = {name: system(path) for name, path in paths.items()}
    return entry(version, COMMITS[commit], **systems)


class TestRule:
    def test_version(self):
        """
        A new version is one, whatever version the user asked for.
        """
        old, new = (
            write({f"go@{v}": entry(v, c, linux=system(v))})
            for v, c in zip(("1.24", "1.25"), COMMITS, strict=True)
        )

        assert [("version", ("1.24",), ("1.25",), *NIXPKGS)] == rows(old, new, "devbox")
        assert {None} == {p.platform for p in packages(new, "devbox")}

    @pytest.mark.parametrize(("old", "new", "shown"), CASES["rule rebuild"])
    def test_rebuild(self, old, new, shown):
        """
        Another output, or another commit without outputs, is a rebuild.
        """
        old, new, shown = made(**old), made(**new), shown or NIXPKGS

        assert [("rebuild", *shown)] == builds(old, new)
        assert [("rebuild", *shown[::-1])] == builds(new, old)

    @pytest.mark.parametrize(("old", "new"), CASES["rule no rebuild"])
    def test_no_rebuild(self, old, new):
        """
        Another commit with the same outputs, or other systems, are none.
        """
        assert [] == builds(made(**old), made(**new))
        assert [] == builds(made(**new), made(**old))

    def test_no_url(self):
        """
        A row has neither a URL nor its password.
        """
        key = f"git+{SECRET}/x#y"
        old, new = (
            write({key: {"resolved": f"git+{SECRET}/x?rev={c}#y"}}) for c in COMMITS
        )

        assert "x#y" == one(key, {}).name
        assert [("rebuild", (), (), *COMMITS)] == rows(old, new, "devbox")


class TestWrong:
    @pytest.mark.parametrize(("version", "expected"), CASES["wrong version"])
    def test_version(self, version, expected):
        """
        The version is a text, and only one is known.
        """
        assert expected == problem(write({}, lockfile_version=version), "devbox")

    @pytest.mark.parametrize("value", CASES["wrong packages"])
    def test_packages(self, value):
        """
        Packages are a table; one entry of another shape makes the lockfile opaque.
        """
        assert "not a devbox lockfile" == problem(write(value), "devbox")
