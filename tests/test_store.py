"""
Checks and claims: the fields that each writes, and the errors in between.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import json
import os
import shutil
import signal
import stat
import threading
import time
from pathlib import Path

import filelock
import pytest

from helpers import (
    DAY,
    HOUR,
    MORE_ROWS,
    NOON,
    ROWS,
    SECOND,
    WEEK,
    before_lock,
    commit,
    digest_of,
    fail,
    held,
    is_free,
    lock_of,
    put_odd,
    read_record,
    refuse,
    refuse_path,
    results_of,
    root_of,
    run_in_thread,
    text_of,
    write_record,
)
from upgrade_state import Consent, _files, _locks
from upgrade_state._identity import identity
from upgrade_state.exceptions import (
    ResolverError,
    StateLockError,
    StateReadError,
    StateWriteError,
)
from upgrade_state.lockfiles import Upgrade

DATA = Path(__file__).with_name("data")
ELEVENTH = dt.datetime(2026, 11, 11, tzinfo=dt.UTC)


def known(shop):
    return shop.look().information


def change(shop, **fields):
    """
    Change fields of the record as another program may.
    """
    write_record(shop, read_record(shop) | fields)


class TestCommit:
    def test_first(self, shop):
        """
        The first check makes the record, with every field.
        """
        assert commit(shop, by="uv")

        first = json.loads((DATA / "first-record.json").read_bytes())
        first["consent"] |= identity(shop.path)
        assert first | {"environment": shop.path} == read_record(shop)

    def test_direct(self, store, tmp_path):
        """
        Names that the caller gives as direct are marked in the rows.
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

    def test_merges_its_own(self, checked):
        """
        A commit replaces the fields it owns and keeps the rest, known or not.
        """
        with pytest.raises(OSError, match="host"), checked.try_check():
            raise OSError("no route to host")
        assert checked.claim_notice(now=NOON, could_not_check=0 * DAY)
        checked.snooze(NOON + HOUR)
        change(checked, colour={"of": "money"}, recipe="of an older program")
        before = read_record(checked)
        commit(checked, b"newer", now=NOON + HOUR)

        after = read_record(checked)
        changed = {name for name, value in after.items() if before[name] != value}
        assert {"generation", "last_checked", "result", "failure"} == changed
        assert after["failure"] is None

    def test_no_upgrade(self, shop):
        """
        Without a change one stored file is both lockfiles.
        """
        commit(shop, b"old")

        assert 1 == len(os.listdir(results_of(shop)))
        assert "no-upgrades" == shop.look(now=NOON).verdict().reason

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
        both = "1 version change and 1 rebuild"
        summaries = [shop.look().summary(p) for p in (None, "linux-64", "osx")]
        assert [both, both, None] == summaries

    def test_rows_alone(self, shop):
        """
        A check may know the upgrades and no new lockfile; it is good for the old one.
        """
        assert commit(shop, None, upgrades=ROWS, format="uv")

        result = known(shop).result
        assert (None, "uv") == (result.new_lockfile, result.format)
        assert (ROWS, None) == (shop.upgrades(), shop.kept_lockfile("new"))
        assert b"old" == shop.kept_lockfile("old")
        assert "1 version change" == shop.claim_notice(now=NOON).summary
        assert "told-recently" == shop.claim_notice(now=NOON).reason

    def test_rows_alone_twice(self, shop):
        """
        The same rows are the same upgrades, and none are none.
        """
        for days, rows, reason in (
            (0, ROWS, "notify"),
            (2, ROWS, "told-recently"),
            (4, MORE_ROWS, "notify"),
            (6, (), "no-upgrades"),
        ):
            now = NOON + days * DAY
            commit(shop, None, upgrades=rows, now=now)
            assert reason == shop.claim_notice(now=now).reason

    @pytest.mark.parametrize("current", [b"", b"new", None])
    def test_rows_alone_and_another_lockfile(self, shop, current):
        """
        Without a new lockfile every other one has changed, and so has none.
        """
        commit(shop, None, upgrades=ROWS)
        lockfile = Path(shop.path, "uv.lock")
        lockfile.unlink() if current is None else lockfile.write_bytes(current)

        look = shop.look(now=NOON + HOUR)
        answers = look.lockfile_state, look.verdict().reason, look.freshness().reason
        assert ("changed", "lockfile-changed", "lockfile-changed") == answers

    def test_nothing_was_locked(self, store, tmp_path):
        """
        A check without a lockfile finds no upgrades.
        """
        shop = store.environment(tmp_path / "none", "uv.lock")
        commit(shop)

        look = shop.look(now=NOON)
        assert ("no-upgrades", "fresh") == (
            look.verdict().reason,
            look.freshness().reason,
        )
        assert shop.kept_lockfile("old") is None

    def test_no_lockfile_at_all(self, store, tmp_path):
        """
        The rows of an environment without a lockfile stay current.
        """
        shop = store.environment(tmp_path)
        commit(shop, b"", upgrades=ROWS)

        assert shop.claim_notice(now=NOON)

    def test_size_of_a_record(self, shop):
        """
        A record stays below 4 KiB for any lockfiles, platforms, options and failures.
        """
        Path(shop.path, "uv.lock").write_bytes(b"x" * 5_000_000)
        rows = [
            Upgrade("a", "version", old=("1",), new=("2",), platform=f"p{n}" * 9)
            for n in range(1000)
        ]
        copies = ["\udce9" * 80, "\u65e5" * 80, "x" * 31]
        more = {"checker": "x" * 64, "consent": Consent("x" * 64, copies)}
        commit(shop, b"y" * 5_000_000, upgrades=rows, **more)
        fail(shop, OSError("\x1b" * 10**6))

        assert 4096 > os.path.getsize(shop.record_path)
        assert "1 version change" == shop.look().summary("linux-64")

    @pytest.mark.parametrize("length", [1500, 1501])
    def test_length_of_counts(self, shop, length):
        """
        Counts of more than 1500 characters are those of all platforms together.
        """
        counts = {name: {"version": 1, "rebuild": 0} for name in ("*", "")}
        platform = "x" * (length - len(json.dumps(counts)))
        versions = {"old": ("1",), "new": ("2",), "platform": platform}
        commit(shop, upgrades=[Upgrade("a", "version", **versions)])

        stored = read_record(shop)["result"]["counts"]
        assert stored.keys() == {"*", platform} - (
            {platform} if length > 1500 else set()
        )

    def test_lockfile_at_begin(self, shop):
        """
        A check is about the lockfile at its beginning.
        """
        with shop.try_check() as check:
            Path(shop.path, "uv.lock").write_bytes(b"edited")
            assert b"old" == check.old_lockfile
            check.commit(b"new", now=NOON)

        assert b"old" == shop.kept_lockfile("old")
        assert "lockfile-changed" == shop.look(now=NOON).verdict().reason

    def test_directory_removed(self, shop):
        """
        Of a directory that is removed meanwhile the result is stored, and silent.
        """
        with shop.try_check() as check:
            shutil.rmtree(shop.path)
            assert check.commit(b"new", upgrades=ROWS, consent=Consent("uv"), now=NOON)

        look = shop.look(now=NOON)
        assert ("directory", None, ROWS) == (
            look.missing,
            look.consent,
            look.upgrades(),
        )
        assert "lockfile-changed" == shop.claim_notice(now=NOON).reason
        os.utime(shop.record_path, (10**9, 10**9))
        assert [shop.key] == [e.key for e in shop.store.prune()]

    def test_given_lockfile(self, shop):
        """
        Or about the bytes that were given.
        """
        with shop.try_check(b"given") as check:
            check.commit(b"new", now=NOON)

        assert shop.look(b"given", now=NOON).verdict()
        assert "lockfile-changed" == shop.look(now=NOON).verdict().reason

    def test_overtaken(self, checked):
        """
        If locks do not exclude, the later result is dropped, and its files too.
        """
        with checked.try_check() as check:
            change(checked, generation=9)
            assert not check.commit(b"newer")
            assert 9 == check.look().information.generation

        assert 9 == known(checked).generation
        assert b"new" == checked.kept_lockfile("new")
        assert 3 == len(os.listdir(results_of(checked)))

    def test_record_removed(self, checked):
        """
        A record that is removed meanwhile is written again.
        """
        with checked.try_check() as check:
            os.unlink(checked.record_path)
            assert check.commit(b"newer")

        assert 2 == known(checked).generation
        assert b"newer" == checked.kept_lockfile("new")

    @pytest.mark.parametrize("ends", ["committed", "failed"])
    def test_store_removed(self, checked, ends):
        """
        A store that is removed meanwhile is made again, for the user alone.
        """
        cache = root_of(checked).parent
        umask = os.umask(0o002)
        try:
            with contextlib.suppress(KeyError), checked.try_check() as check:
                shutil.rmtree(cache)
                if ends == "failed":
                    raise KeyError
                assert check.commit(b"newer")
        finally:
            os.umask(umask)

        folders = [path for path in cache.rglob("*") if path.is_dir()]
        assert {0o700} == {stat.S_IMODE(path.stat().st_mode) for path in folders}
        assert (ends == "failed") == (known(checked).failure is not None)

    @pytest.mark.parametrize("name", [".", "locks", "results", "tmp"])
    def test_store_replaced(self, checked, name, tmp_path):
        """
        Nothing is written behind a symlink that replaces a directory meanwhile.
        """
        place = (root_of(checked) / name).resolve()
        elsewhere = tmp_path / "elsewhere"
        for folder in ("", "locks", "logs", "results", "tmp", checked.key):
            (elsewhere / folder).mkdir()
        with checked.try_check() as check:
            place.rename(tmp_path / "before")
            place.symlink_to(elsewhere)
            with pytest.raises(StateWriteError):
                check.commit(b"newer")

        assert not [path for path in elsewhere.rglob("*") if not path.is_dir()]

    def test_last_generation(self, checked):
        """
        The generation after the last one is zero.
        """
        change(checked, generation=2**53 - 1)
        commit(checked)

        assert 0 == known(checked).generation

    def test_once(self, shop):
        """
        A guard commits once.
        """
        with shop.try_check() as check:
            check.commit(b"new")
            with pytest.raises(RuntimeError, match="committed already"):
                check.commit(b"newer")

    @pytest.mark.parametrize(
        ("new", "options", "error"),
        [
            ("new", {}, TypeError),
            (memoryview(b"new"), {"upgrades": ROWS}, TypeError),
            (None, {}, TypeError),
            (b"new", {"checker": b"uv"}, TypeError),
            (b"new", {"checker": ""}, ValueError),
            (b"new", {"checker": "x" * 65}, ValueError),
            (b"new", {"format": "none"}, ValueError),
            (b"new", {"format": "none", "upgrades": ROWS}, ValueError),
            (b"new", {"upgrades": [{"name": "curl"}]}, TypeError),
            (b"a==2", {"format": "requirements", "direct": "a"}, TypeError),
            (b"new", {"now": dt.datetime(2026, 11, 20)}, ValueError),  # noqa: DTZ001
        ],
    )
    def test_mistakes(self, shop, new, options, error):
        """
        A mistake of the caller is no result.
        """
        with shop.try_check(b"a==1") as check, pytest.raises(error):
            check.commit(new, **options)

        assert known(shop) is None

    @pytest.mark.parametrize("format", ["uv", "flox"])
    def test_format(self, store, tmp_path, format):
        """
        The caller can name the format of a lockfile with an unknown name.
        """
        shop = store.environment(tmp_path, "custom.lock")
        with shop.try_check(b"old") as check:
            check.commit(b"new", format=format)

        assert format == known(shop).result.format


class TestGuard:
    def test_freshness(self, shop):
        """
        Under the lock the caller asks again whether a check is due.
        """
        with shop.try_check() as check:
            assert "never-checked" == check.freshness().reason
        commit(shop)
        with shop.try_check() as check:
            assert "fresh" == check.freshness(now=NOON).reason
            assert "expired" == check.freshness(now=NOON, max_age=0 * DAY).reason

    def test_look_without_lockfile(self, store, tmp_path):
        """
        A guard that got no bytes knows that a lockfile without a name is missing.
        """
        shop = store.environment(tmp_path)
        with shop.try_check(b"old") as check:
            check.commit(b"new", upgrades=ROWS, now=NOON)
        with shop.try_check() as check:
            assert "lockfile-changed" == check.look().verdict().reason

    def test_log(self, checked, monkeypatch, caplog):
        """
        A check logs its steps and their outcomes at level debug.
        """
        caplog.set_level("DEBUG")
        with checked.try_check(), checked.try_check():
            pass
        with checked.try_check() as check, monkeypatch.context() as patch:
            refuse_path(patch, "scandir", results_of(checked), errno.EIO)
            assert check.commit(b"newer")
        with checked.try_check() as check:
            change(checked, generation=9)
            assert not check.commit(b"newest")
        fail(checked, OSError("no route"))
        monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
        fail(checked, OSError("again"))

        begun = f"try_check of {checked!r}: the check lock is taken"
        why = os.strerror(errno.EIO)
        no_sweep = f"Could not read the directory ({why}): {str(results_of(checked))!r}"
        no_write = f"Could not write the file ({why}): {checked.record_path!r}"
        assert [
            *(begun, f"try_check of {checked!r}: busy"),
            *(begun, f"could not delete old results: {no_sweep}"),
            f"commit of {checked!r}: stored",
            *(begun, f"commit of {checked!r}: dropped after another commit"),
            *(begun, f"failure of {checked!r}: recorded: OSError: no route"),
            *(
                begun,
                f"failure of {checked!r}: not recorded: {no_write}: OSError: again",
            ),
        ] == caplog.messages

    def test_closed(self, shop):
        """
        After the with statement a guard is closed.
        """
        with shop.try_check() as check:
            pass

        check.close()
        for use in (check.freshness, lambda: check.commit(b"new")):
            with pytest.raises(RuntimeError, match="closed"):
                use()

    def test_closed_by_two_threads(self, shop, monkeypatch):
        """
        A thread may close a guard while another thread closes it.
        """
        close = _files.Descriptors.close

        def close_second(store, *paths):
            monkeypatch.setattr(_files.Descriptors, "close", close)
            run_in_thread(check.close)
            close(store, *paths)

        with shop.try_check() as check:
            monkeypatch.setattr(_files.Descriptors, "close", close_second)
            check.close()

        assert is_free(lock_of(shop, "check"))


class TestReplace:
    @pytest.mark.parametrize("directory", ["tmp", "results"])
    @pytest.mark.parametrize("link", [os.symlink, os.link])
    def test_planted_name(self, checked, monkeypatch, tmp_path, directory, link):
        """
        A file that has the temporary name already is not written to.
        """
        victim = tmp_path / "victim"
        victim.write_text("precious")
        content = b"newer" if directory == "results" else b"new"
        paths = {
            "tmp": root_of(checked) / "tmp" / checked.key,
            "results": results_of(checked)
            / digest_of(content).removeprefix("blake2b:"),
        }

        def plant(count):
            planted = Path(f"{paths[directory]}.{bytes(count).hex()}")
            if not planted.exists():
                link(victim, planted)
            return bytes(count)

        before = read_record(checked)
        with checked.try_check() as check:
            monkeypatch.setattr(os, "urandom", plant)
            with pytest.raises(StateWriteError, match="File exists"):
                check.commit(content, upgrades=ROWS)
            monkeypatch.undo()

        assert "precious" == victim.read_text()
        assert before == read_record(checked)

    def test_directory_of_others(self, checked, monkeypatch):
        """
        A directory is not used if others may write to it by the time of the write.
        """
        before = read_record(checked)
        before_lock(monkeypatch, lambda: (root_of(checked) / "tmp").chmod(0o777))

        with pytest.raises(StateWriteError, match="may be written to by others"):
            checked.snooze(NOON)

        assert before == read_record(checked)

    def test_unreadable_under_the_lock(self, checked, monkeypatch):
        """
        A record that cannot be read under the lock is not taken for a missing one.
        """
        before = Path(checked.record_path).read_bytes()

        def make_unreadable():
            refuse_path(monkeypatch, "open", checked.record_path, errno.EIO)

        for operate in (lambda: checked.snooze(NOON), checked.expire):
            with monkeypatch.context() as patch:
                refuse_path(patch, "open", checked.record_path, errno.EIO)
                with pytest.raises(StateReadError, match="Input/output error"):
                    operate()
        with monkeypatch.context() as patch, checked.try_check() as check:
            refuse_path(patch, "open", checked.record_path, errno.EIO)
            with pytest.raises(StateReadError, match="Input/output error"):
                check.commit(b"newer")
        before_lock(monkeypatch, make_unreadable)
        assert "unavailable" == checked.claim_notice(now=NOON).reason
        monkeypatch.undo()

        assert before == Path(checked.record_path).read_bytes()
        assert not os.path.lexists(f"{checked.record_path}.corrupt")


class TestFailure:
    def test_remembered(self, checked):
        """
        An exception that leaves a check is recorded, and propagates.
        """
        before = read_record(checked)
        fail(checked, ResolverError("uv is not installed", "/a"))

        failure = known(checked).failure
        assert (1, "uv is not installed") == (failure.attempts, failure.message)
        assert before == read_record(checked) | {"failure": None}

    @pytest.mark.parametrize(
        ("before", "success", "after", "attempts", "since"),
        [
            ([], None, [0, 1, 2], 3, 0),
            # A success ends a series of failures.
            ([0, 1, 2], 3, [4], 1, 4),
            # The clock was set back: the first time is the last one.
            ([], None, [0, -9], 2, -9),
            # A first failure before the last success counts from that success.
            ([], 0, [-9, 1, 2], 3, 0),
        ],
        ids=["series", "success", "clock", "success and clock"],
    )
    def test_counted(self, shop, before, success, after, attempts, since):
        """
        Consecutive failures are counted, with the times of the first and the last.
        """
        for day in before:
            fail(shop, at=NOON + day * DAY)
        if success is not None:
            commit(shop, now=NOON + success * DAY)
        for day in after:
            fail(shop, at=NOON + day * DAY)

        failure = known(shop).failure
        assert (attempts, "OSError: no route to host") == (
            failure.attempts,
            failure.message,
        )
        times = [NOON + day * DAY for day in (since, after[-1])]
        assert times == [failure.since, failure.at]

    def test_since_after_an_older_program(self, shop):
        """
        Without a first time, the time of the last failure becomes the first.
        """
        at = text_of(ELEVENTH)
        fail(shop)
        failure = read_record(shop)["failure"] | {"at": at}
        del failure["since"]
        change(shop, failure=failure)

        assert known(shop).failure.since is None
        fail(shop)
        assert (2, ELEVENTH) == (
            known(shop).failure.attempts,
            known(shop).failure.since,
        )

    def test_no_message(self, shop):
        """
        An exception whose text cannot be had is recorded by its name.
        """

        class SpeechlessError(Exception):
            def __str__(self):
                raise ValueError("no words")

        fail(shop, SpeechlessError())

        assert "SpeechlessError" in known(shop).failure.message

    def test_after_commit(self, shop):
        """
        An exception after the commit is no failure of the check.
        """
        with contextlib.suppress(LookupError), shop.try_check() as check:
            check.commit(b"new")
            raise LookupError

        assert known(shop).failure is None

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt, SystemExit, GeneratorExit, None]
    )
    def test_not_failed(self, shop, error):
        """
        Neither an interrupt nor leaving without a commit is recorded.
        """
        with contextlib.suppress(error or ()), shop.try_check():
            if error is not None:
                raise error

        assert known(shop) is None
        with shop.try_check() as check:
            assert check is not None

    def test_cannot_be_recorded(self, shop, monkeypatch):
        """
        A failure that cannot be recorded leaves the exception of the check.
        """
        with contextlib.suppress(LookupError), shop.try_check():
            monkeypatch.setattr(os, "write", refuse(errno.ENOSPC))
            raise LookupError
        monkeypatch.undo()

        assert known(shop) is None


class TestHealing:
    def test_cannot_be_looked_at(self, checked, monkeypatch):
        """
        A corrupt record that cannot be moved is an error with its path.
        """
        write_record(checked, "garbage")
        refuse_path(monkeypatch, "lstat", checked.record_path, errno.EIO)

        with pytest.raises(StateWriteError) as caught:
            commit(checked)
        assert checked.record_path == caught.value.path

    @pytest.fixture(
        params=["text", "empty", "directory", "full directory", "FIFO", "symlink"]
    )
    def corrupt(self, request, checked):
        """
        An environment with something else in the place of its record.
        """
        path = Path(checked.record_path)
        path.unlink()
        put_odd(path, request.param)
        (path.parent / "target").write_text("precious")
        return checked

    def test_nothing_known(self, corrupt):
        """
        A corrupt record is no record for every operation.
        """
        look = corrupt.look()
        assert ("nothing-known", "never-checked", None, True, False, False) == (
            corrupt.claim_notice().reason,
            look.freshness().reason,
            look.information,
            look.is_corrupt,
            corrupt.snooze(NOON),
            corrupt.expire(),
        )
        assert not os.path.lexists(f"{corrupt.record_path}.corrupt")

    @pytest.mark.parametrize("earlier", [None, "file", "directory"])
    @pytest.mark.parametrize("ends", ["committed", "failed"])
    def test_healed(self, corrupt, earlier, ends, caplog):
        """
        The next check replaces it, keeps the last one, and logs that.
        """
        caplog.set_level("DEBUG")
        path = Path(f"{corrupt.record_path}.corrupt")
        if earlier == "file":
            path.touch()
        elif earlier == "directory":
            (path / "more").mkdir(parents=True)
        kind = os.lstat(corrupt.record_path).st_mode
        if ends == "committed":
            commit(corrupt)
        else:
            fail(corrupt)

        assert (ends == "committed") == known(corrupt).generation
        assert (ends == "failed") == (known(corrupt).failure is not None)
        assert kind == path.lstat().st_mode
        message = f"the record is corrupt and set aside: {corrupt.record_path!r}"
        assert message in caplog.messages
        assert "precious" == path.with_name("target").read_text()

    def test_forgotten(self, corrupt):
        """
        `forget` removes it.
        """
        assert corrupt.forget()
        assert not os.path.lexists(corrupt.record_path)


@contextlib.contextmanager
def released_soon(shop, *, deletes=False):
    """
    Hold the write lock for a moment; its end may be that of the whole store.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(held(lock_of(shop, "write")))
        if deletes:
            stack.callback(shutil.rmtree, root_of(shop))
        release = threading.Timer(0.05, stack.close)
        release.start()
        yield
        release.join()


class TestLocks:
    def test_waited_for_once(self, shop, monkeypatch):
        """
        A writer waits ten seconds; a check that could not commit waits only once.
        """
        waits, wait = [], _locks._wait
        monkeypatch.setattr(_locks, "_wait", lambda lock: waits.append(1) or wait(lock))
        monkeypatch.setattr(_locks, "_WAIT_SECONDS", 0)
        assert shop.forget()
        with (
            pytest.raises(StateLockError, match="within 0 s") as caught,
            shop.try_check() as check,
            held(lock_of(shop, "write")),
        ):
            check.commit(b"new")

        assert [1] == waits
        assert str(lock_of(shop, "write")) == caught.value.path

    def test_waited_for(self, checked):
        """
        A writer goes on once the lock is released, not at the end of its time.
        """
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            stack.enter_context(held(lock_of(checked, "write")))
            release = threading.Timer(0.05, stack.close)
            release.start()

            assert checked.snooze(NOON)
            release.join()

        assert time.monotonic() - started < 5

    def test_commit_that_waited(self, checked):
        """
        A commit that has waited for the write lock deletes the earlier result.
        """
        earlier = set(os.listdir(results_of(checked)))
        with checked.try_check() as check, released_soon(checked):
            assert check.commit(b"newer")

        # The lockfile that was checked is the same.
        assert 1 == len(earlier & set(os.listdir(results_of(checked))))

    def test_store_deleted(self, checked):
        """
        A writer that waits in a store that is deleted goes on in a new one.
        """
        with checked.try_check() as check:
            with released_soon(checked, deletes=True):
                assert not checked.snooze(NOON)
            assert check.commit(b"newer")
        assert b"newer" == checked.kept_lockfile("new")

    def test_store_replaced(self, checked):
        """
        A writer that waits in a store that is replaced writes to the new one.
        """
        root, other = root_of(checked), root_of(checked).with_name("other")
        shutil.copytree(root, other)
        with contextlib.ExitStack() as stack:
            stack.enter_context(held(lock_of(checked, "write")))
            stack.callback(other.rename, root)
            stack.callback(root.rename, root.with_name("old"))
            threading.Timer(0.05, stack.close).start()

            assert checked.snooze(NOON)

        assert NOON == known(checked).snoozed_until

    def test_deleted_during_a_commit(self, checked):
        """
        A commit whose files are deleted before a record names them is an error.
        """
        with (
            checked.try_check() as check,
            released_soon(checked, deletes=True),
            pytest.raises(StateWriteError, match="deleted during the commit"),
        ):
            check.commit(b"newer")

        assert checked.look().record is None

    def test_copied_descriptor(self, checked):
        """
        A lock is free at once if a child that is being forked has its descriptor.
        """
        path, copies = lock_of(checked, "check"), []
        with checked.try_check():
            for name in os.listdir("/dev/fd"):
                with contextlib.suppress(OSError):  # the descriptor of the listing
                    copies.append(os.dup(int(name)))
            assert path.stat() in map(os.fstat, copies)

        assert is_free(path)
        for copy in copies:
            os.close(copy)

    def test_mode(self, checked, monkeypatch):
        """
        A lock file gets its mode once, if it can, and later writers do not change it.
        """
        path = lock_of(checked, "write")
        path.chmod(0o640)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fchmod", refuse(errno.EPERM))
            assert checked.snooze(NOON)
        assert checked.snooze(NOON)
        status = path.stat()
        assert 0o600 == stat.S_IMODE(status.st_mode)

        assert checked.snooze(NOON)
        assert status.st_ctime_ns == path.stat().st_ctime_ns

    def test_one_descriptor(self, checked):
        """
        A check keeps the lock file open, and no directory.
        """
        before = os.listdir("/dev/fd")
        with checked.try_check():
            assert len(before) + 1 == len(os.listdir("/dev/fd"))

    def test_failing_unlock(self, checked, monkeypatch, caplog):
        """
        A lock that the system does not unlock is logged, and closed.
        """
        caplog.set_level("DEBUG")
        with checked.try_check(), monkeypatch.context() as patch:
            patch.setattr(filelock, "unlock_descriptor", refuse(errno.EIO))
            checked.snooze(NOON)

        path = str(lock_of(checked, "write"))
        assert f"could not unlock {path!r}: [Errno 5]" in caplog.text
        assert is_free(path)

    def test_interrupted_while_waiting(self, checked, monkeypatch):
        """
        Ctrl-C ends the wait for a lock, and leaves no descriptor.
        """
        descriptors = os.listdir("/dev/fd")
        with held(lock_of(checked, "write")), monkeypatch.context() as patch:
            patch.setattr(time, "sleep", lambda _: signal.raise_signal(signal.SIGINT))
            with pytest.raises(KeyboardInterrupt):
                checked.snooze(NOON)

        assert descriptors == os.listdir("/dev/fd")
        assert checked.snooze(NOON)

    def test_claim_does_not_wait(self, checked, monkeypatch):
        """
        A claim tries a busy lock once and does not wait.
        """
        monkeypatch.setattr(time, "sleep", refuse())
        tries, flock = [], fcntl.flock
        with held(lock_of(checked, "write")):
            monkeypatch.setattr(
                fcntl, "flock", lambda *args: tries.append(args) or flock(*args)
            )
            assert "busy" == checked.claim_notice(now=NOON).reason

        assert 1 == sum(bool(how & fcntl.LOCK_EX) for _, how in tries)

    def test_unlock_fails(self, checked, monkeypatch):
        """
        A lock that the system does not unlock ends with its descriptor.

        As with a file system whose server is gone.
        """

        def refuse_unlock(descriptor, how):
            if how == fcntl.LOCK_UN:
                raise OSError(errno.EIO, "Input/output error")
            flock(descriptor, how)

        flock, before = fcntl.flock, os.listdir("/dev/fd")
        monkeypatch.setattr(fcntl, "flock", refuse_unlock)

        assert checked.claim_notice(now=NOON)
        assert commit(checked, b"newer")
        assert before == os.listdir("/dev/fd")
        for name in ("check", "write"):
            assert is_free(lock_of(checked, name))

    def test_deleted_meanwhile(self, checked, monkeypatch):
        """
        A lock on a file that is deleted meanwhile excludes no process, and is no lock.
        """
        before_lock(monkeypatch, lock_of(checked, "write").unlink)
        assert "busy" == checked.claim_notice(now=NOON).reason

        before_lock(monkeypatch, lock_of(checked, "write").unlink)
        assert checked.snooze(NOON - HOUR)
        assert checked.claim_notice(now=NOON)

    def test_umask(self, shop):
        """
        The files of locks can be opened again whatever the umask is.
        """
        umask = os.umask(0o277)
        try:
            commit(shop)
            assert shop.snooze(NOON)
        finally:
            os.umask(umask)

        files = [path.stat() for path in (root_of(shop) / "locks").iterdir()]
        assert [0o600, 0o600] == [stat.S_IMODE(file.st_mode) for file in files]

    def test_lock_files_stay(self, checked):
        """
        The files of locks are never deleted.
        """
        checked.claim_notice(now=NOON)
        folder = root_of(checked) / "locks"
        before = {path.name: path.stat().st_ino for path in folder.iterdir()}
        commit(checked)
        checked.forget()

        assert {f"{checked.key}.check", f"{checked.key}.write"} == set(before)
        assert before == {path.name: path.stat().st_ino for path in folder.iterdir()}


class TestClaim:
    """
    A claim looks twice: first without the lock, then with it.

    A database has versions of a record instead of the lock.
    """

    @pytest.fixture
    def store(self, any_store):
        return any_store

    def test_another_has_spoken(self, checked, monkeypatch):
        """
        A notice of another process since the first look silences any claim.
        """
        at = NOON - SECOND
        before_lock(monkeypatch, lambda: change(checked, last_notified=text_of(at)))

        verdict = checked.claim_notice(interval=0 * DAY, now=NOON)
        assert ("told-recently", "1 version change") == (
            verdict.reason,
            verdict.summary,
        )
        assert at == known(checked).last_notified

    @pytest.mark.parametrize("field", ["last_notified", "failure_notified"])
    @pytest.mark.parametrize("before", [None, ELEVENTH])
    def test_another_has_spoken_of_failures(self, failing, monkeypatch, field, before):
        """
        So does either kind of notice for a claim about failures.
        """
        if before is not None:
            change(failing, **{field: text_of(before)})
        spoken = ELEVENTH + DAY
        before_lock(monkeypatch, lambda: change(failing, **{field: text_of(spoken)}))

        verdict = failing.claim_notice(could_not_check=0 * DAY, now=NOON)
        assert "told-recently" == verdict.reason
        assert spoken == getattr(known(failing), field)

    @pytest.mark.parametrize(
        ("notified", "pause"), [("upgrades", WEEK), ("old_lockfile", DAY)]
    )
    def test_until_the_next(self, checked, monkeypatch, notified, pause):
        """
        The next notice is that far off which the other process has left.
        """
        result = read_record(checked)["result"]
        notice = {"last_notified": text_of(NOON - SECOND)}
        notice["notified"] = result[notified]["digest"]
        before_lock(monkeypatch, lambda: change(checked, **notice))

        assert NOON - SECOND + pause == checked.claim_notice(now=NOON).until

    def test_stopped_before_the_lock(self, checked, monkeypatch):
        """
        A process that is stopped before the lock for two days records the later time.

        With the earlier one, the next activation would speak as well.
        """
        clock = [NOON.timestamp()]
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: clock[-1])
            before_lock(monkeypatch, lambda: clock.append((NOON + 2 * DAY).timestamp()))

            assert checked.claim_notice()
            assert "told-recently" == checked.claim_notice(reminder=0 * DAY).reason
        assert NOON + 2 * DAY == known(checked).last_notified

    def test_given_time(self, checked):
        """
        A time that the caller gives is the time of the notice.
        """
        assert checked.claim_notice(now=NOON)

        assert NOON == known(checked).last_notified

    def test_other_upgrades(self, checked, monkeypatch):
        """
        The upgrades that are announced, and recorded as that, are those by then.
        """
        before_lock(monkeypatch, lambda: commit(checked, b"newer", upgrades=MORE_ROWS))

        assert 2 == checked.claim_notice(now=NOON).version_changes
        after = known(checked)
        assert after.result.upgrades.digest == after.notified

    def test_of_failures(self, checked):
        """
        A notice about failures does not change which upgrades were announced.
        """
        checked.claim_notice(now=NOON)
        before = known(checked)
        fail(checked, at=NOON + DAY)

        options = {"could_not_check": 0 * DAY, "now": NOON + DAY}
        assert "cannot-check" == checked.claim_notice(**options).reason
        after = known(checked)
        assert (NOON + DAY, before.notified) == (after.last_notified, after.notified)

    def test_opaque(self, shop):
        """
        Without a list of upgrades, the new lockfile is recorded.
        """
        commit(shop)

        assert shop.claim_notice(now=NOON)
        assert digest_of(b"new") == known(shop).notified

    def test_decided_again(self, checked, monkeypatch):
        """
        A snooze since the first look counts.
        """
        before_lock(monkeypatch, lambda: checked.snooze(NOON + HOUR))

        assert "snoozed" == checked.claim_notice(now=NOON).reason
        assert known(checked).last_notified is None

    def test_forgotten_meanwhile(self, checked, monkeypatch):
        """
        A record that is forgotten by then is not written again, nor by a snooze.
        """
        before_lock(monkeypatch, checked.forget)
        assert "nothing-known" == checked.claim_notice(now=NOON).reason
        assert known(checked) is None

        commit(checked)
        before_lock(monkeypatch, checked.forget)
        assert not checked.snooze(NOON)
        assert known(checked) is None

    def test_checked_meanwhile(self, failing, monkeypatch):
        """
        If upgrades were found by then, the lockfile is not read under the lock.
        """

        def check():
            commit(failing)
            Path(failing.path, "uv.lock").unlink()
            Path(failing.path, "uv.lock").symlink_to("uv.lock")  # cannot be read

        before_lock(monkeypatch, check)

        verdict = failing.claim_notice(could_not_check=0 * DAY, now=NOON)
        assert ("busy", True) == (verdict.reason, verdict.opaque)
        assert known(failing).last_notified is None

    def test_failing_meanwhile(self, checked, monkeypatch):
        """
        A claim about upgrades becomes one about failures if that is due by then.
        """
        before_lock(monkeypatch, lambda: fail(checked, at=NOON))

        verdict = checked.claim_notice(could_not_check=0 * DAY, now=NOON)
        assert "cannot-check" == verdict.reason
        after = known(checked)
        assert NOON == after.last_notified == after.failure_notified
        assert after.notified is None


class TestChange:
    def test_unknown(self, checked, store, tmp_path):
        """
        An unknown environment beside a known one gets neither a record nor a lock.
        """
        unknown = store.environment(tmp_path)

        assert not unknown.snooze(NOON)
        assert not os.path.exists(lock_of(unknown, "write"))

    def test_unreadable(self, checked, monkeypatch):
        """
        A record that cannot be examined is an error, not an unknown environment.
        """
        lstat = os.lstat

        def failing(path, **options):
            if os.fspath(path).endswith(".json"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return lstat(path, **options)

        monkeypatch.setattr(os, "lstat", failing)

        with pytest.raises(StateReadError, match="Input/output error"):
            checked.snooze(NOON)


class TestForget:
    def test_everything(self, checked):
        """
        Only the files of locks remain.
        """
        root = root_of(checked)
        (root / "logs" / f"{checked.key}.log").touch()
        (root / "tmp" / f"{checked.key}.0").touch()
        (root / f"{checked.key}.json.corrupt").touch()

        assert checked.forget()
        left = [path for path in root.rglob("*") if checked.key in path.name]
        assert {root / "locks"} == {path.parent for path in left}

    def test_nothing_known(self, shop, store, tmp_path):
        """
        To forget an unknown environment writes no lock file.
        """
        commit(store.environment(tmp_path / "other"))

        assert shop.forget()
        assert not list((root_of(shop) / "locks").glob(f"{shop.key}*"))

    def test_first_check(self, shop):
        """
        A first check that is running is busy like any other.
        """
        with shop.try_check():
            assert not shop.forget()

    @pytest.mark.parametrize("waits", [False, True])
    def test_under_both_locks(self, checked, monkeypatch, waits):
        """
        Both locks are held while files are deleted, the check lock to the end.

        It is held while the write lock is waited for, too.
        """
        held_locks = []

        def watch(name):
            delete = getattr(os, name)

            def deleted(path, **options):
                free = {n for n in ("check", "write") if is_free(lock_of(checked, n))}
                held_locks.append((os.path.basename(path), free))
                delete(path, **options)

            monkeypatch.setattr(os, name, deleted)

        watch("unlink")
        watch("rmdir")
        with contextlib.ExitStack() as stack:
            if waits:
                stack.enter_context(held(lock_of(checked, "write")))
                threading.Timer(0.05, stack.close).start()
            assert checked.forget()

        assert (f"{checked.key}.json", set()) == held_locks[0]
        assert 5 == len(held_locks)
        assert not any("check" in free for _, free in held_locks)


class TestPrune:
    @pytest.fixture
    def gone(self, store, tmp_path):
        """
        An environment whose directory is missing, last written in 2001.
        """
        gone = store.environment(tmp_path / "gone")
        commit(gone)
        os.utime(gone.record_path, (10**9, 10**9))
        return gone

    def keys(self, environments):
        return {e.key for e in environments}

    def test_removed(self, store, checked, gone):
        """
        Old records of missing directories go, and the rest stays.
        """
        os.utime(checked.record_path, (10**9, 10**9))

        assert [gone.path] == [e.path for e in store.prune(dry_run=True)]
        assert known(gone) is not None
        (pruned,) = store.prune()
        assert (gone.key, gone.path) == (pruned.key, pruned.path)
        assert {checked.key} == self.keys(store)

    def test_deleted_meanwhile(self, store, gone, tmp_path):
        """
        The rest of an environment goes if its record is deleted after it was listed.
        """
        other = store.environment(tmp_path / "other")
        commit(other)
        os.utime(other.record_path, (10**9, 10**9))
        both = {gone.key: gone, other.key: other}
        pruned = store._pruned(None, dry_run=False)
        del both[next(pruned).key]
        ((key, rest),) = both.items()
        os.unlink(rest.record_path)

        assert [(key, None)] == [(e.key, e.path) for e in pruned]
        assert [] == os.listdir(root_of(gone) / "results")

    @pytest.mark.parametrize(
        ("age", "older_than", "goes"),
        [
            (90 * DAY, None, False),
            (90 * DAY + SECOND, None, True),
            (SECOND, HOUR, False),
            (SECOND, 0 * DAY, True),
        ],
    )
    def test_age(self, store, gone, age, older_than, goes):
        """
        A record goes if it is older than 90 days, or than the caller says.
        """
        now = dt.datetime.fromtimestamp(10**9, dt.UTC) + age

        pruned = store.prune(older_than=older_than, now=now)
        assert ({gone.key} if goes else set()) == self.keys(pruned)

    def test_leftovers(self, store, checked):
        """
        Files without a record go at any age; names without a key stay.
        """
        root = root_of(checked)
        keys = [f"{n:032x}" for n in range(4)]
        (root / "results" / keys[0]).mkdir()
        (root / "results" / keys[0] / "0").touch()
        (root / "logs" / f"{keys[1]}.log").touch()
        (root / "tmp" / f"{keys[2]}.0").touch()
        (root / "tmp" / f"{keys[2]}.1").touch()
        (root / f"{keys[3]}.json.corrupt").touch()
        (root / "logs" / f"{keys[0]}.log").touch()
        others = [root / "results" / name for name in ("README", "0" * 31, "x" * 32)]
        others.append(root / f"{'x' * 32}.json")
        for other in others:
            other.touch()
            os.utime(other, (10**9, 10**9))

        found = [(key, None) for key in keys]
        for dry_run in (True, False):
            pruned = store.prune(dry_run=dry_run)
            assert found == sorted((e.key, e.path) for e in pruned)
        assert known(checked) is not None
        assert () == store.prune()
        assert all(other.exists() for other in others)

    def test_missing_directories(self, store, checked):
        """
        Missing directories, and a missing store, contain no files.
        """
        for name in ("logs", "results", "tmp"):
            shutil.rmtree(root_of(checked) / name)
        assert () == store.prune()
        shutil.rmtree(root_of(checked))

        assert () == store.prune()

    def test_corrupt(self, store, gone):
        """
        A corrupt record goes by its age alone.
        """
        write_record(gone, "garbage")
        assert () == store.prune()
        os.utime(gone.record_path, (10**9, 10**9))

        assert {gone.key} == self.keys(store.prune())

    def test_checking(self, store, gone):
        """
        An environment that is being checked stays, the first time as well.
        """
        first = store.environment("/none", "uv.lock")
        with gone.try_check(), first.try_check(b"old"):
            results_of(first).mkdir()

            assert () == store.prune()

    def test_written_meanwhile(self, store, gone, monkeypatch):
        """
        A record that is written between the two looks stays.
        """
        before_lock(monkeypatch, lambda: os.utime(gone.record_path))

        assert () == store.prune()
        assert known(gone) is not None

    def test_unknown(self, store, gone, monkeypatch):
        """
        A record stays if its directory cannot be looked at.
        """
        refuse_path(monkeypatch, "lstat", gone.path, errno.EIO)

        assert () == store.prune()
        assert [gone.path] == [e.path for e in store]

    @pytest.mark.parametrize("count", [1, 2])
    def test_left_out(self, store, gone, tmp_path, monkeypatch, count):
        """
        Records that cannot be read or deleted stay, and an error says so at the end.
        """
        paths = [gone.record_path]
        for name in ("other", "third"):
            other = store.environment(tmp_path / name)
            commit(other)
            os.utime(other.record_path, (10**9, 10**9))
            paths.append(other.record_path)
        (root_of(gone) / "results" / ("0" * 32)).mkdir()
        for call, path in list(zip(("open", "unlink"), paths, strict=False))[:count]:
            refuse_path(monkeypatch, call, path, errno.EIO)

        with pytest.raises((StateReadError, StateWriteError)) as caught:
            store.prune()

        assert caught.value.path in paths[:count]
        assert ("(and 1 more)" in caught.value.message) == (count == 2)
        assert {root_of(gone) / path for path in paths[:count]} == set(
            root_of(gone).glob("*.json")
        )
        assert not (root_of(gone) / "results" / ("0" * 32)).exists()

    def test_mistakes(self, store):
        """
        A negative age is the caller's mistake.
        """
        with pytest.raises(ValueError, match="older_than"):
            store.prune(older_than=-DAY)


class TestBegin:
    def test_unreadable_record(self, shop, monkeypatch):
        """
        A check that cannot read the record releases the check lock.
        """

        def refuse(*_):
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr("upgrade_state._store.Entry.read", refuse)
            # Its traceback keeps the lock from being released as garbage.
            with pytest.raises(OSError, match="Input/output") as refused:
                shop.try_check().__enter__()

        with shop.try_check() as check:
            assert check is not None
        assert refused.tb is not None
