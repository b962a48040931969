"""
Environments with names: several that share a lockfile or a directory.
"""

import json
import re
from pathlib import Path

import pytest

from helpers import LONG_AGO, fail
from upgrade_state import Consent, StateStore
from upgrade_state.cli import _list
from upgrade_state.lockfiles import Upgrade

ROWS = [Upgrade("attrs", "version", old=("24.2.0",), new=("24.3.0",))]


@pytest.fixture
def docs(shop, commit):
    return named(shop, commit, "docs")


@pytest.fixture
def tests(shop, commit):
    return named(shop, commit, "tests")


def named(shop, commit, name, lockfile="uv.lock", **more):
    environment = StateStore().environment(shop, lockfile, name=name)
    commit(environment, b"new", upgrades=ROWS, **more)
    return environment


def is_snoozed(environment):
    return environment.look().information.snoozed_until is not None


class TestFound:
    def test_show(self, docs, tests, shop, run):
        """
        Each is shown with its name, and so are its commands.
        """
        shown = run("show").out

        assert f"{shop} (uv.lock, docs): 1 version change available" in shown
        assert f"\n\n{shop} (uv.lock, tests): " in shown
        assert "snooze --lockfile uv.lock --name docs --for 7d (notices)" in shown
        assert "never checked" not in shown

    def test_show_one(self, docs, tests, shop, run):
        """
        A name selects one, whether or not its lockfile is named.
        """
        asked = ["--name=docs"], ["--lockfile=uv.lock", "--name", "docs"]
        asked += ([shop, "--name=docs"], [f"{shop}/uv.lock", "--name=docs"])

        (shown,) = {run("show", *words).out for words in asked}

        assert shown.startswith(f"{shop} (uv.lock, docs): ")
        assert "tests" not in shown

    def test_all_of_a_lockfile(self, docs, tests, shop, run):
        """
        Without a name, all of a lockfile are shown, and those of no other one.
        """
        (shop / "pdm.lock").touch()

        by_option, by_path = run("show", "--lockfile=uv.lock"), run("show", "uv.lock")

        assert by_option.out == by_path.out
        assert by_option.out.count("(uv.lock, ") == 2
        assert "also here: pdm.lock (never checked)" in run("show").out

    def test_alone(self, docs, shop, run):
        """
        The commands of the only one need no name, except those that find no record.
        """
        shown = run("show").out

        assert "  to stop       upgrade-state snooze --for 7d (notices)\n" in shown
        assert "'upgrade-state notify --lockfile uv.lock --name docs' gives" in shown
        command = "'upgrade-state check --lockfile uv.lock --name docs -- COMMAND'"
        assert f"not automatic; {command} makes one" in shown

    def test_besides(self, docs, environment, commit, shop, run):
        """
        An environment of the whole lockfile is one of them.
        """
        commit(environment, b"new")

        shown = run("show").out

        assert [f"{shop} (uv.lock): ", f"{shop} (uv.lock, docs): "] == [
            line[: line.index("): ") + 3]
            for line in shown.splitlines()
            if line.startswith(str(shop))
        ]

    def test_without_a_lockfile(self, shop, commit, run):
        """
        An environment without a lockfile is found by its name.
        """
        named(shop, commit, "py311", None)

        shown, notice = run("show"), run("notify", "--always", "--name=py311")

        assert shown.out.startswith(f"{shop} (py311): 1 version change available")
        assert "'upgrade-state notify --name py311' gives it" in shown.out
        assert "1 version change available in 'py311' of 'shop'." in notice.err

    def test_like_options(self, shop, commit, run):
        """
        A name that begins like an option is printed so that the parser takes it.
        """
        (shop / "-x.lock").write_bytes(b"old")
        named(shop, commit, "--all", "-x.lock")
        named(shop, commit, "-d", None)

        shown = run("show").out
        commands = re.findall("upgrade-state (snooze .*) .notices", shown)

        assert [
            "snooze --name=-d --for 7d",
            "snooze --lockfile=-x.lock --name=--all --for 7d",
        ] == commands
        assert [0, 0] == [run(*command.split()).status for command in commands]

    def test_list(self, docs, tests, shop, run):
        """
        The list has a row for each, and JSON has the name.
        """
        rows = run("list").out.splitlines()
        fields = map(json.loads, run("list", "--json").out.splitlines())

        assert [f"{shop} (uv.lock, docs)", f"{shop} (uv.lock, tests)"] == [
            row.split("  ")[0] for row in rows[:2]
        ]
        assert {"docs", "tests"} == {f["name"] for f in fields}

    def test_long_list(self, docs, tests, shop, run, monkeypatch):
        """
        A list with more rows than a table has several, as the records are read.
        """
        monkeypatch.setattr(_list, "_ROWS", 1)
        *rows, total = run("list").out.splitlines()

        assert {f"{shop} (uv.lock, docs)", f"{shop} (uv.lock, tests)"} == {
            row.split("  ")[0] for row in rows
        }
        assert "2 environments: 2 with upgrades" == total

    def test_json(self, docs, environment, commit, run):
        """
        JSON has the name, or null.
        """
        commit(environment, b"new")
        fields = map(json.loads, run("show", "--json").out.splitlines())

        assert [None, "docs"] == [f["name"] for f in fields]

    def test_unknown(self, docs, shop, run):
        """
        A name that is not known may be a mistake.
        """
        result = run("show", "--name=dosc")

        hint = "Run 'upgrade-state list' to see the environments that are known.\n"
        name = f"{shop} (uv.lock, dosc)"
        assert (1, "") == (result.status, result.out)
        assert f"upgrade-state: nothing is known of {name}\n{hint}" == result.err

    @pytest.mark.parametrize("name", ["", "x" * 256])
    def test_invalid(self, shop, run, name):
        """
        A name that no environment can have is a mistake.
        """
        result = run("show", f"--name={name}", "/")

        assert (2, "") == (result.status, result.out)
        assert "not an environment's name" in result.err
        assert "not an environment's name" in run("notify", f"--name={name}").err


class TestSelected:
    def test_snooze(self, docs, tests, shop, run):
        """
        One is snoozed by its name, or all of them.
        """
        one = run("snooze", "--for=7d", "--name=docs").out
        snoozed = [is_snoozed(docs), is_snoozed(tests)]
        every = run("snooze", "--off").out

        assert one.startswith(f"{shop} (uv.lock, docs) is snoozed until")
        assert [True, False] == snoozed
        assert 2 == every.count("notices are on again")
        assert not is_snoozed(docs)

    def test_forget(self, docs, tests, shop, run):
        """
        One is forgotten by its name.
        """
        assert f"{shop} (uv.lock, docs) is forgotten\n" == (
            run("forget", "--name=docs").out
        )
        assert [tests.key] == [environment.key for environment in StateStore()]

    def test_path(self, docs, tests, run):
        """
        The path is that of one, also if nothing is known of it.
        """
        new = tests.store.environment(tests.path, "uv.lock", name="new")

        printed = [run("path", f"--name={n}").out for n in ("docs", "tests", "new")]

        assert [f"{e.record_path}\n" for e in (docs, tests, new)] == printed

    def test_check(self, shop, run, python):
        """
        A check of one is recorded for it.
        """
        code = "p = 'uv.lock'; t = open(p).read(); open(p, 'w').write(t + '\\n')"

        result = run("check", "--name=docs", *python(code))

        assert f"{shop} (uv.lock, docs): up to date" in result.out
        assert ["docs"] == [environment.name for environment in StateStore()]

    def test_consent(self, shop, run, fake_uv):
        """
        The hook finds no names, so it repeats no check of one.
        """
        (shop / "pyproject.toml").touch()

        consent = run("check", "--name=docs").err
        shown = run("show")
        fields = json.loads(run("show", "--json").out)

        stop = f"to stop it: 'upgrade-state forget {shop}'"
        command = "'upgrade-state check --all' may repeat this check from now on"
        assert f"upgrade-state: {command}; {stop}\n" == consent
        command = "notify --check --lockfile uv.lock --name docs"
        by = f"on demand ({command}; check --all), by the recipe uv\n"
        assert f"                {by}" in shown.out
        assert "(automatic checks)" not in shown.out
        assert fields["background"] is False

    def test_check_all(self, docs, tests, shop, run):
        """
        A run names each.
        """
        for environment in (docs, tests):
            environment.expire()

        result = run("check", "--all", "-j1", "--", "true")

        names = [line.split(": ")[0] for line in result.out.splitlines()]
        assert [f"✓ {shop} (uv.lock, {n})" for n in ("docs", "tests")] == names

    def test_corrupt_in_a_run(self, docs, run, refused):
        """
        JSON has the name also of one whose record may not be read.
        """
        docs.expire()
        with refused("os.open", docs.record_path):
            fields = json.loads(run("check", "--all", "--json", "--", "true").out)

        assert (None, None) == (fields["name"], fields["environment"])


class TestNotify:
    def test_notice(self, docs, tests, run):
        """
        The notice of one names it; the hook knows no names.
        """
        every, one = run("notify", "--always"), run("notify", "--always", "--name=docs")

        assert "" == every.err
        notice = "1 version change available in 'docs' of 'shop'."
        assert one.err.startswith(f"upgrade-state: {notice}")
        assert [True, False] == [
            environment.look().information.last_notified is not None
            for environment in (docs, tests)
        ]

    def test_two_lockfiles(self, docs, shop, commit, run):
        """
        If the name stands for several, the notice names the lockfile, too.
        """
        (shop / "pdm.lock").write_bytes(b"old")
        named(shop, commit, "docs", "pdm.lock")

        notices = run("notify", "--always", "--name=docs").err

        for lockfile in ("uv.lock", "pdm.lock"):
            assert f"available in 'docs' of 'shop' ({lockfile})." in notices

    def test_explain(self, docs, tests, shop, run):
        """
        All are explained, each with its name and the command for its notice.
        """
        lines = run("notify", "--explain").out.splitlines()

        command = "'upgrade-state notify --lockfile uv.lock --name {}' gives it"
        assert [
            f"{shop} (uv.lock, {n}): {command.format(n)}: 1 version change available"
            for n in ("docs", "tests")
        ] == lines

    def test_background(self, desk, run, commit):
        """
        A check in the background is one of the same environment.
        """
        path = Path(desk.environment.path)
        docs = StateStore().environment(path, "uv.lock", name="docs")
        old = (path / "uv.lock").read_bytes()
        commit(docs, old, consent=Consent("uv"), checker="uv", now=LONG_AGO)
        desk.log = Path(docs.log_path)
        desk.environment = docs

        run("notify", "--always", "--check", "--name=docs")
        log = desk.ended()

        assert f"upgrade-state: {path} (uv.lock, docs): checked\n" in log
        assert 2 == docs.look().information.generation

    def test_failing(self, shop, commit, run):
        """
        A failure names it.
        """
        docs = named(shop, commit, "docs")
        fail(docs, at=LONG_AGO)
        fail(docs)

        words = ("notify", "--always", "--name=docs", "--could-not-check=0")

        # A slow test says "for 1 second".
        pattern = "upgrades of 'docs' of 'shop'.*: OSError: no route"
        assert re.search(pattern, run(*words).err)
