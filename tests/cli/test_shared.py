"""
Shared results at the command line: the command `shared`, and the option of checks.
"""

import datetime as dt
import importlib
import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from database import name_of
from helpers import DAY, HOUR, LONG_AGO, install_points, run_python, wait_until
from upgrade_state import StateStore
from upgrade_state._messages import moment
from upgrade_state.checks import SharedEntry

# No server answers there.
URL = "postgresql:///team?host=/nowhere&connect_timeout=1"

# Runs a command, and prints the connections that it opens and the modules it loads.
ACTIVATION = f"""
import sys
sys.path = {sys.path}
before, events = set(sys.modules), []
watched = ("socket.", "subprocess.", "os.posix_spawn", "os.fork", "os.exec")
def watch(event, args):
    if event.startswith(watched):
        events.append(event)
sys.addaudithook(watch)
from upgrade_state.cli import main
status = main(sys.argv[1:])
print(*["MARK", status, *events])
print(*sorted(sys.modules.keys() - before))
"""


def activation(*words):
    """
    Return the status, the connections and the modules of a command in a new process.
    """
    code = ACTIVATION.replace("MARK", "\\nactivation")
    out = run_python(code, *words, measured=False)
    seen, modules = out.rpartition("\nactivation ")[2].splitlines()
    return seen.split(), modules.split()


class TestActivations:
    @pytest.mark.parametrize(
        "words",
        [
            ("notify",),
            ("notify", "--check"),
            ("notify", "--peek"),
            ("notify", "--max-age=12h", "--check"),
            ("hook", "bash"),
            ("completion", "zsh"),
            ("completion", "--environments"),
            ("show",),
            ("list",),
        ],
    )
    def test_no_connection(self, environment, commit, lock_of, run, monkeypatch, words):
        """
        With shared results, no activation opens a connection or imports more.
        """
        commit(environment, lock_of(attrs="24.3.0", idna="3.9"), by="uv")
        run("notify", "--always")
        alone = activation(*words)
        monkeypatch.setenv("UPGRADE_STATE_SHARED", URL)
        shared = activation(*words)

        assert ["0"] == shared[0]
        assert alone == shared


POINTS = {
    "upgrade_state.shared": {
        "team": "team_results:Results",
        "bare": "team_results:Bare",
    }
}

PLUGIN = """\
import datetime as dt
import os

from upgrade_state.checks import Reply

NOW = dt.datetime.now(dt.UTC)
WAIT = Reply(busy_until=NOW + dt.timedelta(minutes=15))


class Bare:
    def __init__(self, url):
        self.calls.append(url)

    calls = []

    def close(self):
        self.calls.append("close")


# Replies as the URL says, and then with the result of another checker.
class Results(Bare):
    def __init__(self, url):
        super().__init__(url)
        self.way = url.partition(":")[2]
        self.waits = {"wait": 2, "hang": 999}.get(self.way, 0)

    def ask(self, question, max_age):
        self.calls.append(max_age)
        if self.way == "trouble":
            raise OSError("no route to db.example")
        if self.way == "lease":
            return Reply(fence=7)
        if self.way == "nothing":
            return Reply()
        if self.waits:
            self.waits -= 1
            open(os.environ["TEAM"] + ".waits", "w").close()
            return WAIT
        with open(os.environ["TEAM"], "rb") as file:
            age = dt.timedelta(hours=2)
            return Reply(new_lockfile=file.read(), answered_at=NOW - age)

    def answer(self, question, fence, new_lockfile):
        self.calls.append(fence)
        return True

    def give_up(self, question, fence, *, failed):
        self.calls.append(failed)

    entries, error, ahead = [], None, 0

    def examine(self):
        if self.error:
            raise self.error
        return dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self.ahead)

    def create(self):
        self.calls.append("create")
        if self.error:
            raise self.error
        yield "GRANT EXECUTE ON FUNCTION upgrade_state.ask TO checkers;"

    def list(self):
        yield from self.entries

    def prune(self, older_than):
        self.calls.append(older_than)
        return len(self.entries)
"""


@pytest.fixture
def results(tmp_path, monkeypatch):
    """
    The class of the shared results that another distribution offers.
    """
    site = tmp_path / "plugins"
    install_points(site, "team", POINTS)
    (site / "team_results.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(site)
    modules = (str(site), os.environ["PYTHONPATH"])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(modules))
    monkeypatch.delitem(sys.modules, "team_results", raising=False)
    return importlib.import_module("team_results").Results


def entry(name="uv.lock", *, counts=(0, 0), checked=None, failing=None, **more):
    now = dt.datetime.now(dt.UTC)
    return SharedEntry(
        label=more.pop("label", None),
        lockfile_name=name,
        version_changes=counts and counts[0],
        rebuilds=counts and counts[1],
        last_checked=checked and now - checked,
        failing_since=failing and now - failing,
        **more,
    )


ENTRIES = [
    entry(label="shop", counts=(2, 1), checked=2 * HOUR),
    entry("docs/poetry.lock", checked=HOUR),
    entry(label="hub\x1b[2J", counts=(2, 0), checked=9 * DAY, failing=3 * DAY),
    entry("odd.lock", counts=None, checked=DAY),
    entry("new.lock", counts=None, is_busy=True),
    entry("gone.lock", counts=None),
]


class TestShared:
    def test_init(self, results, run):
        """
        `shared init` creates the place, and prints the statements that come next.
        """
        result = run("shared", "init", "team://hub")

        (line,) = result.out.splitlines()
        assert "GRANT EXECUTE ON FUNCTION upgrade_state.ask TO checkers;" == line
        words = "upgrade-state: shared results are set up; grant these rights next:\n"
        assert (0, words) == (result.status, result.err)
        assert ["team://hub", "create", "close"] == results.calls

    def test_list(self, results, run):
        """
        `shared list` prints a row for each entry, and how many need attention.
        """
        results.entries = ENTRIES
        result = run("shared", "list", "team:")

        *rows, last = result.out.splitlines()
        columns = [row.find("checked") for row in rows[:1] + rows[3:4]]
        assert columns[0] == columns[1]
        since = f"since {moment(ENTRIES[2].failing_since)}"
        both = "2 version changes and 1 rebuild"
        assert [
            ["shop", "uv.lock", "upgrades", both, "checked 2 hours ago"],
            ["", "docs/poetry.lock", "up to date", "checked 1 hour ago"],
            ["hub\\x1b[2J", "uv.lock", "failing", both[:17], since],
            ["", "odd.lock", "checked 1 day ago"],
            ["", "new.lock", "checking"],
            ["", "gone.lock"],
        ] == [re.split("  +", row) for row in rows]
        assert "6 checks: 1 with upgrades, 1 failing" == last
        assert (0, "") == (result.status, result.err)

    def test_one(self, results, run):
        """
        The summary of one entry that needs no attention is short.
        """
        results.entries = [entry(checked=HOUR)]

        assert run("shared", "list", "team:").out.endswith("\n1 check\n")

    def test_json(self, results, run, monkeypatch):
        """
        With --json, each entry is an object; the variable has the URL.
        """
        results.entries = ENTRIES
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:hub")
        result = run("shared", "list", "--json")

        objects = [json.loads(line) for line in result.out.splitlines()]
        shop = objects[0]
        assert ["team:hub", "close"] == results.calls
        assert f"{ENTRIES[0].last_checked:%Y-%m-%dT%H:%M:%SZ}" == shop["last_checked"]
        assert {
            "label": "shop",
            "lockfile": "uv.lock",
            "version_changes": 2,
            "rebuilds": 1,
            "failing_since": None,
            "attempts": 0,
            "is_busy": False,
        } == {k: v for k, v in shop.items() if k != "last_checked"}
        assert objects[2]["failing_since"]
        assert objects[4]["last_checked"] is None

    @pytest.mark.parametrize("options", [(), ("--json",)])
    def test_nothing(self, results, run, options):
        """
        An empty list is the answer no.
        """
        result = run("shared", "list", *options, "team:")

        assert "upgrade-state: there are no shared results yet\n" == result.err
        assert (1, "") == (result.status, result.out)

    @pytest.mark.parametrize(
        ("options", "age", "count", "line"),
        [
            ((), 90 * DAY, 0, "0 results deleted"),
            (("--older-than", "7d"), 7 * DAY, 1, "1 result deleted"),
            (("--older-than", "0"), 0 * DAY, 2, "2 results deleted"),
        ],
    )
    def test_prune(self, results, run, options, age, count, line):
        """
        `shared prune` deletes results of 90 days, or of another age.
        """
        results.entries = ENTRIES[:count]
        result = run("shared", "prune", *options, "team:hub")

        assert (0, f"{line}\n", "") == (result.status, result.out, result.err)
        assert ["team:hub", age, "close"] == results.calls


class TestMistakes:
    @pytest.mark.parametrize(
        ("words", "problem"),
        [
            ((), "shared needs init, list or prune"),
            (("list",), "shared list needs a URL"),
            (("list", ""), "shared list needs a URL"),
            (("lst", "team:"), "shared needs init, list or prune, not 'lst'"),
            (("init", "shop"), "shared results: not a URL such as postgresql:"),
            (("init", "redis:x"), "redis: is no scheme of shared results"),
            (("init", "bare:"), "shared results: those of this kind have no init"),
            (("list", "bare:"), "shared results: those of this kind have no list"),
            (("init", "team:", "--older-than=0"), "has no option '--older-than'"),
            (("prune", "--json", "team:"), "has no option '--json'"),
            (("list", "team:", "more"), "shared does not take 'more'"),
        ],
    )
    def test_usage(self, results, run, words, problem):
        """
        A mistake is one or two lines on stderr.
        """
        result = run("shared", *words)

        assert (2, "") == (result.status, result.out)
        assert problem in result.err
        assert result.err.count("\n") in (1, 2)

    @pytest.mark.parametrize(
        "words",
        [
            ("shared", "list", "postgresql://ana:s3cret@db.example/team"),
            ("shared", "list", "team:", "postgresql://ana:s3cret@db.example/team"),
            ("shared", "postgresql://ana:s3cret@db.example/team"),
            ("shared", "list", "team:", "postgresql:///team?password=s3cret"),
            ("check", "postgresql://ana:s3 c@ret@db.example/team"),
            ("show", "postgresql://ana:s3cret@db.example/team"),
            ("postgresql://ana:s3cret@db.example/team",),
        ],
    )
    def test_password(self, results, run, words):
        """
        No message repeats the password of a URL.
        """
        result = run(*words)

        assert (2, "") == (result.status, result.out)
        assert "s3" not in result.err
        assert "ret" not in result.err

    def test_trouble(self, results, run):
        """
        A server that refuses is one line, and the connection is closed.
        """
        results.error = RuntimeError("could not connect\x1b[2J: refused")
        result = run("shared", "init", "team:")

        line = "upgrade-state: shared results: could not connect\\x1b[2J: refused\n"
        assert (2, "", line) == (result.status, result.out, result.err)
        assert "close" == results.calls[-1]


OTHER = "another checker made this check 2 hours ago"
TROUBLE = (
    "upgrade-state: shared results: OSError: no route to db.example; checked alone\n"
)

# Stands in for uv: prints its version, or upgrades.
UV = """\
#!/bin/sh
test "$1" = --version && exec echo uv 0.9
echo ran >> '{runs}'
sed -i.bak s/3.9/3.10/ uv.lock
"""


@pytest.fixture
def team(results, desk, lock_of, monkeypatch, tmp_path):
    """
    An environment whose check is due, and shared results with another version.
    """
    (tmp_path / "bin" / "uv").write_text(UV.format(runs=desk.runs))
    new = tmp_path / "new.lock"
    new.write_bytes(lock_of(attrs="24.2.0", idna="3.11"))
    monkeypatch.setenv("TEAM", str(new))
    monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:answer")
    return desk


def version_in(environment):
    (upgrade,) = environment.upgrades()
    return upgrade.new


class TestCheck:
    def test_option(self, team, results, run, monkeypatch):
        """
        `check --shared` takes the result of another checker, and says so.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:trouble")
        result = run("check", "--shared", "team:answer")

        place = f"{team.environment.path} (uv.lock)"
        assert f"upgrade-state: {place}: {OTHER}\n" in result.err
        assert 0 == result.status
        assert result.out.startswith(f"{place}: 1 version change available, ")
        assert ("3.11",) == version_in(team.environment)
        assert not team.is_running()
        assert ["team:answer", 0 * DAY, "close"] == results.calls

    def test_lease(self, team, results, run):
        """
        The first checker makes the check for the others, and has nothing to say.
        """
        result = run("check", "--once", "--shared=team:lease")

        assert (0, "") == (result.status, result.err)
        assert ("3.10",) == version_in(team.environment)
        assert ["team:lease", 0 * DAY, 7, "close"] == results.calls

    @pytest.mark.parametrize("way", ["answer", "lease"])
    def test_json(self, team, run, way):
        """
        With --json, a field has whether the result is another checker's.
        """
        result = run("check", "--once", "--json", f"--shared=team:{way}")

        fields = json.loads(result.out)
        assert ("checked", way == "answer") == (fields["outcome"], fields["shared"])

    @pytest.mark.parametrize("words", [("check", "--once"), ("check", "--all")])
    def test_trouble(self, team, results, run, monkeypatch, words):
        """
        If the server cannot be used, the check is made alone; one line says why.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:trouble")
        result = run(*words)

        assert 0 == result.status
        assert result.err.startswith(TROUBLE)
        assert ("3.10",) == version_in(team.environment)
        assert "close" == results.calls[-1]

    @pytest.mark.parametrize(
        ("place", "problem"),
        [
            ("shop", "not a URL such as postgresql:///db?service=team"),
            ("redis:x", "redis: is no scheme of shared results such as postgresql:"),
            ("postgresql://ana:s3cret@db.example/team", "the URL has a password: put"),
        ],
    )
    @pytest.mark.parametrize("mode", ["--once", "--if-due", "--all"])
    def test_unusable(self, team, run, monkeypatch, mode, place, problem):
        """
        A URL of no use is a mistake in the option; in the variable, it is one line.
        """
        refused = run("check", mode, "--shared", place)
        monkeypatch.setenv("UPGRADE_STATE_SHARED", place)
        alone = run("check", mode)

        assert (2, "") == (refused.status, refused.out)
        assert f"upgrade-state: --shared: {problem}" in refused.err
        assert f"upgrade-state: shared results: {problem}" in alone.err
        assert (0, 1) == (alone.status, alone.err.count("checked alone\n"))
        assert "s3cret" not in refused.err + alone.err

    def test_broken(self, team, results, run, monkeypatch):
        """
        Nor does a library that cannot be loaded make a check fail, even as an option.
        """

        def refuse(self, url):
            raise OSError("no libpq")

        monkeypatch.setattr(results, "__init__", refuse)
        result = run("check", "--once", "--shared=team:")

        line = "upgrade-state: shared results: no libpq; checked alone\n"
        assert (0, line) == (result.status, result.err)

    def test_command(self, team, results, run):
        """
        A COMMAND is not shared; only with the option, a line says so.
        """
        silent = run("check", "--", "true")
        result = run("check", "--shared=team:answer", "--", "true")

        problem = "this resolver has no command that prints its version"
        line = f"upgrade-state: shared results: {problem}; checked alone\n"
        assert (0, "") == (silent.status, silent.err)
        assert (0, line) == (result.status, result.err)
        assert ["team:answer", "close"] * 2 == results.calls

    @pytest.mark.parametrize("mode", ["--once", "--if-due", "--all"])
    def test_may_only_ask(self, team, results, run, monkeypatch, mode):
        """
        Nor is a line needed if there is no answer, and the role may only ask.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:nothing")
        silent = run("check", mode)
        team.environment.expire()
        result = run("check", mode, "--shared=team:nothing")

        problem = "there is no usable answer, and this role may not add one"
        line = f"upgrade-state: shared results: {problem}; checked alone\n"
        assert line not in silent.err
        assert (0, 0) == (silent.status, result.status)
        assert result.err.startswith(line)

    def test_without_psycopg(self, team, start, monkeypatch, tmp_path):
        """
        Without psycopg, the line names the extra to install, and so does `doctor`.
        """
        (tmp_path / "site" / "psycopg.py").write_text("raise ImportError('none')")
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "postgresql:///team")
        commands = (("check", "--once"), ("shared", "list"), ("doctor", "--json"))
        processes = [start(*words) for words in commands]
        checked, listed, doctor = (p.communicate(timeout=60) for p in processes)

        assert [0, 2, 1] == [process.returncode for process in processes]
        assert checked[1].endswith("psycopg[binary]: none; checked alone\n")
        for _, line in (checked, listed):
            assert "install upgrade-state[postgresql]" in line
        assert ("3.10",) == version_in(team.environment)
        mend = json.loads(doctor[0])["mend"]
        assert mend.endswith(" --upgrade 'upgrade-state[postgresql]'")

    @pytest.mark.parametrize("words", [("check", "--once"), ("check", "--if-due")])
    def test_none(self, team, results, run, monkeypatch, words):
        """
        An empty URL means that nothing is shared.
        """
        run(*words, "--shared=")
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "")
        run(*words)

        assert [] == results.calls
        assert ("3.10",) == version_in(team.environment)

    def test_if_due(self, team, results, run):
        """
        A check that is made if it is due accepts results of its max age.
        """
        result = run("check", "--if-due", "--max-age=12h")

        place = f"{team.environment.path} (uv.lock)"
        assert (0, f"upgrade-state: {place}: {OTHER}\n") == (result.status, result.err)
        assert ["team:answer", 6 * HOUR, "close"] == results.calls

    def test_all(self, team, results, run):
        """
        So does `check --all`, which marks such results.
        """
        result = run("check", "--all")

        line = f"✓ {team.environment.path} (uv.lock): 1 version change available"
        assert (0, f"{line}, {OTHER}\n") == (result.status, result.out)
        assert ["team:answer", DAY / 2, "close"] == results.calls

    def test_all_as_json(self, team, run):
        """
        With --json, `check --all` has the field, too.
        """
        assert json.loads(run("check", "--all", "--json").out)["shared"]

    def test_in_background(self, team, run):
        """
        A check in the background inherits the variable; its log says the same.
        """
        run("notify", "--check")

        assert f" (uv.lock): {OTHER}\n" in team.ended()
        assert not team.is_running()

    def test_waiting(self, team, in_terminal):
        """
        While another checker is at work, the terminal says so.
        """
        words = ["-m", "upgrade_state", "check", "--once", "--shared=team:wait"]
        shown = in_terminal(words).decode()

        before, _, after = shown.partition("another checker is making this check")
        assert "checking " in before
        assert "checking uv.lock" in after
        assert f"{OTHER}\r\n" in after

    @pytest.mark.parametrize("mode", ["--once", "--all"])
    def test_interrupt(self, team, start, mode):
        """
        Ctrl-C ends the wait.
        """
        process = start("check", mode, "--shared=team:hang")
        wait_until(Path(f"{os.environ['TEAM']}.waits").exists)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)

        assert 130 == process.returncode
        assert not team.is_running()


class TestDoctor:
    @pytest.fixture
    def findings(self, checked, run):
        def run_():
            result = run("doctor", "--json")
            found = [json.loads(line) for line in result.out.splitlines()]
            assert bool(found) == result.status
            assert (
                len(found) * 2 + 1 == len(run("doctor").out.splitlines()) or not found
            )
            return [(f["kind"], f["fact"], f["mend"]) for f in found]

        return run_

    @pytest.mark.parametrize("place", ["", "team:", "bare:"])
    def test_none(self, results, findings, monkeypatch, place):
        """
        Shared results that can be used are no problem.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", place)

        assert [] == findings()
        assert not place or results.calls[-1] == "close"

    def test_variable(self, findings, monkeypatch):
        """
        A URL of no use is found, without its password.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "postgresql://ana:s3cret@db/team")
        ((kind, fact, mend),) = findings()

        assert ("variable", "unset UPGRADE_STATE_SHARED") == (kind, mend)
        assert fact.startswith(
            "UPGRADE_STATE_SHARED is ignored: the URL has a password"
        )
        assert "s3cret" not in fact

    @pytest.mark.parametrize(
        ("advice", "cause", "mend"),
        [
            ("wait", None, "unset UPGRADE_STATE_SHARED"),
            ("wait", ImportError("psycopg"), "'upgrade-state[postgresql]'"),
            ("run 'upgrade-state shared init'", None, "upgrade-state shared init"),
        ],
    )
    def test_trouble(self, results, findings, monkeypatch, advice, cause, mend):
        """
        A server that cannot be used is found, with the command that helps.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:")
        results.error = RuntimeError(f"no answer; {advice}")
        results.error.__cause__ = cause
        ((*found, command),) = findings()

        assert ["shared", "shared results are not used: no answer"] == found
        assert command.endswith(mend)

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (-7205, "the clock is 2 hours ahead of the server's"),
            (7205, "the clock is 2 hours behind the server's"),
            (-290, None),
            (290, None),
        ],
    )
    def test_clock(self, results, findings, monkeypatch, seconds, words):
        """
        A clock that differs from the server's by more than 5 minutes is found.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:")
        results.ahead = seconds

        assert [words] * bool(words) == [fact for _, fact, _ in findings()]


OTHER_VERSION = """\
CREATE OR REPLACE FUNCTION upgrade_state.version() RETURNS bigint
LANGUAGE sql AS 'SELECT 2::bigint'
"""

# The role, a statement before, the problem and the command that mends it.
TROUBLES = {
    "no schema": ("owner", "DROP SCHEMA upgrade_state CASCADE", "no schema", "init"),
    "version": ("owner", OTHER_VERSION, "has version 2 in the database", "unset"),
    "no right": (
        "stranger",
        "SELECT",
        "permission denied for function list",
        "shared init",
    ),
    "no password": ("guarded", "SELECT", "password", "unset"),
    "no role": ("nobody2", "SELECT", 'role "nobody2" does not exist', "unset"),
}


@pytest.mark.database
class TestServer:
    @pytest.fixture
    def shared(self, database, team, run, monkeypatch):
        """
        A database with the schema, which the variable names.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", database)
        assert 0 == run("shared", "init").status
        return database

    def test_init(self, database, run):
        """
        `shared init` makes the schema, also once more; its output is a script.
        """
        results = [run("shared", "init", database) for _ in range(2)]

        assert [0, 0] == [result.status for result in results]
        assert results[0] == results[1]
        line = "GRANT EXECUTE ON FUNCTION upgrade_state.ask TO readers;"
        assert line in results[0].out.splitlines()
        assert 1 == results[0].err.count("\n")

    def test_team(self, shared, team, run, monkeypatch, tmp_path, commit, lock_of):
        """
        One machine makes a check, another uses its result, and the list has it.
        """
        assert (1, "") == (run("shared", "list").status, run("shared", "list").out)
        first = run("check", "--shared", f"{shared}&label=shop%201")
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(tmp_path / "other"))
        other = StateStore().environment(team.environment.path, "uv.lock")
        commit(other, lock_of(attrs="24.2.0"), by="uv", now=LONG_AGO)
        runs = team.runs.read_text()
        second = run("check", "--if-due", "--max-age=1h")
        listed, as_json = run("shared", "list"), run("shared", "list", "--json")
        pruned = run("shared", "prune", "--older-than=0")

        assert 0 == first.status
        assert 0 == second.status
        assert "another checker made this check just now" in second.err
        assert runs == team.runs.read_text()
        row, last = listed.out.splitlines()
        assert [
            "shop 1",
            "uv.lock",
            "upgrades",
            "1 version change",
            "checked just now",
        ] == re.split("  +", row)
        assert "1 check: 1 with upgrades" == last
        assert "shop 1" == json.loads(as_json.out)["label"]
        assert "1 result deleted\n" == pruned.out
        assert 1 == run("shared", "list").status

    @pytest.mark.parametrize("case", TROUBLES)
    def test_trouble(self, server, shared, team, run, monkeypatch, case):
        """
        Each trouble is one line of `check` and `shared`, and a finding of `doctor`.
        """
        role, sql, problem, mend = TROUBLES[case]
        name = name_of(shared)
        server.database("stranger")
        server.sql(sql, name)
        monkeypatch.setenv("UPGRADE_STATE_SHARED", shared.replace("owner@", f"{role}@"))
        listed, checked = run("shared", "list"), run("check", "--once")
        result = run("doctor", "--json")

        assert (2, "") == (listed.status, listed.out)
        assert listed.err.startswith("upgrade-state: shared results: ")
        assert problem in listed.err
        assert listed.err.count("\n") in (1, 2)
        assert ("prints the grants" in listed.err) == ("function" in problem)
        assert 0 == checked.status
        assert checked.err.startswith("upgrade-state: shared results: ")
        assert checked.err.endswith("; checked alone\n")
        assert ("3.10",) == version_in(team.environment)
        finding = json.loads(result.out)
        assert (1, "shared") == (result.status, finding["kind"])
        assert mend in finding["mend"]

    def test_may_only_ask(self, server, shared, team, run, monkeypatch):
        """
        A role that may only ask cannot list, and is no trouble.
        """
        server.database("asking")
        grant = "GRANT EXECUTE ON FUNCTION upgrade_state.ask TO asking"
        server.sql(grant, name_of(shared))
        monkeypatch.setenv("UPGRADE_STATE_SHARED", shared.replace("owner@", "asking@"))
        listed, checked, doctor = (
            run(*words)
            for words in (("shared", "list"), ("check", "--once"), ("doctor",))
        )

        assert "permission denied for function list" in listed.err
        assert (2, (0, ""), 0) == (
            listed.status,
            (checked.status, checked.err),
            doctor.status,
        )
        assert ("3.10",) == version_in(team.environment)
