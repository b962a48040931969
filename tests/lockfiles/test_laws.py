"""
What holds for all lockfiles.
"""

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package, Snapshot

FEW = st.sampled_from
# The first example imports what the others find.
law = settings(deadline=None)
SEEDS = {
    "conda-explicit": b"# platform: p\n@EXPLICIT\nhttps://h/p/a-1-0.conda#%032d\n"
    b"# pip b @ git+https://h/b@%040d\n" % (0, 0),
    "conda-list": b'[{"name": "a", "version": "1", "build_string": "0", "channel":'
    b' "c"}, {"name": "b", "version": "1", "build_string": "0", "channel": "pypi"}]',
    "conda-lock": b"version: 1\nmetadata: {}\npackage:\n- {name: a, version: 1,"
    b" manager: conda, platform: p, url: h/a-1-0.conda}\n- name: b\n  version: '1'\n"
    b"  manager: pip\n  platform: p\n  url: git+h\n",
    "flox": b'{"lockfile-version": 1, "manifest": {}, "packages": [{"install_id":'
    b' "a", "system": "s", "version": null, "derivation": "d"}, {"install_id": "b",'
    b' "system": "s", "store_path": "p"}]}',
    "pdm": b"[metadata]\nlock_version = '4.5.0'\n[[package]]\nname = 'a'\n"
    b"version = '1'\npath = 'a.whl'\nfiles = [{ file = 'f', hash = 'h' }]\n"
    b"[[package]]\nname = 'b'\nversion = '1'\ngit = 'x'\nrevision = 'r'\n",
    "pipfile": b'{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "==1"}},'
    b' "c": {"b": {"path": "b.whl", "hashes": ["h"]}}}',
    "poetry": b"[[package]]\nname = 'a'\nversion = '1'\nfiles = [{ hash = 'h' }]\n"
    b"source = { type = 'url' }\n[[package]]\nname = 'b'\nversion = '1'\n"
    b"[package.source]\ntype = 'git'\nresolved_reference = 'r'\n"
    b"[metadata]\nlock-version = '2.1'\n",
    "pylock": b"lock-version = '1.0'\ncreated-by = 'x'\n[[packages]]\nname = 'a'\n"
    b"vcs = { type = 'git', commit-id = 'c' }\n[[packages]]\nname = 'b'\n"
    b"archive = { hashes = { sha256 = 'h' } }\n",
    "requirements": b"a[x] == 1 ; y < '3' \\\n  --hash=sha256:1 # c\nb @ https://f.example/"
    b"b-1-py3-none-any.whl#sha256=" + b"1" * 64 + b"\n-e ./d\n-i https://i.example\n",
    "pixi": b"version: 6\nenvironments:\n  d:\n    packages:\n      p:\n      - conda:"
    b" a-1-0.conda\n      - {pypi: .}\npackages:\n- conda: a-1-0.conda\n- pypi: .\n"
    b"  name: b\n- pypi: '.'\n  name: c\n",
    "uv": b"version = 1\nrequires-python = '>=3.11'\n[manifest]\nmembers = ['a']\n"
    b"[[package]]\nname = 'a'\nsource = { virtual = '.' }\n"
    b"dependencies = [{ name = 'b' }]\n[[package]]\nname = 'b'\nversion = '1'\n"
    b"source = { git = 'x#1' }\nsdist = { hash = 'h' }\n",
}

packages = st.lists(
    st.builds(
        Package,
        FEW("abc"),
        FEW([None, "1", "2", "10"]),
        platform=FEW([None, "p", "q"]),
        environment=FEW([None, "e"]),
        build=FEW([None, "x", "y"]),
        direct=FEW([None, True, False]),
        local=st.booleans(),
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
    @law
    @given(snapshots)
    def test_itself(self, x):
        """
        Nothing differs from itself, however the bytes do.
        """
        diff = lockfiles.diff(x, evolve(x, digest="other"))

        assert (True, True, ()) == (diff.changed, diff.comparable, diff.upgrades)

    @law
    @given(snapshots, snapshots)
    def test_swapped(self, x, y):
        """
        The way back is the way there with both sides swapped.
        """
        there, back = lockfiles.diff(x, y), lockfiles.diff(y, x)

        assert tuple(map(swapped, there.upgrades)) == back.upgrades
        assert there.platforms == back.platforms

    @law
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

    @law
    @given(snapshots, snapshots)
    def test_news_only(self, x, y):
        """
        No row says the same on both sides.
        """
        rows = lockfiles.diff(x, y).upgrades

        assert [] == [
            u
            for u in rows
            if u.kind == "rebuild" and (u.old != u.new or not u.old_build)
        ]
        assert len({(u.name, u.platform, u.environment) for u in rows}) == len(rows)

    @law
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
    @law
    @given(content=st.binary())
    def test_any_bytes(self, name, content):
        """
        No content raises, and opaque content has a short problem.
        """
        snapshot = lockfiles.read(content, format=name)

        # Almost any text may require something.
        assert snapshot.packages is None or name == "requirements"
        assert snapshot.packages or 0 < len(snapshot.problem) < 40

    @law
    @given(data=st.data())
    def test_damaged(self, name, data):
        """
        Nor does a lockfile with anything in it replaced by anything.
        """
        seed = SEEDS[name]
        start = data.draw(st.integers(0, len(seed)))
        stop = data.draw(st.integers(start, min(start + 12, len(seed))))
        bits = st.sampled_from([b"1", b"[]", b"{}", b"''", b'""', b"null", b"\xff"])
        piece = data.draw(st.one_of(st.binary(max_size=4), bits))

        snapshot = lockfiles.read(seed[:start] + piece + seed[stop:], format=name)

        assert (snapshot.packages is None) == (snapshot.problem is not None)

    def test_seed(self, name):
        """
        What gets damaged is readable before.
        """
        assert 2 == len(lockfiles.read(SEEDS[name], format=name).packages)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Pipfile.lock/bot-bump/old.json", "pipfile"),
        ("flox/upgrade-mixed/old.lock", "flox"),
        ("poetry.lock/update-dependencies/old.lock", "poetry"),
        ("pylock.toml/pip-build-project/old.toml", "pylock"),
    ],
)
class TestSamples:
    @law
    @given(data=st.data())
    def test_damaged(self, samples, path, name, data):
        """
        Nor does a real lockfile.
        """
        sample = (samples / path).read_bytes()
        start = data.draw(st.integers(0, len(sample)))
        length = data.draw(st.integers(0, 2000))

        lockfiles.read(sample[:start] + sample[start + length :], format=name)
