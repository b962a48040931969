import datetime as dt
import os
import signal
import threading
import tracemalloc
from pathlib import Path

import pytest

import helpers
from helpers import meanwhile
from upgrade_state import Consent, StateStore, checks
from upgrade_state.exceptions import (
    ResolverError,
    StateReadError,
    StateWriteError,
    UpgradeStateError,
)

# Only ends a hang.
LIMIT = 60

AT_ONCE = dt.timedelta()

ONE_FAILED = ["checked", "failed", *["checked"] * 3]


@pytest.fixture
def store():
    return StateStore()


@pytest.fixture
def make(tmp_path, store):
    """
    Make a number of environments without a record.
    """

    def make_(count):
        made = []
        for number in range(count):
            directory = tmp_path / f"{number:03}"
            directory.mkdir()
            (directory / "pins.lock").write_bytes(b"old")
            made.append(store.environment(directory, "pins.lock"))
        return made

    return make_


@pytest.fixture
def few(make):
    return make(5)


def newer(_, old):
    return old + b" and new"


def failing(*_):
    raise ResolverError("no network", "/x")


def commit(environment, **more):
    helpers.commit(environment, **({"now": None} | more))


def until_cancelled(*_):
    assert checks.current_cancellation().wait(LIMIT)
    raise checks.Cancelled


def only(chosen, resolver, others=newer):
    """
    Make a resolver that calls *resolver* for one environment, else *others*.
    """
    return lambda environment, old: (
        resolver(environment, old)
        if environment == chosen
        else others(environment, old)
    )


def states(results):
    return [result.outcome.state for result in results]


class Waiting:
    """
    A resolver that waits until it is cancelled, and counts its running calls.
    """

    def __init__(self):
        self.running = 0
        self._changed = threading.Condition()

    def __call__(self, environment, old):
        self._count(1)
        try:
            return until_cancelled()
        finally:
            self._count(-1)

    def _count(self, change):
        with self._changed:
            self.running += change
            self._changed.notify_all()

    def wait_for(self, count):
        with self._changed:
            assert self._changed.wait_for(lambda: self.running == count, LIMIT)


@pytest.fixture
def waiting():
    return Waiting()


def cancelled_once_running(waiting, count, cancellation):
    def cancel():
        waiting.wait_for(count)
        cancellation.cancel()

    return meanwhile(cancel)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = threading.active_count()
    yield
    assert before == threading.active_count()


class TestResults:
    def test_order(self, make):
        """
        There is one result for each environment, in the order they came in.
        """
        environments = make(20)

        results = checks.check_all(reversed(environments), newer)

        assert [e.key for e in environments[::-1]] == [r.key for r in results]
        assert [(e.path, e.lockfile_name) for e in environments[::-1]] == [
            (r.path, r.lockfile_name) for r in results
        ]
        assert ["checked"] * 20 == states(results)
        assert {b"old and new"} == {e.kept_lockfile("new") for e in environments}

    def test_store(self, few, store):
        """
        The environments of a store are checked; without any there are no results.
        """
        nothing = checks.check_all(store, failing)
        for environment in few:
            commit(environment)

        results = checks.check_all(store, newer, max_age=AT_ONCE)

        assert [] == nothing
        assert {e.key for e in few} == {r.key for r in results}

    def test_observed(self, few):
        """
        The observer is called at each beginning and each end, in the calling thread.

        A result has the duration of the check, and zero if none was made.
        """
        commit(few[0])
        heard = []

        results = checks.check_all(
            few[:2],
            newer,
            observe=lambda *event: heard.append((*event, threading.get_ident())),
        )

        here = threading.get_ident()
        assert [
            (few[0], results[0], here),
            (few[1], None, here),
            (few[1], results[1], here),
        ] == heard
        assert [False, True] == [result.seconds > 0 for result in results]

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            ("jobs", 0),
            ("on_error", "explode"),
            ("timeout", dt.timedelta(-1)),
            ("timeout", 3),
            ("max_age", 3),
        ],
    )
    def test_mistakes(self, few, name, wrong):
        """
        An invalid argument is refused before anything begins.
        """
        with pytest.raises(ValueError, match=name):
            checks.check_all(few, newer, **{name: wrong})
        assert few[0].look().information is None


class TestAtOnce:
    @pytest.mark.parametrize("jobs", [2, 5])
    def test_jobs(self, few, jobs):
        """
        As many checks as *jobs* run at once, in as many threads.
        """
        barrier = threading.Barrier(jobs)
        before = threading.active_count()

        def together(_, old):
            barrier.wait(LIMIT)
            assert threading.active_count() <= before + jobs
            return old

        results = checks.check_all(few[: jobs * (5 // jobs)], together, jobs=jobs)

        assert {"checked"} == set(states(results))

    def test_taken_lazily(self, make):
        """
        Environments are taken as threads become free, not all at the beginning.
        """
        taken, ahead, ended = 0, [], []

        def stream():
            nonlocal taken
            for environment in make(20):
                taken += 1
                yield environment

        def observe(_, result):
            if result is not None:
                ended.append(result)
                ahead.append(taken - len(ended))

        checks.check_all(stream(), newer, jobs=3, observe=observe)

        assert 3 >= max(ahead)

    @pytest.mark.parametrize(("cores", "jobs"), [(1, 4), (None, 4), (2, 8), (64, 8)])
    def test_default(self, make, waiting, monkeypatch, cores, jobs):
        """
        The default of *jobs* is 4 per core, and at most 8.
        """
        monkeypatch.setattr("os.cpu_count", lambda: cores)
        cancellation = checks.Cancellation()

        with cancelled_once_running(waiting, jobs, cancellation):
            results = checks.check_all(make(10), waiting, cancellation=cancellation)
        assert jobs == sum(result.seconds > 0 for result in results)

    def test_other_thread(self, few):
        """
        A scope may be opened in any thread.
        """
        results = []
        with meanwhile(lambda: results.extend(checks.check_all(few, newer))):
            pass

        assert ["checked"] * 5 == states(results)

    def test_no_more_threads(self, few, waiting, monkeypatch):
        """
        If the system gives no thread, that is raised once all checks have ended.
        """
        start, starts = threading.Thread.start, []

        def refuse(thread):
            starts.append(thread)
            if len(starts) > 2:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr("threading.Thread.start", refuse)

        with pytest.raises(UpgradeStateError, match="can't start new thread"):
            checks.check_all(few, waiting, jobs=5)
        assert 0 == waiting.running
        assert [None] * 5 == [environment.look().information for environment in few]


class TestSkipped:
    def test_not_due(self, few):
        """
        A fresh environment is skipped, so a second call continues an interrupted one.

        A check that has just failed is not repeated.
        """
        commit(few[1])
        asked = []

        def resolver(environment, old):
            asked.append(environment)
            return failing() if environment == few[2] else old

        first = checks.check_all(few, resolver)
        second = checks.check_all(few, resolver)
        third = checks.check_all(few[:2], newer, max_age=AT_ONCE)

        assert ["checked", "fresh", "failed", *["checked"] * 2] == states(first)
        assert "fresh" == first[1].outcome.freshness.reason
        assert ["fresh", "fresh", "backing-off", "fresh", "fresh"] == states(second)
        assert ["checked"] * 2 == states(third)
        assert [few[0], *few[2:]] == sorted(asked, key=few.index)
        assert 1 == few[2].look().information.failure.attempts

    def test_decided_again(self, few):
        """
        An environment that another process has checked since the first look is fresh.
        """

        def other(environment, result):
            if result is None:
                commit(environment)

        results = checks.check_all(few, failing, observe=other)

        assert ["fresh"] * 5 == states(results)

    def test_busy(self, few):
        """
        An environment that another process is checking is busy; the others are checked.
        """
        with few[2].try_check():
            results = checks.check_all(few, newer)

        assert ["checked"] * 2 + ["busy"] + ["checked"] * 2 == states(results)

    @pytest.mark.parametrize("options", [{"resolver": failing}, {}, {"restart": True}])
    def test_gone(self, few, options):
        """
        If the directory or the lockfile was removed, no check begins, and no thread.
        """
        commit(few[0], by="uv")
        record = Path(few[0].record_path)
        before = record.read_bytes(), record.stat().st_mtime_ns
        Path(few[0].path, "pins.lock").unlink()
        if "resolver" in options:
            Path(few[0].path).rmdir()
        seen = []

        (result,) = checks.check_all(
            few[:1],
            max_age=AT_ONCE,
            observe=lambda *event: seen.append(event),
            **options,
        )

        assert checks.Outcome("gone") == result.outcome
        assert [(few[0], result)] == seen
        assert before == (record.read_bytes(), record.stat().st_mtime_ns)

    @pytest.mark.parametrize(
        ("name", "expected"), [("", "checked"), ("pins.lock", "failed")]
    )
    def test_hidden(self, few, monkeypatch, name, expected):
        """
        If it is unknown whether directory or lockfile exists, a check is made.
        """
        commit(few[0])
        stat = os.stat

        def refuse(path, *args, **more):
            if path == os.path.join(few[0].path, name).rstrip("/"):
                raise PermissionError(13, "Permission denied")
            return stat(path, *args, **more)

        monkeypatch.setattr("os.stat", refuse)

        (result,) = checks.check_all(few[:1], newer, max_age=AT_ONCE)

        assert expected == result.outcome.state
        reason = "Could not read the lockfile" if name else "None"
        assert reason in str(result.outcome.error)

    def test_corrupt(self, few, store):
        """
        A corrupt record is a failure that names the record.
        """
        commit(few[0])
        Path(few[0].record_path).write_text("{")

        (result,) = checks.check_all(store, newer)

        assert "failed" == result.outcome.state
        assert few[0].record_path == result.outcome.error.path
        assert "{" == Path(few[0].record_path).read_text()

    def test_looks(self, few):
        """
        The observer gets the record after each check, and the results keep none.
        """
        commit(few[0], by="uv")
        seen = {}

        def observe(environment, result):
            if result is not None:
                seen[environment.key] = result.outcome.look

        results = checks.check_all(few, only(few[1], failing), observe=observe)

        looks = [seen[environment.key].information for environment in few]
        assert ["fresh", "failed", *["checked"] * 3] == states(results)
        assert ("uv", "no network") == (looks[0].checker, looks[1].failure.message)
        assert [1] * 3 == [look.generation for look in looks[2:]]
        assert {None} == {result.outcome.look for result in results}

    def test_nothing_is_started(self, make, store, monkeypatch):
        """
        Fresh environments start no thread and no process, and keep little memory.
        """
        for environment in make(200):
            commit(environment)
        environments = list(store)
        for name in ("threading.Thread.start", "subprocess.Popen", "os.posix_spawn"):
            monkeypatch.setattr(name, None)
        checks.check_all(environments)
        tracemalloc.start()

        results = checks.check_all(environments)

        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert ["fresh"] * 200 == states(results)
        assert used < 1000 * len(results)


class TestContent:
    def test_not_the_file(self, few):
        """
        The content that the caller returns is checked, not the file.
        """
        contents = {e.key: f"pins {n}".encode() for n, e in enumerate(few)}
        how = {"lockfile": lambda environment: contents[environment.key]}

        first = checks.check_all(few, newer, **how)
        contents[few[0].key] = b"others"
        second = checks.check_all(few, failing, **how)
        Path(few[2].path, "pins.lock").unlink()
        third = checks.check_all(few[2:], newer, max_age=AT_ONCE, **how)

        assert ["checked"] * 5 == states(first)
        assert ["just-checked", *["fresh"] * 4] == states(second)
        assert ["checked"] * 3 == states(third)
        assert b"pins 1 and new" == few[1].kept_lockfile("new")

    def test_recipes(self, environment, directory, fake_uv):
        """
        Recipes check that content, too, and need consent.
        """
        (directory / "pyproject.toml").touch()
        old = (directory / "uv.lock").read_bytes()
        how = {"max_age": AT_ONCE, "lockfile": lambda _: old}

        before = checks.check_all([environment], **how)
        commit(environment, by="uv")
        (directory / "uv.lock").unlink()
        after = checks.check_all([environment], **how)

        assert ["no-consent", "checked"] == states(before + after)

    def test_no_lock(self, few):
        """
        The caller's function runs in the threads of the checks, and may check, too.
        """
        threads = set()

        def lockfile(environment):
            threads.add(threading.current_thread())
            commit(environment)

        results = checks.check_all(few, failing, lockfile=lockfile)

        assert ["fresh"] * 5 == states(results)
        assert threading.main_thread() not in threads

    @pytest.mark.parametrize("problem", [ResolverError("no pins", "/x"), KeyError(1)])
    def test_failed(self, few, problem):
        """
        If the function fails, so does the environment; its record stays as it is.
        """

        def lockfile(environment):
            if environment == few[1]:
                raise problem

        results = checks.check_all(few, newer, lockfile=lockfile)

        assert ONE_FAILED == states(results)
        assert problem in (results[1].outcome.error, results[1].outcome.error.__cause__)
        assert few[1].look().record is None

    def test_no_lockfile(self, few):
        """
        Without a lockfile no check is made, unless the caller permits the first one.
        """
        Path(few[1].path, "pins.lock").unlink()

        def first(_, old):
            return old or b"first"

        without = checks.check_all(few[:2], first, max_age=AT_ONCE)
        permitted = checks.check_all(
            few[:2], first, max_age=AT_ONCE, without_lockfile=True
        )

        assert ["checked", "no-lockfile"] == states(without)
        assert ["checked"] * 2 == states(permitted)


class TestRecipes:
    def test_by_the_record(self, environment, directory, fake_uv, store):
        """
        Without a resolver the recipe of the consent is used, which stays.
        """
        (directory / "pyproject.toml").touch()
        commit(environment, by="uv")

        results = checks.check_all(store, max_age=AT_ONCE)

        assert ["checked"] == states(results)
        look = environment.look()
        assert (Consent("uv"), 2) == (look.consent, look.information.generation)

    def test_no_consent(self, few, store):
        """
        Without consent nothing is run, whether a check is due or not.
        """
        commit(few[0])
        fresh = checks.check_all(few[:1])
        results = checks.check_all(few[:2], max_age=AT_ONCE)

        assert ["fresh"] == states(fresh)
        assert ["no-consent"] * 2 == states(results)
        assert [1] == [e.look().information.generation for e in store]

    def test_unreadable(self, few, monkeypatch):
        """
        A record that may not be read is a failure with a path.
        """
        commit(few[0], by="uv")
        monkeypatch.setattr("os.geteuid", lambda: 4711)

        (result,) = checks.check_all(few[:1])

        assert "failed" == result.outcome.state
        assert "belongs to user" in str(result.outcome.error)


class TestFailures:
    def test_siblings(self, few):
        """
        A failed check does not affect the others, and is recorded.
        """
        results = checks.check_all(few, only(few[1], failing))

        assert ONE_FAILED == states(results)
        assert "no network" == results[1].outcome.error.message
        assert "no network" == few[1].look().information.failure.message

    @pytest.mark.parametrize(
        "bug", [ZeroDivisionError("no " * 150 + "way"), SystemExit("x")]
    )
    def test_bug(self, few, bug):
        """
        Nor does a bug in a resolver, whose message is as long as the recorded one.
        """

        def buggy(*_):
            raise bug

        results = checks.check_all(few, only(few[1], buggy))

        assert ONE_FAILED == states(results)
        error = results[1].outcome.error
        assert isinstance(error, ResolverError)
        assert (bug, few[1].path) == (error.__cause__, error.path)
        assert error.message.startswith(f"{type(bug).__name__}: {bug}"[:450])
        recorded = few[1].look().information
        assert recorded is None or recorded.failure.message == error.message

    def test_store_refuses(self, few, monkeypatch):
        """
        Nor does a record that cannot be written.
        """
        replace = os.replace

        def refuse(source, target, **more):
            if few[1].key in str(target):
                raise OSError(28, "No space left on device")
            return replace(source, target, **more)

        monkeypatch.setattr("os.replace", refuse)

        results = checks.check_all(few, newer)

        assert ONE_FAILED == states(results)
        assert isinstance(results[1].outcome.error, StateWriteError)

    def test_let_go(self, few):
        """
        The local variables of a failed check are freed.
        """
        held = []

        class Big(bytes):
            __slots__ = ()

            def __del__(self):
                held.remove(1)

        def failing(*_):
            big = Big(b"x")
            held.append(1)
            raise ResolverError(f"{len(big)}", "/x")

        results = checks.check_all(few, failing)

        assert ["failed"] * 5 == states(results)
        assert [] == held

    def test_stop(self, make, waiting):
        """
        With ``stop`` the first failure cancels the running checks, and no other begins.
        """
        environments = make(10)

        def fail_at_last(environment, old):
            waiting.wait_for(2)
            return failing()

        results = checks.check_all(
            environments,
            only(environments[2], fail_at_last, waiting),
            jobs=3,
            on_error="stop",
        )

        expected = ["cancelled"] * 2 + ["failed"] + ["cancelled"] * 7
        assert expected == states(results)
        assert [True] * 3 + [False] * 7 == [r.seconds > 0 for r in results]
        assert [None] * 2 == [e.look().information for e in environments[:2]]

    def test_stop_without_a_check(self, few, store):
        """
        So does an invalid record.
        """
        commit(few[0])
        Path(few[0].record_path).write_text("{")

        results = checks.check_all([*store, *few[1:]], newer, on_error="stop")

        assert ["failed", *["cancelled"] * 4] == states(results)


class TestRetry:
    @pytest.fixture(autouse=True)
    def pauses(self, monkeypatch):
        """
        The pauses between the attempts, which take no time.
        """
        found = []
        monkeypatch.setattr(checks.Cancellation, "wait", lambda _, s: found.append(s))
        return found

    @pytest.mark.parametrize(
        ("needed", "expected"), [(3, "checked"), (4, "failed")], ids=["third", "fourth"]
    )
    def test_attempts(self, few, pauses, needed, expected):
        """
        A resolver that has failed twice is tried a third time, and no fourth time.

        All attempts together are one failure.
        """
        attempts = []

        def resolver(_, old):
            attempts.append(1)
            return old if len(attempts) == needed else failing()

        results = checks.check_all(few, only(few[1], resolver), on_error="retry")

        failure = few[1].look().information.failure
        assert ["checked", expected, *["checked"] * 3] == states(results)
        assert (3, expected == "failed") == (len(attempts), failure is not None)
        assert failure is None or failure.attempts == 1
        assert 1.5 < pauses[0] <= 2
        assert 3 < pauses[1] <= 4

    def test_half_a_lockfile(self, environment, lock_of):
        """
        A resolver whose lockfile is refused is tried again as well.
        """
        answers = iter([b"<<", lock_of(attrs="25.0")])

        results = checks.check_all(
            [environment], lambda *_: next(answers), on_error="retry"
        )

        assert ["checked"] == states(results)

    def test_cancelled(self, few, monkeypatch):
        """
        A pause between two attempts ends when the check is cancelled.
        """
        monkeypatch.undo()
        cancellation = checks.Cancellation()

        def fail_once(*_):
            cancellation.cancel()
            failing()

        results = checks.check_all(
            few[:1], fail_once, on_error="retry", cancellation=cancellation
        )

        assert ["cancelled"] == states(results)
        assert few[0].look().information is None

    def test_deadline(self, few, pauses):
        """
        A check whose next attempt would be after the deadline has failed.
        """
        timeout = dt.timedelta(seconds=1.4)

        results = checks.check_all(few[:1], failing, on_error="retry", timeout=timeout)

        assert (["failed"], []) == (states(results), pauses)

    def test_without_a_scope(self, few):
        """
        A single check may be tried again, too.
        """
        answers = iter([failing, newer])

        def once_more(environment, old):
            return next(answers)(environment, old)

        outcome = checks.check(few[0], once_more, retries=[0.0])

        assert "checked" == outcome.state


class TestEnding:
    def test_deadline(self, make, waiting):
        """
        At the deadline running checks are cancelled, and no other begins.
        """
        timeout = dt.timedelta(seconds=0.3)

        results = checks.check_all(make(10), waiting, jobs=3, timeout=timeout)

        assert ["cancelled"] * 10 == states(results)
        assert (0, True) == (waiting.running, sum(r.seconds > 0 for r in results) <= 3)

    def test_cancellation(self, make, waiting):
        """
        Another thread may cancel it.
        """
        cancellation = checks.Cancellation()

        with cancelled_once_running(waiting, 3, cancellation):
            results = checks.check_all(
                make(10), waiting, jobs=3, cancellation=cancellation
            )

        assert ["cancelled"] * 10 == states(results)
        assert 0 == waiting.running

    @pytest.mark.parametrize("restart", [False, True])
    def test_before_it_begins(self, few, restart):
        """
        If it is cancelled beforehand, or without time, no check begins or becomes due.
        """
        commit(few[0])
        cancellation = checks.Cancellation()
        cancellation.cancel()
        for ended in ({"timeout": AT_ONCE}, {"cancellation": cancellation}):
            results = checks.check_all(few, failing, restart=restart, **ended)

            assert ["cancelled"] * 5 == states(results)
        assert "fresh" == few[0].look().freshness().reason
        assert [None] * 4 == [environment.look().information for environment in few[1:]]

    @pytest.mark.parametrize("is_observer", [True, False])
    def test_caller(self, few, waiting, is_observer):
        """
        An exception of the observer or the iterable is raised once all have ended.
        """

        def observe(environment, result):
            if is_observer and environment == few[2]:
                waiting.wait_for(2)
                raise StateReadError("gone", "/x")

        def stream():
            yield from few[:2]
            if not is_observer:
                waiting.wait_for(2)
                raise StateReadError("gone", "/x")
            yield few[2]

        with pytest.raises(UpgradeStateError, match="gone"):
            checks.check_all(stream(), waiting, observe=observe)
        assert 0 == waiting.running
        assert [None] * 2 == [environment.look().information for environment in few[:2]]

    @pytest.mark.parametrize("times", [1, 2])
    def test_interrupt(self, few, waiting, times):
        """
        KeyboardInterrupt is raised once all checks have ended, also after two Ctrl-C.
        """
        ending = threading.Event()

        def slowly(environment, old):
            try:
                waiting(environment, old)
            finally:
                ending.set()
                goon.wait(LIMIT)

        goon = threading.Event()

        def interrupt():
            waiting.wait_for(2)
            signal.raise_signal(signal.SIGINT)
            ending.wait(LIMIT)
            if times == 2:
                signal.raise_signal(signal.SIGINT)
            goon.set()

        with meanwhile(interrupt), pytest.raises(KeyboardInterrupt):
            checks.check_all(few, slowly, jobs=2)
        assert 0 == waiting.running
        assert signal.default_int_handler is signal.getsignal(signal.SIGINT)
        assert [None] * 5 == [environment.look().information for environment in few]

    def test_interrupt_wins(self, few):
        """
        Ctrl-C is not lost if the observer raises as well.
        """

        def observe(*_):
            signal.raise_signal(signal.SIGINT)
            raise LookupError

        with pytest.raises(KeyboardInterrupt):
            checks.check_all(few, newer, observe=observe)


class TestRestart:
    def test_anew(self, few):
        """
        All environments are checked again, in order.
        """
        checks.check_all(few, only(few[1], failing))
        asked = []

        def resolver(environment, old):
            asked.append(environment)
            return old

        results = checks.check_all(few[::-1], resolver, restart=True, jobs=1)

        assert ["checked"] * 5 == states(results)
        assert few == asked
        assert [e.key for e in few] == [result.key for result in results]

    def test_interrupted(self, few):
        """
        A second call continues a restart that was interrupted.
        """
        checks.check_all(few, newer)
        cancellation = checks.Cancellation()

        def interrupted(environment, old):
            if environment == few[2]:
                cancellation.cancel()
                raise checks.Cancelled
            return old

        first = checks.check_all(
            few, interrupted, jobs=1, restart=True, cancellation=cancellation
        )
        second = checks.check_all(few, newer)

        assert ["checked"] * 2 + ["cancelled"] * 3 == states(first)
        assert ["fresh"] * 2 + ["checked"] * 3 == states(second)

    def test_keeps_the_rest(self, few):
        """
        The last result stays if the check fails this time.
        """
        commit(few[0])

        checks.check_all(few[:1], failing, restart=True)

        assert b"new" == few[0].kept_lockfile("new")

    def test_what_cannot_be_checked(self, few, store, tmp_path):
        """
        An environment that will not be checked is not expired.
        """
        for environment in few[:3]:
            commit(environment)
        Path(few[1].path).rename(tmp_path / "elsewhere")
        Path(few[2].record_path).write_text("{")

        results = checks.check_all(store, restart=True)

        found = {r.key: r.outcome.state for r in results}
        assert {few[0].key: "fresh", few[1].key: "gone", few[2].key: "failed"} == found
        assert few[1].look().information.last_checked is not None

    def test_refused(self, few, monkeypatch):
        """
        An environment that cannot be expired does not pass for fresh.
        """
        checks.check_all(few, newer)
        expire = type(few[0]).expire

        def refuse(environment):
            if environment == few[1]:
                raise StateWriteError("full", environment.record_path)
            return expire(environment)

        monkeypatch.setattr("upgrade_state.EnvironmentState.expire", refuse)

        results = checks.check_all(few, newer, restart=True)

        assert ONE_FAILED == states(results)
        assert "full" == results[1].outcome.error.message
