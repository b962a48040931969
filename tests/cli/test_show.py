import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from upgrade_state import StateStore, lockfiles
from upgrade_state.cli import _view
from upgrade_state.exceptions import UpgradeStateError
from upgrade_state.lockfiles import Upgrade


class TestShow:
    def test_nothing_known(self, environment, run):
        """
        Of what was never checked it is said that nothing is known.
        """
        result = run("show")

        assert 1 == result.status
        assert f"{environment.path} (uv.lock)\n" in result.out
        assert "check:    never-checked" in result.out
        told = f"upgrade-state: nothing is known of {environment.path} (uv.lock)\n"
        assert told == result.err

    def test_known(self, checked, run):
        """
        What was found, when, and what follows.
        """
        result = run("show")

        lines = [line.partition(":")[0].strip() for line in result.out.splitlines()]
        assert 0 == result.status
        assert [
            "checked",
            "found",
            "attrs",
            "told",
            "notice",
            "check",
            "checks",
        ] == lines[1:]
        assert "    attrs: 24.2.0 -> 24.3.0\n" in result.out
        assert "told:     never\n" in result.out
        assert "UTC (just now)\n" in result.out

    def test_everything(self, environment, commit, run):
        """
        Recipe, snooze and failure are shown where they are.
        """
        commit(environment, b"x", recipe="uv")
        environment.snooze(dt.datetime(2999, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), environment.try_check():
                raise ZeroDivisionError("no\x1b network")

        out = run("show").out

        assert "(just now), by the recipe uv\n" in out
        assert "found:    Upgrades\n" in out
        assert "snoozed:  until 2999-01-02 03:04:05 UTC\n" in out
        assert "failed:   2 times since 20" in out
        assert " UTC, last 20" in out
        assert r": no\x1b network" in out

    def test_only_a_failure(self, environment, run):
        """
        A failure is known, though no check has succeeded.
        """
        with pytest.raises(ZeroDivisionError), environment.try_check():
            raise ZeroDivisionError

        result = run("show")

        assert 0 == result.status
        assert "checked:  never\n" in result.out
        assert "failed:   once, last" in result.out
        assert "found" not in result.out

    def test_failing(self, failing, run):
        """
        Where checks have failed for days, it is shown since when.
        """
        failing(9, 5, 0)

        out = run("show").out

        assert "failed:   3 times since 2" in out
        assert "(just now): OSError: no route to host\n" in out
        assert "notice:   cannot-check: could not check for 9 days: OSError: no" in out

    def test_failure_of_an_older_program(self, failing, run):
        """
        Where an older program did not tell since when, it is not said.
        """
        path = Path(failing(9, 0).record_path)
        record = json.loads(path.read_bytes())
        del record["failure"]["since"]
        path.write_text(json.dumps(record))

        assert "failed:   2 times, last 2" in run("show").out
        assert json.loads(run("show", "--json").out)["failure"]["since"] is None

    def test_failure_as_json(self, failing, run):
        """
        Other programs get all of it.
        """
        environment = failing(9, 0)
        before = json.loads(run("show", "--json").out)
        run("notify")
        after = json.loads(run("show", "--json").out)

        failure = environment.look().information.failure
        assert f"{failure.since:%Y-%m-%dT%H:%M:%SZ}" == before["failure"]["since"]
        assert "cannot-check" == before["verdict"]["reason"]
        assert before["failure_notified"] is None
        assert after["last_notified"] == after["failure_notified"] is not None

    def test_no_upgrades(self, environment, commit, run, lock_of):
        """
        Where nothing is to be upgraded, that is what was found.
        """
        commit(environment, lock_of(attrs="24.2.0", idna="3.9"))

        assert "found:    no upgrades\n" in run("show").out

    def test_snoozed_still_found(self, checked, run, monkeypatch):
        """
        What was found is shown although the user is not to be told.
        """
        monkeypatch.setenv("CI", "true")
        checked.snooze(dt.datetime(2999, 1, 1, tzinfo=dt.UTC))

        out = run("show").out

        assert "found:    1 version change\n" in out
        assert "notice:   switched-off: CI is set" in out

    def test_corrupt(self, checked, run):
        """
        A corrupt record is said to be one.
        """
        with open(checked.record_path, "w") as file:
            file.write("{")

        result = run("show")

        assert 0 == result.status
        assert "record:   corrupt; the next check replaces it\n" in result.out

    def test_other_names(self, checked, shop, commit, run):
        """
        What was recorded of the directory under other names is shown, too.
        """
        commit(StateStore().environment(shop, "custom.lock"), b"x")
        commit(StateStore().environment(shop), b"x", upgrades=[])
        commit(StateStore().environment(shop.parent, "uv.lock"), b"x")

        out = run("show").out

        assert [f"{shop} (uv.lock)", str(shop), f"{shop} (custom.lock)"] == [
            line for line in out.splitlines() if line.startswith("/")
        ]

    def test_one_name(self, checked, shop, commit, run):
        """
        A lockfile's name picks one.
        """
        commit(StateStore().environment(shop, "custom.lock"), b"x")

        out = run("show", "--lockfile", "custom.lock").out

        assert [f"{shop} (custom.lock)"] == [
            line for line in out.splitlines() if line.startswith("/")
        ]

    def test_gone(self, checked, shop, run, monkeypatch):
        """
        What is known of a directory outlives it.
        """
        monkeypatch.chdir("/")
        (shop / "uv.lock").unlink()
        shop.rmdir()

        result = run("show", shop)

        assert 0 == result.status
        assert f"{shop} (uv.lock)" in result.out
        assert "attrs" in result.out

    def test_list_is_gone(self, checked, run):
        """
        Where the list of upgrades is gone, everything else is shown.
        """
        results = Path(checked.record_path).parent / "results" / checked.key
        shutil.rmtree(results)

        result = run("show")

        assert 0 == result.status
        assert (
            "    The file of the upgrades is missing; the next check replaces it:"
            f" '{results}'"
        ) in result.out.splitlines()
        assert "\n  notice:   notify: 1 version change available\n" in result.out

    def test_many(self, environment, commit, run):
        """
        A long list is cut, unless all of it is asked for.
        """
        rows = [Upgrade(f"p{i:03}", "version") for i in range(60)]
        commit(environment, b"x", upgrades=rows)

        assert "    and 10 more (upgrade-state show --all)\n" in run("show").out
        assert "    p059: unknown -> unknown\n" in run("show", "--all").out

    def test_json(self, checked, run):
        """
        JSON has the fields of the record, and what follows from them.
        """
        fields = json.loads(run("show", "--json").out)

        assert checked.key == fields["key"]
        assert checked.record_path == fields["record_path"]
        assert {"reason": "notify", "until": None} == fields["verdict"]
        assert "fresh" == fields["freshness"]["reason"]
        assert 20 == len(fields["freshness"]["until"])
        assert {"*": {"version": 1, "rebuild": 0}} == fields["result"]["counts"]

    def test_json_of_nothing(self, environment, run):
        """
        Where nothing is known there is JSON, too.
        """
        result = run("show", "--json")

        fields = json.loads(result.out)
        assert 1 == result.status
        assert environment.path == fields["environment"]
        assert "uv.lock" == fields["lockfile"]
        assert None is fields["result"]

    def test_max_age(self, checked, run):
        """
        For how long a check is good is an option.
        """
        assert "expired: " in run("show", "--max-age", "0").out


class TestRows:
    def test_order(self):
        """
        New versions first, then rebuilds, added and removed; direct ones first.
        """
        rows = [
            Upgrade("a", "added", new=("1",)),
            Upgrade("b", "removed", old=("1", "2")),
            Upgrade("c", "version", old=("1",), new=("2",)),
            Upgrade("d", "version", old=("1",), new=("2",), direct=True),
            Upgrade("e", "rebuild", old=("1",), new=("1",)),
        ]

        assert [
            "d: 1 -> 2",
            "c: 1 -> 2",
            "e: 1 (rebuild)",
            "a: 1 (added)",
            "b: 1, 2 (removed)",
        ] == _view.rows_of(rows, None)

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("h1_0", "h2_0", "git: 2.40 (rebuild, h1_0 -> h2_0)"),
            ("a" * 40, "b" * 40, "git: 2.40 (rebuild, aaaaaaa -> bbbbbbb)"),
            ("h1 " + "a" * 64, "h1", "git: 2.40 (rebuild, h1 aaaaaaa -> h1)"),
            (
                f"g:n/{'a' * 40}#g",
                "g:n/c#g",
                "git: 2.40 (rebuild, g:n/aaaaaaa#g -> g:n/c#g)",
            ),
            ("a" * 40, "a" * 39 + "b", "git: 2.40 (rebuild)"),
            (f"/nix/store/{'a' * 32}-git", "b", "git: 2.40 (rebuild)"),
            ("a" * 33, "b", "git: 2.40 (rebuild)"),
            (None, "b", "git: 2.40 (rebuild)"),
            ("a", None, "git: 2.40 (rebuild)"),
        ],
    )
    def test_rebuild(self, old, new, expected):
        """
        Of a rebuild both builds are shown, if they say something.
        """
        row = Upgrade(
            "git",
            "rebuild",
            old=("2.40",),
            new=("2.40",),
            old_build=old,
            new_build=new,
        )

        assert [expected] == _view.rows_of([row], None)

    def test_commits(self):
        """
        A commit in place of a version is as short as people write it.
        """
        row = Upgrade("nixpkgs", "version", old=("a" * 40,), new=("1.0", "b" * 40))

        assert ["nixpkgs: aaaaaaa -> 1.0, bbbbbbb"] == _view.rows_of([row], None)

    def test_fewer_versions(self):
        """
        A set of versions that only got smaller looks like that.
        """
        row = Upgrade("a", "version", old=("1.0", "2.0"), new=("2.0",))

        assert ["a: 1.0, 2.0 -> 2.0"] == _view.rows_of([row], None)

    def test_platforms(self):
        """
        What is the same on several platforms is one line.
        """
        rows = [
            Upgrade("a", "version", new=("2",), platform="linux-64"),
            Upgrade("a", "version", new=("2",), platform="osx-64"),
            Upgrade("b", "version", new=("2",), platform="linux-64"),
            Upgrade("c", "version", new=("2",)),
        ]

        assert [
            "a: unknown -> 2",
            "b: unknown -> 2 [linux-64]",
            "c: unknown -> 2",
        ] == _view.rows_of(rows, None)

    def test_one_platform(self):
        """
        A platform sees its own rows and those of all.
        """
        rows = [
            Upgrade("a", "version", new=("2",), platform="osx-64"),
            Upgrade("b", "version", new=("2",), platform="linux-64"),
            Upgrade("c", "version", new=("2",)),
        ]

        assert ["b: unknown -> 2", "c: unknown -> 2"] == _view.rows_of(rows, "linux-64")

    def test_hostile(self):
        """
        A name cannot speak to the terminal.
        """
        rows = [Upgrade("a\x1b\n", "added", new=("\x07",))]

        assert [r"a\x1b\x0a: \x07 (added)"] == _view.rows_of(rows, None)


class TestAgo:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [
            (-3600, "in the future"),
            (-1, "just now"),
            (59, "just now"),
            (60, "1 minute ago"),
            (7300, "2 hours ago"),
            (86_400, "1 day ago"),
            (86_400 * 400, "400 days ago"),
        ],
    )
    def test_words(self, seconds, words):
        """
        How long ago a time was, in the largest unit.
        """
        then = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
        now = then + dt.timedelta(seconds=seconds)

        assert words == _view.ago("2026-11-20T00:00:00Z", now)


class TestList:
    def test_lines(self, checked, shop, commit, run):
        """
        One line per environment, with what was found and when.
        """
        failing = StateStore().environment(shop)
        with pytest.raises(ZeroDivisionError), failing.try_check():
            raise ZeroDivisionError

        result = run("list")

        assert 0 == result.status
        assert [
            f"{shop} (uv.lock): 1 version change, checked just now",
            f"{shop}: nothing is known, last check failed just now",
        ] == sorted(result.out.splitlines())

    def test_no_more(self, checked, shop, run, lock_of):
        """
        What was checked may be another one by now, or gone.
        """
        name = f"{shop} (uv.lock)"
        (shop / "uv.lock").write_bytes(lock_of(attrs="25", idna="3.9"))
        upgraded = run("list").out
        (shop / "uv.lock").unlink()
        no_lockfile = run("list").out
        shop.rename(shop.with_name("elsewhere"))
        no_directory = run("list").out

        line = f"{name}: 1 version change, {{}}, checked just now\n"
        assert line.format("its lockfile has changed since") == upgraded
        assert line.format("its lockfile is gone") == no_lockfile
        assert line.format("its directory is gone") == no_directory

    def test_canonical(self, shop, commit, run):
        """
        What was found for a manager's own bytes, which are no file, is listed.
        """
        environment = StateStore().environment(shop)
        with environment.try_check(b"canonical 1") as guard:
            guard.commit(b"canonical 2")

        assert f"{shop}: Upgrades, checked just now\n" == run("list").out

    def test_hidden_lockfile(self, checked, shop, run):
        """
        A lockfile that cannot be read does not hide what was found.
        """
        (shop / "uv.lock").unlink()
        (shop / "uv.lock").symlink_to("uv.lock")

        line = f"{shop} (uv.lock): 1 version change, checked just now\n"
        assert line == run("list").out

    def test_empty(self, run):
        """
        Where nothing is known, nothing is listed.
        """
        result = run("list")

        assert (0, "", "") == (result.status, result.out, result.err)

    def test_json(self, checked, run):
        """
        One JSON object per line.
        """
        assert "uv.lock" == json.loads(run("list", "--json").out)["lockfile"]

    def test_corrupt(self, checked, run):
        """
        A corrupt record is a line, and no JSON.
        """
        with open(checked.record_path, "w") as file:
            file.write("{")

        as_json = run("list", "--json")

        assert f"corrupt or not readable: {checked.record_path}\n" == run("list").out
        assert "" == as_json.out
        assert (
            f"upgrade-state: corrupt or not readable: '{checked.record_path}'\n"
            == as_json.err
        )

    def test_went_bad_meanwhile(self, checked, run, monkeypatch):
        """
        What cannot be read any more is said where it belongs.
        """

        def unreadable(*_):
            raise UpgradeStateError("gone", "/x")

        monkeypatch.setattr("upgrade_state.cli._show.View", unreadable)

        assert "not readable: gone: '/x'\n" == run("list").out
        assert "upgrade-state: gone: '/x'\n" == run("list", "--json").err

    def test_forgotten_meanwhile(self, checked, run, monkeypatch):
        """
        What was forgotten just now is not listed.
        """

        def forgotten(self):
            checked.forget()
            return iter([checked])

        monkeypatch.setattr(StateStore, "__iter__", forgotten)

        assert "" == run("list").out


class TestProblem:
    @pytest.mark.parametrize("side", ["old", "new"])
    def test_compared_as_a_whole(self, environment, lock_of, run, side):
        """
        Where a lockfile could not be read, that and why is said.
        """
        good, bad = lock_of(attrs="24.2.0", idna="3.9"), b"version = 99"
        old, new = (bad, good) if side == "old" else (good, bad)
        with environment.try_check(old) as guard:
            guard.commit(new)

        expected = f"could only be compared as a whole; the {side} lockfile: unsupp"
        assert expected in run("show").out

    def test_of_an_unknown_format(self, environment, run):
        """
        Where the reader of its format is not installed any more, that is why.
        """
        with environment.try_check() as guard:
            guard.commit(b"version = 99")
        path = Path(environment.record_path)
        path.write_text(path.read_text().replace('"uv"', '"gone"'))

        result = run("show")

        expected = "could only be compared as a whole; Unknown format 'gone', choose"
        assert (0, "") == (result.status, result.err)
        assert expected in result.out

    def test_of_no_format(self, environment, run):
        """
        Where nobody could have read it, nothing went wrong.
        """
        custom = environment.store.environment(environment.path, "custom.lock")
        with custom.try_check(b"old") as guard:
            guard.commit(b"new")

        assert "as a whole" not in run("show", "--lockfile", "custom.lock").out

    def test_healed_by_itself(self, environment, lock_of, run):
        """
        Where a later version reads what this record's could not, nothing is said.
        """
        with environment.try_check(b"version = 99") as guard:
            guard.commit(lock_of(idna="3.9"))
        with pytest.MonkeyPatch.context() as patch:
            readable = lockfiles.read(lock_of(idna="3.9"), format="uv")
            patch.setattr(lockfiles, "read", lambda *_, **__: readable)

            assert "as a whole" not in run("show").out

    @pytest.mark.parametrize("mark", ["local", "internal"])
    def test_mark(self, mark):
        """
        The project itself, and what is the manager's, are marked: they do not count.
        """
        row = Upgrade("shop", "version", old=("1.0",), new=("2.0",), **{mark: True})

        assert [f"shop ({mark}): 1.0 -> 2.0"] == _view.rows_of([row], None)
