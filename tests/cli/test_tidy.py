import os

import pytest

from upgrade_state import StateStore


@pytest.fixture
def below(checked, shop, monkeypatch):
    """
    A directory below what is known, and the current one.
    """
    path = shop / "src"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


class TestBelow:
    @pytest.mark.parametrize("words", [("show",), ("snooze", "--for=7d")])
    @pytest.mark.parametrize("lockfile", [None, "requirements.txt"])
    def test_found(self, below, run, words, lockfile):
        """
        What somebody is told below a project works there.
        """
        if lockfile is not None:
            (below / lockfile).write_text("sphinx\n")

        result = run(*words)

        assert (0, "") == (result.status, result.err)
        assert result.out.startswith(f"{below.parent} (uv.lock)")

    @pytest.mark.parametrize("name", ["x.lock", "pdm.lock", None])
    def test_known_here(self, below, run, commit, name):
        """
        Nothing above counts where something is known: of another name, or gone.
        """
        commit(StateStore().environment(below, name), b"new")

        assert run("show").out.startswith(f"{below}{f' ({name})' if name else ''}\n")

    def test_corrupt_here(self, below, run, commit):
        """
        Nor where a record was one.
        """
        (below / "uv.lock").write_bytes(b"")
        inner = StateStore().environment(below, "uv.lock")
        commit(inner, b"new")
        with open(inner.record_path, "wb"):
            pass

        assert run("show").out.startswith(f"{below} (uv.lock)\n")

    def test_named(self, below, checked, run):
        """
        A lockfile that is named is looked for likewise.
        """
        assert checked.record_path == run("path", "--lockfile=uv.lock").out.strip()
        assert 1 == run("snooze", "--off", "--lockfile=x.lock").status
        assert 2 == run("show", "--lockfile=../x.lock").status

    @pytest.mark.parametrize(
        "words", [("show", "."), ("snooze", "--for=7d", "."), ("forget",)]
    )
    def test_here_alone(self, below, run, words):
        """
        Who names the directory is sent to the lockfile's; who forgets, too.
        """
        result = run(*words)

        where = f"no known lockfile is in '{below}', but one is in '{below.parent}'\n"
        assert 1 == result.status
        assert f"upgrade-state: nothing is known of it: {where}" == result.err

    @pytest.mark.parametrize("command", ["show", "forget", "path"])
    def test_no_path(self, checked, run, command):
        """
        What is no path is a mistake.
        """
        result = run(command, "")

        line = "upgrade-state: a directory or a lockfile is needed, not ''\n"
        assert (2, "", line) == (result.status, result.out, result.err)


class TestSnooze:
    def test_silent(self, checked, run):
        """
        Who snoozes is not told, until that is taken back.
        """
        result = run("snooze", "--for", "7d")

        assert 0 == result.status
        assert f"{checked.path} (uv.lock) is silent until 20" in result.out
        assert "snoozed" == checked.look().verdict().reason

        assert f"{checked.path} (uv.lock) speaks again\n" == run("snooze", "--off").out
        assert "notify" == checked.look().verdict().reason

    def test_nothing_known(self, environment, run):
        """
        What is not known cannot be snoozed.
        """
        result = run("snooze", "--for", "7d")

        assert (1, "") == (result.status, result.out)
        told = f"upgrade-state: nothing is known of {environment.path} (uv.lock)\n"
        assert told == result.err

    def test_too_long(self, checked, run):
        """
        Longer than the calendar goes is a mistake.
        """
        assert 2 == run("snooze", "--for", "9999999d").status

    def test_neither(self, checked, run):
        """
        For how long is not guessed.
        """
        assert 2 == run("snooze").status


class TestForget:
    def test_forgotten(self, checked, run):
        """
        What is forgotten is gone.
        """
        result = run("forget")

        assert f"{checked.path} (uv.lock) is forgotten\n" == result.out
        assert None is checked.look().information

    def test_gone_lockfile(self, checked, shop, run):
        """
        Also where the lockfile is gone.
        """
        (shop / "uv.lock").unlink()

        assert 0 == run("forget").status
        assert None is checked.look().information

    def test_nothing_known(self, environment, run):
        """
        What is not known cannot be forgotten.
        """
        assert 1 == run("forget").status

    def test_busy(self, checked, run):
        """
        What is being checked is kept.
        """
        with checked.try_check():
            result = run("forget")

        assert 1 == result.status
        assert "is being checked; nothing is forgotten" in result.err
        assert None is not checked.look().information


class TestPrune:
    def test_pruned(self, checked, shop, run, monkeypatch):
        """
        What is gone is forgotten, if it is old enough.
        """
        monkeypatch.chdir("/")
        (shop / "uv.lock").unlink()
        shop.rmdir()
        os.utime(checked.record_path, (1, 1))

        assert "" == run("prune", "--older-than", "99999d").out
        assert f"{shop} (uv.lock) would be forgotten\n" == run("prune", "--dry-run").out
        assert f"{shop} (uv.lock) is forgotten\n" == run("prune").out
        assert "" == run("prune").out

    def test_leftovers(self, checked, cache, run):
        """
        What has no path is called by its key.
        """
        key = "0" * 32
        (cache / "v1/results" / key).mkdir()

        assert f"{key} is forgotten\n" == run("prune").out

    def test_directory_itself(self, shop, run, commit, monkeypatch):
        """
        What has no lockfile is called by its directory.
        """
        environment = StateStore().environment(shop.parent / "gone")
        commit(environment, b"", upgrades=[])
        os.utime(environment.record_path, (1, 1))

        assert f"{environment.path} is forgotten\n" == run("prune").out


class TestPath:
    def test_path(self, environment, run):
        """
        The path is printed whether or not the record is there.
        """
        assert f"{environment.record_path}\n" == run("path").out
        assert 0 == run("path").status
