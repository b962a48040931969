"""
From ENV and --lockfile to the environments that a command is about.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest

from helpers import refuse_path
from upgrade_state import StateStore

FLOX = ".flox/env/manifest.lock"


@pytest.fixture
def names(run):
    """
    Return directory and lockfile of the environments that a command is about.
    """

    def names_(*words):
        lines = run("show", "--json", *words).out.splitlines()
        found = map(json.loads, lines)
        return [(fields["environment"], fields["lockfile"]) for fields in found]

    return names_


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")


class TestPresent:
    def test_several(self, place, names):
        """
        Every lockfile of a known name is an environment of its own.
        """
        for name in (FLOX, "uv.lock", "x.lock"):
            write(place / name)
        (place / "manifest.lock").mkdir()

        assert [(str(place), "uv.lock"), (str(place), FLOX)] == names(place)

    def test_none(self, place, names):
        """
        A directory without a lockfile is an environment itself.
        """
        assert [(str(place), None)] == names(place)

    @pytest.mark.parametrize("where", ["missing", "missing/uv.lock", "uv.lock"])
    @pytest.mark.parametrize(
        "words",
        [
            ("show",),
            ("show", "--json"),
            ("snooze", "--off"),
            ("forget",),
            ("path",),
            ("check",),
            ("record", "--old=x", "--new=x"),
            ("show", "--lockfile=x.lock"),
        ],
    )
    def test_missing(self, place, run, words, where):
        """
        A path that does not exist is one mistake for all commands.
        """
        path = place / where
        if "--lockfile=x.lock" in words and path.name == "uv.lock":
            path = path.with_name("x")
        result = run(*words, path)

        assert (2, "") == (result.status, result.out)
        first, *hints = result.err.splitlines()
        assert f"upgrade-state: there is no directory or lockfile '{path}'" == first
        # `record` is for new environments, too.
        expected = [] if words[0] == "record" else ["Run 'upgrade-state list' to see "]
        assert expected == [hint[:32] for hint in hints]

    @pytest.mark.parametrize("name", ["uv.lock", None])
    def test_removed(self, place, names, commit, name):
        """
        A removed directory that has a record is known.
        """
        (place / "sub").mkdir()
        (place / "sub" / (name or "x")).touch()
        commit(StateStore().environment(place / "sub", name), b"new", upgrades=[])
        shutil.rmtree(place / "sub")

        assert [(f"{place}/sub", name)] == names(place / "sub")

    @pytest.mark.parametrize(
        ("existing", "words", "expected"),
        [
            (["uv.lock"], ["{}", "--lockfile=x.lock"], "x.lock"),
            (["requirements.txt", "requirements-\\x.txt"], ["{}"], "requirements.txt"),
            (["x.lock"], ["{}/x.lock"], "x.lock"),
            ([], ["{}/uv.lock"], "uv.lock"),
            ([], ["uv.lock"], "uv.lock"),
            ([FLOX], ["{}/" + FLOX], FLOX),
            ([], ["npins/sources.json"], "npins/sources.json"),
            (["nix/sources.json"], ["{}"], "nix/sources.json"),
            (
                ["requirements/dev.txt"],
                ["requirements/dev.txt"],
                "requirements/dev.txt",
            ),
            ([], ["{}/requirements/dev.txt"], "requirements/dev.txt"),
        ],
    )
    def test_one(self, place, names, commit, monkeypatch, existing, words, expected):
        """
        A lockfile, there or recorded, is an environment of its directory.
        """
        monkeypatch.chdir(place)
        for name in existing:
            write(place / name)
        if not existing:
            commit(StateStore().environment(place, expected), b"new", upgrades=[])

        found = names(*(word.format(place) for word in words))
        assert [(str(place), expected)] == found

    @pytest.mark.parametrize("name", [FLOX, "npins/sources.json", "requirements/a.txt"])
    def test_inside(self, place, names, monkeypatch, name):
        """
        A bare name in the directory of such a lockfile belongs to the one above.
        """
        write(place / name)
        monkeypatch.chdir((place / name).parent)

        assert [(str(place), name)] == names(Path(name).name)

    def test_requirements(self, place, names):
        """
        Most files in a directory of requirements are no lockfiles, so it is not listed.

        A lockfile whose name alone tells its format belongs to that directory.
        """
        write(place / "requirements/a.txt")
        write(place / "requirements/uv.lock")

        assert [(str(place), None)] == names(place)
        assert [(f"{place}/requirements", "uv.lock")] == names(
            place / "requirements/uv.lock"
        )

    def test_symlinks(self, place, tmp_path, names):
        """
        A symlink on the way is followed, and ``..`` after it starts at its target.
        """
        write(place / FLOX)
        (place / "sub").mkdir()
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "link").symlink_to(place / "sub")
        (tmp_path / "other" / ".flox").symlink_to(place / ".flox")
        (tmp_path / "elsewhere").write_text("")
        (place / "uv.lock").symlink_to(tmp_path / "elsewhere")

        for where, expected in (
            (tmp_path / "other/link/.." / FLOX, (str(place), FLOX)),
            (tmp_path / "other" / FLOX, (str(tmp_path / "other"), FLOX)),
            (place / "uv.lock", (str(place), "uv.lock")),
        ):
            assert [expected] == names(where)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["uv.lock", "--lockfile=x.lock"], "this is a lockfile already: 'uv.lock'"),
            ([""], "a directory or a lockfile is needed, not ''"),
            (["--lockfile=../x"], "not a lockfile's name: '../x'"),
        ],
    )
    @pytest.mark.parametrize("command", ["show", "forget", "path"])
    def test_mistakes(self, shop, run, command, words, message):
        """
        An argument that names no environment is one line and exit status 2.
        """
        result = run(command, *words)

        line = f"upgrade-state: {message}\n"
        assert (2, "", line) == (result.status, result.out, result.err)

    def test_no_working_directory(self, run, monkeypatch):
        """
        A relative path has no meaning if the working directory was removed.
        """
        monkeypatch.setattr("os.getcwd", lambda: os.stat("/no/such/directory"))

        assert "directory is gone: 'sub'" in run("show", "sub/uv.lock").err

    def test_unreadable_directory(self, place, names, as_user):
        """
        A directory that may not be listed has no known lockfile.
        """
        os.chmod(place, 0)

        assert [(str(place), None)] == names(place)


class TestAbove:
    """
    `notify` without ENV looks upward from a directory of which nothing is known.
    """

    @pytest.fixture
    def told(self, run, monkeypatch):
        """
        Return the name of the directory that a notice is about, or the empty text.
        """

        def told_(where, *words):
            monkeypatch.chdir(where)
            result = run("notify", "--always", "--interval=0", *words)
            assert (0, "") == (result.status, result.out)
            return result.err[result.err.find("'") + 1 :].partition("'")[0]

        return told_

    def test_names(self, place, told, commit):
        """
        Above, only names without a pattern count, or the one that is given.
        """
        store = StateStore()
        for name in ("x.lock", "a/uv.lock", "a/b/dev-requirements.txt", "a/b/c/y"):
            write(place / name)
        commit(store.environment(place / "a/b", "dev-requirements.txt"), b"new")
        commit(store.environment(place, "x.lock"), b"new")

        assert "" == told(place / "a/b/c")
        assert place.name == told(".", "--lockfile=x.lock")
        commit(store.environment(place / "a", "uv.lock"), b"new")
        assert "a" == told(".")

    @pytest.mark.parametrize(
        ("home", "ceilings", "found"),
        [
            ("", "", True),
            ("a", "", True),
            ("a/b", "", False),
            ("link", "", False),
            ("", "{}/a/b", True),
            ("", "/nowhere:{}/a", False),
            ("", "{}/link/..", False),
            ("", "a:../..:::{}/a/", False),
            ("", "..:.::{}/a/b/c", True),
        ],
    )
    def test_ceilings(self, place, told, commit, monkeypatch, home, ceilings, found):
        """
        The search ends at the home directory, and below a directory that is listed.
        """
        write(place / "a/uv.lock")
        (place / "a/b/c").mkdir(parents=True)
        (place / "link").symlink_to("a/b")
        commit(StateStore().environment(place / "a", "uv.lock"), b"new")
        monkeypatch.setenv("HOME", str(place / home) if home else "")
        monkeypatch.setenv("UPGRADE_STATE_CEILING", ceilings.format(place))

        where = "a/b/c" if home in ("a/b", "link") else "a/b"
        assert ("a" if found else "") == told(place / where)

    @pytest.mark.parametrize(("home", "found"), [("a", True), ("b", False)])
    def test_border(self, place, told, commit, monkeypatch, mounted, home, found):
        """
        Outside of home, it ends at the border of the file system.
        """
        write(place / "a/uv.lock")
        mounted(place / "a/b")
        (place / "a/b/c").mkdir()
        commit(StateStore().environment(place / "a", "uv.lock"), b"new")
        monkeypatch.setenv("HOME", str(place / home))

        assert ("a" if found else "") == told(place / "a/b/c")

    def test_automounter(self, told, tmp_path, automounter):
        """
        At most two names are looked up in a directory where that takes time.
        """
        assert "" == told(tmp_path / "net/host/project")
        assert 2 >= len(automounter.unknown)

    def test_top(self, told):
        """
        The search ends at the root directory.
        """
        assert "" == told("/")

    def test_not_permitted(self, checked, shop, told, monkeypatch):
        """
        The search ends at a directory that may not be entered.
        """
        (shop / "a").mkdir()

        assert "shop" == told(shop / "a")
        refuse_path(monkeypatch, "stat", "./..")
        assert "" == told(".")

    def test_deleted(self, checked, shop, told, monkeypatch):
        """
        If the working directory was removed, nothing is known of it.
        """
        (shop / "a").mkdir()
        monkeypatch.chdir(shop / "a")
        (shop / "a").rmdir()

        assert "" == told(".")


class TestBelow:
    """
    Without ENV, the nearest known directory counts, from the current one upward.
    """

    @pytest.fixture
    def below(self, checked, shop, monkeypatch):
        """
        The current directory, below a known one.
        """
        path = shop / "src"
        path.mkdir()
        monkeypatch.chdir(path)
        return path

    @pytest.mark.parametrize("words", [("show",), ("snooze", "--for=7d"), ("forget",)])
    @pytest.mark.parametrize("lockfile", [None, "requirements.txt"])
    def test_found(self, below, run, words, lockfile):
        """
        A command that a notice suggests works below the project, too.
        """
        if lockfile is not None:
            (below / lockfile).write_text("sphinx\n")

        result = run(*words)

        assert (0, "") == (result.status, result.err)
        assert result.out.startswith(f"{below.parent} (uv.lock)")

    @pytest.mark.parametrize("name", ["x.lock", "pdm.lock", None])
    def test_known_here(self, below, run, commit, name):
        """
        A record here counts, whatever the lockfile's name, and if it was removed.
        """
        commit(StateStore().environment(below, name), b"new")

        assert run("show").out.startswith(f"{below}{f' ({name})' if name else ''}: ")

    @pytest.mark.parametrize("name", ["uv.lock", None])
    def test_corrupt_here(self, below, run, commit, name):
        """
        A corrupt record here counts as well.
        """
        inner = StateStore().environment(below, name)
        (below / (name or "x")).write_bytes(b"")
        commit(inner, b"new", upgrades=[])
        with open(inner.record_path, "wb"):
            pass

        shown = f"{below} (uv.lock)" if name else inner.key
        assert run("show").out.startswith(f"{shown}: the record is corrupt; ")

    def test_named(self, below, checked, run):
        """
        A lockfile that is named is looked for upward, too.
        """
        assert checked.record_path == run("path", "--lockfile=uv.lock").out.strip()
        assert 1 == run("snooze", "--off", "--lockfile=x.lock").status
        assert 2 == run("show", "--lockfile=../x.lock").status

    @pytest.mark.parametrize(
        "words", [("show", "."), ("snooze", "--for=7d", "."), ("forget", ".")]
    )
    def test_here_alone(self, below, run, words):
        """
        A directory that is named counts alone.
        """
        result = run(*words)

        assert (1, "") == (result.status, result.out)
        assert [
            f"upgrade-state: nothing is known of {below}",
            f"Run 'upgrade-state show {below.parent}' to see its state.",
        ] == result.err.splitlines()

    def test_no_lockfile(self, run, tmp_path):
        """
        Without a lockfile here or above, the list of environments may help.
        """
        result = run("show", tmp_path)

        assert [
            f"upgrade-state: nothing is known of {tmp_path}",
            "Run 'upgrade-state list' to see the environments that are known.",
        ] == result.err.splitlines()


class TestErrors:
    """
    An error of one environment of a directory does not stop the others.
    """

    @pytest.fixture
    def first(self, checked, shop, commit, fake_uv):
        """
        An environment that comes before *checked*, in the same directory.
        """
        (shop / "Cargo.lock").touch()
        for name in ("pyproject.toml", "Cargo.toml"):
            (shop / name).touch()
        environment = StateStore().environment(shop, "Cargo.lock")
        commit(environment, b"version = 4\n", by="cargo")
        return environment

    @contextlib.contextmanager
    def break_record(self, environment, refused):
        with refused("os.open", environment.record_path):
            yield

    @contextlib.contextmanager
    def break_lock(self, environment, _):
        locks = Path(environment.record_path).parent / "locks"
        (locks / f"{environment.key}.write").unlink()
        (locks / f"{environment.key}.write").mkdir()
        yield

    @contextlib.contextmanager
    def break_lockfile(self, environment, _):
        os.truncate(Path(environment.path, environment.lockfile_name), 70 << 20)
        yield

    @pytest.mark.parametrize(
        ("harm", "words", "expected"),
        [
            (
                break_record,
                ("show",),
                "(uv.lock): 1 version change available, checked ",
            ),
            (break_lock, ("snooze", "--for", "1d"), "(uv.lock) is snoozed until"),
            (break_lock, ("forget",), "(uv.lock) is forgotten\n"),
            (break_lockfile, ("check",), "(uv.lock): up to date, checked "),
        ],
    )
    def test_others(self, first, run, refused, harm, words, expected):
        """
        The error is a line and exit status 2, and the others are done.
        """
        with harm(self, first, refused):
            result = run(*words)

        assert 2 == result.status
        assert expected in result.out
        assert first.key in result.err or "Cargo.lock" in result.err
