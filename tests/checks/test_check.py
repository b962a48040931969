import datetime as dt

import pytest

from upgrade_state import checks
from upgrade_state.exceptions import ResolverError


def failing(*_):
    raise ResolverError("no network", "/x")


class TestCheck:
    def test_checked(self, environment, lock_of):
        """
        What a resolver finds is remembered, with the recipe of its user.
        """
        new = lock_of(attrs="24.3.0")

        outcome = checks.check(environment, lambda *_: new, recipe="uv")

        assert checks.Outcome("checked") == outcome
        assert "uv" == environment.look().information.recipe
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
        A check that another one is in the way of does nothing.
        """
        with environment.try_check():
            assert checks.Outcome("busy") == checks.check(environment, failing)

    def test_failed(self, environment):
        """
        A resolver's failure is remembered and told.
        """
        outcome = checks.check(environment, failing)

        assert "failed" == outcome.state
        assert "no network" == outcome.error.message
        assert "no network" == environment.look().information.failure.message

    def test_not_due(self, environment):
        """
        If asked to, a check is made only where it is due.
        """
        checks.check(environment, lambda _, old: old)

        outcome = checks.check(environment, failing, only_if_due=True)

        assert "fresh" == outcome.state
        assert "fresh" == outcome.freshness.reason

    def test_due(self, environment):
        """
        Whoever asks learns why a check was due.
        """
        age = dt.timedelta(0)
        checks.check(environment, lambda _, old: old)

        outcome = checks.check(
            environment, lambda _, old: old, only_if_due=True, max_age=age
        )

        assert "checked" == outcome.state
        assert "expired" == outcome.freshness.reason

    def test_no_lockfile_any_more(self, environment, directory):
        """
        What is made from nothing is no upgrade of a lockfile that is gone.
        """
        checks.check(environment, lambda _, old: old, recipe="uv")
        (directory / "uv.lock").unlink()
        before = environment.look().information

        outcome = checks.check(environment, only_if_due=True, max_age=dt.timedelta(0))

        assert checks.Outcome("gone") == outcome
        assert before == environment.look().information

    @pytest.mark.parametrize("name", [None, "state.json"])
    def test_never_a_file(self, store, directory, name):
        """
        What a manager's own check was about need not be a file that can be gone.
        """
        environment = store.environment(directory, name)
        with environment.try_check(b"canonical 1") as guard:
            guard.commit(b"canonical 2")
        age = dt.timedelta(0)

        outcome = checks.check(
            environment, lambda *_: b"canonical 3", only_if_due=True, max_age=age
        )
        (result,) = checks.check_all(
            [environment], lambda *_: b"canonical 4", max_age=age
        )

        assert ("checked", "checked") == (outcome.state, result.outcome.state)
        assert b"canonical 4" == environment.kept_lockfile("new")

    def test_no_lockfile_s_name(self, store, directory):
        """
        Nor can a lockfile be gone that has no name, whatever recipe was named.
        """
        environment = store.environment(directory)
        with environment.try_check(b"canonical 1") as guard:
            guard.commit(b"canonical 2", recipe="a manager's own")

        outcome = checks.check(environment, only_if_due=True, max_age=dt.timedelta(0))

        assert "There is no recipe" in outcome.error.message

    def test_first_lockfile(self, environment, directory, lock_of):
        """
        On purpose one may be made, and where none was there, if that is due.
        """
        checks.check(environment, lambda _, old: old)
        (directory / "uv.lock").unlink()

        on_purpose = checks.check(environment, lambda *_: lock_of(attrs="24.3.0"))
        due = checks.check(
            environment,
            lambda *_: lock_of(attrs="25.0"),
            only_if_due=True,
            max_age=dt.timedelta(0),
        )

        assert ("checked", "checked") == (on_purpose.state, due.state)
        assert lock_of(attrs="25.0") == environment.kept_lockfile("new")

    def test_dropped(self, environment, monkeypatch):
        """
        Where another check was faster, its result is kept.
        """
        monkeypatch.setattr(
            "upgrade_state._guard.CheckGuard.commit", lambda *_, **__: False
        )

        outcome = checks.check(environment, lambda _, old: old)

        assert "dropped" == outcome.state

    def test_bug(self, environment):
        """
        A bug of the resolver is no answer; it is remembered and goes on.
        """
        with pytest.raises(ZeroDivisionError):
            checks.check(environment, lambda *_: 1 / 0)
        message = environment.look().information.failure.message
        assert "ZeroDivisionError: division by zero" == message

    @pytest.mark.parametrize(
        ("asked", "words"),
        [
            ({"format": "nothing"}, "nothing"),
            ({"recipe": ""}, "not a recipe's name"),
            ({"max_age": dt.timedelta(-1)}, "max_age"),
            ({"retries": [1.0, -1.0]}, "zero or more: -1.0"),
            ({"retries": (float("nan"),)}, "zero or more: nan"),
        ],
    )
    def test_mistakes(self, environment, asked, words):
        """
        A mistake of the caller is no failure of the check, which is not made.
        """
        with pytest.raises(ValueError, match=words):
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


def record(environment, recipe):
    """
    Make a check that finds nothing, by that recipe.
    """
    outcome = checks.check(environment, lambda _, old: old, recipe=recipe)
    assert "checked" == outcome.state


class TestRecipeOfTheRecord:
    def test_run(self, environment, uv, lock_of):
        """
        Without a resolver the recipe that the record names makes the check.
        """
        record(environment, "uv")

        assert checks.Outcome("checked") == checks.check(environment)
        assert lock_of(attrs="24.3.0") == environment.kept_lockfile("new")
        assert "uv" == environment.look().information.recipe

    def test_none_of_the_callers(self, environment, uv):
        """
        It is the record's word that counts.
        """
        record(environment, None)

        assert "no-recipe" == checks.check(environment, recipe="uv").state
        assert not uv.exists()

    def test_nothing_known(self, environment, uv):
        """
        Where nothing is known nothing is run, and nothing recorded.
        """
        assert checks.Outcome("no-recipe") == checks.check(environment)
        assert not uv.exists()
        assert environment.look().information is None

    def test_none_recorded(self, environment, uv):
        """
        So it is after a check by a command, which is not repeated by itself.
        """
        record(environment, None)
        before = environment.look().information

        outcome = checks.check(environment, only_if_due=True, max_age=dt.timedelta(0))
        assert ("no-recipe", "expired") == (outcome.state, outcome.freshness.reason)
        assert not uv.exists()
        assert before == environment.look().information

    def test_unknown(self, environment):
        """
        A recipe that is gone is a failure, which is remembered with the choices.
        """
        record(environment, "zuv")

        outcome = checks.check(environment)
        assert "failed" == outcome.state
        assert "There is no recipe 'zuv'; recipes:" in outcome.error.message
        assert outcome.error.message == environment.look().information.failure.message
        assert "zuv" == environment.look().information.recipe

    def test_withdrawn(self, environment, uv):
        """
        Consent that is withdrawn before the lock is taken counts.
        """
        record(environment, "uv")
        assert environment.look().freshness(max_age=dt.timedelta(0)).due
        assert environment.forget()

        outcome = checks.check(environment, only_if_due=True)
        assert ("no-recipe", "never-checked") == (
            outcome.state,
            outcome.freshness.reason,
        )
        assert not uv.exists()
        assert environment.look().information is None

    def test_withdrawn_too_late(self, environment):
        """
        During the check it cannot be withdrawn, and says so.
        """
        forgotten = []

        def resolver(environment, old):
            forgotten.append(environment.forget())
            return old

        checks.check(environment, resolver, recipe="uv")

        assert [False] == forgotten
        assert "uv" == environment.look().information.recipe

    def test_not_due(self, environment, uv):
        """
        Whether it is due is decided first.
        """
        record(environment, "uv")

        assert "fresh" == checks.check(environment, only_if_due=True).state
        assert not uv.exists()


class TestCancelled:
    def test_before(self, environment, tmp_path):
        """
        What is cancelled already is not begun, and nothing is touched.
        """
        cancellation = checks.Cancellation()
        cancellation.cancel()
        outcome = checks.check(environment, failing, cancellation=cancellation)

        assert checks.Outcome("cancelled") == outcome
        assert not (tmp_path / "cache").exists()

    def test_during(self, environment):
        """
        What is cancelled meanwhile leaves no failure, and a free lock.
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
        Why the check was due is told, also of one that did not come to its end.
        """

        def resolver(*_):
            raise checks.Cancelled

        cancelled = checks.check(environment, resolver, only_if_due=True)
        failed = checks.check(environment, failing, only_if_due=True)

        states = [(o.state, o.freshness.reason) for o in (cancelled, failed)]
        assert [("cancelled", "never-checked"), ("failed", "never-checked")] == states

    def test_too_late(self, environment):
        """
        Whoever does not look is waited for, and what he found is stored.
        """

        def resolver(_, old):
            cancellation.cancel()
            return old

        cancellation = checks.Cancellation()
        outcome = checks.check(environment, resolver, cancellation=cancellation)

        assert checks.Outcome("checked") == outcome

    def test_of_the_check_only(self, environment):
        """
        After the check nothing is left of it in this thread.
        """
        cancellation = checks.Cancellation()
        checks.check(environment, lambda _, old: old, cancellation=cancellation)

        assert checks.current_cancellation() is None


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

    def test_busy(self, environment):
        """
        It has none if the record was not read.
        """
        with environment.try_check():
            assert checks.check(environment, failing).look is None


class TestJudge:
    def test_half_a_lockfile(self, environment, lock_of):
        """
        What cannot be read where the old one could is a failure.
        """
        outcome = checks.check(environment, lambda *_: b"<<")

        assert (
            "The new lockfile is not a uv lockfile: cannot be parsed; see what wrote it"
            == outcome.error.message
        )

    def test_first_lockfile(self, environment):
        """
        Where there was none, the new one has to be readable, too.
        """
        with pytest.raises(ResolverError):
            checks.judge(environment, None, b"")

    def test_both_unreadable(self, environment):
        """
        What this library does not understand it does not judge.
        """
        assert checks.judge(environment, b"version = 9", b"version = 99") is None

    def test_opaque(self, environment):
        """
        Without a format there is nothing to be read.
        """
        environment = environment.store.environment("/x", "custom.lock")

        assert checks.judge(environment, b"old", b"") is None

    def test_format(self, environment):
        """
        The format may be given.
        """
        environment = environment.store.environment("/x")

        with pytest.raises(ResolverError):
            checks.judge(environment, None, b"", format="uv")
