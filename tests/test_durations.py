from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _durations, _record


class TestSecondsOf:
    @pytest.mark.parametrize(
        ("duration", "seconds"),
        [
            (dt.timedelta(), 0),
            (dt.timedelta(days=1), 86_400),
            (dt.timedelta(microseconds=1), 1),
            (dt.timedelta(seconds=1, microseconds=1), 2),
            (dt.timedelta.max, 86_400 * 1_000_000_000),
        ],
    )
    def test_rounded_up(self, duration, seconds):
        """
        Times have no fractions, so a part of a second is over after a whole one.
        """
        assert seconds == _durations.whole_seconds(duration, "interval")

    @pytest.mark.parametrize("duration", [dt.timedelta(seconds=-1), 3600, "1h"])
    def test_mistakes(self, duration):
        """
        A negative duration, or none at all, is the caller's mistake, named.
        """
        with pytest.raises(ValueError, match="interval must be a timedelta"):
            _durations.whole_seconds(duration, "interval")


class TestSecondOf:
    @given(st.datetimes(timezones=st.just(dt.UTC)).filter(lambda m: m.year > 1000))
    def test_cut(self, moment):
        """
        What is less than a second is cut, before 1970 as well.
        """
        whole = moment.replace(microsecond=0)
        second = _durations.epoch_seconds(moment)

        assert whole == dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(
            seconds=second
        )

    def test_time_zone(self):
        """
        A time is the same in every zone.
        """
        zone = dt.timezone(dt.timedelta(hours=5, minutes=45))
        moment = dt.datetime(2026, 11, 20, 4, 18, tzinfo=dt.UTC)

        assert 1_795_148_280 == _durations.epoch_seconds(moment.astimezone(zone))

    @pytest.mark.parametrize(
        "moment",
        [dt.datetime(2026, 11, 20), dt.date(2026, 11, 20), 1_795_148_280, "now"],  # noqa: DTZ001
    )
    def test_mistakes(self, moment):
        """
        A time without a zone, or none at all, is the caller's mistake, named.
        """
        with pytest.raises(ValueError, match="until must be a datetime with a time"):
            _durations.epoch_seconds(moment, "until")

    @pytest.mark.parametrize(
        "moment",
        [
            dt.datetime(999, 12, 31, tzinfo=dt.UTC),
            dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-1))),
        ],
    )
    def test_outside(self, moment):
        """
        So is one whose text would have another width.
        """
        with pytest.raises(ValueError, match="in the years 1000 to 9999"):
            _durations.epoch_seconds(moment)

    def test_limits(self):
        """
        The first and the last second that a record can hold are fine.
        """
        first = dt.datetime(1000, 1, 1, tzinfo=dt.UTC)
        last = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)

        assert [_record.FIRST_SECOND, _record.LAST_SECOND] == [
            _durations.epoch_seconds(first),
            _durations.epoch_seconds(last),
        ]
