from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _policy, _record
from upgrade_state.exceptions import StateReadError

NOW = 1_795_148_280
HOUR, DAY, WEEK = 3_600, 86_400, 604_800
KEY = "f2662004f1f127e1ee13f55584477bec"
OLD = {"digest": "blake2b:" + "0" * 64, "size": 7}
NEW = {"digest": "blake2b:" + "1" * 64, "size": 7}


def ago(seconds: int) -> str:
    return _record.text_of(NOW - seconds)


def record(**fields: Any) -> dict[str, Any]:
    """
    A record with one upgrade, checked an hour ago, of which nobody was told.
    """
    return _record.DEFAULTS | {
        "environment": "/home/ana/src/shop",
        "generation": 1,
        "last_checked": ago(HOUR),
        "result": result(version=1),
        **fields,
    }


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


def same(recorded: object) -> bool:
    return recorded == OLD


def other(_: object) -> bool:
    return False


def never(_: object) -> bool:
    raise AssertionError("the lockfile was looked at")


def freshness(it: dict[str, Any] | None, matches=same, **asked: Any):
    return _policy.freshness(
        it, **({"matches": matches, "max_age": DAY, "now": NOW, "key": KEY} | asked)
    )


def verdict(it: dict[str, Any] | None, matches=same, **asked: Any):
    now = asked.pop("now", NOW)
    question = _policy.Question(**({"directory": "/home/ana/src/shop"} | asked))
    return _policy.verdict(it, question, matches=matches, now=now)


def failure(at: str, attempts: int = 1, **more: Any) -> dict[str, Any]:
    return {"at": at, "attempts": attempts, "message": "no route to host", **more}


def failing(length: int = 9 * DAY, **fields: Any) -> dict[str, Any]:
    """
    A record with one upgrade, whose checks have failed for so long by now.
    """
    return record(failure=failure(ago(0), 9, since=ago(length)), **fields)


def troubled(it: dict[str, Any] | None, matches=never, **asked: Any):
    """
    The verdict for somebody who wants to hear that checks fail for a week.
    """
    return verdict(it, matches, **({"could_not_check": WEEK} | asked))


class TestFreshness:
    def test_nothing_known(self):
        """
        Without a record a check is due.
        """
        f = freshness(None, never)

        assert ("never-checked", True, None) == (f.reason, f.due, f.until)

    @pytest.mark.parametrize("missing", ["last_checked", "result"])
    def test_no_success(self, missing):
        """
        So it is where every check has failed.
        """
        f = freshness(record(**{missing: None}), never)

        assert ("never-checked", True) == (f.reason, f.due)

    def test_fresh(self):
        """
        A check of this lockfile is good for its time.
        """
        f = freshness(record())

        until = dt.datetime.fromtimestamp(NOW + 23 * HOUR, dt.UTC)
        assert ("fresh", False, until) == (f.reason, f.due, f.until)

    @pytest.mark.parametrize(
        ("age", "reason"), [(DAY - 1, "fresh"), (DAY, "expired"), (DAY + 1, "expired")]
    )
    def test_expired(self, age, reason):
        """
        At the end of its time it is not good any more.
        """
        assert reason == freshness(record(last_checked=ago(age))).reason

    def test_no_max_age(self):
        """
        With a time of zero no check is good, not even one from this second.
        """
        f = freshness(record(last_checked=ago(0)), never, max_age=0)

        assert ("expired", True) == (f.reason, f.due)

    def test_other_lockfile(self):
        """
        A check of another lockfile is no good.
        """
        f = freshness(record(), other)

        assert ("lockfile-changed", True, None) == (f.reason, f.due, f.until)

    @pytest.mark.parametrize(("ahead", "reason"), [(300, "fresh"), (301, "expired")])
    def test_clock_set_back(self, ahead, reason):
        """
        A check from the future counts as long ago, but for a small difference.
        """
        assert reason == freshness(record(last_checked=ago(-ahead))).reason

    def test_backing_off(self):
        """
        After a failure nobody tries again for a while, other lockfile or not.
        """
        f = freshness(record(failure=failure(ago(200))), never)

        assert ("backing-off", False) == (f.reason, f.due)
        assert f.until is not None
        assert 225 <= f.until.timestamp() - (NOW - 200) <= 300

    @pytest.mark.parametrize("then", [ago(300), ago(-301)])
    def test_tries_again(self, then):
        """
        Then, or if the clock was set back, it is as before.
        """
        assert "fresh" == freshness(record(failure=failure(then))).reason

    @pytest.mark.parametrize("attempts", [0, 1, 2, 5, 9, 10, 11, _record.MAX_INTEGER])
    def test_delay(self, attempts):
        """
        The delay doubles with each failure, up to a day, less up to a quarter.
        """
        whole = min(300 * 2 ** min(max(attempts - 1, 0), 20), DAY)

        assert whole * 3 // 4 <= _policy._delay(attempts, KEY) <= whole

    def test_delays_differ(self):
        """
        What failed together is not tried again together.
        """
        delays = {_policy._delay(12, f"{n:032x}") for n in range(100)}

        assert 90 < len(delays)

    def test_no_truth_value(self):
        """
        Nobody tests the wrong thing.
        """
        with pytest.raises(TypeError, match="due"):
            bool(freshness(None))

    @pytest.mark.parametrize(
        ("it", "matches", "words"),
        [
            (None, same, "never-checked: no check has succeeded yet"),
            (record(), same, "fresh: the last check is good until 2026-11-21 03:18"),
            (record(), other, "lockfile-changed: the lockfile is not the one"),
            (record(last_checked=ago(DAY)), same, "expired: the last check is too old"),
            (record(failure=failure(ago(0))), same, "backing-off: the last check fail"),
        ],
    )
    def test_in_words(self, it, matches, words):
        """
        A person gets the reason in words, in any view of it.
        """
        f = freshness(it, matches)

        assert str(f).startswith(words)
        assert f"<Freshness {f}>" == repr(f)


class TestVerdict:
    def test_notify(self):
        """
        What was found and not said yet is said.
        """
        v = verdict(record())

        assert ("notify", True, None) == (v.reason, bool(v), v.until)
        assert "1 version change available in 'shop'." == v.message

    @pytest.mark.parametrize("it", [None, record(result=None)])
    def test_nothing_known(self, it):
        """
        Where nothing was found there is nothing to say.
        """
        v = verdict(it, never)

        assert ("nothing-known", False, "") == (v.reason, bool(v), v.message)

    def test_switched_off(self):
        """
        A switch comes before everything else, and the verdict names it.
        """
        v = verdict(None, never, switch="CI")

        assert ("switched-off", "CI") == (v.reason, v.switch)
        assert "switched-off: CI is set in the process environment" == str(v)

    def test_no_upgrades(self):
        """
        A check without upgrades is not worth mentioning.
        """
        v = verdict(record(result=result()), never)

        assert ("no-upgrades", "", "") == (v.reason, v.summary, v.message)

    @pytest.mark.parametrize(("new", "reason"), [(OLD, "no-upgrades"), (NEW, "notify")])
    def test_opaque(self, new, reason):
        """
        Of an opaque format all that counts is whether the digest changes.
        """
        assert reason == verdict(record(result=opaque(new))).reason

    def test_opaque_in_words(self):
        """
        Then nothing is counted, and it is called upgrades.
        """
        v = verdict(record(result=opaque(NEW)))

        assert "Upgrades available in 'shop'." == v.message
        assert (0, 0, True) == (v.version_changes, v.rebuilds, v.opaque)

    def test_snoozed(self):
        """
        What the user asked for holds until the second that was said.
        """
        until = NOW + 1
        it = record(snoozed_until=_record.text_of(until), last_notified=ago(5))

        v = verdict(it, never)
        assert ("snoozed", until) == (v.reason, v.until.timestamp())
        assert "told-recently" == verdict(it, now=until).reason

    def test_snoozed_for_years(self):
        """
        That it lies far ahead is no sign of a wrong clock.
        """
        it = record(snoozed_until="9999-12-31T23:59:59Z")

        assert "snoozed" == verdict(it).reason

    @pytest.mark.parametrize(
        ("age", "reason"), [(0, "told-recently"), (DAY - 1, "told-recently")]
    )
    def test_told_recently(self, age, reason):
        """
        Who was told is not told again before the interval has gone by.
        """
        v = verdict(record(last_notified=ago(age)), never)

        assert (reason, NOW - age + DAY) == (v.reason, v.until.timestamp())

    def test_told_long_ago(self):
        """
        At its end it is said again.
        """
        assert verdict(record(last_notified=ago(DAY)))

    @pytest.mark.parametrize("age", [0, -300])
    def test_no_interval(self, age):
        """
        An interval of zero means every time.
        """
        assert verdict(record(last_notified=ago(age)), interval=0)

    @pytest.mark.parametrize(
        ("ahead", "reason"), [(300, "told-recently"), (301, "notify")]
    )
    def test_clock_set_back(self, ahead, reason):
        """
        A notice from the future counts as long ago, but for a small difference.
        """
        assert reason == verdict(record(last_notified=ago(-ahead))).reason

    def test_other_lockfile(self):
        """
        A check of another lockfile is not worth mentioning.
        """
        v = verdict(record(), other)

        assert ("lockfile-changed", "") == (v.reason, v.message)
        assert "1 version change" == v.summary

    @pytest.mark.parametrize(
        ("platform", "counts"),
        [(None, (2, 1)), ("linux-64", (1, 0)), ("win-64", (0, 1)), ("osx", (0, 0))],
    )
    def test_platform(self, platform, counts):
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

    def test_any_platform(self):
        """
        Where only the sum is there, it holds for every platform.
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
    def test_summary(self, version, rebuild, summary):
        """
        What is zero is left out, and one is no plural.
        """
        v = verdict(record(result=result(version=version, rebuild=rebuild)))

        assert summary == v.summary

    @pytest.mark.parametrize(
        ("directory", "name"),
        [
            ("/", "/"),
            ("/srv/a b", "a b"),
            ("/srv/\x1b[31mred\nline", "\\x1b[31mred\\x0aline"),
            ("/srv/\udce9", "\\udce9"),
            ("/srv/\u202egnp", "\\u202egnp"),
        ],
    )
    def test_message_is_safe(self, directory, name):
        """
        Whatever a directory is called, it is one line and moves no cursor.
        """
        message = verdict(record(), directory=directory).message

        assert f"1 version change available in '{name}'." == message

    @pytest.mark.parametrize(
        ("it", "asked", "words"),
        [
            (record(), {}, "notify: 1 version change available"),
            (None, {}, "nothing-known: no check has succeeded yet"),
            (record(result=result()), {}, "no-upgrades: the last check found noth"),
            (record(), {"matches": other}, "lockfile-changed: the lockfile is not "),
            (
                record(last_notified=ago(0)),
                {},
                (
                    "told-recently: the user was told; the next notice is due at "
                    "2026-11-21 04:18:00 UTC"
                ),
            ),
            (
                record(last_notified=ago(0)),
                {"interval": 10**15},
                (
                    "told-recently: the user was told; the next notice is due at "
                    "the end of all time"
                ),
            ),
            (
                record(snoozed_until=ago(-60)),
                {},
                (
                    "snoozed: the user does not want to hear of it until "
                    "2026-11-20 04:19:00 UTC"
                ),
            ),
        ],
    )
    def test_in_words(self, it, asked, words):
        """
        A person gets the reason in words.
        """
        assert str(verdict(it, **asked)).startswith(words)

    def test_unavailable_without_error(self):
        """
        Where not even an error could be made, there is a guess.
        """
        words = "unavailable: the system refuses everything: too many open files?"

        assert words == str(_policy.Verdict("unavailable"))
        assert words == str(_policy.Freshness("unavailable"))

    def test_unavailable(self):
        """
        What went wrong is attached, and what a person gets to see.
        """
        error = StateReadError("Could not read the file (no)", "/a")
        v = _policy.Verdict("unavailable", error=error)

        assert "unavailable: Could not read the file (no): '/a'" == str(v)
        assert error is v.error


class TestCannotCheck:
    def test_in_words(self):
        """
        It is said for how long, and why.
        """
        v = troubled(failing())

        words = "could not check for 9 days: no route to host"
        notice = "Could not check for upgrades of 'shop' for 9 days: no route to host."
        assert (True, None) == (bool(v), v.until)
        assert (words, f"cannot-check: {words}") == (v.summary, str(v))
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
    def test_length(self, length, words):
        """
        The length is in its largest unit, and cut.
        """
        v = troubled(failing(length), could_not_check=0)

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
    def test_is_safe(self, message, words):
        """
        Whatever the record says, it is one line that moves no cursor.
        """
        it = failing()
        v = troubled(it | {"failure": it["failure"] | {"message": message}})

        assert f"could not check for 9 days{words}" == v.summary
        assert f" of 'shop' for 9 days{words}." in v.message

    def test_only_if_asked(self):
        """
        Who does not ask for it is not told.
        """
        assert "notify" == verdict(failing()).reason
        assert "nothing-known" == verdict(failing(result=None), never).reason

    @pytest.mark.parametrize(
        "fields",
        [{"result": None, "last_checked": None}, {"result": result()}, {}],
        ids=["nothing known", "no upgrades", "upgrades"],
    )
    def test_first(self, fields):
        """
        It comes before what is known, and needs no look at the lockfile.
        """
        assert "cannot-check" == troubled(failing(**fields)).reason

    @pytest.mark.parametrize(
        ("fields", "asked", "reason"),
        [
            ({"result": None}, {"switch": "CI"}, "switched-off"),
            ({"result": None, "snoozed_until": ago(-1)}, {}, "snoozed"),
            ({"result": None, "last_notified": ago(DAY - 1)}, {}, "told-recently"),
            ({"result": result(), "last_notified": ago(0)}, {}, "told-recently"),
        ],
    )
    def test_silenced(self, fields, asked, reason):
        """
        What silences other notices silences it, too.
        """
        v = troubled(failing(**fields), **asked)

        assert (reason, "") == (v.reason, v.message)

    @pytest.mark.parametrize(
        ("length", "reason"), [(WEEK - 1, "notify"), (WEEK, "cannot-check")]
    )
    def test_long_enough(self, length, reason):
        """
        It is told once checks have failed for as long as was asked for.
        """
        assert reason == troubled(failing(length), same).reason

    @pytest.mark.parametrize(
        ("told", "reason"), [(WEEK - 1, "notify"), (WEEK, "cannot-check")]
    )
    @pytest.mark.parametrize("interval", [0, DAY])
    def test_once_a_week(self, told, reason, interval):
        """
        It is told once a week, also where everything else is told every time.
        """
        it = failing(failure_notified=ago(told), last_notified=ago(told))

        assert reason == troubled(it, same, interval=interval).reason

    def test_daily_notices(self):
        """
        Notices of upgrades, each day, do not keep it from being told.
        """
        it = failing(failure_notified=ago(WEEK), last_notified=ago(DAY))

        assert "cannot-check" == troubled(it).reason

    def test_no_news(self):
        """
        What nobody has tried again since it was told is not told again.
        """
        it = record(
            failure=failure(ago(3 * WEEK), 9, since=ago(5 * WEEK)),
            failure_notified=ago(2 * WEEK),
        )

        assert "notify" == troubled(it, same).reason

    @pytest.mark.parametrize("more", [{}, {"since": None}])
    def test_of_an_older_program(self, more):
        """
        Where the first failure is not known, the last one is all there is.
        """
        it = record(failure=failure(ago(3 * WEEK), 9, **more))

        assert "notify" == troubled(it, same).reason
        assert "cannot-check" == troubled(it, could_not_check=0).reason

    def test_one_failure_long_ago(self):
        """
        Of the time in which nobody has tried, nothing is known, and nothing said.
        """
        then = ago(3 * WEEK)
        it = record(failure=failure(then, since=then))

        assert "notify" == troubled(it, same).reason

    @pytest.mark.parametrize("attempts", [1, 9])
    def test_clock_set_back_while_failing(self, attempts):
        """
        With a first failure after the last one no length can be told: silence.
        """
        it = record(failure=failure(ago(0), attempts, since=ago(-WEEK)))

        assert "notify" == troubled(it, same, could_not_check=0).reason

    def test_clock_set_back_since(self):
        """
        How long it was is not the clock's affair, and stays true.
        """
        it = record(failure=failure(ago(-11 * WEEK), 9, since=ago(-9 * WEEK)))

        v = troubled(it)
        assert "could not check for 14 days: no route to host" == v.summary

    @pytest.mark.parametrize(
        ("ahead", "reason"), [(300, "notify"), (301, "cannot-check")]
    )
    def test_clock_set_back_since_told(self, ahead, reason):
        """
        To have been told in the future counts as long ago.
        """
        assert reason == troubled(failing(failure_notified=ago(-ahead)), same).reason

    @pytest.mark.parametrize("asked", [{}, {"platform": "linux-64"}])
    def test_what_is_known(self, asked):
        """
        What was found before is there for whoever words a line of his own.
        """
        v = troubled(failing(), **asked)

        assert (1, 0, False) == (v.version_changes, v.rebuilds, v.opaque)


class TestFirstYear:
    def test_interval(self):
        """
        A time at the very beginning of all times is no exception.
        """
        first = _record.text_of(_record.FIRST_SECOND)
        asked = {"now": _record.FIRST_SECOND, "interval": DAY}

        assert "told-recently" == verdict(record(last_notified=first), **asked).reason


class TestLaws:
    times = st.integers(_record.FIRST_SECOND, _record.LAST_SECOND)
    durations = st.integers(0, 10**14)

    @given(times, times, durations)
    def test_any_times(self, then, now, duration):
        """
        No time and no duration is too much for the rules, or for `until`.
        """
        text = _record.text_of(then)
        it = record(last_checked=text, last_notified=text, snoozed_until=text)
        answers = [
            verdict(it, now=now, interval=duration),
            freshness(it, now=now, max_age=duration),
        ]

        assert all(a.until is None or a.until.tzinfo is dt.UTC for a in answers)

    @given(times, times, durations, st.integers(0, 3), st.booleans())
    def test_notice(self, then, now, interval, count, current):
        """
        To speak takes upgrades, the current lockfile and the interval.
        """
        it = record(last_notified=_record.text_of(then), result=result(version=count))
        v = verdict(it, same if current else other, now=now, interval=interval)

        over = interval == 0 or now - then >= interval or then - now > 300
        assert bool(v) == (count > 0 and current and over)

    @given(st.tuples(times, times, times, times), durations, durations, st.booleans())
    def test_failures(self, moments, interval, limit, known):
        """
        No times and no durations are too much, and there is always a reason.
        """
        first, last, told, now = moments
        it = record(
            failure=failure(_record.text_of(last), since=_record.text_of(first)),
            failure_notified=_record.text_of(told),
            last_notified=_record.text_of(told),
            result=result(version=1) if known else None,
        )
        v = verdict(it, now=now, interval=interval, could_not_check=limit)

        week_over = now - told >= WEEK or told - now > 300
        interval_over = interval == 0 or now - told >= interval or told - now > 300
        news = last > told or told > now
        due = week_over and interval_over and news and last - first >= limit
        assert due == (v.reason == "cannot-check")
        assert str(v).startswith(f"{v.reason}: ")
        assert bool(v) == bool(v.message)

    @given(times, times, durations, st.booleans())
    def test_not_asked(self, first, last, interval, known):
        """
        Who has not asked to be told of failures is told the same as without them.
        """
        it = record(result=result(version=1) if known else None)
        failed = failure(_record.text_of(last), since=_record.text_of(first))

        answers = [
            verdict(it | {"failure": f}, interval=interval).reason
            for f in (None, failed)
        ]
        assert answers[0] == answers[1]

    @given(
        st.lists(
            st.tuples(st.integers(0, 2 * WEEK), st.booleans(), st.booleans()),
            max_size=60,
        ),
        st.integers(0, 2 * WEEK),
        st.integers(0, WEEK),
    )
    def test_once_a_week(self, steps, interval, limit):
        """
        Whatever happens, failures are told once a week at most.

        Nor within the interval of another notice.
        """
        it, now = record(), NOW
        told: list[tuple[int, str]] = []
        for wait, fails, asks in steps:
            now += wait
            if fails:
                first = (it["failure"] or {"since": _record.text_of(now)})["since"]
                it["failure"] = failure(_record.text_of(now), since=first)
            asked = {"could_not_check": limit if asks else None}
            v = verdict(it, now=now, interval=interval, **asked)
            if v:
                told.append((now, v.reason))
                it["last_notified"] = _record.text_of(now)
            if v.reason == "cannot-check":
                assert asks
                it["failure_notified"] = _record.text_of(now)

        of_failures = [when for when, reason in told if reason == "cannot-check"]
        assert all(b - a >= WEEK for a, b in itertools.pairwise(of_failures))
        assert all(b[0] - a[0] >= interval for a, b in itertools.pairwise(told))
