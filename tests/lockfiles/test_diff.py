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


class TestKind:
    def test_added(self):
        """
        What is on the new side only is added.
        """
        row = one([], [Package("x", "1", build="b")])

        assert ("added", (), ("1",), None, "b") == (
            row.kind,
            row.old,
            row.new,
            row.old_build,
            row.new_build,
        )

    def test_removed(self):
        """
        What is on the old side only is removed, even without a version.
        """
        row = one([Package("x", None)], [])

        assert ("removed", (), ()) == (row.kind, row.old, row.new)

    def test_fewer_versions(self):
        """
        A fork that is gone is a change of the set of versions.
        """
        row = one([Package("x", "1"), Package("x", "2")], [Package("x", "2")])

        assert ("version", ("1", "2"), ("2",)) == (row.kind, row.old, row.new)

    @pytest.mark.parametrize("build", [None, "g"])
    def test_without_version(self, build):
        """
        An entry without a version, beside one that has it, is not seen coming.
        """
        some = Package("x", "1", build="g")
        unknown = Package("x", None, build=build)

        assert () == diff([some, unknown], [some]).upgrades
        assert () == diff([some], [unknown, some]).upgrades

    def test_only_without_version(self):
        """
        Alone it is, from or to one that has a version.
        """
        row = one([Package("x", None)], [Package("x", "1")])

        assert ("version", (), ("1",)) == (row.kind, row.old, row.new)

    def test_version_wins(self):
        """
        Another version is no rebuild.
        """
        row = one([Package("x", "1", build="a")], [Package("x", "2", build="b")])

        assert ("version", "a", "b") == (row.kind, row.old_build, row.new_build)

    def test_rebuild(self):
        """
        The same version of another build is a rebuild.
        """
        row = one([Package("x", "1", build="a")], [Package("x", "1", build="b")])

        assert ("rebuild", ("1",), ("1",)) == (row.kind, row.old, row.new)

    def test_rebuilds_are_per_version(self):
        """
        Builds are compared version by version.
        """
        old = [Package("x", "1", build="a"), Package("x", "2", build="b")]
        new = [Package("x", "1", build="b"), Package("x", "2", build="a")]

        assert "rebuild" == one(old, new).kind

    @pytest.mark.parametrize(("old", "new"), [("a", None), (None, "a")])
    def test_build_on_one_side(self, old, new):
        """
        A build on one side only says nothing.
        """
        assert (
            ()
            == diff(
                [Package("x", "1", build=old)], [Package("x", "1", build=new)]
            ).upgrades
        )

    def test_build_on_one_side_of_each(self):
        """
        Nor do two, if no version has one on both sides.
        """
        old = [Package("x", "1", build="a"), Package("x", "2")]
        new = [Package("x", "1"), Package("x", "2", build="b")]

        assert () == diff(old, new).upgrades

    def test_repeated(self):
        """
        An entry that is written twice is one package.
        """
        assert () == diff([Package("x", "1")] * 2, [Package("x", "1")]).upgrades


def parts(**builds):
    return [Package("x", "1", builds=tuple(builds.items()))]


class TestParts:
    def test_rebuild(self):
        """
        Another build of a part is a rebuild, and no other part is shown.
        """
        row = one(parts(p="a", q="b"), parts(p="a", q="c"))

        assert ("rebuild", "b", "c") == (row.kind, row.old_build, row.new_build)

    @pytest.mark.parametrize("new", [{}, {"q": "b"}, {"p": "a", "q": "b"}])
    def test_on_one_side(self, new):
        """
        A part that one side does not have says nothing.
        """
        assert () == diff(parts(p="a"), parts(**new)).upgrades

    def test_of_one_version(self):
        """
        Parts are compared version by version.
        """
        old = [Package("x", v, builds=(("p", b),)) for v, b in ("1a", "2b")]
        new = [Package("x", v, builds=(("p", b),)) for v, b in ("1b", "2a")]

        row = one(old, new)

        assert ("rebuild", "a, b", "a, b") == (row.kind, row.old_build, row.new_build)

    def test_whole_says_less(self):
        """
        If parts are the same, another build of the whole does not count.
        """
        old, new = (Package("x", "1", build=b, builds=(("p", "a"),)) for b in "bc")

        assert () == diff([old], [new]).upgrades

    @pytest.mark.parametrize("builds", [(), (("q", "b"),)])
    def test_whole_decides(self, builds):
        """
        Without a part to compare it does.
        """
        old = Package("x", "1", build="old", builds=(("p", "a"),))
        new = Package("x", "1", build="new", builds=builds)

        row = one([old], [new])

        assert ("rebuild", "old", "new") == (row.kind, row.old_build, row.new_build)

    def test_whole_is_shown(self):
        """
        If the whole has another build as well, it is what people read.
        """
        old, new = (Package("x", "1", build=b, builds=(("p", b),)) for b in "ab")

        row = one([old], [new])

        assert ("rebuild", "a", "b") == (row.kind, row.old_build, row.new_build)

    @pytest.mark.parametrize(
        ("old", "new"), [(None, None), ("same", "same"), (None, "new"), ("old", None)]
    )
    def test_whole_says_nothing(self, old, new):
        """
        If it has not, or not on both sides, people read what has.
        """
        row = one(
            [Package("x", "1", build=old, builds=(("p", "a"),))],
            [Package("x", "1", build=new, builds=(("p", "b"),))],
        )

        assert ("rebuild", "a", "b") == (row.kind, row.old_build, row.new_build)

    def test_version(self):
        """
        Beside a new version nobody reads of parts.
        """
        row = one(
            [Package("x", "1", build="a", builds=(("p", "b"),))],
            [Package("x", "2", builds=(("p", "c"),))],
        )

        assert ("version", "a", None) == (row.kind, row.old_build, row.new_build)


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
        ("old", "new", "expected"),
        [
            (True, False, True),
            (False, True, True),
            (False, False, False),
            (None, False, False),
            (True, None, True),
            (None, None, None),
        ],
    )
    def test_said(self, old, new, expected):
        """
        Direct is what is direct on some side.
        """
        row = one([Package("x", "1", direct=old)], [Package("x", "2", direct=new)])

        assert expected is row.direct

    @pytest.mark.parametrize(
        ("said", "names", "expected"),
        [
            (None, ["x"], True),
            (None, [], False),
            (None, ["y"], False),
            (False, ["x"], False),
            (True, [], True),
        ],
    )
    def test_names(self, said, names, expected):
        """
        The caller is asked only where the lockfile does not say.
        """
        row = one([], [Package("x", "1", direct=said)], direct=names)

        assert expected is row.direct

    def test_one_name(self):
        """
        One name is no collection of names.
        """
        with pytest.raises(TypeError, match="one name"):
            diff([], [], direct="x")


class TestLocal:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [(True, True, True), (True, False, False), (False, True, False)],
    )
    def test_both_sides(self, old, new, expected):
        """
        Local is what is local on both sides.
        """
        row = one([Package("x", "1", local=old)], [Package("x", "2", local=new)])

        assert expected is row.local


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
