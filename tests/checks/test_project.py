"""
The copy of the project: its files, its limits, and version control in it.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from upgrade_state import StateStore
from upgrade_state.checks import Command
from upgrade_state.exceptions import ResolverError

# Lists the files of the copy, with the targets of symlinks.
LIST = """
import json, os
top, found = os.environ["TMPDIR"] + "/../project", {}
for path, directories, files in os.walk(top):
    directories[:] = [d for d in directories if d != ".git"]
    for name in files + directories:
        there = os.path.join(path, name)
        key = os.path.relpath(there, top)
        if os.path.islink(there):
            found[key] = os.readlink(there)
        elif name in files:
            found[key] = ""
open("uv.lock", "w").write(json.dumps([os.path.relpath(".", top), found]))
"""


def git(directory, *words, **env):
    """
    Run git without the user's settings, and return its stdout.
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | env
    settings = ("user.name=Ana", "user.email=ana@mail.example", "init.defaultBranch=x")
    options = [word for setting in settings for word in ("-c", setting)]
    options += ["-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", *options, *map(str, words)],
        cwd=directory,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout.strip()


def commit(directory, *words):
    git(directory, "add", "--all", ".")
    git(directory, "commit", "-q", "-m", "x", "--no-verify", *words)


@pytest.fixture
def repository(tmp_path, fill):
    """
    A repository with an environment in it, `services/shop`.
    """
    top = tmp_path / "top"
    files = {
        "README": "top",
        "services/shop/uv.lock": "old",
        "services/shop/pyproject.toml": "",
        "libs/till/pyproject.toml": "",
    }
    fill(top, files)
    git(top, "init", "-q")
    commit(top)
    git(top, "tag", "v1.0")
    return top


@pytest.fixture
def copied(python):
    """
    List the copy of an environment's project; and where the command runs in it.
    """

    def run(directory, **options):
        environment = StateStore().environment(directory, "uv.lock")
        return json.loads(Command(python(LIST), **options)(environment, b"old"))

    return run


@pytest.fixture
def output(python):
    """
    Run a script of the shell in the copy, and return its output.
    """

    def run(directory, script, **options):
        environment = StateStore().environment(directory, "uv.lock")
        place = '"$TMPDIR/out"'
        argv = ["sh", "-c", f"{{ {script}; }} > {place} 2>&1; cat {place} > uv.lock"]
        return Command(argv, **options)(environment, b"old").decode().strip()

    return run


@pytest.fixture
def reason(fill):
    """
    Run a command that fails without a reason, and return the hint.
    """

    def run(directory, **options):
        fill(Path(directory), {"uv.lock": ""})
        environment = StateStore().environment(directory, "uv.lock")
        with pytest.raises(ResolverError) as info:
            Command(["sh", "-c", "echo broken; exit 1"], **options)(environment, b"")
        _, _, rest = info.value.message.partition("exit status 1: broken")
        return rest.removeprefix("; ")

    return run


class TestWorkTree:
    def test_files(self, repository, copied, fill):
        """
        The files that git tracks or would add are copied, from the top.
        """
        more = {
            ".gitignore": "*.log\nbuild/\n",
            "new file": "",
            "a.log": "",
            "build/x": "",
            "node_modules/x": "",
            "env/pyvenv.cfg": "",
            "env/lib/x": "",
            "tracked/node_modules/x": "",
            "libs/till/x": "",
        }
        fill(repository, more)
        (repository / "README").unlink()
        git(repository, "add", "-f", "tracked/node_modules/x")

        where, found = copied(repository / "services/shop")
        assert "services/shop" == where
        assert sorted(found) == [
            *(".gitignore", "libs/till/pyproject.toml", "libs/till/x", "new file"),
            *("services/shop/pyproject.toml", "services/shop/uv.lock"),
            "tracked/node_modules/x",
        ]

    def test_nested(self, repository, copied, fill, tmp_path):
        """
        So are those of submodules and of other repositories in the work tree.
        """
        fill(tmp_path, {"other/a": "", "other/.gitignore": "b"})
        git(tmp_path / "other", "init", "-q")
        commit(tmp_path / "other")
        git(repository, "submodule", "--quiet", "add", tmp_path / "other", "sub")
        git(tmp_path, "clone", "-q", "other", repository / "own")
        for name in ("sub", "own"):
            fill(repository, {f"{name}/b": "", f"{name}/c": ""})

        found = copied(repository / "services/shop")[1]
        for name in ("sub", "own"):
            assert {f"{name}/.gitignore", f"{name}/a", f"{name}/c"} == {
                path for path in found if path.startswith(f"{name}/")
            }

    def test_conflict(self, repository, copied):
        """
        A file with a conflict is copied once, with the marks of the conflict.
        """
        for name in ("one", "two"):
            git(repository, "checkout", "-q", "-b", name, "v1.0")
            (repository / "README").write_text(name)
            commit(repository)
        with pytest.raises(subprocess.CalledProcessError):
            git(repository, "merge", "one")

        assert "README" in copied(repository / "services/shop")[1]

    def test_variables(self, repository, copied, tmp_path, monkeypatch, fill):
        """
        Another repository that a git hook has set variables for does not count.
        """
        git(tmp_path, "init", "-q", "other")
        fill(tmp_path, {"other/x": ""})
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"):
            monkeypatch.setenv(name, str(tmp_path / "other/.git"))

        assert "README" in copied(repository / "services/shop")[1]

    def test_replaced_directory(self, repository, copied, tmp_path):
        """
        A tracked file behind a symlink that replaced its directory is not copied.
        """
        till = repository / "libs/till"
        (till / "pyproject.toml").rename(tmp_path / "pyproject.toml")
        till.rmdir()
        till.symlink_to(tmp_path)

        assert not any(
            "till" in path for path in copied(repository / "services/shop")[1]
        )


class TestElsewhere:
    def test_files(self, directory, copied, fill):
        """
        Without git everything is copied but the heavy directories.
        """
        copies = ("a/b/c", ".hidden/x", "dist/x", "venv", "build/x", "conda-meta")
        heavy = (
            *(".venv/x", "node_modules/x", "a/__pycache__/x", ".git/x", "a/.tox/x"),
            *("env/pyvenv.cfg", "env/x", "conda/conda-meta/history", "conda/x"),
            *("target/CACHEDIR.TAG", "target/x"),
        )
        fill(directory, dict.fromkeys((*copies[:-1], *heavy), ""))
        (directory / "empty").mkdir()

        assert [".", ["uv.lock", *copies[:-1]]] == [
            (found := copied(directory))[0],
            sorted(found[1], key=["uv.lock", *copies].index),
        ]

    def test_repository_below(self, directory, copied, fill):
        """
        Of a repository below, the files that git tracks or would add are copied.
        """
        fill(directory, {"sub/.gitignore": "x", "sub/x": "", "sub/y": ""})
        git(directory / "sub", "init", "-q")

        assert {"uv.lock", "sub/.gitignore", "sub/y"} == set(copied(directory)[1])

    @pytest.mark.parametrize("name", ["pyvenv.cfg", "conda-meta"])
    def test_installed(self, directory, copied, fill, name):
        """
        Of a virtual environment, only the files that are named are copied.
        """
        fill(directory, {name: "", "lib/x": "", "pyproject.toml": "", "more/a": ""})

        options = {"manifests": ["pyproject.toml"], "copies": ["more"]}
        assert {"uv.lock", "pyproject.toml", "more/a"} == set(
            copied(directory, **options)[1]
        )

    def test_home(self, directory, copied, fill, monkeypatch):
        """
        So it is in the home directory, even if that is a repository.
        """
        fill(directory, {"package.json": "", ".ssh/key": ""})
        git(directory, "init", "-q")
        commit(directory)
        monkeypatch.setenv("HOME", str(directory))

        assert {"uv.lock", "package.json"} == set(
            copied(directory, manifests=["package.json"])[1]
        )

    def test_below_home(self, repository, reason, copied, monkeypatch):
        """
        A repository of the home directory is not copied for a directory below it.
        """
        monkeypatch.setenv("HOME", str(repository))
        shop = repository / "services/shop"

        assert [".", {"pyproject.toml": "", "uv.lock": ""}] == copied(shop)
        assert "there was no version control (the home directory is a repository)" == (
            reason(shop)
        )

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            ("echo broken > .git/index", "index file smaller than expected"),
            (
                "echo gitdir: /no/where > x; rm -r .git; mv x .git",
                "not a git repository",
            ),
            ("chown -R 12345 .", "detected dubious ownership in repository at "),
            (
                "echo services >> .git/info/exclude; git rm -qr --cached .",
                "git ignores",
            ),
            ("rm .git/HEAD; echo x > .git/HEAD", "not a git repository"),
        ],
        ids=["index", "file", "ownership", "ignored", "head"],
    )
    def test_broken(self, repository, copied, reason, damage, words):
        """
        With a repository that git refuses, the directory itself is copied.
        """
        if "chown" in damage and os.getuid():
            pytest.skip("needs root, to give a directory away")
        subprocess.run(["sh", "-c", damage], cwd=repository, check=True)
        shop = repository / "services/shop"

        assert [".", {"pyproject.toml": "", "uv.lock": ""}] == copied(shop)
        hint = reason(shop)
        assert hint.startswith("there was no version control (")
        assert words in hint

    def test_no_git(self, repository, copied, reason, monkeypatch, tool):
        """
        So it is without git.
        """
        tool("sh", 'PATH=/usr/bin:/bin exec /bin/sh "$@"')
        monkeypatch.setenv("PATH", os.environ["PATH"].split(os.pathsep)[0])
        shop = repository / "services/shop"

        assert [".", {"pyproject.toml": "", "uv.lock": ""}] == copied(shop)
        assert "(git cannot be started: No such file or directory)" in reason(shop)

    def test_other_file_system(self, repository, copied, tmp_path):
        """
        Like git, the search for a repository ends at the border of a file system.
        """
        shop = repository / "services/shop"
        mount = ["mount", "-t", "tmpfs", "x", shop]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            pytest.skip("needs a root that may mount")
        try:
            (shop / "uv.lock").touch()
            assert [".", {"uv.lock": ""}] == copied(shop)
        finally:
            subprocess.run(["umount", shop], check=True)
