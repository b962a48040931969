"""
Shared results in PostgreSQL: leases, fences, back-off, rights and limits.
"""

import contextlib
import datetime as dt
import os
import re
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

psycopg = pytest.importorskip("psycopg")

import database as databases  # noqa: E402
import processes  # noqa: E402
from helpers import uv_lock  # noqa: E402
from upgrade_state._postgresql import _connection  # noqa: E402
from upgrade_state.checks import _postgresql  # noqa: E402
from upgrade_state.checks._sharing import Question, Reply  # noqa: E402

pytestmark = pytest.mark.database

DAY = dt.timedelta(days=1)
ZERO = dt.timedelta()

# Statements that the documentation gives to administrators.
ASKING = "GRANT EXECUTE ON FUNCTION upgrade_state.ask TO readers;"
ANSWERING = """\
GRANT EXECUTE ON FUNCTION upgrade_state.ask, upgrade_state.answer,
    upgrade_state.give_up TO checkers;"""
LISTING = """\
GRANT EXECUTE ON FUNCTION upgrade_state.list, upgrade_state.prune TO managers;"""

OLD = uv_lock(idna="3.9", pip="25.1")
NEW = OLD.replace(b"3.9", b"3.10")


def question(name="a", **more):
    more = {"lockfile_name": "uv.lock", "format": "uv", "old_lockfile": OLD, **more}
    return Question(digest=name.encode().hex().ljust(64, "0"), **more)


class Team:
    """
    A database with the schema, and the shared results of several checkers.
    """

    def __init__(self, server):
        self.server = server
        self.name = server.database()
        _connection.create(server.url(self.name))
        self.opened = []

    def checker(self, role="owner", server=None, **options):
        url = (server or self.server).url(self.name, role, **options)
        self.opened.append(_postgresql.PostgreSQLResults(url))
        return self.opened[-1]

    def role(self, grants):
        """
        Make a role with these rights in this database only, and return its name.
        """
        name = f"r{time.monotonic_ns()}"
        self.server.sql(f"CREATE ROLE {name} LOGIN")
        if grants:
            self.sql(re.sub(r" TO \w+;", f" TO {name};", grants))
        return name

    def sql(self, sql, role="owner"):
        return self.server.sql(sql, self.name, role)

    @contextlib.contextmanager
    def locked(self, sql):
        """
        Execute a statement in a transaction that ends with this context.
        """
        with psycopg.connect(self.server.url(self.name)) as connection:
            connection.execute(sql)
            yield
            connection.rollback()

    def pass_time(self, **duration):
        """
        Move every time that is stored into the past.
        """
        span = f"interval '{dt.timedelta(**duration).total_seconds()} seconds'"
        names = ("leased_at", "answered_at", "failed_at", "failing_since")
        moved = ", ".join(f"{name} = {name} - {span}" for name in names)
        self.sql(f"UPDATE upgrade_state.results SET {moved}")


@pytest.fixture(scope="module")
def shared_team(server):
    """
    A database for all tests of this module: making one takes longer than a test.
    """
    return Team(server)


@pytest.fixture
def team(shared_team):
    """
    A database with the schema and without rows.
    """
    shared_team.sql("TRUNCATE upgrade_state.results")
    yield shared_team
    while shared_team.opened:
        shared_team.opened.pop().close()


def at_once(count, function):
    """
    Call a function in so many threads at the same time; return its results.
    """
    barrier = threading.Barrier(count, timeout=60)

    def run(number):
        barrier.wait()
        return function(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def is_near(moment, **later):
    """
    Return whether a time is within 10 seconds of now, or of so much later.
    """
    wanted = dt.datetime.now(dt.UTC) + dt.timedelta(**later)
    return abs(moment - wanted) < dt.timedelta(seconds=10)


class TestAsk:
    def test_the_first_checks_and_the_others_get_its_answer(self, team):
        """
        One checker gets the lease, the next waits, and all get the answer.
        """
        one, two = team.checker(), team.checker()

        lease = one.ask(question(), DAY)
        waiting = two.ask(question(), DAY)
        stored = one.answer(question(), lease.fence, NEW)
        reply = two.ask(question(), DAY)

        assert Reply(fence=lease.fence) == lease
        assert Reply(busy_until=waiting.busy_until) == waiting
        assert is_near(waiting.busy_until, minutes=15)
        assert stored
        assert (NEW, None, None) == (reply.new_lockfile, reply.fence, reply.busy_until)
        assert is_near(reply.answered_at)

    def test_questions_are_independent(self, team):
        """
        A lease of one question does not delay another question.
        """
        checker = team.checker()

        fences = [checker.ask(question(name), DAY).fence for name in "abc"]

        assert sorted(set(fences)) == fences

    def test_older_than_max_age(self, team):
        """
        An answer older than the max age is not given; a check is made instead.
        """
        checker = team.checker()
        checker.answer(question(), checker.ask(question(), DAY).fence, NEW)
        team.pass_time(hours=2)

        young = checker.ask(question(), dt.timedelta(hours=1))
        checker.give_up(question(), young.fence, failed=False)
        old = checker.ask(question(), dt.timedelta(hours=3))

        assert young.fence
        assert NEW == old.new_lockfile
        assert is_near(old.answered_at, hours=-2)

    def test_zero(self, team):
        """
        A max age of zero accepts no answer, and waits for a running check.
        """
        one, two = team.checker(), team.checker()
        one.answer(question(), one.ask(question(), DAY).fence, NEW)

        lease = one.ask(question(), ZERO)
        waiting = two.ask(question(), ZERO)
        one.answer(question(), lease.fence, NEW + b"\n")
        reply = two.ask(question(), dt.timedelta(seconds=5))

        assert lease.fence
        assert waiting.busy_until
        assert NEW + b"\n" == reply.new_lockfile

    @pytest.mark.parametrize("max_age", [dt.timedelta.max, dt.timedelta(-1)])
    def test_extreme_max_age(self, team, max_age):
        """
        No duration of a caller is an error.
        """
        assert team.checker().ask(question(), max_age).fence

    def test_asking_again_writes_nothing(self, team):
        """
        A question that is under way, answered or failing is only read.
        """
        row = "SELECT ctid, xmin, xmax FROM upgrade_state.results"
        checker, seen = team.checker(), []

        def ask_again():
            seen.append(team.sql(row))
            for _ in range(5):
                assert checker.ask(question(), DAY).fence is None
            seen.append(team.sql(row))

        fence = checker.ask(question(), DAY).fence
        ask_again()
        checker.give_up(question(), fence, failed=True)
        ask_again()
        checker.answer(question(), checker.ask(question(), ZERO).fence, NEW)
        ask_again()

        assert seen[::2] == seen[1::2]


class TestLease:
    @pytest.mark.parametrize("behind", ["server", "pooler"])
    @pytest.mark.parametrize("state", ["new", "old"])
    def test_a_thousand_at_once(self, team, behind, state, request):
        """
        Of 1 000 checkers that ask at the same time, one makes the check.
        """
        if state == "old":
            checker = team.checker()
            checker.answer(question(), checker.ask(question(), DAY).fence, NEW)
            team.pass_time(days=2)
        crowd = team.checker(server=request.getfixturevalue(behind))
        # The server lets in no more; behind the pooler they share five connections.
        threads = 200 if behind == "pooler" else 50
        connected = threading.Barrier(threads, timeout=60)

        def ask(_):
            with contextlib.suppress(_connection.Trouble):
                crowd.prune(DAY)
            connected.wait()
            return [crowd.ask(question(), DAY) for _ in range(1000 // threads)]

        replies = [reply for answers in at_once(threads, ask) for reply in answers]

        assert 1000 == len(replies)
        assert 1 == sum(reply.fence is not None for reply in replies)
        assert 999 == sum(reply.busy_until is not None for reply in replies)

    def test_its_end(self, team):
        """
        A checker that does not answer delays the check until its lease ends.
        """
        team.checker().ask(question(), DAY)
        checker = team.checker()

        early = checker.ask(question(), DAY)
        team.pass_time(minutes=14, seconds=45)
        later = checker.ask(question(), DAY)
        team.pass_time(seconds=15)
        late = checker.ask(question(), DAY)

        assert is_near(early.busy_until, minutes=15)
        assert is_near(later.busy_until, seconds=15)
        assert late.fence

    def test_a_late_answer_is_dropped(self, team):
        """
        A lease that was taken over can neither answer nor give up.
        """
        slow, quick = team.checker(), team.checker()
        late = slow.ask(question(), DAY).fence
        team.pass_time(minutes=15)
        fence = quick.ask(question(), DAY).fence

        dropped = slow.answer(question(), late, b"late")
        slow.give_up(question(), late, failed=True)
        is_busy = slow.ask(question(), DAY).busy_until is not None
        stored = quick.answer(question(), fence, NEW)
        again = slow.answer(question(), late, b"later")

        assert late < fence
        assert (dropped, is_busy, stored, again) == (False, True, True, False)
        assert NEW == slow.ask(question(), DAY).new_lockfile

    def test_an_overdue_answer_counts(self, team):
        """
        An answer after the end of its lease counts if no checker took it over.
        """
        checker = team.checker()
        fence = checker.ask(question(), DAY).fence
        team.pass_time(hours=1)

        assert checker.answer(question(), fence, NEW)
        assert not checker.answer(question(), fence, b"twice")
        assert NEW == checker.ask(question(), DAY).new_lockfile

    def test_a_fence_of_another_question(self, team):
        """
        A lease answers its own question only.
        """
        checker = team.checker()
        fence = checker.ask(question("a"), DAY).fence

        assert not checker.answer(question("b"), fence, NEW)
        checker.ask(question("b"), DAY)
        assert not checker.answer(question("b"), fence, NEW)

    def test_a_locked_row(self, team):
        """
        A checker does not wait for a session that has locked the row.
        """
        checker = team.checker()
        checker.give_up(question(), checker.ask(question(), DAY).fence, failed=False)
        with team.locked("SELECT FROM upgrade_state.results FOR UPDATE"):
            reply = checker.ask(question(), DAY)

        assert is_near(reply.busy_until, minutes=15)
        assert checker.ask(question(), DAY).fence

    @pytest.mark.parametrize("event", ["lease", "answer"])
    def test_a_row_that_changes_meanwhile(self, server, event):
        """
        A checker decides again if the row changes after it was read.
        """
        team = Team(server)
        quick, slow = team.checker(), team.checker(team.role(ANSWERING))
        fence = quick.ask(question(), DAY).fence
        team.pass_time(minutes=16)
        team.sql(
            "CREATE OR REPLACE FUNCTION upgrade_state.seconds_since(moment timestamptz)"
            " RETURNS double precision LANGUAGE sql AS $$"
            " SELECT extract(epoch FROM clock_timestamp() - moment)::float8"
            " FROM pg_sleep(CASE session_user WHEN 'owner' THEN 0 ELSE 0.3 END) $$"
        )
        sleeping = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(slow.ask, question(), DAY)
            processes.wait_for(lambda: team.sql(sleeping))
            if event == "lease":
                assert quick.ask(question(), DAY).fence
            else:
                assert quick.answer(question(), fence, NEW)
            reply = future.result()
        slow.close()
        quick.close()

        assert reply.fence is None
        assert (reply.busy_until is not None) == (event == "lease")
        assert reply.new_lockfile == (NEW if event == "answer" else None)

    def test_an_unfinished_row(self, team):
        """
        A session that keeps a new row open is waited for, but not for long.
        """
        start = time.monotonic()
        ask = f"upgrade_state.ask(decode('{question().digest}', 'hex'), 1, 'x', NULL)"
        with (
            team.locked(f"SELECT FROM {ask}"),
            pytest.raises(_connection.Trouble, match="lock timeout"),
        ):
            team.checker().ask(question(), DAY)

        assert time.monotonic() - start < 4

    def test_a_server_that_restarts(self, own):
        """
        Leases, answers and fences survive a restart; connections are replaced.
        """
        checker = Team(own).checker()
        fence = checker.ask(question(), DAY).fence
        own.stop("fast")
        own.start()
        busy = checker.ask(question(), DAY)
        stored = checker.answer(question(), fence, NEW)
        own.stop("fast")
        own.start()
        reply = checker.ask(question(), DAY)
        checker.close()

        assert (True, True) == (busy.busy_until is not None, stored)
        assert NEW == reply.new_lockfile


class TestBackOff:
    def test_failures(self, team):
        """
        Checkers wait 5 minutes after a failure, then twice as long, up to a day.
        """
        one, two = team.checker(), team.checker()
        waits = []
        for _ in range(12):
            one.give_up(question(), one.ask(question(), DAY).fence, failed=True)
            until = two.ask(question(), DAY).failing_until
            wait = round((until - dt.datetime.now(dt.UTC)).total_seconds())
            waits.append(wait)
            team.pass_time(seconds=wait - 20)
            assert two.ask(question(), DAY).failing_until
            team.pass_time(seconds=21)

        assert pytest.approx([300 * 2**n for n in range(9)], abs=10) == waits[:9]
        assert pytest.approx([86400] * 3, abs=10) == waits[9:]

    def test_a_check_on_purpose(self, team):
        """
        A max age of zero makes a check that fails, and its failure counts for others.
        """
        checker = team.checker()
        for _ in range(2):
            fence = checker.ask(question(), ZERO).fence
            checker.give_up(question(), fence, failed=True)

        assert is_near(checker.ask(question(), DAY).failing_until, minutes=10)

    def test_a_short_max_age(self, team):
        """
        The back-off does not depend on the max age of those that ask.
        """
        checker = team.checker()
        for _ in range(8):
            fence = checker.ask(question(), ZERO).fence
            checker.give_up(question(), fence, failed=True)
        team.pass_time(hours=10)

        reply = checker.ask(question(), dt.timedelta(minutes=15))

        assert is_near(reply.failing_until, minutes=40)

    def test_waiting_for_a_check_on_purpose(self, team):
        """
        A checker that has waited gets the failure, but not an earlier one.
        """
        one, two = team.checker(), team.checker()
        one.give_up(question(), one.ask(question(), ZERO).fence, failed=True)
        team.pass_time(minutes=1)
        fence = one.ask(question(), ZERO).fence
        assert two.ask(question(), ZERO).busy_until

        one.give_up(question(), fence, failed=False)
        second = two.ask(question(), dt.timedelta(seconds=30)).fence
        two.give_up(question(), second, failed=True)
        reply = one.ask(question(), dt.timedelta(seconds=30))

        assert second
        assert is_near(reply.failing_until, minutes=10)

    def test_an_answer_ends_it(self, team):
        """
        Failures before an answer do not count.
        """
        checker = team.checker()
        for failed in (True, True, None, True):
            fence = checker.ask(question(), ZERO).fence
            if failed:
                checker.give_up(question(), fence, failed=True)
            else:
                checker.answer(question(), fence, NEW)
        team.sql("UPDATE upgrade_state.results SET answered_at = NULL")

        assert is_near(checker.ask(question(), DAY).failing_until, minutes=5)

    def test_a_check_that_was_not_made(self, team):
        """
        A checker that gives up without a failure leaves the check to the next.
        """
        one, two = team.checker(), team.checker()
        one.give_up(question(), one.ask(question(), DAY).fence, failed=False)

        assert two.ask(question(), DAY).fence


class TestClocks:
    @pytest.mark.parametrize("hours", [-5, 5])
    def test_a_client_whose_clock_is_wrong(self, team, monkeypatch, hours):
        """
        The server's clock decides, and times come in terms of the local clock.
        """
        wrong, right = team.checker(), team.checker()
        right.answer(question(), right.ask(question(), DAY).fence, NEW)
        team.pass_time(minutes=30)
        true_time = time.time
        monkeypatch.setattr(time, "time", lambda: true_time() + hours * 3600)

        reply = wrong.ask(question(), dt.timedelta(hours=1))
        lease = wrong.ask(question(), dt.timedelta(minutes=29))
        waiting = wrong.ask(question(), dt.timedelta(minutes=29))

        assert is_near(reply.answered_at, hours=hours, minutes=-30)
        assert lease.fence
        assert is_near(waiting.busy_until, hours=hours, minutes=15)

    def test_a_server_whose_clock_was_set_back(self, team):
        """
        Times in the server's future count as long ago.
        """
        checker = team.checker()
        checker.answer(question("a"), checker.ask(question("a"), DAY).fence, NEW)
        checker.give_up(
            question("b"), checker.ask(question("b"), DAY).fence, failed=True
        )
        checker.ask(question("c"), DAY)
        team.pass_time(minutes=-6)

        assert [False] * 3 == [e.is_busy for e in checker.list()]
        assert all(checker.ask(question(name), DAY).fence for name in "abc")

    def test_a_server_whose_clock_was_corrected(self, team):
        """
        A check on purpose accepts no answer from the next minutes.
        """
        checker = team.checker()
        checker.answer(question(), checker.ask(question(), DAY).fence, NEW)
        team.pass_time(minutes=-4)

        assert NEW == checker.ask(question(), DAY).new_lockfile
        assert checker.ask(question(), ZERO).fence


class TestRights:
    def test_a_role_that_may_ask(self, team):
        """
        A role that may only ask gets answers, waits for checks, and gets no lease.
        """
        asker, checker = team.checker(team.role(ASKING)), team.checker()

        nothing = asker.ask(question(), DAY)
        fence = checker.ask(question(), DAY).fence
        waiting = asker.ask(question(), DAY)
        checker.give_up(question(), fence, failed=True)
        failing = asker.ask(question(), DAY)
        on_purpose = asker.ask(question(), ZERO)
        checker.answer(question(), checker.ask(question(), ZERO).fence, NEW)
        reply = asker.ask(question(), DAY)

        assert Reply() == nothing == on_purpose
        assert waiting.busy_until
        assert failing.failing_until
        assert NEW == reply.new_lockfile

    @pytest.mark.parametrize(
        ("grants", "refused"),
        [
            ("", "ask answer give_up list prune"),
            (ASKING, "answer give_up list prune"),
            (ANSWERING, "list prune"),
            (LISTING, "ask answer give_up"),
            (ANSWERING + LISTING, ""),
        ],
    )
    def test_refused(self, team, grants, refused):
        """
        A role has the rights that were granted, and none to the rows.
        """
        fence = team.checker().ask(question(), DAY).fence
        role = team.role(grants)
        results, found, messages = team.checker(role), [], []
        for name, call in {
            "ask": lambda: results.ask(question(), DAY),
            "answer": lambda: results.answer(question(), fence, NEW),
            "give_up": lambda: results.give_up(question(), fence, failed=True),
            "list": lambda: [*results.list()],
            "prune": lambda: results.prune(DAY),
        }.items():
            try:
                call()
            except _connection.Trouble as error:
                found.append(name)
                messages.append(error.message)

        assert refused.split() == found
        assert all("permission denied" in message for message in messages)
        for statement in (
            "SELECT * FROM upgrade_state.results",
            "DELETE FROM upgrade_state.results",
            "SELECT nextval('upgrade_state.fences')",
            "CREATE TABLE upgrade_state.t ()",
        ):
            with pytest.raises(Exception, match="permission denied"):
                team.sql(statement, role)

    def test_a_group(self, team):
        """
        The right to answer may come from a group.
        """
        group, member = team.role(ANSWERING), team.role("")
        team.server.sql(f"GRANT {group} TO {member}")

        assert team.checker(member).ask(question(), DAY).fence

    def test_objects_of_a_caller(self, team):
        """
        Tables and functions of a role's own do not replace those of the schema.
        """
        role = team.role(ANSWERING)
        digest = f"decode('{question().digest}', 'hex')"
        ((lease,),) = team.sql(
            f"""
            CREATE TEMPORARY TABLE results (LIKE pg_class);
            CREATE TEMPORARY SEQUENCE fences START 1000000;
            CREATE FUNCTION pg_temp.seconds_since(timestamptz)
                RETURNS double precision LANGUAGE sql AS 'SELECT 0::float8';
            SET search_path = pg_temp, upgrade_state;
            SELECT lease FROM upgrade_state.ask({digest}, 1, 'x', NULL)
            """,
            role,
        )

        assert lease < 1_000_000


class TestLimits:
    def test_20_megabytes(self, team):
        """
        An answer that is too large is not sent, and the next may make the check.
        """
        checker = team.checker()
        fence = checker.ask(question(), DAY).fence

        with pytest.raises(ValueError, match="16 MiB"):
            checker.answer(question(), fence, bytes(20_000_000))

        assert checker.ask(question(), DAY).fence

    def test_16_mebibytes(self, team):
        """
        The largest answer arrives unchanged.
        """
        content = os.urandom(16 << 20)
        checker = team.checker()

        assert checker.answer(question(), checker.ask(question(), DAY).fence, content)
        assert content == checker.ask(question(), DAY).new_lockfile

    @pytest.mark.parametrize(
        "call",
        [
            "ask(sha224('x'), 1, 'x', NULL)",
            "ask(sha256('x') || '0'::bytea, 1, 'x', NULL)",
            "ask(sha256('x'), 1, repeat('x', 201), NULL)",
            "ask(sha256('x'), 1, NULL, NULL)",
            "ask(sha256('x'), 1, 'x', repeat('x', 201))",
            "answer(sha256('a'), FENCE, decode(repeat('00', 16777217), 'hex'), 1, 1)",
        ],
    )
    def test_a_malicious_role(self, team, call):
        """
        A role that may answer cannot store more than the library would.
        """
        role = team.role(ANSWERING)
        ask = "SELECT lease FROM upgrade_state.ask(sha256('a'), 1, 'x', NULL)"
        ((fence,),) = team.sql(ask, role)

        with pytest.raises(Exception, match="violates"):
            team.sql(f"SELECT upgrade_state.{call}".replace("FENCE", f"{fence}"), role)

        assert [(1,)] == team.sql("SELECT count(*) FROM upgrade_state.results")

    def test_names(self, team):
        """
        Any name of a lockfile and any label can be stored, shortened if necessary.
        """
        checker = team.checker(label="\N{SNOWMAN}" * 300)
        names = ["l" * 300, "\udcff.lock", "\x1b[31m.lock", "\N{SNOWMAN}" * 300]
        for number, name in enumerate(names):
            strange = question(f"{number}", lockfile_name=name)
            assert checker.ask(strange, DAY).fence
        entries = list(checker.list())

        wanted = ["\N{SNOWMAN}" * 200, "\x1b[31m.lock", "?.lock", "l" * 200]
        assert wanted == [entry.lockfile_name for entry in entries]
        assert wanted[:1] * 4 == [entry.label for entry in entries]


class TestLabel:
    @pytest.mark.parametrize(
        ("options", "label"),
        [
            ("", None),
            ("label=", None),
            ("label=shop", "shop"),
            ("label=my%20shop+1&connect_timeout=3", "my shop+1"),
        ],
    )
    def test_parameter(self, team, options, label):
        """
        The label in the URL is for the list, and not for the server's client.
        """
        url = team.server.url(team.name)
        parts = (part for part in (options, url.partition("?")[2]) if part)
        team.opened.append(
            _postgresql.PostgreSQLResults(f"{url.partition('?')[0]}?{'&'.join(parts)}")
        )
        results = team.opened[-1]
        results.ask(question("a"), DAY)

        assert [label] == [entry.label for entry in results.list()]

    @pytest.mark.parametrize(
        "url", ["postgresql:///db?label=%00", "postgresql:///db?label=%1b[31m"]
    )
    def test_control_characters(self, url):
        """
        A label is printable.
        """
        with pytest.raises(ValueError, match="control characters"):
            _postgresql.PostgreSQLResults(url)

    def test_no_parameters(self):
        """
        Nothing but the label may be in the URL.
        """
        _postgresql.PostgreSQLResults("postgresql:///db?label=x").close()
        _postgresql.PostgreSQLResults("postgresql:///db").close()


class TestList:
    def test_entries(self, team):
        """
        An entry says when a question was answered or failed, and with which result.
        """
        plain, checker = team.checker(), team.checker(label="shop")
        for name in "abc":
            asked = question(name)
            fence = (plain if name == "c" else checker).ask(asked, DAY).fence
            if name != "c":
                checker.answer(asked, fence, NEW)
            if name == "b":
                fence = checker.ask(asked, ZERO).fence
                checker.give_up(asked, fence, failed=True)
        team.pass_time(minutes=10)
        busy, failing, answered = checker.list()

        assert (None, "uv.lock", None, None) == (
            busy.label,
            busy.lockfile_name,
            busy.version_changes,
            busy.last_checked,
        )
        assert [True, False, False] == [e.is_busy for e in (busy, failing, answered)]
        assert [0, 1, 0] == [e.attempts for e in (busy, failing, answered)]
        assert "shop" == failing.label == answered.label
        assert (1, 0) == (answered.version_changes, answered.rebuilds)
        assert is_near(failing.failing_since, minutes=-10)
        assert is_near(answered.last_checked, minutes=-10)
        assert answered.failing_since is None

    def test_the_first_failure(self, team):
        """
        An entry shows the first failure after an answer, and the latest label.
        """
        for label in ("old", "new"):
            checker, asked = team.checker(label=label), question()
            checker.give_up(asked, checker.ask(asked, ZERO).fence, failed=True)
            team.pass_time(minutes=30)
        (entry,) = checker.list()

        assert is_near(entry.failing_since, minutes=-60)
        assert (2, "new") == (entry.attempts, entry.label)

    @pytest.mark.parametrize(
        ("changes", "counts"),
        [
            ({}, (1, 0)),
            ({"old_lockfile": NEW}, (0, 0)),
            ({"old_lockfile": None}, (None, None)),
            ({"format": None}, (None, None)),
            ({"old_lockfile": b"["}, (None, None)),
            ({"old_lockfile": OLD + b"#" * (1 << 20)}, (None, None)),
        ],
    )
    def test_counts(self, team, changes, counts):
        """
        The counts are unknown if the lockfiles do not tell, or are very large.
        """
        checker, asked = team.checker(), question(**changes)
        checker.answer(asked, checker.ask(asked, DAY).fence, NEW)

        (entry,) = checker.list()

        assert counts == (entry.version_changes, entry.rebuilds)

    def test_prune(self, team):
        """
        Pruning deletes questions that were not checked again, and no running check.
        """
        checker = team.checker()
        checker.answer(question("a"), checker.ask(question("a"), DAY).fence, NEW)
        checker.give_up(
            question("b"), checker.ask(question("b"), DAY).fence, failed=True
        )
        team.pass_time(days=30)
        checker.answer(question("c"), checker.ask(question("c"), DAY).fence, NEW)
        fence = checker.ask(question("d"), DAY).fence

        assert 0 == checker.prune(dt.timedelta(days=31))
        assert 2 == checker.prune(dt.timedelta(days=29))
        assert 1 == checker.prune(ZERO)
        assert checker.answer(question("d"), fence, NEW)

    def test_a_pruned_question(self, team):
        """
        A lease from before a question was pruned stays without effect.
        """
        checker = team.checker()
        late = checker.ask(question(), DAY).fence
        team.pass_time(hours=1)
        checker.prune(ZERO)

        assert checker.ask(question(), DAY).fence > late
        assert not checker.answer(question(), late, b"late")

    def test_no_user_path_or_host(self, team):
        """
        The rows name no user, path or machine.
        """
        role = team.role(ANSWERING)
        checker = team.checker(role)
        checker.answer(question(), checker.ask(question(), DAY).fence, NEW)
        checker.give_up(
            question("b"), checker.ask(question("b"), DAY).fence, failed=True
        )
        team.checker(role, label="shop").ask(question("c"), DAY)

        place = str(team.server.place)
        argv = ["--data-only", "--inserts", "-n", "upgrade_state"]
        argv = [databases.find("pg_dump"), *argv, team.server.url(team.name)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        rows = [line for line in done.stdout.splitlines() if "results" in line]

        assert 3 == sum(line.startswith("INSERT") for line in rows)
        for private in (role, "owner", place, os.uname().nodename, os.getcwd(), "/"):
            assert private not in "\n".join(r for r in rows if r.startswith("INSERT"))


class TestSchema:
    def test_the_rights_that_are_printed(self, server):
        """
        Creating the schema returns the statements that these tests execute.
        """
        with contextlib.closing(
            _postgresql.PostgreSQLResults(server.url(server.database()))
        ) as results:
            lines = "\n".join(results.create())
            is_usable = results.ask(question(), DAY).fence is not None

        assert is_usable
        assert all(grants in lines for grants in (ASKING, ANSWERING, LISTING))
        assert 3 == lines.count("GRANT")

    def test_examine(self, team):
        """
        A role that may ask learns the server's time.
        """
        now = team.checker(team.role(ASKING)).examine()
        with pytest.raises(PermissionError, match="may not ask"):
            team.checker(team.role("")).examine()

        assert abs(now.timestamp() - time.time()) < 10

    def test_created_by_many_at_once(self, server):
        """
        The schema can be created by several at once, and again, with rows in it.
        """
        url = server.url(server.database())
        at_once(4, lambda _: _connection.create(url))
        results = _postgresql.PostgreSQLResults(url)
        results.answer(question(), results.ask(question(), DAY).fence, NEW)
        at_once(2, lambda _: _connection.create(url))
        reply = results.ask(question(), DAY)
        results.close()

        assert NEW == reply.new_lockfile

    def test_an_ordinary_owner(self, server):
        """
        The owner of a database creates the schema; no superuser is needed.
        """
        role = f"r{time.monotonic_ns()}"
        server.sql(f"CREATE ROLE {role} LOGIN")
        name = server.database()
        server.sql(f"ALTER DATABASE {name} OWNER TO {role}")
        _connection.create(server.url(name, role))
        results = _postgresql.PostgreSQLResults(server.url(name, role))
        fence = results.ask(question(), DAY).fence
        results.close()

        assert fence
