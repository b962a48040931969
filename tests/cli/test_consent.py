"""
Consent: which checks start automatically, where, and with which options.
"""

import datetime as dt
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers import DAY, LONG_AGO, wait_until
from upgrade_state import Consent, StateStore

CONSENT = (
    "upgrade-state: the hook may repeat this check from now on;"
    " to stop it: 'upgrade-state forget {}'\n"
)

ELSEWHERE = (
    "this directory was replaced since your last check;"
    " 'upgrade-state check' allows automatic checks again\n"
)

# Stands in for a uv that needs a file and a variable, and says what it got.
NEEDY = """\
#!/bin/sh
echo "$(cat extra/notes 2>&1)" "$PLACE_A" "$PLACE_B" "$SECRET" >> '{runs}'
[ -e extra/notes ] && [ -n "$PLACE_A" ] && sed -i.bak s/3.9/3.10/ uv.lock
"""


def is_due(desk):
    """
    Make a check of the environment due, whatever its lockfile is.
    """
    assert desk.environment.expire()


class TestOtherDirectory:
    """
    Another directory at the path of one whose user has run a recipe.
    """

    @pytest.fixture
    def other(self, shop, tmp_path):
        path = tmp_path / "other"
        shutil.copytree(shop, path)
        return path

    def renamed(self, shop, other):
        shop.rename(shop.with_name("away"))
        other.rename(shop)

    def recreated(self, shop, other):
        shutil.rmtree(shop)
        shutil.copytree(other, shop)

    def cloned(self, shop, other):
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@index.example"]
        for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
            subprocess.run([*git, "-C", other, *words], check=True)
        shutil.rmtree(shop)
        subprocess.run([*git, "clone", "-q", other, shop], check=True, cwd="/")

    def mounted(self, shop, other):
        mount = ["mount", "-t", "tmpfs", "none", shop]
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr}")
        shutil.copytree(other, shop, dirs_exist_ok=True)

    @pytest.fixture(params=[renamed, recreated, cloned, mounted])
    def elsewhere(self, request, desk, shop, other, monkeypatch):
        """
        Another directory with the same files, as the current one.
        """
        request.param(self, shop, other)
        monkeypatch.chdir(shop)
        yield shop
        if os.path.ismount(shop):
            monkeypatch.chdir("/")
            subprocess.run(["umount", "-l", shop], check=True)

    def test_nothing_starts(self, elsewhere, desk, run):
        """
        Nothing starts in it, and `show` and `list` say why.
        """
        is_due(desk)
        assert 0 == run("notify", "--check").status
        assert 0 == run("notify", "--check", ".").status
        due = run("check", "--if-due", "--lockfile=uv.lock", elsewhere)
        every = run("check", "--all")

        assert not desk.log.exists()
        assert not desk.starts.exists()
        assert not desk.runs.exists()
        assert 1 == due.status
        assert due.err.endswith(f": {ELSEWHERE}")
        assert (0, "upgrade-state: 1 without consent\n") == (every.status, every.err)
        assert f"  {ELSEWHERE}" in run("show").out
        assert "to be checked, in another directory\n" in run("list").out
        fields = json.loads(run("show", "--json").out)
        assert (False, "uv") == (fields["background"], fields["consent"]["recipe"])

    def test_check(self, elsewhere, desk, run):
        """
        A check on purpose gives consent for it, and says so again.
        """
        first, second = run("check"), run("check")

        assert (0, CONSENT.format(elsewhere)) == (first.status, first.err)
        assert (0, "") == (second.status, second.err)
        is_due(desk)
        run("notify", "--check")
        assert "checked" in desk.ended()

    def test_alternating(self, desk, run, shop, other, tmp_path, lock_of, monkeypatch):
        """
        Of two projects in turns at one path, only the checked one is checked.
        """
        (other / "uv.lock").write_bytes(lock_of(attrs="1"))
        away = tmp_path / "away"
        for _ in range(50):
            shop.rename(away)
            other.rename(shop)
            run("notify", "--check", "--max-age=0", shop)
            shop.rename(other)
            away.rename(shop)
            assert Consent("uv") == desk.environment.look().consent
        assert not desk.log.exists()

        for number in range(50):
            run("notify", "--check", shop)
            if not number:
                desk.ended()
            shop.rename(away)
            other.rename(shop)
            run("notify", "--check", shop)
            shop.rename(other)
            away.rename(shop)

        assert 1 == len(desk.starts.read_text().splitlines())
        assert "ran\n" == desk.runs.read_text()


class TestOptions:
    @pytest.fixture
    def needy(self, desk, shop, monkeypatch):
        """
        An environment whose check needs a file that git ignores, and a variable.
        """
        subprocess.run(["git", "init", "-q", shop], check=True)
        (shop / ".gitignore").write_text("extra\n")
        tool = desk.runs.parent / "bin" / "uv"
        tool.write_text(NEEDY.format(runs=desk.runs))
        (shop / "extra").mkdir()
        (shop / "extra" / "notes").write_text("notes")
        for name in ("PLACE_A", "PLACE_B", "SECRET"):
            monkeypatch.setenv(name, name.lower())
        return desk

    def test_repeated(self, needy, run):
        """
        A check in the background has the options of the one that the user ran.
        """
        words = ("check", "--copy", "extra/notes", "--env", "PLACE_A", "--env=PLACE_B*")
        assert 0 == run(*words).status
        is_due(needy)

        run("notify", "--check")
        log = needy.ended()

        assert "checked\n" in log
        assert "notes place_a place_b \n" * 2 == needy.runs.read_text()
        record = Path(needy.environment.record_path).read_text()
        assert '"env":["PLACE_A","PLACE_B*"]' in record
        assert "place_a" not in record
        options = "recipe uv --copy extra/notes --env PLACE_A --env PLACE_B*\n"
        assert options in run("show").out

    def test_all(self, needy, run):
        """
        So has a check of every environment.
        """
        assert 0 == run("check", "--copy=extra/notes", "--env=PLACE_A").status
        is_due(needy)

        assert "upgrade-state: 1 checked\n" == run("check", "--all").err

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ((), ("--env=PLACE_A",)),
            (("--copy=extra/notes",), ()),
            (("--env=PLACE_A",), ("--env=PLACE_B",)),
        ],
    )
    def test_changed(self, desk, shop, run, first, second):
        """
        Other options are another consent, of which the user is told.
        """
        (shop / "extra").mkdir()
        (shop / "extra" / "notes").touch()
        results = [run("check", *words).err for words in (first, first, second, second)]

        told = CONSENT.format(shop)
        assert ["" if first == () else told, "", told, ""] == results

    def test_odd_name(self, desk, shop, run):
        """
        A file's name may have any bytes.
        """
        name = os.fsdecode(b"caf\xe9 \x1b[31m")
        (shop / name).touch()
        assert 0 == run("check", "--copy", name).status
        is_due(desk)

        run("notify", "--check")

        assert "checked" in desk.ended()
        assert Consent("uv", [name]) == desk.environment.look().consent
        assert "\x1b" not in run("show").out

    def test_missing(self, desk, shop, run):
        """
        A file that is gone is a failure that names it.
        """
        (shop / "notes").touch()
        run("check", "--copy", "notes")
        (shop / "notes").unlink()
        is_due(desk)

        run("notify", "--check")

        assert "Could not copy 'notes': it is no file or directory" in desk.ended()

    def test_unusable(self, desk, run):
        """
        An option that another program has recorded may be refused.
        """
        with desk.environment.try_check() as guard:
            guard.commit(b"x", consent=Consent("uv", env=["A*B"]), now=LONG_AGO)

        run("notify", "--check")

        assert "A*B" in desk.ended()
        assert 1 == desk.environment.look().information.failure.attempts

    def test_too_many(self, environment, shop, run, fake_uv):
        """
        More options than a record has room for are no consent, which is said.
        """
        names = [f"{number}" * 100 for number in range(11)]
        for name in names:
            (shop / name).touch()
        (shop / "pyproject.toml").touch()

        result = run("check", *(f"--copy={name}" for name in names))

        assert 0 == result.status
        assert "consent cannot be recorded: options must be texts" in result.err
        assert environment.look().consent is None
        assert "uv" == environment.look().information.checker


class TestGiven:
    @pytest.fixture
    def project(self, shop, fake_uv):
        (shop / "pyproject.toml").touch()

    def test_first(self, project, environment, run):
        """
        A check with --once gives no consent, and advises like any other.
        """
        result = run("check", "--once")

        information = environment.look().information
        assert (0, "") == (result.status, result.err)
        assert ("uv", None) == (information.checker, information.consent)
        assert "not automatic; 'upgrade-state check' allows it\n" in run("show").out

    def test_later(self, project, environment, run):
        """
        It leaves an earlier consent as it is.
        """
        run("check")
        run("check", "--once", "--env", "X")

        assert Consent("uv") == environment.look().consent

    def test_failed(self, project, environment, shop, run):
        """
        Nor does a check that fails give consent, or say so.
        """
        (shop.parent / "bin" / "uv").write_text("#!/bin/sh\nexit 3\n")

        result = run("check")

        assert 1 == result.status
        assert 1 == len(result.err.splitlines())
        assert environment.look().information.consent is None

    def test_two_lockfiles(self, project, shop, run):
        """
        Consent to several recipes in one directory is one line.
        """
        (shop.parent / "bin" / "npm").write_text("#!/bin/sh\n")
        (shop.parent / "bin" / "npm").chmod(0o755)
        (shop / "package.json").write_text("{}")
        (shop / "package-lock.json").write_text('{"lockfileVersion": 3}')

        result = run("check")

        assert (0, CONSENT.format(shop)) == (result.status, result.err)
        assert 2 == result.out.count("): up to date, ")

    def test_quoted(self, project, shop, run, monkeypatch):
        """
        The path in the command that ends it is quoted for a shell.
        """
        odd = shop.with_name("it's; a $HOME")
        shop.rename(odd)
        monkeypatch.chdir(odd)
        told = run("check").err

        command = told.partition("upgrade-state forget ")[2].strip()[:-1]
        words = subprocess.run(
            ["sh", "-c", f'printf "%s" {command}'],
            check=True,
            capture_output=True,
            text=True,
        )
        assert str(odd) == words.stdout
        assert 0 == run("forget", words.stdout).status
        assert StateStore().environment(odd, "uv.lock").look().consent is None
        odd = odd.rename(shop.with_name("two\nlines"))
        assert rf"upgrade-state forget '{shop.parent}/two\nlines''" in run("check").err


class TestCommand:
    """
    A check with a COMMAND of an environment that has consent.
    """

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--", "no-such-command"], "There is no command 'no-such-command'"),
            (["--", "false"], "failed with exit status 1"),
            (["--", "sh", "-c", "echo > uv.lock"], "is not a uv lockfile"),
        ],
    )
    def test_failed(self, desk, run, words, message):
        """
        One that fails is no failure of the recipe: a check is due as before.
        """
        before = Path(desk.environment.record_path).read_bytes()

        result = run("check", *words)

        assert 1 == result.status
        assert message in result.err
        assert before == Path(desk.environment.record_path).read_bytes()
        run("notify", "--check")
        assert "checked" in desk.ended()

    def test_other_recipe(self, desk, run, monkeypatch):
        """
        So it is with another recipe, such as the same one in a sandbox.
        """
        before = Path(desk.environment.record_path).read_bytes()
        monkeypatch.setenv("PATH", str(desk.runs.parent / "bin"))

        result = run("check", "--sandbox")

        assert (1, True) == (result.status, "no command 'bwrap'" in result.err)
        assert before == Path(desk.environment.record_path).read_bytes()

    def test_all(self, desk, run):
        """
        So it is with every environment.
        """
        before = Path(desk.environment.record_path).read_bytes()

        result = run("check", "--all", "--", "false")

        assert "upgrade-state: 1 failed\n" in result.err
        assert before == Path(desk.environment.record_path).read_bytes()

    def test_without_consent(self, desk, run):
        """
        Without consent its failure is recorded.
        """
        desk.environment.withdraw_consent()

        run("check", "--", "false")

        assert 1 == desk.environment.look().information.failure.attempts

    def test_by_the_recipe(self, desk, run):
        """
        A failure of the recipe itself is recorded, whether or not with --once.
        """
        (desk.runs.parent / "bin" / "uv").write_text("#!/bin/sh\nexit 3\n")

        run("check")
        run("check", "--once")

        assert 2 == desk.environment.look().information.failure.attempts


class TestJustChecked:
    def test_changed(self, desk, run, shop, lock_of):
        """
        A lockfile that changes after a check starts another one minutes later.
        """
        assert 0 == run("check").status
        (shop / "uv.lock").write_bytes(lock_of(attrs="1"))

        run("notify", "--check")
        due = run("check", "--if-due", shop)
        every = run("check", "--all")
        shown = run("show").out

        assert not desk.log.exists()
        words = "the lockfile has changed since the last check; no other"
        assert 0 == due.status
        assert words in due.err
        assert (0, "upgrade-state: 1 just checked\n") == (every.status, every.err)
        assert f"  next check    {words}" in shown
        assert 0 == run("check").status

    def test_later(self, desk, run, shop, commit, lock_of):
        """
        Minutes later it does.
        """
        ago = dt.datetime.now(dt.UTC) - DAY / 24
        commit(desk.environment, b"x", by="uv", now=ago)
        (shop / "uv.lock").write_bytes(lock_of(idna="3.9"))

        run("notify", "--check")

        wait_until(desk.is_running)
        assert "checked" in desk.ended()
