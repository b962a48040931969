from __future__ import annotations

import contextlib
import datetime as dt
import functools
import json
import os
import shutil
import stat
import threading
import time

import filelock
import pytest

from upgrade_state import _lockfile, _locks, _look, _record, _store
from upgrade_state.exceptions import (
    ResolverError,
    StateLockError,
    StateReadError,
    StateWriteError,
)
from upgrade_state.lockfiles import Upgrade

NOW = dt.datetime(2026, 11, 20, 4, 18, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
ELEVENTH = "2026-11-11T00:00:00Z"
WHEN = ("attempts", "since")


def commit(shop, new=b"new", **asked):
    with shop.try_check() as check:
        return check.commit(new, **({"now": NOW} | asked))


def fields(shop):
    with open(shop.record_path, "rb") as file:
        return json.load(file)


def write(shop, record):
    with open(shop.record_path, "w") as file:
        json.dump(record, file)


def fail(shop, error):
    with pytest.raises(type(error)), shop.try_check():
        raise error


def failing(shop, days=9):
    """
    Let checks of the shop have failed for so many days; nothing else is known.
    """
    fail(shop, OSError("no route to host"))
    at, since = (NOW - n * DAY for n in (0, days))
    times = {"at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "since": f"{since:%Y-%m-%dT%H:%M:%SZ}"}
    record = fields(shop)
    write(shop, record | {"failure": record["failure"] | times})


def first_look(shop, interval=None, could_not_check=None):
    """
    Return what a claim has after its first look.
    """
    look = shop.look(now=NOW)
    question = _look.question_of(shop, interval, None, could_not_check)
    verdict = look._verdict(question)
    now = int(NOW.timestamp())
    rest = {"matches": look._matches, "now": now}
    return functools.partial(
        _store.claim, shop._entry(), look.record, question, verdict, **rest
    )


def results(shop):
    folder = os.path.join(os.path.dirname(shop.record_path), "results", shop.key)
    return set(os.listdir(folder))


def names(shop):
    record = fields(shop)
    return {_record.digits(d) for d in _store.named_files(record)}


class TestCommit:
    def test_first(self, shop, tmp_path):
        """
        The first check makes the record, with every field.
        """
        assert commit(shop, recipe="uv")

        old, new = b"old", b"new"
        assert {
            "environment": str(tmp_path / "shop"),
            "lockfile": "uv.lock",
            "recipe": "uv",
            "generation": 1,
            "last_checked": "2026-11-20T04:18:00Z",
            "result": {
                "format": "uv",
                "old_lockfile": {"digest": _record.digest(old), "size": 3},
                "new_lockfile": {"digest": _record.digest(new), "size": 3},
                "upgrades": None,
                "counts": None,
            },
            "last_notified": None,
            "snoozed_until": None,
            "failure": None,
        } == fields(shop)

    def test_direct(self, store, tmp_path):
        """
        Names that the caller knows to be asked for are marked in the rows.
        """
        old, new = (
            f'{{"_meta": {{"pipfile-spec": 6}}, "default": {{"a": {version},'
            f' "b": {version}}}}}'.encode()
            for version in ('{"version": "==1"}', '{"version": "==2"}')
        )
        shop = store.environment(tmp_path, "Pipfile.lock")
        with shop.try_check(old) as check:
            check.commit(new, direct=["b"])

        assert [("a", False), ("b", True)] == [
            (u.name, u.direct) for u in shop.upgrades()
        ]

    def test_direct_is_no_name(self, shop):
        """
        One name would be taken for as many as it has letters.
        """
        old = b"a==1"
        with shop.try_check(old) as check, pytest.raises(TypeError, match="direct"):
            check.commit(b"a==2", format="requirements", direct="a")

    def test_merges_its_own(self, shop):
        """
        A commit replaces what it owns and keeps the rest, known or not.
        """
        commit(shop)
        shop.claim_notice(now=NOW)
        shop.snooze(NOW + HOUR)
        write(shop, fields(shop) | {"colour": {"of": "money"}})
        before = fields(shop)
        commit(shop, b"newer", now=NOW + HOUR)

        changed = {
            name for name, value in fields(shop).items() if before[name] != value
        }
        assert {"generation", "last_checked", "result"} == changed

    def test_takes_the_recipe_back(self, shop):
        """
        A check without a recipe withdraws the one before.
        """
        commit(shop, recipe="uv")
        commit(shop)

        assert shop.look().information.recipe is None

    def test_ends_a_failure(self, shop):
        """
        A check that succeeds ends what failed before.
        """
        fail(shop, OSError("no"))
        commit(shop)

        assert shop.look().information.failure is None

    def test_keeps_only_what_is_named(self, shop):
        """
        What the record does not name any more is removed, and litter as well.
        """
        commit(shop)
        folder = os.path.join(os.path.dirname(shop.record_path), "results", shop.key)
        os.mkdir(os.path.join(folder, "litter"))
        commit(shop, b"newer")

        assert names(shop) == results(shop)
        assert b"newer" == shop.kept_lockfile("new")

    def test_cannot_tidy_up(self, shop, monkeypatch):
        """
        What cannot be removed is left for the next check: the result is stored.
        """
        commit(shop)

        def refuse(path):
            raise StateWriteError("no", path)

        monkeypatch.setattr(_store._files, "remove", refuse)
        assert commit(shop, b"newer")
        monkeypatch.undo()

        assert names(shop) < results(shop)
        commit(shop, b"newest")
        assert names(shop) == results(shop)

    def test_no_upgrade(self, shop):
        """
        Where nothing would change one file is both.
        """
        commit(shop, b"old")

        assert {_record.digits(_record.digest(b"old"))} == results(shop)
        assert "no-upgrades" == shop.look(now=NOW).verdict().reason

    def test_rows_of_the_caller(self, shop):
        """
        Rows that are given count instead of the lockfiles.
        """
        rows = (
            Upgrade("curl", "version", old=("8.0",), new=("8.1",), platform="linux-64"),
            Upgrade("git", "rebuild", old=("2.40",), new=("2.40",)),
            Upgrade("jq", "added", new=("1.7",)),
        )
        commit(shop, upgrades=iter(rows))

        assert rows == shop.upgrades()
        verdicts = [
            shop.look().verdict(platform=p).summary for p in (None, "linux-64", "osx")
        ]
        both = "1 version change and 1 rebuild"
        assert [both, both, ""] == verdicts

    def test_nothing_was_locked(self, store, tmp_path):
        """
        Without a lockfile nothing that is locked could be upgraded.
        """
        shop = store.environment(tmp_path / "none", "uv.lock")
        commit(shop)

        assert ("no-upgrades", "fresh") == (
            shop.look(now=NOW).verdict().reason,
            shop.look(now=NOW).freshness().reason,
        )
        assert shop.kept_lockfile("old") is None

    def test_no_lockfile_at_all(self, store, tmp_path):
        """
        An environment without one has rows, and they stay current.
        """
        shop = store.environment(tmp_path)
        rows = [Upgrade("curl", "version", old=("8.0",), new=("8.1",))]
        commit(shop, b"", upgrades=rows)

        assert shop.claim_notice(now=NOW)

    def test_many_platforms(self, shop):
        """
        However many platforms a lockfile makes up, the record stays small.
        """
        rows = [
            Upgrade("a", "version", old=("1",), new=("2",), platform=f"p{n}" * 9)
            for n in range(1000)
        ]
        commit(shop, upgrades=rows)

        assert 4096 > os.path.getsize(shop.record_path)
        assert "1 version change" == shop.look().verdict(platform="linux-64").summary

    def test_size_of_a_record(self, shop, tmp_path):
        """
        A record stays below 4 KiB, whatever the sizes of lockfiles are.
        """
        (tmp_path / "shop" / "uv.lock").write_bytes(b"x" * 5_000_000)
        commit(shop, b"y" * 5_000_000)
        fail(shop, OSError("\x1b" * 10**6))

        assert 4096 > os.path.getsize(shop.record_path)

    def test_lockfile_at_begin(self, shop, tmp_path):
        """
        A check is about the lockfile at its beginning.
        """
        with shop.try_check() as check:
            (tmp_path / "shop" / "uv.lock").write_bytes(b"edited")
            assert b"old" == check.old_lockfile
            check.commit(b"new", now=NOW)

        assert b"old" == shop.kept_lockfile("old")
        assert "lockfile-changed" == shop.look(now=NOW).verdict().reason

    def test_given_lockfile(self, shop):
        """
        Or about the bytes that were given.
        """
        with shop.try_check(b"given") as check:
            check.commit(b"new", now=NOW)

        assert shop.look(b"given", now=NOW).verdict()
        assert "lockfile-changed" == shop.look(now=NOW).verdict().reason

    def test_overtaken(self, shop):
        """
        Where locks do not exclude, the later result is dropped, and said so.
        """
        commit(shop)
        with shop.try_check() as check:
            write(shop, fields(shop) | {"generation": 9})
            assert not check.commit(b"newer")

        assert 9 == fields(shop)["generation"]
        assert names(shop) == results(shop)

    def test_record_gone(self, shop):
        """
        That the record is gone meanwhile is no obstacle.
        """
        commit(shop)
        with shop.try_check() as check:
            os.unlink(shop.record_path)
            assert check.commit(b"newer")

        assert 2 == shop.look().information.generation

    def test_too_large(self, shop):
        """
        A record that nobody could read any more is not written.
        """
        commit(shop)
        record = fields(shop) | {"notes": "\xe9" * 300_000}
        with open(shop.record_path, "w", encoding="utf-8") as file:
            json.dump(record, file, ensure_ascii=False)

        assert "unavailable" == shop.claim_notice(now=NOW).reason
        with pytest.raises(StateWriteError, match="too large"):
            shop.snooze(NOW)
        with pytest.raises(StateWriteError, match="too large"):
            commit(shop, b"newer")
        assert record == fields(shop)
        assert names(shop) <= results(shop)

    @pytest.mark.parametrize("ends", ["committed", "failed"])
    def test_store_gone(self, shop, ends, tmp_path):
        """
        Nor that the whole store is; what is made anew is for the user alone.
        """
        commit(shop)
        umask = os.umask(0o002)
        try:
            with contextlib.suppress(KeyError), shop.try_check() as check:
                shutil.rmtree(tmp_path / "cache")
                if ends == "failed":
                    raise KeyError
                assert check.commit(b"newer")
        finally:
            os.umask(umask)

        folders = [path for path in (tmp_path / "cache").rglob("*") if path.is_dir()]
        assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in folders}
        assert (ends == "failed") == (shop.look().information.failure is not None)

    @pytest.mark.parametrize("name", [".", "locks", "results", "tmp"])
    def test_store_replaced(self, shop, name, tmp_path):
        """
        Nothing is written behind a symlink that was put there meanwhile.
        """
        commit(shop)
        place = (tmp_path / "cache" / "v1" / name).resolve()
        elsewhere = tmp_path / "elsewhere"
        for folder in ("", "locks", "logs", "results", "tmp", shop.key):
            (elsewhere / folder).mkdir()
        with shop.try_check() as check:
            place.rename(tmp_path / "before")
            place.symlink_to(elsewhere)
            with pytest.raises(StateWriteError):
                check.commit(b"newer")

        assert not [path for path in elsewhere.rglob("*") if not path.is_dir()]

    def test_last_generation(self, shop):
        """
        After the last generation the count begins anew.
        """
        commit(shop)
        write(shop, fields(shop) | {"generation": _record.MAX_INTEGER})
        commit(shop)

        assert 0 == shop.look().information.generation

    def test_once(self, shop):
        """
        A guard commits once.
        """
        with shop.try_check() as check:
            check.commit(b"new")
            with pytest.raises(RuntimeError, match="committed already"):
                check.commit(b"newer")

    @pytest.mark.parametrize(
        ("new", "asked", "error"),
        [
            ("new", {}, TypeError),
            (b"new", {"recipe": ""}, ValueError),
            (b"new", {"recipe": "x" * 65}, ValueError),
            (b"new", {"format": "none"}, ValueError),
            (b"new", {"upgrades": [{"name": "curl"}]}, TypeError),
            (b"new", {"now": dt.datetime(2026, 11, 20)}, ValueError),  # noqa: DTZ001
        ],
    )
    def test_mistakes(self, shop, new, asked, error):
        """
        A mistake of the caller is no result.
        """
        with shop.try_check() as check, pytest.raises(error):
            check.commit(new, **asked)

        assert shop.look().information is None

    @pytest.mark.parametrize("format", ["uv", "flox"])
    def test_format(self, store, tmp_path, format):
        """
        A format can be named where the lockfile's name does not tell.
        """
        shop = store.environment(tmp_path, "custom.lock")
        with shop.try_check(b"old") as check:
            check.commit(b"new", format=format)

        assert format == shop.look().information.result.format


class TestGuard:
    def test_busy(self, shop):
        """
        While one is checking nobody else is, in the same thread neither.
        """
        with shop.try_check() as one, shop.try_check() as other:
            assert (True, None) == (one is not None, other)

        with shop.try_check() as again:
            assert again is not None

    def test_freshness(self, shop):
        """
        Under the lock it can be asked again whether a check is due.
        """
        with shop.try_check() as check:
            assert "never-checked" == check.freshness().reason
        commit(shop)
        with shop.try_check() as check:
            assert "fresh" == check.freshness(now=NOW).reason
            assert "expired" == check.freshness(now=NOW, max_age=dt.timedelta()).reason

    def test_closed(self, shop):
        """
        Once the with statement is left, a guard is of no use.
        """
        with shop.try_check() as check:
            pass

        check.close()
        for use in (check.freshness, lambda: check.commit(b"new")):
            with pytest.raises(RuntimeError, match="closed"):
                use()

    def test_closed_by_another_thread(self, shop):
        """
        Any thread may close it.
        """
        with shop.try_check() as check:
            thread = threading.Thread(target=check.close)
            thread.start()
            thread.join()
            with shop.try_check() as other:
                assert other is not None

    def test_unreadable_lockfile(self, shop, monkeypatch):
        """
        It is remembered as a failure, and leaves the lock free.
        """

        def refuse(path):
            raise StateReadError("no", path)

        monkeypatch.setattr(_lockfile, "read", refuse)
        with pytest.raises(StateReadError), shop.try_check():
            pass
        monkeypatch.undo()

        assert "no" == shop.look().information.failure.message
        assert "backing-off" == shop.look().freshness().reason
        with shop.try_check() as check:
            assert check is not None

    def test_of_another_process(self, shop):
        """
        In a forked child it is closed, and the parent keeps the lock.
        """
        with shop.try_check() as check:
            child = os.fork()
            if child == 0:
                try:
                    check.commit(b"new")
                except RuntimeError:
                    check.close()
                    check._fail(OSError("no"))
                    os._exit(7)
                os._exit(1)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            with shop.try_check() as other:
                assert (7, None) == (status, other)
            assert check.commit(b"new")


class TestFailure:
    def test_remembered(self, shop):
        """
        What leaves a check is remembered, and goes on.
        """
        commit(shop)
        before = fields(shop)
        fail(shop, ResolverError("uv is not installed", "/a"))

        failure = shop.look().information.failure
        assert (1, "uv is not installed") == (failure.attempts, failure.message)
        assert before == fields(shop) | {"failure": None}

    def test_counted(self, shop):
        """
        One after the other is counted.
        """
        for _ in range(3):
            fail(shop, OSError("no route to host"))

        failure = shop.look().information.failure
        assert (3, "OSError: no route to host") == (failure.attempts, failure.message)
        assert shop.look().information.result is None
        assert "backing-off" == shop.look().freshness().reason

    def test_since(self, shop, monkeypatch):
        """
        The time of the first one is kept until a check succeeds.
        """
        times = []
        for now in (1_000, 90_000, 200_000):
            monkeypatch.setattr(time, "time", lambda now=now: now)
            fail(shop, OSError("no"))
            failure = shop.look().information.failure
            times.append((failure.since.timestamp(), failure.at.timestamp()))
        commit(shop)
        fail(shop, OSError("no"))

        assert [(1_000, 1_000), (1_000, 90_000), (1_000, 200_000)] == times
        assert 200_000 == shop.look().information.failure.since.timestamp()

    def test_since_after_an_older_program(self, shop):
        """
        Where an older program did not tell, the last one that it knew is the first.
        """
        fail(shop, OSError("no"))
        record = fields(shop)
        del record["failure"]["since"]
        write(shop, record | {"failure": record["failure"] | {"at": ELEVENTH}})

        assert shop.look().information.failure.since is None
        fail(shop, OSError("no"))
        assert [2, ELEVENTH] == [fields(shop)["failure"][f] for f in WHEN]

    def test_since_from_the_future(self, shop, monkeypatch):
        """
        After the clock was set back it is counted from anew.
        """
        fail(shop, OSError("no"))
        monkeypatch.setattr(time, "time", lambda: 1_000)
        fail(shop, OSError("no"))

        failure = shop.look().information.failure
        assert (2, failure.at) == (failure.attempts, failure.since)

    def test_since_before_a_success(self, shop, monkeypatch):
        """
        A clock that was not set yet when the first one failed tells nothing.
        """
        commit(shop, now=dt.datetime.fromtimestamp(1_000_000, dt.UTC))
        for now in (0, 1_001_000, 1_002_000):
            monkeypatch.setattr(time, "time", lambda now=now: now)
            fail(shop, OSError("no"))

        failure = shop.look().information.failure
        assert (3, 1_000_000) == (failure.attempts, failure.since.timestamp())

    def test_speechless(self, shop):
        """
        An exception that cannot even be printed is one.
        """

        class SpeechlessError(Exception):
            def __str__(self):
                raise ValueError("no words")

        fail(shop, SpeechlessError())

        assert "SpeechlessError" in shop.look().information.failure.message

    def test_after_commit(self, shop):
        """
        What happens after the commit is no failure of the check.
        """

        def check():
            with shop.try_check() as check:
                check.commit(b"new")
                raise OSError("no")

        with pytest.raises(OSError, match="no"):
            check()

        assert shop.look().information.failure is None

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
    def test_interrupted(self, shop, error):
        """
        Somebody who gives up has not failed.
        """
        with pytest.raises(error), shop.try_check():
            raise error

        assert shop.look().information is None
        with shop.try_check() as check:
            assert check is not None

    def test_not_committed(self, shop):
        """
        Nor has who leaves without a commit.
        """
        with shop.try_check():
            pass

        assert shop.look().information is None

    def test_cannot_be_remembered(self, shop, monkeypatch):
        """
        If not even that can be written, the error that matters goes on.
        """

        def refuse(*_):
            raise StateWriteError("full", "/a")

        monkeypatch.setattr(_store._files, "replace_record", refuse)
        fail(shop, OSError("no"))

        assert shop.look().information is None


class TestHealing:
    def test_cannot_be_looked_at(self, shop, monkeypatch):
        """
        What can suddenly not even be looked at is an error with its path.
        """
        commit(shop)
        write(shop, "garbage")
        lstat = os.lstat

        def refuse(path, **more):
            if path == shop.record_path:
                raise OSError(5, "Input/output error")
            return lstat(path, **more)

        monkeypatch.setattr(os, "lstat", refuse)
        with pytest.raises(StateWriteError) as caught:
            commit(shop)

        assert shop.record_path == caught.value.path

    @pytest.fixture(
        params=["text", "empty", "directory", "full directory", "fifo", "symlink"]
    )
    def corrupt(self, request, shop, tmp_path):
        """
        An environment whose record is something else.
        """
        commit(shop)
        path = shop.record_path
        os.unlink(path)
        if request.param == "text":
            write(shop, "garbage")
        elif request.param == "empty":
            open(path, "w").close()
        elif "directory" in request.param:
            os.mkdir(path)
            if request.param == "full directory":
                os.mkdir(os.path.join(path, "more"))
        elif request.param == "fifo":
            os.mkfifo(path)
        else:
            (tmp_path / "target").write_text("precious")
            os.symlink(tmp_path / "target", path)
        return shop

    def test_nothing_known(self, corrupt):
        """
        A corrupt record is no record, for everybody.
        """
        assert ("nothing-known", "never-checked", None, False) == (
            corrupt.claim_notice().reason,
            corrupt.look().freshness().reason,
            corrupt.look().information,
            corrupt.snooze(NOW),
        )
        assert not os.path.lexists(f"{corrupt.record_path}.corrupt")

    def test_healed(self, corrupt, tmp_path):
        """
        The next check heals it, and keeps what was there.
        """
        kind = os.lstat(corrupt.record_path).st_mode
        commit(corrupt)

        assert 1 == corrupt.look().information.generation
        assert kind == os.lstat(f"{corrupt.record_path}.corrupt").st_mode
        if (tmp_path / "target").exists():
            assert "precious" == (tmp_path / "target").read_text()

    def test_healed_by_failure(self, corrupt):
        """
        So does one that fails.
        """
        fail(corrupt, OSError("no"))

        assert 1 == corrupt.look().information.failure.attempts

    @pytest.mark.parametrize("earlier", ["file", "directory"])
    def test_healed_twice(self, corrupt, earlier):
        """
        Of several the last one is kept.
        """
        path = f"{corrupt.record_path}.corrupt"
        if earlier == "file":
            open(path, "w").close()
        else:
            os.makedirs(os.path.join(path, "more"))
        kind = os.lstat(corrupt.record_path).st_mode
        commit(corrupt)

        assert kind == os.lstat(path).st_mode
        assert corrupt.look().information is not None

    def test_forgotten(self, corrupt):
        """
        To forget removes it, whatever it is.
        """
        commit(corrupt)
        os.rename(f"{corrupt.record_path}.corrupt", corrupt.record_path + ".old")
        os.unlink(corrupt.record_path)
        os.rename(corrupt.record_path + ".old", corrupt.record_path)

        assert corrupt.forget()
        assert not os.path.lexists(corrupt.record_path)


class TestLocks:
    def test_write_lock_held_too_long(self, shop, monkeypatch):
        """
        Who waits for too long says so, and nothing has changed.
        """
        commit(shop)
        monkeypatch.setattr(_locks, "_WAIT_SECONDS", 0.01)
        path = os.path.join(os.path.dirname(shop.record_path), "locks")
        with (
            filelock.FileLock(os.path.join(path, f"{shop.key}.write")),
            pytest.raises(StateLockError, match="within 0 s") as caught,
        ):
            shop.snooze(NOW)

        assert os.path.join(path, f"{shop.key}.write") == caught.value.path
        assert shop.look().information.snoozed_until is None

    def test_waited_for_once(self, shop, monkeypatch):
        """
        A commit that could not get the lock does not wait again to say so.
        """
        waits = []

        def busy(path, *, timeout):
            waits.append(timeout)
            return acquire(path, timeout=0) if timeout == 0 else None

        acquire = _locks._acquire
        monkeypatch.setattr(_locks, "_acquire", busy)
        with pytest.raises(StateLockError), shop.try_check() as check:
            check.commit(b"new")

        assert [0, _locks._WAIT_SECONDS] == waits

    def test_refused(self, shop, monkeypatch):
        """
        A system that refuses a lock is an error, or a reason.
        """
        commit(shop)

        def refuse(*_, **__):
            raise OSError(37, "No locks available")

        monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
        with pytest.raises(StateLockError, match="No locks available"):
            shop.snooze(NOW)
        with pytest.raises(StateLockError), shop.try_check():
            pass
        verdict = shop.claim_notice(now=NOW)
        assert ("unavailable", StateLockError) == (verdict.reason, type(verdict.error))

    def test_interrupted(self, shop, monkeypatch):
        """
        A Ctrl-C at the moment it is taken leaves no lock behind.
        """
        commit(shop)
        acquire, taken = filelock.FileLock.acquire, []

        def interrupt(self, *args, **more):
            taken.append(acquire(self, *args, **more))
            raise KeyboardInterrupt

        monkeypatch.setattr(filelock.FileLock, "acquire", interrupt)
        with pytest.raises(KeyboardInterrupt):
            shop.snooze(NOW)
        monkeypatch.undo()

        assert shop.claim_notice(now=NOW)

    def test_release_fails(self, shop, monkeypatch):
        """
        A lock that cannot be released goes with its descriptor.
        """
        commit(shop)
        release = filelock.FileLock.release

        def complain(self, *args, **more):
            release(self, *args, **more)
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(filelock.FileLock, "release", complain)

        assert shop.claim_notice(now=NOW)

    def test_lock_files_stay(self, shop):
        """
        The files of locks are never deleted.
        """
        commit(shop)
        shop.claim_notice(now=NOW)
        folder = os.path.join(os.path.dirname(shop.record_path), "locks")
        before = {e.name: e.inode() for e in os.scandir(folder)}
        commit(shop)
        shop.forget()

        assert {f"{shop.key}.check", f"{shop.key}.write"} == set(before)
        assert before == {e.name: e.inode() for e in os.scandir(folder)}


class TestClaim:
    def test_somebody_has_spoken(self, shop):
        """
        Who finds another notice than at the first look keeps silent.
        """
        commit(shop)
        claim = first_look(shop, dt.timedelta())
        write(shop, fields(shop) | {"last_notified": "2026-11-20T04:17:59Z"})

        verdict = claim()
        assert "told-recently" == verdict.reason
        assert "2026-11-20T04:17:59Z" == fields(shop)["last_notified"]

    def test_decided_again(self, shop):
        """
        What has changed since the first look counts.
        """
        commit(shop)
        claim = first_look(shop)
        shop.snooze(NOW + HOUR)

        assert "snoozed" == claim().reason
        assert fields(shop)["last_notified"] is None

    def test_forgotten_meanwhile(self, shop):
        """
        A record that is gone by then is not made anew.
        """
        commit(shop)
        claim = first_look(shop)
        shop.forget()

        assert "nothing-known" == claim().reason
        assert shop.look().information is None

    @pytest.mark.parametrize("field", ["last_notified", "failure_notified"])
    @pytest.mark.parametrize("known", [False, True])
    def test_somebody_has_spoken_of_failures(self, shop, field, known):
        """
        So does who wanted to tell that checks fail, whatever the other one told.
        """
        failing(shop)
        if known:
            write(shop, fields(shop) | {field: ELEVENTH})
        claim = first_look(shop, could_not_check=dt.timedelta())
        spoken = "2026-11-12T00:00:00Z"
        write(shop, fields(shop) | {field: spoken})

        verdict = claim()
        assert "told-recently" == verdict.reason
        assert spoken == fields(shop)[field]

    def test_checked_meanwhile(self, shop, monkeypatch):
        """
        Where there are upgrades by now, the lockfile is not read under the lock.
        """
        failing(shop)
        claim = first_look(shop, could_not_check=dt.timedelta())
        commit(shop)
        monkeypatch.setattr(_lockfile, "_size", None)

        verdict = claim()
        assert ("busy", True) == (verdict.reason, verdict.opaque)
        assert fields(shop)["last_notified"] is None

    def test_failing_meanwhile(self, shop):
        """
        Who wanted to tell of upgrades tells that checks fail, if that is due by now.
        """
        commit(shop)
        claim = first_look(shop, could_not_check=dt.timedelta())
        fail(shop, OSError("no"))

        verdict = claim()
        told = [fields(shop)[f] for f in ("last_notified", "failure_notified")]
        assert "cannot-check" == verdict.reason
        assert ["2026-11-20T04:18:00Z"] * 2 == told

    def test_snooze_of_what_is_forgotten_meanwhile(self, shop, monkeypatch):
        """
        Nor is it by a snooze.
        """
        commit(shop)
        answers = iter([fields(shop), None])
        monkeypatch.setattr(_store, "read", lambda _: next(answers))

        assert not shop.snooze(NOW)

    def test_failing_disk(self, shop, monkeypatch):
        """
        What cannot be recorded is not said.
        """
        commit(shop)

        def refuse(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", refuse)
        verdict = shop.claim_notice(now=NOW)
        monkeypatch.undo()

        assert ("unavailable", "") == (verdict.reason, verdict.message)
        assert "No space left on device" in str(verdict)
        assert shop.look().information.last_notified is None


class TestForget:
    def test_everything(self, shop, tmp_path):
        """
        Nothing of it remains but the files of locks.
        """
        commit(shop)
        root = tmp_path / "cache" / "v1"
        (root / "logs" / f"{shop.key}.log").touch()
        (root / "tmp" / f"{shop.key}.0").touch()
        (root / f"{shop.key}.json.corrupt").touch()

        assert shop.forget()
        left = [path for path in root.rglob("*") if shop.key in path.name]
        assert {root / "locks"} == {path.parent for path in left}

    def test_while_checking(self, shop):
        """
        While a check is running everything stays.
        """
        commit(shop)
        with shop.try_check():
            assert not shop.forget()

        assert shop.look().information is not None

    def test_nothing_known(self, shop, store, tmp_path):
        """
        What was never known leaves no lock file when it is forgotten.
        """
        commit(store.environment(tmp_path / "other"))

        assert shop.forget()
        locks = os.listdir(tmp_path / "cache" / "v1" / "locks")
        assert [] == [name for name in locks if shop.key in name]

    def test_first_check(self, shop):
        """
        A first check that is running is busy like any other.
        """
        with shop.try_check():
            assert not shop.forget()


class TestPrune:
    @pytest.fixture
    def gone(self, store, tmp_path):
        """
        An environment whose directory is gone, last written in 2001.
        """
        gone = store.environment(tmp_path / "gone")
        commit(gone)
        os.utime(gone.record_path, (10**9, 10**9))
        return gone

    def keys(self, environments):
        return {e.key for e in environments}

    def test_gone(self, store, shop, gone):
        """
        What is old and gone goes, and the rest stays.
        """
        commit(shop)
        os.utime(shop.record_path, (10**9, 10**9))

        (pruned,) = store.prune()
        assert (gone.key, gone.path) == (pruned.key, pruned.path)
        assert {shop.key} == self.keys(store)
        assert gone.look().information is None

    def test_dry_run(self, store, gone):
        """
        A dry run tells, and changes nothing.
        """
        assert {gone.key} == self.keys(store.prune(dry_run=True))
        assert gone.look().information is not None

    def test_too_young(self, store, gone):
        """
        What was written since stays.
        """
        now = dt.datetime.fromtimestamp(10**9, dt.UTC)

        assert () == store.prune(now=now + 90 * DAY)
        assert {gone.key} == self.keys(store.prune(now=now + 90 * DAY + HOUR))

    def test_older_than(self, store, gone):
        """
        How old is up to the caller; zero means any age.
        """
        now = dt.datetime.fromtimestamp(10**9 + 1, dt.UTC)

        assert () == store.prune(older_than=HOUR, now=now)
        pruned = store.prune(older_than=dt.timedelta(), now=now)
        assert {gone.key} == self.keys(pruned)

    def test_leftovers(self, store, shop, tmp_path):
        """
        What lies there without a record goes at any age.
        """
        commit(shop)
        root = tmp_path / "cache" / "v1"
        keys = [f"{n:032x}" for n in range(4)]
        (root / "results" / keys[0]).mkdir()
        (root / "results" / keys[0] / "0").touch()
        (root / "logs" / f"{keys[1]}.log").touch()
        (root / "tmp" / f"{keys[2]}.0").touch()
        (root / "tmp" / f"{keys[2]}.1").touch()
        (root / f"{keys[3]}.json.corrupt").touch()
        (root / "results" / "README").touch()

        pruned = store.prune()
        assert set(keys) == self.keys(pruned)
        assert {None} == {e.path for e in pruned}
        assert shop.look().information is not None
        assert () == store.prune()
        assert (root / "results" / "README").exists()

    def test_corrupt(self, store, gone):
        """
        A corrupt record goes by age alone.
        """
        write(gone, "garbage")
        assert () == store.prune()
        os.utime(gone.record_path, (10**9, 10**9))

        assert {gone.key} == self.keys(store.prune())

    def test_checking(self, store, gone):
        """
        What is being checked is left alone, the first time as well.
        """
        first = gone.store.environment("/none", "uv.lock")
        with gone.try_check(), first.try_check(b"old"):
            results = os.path.join(os.path.dirname(gone.record_path), "results")
            os.mkdir(os.path.join(results, first.key))

            assert () == store.prune()

    def test_written_meanwhile(self, store, gone, monkeypatch):
        """
        What somebody writes between the two looks stays.
        """
        try_lock = _locks.try_lock

        def late(path):
            os.utime(gone.record_path)
            return try_lock(path)

        monkeypatch.setattr(_locks, "try_lock", late)

        assert () == store.prune()
        assert gone.look().information is not None

    def test_unknown(self, store, gone, monkeypatch):
        """
        Where nobody can tell whether a directory is gone, it is not.
        """
        lstat = os.lstat

        def silent(path, **more):
            if path == os.fsencode(gone.path):
                raise OSError(5, "Input/output error")
            return lstat(path, **more)

        monkeypatch.setattr(os, "lstat", silent)

        assert () == store.prune()

    def test_unreadable(self, store, gone, monkeypatch):
        """
        A record that may not be read stays, and comes without a path.
        """

        def refuse(entry):
            raise StateReadError("no", entry.files.record)

        monkeypatch.setattr(_store, "read", refuse)

        assert () == store.prune()
        assert [None] == [e.path for e in store]

    def test_nothing(self, store):
        """
        Where nothing was ever written nothing goes.
        """
        assert () == store.prune()

    def test_mistakes(self, store):
        """
        A negative age is the caller's mistake.
        """
        with pytest.raises(ValueError, match="older_than"):
            store.prune(older_than=-DAY)
