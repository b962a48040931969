"""
Shared results at the command line: the command `shared`, and the option of checks.
"""

import datetime as dt
import importlib
import json
import re
import sys

import pytest

from helpers import DAY, HOUR, run_python
from upgrade_state.checks._sharing import Entry

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


POINTS = """\
[upgrade_state.shared]
team = team_results:Results
bare = team_results:Bare
"""

PLUGIN = """\
import time


class Bare:
    def __init__(self, url):
        self.calls.append(url)

    calls = []

    def close(self):
        self.calls.append("close")


class Results(Bare):
    entries, error, examined = [], None, (True, 0)

    def examine(self):
        if self.error:
            raise self.error
        may_answer, ahead = self.examined
        return may_answer, time.time() + ahead

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
    info = tmp_path / "site" / "team-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: team\nVersion: 1\n")
    (info / "entry_points.txt").write_text(POINTS)
    (info.parent / "team_results.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(info.parent)
    monkeypatch.delitem(sys.modules, "team_results", raising=False)
    return importlib.import_module("team_results").Results


def entry(name="uv.lock", *, label=None, counts=(0, 0), checked=None, failing=None):
    now = dt.datetime.now(dt.UTC)
    return Entry(
        label=label,
        lockfile_name=name,
        version_changes=counts and counts[0],
        rebuilds=counts and counts[1],
        last_checked=checked and now - checked,
        failing_since=failing and now - failing,
    )


ENTRIES = [
    entry(label="shop", counts=(2, 1), checked=2 * HOUR),
    entry("docs/poetry.lock", checked=HOUR),
    entry(label="hub\x1b[2J", counts=(2, 0), checked=9 * DAY, failing=3 * DAY),
    entry("odd.lock", counts=None, checked=DAY),
    entry("new.lock", counts=None),
]


class TestShared:
    def test_init(self, results, run):
        """
        `shared init` creates the place, and prints the statements that come next.
        """
        result = run("shared", "init", "team://hub")

        (line,) = result.out.splitlines()
        assert "GRANT EXECUTE ON FUNCTION upgrade_state.ask TO checkers;" == line
        assert (0, "") == (result.status, result.err)
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
        both = "2 version changes and 1 rebuild"
        assert [
            ["shop", "uv.lock", "upgrades", both, "checked 2 hours ago"],
            ["", "docs/poetry.lock", "up to date", "checked 1 hour ago"],
            ["hub\\x1b[2J", "uv.lock", "failing", both[:17], "failed first 3 days ago"],
            ["", "odd.lock", "checked 1 day ago"],
            ["", "new.lock"],
        ] == [re.split("  +", row) for row in rows]
        assert "5 checks: 1 with upgrades, 1 failing" == last
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
            (("init", "redis:x"), "no shared results for URLs with redis:"),
            (("init", "bare:"), "shared results of this kind have no init"),
            (("list", "bare:"), "shared results of this kind have no list"),
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
        ("state", "cause", "mend"),
        [
            (None, None, "unset UPGRADE_STATE_SHARED"),
            (None, ImportError("psycopg"), "'upgrade-state[postgresql]'"),
            ("3F000", None, "upgrade-state shared init"),
        ],
    )
    def test_trouble(self, results, findings, monkeypatch, state, cause, mend):
        """
        A server that cannot be used is found, with the command that helps.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:")
        results.error = RuntimeError("no answer; wait for it")
        results.error.sqlstate = state
        results.error.__cause__ = cause
        ((*found, command),) = findings()

        assert ["shared", "shared results are not used: no answer"] == found
        assert command.endswith(mend)

    def test_rights(self, results, findings, monkeypatch):
        """
        A role that may only ask is found.
        """
        monkeypatch.setenv("UPGRADE_STATE_SHARED", "team:")
        results.examined = (False, 0)

        fact = "shared results: this role may ask and not answer"
        assert [("shared", fact, "upgrade-state shared init")] == findings()

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
        results.examined = (True, seconds)

        assert [words] * bool(words) == [fact for _, fact, _ in findings()]
