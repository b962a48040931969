from __future__ import annotations

import builtins
import datetime as dt
import os
import subprocess
import sys
import time

import attrs
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import StateStore, _environment, _files
from upgrade_state.exceptions import StateReadError, UpgradeStateError

NOW = dt.datetime(2026, 11, 20, 4, 18, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture
def checked(shop):
    """
    An environment of which a check has found an opaque upgrade.
    """
    with shop.try_check() as check:
        check.commit(b"new", now=NOW)
    return shop


class TestStateStore:
    def test_touches_nothing(self, tmp_path, shop):
        """
        To make a store and a handle, and to ask, leaves no trace.
        """
        shop.claim_notice()
        shop.look().freshness()
        _ = shop.look().information
        shop.forget()
        shop.snooze(NOW)

        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize("cache_dir", ["cache", "", "~/cache", "./a"])
    def test_relative(self, cache_dir):
        """
        A relative cache directory is the caller's mistake.
        """
        with pytest.raises(ValueError, match="must be an absolute path"):
            StateStore(cache_dir)

    def test_nul(self):
        """
        So is one that no system call takes.
        """
        with pytest.raises(ValueError, match="must be an absolute path"):
            StateStore("/a\0b")

    def test_argument_wins(self, tmp_path, monkeypatch):
        """
        The argument wins over the variable, and that over the default.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "/variable")
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")

        places = [StateStore("/argument")._place(), StateStore()._place()]
        monkeypatch.delenv("UPGRADE_STATE_CACHE_DIR")
        places.append(StateStore()._place())

        expected = ["/argument/v1", "/variable/v1", "/xdg/upgrade-state/v1"]
        assert expected == places

    def test_relative_variable(self, monkeypatch, tmp_path):
        """
        A relative variable is no mistake of the caller: an activation goes on.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "cache")
        shop = StateStore().environment(tmp_path)

        verdict = shop.claim_notice()
        assert "unavailable" == verdict.reason
        assert "UPGRADE_STATE_CACHE_DIR is not an absolute path: 'cache'" == str(
            verdict.error
        )
        assert verdict.error is shop.look().freshness().error
        with pytest.raises(StateReadError):
            _ = shop.record_path

    def test_no_home(self, monkeypatch, tmp_path):
        """
        Nor is it one that there is no home directory.
        """
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(_files, "user_cache_dir", lambda: "")
        shop = StateStore().environment(tmp_path)

        assert "There is no home directory; set HOME or XDG_CACHE_HOME" == str(
            shop.look().verdict().error
        )

    def test_repr(self):
        """
        A person sees where it is.
        """
        assert "<StateStore '/a/v1'>" == repr(StateStore("/a"))

    def test_iteration(self, checked, store, tmp_path):
        """
        Every environment that has a record is found, with its name.
        """
        other = store.environment(tmp_path / "other")
        with other.try_check() as check:
            check.commit(b"")

        expected = {(e.key, e.path, e.lockfile_name) for e in (checked, other)}
        assert expected == {(e.key, e.path, e.lockfile_name) for e in store}

    def test_iteration_of_nothing(self, store):
        """
        Where nothing was ever written there is nothing.
        """
        assert [] == list(store)

    def test_iteration_over_garbage(self, checked, store, tmp_path):
        """
        A corrupt record comes without a path; other files do not come at all.
        """
        root = tmp_path / "cache" / "v1"
        (root / f"{'0' * 32}.json").write_bytes(b"garbage")
        (root / f"{'0' * 31}.json").touch()
        (root / f"{'0' * 32}.json.corrupt").touch()
        (root / "README").touch()

        expected = {(checked.key, checked.path), ("0" * 32, None)}
        assert expected == {(e.key, e.path) for e in store}

    def test_iteration_over_what_vanishes(self, checked, store, monkeypatch):
        """
        A record that is forgotten meanwhile does not come as a corrupt one.
        """
        names = list(_files.names_in(store._place()))
        checked.forget()
        monkeypatch.setattr(_files, "names_in", lambda _: names)

        assert [] == list(store)

    def test_corrupt_handle(self, store, tmp_path):
        """
        Of an environment that is not known by path nothing can be checked.
        """
        root = tmp_path / "cache" / "v1"
        root.mkdir(parents=True, mode=0o700)
        (root / f"{'0' * 32}.json").write_bytes(b"garbage")
        (handle,) = store

        assert "nothing-known" == handle.claim_notice().reason
        assert handle.look().information is None
        with pytest.raises(ValueError, match="without a path"), handle.try_check():
            pass
        assert handle.forget()
        assert [] == list(store)


class TestCacheDirectory:
    @given(
        xdg=st.sampled_from([None, "", "relative", "/", "/x", "/x/", "//x", "/a b"]),
        home=st.sampled_from([None, "", "relative", "/", "/home/a", "/home/a/", "//h"]),
        android=st.booleans(),
    )
    def test_like_platformdirs(self, xdg, home, android):
        """
        The short way gives what platformdirs gives, or asks it.
        """
        variables = {"XDG_CACHE_HOME": xdg, "HOME": home}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                if value is None:
                    patch.delenv(name, raising=False)
                else:
                    patch.setenv(name, value)
            if android:
                patch.setenv("ANDROID_ROOT", "/system")
            theirs = platformdirs.user_cache_dir("upgrade-state", appauthor=False)

            expected = theirs if theirs.startswith("/") else ""
            assert expected == _environment._user_cache_dir()

    def test_other_systems(self, monkeypatch):
        """
        Of a system that it does not know it asks platformdirs.
        """
        monkeypatch.setattr(sys, "platform", "freebsd15")
        monkeypatch.setattr(_files, "user_cache_dir", lambda: "/asked")

        assert "/asked" == _environment._user_cache_dir()

    @pytest.mark.parametrize("place", ["relative", "./a"])
    def test_relative_home(self, monkeypatch, place):
        """
        A place that depends on the working directory is none.
        """
        monkeypatch.setattr(platformdirs, "user_cache_dir", lambda *_, **__: place)

        assert "" == _files.user_cache_dir()

    def test_on_macos(self, monkeypatch):
        """
        On macOS it is where caches are there.
        """
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setenv("HOME", "/Users/ana")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

        expected = "/Users/ana/Library/Caches/upgrade-state"
        assert expected == _environment._user_cache_dir()

    def test_nobody(self, monkeypatch):
        """
        Where platformdirs finds no home, there is none.
        """

        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("no home")

        monkeypatch.setattr(platformdirs, "user_cache_dir", fail)

        assert "" == _files.user_cache_dir()


class TestEnvironment:
    def test_one_rule_for_paths(self, store, tmp_path, monkeypatch):
        """
        However a directory is spelt, it is the same environment.
        """
        (tmp_path / "shop").mkdir()
        (tmp_path / "link").symlink_to("shop")
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "shop"
        spellings = [
            path,
            str(path),
            os.fsencode(path),
            f"{path}/",
            f"{path}/../shop/.",
            "shop",
            "link",
            tmp_path / "link",
        ]

        environments = {(e.key, e.path) for e in map(store.environment, spellings)}
        assert 1 == len(environments)
        assert {str(path)} == {path for _, path in environments}

    def test_missing_directory(self, store, tmp_path):
        """
        A directory that does not exist goes by its path all the same.
        """
        assert str(tmp_path / "none") == store.environment(tmp_path / "none").path

    def test_no_tilde(self, store, tmp_path, monkeypatch):
        """
        A tilde is a character like any other.
        """
        monkeypatch.chdir(tmp_path)

        assert str(tmp_path / "~") == store.environment("~").path

    @pytest.mark.parametrize("directory", ["", b"", "a\0b", b"\0"])
    def test_no_path(self, store, directory):
        """
        What no path can be is the caller's mistake.
        """
        with pytest.raises(ValueError, match="not a directory's path"):
            store.environment(directory)

    @pytest.mark.parametrize("name", ["", "/uv.lock", "../uv.lock", "a\0b"])
    def test_no_lockfile_name(self, store, tmp_path, name):
        """
        So is a lockfile that does not lie below the directory.
        """
        with pytest.raises(ValueError, match="not a lockfile's name"):
            store.environment(tmp_path, name)

    @pytest.mark.parametrize(
        "name", [b"a b", b"new\nline", b"caf\xe9", b"\xf0\x9f\x8c\xb1"]
    )
    def test_any_bytes(self, store, tmp_path, name):
        """
        Any name a directory can have comes back from the record.
        """
        path = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(path)
        shop = store.environment(path, "uv.lock")
        with shop.try_check() as check:
            check.commit(b"new")

        (found,) = store
        assert os.fsdecode(path) == shop.path == found.path
        assert shop.key == found.key
        assert shop.path == shop.look().information.environment

    def test_working_directory_gone(self, store, tmp_path, monkeypatch):
        """
        Where a relative path leads nowhere, an activation goes on.
        """
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        shop = store.environment("shop")

        assert "nothing-known" == shop.claim_notice().reason
        with pytest.raises(StateReadError, match="working directory was removed"):
            shop.snooze(NOW)

    def test_two_in_one_directory(self, store, tmp_path):
        """
        Each lockfile of a directory is an environment of its own.
        """
        names = (None, "uv.lock", "mise.lock", ".flox/env/manifest.lock")

        assert 4 == len({store.environment(tmp_path, name).key for name in names})

    def test_record_path(self, shop, tmp_path):
        """
        The record lies under its key.
        """
        assert str(tmp_path / "cache" / "v1" / f"{shop.key}.json") == shop.record_path

    def test_repr(self, store):
        """
        A person sees what it is.
        """
        shop = store.environment("/srv/shop", "uv.lock")

        assert "<EnvironmentState '/srv/shop' 'uv.lock'>" == repr(shop)


class TestClaimNotice:
    def test_once_per_interval(self, checked):
        """
        It is said once, and again when the interval is over.
        """
        moments = [NOW, NOW + HOUR, NOW + DAY - dt.timedelta(seconds=1), NOW + DAY]

        assert [True, False, False, True] == [
            bool(checked.claim_notice(now=moment)) for moment in moments
        ]
        assert NOW + DAY == checked.look().information.last_notified

    def test_nothing_else_changes(self, checked):
        """
        A claim changes when the user was told, and nothing else.
        """
        before = checked.look().information
        checked.claim_notice(now=NOW)

        import attrs  # noqa: PLC0415 - only here

        assert attrs.evolve(before, last_notified=NOW) == checked.look().information

    def test_verdict_claims_nothing(self, checked):
        """
        A verdict may be asked for any number of times.
        """
        verdicts = [checked.look(now=NOW).verdict() for _ in range(3)]

        assert [True] * 3 == list(map(bool, verdicts))
        assert checked.look().information.last_notified is None

    def test_upgraded(self, checked, tmp_path):
        """
        After the upgrade nothing is said until there was another check.
        """
        (tmp_path / "shop" / "uv.lock").write_bytes(b"new")

        assert "lockfile-changed" == checked.claim_notice(now=NOW).reason

    def test_given_lockfile(self, checked):
        """
        Bytes that are given count instead of the file.
        """
        assert "lockfile-changed" == checked.claim_notice(b"other", now=NOW).reason
        assert checked.claim_notice(b"old", now=NOW)

    @pytest.mark.parametrize("content", ["old", bytearray(b"old"), 3])
    def test_content_is_bytes(self, checked, content):
        """
        Anything but bytes is the caller's mistake.
        """
        for ask in (checked.claim_notice, checked.look):
            with pytest.raises(TypeError, match="lockfile must be bytes"):
                ask(content)
        with pytest.raises(TypeError, match="lockfile must be bytes"):
            checked.try_check(content)

    def test_mistakes(self, checked):
        """
        Negative durations and times without a zone are the caller's mistakes.
        """
        with pytest.raises(ValueError, match="interval"):
            checked.claim_notice(interval=-DAY)
        with pytest.raises(ValueError, match="now"):
            checked.look(now=dt.datetime(2026, 11, 20)).verdict()  # noqa: DTZ001
        for falsy in (0, "", False):
            with pytest.raises(ValueError, match="now"):
                checked.claim_notice(now=falsy)
        with pytest.raises(ValueError, match="max_age"):
            checked.look().freshness(max_age=-DAY)
        with pytest.raises(ValueError, match="until"):
            checked.snooze(dt.datetime(2026, 11, 20))  # noqa: DTZ001

    @pytest.mark.parametrize("value", ["1", "true", "yes", "anything"])
    @pytest.mark.parametrize(
        "name", ["UPGRADE_STATE_DISABLE", "NO_UPDATE_NOTIFIER", "CI"]
    )
    def test_switched_off(self, checked, monkeypatch, name, value):
        """
        Each of the switches silences, and the verdict names it.
        """
        monkeypatch.setenv(name, value)
        verdict = checked.claim_notice(now=NOW)

        assert ("switched-off", name) == (verdict.reason, verdict.switch)

    @pytest.mark.parametrize("value", ["", "0", "false", "FALSE"])
    def test_not_switched_off(self, checked, monkeypatch, value):
        """
        A switch that says no is none.
        """
        monkeypatch.setenv("CI", value)

        assert checked.claim_notice(now=NOW)

    def test_the_clock(self, checked):
        """
        Without a time the clock is asked.
        """
        before = dt.datetime.now(dt.UTC).replace(microsecond=0)
        checked.claim_notice()

        after = dt.datetime.now(dt.UTC)
        assert before <= checked.look().information.last_notified <= after

    def test_changed_record(self, checked):
        """
        A handle that is kept sees what others have written since.
        """
        reasons = [checked.look(now=NOW).verdict().reason]
        StateStore(os.path.dirname(checked.store._place())).environment(
            checked.path, "uv.lock"
        ).claim_notice(now=NOW)
        reasons.append(checked.look(now=NOW).verdict().reason)
        checked.forget()
        reasons.append(checked.look(now=NOW).verdict().reason)

        assert ["notify", "told-recently", "nothing-known"] == reasons


class TestCannotCheck:
    @pytest.fixture
    def failing(self, shop, monkeypatch):
        """
        An environment whose checks have failed for nine days.
        """
        for days in (9, 5, 0):
            then = (NOW - days * DAY).timestamp()
            monkeypatch.setattr(time, "time", lambda then=then: then)
            with pytest.raises(OSError, match="host"), shop.try_check():
                raise OSError("no route to host.")
        return shop

    def test_claimed(self, failing):
        """
        Who asks is told, once a week; who does not ask is not.
        """
        asked = {"could_not_check": 7 * DAY}
        answers = [
            failing.claim_notice(now=NOW),
            failing.look(now=NOW).verdict(**asked),
            failing.claim_notice(now=NOW, **asked),
            failing.claim_notice(now=NOW, **asked),
            failing.claim_notice(now=NOW + DAY, **asked),
        ]

        told = "could not check for 9 days: OSError: no route to host"
        assert ["", told, told, "", ""] == [answer.summary for answer in answers]
        assert [
            "nothing-known",
            "cannot-check",
            "cannot-check",
            "nothing-known",
            "nothing-known",
        ] == [answer.reason for answer in answers]

    def test_recorded(self, failing):
        """
        A claim records that the user was told, and of what; and nothing else.
        """
        before = failing.look().information
        failing.claim_notice(now=NOW, could_not_check=DAY)

        import attrs  # noqa: PLC0415 - only here

        expected = attrs.evolve(before, last_notified=NOW, failure_notified=NOW)
        assert expected == failing.look().information

    def test_kept(self, failing):
        """
        What others write keeps it.
        """
        failing.claim_notice(now=NOW, could_not_check=DAY)
        failing.snooze(NOW)
        with failing.try_check() as check:
            check.commit(b"new", now=NOW)
        failing.claim_notice(now=NOW + 2 * DAY)

        known = failing.look().information
        times = known.failure_notified, known.snoozed_until, known.last_notified
        assert (NOW, NOW, NOW + 2 * DAY) == times

    def test_a_success(self, failing):
        """
        A check that succeeds ends it.
        """
        with failing.try_check() as check:
            check.commit(b"old", now=NOW)

        verdict = failing.claim_notice(now=NOW, could_not_check=dt.timedelta())
        assert "no-upgrades" == verdict.reason

    @pytest.mark.parametrize("value", [-DAY, 7, 0, "7d"])
    def test_mistakes(self, failing, value):
        """
        Anything but a timedelta of zero or more is the caller's mistake.
        """
        for ask in (failing.claim_notice, failing.look().verdict):
            with pytest.raises(ValueError, match="could_not_check"):
                ask(could_not_check=value)

    def test_unavailable(self, failing, monkeypatch):
        """
        What cannot be recorded is not said.
        """

        def refuse(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", refuse)
        verdict = failing.claim_notice(now=NOW, could_not_check=DAY)
        monkeypatch.undo()

        assert ("unavailable", "") == (verdict.reason, verdict.message)
        assert failing.look().information.failure_notified is None


class TestFreshness:
    def test_due(self, shop, checked):
        """
        A check is good for a day, or for as long as the caller says.
        """
        reasons = [
            checked.look(now=NOW + HOUR).freshness().reason,
            checked.look(now=NOW + DAY).freshness().reason,
            checked.look(now=NOW + HOUR).freshness(max_age=HOUR).reason,
            checked.look(b"other", now=NOW).freshness().reason,
        ]

        assert ["fresh", "expired", "expired", "lockfile-changed"] == reasons

    def test_unreadable_lockfile(self, checked, monkeypatch, tmp_path):
        """
        What cannot be read is a reason with its error; then nothing is due.
        """

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "stat", refuse)
        freshness = checked.look(now=NOW).freshness()
        monkeypatch.undo()

        assert ("unavailable", False) == (freshness.reason, freshness.due)
        assert isinstance(freshness.error, UpgradeStateError)
        assert str(tmp_path / "shop" / "uv.lock") == freshness.error.path
        assert str(freshness).startswith("unavailable: Could not read the lockfile")


class TestNothingCanBeLoaded:
    def test_reason(self, checked, monkeypatch):
        """
        Where not even the error can be loaded, there is a reason without one.
        """
        real = builtins.__import__

        def load(name, *args, **more):
            if name == "upgrade_state.exceptions":
                raise OSError(24, "Too many open files")
            return real(name, *args, **more)

        def refuse(*_):
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(builtins, "__import__", load)
        monkeypatch.setattr(os, "lstat", refuse)
        answers = [
            checked.claim_notice(),
            checked.look().verdict(),
            checked.look().freshness(),
        ]
        monkeypatch.undo()

        assert [("unavailable", None)] * 3 == [(a.reason, a.error) for a in answers]


class TestSnooze:
    def test_until(self, checked):
        """
        Nothing is said until then.
        """
        assert checked.snooze(NOW + HOUR)

        reasons = [checked.look(now=NOW + n * HOUR).verdict().reason for n in (0, 1)]
        assert ["snoozed", "notify"] == reasons

    def test_taken_back(self, checked):
        """
        None takes it back.
        """
        checked.snooze(NOW + HOUR)
        checked.snooze(None)

        assert checked.look(now=NOW).verdict()

    def test_nothing_known(self, shop, tmp_path):
        """
        Where nothing is known there is nothing to be silent about.
        """
        assert not shop.snooze(NOW)
        assert not (tmp_path / "cache").exists()


class TestExpire:
    def test_due(self, checked):
        """
        A check is due again, whatever was checked or has failed.
        """
        assert "fresh" == checked.look(now=NOW).freshness().reason
        assert checked.expire()
        assert checked.look(now=NOW).freshness().due

    def test_backing_off(self, checked):
        """
        That the last checks have failed is forgotten.
        """
        with pytest.raises(LookupError), checked.try_check():
            raise LookupError
        assert "backing-off" == checked.look().freshness().reason

        assert checked.expire()
        assert (None, True) == (
            checked.look().information.failure,
            checked.look().freshness().due,
        )

    def test_keeps_the_rest(self, checked):
        """
        What was found stays, and so does everything else that is remembered.
        """
        with checked.try_check() as check:
            check.commit(b"newer", recipe="uv", now=NOW)
        checked.claim_notice(now=NOW)
        checked.snooze(NOW)
        before = checked.look().information

        checked.expire()

        assert attrs.evolve(before, last_checked=None) == checked.look().information
        assert b"newer" == checked.kept_lockfile("new")

    def test_nothing_known(self, shop, tmp_path):
        """
        Where nothing is known there is nothing to be forgotten.
        """
        assert not shop.expire()
        assert not (tmp_path / "cache").exists()


class TestKept:
    def test_lockfiles(self, checked):
        """
        Both lockfiles of the last check are kept, whole.
        """
        kept = checked.kept_lockfile("old"), checked.kept_lockfile("new")

        assert (b"old", b"new") == kept

    def test_nothing_known(self, shop):
        """
        Where nothing is known there is nothing.
        """
        assert (None, None, (), None) == (
            shop.kept_lockfile("old"),
            shop.kept_lockfile("new"),
            shop.upgrades(),
            shop.look().information,
        )

    def test_which(self, shop):
        """
        There are two, and no third one.
        """
        with pytest.raises(ValueError, match="'old' or 'new'"):
            shop.kept_lockfile("newer")

    def test_gone(self, checked, tmp_path):
        """
        One that somebody has removed is an error that says what helps.
        """
        for path in (tmp_path / "cache" / "v1" / "results" / checked.key).iterdir():
            path.unlink()

        with pytest.raises(StateReadError, match="the next check replaces it"):
            checked.kept_lockfile("new")

    @pytest.mark.parametrize("damage", [b"NEW", b"newer", b""])
    def test_damaged(self, checked, tmp_path, damage):
        """
        So is one that somebody has changed.
        """
        for path in (tmp_path / "cache" / "v1" / "results" / checked.key).iterdir():
            path.write_bytes(damage)

        with pytest.raises(StateReadError, match="damaged"):
            checked.kept_lockfile("new")


class TestStopped:
    def test_told_meanwhile(self, checked, monkeypatch):
        """
        Who is stopped before the first look finds that somebody has spoken.
        """
        monkeypatch.setattr(time, "time", lambda: 1_800_000_000)
        read = type(checked)._read

        def stopped(self):
            monkeypatch.setattr(type(checked), "_read", read)
            monkeypatch.setattr(time, "time", lambda: 1_800_000_600)
            then = dt.datetime.fromtimestamp(1_800_000_600, dt.UTC)
            assert checked.claim_notice(now=then)
            return read(self)

        monkeypatch.setattr(type(checked), "_read", stopped)

        assert "told-recently" == checked.claim_notice().reason


class TestOtherLocale:
    def test_same_key(self, tmp_path):
        """
        A locale that is not UTF-8 changes neither keys nor records.
        """
        path = os.path.join(os.fsencode(tmp_path), "größe".encode())
        os.mkdir(path)
        code = (
            "import os, sys; from upgrade_state import StateStore;"
            "path = os.environb[b'SHOP'];"
            "shop = StateStore(sys.argv[1]).environment(path, 'uv.lock');"
            "check = shop.try_check();"
            "check.__enter__().commit(b'new');"
            "check.__exit__(None, None, None);"
            "print(shop.key, os.fsencode(shop.look().information.environment) == path)"
        )
        answers = {
            subprocess.run(
                [sys.executable, "-X", "utf8=0", "-c", code, tmp_path / "cache"],
                env=os.environ | {"SHOP": os.fsdecode(path), "LC_ALL": locale},
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            for locale in ("C", "C.UTF-8", "POSIX")
        }

        key = StateStore(tmp_path).environment(path, "uv.lock").key
        assert {f"{key} True\n"} == answers

    def test_lockfile_name(self, shop, store, monkeypatch):
        """
        Nor the name of a lockfile, which is the same file as before.
        """
        monkeypatch.setattr(os, "fsencode", _latin_bytes)
        monkeypatch.setattr(os, "fsdecode", _latin_text)
        environment = store.environment(shop.path, "\xfc.lock")
        with environment.try_check() as check:
            check.commit(b"new")

        assert "\xfc.lock" == environment.look().information.lockfile
        (found,) = store
        assert ("\xfc.lock", environment.key) == (found.lockfile_name, found.key)


def _latin_bytes(path):
    return path if isinstance(path, bytes) else os.fspath(path).encode("latin-1")


def _latin_text(path):
    return path if isinstance(path, str) else os.fspath(path).decode("latin-1")
