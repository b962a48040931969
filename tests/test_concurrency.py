"""
Real processes and threads that use one environment at the same time.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import (
    NOON,
    ROWS,
    SECOND,
    WEEK,
    commit,
    fail,
    holding,
    lock_of,
    place_of,
    read_record,
    refuse,
    results_of,
    root_of,
    run_at_once,
    run_in_thread,
    run_python,
    write_record,
)
from interrupts import Interrupt
from upgrade_state import StateStore, _files, _locks
from upgrade_state.exceptions import StateLockError


@pytest.fixture
def place(shop):
    return place_of(shop)


@pytest.fixture
def failing(checked):
    """
    An environment with an upgrade whose checks have failed for nine days.
    """
    fail(checked)
    record = read_record(checked)
    record["failure"] |= {"at": "2026-11-20T12:00:00Z", "since": "2026-11-11T12:00:00Z"}
    write_record(checked, record)
    return checked


def files_of(shop):
    """
    Return all files of an environment, except its locks.
    """
    paths = root_of(shop).rglob(f"*{shop.key}*")
    return sorted(str(path) for path in paths if path.parent.name != "locks")


class TestNothingIsLost:
    def test_during_check(self, checked, place):
        """
        A snooze and a claim do not wait for a running check, whose commit keeps them.
        """
        with holding("hold_check_and_commit", *place):
            assert "notify" == checked.claim_notice(now=NOON).reason
            assert checked.snooze(NOON)

        known = checked.look().information
        assert 2 == known.generation
        assert (NOON, NOON) == (known.snoozed_until, known.last_notified)

    def test_expire_during_check(self, checked, place):
        """
        The commit of a check that was running meanwhile overrides `expire`.
        """
        with holding("hold_check_and_commit", *place):
            assert checked.expire()
            assert checked.look(now=NOON).freshness().due

        assert "fresh" == checked.look(b"old", now=NOON).freshness().reason


class TestClaim:
    @pytest.mark.parametrize(
        ("count", "during_check"),
        [
            (200, False),
            (200, True),
            pytest.param(1000, False, marks=pytest.mark.stress),
        ],
    )
    def test_one_speaks(self, checked, place, count, during_check):
        """
        Of many simultaneous activations exactly one speaks, also during a check.
        """
        if during_check:
            with holding("hold_check", *place):
                reasons = Counter(run_at_once(count, "claim", *place))
        else:
            reasons = Counter(run_at_once(count, "claim", *place))

        assert 1 == reasons["notify"]
        assert {"notify", "busy", "told-recently"} >= reasons.keys()

    @pytest.mark.parametrize(("age", "count"), [(WEEK, 1), (WEEK - SECOND, 0)])
    def test_one_reminds(self, checked, place, age, count):
        """
        Exactly one of 50 gives a reminder, once it is due.
        """
        assert checked.claim_notice(now=NOON - age)

        reasons = Counter(run_at_once(50, "claim", *place))

        assert count == reasons["notify"]

    @pytest.mark.parametrize("share", [1, 2])
    def test_one_reports_failures(self, failing, place, share):
        """
        Of 50 activations one reports that checks fail, and no other one speaks.

        If only some ask for failures, the one notice may be about upgrades.
        """
        reasons = Counter(run_at_once(50, "claim_failure", *place, share))

        spoken = {"cannot-check"} if share == 1 else {"cannot-check", "notify"}
        assert 1 == sum(reasons[reason] for reason in spoken)
        assert spoken | {"busy", "told-recently"} >= reasons.keys()

    def test_busy(self, checked, place):
        """
        A claim does not wait while the record is written; the next one speaks.
        """
        with holding("hold_write", *place):
            busy = checked.claim_notice(now=NOON)

        assert ("busy", False) == (busy.reason, bool(busy))
        assert "1 version change" == busy.summary
        assert "notify" == checked.claim_notice(now=NOON).reason

    def test_silent_takes_no_lock(self, checked, place):
        """
        A silent claim takes no lock.
        """
        assert checked.claim_notice(now=NOON)

        with holding("hold_write", *place):
            assert "told-recently" == checked.claim_notice(now=NOON).reason


class TestWaiting:
    @pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.stress)])
    def test_crowd(self, checked, place, count):
        """
        All of a crowd of writers that begin at once succeed in time.
        """
        assert [True] * count == run_at_once(count, "snooze", *place)

    @pytest.mark.stress
    def test_fair(self, checked, place):
        """
        Of 200 writers in loops each gets at least a tenth of the mean of the turns.
        """
        turns = run_at_once(200, "snooze_in_a_loop", *place, 30)

        assert min(turns) * 200 >= sum(turns) / 10

    def test_sleeps(self, checked, place, monkeypatch):
        """
        A writer that waits is not woken, and keeps no lock once it has given up.
        """
        monkeypatch.setattr(_locks, "_WAIT_SECONDS", 0.5)
        with holding("hold_write", *place):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
            with pytest.raises(StateLockError, match="Could not lock the record"):
                checked.snooze(NOON)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw

        assert after - before < 100  # 250: it polls every 2 ms
        assert checked.snooze(NOON)

    @pytest.mark.parametrize("case", ["no thread", "no descriptor", "gevent"])
    def test_without_queue(self, checked, place, monkeypatch, case):
        """
        A writer that cannot wait in the queue polls, with pauses, up to its limit.
        """
        tries = []

        def start(thread):
            tries.append(thread)
            if case == "no thread":
                raise RuntimeError("can't start new thread")
            thread.run()  # in the thread of the caller, as with gevent

        monkeypatch.setattr(_locks, "_WAIT_SECONDS", 0.1)
        monkeypatch.setattr(threading.Thread, "start", start)
        if case == "no descriptor":
            monkeypatch.setattr(os, "dup", refuse(errno.EMFILE))
        with (
            holding("hold_write", *place),
            pytest.raises(StateLockError, match="Could not lock the record"),
        ):
            checked.snooze(NOON)

        assert 1 <= len(tries) <= 10
        assert checked.snooze(NOON)

    def test_interrupted(self, checked, monkeypatch):
        """
        Ctrl-C at any bytecode of the waiting reaches the caller.
        """
        thread = SimpleNamespace(start=int)
        monkeypatch.setattr(threading, "Thread", lambda **_: thread)
        path = str(lock_of(checked, "write"))
        lock = _locks.Lock(_files.Descriptors(str(root_of(checked))), path)

        def wait():
            return lock.queue(0.001)

        complete = Interrupt()
        complete.call(wait)
        for at in range(1, complete.count + 1):
            with pytest.raises(KeyboardInterrupt):
                Interrupt(at).call(wait)

    def test_exit(self, checked, place):
        """
        A process that has given up can end while the lock is held.
        """
        code = """
import sys
from upgrade_state import StateStore, _locks, exceptions
_locks._WAIT_SECONDS = 0.1
try:
    StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock").snooze(None)
except exceptions.StateLockError as error:
    print(error.path)
"""
        with holding("hold_write", *place):
            answer = run_python(code, *place)

        assert f"{lock_of(checked, 'write')}\n" == answer

    def test_fork(self, checked, place):
        """
        A child that is forked while a thread waits has no descriptor of the lock.
        """
        with holding("hold_write", *place):
            open_files = run_at_once(1, "fork_while_waiting", *place)

        assert [[]] == open_files

    @pytest.mark.stress
    def test_snooze_gives_up(self, checked, place):
        """
        A snooze that waits ten seconds for the write lock raises with its path.
        """
        with (
            holding("hold_write", *place),
            pytest.raises(StateLockError, match="within 10 s") as caught,
        ):
            checked.snooze(NOON)

        assert str(lock_of(checked, "write")) == caught.value.path
        assert checked.look().information.snoozed_until is None
        assert checked.snooze(NOON)


class TestCheck:
    def test_crowd(self, shop, place):
        """
        A crowd of checkers makes one check; the later ones find it fresh.
        """
        results = Counter(run_at_once(30, "check_if_due", *place))

        assert {"checked": 1, "fresh": 29} == results

    def test_impatient_crowd(self, shop, place):
        """
        A checker that does not get the check lock gets no guard.
        """
        results = Counter(run_at_once(30, "try_to_check", *place))

        assert 1 == results["checked"]
        assert {"checked", "busy", "fresh"} >= results.keys()

    def test_busy(self, shop, place):
        """
        While another process is checking there is no guard.
        """
        with holding("hold_check", *place), shop.try_check() as check:
            assert check is None

        with shop.try_check() as check:
            assert check is not None

    def test_same_thread(self, shop):
        """
        There is no second guard, not even in the thread that has the first.
        """
        other = StateStore(root_of(shop).parent).environment(shop.path, "uv.lock")
        with (
            shop.try_check() as check,
            shop.try_check() as second,
            other.try_check() as third,
        ):
            assert check is not None
            assert (None, None) == (second, third)
            with shop.try_check() as after_busy:
                assert after_busy is None

        with shop.try_check() as again:
            assert again is not None

    def test_another_environment(self, store, shop):
        """
        Another lockfile in the same directory is checked at the same time.
        """
        other = store.environment(shop.path, "mise.lock")
        with shop.try_check() as check, other.try_check() as second:
            assert check is not None
            assert second is not None

    def test_one_guard_in_two_threads(self, shop):
        """
        Another thread may use a guard; the second commit is refused.
        """
        outcomes = []

        def use(guard):
            try:
                outcomes.append(guard.commit(b"new", upgrades=ROWS, now=NOON))
            except RuntimeError:
                outcomes.append(None)

        with shop.try_check() as check:
            for _ in range(2):
                run_in_thread(lambda: use(check))

        assert [True, None] == outcomes

    def test_threads_at_once(self, shop):
        """
        Of two threads one gets a guard.
        """
        barrier = threading.Barrier(2, timeout=60)
        guards = []

        def check():
            barrier.wait()
            with shop.try_check() as guard:
                guards.append(guard is not None)
                barrier.wait()

        threads = [threading.Thread(target=check) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert [False, True] == sorted(guards)

    def test_closed_by_another_thread(self, shop):
        """
        A guard that any thread closes lets the next check begin.
        """
        with shop.try_check() as check:
            run_in_thread(check.close)
            with shop.try_check() as second:
                assert second is not None
            with pytest.raises(RuntimeError):
                check.freshness()

    def test_in_a_coroutine(self, shop):
        """
        A coroutine holds a guard, and uses it and another handle in threads.
        """

        def try_again():
            with shop.try_check() as second:
                return second

        async def check():
            with shop.try_check() as guard:
                second = await asyncio.to_thread(try_again)
                return second, await asyncio.to_thread(guard.commit, b"new", now=NOON)

        assert (None, True) == asyncio.run(check())
        assert try_again() is not None


class TestChildren:
    @pytest.mark.parametrize("how", ["raising", "normally"])
    def test_left_by_a_forked_child(self, checked, place, how):
        """
        A forked child that leaves the statement takes nothing from the parent.
        """
        assert [{"still held": True, "stored": True, "failure": None}] == run_at_once(
            1, "leave_in_forked_child", *place, how
        )

    def test_forked_child(self, shop, place):
        """
        In a forked child the guard of the parent is closed.
        """
        assert [
            {"freshness is refused": True, "commit is refused": True}
        ] == run_at_once(1, "guard_in_forked_child", *place)

    def test_outlived_by_a_forked_child(self, shop, place):
        """
        A lock is free once the process that took it is dead, children or not.
        """
        with holding("die_with_a_forked_child", *place), shop.try_check() as check:
            assert check is not None

    def test_executed_child(self, shop, place):
        """
        A program that is started during a check does not keep the lock.
        """
        assert [True] == run_at_once(1, "with_an_executed_child", *place)


class TestForget:
    def test_during_check(self, checked, place):
        """
        While a check is running, nothing is forgotten.
        """
        before = files_of(checked)

        with holding("hold_check", *place):
            assert not checked.forget()

        assert before == files_of(checked)
        assert checked.forget()
        assert [] == files_of(checked)

    @pytest.mark.parametrize("rounds", [3, pytest.param(10, marks=pytest.mark.stress)])
    def test_claims(self, shop, place, rounds):
        """
        A forgotten environment stays forgotten while others claim notices.
        """
        for _ in range(rounds):
            commit(shop, upgrades=ROWS)

            results = run_at_once(16, "claim_or_forget", *place)

            assert {"forgotten", "checking"} >= set(results[::2])
            assert "unavailable" not in results[1::2]
            assert [] == files_of(shop)


class TestPrune:
    def test_during_check(self, store, checked, place):
        """
        An environment that is being checked is kept, however old its record is.
        """
        Path(checked.path, "uv.lock").unlink()
        Path(checked.path).rmdir()
        os.utime(checked.record_path, (0, 0))

        with holding("hold_check", *place):
            assert () == store.prune()
            assert checked.look().information is not None

        assert [checked.key] == [pruned.key for pruned in store.prune()]
        assert [] == files_of(checked)

    def test_first_check(self, store, shop, place):
        """
        So are the results of a check that has no record yet.
        """
        with holding("hold_check", *place):
            results_of(shop).mkdir()
            assert () == store.prune()
            assert results_of(shop).is_dir()

        assert [shop.key] == [pruned.key for pruned in store.prune()]
        assert not results_of(shop).exists()
