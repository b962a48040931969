from itertools import product

import pytest

from lockfiles.helpers import cases, packages, problem, read, rows, upgrades
from upgrade_state.lockfiles import Package

CASES = cases("pixi")

CHANNEL = "https://user:secret@conda.example/main"
ZLIB = f"{CHANNEL}/linux-64/zlib-1.3-h0_0.conda"
WHEEL = "https://files.example/x-1.0-py3-none-any.whl"
LOCKS = (4, 5, 6, 7)
WRITTEN = {"name": "zlib", "version": "'1.3'", "build": "h0_0"}


def lockfile(references, entries, lock=6, platform="linux-64"):
    """
    Return a lockfile of version *lock*, of one environment for one platform.
    """
    lines = "\n".join(f"      - {reference}" for reference in references)
    pins = "\n".join(f"- {entry}" for entry in entries)
    return f"""version: {lock}
environments:
  default:
    channels:
    - url: {CHANNEL}
    packages:
      {platform}:
{lines}
packages:
{pins}
"""


def pinned(location, kind="conda", lock=6, **fields):
    """
    Return a lockfile with one package, as pixi writes it.
    """
    more = "".join(f"\n  {key}: {value}" for key, value in fields.items())
    if lock < 6:
        where = "url" if "://" in location else "path"
        entry = f"kind: {kind}{more}\n  {where}: {location}"
    else:
        entry = f"{kind}: {location}{more}"
    return lockfile([f"{kind}: {location}"], [entry], lock)


def one(content):
    (p,) = packages(content, "pixi")
    return p


def package(name, version, ecosystem="conda", **fields):
    where = {"platform": "linux-64", "environment": "default"}
    return Package(name, version, ecosystem=ecosystem, **where, **fields)


def source(reference, **fields):
    """
    Return a lockfile with a package that is built from source.
    """
    return pinned(reference, "conda_source", 7, **fields)


class TestPackages:
    @pytest.mark.parametrize(("entry", "expected"), CASES["packages entry"])
    def test_entry(self, entry, expected):
        """
        Every kind of entry is one package, without its URL.
        """
        found = one(pinned(**entry))

        assert package(**expected) == found
        assert "secret" not in repr(found)

    @pytest.mark.parametrize("lock", [5, 7])
    @pytest.mark.parametrize(("location", "local"), CASES["packages pypi"])
    def test_pypi(self, location, local, lock):
        """
        A directory is local; an archive on disk is a package like any other.
        """
        assert local is one(pinned(location, "pypi", lock, name="x")).local

    def test_extras(self):
        """
        Extras in a reference add nothing.
        """
        content = pinned(WHEEL, "pypi", name="x", version="1.10")

        assert package("x", "1.10", "pypi") == one(
            content.replace(".whl\np", ".whl\n        extras: [a]\np")
        )

    @pytest.mark.parametrize("version", ["1", "3", "8", "99", "6.0"])
    def test_other(self, version):
        """
        Any other version of the format is opaque.
        """
        content = pinned(ZLIB).replace("version: 6", f"version: {version}")

        assert f"unsupported version {version}" == problem(content, "pixi")


class TestEnvironments:
    CONTENT = CASES["environments"]

    def test_all(self):
        """
        Environments and platforms are told apart, by the names they have.
        """
        assert [
            ("default", "linux-64", "1.3"),
            ("default", "linux-gpu", "1.3"),
            ("tests", "linux-64", "1.2"),
        ] == [
            (p.environment, p.platform, p.version)
            for p in packages(self.CONTENT, "pixi")
        ]

    def test_diff(self):
        """
        An upgrade is of the environment and the platforms that have it.
        """
        new = self.CONTENT.replace("zlib-1.3", "zlib-1.4")

        assert [("default", "linux-64"), ("default", "linux-gpu")] == [
            (u.environment, u.platform) for u in upgrades(self.CONTENT, new, "pixi")
        ]


class TestDiff:
    def test_rebuild(self):
        """
        Another build string of one version is a rebuild.
        """
        new = pinned(ZLIB.replace("h0_0", "h0_1"))

        assert [("rebuild", ("1.3",), ("1.3",), "h0_0", "h0_1")] == rows(
            pinned(ZLIB), new, "pixi"
        )

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            # Another archive, channel or subdir of one build.
            (pinned(ZLIB), pinned(ZLIB.replace(".conda", ".tar.bz2"))),
            (pinned(ZLIB), pinned(ZLIB.replace("main", "mirror"))),
            (pinned(ZLIB), pinned(ZLIB.replace("linux-64", "noarch"))),
            # The hash is of the entry, not of the package.
            (source("x[0a] @ ."), source("x[0b] @ .")),
            # Another version of the format.
            *product(
                (pinned(ZLIB, lock=n, size=n, **WRITTEN) for n in LOCKS), repeat=2
            ),
        ],
    )
    def test_no_upgrade(self, old, new):
        """
        A lockfile that is only written in another way has no upgrades.
        """
        assert [] == rows(old, new, "pixi")

    def test_version_left_out(self):
        """
        A version that pixi no longer writes is a change of a local package only.
        """
        old = pinned("./", "pypi", 6, name="x", version="'1.0'")
        (row,) = upgrades(old, pinned("./", "pypi", 7, name="x"), "pixi")

        assert ("version", (), True) == (row.kind, row.new, row.local)


class TestOneLocation:
    @pytest.mark.parametrize(("more", "version"), CASES["one location one location"])
    def test_one_location(self, more, version):
        """
        Of several packages at one location a reference selects one.
        """
        entries = [
            f"conda: .\n  name: x\n  version: {v}\n  {rest}"
            for v, rest in (
                ("1", "build: a\n  subdir: linux-64\n  variants: {python: '3.12'}"),
                ("2", "build: b\n  subdir: win-64\n  variants: {python: '3.12'}"),
                ("3", "build: c\n  subdir: noarch\n  variants: {python: '3.13'}"),
            )
        ]
        reference = f"conda: .\n        {more}" if more else "conda: ."

        assert version == one(lockfile([reference], entries)).version

    def test_left_out(self):
        """
        A field that an entry leaves out does not exclude it.
        """
        entries = [f"conda: .\n  name: x\n  version: {v}" for v in "12"]
        reference = "conda: .\n        version: 2\n        subdir: linux-64"

        assert "2" == one(lockfile([reference], entries)).version

    @pytest.mark.parametrize(
        ("packages", "expected"), [(100, None), (101, "not a pixi lockfile")]
    )
    def test_many(self, packages, expected):
        """
        There are not so many of them that it takes long to select one.
        """
        entries = [f"conda: .\n  name: x\n  version: {v}" for v in range(packages)]
        content = lockfile(["conda: .\n        version: 99"], entries)

        assert expected == read(content, "pixi").problem

    def test_none_selected(self):
        """
        A reference to none of them is an error.
        """
        entries = [f"conda: .\n  name: x\n  version: {v}" for v in "12"]

        content = lockfile(["conda: .\n        version: 3"], entries)

        assert "not a pixi lockfile" == problem(content, "pixi")


class TestWrong:
    @pytest.mark.parametrize("key", ["version: 6", "environments:", "packages:\n-"])
    def test_key(self, key):
        """
        Without one of its keys it is no pixi lockfile.
        """
        content = pinned(ZLIB)

        assert "not a pixi lockfile" == problem(content.replace(key, "x" + key), "pixi")

    @pytest.mark.parametrize(("old", "new"), CASES["wrong shape"])
    def test_shape(self, old, new):
        """
        Any other shape makes the lockfile opaque, not shorter.
        """
        content = pinned(ZLIB)
        assert old in content

        assert "not a pixi lockfile" == problem(content.replace(old, new), "pixi")

    @pytest.mark.parametrize(
        "identifier",
        ["shop", "shop @ .", "shop[0a]", "shop[0a] .", "shop[0a] @", "'[0a] @ .'"],
    )
    def test_identifier(self, identifier):
        """
        A package that is built from source has a name and a location.
        """
        assert "not a pixi lockfile" == problem(source(identifier), "pixi")

    def test_no_name(self):
        """
        An entry without a name, in a field or a file name, is no package.
        """
        assert "not a pixi lockfile" == problem(pinned(f"{CHANNEL}/zlib.conda"), "pixi")
