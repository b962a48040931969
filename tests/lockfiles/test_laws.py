"""
What holds for all lockfiles.
"""

import json

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from upgrade_state import lockfiles
from upgrade_state.lockfiles import Package, Snapshot

FEW = st.sampled_from
# The first example imports what the others find.
law = settings(deadline=None)
COMMIT = b"a" * 40
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
    "cargo": b"version = 3\n[[package]]\nname = 'a'\nversion = '1'\n"
    b"dependencies = ['b 1']\n[[package]]\nname = 'b'\nversion = '1'\n"
    b"source = 'git+x#" + COMMIT + b"'\n[metadata]\n'checksum b 1' = 'c'\n",
    "conan": b'{"version": "0.5", "requires": ["a/1@u/c#r%1"],'
    b' "build_requires": [["b/2", {"p": "q"}]]}',
    "devbox": b'{"lockfile_version": "1", "packages": {"a@1": {"resolved": "g:n/c#a",'
    b' "version": "1", "systems": {"s": {"outputs": [{"name": "o", "path": "p",'
    b' "default": true}]}, "t": {"store_path": "p"}}}, "github:NixOS/nixpkgs/u": {},'
    b' "git+https://h/b?x#c": {"resolved": "git+https://h/b?rev=' + COMMIT + b'"}}}',
    "devenv": b'{"version": 7, "root": "r", "nodes": {"r": {"inputs": {"a": "x", "b":'
    b' ["a"]}}, "x": {"locked": {"rev": "1"}, "inputs": {"c": "y"}}, "y": {"locked":'
    b' {"narHash": "2", "type": "path"}, "inputs": {"d": ["a", "c"]}}}}',
    "flake": b'{"version": 7, "root": "r", "nodes": {"r": {"inputs": {"a": "x"}},'
    b' "x": {"locked": {"rev": "1"}, "inputs": {"c": "x"}}}}',
    "flox": b'{"lockfile-version": 1, "manifest": {}, "packages": [{"install_id":'
    b' "a", "system": "s", "version": null, "derivation": "d"}, {"install_id": "b",'
    b' "system": "s", "store_path": "p"}]}',
    "mise": b"lockfile_version = 3\n[[tools.a]]\nversion = '1'\n[tools.a.options]\n"
    b"o = '1'\n[tools.a.'platforms.p']\nchecksum = 'h:1'\n[tools.'x:b']\n"
    b"version = '1'\n[tools.'x:b'.platforms.p]\nchecksum = 'h:1'\n",
    "npm": b'{"lockfileVersion": 3, "packages": {"": {"dependencies": {"a": "1"}},'
    b' "node_modules/a": {"version": "1", "resolved": "g#' + COMMIT + b'"}, "w": {},'
    b' "w/node_modules/b": {"name": "c"}, "node_modules/w": {"link": true}}}',
    "spack": b'{"_meta": {"file-type": "spack-lockfile", "lockfile-version": 5},'
    b' "roots": [{"hash": "h"}], "concrete_specs": {"h": {"name": "a", "version":'
    b' "1", "parameters": {"dev_path": "p"}}}, "include_concrete": {"p": {"roots":'
    b' [], "concrete_specs": {"i": {"name": "a", "version": "1"}}}}}',
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
        builds=st.dictionaries(FEW("rs"), FEW("xy")).map(lambda d: tuple(d.items())),
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


def places(value):
    """
    Yield every place in a document, as what holds it and its key or index.
    """
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from places(value[key])


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

    @law
    @given(data=st.data())
    def test_other_shape(self, name, data):
        """
        Nor does one that is well-formed, with one value of another shape.
        """
        if not SEEDS[name].startswith(b"{"):
            return
        document = json.loads(SEEDS[name])
        holder, key = data.draw(st.sampled_from(list(places(document))))
        holder[key] = data.draw(st.sampled_from([None, True, 1, 1.5, "", "x", [], {}]))

        snapshot = lockfiles.read(json.dumps(document).encode(), format=name)

        assert (snapshot.packages is None) == (snapshot.problem is not None)

    @law
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

    def test_seed(self, name):
        """
        What gets damaged is readable before.
        """
        assert 2 == len(lockfiles.read(SEEDS[name], format=name).packages)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("Pipfile.lock/bot-bump/old.json", "pipfile"),
        ("conda-lock/bump/old.yml", "conda-lock"),
        ("devbox.lock/nginx/old.lock", "devbox"),
        ("flake.lock/bump-several/old.lock", "flake"),
        ("flox/upgrade-mixed/old.lock", "flox"),
        ("mise.lock/bump/old.lock", "mise"),
        ("package-lock.json/bump/old.json", "npm"),
        ("pixi.lock/v7-refresh/old.lock", "pixi"),
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
