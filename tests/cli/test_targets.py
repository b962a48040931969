import os

import pytest

from upgrade_state import StateStore
from upgrade_state.cli import _targets


def names(where, lockfile=None):
    found = _targets.present(StateStore(), str(where), lockfile)
    return [(e.path, e.lockfile_name) for e in found]


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "place"
    path.mkdir()
    return path


class TestPresent:
    def test_several(self, place):
        """
        Every lockfile of a known name is an environment of its own.
        """
        below = place / ".flox/env"
        below.mkdir(parents=True)
        for path in (below / "manifest.lock", place / "uv.lock", place / "x.lock"):
            path.write_text("")
        (place / "manifest.lock").mkdir()

        assert [
            (str(place), "uv.lock"),
            (str(place), ".flox/env/manifest.lock"),
        ] == names(place)

    @pytest.mark.parametrize("where", ["", "missing"])
    def test_none(self, place, where):
        """
        A directory may have none, or be missing.
        """
        assert [] == names(place / where)

    def test_named(self, place):
        """
        A lockfile's name picks one, whether it is there or not.
        """
        (place / "uv.lock").write_text("")

        assert [(str(place), "x.lock")] == names(place, "x.lock")

    def test_no_name(self, place):
        """
        What could not be the name of a lockfile hides no other one.
        """
        for name in ("requirements.txt", "requirements-\\x.txt"):
            (place / name).write_text("")

        assert [(str(place), "requirements.txt")] == names(place)

    def test_lockfile(self, place):
        """
        A lockfile stands for its directory and its name, known or not.
        """
        (place / "x.lock").write_text("")

        assert [(str(place), "x.lock")] == names(place / "x.lock")

    def test_missing_lockfile(self, place):
        """
        A missing lockfile is one by its name.
        """
        assert [(str(place), "uv.lock")] == names(place / "uv.lock")

    def test_lockfile_here(self, place, monkeypatch):
        """
        A bare name is in the current directory.
        """
        monkeypatch.chdir(place)

        assert [(str(place), "uv.lock")] == names("uv.lock")

    def test_lockfile_below(self, place, monkeypatch):
        """
        Where a manager keeps its lockfile below, the environment is above.
        """
        below = place / ".flox/env"
        below.mkdir(parents=True)
        (below / "manifest.lock").write_text("")
        expected = [(str(place), ".flox/env/manifest.lock")]

        assert expected == names(below / "manifest.lock")
        monkeypatch.chdir(below)
        assert expected == names("manifest.lock")

    def test_lockfile_below_a_symlink(self, place, tmp_path):
        """
        A symlink on the way leads where it leads, also for ``..`` after it.
        """
        below = place / ".flox" / "env"
        below.mkdir(parents=True)
        (below / "manifest.lock").write_text("")
        (place / "sub").mkdir()
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "link").symlink_to(place / "sub")
        (tmp_path / "other" / ".flox").symlink_to(place / ".flox")
        lockfile = ".flox/env/manifest.lock"

        for where, environment in (
            (tmp_path / "other/link/.." / lockfile, place),
            (tmp_path / "other" / lockfile, tmp_path / "other"),
        ):
            assert [(str(environment), lockfile)] == names(where)

    def test_symlink_to_a_lockfile(self, place, tmp_path):
        """
        A symlink is a lockfile where it lies, not where it leads.
        """
        (tmp_path / "elsewhere").write_text("")
        (place / "uv.lock").symlink_to(tmp_path / "elsewhere")

        assert [(str(place), "uv.lock")] == names(place / "uv.lock")

    def test_lockfile_of_a_lockfile(self, place):
        """
        A lockfile cannot have another one.
        """
        with pytest.raises(ValueError, match="a lockfile already"):
            names(place / "uv.lock", "x.lock")

    def test_deleted(self, monkeypatch):
        """
        Where the working directory is gone nothing starts at it.
        """
        monkeypatch.setattr("os.getcwd", lambda: os.stat("/no/such/directory"))

        with pytest.raises(ValueError, match="directory is gone: 'sub'"):
            names("sub/uv.lock")

    def test_empty(self):
        """
        Nothing stands for nothing.
        """
        with pytest.raises(ValueError, match="is needed"):
            names("")

    def test_unreadable_directory(self, place, as_user):
        """
        What may not be listed has no lockfile that is known.
        """
        os.chmod(place, 0)

        assert [] == names(place)


class TestUpward:
    def names(self, lockfile=None):
        """
        What is found upward from here: per directory, names of lockfiles.
        """
        store = StateStore()
        found = _targets.above(store, ".", lockfile)
        return [[e.lockfile_name for e in environments] for environments in found]

    def test_above(self, place, monkeypatch):
        """
        Each directory has its own; names that need a pattern are not looked for.
        """
        (place / "a/b").mkdir(parents=True)
        for name in ("x.lock", "a/uv.lock", "a/b/dev-requirements.txt"):
            (place / name).write_text("")
        monkeypatch.chdir(place / "a/b")

        assert [[], ["uv.lock"], []] == self.names()[:3]
        assert [[], [], ["x.lock"]] == self.names("x.lock")[:3]

    def test_top(self, monkeypatch):
        """
        The root is the end.
        """
        monkeypatch.chdir("/")

        assert ["."] == list(_targets.upward("."))

    def test_not_permitted(self, place, monkeypatch):
        """
        Where nobody may look, it goes no further.
        """

        def refuse(*_):
            raise PermissionError

        monkeypatch.setattr("os.path.samefile", refuse)

        assert [str(place)] == list(_targets.upward(str(place)))

    def test_deleted(self, place, monkeypatch):
        """
        A directory that has been deleted still has one above it.
        """
        (place / "a").mkdir()
        (place / "uv.lock").write_text("")
        monkeypatch.chdir(place / "a")
        (place / "a").rmdir()

        assert [[], ["uv.lock"]] == self.names()[:2]
