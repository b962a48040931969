import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

from helpers import fail
from upgrade_state import Consent, StateStore, _record, lockfiles
from upgrade_state.lockfiles import Upgrade


class TestShow:
    def test_nothing_known(self, environment, run):
        """
        Of what was never checked it is said that nothing is known.
        """
        result = run("show")

        assert (1, "") == (result.status, result.out)
        told = f"upgrade-state: nothing is known of {environment.path} (uv.lock)\n"
        assert result.err.startswith(told)
        result = run("show", "--json")
        fields = json.loads(result.out)
        assert (1, None) == (result.status, fields["result"])
        assert [environment.path, "uv.lock"] == [
            fields[name] for name in ("environment", "lockfile")
        ]

    @pytest.mark.parametrize(
        ("log", "end"),
        [
            (
                "2026-11-20T04:18:00Z it ended with exit status 3\n",
                "ended with exit status 3",
            ),
            ("2026-11-20T04:18:00Z a check was started\n", "has not ended yet"),
            ("", None),
        ],
    )
    @pytest.mark.parametrize("command", ["show", "notify --explain"])
    def test_recorded_nothing(self, environment, run, command, log, end):
        """
        A check in the background that recorded nothing is in its log.
        """
        path = Path(environment.log_path)
        path.parent.mkdir(parents=True)
        path.write_text(f"2026-11-20T04:17:00Z a check was started\n{log}" * bool(log))

        hint = run(*command.split()).err.splitlines()[1]
        if end is None:
            assert hint.startswith("Run 'upgrade-state ")
        else:
            assert f"A check {end}, and recorded nothing: {path}" == hint

    def test_nothing_known_of_several(self, environment, shop, run):
        """
        A check without a COMMAND is suggested if one of the lockfiles has a recipe.
        """
        (shop / "pyproject.toml").touch()
        (shop / "requirements.txt").touch()

        assert f"\nRun 'upgrade-state check {shop}' to" in run("show").err

    def test_known(self, checked, run):
        """
        A known environment shows its result, its times and its answers.
        """
        result = run("show")

        first, *lines = result.out.splitlines()
        assert 0 == result.status
        name = f"{checked.path} (uv.lock)"
        assert first.startswith(f"{name}: 1 version change available, checked today ")
        assert [
            "    attrs  24.2.0  →  24.3.0",
            "  next notice   at the next prompt here: 1 version change available",
        ] == lines[:2]
        no = "not automatic; 'upgrade-state check -- COMMAND' makes one"
        assert f"{' ' * 16}{no}" in lines
        assert "  to stop       upgrade-state snooze --for 7d (notices)" == lines[-1]

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

        first, *lines = out.splitlines()
        assert ": checks are failing since today " in first
        assert " (2 times), last good check today " in first
        assert first.endswith(" by uv")
        assert r"  reason        ZeroDivisionError: no\x1b network" == lines[0]
        assert "  found         the lockfile would change" in lines
        snoozed = "snoozed until 2 Jan 2999 03:04; run 'upgrade-state snooze --off'"
        assert f"  next notice   {snoozed}" in lines
        assert "snooze --for" not in out

    def test_failure_of_an_older_program(self, failing, run):
        """
        A record without the first failure shows only the last.
        """
        path = Path(failing(9, 0).record_path)
        record = json.loads(path.read_bytes())
        del record["failure"]["since"]
        record["failure"]["message"] = "no route to https://ana:secret@index.example/"
        path.write_text(json.dumps(record))

        out = run("show").out
        assert "are failing since today " in out
        assert "  reason        no route to <URL>\n" in out
        assert json.loads(run("show", "--json").out)["failure"]["since"] is None

    @pytest.mark.parametrize(
        ("days", "expected"),
        [
            ((0,), [": the last check failed today ", "if checks still fail"]),
            ((9, 5, 0), [" (3 times)\n", "next prompt here: could not check "]),
        ],
    )
    def test_failing(self, failing, run, days, expected):
        """
        Failing checks are shown, though no check has succeeded.
        """
        failing(*days)

        result = run("show")

        assert 0 == result.status
        assert "\n  reason        OSError: no route to host\n" in result.out
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

    def test_other_names(self, checked, shop, commit, run):
        """
        Records of the directory under other names are shown, too.
        """
        commit(StateStore().environment(shop, "custom.lock"), b"x")
        commit(StateStore().environment(shop), b"x", upgrades=[])
        commit(StateStore().environment(shop.parent, "uv.lock"), b"x")

        out = run("show").out

        assert [f"{shop} (uv.lock)", str(shop), f"{shop} (custom.lock)"] == [
            line.partition(":")[0] for line in out.splitlines() if line[:1] == "/"
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
        assert (
            f"{shop}: the directory was removed\n"
            f"  to forget it  upgrade-state forget {shop}\n"
        ) == result.out
        explained = run("notify", "--explain", shop).out
        assert f"{shop} (uv.lock): the directory was removed\n" == explained

    @pytest.mark.parametrize("checker", ["the Poetry plugin", "my manager"])
    def test_manager(self, environment, run, commit, lock_of, checker):
        """
        The manager that has made the last check makes the next one, too.
        """
        commit(environment, lock_of(attrs="24.3.0", idna="3.9"), checker=checker)

        shown, listed = run("show").out, run("list").out

        assert f"\n                left to {checker}\n" in shown
        assert "not automatic" not in shown
        assert f"checked just now by {checker}\n" in listed

    @pytest.mark.parametrize("checker", ["uv", "uv+sandbox"])
    def test_recipe_without_consent(self, environment, run, commit, lock_of, checker):
        """
        A recipe that ran without consent is repeated by none.
        """
        commit(environment, lock_of(attrs="24.3.0", idna="3.9"), checker=checker)

        assert "not automatic; 'upgrade-state check" in run("show").out
        assert "checked just now\n" in run("list").out

    @pytest.mark.parametrize("checker", [None, "my manager"])
    def test_private_lockfile(self, store, shop, run, checker):
        """
        A lockfile that is no file has not changed, and no command can check it.
        """
        private = "lockfile known to its manager only"
        managed = "up to its manager, which alone knows the lockfile"
        environment = store.environment(shop / "..")
        with environment.try_check(b"old") as guard:
            guard.commit(b"new", upgrades=[Upgrade("x", "version")], checker=checker)
        environment.claim_notice(b"old")

        shown = run("show", "..").out
        explained = run("notify", "--explain", "..").out
        listed = run("list").out

        lines = [line.lstrip() for line in shown.splitlines()]
        assert "1 version change available, as of the check today" in lines[0]
        assert f"next notice   {managed}" in lines
        assert f"next check    {f'left to {checker}' if checker else private}" in lines
        assert f"{shop.parent}: {managed}\n" == explained
        assert f"  {private}, checked just now" in listed
        for text in (shown, explained, listed):
            assert "-state check" not in text
            assert "changed" not in text
            assert "removed" not in text
            assert "reminder" not in text

    def test_private_and_snoozed(self, store, shop, run):
        """
        Other reasons for silence are explained before.
        """
        environment = store.environment(shop / "..")
        with environment.try_check(b"old") as guard:
            guard.commit(b"new", consent=Consent("uv"))
        run("snooze", "..", "--for=7d")

        first, second = run("notify", "--explain", "..").out.splitlines()

        assert "snoozed until" in first
        assert f"{shop.parent}: up to its manager, which alone" in second
        assert json.loads(run("show", "..", "--json").out)["background"] is False

    def test_manager_and_consent(self, environment, run, commit, lock_of):
        """
        Consent decides if a manager checks, too.
        """
        new = lock_of(attrs="24.3.0", idna="3.9")
        commit(environment, new, consent=Consent("uv"), checker="my manager")

        shown = run("show").out

        assert "automatic (hook, notify --check), by the recipe uv\n" in shown
        assert "left to" not in shown

    def test_list_is_gone(self, checked, run):
        """
        Without the list of upgrades, everything else is shown.
        """
        digits = checked.look().record["result"]["upgrades"]["digest"][-64:]
        results = Path(checked.record_path).parent / "results" / checked.key
        shutil.rmtree(results)

        result = run("show")

        assert 0 == result.status
        assert (
            "    The file of the upgrades is missing; the next check replaces it:"
            f" '{results / digits}'"
        ) in result.out.splitlines()
        assert "\n  next notice   at the next prompt here: 1 " in result.out

    def test_json(self, checked, run):
        """
        JSON has the fields of the record, and the answers.
        """
        fields = json.loads(run("show", "--json").out)
        (listed,) = map(json.loads, run("list", "--json").out.splitlines())

        (row,) = fields.pop("upgrades")
        assert fields == listed
        names = ("name", "old", "new")
        assert ["attrs", ["24.2.0"], ["24.3.0"]] == [row[name] for name in names]
        assert "1 version change" == fields["summary"]
        assert "the last check is too old" in run("show", "--max-age", "0").out
        assert checked.key == fields["key"]
        assert checked.record_path == fields["record_path"]
        assert {"reason": "notify", "until": None} == fields["verdict"]
        assert "fresh" == fields["freshness"]["reason"]
        assert 20 == len(fields["freshness"]["until"])
        assert {"*": {"version": 1, "rebuild": 0}} == fields["result"]["counts"]

    @pytest.mark.parametrize("harm", ["remove", "damage", "refuse"])
    def test_json_without_the_list(self, checked, run, refused, harm):
        """
        JSON tells why the list of upgrades cannot be read.
        """
        digits = checked.look().record["result"]["upgrades"]["digest"][-64:]
        root = Path(checked.record_path).parent
        path = root / "results" / checked.key / digits
        if harm == "remove":
            path.unlink()
        elif harm == "damage":
            path.write_bytes(path.read_bytes()[::-1])
        with refused("os.open", path if harm == "refuse" else "/nowhere"):
            fields = json.loads(run("show", "--json").out)

        assert None is fields["upgrades"]
        assert str(path) in fields["upgrades_error"]

    @pytest.mark.parametrize(
        "content",
        [
            *(b"garbage", b"\xff", b"", b"null", b"[]", b"{}", b'{"name": NaN}'),
            *(b'{"name": "x", "old": NaN}', b"[" * 100_000, b'{"name": 1}'),
        ],
    )
    def test_invalid_list(self, checked, run, content):
        """
        A list whose rows are not valid is damaged, though its digest is right.
        """
        record = checked.look().record
        content += b"\n"
        size, digest = len(content), _record.digest(content)
        record["result"]["upgrades"] = {"digest": digest, "size": size}
        Path(checked.record_path).write_text(json.dumps(record))
        results = Path(checked.record_path).parent / "results" / checked.key
        (results / digest[-64:]).write_bytes(content)

        fields = json.loads(run("show", "--json").out)
        assert None is fields["upgrades"]
        assert "The list of upgrades is damaged" in fields["upgrades_error"]
        for command in ("show", "doctor"):
            assert "he list of upgrades is damaged" in run(command).out

    def test_json_of_an_opaque_lockfile(self, environment, commit, run):
        """
        Without a list there is nothing to read.
        """
        commit(environment, b"x")
        fields = json.loads(run("show", "--json").out)

        assert (None, "Upgrades") == (fields["upgrades"], fields["summary"])
        assert "upgrades_error" not in fields

    @pytest.mark.parametrize(
        ("new", "state"),
        [("24.3.0", "upgraded since the check"), ("25", "changed since the check")],
    )
    def test_not_the_checked_one(self, environment, shop, run, lock_of, new, state):
        """
        An upgraded or changed lockfile is the state; nothing is recommended then.
        """
        old, upgraded = (lock_of(attrs=v, idna="3.9") for v in ("24.2.0", "24.3.0"))
        with environment.try_check(old) as guard:
            guard.commit(upgraded, checker="uv")
        (shop / "uv.lock").write_bytes(lock_of(attrs=new, idna="3.9"))

        out = run("show").out
        assert out.startswith(f"{shop} (uv.lock): {state} today ")
        assert (state == "changed since the check") == (
            "  found         1 version change\n" in out
        )
        assert "to upgrade" not in out

    def test_upgraded_after_a_notice(self, environment, shop, run, lock_of):
        """
        No reminder comes after the upgrade, so none is announced.
        """
        old, new = (lock_of(attrs=version, idna="3.9") for version in ("24", "25"))
        (shop / "uv.lock").write_bytes(old)
        with environment.try_check(old) as guard:
            guard.commit(new)
        assert environment.claim_notice()
        assert "; reminder " in run("show").out

        (shop / "uv.lock").write_bytes(new)
        out = run("show").out
        assert "  next notice   none: you have made the upgrade\n" in out
        assert "reminder" not in out

    def test_all_reasons(self, checked, run, monkeypatch, lock_of, shop):
        """
        Every reason is named, with the command that ends it.
        """
        run("snooze", "--for", "1d")
        (shop / "uv.lock").write_bytes(lock_of(attrs="25", idna="3.9"))
        monkeypatch.setenv("CI", "1")
        monkeypatch.chdir("/")

        out = run("show", shop).out
        assert "none: CI is set in the process environment; run 'unset CI'\n" in out
        assert f"; run 'upgrade-state snooze {shop} --off'\n" in out
        assert (
            f"changed since the check; run 'upgrade-state check {shop} -- COMMAND'\n"
            in out
        )
        assert "to stop" not in out

    def test_all_switches(self, checked, run, monkeypatch):
        """
        Every variable that silences is named, with the command that unsets them.
        """
        for name in ("CI", "UPGRADE_STATE_DISABLE"):
            monkeypatch.setenv(name, "1")

        out = run("show").out
        both = "UPGRADE_STATE_DISABLE and CI are set in the process environment"
        words = f"{both}; run 'unset UPGRADE_STATE_DISABLE CI'\n"
        assert f"none: {words}" in out
        assert f"not automatic: {words}" in out

    def test_notified(self, checked, run):
        """
        The last notice is shown by itself, or with the time of the reminder.
        """
        run("notify", "--always")

        out = run("show").out
        assert "  next notice   you were notified today " in out
        assert "  notified  " not in out
        assert "\n  notified      today " in run("show", "--interval=0").out

    def test_expired(self, checked, run):
        """
        A result that was expired is shown, and not said to be missing.
        """
        checked.expire()

        out = run("show").out
        assert f"{checked.path} (uv.lock): 1 version change available\n" in out
        assert "  next check    due now: a check is needed\n" in out

    def test_several(self, checked, shop, commit, run):
        """
        Commands name the lockfile if others are known; unknown ones are one line.
        """
        (shop / "requirements.txt").write_text("attrs\n")
        (shop / "odd.lock").write_bytes(b"y")
        odd = StateStore().environment(shop, "odd.lock")
        alone = run("show").out
        explained = run("notify", "--explain").out
        commit(odd, b"x")
        both = run("show").out

        last = "also here: requirements.txt (never checked)"
        assert last == alone.splitlines()[-1] == explained.splitlines()[-1]
        assert alone.count("requirements.txt") == explained.count("requirements.txt")
        assert "  to stop       upgrade-state snooze --for 7d (notices)\n" in alone
        for name in ("uv.lock", "odd.lock"):
            words = f"upgrade-state snooze --lockfile {name} --for 7d (notices)\n"
            assert words in both
            assert words in run("show", "--lockfile", name).out
        assert (
            "  next notice   'upgrade-state notify --lockfile odd.lock' gives it: "
        ) in both

    def test_no_lockfile_yet(self, shop, commit, run):
        """
        The hook finds no environment whose lockfile does not exist: `notify` needs it.
        """
        (shop / "uv.lock").unlink()
        rows = [Upgrade("a", "version", old=("1",), new=("2",))]
        commit(StateStore().environment(shop, "uv.lock"), b"x", upgrades=rows)

        notify = "notify --lockfile uv.lock"
        shown = run("show").out
        assert "" == run("notify", "--peek").out
        assert f"  next notice   'upgrade-state {notify}' gives it: " in shown
        assert "1\n" == run(*notify.split(), "--peek").out

    def test_added(self, environment, commit, run):
        """
        Packages that are added or removed are counted beside the version changes.
        """
        upgrades = [
            Upgrade("a", "version", old=("1",), new=("2",)),
            Upgrade("b", "added", new=("1",)),
            Upgrade("c", "added", new=("1",), local=True),
        ]
        commit(environment, b"x", upgrades=upgrades)

        name = f"{environment.path} (uv.lock)"
        assert run("show").out.startswith(f"{name}: 1 version change, 1 added, checked")

    def test_clock_set_back(self, environment, commit, run):
        """
        A time that is ahead is said to be one.
        """
        commit(environment, b"x", now=dt.datetime.now(dt.UTC) + dt.timedelta(days=2))

        assert "(in the future: the clock was set back)" in run("show").out


class TestRows:
    @pytest.fixture
    def rows(self, environment, commit, run):
        """
        Return the lines in which `show` lists upgrades.
        """

        def rows_(upgrades, *words):
            commit(environment, b"x", upgrades=upgrades)
            lines = run("show", *words).out.splitlines()
            return [x.strip() for x in lines if x[:4] == "    " and x[4] != " "]

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
            "d  1     →  2",
            "c  1     →  2",
            "e  1           rebuild",
            "a           1  added",
            "b  1, 2        removed",
        ] == rows(upgrades)

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("h1_0", "h2_0", ", h1_0 → h2_0"),
            ("a" * 40, "b" * 40, ", aaaaaaa → bbbbbbb"),
            ("h1 " + "a" * 64, "h1", ", h1 aaaaaaa → h1"),
            (f"g:n/{'a' * 40}#g", "g:n/c#g", ", g:n/aaaaaaa#g → g:n/c#g"),
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

        assert [f"git  2.40  rebuild{expected}"] == rows([row])

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            (("a" * 40,), ("1.0", "b" * 40), "aaaaaaa  →  1.0, bbbbbbb"),
            (("1.0", "2.0"), ("2.0",), "1.0, 2.0  →  2.0"),
            ((), ("\x07",), r"unknown  →  \x07"),
        ],
    )
    def test_versions(self, rows, old, new, expected):
        """
        Several versions are listed, and commits are shortened.
        """
        row = Upgrade("a\x1b\n", "version", old=old, new=new)

        assert [rf"a\x1b\n  {expected}"] == rows([row])

    @pytest.mark.parametrize("mark", ["local", "internal"])
    def test_mark(self, rows, mark):
        """
        The project itself and the manager's own packages are marked.
        """
        row = Upgrade("shop", "version", old=("1.0",), new=("2.0",), **{mark: True})

        assert [f"shop  1.0  →  2.0  {mark}, not counted"] == rows([row])

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ((), ["a  ?  →  2", "b  ?  →  2  [linux-64]", "c  ?  →  2"]),
            (("--platform=osx-64",), ["a  ?  →  2", "c  ?  →  2"]),
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

        found = rows(upgrades, *words)
        assert expected == [row.replace("unknown", "?") for row in found]

    def test_many(self, rows):
        """
        A long list is cut, unless all of it is requested.
        """
        upgrades = [Upgrade(f"p{i:03}", "version") for i in range(60)]

        assert "and 50 more: 'upgrade-state show --all'" == rows(upgrades)[10]
        assert "p059  unknown  →  unknown" == rows(upgrades, "--all")[59]

    def test_direct(self, rows):
        """
        More packages that are required directly are listed; the others are counted.
        """
        upgrades = [Upgrade(f"p{i:03}", "version", direct=i > 7) for i in range(20)]

        *_, last, more = rows(upgrades)[:13]
        assert "p019  unknown  →  unknown" == last
        assert "and 8 more, not required directly: 'upgrade-state show --all'" == more


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

    assert f"  checked {words}\n" in run("list").out


class TestList:
    @pytest.mark.parametrize("words", [(), ("--json",), ("--failing",)])
    def test_empty(self, run, words):
        """
        In an empty store, the command that helps is named.
        """
        result = run("list", *words)

        assert (1, "") == (result.status, result.out)
        first, hint = result.err.splitlines()
        assert "upgrade-state: nothing is known of any environment" == first
        assert "Run 'upgrade-state check' in one to look for upgrades." == hint

    @pytest.fixture
    def several(self, checked, shop, commit, lock_of):
        """
        Environments with upgrades, without them, failing and never checked.
        """
        store = StateStore()
        failing = store.environment(shop)
        with pytest.raises(ZeroDivisionError), failing.try_check():
            raise ZeroDivisionError
        old = lock_of(attrs="24.2.0", idna="3.9")
        for name in ("b", "a"):
            (shop.parent / name).mkdir()
            (shop.parent / name / "uv.lock").write_bytes(old)
            commit(store.environment(shop.parent / name, "uv.lock"), old)
        store.environment(shop.parent / "b", "uv.lock").snooze(dt.datetime.now(dt.UTC))
        return shop

    def test_table(self, several, run, monkeypatch):
        """
        One row per environment, sorted by path, and a line with totals.
        """
        monkeypatch.setenv("HOME", str(several.parent))

        result = run("list")

        assert 0 == result.status
        assert [
            "~/a (uv.lock)     up to date                    checked just now",
            "~/b (uv.lock)     up to date                    checked just now",
            "~/shop            failing                       failed just now",
            "~/shop (uv.lock)  upgrades    1 version change  checked just now",
            "4 environments: 1 with upgrades, 1 failing",
        ] == result.out.splitlines()

    @pytest.mark.parametrize(
        ("words", "count", "last"),
        [
            (["--outdated"], 1, "1 environment: 1 with upgrades"),
            (["--failing"], 1, "1 environment: 1 failing"),
            (["--json", "--outdated"], 1, ""),
            (["--outdated", "--failing"], 0, ""),
            (["--json", "--outdated", "--failing"], 0, ""),
        ],
    )
    def test_filter(self, several, run, words, count, last):
        """
        Only environments in a state are listed; without one the status is 1.
        """
        result = run("list", *words)

        lines = result.out.splitlines()
        if last:
            assert last == lines.pop()
        assert (0 if count else 1, count) == (result.status, len(lines))
        assert count or "no environment is in that state" in result.err

    def test_snoozed(self, checked, run):
        """
        A snoozed environment is marked.
        """
        run("snooze", "--for=1d")

        assert "  checked just now, snoozed\n" in run("list").out

    def test_five_thousand(self, environment, run, tmp_path):
        """
        A store of 5 000 environments is five tables, each sorted.
        """
        fail(environment)
        record = Path(environment.record_path)
        fields = json.loads(record.read_bytes())
        for number in range(4999):
            other = StateStore().environment(tmp_path / f"{number:04}", "uv.lock")
            text = json.dumps(fields | {"environment": other.path})
            Path(other.record_path).write_text(text)

        lines = run("list").out.splitlines()

        assert 5001 == len(lines)
        assert "5000 environments: 1 failing, 4999 gone" == lines[-1]
        for first in range(0, 5000, 1000):
            rows = lines[first : first + 1000]
            assert sorted(rows) == rows

    def test_no_more(self, checked, shop, run, lock_of):
        """
        A lockfile that changed or was removed is reported.
        """
        (shop / "uv.lock").write_bytes(lock_of(attrs="25", idna="3.9"))
        changed = run("list").out
        (shop / "uv.lock").unlink()
        no_lockfile = run("list").out
        shop.rename(shop.with_name("elsewhere"))
        no_directory = run("list").out

        row = f"{shop} (uv.lock)  {{}}  1 version change  checked just now"
        assert f"{row.format('changed')}\n1 environment\n" == changed
        gone = f"{row.format('gone')}\n1 environment: 1 gone\n"
        assert [gone, gone] == [no_lockfile, no_directory]

    def test_never_checked(self, failing, shop, run):
        """
        A failure that has expired leaves an environment that was never checked.
        """
        failing(0).expire()

        result = run("list")
        assert f"{shop} (uv.lock)  never checked  to be checked\n" in result.out
        assert "1 environment: 1 never checked\n" in result.out

    def test_hidden_lockfile(self, checked, shop, run):
        """
        A lockfile that cannot be read does not hide what was found.
        """
        (shop / "uv.lock").unlink()
        (shop / "uv.lock").symlink_to("uv.lock")

        line = f"{shop} (uv.lock)  upgrades  1 version change  checked just now\n"
        assert run("list").out.startswith(line)

    def test_corrupt(self, checked, run):
        """
        A corrupt record is a row, and no JSON.
        """
        with open(checked.record_path, "w") as file:
            file.write("{")

        as_json, result = run("list", "--json"), run("list")

        assert f"{checked.record_path}  corrupt record\n" in result.out
        assert "1 environment: 1 with a corrupt record\n" in result.out
        assert f"upgrade-state: corrupt record: '{checked.record_path}'\n" == (
            as_json.err
        )
        assert (0, "") == (as_json.status, as_json.out)

    def test_unreadable(self, checked, run, refused):
        """
        A record that may not be read is a row, and does not stop the others.
        """
        with refused("os.open", checked.record_path):
            listed, shown = run("list"), run("show")

        assert f"{checked.record_path}  not readable\n" in listed.out
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
        assert expected in run("show", "--all").out

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
