import json

import pytest

from lockfiles.helpers import SECRET, cases, packages, problem, rows, upgrades

CASES = cases("pins")

PINS = [(name, *case) for name in ("npins", "niv") for case in CASES[f"pins {name}"]]


def write(name, pins, **fields):
    document = {"pins": pins, "version": 7} if name == "npins" else pins
    return json.dumps(document | fields)


def one(name, **fields):
    """
    Return a lockfile with one pin, which has a URL with a password.
    """
    urls = {"repo": f"{SECRET}/r", "repository": {"url": SECRET}, "url": SECRET}
    return write(name, {"a": {"type": "Git"} | urls | fields})


class TestPins:
    @pytest.mark.parametrize(("name", "pin", "version", "build"), PINS)
    def test_pin(self, name, pin, version, build):
        """
        The version is that of a release, or else what identifies the content.
        """
        (p,) = packages(write(name, {"a": pin}), name)

        assert ("a", version, name, build, True, False) == (
            p.name, p.version, p.ecosystem, p.build, p.direct, p.local,
        )  # fmt: skip
        assert version is None or () == p.builds

    def test_local(self):
        """
        A directory of niv is local, and its path is not kept.
        """
        (p,) = packages(write("niv", {"a": {"type": "local", "path": "./src"}}), "niv")

        assert p.local
        assert "src" not in repr(p)

    @pytest.mark.parametrize("version", range(9))
    def test_version(self, version):
        """
        All versions of npins have their pins in one place.
        """
        pins = {"a": {"type": "Git", "revision": "1"}}

        assert packages(write("npins", pins, version=version), "npins")

    @pytest.mark.parametrize(
        ("version", "shown"), [(9, " 9"), (-1, ""), (2026, " 2026")]
    )
    def test_other_version(self, version, shown):
        """
        Any other version is opaque.
        """
        content = write("npins", {}, version=version)

        assert f"unsupported version{shown}" == problem(content, "npins")

    def test_none(self):
        """
        npins writes a lockfile without pins.
        """
        assert () == packages(write("npins", {}), "npins")


@pytest.mark.parametrize(("name", "key"), [("npins", "hash"), ("niv", "sha256")])
class TestHash:
    def test_rebuild(self, name, key):
        """
        The file at a URL has neither version nor revision, so its hash is its build.
        """
        old, new = (one(name, **{key: f"sha256-{n}"}) for n in "12")

        assert [("rebuild", (), (), "sha256-1", "sha256-2")] == rows(old, new, name)

    @pytest.mark.parametrize(("old", "new"), CASES["hash same"])
    def test_same(self, name, key, old, new):
        """
        Another spelling of the hash, or a hash on one side only, is no rebuild.
        """
        assert [] == rows(one(name, **{key: old}), one(name, **{key: new}), name)


@pytest.mark.parametrize(
    ("name", "revision", "hash_"),
    [("npins", "revision", "hash"), ("niv", "rev", "sha256")],
)
class TestDiff:
    def test_revision(self, name, revision, hash_):
        """
        Another revision is another version; no URL is in the row.
        """
        old, new = (one(name, **{revision: n, hash_: n}) for n in "12")
        (row,) = upgrades(old, new, name)

        assert ("version", ("1",), ("2",), None, True) == (
            row.kind, row.old, row.new, row.new_build, row.direct,
        )  # fmt: skip

    def test_moved_tag(self, name, revision, hash_):
        """
        Another revision of one release is a rebuild.
        """
        old, new = (one(name, version="1.0", **{revision: n, hash_: n}) for n in "12")

        assert [("rebuild", ("1.0",), ("1.0",), "1", "2")] == rows(old, new, name)


class TestWrong:
    @pytest.mark.parametrize("fields", CASES["wrong npins"])
    def test_npins(self, fields):
        """
        One value of another shape makes the lockfile opaque.
        """
        content = json.dumps({"version": 7, "pins": {}} | fields)

        assert "not a npins lockfile" == problem(content, "npins")

    @pytest.mark.parametrize("pins", CASES["wrong niv"])
    def test_niv(self, pins):
        """
        A pin without a source, or no pin at all, is another file.
        """
        assert "not a niv lockfile" == problem(write("niv", pins), "niv")
