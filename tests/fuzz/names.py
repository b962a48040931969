"""
Odd names of environments: a handle with the documented key, or a caller's error.
"""

import contextlib
import os
from pathlib import Path

from fuzz import damage
from fuzz.records import key_of
from upgrade_state import StateStore, UpgradeStateError

PIECES = [*damage.ODD["texts"], *damage.ODD["names"], *damage.LONG]
OTHERS = [None, 0, 1, True, 1.5, b"", b"x", b"\xff", ["x"], ("x",), object(), Path("x")]


class Name(str):
    __slots__ = ()


class Target:
    def __init__(self, place):
        os.chdir(place)
        self.store = StateStore(f"{place}/cache")
        self.facts = {"named": 0, "refused": 0, "looked": 0}

    def candidates(self, rng, count):
        for _ in range(count):
            yield (
                rng,
                [self.name(rng), self.name(rng), rng.choice((None, self.name(rng)))],
            )

    def name(self, rng):
        if rng.random() < 0.1:
            return rng.choice(OTHERS)
        text = "".join(rng.choices(PIECES, k=rng.choice((1, 1, 2, 3, 5))))
        make = rng.choice((str, str, str, str, Name, Path, os.fsencode))
        try:
            return make(text)
        except ValueError:  # of os.fsencode: a surrogate that escapes no byte
            return text

    def examine(self, candidate):
        rng, (directory, lockfile, name) = candidate
        try:
            found = self.store.environment(directory, lockfile, name=name)
        except (TypeError, ValueError):
            self.facts["refused"] += 1
            # Nothing that the description allows is refused.
            assert not (
                isinstance(directory, str)
                and directory.isascii()
                and directory.strip("\0/ ") == directory != ""
                and "\0" not in directory
                and lockfile in (None, "uv.lock")
                and name in (None, "docs")
            )
            return
        self.facts["named"] += 1
        path = os.path.realpath(os.fsencode(directory))
        names = (None if n is None else os.fsencode(str(n)) for n in (lockfile, name))
        assert found.key == key_of(path, *names)
        assert found.path == os.fsdecode(path)
        assert type(found.lockfile_name) in (str, type(None))
        assert repr(found)
        if rng.random() < 0.05:
            self.facts["looked"] += 1
            look = found.look()
            assert look.record is None
            assert not look.is_corrupt
            assert look.error is None
            assert (look.verdict().reason, look.freshness().due) == (
                "nothing-known",
                True,
            )
            assert look.missing in (None, "directory")
            assert found.snooze(None) is False
            # The directory may be a file.
            with contextlib.suppress(UpgradeStateError), found.try_check() as check:
                assert check is not None
            assert found.forget()
