import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package

CHANNEL = "https://user:secret@conda.example/main"
ZLIB = f"{CHANNEL}/linux-64/zlib-1.3-h0_0.conda"
WHEEL = "https://files.example/x-1.0-py3-none-any.whl"
COMMITS = "a" * 40, "b" * 40
GIT = f"git+https://me:secret@files.example/x.git?rev=main#{COMMITS[0]}"


def lockfile(references, entries, version=6, platform="linux-64"):
    """
    Return a lockfile of one environment for one platform.
    """
    lines = "\n".join(f"      - {reference}" for reference in references)
    packages = "\n".join(f"- {entry}" for entry in entries)
    return f"""version: {version}
environments:
  default:
    channels:
    - url: {CHANNEL}
    packages:
      {platform}:
{lines}
packages:
{packages}
""".encode()


def pinned(location, kind="conda", version=6, **fields):
    """
    Return a lockfile with one package, as pixi writes it.
    """
    more = "".join(f"\n  {key}: {value}" for key, value in fields.items())
    if version < 6:
        where = "url" if "://" in location else "path"
        entry = f"kind: {kind}{more}\n  {where}: {location}"
    else:
        entry = f"{kind}: {location}{more}"
    return lockfile([f"{kind}: {location}"], [entry], version)


def read(content):
    return lockfiles.read(content, format="pixi")


def problem(content):
    snapshot = read(content)

    assert snapshot.packages is None
    return snapshot.problem


def one(content):
    (p,) = read(content).packages
    return p


def rows(old, new):
    diff = lockfiles.diff(read(old), read(new))

    assert diff.comparable
    return [(u.kind, u.old, u.new, u.local) for u in diff.upgrades]


def package(name, version, ecosystem="conda", **fields):
    return Package(
        name,
        version,
        ecosystem=ecosystem,
        platform="linux-64",
        environment="default",
        **fields,
    )


class TestVersions:
    @pytest.mark.parametrize("version", [4, 5])
    def test_fields(self, version):
        """
        Up to version 5 packages are written out.
        """
        content = pinned(
            ZLIB, version=version, name="zlib", version_="x", build="h0_0"
        ).replace(b"version_: x", b"version: '1.3'")

        assert package("zlib", "1.3", build="h0_0") == one(content)

    @pytest.mark.parametrize("version", [6, 7])
    def test_file_name(self, version):
        """
        Since version 6 the name of the file says what it can.
        """
        assert package("zlib", "1.3", build="h0_0") == one(
            pinned(ZLIB, version=version)
        )

    @pytest.mark.parametrize("version", [4, 5, 6, 7])
    def test_pypi(self, version):
        """
        A package from an index has no build, and extras are only an addition.
        """
        content = pinned(WHEEL, "pypi", version, name="x").replace(
            b"name: x", b"name: x\n  version: 1.10\n  requires_dist:\n  - zlib"
        )
        content = content.replace(
            b".whl\npackages", b".whl\n        extras: [a]\npackages"
        )

        assert package("x", "1.10", "pypi") == one(content)

    @pytest.mark.parametrize("old", [4, 5, 6, 7])
    @pytest.mark.parametrize("new", [4, 5, 6, 7])
    def test_mixed(self, old, new):
        """
        A lockfile that is only written in another version has no upgrades.
        """
        sides = [
            pinned(ZLIB, version=v, name="zlib", build="h0_0").replace(
                b"name: zlib", b"name: zlib\n  version: '1.3'\n  size: %d" % size
            )
            for size, v in enumerate((old, new))
        ]

        assert [] == rows(*sides)

    @pytest.mark.parametrize("version", ["1", "3", "8", "99", "6.0"])
    def test_other(self, version):
        """
        Any other version is opaque.
        """
        content = pinned(ZLIB).replace(b"version: 6", b"version: " + version.encode())

        assert f"unsupported version {version}" == problem(content)


class TestEnvironments:
    CONTENT = f"""version: 7
platforms:
- name: linux-64
- name: linux-gpu
  subdir: linux-64
  virtual-packages:
  - __cuda=12
environments:
  default:
    channels: []
    packages:
      linux-64:
      - conda: {ZLIB}
      linux-gpu:
      - conda: {ZLIB}
  empty:
    channels: []
    packages: {{}}
  tests:
    channels: []
    packages:
      linux-64:
      - conda: {CHANNEL}/linux-64/zlib-1.2-h0_0.conda
packages:
- conda: {CHANNEL}/linux-64/unused-1-0.conda
- conda: {CHANNEL}/linux-64/zlib-1.2-h0_0.conda
- conda: {ZLIB}
""".encode()

    def test_all(self):
        """
        Environments and platforms are told apart, by the names they have.
        """
        assert [
            ("default", "linux-64", "1.3"),
            ("default", "linux-gpu", "1.3"),
            ("tests", "linux-64", "1.2"),
        ] == [
            (p.environment, p.platform, p.version) for p in read(self.CONTENT).packages
        ]

    def test_diff(self):
        """
        An upgrade is of the environment and the platforms that have it.
        """
        new = self.CONTENT.replace(b"zlib-1.3", b"zlib-1.4")
        diff = lockfiles.diff(read(self.CONTENT), read(new))

        assert [("default", "linux-64"), ("default", "linux-gpu")] == [
            (u.environment, u.platform) for u in diff.upgrades
        ]

    def test_none(self):
        """
        A workspace without packages is not opaque.
        """
        content = (
            b"version: 7\nenvironments:\n  default:\n    packages: {}\npackages: []\n"
        )

        assert () == read(content).packages


class TestBuild:
    def test_rebuild(self):
        """
        Another build string of one version is a rebuild.
        """
        new = pinned(ZLIB.replace("h0_0", "h0_1"))

        assert [("rebuild", ("1.3",), ("1.3",), False)] == rows(pinned(ZLIB), new)

    @pytest.mark.parametrize(
        "other",
        [
            ZLIB.replace(".conda", ".tar.bz2"),
            ZLIB.replace("main", "mirror"),
            ZLIB.replace("linux-64", "noarch"),
        ],
    )
    def test_same_build(self, other):
        """
        Another archive, channel or subdir of one build is not.
        """
        assert [] == rows(pinned(ZLIB), pinned(other))

    def test_fields_win(self):
        """
        What an entry says is more than its file's name does.
        """
        content = pinned(ZLIB, name="zlib-ng\n  version: '2.0'", build="h9_9")

        assert package("zlib-ng", "2.0", build="h9_9") == one(content)

    def test_left_empty(self):
        """
        A field without a value is no field.
        """
        content = pinned(".", name="x\n  version:", build="")

        assert package("x", None, local=True) == one(content)

    @pytest.mark.parametrize("version", [4, 7])
    @pytest.mark.parametrize(
        "location",
        [GIT, f"git+ssh://git@files.example/x@{COMMITS[0]}", f"{GIT}#subdirectory=y"],
    )
    def test_commit(self, location, version):
        """
        The build of a package from git is its commit, without the URL.
        """
        content = pinned(location, "pypi", version, name="x")

        assert package("x", None, "pypi", build=COMMITS[0]) == one(content)


class TestSource:
    @pytest.mark.parametrize(
        "location", [".", "../shop", "file:///src/shop", "C:\\shop"]
    )
    @pytest.mark.parametrize("version", [6, 7])
    def test_directory(self, location, version):
        """
        What is built from a directory is local.
        """
        fields = {"build": "pyh0_0", "version": "1.0"}
        if version == 6:
            content = pinned(location, name="shop")
        else:
            content = pinned(f"shop[0a1b2c3d] @ {location}", "conda_source", 7)
        lines = "".join(f"\n  {key}: {value}" for key, value in fields.items())
        content = content.rstrip() + lines.encode() + b"\n"

        assert package("shop", "1.0", build="pyh0_0", local=True) == one(content)

    def test_not_evaluated(self):
        """
        Of some packages only the name is known before they are built.
        """
        content = pinned("shop[0a1b2c3d] @ .", "conda_source", 7)

        assert package("shop", None, local=True) == one(content)

    def test_other_hash(self):
        """
        The hash is of the entry, not of the package.
        """
        sides = (pinned(f"shop[{h}] @ .", "conda_source", 7) for h in ("0a", "0b"))

        assert [] == rows(*sides)

    @pytest.mark.parametrize(
        ("build", "expected"), [("", COMMITS[0]), ("py_0", f"py_0 {COMMITS[0]}")]
    )
    def test_git(self, build, expected):
        """
        What is built from a repository has a commit besides its build string.
        """
        content = pinned(f"shop[0a] @ {GIT}", "conda_source", 7, build=build)

        assert package("shop", None, build=expected) == one(content)

    @pytest.mark.parametrize("version", [5, 7])
    @pytest.mark.parametrize(
        ("location", "local"),
        [
            ("./", True),
            ("../shop", True),
            ("./dist/x-1.0-py3-none-any.whl", False),
            ("file:///dist/x-1.0.tar.gz", False),
            (WHEEL, False),
            (GIT, False),
            ("git+file:///src/x", False),
        ],
    )
    def test_pypi(self, location, local, version):
        """
        A directory is local, an archive on disk is a package like any other.
        """
        assert local is one(pinned(location, "pypi", version, name="x")).local

    def test_version_left_out(self):
        """
        A version that is no longer written is a change of what is local only.
        """
        old = pinned("./", "pypi", 6, name="x\n  version: '1.0'")
        new = pinned("./", "pypi", 7, name="x")

        assert [("version", ("1.0",), (), True)] == rows(old, new)

    @pytest.mark.parametrize(
        ("more", "version"),
        [
            ("", "1"),
            ("subdir: linux-64", "1"),
            ("subdir: win-64", "2"),
            ("name: x\n        build: c", "3"),
            ("variants: {python: '3.13'}", "3"),
            ("extras: [y]", "1"),
        ],
    )
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
        What all of them have in common need not be in each of them.
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

        assert expected == read(content).problem

    def test_none_selected(self):
        """
        A reference to none of them is an error.
        """
        entries = [f"conda: .\n  name: x\n  version: {v}" for v in "12"]

        assert "not a pixi lockfile" == problem(
            lockfile(["conda: .\n        version: 3"], entries)
        )


class TestWrong:
    @pytest.mark.parametrize("key", [b"version: 6", b"environments:", b"packages:\n-"])
    def test_key(self, key):
        """
        Without one of its keys it is no pixi lockfile.
        """
        content = pinned(ZLIB)

        assert "not a pixi lockfile" == problem(content.replace(key, b"x" + key))

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            (b"environments:", b"environments: []\nx:"),
            (b"  default:", b"  default: x\n  x:"),
            (b"    packages:\n", b"    x:\n"),
            (b"    packages:\n", b"    packages: []\n    x:\n"),
            (b"linux-64:\n", b"linux-64: x\n      x:\n"),
            (b"linux-64:\n", b"'':\n"),
            (b"      - conda", b"      - pypi"),
            (b"      - conda", b"      - other"),
            (b"      - conda:", b"      - pypi: x\n        conda:"),
            (b"      - conda:", b"      - conda: []\n        x:"),
            (b"      - conda:", b"      - conda:\n        x:"),
            (b"      - conda: h", b"      - h"),
            (b"      - conda: h", b"      - conda: x"),
            (b"\n- conda: h", b"\n- conda: x"),
            (b"\n- conda: h", b"\n- h"),
            (b"\n- conda:", b"\n- other:"),
            (b"\n- conda:", b"\n- build: []\n  conda:"),
            (b"\n- conda:", b"\n- name: {}\n  conda:"),
            (b"\n- conda:", b"\n- kind: conda\n  x:"),
            (b"\n- conda:", b"\n- kind: other\n  url:"),
        ],
    )
    def test_shape(self, old, new):
        """
        Any other shape makes the lockfile opaque, not shorter.
        """
        content = pinned(ZLIB)
        assert old in content

        assert "not a pixi lockfile" == problem(content.replace(old, new))

    @pytest.mark.parametrize(
        "identifier",
        ["shop", "shop @ .", "shop[0a]", "shop[0a] .", "shop[0a] @", "'[0a] @ .'"],
    )
    def test_identifier(self, identifier):
        """
        What is built from source has a name and a place.
        """
        assert "not a pixi lockfile" == problem(pinned(identifier, "conda_source", 7))

    def test_no_name(self):
        """
        What has no name anywhere is no package.
        """
        assert "not a pixi lockfile" == problem(pinned(f"{CHANNEL}/zlib.conda"))

    def test_no_url(self):
        """
        No URL is in any package, and no password with it.
        """
        found = [
            one(pinned(ZLIB)),
            one(pinned(GIT, "pypi", name="x")),
            one(pinned(f"x[0a] @ {GIT}", "conda_source", 7)),
        ]

        assert not [s for s in ("secret", "example") if s in repr(found)]
