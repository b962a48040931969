import datetime as dt

import pytest

from upgrade_state.cli._durations import duration


class TestDuration:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("0", dt.timedelta(0)),
            ("90s", dt.timedelta(seconds=90)),
            ("10m", dt.timedelta(minutes=10)),
            ("12h", dt.timedelta(hours=12)),
            ("7d", dt.timedelta(days=7)),
            ("2w", dt.timedelta(weeks=2)),
            ("0d", dt.timedelta(0)),
        ],
    )
    def test_read(self, text, expected):
        """
        A number and a unit are a duration.
        """
        assert expected == duration(text)

    @pytest.mark.parametrize(
        "text",
        ["", "7", "d", "-1d", "1.5h", "7 d", "7D", "٣d", "99999999999w", "1" * 99],
    )
    def test_refused(self, text):
        """
        Anything else is refused, with what is allowed.
        """
        with pytest.raises(ValueError, match=r"s, m, h, d, w \(90s, 10m"):
            duration(text)
