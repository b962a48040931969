"""
Random histories of checks, notices and snoozes, against a model of a few lines.
"""

import datetime as dt
import itertools
import tempfile
from collections import Counter
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from upgrade_state import StateStore

HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY
START = 1_800_000_000

LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "attrs"
version = "{}"
source = {{ registry = "https://index.example/simple" }}
"""

times = st.sampled_from([0, HOUR, DAY - 1, DAY, WEEK - 1, WEEK, 2 * WEEK])


def moment(seconds):
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


class History(RuleBasedStateMachine):
    """
    The notices to a user: at most one a day, and one of failures a week.

    Unless they are of failures, those that repeat the last one are a week apart.
    """

    @initialize()
    def begin(self):
        self.place = tempfile.TemporaryDirectory()
        directory = Path(self.place.name, "shop")
        directory.mkdir()
        self.lockfile = directory / "uv.lock"
        self.lockfile.write_text(LOCK.format(1))
        store = StateStore(self.place.name + "/cache")
        self.shop = store.environment(directory, "uv.lock")
        self.now = START
        self.version = 1
        self.found = None  # old and new version of the last check
        self.failures = []  # when, since the last success
        self.snoozed = 0
        self.told = []
        self.told_of_failures = []
        self.announced = None  # what was found, at the last notice of upgrades

    @rule(new=st.sampled_from([1, 2, 3]), after=times)
    def check(self, new, after):
        self.now += after
        with self.shop.try_check() as guard:
            assert guard.commit(LOCK.format(new).encode(), now=moment(self.now))
        self.found = (self.version, new)
        self.failures = []

    @rule(after=times)
    def fail(self, after):
        self.now += after
        with (
            mock.patch("time.time", return_value=self.now),
            pytest.raises(OSError, match="route"),
            self.shop.try_check(),
        ):
            raise OSError("no route to host")
        self.failures.append(self.now)

    @rule(wish=st.sampled_from([1, 2, 3, "snooze", "wake", "forget"]))
    def wish(self, wish):
        if wish == "forget":
            self.forget()
        elif wish in (1, 2, 3):
            self.upgrade(wish)
        else:
            self.snooze(WEEK * (wish == "snooze"))

    def upgrade(self, version):
        self.version = version
        self.lockfile.write_text(LOCK.format(version))

    def snooze(self, seconds):
        until = moment(self.now + seconds) if seconds else None
        if self.shop.snooze(until):
            self.snoozed = self.now + seconds

    def forget(self):
        assert self.shop.forget()
        self.found, self.failures, self.snoozed = None, [], 0
        self.told, self.told_of_failures, self.announced = [], [], None

    @rule(after=times, again=st.booleans())
    def enter(self, after, again):
        """
        Enter the directory, perhaps after another failed check.
        """
        if again and self.failures:
            self.fail(after)
        else:
            self.now += after
        week = dt.timedelta(days=7)
        verdict = self.shop.claim_notice(could_not_check=week, now=moment(self.now))

        assert self._expected() == verdict.reason
        if verdict:
            self.told.append(self.now)
        if verdict.reason == "notify":
            self.announced = self.found
        if verdict.reason == "cannot-check":
            self.told_of_failures.append(self.now)

    def _expected(self):
        is_news = self._has_news_of_failures()
        if self.found is None and not is_news:
            return "nothing-known"
        old, new = self.found or (None, None)
        if old == new and not is_news:
            return "no-upgrades"
        if self.now < self.snoozed:
            return "snoozed"
        pause = DAY if is_news or self.found != self.announced else WEEK
        if self.told and self.now - self.told[-1] < pause:
            return "told-recently"
        if is_news:
            return "cannot-check"
        states = {new: "upgraded", old: "notify"}
        return states.get(self.version, "lockfile-changed")

    def _has_news_of_failures(self):
        if not self.failures or self.failures[-1] - self.failures[0] < WEEK:
            return False
        last_told = max(self.told_of_failures, default=0)
        return self.now - last_told >= WEEK and self.failures[-1] > last_told

    @invariant()
    def is_rarely_told(self):
        for moments, least in ((self.told, DAY), (self.told_of_failures, WEEK)):
            for one, next_one in itertools.pairwise(moments):
                assert next_one - one >= least

    def teardown(self):
        self.place.cleanup()


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=50,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)


MORE = """
[[package]]
name = "package-{}"
version = "{}"
source = {{ registry = "https://index.example/simple" }}
"""


class TestYear:
    @pytest.fixture
    def shop(self, store, tmp_path):
        shop = store.environment(tmp_path, "uv.lock")
        (tmp_path / "uv.lock").write_bytes(self.lock([1] * 12))
        return shop

    def lock(self, versions):
        rows = [MORE.format(n, version) for n, version in enumerate(versions)]
        return (LOCK.format(1) + "".join(rows)).encode()

    def enter(self, shop, now):
        """
        Enter the directory; return the kind of the notice.
        """
        before = shop.look().information.notified
        if not shop.claim_notice(now=now):
            return "silent"
        is_same = before == shop.look().information.notified
        return "reminder" if is_same else "first notice"

    def test_notices(self, shop):
        """
        Upgrades that are never made are announced once each, then once a week.

        One is there from the first day, and another one comes with each month. There
        is a check a day, and three activations.
        """
        kinds = Counter()
        midnight = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
        while midnight.year == 2027:
            six, month = midnight.replace(hour=6), midnight.month
            assert shop.look(now=six).freshness().due
            with shop.try_check() as check:
                assert check.commit(
                    self.lock([2] * month + [1] * (12 - month)), now=six
                )
            kinds.update(
                self.enter(shop, midnight.replace(hour=hour)) for hour in (9, 13, 21)
            )
            midnight += dt.timedelta(days=1)

        # At most 12 and 52; docs/concepts.md has the figures.
        assert {"first notice": 12, "reminder": 47, "silent": 1036} == kinds
