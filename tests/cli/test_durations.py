import datetime as dt

import pytest

from upgrade_state import StateStore


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("90s", 90),
        ("10m", 600),
        ("12h", 43_200),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("0d", 0),
        ("1w2d", 777_600),
        ("7 days", 604_800),
        ("90 min", 5400),
        (" 1 week 2 days 3 hours 4 secs ", 788_404),
    ],
)
def test_read(run, monkeypatch, text, seconds):
    """
    A number and a unit are a duration.
    """
    ages = []
    prune = lambda _, age, *now, **more: iter(ages.append(age) or ())  # noqa: E731
    monkeypatch.setattr(StateStore, "_pruned", prune)

    assert 0 == run("prune", "--older-than", text).status
    assert dt.timedelta(seconds=seconds) == ages[0]


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "d", "-1d", "1.5h", "7D", "7M", "7 months", "1d0", "1d 0", "7 7d"),
        *("٣d", "99999999999w", "1" * 99),
    ],
)
def test_refused(run, text):
    """
    Anything else is refused in a short line with examples.
    """
    result = run("prune", f"--older-than={text}")

    assert 2 == result.status
    hint = "; did you mean 7d?" if text == "7" else " (such as 12h, 7d, 1w2d)"
    assert hint in result.err
