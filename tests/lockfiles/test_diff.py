import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package, Snapshot


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


def x(version="1", build=None, **parts):
    return Package("x", version, build=build, builds=tuple(parts.items()))


class TestKind:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ([], [x(build="b")], ("added", (), ("1",), None, "b")),
            ([x(None)], [], ("removed", (), (), None, None)),
            # A fork less is a change of the set.
            ([x("1"), x("2")], [x("2")], ("version", ("1", "2"), ("2",), None, None)),
            ([x(None)], [x("1")], ("version", (), ("1",), None, None)),
            # Beside a new version, builds are shown but do not decide.
            ([x("1", "a")], [x("2", "b")], ("version", ("1",), ("2",), "a", "b")),
            (
                [x("1", "a", p="b")],
                [x("2", p="c")],
                ("version", ("1",), ("2",), "a", None),
            ),
            ([x("1", "a")], [x("1", "b")], ("rebuild", ("1",), ("1",), "a", "b")),
            # Builds, also of parts, are compared version by version.
            (
                [x("1", "a"), x("2", "b")],
                [x("1", "b"), x("2", "a")],
                ("rebuild", ("1", "2"), ("1", "2"), "a, b", "a, b"),
            ),
            (
                [x("1", p="a"), x("2", p="b")],
                [x("1", p="b"), x("2", p="a")],
                ("rebuild", ("1", "2"), ("1", "2"), "a, b", "a, b"),
            ),
            # Another build of a part is a rebuild; only that part is shown.
            (
                [x(p="a", q="b")],
                [x(p="a", q="c")],
                ("rebuild", ("1",), ("1",), "b", "c"),
            ),
            # Without a common part the build of the whole decides.
            *(
                ([x("1", "a", p="c")], [new], ("rebuild", ("1",), ("1",), "a", "b"))
                for new in (x("1", "b"), x("1", "b", q="d"))
            ),
            # The whole is shown if it differs, else the parts.
            *(
                (
                    [x("1", whole_old, p="a")],
                    [x("1", whole_new, p="b")],
                    ("rebuild", ("1",), ("1",), *shown),
                )
                for whole_old, whole_new, shown in (
                    ("c", "d", "cd"),
                    (None, None, "ab"),
                    ("c", "c", "ab"),
                    (None, "d", "ab"),
                    ("c", None, "ab"),
                )
            ),
        ],
    )
    def test_row(self, old, new, expected):
        """
        A row has the kind, the versions and the builds of both sides.
        """
        row = one(old, new)

        assert expected == (
            row.kind,
            row.old,
            row.new,
            row.old_build,
            row.new_build,
        )

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            # An entry that is written twice is one package.
            ([x()] * 2, [x()]),
            # An entry without a version, beside one with a version, adds nothing.
            ([x("1", "g"), x(None)], [x("1", "g")]),
            ([x("1", "g"), x(None, "g")], [x("1", "g")]),
            # A build on one side only does not count, of the whole or of a part.
            ([x("1", "a")], [x("1")]),
            ([x("1", "a"), x("2")], [x("1"), x("2", "b")]),
            *(
                ([x(p="a")], [x(**parts)])
                for parts in ({}, {"q": "b"}, {"p": "a", "q": "b"})
            ),
            # Equal parts outweigh the build of the whole.
            ([x("1", "b", p="a")], [x("1", "c", p="a")]),
        ],
    )
    def test_no_row(self, old, new):
        """
        Packages without a known difference are not listed.
        """
        assert () == diff(old, new).upgrades
        assert () == diff(new, old).upgrades


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
    @pytest.mark.parametrize(
        ("old", "new", "names", "expected"),
        [
            # Direct on either side is direct.
            (True, False, None, True),
            (False, True, None, True),
            (False, False, None, False),
            (None, False, None, False),
            (True, None, None, True),
            (None, None, None, None),
            # The caller's names count if the lockfiles do not tell.
            (None, None, ["x"], True),
            (None, None, [], False),
            (None, None, ["y"], False),
            (None, False, ["x"], False),
            (None, True, [], True),
        ],
    )
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
