"""
The lockfile as it is now, and the one that a check was about.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from helpers import DAY, HOUR, LONG_AGO, NOON, ROWS, commit, put_odd, refuse_path
from upgrade_state.exceptions import StateReadError


@pytest.fixture
def lockfile(shop):
    return Path(shop.path, "uv.lock")


ODD = ["missing", "directory", "FIFO", "device", "endless", "below a file"]


def make_odd(lockfile, kind):
    """
    Replace the lockfile with something that is no regular file.
    """
    lockfile.unlink()
    if kind == "below a file":
        lockfile.parent.rmdir()
        lockfile.parent.touch()
    elif kind != "missing":
        put_odd(lockfile, kind)


def old_lockfile(shop):
    with shop.try_check() as check:
        return check.old_lockfile


def after_stat(patch, path, change):
    """
    Call *change* once the size of a file has been asked for.
    """
    stat = os.stat

    def stat_and_change(target, **options):
        status = stat(target, **options)
        if target == str(path):
            patch.undo()
            change()
        return status

    patch.setattr(os, "stat", stat_and_change)


class TestRead:
    def test_content(self, shop, lockfile, tmp_path):
        """
        A check reads the whole lockfile, and follows a symlink.
        """
        assert b"old" == old_lockfile(shop)
        lockfile.rename(tmp_path / "elsewhere")
        lockfile.symlink_to(tmp_path / "elsewhere")

        assert b"old" == old_lockfile(shop)

    @pytest.mark.parametrize("kind", ODD)
    def test_odd(self, shop, lockfile, kind):
        """
        Without a regular file there is no lockfile, and no waiting.
        """
        make_odd(lockfile, kind)

        assert old_lockfile(shop) is None

    def test_too_large(self, shop, lockfile):
        """
        A file that is too large for a lockfile is an error with its path.
        """
        os.truncate(lockfile, (64 << 20) + 1)

        with pytest.raises(StateReadError, match="larger than") as caught:
            old_lockfile(shop)
        assert str(lockfile) == caught.value.path

    @pytest.mark.parametrize("call", ["stat", "open"])
    def test_refused(self, shop, lockfile, monkeypatch, call):
        """
        A lockfile that may not be read is an error, which is recorded.
        """
        refuse_path(monkeypatch, call, lockfile)
        with pytest.raises(StateReadError, match="Permission denied") as caught:
            old_lockfile(shop)
        monkeypatch.undo()

        assert str(lockfile) == caught.value.path
        assert caught.value.message == shop.look().information.failure.message
        assert "backing-off" == shop.look().freshness().reason
        assert b"old" == old_lockfile(shop)

    def test_removed_meanwhile(self, shop, lockfile, monkeypatch):
        """
        A lockfile that is removed between `stat` and `open` is missing.
        """
        after_stat(monkeypatch, lockfile, lockfile.unlink)

        assert old_lockfile(shop) is None


class TestCurrent:
    @pytest.mark.parametrize("other", [b"OLD", b"older", b"", None])
    def test_changed(self, checked, lockfile, other):
        """
        Other bytes of any size, or no file, are a change; the same bytes are none.
        """
        assert "checked" == checked.look().lockfile_state
        lockfile.unlink()
        if other is not None:
            lockfile.write_bytes(other)

        look = checked.look(now=NOON + HOUR)
        assert "changed" == look.lockfile_state
        assert "lockfile-changed" == look.verdict().reason == look.freshness().reason

    @pytest.mark.parametrize("new", [b"new", b"newer", b""])
    def test_upgraded(self, shop, lockfile, new):
        """
        The lockfile that the upgrade leads to needs neither a notice nor a check.
        """
        commit(shop, new, upgrades=ROWS)
        lockfile.write_bytes(new)

        look = shop.look(now=NOON + HOUR)
        assert "upgraded" == look.lockfile_state == look.verdict().reason
        freshness = look.freshness()
        assert ("fresh", NOON + DAY) == (freshness.reason, freshness.until)
        assert "expired" == shop.look(now=NOON + DAY).freshness().reason
        assert str(look.verdict()).endswith("you have made the upgrade")

    @pytest.mark.parametrize("current", [b"old", b"new", b"odd"])
    def test_read_once(self, checked, lockfile, monkeypatch, current):
        """
        A comparison with two lockfiles of one size reads the file once.
        """
        lockfile.write_bytes(current)
        opened = []
        real = os.open

        def count(path, *args):
            opened.append(path)
            return real(path, *args)

        monkeypatch.setattr(os, "open", count)
        look = checked.look(now=NOON)
        states = look.lockfile_state, look.verdict().reason, look.freshness().reason

        assert all(states)
        assert 1 == opened.count(str(lockfile))

    def test_symlink(self, checked, lockfile, tmp_path):
        """
        A symlink to the same bytes is no change.
        """
        lockfile.rename(tmp_path / "elsewhere")
        lockfile.symlink_to(tmp_path / "elsewhere")

        assert "checked" == checked.look().lockfile_state

    @pytest.mark.parametrize("kind", ODD)
    def test_odd(self, checked, lockfile, kind):
        """
        A lockfile that is no regular file any more has changed.
        """
        make_odd(lockfile, kind)

        assert "changed" == checked.look().lockfile_state

    def test_still_missing(self, shop, lockfile):
        """
        A lockfile that a check found missing changes when it appears.
        """
        lockfile.unlink()
        commit(shop)
        assert "checked" == shop.look().lockfile_state
        assert "fresh" == shop.look(now=NOON).freshness().reason
        lockfile.touch()

        assert "changed" == shop.look().lockfile_state

    def test_given(self, checked, lockfile):
        """
        Given bytes count instead of the file.
        """
        assert "checked" == checked.look(b"old").lockfile_state
        assert "changed" == checked.look(b"other").lockfile_state
        lockfile.write_bytes(b"other")

        assert "checked" == checked.look(b"old").lockfile_state

    def test_no_lockfile(self, store, tmp_path):
        """
        An environment without a lockfile has none that could change.
        """
        environment = store.environment(tmp_path)
        commit(environment, b"")

        look = environment.look(now=NOON)
        assert look.lockfile_state is None
        assert "fresh" == look.freshness().reason

    def test_known_to_its_manager(self, store, tmp_path):
        """
        Bytes that are no file are compared with bytes; without any, no answer is one.
        """
        environment = store.environment(tmp_path)
        with environment.try_check(b"old") as check:
            check.commit(b"new", now=NOON, upgrades=ROWS)
        look = environment.look(now=NOON)

        message = "Only its manager knows the lockfile, and passes its bytes"
        for answer in (look.freshness(), look.verdict(), *look.reasons()):
            assert "unavailable" == answer.reason
            assert (message, str(tmp_path)) == (answer.error.message, answer.error.path)
        started = environment.start_check(["true"], now=NOON)
        claimed = environment.claim_notice(now=NOON)
        assert ["unavailable"] * 2 == [started.reason, claimed.reason]
        assert (None, None) == (look.missing, look.lockfile_state)
        for content, state, reason in (
            (b"old", "checked", "notify"),
            (b"new", "upgraded", "upgraded"),
            (b"odd", "changed", "lockfile-changed"),
        ):
            look = environment.look(content, now=NOON)
            assert (state, reason) == (look.lockfile_state, look.verdict().reason)
            assert look.missing is None

    def test_not_known_to_its_manager(self, store, tmp_path):
        """
        A check of this environment without bytes has no lockfile, so it is due.
        """
        environment = store.environment(tmp_path, name="docs")
        with environment.try_check(b"old") as check:
            check.commit(b"new", upgrades=ROWS, now=LONG_AGO)
            assert "notify" == check.look().verdict().reason

        with environment.try_check() as check:
            now = LONG_AGO + HOUR
            assert check.old_lockfile is None
            assert "lockfile-changed" == check.freshness(now=now).reason
            assert "lockfile-changed" == check.look().verdict().reason
            check.commit(upgrades=ROWS)
            assert "notify" == check.look().verdict().reason
        assert "notify" == environment.look().verdict().reason

    def test_unknown_but_silent(self, store, tmp_path):
        """
        An answer that does not depend on the lockfile does not need it.
        """
        environment = store.environment(tmp_path)
        with environment.try_check(b"old") as check:
            check.commit(b"new", now=NOON, upgrades=ROWS)
        assert environment.claim_notice(b"old", now=NOON)

        look = environment.look(now=NOON + DAY)
        answers = look.verdict().reason, look.freshness().reason
        assert ("told-recently", "expired") == answers

    def test_looked_at_once(self, checked, lockfile):
        """
        A look that has read the lockfile keeps its answer.
        """
        look = checked.look(now=NOON)
        assert "checked" == look.lockfile_state
        lockfile.unlink()

        assert "checked" == look.lockfile_state
        assert ("fresh", True) == (look.freshness().reason, bool(look.verdict()))

    def test_other_size_is_not_read(self, checked, lockfile, monkeypatch):
        """
        A lockfile of another size is not opened.
        """
        lockfile.write_bytes(b"older")
        look = checked.look(now=NOON)
        refuse_path(monkeypatch, "open", lockfile)

        assert "changed" == look.lockfile_state

    @pytest.mark.parametrize("then", [b"older", b"", None])
    def test_changing(self, checked, lockfile, monkeypatch, then):
        """
        A lockfile that changes between `stat` and `open` has changed.
        """

        def change():
            lockfile.unlink()
            if then is not None:
                lockfile.write_bytes(then)

        after_stat(monkeypatch, lockfile, change)

        assert "changed" == checked.look().lockfile_state

    def test_refused(self, checked, lockfile, monkeypatch):
        """
        A lockfile that may not be read is an error, and no change.
        """
        look = checked.look(now=NOON)
        refuse_path(monkeypatch, "stat", lockfile)
        freshness, verdict = look.freshness(), look.verdict()

        assert look.lockfile_state is None
        assert look.missing is None
        assert ("unavailable", False) == (freshness.reason, freshness.due)
        for answer in (freshness, verdict):
            assert isinstance(answer.error, StateReadError)
            assert str(lockfile) == answer.error.path
            assert str(answer).startswith("unavailable: Could not read the lockfile")
