"""
Checks that Flox has made, from files as Flox writes them.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flox import (
    DARWIN,
    LINUX,
    NEW,
    OLD,
    TIME,
    Flox,
    lockfile,
    package,
    pretty,
    store_path,
)
from helpers import DAY, NOON, SECOND, WEEK, commit, read_record, refuse
from upgrade_state import CheckGuard, lockfiles
from upgrade_state.checks import FLOX_LOCKFILE, import_flox_check
from upgrade_state.exceptions import ResolverError, StateReadError

# Does as Flox does: holds the lock, and writes in place; here in two halves.
WRITER = """
import fcntl, os, sys, time
stem, count = sys.argv[1], int(sys.argv[2])
content = open(stem + ".json", "rb").read()
for number in range(count):
    lock = os.open(stem + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        continue
    finally:
        print("written", flush=True)
    with open(stem + ".json", "wb", 0) as file:
        file.write(content[:100])
        time.sleep(0.002)
        file.write(content[100:])
    os.close(lock)
"""


@pytest.fixture
def flox(place):
    flox = Flox(place)
    flox.write()
    return flox


@pytest.fixture
def shop(store, place):
    return store.environment(place, FLOX_LOCKFILE)


class TestImport:
    def test_stored(self, shop, flox):
        """
        The check is that of Flox: its time, lockfiles and counts.
        """
        assert "checked" == import_flox_check(shop).state

        known = shop.look().information
        assert (NOON, "flox") == (known.last_checked, known.checker)
        assert pretty(OLD) == shop.kept_lockfile("old")
        assert pretty(NEW) == shop.kept_lockfile("new")
        verdict = shop.claim_notice(now=NOON)
        assert verdict
        assert "1 version change and 1 rebuild" == verdict.summary
        assert "fresh" == shop.look(now=NOON).freshness().reason

    @pytest.mark.parametrize("end", ["\n", ""])
    def test_upgraded(self, shop, flox, end):
        """
        The lockfile after `flox upgrade` is recognised, also of an older Flox.
        """
        flox.lockfile.write_bytes(pretty(OLD, end))
        import_flox_check(shop)
        assert "notify" == shop.look(now=NOON).verdict().reason

        flox.lockfile.write_bytes(pretty(NEW, end))

        assert "upgraded" == shop.look(now=NOON).verdict().reason

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (json.dumps(OLD).encode(), "notify"),
            (pretty(OLD | {"compose": None}), "notify"),
            (pretty(lockfile()), "lockfile-changed"),
            (b"{", "lockfile-changed"),
            (b"[" * 100_000, "lockfile-changed"),
            (None, "lockfile-changed"),
        ],
    )
    def test_current_lockfile(self, shop, flox, content, reason):
        """
        It is compared as Flox does, by values and without null.
        """
        flox.lockfile.unlink()
        if content is not None:
            flox.lockfile.write_bytes(content)

        assert "checked" == import_flox_check(shop).state
        assert reason == shop.look(now=NOON).verdict().reason

    @pytest.mark.parametrize(
        "at", [TIME, "2026-11-20T12:00:00Z", "+002026-11-20T14:00:00.5+02:00"]
    )
    def test_time(self, shop, flox, at):
        """
        Flox's time is cut to whole seconds.
        """
        flox.write(at=at)

        assert "checked" == import_flox_check(shop).state
        assert NOON == shop.look().information.last_checked

    @pytest.mark.parametrize(
        ("ours", "state"),
        [
            (NOON - SECOND, "checked"),
            (NOON, "fresh"),
            (NOON + DAY, "fresh"),
            (NOON + 5_000 * DAY, "checked"),
        ],
    )
    def test_newer(self, shop, flox, ours, state):
        """
        A check that is not newer than ours changes nothing, except one of the future.
        """
        commit(shop, now=ours)
        before = read_record(shop)

        assert state == import_flox_check(shop).state
        assert (state == "fresh") == (before == read_record(shop))

    def test_what_is_not_flox_s_stays(self, shop, flox):
        """
        Snoozing and the last notice stay as they are.
        """
        commit(shop, b"{}", now=NOON - WEEK)
        shop.snooze(NOON + DAY)

        import_flox_check(shop)

        assert NOON + DAY == shop.look().information.snoozed_until

    def test_without_lockfile(self, shop, flox):
        """
        Flox gives no notice if it had no lockfile to compare; nothing is recorded.
        """
        flox.write(old=None)

        assert "no-lockfile" == import_flox_check(shop).state
        assert shop.look().record is None

    def test_in_vain(self, shop, flox, monkeypatch):
        """
        A check that is running, or was faster, is no error.
        """
        with shop.try_check():
            assert "busy" == import_flox_check(shop).state
        monkeypatch.setattr(CheckGuard, "commit", lambda *_, **__: False)
        assert "dropped" == import_flox_check(shop).state


class TestRefused:
    def refused(self, shop, message, error=StateReadError):
        with pytest.raises(error, match=message) as caught:
            import_flox_check(shop, patience=0 * SECOND)
        assert shop.look().record is None
        return caught.value

    def test_no_check(self, shop, flox):
        """
        There may be no check yet, and no lock.
        """
        flox.file.unlink()
        assert str(flox.file) == self.refused(shop, "Flox has made no check yet").path
        flox.lock.unlink()
        self.refused(shop, "Flox has made no check yet")

    @pytest.mark.parametrize("length", [0, 1, 100, -1])
    def test_half_written(self, shop, flox, length):
        """
        A file that a killed Flox left is refused.
        """
        flox.file.write_bytes(flox.file.read_bytes()[:length])

        self.refused(shop, "is half-written, or from")

    @pytest.mark.parametrize(
        "content",
        [
            b"null",
            b"{}",
            b'{"upgrade_result": [], "last_checked": ""}',
            b"\xff",
            b"[" * 100_000,
        ],
    )
    def test_other_shape(self, shop, flox, content):
        """
        So is anything else.
        """
        flox.file.write_bytes(content)

        self.refused(shop, "is half-written, or from")

    @pytest.mark.parametrize(
        "fields",
        [{"at": at} for at in ("", 1, None, "now", "+012026-11-20T12:00:00Z")]
        + [{"at": at} for at in ("2026-13-20T12:00:00Z", "0999-01-01T00:00:00Z")]
        + [{"at": "9999-12-31T23:59:59-01:00"}]
        + [{"at": f"1000-01-01T00:00:00+{zone}"} for zone in ("23:59", "24:00")]
        + [{"at": f"2026-11-20T12:00:00{end}"} for end in ("", ".5", "Z\x1b[31m")]
        + [{"old": 1}, {"old": {}}, {"new": None}, {"new": []}]
        + [{"new": NEW | {"name": "\ud800"}}],
    )
    def test_other_fields(self, shop, flox, fields):
        """
        So are fields of another kind.
        """
        flox.write(**fields)

        self.refused(shop, "is half-written, or from")

    @pytest.mark.parametrize("at", ["+002999-01-01T00:00:00Z", TIME])
    def test_future(self, shop, flox, at, monkeypatch):
        """
        A time that is further ahead than clocks differ would block later checks.
        """
        flox.write(at=at)
        if at == TIME:
            now = NOON.timestamp() - 301
            monkeypatch.setattr(time, "time", lambda: now)

        self.refused(shop, "ahead of the clock; delete it")

    def test_other_lockfile(self, shop, flox):
        """
        So is a new lockfile that is none of Flox.
        """
        flox.write(new={"packages": [], "lockfile-version": 2})

        self.refused(shop, "is not a flox lockfile", ResolverError)

    def test_no_regular_file(self, shop, flox):
        """
        A pipe is not read.
        """
        flox.file.unlink()
        os.mkfifo(flox.file)
        # A reader that opens it gets an end of file, and does not hang the tests.
        writer = threading.Thread(target=lambda: flox.file.open("wb").close())
        writer.start()
        try:
            self.refused(shop, "no regular file")
            assert writer.is_alive()
        finally:
            # Open until the writer is through: it may be about to open the pipe.
            reader = os.open(flox.file, os.O_RDONLY | os.O_NONBLOCK)
            writer.join()
            os.close(reader)

    def test_unreadable(self, shop, flox, monkeypatch):
        """
        The reason is named.
        """
        monkeypatch.setattr(fcntl, "flock", refuse())

        self.refused(shop, r"Could not read Flox's check \(Permission denied\)")

    def test_other_environment(self, store, place, flox):
        """
        The handle has to be that of the environment's lockfile.
        """
        with pytest.raises(ValueError, match="not an environment of Flox"):
            import_flox_check(store.environment(place, "uv.lock"))


class TestLock:
    def test_waits(self, shop, flox):
        """
        A check of Flox is waited for.
        """
        with flox.locked():
            thread = threading.Thread(target=import_flox_check, args=[shop])
            thread.start()
            thread.join(0.1)
            assert shop.look().record is None
        thread.join(60)

        assert "flox" == shop.look().record["checker"]

    def test_gives_up(self, shop, flox):
        """
        It is not waited for forever.
        """
        with flox.locked():
            assert "busy" == import_flox_check(shop, patience=SECOND / 100).state

        assert shop.look().record is None

    def test_nothing_is_left(self, shop, flox):
        """
        Neither the lock nor the mode of its file changes; no lock file is made.
        """
        flox.lock.chmod(0o640)
        import_flox_check(shop)

        assert 0o640 == flox.lock.stat().st_mode & 0o777
        with flox.locked():
            pass
        flox.lock.unlink()
        import_flox_check(shop)
        assert not flox.lock.exists()

    def test_concurrent_writer(self, shop, flox):
        """
        Whole checks are read while Flox rewrites the file in place.
        """
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, flox.file.with_suffix(""), "40"],
            stdout=subprocess.PIPE,
        ) as writer:
            states = [import_flox_check(shop).state for _ in writer.stdout]

        assert ["checked", *39 * ["fresh"]] == states


SYSTEMS = st.sampled_from([LINUX, DARWIN])
PACKAGES = st.lists(
    st.one_of(
        st.builds(
            package,
            st.sampled_from("abc"),
            st.sampled_from(["1", "2"]),
            st.sampled_from("xyz"),
            SYSTEMS,
        ),
        st.builds(
            store_path, st.sampled_from(["/nix/store/a", "/nix/store/b"]), SYSTEMS
        ),
    ),
    max_size=6,
)


def counts_of_flox(old, new, system):
    """
    Count as Flox does: by install id and derivation, the first entry of each.
    """

    def first(packages):
        chosen = [p for p in reversed(packages) if p["system"] == system]
        return {p["install_id"]: p for p in chosen}

    before, after = first(old), first(new)
    pairs = [(before[name], after[name]) for name in before.keys() & after.keys()]
    changed = [
        one.get("version") != other.get("version")
        for one, other in pairs
        if {"derivation"} <= one.keys() & other.keys()
        and one["derivation"] != other["derivation"]
    ]
    return {"version": changed.count(True), "rebuild": changed.count(False)}


class TestCounts:
    @given(old=PACKAGES, new=PACKAGES)
    def test_rule(self, old, new):
        """
        On each system, version changes and rebuilds are those that Flox counts.
        """
        before, after = (
            lockfiles.read(pretty(lockfile(*side)), format="flox")
            for side in (old, new)
        )
        diff = lockfiles.diff(before, after)
        counts = lockfiles.counts(diff.upgrades, platforms=[LINUX, DARWIN])

        for system in (LINUX, DARWIN):
            assert counts_of_flox(old, new, system) == counts[system]

    def test_sample(self, shop, flox, samples):
        """
        A real pair of lockfiles of two Flox environments is counted alike.
        """
        old, new = (
            json.loads(path.read_bytes()) for path in samples("flox/upgrade-mixed")
        )
        flox.write(old, new)
        import_flox_check(shop)

        counts = read_record(shop)["result"]["counts"]
        assert {"version": 6, "rebuild": 8} == counts[LINUX]
        for system in counts.keys() - {"*"}:
            expected = counts_of_flox(old["packages"], new["packages"], system)
            assert expected == counts[system]
