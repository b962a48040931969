import pytest

from upgrade_state.lockfiles import Upgrade, counts


def count(version=0, rebuild=0):
    return {"version": version, "rebuild": rebuild}


class TestCounts:
    def test_nothing(self):
        """
        The sum over all platforms is always there.
        """
        assert {"*": count()} == counts([])

    def test_without_platforms(self):
        """
        Rows without a platform are counted over all.
        """
        rows = [Upgrade("x", "version"), Upgrade("y", "rebuild")]

        assert {"*": count(1, 1)} == counts(iter(rows))

    def test_everywhere(self):
        """
        Where platforms are listed, such rows count on each of them.
        """
        rows = [Upgrade("x", "version"), Upgrade("y", "rebuild", platform="p")]

        assert {"*": count(1, 1), "p": count(1, 1), "q": count(1)} == counts(
            rows, platforms=iter(["q"])
        )

    def test_once(self):
        """
        A package counts once per platform and once over all.
        """
        rows = [
            Upgrade("x", "version", platform="p", environment="a"),
            Upgrade("x", "version", platform="p", environment="b"),
            Upgrade("x", "version", platform="q"),
        ]

        assert {"*": count(1), "p": count(1), "q": count(1)} == counts(rows)

    @pytest.mark.parametrize("kinds", [("version", "rebuild"), ("rebuild", "version")])
    def test_version_wins(self, kinds):
        """
        A package with a new version on any platform is a version change over all.
        """
        p, q = kinds
        rows = [Upgrade("x", p, platform="p"), Upgrade("x", q, platform="q")]

        assert {"*": count(1), "p": count(**{p: 1}), "q": count(**{q: 1})} == counts(
            rows
        )

    def test_ecosystems(self):
        """
        One name in two ecosystems is two packages.
        """
        rows = [Upgrade("x", "version", ecosystem=e) for e in ("pypi", "npm")]

        assert {"*": count(2)} == counts(rows)

    @pytest.mark.parametrize(
        "row",
        [
            Upgrade("x", "added", platform="p"),
            Upgrade("x", "removed", platform="p"),
            Upgrade("x", "version", platform="p", local=True),
            Upgrade("x", "rebuild", platform="p", local=True),
            Upgrade("x", "version", platform="p", internal=True),
        ],
    )
    def test_not_counted(self, row):
        """
        An added, removed, local or internal row does not count.
        """
        assert {"*": count(), "p": count()} == counts([row])

    def test_star(self):
        """
        A platform that calls itself a star does no harm.
        """
        assert {"*": count(1)} == counts([Upgrade("x", "version", platform="*")])

    def test_sorted(self):
        """
        Platforms are sorted, after the sum.
        """
        assert ["*", "a", "b", "c"] == list(counts([], platforms=("c", "a", "b")))
