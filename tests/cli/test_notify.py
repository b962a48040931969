import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from upgrade_state import StateStore
from upgrade_state.lockfiles import Upgrade

LINE = "1 version change available in 'shop'.\n"
TROUBLE = (
    "Could not check for upgrades of 'shop' for 9 days: OSError: no route to host.\n"
)
NOTHING = "nothing-known: no check has succeeded yet"

LIGHT = {
    "upgrade_state",
    "upgrade_state._environment",
    "upgrade_state._look",
    "upgrade_state._policy",
    "upgrade_state._record",
    "upgrade_state.cli",
    "upgrade_state.cli._activation",
    "upgrade_state.cli._targets",
    "upgrade_state.lockfiles",
    "upgrade_state.lockfiles._names",
}


class TestNotify:
    @pytest.mark.parametrize("words", [(), ("--", ".")])
    def test_once(self, checked, run, words):
        """
        The notice is printed on stderr, once per interval.
        """
        first, second = (
            run("notify", "--always", *words),
            run("notify", "--always", *words),
        )

        assert (0, "", LINE) == (first.status, first.out, first.err)
        assert (0, "", "") == (second.status, second.out, second.err)

    @pytest.mark.parametrize("words", [(), ("--interval=1d",)])
    def test_at_a_terminal(self, checked, run, in_terminal, words):
        """
        If stderr is no terminal the notice is kept for one.
        """
        assert ["", ""] == [run("notify", *words).err, run("notify", *words).out]

        shown = in_terminal(["-m", "upgrade_state", "notify", *words])
        assert LINE == shown.decode().replace("\r", "")
        assert "" == run("notify", "--always", *words).err

    def test_details(self, environment, commit, lock_of, run):
        """
        After a check by a recipe, the notice names the command for details.
        """
        commit(environment, lock_of(attrs="25.1", idna="3.9"), by="uv")
        told = LINE.strip() + " Run 'uv lock --upgrade --dry-run' for details.\n"

        assert [told, ""] == [
            run("notify", "--always").err,
            run("notify", "--always").err,
        ]

    @pytest.mark.parametrize("recipe", ["gone", "uv+sandbox"])
    def test_other_recipes(self, environment, commit, lock_of, run, recipe):
        """
        A recipe that is not installed adds no details; a sandbox changes none.
        """
        commit(environment, lock_of(attrs="25.1", idna="3.9"), by=recipe)

        assert ("for details" in run("notify", "--always").err) == (recipe != "gone")

    @pytest.mark.parametrize("words", [(), ("--platform=a", "--platform=b")])
    def test_or_above(self, checked, shop, run, words):
        """
        If nothing is known here, the project around may be the subject.
        """
        (shop / "docs").mkdir()
        (shop / "docs" / "requirements.txt").write_text("sphinx\n")

        asked = ("notify", "--always", *words, str(shop / "docs"))

        assert ["", LINE, ""] == [
            run(*asked).err,
            run(*asked, "--or-above").err,
            run(*asked, "--or-above").err,
        ]

    @pytest.mark.parametrize("name", ["uv.lock", "dev-requirements.txt"])
    def test_not_above(self, checked, shop, commit, run, name):
        """
        If a record here is silent, no other environment is the subject.
        """
        (shop / "docs").mkdir()
        (shop / "docs" / name).write_bytes(b"")
        commit(StateStore().environment(shop / "docs", name), b"")

        assert "" == run("notify", "--always", "--or-above", str(shop / "docs")).err

    @pytest.mark.parametrize("env", ["docs", "docs/requirements.txt"])
    def test_explain_above(self, checked, shop, run, env):
        """
        Which project would be spoken of is explained, of a lockfile as well.
        """
        (shop / "docs").mkdir()
        (shop / "docs" / "requirements.txt").write_text("sphinx\n")
        asked = ("notify", "--always", "--or-above", str(shop / env))

        assert f"{shop} (uv.lock): notify: " in run(*asked, "--explain").out
        assert LINE == run(*asked).err

    def test_explain_mistake(self, shop, run):
        """
        A mistake is said also where it is only to be explained.
        """
        words = ("--or-above", "--explain", "--lockfile", "../x")

        assert "not a lockfile's name" in run("notify", "--always", *words).err

    @pytest.mark.parametrize("words", [("--interval", "0"), ("--interval=0",)])
    def test_interval(self, checked, run, words):
        """
        An interval of zero repeats the notice each time.
        """
        assert [LINE, LINE] == [run("notify", "--always", *words).err for _ in range(2)]

    def test_platform(self, shop, commit, run):
        """
        Only the platform that is asked for counts.
        """
        rows = [Upgrade("a", "version", platform="linux-64")]
        commit(StateStore().environment(shop), b"", upgrades=rows)
        (shop / "uv.lock").unlink()

        assert "" == run("notify", "--always", "--platform", "win-64").err
        assert LINE == run("notify", "--always", "--platform", "linux-64").err

    def test_places(self, checked, run, cache, tmp_path):
        """
        Environment, lockfile and cache directory may be named.
        """
        words = ("notify", "--always", "--interval=0", "--cache-dir")
        hooked = ("notify", "--always", "--check", "--or-above", "--cache-dir")

        assert "" == run(*hooked, tmp_path / "other", ".").err
        assert LINE == run(*hooked, cache, ".").err
        assert "" == run(*words, tmp_path / "other").err
        assert LINE == run(*words, cache, "../shop", "--lockfile", "uv.lock").err
        assert LINE == run(*words, cache, "uv.lock").err

    def test_explain(self, checked, run):
        """
        An explanation is on stdout and claims nothing.
        """
        explained = run("notify", "--always", "--explain")

        assert "uv.lock: notify: 1 version change available\n" == explained.out
        assert "" == explained.err
        assert LINE == run("notify", "--always").err

    def test_cannot_check_by_a_recipe(self, shop, environment, commit, failing, run):
        """
        The tool may be missing: then the notice does not name its command.
        """
        commit(environment, (shop / "uv.lock").read_bytes(), by="uv")
        failing(0)

        told = run("notify", "--always", "--could-not-check=0").err
        assert TROUBLE.replace(" for 9 days", "") == told

    @pytest.mark.parametrize(
        ("days", "words", "told"),
        [
            ((9, 0), [], TROUBLE),
            ((9, 0), ["--could-not-check", "0"], TROUBLE),
            ((9, 0), ["--", "."], TROUBLE),
            ((6, 0), [], ""),
            ((6, 0), ["--could-not-check=6d"], TROUBLE.replace("9", "6")),
        ],
    )
    def test_cannot_check(self, failing, run, days, words, told):
        """
        A notice says that checks have failed for a week, or as long as an option says.
        """
        failing(*days)

        assert [told, ""] == [run("notify", "--always", *words).err for _ in range(2)]

    @pytest.mark.parametrize(
        ("days", "words", "expected"),
        [
            ((9, 0), (), ["cannot-check: could not check for 9 days{}"]),
            ((2, 0), (), [NOTHING, "could not check for 2 days{}; {} 7 days of it"]),
            ((0,), (), [NOTHING, "could not check{}; {} 7 days of it"]),
            (
                (2, 0),
                ("--could-not-check", "3d"),
                [NOTHING, "could not check for 2 days{}; {} 3 days of it"],
            ),
        ],
    )
    def test_explain_failures(self, failing, run, days, words, expected):
        """
        An explanation names failures, and when a notice about them follows.
        """
        failing(*days)

        texts = (": OSError: no route to host", "a notice follows after")
        assert [f"uv.lock: {line.format(*texts)}" for line in expected] == (
            run("notify", "--always", "--explain", *words).out.splitlines()
        )

    def test_explain_that_it_was_told(self, failing, run):
        """
        After it, an explanation says when it was given, and when again.
        """
        failing(9, 0)
        run("notify", "--always")

        first, second = run("notify", "--always", "--explain").out.splitlines()
        assert first.startswith("uv.lock: nothing-known: ")
        assert "host; notified today " in second
        assert second.endswith(", and again a week later if it goes on")

    def test_explain_that_it_is_silenced(self, failing, run):
        """
        If a snooze silences it, an explanation has both.
        """
        failing(9, 0).snooze(dt.datetime(2999, 1, 1, tzinfo=dt.UTC))

        first, second = run("notify", "--always", "--explain").out.splitlines()
        assert first.startswith("uv.lock: snoozed: ")
        words = "could not check for 9 days: OSError: no route to host"
        assert f"uv.lock: {words}" == second

    def test_explain_without_a_home(self, shop, run, monkeypatch):
        """
        Without a place for the state, an explanation is one line.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "relative")
        explained = run("notify", "--always", "--explain", "--lockfile", "uv.lock")

        assert "" == explained.err
        assert explained.out.startswith("uv.lock: unavailable: ")
        assert 1 == len(explained.out.splitlines())

    def test_explain_what_cannot_be_recorded(self, checked, run, monkeypatch):
        """
        A notice that cannot be recorded is not given, and that is explained.
        """
        monkeypatch.setattr("os.access", lambda *_: False)

        lines = run("notify", "--always", "--explain").out.splitlines()

        assert "uv.lock: notify: 1 version change available" == lines[0]
        assert "no notice is given, as it cannot be recorded: cannot be wr" in lines[1]

    def test_explain_a_corrupt_record(self, checked, run):
        """
        A corrupt record is explained.
        """
        Path(checked.record_path).write_text("garbage")

        assert "the record is corrupt: '" in run("notify", "--always", "--explain").out

    def test_closed_stderr(self, checked):
        """
        With stderr closed nothing goes to stdout instead.
        """
        command = f"{sys.executable} -m upgrade_state notify 2>&-"
        done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True)

        assert b"" == done.stdout

    @pytest.mark.parametrize(
        "words",
        [
            ["--foo"],
            ["--interval", "7"],
            ["--interval"],
            ["--interval=1d", "--interval=x"],
            ["--could-not-check", "never"],
            ["a", "b"],
            ["--cache-dir", "relative"],
            ["--cache-dir="],
            [""],
            ["--lockfile", "../x"],
            ["--explain", "--lockfile", "../x"],
        ],
    )
    def test_mistakes(self, shop, run, words):
        """
        A mistake in the arguments is one line, and no failure of the prompt.
        """
        result = run("notify", "--always", *words)

        assert (0, "") == (result.status, result.out)
        assert 1 == len(result.err.splitlines())
        assert result.err.startswith("upgrade-state: ")

    def test_no_home(self, shop, run, monkeypatch):
        """
        Without a place for the state, nothing is printed.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "relative")

        result = run("notify", "--always")

        assert (0, "", "") == (result.status, result.out, result.err)

    def test_full_stderr(self, checked, start):
        """
        A stderr that cannot be written to is no failure.
        """
        with open("/dev/full", "w") as full:
            process = start("notify", "--always", stderr=full)

        assert "" == process.communicate(timeout=60)[0]
        assert 0 == process.returncode


class TestWeight:
    def modules_after(self, *words):
        code = (
            f"import sys; sys.path = {sys.path}; before = set(sys.modules);"
            "from upgrade_state.cli import main; main(sys.argv[1:]);"
            "print(*sorted(sys.modules.keys() - before))"
        )
        result = subprocess.run(
            [sys.executable, "-S", "-c", code, *words],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return set(result.stdout.split())

    @pytest.mark.parametrize("command", ["show", "list", "doctor"])
    def test_looking(self, environment, command):
        """
        A command that only looks does not load the package `checks`.
        """
        modules = self.modules_after(command)

        assert f"upgrade_state.cli._{command}" in modules
        assert "upgrade_state.checks" not in modules

    @pytest.mark.parametrize("days", [None, (6, 3, 0), (9, 0)])
    def test_silent(self, checked, failing, run, days):
        """
        A silent activation loads nothing but the modules that it needs.
        """
        failing(*days or ())
        run("notify", "--always")

        loaded = self.modules_after("notify", "--always")

        assert LIGHT == {m for m in loaded if m.startswith("upgrade_state")}
        assert {
            "argparse",
            "attrs",
            "datetime",
            "enum",
            "filelock",
            "json",
            "logging",
            "pathlib",
            "re",
            "typing",
        }.isdisjoint(loaded)
