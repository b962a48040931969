"""
The functions for the tests of a manager.
"""

import contextlib
import datetime as dt
import os
import sys
from pathlib import Path

import pytest

from helpers import DAY, NOON, SECOND, WEEK, commit, read_record, run_python
from upgrade_state import StateStore, UpgradeStateError, testing
from upgrade_state.exceptions import ResolverError
from upgrade_state.lockfiles import Upgrade

PINS = [("requests", "2.0", "2.1")]

store = pytest.fixture(testing.temporary_store)


@pytest.fixture
def argv():
    return [sys.executable, "-m", "checker", "/srv/shop"]


class TestTemporaryStore:
    def test_as_a_fixture(self, store, tmp_path):
        """
        The store is empty, and every other store of the test is the same.
        """
        shop = store.environment(tmp_path)
        testing.add_upgrades(shop, PINS)

        assert [shop.key] == [found.key for found in StateStore()]
        place = os.environ["UPGRADE_STATE_CACHE_DIR"]
        assert place == os.path.dirname(os.path.dirname(shop.record_path))

    def test_variables(self, monkeypatch):
        """
        Switches are unset meanwhile; afterwards each variable has its value again.
        """
        monkeypatch.setenv("CI", "true")
        monkeypatch.setenv("UPGRADE_STATE_DISABLE", "1")
        before = dict(os.environ)
        with contextlib.contextmanager(testing.temporary_store)() as store:
            place = Path(os.environ["UPGRADE_STATE_CACHE_DIR"])
            shop = store.environment("/srv/shop")
            testing.assert_silence(shop, "nothing-known")
            testing.add_upgrades(shop, PINS)
            assert place.exists()

        assert before == dict(os.environ)
        assert not place.exists()

    def test_without_pytest(self):
        """
        pytest is not imported.
        """
        code = "import sys; from upgrade_state import testing\n"
        code += "print('pytest' in sys.modules)"

        assert "False\n" == run_python(code)


class TestClock:
    def test_everywhere(self, shop):
        """
        Calls that are given no time happen at that moment; later the clock goes on.
        """
        with testing.clock_at(NOON + SECOND / 2):
            testing.add_upgrades(shop, PINS)
            testing.assert_notice(shop)
        record = read_record(shop)
        testing.add_upgrades(shop, PINS)

        noon = "2026-11-20T12:00:00Z"
        assert [noon, noon] == [record["last_checked"], record["last_notified"]]
        assert noon != read_record(shop)["last_checked"]

    def test_without_a_zone(self):
        """
        A time without a zone is an error.
        """
        with (
            pytest.raises(ValueError, match="moment must be a datetime with a time"),
            testing.clock_at(dt.datetime(2026, 1, 1)),  # noqa: DTZ001
        ):
            pass


class TestAddUpgrades:
    def test_rows(self, shop):
        """
        A tuple is a version change; other rows are written out.
        """
        row = Upgrade("curl", "rebuild", old=("8.0",), new=("8.0",))
        testing.add_upgrades(shop, [*PINS, row], at=NOON)
        look = shop.look(now=NOON)

        requests = Upgrade("requests", "version", old=("2.0",), new=("2.1",))
        assert {requests, row} == set(look.upgrades())
        assert "1 version change and 1 rebuild" == look.summary()
        assert NOON == look.information.last_checked

    def test_nothing_found(self, shop):
        """
        Without rows the check has found nothing.
        """
        testing.add_upgrades(shop, [])

        testing.assert_silence(shop, "no-upgrades")

    def test_lockfile_on_disk(self, shop):
        """
        The lockfile that is on disk at that time is the one that was checked.
        """
        testing.add_upgrades(shop, PINS)
        Path(shop.path, "uv.lock").write_bytes(b"edited")

        testing.assert_silence(shop, "lockfile-changed")

    def test_lockfile_as_bytes(self, shop):
        """
        Nothing is read for a manager that passes the bytes.
        """
        testing.add_upgrades(shop, PINS, lockfile=b"bytes")

        testing.assert_silence(shop, "lockfile-changed")
        testing.assert_notice(shop, lockfile=b"bytes")

    @pytest.mark.parametrize("add", [testing.add_upgrades, testing.add_failure])
    def test_busy(self, shop, add):
        """
        A check that runs is no reason to wait.
        """
        with (
            shop.try_check(),
            pytest.raises(AssertionError, match="is running"),
        ):
            add(shop, *([PINS] if add is testing.add_upgrades else []))


class TestAddFailure:
    def test_default(self, shop):
        """
        A failure has a message, and is recorded at its time.
        """
        testing.add_failure(shop, at=NOON - 9 * DAY)
        testing.add_failure(shop, at=NOON)
        verdict = testing.assert_notice(shop, at=NOON, could_not_check=WEEK)

        assert "could not check for 9 days: no route to host" == verdict.summary

    def test_error(self, shop):
        """
        A failure can be any exception.
        """
        testing.add_failure(shop, LookupError("no such index"))

        failure = shop.look().information.failure
        assert "LookupError: no such index" == failure.message

    @pytest.mark.parametrize("error", [None, UpgradeStateError("no", None)])
    def test_store_that_cannot_be_written(self, shop, error):
        """
        An error of the store is no failure of the check.
        """
        Path(shop.record_path).parent.write_text("a file")

        with pytest.raises(UpgradeStateError, match="is no directory"):
            testing.add_failure(shop, error)


class TestChecksInProcess:
    def test_due(self, shop, argv, tmp_path, monkeypatch, capsys):
        """
        A check that is due calls the function once, as a process would run.
        """
        monkeypatch.chdir(tmp_path)
        before = dict(os.environ)

        def checker(arguments):
            sys.stdout.write("not kept")
            words = (os.getcwd(), os.environ["TOKEN"], StateStore(), "\N{SNOWMAN}\n")
            sys.stderr.write(" ".join(map(str, words)))
            commit(shop, b"old", now=None)
            raise SystemExit(3)

        with testing.checks_in_process(checker) as calls:
            answers = [shop.start_check(argv, env={"TOKEN": "x"}) for _ in range(2)]

        assert [None, None] == [answer.pid for answer in answers]
        assert ["never-checked", "fresh"] == [a.reason for a in answers]
        assert [argv] == calls
        assert (before, str(tmp_path)) == (dict(os.environ), os.getcwd())
        assert ("", "") == capsys.readouterr()
        lines = Path(shop.log_path).read_text().splitlines()
        assert f"/ x {shop.store} \N{SNOWMAN}" == lines[1]
        assert lines[2].endswith("Z it ended with exit status 3")

    def test_log(self, shop, argv):
        """
        The log is bounded and safe to print, as that of a process.
        """

        def checker(_):
            sys.stderr.write("x" * (1 << 17))
            sys.stderr.write("\x1b[2J\udc80\n")

        with testing.checks_in_process(checker):
            shop.start_check(argv)

        log = Path(shop.log_path)
        assert log.stat().st_size < 1 << 16
        last = log.read_text().splitlines()[-2:]
        assert last[0].endswith(r"x\x1b[2J\udc80")
        assert last[1].endswith("Z it ended with exit status 0")

    def test_removed_directory(self, shop, argv, tmp_path, monkeypatch):
        """
        A checker runs although the working directory was removed.
        """
        place = tmp_path / "removed"
        place.mkdir()
        monkeypatch.chdir(place)
        place.rmdir()
        with testing.checks_in_process(lambda _: sys.exit("no")) as calls:
            shop.start_check(argv)

        assert 1 == len(calls)
        assert "status 1" in Path(shop.log_path).read_text()
        with pytest.raises(FileNotFoundError):
            os.getcwd()

    @pytest.mark.parametrize(
        ("switch", "program", "reason"),
        [("1", sys.executable, "switched-off"), ("", "no-such-program", "unavailable")],
    )
    def test_not_called(self, shop, monkeypatch, switch, program, reason):
        """
        Nothing is called if no process would be started.
        """
        monkeypatch.setenv("CI", switch)
        with testing.checks_in_process(print) as calls:
            freshness = shop.start_check([program])

        assert (reason, []) == (freshness.reason, calls)

    def test_without_a_trace(self, shop, argv):
        """
        A checker that records nothing is not called again within five minutes.
        """
        with testing.checks_in_process(lambda _: shop.start_check(argv)) as calls:
            answers = [
                shop.start_check(argv, now=NOON + seconds * SECOND)
                for seconds in (0, 299, 301)
            ]

        assert ["never-checked", "busy", "never-checked"] == [a.reason for a in answers]
        assert 2 == len(calls)

    def test_failing(self, shop, argv):
        """
        An exception is recorded and does not reach the activation, only the test.
        """

        def checker(_):
            with shop.try_check():
                raise OSError("no route to host")

        answers = []
        with (
            pytest.raises(OSError, match="no route to host"),
            testing.checks_in_process(checker),
        ):
            answers = [shop.start_check(argv), shop.start_check(argv)]

        assert ["never-checked", "backing-off"] == [a.reason for a in answers]

    def test_interrupted(self, shop, argv):
        """
        Ctrl-C, and a failed test of pytest, end both; the next check may start.
        """

        def checker(_):
            raise KeyboardInterrupt

        with testing.checks_in_process(checker):
            for _ in range(2):
                with pytest.raises(KeyboardInterrupt):
                    shop.start_check(argv)


class TestAssertNotice:
    def test_claims(self, shop):
        """
        A notice is claimed: the next one is silent, for the reason that is given.
        """
        testing.add_upgrades(shop, PINS, at=NOON)
        verdict = testing.assert_notice(shop, "1 version change", at=NOON)

        assert verdict.message == "1 version change available in 'shop'."
        testing.assert_silence(shop, at=NOON)
        testing.assert_silence(shop, "told-recently", at=NOON + 2 * DAY)
        testing.assert_notice(shop, at=NOON + 2 * DAY, reminder=DAY)

    def test_silence(self, shop):
        """
        The message has the reason for the silence.
        """
        message = "no notice for .*'uv.lock'.*: nothing-known: its upgrades are not"
        with pytest.raises(AssertionError, match=message):
            testing.assert_notice(shop)

    def test_times_of_the_test(self, shop):
        """
        Times in the message are relative to that of the activation.
        """
        testing.add_upgrades(shop, PINS, at=NOON)
        testing.assert_notice(shop, at=NOON)

        with pytest.raises(AssertionError, match="no reminder until tomorrow "):
            testing.assert_notice(shop, at=NOON + 6 * DAY)

    def test_other_text(self, shop):
        """
        The message has the notice if that is another one.
        """
        testing.add_upgrades(shop, PINS)

        message = "the notice is .*1 version change available.*, without '2 version"
        with pytest.raises(AssertionError, match=message):
            testing.assert_notice(shop, "2 version changes")


class TestAssertSilence:
    def test_notice(self, shop):
        """
        The message has the notice.
        """
        testing.add_upgrades(shop, PINS)

        with pytest.raises(AssertionError, match=r"a notice for .*1 version change"):
            testing.assert_silence(shop)

    def test_other_reason(self, shop):
        """
        The message has the reason that was found.
        """
        with pytest.raises(
            AssertionError, match="not silent for 'snoozed', but nothing-known: "
        ):
            testing.assert_silence(shop, "snoozed")

    def test_option(self, shop):
        """
        Options are those of a claim; a misspelt one is an error.
        """
        testing.add_failure(shop, ResolverError("no", None), at=NOON)

        testing.assert_silence(shop, "nothing-known", at=NOON, could_not_check=DAY)
        with pytest.raises(TypeError, match="could_not"):
            testing.assert_silence(shop, could_not=DAY)
