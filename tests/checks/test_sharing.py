"""
Shared results: the questions, the replies, and the checks that use them.
"""

from __future__ import annotations

import pytest

from helpers import NOON
from upgrade_state import checks

# A time without its zone.
NAIVE = NOON.replace(tzinfo=None)

POINTS = """\
[upgrade_state.shared]
memory = memory_results:Results
broken = memory_results:missing
"""

PLUGIN = """\
class Results:
    def __init__(self, url):
        self.url = url
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """
    Install a distribution that offers shared results.
    """
    info = tmp_path / "site" / "memory-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: memory\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    (info.parent / "memory_results.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(info.parent)


class TestPlaces:
    def test_plugin(self, plugin):
        """
        The scheme of a URL names the entry point, which gets the whole URL.
        """
        results = checks.shared_results("memory://hub/team?label=shop")

        assert results.url == "memory://hub/team?label=shop"

    def test_broken_plugin(self, plugin):
        """
        An entry point that cannot be loaded is a mistake in the URL.
        """
        with pytest.raises(ValueError, match="Could not load the entry point 'broken'"):
            checks.shared_results("broken:")

    @pytest.mark.parametrize(
        "url", ["", "shop", "/run/postgresql", "Memory:", ":x", "memory:\x1b[2J"]
    )
    def test_no_url(self, plugin, url):
        """
        Text that is no URL is refused, and is not repeated.
        """
        with pytest.raises(ValueError, match="not a URL such as postgresql:") as error:
            checks.shared_results(url)
        assert not url or url not in str(error.value)

    def test_unknown_scheme(self):
        """
        A scheme that is neither built in nor an entry point's is refused.
        """
        with pytest.raises(ValueError, match="no shared results for URLs with redis:"):
            checks.shared_results("redis://db.example/0")

    @pytest.mark.parametrize("scheme", ["memory", "postgresql", "unknown"])
    def test_password(self, plugin, scheme):
        """
        A password in a URL is refused whatever the scheme, and is not repeated.
        """
        with pytest.raises(ValueError, match="has a password") as error:
            checks.shared_results(f"{scheme}://ana:s3cret@db.example/team")
        assert "s3cret" not in str(error.value)


class TestReplies:
    def test_valid(self):
        """
        A reply is an answer with its time, a lease, a time, or nothing.
        """
        answer = checks.Reply(new_lockfile=b"new", answered_at=NOON)

        assert answer.new_lockfile == b"new"
        assert checks.Reply(fence=3) == checks.Reply(fence=3)
        assert checks.Reply() != checks.Reply(busy_until=NOON)

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"new_lockfile": "new", "answered_at": NOON}, TypeError),
            ({"new_lockfile": b"new"}, ValueError),
            (
                {"new_lockfile": b"new", "answered_at": NAIVE},
                ValueError,
            ),
            ({"busy_until": "soon"}, ValueError),
            ({"fence": "3"}, TypeError),
        ],
    )
    def test_invalid(self, fields, error):
        """
        Any other reply is an error of the place that made it.
        """
        with pytest.raises(error):
            checks.Reply(**fields)
