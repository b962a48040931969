"""
When to check and when to speak: records on disk, and the answers to them.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import digest_of, refuse_path, text_of, write_record
from upgrade_state import Freshness, StateStore, Verdict
from upgrade_state.exceptions import StateReadError

NOW = 1_795_148_280  # 2026-11-20T04:18:00Z
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
FIRST, LAST = -30_610_224_000, 253_402_300_799  # of the years 1000 to 9999
MAX_INTEGER = 2**53 - 1

OLD = {"digest": digest_of(b"old"), "size": 3}
NEW = {"digest": digest_of(b"new"), "size": 3}
UNREAD = None  # the lockfile on disk cannot be read: the answer must not need it


def moment(seconds: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)


def text(seconds: int) -> str:
    return text_of(moment(seconds))


def ago(seconds: int) -> str:
    return text(NOW - seconds)


def record(**fields: Any) -> dict[str, Any]:
    """
    A record with one upgrade, checked an hour ago, without a notice.
    """
    return {"last_checked": ago(HOUR), "result": result(version=1), **fields}


def result(**counts: int) -> dict[str, Any]:
    return {
        "format": "uv",
        "old_lockfile": OLD,
        "new_lockfile": NEW,
        "upgrades": OLD,
        "counts": {"*": {"version": 0, "rebuild": 0, **counts}},
    }


def opaque(new: dict[str, Any]) -> dict[str, Any]:
    return result() | {"format": None, "new_lockfile": new, "counts": None}


def failure(at: str, attempts: int = 1, **more: Any) -> dict[str, Any]:
    return {"at": at, "attempts": attempts, "message": "no route to host", **more}


def failing(length: int = 9 * DAY, **fields: Any) -> dict[str, Any]:
    """
    A record with one upgrade whose checks have failed for *length* seconds.
    """
    return record(failure=failure(ago(0), 9, since=ago(length)), **fields)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """
    An environment whose lockfile is a symlink to itself: it cannot be read.
    """
    base = tmp_path_factory.mktemp("policy")
    (base / "shop").mkdir()
    (base / "shop" / "uv.lock").symlink_to("uv.lock")
    return StateStore(base / "cache").environment(base / "shop", "uv.lock")


def look(environment, it, lockfile, now):
    if it is None:
        assert environment.forget()
    else:
        identity = {"environment": environment.path, "lockfile": "uv.lock"}
        write_record(environment, identity | it)
    return environment.look(lockfile, now=moment(now))


def duration(seconds):
    return None if seconds is None else dt.timedelta(seconds=seconds)


@pytest.fixture(scope="module")
def freshness(desk):
    """
    Return the freshness for a record; as text it explains its reason.
    """

    def ask(it, lockfile=b"old", *, now=NOW, max_age=None) -> Freshness:
        f = look(desk, it, lockfile, now).freshness(max_age=duration(max_age))
        assert str(f).startswith(f"{f.reason}: ")
        assert f"<Freshness {f}>" == repr(f)
        return f

    return ask


@pytest.fixture(scope="module")
def verdict(desk):
    """
    Return the verdict on a record; as text it explains its reason.
    """

    def ask(
        it, lockfile=b"old", *, now=NOW, interval=None, reminder=None, **more
    ) -> Verdict:
        options = {"interval": duration(interval), "reminder": duration(reminder)}
        options["could_not_check"] = duration(more.pop("limit", None))
        v = look(desk, it, lockfile, now).verdict(**options, **more)
        assert str(v).startswith(f"{v.reason}: ")
        assert f"<Verdict {v}>" == repr(v)
        assert bool(v) == bool(v.message)
        return v

    return ask


class TestFreshness:
    @pytest.mark.parametrize(
        "it", [None, record(last_checked=None), record(result=None)]
    )
    def test_never_checked(self, freshness, it):
        """
        Without a successful check one is due, whatever the lockfile is.
        """
        f = freshness(it, UNREAD)

        assert ("never-checked", True, None) == (f.reason, f.due, f.until)

    def test_fresh(self, freshness):
        """
        A check of this lockfile is good for a day.
        """
        f = freshness(record())

        assert ("fresh", False, moment(NOW + 23 * HOUR)) == (f.reason, f.due, f.until)

    @pytest.mark.parametrize(
        ("age", "max_age", "reason"),
        [
            (DAY - 1, None, "fresh"),
            (DAY, None, "expired"),
            (DAY + 1, None, "expired"),
            (HOUR, 2 * HOUR, "fresh"),
            (HOUR, HOUR, "expired"),
            (0, 0, "expired"),  # not even one from this second
            # A small difference of clocks; then one that was set back.
            (-300, None, "fresh"),
            (-301, None, "expired"),
        ],
    )
    def test_age(self, freshness, age, max_age, reason):
        """
        A check expires after *max_age*, and if it is from the future.
        """
        f = freshness(record(last_checked=ago(age)), max_age=max_age)

        assert (reason, reason == "expired") == (f.reason, f.due)

    def test_other_lockfile(self, freshness):
        """
        A check of another lockfile is no good.
        """
        f = freshness(record(), b"other")

        assert ("lockfile-changed", True, None) == (f.reason, f.due, f.until)

    @pytest.mark.parametrize(
        ("age", "max_age", "reason", "until"),
        [
            (0, None, "just-checked", 300),
            (299, None, "just-checked", 1),
            (300, None, "lockfile-changed", None),
            (299, 299, "expired", None),
            (30, 100, "just-checked", 70),
            # A small difference of clocks; then one that was set back.
            (-300, None, "just-checked", 600),
            (-301, None, "expired", None),
        ],
    )
    def test_just_checked(self, freshness, age, max_age, reason, until):
        """
        A changed lockfile is no reason for a check within 5 minutes after the last.
        """
        f = freshness(record(last_checked=ago(age)), b"other", max_age=max_age)

        when = None if until is None else moment(NOW + until)
        assert (reason, until is None, when) == (f.reason, f.due, f.until)

    def test_backing_off(self, freshness):
        """
        After a failure no check is due for some minutes, whatever the lockfile is.
        """
        f = freshness(record(failure=failure(ago(200))), UNREAD)

        assert ("backing-off", False) == (f.reason, f.due)
        assert 225 <= f.until.timestamp() - (NOW - 200) <= 300

    @pytest.mark.parametrize("then", [ago(300), ago(-301)])
    def test_backed_off(self, freshness, then):
        """
        After that, or if the clock was set back, the failure does not count.
        """
        assert "fresh" == freshness(record(failure=failure(then))).reason

    @pytest.mark.parametrize("attempts", [0, 1, 2, 5, 9, 10, 11, MAX_INTEGER])
    def test_delay(self, freshness, attempts):
        """
        The delay doubles with each failure, up to a day, less up to a quarter.
        """
        f = freshness(record(failure=failure(ago(0), attempts)))

        whole = min(300 * 2 ** min(max(attempts - 1, 0), 20), DAY)
        assert whole * 3 // 4 <= f.until.timestamp() - NOW <= whole

    def test_delays_differ(self, desk):
        """
        Checks that failed together are not repeated together.
        """
        it = record(failure=failure(ago(0), 12))
        shops = (
            desk.store.environment(f"{desk.path}/{n}", "uv.lock") for n in range(9)
        )

        assert 5 < len({look(shop, it, b"", NOW).freshness().until for shop in shops})

    def test_no_truth_value(self, freshness):
        """
        A freshness has no truth value, so that `due` is not mistaken for it.
        """
        with pytest.raises(TypeError, match="due"):
            bool(freshness(None))


class TestVerdict:
    def test_notify(self, verdict):
        """
        Upgrades without a notice are to be announced.
        """
        v = verdict(record())

        assert ("notify", True, None) == (v.reason, bool(v), v.until)
        assert "notify: 1 version change available" == str(v)
        assert "1 version change available in 'shop'." == v.message

    @pytest.mark.parametrize("it", [None, record(result=None)])
    def test_nothing_known(self, verdict, it):
        """
        Without a result there is nothing to announce.
        """
        v = verdict(it, UNREAD)

        assert ("nothing-known", False, "") == (v.reason, bool(v), v.message)

    def test_switched_off(self, verdict, monkeypatch):
        """
        A switch comes before everything else, and the verdict names it.
        """
        monkeypatch.setenv("CI", "1")
        for it, limit in ((record(), None), (failing(result=None), WEEK)):
            v = verdict(it, UNREAD, limit=limit)

            assert ("switched-off", "CI") == (v.reason, v.switch)
            assert str(v).startswith("switched-off: CI ")

    def test_no_upgrades(self, verdict):
        """
        A check without upgrades is not announced.
        """
        v = verdict(record(result=result()), UNREAD)

        assert ("no-upgrades", "", "") == (v.reason, v.summary, v.message)

    @pytest.mark.parametrize(("new", "reason"), [(OLD, "no-upgrades"), (NEW, "notify")])
    def test_opaque(self, verdict, new, reason):
        """
        For an opaque format only the digests are compared.
        """
        v = verdict(record(result=opaque(new)))

        assert (reason, 0, 0) == (v.reason, v.version_changes, v.rebuilds)
        assert v.opaque == (new == NEW)
        assert v.message == ("Upgrades available in 'shop'." if v else "")

    def test_snoozed(self, verdict):
        """
        A snooze ends at the second that the user asked for.
        """
        until = NOW + 1
        it = record(snoozed_until=text(until), last_notified=ago(5))

        v = verdict(it, UNREAD)
        assert ("snoozed", moment(until)) == (v.reason, v.until)
        assert "told-recently" == verdict(it, now=until).reason

    def test_snoozed_for_years(self, verdict):
        """
        A snooze until the end of all times is no sign of a wrong clock.
        """
        it = record(snoozed_until="9999-12-31T23:59:59Z")

        assert "snoozed" == verdict(it, UNREAD).reason

    @pytest.mark.parametrize("age", [0, DAY - 1, -300])
    def test_told_recently(self, verdict, age):
        """
        A notice is not repeated within the interval; a small difference is allowed.
        """
        v = verdict(record(last_notified=ago(age)), UNREAD)

        assert ("told-recently", moment(NOW - age + DAY)) == (v.reason, v.until)

    @pytest.mark.parametrize(
        ("age", "interval"), [(DAY, None), (-301, None), (0, 0), (-300, 0)]
    )
    def test_told_long_ago(self, verdict, age, interval):
        """
        After the interval it is; an interval of zero and a future time are over.
        """
        assert verdict(record(last_notified=ago(age)), interval=interval)

    @pytest.mark.parametrize(
        ("interval", "reminder", "same", "other"),
        [
            (None, None, WEEK, DAY),
            (HOUR, None, WEEK, HOUR),
            (None, HOUR, DAY, DAY),  # a reminder is a notice: the interval holds
            (None, 0, DAY, DAY),
            (2 * WEEK, None, 2 * WEEK, 2 * WEEK),
            (0, None, 0, 0),
            (0, HOUR, HOUR, 0),
            (0, 0, 0, 0),
        ],
    )
    @pytest.mark.parametrize("found", [result(version=1), opaque(NEW)])
    def test_reminder(self, verdict, interval, reminder, same, other, found):
        """
        The same upgrades are announced once per *reminder*, others per *interval*.

        An opaque format has no list: its new lockfile counts.
        """
        subject = (found["upgrades"] if found["counts"] else found["new_lockfile"])[
            "digest"
        ]
        found = found | {"upgrades": found["counts"] and found["upgrades"]}
        options = {"interval": interval, "reminder": reminder}
        for notified, pause in (
            (subject, same),
            (digest_of(b"others"), other),
            (None, other),  # by a writer that does not record it
        ):
            it = record(result=found, last_notified=ago(0), notified=notified)
            assert verdict(it, now=NOW + pause, **options)
            if pause:
                v = verdict(it, UNREAD, now=NOW + pause - 1, **options)
                assert ("told-recently", moment(NOW + pause)) == (v.reason, v.until)

    def test_reminder_and_clock(self, verdict):
        """
        A notice from the future was long ago, of the same upgrades as well.
        """
        it = record(last_notified=ago(-301), notified=OLD["digest"])
        assert verdict(it)
        it["last_notified"] = ago(-300)

        assert moment(NOW + 300 + WEEK) == verdict(it, UNREAD).until

    def test_no_end(self, verdict):
        """
        A notice that is due after the year 9999 has no time.
        """
        longest = dt.timedelta.max // dt.timedelta(seconds=1)
        v = verdict(record(last_notified=ago(0)), interval=longest)

        assert ("told-recently", None) == (v.reason, v.until)

    def test_other_lockfile(self, verdict):
        """
        Upgrades of another lockfile are not announced.
        """
        v = verdict(record(), b"other")

        assert ("lockfile-changed", "") == (v.reason, v.message)
        assert "1 version change" == v.summary

    @pytest.mark.parametrize("found", [result(version=1), opaque(NEW)])
    def test_upgraded(self, verdict, found):
        """
        Upgrades that were made are not announced.
        """
        v = verdict(record(result=found), b"new")

        assert ("upgraded", "", None) == (v.reason, v.message, v.until)

    def test_same_lockfile(self, verdict):
        """
        If the upgrade leads to the lockfile that was checked, none has been made.
        """
        it = record(result=result(version=1) | {"new_lockfile": OLD})

        assert "notify" == verdict(it).reason

    @pytest.mark.parametrize(
        ("platform", "counts"),
        [(None, (2, 1)), ("linux-64", (1, 0)), ("win-64", (0, 1)), ("osx", (0, 0))],
    )
    def test_platform(self, verdict, platform, counts):
        """
        Counts are those of the platform; one that is not listed has none.
        """
        found = {
            "*": {"version": 2, "rebuild": 1},
            "linux-64": {"version": 1, "rebuild": 0},
            "win-64": {"version": 0, "rebuild": 1},
        }
        v = verdict(record(result=result() | {"counts": found}), platform=platform)

        assert counts == (v.version_changes, v.rebuilds)
        assert bool(v) == any(counts)

    def test_any_platform(self, verdict):
        """
        Counts of all platforms together hold for every platform.
        """
        assert verdict(record(), platform="linux-64")

    @pytest.mark.parametrize(
        ("version", "rebuild", "summary"),
        [
            (1, 0, "1 version change"),
            (2, 0, "2 version changes"),
            (0, 1, "1 rebuild"),
            (0, 2, "2 rebuilds"),
            (2, 1, "2 version changes and 1 rebuild"),
        ],
    )
    def test_summary(self, verdict, version, rebuild, summary):
        """
        Zeros are left out, and one is no plural.
        """
        v = verdict(record(result=result(version=version, rebuild=rebuild)))

        assert summary == v.summary

    @pytest.mark.parametrize(
        ("directory", "name"),
        [
            ("/", "/"),
            ("/srv/a b", "a b"),
            ("/srv/\x1b[31mred\nline", "\\x1b[31mred\\nline"),
            ("/srv/\udce9", "\\udce9"),
            ("/srv/\u202egnp", "\\u202egnp"),
        ],
    )
    def test_message_is_safe(self, desk, directory, name):
        """
        A message is one line without control characters, whatever the directory is.
        """
        environment = desk.store.environment(os.fsencode(directory), "uv.lock")
        message = look(environment, record(), b"old", NOW).verdict().message

        assert f"1 version change available in '{name}'." == message

    def test_unavailable(self):
        """
        An answer with an error contains its text; one without says it is unknown.
        """
        error = StateReadError("Could not read the file (no)", "/a")
        for answer in (Verdict, Freshness):
            a = answer("unavailable", error=error)

            assert "unavailable: Could not read the file (no): '/a'" == str(a)
            assert error is a.error
            assert "too many open files?" in str(answer("unavailable"))


class TestReasons:
    @pytest.fixture
    def reasons(self, desk):
        """
        Return the reasons of a look; the first is that of its verdict.
        """

        def ask(it, lockfile=b"old", *, limit=None):
            read = look(desk, it, lockfile, NOW)
            answers = read.reasons(could_not_check=duration(limit))
            (verdict,) = {str(read.verdict(could_not_check=duration(limit)))}
            assert verdict == str(answers[0])
            return [answer.reason for answer in answers]

        return ask

    def test_order(self, reasons, monkeypatch):
        """
        Every reason for silence is listed, in the order of the verdict.
        """
        it = record(result=result(), snoozed_until=ago(-1), last_notified=ago(1))
        silences = ["no-upgrades", "snoozed", "told-recently"]

        assert [*silences, "lockfile-changed"] == reasons(it, b"other")
        assert [*silences, "upgraded"] == reasons(it, b"new")
        assert silences == reasons(it)
        assert [*silences, "unavailable"] == reasons(it, UNREAD)
        assert ["nothing-known", *silences[1:]] == reasons(it | {"result": None})
        monkeypatch.setenv("CI", "1")
        assert ["switched-off", *silences] == reasons(it)
        assert ["switched-off"] == reasons(record())
        assert ["switched-off", "nothing-known"] == reasons(None)

    def test_notice(self, reasons):
        """
        The notice is alone, and it is none if anything silences it.
        """
        assert ["notify"] == reasons(record())
        assert ["cannot-check"] == reasons(failing(), UNREAD, limit=WEEK)
        it = failing(snoozed_until=ago(-1), result=None)

        assert ["snoozed"] == reasons(it, UNREAD, limit=WEEK)

    def test_unreadable(self, desk):
        """
        A record that cannot be read is the only reason.
        """
        with pytest.MonkeyPatch.context() as patch:
            refuse_path(patch, "lstat", os.path.dirname(desk.record_path))
            (answer,) = desk.look().reasons()

        assert ("unavailable", False) == (answer.reason, bool(answer))
        with pytest.raises(ValueError, match="reminder"):
            desk.look().reasons(reminder=-dt.timedelta(1))

    @pytest.mark.parametrize("name", ["verdict", "reasons"])
    def test_arguments(self, desk, name):
        """
        Both take the same arguments.
        """
        day = dt.timedelta(1)
        ask = getattr(look(desk, record(), b"old", NOW), name)

        assert ask(interval=day, reminder=day, platform="x", could_not_check=day)


class TestCannotCheck:
    @pytest.fixture
    def troubled(self, verdict):
        """
        Ask like a caller that is notified once checks have failed for a week.
        """

        def ask(it, lockfile=UNREAD, **options):
            return verdict(it, lockfile, **({"limit": WEEK} | options))

        return ask

    def test_text(self, troubled):
        """
        The notice says for how long and why checks fail.
        """
        v = troubled(failing())

        summary = "could not check for 9 days: no route to host"
        notice = "Could not check for upgrades of 'shop' for 9 days: no route to host."
        assert (True, None) == (bool(v), v.until)
        assert (summary, f"cannot-check: {summary}") == (v.summary, str(v))
        assert notice == v.message

    @pytest.mark.parametrize(
        ("length", "words"),
        [
            (9 * DAY + 23 * HOUR, " for 9 days"),
            (DAY, " for 1 day"),
            (DAY - 1, " for 23 hours"),
            (HOUR, " for 1 hour"),
            (HOUR - 1, " for 59 minutes"),
            (59, " for 59 seconds"),
            (0, ""),
        ],
    )
    def test_length(self, troubled, length, words):
        """
        The length is in its largest unit, and cut.
        """
        v = troubled(failing(length), limit=0)

        assert f"could not check{words}: no route to host" == v.summary

    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ("no network.", ": no network"),
            ("a\x1b[31m\nb", ": a\\x1b[31m b"),
            ("https://me:secret@index.example/ says no", ": <URL> says no"),
            ("x" * 100_000, ": " + "x" * 248 + "..." + "x" * 248),
            (". ", ""),
            ("", ""),
        ],
    )
    def test_is_safe(self, troubled, message, words):
        """
        The message in the record is shown as one line without control characters.
        """
        it = failing()
        v = troubled(it | {"failure": it["failure"] | {"message": message}})

        assert f"could not check for 9 days{words}" == v.summary
        assert f" of 'shop' for 9 days{words}." in v.message

    @pytest.mark.parametrize(
        "fields",
        [{"result": None, "last_checked": None}, {"result": result()}, {}],
        ids=["nothing known", "no upgrades", "upgrades"],
    )
    def test_only_if_asked(self, verdict, troubled, fields):
        """
        A caller that asks for failures gets them first; no other one gets them.
        """
        assert "cannot-check" == troubled(failing(**fields)).reason
        assert verdict(failing(**fields)).reason == verdict(record(**fields)).reason

    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"snoozed_until": ago(-1)}, "snoozed"),
            ({"last_notified": ago(DAY - 1)}, "told-recently"),
            ({"result": result(), "last_notified": ago(0)}, "told-recently"),
            ({"last_notified": ago(0), "notified": OLD["digest"]}, "told-recently"),
        ],
    )
    def test_silenced(self, troubled, fields, reason):
        """
        A snooze and an earlier notice silence it like other notices.
        """
        v = troubled(failing(**({"result": None} | fields)))

        assert (reason, "") == (v.reason, v.message)

    def test_interval_only(self, troubled):
        """
        A notice of the same upgrades delays it by the interval, not by the reminder.
        """
        it = failing(last_notified=ago(DAY), notified=OLD["digest"])

        assert "told-recently" == troubled(it, limit=None).reason
        assert "cannot-check" == troubled(it).reason

    @pytest.mark.parametrize(
        ("last", "more", "told", "limit", "reason"),
        [
            (0, {"since": WEEK - 1}, None, WEEK, "notify"),
            (0, {"since": WEEK}, None, WEEK, "cannot-check"),
            # At most once a week; a notice from the future was long ago.
            (0, {"since": 9 * DAY}, WEEK - 1, WEEK, "notify"),
            (0, {"since": 9 * DAY}, WEEK, WEEK, "cannot-check"),
            (0, {"since": 9 * DAY}, -300, WEEK, "notify"),
            (0, {"since": 9 * DAY}, -301, WEEK, "cannot-check"),
            # No check has failed since the last notice.
            (3 * WEEK, {"since": 5 * WEEK}, 2 * WEEK, WEEK, "notify"),
            # Until the last failure, not until now.
            (3 * WEEK, {"since": 3 * WEEK}, None, WEEK, "notify"),
            # An older program has recorded only the last failure.
            (3 * WEEK, {}, None, WEEK, "notify"),
            (3 * WEEK, {}, None, 0, "cannot-check"),
            (3 * WEEK, {"since": None}, None, 0, "cannot-check"),
            # The clock was set back in between: the length is unknown.
            (0, {"since": -WEEK}, None, 0, "notify"),
        ],
    )
    @pytest.mark.parametrize("fields", [{}, {"last_notified": ago(DAY)}])
    def test_due(self, troubled, last, more, told, limit, reason, fields):
        """
        It is due once checks have failed for long enough, at most once a week.

        A daily notice of upgrades does not delay it.
        """
        more = {k: None if age is None else ago(age) for k, age in more.items()}
        notified = {} if told is None else {"failure_notified": ago(told)}
        it = record(failure=failure(ago(last), 9, **more), **notified, **fields)

        assert reason == troubled(it, b"old", limit=limit).reason

    def test_clock_set_back_since(self, troubled):
        """
        The length stays true if the clock was set back later.
        """
        it = record(failure=failure(ago(-11 * WEEK), 9, since=ago(-9 * WEEK)))

        summary = "could not check for 14 days: no route to host"
        assert summary == troubled(it).summary

    @pytest.mark.parametrize("platform", [None, "linux-64"])
    def test_counts(self, troubled, platform):
        """
        The verdict still has the counts of the last result.
        """
        v = troubled(failing(), platform=platform)

        assert (1, 0, False) == (v.version_changes, v.rebuilds, v.opaque)


class TestLaws:
    times = st.integers(FIRST, LAST)
    durations = st.integers(0, dt.timedelta.max // dt.timedelta(seconds=1))

    def test_first_second(self, verdict):
        """
        The first second that a record can hold is no exception.
        """
        it = record(last_notified=text(FIRST))

        assert "told-recently" == verdict(it, now=FIRST, interval=DAY).reason

    @given(then=times, now=times, duration=durations)
    def test_any_times(self, verdict, freshness, then, now, duration):
        """
        Any times and durations give an answer, and an `until` in UTC or none.
        """
        at = text(then)
        it = record(last_checked=at, last_notified=at, snoozed_until=at)
        answers = [
            verdict(it, now=now, interval=duration),
            freshness(it, now=now, max_age=duration),
        ]

        assert all(a.until is None or a.until.tzinfo is dt.UTC for a in answers)

    @given(
        then=times,
        now=times,
        interval=durations,
        count=st.integers(0, 3),
        current=st.booleans(),
    )
    def test_notice(self, verdict, then, now, interval, count, current):
        """
        A notice needs upgrades, the current lockfile and the end of the interval.
        """
        it = record(last_notified=text(then), result=result(version=count))
        v = verdict(it, b"old" if current else b"other", now=now, interval=interval)

        over = interval == 0 or now - then >= interval or then - now > 300
        assert bool(v) == (count > 0 and current and over)

    @given(
        moments=st.tuples(times, times, times, times),
        interval=durations,
        limit=durations,
        known=st.booleans(),
    )
    def test_failures(self, verdict, moments, interval, limit, known):
        """
        Any times of failures and notices give the answer that the rules demand.
        """
        first, last, told, now = moments
        it = record(
            failure=failure(text(last), since=text(first)),
            failure_notified=text(told),
            last_notified=text(told),
            result=result(version=1) if known else None,
        )
        v = verdict(it, now=now, interval=interval, limit=limit)

        week_over = now - told >= WEEK or told - now > 300
        interval_over = interval == 0 or now - told >= interval or told - now > 300
        news = last > told or told > now
        due = week_over and interval_over and news and last - first >= limit
        assert due == (v.reason == "cannot-check")

    @given(first=times, last=times, interval=durations, known=st.booleans())
    def test_not_asked(self, verdict, first, last, interval, known):
        """
        A caller that does not ask for failures gets the same as without them.
        """
        it = record(result=result(version=1) if known else None)
        failed = failure(text(last), since=text(first))

        answers = [
            verdict(it | {"failure": f}, interval=interval).reason
            for f in (None, failed)
        ]
        assert answers[0] == answers[1]

    @given(
        steps=st.lists(
            st.tuples(st.integers(0, 2 * WEEK), st.booleans(), st.booleans()),
            max_size=60,
        ),
        interval=st.integers(0, 2 * WEEK),
        limit=st.integers(0, WEEK),
    )
    def test_rarely(self, verdict, steps, interval, limit):
        """
        Any history has one notice of failures a week, and one notice an interval.
        """
        it, now = record(), NOW
        told: list[tuple[int, str]] = []
        for wait, fails, asks in steps:
            now += wait
            if fails:
                first = (it.get("failure") or {"since": text(now)})["since"]
                it["failure"] = failure(text(now), since=first)
            v = verdict(it, now=now, interval=interval, limit=limit if asks else None)
            if v:
                told.append((now, v.reason))
                it["last_notified"] = text(now)
            if v.reason == "cannot-check":
                assert asks
                it["failure_notified"] = text(now)

        of_failures = [when for when, reason in told if reason == "cannot-check"]
        assert all(b - a >= WEEK for a, b in itertools.pairwise(of_failures))
        assert all(b[0] - a[0] >= interval for a, b in itertools.pairwise(told))
