import json
import os
import shutil
import sys

import pytest

from helpers import refuse
from upgrade_state import CheckGuard, Consent, StateStore, checks

CHOICES = ", ".join(sorted(checks.RECIPES))

CONSENT = (
    "upgrade-state: the hook may repeat this check from now on;"
    " to stop it: upgrade-state forget {}\n"
)

PATH = os.environ["PATH"]

UPGRADE = (
    "import re; t = open('uv.lock').read();"
    "open('uv.lock', 'w').write(t.replace('24.2.0', '24.3.0'))"
)


@pytest.fixture
def fake_uv(tmp_path, monkeypatch, shop):
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "uv").write_text(f"#!{sys.executable} -S\n{UPGRADE}\n")
    (bin_ / "uv").chmod(0o755)
    (shop / "pyproject.toml").write_text("")
    monkeypatch.setenv("PATH", str(bin_))
    return bin_ / "uv"


class TestCheck:
    def test_command(self, environment, run, python):
        """
        A command's result is printed and remembered, without consent.
        """
        result = run("check", *python(UPGRADE))

        assert 0 == result.status
        assert (
            f"{environment.path} (uv.lock): 1 version change\n"
            "    attrs: 24.2.0 -> 24.3.0\n"
        ) == result.out
        assert "" == result.err
        information = environment.look().information
        assert (None, None) == (information.checker, information.consent)

    def test_recipe(self, environment, run, fake_uv):
        """
        Without a command the recipe is used, which is consent to repeat it.
        """
        result = run("check", ".", "--timeout", "1m")

        assert (0, CONSENT.format(environment.path)) == (result.status, result.err)
        assert (
            f"{environment.path} (uv.lock): 1 version change\n"
            "    attrs: 24.2.0 -> 24.3.0\n"
            "    to upgrade: uv lock --upgrade (details: uv lock --upgrade --dry-run)\n"
        ) == result.out
        information = environment.look().information
        assert ("uv", Consent("uv")) == (information.checker, information.consent)

    def test_named_recipe(self, environment, shop, run, fake_uv):
        """
        A recipe may be named; its lockfile is meant then.
        """
        (shop / "manifest.lock").write_text("{}")

        result = run("check", "--recipe", "uv")

        assert (0, CONSENT.format(shop)) == (result.status, result.err)
        assert "uv" == environment.look().consent.recipe

    def test_lockfile_to_be_made(self, environment, shop, run, lock_of, fake_uv):
        """
        A lockfile that a recipe is to make need not be there, its manifest must.
        """
        (shop / "uv.lock").unlink()
        made = lock_of(attrs="1.0").decode()
        fake_uv.write_text(f"#!/bin/sh\necho '{made}' > uv.lock\n")
        words = ("check", "--recipe", "uv")

        results = [run(*words, where) for where in (shop / "uv.lock", "uv.lock")]
        told = (0, CONSENT.format(shop))
        assert [told, (0, "")] == [(r.status, r.err) for r in results]
        assert 2 == environment.look().information.generation
        (shop / "pyproject.toml").unlink()
        assert "neither uv.lock nor pyproject.toml" in run(*words, "uv.lock").err

    def test_list_of_wishes(self, environment, shop, run, fake_uv):
        """
        A list of requirements beside a lockfile is left alone.
        """
        (shop / "requirements.txt").write_text("attrs")

        result = run("check")

        assert 0 == result.status
        assert "no recipe for requirements.txt" in result.err

    @pytest.mark.parametrize("tool", ["uv", "pdm"])
    def test_other_tool(self, shop, run, tool):
        """
        A lockfile of another tool has no recipe.
        """
        (shop / "uv.lock").unlink()
        (shop / "requirements.in").write_text("attrs")
        (shop / "pylock.toml").write_text(
            f'lock-version = "1.0"\ncreated-by = "{tool}"\npackages = []\n'
        )

        result = run("check")

        assert 2 == result.status
        assert (
            "pylock.toml: it was not made by a known command of uv or pip; gi"
            in result.err
        )

    @pytest.mark.parametrize("words", [(), ("--", "true")])
    def test_member(self, shop, run, words):
        """
        For a member of a workspace, the message names the lockfile's directory.
        """
        (shop / "packages" / "till").mkdir(parents=True)

        result = run("check", "packages/till", *words)

        assert 2 == result.status
        assert f"/till', but one is in {str(shop)!r}; " in result.err

    def test_nothing_to_upgrade(self, shop, run, fake_uv):
        """
        Without upgrades, no command for them is printed.
        """
        run("check")
        (shop / "uv.lock").write_text(
            (shop / "uv.lock").read_text().replace("24.2.0", "24.3.0")
        )

        assert "no upgrades\n" in run("check").out
        assert "to upgrade:" not in run("show").out

    def test_env(self, environment, run, python, monkeypatch):
        """
        A command gets the environment variables that are named.
        """
        monkeypatch.setenv("TOKEN", "24.3.0")
        monkeypatch.setenv("OTHER", "24.4.0")
        code = UPGRADE.replace("'24.3.0'", "os.environ.get('TOKEN', 'x')")

        result = run("check", "--env", "TOKEN", *python(f"import os; {code}"))

        assert "attrs: 24.2.0 -> 24.3.0" in result.out
        assert 2 == run("check", "--env", "A=B", *python("")).status

    @pytest.mark.skipif(not shutil.which("bwrap"), reason="no bwrap here")
    def test_sandbox(self, environment, run, python, shop, monkeypatch):
        """
        A command may be kept from writing elsewhere.
        """
        code = f"{UPGRADE}; open({str(shop)!r} + '/x', 'w')"

        result = run("check", "--sandbox", *python(code))

        assert 1 == result.status
        assert "OSError: [Errno 30] Read-only file system" in result.err

    @pytest.mark.skipif(not shutil.which("bwrap"), reason="no bwrap here")
    def test_recipe_in_sandbox(self, environment, run, fake_uv, tmp_path):
        """
        A recipe in a sandbox is remembered as one of its own.
        """
        (tmp_path / "bin" / "uv").write_text("#!/bin/sh\necho >> uv.lock\n")
        (tmp_path / "bin" / "bwrap").symlink_to(shutil.which("bwrap", path=PATH))

        result = run("check", "--sandbox")

        assert (0, CONSENT.format(environment.path)) == (result.status, result.err)
        assert "uv+sandbox" == environment.look().consent.recipe
        assert 0 == run("check", "--sandbox", "--recipe", "uv+sandbox").status

    def test_does_not_ask(self, environment, run, python):
        """
        A person's own check is made, however fresh the last one is.
        """
        run("check", *python(UPGRADE))
        run("check", *python(UPGRADE))

        assert 2 == environment.look().information.generation

    def test_json(self, environment, run, python):
        """
        JSON is what `show` writes, and how the check has ended.
        """
        fields = json.loads(run("check", "--json", *python(UPGRADE)).out)

        assert "checked" == fields["outcome"]
        assert environment.key == fields["key"]

    def test_failed(self, environment, run, python):
        """
        A failure is one line, remembered, and the exit status 1.
        """
        result = run("check", *python("raise SystemExit('no network')"))

        assert (1, "") == (result.status, result.out)
        assert result.err.startswith(f"upgrade-state: {environment.path} (uv.lock): ")
        assert result.err.endswith("failed with exit status 1: no network\n")
        assert 1 == environment.look().information.failure.attempts

    def test_failed_in_terminal(self, environment, fake_uv, in_terminal):
        """
        On a terminal the lines of the tool are printed as they were, with a hint.

        The record keeps the one-line form.
        """
        lines = (
            "  \u00d7 No solution:",
            "  \u2570\u2500\u25b6 a needs b",
            "      at 401 Error",
        )
        script = "".join(f"echo '{line}'\n" for line in lines)
        fake_uv.write_text(f"#!/bin/sh\n{script}exit 3\n", encoding="utf-8")
        words = ["-m", "upgrade_state", "check"]

        seen = in_terminal(words, env={"TERM": "dumb"}).decode()
        in_ascii = in_terminal(words, env={"TERM": "dumb", "PYTHONIOENCODING": "ascii"})

        hint = "if an index needs credentials, pass them with --env NAME"
        name = f"{environment.path} (uv.lock)"
        assert [
            f"upgrade-state: {name}: 'uv' failed with exit status 3",
            *(f"  {line}" for line in lines),
            f"  hint: {hint}",
        ] == seen.splitlines()[-5:]
        assert rb"    \u2570\u2500\u25b6 a needs b" in in_ascii
        message = environment.look().information.failure.message
        reason = "; ".join(map(str.strip, lines))
        assert f"'uv' failed with exit status 3: {reason}; {hint}" == message

    def test_no_hint_in_terminal(self, environment, in_terminal, python):
        """
        Without advice there is no hint; a failure without output is one line.
        """
        words = ["-m", "upgrade_state", "check"]
        env = {"TERM": "dumb"}
        one = in_terminal([*words, *python("raise SystemExit('one')")], env=env)
        left = in_terminal([*words, *python("raise SystemExit(1)")], env=env)

        assert b"failed with exit status 1\r\n  one\r\n" == one[-34:]
        assert left.endswith(b"status 1; it gave no reason: run it once yourself\r\n")

    def test_format(self, shop, run, python):
        """
        A format may be given for a lockfile of any name.
        """
        (shop / "uv.lock").rename(shop / "custom.lock")
        code = UPGRADE.replace("uv.lock", "custom.lock")
        words = ("check", "--lockfile=custom.lock", "--format=uv", *python(code))

        assert "attrs: 24.2.0 -> 24.3.0" in run(*words).out

    def test_two_recipes(self, shop, run, fake_uv):
        """
        A lockfile without a recipe is named; the others are checked.
        """
        (shop / "manifest.lock").write_text("{}")

        result = run("check")

        assert 0 == result.status
        assert "attrs" in result.out
        assert (
            "upgrade-state: no recipe for manifest.lock;"
            f" give a COMMAND after --; recipes: {CHOICES}\n{CONSENT.format(shop)}"
        ) == result.err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--lockfile", "x.lock"], "no recipe for x.lock; give a COMMAND"),
            ([".."], "make one, or pick a recipe (--recipe), or give a COMMAND"),
            (["..", "--", "true"], "; name it with --lockfile"),
            (["true"], "there is no such directory or lockfile: 'true'"),
            ([".", "true"], "true (a COMMAND comes after --; see upgrade-state check"),
            (["--env", "A=1", "--", "true"], "not the name of an environment variable"),
            (
                ["--timeout", "0"],
                "argument --timeout: the time limit must be longer than 0",
            ),
            (["missing"], "there is no such directory or lockfile: 'missing'"),
            (["--interval", "0"], "unrecognized arguments: --interval"),
            (["--could-not-check", "1d"], "unrecognized arguments: --could-not-check"),
            (["uv.lock2", "--recipe", "uv"], "there is no such directory or lockfile"),
            (["x/uv.lock", "--recipe", "uv"], "there is no such directory or lockfile"),
            (["--"], "there is no COMMAND after --"),
            (["--", ""], "not a command"),
            (["--copy", "/x", "--", "true"], "not a path below a directory: '/x'"),
            (["--copy", "../x", "--", "true"], "or directory '../x' to copy in '/"),
            (["--copy", "x"], "there is no file or directory 'x' to copy in '/"),
            (["--timeout", "soon"], "argument --timeout: not a duration: 'soon'"),
            (["--format", "x"], "Unknown format 'x'"),
            (["--recipe", "x"], f"There is no recipe 'x'; recipes: {CHOICES}"),
            (["--recipe", "uv", "--", "x"], "either --recipe or a COMMAND, not both"),
            (
                ["--recipe", "npm", "uv.lock"],
                "the recipe npm is for package-lock.json, not for uv.lock",
            ),
            (
                ["--recipe", "npm", "--lockfile", "uv.lock"],
                "the recipe npm is for package-lock.json, not for uv.lock",
            ),
            (["--lockfile", "../x"], "not a lockfile's name"),
            (["--cache-dir", "x"], "not an absolute path: 'x'"),
            (
                ["--recipe", "npm"],
                "neither package-lock.json nor package.json is in '/",
            ),
            (["two", "--", "true"], "manifest.lock, uv.lock; pick one (--lockfile)"),
            (["two"], "manifest.lock; none for uv.lock: there is no pyproject.toml"),
            (["--cache-dir=/proc/none", "--", "true"], "'/proc/none"),
        ],
    )
    def test_usage(self, shop, run, words, message):
        """
        Mistakes are one line, and exit status 2; nothing is recorded.
        """
        (shop / "pyproject.toml").touch()
        (shop / "two").mkdir()
        for name in ("manifest.lock", "uv.lock"):
            (shop / "two" / name).touch()
        result = run("check", *words)

        assert (2, "") == (result.status, result.out)
        assert 1 == len(result.err.splitlines())
        assert message in result.err
        assert [] == list(StateStore())

    def test_deleted(self, shop, run, monkeypatch):
        """
        In a directory that was removed, the message says only that.
        """
        monkeypatch.setattr("os.getcwd", lambda: os.stat("gone"))

        words = "could not look into '..' (No such file or directory)"
        for more in ((), ("--", "true")):
            result = run("check", "..", *more)

            assert (2, f"upgrade-state: {words}\n") == (result.status, result.err)

    def test_consent_stays(self, environment, run, fake_uv, python):
        """
        A check with a COMMAND leaves the consent as it is, and says nothing of it.
        """
        run("check")

        assert "" == run("check", *python(UPGRADE)).err
        information = environment.look().information
        assert (None, Consent("uv")) == (information.checker, information.consent)

    def test_broken_recipe(self, shop, run, tmp_path, monkeypatch):
        """
        A missing recipe is reported with the installed ones that are broken.
        """
        info = tmp_path / "site" / "odd-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\n")
        points = "[upgrade_state.recipes]\nodd = no_such_module:recipe\n"
        (info / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(tmp_path / "site")

        result = run("check", "--lockfile", "x.lock")

        broken, missing = result.err.splitlines()
        assert 2 == result.status
        assert "Could not load the entry point 'odd' of upgrade_state" in broken
        assert "recipes: cargo, " in missing
        assert ", odd, " in missing

    def test_script_here(self, environment, shop, run, python):
        """
        A command with a path is the one that the user sees.
        """
        (shop / "relock").write_text("#!/bin/sh\necho >> uv.lock\n")
        (shop / "relock").chmod(0o755)

        assert 0 == run("check", "--", "./relock").status
        assert 0 == run("check", "--copy", "relock", "--", "./relock").status
        assert 2 == environment.look().information.generation

    @pytest.mark.parametrize("words", [(), ("--", "true")])
    def test_hidden_directory(self, shop, run, monkeypatch, words):
        """
        A directory that may not be read is the reason that nothing was found.
        """
        monkeypatch.setattr("os.listdir", refuse())

        result = run("check", ".", *words)

        assert 2 == result.status
        assert "could not look into '.' (Permission denied)" in result.err


@pytest.mark.parametrize(
    "words", [("check", "--", "true"), ("record", "--old=uv.lock", "--new=uv.lock")]
)
def test_in_vain(environment, run, monkeypatch, words):
    """
    If another check is running, or was faster, the exit status is 1.
    """
    with environment.try_check():
        busy = run(*words)
    monkeypatch.setattr(CheckGuard, "commit", lambda *_, **__: False)
    overtaken = run(*words)

    assert (1, 1) == (busy.status, overtaken.status)
    assert "another process is checking it" in busy.err
    assert "another check was faster; its result is kept" in overtaken.err


class TestRecord:
    def test_stored(self, environment, shop, run, lock_of):
        """
        A result of elsewhere is stored.
        """
        new = lock_of(attrs="25.0", idna="3.9")
        (shop / "new").write_bytes(new)

        result = run("record", "--old", "uv.lock", "--new", "new")

        assert (0, "", "") == (result.status, result.out, result.err)
        assert new == environment.kept_lockfile("new")
        assert "1 version change" == environment.look().summary()

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--old=x"], "There is no regular file: 'x'"),
            (["--new=empty"], "The new lockfile is not a uv lockfile"),
            (["--format=none"], "Unknown format 'none'"),
            (["none"], "there is no such directory or lockfile: 'none'"),
            (["none/uv.lock"], "there is no such directory or lockfile: 'none/uv"),
            (["none", "--lockfile=x"], "there is no such directory or lockfile: 'no"),
            (["src"], ", but one is in '{shop}'; name it with --lockfile"),
        ],
    )
    def test_nothing_there(self, shop, run, words, message):
        """
        A result that no notice could be about is a mistake; nothing is stored.
        """
        (shop / "src").mkdir()
        (shop / "empty").touch()
        result = run("record", "--old=uv.lock", "--new=uv.lock", *words)

        assert 2 == result.status
        assert message.format(shop=shop) in result.err
        assert 1 == len(result.err.splitlines())
        assert "" == run("list").out

    def test_a_name_of_its_own(self, shop, run):
        """
        A lockfile of an unknown name has to be named.
        """
        (shop / "src").mkdir()
        (shop / "src" / "x").write_bytes((shop / "uv.lock").read_bytes())
        words = ("src", "--lockfile=x", "--old=src/x", "--new=src/x", "--format=uv")

        assert (0, "") == (run("record", *words).status, run("record", *words).err)
        assert (
            "uv"
            == StateStore().environment("src", "x").look().information.result.format
        )

    @pytest.mark.parametrize("silent", ["snoozed", "switched-off", "no-upgrades"])
    def test_silent(self, environment, shop, run, monkeypatch, silent):
        """
        The message does not depend on whether a notice would be given.
        """
        current = (shop / "uv.lock").read_text()
        (shop / "old").write_text(current.replace("24.2.0", "24.1.0"))
        new = "old" if silent == "no-upgrades" else "uv.lock"
        if silent == "snoozed":
            run("record", "--old", "uv.lock", "--new", "uv.lock")
            run("snooze", "--for", "1d")
        elif silent == "switched-off":
            monkeypatch.setenv("CI", "1")

        result = run("record", "--old", "old", "--new", new)

        assert "its lockfile is another one than old" in result.err
        assert silent == environment.look().verdict().reason
