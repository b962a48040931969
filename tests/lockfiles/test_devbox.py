import json

import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

COMMITS = "a" * 40, "b" * 40
LINUX, DARWIN = "x86_64-linux", "aarch64-darwin"
SECRET = "https://user:secret@files.example/org"


def nixpkgs(commit, attribute="go"):
    return f"github:NixOS/nixpkgs/{commit}#{attribute}"


def system(path, *more):
    outputs = [{"name": "out", "path": path, "default": True}, *more]
    return {"outputs": outputs, "store_path": path}


def entry(version="1.24", commit=COMMITS[0], **systems):
    found = {"resolved": nixpkgs(commit), "source": "devbox-search"}
    if systems:
        found["systems"] = {s.replace("_", "-"): i for s, i in systems.items()}
    return found | ({"version": version} if version else {})


def read(packages, **fields):
    document = {"lockfile_version": "1", "packages": packages} | fields
    return lockfiles.read(json.dumps(document).encode(), format="devbox")


def one(old, new):
    """
    Return the only row, or None, between two entries for one package.
    """
    rows = lockfiles.diff(read({"go@latest": old}), read({"go@latest": new})).upgrades
    assert len(rows) < 2
    return rows[0] if rows else None


class TestNames:
    @pytest.mark.parametrize(
        ("key", "name"),
        [
            ("go@latest", "go"),
            ("ruby@3.3", "ruby"),
            ("go", "go"),
            ("nodePackages.@antfu/ni@latest", "nodePackages.@antfu/ni"),
            ("emacsPackages.@", "emacsPackages.@"),
            ("@latest", "@latest"),
            ("runx:golangci/golangci-lint@latest", "runx:golangci/golangci-lint"),
            ("github:nixos/nixpkgs/23.05#hello", "github:nixos/nixpkgs/23.05#hello"),
            ("github:NixOS/nixpkgs/23.05#hello", "github:NixOS/nixpkgs/23.05#hello"),
            ("github:a/b?dir=c&token=secret#d", "github:a/b#d"),
            ("gitlab:a/b@c", "gitlab:a/b@c"),
            ("path:./my-flake#php", "my-flake#php"),
            ("path:/home/ana/my-flake/", "my-flake"),
            ("path:.", "."),
            ("path:", "path"),
            (f"git+{SECRET}/tool?ref=main#cli", "tool#cli"),
            (f"{SECRET}/tool.tar.gz", "tool.tar.gz"),
            ("https://user:secret@files.example", "https"),
        ],
    )
    def test_name(self, key, name):
        """
        The request is no part of the name, nor are a URL and its passwords.
        """
        assert [name] == [p.name for p in read({key: {}}).packages]

    @pytest.mark.parametrize("reference", ["nixpkgs-unstable", COMMITS[0], ""])
    def test_own_pin(self, reference):
        """
        What Devbox pins for itself is listed as such, by its commit.
        """
        key = f"github:NixOS/nixpkgs/{reference}"
        resolved = (
            f"github:NixOS/nixpkgs/{COMMITS[0]}?lastModified=1&narHash=sha256-a%3D"
        )

        assert (
            Package(key, COMMITS[0], ecosystem="nix", build=resolved, internal=True),
        ) == read({key: {"resolved": resolved}}).packages

    @pytest.mark.parametrize(
        "resolved",
        [None, "", "path:/home/ana", f"{SECRET}/a", nixpkgs(COMMITS[0]) + "?token=1"],
    )
    def test_own_pin_elsewhere(self, resolved):
        """
        Where it is from somewhere else, nothing is told of that.
        """
        key = "github:NixOS/nixpkgs/nixpkgs-unstable"

        assert (Package(key, None, ecosystem="nix", internal=True),) == read(
            {key: {"resolved": resolved}}
        ).packages


class TestPackages:
    def test_package(self):
        """
        A package has a build as a whole, and one for each system.
        """
        systems = {LINUX: system("/nix/store/l"), DARWIN: system("/nix/store/d")}
        found = entry() | {"systems": systems}

        assert (
            Package(
                "go",
                "1.24",
                ecosystem="nix",
                build=nixpkgs(COMMITS[0]),
                builds=((LINUX, "/nix/store/l"), (DARWIN, "/nix/store/d")),
                direct=True,
            ),
        ) == read({"go@latest": found}).packages

    @pytest.mark.parametrize(
        ("info", "expected"),
        [
            ({"store_path": "/a"}, "/a"),
            ({"store_path": "/a", "outputs": []}, "/a"),
            ({"store_path": "/a", "outputs": [{"name": "out", "path": "/b"}]}, "/a"),
            (
                {
                    "store_path": "/a",
                    "outputs": [
                        {"name": "man", "path": "/m"},
                        {"name": "bin", "path": "/b", "default": True},
                        {"name": "out", "path": "/o", "default": True},
                    ],
                },
                "/b",
            ),
        ],
    )
    def test_output(self, info, expected):
        """
        The build is the first default output; older lockfiles have one path.
        """
        (p,) = read({"go@latest": entry() | {"systems": {LINUX: info}}}).packages

        assert ((LINUX, expected),) == p.builds

    def test_no_path(self):
        """
        A system may be there with nothing said of it.
        """
        (p,) = read({"go@latest": entry() | {"systems": {LINUX: {}}}}).packages

        assert () == p.builds

    @pytest.mark.parametrize(
        ("resolved", "build"),
        [
            (nixpkgs(COMMITS[0]), nixpkgs(COMMITS[0])),
            (f"github:a/b/{COMMITS[0]}?narHash=sha256-1", f"github:a/b/{COMMITS[0]}"),
            (f"github:a/b/{COMMITS[0]}?x=1#c", f"github:a/b/{COMMITS[0]}#c"),
            ("golangci/golangci-lint@v1.55.2", "golangci/golangci-lint@v1.55.2"),
            (f"git+{SECRET}/x?ref=main&rev={COMMITS[0]}#c", COMMITS[0]),
            (f"{SECRET}/x?narHash=sha256-{'Z' * 43}%3D", f"sha256-{'Z' * 43}%3D"),
            ("path:./x?lastModified=1", None),
            (f"{SECRET}/x", None),
            ("", None),
        ],
    )
    def test_resolved(self, resolved, build):
        """
        Of what it resolves to, the part that tells the content is the build.
        """
        (p,) = read({"x": {"resolved": resolved}}).packages

        assert build == p.build

    def test_flake(self):
        """
        A flake has no version, and one in a directory is local.
        """
        snapshot = read({"github:a/b": {}, "path:./c#d": {"version": ""}})

        assert [(None, False), (None, True)] == [
            (p.version, p.local) for p in snapshot.packages
        ]

    def test_none(self):
        """
        An environment without packages is not opaque.
        """
        assert () == read({}).packages


class TestRule:
    def test_version(self):
        """
        A new version is one, whatever is asked for.
        """
        old, new = (
            read({f"go@{v}": entry(v, c)})
            for v, c in zip(("1.24", "1.25"), COMMITS, strict=True)
        )

        (row,) = lockfiles.diff(old, new).upgrades

        assert ("go", "version", nixpkgs(COMMITS[0]), nixpkgs(COMMITS[1]), None) == (
            row.name,
            row.kind,
            row.old_build,
            row.new_build,
            row.platform,
        )

    @pytest.mark.parametrize("other", ["same", "changed"])
    def test_rebuild(self, other):
        """
        Another output on any system is a rebuild, and the commits tell of it.
        """
        row = one(
            entry(linux=system("/a"), darwin=system("same")),
            entry(commit=COMMITS[1], linux=system("/b"), darwin=system(other)),
        )

        assert ("rebuild", nixpkgs(COMMITS[0]), nixpkgs(COMMITS[1])) == (
            row.kind,
            row.old_build,
            row.new_build,
        )

    def test_other_commit(self):
        """
        Another commit with the same outputs is none.
        """
        old, new = (entry(commit=c, linux=system("/a")) for c in COMMITS)

        assert one(old, new) is None

    def test_new_system(self):
        """
        Nor is one more system, or one less.
        """
        old = entry(linux=system("/a"))
        new = entry(commit=COMMITS[1], linux=system("/a"), darwin=system("/b"))

        assert one(old, new) is None
        assert one(new, old) is None

    @pytest.mark.parametrize("systems", [{}, {"darwin": system("/a")}])
    def test_no_systems(self, systems):
        """
        Where no system is on both sides, the commit tells.
        """
        old = entry(linux=system("/a"))
        new = entry(commit=COMMITS[1], **systems)

        assert ["rebuild", "rebuild"] == [one(old, new).kind, one(new, old).kind]
        assert one(old, entry(**systems)) is None

    def test_flake(self):
        """
        Another commit of a flake is a rebuild.
        """
        old, new = (entry(None, c) for c in COMMITS)

        assert ("rebuild", (), ()) == (
            one(old, new).kind,
            one(old, new).old,
            one(old, new).new,
        )

    def test_same_commit(self):
        """
        If the commit is the same, the outputs are shown.
        """
        row = one(entry(linux=system("/a")), entry(linux=system("/b")))

        assert ("rebuild", "/a", "/b") == (row.kind, row.old_build, row.new_build)

    def test_everywhere(self):
        """
        What is upgraded is so on all systems, listed or not.
        """
        old, new = (read({"go@1": entry(v, linux=system(v))}) for v in "12")

        assert () == lockfiles.diff(old, new).platforms

    def test_no_url(self):
        """
        No URL is in any row, and no password with it.
        """
        key = f"git+{SECRET}/x#y"
        old, new = (
            read({key: {"resolved": f"git+{SECRET}/x?rev={c}#y"}}) for c in COMMITS
        )

        (row,) = lockfiles.diff(old, new).upgrades

        assert ("x#y", "rebuild", *COMMITS) == (
            row.name,
            row.kind,
            row.old_build,
            row.new_build,
        )
        assert "example" not in repr(row)


class TestWrong:
    @pytest.mark.parametrize("key", ["lockfile_version", "packages"])
    def test_key(self, key):
        """
        Without one of its keys it is no lockfile of Devbox.
        """
        document = {"lockfile_version": "1", "packages": {}}
        del document[key]

        snapshot = lockfiles.read(json.dumps(document).encode(), format="devbox")

        assert "not a devbox lockfile" == snapshot.problem

    @pytest.mark.parametrize(
        ("version", "expected"),
        [
            ("2", "unsupported version 2"),
            (1, "not a devbox lockfile"),
            (None, "not a devbox lockfile"),
        ],
    )
    def test_version(self, version, expected):
        """
        The version is a text, and only one is known.
        """
        assert expected == read({}, lockfile_version=version).problem

    @pytest.mark.parametrize("packages", [None, 1, "go", ["go"], {"": {}}])
    def test_packages(self, packages):
        """
        Packages are a table.
        """
        assert read(packages).packages is None

    @pytest.mark.parametrize(
        "found",
        [
            None,
            "1.24",
            {"version": 1.24},
            {"resolved": 1},
            {"systems": []},
            {"systems": {LINUX: None}},
            {"systems": {LINUX: {"outputs": {}}}},
            {"systems": {LINUX: {"outputs": [1]}}},
            {"systems": {LINUX: {"outputs": [{"default": True}]}}},
            {"systems": {LINUX: {"store_path": 1}}},
        ],
    )
    def test_entry(self, found):
        """
        One entry of another shape makes the lockfile opaque.
        """
        snapshot = read({"a@1": entry(), "b@1": found})

        assert (None, "not a devbox lockfile") == (snapshot.packages, snapshot.problem)
