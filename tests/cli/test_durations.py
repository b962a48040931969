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
    ],
)
def test_read(run, monkeypatch, text, seconds):
    """
    A number and a unit are a duration.
    """
    ages = []
    prune = lambda _, older_than, **more: ages.append(older_than) or []  # noqa: E731
    monkeypatch.setattr(StateStore, "prune", prune)

    assert 0 == run("prune", "--older-than", text).status
    assert [dt.timedelta(seconds=seconds)] == ages


@pytest.mark.parametrize(
    "text",
    ["", "7", "d", "-1d", "1.5h", "7 d", "7D", "٣d", "99999999999w", "1" * 99],
)
def test_refused(run, text):
    """
    Anything else is refused, with the units that are allowed.
    """
    result = run("prune", f"--older-than={text}")

    assert 2 == result.status
    assert "s, m, h, d, w (90s, 10m" in result.err
