"""
Shared results: the questions, the replies, and the checks that use them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import signal
import subprocess
import threading
import time

import attrs
import pytest

import helpers
from helpers import (
    DAY,
    HOUR,
    LIMIT,
    NOON,
    SECOND,
    run_at_once,
    uv_lock,
    wait_until,
    worker,
)
from shared_file import LEASE, FileResults
from upgrade_state import Consent, StateStore, checks
from upgrade_state.checks import _sharing
from upgrade_state.checks._sharing import Sharing

# A time without its zone.
NAIVE = NOON.replace(tzinfo=None)

POINTS = {
    "upgrade_state.shared": {
        "memory": "memory_results:Results",
        "broken": "memory_results:missing",
    }
}

PLUGIN = """\
class Results:
    def __init__(self, url):
        self.url = url
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """
    Install a distribution that offers shared results.
    """
    site = tmp_path / "site"
    helpers.install_points(site, "memory", POINTS)
    (site / "memory_results.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(site)


@pytest.fixture(autouse=True)
def supervisor():
    """
    Start the supervisor as it is: other tests measure its coverage.
    """


class TestPlaces:
    def test_plugin(self, plugin):
        """
        The scheme of a URL names the entry point, which gets the whole URL.
        """
        results = checks.shared_results("memory://hub/team?label=shop")

        assert results.url == "memory://hub/team?label=shop"

    def test_broken_plugin(self, plugin):
        """
        An entry point that cannot be loaded is a mistake in the URL.
        """
        with pytest.raises(ValueError, match="Could not load the entry point 'broken'"):
            checks.shared_results("broken:")

    @pytest.mark.parametrize(
        "url", ["", "shop", "/run/postgresql", "Memory:", ":x", "memory:\x1b[2J"]
    )
    def test_no_url(self, plugin, url):
        """
        Text that is no URL is refused, and is not repeated.
        """
        with pytest.raises(ValueError, match="not a URL such as postgresql:") as error:
            checks.shared_results(url)
        assert not url or url not in str(error.value)

    def test_unknown_scheme(self):
        """
        A scheme that is neither built in nor an entry point's is refused.
        """
        with pytest.raises(ValueError, match="redis: is no scheme of shared results"):
            checks.shared_results("redis://db.example/0")

    @pytest.mark.parametrize("scheme", ["memory", "postgresql", "unknown"])
    def test_password(self, plugin, scheme):
        """
        A password in a URL is refused whatever the scheme, and is not repeated.
        """
        with pytest.raises(ValueError, match="has a password") as error:
            checks.shared_results(f"{scheme}://ana:s3cret@db.example/team")
        assert "s3cret" not in str(error.value)


class TestReplies:
    def test_valid(self):
        """
        A reply is an answer with its time, a lease, a time, or nothing.
        """
        answer = checks.Reply(new_lockfile=b"new", answered_at=NOON)

        assert answer.new_lockfile == b"new"
        assert checks.Reply(fence=3) == checks.Reply(fence=3)
        assert checks.Reply() != checks.Reply(busy_until=NOON)

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"new_lockfile": "new", "answered_at": NOON}, TypeError),
            ({"new_lockfile": b"new"}, ValueError),
            (
                {"new_lockfile": b"new", "answered_at": NAIVE},
                ValueError,
            ),
            ({"busy_until": "soon"}, ValueError),
            ({"fence": "3"}, TypeError),
        ],
    )
    def test_invalid(self, fields, error):
        """
        Any other reply is an error of the place that made it.
        """
        with pytest.raises(error):
            checks.Reply(**fields)


class Machine:
    """
    A user with a home, a checkout and a store, who shares results with others.
    """

    def __init__(self, place, patch, tmp_path):
        self.home, self.log = place / "home", tmp_path / "runs"
        self.directory = place / "src" / "shop"
        self.directory.mkdir(parents=True)
        self.home.mkdir()
        (self.directory / "pins.lock").write_bytes(uv_lock(attrs="24.2.0"))
        (self.directory / "wishes").write_text("attrs\n")
        store = StateStore(place / "cache")
        self.environment = store.environment(self.directory, "pins.lock")
        self.results = FileResults(f"file:{tmp_path / 'shared.json'}")
        self.command = COMMAND
        self._patch = patch

    def check(self, resolver=None, **options):
        """
        Make a check as a user asks for it, unless *options* say otherwise.
        """
        self._patch.setenv("HOME", str(self.home))
        options = {"shared": self.results, "format": "uv"} | options
        resolver = self.command if resolver is None else resolver
        return checks.check(self.environment, resolver, **options)

    def check_if_due(self, **options):
        return self.check(only_if_due=True, **options)

    def prepared(self):
        old = (self.directory / "pins.lock").read_bytes()
        return self.command.prepared(self.environment, old)

    def lease(self):
        """
        Begin the check on another machine, and return its fence.
        """
        self._patch.setenv("HOME", str(self.home))
        with self.prepared() as prepared:
            question = checks.Question(prepared.question("uv"), "pins.lock")
        return self.results.ask(question, DAY * 0).fence

    @property
    def runs(self):
        """
        How often any machine has run the tool.
        """
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    @property
    def new(self):
        return self.environment.kept_lockfile("new")

    @property
    def last_checked(self):
        return self.environment.look().information.last_checked


COMMAND = checks.Command(["pins", "lock"], version=["pins", "--version"])

NEW = uv_lock(attrs="24.3.0")

PINS = """\
case $1 in
--version) echo pins 1.0;;
*) echo run >> {log}; {more}; printf %s '{new}' > pins.lock;;
esac
"""


@pytest.fixture
def pins(tool, tmp_path):
    """
    Install the tool, with a line of shell that it runs in a check.
    """

    def install(more=":"):
        log = tmp_path / "runs"
        tool("pins", PINS.format(log=log, more=more, new=NEW.decode()))

    install()
    return install


@pytest.fixture
def machine(pins, tmp_path, monkeypatch):
    return lambda name: Machine(tmp_path / name, monkeypatch, tmp_path)


@pytest.fixture
def two(machine):
    return machine("one"), machine("two")


@pytest.fixture(autouse=True)
def _no_trouble():
    _sharing._TROUBLED.clear()


@pytest.fixture
def no_pauses(monkeypatch):
    """
    Let a check that waits for another checker ask again at once.
    """
    monkeypatch.setattr(_sharing, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(_sharing, "_LONGEST_PAUSE", 0.001)


def outcome(state="checked", **fields):
    return checks.Outcome(state, **fields)


class TestSharing:
    def test_one_run(self, two):
        """
        Of two machines one runs the tool; both know the upgrade, and when it was found.
        """
        one, other = two
        one.check()
        before = one.last_checked
        one.environment.expire()
        shared = other.check_if_due()

        assert ("checked", None, True) == (
            shared.state,
            shared.shared,
            shared.is_shared,
        )
        assert (1, NEW) == (one.runs, other.new)
        # The answer is given before it is stored here, perhaps in another second.
        assert before - other.last_checked <= SECOND
        assert before >= other.last_checked
        assert one.environment.upgrades() == other.environment.upgrades()

    def test_recipe_by_consent(self, two, monkeypatch):
        """
        A check that repeats a recipe is shared, and leaves the consent as it is.
        """
        recipe = checks.Recipe(
            name="pins",
            lockfile="pins.lock",
            argv=COMMAND.argv,
            version=COMMAND.version,
            manifests=["wishes"],
            format="uv",
            upgrade="pins",
        )
        monkeypatch.setattr(
            "upgrade_state.checks._check.recipe_named", lambda _: recipe
        )
        for machine in two:
            resolver = recipe.resolver(machine.environment)
            machine.check(resolver, consent=Consent("pins"), shared=None)
            machine.environment.expire()
        one, other = two
        checks.check(one.environment, only_if_due=True, shared=one.results)
        other.environment.forget()
        refused = checks.check(other.environment, shared=other.results)

        assert ("no-consent", None, False) == (
            refused.state,
            refused.shared,
            refused.is_shared,
        )
        assert Consent("pins") == one.environment.look().consent
        assert other.environment.look().record is None
        assert 3 == one.runs

    def test_on_purpose(self, two):
        """
        A check that the user asks for is made, and answers for the others.
        """
        one, other = two
        one.check()
        other.check()
        (row,) = one.results.rows()

        assert (2, 2) == (one.runs, row["answers"])
        assert [0.0, 0.0] == row["asked"]

    def test_expired(self, two):
        """
        So is the check of an environment that was expired.
        """
        one, other = two
        other.check()
        one.check()
        other.environment.expire()
        other.check_if_due()

        assert 3 == one.runs

    @pytest.mark.parametrize(
        ("options", "seconds"),
        [
            ({"only_if_due": True}, 43_200.0),
            ({"only_if_due": True, "max_age": HOUR}, 1_800.0),
            ({"max_age": HOUR}, 1_800.0),
            ({"max_age": dt.timedelta.max}, 36_500 * 86_400.0),
            ({}, 0.0),
        ],
    )
    def test_max_age(self, machine, options, seconds):
        """
        An answer may be half as old as a check, so by default half a day.
        """
        one = machine("one")
        one.check(**options)
        (row,) = one.results.rows()

        assert [seconds] == row["asked"]

    def test_check_all(self, two):
        """
        Many checks at once share their results, too.
        """
        one, other = two
        both = [machine.environment for machine in two]
        results = checks.check_all(both, COMMAND, shared=one.results, jobs=1)

        assert [False, True] == [result.outcome.is_shared for result in results]
        assert (1, one.new) == (one.runs, other.new)

    def test_observed(self, two):
        """
        The observer sees an answer as it sees a result of the tool.
        """
        seen = []
        for machine in two:
            machine.check_if_due(observe=lambda *sides: seen.append(sides))

        old = (two[0].directory / "pins.lock").read_bytes()
        assert [(old, NEW)] * 2 == seen

    def test_retries(self, machine, pins):
        """
        The second attempt of a check keeps the lease, and answers.
        """
        one = machine("one")
        pins(f"[ $(wc -l < {one.log}) = 2 ] || exit 1")
        made = one.check(retries=[0])
        (row,) = one.results.rows()

        assert outcome() == made
        assert (2, 1, [0.0]) == (one.runs, row["answers"], row["asked"])

    def test_long_attempts(self, machine, pins, monkeypatch):
        """
        An attempt that begins late in the lease takes another one.
        """
        monkeypatch.setattr(_sharing, "_YOUNG", 0.0)
        one = machine("one")
        pins(f"[ $(wc -l < {one.log}) = 2 ] || exit 1")
        made = one.check(retries=[0])
        (row,) = one.results.rows()

        assert outcome() == made
        assert (2, 1, 2) == (one.runs, row["answers"], row["fence"])

    def test_changed_between_attempts(self, machine, pins):
        """
        A project that changes between two attempts is another question.
        """
        one = machine("one")
        pins(
            f"grep -q x {one.directory}/wishes || "
            f"{{ echo x >> {one.directory}/wishes; exit 1; }}"
        )
        made = one.check(retries=[0])
        first, second = one.results.rows()

        assert outcome() == made
        assert ("answers" in first, first["until"], second["answers"]) == (False, 0, 1)

    def test_unknown_between_attempts(self, machine, pins):
        """
        An attempt whose question is unknown does not answer that of an earlier one.
        """
        one = machine("one")
        is_second = f"[ $(wc -l < {one.log}) = 2 ]"
        pins(f"{is_second} || {{ sed -i 's/echo pins/exit 3; &/' $0; exit 1; }}")
        made = one.check(retries=[0])
        (row,) = one.results.rows()

        assert ("checked", 2) == (made.state, one.runs)
        assert "the version of 'pins' is unknown" in made.shared
        assert ("answers" in row, row["until"]) == (False, 0)


class TestFailures:
    def test_all_back_off(self, two, pins):
        """
        A failure is recorded on each machine that would repeat the check.
        """
        one, other = two
        pins("exit 1")
        one.check_if_due()
        refused = other.check_if_due()
        failure = other.environment.look().information.failure

        assert "failed" == refused.state
        assert "has failed on another machine; next attempt" in refused.error.message
        assert (refused.error.message, 1) == (failure.message, one.runs)

    def test_no_retry(self, two, pins):
        """
        The failure of another machine is not tried again at once.
        """
        one, other = two
        pins("exit 1")
        one.check_if_due()
        other.check_if_due(retries=[0, 0])
        (row,) = one.results.rows()

        assert 2 == len(row["asked"])

    def test_on_purpose(self, two, pins):
        """
        The user who asks for a check does not back off.
        """
        one, other = two
        pins("exit 1")
        one.check_if_due()
        pins()

        assert outcome() == other.check()
        assert [43_200.0, 0.0] == one.results.rows()[0]["asked"]

    def test_fails_while_waiting(self, two, pins, no_pauses):
        """
        Nor does it if the check that it waits for fails.
        """
        one, other = two
        fence = one.lease()

        def fail(question, max_age):
            reply = FileResults.ask(other.results, question, max_age)
            if reply.busy_until is not None:
                one.results.give_up(question, fence, failed=True)
            return reply

        other.results.ask = fail

        assert outcome() == other.check()
        first, second, third = one.results.rows()[0]["asked"][1:]
        assert (first, third, 1) == (0.0, 0.0, one.runs)
        assert second > 0

    def test_no_version(self, machine):
        """
        A failure before the question is no failure of others.
        """
        one = machine("one")
        one.command = attrs.evolve(COMMAND, version=["missing"])
        made = one.check()

        assert ("checked", False) == (made.state, made.is_shared)
        assert "There is no command 'missing'" in made.shared
        assert not one.results.path.exists()


class TestWaiting:
    def test_answer(self, two, no_pauses):
        """
        A check that the user asks for waits for the same check, and takes its answer.
        """
        one, other = two
        fence = one.lease()

        def answer(question, max_age):
            reply = FileResults.ask(other.results, question, max_age)
            if len(one.results.rows()[0]["asked"]) == 4:
                assert one.results.answer(question, fence, NEW)
            return reply

        other.results.ask = answer
        made = other.check()

        assert (True, 0, NEW) == (made.is_shared, one.runs, other.new)

    def test_dead_checker(self, two, no_pauses):
        """
        If the other checker dies, this one makes the check once the lease has ended.
        """
        one, other = two
        one.lease()

        def later(question, max_age):
            other.results.ahead += LEASE / 2
            return FileResults.ask(other.results, question, max_age)

        other.results.ask = later

        made = other.check_if_due()

        assert ("checked", None, False) == (made.state, made.shared, made.is_shared)
        assert 1 == one.runs

    def test_cancelled(self, two):
        """
        A check that waits ends at once when it is cancelled; nothing is recorded.
        """
        one, other = two
        one.lease()
        cancellation = checks.Cancellation()

        def asked(question, max_age):
            cancellation.cancel()
            return FileResults.ask(other.results, question, max_age)

        other.results.ask = asked
        begin = time.monotonic()

        assert outcome("cancelled") == other.check(cancellation=cancellation)
        assert 5 > time.monotonic() - begin
        assert other.environment.look().record is None

    def test_interrupted(self, two):
        """
        So it does on Ctrl-C, and leaves no copy.
        """
        one, other = two
        one.lease()

        timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])

        def asked(question, max_age):
            if timer.ident is None:
                timer.start()
            return FileResults.ask(other.results, question, max_age)

        other.results.ask = asked
        with pytest.raises(KeyboardInterrupt):
            other.check()
        timer.join()
        assert other.environment.look().record is None

    def test_impatient(self, two, no_pauses, monkeypatch):
        """
        A server that lets it wait for longer than an hour is not asked again.
        """
        one, other = two
        one.lease()
        monkeypatch.setattr(_sharing, "_PATIENCE", 0.05)
        made = other.check()

        assert "there is no usable answer, and this role may not add one" == made.shared
        assert ("checked", True, 1) == (made.state, made.has_trouble, one.runs)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, checks.Cancelled, OSError])
    def test_lease_is_ended(self, machine, monkeypatch, error):
        """
        The lease of a check that ends early is ended; only a failure backs off.
        """
        one = machine("one")
        with one.prepared() as prepared:
            question = prepared.question("uv")

        def fail(*_):
            raise error

        monkeypatch.setattr(checks.Command, "_resolved", fail)
        with contextlib.suppress(KeyboardInterrupt, OSError):
            one.check()
        (row,) = one.results.rows()

        assert question
        assert 0 == row["until"]
        assert (error is OSError) == bool(row.get("failures"))

    def test_interrupted_answer(self, machine):
        """
        Ctrl-C while the answer is sent ends the lease, too.
        """
        one = machine("one")

        def interrupted(*_):
            raise KeyboardInterrupt

        one.results.answer = interrupted
        with pytest.raises(KeyboardInterrupt):
            one.check()
        (row,) = one.results.rows()

        assert ("answers" in row, row["until"]) == (False, 0)


class TestNotShared:
    def test_late(self, machine, pins):
        """
        An answer that comes too late is dropped there, and stored here.
        """
        one = machine("one")
        one.results.answer = lambda *_: False
        made = one.check()

        assert "another checker took over, so this result is not added" == made.shared
        assert ("checked", NEW) == (made.state, one.new)

    def test_may_not_answer(self, two):
        """
        A machine that may only ask checks alone if there is no answer.
        """
        one, other = two
        other.results.may_answer = False
        alone = other.check_if_due()
        one.check()
        other.environment.forget()
        shared = other.check_if_due()

        assert (
            "there is no usable answer, and this role may not add one" == alone.shared
        )
        assert ("checked", False, False, True) == (
            alone.state,
            alone.has_trouble,
            alone.is_shared,
            shared.is_shared,
        )

    def test_resolver(self, machine):
        """
        A resolver that is no command is called as without shared results.
        """
        one = machine("one")
        made = one.check(lambda *_: NEW)

        assert "this resolver has no command that prints its version" == made.shared
        assert ("checked", False, NEW) == (made.state, made.has_trouble, one.new)

    def test_user_s_command(self, machine):
        """
        So is a command without a version.
        """
        one = machine("one")
        made = one.check(checks.Command(["pins", "lock"]))

        assert "this resolver has no command that prints its version" == made.shared
        assert ("checked", False) == (made.state, made.has_trouble)

    def test_unreadable_copy(self, machine, monkeypatch):
        """
        So is a command whose copy cannot be read.
        """
        one = machine("one")
        refusal = helpers.refuse(errno.EIO)
        monkeypatch.setattr("upgrade_state.checks._question._entries", refusal)
        made = one.check()

        assert ("checked", "[Errno 5] Input/output error") == (made.state, made.shared)

    def test_no_results(self, machine):
        """
        Anything else than shared results is an error of the caller.
        """
        with pytest.raises(TypeError, match="shared must be SharedResults, not str"):
            machine("one").check(shared="postgresql:///team")


class HostileError(Exception):
    message = property(lambda _: 1 / 0)

    def __str__(self):
        raise ValueError


class TroubleError(Exception):
    def __init__(self, message):
        self.message = message


TROUBLES = [
    OSError("refused"),
    ValueError("https://ana:s3cret@db.example/ \x1b[2J is no place"),
    HostileError(),
    MemoryError(),
    TroubleError("the database is\ngone"),
    TroubleError(b"gone"),
    checks.Reply,
]


class TestTrouble:
    @pytest.mark.parametrize("trouble", TROUBLES, ids=repr)
    def test_ask(self, machine, trouble):
        """
        A check is made alone whatever `ask` raises, and says why in one safe line.
        """
        one = machine("one")

        def fail(*_):
            if isinstance(trouble, Exception):
                raise trouble
            return trouble

        one.results.ask = fail
        made = one.check()

        assert ("checked", NEW, 1) == (made.state, one.new, one.runs)
        assert made.has_trouble
        assert made.shared.isprintable()
        assert "s3cret" not in made.shared

    @pytest.mark.parametrize("method", ["answer", "give_up"])
    def test_later(self, machine, pins, method):
        """
        Nor does it matter if `answer` or `give_up` raises.
        """
        one = machine("one")
        calls = []

        def fail(*_, **__):
            calls.append(method)
            raise OSError("dropped")

        setattr(one.results, method, fail)
        if method == "give_up":
            pins("exit 3")
        made = one.check()

        assert [method] == calls
        assert "OSError: dropped" == made.shared
        assert ("failed" if method == "give_up" else "checked") == made.state

    def test_once(self, machine):
        """
        After trouble a check does not call again, not even to end its lease.
        """
        one = machine("one")
        fence = one.lease()
        calls = []

        def ask(question, max_age):
            calls.append(question)
            if len(calls) == 2:
                raise OSError("dropped")
            return FileResults.ask(one.results, question, max_age)

        one.results.ask = ask
        made = one.check()

        assert ("checked", 2, 1) == (made.state, len(calls), fence)

    def test_breaker(self, machine):
        """
        For a minute after trouble, no check of this process asks the same server.
        """
        one, calls = machine("one"), []

        def fail(*_):
            calls.append(1)
            raise OSError("refused")

        one.results.ask = fail
        one.check()
        one.command = attrs.evolve(COMMAND, version=["missing"])  # nor is it run
        second = one.check()

        assert [1] == calls
        assert "not asked for a minute after trouble" == second.shared
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_sharing.time, "monotonic", lambda: 1e9)
            Sharing(one.results, HOUR).ask(checks.Question("0", "pins.lock"))
        assert [1, 1] == calls

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (b"", "is not a uv lockfile"),
            (b"garbage", "is not a uv lockfile"),
            (b"x" * (20 << 20), "is not a uv lockfile"),
            (b'{"lockfileVersion": 3, "packages": {}}', "is not a uv lockfile"),
            (b"\xff\x00" * 100, "is not a uv lockfile"),
        ],
        ids=["empty", "garbage", "20 MB", "npm", "bytes"],
    )
    def test_bad_answer(self, machine, answer, reason):
        """
        An answer that is no lockfile of this format is refused.
        """
        one = machine("one")
        reply = checks.Reply(new_lockfile=answer, answered_at=NOON)
        one.results.ask = lambda *_: reply
        made = one.check()

        assert ("checked", False, NEW) == (made.state, made.is_shared, one.new)
        assert "the shared result is unusable: The new lockfile" in made.shared
        assert reason in made.shared

    def test_large_answer(self, machine, monkeypatch):
        """
        An answer that is larger than any lockfile is trouble.
        """
        one = machine("one")
        large = b"x" * (checks._scratch.MAX_SIZE + 1)
        one.results.ask = lambda *_: checks.Reply(new_lockfile=large, answered_at=NOON)
        made = one.check()

        assert ("checked", NEW) == (made.state, one.new)
        assert "ValueError: Length of" in made.shared

    def test_escape_sequences(self, machine):
        """
        Names in an answer reach no terminal as they are.
        """
        one = machine("one")
        evil = uv_lock(attrs="24.2.0") + uv_lock(**{"\\u001b[2Jevil": "1"})[39:]
        reply = checks.Reply(new_lockfile=evil, answered_at=NOON)
        one.results.ask = lambda *_: reply
        made = one.check()
        names = [row.name for row in one.environment.upgrades()]

        assert made.is_shared
        assert ["evil"] == [name[-4:] for name in names]
        assert all(name.isprintable() for name in names)


class TestClocks:
    @pytest.mark.parametrize("hours", [-5, 0, 5])
    def test_hours_off(self, two, hours):
        """
        A server's clock that is hours off moves no time of a check.
        """
        one, other = two
        one.results.ahead = other.results.ahead = 3600.0 * hours
        one.check()
        other.check_if_due()

        # It has answered before its own commit.
        assert 0 * SECOND <= one.last_checked - other.last_checked <= SECOND
        assert 1 == one.runs

    def test_never_ahead(self, machine):
        """
        A result from the future counts as one of now.
        """
        one = machine("one")
        ahead = dt.datetime.now(dt.UTC) + DAY
        one.results.ask = lambda *_: checks.Reply(new_lockfile=NEW, answered_at=ahead)
        one.check()

        assert one.last_checked <= dt.datetime.now(dt.UTC)


class TestProcesses:
    def test_one_run(self, pins, tmp_path):
        """
        Of many processes at once one runs the tool; the others wait for its answer.
        """
        pins("sleep 0.5")
        url = f"file:{tmp_path / 'shared.json'}"
        made = run_at_once(12, "shared_check", tmp_path / "homes", url)

        assert {("checked", None, NEW.decode())} == {(s, p, n) for s, p, _, n in made}
        assert [False, *[True] * 11] == sorted(is_shared for *_, is_shared, _ in made)
        assert ["run"] == (tmp_path / "runs").read_text().split()

    def test_killed(self, pins, tmp_path, monkeypatch):
        """
        A checker that is killed holds its lease until the end, and no longer.
        """
        monkeypatch.setenv("SHARED_FILE_LEASE", "3")
        pins(f"[ -e {tmp_path}/go ] || sleep 60")
        runs, url = tmp_path / "runs", f"file:{tmp_path / 'shared.json'}"
        arguments = ["shared_check", [tmp_path / "homes", url]]
        with subprocess.Popen(worker(LIMIT, 0, *arguments)) as process:
            wait_until(runs.exists)
            process.kill()
        (tmp_path / "go").touch()
        begin = time.monotonic()
        ((*made, _),) = run_at_once(1, *arguments[:1], *arguments[1])

        assert ["checked", None, False] == made
        assert ["run", "run"] == runs.read_text().split()
        assert 10 > time.monotonic() - begin > 1
