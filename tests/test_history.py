"""
Random histories of checks, notices and snoozes, against a model of a few lines.
"""

import datetime as dt
import itertools
import tempfile
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

    @rule(new=st.sampled_from([1, 2]), after=times)
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

    @rule(wish=st.sampled_from(["upgrade", "go back", "snooze", "wake", "forget"]))
    def wish(self, wish):
        if wish == "forget":
            self.forget()
        elif wish in ("upgrade", "go back"):
            self.upgrade(1 + (wish == "upgrade"))
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
        self.told, self.told_of_failures = [], []

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
        if self.told and self.now - self.told[-1] < DAY:
            return "told-recently"
        if is_news:
            return "cannot-check"
        return "notify" if old == self.version else "lockfile-changed"

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
