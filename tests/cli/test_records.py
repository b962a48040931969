import datetime as dt
import errno
import os
import time

import pytest

from helpers import refuse_path


class TestSnooze:
    def test_silent(self, checked, run):
        """
        A snooze silences notices until it is ended.
        """
        for words, text, reason in (
            (["--for", "7d"], " is snoozed until ", "snoozed"),
            (["--off"], ": notices are on again\n", "notify"),
        ):
            result = run("snooze", *words)
            assert 0 == result.status
            assert f"{checked.path} (uv.lock){text}" in result.out
            assert reason == checked.look().verdict().reason

    def test_nothing_known(self, environment, run):
        """
        An unknown environment cannot be snoozed.
        """
        result = run("snooze", "--for", "7d")

        assert (1, "") == (result.status, result.out)
        told = (
            f"upgrade-state: nothing is known of {environment.path} (uv.lock)\n"
            f"Run 'upgrade-state check {environment.path} -- COMMAND'"
            " to look for upgrades.\n"
        )
        assert told == result.err

    def test_nothing_to_forget(self, environment, run):
        """
        To forget an unknown environment, no check helps.
        """
        result = run("forget")

        assert (1, "") == (result.status, result.out)
        assert [
            f"upgrade-state: nothing is known of {environment.path} (uv.lock)",
            "Run 'upgrade-state list' to see the environments that are known.",
        ] == result.err.splitlines()

    @pytest.fixture
    def friday(self, monkeypatch):
        """
        It is Friday, 20 November 2026, 10:00 in Central Europe.
        """
        monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        now = dt.datetime(2026, 11, 20, 9, tzinfo=dt.UTC).timestamp()
        monkeypatch.setattr("time.time", lambda: now)
        yield
        monkeypatch.undo()
        time.tzset()

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("--for=36h", "2026-11-21T21:00:00Z"),
            ("--for=1 week 2 days", "2026-11-29T09:00:00Z"),
            ("--until=2026-12-24", "2026-12-23T23:00:00Z"),
            ("--until=2027-07-01", "2027-06-30T22:00:00Z"),
            ("--until=2026-12-24 09:00", "2026-12-24T08:00:00Z"),
            ("--until=2026-12-24T09:00Z", "2026-12-24T09:00:00Z"),
            ("--until=tomorrow", "2026-11-20T23:00:00Z"),
            ("--until=today 18:00", "2026-11-20T17:00:00Z"),
            ("--until=Saturday", "2026-11-20T23:00:00Z"),
            ("--until=mon 09:00", "2026-11-23T08:00:00Z"),
            ("--until=friday", "2026-11-26T23:00:00Z"),
            ("--until=friday  09:00", "2026-11-27T08:00:00Z"),
            ("--until=2027-03-28 02:30", "2027-03-28T01:30:00Z"),  # does not exist
        ],
    )
    def test_until(self, friday, checked, run, words, expected):
        """
        A local time ends a snooze; a day means its beginning.
        """
        assert 0 == run("snooze", words).status
        assert expected == checked.look().record["snoozed_until"]

    def test_no_zone(self, friday, checked, run, monkeypatch):
        """
        A zone that is a day or more from UTC is none.
        """
        monkeypatch.setenv("TZ", "UTC-99")
        time.tzset()

        line = "upgrade-state: --until: not a time zone: TZ=UTC-99"
        assert line == run("snooze", "--until=monday").err.splitlines()[0]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ((), "say how long: --for 7d, --until monday or --off\n"),
            (("--for=7d", "--until=mon"), "either --for or --until, not both\n"),
            (("--for=0",), "--for: to end a snooze, run 'snooze --off'\n"),
            (("--for=9999999d",), "--for: the snooze would end after the year 9999"),
            (("--for=soon",), "--for: not a duration: 'soon'"),
            (("--until=2026-11-20",), "--until: '2026-11-20' has passed"),
            (("--until=today",), "--until: '2026-11-20 00:00' has passed"),
            (("--until=2026-11-20 10:00",), "--until: '2026-11-20 10:00' has passed"),
            (("--until=2026-13-01",), "--until: not a time: '2026-13-01' (such as 2"),
            (("--until=tomorrow 9",), "--until: not a time: '2026-11-21 9' (such as"),
            (("--until=",), "--until: not a time: ''"),
            (("--until=0001-01-01",), "--until: not a time: '0001-01-01'"),
            (
                ("--until=someday, when I have time",),
                "not a time: 'someday, when I hav…'",
            ),
        ],
    )
    def test_mistakes(self, friday, checked, run, words, message):
        """
        A time is needed that has not passed and ends before the year 10000.
        """
        result = run("snooze", *words)

        assert (2, "") == (result.status, result.out)
        assert message in result.err
        assert 2 == len(result.err.splitlines())
        assert None is checked.look().record["snoozed_until"]


class TestForget:
    def test_forgotten(self, checked, run):
        """
        A forgotten environment has no record.
        """
        result = run("forget")

        assert f"{checked.path} (uv.lock) is forgotten\n" == result.out
        assert None is checked.look().information

    def test_busy(self, checked, run):
        """
        An environment that is being checked is kept.
        """
        with checked.try_check():
            result = run("forget")

        assert 1 == result.status
        assert "is being checked; nothing is forgotten" in result.err
        assert None is not checked.look().information


class TestPrune:
    def test_pruned(self, checked, shop, run, monkeypatch):
        """
        An environment whose directory was removed is forgotten, if it is old.
        """
        monkeypatch.chdir("/")
        (shop / "uv.lock").unlink()
        shop.rmdir()
        os.utime(checked.record_path, (1, 1))

        early = run("prune", "--older-than", "99999d")
        words = "nothing to forget; to include recent removals, add --older-than 0"
        assert (0, f"upgrade-state: {words}\n") == (early.status, early.err)
        assert f"{shop} (uv.lock) would be forgotten\n" == run("prune", "--dry-run").out
        assert f"{shop} (uv.lock) is forgotten\n" == run("prune").out
        done = run("prune", "--older-than", "0")
        assert "upgrade-state: nothing to forget\n" == done.err

    def test_leftovers(self, checked, cache, run):
        """
        A leftover without a path is named by its key.
        """
        key = "0" * 32
        (cache / "v1/results" / key).mkdir()

        assert f"{key} is forgotten\n" == run("prune").out

    def test_left_out(self, checked, cache, run, monkeypatch):
        """
        An old record that cannot be read is an error, after others were forgotten.
        """
        os.utime(checked.record_path, (1, 1))
        key = "0" * 32
        (cache / "v1/results" / key).mkdir()
        refuse_path(monkeypatch, "open", checked.record_path, errno.EIO)

        result = run("prune")

        assert (2, f"{key} is forgotten\n") == (result.status, result.out)
        assert (
            f"Could not read the file (Input/output error): {checked.record_path}\n"
            in result.err
        )


class TestPath:
    def test_path(self, environment, run):
        """
        The path is printed whether or not the record is there.
        """
        assert f"{environment.record_path}\n" == run("path").out
        assert 0 == run("path").status
