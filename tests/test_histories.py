"""
Histories of one process and of many, against one sequential model.
"""

from __future__ import annotations

import datetime as dt
import itertools
import os
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import histories
from histories import BROKEN, DAY, HOUR, PENDING, START, WEEK, Operation
from upgrade_state import StateStore

times = st.sampled_from([0, HOUR, DAY - 1, DAY, WEEK - 1, WEEK, 2 * WEEK])
lockfiles = st.sampled_from(["1", "2", "3"])
plans = st.one_of(
    st.fixed_dictionaries({name: st.fixed_dictionaries(arguments)})
    for name, arguments in {
        "look": {"lockfile": lockfiles},
        "upgrades": {},
        "kept_lockfile": {"which": st.sampled_from(["old", "new"])},
        "claim": {
            "lockfile": lockfiles,
            "could_not_check": st.sampled_from([HOUR, WEEK]),
        },
        "commit": {
            "old": lockfiles,
            "new": lockfiles,
            "consent": st.sampled_from([None, "uv", "npm"]),
        },
        "fail": {"message": st.sampled_from(["no route", "no answer"])},
        "snooze": {"until": st.one_of(st.none(), times)},
        "expire": {},
        "withdraw": {},
        "forget": {},
        "prune": {},
        "change_unknown": {"value": st.sampled_from(["a", "b"])},
    }.items()
)


class OneProcess(RuleBasedStateMachine):
    """
    Every answer is that of the model, and the record is its state.

    So notices are a day apart, those about failures a week.
    """

    def __init__(self, records):
        super().__init__()
        self.records = records  # the URL of a database; None: files

    @initialize(is_removed=st.booleans())
    def begin(self, is_removed):
        self.place = tempfile.TemporaryDirectory()
        base = Path(self.place.name).resolve()
        if not is_removed:
            (base / "shop").mkdir()
        store = StateStore(self.records or base / "cache")
        self.shop = store.environment(base / "shop", "uv.lock")
        self.is_removed = is_removed
        self.now = START
        self.state = None
        self.notices = {"notify": [], "cannot-check": []}

    @rule(plan=plans, after=times)
    def operate(self, plan, after):
        ((name, arguments),) = plan.items()
        self.now += after
        if arguments.get("until") is not None:
            arguments = {"until": self.now + arguments["until"]}
        if self.is_removed and "consent" in arguments:
            arguments = arguments | {"consent": None}

        before = self.state
        with mock.patch("time.time", return_value=self.now):
            answer = histories.perform(self.shop, name, arguments)
        if name == "prune":
            answer = before is None or self.shop.key in answer
            # A database knows no directories: every record is old in these tests.
            arguments = {"is_removed": self.is_removed or self.records is not None}

        expected, self.state = histories.expected(before, name, arguments, self.now)
        assert expected == answer
        assert self.state == histories.state_of(self.shop.look().record)
        if name == "forget" or self.state is None:
            self.notices = {"notify": [], "cannot-check": []}
        if name == "claim" and answer in self.notices:
            self.notices[answer].append(self.now)

    @invariant()
    def notices_are_rare(self):
        failures = self.notices["cannot-check"]
        every = sorted(self.notices["notify"] + failures)
        for moments, least in ((every, DAY), (failures, WEEK)):
            for one, next_one in itertools.pairwise(moments):
                assert next_one - one >= least

    def teardown(self):
        self.place.cleanup()


STORES = [None, pytest.param("records", marks=pytest.mark.database)]


@pytest.mark.parametrize("place", STORES)
def test_one_process(place, request):
    """
    The answers of a store of files, and of one in a database, are those of the model.
    """
    url = place and request.getfixturevalue(place)
    patient = settings(
        max_examples=30,
        stateful_step_count=30,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(partial(OneProcess, url), settings=patient)


def run(*args):
    """
    Run histories.py; return its status and output. Its processes are not measured.
    """
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    command = [sys.executable, histories.__file__, *map(str, args)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env=environ
    )
    return done.returncode, done.stdout


class TestManyProcesses:
    def test_one_order(self):
        """
        The answers of processes that are killed and stopped are those of one order.
        """
        status, out = run(1, "--operations", 600)

        assert (0, True) == (status, ", 0 exceptions" in out), out

    # The second look matters to a claim that is overtaken: minutes on a busy machine.
    @pytest.mark.parametrize(
        "broken",
        [
            pytest.param(name, marks=[pytest.mark.stress] * (name == "no second look"))
            for name in BROKEN
        ],
    )
    def test_broken(self, broken):
        """
        Those of a library with a defect are refused.
        """
        options = ("--operations", 100, "--seconds", 300, "--broken", broken)

        assert 1 == run(1, *options)[0]


# Short names of operations, all with the same new lockfile.
COMMIT = {"old": "old", "new": "new", "consent": None}
NOW = START + DAY


def stored(start, end, now=START, answer="stored"):
    return Operation("commit", COMMIT, start, end, answer, [now])


def looked(start, end, *states):
    state = None
    for name, arguments, now in states:
        _, state = histories.expected(state, name, arguments, now)
    verdict = histories.verdict(state, NOW, lockfile="old")
    answer = (state, verdict)
    return Operation("look", {"lockfile": "old"}, start, end, answer, [NOW])


def claimed(start, end, now, answer="notify"):
    arguments = {"lockfile": "old", "interval": 60, "reminder": 60}
    return Operation("claim", arguments, start, end, answer, [now])


FIRST = ("commit", COMMIT, START)
SECOND = ("commit", COMMIT, START + 1)


class TestContradiction:
    @pytest.mark.parametrize(
        "operations",
        [
            (stored(1, 2), looked(3, 4, FIRST)),
            (stored(1, 4), looked(2, 3), looked(2, 3, FIRST)),
            (stored(1, 4, START + 1), stored(2, 3), looked(5, 6, FIRST, SECOND)),
            (stored(1, 2, answer=PENDING), looked(3, 4)),
            (stored(1, 2, answer=PENDING), looked(3, 4, FIRST)),
            (stored(1, 4), stored(3, 5, answer="busy")),
            (stored(1, 2), claimed(3, 4, NOW), claimed(5, 6, NOW + 60)),
            (stored(1, 2), claimed(3, 6, NOW), claimed(4, 5, NOW, "busy")),
            (stored(1, 2), claimed(3, 6, NOW), claimed(4, 5, NOW, "told-recently")),
        ],
    )
    def test_none(self, operations):
        assert histories.contradiction(list(operations)) is None

    @pytest.mark.parametrize(
        "operations",
        [
            (stored(1, 2), looked(3, 4)),  # lost
            (stored(1, 2), looked(3, 4, FIRST), looked(5, 6)),  # undone
            (stored(1, 4), looked(2, 3, FIRST), looked(3.2, 3.5)),  # undone
            (stored(1, 2, answer="dropped"),),
            (stored(3, 4), looked(1, 2, FIRST)),  # too early
            (stored(1, 2), stored(3, 4, answer="busy")),  # without a reason
            (stored(1, 2), claimed(3, 5, NOW), claimed(4, 6, NOW + 59)),
            (stored(1, 2), claimed(3, 4, NOW, "told-recently")),
            (stored(1, 2, answer=PENDING), looked(3, 4, FIRST), looked(5, 6)),
            (Operation("snooze", {"until": NOW}, 1, 2, True),),  # noqa: FBT003
        ],
    )
    def test_some(self, operations):
        assert histories.contradiction(list(operations)) is not None


LOCK = """\
version = 1
requires-python = ">=3.11"
"""

PACKAGE = """
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
        rows = [PACKAGE.format(n, version) for n, version in enumerate(versions)]
        return (LOCK + "".join(rows)).encode()

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
