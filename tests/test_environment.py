"""
The handles of a store and an environment, and what an activation asks of them.
"""

from __future__ import annotations

import builtins
import collections
import contextlib
import datetime as dt
import errno
import fcntl
import logging
import os
import sys
import time
import traceback
import types

import attrs
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import (
    DAY,
    HOUR,
    MORE_ROWS,
    NOON,
    ROWS,
    SECOND,
    WEEK,
    commit,
    fail,
    place_of,
    read_record,
    refuse,
    root_of,
    run_python,
    text_of,
    write_record,
)
from upgrade_state import StateStore, _housekeeping
from upgrade_state.exceptions import StateReadError
from upgrade_state.lockfiles import Upgrade


def known(shop):
    return shop.look().information


class TestStateStore:
    def test_touches_nothing(self, shop):
        """
        Neither a store nor a handle nor a question makes a file.
        """
        shop.claim_notice()
        shop.look().freshness()
        answers = shop.forget(), shop.snooze(NOON), shop.expire(), known(shop)

        assert (True, False, False, None) == answers
        assert (None, ()) == (shop.kept_lockfile("old"), shop.upgrades())
        assert [] == list(shop.store)
        assert not root_of(shop).parent.exists()

    @pytest.mark.parametrize(
        "cache_dir", ["cache", "", "~/cache", "./a", "/a\0b", "x://u:secret@h"]
    )
    def test_relative(self, cache_dir):
        """
        A cache directory that is no absolute path is the caller's mistake.
        """
        with pytest.raises(ValueError, match="must be an absolute path") as info:
            StateStore(cache_dir)

        assert "secret" not in str(info.value)

    @pytest.mark.parametrize("variable", [None, "postgresql:///db"])
    def test_no_database(self, variable, monkeypatch, tmp_path):
        """
        Neither the variable nor a path leads to a database.
        """
        url = "postgresql:///db"
        if variable is None:
            store = StateStore(tmp_path / url)
        else:
            monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", variable)
            store = StateStore()

        verdict = store.environment(tmp_path).claim_notice()
        expected = "nothing-known" if variable is None else "unavailable"
        assert expected == verdict.reason

    def test_argument_wins(self, monkeypatch):
        """
        The argument overrides the variable, and that the default.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "/variable")
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")

        stores = [StateStore("/argument"), StateStore()]
        monkeypatch.delenv("UPGRADE_STATE_CACHE_DIR")
        stores.append(StateStore())

        assert [
            "<StateStore '/argument/v1'>",
            "<StateStore '/variable/v1'>",
            "<StateStore '/xdg/upgrade-state/v1'>",
        ] == list(map(repr, stores))

    def test_relative_variable(self, monkeypatch, tmp_path):
        """
        A relative variable gives an activation a reason, and others an error.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "cache")
        shop = StateStore().environment(tmp_path)

        verdict = shop.claim_notice()
        assert "unavailable" == verdict.reason
        assert "UPGRADE_STATE_CACHE_DIR is not an absolute path: 'cache'" == str(
            verdict.error
        )
        assert verdict.error is shop.look().freshness().error is shop.look().error
        with pytest.raises(StateReadError):
            _ = shop.record_path

    def test_iteration_over_garbage(self, checked, store):
        """
        A corrupt record has no path; files with other names are skipped.

        It cannot be checked, and can be forgotten.
        """
        root = root_of(checked)
        (root / f"{'0' * 32}.json").write_bytes(b"garbage")
        (root / f"{'0' * 31}.json").touch()
        (root / f"{'0' * 32}.json.corrupt").touch()
        (root / "README").touch()

        (root / f"{checked.key}.json.corrupt").touch()

        found = {e.key: e for e in store}
        assert {checked.key: checked.path, "0" * 32: None} == {
            key: e.path for key, e in found.items()
        }
        assert 2 == len([*store])
        corrupt = found["0" * 32]
        assert "nothing-known" == corrupt.claim_notice().reason
        for use in (lambda: corrupt.start_check(["true"]), lambda: commit(corrupt)):
            with pytest.raises(ValueError, match="without a path"):
                use()
        assert corrupt.forget()
        assert [checked.key] == [e.key for e in store]

    def test_iteration_meanwhile(self, checked, store, tmp_path):
        """
        A record that is forgotten during the iteration is not found.
        """
        other = store.environment(tmp_path / "other")
        commit(other)
        environments = iter(store)
        first = next(environments)
        (other if first.key == checked.key else checked).forget()

        assert [] == list(environments)


def place():
    """
    Return the default cache directory; None if there is none.
    """
    try:
        return str(root_of(StateStore().environment("/")).parent)
    except StateReadError as error:
        if error.message.startswith("There is no home directory"):
            return None
        raise


class TestCacheDirectory:
    @given(
        xdg=st.sampled_from([None, "", "relative", "/", "/x", "/x/", "//x", "/a b"]),
        home=st.sampled_from([None, "", "relative", "/", "/home/a", "/home/a/", "//h"]),
    )
    def test_like_platformdirs(self, xdg, home):
        """
        The default is that of platformdirs, also where older ones err.

        A variable that is empty or relative counts as unset.
        """
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {"XDG_CACHE_HOME": xdg, "HOME": home}.items():
                if value is None:
                    patch.delenv(name, raising=False)
                else:
                    patch.setenv(name, value)
            ours = place()

            for name in ("XDG_CACHE_HOME", "HOME"):
                if not os.environ.get(name, "/").startswith("/"):
                    patch.delenv(name)
            theirs = platformdirs.user_cache_dir("upgrade-state", appauthor=False)
            assert os.path.normpath(theirs) == os.path.normpath(ours)

    def test_no_account(self, monkeypatch):
        """
        Without HOME, a user that the system does not list has no home directory.
        """
        for name in ("HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)

        assert place() is None

    def test_macos(self, monkeypatch):
        """
        On macOS it is below Library/Caches.
        """
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setenv("HOME", "/Users/ana")

        assert "/Users/ana/Library/Caches/upgrade-state" == place()

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [("/asked", "/asked"), ("./a", None), (RuntimeError("no home"), None)],
    )
    def test_other_systems(self, monkeypatch, answer, expected):
        """
        On Windows and Android platformdirs decides; a relative directory is none.
        """

        def user_cache_dir(*_, **__):
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setenv("ANDROID_ROOT", "/system")
        monkeypatch.setattr(platformdirs, "user_cache_dir", user_cache_dir)

        assert expected == place()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="names no open files")
class TestSpelling:
    @pytest.fixture(autouse=True)
    def _macos(self, tmp_path, monkeypatch):
        """
        A stand-in for the system call of macOS: both directories are called Shop.
        """

        def f_getpath(fd, command, buffer):
            assert 50 == command
            path = os.readlink(f"/proc/self/fd/{fd}")
            if path.endswith("tmpfs"):
                raise OSError(errno.ENOTSUP, "no paths")
            path = path.replace("SHOP", "Shop").replace("u\u0308", "\xfc")
            return os.fsencode(path).ljust(len(buffer), b"\0")

        for name in ("Shop", "SHOP", "tmpfs", "u\u0308", "\xfc"):
            (tmp_path / name).mkdir()
        os.mkfifo(tmp_path / "fifo")
        monkeypatch.setattr(sys, "platform", "darwin")
        monkeypatch.setattr(fcntl, "F_GETPATH", 50, raising=False)
        monkeypatch.setattr(fcntl, "fcntl", f_getpath)

    def test_on_disk(self, store, tmp_path):
        """
        On macOS all spellings of a directory are one environment, as it is on disk.
        """
        descriptors = os.listdir("/proc/self/fd")
        for typed, spelled in (("SHOP", "Shop"), ("Shop", "Shop"), ("u\u0308", "\xfc")):
            found = store.environment(tmp_path / typed, "uv.lock")
            assert str(tmp_path / spelled) == found.path
            assert store.environment(found.path, "uv.lock").key == found.key

        assert descriptors == os.listdir("/proc/self/fd")

    @pytest.mark.parametrize("name", ["NONE", "fifo", "tmpfs"])
    def test_as_typed(self, store, tmp_path, name):
        """
        A directory that does not exist, or has no path, keeps its spelling.
        """
        assert str(tmp_path / name) == store.environment(tmp_path / name).path


class TestEnvironment:
    def test_one_rule_for_paths(self, store, tmp_path, monkeypatch):
        """
        All spellings of a directory are one environment.
        """
        (tmp_path / "shop").mkdir()
        (tmp_path / "link").symlink_to("shop")
        monkeypatch.chdir(tmp_path)
        path = tmp_path / "shop"
        spellings = [path, str(path), os.fsencode(path), f"{path}/", "shop", "link"]
        spellings += [f"{path}/../shop/.", tmp_path / "link"]

        environments = {(e.key, e.path) for e in map(store.environment, spellings)}
        assert 1 == len(environments)
        assert {str(path)} == {path for _, path in environments}

    @pytest.mark.parametrize("name", ["none", "~"])
    def test_missing_directory(self, store, tmp_path, monkeypatch, name):
        """
        A directory need not exist; a tilde is an ordinary character.
        """
        monkeypatch.chdir(tmp_path)

        assert str(tmp_path / name) == store.environment(name).path

    @pytest.mark.parametrize("directory", ["", b"", "a\0b", b"\0"])
    def test_no_path(self, store, directory):
        """
        An impossible path is the caller's mistake.
        """
        with pytest.raises(ValueError, match="not a directory's path"):
            store.environment(directory)

    @pytest.mark.parametrize(
        "name",
        [
            *("", ".", "..", "/uv.lock", "../uv.lock", "a\0b"),
            *("a//b", "a/", "a/../b", "a\\b"),
        ],
    )
    def test_no_lockfile_name(self, store, tmp_path, name):
        """
        So is a lockfile that does not lie below the directory.
        """
        with pytest.raises(ValueError, match="not a lockfile's name"):
            store.environment(tmp_path, name)

    @pytest.mark.parametrize("name", ["", "a\0b", "x" * 256, "é" * 128, "\ud800"])
    def test_no_name(self, store, tmp_path, name):
        """
        An environment's name is text of 1 to 255 bytes.
        """
        with pytest.raises(ValueError, match="not an environment's name"):
            store.environment(tmp_path, "pixi.lock", name=name)

    @pytest.mark.parametrize("name", [b"docs", 3, ("a", "b")])
    def test_no_text(self, store, tmp_path, name):
        """
        Bytes, which may be meant as a lockfile's content, are no name.
        """
        with pytest.raises(TypeError, match="a lockfile's name must be text, not"):
            store.environment(tmp_path, name)
        with pytest.raises(TypeError, match="an environment's name must be text, not"):
            store.environment(tmp_path, name=name)

    def test_subclass_of_text(self, store, tmp_path):
        """
        A name of a subclass of str, as readers of TOML return it, is plain text.
        """

        class Text(str):
            __slots__ = ()

            def __str__(self):
                return "other"

        shop = store.environment(tmp_path, Text("pixi.lock"), name=Text("docs"))

        assert (str, str) == (type(shop.lockfile_name), type(shop.name))
        assert shop.key == store.environment(tmp_path, "pixi.lock", name="docs").key

    @pytest.mark.parametrize("name", ["uv.lock", ".flox/env/manifest.lock", "…"])
    def test_lockfile_name(self, store, tmp_path, name):
        """
        A lockfile's name may be a path below the directory.
        """
        assert name == store.environment(tmp_path, name).lockfile_name

    @pytest.mark.parametrize(
        "name", [b"a b", b"new\nline", b"caf\xe9", b"\xf0\x9f\x8c\xb1"]
    )
    def test_any_bytes(self, store, tmp_path, name):
        """
        Any name of a directory is read again from the record.
        """
        path = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(path)
        shop = store.environment(path, "uv.lock")
        commit(shop)

        (found,) = store
        assert os.fsdecode(path) == shop.path == found.path == known(shop).environment
        assert shop.key == found.key

    def test_working_directory_removed(self, store, tmp_path, monkeypatch):
        """
        A relative path that leads nowhere gives an activation an answer.
        """
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        shop = store.environment("shop")

        assert "nothing-known" == shop.claim_notice().reason
        freshness = shop.start_check(["true"])
        assert "unavailable" == freshness.reason
        assert "The working directory was removed" == freshness.error.message
        with pytest.raises(StateReadError, match="working directory was removed"):
            shop.snooze(NOON)

    def test_names(self, store, tmp_path):
        """
        Each lockfile of a directory is an environment, with files of its own.
        """
        names = (None, "uv.lock", "mise.lock", ".flox/env/manifest.lock")
        shop = store.environment("/srv/shop", "uv.lock")

        assert 4 == len({store.environment(tmp_path, name).key for name in names})
        assert str(tmp_path / "cache" / "v1" / f"{shop.key}.json") == shop.record_path
        assert str(tmp_path / "cache/v1/logs" / f"{shop.key}.log") == shop.log_path
        assert "<EnvironmentState '/srv/shop' 'uv.lock'>" == repr(shop)


ZLIB = "https://conda.example/main/linux-64/zlib-1.3-h0_0.conda"
PIXI = f"""version: 6
environments:
  default: {{channels: [], packages: {{linux-64: [{{conda: {ZLIB}}}]}}}}
  docs: {{channels: [], packages: {{linux-64: [{{conda: {ZLIB}}}]}}}}
packages: [{{conda: {ZLIB}}}]
"""


class TestNamed:
    """
    Several environments of one lockfile.
    """

    @pytest.fixture
    def named(self, shop, store):
        """
        Return an environment of the same lockfile by its name.
        """
        return lambda name: store.environment(shop.path, "uv.lock", name=name)

    def test_own_state(self, shop, named, store):
        """
        Each has a record of its own, which names it.
        """
        docs = named("docs")
        commit(docs, upgrades=ROWS)
        commit(shop, b"old")
        docs.snooze(NOON + DAY)

        assert {None: shop.key, "docs": docs.key} == {e.name: e.key for e in store}
        assert ["docs", None] == [known(e).name for e in (docs, shop)]
        assert ["snoozed", "no-upgrades", "nothing-known"] == [
            e.look(now=NOON).verdict().reason for e in (docs, shop, named("test"))
        ]
        assert f"<EnvironmentState {shop.path!r} 'uv.lock' 'docs'>" == repr(docs)

    def test_notice(self, named):
        """
        The notice names the environment and its directory, safe for a terminal.
        """
        rows = (*ROWS, Upgrade("y", "rebuild"))
        messages = []
        for name in ("docs", "\x1b[2J\u202e"):
            commit(named(name), upgrades=rows)
            messages.append(named(name).claim_notice(now=NOON).message)

        text = "1 version change and 1 rebuild available in {} of 'shop'."
        assert [text.format(n) for n in ("'docs'", r"'\x1b[2J\u202e'")] == messages

    def test_spellings(self, shop, named):
        """
        A name in escaped bytes is the name, for readers of records, too.
        """
        docs, escaped = named("é"), named("\udcc3\udca9")
        commit(docs)
        write_record(docs, read_record(docs) | {"name": "\udcc3\udca9"})

        assert (docs.key, "é") == (escaped.key, escaped.name)
        assert ["é"] == [e.name for e in shop.store]
        assert "é" == known(docs).name

    def test_urls(self, shop, named):
        """
        URLs in names and rows that a caller gives may contain passwords.
        """
        url = "https://u:pw@host/x"
        row = Upgrade(f"p {url}", "version", old=("\x1b",), new=(f"2 @ {url}",))
        rows = [row, attrs.evolve(row, environment=url, platform=url, new_build=url)]
        commit(named(url), upgrades=rows)

        safe = Upgrade("p <URL>", "version", old=(r"\x1b",), new=("2 @ <URL>",))
        words = dict.fromkeys(("environment", "platform", "new_build"), "<URL>")
        assert (safe, attrs.evolve(safe, **words)) == named(url).upgrades()
        assert {"*", "<URL>"} == set(known(named(url)).result.counts)
        message = named(url).claim_notice(now=NOON).message
        assert "1 version change available in '<URL>' of 'shop'." == message

    def test_notice_of_failures(self, named):
        """
        So does one about failed checks.
        """
        fail(named("docs"))

        message = named("docs").claim_notice(could_not_check=0 * DAY).message
        assert message.startswith("Could not check for upgrades of 'docs' of 'shop'")

    def test_own_rows(self, named):
        """
        Only its own rows are stored and counted, and those of no environment.
        """
        rows = [
            Upgrade("a", "version", environment="docs"),
            Upgrade("b", "rebuild", environment="test", platform="linux-64"),
            Upgrade("c", "rebuild"),
        ]
        for name, kept, summary in (
            ("docs", "ac", "1 version change and 1 rebuild"),
            ("test", "bc", "2 rebuilds"),
            ("none", "c", "1 rebuild"),
            (None, "abc", "1 version change and 2 rebuilds"),
        ):
            commit(named(name), upgrades=rows)
            assert kept == "".join(row.name for row in named(name).upgrades())
            assert summary == named(name).look().summary()

    @pytest.mark.parametrize(
        ("name", "found"),
        [(None, ["default", "docs"]), ("docs", ["docs"]), ("gone", [])],
    )
    def test_own_rows_of_a_lockfile(self, store, tmp_path, name, found):
        """
        So are those of a lockfile; an environment that is in none has no upgrades.
        """
        pytest.importorskip("yaml")
        shop = store.environment(tmp_path, "pixi.lock", name=name)
        with shop.try_check(PIXI.encode()) as check:
            check.commit(PIXI.replace("zlib-1.3", "zlib-1.4").encode(), now=NOON)

        assert found == [row.environment for row in shop.upgrades()]
        reason = "notify" if found else "no-upgrades"
        look = shop.look(PIXI.encode(), now=NOON)
        assert (reason, "fresh") == (look.verdict().reason, look.freshness().reason)

    def test_prune(self, shop, named, store):
        """
        `prune` and `forget` know them by their names, too.
        """
        for name in ("docs", "test", None):
            commit(named(name))
        assert named("test").forget()
        os.unlink(os.path.join(shop.path, "uv.lock"))
        os.rmdir(shop.path)

        later = dt.datetime.now(dt.UTC) + HOUR
        forgotten = store.prune(older_than=0 * DAY, now=later)
        assert {"docs", None} == {e.name for e in forgotten}
        assert [] == list(store)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = StateStore(tmp_path_factory.mktemp("desk")).environment("/srv/desk")
    commit(desk)
    return desk


NAIVE = dt.datetime(2026, 11, 20)  # noqa: DTZ001


class TestArguments:
    @pytest.mark.parametrize("content", ["old", bytearray(b"old"), 3])
    def test_content(self, checked, content):
        """
        A lockfile that is not bytes is the caller's mistake.
        """
        for ask in (checked.claim_notice, checked.look, checked.try_check):
            with pytest.raises(TypeError, match="lockfile must be bytes"):
                ask(content)

    @pytest.mark.parametrize("duration", [-SECOND, 3600, 0, "1h"])
    def test_durations(self, checked, duration):
        """
        So is a duration that is negative or no timedelta; the error names it.
        """
        look = checked.look()
        for name, ask in {
            "interval": checked.claim_notice,
            "reminder": checked.claim_notice,
            "could_not_check": checked.claim_notice,
            "max_age": look.freshness,
            "older_than": checked.store.prune,
        }.items():
            with pytest.raises(ValueError, match=f"{name} must be a timedelta"):
                ask(**{name: duration})
        with pytest.raises(ValueError, match="could_not_check"):
            look.verdict(could_not_check=duration)

    @pytest.mark.parametrize(
        ("interval", "seconds"),
        [
            (dt.timedelta(microseconds=1), 1),
            (dt.timedelta(seconds=1, microseconds=1), 2),
            (DAY, 86_400),
        ],
    )
    def test_rounded_up(self, checked, interval, seconds):
        """
        A duration is rounded up to whole seconds.
        """
        checked.claim_notice(now=NOON)

        verdict = checked.look(now=NOON).verdict(interval=interval, reminder=interval)
        assert NOON + seconds * SECOND == verdict.until

    @pytest.mark.parametrize(
        "moment",
        [
            *(NAIVE, dt.date(2026, 11, 20), 1_795_148_280, 0, "", False),
            # The text of these would have another width.
            dt.datetime(999, 12, 31, tzinfo=dt.UTC),
            dt.datetime.max.replace(tzinfo=dt.timezone(-HOUR)),
        ],
    )
    def test_moments(self, checked, moment):
        """
        A time without a zone, of another type or another width is one, too.
        """
        for name, ask in {
            "now": checked.claim_notice,
            "until": checked.snooze,
        }.items():
            with pytest.raises(ValueError, match=name):
                ask(**{name: moment})
        with pytest.raises(ValueError, match="now"):
            checked.look(now=moment)

    @given(
        moment=st.datetimes(
            dt.datetime(1000, 1, 1),  # noqa: DTZ001
            timezones=st.just(dt.UTC),
        ),
        hours=st.integers(-9, 9),
    )
    def test_cut(self, desk, moment, hours):
        """
        A time of any zone is recorded in UTC, cut to whole seconds.
        """
        zone = dt.timezone(hours * HOUR)
        with contextlib.suppress(OverflowError):
            assert desk.snooze(moment.astimezone(zone))
            assert moment.replace(microsecond=0) == known(desk).snoozed_until

    def test_which(self, shop):
        """
        A stored lockfile is the old or the new one.
        """
        with pytest.raises(ValueError, match="'old' or 'new'"):
            shop.kept_lockfile("newer")


class TestClaimNotice:
    def test_once_per_interval(self, checked):
        """
        A notice is given once, and again after the interval.

        It changes only its time and the digest of its upgrades.
        """
        before = known(checked)
        last = NOON + DAY + dt.timedelta(microseconds=999_999)
        moments = [NOON, NOON + HOUR, NOON + DAY - SECOND, last]

        assert [True, False, False, True] == [
            bool(checked.claim_notice(reminder=DAY, now=moment)) for moment in moments
        ]
        notified = before.result.upgrades.digest
        after = attrs.evolve(before, last_notified=NOON + DAY, notified=notified)
        assert after == known(checked)

    def test_other_upgrades(self, checked):
        """
        A check that finds the same changes nothing; one that finds others does.

        Others are announced after the interval, an earlier list included.
        """
        seen = []
        for days, found in enumerate([b"new"] * 8 + [b"newer", b"new", b"new"]):
            at = NOON + days * DAY
            rows = ROWS if found == b"new" else MORE_ROWS
            commit(checked, found, upgrades=rows, now=at)
            reasons = [
                checked.claim_notice(now=at + hours * HOUR).reason for hours in (0, 1)
            ]
            assert "told-recently" == reasons[1]
            seen.append(reasons[0] == "notify")

        assert [0, 7, 8, 9] == [day for day, spoken in enumerate(seen) if spoken]

    def test_other_upgrades_meanwhile(self, checked):
        """
        Others that are found within the interval wait for its end.
        """
        checked.claim_notice(now=NOON)
        commit(checked, b"newer", upgrades=MORE_ROWS, now=NOON + HOUR)

        verdict = checked.claim_notice(now=NOON + 2 * HOUR)
        assert ("told-recently", NOON + DAY) == (verdict.reason, verdict.until)
        assert "2 version changes" == checked.claim_notice(now=NOON + DAY).summary

    def test_clock_set_back(self, checked):
        """
        A clock that was set back costs one more notice of the same upgrades.
        """
        moments = [NOON + 30 * DAY, NOON, NOON + DAY, NOON + WEEK]

        assert [True, True, False, True] == [
            bool(checked.claim_notice(now=moment)) for moment in moments
        ]

    def test_unknown_subject(self, checked):
        """
        A notice of a writer that does not record its upgrades counts for the interval.
        """
        record = read_record(checked) | {"last_notified": text_of(NOON)}
        del record["notified"]
        write_record(checked, record)

        assert not checked.claim_notice(now=NOON + DAY - SECOND)
        assert checked.claim_notice(now=NOON + DAY)

    @pytest.mark.parametrize("value", ["1", "true", "yes", "anything"])
    @pytest.mark.parametrize(
        "name", ["UPGRADE_STATE_DISABLE", "NO_UPDATE_NOTIFIER", "CI"]
    )
    def test_switched_off(self, checked, monkeypatch, name, value):
        """
        Each switch silences notices and background checks; the answer names it.
        """
        monkeypatch.setenv(name, value)

        for answer in (
            checked.claim_notice(now=NOON),
            checked.start_check(["true"], max_age=0 * DAY),
        ):
            assert ("switched-off", name) == (answer.reason, answer.switch)
        assert not os.path.exists(checked.log_path)

    def test_plain_variables(self, checked, monkeypatch):
        """
        The switches are also found in a plain dictionary in place of `os.environ`.
        """
        monkeypatch.setattr(os, "environ", {"HOME": "/nowhere"})
        before = checked.look().verdict(interval=0 * DAY).reason
        monkeypatch.setitem(os.environ, "CI", "1")

        assert "switched-off" == checked.claim_notice(now=NOON).reason != before

    def test_other_variables(self, checked, monkeypatch):
        """
        What takes the place of `os.environ` needs only the methods of a mapping.
        """

        class Variables(collections.UserDict):
            _data = None

        monkeypatch.setattr(os, "environ", Variables(CI="1"))

        assert "switched-off" == checked.claim_notice(now=NOON).reason

    def test_switch_removed(self, checked, monkeypatch):
        """
        A switch that another thread removes while it is looked up is not set.
        """

        class Names(dict):
            def __contains__(self, name):
                return True  # a moment ago

        monkeypatch.setattr(os.environ, "_data", Names(os.environ._data))

        assert checked.claim_notice(now=NOON)

    @pytest.mark.parametrize("value", ["", "0", "false", "FALSE"])
    def test_not_switched_off(self, checked, monkeypatch, value):
        """
        A switch that is set to nothing or to no has no effect.
        """
        monkeypatch.setenv("CI", value)

        assert checked.claim_notice(now=NOON)

    def test_clock(self, checked):
        """
        Without a time the clock is asked.
        """
        before = dt.datetime.now(dt.UTC).replace(microsecond=0)
        checked.claim_notice()

        assert before <= known(checked).last_notified <= dt.datetime.now(dt.UTC)

    def test_stopped(self, checked, monkeypatch):
        """
        The clock is asked after the record is read: a process may stop in between.
        """
        read, later = os.read, NOON + 600 * SECOND

        def stopped(*args):
            monkeypatch.undo()
            assert checked.claim_notice(now=later)
            monkeypatch.setattr(time, "time", later.timestamp)
            return read(*args)

        monkeypatch.setattr(time, "time", NOON.timestamp)
        monkeypatch.setattr(os, "read", stopped)

        assert "told-recently" == checked.claim_notice().reason

    @pytest.mark.parametrize(
        ("now", "text"),
        [(10**12, "9999-12-31T23:59:59Z"), (-(10**12), "1000-01-01T00:00:00Z")],
    )
    def test_clock_far_off(self, checked, monkeypatch, now, text):
        """
        A clock beyond the years of a record gives the nearest time inside.
        """
        monkeypatch.setattr(time, "time", lambda: now)
        commit(checked, b"newer", now=None)

        assert text == read_record(checked)["last_checked"]


class TestCannotCheck:
    def test_claimed(self, failing):
        """
        A caller that asks for failures is notified once a week, no other one is.

        The claim records both times, and nothing else.
        """
        before = known(failing)
        week = {"could_not_check": 7 * DAY}
        answers = [
            failing.claim_notice(now=NOON),
            failing.look(now=NOON).verdict(**week),
            failing.claim_notice(now=NOON, **week),
            failing.claim_notice(now=NOON, **week),
            failing.claim_notice(now=NOON + DAY, **week),
        ]

        silence = ("nothing-known", "")
        news = ("cannot-check", "could not check for 9 days: OSError: no route to host")
        assert [silence, news, news, silence, silence] == [
            (answer.reason, answer.summary) for answer in answers
        ]
        expected = attrs.evolve(before, last_notified=NOON, failure_notified=NOON)
        assert expected == known(failing)


class TestNothingCanBeLoaded:
    def test_reason(self, checked, monkeypatch):
        """
        If not even the error can be loaded, there is a reason without one.
        """
        real = builtins.__import__

        def load(name, *args, **more):
            if name == "upgrade_state.exceptions":
                raise OSError(errno.EMFILE, "Too many open files")
            return real(name, *args, **more)

        monkeypatch.setattr(builtins, "__import__", load)
        monkeypatch.setattr(os, "lstat", refuse(errno.EMFILE))
        look = checked.look()
        answers = [checked.claim_notice(), look.verdict(), look.freshness(), look]
        monkeypatch.undo()

        assert [None] * 4 == [answer.error for answer in answers]
        assert ["unavailable"] * 3 == [answer.reason for answer in answers[:3]]

    def test_removed(self, checked, monkeypatch):
        """
        While an installer replaces this library, the answer carries the error.
        """
        real = builtins.__import__

        def load(name, scope=None, local=None, names=(), *more):
            if "_housekeeping" in (names or ()):
                raise ImportError("cannot import name '_housekeeping'")
            return real(name, scope, local, names, *more)

        monkeypatch.setattr(builtins, "__import__", load)
        verdict = checked.claim_notice(now=NOON)
        monkeypatch.undo()

        message = "Could not load a library (cannot import name '_housekeeping')"
        assert ("unavailable", message) == (verdict.reason, str(verdict.error))


URL = "postgresql:///db?service=team"


class TestBackend:
    """
    With a second store of files in place of the database.
    """

    @pytest.fixture
    def database(self, tmp_path, monkeypatch):
        """
        The store of a URL, and the URLs that its back end was made with.
        """
        urls = []

        def make(url):
            urls.append(url)
            return _housekeeping.FileStore(f"{tmp_path}/records/v1")

        package = types.ModuleType("upgrade_state._postgresql")
        package._records = types.SimpleNamespace(Backend=make)
        monkeypatch.setitem(sys.modules, package.__name__, package)
        return StateStore, urls

    @pytest.fixture
    def shop(self, database, shop):
        """
        An environment in the store of a URL.
        """
        return database[0](URL).environment(shop.path, "uv.lock")

    @pytest.mark.parametrize("url", [URL, "postgres://ana:secret@db.example/records"])
    def test_url(self, database, url):
        """
        The back end gets the URL as it is, and may refuse it.
        """
        store = database[0](url)

        assert ([url], f"<StateStore {url!r}>") == (database[1], repr(store))

    def test_no_files(self, checked):
        """
        There is no file of a record and no log, and no check starts in the background.
        """
        assert (None, None) == (checked.record_path, checked.log_path)
        assert "fresh" == checked.start_check(["true"], now=NOON).reason
        freshness = [checked.start_check(["true"], now=NOON + WEEK) for _ in range(2)]
        assert ["unavailable"] * 2 == [answer.reason for answer in freshness]
        assert (
            "unavailable: No check starts automatically: with a database, the program"
            " makes them"
        ) == str(freshness[0])
        frames = traceback.walk_tb(freshness[1].error.__traceback__)
        assert 2 == len(list(frames))
        with pytest.raises(StateReadError, match="with a database"):
            checked.store._directories()

    def test_operations(self, checked, tmp_path):
        """
        Every operation is carried out by the back end.
        """
        assert ROWS == checked.upgrades() == checked.look().upgrades()
        assert (b"old", b"new") == tuple(map(checked.kept_lockfile, ("old", "new")))
        assert "notify" == checked.claim_notice(now=NOON).reason
        assert "told-recently" == checked.look(now=NOON).verdict().reason
        assert checked.snooze(NOON + WEEK)
        assert checked.withdraw_consent()
        fail(checked)
        assert 1 == checked.look().record["failure"]["attempts"]
        assert checked.expire()
        assert [checked.key] == [environment.key for environment in checked.store]
        assert () == checked.store.prune()
        with checked.try_check() as check:
            assert "never-checked" == check.freshness().reason
            assert not checked.forget()
        assert checked.forget()
        assert None is checked.look().record
        assert not (tmp_path / "cache").exists()


class TestSnooze:
    def test_until(self, checked):
        """
        A snooze silences until its end, or until it is taken back.
        """
        assert checked.snooze(NOON + HOUR)

        reasons = [checked.look(now=NOON + n * HOUR).verdict().reason for n in (0, 1)]
        assert ["snoozed", "notify"] == reasons
        assert checked.snooze(None)
        assert checked.look(now=NOON).verdict()


class TestExpire:
    def test_due(self, checked):
        """
        A check is due again, whatever was checked or has failed.
        """
        assert "fresh" == checked.look(now=NOON).freshness().reason
        assert checked.expire()
        assert checked.look(now=NOON).freshness().due

        fail(checked)
        assert "backing-off" == checked.look().freshness().reason
        assert checked.expire()
        assert (None, True) == (
            known(checked).failure,
            checked.look().freshness().due,
        )

    def test_keeps_the_rest(self, checked):
        """
        The result and all other fields stay.
        """
        commit(checked, b"newer", by="uv")
        checked.claim_notice(now=NOON)
        checked.snooze(NOON)
        before = known(checked)

        checked.expire()

        assert attrs.evolve(before, last_checked=None) == known(checked)
        assert b"newer" == checked.kept_lockfile("new")


class TestOtherLocale:
    def test_same_key(self, tmp_path, monkeypatch):
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
        monkeypatch.setenv("SHOP", os.fsdecode(path))
        monkeypatch.setenv("PYTHONUTF8", "0")
        answers = set()
        for locale in ("C", "C.UTF-8", "POSIX"):
            monkeypatch.setenv("LC_ALL", locale)
            answers.add(run_python(code, str(tmp_path / "cache")))

        key = StateStore(tmp_path).environment(path, "uv.lock").key
        assert {f"{key} True\n"} == answers

    def test_lockfile_name(self, shop, store, monkeypatch):
        """
        Nor does it change the name of a lockfile.
        """
        monkeypatch.setattr(os, "fsencode", _latin_bytes)
        monkeypatch.setattr(os, "fsdecode", _latin_text)
        environment = store.environment(shop.path, "\xfc.lock")
        commit(environment)

        assert "\xfc.lock" == known(environment).lockfile
        (found,) = store
        assert ("\xfc.lock", environment.key) == (found.lockfile_name, found.key)


def _latin_bytes(path):
    return path if isinstance(path, bytes) else os.fspath(path).encode("latin-1")


def _latin_text(path):
    return path if isinstance(path, str) else os.fspath(path).decode("latin-1")


class TestDebugLines:
    @pytest.fixture
    def lines(self, caplog):
        """
        Return the lines since the last call.
        """
        caplog.set_level("DEBUG", "upgrade_state")

        def take():
            found = [r.getMessage() for r in caplog.records]
            assert {"upgrade_state"} >= {r.name for r in caplog.records}
            caplog.clear()
            return found

        return take

    def test_claims(self, checked, lines, monkeypatch):
        """
        Every claim leaves a line with its answer.
        """
        lines()
        answers = [checked.claim_notice(now=NOON) for _ in range(2)]
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse())
            answers.append(checked.claim_notice(now=NOON + WEEK))

        assert ["notify", "told-recently", "unavailable"] == [a.reason for a in answers]
        assert [f"claim_notice of {checked!r}: {a}" for a in answers] == lines()

    def test_starts(self, shop, lines, monkeypatch):
        """
        So does every start of a check, with its process.
        """
        answers = [shop.start_check([word]) for word in ("none", "true")]
        os.waitpid(answers[1].pid, 0)
        monkeypatch.setenv("CI", "1")
        answers.append(shop.start_check(["true"]))

        reasons = ["unavailable", "never-checked", "switched-off"]
        assert reasons == [a.reason for a in answers]
        assert [
            f"start_check of {shop!r}: {a} (process: {a.pid})" for a in answers
        ] == lines()

    def test_checks(self, shop, lines, monkeypatch):
        """
        So do the beginning and the end of a check.
        """
        with shop.try_check() as check:
            with shop.try_check() as other:
                assert other is None
            check.commit(b"new")
        with shop.try_check() as check:
            write_record(shop, read_record(shop) | {"generation": 7})
            assert not check.commit(b"new")
        fail(shop, ValueError("\x1b[2J"))
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", refuse())
            fail(shop)

        taken = f"try_check of {shop!r}: the check lock is taken"
        begins = f"failure of {shop!r}: "
        *others, last = lines()
        assert [
            taken,
            f"try_check of {shop!r}: busy",
            f"commit of {shop!r}: stored",
            taken,
            f"commit of {shop!r}: dropped after another commit",
            taken,
            f"{begins}recorded: ValueError: \\x1b[2J",
            taken,
        ] == others
        assert last.startswith(f"{begins}not recorded: Could not write the file (")
        assert last.endswith(": OSError: no route to host")

    def test_one_line(self, store, lines):
        """
        No name and no message has a control character in it.
        """
        shop = store.environment("/srv/\x1b\n", "\r\x9b", name="\u202e\n")
        fail(shop, ValueError("a\n\x1b"))
        shop.claim_notice(could_not_check=0 * DAY)
        shop.start_check(["\x1b"])

        found = lines()
        assert 4 == len(found)
        assert all(map(str.isprintable, found))

    @pytest.mark.parametrize("is_half_imported", [False, True])
    def test_broken_logging(self, checked, lines, monkeypatch, is_half_imported):
        """
        No handler that raises, and no `logging` without contents, costs an answer.
        """

        class Broken(logging.Handler):
            def handle(self, record):
                raise PermissionError(record)

        broken, logger = Broken(), logging.getLogger("upgrade_state")
        logger.addHandler(broken)
        if is_half_imported:  # by another thread
            monkeypatch.setitem(sys.modules, "logging", types.ModuleType("logging"))
        try:
            assert checked.claim_notice(now=NOON)
            assert commit(checked)
            fail(checked)
            reason = checked.start_check(["true"]).reason
        finally:
            logger.removeHandler(broken)

        assert ("backing-off", []) == (reason, lines())
        assert (NOON, 1) == (
            known(checked).last_notified,
            known(checked).failure.attempts,
        )

    def test_without_logging(self, checked):
        """
        A process that has not loaded logging gets no lines, and does not load it.
        """
        code = (
            "import sys; from upgrade_state import StateStore\n"
            "shop = StateStore(sys.argv[1]).environment(sys.argv[2], 'uv.lock')\n"
            "print(shop.claim_notice().reason, 'logging' in sys.modules)"
        )
        checked.snooze(NOON.replace(year=9000))

        assert "snoozed False\n" == run_python(code, *place_of(checked))
