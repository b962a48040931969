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
        assert "uv" == environment.read().recipe
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
        assert "no network" == environment.read().failure.message

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

    def test_dropped(self, environment, monkeypatch):
        """
        Where another check was faster, its result is kept.
        """
        monkeypatch.setattr(
            "upgrade_state._store.CheckGuard.commit", lambda *_, **__: False
        )

        outcome = checks.check(environment, lambda _, old: old)

        assert "dropped" == outcome.state

    def test_bug(self, environment):
        """
        A bug of the resolver is no answer; it is remembered and goes on.
        """
        with pytest.raises(ZeroDivisionError):
            checks.check(environment, lambda *_: 1 / 0)
        message = environment.read().failure.message
        assert "ZeroDivisionError: division by zero" == message


class TestJudge:
    def test_half_a_lockfile(self, environment, lock_of):
        """
        What cannot be read where the old one could is a failure.
        """
        outcome = checks.check(environment, lambda *_: b"<<")

        assert (
            "The new lockfile is not a uv lockfile: cannot be parsed"
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
