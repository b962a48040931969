"""
Read and compare contents in tests, through the public door.
"""

from pathlib import Path

import yaml

from upgrade_state import lockfiles

# A small lockfile per format, with something of everything that a reader reads.
SEEDS = {
    path.stem: path.read_bytes() for path in Path(__file__).with_name("seeds").iterdir()
}

# One file of tables per module of tests.
_CASES = Path(__file__).with_name("cases")

COMMITS = "a" * 40, "b" * 40
DIGESTS = "1" * 64, "2" * 64

# Credentials that no package and no row may contain.
SECRET = "https://user:secret@files.example"


def cases(stem):
    """
    Return the tables of texts and documents that a module of tests reads.
    """
    return yaml.safe_load((_CASES / f"{stem}.yml").read_bytes())


def read(content, name):
    """
    Return the snapshot of *content*, bytes or text.
    """
    content = content.encode() if isinstance(content, str) else content
    return lockfiles.read(content, format=name)


def packages(content, name):
    """
    Return the packages of a readable lockfile.
    """
    snapshot = read(content, name)

    assert snapshot.problem is None
    return snapshot.packages


def problem(content, name):
    """
    Return the problem of an opaque lockfile.
    """
    snapshot = read(content, name)

    assert snapshot.packages is None
    return snapshot.problem


def upgrades(old, new, name):
    """
    Return the upgrades between two readable lockfiles.
    """
    diff = lockfiles.diff(read(old, name), read(new, name))

    assert diff.comparable
    assert "secret" not in repr(diff)
    return diff.upgrades


def rows(old, new, name):
    """
    Return kind, versions and builds of these upgrades.
    """
    return [
        (u.kind, u.old, u.new, u.old_build, u.new_build)
        for u in upgrades(old, new, name)
    ]
