"""
Laws that hold for all lockfiles.
"""

import json

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from lockfiles.helpers import SEEDS, cases
from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package, Snapshot

FEW = st.sampled_from

packages = st.lists(
    st.builds(
        Package,
        FEW("abc"),
        FEW([None, "1", "2", "10"]),
        ecosystem=FEW([None, "e"]),
        platform=FEW([None, "p", "q"]),
        environment=FEW([None, "e"]),
        build=FEW([None, "x", "y"]),
        builds=st.dictionaries(FEW("rs"), FEW("xy")).map(lambda d: tuple(d.items())),
        direct=FEW([None, True, False]),
        local=st.booleans(),
        internal=st.booleans(),
    ),
    max_size=12,
)
# The digest is that of nothing, but as different as the packages are.
snapshots = st.builds(
    lambda found, name: Snapshot(
        format=name, digest=repr(found), packages=tuple(found)
    ),
    packages,
    FEW(lockfiles.FORMATS),
)


def swapped(row):
    """
    Return *row* as it is the other way round.
    """
    other = {"added": "removed", "removed": "added"}
    return evolve(
        row,
        kind=other.get(row.kind, row.kind),
        old=row.new,
        new=row.old,
        old_build=row.new_build,
        new_build=row.old_build,
    )


class TestDiff:
    @given(snapshots)
    def test_itself(self, x):
        """
        Nothing differs from itself, however the bytes do.
        """
        diff = lockfiles.diff(x, evolve(x, digest="other"))

        assert (True, True, ()) == (diff.changed, diff.comparable, diff.upgrades)

    @given(snapshots, snapshots)
    def test_swapped(self, x, y):
        """
        The way back is the way there with both sides swapped.
        """
        there, back = lockfiles.diff(x, y), lockfiles.diff(y, x)

        assert tuple(map(swapped, there.upgrades)) == back.upgrades
        assert there.platforms == back.platforms

    @given(packages, packages, st.data())
    def test_order(self, old, new, data):
        """
        The order of entries does not matter where all of them count.
        """
        shuffled = data.draw(st.permutations(new))
        x, y, z = (
            Snapshot(format="uv", digest=digest, packages=tuple(found))
            for digest, found in (("x", old), ("y", new), ("z", shuffled))
        )

        assert lockfiles.diff(x, y) == lockfiles.diff(x, z)
        assert () == lockfiles.diff(y, z).upgrades

    @given(snapshots, snapshots)
    def test_news_only(self, x, y):
        """
        No row says the same on both sides.
        """
        rows = lockfiles.diff(x, y).upgrades

        assert [] == [
            u
            for u in rows
            if (u.kind == "version" and u.old == u.new)
            or (u.kind == "rebuild" and (u.old != u.new or not u.old_build))
        ]
        keys = {(u.name, u.ecosystem, u.platform, u.environment) for u in rows}
        assert len(keys) == len(rows)

    @given(snapshots, snapshots)
    def test_counts(self, x, y):
        """
        Over all platforms there is as much as on any, and no more than rows.
        """
        diff = lockfiles.diff(x, y)
        counts = lockfiles.counts(diff.upgrades, platforms=diff.platforms)
        totals = {platform: sum(n.values()) for platform, n in counts.items()}

        assert {"*", *diff.platforms} == set(counts)
        assert max(totals.values()) == totals["*"] <= len(diff.upgrades)


@pytest.mark.parametrize("name", lockfiles.FORMATS)
class TestRead:
    @given(content=st.binary())
    def test_any_bytes(self, name, content):
        """
        No content raises, and opaque content has a short problem.
        """
        snapshot = lockfiles.read(content, format=name)

        # Almost any text may require something.
        assert snapshot.packages is None or name == "requirements"
        assert snapshot.packages or 0 < len(snapshot.problem) < 40

    @given(data=st.data())
    def test_order_of_keys(self, name, data):
        """
        The order of keys has no meaning.
        """
        if not SEEDS[name].startswith(b"{"):
            return
        shuffled = json.loads(
            SEEDS[name],
            object_pairs_hook=lambda found: dict(data.draw(st.permutations(found))),
        )
        old, new = (
            lockfiles.read(json.dumps(document).encode(), format=name)
            for document in (json.loads(SEEDS[name]), shuffled)
        )

        assert () == lockfiles.diff(evolve(old, digest="old"), new).upgrades


@pytest.mark.parametrize("path", cases("samples")["cut"])
class TestSamples:
    @settings(max_examples=30)  # `nox -s fuzz` damages them more often
    @given(data=st.data())
    def test_cut(self, sample_folder, path, data):
        """
        Nor does a real lockfile without a piece of it.
        """
        sample = (sample_folder / path).read_bytes()
        start = data.draw(st.integers(0, len(sample)))
        length = data.draw(st.integers(0, 2000))

        folder = path.partition("/")[0]
        name = lockfiles.format_of(folder) or folder
        lockfiles.read(sample[:start] + sample[start + length :], format=name)
