import datetime as dt
import shutil
import sys
import threading
from contextlib import nullcontext

import pytest

from helpers import commit, meanwhile, place_of, run_at_once
from upgrade_state import Consent, StateStore, checks
from upgrade_state.exceptions import ResolverError


def failing(*_):
    raise ResolverError("no network", "/x")


class TestCheck:
    def test_checked(self, environment, lock_of):
        """
        The result of a resolver is recorded, with the consent of the user.
        """
        new = lock_of(attrs="24.3.0")

        outcome = checks.check(environment, lambda *_: new, consent=Consent("uv"))

        assert checks.Outcome("checked") == outcome
        information = environment.look().information
        assert ("uv", Consent("uv")) == (information.checker, information.consent)
        assert new == environment.kept_lockfile("new")

    def test_asks_the_resolver(self, environment, directory):
        """
        The resolver gets the environment and the lockfile's content.
        """
        asked = []

        def resolver(*arguments):
            asked.append(arguments)
            return arguments[1]

        checks.check(environment, resolver)

        assert [(environment, (directory / "uv.lock").read_bytes())] == asked

    def test_busy(self, environment):
        """
        While another process is checking, no check is made.
        """
        with environment.try_check():
            outcome = checks.check(environment, failing)

        assert (checks.Outcome("busy"), None) == (outcome, outcome.look)

    def test_failed(self, environment):
        """
        A failure of the resolver is recorded and returned.
        """
        outcome = checks.check(environment, failing)

        assert "failed" == outcome.state
        assert "no network" == outcome.error.message
        assert "no network" == environment.look().information.failure.message

    def test_not_due(self, environment):
        """
        With *only_if_due* no check is made that is not due.
        """
        checks.check(environment, lambda _, old: old)

        outcome = checks.check(environment, failing, only_if_due=True)

        assert "fresh" == outcome.state
        assert "fresh" == outcome.freshness.reason

    def test_no_lockfile_any_more(self, environment, directory):
        """
        If the lockfile was removed, a new one is no upgrade of it.
        """
        checks.check(environment, lambda _, old: old, consent=Consent("uv"))
        (directory / "uv.lock").unlink()
        before = environment.look().information

        outcome = checks.check(environment, only_if_due=True, max_age=dt.timedelta(0))

        assert checks.Outcome("gone") == outcome
        assert before == environment.look().information

    @pytest.mark.parametrize("name", [None, "state.json"])
    def test_never_a_file(self, store, directory, name):
        """
        Content that a manager checks need not be a file.
        """
        environment = store.environment(directory, name)
        asked = {"lockfile": b"1", "only_if_due": True}

        outcomes = [checks.check(environment, lambda _, old: old + b"2", **asked)]
        outcomes.append(checks.check(environment, failing, **asked))
        outcomes.append(checks.check(environment, failing, only_if_due=True))

        assert ["checked", "fresh", "no-lockfile"] == [o.state for o in outcomes]
        assert b"12" == environment.kept_lockfile("new")

    def test_no_lockfile_s_name(self, store, directory):
        """
        Without a lockfile name no lockfile is missing, whatever the consent is for.
        """
        environment = store.environment(directory)
        with environment.try_check(b"canonical 1") as guard:
            guard.commit(b"canonical 2", consent=Consent("a manager's own"))

        outcome = checks.check(
            environment,
            without_lockfile=True,
            only_if_due=True,
            max_age=dt.timedelta(0),
        )

        assert "There is no recipe" in outcome.error.message

    @pytest.mark.parametrize("is_known", [False, True])
    def test_no_lockfile(self, environment, directory, is_known):
        """
        Without a lockfile no resolver is called, and nothing is recorded.
        """
        if is_known:
            checks.check(environment, lambda _, old: old)
        (directory / "uv.lock").unlink()
        before = environment.look().record

        outcome = checks.check(environment, failing)

        assert checks.Outcome("no-lockfile") == outcome
        assert before == outcome.look.record == environment.look().record

    def test_no_directory(self, environment, directory):
        """
        The lockfile of a directory that was removed is none, not a failure.
        """
        shutil.rmtree(directory)

        assert checks.Outcome("no-lockfile") == checks.check(environment, failing)
        assert environment.look().record is None

    def test_first_lockfile(self, environment, directory, lock_of):
        """
        A check may make a first lockfile if the caller permits it.
        """
        checks.check(environment, lambda _, old: old)
        (directory / "uv.lock").unlink()

        on_purpose = checks.check(
            environment, lambda *_: lock_of(attrs="24.3.0"), without_lockfile=True
        )
        due = checks.check(
            environment,
            lambda *_: lock_of(attrs="25.0"),
            without_lockfile=True,
            only_if_due=True,
            max_age=dt.timedelta(0),
        )

        assert ("checked", "checked") == (on_purpose.state, due.state)
        assert (None, "expired") == (on_purpose.freshness, due.freshness.reason)
        assert lock_of(attrs="25.0") == environment.kept_lockfile("new")

    def test_dropped(self, environment, monkeypatch):
        """
        If another check was faster, its result is kept.
        """
        monkeypatch.setattr(
            "upgrade_state._guard.CheckGuard.commit", lambda *_, **__: False
        )

        outcome = checks.check(environment, lambda _, old: old)

        assert "dropped" == outcome.state

    def test_bug(self, environment):
        """
        A bug of the resolver is recorded, and raised.
        """
        with pytest.raises(ZeroDivisionError):
            checks.check(environment, lambda *_: 1 / 0)
        message = environment.look().information.failure.message
        assert "ZeroDivisionError: division by zero" == message

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"format": "nothing"}, "nothing"),
            ({"checker": ""}, "not a checker's name"),
            ({"checker": 1}, "a checker's name must be text"),
            ({"lockfile": "text"}, "must be bytes"),
            ({"max_age": dt.timedelta(-1)}, "max_age"),
            ({"retries": [1, -1]}, "retries"),
            ({"retries": [float("nan")]}, "retries"),
        ],
    )
    def test_mistakes(self, environment, asked, words):
        """
        A mistake of the caller is no failure of the check; no check is made.
        """
        with pytest.raises((TypeError, ValueError), match=words):
            checks.check(environment, failing, only_if_due=True, **asked)

        assert environment.look().information is None


@pytest.fixture
def uv(tmp_path, monkeypatch, lock_of, directory):
    """
    A stand-in for uv that finds an upgrade; the file tells how often it ran.
    """
    (directory / "pyproject.toml").write_text('[project]\nname = "shop"\n')
    path, runs = tmp_path / "bin" / "uv", tmp_path / "runs"
    path.parent.mkdir()
    new = tmp_path / "new.lock"
    new.write_bytes(lock_of(attrs="24.3.0"))
    path.write_text(f"#!/bin/sh\necho >> '{runs}'\ncat '{new}' > uv.lock\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    return runs


def record(environment, recipe, **options):
    """
    Make a check by a recipe that finds no upgrades.
    """
    consent = None if recipe is None else Consent(recipe, **options)
    outcome = checks.check(environment, lambda _, old: old, consent=consent)
    assert "checked" == outcome.state


class TestConsent:
    def test_run(self, environment, uv, lock_of):
        """
        Without a resolver the recipe of the consent makes the check.
        """
        record(environment, "uv")

        assert checks.Outcome("checked") == checks.check(environment)
        assert lock_of(attrs="24.3.0") == environment.kept_lockfile("new")
        information = environment.look().information
        assert ("uv", Consent("uv")) == (information.checker, information.consent)

    def test_nothing_known(self, environment, uv):
        """
        Without a record nothing is run, and nothing is recorded.

        The consent of the record counts, not the caller's.
        """
        outcome = checks.check(environment, consent=Consent("uv"))

        assert checks.Outcome("no-consent") == outcome
        assert not uv.exists()
        assert environment.look().information is None

    def test_not_the_callers(self, environment, uv):
        """
        A repeated check gives no other consent.
        """
        record(environment, "uv", env=["UV_INDEX"])

        checks.check(environment, consent=Consent("uv"))

        assert Consent("uv", env=["UV_INDEX"]) == environment.look().consent

    def test_none_recorded(self, environment, uv):
        """
        After a check by a command nothing is run: it is not repeated automatically.
        """
        record(environment, None)
        before = environment.look().information

        outcome = checks.check(environment, only_if_due=True, max_age=dt.timedelta(0))
        assert ("no-consent", "expired") == (outcome.state, outcome.freshness.reason)
        assert not uv.exists()
        assert before == environment.look().information

    def test_unknown(self, environment):
        """
        A recipe that no longer exists is a failure with the command that lists all.
        """
        record(environment, "zuv")

        outcome = checks.check(environment)
        assert "failed" == outcome.state
        message = "There is no recipe 'zuv' (see upgrade-state recipes)"
        assert message in outcome.error.message
        assert outcome.error.message == environment.look().information.failure.message
        assert Consent("zuv") == environment.look().consent

    @pytest.mark.parametrize(
        ("content", "hatch", "problem"),
        [
            ('created-by = "uv"', "", "it was not made by the tool of the recipe pip"),
            (
                'created-by = "pip"',
                "[envs]\ndefault = { locked = true }\n",
                "hatch.toml says that it was made in another way",
            ),
        ],
    )
    def test_another_way(self, tmp_path, content, hatch, problem):
        """
        A lockfile that another tool has written since is not checked.
        """
        environment = StateStore().environment(tmp_path, "pylock.toml")
        (tmp_path / "pylock.toml").write_text("")
        commit(environment, b"new", consent=Consent("pip"))
        (tmp_path / "hatch.toml").write_text(hatch)

        # The lockfile for which the user has run the recipe is checked.
        assert problem != checks.check(environment).error.message
        (tmp_path / "pylock.toml").write_text(content)
        assert problem == checks.check(environment).error.message

    def test_withdrawn(self, environment, uv):
        """
        Consent that is withdrawn before the lock is taken is respected.
        """
        record(environment, "uv")
        assert environment.look().freshness(max_age=dt.timedelta(0)).due
        assert environment.withdraw_consent()
        before = environment.look().information

        outcome = checks.check(environment, only_if_due=True, max_age=dt.timedelta(0))
        assert ("no-consent", "expired") == (
            outcome.state,
            outcome.freshness.reason,
        )
        assert not uv.exists()
        assert before == environment.look().information

    def test_not_due(self, environment, uv):
        """
        Freshness is decided before the recipe is looked up.
        """
        record(environment, "uv")

        assert "fresh" == checks.check(environment, only_if_due=True).state
        assert not uv.exists()


class TestCancelled:
    def test_before(self, environment, tmp_path):
        """
        If it is cancelled beforehand, no check begins, and nothing is written.
        """
        cancellation = checks.Cancellation()
        cancellation.cancel()
        outcome = checks.check(environment, failing, cancellation=cancellation)

        assert checks.Outcome("cancelled") == outcome
        assert not (tmp_path / "cache").exists()

    def test_during(self, environment):
        """
        A check that is cancelled leaves no failure, and a free lock.
        """

        def resolver(*_):
            cancellation.cancel()
            checks.current_cancellation().raise_if_cancelled()

        checks.check(environment, failing)
        before = environment.look().information
        cancellation = checks.Cancellation()
        outcome = checks.check(environment, resolver, cancellation=cancellation)

        assert checks.Outcome("cancelled") == outcome
        assert before == environment.look().information
        assert "checked" == checks.check(environment, lambda _, old: old).state

    def test_told_why_it_was_made(self, environment):
        """
        The reason why it was due is in the outcome of a cancelled or failed check.
        """

        def resolver(*_):
            raise checks.Cancelled

        cancelled = checks.check(environment, resolver, only_if_due=True)
        failed = checks.check(environment, failing, only_if_due=True)

        states = [(o.state, o.freshness.reason) for o in (cancelled, failed)]
        assert [("cancelled", "never-checked"), ("failed", "never-checked")] == states

    def test_too_late(self, environment):
        """
        A resolver that does not look is waited for, and its result is stored.
        """

        def resolver(_, old):
            cancellation.cancel()
            return old

        cancellation = checks.Cancellation()
        outcome = checks.check(environment, resolver, cancellation=cancellation)

        assert checks.Outcome("checked") == outcome


class TestMeanwhile:
    def test_lockfile_changes(self, environment, directory, lock_of):
        """
        The check is about the content at its beginning, and its result stays silent.
        """
        old = (directory / "uv.lock").read_bytes()

        def resolver(*_):
            (directory / "uv.lock").write_bytes(lock_of(attrs="24.2.1"))
            return lock_of(attrs="24.3.0")

        outcome = checks.check(environment, resolver)

        look = environment.look()
        answers = look.verdict().reason, look.freshness().reason
        assert ("checked", old) == (outcome.state, look.kept_lockfile("old"))
        assert ("lockfile-changed", "just-checked") == answers

    def test_upgraded(self, environment, directory, lock_of):
        """
        If the user makes the same upgrade during the check, there is no notice.
        """
        new = lock_of(attrs="24.3.0")

        def resolver(*_):
            (directory / "uv.lock").write_bytes(new)
            return new

        assert checks.Outcome("checked") == checks.check(environment, resolver)
        assert "upgraded" == environment.claim_notice().reason

    def test_environment_is_deleted(self, environment, directory, lock_of):
        """
        A directory that is deleted during the check gets no notice.
        """

        def resolver(*_):
            shutil.rmtree(directory)
            return lock_of(attrs="24.3.0")

        outcome = checks.check(environment, resolver)

        assert ("checked", "directory") == (outcome.state, outcome.look.missing)
        assert "lockfile-changed" == environment.claim_notice().reason

    def test_prints(self, environment, capsys):
        """
        The prints of a resolver in this process reach the caller's stdout.
        """
        checks.check(
            environment, lambda _, old: sys.stdout.write("resolving\n") and old
        )

        assert "resolving\n" == capsys.readouterr().out

    def test_hangs(self, environment):
        """
        A resolver that hangs keeps other checks away until it is cancelled.
        """
        cancellation, outcomes, begun = checks.Cancellation(), [], threading.Event()

        def resolver(*_):
            begun.set()
            checks.current_cancellation().wait(60)
            raise checks.Cancelled

        def hang():
            check = checks.check(environment, resolver, cancellation=cancellation)
            outcomes.append(check)

        with meanwhile(hang):
            assert begun.wait(60)
            other = checks.check(environment, failing)
            silent = environment.claim_notice()
            cancellation.cancel()

        assert ("busy", "cancelled") == (other.state, outcomes[0].state)
        assert "nothing-known" == silent.reason

    @pytest.mark.parametrize("how", ["raising", "normally"])
    def test_forks(self, environment, how):
        """
        A child that the resolver forks stores nothing and releases no lock.
        """
        (found,) = run_at_once(1, "fork_in_resolver", *place_of(environment), how)

        assert {
            "child fails": True,
            "still held": True,
            "state": "checked",
            "stored": True,
        } == found


class TestLook:
    def test_checked(self, environment, lock_of):
        """
        The outcome has the record after the check, without another read.
        """
        new = lock_of(attrs="24.3.0")

        outcome = checks.check(environment, lambda *_: new)
        environment.forget()

        assert "1 version change" == outcome.look.summary()

    def test_failed(self, environment):
        """
        So it has after a failure, and if no check was made.
        """
        failed = checks.check(environment, failing)
        skipped = checks.check(environment, failing, only_if_due=True)

        for outcome in (failed, skipped):
            assert "no network" == outcome.look.information.failure.message


class TestJudge:
    def test_half_a_lockfile(self, environment, lock_of):
        """
        A new lockfile that is unreadable is a failure, if the old one is readable.
        """
        outcome = checks.check(environment, lambda *_: b"<<")

        assert (
            "The new lockfile is not a uv lockfile: cannot be parsed; see what wrote it"
            == outcome.error.message
        )

    @pytest.mark.parametrize(
        ("name", "old", "new", "format", "is_refused"),
        [
            ("uv.lock", None, b"", None, True),
            ("uv.lock", b"version = 9", b"version = 99", None, False),
            ("custom.lock", b"old", b"", None, False),
            (None, None, b"", "uv", True),
        ],
        ids=["first lockfile", "both unreadable", "opaque", "given format"],
    )
    def test_refused(self, store, name, old, new, format, is_refused):
        """
        A readable lockfile, or none, is followed by no unreadable one.
        """
        environment = store.environment("/x", name)
        is_fine = pytest.raises(ResolverError) if is_refused else nullcontext()

        with is_fine:
            checks.judge(environment, old, new, format=format)
