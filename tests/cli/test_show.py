import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from upgrade_state import StateStore, lockfiles
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
        result = run("show", "--json")
        fields = json.loads(result.out)
        assert (1, None) == (result.status, fields["result"])
        assert [environment.path, "uv.lock"] == [
            fields[name] for name in ("environment", "lockfile")
        ]

    def test_known(self, checked, run):
        """
        A known environment shows its result, its times and its answers.
        """
        result = run("show")

        lines = [line.partition(":")[0].strip() for line in result.out.splitlines()]
        assert 0 == result.status
        assert [
            "checked",
            "found",
            "attrs",
            "notified",
            "notice",
            "check",
            "checks",
        ] == lines[1:]
        assert "    attrs: 24.2.0 -> 24.3.0\n" in result.out
        assert "notified: never\n" in result.out
        assert " (just now)\n" in result.out

    def test_everything(self, environment, commit, run):
        """
        Recipe, snooze and failure are shown where they are.
        """
        commit(environment, b"x", by="uv")
        environment.snooze(dt.datetime(2999, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), environment.try_check():
                raise ZeroDivisionError("no\x1b network")

        out = run("show").out

        assert "(just now), by uv\n" in out
        assert "found:    the lockfile would change\n" in out
        assert "snoozed:  until 2 Jan 2999 03:04\n" in out
        assert "failed:   2 times since today " in out
        assert ", last today " in out
        assert r": no\x1b network" in out

    def test_failure_of_an_older_program(self, failing, run):
        """
        A record without the first failure shows only the last.
        """
        path = Path(failing(9, 0).record_path)
        record = json.loads(path.read_bytes())
        del record["failure"]["since"]
        path.write_text(json.dumps(record))

        assert "failed:   2 times, last today " in run("show").out
        assert json.loads(run("show", "--json").out)["failure"]["since"] is None

    @pytest.mark.parametrize(
        ("days", "expected"),
        [
            ((0,), ["checked:  never", "failed:   once, last today "]),
            (
                (9, 5, 0),
                ["failed:   3 times since ", "cannot-check: could not check "],
            ),
        ],
    )
    def test_failing(self, failing, run, days, expected):
        """
        Failing checks are shown, though no check has succeeded.
        """
        failing(*days)

        result = run("show")

        assert 0 == result.status
        assert "(just now): OSError: no route to host\n" in result.out
        assert [] == [text for text in (*expected, "") if text not in result.out]
        assert "found" not in result.out

    def test_failure_as_json(self, failing, run):
        """
        JSON has every field of a failure.
        """
        environment = failing(9, 0)
        before = json.loads(run("show", "--json").out)
        run("notify", "--always")
        after = json.loads(run("show", "--json").out)

        failure = environment.look().information.failure
        assert f"{failure.since:%Y-%m-%dT%H:%M:%SZ}" == before["failure"]["since"]
        assert "cannot-check" == before["verdict"]["reason"]
        assert before["failure_notified"] is None
        assert after["last_notified"] == after["failure_notified"] is not None

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
        Records of the directory under other names are shown, too.
        """
        commit(StateStore().environment(shop, "custom.lock"), b"x")
        commit(StateStore().environment(shop), b"x", upgrades=[])
        commit(StateStore().environment(shop.parent, "uv.lock"), b"x")

        out = run("show").out

        assert [f"{shop} (uv.lock)", str(shop), f"{shop} (custom.lock)"] == [
            line for line in out.splitlines() if line.startswith("/")
        ]

    def test_gone(self, checked, shop, run, monkeypatch):
        """
        The record outlives its directory.
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
        Without the list of upgrades, everything else is shown.
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

    def test_json(self, checked, run):
        """
        JSON has the fields of the record, and the answers.
        """
        fields = json.loads(run("show", "--json").out)
        (listed,) = map(json.loads, run("list", "--json").out.splitlines())

        assert fields == listed
        assert "expired: " in run("show", "--max-age", "0").out
        assert checked.key == fields["key"]
        assert checked.record_path == fields["record_path"]
        assert {"reason": "notify", "until": None} == fields["verdict"]
        assert "fresh" == fields["freshness"]["reason"]
        assert 20 == len(fields["freshness"]["until"])
        assert {"*": {"version": 1, "rebuild": 0}} == fields["result"]["counts"]


class TestRows:
    @pytest.fixture
    def rows(self, environment, commit, run):
        """
        Return the lines in which `show` lists upgrades.
        """

        def rows_(upgrades, *words):
            commit(environment, b"x", upgrades=upgrades)
            lines = run("show", *words).out.splitlines()
            return [line.strip() for line in lines if line.startswith("    ")]

        return rows_

    def test_order(self, rows):
        """
        Versions come first, then rebuilds, added and removed; direct ones first.
        """
        upgrades = [
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
        ] == rows(upgrades)

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("h1_0", "h2_0", ", h1_0 -> h2_0"),
            ("a" * 40, "b" * 40, ", aaaaaaa -> bbbbbbb"),
            ("h1 " + "a" * 64, "h1", ", h1 aaaaaaa -> h1"),
            (f"g:n/{'a' * 40}#g", "g:n/c#g", ", g:n/aaaaaaa#g -> g:n/c#g"),
            ("a" * 40, "a" * 39 + "b", ""),
            (f"/nix/store/{'a' * 32}-git", "b", ""),
            ("a" * 33, "b", ""),
            (None, "b", ""),
            ("a", None, ""),
        ],
    )
    def test_rebuild(self, rows, old, new, expected):
        """
        A rebuild shows both builds, unless they look equal or are too long.
        """
        builds = {"old_build": old, "new_build": new}
        row = Upgrade("git", "rebuild", old=("2.40",), new=("2.40",), **builds)

        assert [f"git: 2.40 (rebuild{expected})"] == rows([row])

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (("a" * 40,), ("1.0", "b" * 40), "aaaaaaa -> 1.0, bbbbbbb"),
            (("1.0", "2.0"), ("2.0",), "1.0, 2.0 -> 2.0"),
            ((), ("\x07",), r"unknown -> \x07"),
        ],
    )
    def test_versions(self, rows, old, new, expected):
        """
        Several versions are listed, and commits are shortened.
        """
        row = Upgrade("a\x1b\n", "version", old=old, new=new)

        assert [rf"a\x1b\x0a: {expected}"] == rows([row])

    @pytest.mark.parametrize("mark", ["local", "internal"])
    def test_mark(self, rows, mark):
        """
        The project itself and the manager's own packages are marked.
        """
        row = Upgrade("shop", "version", old=("1.0",), new=("2.0",), **{mark: True})

        assert [f"shop ({mark}): 1.0 -> 2.0"] == rows([row])

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ((), ["a: unknown -> 2", "b: unknown -> 2 [linux-64]", "c: unknown -> 2"]),
            (("--platform=osx-64",), ["a: unknown -> 2", "c: unknown -> 2"]),
        ],
    )
    def test_platforms(self, rows, words, expected):
        """
        A change that is the same on all platforms is one line.
        """
        upgrades = [
            Upgrade("a", "version", new=("2",), platform="linux-64"),
            Upgrade("a", "version", new=("2",), platform="osx-64"),
            Upgrade("b", "version", new=("2",), platform="linux-64"),
            Upgrade("c", "version", new=("2",)),
        ]

        assert expected == rows(upgrades, *words)

    def test_many(self, rows):
        """
        A long list is cut, unless all of it is requested.
        """
        upgrades = [Upgrade(f"p{i:03}", "version") for i in range(60)]

        assert "and 10 more (upgrade-state show --all)" == rows(upgrades)[-1]
        assert "p059: unknown -> unknown" == rows(upgrades, "--all")[-1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3600, "in the future"),
        (0, "just now"),
        (50, "just now"),
        (60, "1 minute ago"),
        (7300, "2 hours ago"),
        (86_400, "1 day ago"),
        (86_400 * 400, "400 days ago"),
    ],
)
def test_ago(environment, commit, run, seconds, words):
    """
    The age of a check is given in its largest unit.
    """
    now = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=seconds)
    commit(environment, b"new", now=now)

    assert f"checked {words}\n" in run("list").out


class TestList:
    def test_empty(self, run):
        """
        An empty store prints nothing.
        """
        result = run("list")

        assert (0, "", "") == (result.status, result.out, result.err)

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
        A lockfile that changed or was removed is reported.
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

    def test_hidden_lockfile(self, checked, shop, run):
        """
        A lockfile that cannot be read does not hide what was found.
        """
        (shop / "uv.lock").unlink()
        (shop / "uv.lock").symlink_to("uv.lock")

        line = f"{shop} (uv.lock): 1 version change, checked just now\n"
        assert line == run("list").out

    def test_corrupt(self, checked, run):
        """
        A corrupt record is a line, and no JSON.
        """
        with open(checked.record_path, "w") as file:
            file.write("{")

        as_json = run("list", "--json")

        line = f"corrupt or not readable: '{checked.record_path}'\n"
        assert line == run("list").out
        assert ("", f"upgrade-state: {line}") == (as_json.out, as_json.err)

    def test_unreadable(self, checked, run, refused):
        """
        A record that may not be read is a line, and does not stop the others.
        """
        with refused("os.open", checked.record_path):
            listed, shown = run("list"), run("show")

        assert f"corrupt or not readable: '{checked.record_path}'" in listed.out
        assert (0, 2) == (listed.status, shown.status)


class TestProblem:
    @pytest.mark.parametrize("side", ["old", "new"])
    def test_compared_as_a_whole(self, environment, lock_of, run, side):
        """
        If a lockfile could not be read, the reason is shown.
        """
        good, bad = lock_of(attrs="24.2.0", idna="3.9"), b"version = 99"
        old, new = (bad, good) if side == "old" else (good, bad)
        with environment.try_check(old) as guard:
            guard.commit(new)

        expected = f"could only be compared as a whole; the {side} lockfile: unsupp"
        assert expected in run("show").out

    def test_of_an_unknown_format(self, environment, run):
        """
        So is the reason that its reader was uninstalled.
        """
        with environment.try_check() as guard:
            guard.commit(b"version = 99")
        path = Path(environment.record_path)
        path.write_text(path.read_text().replace('"uv"', '"gone"'))

        result = run("show")

        expected = "could only be compared as a whole; Unknown format 'gone', choose"
        assert (0, "") == (result.status, result.err)
        assert expected in result.out

    def test_read_by_a_later_version(self, environment, lock_of, run):
        """
        A lockfile that a later version can read has no such reason.
        """
        with environment.try_check(b"version = 99") as guard:
            guard.commit(lock_of(idna="3.9"))
        with pytest.MonkeyPatch.context() as patch:
            readable = lockfiles.read(lock_of(idna="3.9"), format="uv")
            patch.setattr(lockfiles, "read", lambda *_, **__: readable)

            assert "as a whole" not in run("show").out
