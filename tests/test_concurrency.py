from __future__ import annotations

import datetime as dt
import json
import os
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from upgrade_state import CheckGuard, StateStore, _locks
from upgrade_state.exceptions import StateLockError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from upgrade_state import EnvironmentState

    RunAtOnce: TypeAlias = Callable[..., list[Any]]
    Holding: TypeAlias = Callable[..., AbstractContextManager["subprocess.Popen[str]"]]

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
ROWS = (Upgrade("x", "version"),)
NONE = dt.timedelta()


@pytest.fixture
def place(shop: EnvironmentState) -> tuple[str, str]:
    """
    What another process needs to know of the shop: cache directory, directory.
    """
    return str(Path(shop.record_path).parents[1]), str(shop.path)


@pytest.fixture
def checked(shop: EnvironmentState) -> EnvironmentState:
    """
    The shop, with an upgrade to tell of.
    """
    commit(shop, b"new")
    return shop


@pytest.fixture
def failing(checked: EnvironmentState) -> EnvironmentState:
    """
    The same, after checks that have failed for nine days.
    """
    with pytest.raises(OSError, match="host"), checked.try_check():
        raise OSError("no route to host")
    path = Path(checked.record_path)
    record = json.loads(path.read_bytes())
    record["failure"] |= {"at": "2026-11-20T12:00:00Z", "since": "2026-11-11T12:00:00Z"}
    path.write_text(json.dumps(record))
    return checked


def commit(shop: EnvironmentState, new: bytes) -> None:
    with shop.try_check() as check:
        assert check is not None
        assert check.commit(new, upgrades=ROWS, now=NOON)


def files_of(shop: EnvironmentState) -> list[str]:
    """
    Return what is left of an environment, except its locks.
    """
    root = Path(shop.record_path).parent
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob(f"*{shop.key}*")
        if path.parent.name != "locks"
    )


class TestNothingIsLost:
    @pytest.mark.parametrize(
        "count", [300, pytest.param(2000, marks=pytest.mark.stress)]
    )
    def test_writers(
        self,
        checked: EnvironmentState,
        place: tuple[str, str],
        tmp_path: Path,
        run_at_once: RunAtOnce,
        count: int,
    ) -> None:
        """
        No update of any field is undone by another process.

        Two processes commit, one fails, two claim, two snooze, and one changes
        a field that this version does not know.
        """
        books = tmp_path / "books"
        books.mkdir()
        run_at_once(1, "prepare", *place, books)

        lost = run_at_once(8, "write_all", *place, books, count, limit=1200)

        at_the_end = run_at_once(1, "closed_books", *place, books)
        assert [0] * 8 == lost
        assert [
            {
                "lost": {"check": 0, "claim": 0, "snooze": 0, "other": 0},
                "generation": 1 + 2 * count,
            }
        ] == at_the_end

    def test_snooze_during_check(
        self, checked: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        A snooze does not wait for a running check, whose commit keeps it.
        """
        with holding("hold_check_and_commit", *place):
            assert checked.snooze(NOON)

        information = checked.look().information
        assert information is not None
        assert 2 == information.generation
        assert NOON == information.snoozed_until

    def test_expire_during_check(
        self, checked: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        A check that is running meanwhile, and is committed afterwards, wins.
        """
        with holding("hold_check_and_commit", *place):
            assert checked.expire()
            assert checked.look(now=NOON).freshness().due

        assert "fresh" == checked.look(b"old", now=NOON).freshness().reason

    def test_claim_during_check(
        self, checked: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        A claim does not wait for a running check, whose commit keeps it.
        """
        with holding("hold_check_and_commit", *place):
            assert "notify" == checked.claim_notice(now=NOON).reason

        information = checked.look().information
        assert information is not None
        assert 2 == information.generation
        assert NOON == information.last_notified


class TestClaim:
    def test_one_speaks(
        self, checked: EnvironmentState, place: tuple[str, str], run_at_once: RunAtOnce
    ) -> None:
        """
        Of 200 activations at once exactly one is told to speak.
        """
        reasons = Counter(run_at_once(200, "claim", *place))

        assert 1 == reasons["notify"]
        assert {"notify", "busy", "told-recently"} >= reasons.keys()

    def test_one_speaks_during_check(
        self,
        checked: EnvironmentState,
        place: tuple[str, str],
        run_at_once: RunAtOnce,
        holding: Holding,
    ) -> None:
        """
        So it is while another process is checking, and nobody waits for it.
        """
        with holding("hold_check", *place):
            reasons = Counter(run_at_once(200, "claim", *place))

        assert 1 == reasons["notify"]
        assert {"notify", "busy", "told-recently"} >= reasons.keys()

    @pytest.mark.parametrize("share", [1, 2])
    def test_one_tells_of_failures(
        self,
        failing: EnvironmentState,
        place: tuple[str, str],
        run_at_once: RunAtOnce,
        share: int,
    ) -> None:
        """
        Of 50 activations one tells that checks fail, and no other one speaks.

        Where only some want to hear of that, it may be the upgrades.
        """
        reasons = Counter(run_at_once(50, "claim_failure", *place, share))

        spoken = {"cannot-check"} if share == 1 else {"cannot-check", "notify"}
        assert 1 == sum(reasons[reason] for reason in spoken)
        assert spoken | {"busy", "told-recently"} >= reasons.keys()

    def test_busy(
        self, checked: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        Who finds the record being written does not wait, and asks again later.
        """
        with holding("hold_write", *place):
            busy = checked.claim_notice(now=NOON)

        assert "busy" == busy.reason
        assert not busy
        assert "1 version change" == busy.summary
        assert "notify" == checked.claim_notice(now=NOON).reason

    def test_silent_takes_no_lock(
        self, checked: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        Who has nothing to say does not care for locks.
        """
        assert checked.claim_notice(now=NOON)

        with holding("hold_write", *place):
            assert "told-recently" == checked.claim_notice(now=NOON).reason


class TestSnooze:
    def test_waits_only_so_long(
        self,
        checked: EnvironmentState,
        place: tuple[str, str],
        holding: Holding,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """
        Who cannot get the write lock gives up with the path of the lock.
        """
        monkeypatch.setattr(_locks, "_WAIT_SECONDS", 0.01)

        with (
            holding("hold_write", *place),
            pytest.raises(StateLockError) as caught,
        ):
            checked.snooze(NOON)

        assert str(caught.value.path).endswith(f"locks/{checked.key}.write")
        assert checked.snooze(NOON)


class TestCheck:
    def test_crowd(
        self, shop: EnvironmentState, place: tuple[str, str], run_at_once: RunAtOnce
    ) -> None:
        """
        A crowd of checkers makes one check; who comes next finds it fresh.
        """
        results = Counter(run_at_once(30, "check_if_due", *place))

        assert {"checked": 1, "fresh": 29} == results

    def test_impatient_crowd(
        self, shop: EnvironmentState, place: tuple[str, str], run_at_once: RunAtOnce
    ) -> None:
        """
        Who does not get the check lock gets no guard.
        """
        results = Counter(run_at_once(30, "try_to_check", *place))

        assert 1 == results["checked"]
        assert {"checked", "busy", "fresh"} >= results.keys()

    def test_busy(
        self, shop: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        While another process is checking there is no guard.
        """
        with holding("hold_check", *place), shop.try_check() as check:
            assert check is None

        with shop.try_check() as check:
            assert check is not None

    def test_same_thread(self, shop: EnvironmentState) -> None:
        """
        Nobody gets a second guard, not even who has the first.
        """
        with shop.try_check() as check, shop.try_check() as second:
            assert check is not None
            assert second is None

            with shop.try_check() as third:
                assert third is None

    def test_another_handle(self, store: StateStore, shop: EnvironmentState) -> None:
        """
        What counts is the environment, not the handle.
        """
        assert shop.path is not None
        other = StateStore(Path(shop.record_path).parents[1])
        with (
            shop.try_check() as check,
            other.environment(shop.path, "uv.lock").try_check() as second,
        ):
            assert check is not None
            assert second is None

    def test_another_environment(
        self, store: StateStore, shop: EnvironmentState
    ) -> None:
        """
        Another lockfile in the same directory is checked at the same time.
        """
        assert shop.path is not None
        with (
            shop.try_check() as check,
            store.environment(shop.path, "mise.lock").try_check() as other,
        ):
            assert check is not None
            assert other is not None

    def test_one_guard_in_two_threads(self, shop: EnvironmentState) -> None:
        """
        A guard may be used by another thread; who commits second is refused.
        """
        outcomes: list[bool | None] = []

        def use(guard: CheckGuard) -> None:
            try:
                outcomes.append(guard.commit(b"new", upgrades=ROWS, now=NOON))
            except RuntimeError:
                outcomes.append(None)

        with shop.try_check() as check:
            assert check is not None
            for _ in range(2):
                in_thread(lambda: use(check))

        assert [True, None] == outcomes

    def test_threads_at_once(self, shop: EnvironmentState) -> None:
        """
        Of two threads one gets a guard.
        """
        barrier = threading.Barrier(2, timeout=60)
        guards = []

        def check() -> None:
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

    def test_closed_by_another_thread(self, shop: EnvironmentState) -> None:
        """
        Whichever thread closes a guard lets the next one in.
        """
        with shop.try_check() as check:
            assert check is not None
            in_thread(check.close)
            with shop.try_check() as second:
                assert second is not None
            with pytest.raises(RuntimeError):
                check.freshness()


def in_thread(function: Callable[[], object]) -> None:
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()


class TestChildren:
    def test_forked_child(
        self, shop: EnvironmentState, place: tuple[str, str], run_at_once: RunAtOnce
    ) -> None:
        """
        In a forked child the guard of the parent is closed.
        """
        assert [
            {"freshness is refused": True, "commit is refused": True}
        ] == run_at_once(1, "guard_in_forked_child", *place)

    @pytest.mark.parametrize("how", ["raising", "normally"])
    def test_left_by_a_forked_child(
        self,
        checked: EnvironmentState,
        place: tuple[str, str],
        run_at_once: RunAtOnce,
        how: str,
    ) -> None:
        """
        A forked child that leaves the statement takes nothing from the parent.
        """
        assert [{"still held": True, "stored": True, "failure": None}] == run_at_once(
            1, "leave_in_forked_child", *place, how
        )

    def test_outlived_by_a_forked_child(
        self, shop: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        A lock is free once the process that took it is dead, children or not.
        """
        with (
            holding("die_with_a_forked_child", *place),
            shop.try_check() as check,
        ):
            assert check is not None

    def test_executed_child(
        self, shop: EnvironmentState, place: tuple[str, str], run_at_once: RunAtOnce
    ) -> None:
        """
        A program that is started during a check does not keep the lock.
        """
        assert [True] == run_at_once(1, "with_an_executed_child", *place)


class TestForget:
    def test_during_check(
        self, checked: EnvironmentState, place: tuple[str, str], holding: Holding
    ) -> None:
        """
        While a check is running, nothing is forgotten.
        """
        before = files_of(checked)

        with holding("hold_check", *place):
            assert not checked.forget()

        assert before == files_of(checked)
        assert checked.forget()
        assert [] == files_of(checked)

    def test_claims(
        self, shop: EnvironmentState, place: tuple[str, str], run_at_once: RunAtOnce
    ) -> None:
        """
        What is forgotten stays so, whoever claims a notice meanwhile.
        """
        for _ in range(10):
            commit(shop, b"new")

            results = run_at_once(16, "claim_or_forget", *place)

            assert {"forgotten", "checking"} >= set(results[::2])
            assert "unavailable" not in results[1::2]
            assert [] == files_of(shop)

    def test_next_check(self, checked: EnvironmentState) -> None:
        """
        A check makes a new record of what was forgotten meanwhile.
        """
        with checked.try_check() as check:
            assert check is not None
            Path(checked.record_path).unlink()
            assert check.commit(b"newer", upgrades=ROWS, now=NOON)

        information = checked.look().information
        assert information is not None
        assert 2 == information.generation
        assert b"newer" == checked.kept_lockfile("new")


class TestPrune:
    def test_during_check(
        self,
        store: StateStore,
        checked: EnvironmentState,
        place: tuple[str, str],
        holding: Holding,
    ) -> None:
        """
        What is being checked is left alone, however old and gone it is.
        """
        assert checked.path is not None
        (Path(checked.path) / "uv.lock").unlink()
        Path(checked.path).rmdir()
        os.utime(checked.record_path, (0, 0))

        with holding("hold_check", *place):
            assert () == store.prune()
            assert checked.look().information is not None

        assert [checked.key] == [gone.key for gone in store.prune()]
        assert [] == files_of(checked)

    def test_first_check(
        self,
        store: StateStore,
        shop: EnvironmentState,
        place: tuple[str, str],
        holding: Holding,
    ) -> None:
        """
        So are the results of a check that has no record yet.
        """
        results = Path(shop.record_path).parent / "results" / shop.key

        with holding("hold_check", *place):
            results.mkdir()
            assert () == store.prune()
            assert results.is_dir()

        assert [shop.key] == [gone.key for gone in store.prune()]
        assert not results.exists()


class TestReaders:
    @pytest.mark.parametrize(
        "count", [300, pytest.param(5000, marks=pytest.mark.stress)]
    )
    def test_never_torn(
        self,
        checked: EnvironmentState,
        place: tuple[str, str],
        run_at_once: RunAtOnce,
        count: int,
    ) -> None:
        """
        Readers see valid records, and what these name, however often it changes.
        """
        written, *read = run_at_once(4, "write_or_read", *place, count, limit=900)

        assert count == written
        assert 3 == sum(map(bool, read))
