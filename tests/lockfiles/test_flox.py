import json

import pytest

from lockfiles.helpers import SECRET, cases, packages, problem, rows, upgrades
from upgrade_state.lockfiles import Package, Upgrade

CASES = cases("flox")

LINUX, DARWIN = "x86_64-linux", "aarch64-darwin"


def catalog(version, derivation, *, system=LINUX, install_id="curl"):
    return {
        "install_id": install_id,
        "system": system,
        "version": version,
        "derivation": derivation,
        "attr_path": install_id,
        "locked_url": f"{SECRET}/nixpkgs?rev=1",
        "rev_date": "2026-01-01T00:00:00Z",
    }


def flake(version, derivation):
    return {
        "install_id": "curl",
        "system": LINUX,
        "package-system": LINUX,
        "version": version,
        "pname": None,
        "derivation": derivation,
        "locked-url": f"{SECRET}/curl",
    }


def store_path(path="/nix/store/a-curl"):
    return {"install_id": "curl", "store_path": path, "system": LINUX, "priority": 5}


def write(*entries, **fields):
    document = {"lockfile-version": 1, "manifest": {"version": 1}, "packages": entries}
    return json.dumps(document | fields)


def kinds(old, new):
    """
    Return the kinds of all upgrades between two lists of entries.
    """
    return [kind for kind, *_ in rows(write(*old), write(*new), "flox")]


class TestShapes:
    @pytest.mark.parametrize(
        ("entry", "version", "build"),
        [
            (catalog("8.0", "a"), "8.0", "a"),
            (flake(None, "a"), None, "a"),
            (store_path(), None, None),
        ],
        ids=["catalog", "flake", "store path"],
    )
    @pytest.mark.parametrize("fields", CASES["shapes manifest"])
    def test_entry(self, entry, version, build, fields):
        """
        The build of a package is its derivation; a store path has none.
        """
        assert (
            Package("curl", version, platform=LINUX, build=build, direct=True),
        ) == packages(write(entry, **fields), "flox")


class TestWrong:
    @pytest.mark.parametrize("fields", CASES["wrong entry"])
    def test_entry(self, fields):
        """
        One entry of another shape makes the lockfile opaque, not shorter.
        """
        content = write(catalog("8.0", "a"), catalog("1.0", "b") | fields)

        assert "not a flox lockfile" == problem(content, "flox")

    @pytest.mark.parametrize("value", CASES["wrong packages"])
    def test_packages(self, value):
        """
        Packages are a list of tables, in which no field is missing.
        """
        assert "not a flox lockfile" == problem(write(packages=value), "flox")


class TestRule:
    @pytest.mark.parametrize(("old", "new", "expected"), CASES["rule derivation"])
    def test_other_derivation(self, old, new, expected):
        """
        Another derivation is a rebuild, unless the version is another as well.
        """
        assert expected == kinds([flake(old, "a")], [flake(new, "b")])

    @pytest.mark.parametrize(("old", "new"), CASES["rule no upgrade"])
    def test_no_upgrade(self, old, new):
        """
        Without another derivation on both sides nothing is upgraded.
        """
        old, new = (
            [catalog(*e) if len(e) == 2 else store_path(*e) for e in side]
            for side in (old, new)
        )

        assert [] == kinds(old, new)

    def test_first_wins(self):
        """
        Of several entries for one install id and system the first counts.
        """
        old = [catalog("8.0", "a"), catalog("7.0", "x")]
        new = [catalog("8.0", "b"), catalog("9.0", "y")]

        assert ["rebuild"] == kinds(old, new)

    def test_systems(self):
        """
        Every system is a row of its own.
        """
        old = write(catalog("8.0", "a"), catalog("8.0", "b", system=DARWIN))
        new = write(catalog("8.0", "A"), catalog("8.1", "B", system=DARWIN))

        assert [(DARWIN, "version"), (LINUX, "rebuild")] == [
            (u.platform, u.kind) for u in upgrades(old, new, "flox")
        ]

    def test_added_and_removed(self):
        """
        Packages that Flox does not report are listed.
        """
        old, new = ([catalog("1", "a", install_id=name)] for name in ("jq", "git"))

        assert ["added", "removed"] == kinds(old, new)

    def test_row(self):
        """
        A row has versions and derivations of both sides.
        """
        old, new = write(catalog("8.0", "a")), write(catalog("8.1", "b"))
        expected = Upgrade(
            "curl",
            "version",
            old=("8.0",),
            new=("8.1",),
            platform=LINUX,
            old_build="a",
            new_build="b",
            direct=True,
        )

        assert (expected,) == upgrades(old, new, "flox")
