import json

import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

LINUX, DARWIN = "x86_64-linux", "aarch64-darwin"


def catalog(version, derivation, *, system=LINUX, install_id="curl"):
    return {
        "install_id": install_id,
        "system": system,
        "version": version,
        "derivation": derivation,
        "attr_path": install_id,
        "locked_url": "https://files.example/nixpkgs?rev=1",
        "rev_date": "2026-01-01T00:00:00Z",
        "priority": 5,
    }


def flake(version, derivation):
    return {
        "install_id": "curl",
        "system": LINUX,
        "package-system": LINUX,
        "version": version,
        "pname": None,
        "derivation": derivation,
        "locked-url": "https://user:secret@files.example/curl",
        "locked-flake-attr-path": "packages.x86_64-linux.curl",
    }


def store_path(path="/nix/store/a-curl"):
    return {"install_id": "curl", "store_path": path, "system": LINUX, "priority": 5}


def lockfile(*entries, **fields):
    document = {"lockfile-version": 1, "manifest": {"version": 1}, "packages": entries}
    return json.dumps(document | fields).encode()


def read(*entries, **fields):
    return lockfiles.read(lockfile(*entries, **fields), format="flox")


def kinds(old, new):
    """
    Return the kinds of all upgrades between two lists of entries.
    """
    return [u.kind for u in lockfiles.diff(read(*old), read(*new)).upgrades]


class TestShapes:
    def test_catalog(self):
        """
        A catalog package has a version and a derivation.
        """
        assert (
            Package("curl", "8.0", platform=LINUX, build="a", direct=True),
        ) == read(catalog("8.0", "a")).packages

    def test_flake(self):
        """
        A flake package may have no version, and its URL goes no further.
        """
        assert (Package("curl", None, platform=LINUX, build="a", direct=True),) == read(
            flake(None, "a")
        ).packages

    def test_store_path(self):
        """
        A store path has neither version nor build.
        """
        assert (Package("curl", None, platform=LINUX, direct=True),) == read(
            store_path()
        ).packages

    @pytest.mark.parametrize("manifest", [{"version": 1}, {"schema-version": "1.14.0"}])
    def test_manifests(self, manifest):
        """
        The packages are where they were, whatever the layout of the manifest.
        """
        assert 1 == len(read(catalog("8.0", "a"), manifest=manifest).packages)

    def test_compose(self):
        """
        A composed environment has its packages in the same list.
        """
        assert 1 == len(read(catalog("8.0", "a"), compose={"include": []}).packages)

    def test_none(self):
        """
        An environment without packages is not opaque.
        """
        assert () == read().packages


class TestWrong:
    @pytest.mark.parametrize("key", ["lockfile-version", "manifest", "packages"])
    def test_key(self, key):
        """
        Without one of its keys it is no Flox lockfile.
        """
        document = json.loads(lockfile(catalog("8.0", "a")))
        del document[key]

        snapshot = lockfiles.read(json.dumps(document).encode(), format="flox")

        assert "not a flox lockfile" == snapshot.problem

    @pytest.mark.parametrize(
        "fields",
        [
            {"install_id": 1},
            {"install_id": ""},
            {"install_id": None},
            {"system": []},
            {"system": ""},
            {"version": 8.0},
            {"derivation": None},
            {"derivation": 1},
        ],
    )
    def test_entry(self, fields):
        """
        One entry of another shape makes the lockfile opaque, not shorter.
        """
        snapshot = read(catalog("8.0", "a"), catalog("1.0", "b") | fields)

        assert (None, "not a flox lockfile") == (snapshot.packages, snapshot.problem)

    @pytest.mark.parametrize("key", ["install_id", "system", "derivation"])
    def test_missing(self, key):
        """
        So does one that lacks a field.
        """
        entry = catalog("8.0", "a")
        del entry[key]

        assert read(entry).packages is None

    @pytest.mark.parametrize("packages", [None, 1, "curl", {"curl": {}}, ["curl"]])
    def test_packages(self, packages):
        """
        Packages are a list of tables.
        """
        assert read(packages=packages).packages is None

    @pytest.mark.parametrize("content", [b"[]", b"null", b'"flox"', b"1"])
    def test_no_table(self, content):
        """
        A lockfile is a table.
        """
        snapshot = lockfiles.read(content, format="flox")

        assert "not a flox lockfile" == snapshot.problem


class TestRule:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("8.0", "8.1", ["version"]),
            ("8.0", "8.0", ["rebuild"]),
            (None, None, ["rebuild"]),
            (None, "8.0", ["version"]),
            ("8.0", None, ["version"]),
            ("", None, ["version"]),
        ],
    )
    def test_other_derivation(self, old, new, expected):
        """
        Another derivation is a rebuild, unless the version is another as well.
        """
        assert expected == kinds([flake(old, "a")], [flake(new, "b")])

    def test_same_derivation(self):
        """
        With the same derivation nothing has changed, whatever else is written.
        """
        assert [] == kinds([catalog("8.0", "a")], [catalog("8.1", "a")])

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (store_path("/nix/store/a"), store_path("/nix/store/b")),
            (catalog("8.0", "a"), store_path()),
            (store_path(), catalog("8.0", "a")),
        ],
    )
    def test_store_paths(self, old, new):
        """
        A store path is never upgraded, nor is anything upgraded to one.
        """
        assert [] == kinds([old], [new])

    def test_first_wins(self):
        """
        Of several entries for one install id and system the first counts.
        """
        old = [catalog("8.0", "a"), catalog("7.0", "x")]
        new = [catalog("8.0", "b"), catalog("9.0", "y")]

        assert ["rebuild"] == kinds(old, new)

    def test_first_is_a_store_path(self):
        """
        The first counts even if it never counts.
        """
        old = [store_path(), catalog("8.0", "a")]
        new = [store_path(), catalog("8.1", "b")]

        assert [] == kinds(old, new)

    def test_systems(self):
        """
        Every system is a row of its own.
        """
        old = [catalog("8.0", "a"), catalog("8.0", "b", system=DARWIN)]
        new = [catalog("8.0", "A"), catalog("8.1", "B", system=DARWIN)]

        upgrades = lockfiles.diff(read(*old), read(*new)).upgrades

        assert [(DARWIN, "version"), (LINUX, "rebuild")] == [
            (u.platform, u.kind) for u in upgrades
        ]

    def test_added_and_removed(self):
        """
        What Flox leaves out is listed.
        """
        old = [catalog("1", "a", install_id="jq")]
        new = [catalog("1", "a", install_id="git")]

        assert ["added", "removed"] == kinds(old, new)

    def test_row(self):
        """
        A row has versions and derivations of both sides.
        """
        (row,) = lockfiles.diff(
            read(catalog("8.0", "a")), read(catalog("8.1", "b"))
        ).upgrades

        assert (
            lockfiles.Upgrade(
                "curl",
                "version",
                old=("8.0",),
                new=("8.1",),
                platform=LINUX,
                old_build="a",
                new_build="b",
                direct=True,
            )
            == row
        )
