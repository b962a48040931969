"""
Records in a database: claims, leases, contents, owners, and a server in trouble.

`test_store.TestClaim` and `test_histories.test_one_process` hold for them, too.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import subprocess
import threading
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

psycopg = pytest.importorskip("psycopg")

from helpers import (  # noqa: E402
    DAY,
    LIMIT,
    NOON,
    ROWS,
    commit,
    fail,
    holding,
    put_record,
    read_record,
    run_at_once,
    text_of,
    worker,
)
from upgrade_state import StateStore  # noqa: E402
from upgrade_state._postgresql import _records  # noqa: E402
from upgrade_state._postgresql._connection import create  # noqa: E402
from upgrade_state.exceptions import (  # noqa: E402
    StateLockError,
    StateReadError,
    StateWriteError,
)

pytestmark = pytest.mark.database

# The fixtures replace it.
CLAIM_SECONDS = _records.CLAIM_SECONDS

PAGE = Path(__file__).parents[1] / "docs" / "more-than-one-machine.md"


@pytest.fixture
def store(records):
    return StateStore(records)


@pytest.fixture
def run(records):
    """
    Execute SQL as the administrator; return the rows.
    """
    with psycopg.connect(records, autocommit=True) as conn:

        def execute(*args):
            cursor = conn.execute(*args)
            return cursor.fetchall() if cursor.description else []

        yield execute


def end_lease(run):
    run("update upgrade_state.records set until = now() - interval '1 s'")


def grant(server, name, role):
    """
    Execute the statement on the page about more than one machine.
    """
    (sql,) = re.findall(r"```sql\n(.*records TO) hub;\n", PAGE.read_text())
    server.sql(f"{sql} {role}", name)


@contextlib.contextmanager
def failing(shop, message):
    """
    Let a check fail at the end of a `with` statement.
    """
    with contextlib.suppress(LookupError), shop.try_check():
        yield
        raise LookupError(message)


class TestStore:
    def test_nothing_known(self, shop, run):
        """
        Nothing but a check writes anything.
        """
        assert "nothing-known" == shop.claim_notice().reason
        assert not shop.snooze(NOON)
        assert not shop.expire()
        assert not shop.withdraw_consent()
        assert shop.forget()
        assert () == shop.upgrades()
        assert None is shop.kept_lockfile("new")
        assert [] == run("select * from upgrade_state.records")

    def test_no_file(self, checked, tmp_path):
        """
        No file is written.
        """
        assert checked.claim_notice(now=NOON)
        assert checked.snooze(NOON)
        fail(checked)
        assert checked.forget()
        assert [tmp_path / "shop"] == list(tmp_path.iterdir())
        assert ["uv.lock"] == [path.name for path in (tmp_path / "shop").iterdir()]

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"\\u0000"'])
    def test_corrupt(self, checked, store, text):
        """
        A corrupt record counts as none, until a check replaces it.
        """
        put_record(checked, text)

        assert "nothing-known" == checked.claim_notice(now=NOON).reason
        assert not checked.snooze(NOON)
        assert [(None, None)] == [(each.path, each.name) for each in store]
        assert commit(checked)
        assert 1 == checked.look().information.generation

    def test_too_large(self, checked):
        """
        A record that could not be read again is refused.
        """
        record = read_record(checked) | {"other": 200_000 * "é"}
        put_record(checked, json.dumps(record, ensure_ascii=False))

        with pytest.raises(StateWriteError, match="too large"):
            checked.snooze(NOON)

    def test_streams(self, store, shop, run):
        """
        Memory does not grow with the number of records.
        """

        def peak(count):
            run("delete from upgrade_state.records")
            run(
                "insert into upgrade_state.records (key, record) select md5(n::text),"
                " repeat('x', 1000) from generate_series(1, %s) n",
                [count],
            )
            tracemalloc.start()
            found = [environment.key for environment in store]
            _, most = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert sorted(set(found)) == found
            assert count == len(found)
            return most - 100 * count  # of the keys

        peak(200)
        assert peak(6000) < 1.5 * peak(300)

    def test_threads(self, checked):
        """
        Threads share a handle, and one of them speaks.
        """
        barrier, reasons = threading.Barrier(8), []

        def claim():
            barrier.wait(LIMIT)
            reasons.append(checked.claim_notice(now=NOON).reason)

        threads = [threading.Thread(target=claim) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
        assert (8, 1) >= (len(reasons), reasons.count("notify"))


class TestWrite:
    @pytest.mark.parametrize("write", ["snooze", "fail", "commit"])
    def test_again(self, checked, write, monkeypatch):
        """
        A record that was replaced after it was read is read, and merged, again.
        """
        replace = _records.Entry.replace

        def claim_first(*args, **options):
            monkeypatch.undo()
            assert checked.claim_notice(now=NOON)
            return replace(*args, **options)

        monkeypatch.setattr(_records.Entry, "replace", claim_first)
        if write == "snooze":
            assert checked.snooze(NOON)
        elif write == "fail":
            fail(checked)
        else:
            assert commit(checked, b"newer")

        known = checked.look().information
        assert NOON == known.last_notified
        changes = {
            "snooze": known.snoozed_until == NOON,
            "fail": known.failure is not None,
            "commit": known.generation == 2,
        }
        assert {write} == {name for name, is_made in changes.items() if is_made}


class TestContents:
    def test_large(self, shop, store):
        """
        Lockfiles of 500 KB are kept whole, and a claim leaves them as they are.
        """
        old, new = (
            random.Random(1).randbytes(500_000),
            random.Random(2).randbytes(500_000),
        )
        with shop.try_check(old) as check:
            assert check.commit(new, upgrades=ROWS, now=NOON)

        assert shop.claim_notice(old, now=NOON)
        assert (old, new) == (shop.kept_lockfile("old"), shop.kept_lockfile("new"))
        assert ROWS == shop.upgrades()

    @pytest.mark.parametrize("content", ["null", "'x'"])
    def test_damaged(self, checked, run, content):
        """
        A content without the digest in the record is refused, until the next check.
        """
        run(f"update upgrade_state.records set new_lockfile = {content}")

        with pytest.raises(StateReadError, match=r"damaged; the next check replaces"):
            checked.kept_lockfile("new")
        assert commit(checked)
        assert b"new" == checked.kept_lockfile("new")

    def test_replaced_meanwhile(self, checked):
        """
        A look gives the content that is there by then.
        """
        looks = [checked.look() for _ in range(3)]
        with checked.try_check() as check:
            check.commit(b"newer", now=NOON)
        assert b"newer" == looks[0].kept_lockfile("new")
        assert () == looks[0].upgrades()
        with checked.try_check() as check:
            check.commit(upgrades=ROWS, now=NOON)
        assert None is looks[1].kept_lockfile("new")
        assert checked.forget()
        assert None is looks[2].kept_lockfile("new")


class TestCheck:
    def test_busy(self, checked, store, run):
        """
        One check runs at a time, and what it runs for is not forgotten.
        """
        with checked.try_check() as check:
            with store.environment(checked.path, "uv.lock").try_check() as second:
                assert second is None
            assert checked.claim_notice(now=NOON)
            assert not checked.forget()
            assert () == store.prune(older_than=0 * DAY)
            assert check.commit(b"newer", now=NOON)
        assert NOON == checked.look().information.last_notified
        assert b"newer" == checked.kept_lockfile("new")
        with checked.try_check() as check:
            assert check is not None

    def test_without_commit(self, shop, store, run):
        """
        A check that stores nothing leaves no record, and its row goes with `prune`.
        """
        with shop.try_check():
            pass

        assert shop.look().record is None
        assert [] == list(store)
        assert [shop.key] == [environment.key for environment in store.prune()]
        assert [] == run("select * from upgrade_state.records")

    @pytest.mark.parametrize("is_running", [True, False])
    def test_taken_over(self, checked, is_running, run):
        """
        A check that outlives its lease is dropped if another check has begun, or ended.
        """
        with checked.try_check() as late:
            end_lease(run)
            with checked.try_check() as check:
                if is_running:
                    assert not late.commit(b"late", now=NOON)
                assert check.commit(b"newer", now=NOON)
            if not is_running:
                assert not late.commit(b"late", now=NOON)
        assert (2, b"newer") == (
            checked.look().information.generation,
            checked.kept_lockfile("new"),
        )

    def test_late(self, checked, run):
        """
        It is stored if no other check has begun.
        """
        with checked.try_check() as late:
            end_lease(run)
            assert late.commit(b"late", now=NOON)
        assert b"late" == checked.kept_lockfile("new")

    def test_forgotten(self, checked, run):
        """
        It is dropped if its record was forgotten, though a record is there again.
        """
        for has_record in (False, True):
            with checked.try_check() as late:
                end_lease(run)
                assert checked.forget()
                if has_record:
                    assert commit(checked)
                assert not late.commit(b"late", now=NOON)
            assert has_record is (checked.look().record is not None)
            commit(checked)

    def test_failure(self, checked, caplog, run):
        """
        A failure keeps the result, and is dropped if the lease was taken over.
        """
        with failing(checked, "no route"):
            assert checked.snooze(NOON)
        known = checked.look().information
        assert (1, NOON) == (known.failure.attempts, known.snoozed_until)
        assert b"new" == checked.kept_lockfile("new")

        caplog.set_level(logging.DEBUG, "upgrade_state")
        with failing(checked, "no answer"):
            end_lease(run)
            assert commit(checked)
        assert checked.look().information.failure is None
        assert "not recorded: Another check has taken over from this one" in caplog.text

    def test_killed(self, checked, records, run):
        """
        A lease of a killed process ends after 15 minutes.
        """
        with holding("hold_check", records, checked.path) as process:
            process.kill()
        with checked.try_check() as check:
            assert check is None
        ((seconds,),) = run(
            "select extract(epoch from until - now()) from upgrade_state.records"
        )
        assert 890 < seconds <= 900
        end_lease(run)
        with checked.try_check() as check:
            assert check is not None

    def test_forked_child(self, checked):
        """
        A forked child does not hold the lease, and does not end it.
        """
        with checked.try_check() as check:
            pid = os.fork()
            if pid == 0:
                with_error = 1
                try:
                    check.commit(b"child")
                except RuntimeError:
                    check.close()
                    with_error = 0
                finally:
                    os._exit(with_error)
            assert 0 == os.waitpid(pid, 0)[1]
            assert not checked.forget()
            assert check.commit(b"parent", now=NOON)

    def test_lost_end(self, checked, caplog, run, monkeypatch):
        """
        If the lease cannot be ended, the check is stored nevertheless.
        """
        caplog.set_level(logging.DEBUG, "upgrade_state")
        with checked.try_check() as check:
            assert check.commit(b"newer", now=NOON)
            run("alter table upgrade_state.records rename to hidden")
        run("alter table upgrade_state.hidden rename to records")
        assert "could not end the lease of a check" in caplog.text
        with checked.try_check() as check:
            assert check is None


class TestPrune:
    def test_age(self, checked, store, run):
        """
        Records go by the age of their last change, and their directories stay.
        """
        age = "update upgrade_state.records set written = now() - interval '%s'"
        run(age % "89 days")
        assert () == store.prune()
        run(age % "91 days")
        dry = store.prune(dry_run=True)
        assert [checked.path] == [environment.path for environment in dry]
        assert checked.snooze(NOON)
        assert () == store.prune()
        run(age % "91 days")
        assert [checked.path] == [environment.path for environment in store.prune()]
        assert [] == list(store)

    def test_written_meanwhile(self, checked, store, run, monkeypatch):
        """
        A record that is written before it is deleted stays.
        """
        forget = _records.Entry.forget

        def snooze_first(entry, before):
            assert checked.snooze(NOON)
            return forget(entry, before)

        monkeypatch.setattr(_records.Entry, "forget", snooze_first)
        run("update upgrade_state.records set written = to_timestamp(0)")
        assert () == store.prune()
        assert NOON == checked.look().information.snoozed_until

    def test_many(self, store, run):
        """
        More than one page is pruned.
        """
        run(
            "insert into upgrade_state.records (key, record, written)"
            " select md5(n::text), 'x', to_timestamp(n)"
            " from generate_series(1, 250) n"
        )
        assert 250 == len(store.prune())
        assert [] == run("select * from upgrade_state.records")


class TestOwners:
    @pytest.fixture
    def place(self, place):
        """
        A directory with a lockfile.
        """
        (place / "uv.lock").write_bytes(b"old")
        return place

    def test_isolation(self, server, place):
        """
        A role sees, claims and deletes its own records, and no other ones.
        """
        name = server.database("ana", "ben", "zoe")
        create(server.url(name))
        grant(server, name, "ana, ben")
        ana, ben, zoe = (
            StateStore(server.url(name, user)).environment(place, "uv.lock")
            for user in ("ana", "ben", "zoe")
        )
        assert commit(ana, upgrades=ROWS)
        assert commit(ana, upgrades=ROWS)

        assert "nothing-known" == ben.claim_notice(b"old", now=NOON).reason
        assert ben.forget()
        assert [] == list(ben.store)
        assert () == ben.store.prune(older_than=0 * DAY)
        with ana.try_check(), ben.try_check() as check:
            assert check.commit(b"of ben", now=NOON)
        assert (b"new", b"of ben") == (
            ana.kept_lockfile("new"),
            ben.kept_lockfile("new"),
        )
        verdict = zoe.claim_notice(b"old", now=NOON)
        assert "unavailable" == verdict.reason
        assert "permission denied for table records" in verdict.error.message

        # Not even in SQL.
        owners = "select owner::text from upgrade_state.records"
        assert [("ben",)] == server.sql(owners, name, "ben")
        for sql in (
            "update upgrade_state.records set owner = 'ana'",
            "insert into upgrade_state.records (owner, key) values ('ana', 'k')",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                server.sql(sql, name, "ben")
        # Nor for the owner of the table.
        server.sql("alter table upgrade_state.records owner to zoe", name)
        assert [] == server.sql(owners, name, "zoe")

    def test_superuser(self, server, place):
        """
        A superuser, whom no policy binds, has records of its own.
        """
        name = server.database("ana")
        create(server.url(name))
        grant(server, name, "ana")
        ana, owner = (
            StateStore(server.url(name, user)).environment(place, "uv.lock")
            for user in ("ana", "owner")
        )
        assert commit(ana, upgrades=ROWS)
        assert owner.look().record is None
        assert [] == list(owner.store)
        assert commit(owner, upgrades=ROWS)
        assert owner.forget()
        assert ana.claim_notice(b"old", now=NOON)


class TestManyProcesses:
    def test_one_speaks(self, checked, records):
        """
        Of 20 processes that claim at once, one speaks.
        """
        notices = 0
        # A late answer, on a busy machine, costs the notice of an interval.
        for days in range(0, 80, 8):
            place = records, checked.path, days
            reasons = Counter(run_at_once(20, "claim_until_answered", *place))
            notices = reasons.pop("notify", 0)
            assert {"told-recently"} == set(reasons)
            if notices:
                break
        assert 1 == notices

    def test_one_checks(self, shop, records):
        """
        Of 8 processes that begin a check one after the other, one makes it.
        """
        reasons = Counter(run_at_once(8, "check_if_due", records, shop.path))

        assert {"checked": 1, "fresh": 7} == reasons

    def test_killed(self, checked, records, run):
        """
        Of back ends and processes that are killed, no user is told anything twice.

        In 90 intervals, of each of which every process has to hear.
        """
        argv = worker(LIMIT, 0, "claim_and_snooze", (records, checked.path))
        chance, kills, notices = random.Random(1), 0, []
        kill = (
            "select pg_terminate_backend(pid) from (select pid from pg_stat_activity"
            " where application_name = 'upgrade-state' order by random() limit 1) one"
        )

        def start():
            pipe = subprocess.PIPE
            return subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)

        processes = [start() for _ in range(4)]
        try:
            for interval in range(90):
                now = NOON + interval * DAY
                for process in processes:
                    process.stdin.write(f"{now.isoformat()}\n")
                    process.stdin.flush()
                time.sleep(chance.uniform(0, 0.01))
                kills += len(run(kill))
                answers = []
                if interval % 30 == 7:
                    processes[0].kill()
                    with processes[0]:
                        answers += processes[0].stdout.read().split()
                    processes[0] = start()
                    processes[0].stdin.write(f"{now.isoformat()}\n")
                    processes[0].stdin.flush()
                for process in processes:
                    answers.append(process.stdout.readline().strip())
                    assert "snoozed\n" == process.stdout.readline()
                told = answers.count("notify")
                ((record,),) = run("select record::json from upgrade_state.records")
                assert text_of(now) == record["snoozed_until"]
                assert not told or text_of(now) == record["last_notified"]
                notices.append(told)
        finally:
            for process in processes:
                with process:
                    process.kill()
        assert 50 <= kills
        assert {0, 1} >= set(notices)
        assert 60 <= sum(notices)


class TestPooler:
    def test_transactions(self, server, pooler, place):
        """
        Every operation works through a pooler in transaction mode.
        """
        name = server.database()
        create(server.url(name))
        store = StateStore(pooler.url(name))
        shop = store.environment(place)
        with shop.try_check() as check:
            assert store.environment(place).look().record is None
            assert check.commit(b"new", upgrades=ROWS, now=NOON)
        reasons = [shop.claim_notice(now=NOON).reason for _ in range(2)]
        assert ["notify", "told-recently"] == reasons
        assert shop.snooze(NOON)
        assert b"new" == shop.kept_lockfile("new")
        assert [shop.key] == [environment.key for environment in store]
        assert shop.forget()


class TestTrouble:
    @pytest.fixture
    def store(self, own):
        url = own.url(own.database())
        create(url)
        return StateStore(url)

    def test_stopped(self, checked, own, monkeypatch):
        """
        Nothing waits longer than its deadline for a server that does not answer.
        """
        with own.paused(), monkeypatch.context() as patch:
            patch.setattr(_records, "CLAIM_SECONDS", CLAIM_SECONDS)
            start = time.monotonic()
            verdict = checked.claim_notice(now=NOON)
            duration = time.monotonic() - start
        assert ("unavailable", True) == (verdict.reason, duration < 2), duration
        assert "did not answer in time" in str(verdict)
        assert isinstance(verdict.error, StateReadError)
        assert checked.claim_notice(now=NOON)

    def test_stopped_in_between(self, checked, own, monkeypatch):
        """
        The read and the claim have one deadline; such a claim may cost the notice.
        """
        claim = _records.Entry.claim

        def pause(*args, **options):
            with own.paused():
                return claim(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(_records.Entry, "claim", pause)
            patch.setattr(_records, "CLAIM_SECONDS", 2)
            verdict = checked.claim_notice(now=NOON)
        assert "unavailable" == verdict.reason
        assert isinstance(verdict.error, StateWriteError)
        reason = checked.claim_notice(now=NOON).reason
        assert reason in ("notify", "told-recently")

    def test_restarted(self, checked, own):
        """
        After a restart, the next claim works.
        """
        own.stop("fast")
        assert "unavailable" == checked.claim_notice(now=NOON).reason
        with pytest.raises(StateReadError):
            checked.snooze(NOON)
        with pytest.raises(StateLockError), checked.try_check():
            pass
        with pytest.raises(StateWriteError):
            checked.forget()
        own.start()
        assert checked.claim_notice(now=NOON)

    def test_no_schema(self, database, tmp_path):
        """
        A database without the schema is unavailable, and the error has the command.
        """
        verdict = StateStore(database).environment(tmp_path).claim_notice()

        assert "unavailable" == verdict.reason
        assert "create it with 'upgrade-state shared init URL'" in verdict.error.message
