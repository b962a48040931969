import os

import pytest


class TestSnooze:
    def test_silent(self, checked, run):
        """
        A snooze silences notices until it is ended.
        """
        for words, text, reason in (
            (["--for", "7d"], "is snoozed until ", "snoozed"),
            (["--off"], "is not snoozed\n", "notify"),
        ):
            result = run("snooze", *words)
            assert 0 == result.status
            assert f"{checked.path} (uv.lock) {text}" in result.out
            assert reason == checked.look().verdict().reason

    def test_nothing_known(self, environment, run):
        """
        An unknown environment cannot be snoozed.
        """
        result = run("snooze", "--for", "7d")

        assert (1, "") == (result.status, result.out)
        told = (
            f"upgrade-state: nothing is known of {environment.path} (uv.lock)\n"
            f"Run 'upgrade-state check {environment.path}' to look for upgrades.\n"
        )
        assert told == result.err
        assert (1, "", told) == tuple(vars(run("forget")).values())

    @pytest.mark.parametrize("words", [(), ("--for", "9999999d")])
    def test_mistakes(self, checked, run, words):
        """
        A duration is needed that ends before the year 10000.
        """
        assert 2 == run("snooze", *words).status


class TestForget:
    def test_forgotten(self, checked, run):
        """
        A forgotten environment has no record.
        """
        result = run("forget")

        assert f"{checked.path} (uv.lock) is forgotten\n" == result.out
        assert None is checked.look().information

    def test_busy(self, checked, run):
        """
        An environment that is being checked is kept.
        """
        with checked.try_check():
            result = run("forget")

        assert 1 == result.status
        assert "is being checked; nothing is forgotten" in result.err
        assert None is not checked.look().information


class TestPrune:
    def test_pruned(self, checked, shop, run, monkeypatch):
        """
        An environment whose directory was removed is forgotten, if it is old.
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
        A leftover without a path is named by its key.
        """
        key = "0" * 32
        (cache / "v1/results" / key).mkdir()

        assert f"{key} is forgotten\n" == run("prune").out


class TestPath:
    def test_path(self, environment, run):
        """
        The path is printed whether or not the record is there.
        """
        assert f"{environment.record_path}\n" == run("path").out
        assert 0 == run("path").status
