import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import DAY, fail
from upgrade_state import StateStore, testing
from upgrade_state._messages import moment
from upgrade_state.lockfiles import Upgrade

SHOW = "Run 'upgrade-state show' for details.\n"
LINE = f"upgrade-state: 1 version change available in 'shop'. {SHOW}"
TROUBLE = (
    "upgrade-state: Could not check for upgrades of 'shop' for 9 days:"
    f" OSError: no route to host. {SHOW}"
)
NEXT = "at the next prompt here"
NOTHING = (
    "no notice: its upgrades are not known yet; run 'upgrade-state check -- COMMAND'"
)
RULE = "if checks still fail after"

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

HEAVY = {
    *("argparse", "attrs", "datetime", "enum", "filelock", "json", "logging"),
    *("pathlib", "re", "typing"),
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

    def test_elsewhere(self, checked, run, monkeypatch, tmp_path):
        """
        In another directory, the command for details names the environment.
        """
        (tmp_path / "shop2").mkdir()
        for place in (tmp_path, tmp_path / "shop2"):
            monkeypatch.chdir(place)
            told = run("notify", "--always", "--interval=0", checked.path).err
            assert told.endswith(
                f"Run 'upgrade-state show {checked.path}' for details.\n"
            )

        (tmp_path / "shop2").rmdir()
        told = run("notify", "--always", "--interval=0", checked.path).err
        assert told.endswith(f"Run 'upgrade-state show {checked.path}' for details.\n")

    @pytest.mark.parametrize("value", ["", "0", "false", "1"])
    @pytest.mark.parametrize("name", ["NO_UPDATE_NOTIFIER", "CI"])
    def test_switch(self, checked, run, monkeypatch, name, value):
        """
        A variable that is set to nothing, 0 or false silences nothing.
        """
        monkeypatch.setenv(name, value)

        assert ("" if value == "1" else LINE) == run("notify", "--always").err

    def test_details(self, environment, commit, lock_of, run):
        """
        After a check by a recipe, the notice names the command for details.
        """
        commit(environment, lock_of(attrs="25.1", idna="3.9"), by="uv")
        told = LINE.replace("upgrade-state show", "uv lock --upgrade --dry-run")

        assert [told, ""] == [
            run("notify", "--always").err,
            run("notify", "--always").err,
        ]

    def test_details_elsewhere(self, environment, commit, lock_of, run, monkeypatch):
        """
        The recipe's command runs in the directory only: elsewhere it is `show`.
        """
        commit(environment, lock_of(attrs="25.1", idna="3.9"), by="uv")
        below = Path(environment.path) / "my docs"
        below.mkdir()
        monkeypatch.chdir(below)
        assert LINE == run("notify", "--always").err

        monkeypatch.chdir("/")
        told = run("notify", "--always", "--interval=0", environment.path).err
        assert f"Run 'upgrade-state show {environment.path}' for details.\n" in told
        shown = run("show", environment.path).out
        command = f"cd {environment.path} && uv lock --upgrade"
        assert f"  to upgrade    {command}\n" in shown
        assert f"  for details   {command} --dry-run\n" in shown

    def test_two_lockfiles(self, checked, shop, commit, failing, run):
        """
        The notices of two lockfiles of one directory name the lockfile.
        """
        other = StateStore().environment(shop, "pdm.lock")
        (shop / "pdm.lock").write_bytes(b"")
        commit(other, b"x")
        told = run("notify", "--always", "--interval=0").err.splitlines()

        assert [
            "upgrade-state: Upgrades available in 'shop' (pdm.lock).",
            "upgrade-state: 1 version change available in 'shop' (uv.lock).",
        ] == [line.partition(" Run")[0] for line in told]
        failing(0)
        told = run("notify", "--always", "--interval=0", "--could-not-check=0").err
        assert "Could not check for upgrades of 'shop' (uv.lock): OSError" in told

    @pytest.mark.parametrize("recipe", ["gone", "uv+sandbox"])
    def test_other_recipes(self, environment, commit, lock_of, run, recipe):
        """
        Without the recipe there is no command for details; a sandbox changes none.
        """
        commit(environment, lock_of(attrs="25.1", idna="3.9"), by=recipe)

        assert ("'uv lock" in run("notify", "--always").err) == (recipe != "gone")

    @pytest.fixture
    def below(self, checked, shop, monkeypatch):
        """
        The current directory, with a lockfile of its own, below a known one.
        """
        path = shop / "docs"
        path.mkdir()
        (path / "requirements.txt").write_text("sphinx\n")
        monkeypatch.chdir(path)
        return path

    @pytest.mark.parametrize("words", [(), ("--platform=a", "--platform=*")])
    def test_above(self, below, run, words):
        """
        If nothing is known here, it is about the project around; a name is exact.
        """
        asked = ("notify", "--always", *words)

        assert ["", "", LINE, ""] == [
            run(*asked, ".").err,
            run(*asked, "requirements.txt").err,
            run(*asked).err,
            run(*asked).err,
        ]

    @pytest.mark.parametrize("name", ["uv.lock", "dev-requirements.txt"])
    def test_not_above(self, below, commit, run, name):
        """
        If a record here is silent, no other environment is the subject.
        """
        (below / name).write_bytes(b"")
        commit(StateStore().environment(below, name), b"")

        assert "" == run("notify", "--always").err

    def test_explain_above(self, below, run):
        """
        The project whose notice would be given is explained.
        """
        explained = run("notify", "--explain").out

        assert explained.startswith(
            f"{below.parent} (uv.lock): at the next prompt there: "
        )

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
        hooked = ("notify", "--always", "--check", "--cache-dir")

        assert "" == run(*hooked, tmp_path / "other", ".").err
        assert LINE == run(*hooked, cache, ".").err
        assert "" == run(*words, tmp_path / "other").err
        assert LINE == run(*words, cache, "../shop", "--lockfile", "uv.lock").err
        assert LINE == run(*words, cache, "uv.lock").err

    @pytest.fixture
    def explained(self, shop, run):
        """
        Explain the verdict: the lines, without the environment that they begin with.
        """

        def explain(*words):
            lines = run("notify", "--always", "--explain", *words).out.splitlines()
            start = f"{shop} (uv.lock): "
            assert [start] * len(lines) == [line[: len(start)] for line in lines]
            return [line.removeprefix(start) for line in lines]

        return explain

    def test_explain(self, checked, explained, run):
        """
        An explanation is on stdout and claims nothing.
        """
        assert ["at the next prompt here: 1 version change available"] == explained()
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
            (
                (9, 0),
                (),
                ["at the next prompt here: could not check for 9 days{}"],
            ),
            (
                (2, 0),
                (),
                ["could not check for 2 days{}", NOTHING, "5 days"],
            ),
            ((0,), (), ["could not check{}", NOTHING, "7 days"]),
            (
                (2, 0),
                ("--could-not-check", "3d"),
                ["could not check for 2 days{}", NOTHING, "1 day"],
            ),
        ],
    )
    def test_explain_failures(self, failing, explained, days, words, expected):
        """
        An explanation names failures, and when a notice about them follows.
        """
        look = failing(*days).look()

        if expected[2:]:
            ahead = dt.timedelta(days=int(expected.pop().split()[0]))
            when = moment(look.information.failure.at + ahead)
            expected = [*expected, f"{RULE} {when}, you are notified, then once a week"]
        why = ": OSError: no route to host"
        assert expected == [line.replace(why, "{}") for line in explained(*words)]

    def test_explain_nothing(self, environment, run):
        """
        Where nothing is known, the explanation is the answer of `show`.
        """
        explained, shown = run("notify", "--explain"), run("show")

        assert (0, shown.err) == (explained.status, explained.err)
        assert "nothing is known of " in shown.err

    def test_explain_that_it_was_told(self, failing, explained, run):
        """
        After it, an explanation says when it was given, and when again.
        """
        failing(9, 0)
        run("notify", "--always")

        _, nothing, *_, rule = explained()
        assert NOTHING == nothing
        assert rule.startswith(RULE)
        assert rule.endswith(", you are notified again, then once a week")

    def test_explain_that_it_is_silenced(self, failing, explained):
        """
        If a snooze silences it, an explanation has both.
        """
        failing(9, 0).snooze(dt.datetime(2999, 1, 1, tzinfo=dt.UTC))

        first, second = explained()
        assert "could not check for 9 days: OSError: no route to host" == first
        assert second.startswith("snoozed until ")

    def test_explain_that_it_is_gone(self, checked, shop, run):
        """
        A lockfile that was removed is the whole explanation.
        """
        (shop / "uv.lock").unlink()

        line = f"{shop} (uv.lock): the lockfile was removed\n"
        assert line == run("notify", "--explain").out

    def test_explain_without_a_home(self, shop, run, monkeypatch):
        """
        Without a place for the state, an explanation is one line.
        """
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", "relative")
        words = ("--lockfile", "uv.lock", "--name", "docs", ".")
        named = run("notify", "--explain", *words).out
        explained = run("notify", "--explain")

        assert named.startswith(f"{shop} (uv.lock, docs): UPGRADE_STATE_CACHE")
        assert 1 == len(named.splitlines()) == len(explained.err.splitlines())
        assert (0, "") == (explained.status, explained.out)

    def test_explain_what_cannot_be_recorded(
        self, checked, explained, run, monkeypatch
    ):
        """
        A notice that cannot be recorded is not given, and that is explained.
        """
        root = Path(checked.record_path).parent
        (root / "tmp").chmod(0o777)
        problem = f"{root}/tmp: open to others (drwxrwxrwx)"
        assert [f"no notice: it cannot be recorded ({problem})"] == explained()

        (root / "tmp").chmod(0o700)
        monkeypatch.setattr("os.access", lambda *_: False)
        problem = f"{root}: cannot be written to"
        assert [f"no notice: it cannot be recorded ({problem})"] == explained()
        out = run("show").out
        assert f"  next notice   none: it cannot be recorded ({problem})\n" in out
        assert out.endswith("  to mend it    upgrade-state doctor\n")

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
            ["--lockfile", "--check"],
            ["--could-not-check", "never"],
            ["a", "b"],
            ["--cache-dir", "relative"],
            ["--cache-dir="],
            ["--cache-dir=postgresql:///db"],
            [""],
            ["--lockfile", "../x"],
            ["--explain", "--lockfile", "../x"],
        ],
    )
    def test_mistakes(self, shop, run, words):
        """
        A mistake in the arguments is one line, and no failure of the prompt.
        """
        for first in ((), ("--color=never",)):
            result = run(*first, "notify", "--always", *words)

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


class TestDurations:
    """
    Options, and variables for those that are not given.
    """

    NAMES = ("INTERVAL", "REMINDER", "MAX_AGE", "COULD_NOT_CHECK")

    @pytest.mark.parametrize("words", [(), ("--platform=*",)])
    def test_variable(self, checked, run, monkeypatch, words):
        """
        A variable is the default of an option; set to nothing, it counts as unset.
        """
        asked = ("notify", "--always", *words)

        assert [LINE, ""] == [run(*asked).err for _ in range(2)]
        monkeypatch.setenv("UPGRADE_STATE_INTERVAL", "0")
        assert [LINE, LINE] == [run(*asked).err for _ in range(2)]
        assert "" == run(*asked, "--interval", "1 day").err
        monkeypatch.setenv("UPGRADE_STATE_INTERVAL", "")
        assert "" == run(*asked).err

    @pytest.mark.parametrize("words", [(), ("--platform=*",)])
    def test_reminder(self, checked, run, monkeypatch, words):
        """
        The same upgrades are announced again after a week, or as long as one says.
        """
        asked = ("notify", "--always", *words)
        with testing.clock_at(dt.datetime.now(dt.UTC) - 2 * DAY):
            assert LINE == run(*asked).err

        assert ": you were notified " in run("notify", "--explain", *words).out
        assert "told-recently" in run("show", "--json").out
        assert "" == run(*asked).err
        monkeypatch.setenv("UPGRADE_STATE_REMINDER", "2d")
        assert '"notify"' in run("show", "--json").out
        assert "" == run(*asked, "--reminder=3d").err
        assert LINE == run(*asked).err

    @pytest.mark.parametrize("words", [(), ("--platform=*",)])
    def test_failures(self, failing, run, monkeypatch, words):
        """
        So it is for the notice about failed checks.
        """
        failing(6, 0)
        monkeypatch.setenv("UPGRADE_STATE_COULD_NOT_CHECK", "5d")

        assert TROUBLE.replace("9", "6") == run("notify", "--always", *words).err

    @pytest.mark.parametrize("words", [(), ("--platform=*",)])
    def test_max_age(self, desk, commit, lock_of, run, monkeypatch, words):
        """
        So it is for a check in the background.
        """
        commit(desk.environment, lock_of(attrs="25"), by="uv")
        asked = ("notify", "--check", *words)

        run(*asked)
        assert not desk.starts.exists()
        monkeypatch.setenv("UPGRADE_STATE_MAX_AGE", "0")
        run(*asked)
        desk.ended()
        assert "--max-age=0s" in desk.starts.read_text()

    @pytest.mark.parametrize("words", [(), ("--platform=*",)])
    def test_bad_variables(self, checked, run, monkeypatch, words):
        """
        A bad value is one line on stderr, and the default holds.
        """
        for name in self.NAMES:
            monkeypatch.setenv(f"UPGRADE_STATE_{name}", "\x1b3x")

        *bad, line = run("notify", "--always", *words).err.splitlines(keepends=True)

        words = "is ignored: not a duration: '\\x1b3x' (such as 12h, 7d, 1w2d)\n"
        assert [f"upgrade-state: UPGRADE_STATE_{n} {words}" for n in self.NAMES] == bad
        assert LINE == line

    def test_others(self, checked, run, monkeypatch):
        """
        Every command that has the option has the default.
        """
        monkeypatch.setenv("UPGRADE_STATE_MAX_AGE", "0")

        assert '"reason": "expired"' in run("show", "--json").out
        assert '"reason": "expired"' in run("list", "--json").out
        assert '"reason": "fresh"' in run("show", "--json", "--max-age=1d").out

    def test_weight(self, checked, run, monkeypatch, modules_after):
        """
        They load a module that imports nothing, and only if one is given.
        """
        run("notify", "--always")
        monkeypatch.setenv("UPGRADE_STATE_MAX_AGE", "12h")
        loaded = modules_after("notify", "--always", "--check", "--reminder=1 week")

        own = {module for module in loaded if module.startswith("upgrade_state")}
        assert LIGHT | {"upgrade_state.cli._times"} == own
        assert not HEAVY & loaded


class TestPeek:
    @pytest.mark.parametrize("words", [(), (".",), ("--platform=*",)])
    def test_number(self, checked, commit, lock_of, run, words):
        """
        The number of upgrades is printed, without a terminal or a claim.
        """
        asked = ("notify", "--peek", *words)

        assert "1\n" == run(*asked).out
        commit(checked, lock_of(attrs="25.1", idna="3.10"))
        run("notify", "--always")
        result = run(*asked)
        assert (0, "2\n", "") == (result.status, result.out, result.err)

    @pytest.mark.parametrize(
        "silence", ["nothing", "snoozed", "changed", "off", "unknown", "failing"]
    )
    def test_nothing(self, shop, checked, commit, run, monkeypatch, silence):
        """
        Nothing is printed if there is nothing to upgrade, or no notice would be right.
        """
        old = (shop / "uv.lock").read_bytes()
        if silence == "nothing":
            commit(checked, old)
        elif silence == "snoozed":
            run("snooze", "--for=1d")
        elif silence == "changed":
            (shop / "uv.lock").write_bytes(b"")
        elif silence == "off":
            monkeypatch.setenv("NO_UPDATE_NOTIFIER", "1")
        elif silence == "failing":
            commit(checked, old)
            fail(checked, at=dt.datetime.now(dt.UTC))
        else:
            run("forget")

        for words in ((), ("--platform=*",)):
            result = run("notify", "--peek", *words)
            assert (0, "", "") == (result.status, result.out, result.err)

    def test_opaque(self, shop, commit, run):
        """
        A lockfile without a reader is a question mark; other numbers go first.
        """
        commit(StateStore().environment(shop, "uv.lock"), b"?", format=None)
        assert "?\n" == run("notify", "--peek").out

        (shop / "Cargo.lock").touch()
        rows = [Upgrade("a", "rebuild")]
        commit(StateStore().environment(shop, "Cargo.lock"), b"", upgrades=rows)
        assert "1\n" == run("notify", "--peek").out

    def test_above(self, checked, shop, run, monkeypatch):
        """
        It is about the nearest directory of which something is known.
        """
        (shop / "a").mkdir()
        monkeypatch.chdir(shop / "a")

        assert ["1\n", ""] == [run("notify", "--peek", *w).out for w in ((), (".",))]

    @pytest.mark.parametrize("words", [(), ("--platform=*",)])
    def test_full_stdout(self, checked, start, words):
        """
        A stdout that cannot be written to is a line on stderr; a closed one is none.
        """
        with open("/dev/full", "w") as full:
            process = start("notify", "--peek", *words, stdout=full)
        expected = "Could not write the output (No space left on device)"
        assert expected in process.communicate(timeout=60)[1]
        assert 0 == process.returncode

        command = f"{sys.executable} -m upgrade_state notify --peek {' '.join(words)}"
        command = ["sh", "-c", f"{command} >&-"]
        closed = subprocess.run(command, check=False, capture_output=True)
        assert (0, b"") == (closed.returncode, closed.stderr)

    def test_weight(self, checked, modules_after):
        """
        It loads nothing but the modules that it needs.
        """
        loaded = modules_after("notify", "--peek", first="1\n")

        own = {module for module in loaded if module.startswith("upgrade_state")}
        assert LIGHT | {"upgrade_state._lockfile"} == own
        assert not HEAVY & loaded


@pytest.fixture
def modules_after():
    """
    Run the command line in a process, and return the modules that it has loaded.
    """

    def run_(*words, first=""):
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
        assert result.stdout.startswith(first)
        return set(result.stdout.removeprefix(first).split())

    return run_


class TestWeight:
    @pytest.mark.parametrize("command", ["list", "doctor"])
    def test_looking(self, environment, modules_after, command):
        """
        A command that only looks does not load the package `checks`.
        """
        modules = modules_after(command)

        assert f"upgrade_state.cli._{command}" in modules
        assert "upgrade_state.checks" not in modules

    @pytest.mark.parametrize("words", [("show", "--json", "."), ("show", "--json")])
    def test_show(self, checked, commit, lock_of, modules_after, words):
        """
        To show a record as JSON takes no lock and no typed values.
        """
        commit(checked, lock_of(attrs="25.1", idna="3.9"), by="uv")
        loaded = modules_after(*words, first="{")

        assert "argparse" in loaded
        assert not {"attrs", "cattrs", "filelock", "logging", "shutil"} & loaded
        assert not {"upgrade_state.checks", "upgrade_state._codec"} & loaded

    @pytest.mark.parametrize("days", [None, (6, 3, 0), (9, 0)])
    def test_silent(self, checked, failing, run, modules_after, days):
        """
        A silent activation loads nothing but the modules that it needs.
        """
        failing(*days or ())
        run("notify", "--always")

        loaded = modules_after("notify", "--always", "--lockfile=uv.lock", ".")

        assert LIGHT == {m for m in loaded if m.startswith("upgrade_state")}
        assert not HEAVY & loaded
