"""
The lockfiles of Python package managers, side by side.
"""

import json
from functools import partial

import pytest

from lockfiles.helpers import (
    COMMITS,
    DIGESTS,
    SECRET,
    cases,
    packages,
    problem,
    read,
    rows,
    upgrades,
)
from upgrade_state.lockfiles import Package

CASES = cases("python")

python = partial(Package, ecosystem="pypi")

HEADS = {
    "pdm": "[metadata]\nlock_version = '4.5.0'\n",
    "poetry": "[metadata]\nlock-version = '2.1'\n",
    "pylock": "lock-version = '1.0'\ncreated-by = 'x'\n",
    "uv": "version = 1\nrevision = 3\nrequires-python = '>=3.11'\n",
}
MIRROR = "source = { registry = 'https://index.example/mirror' }"


def write(name, *entries, head=None, **categories):
    """
    Return a lockfile of the format *name* with *entries*.
    """
    if name == "requirements":
        return "\n".join(entries)
    if name == "pipfile":
        default = {key: value for entry in entries for key, value in entry.items()}
        meta = {"hash": {"sha256": "1"}, "pipfile-spec": 6, "sources": []}
        return json.dumps({"_meta": meta, "default": default, **categories})
    key = "packages" if name == "pylock" else "package"
    head = HEADS[name] if head is None else head
    return head + "".join(f"[[{key}]]\n{entry}\n" for entry in entries)


def entry(name="x", version="1.0", *lines):
    """
    Return the lines of a package in TOML.
    """
    versions = [] if version is None else [f"version = '{version}'"]
    return "\n".join([f"name = '{name}'", *versions, *lines])


def uv(name="x", version="1.0", source=None, *lines):
    source = source or "registry = 'https://index.example/simple'"
    return entry(name, version, f"source = {{ {source} }}", *lines)


def poetry(kind, *lines):
    source = f"source = {{ type = '{kind}', url = '{SECRET}/x'"
    return entry("x", "1.0", *lines, f"{source} }}")


def made(kind, name, build):
    """
    Return an entry whose source is a commit of a repository, or one archive.
    """
    text = CASES[kind][name].replace("BUILD", build)
    return json.loads(text) if name == "pipfile" else text


BUILDS = {"git": COMMITS, "archive": tuple(f"sha256:{digest}" for digest in DIGESTS)}

every_format = pytest.mark.parametrize(
    "name", ["pdm", "pipfile", "poetry", "pylock", "requirements", "uv"]
)


class TestPackages:
    @pytest.mark.parametrize(("name", "written", "version"), CASES["packages index"])
    def test_index(self, name, written, version):
        """
        A package from an index has a normalized name, a version and no build.
        """
        assert (python("zope-interface", version),) == packages(
            write(name, written), name
        )

    @every_format
    @pytest.mark.parametrize("kind", BUILDS)
    def test_build(self, kind, name):
        """
        The build is the commit of a repository or the hash of an archive, without URL.
        """
        build = BUILDS[kind][0]
        (p,) = packages(write(name, made(kind, name, build.rpartition(":")[2])), name)

        assert ("x", build, False) == (p.name, p.build, p.local)
        assert "secret" not in repr(p)

    @pytest.mark.parametrize("ref", ["", "main", "a" * 39, "x" * 40, "a" * 41])
    def test_no_commit(self, ref):
        """
        A fragment that is no commit is not shown: it may be a password.
        """
        (p,) = packages(write("uv", made("git", "uv", ref)), "uv")

        assert p.build is None

    @pytest.mark.parametrize(("name", "written"), CASES["packages no build"])
    def test_no_build(self, name, written):
        """
        A source without a commit or hash has no build.
        """
        (p,) = packages(write(name, written), name)

        assert (None, False) == (p.build, p.local)

    @pytest.mark.parametrize(("name", "written"), CASES["packages archive elsewhere"])
    def test_archive_elsewhere(self, name, written):
        """
        An archive may be a local file, and its hash in a list.
        """
        (p,) = packages(write(name, written), name)

        assert ("sha256:1", False) == (p.build, p.local)

    @pytest.mark.parametrize(
        ("hashes", "expected"),
        [
            ("md5 = '2', sha256 = '1', blake2b = '3'", "sha256:1"),
            ("sha512 = '2', sha384 = '1'", "sha384:1"),
        ],
    )
    def test_algorithm(self, hashes, expected):
        """
        Of several hashes in pylock.toml, SHA-256 is the build.
        """
        written = entry("x", "1.0", f"archive = {{ hashes = {{ {hashes} }} }}")

        assert [expected] == [
            p.build for p in packages(write("pylock", written), "pylock")
        ]

    @pytest.mark.parametrize(
        ("name", "written", "version"), CASES["packages directory"]
    )
    def test_directory(self, name, written, version):
        """
        A directory is local, editable or not.
        """
        assert (python("x", version, local=True),) == packages(
            write(name, written), name
        )

    @pytest.mark.parametrize("revision", ["", "revision = 1\n", "revision = 99\n"])
    def test_revision(self, revision):
        """
        Every revision of version 1 of uv.lock is readable.
        """
        head = HEADS["uv"].replace("revision = 3\n", revision)

        assert 1 == len(packages(write("uv", uv(), head=head), "uv"))

    @pytest.mark.parametrize("version", ["1.1", "2.0"])
    def test_old_hashes(self, version):
        """
        The hashes of older Poetry lockfiles, in another table, are not read.
        """
        head = HEADS["poetry"].replace("2.1", version) + "[metadata.files]\nx = []\n"

        assert (python("x", "1.0"),) == packages(
            write("poetry", poetry("url"), head=head), "poetry"
        )

    def test_categories(self):
        """
        Every category of a Pipfile.lock counts, whatever its name.
        """
        a, b, c = ({name: {"version": "==1"}} for name in "abc")
        content = write("pipfile", a, develop=b, docs=c)

        assert ["a", "b", "c"] == [p.name for p in packages(content, "pipfile")]


class TestWrong:
    @pytest.mark.parametrize(
        ("name", "wrong"),
        [(name, wrong) for name, row in CASES["wrong entry"].items() for wrong in row],
    )
    def test_entry(self, name, wrong):
        """
        One entry of another shape makes the lockfile opaque.
        """
        good = {"a": {"version": "==1"}} if name == "pipfile" else uv("a")

        assert packages(write(name, good), name)
        assert f"not a {name} lockfile" == problem(write(name, good, wrong), name)

    @pytest.mark.parametrize(("name", "head"), CASES["wrong head"])
    def test_head(self, name, head):
        """
        Every key of the head is there and has its shape.
        """
        content = write(name, uv(), head=head)

        assert f"not a {name} lockfile" == problem(content, name)

    @pytest.mark.parametrize("name", sorted(HEADS.keys() - {"uv"}))
    def test_no_packages(self, name):
        """
        A lockfile that is cut off before its packages has not lost them.
        """
        assert f"not a {name} lockfile" == problem(HEADS[name], name)

    @pytest.mark.parametrize(
        "more", ["package = 1\n", "package = []\nmanifest = 1\n", "manifest = []\n"]
    )
    def test_uv_list(self, more):
        """
        uv leaves the list of packages out if there are none; it writes no other shape.
        """
        assert "not a uv lockfile" == problem(more + HEADS["uv"], "uv")

    @pytest.mark.parametrize("category", [None, [], "x"])
    def test_category(self, category):
        """
        Every category of a Pipfile.lock is a table.
        """
        content = write("pipfile", docs=category)

        assert "not a pipfile lockfile" == problem(content, "pipfile")


class TestUvDirect:
    @pytest.mark.parametrize(("content", "expected"), CASES["uv direct"])
    def test_direct(self, content, expected):
        """
        Direct are the roots, and the packages that a root requires.
        """
        assert expected == [p.direct for p in packages(HEADS["uv"] + content, "uv")]


ONE, TWO = ({"x": {"version": f"=={version}"}} for version in "12")


class TestDiff:
    @every_format
    @pytest.mark.parametrize("kind", BUILDS)
    def test_build(self, kind, name):
        """
        Another commit or archive of the same version is a rebuild, without a URL.
        """
        old, new = (
            write(name, made(kind, name, build.rpartition(":")[2]))
            for build in BUILDS[kind]
        )
        (row,) = upgrades(old, new, name)

        assert ("rebuild", *BUILDS[kind]) == (row.kind, row.old_build, row.new_build)

    @pytest.mark.parametrize("name", ["pdm", "poetry", "pylock", "requirements", "uv"])
    def test_forks(self, name):
        """
        Versions of one name are a set, whatever their order.
        """
        one, two = (
            f"x=={v}" if name == "requirements" else uv("x", v)
            for v in ("2.9.1", "2.10")
        )
        both, reverse, single = (
            write(name, one, two),
            write(name, two, one),
            write(name, one),
        )

        assert [("version", ("2.9.1",), ("2.9.1", "2.10"), None, None)] == rows(
            single, both, name
        )
        assert [("version", ("2.9.1", "2.10"), ("2.9.1",), None, None)] == rows(
            both, single, name
        )
        assert [] == rows(both, reverse, name)

    def test_categories(self):
        """
        Versions of several categories of a Pipfile.lock are a set, too.
        """
        old, new = (
            write("pipfile", ONE, develop=ONE),
            write("pipfile", ONE, develop=TWO),
        )
        (row,) = upgrades(old, new, "pipfile")

        assert (("1",), ("1", "2"), None) == (row.old, row.new, row.environment)
        assert [] == rows(write("pipfile", ONE), write("pipfile", docs=ONE), "pipfile")

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("pdm", [entry()], [entry(), entry("x", "1.0", "extras = ['http2']")]),
            ("poetry", [entry("Jinja2")], [entry("jinja2")]),
            ("poetry", [entry()], [poetry("legacy")]),
            ("pylock", [entry()], [entry("x", "1.0", "sdist = { url = 'x' }")]),
            ("uv", [uv()], [entry("x", "1.0", MIRROR)]),
            ("uv", [made("git", "uv", COMMITS[0])], [uv()]),
        ],
        ids=["extra", "spelling", "index", "file", "mirror", "release"],
    )
    def test_no_upgrade(self, name, old, new):
        """
        An entry that is only written in another way is no upgrade.
        """
        assert read(write(name, *old), name) != read(write(name, *new), name)
        assert [] == rows(write(name, *old), write(name, *new), name)

    def test_extras(self):
        """
        A package with an entry per extra is one package.
        """
        old = write("pdm", entry(), entry("x", "1.0", "extras = ['http2']"))

        assert ["version"] == [
            row[0] for row in rows(old, write("pdm", entry("x", "2")), "pdm")
        ]

    @pytest.mark.parametrize("name", ["pylock", "uv"])
    def test_version_appears(self, name):
        """
        A version on one side only is a version change.
        """
        old, new = (write(name, uv("x", version)) for version in (None, "1.0"))

        assert [("version", (), ("1.0",), None, None)] == rows(old, new, name)
