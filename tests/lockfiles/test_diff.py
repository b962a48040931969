import pytest

from lockfiles.helpers import cases
from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package, Snapshot

CASES = cases("diff")


def snapshot(*packages, digest=None, name="uv"):
    return Snapshot(
        format=name, digest=digest or f"blake2b:{packages}", packages=packages
    )


def diff(old, new, **kw):
    return lockfiles.diff(snapshot(*old), snapshot(*new), **kw)


def one(old, new, **kw):
    (row,) = diff(old, new, **kw).upgrades
    return row


class TestComparable:
    def test_equal_bytes(self):
        """
        Equal bytes are not compared any further.
        """
        old = snapshot(Package("x", "1", platform="p"), digest="d")
        new = snapshot(Package("x", "2", platform="p"), digest="d")

        assert lockfiles.Diff(
            changed=False, comparable=True, platforms=("p",)
        ) == lockfiles.diff(old, new)

    def test_equal_packages(self):
        """
        Other bytes with the same packages have changed without an upgrade.
        """
        old, new = (snapshot(Package("x", "1"), digest=d) for d in "ab")

        assert lockfiles.Diff(changed=True, comparable=True) == lockfiles.diff(old, new)

    @pytest.mark.parametrize("digest", ["a", "b"])
    def test_opaque(self, digest):
        """
        An opaque side leaves only whether the bytes have changed.
        """
        opaque = Snapshot(format="uv", digest="a", problem="empty")
        readable = snapshot(Package("x", "1"), digest=digest)
        expected = lockfiles.Diff(changed=digest != "a", comparable=False)

        assert expected == lockfiles.diff(opaque, readable)
        assert expected == lockfiles.diff(readable, opaque)

    def test_other_format(self):
        """
        Lockfiles of different formats have no packages in common.
        """
        diff = lockfiles.diff(
            snapshot(Package("x", "1")), snapshot(Package("x", "2"), name="flox")
        )

        assert lockfiles.Diff(changed=True, comparable=False) == diff

    def test_own_format(self):
        """
        A format of the caller's own is compared by the common rules.
        """
        old, new = (snapshot(Package("x", v), name="mine") for v in "12")

        assert ["version"] == [u.kind for u in lockfiles.diff(old, new).upgrades]

    def test_platforms(self):
        """
        Platforms of both sides are listed, upgraded or not.
        """
        old = [Package("x", "1", platform="b"), Package("y", "1")]
        new = [Package("x", "1", platform="a")]

        assert ("a", "b") == diff(old, new).platforms


def side(entries):
    """
    Return the packages of one side of a comparison in the table.
    """
    return [entry_of(*entry.split()) for entry in entries]


def entry_of(version, *builds):
    parts = tuple(tuple(build.split("=")) for build in builds if "=" in build)
    build = next((build for build in builds if "=" not in build), None)
    return Package("x", None if version == "-" else version, build=build, builds=parts)


class TestKind:
    @pytest.mark.parametrize(("old", "new", "expected"), CASES["row"])
    def test_row(self, old, new, expected):
        """
        A row has the kind, the versions and the builds of both sides.
        """
        row = one(side(old), side(new))

        assert expected == [
            *(row.kind, [*row.old], [*row.new], row.old_build, row.new_build)
        ]

    @pytest.mark.parametrize(("old", "new"), CASES["no row"])
    def test_no_row(self, old, new):
        """
        Packages without a known difference are not listed.
        """
        assert () == diff(side(old), side(new)).upgrades
        assert () == diff(side(new), side(old)).upgrades


class TestKey:
    @pytest.mark.parametrize("field", ["ecosystem", "platform", "environment"])
    def test_apart(self, field):
        """
        One name in two ecosystems, platforms or environments is two packages.
        """
        old, new = ([Package("x", "1", **{field: value})] for value in "ab")

        assert [("removed", "a"), ("added", "b")] == [
            (u.kind, getattr(u, field)) for u in diff(old, new).upgrades
        ]

    def test_order(self):
        """
        Rows are sorted by name, platform, environment, ecosystem; None first.
        """
        keys = [
            ("a", "q", None, None),
            ("b", None, None, None),
            ("b", None, None, "e"),
            ("b", None, "d", "c"),
            ("b", "p", "c", None),
        ]
        rows = diff(
            [],
            [
                Package(n, "1", platform=p, environment=v, ecosystem=e)
                for n, p, v, e in reversed(keys)
            ],
        ).upgrades

        assert keys == [(u.name, u.platform, u.environment, u.ecosystem) for u in rows]


class TestText:
    @pytest.mark.parametrize(
        "versions",
        [
            ("2.9", "2.10"),
            ("1.0", "1.0.1"),
            ("1.0", "1.00", "1.01", "1.2"),
            ("2.7.1", "2.7.1+cpu", "2.7.1+cu128"),
            ("9" * 5000, "1" + "0" * 5000),
            ("", "0", "1", "a"),
        ],
    )
    def test_versions(self, versions):
        """
        Versions are sorted with numbers by value.
        """
        row = one([], [Package("x", v) for v in reversed(versions)])

        assert versions == row.new

    def test_builds(self):
        """
        Several builds are sorted, each once.
        """
        old = [Package("x", v, build=b) for v, b in ("1b", "1a", "2a")]

        row = one(old, [Package("x", "1")])

        assert ("a, b", None) == (row.old_build, row.new_build)


class TestDirect:
    @pytest.mark.parametrize(("old", "new", "names", "expected"), CASES["direct"])
    def test_direct(self, old, new, names, expected):
        """
        The lockfiles tell which packages are direct, or else the caller does.
        """
        row = one(
            [Package("x", "1", direct=old)],
            [Package("x", "2", direct=new)],
            direct=names,
        )

        assert expected is row.direct

    def test_one_name(self):
        """
        One name is no collection of names.
        """
        with pytest.raises(TypeError, match="one name"):
            diff([], [], direct="x")


class TestLocal:
    @pytest.mark.parametrize("field", ["local", "internal"])
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [(True, True, True), (True, False, False), (False, True, False)],
    )
    def test_both_sides(self, field, old, new, expected):
        """
        A row is local or internal if the package is on both sides.
        """
        sides = ([Package("x", v, **{field: b})] for v, b in (("1", old), ("2", new)))

        assert expected is getattr(one(*sides), field)


class TestUpgrade:
    def test_by_hand(self):
        """
        A manager without a lockfile writes its rows itself.
        """
        row = lockfiles.Upgrade("x", "version", old=("1",), new=("2",))

        assert (None, None, None, False) == (
            row.platform,
            row.old_build,
            row.direct,
            row.local,
        )

    def test_kind(self):
        """
        There are four kinds.
        """
        with pytest.raises(ValueError, match="kind"):
            lockfiles.Upgrade("x", "updated")

    @pytest.mark.parametrize("side", ["old", "new"])
    def test_versions(self, side):
        """
        A text is no tuple of versions.
        """
        with pytest.raises(TypeError, match=side):
            lockfiles.Upgrade("x", "version", **{side: "1.0"})
