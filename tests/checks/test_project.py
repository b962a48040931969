"""
The copy of the project: its files, its limits, and version control in it.
"""

import errno
import itertools
import json
import os
import shutil
import stat
import subprocess
import tempfile
import time
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bubblewrap import needs_sandbox
from helpers import meanwhile, refuse_path
from processes import is_gone, wait_for
from upgrade_state import StateStore, _lockfile
from upgrade_state.checks import (
    Cancellation,
    Command,
    _cancellation,
    _git,
    _project,
    _sandbox,
)
from upgrade_state.checks._scratch import Scratch
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
def names(copied):
    """
    Return the paths in the copy of an environment's project.
    """
    return lambda directory, **options: set(copied(directory, **options)[1])


@pytest.fixture
def output(python):
    """
    Run a script of the shell in the copy, and return its output.
    """

    def run(directory, script, **options):
        environment = StateStore().environment(directory, "uv.lock")
        place = '"$TMPDIR/out"'
        argv = ["sh", "-c", f"({script}) > {place} 2>&1; cat {place} > uv.lock"]
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

    def test_repository_below(self, directory, names, fill):
        """
        Of a repository below, the files that git tracks or would add are copied.
        """
        fill(directory, {"sub/.gitignore": "x", "sub/x": "", "sub/y": ""})
        git(directory / "sub", "init", "-q")

        assert {"uv.lock", "sub/.gitignore", "sub/y"} == names(directory)

    @pytest.mark.parametrize("name", ["pyvenv.cfg", "conda-meta"])
    def test_installed(self, directory, names, fill, name):
        """
        Of a virtual environment, only the files that are named are copied.
        """
        fill(directory, {name: "", "lib/x": "", "pyproject.toml": "", "more/a": ""})

        options = {"manifests": ["pyproject.toml"], "copies": ["more"]}
        assert {"uv.lock", "pyproject.toml", "more/a"} == names(directory, **options)

    def test_home(self, directory, names, fill, monkeypatch):
        """
        So it is in the home directory, even if that is a repository.
        """
        fill(directory, {"package.json": "", ".ssh/key": ""})
        git(directory, "init", "-q")
        commit(directory)
        monkeypatch.setenv("HOME", str(directory))

        assert {"uv.lock", "package.json"} == names(
            directory, manifests=["package.json"]
        )

    @pytest.mark.parametrize("is_repository", [True, False])
    def test_once(self, directory, reason, fill, is_repository):
        """
        A project within the limits is copied once, also if more files are named.
        """
        fill(directory, {".gitignore": "b", "a": "", "b": ""})
        if is_repository:
            git(directory, "init", "-q")

        assert "" == reason(directory, copies=["a", "b"])

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


PROJECTS = tomllib.loads(
    (Path(__file__).parent / "data/projects.toml").read_text(encoding="utf-8")
)
KINDS = PROJECTS["kinds"]

# Paths that lead outside, in circles, or to no file; and odd names.
_ODD = (
    "..|../far|../far/secret|a/../../far/secret|/etc|/etc/passwd|out|out/secret|out/*"
    "|secret-link|loop|loop/loop/a|up/up/up/a|**|../**|*/../../*|out/**/secret"
    "|[|[!a]|~|$HOME||.|.git|.git/config"
)
ODD = st.sampled_from(
    [*_ODD.split("|"), "\0", "a\0b", "\udcff", "x" * 300, "x/" * 3000, "a/" * 40 + "*"]
)
NAMES = st.sampled_from(["a", "b", "a/b", "x\udcff", "package.json", "y[z]", "n"])
WORDS = st.lists(ODD | NAMES | st.text(max_size=8), max_size=12)
TARGETS = {
    "out": st.sampled_from(["../far", "../../far", "/etc", "a"]),
    "loop": st.sampled_from(["loop", ".", "..", "nothing"]),
    "up": st.sampled_from(["..", ".", "../.."]),
    "secret-link": st.sampled_from(["../far/secret", "out/secret"]),
}


# The contents of files outside.
SECRETS = (b"secret", b"-r secret\n")


def tree(root, content, links):
    """
    Make a directory, and a directory beside it that no file may come from.
    """
    far, shop = root / "far", root / "shop"
    for path in (far, shop / "a" / "b", shop / "x\udcff", shop / "y[z]"):
        path.mkdir(parents=True)
        (path / "package.json").write_text("{}")
    (far / "secret").write_text("secret")
    (far / "secret.in").write_text("-r secret\n")
    (shop / "package.json").write_bytes(content)
    for place, (name, target) in itertools.product(("", "a"), links.items()):
        os.symlink(target, shop / place / name)
    return shop


class TestNamed:
    @pytest.mark.parametrize("case", PROJECTS["named"])
    @pytest.mark.parametrize("is_repository", [True, False])
    def test_cases(self, directory, copied, fill, case, is_repository):
        """
        The files that a manifest names are copied, even if git ignores them.
        """
        facts = PROJECTS["named"][case]
        fill(directory, facts["copied"] | facts["others"])
        kept = {"uv.lock"}
        if is_repository:
            fill(directory, {".gitignore": "*\n!/.gitignore\n"})
            git(directory, "init", "-q")
            kept.add(".gitignore")
        else:  # of which nothing else is copied
            (directory / "conda-meta").mkdir()

        options = {name: facts[name] for name in ("manifests", "beside")}
        found = copied(directory, **options)[1]
        assert sorted(kept | set(facts["copied"])) == sorted(found)

    def test_outside_of_the_directory(self, repository, copied, fill):
        """
        They may be anywhere in the work tree.
        """
        ignored = {".gitignore": "*.whl\n", "wheels/x.whl": "", "x.whl": ""}
        words = {"services/shop/pyproject.toml": "find-links = ['../../wheels']"}
        fill(repository, ignored | words)

        found = copied(repository / "services/shop", manifests=["pyproject.toml"])[1]
        assert ["wheels/x.whl"] == [path for path in found if path.endswith("whl")]

    def test_symlinks(self, directory, copied, fill):
        """
        So may the target of a symlink that is named.
        """
        fill(directory, {"real/wishes": "", "conda-meta/x": "", "a": ""})
        (directory / "pyproject.toml").symlink_to("real/wishes")

        assert {"pyproject.toml": "real/wishes", "real/wishes": "", "uv.lock": ""} == (
            copied(directory, manifests=["pyproject.toml"])[1]
        )

    @pytest.mark.parametrize("word", ["**", "a/up/up/", "a/" * 120_000, "[" * 9999])
    def test_odd_words(self, directory, names, fill, word):
        """
        Symlinks that lead in circles, and odd words, do not stop the search.
        """
        fill(directory, {"package.json": json.dumps([word, "a/"]), "a/x": ""})
        os.symlink("..", directory / "a/up")

        assert {"uv.lock", "package.json", "a/x", "a/up"} == names(
            directory, manifests=["package.json"]
        )

    def test_too_large_a_manifest(self, directory, names, fill, monkeypatch):
        """
        A manifest of more than the maximum size is copied, but not read.
        """
        monkeypatch.setattr("upgrade_state._lockfile.MAX_SIZE", 100)
        text = f'x = "README" #{"x" * 100}'
        fill(directory, {"pyproject.toml": text, "README": "", "conda-meta/x": ""})
        real = _lockfile._read
        monkeypatch.setattr(_lockfile, "MAX_SIZE", 100)
        monkeypatch.setattr(
            Scratch,
            "take",
            lambda place, name: real(os.path.join(place.path, name), 10_000),
        )

        assert {"uv.lock", "pyproject.toml"} == names(
            directory, manifests=["pyproject.toml"]
        )

    def test_many_words(self, directory, names, fill, monkeypatch):
        """
        The words of a manifest are limited.
        """
        monkeypatch.setattr(_project, "MAX_WORDS", 1)
        fill(directory, {"pyproject.toml": "a b", "a": "", "b": "", "pyvenv.cfg": ""})

        assert {"uv.lock", "pyproject.toml", "a"} == names(
            directory, manifests=["pyproject.toml"]
        )

    @pytest.mark.parametrize(
        ("words", "hint"),
        [
            ("-e ../../lib\n-e ../../more\n", "'../lib' is outside of the directory"),
            *((f"-e {word}\n", "") for word in ("../../none", "/bin/sh", ".")),
            *((f"-e {word}\n", "") for word in ("../../shop/in", "../../m*")),
        ],
    )
    def test_hint(self, directory, reason, tmp_path, fill, words, hint):
        """
        The first existing path outside is named; absolute ones are ignored.
        """
        fill(tmp_path, {"lib/setup.py": "", "more/setup.py": ""})
        files = {"requirements.in": "-e in\n", "in/requirements.in": words}
        fill(directory, files)

        found = reason(directory, manifests=["requirements.in"])
        assert (hint and f"{hint} and is not copied") == found

    def test_hint_in_a_repository(self, repository, reason, fill, tmp_path):
        """
        Only a path outside of the repository is.
        """
        wishes = repository / "services/shop/pyproject.toml"
        wishes.write_text("'../../libs/till' '../../../lib'")
        fill(tmp_path, {"lib/setup.py": ""})

        assert "'../../../lib' is outside of the repository and is not copied" == (
            reason(wishes.parent, manifests=[wishes.name])
        )

    @given(words=WORDS, links=st.fixed_dictionaries(TARGETS), is_json=st.booleans())
    def test_never_outside(self, words, links, is_json):
        """
        Whatever a manifest names, only files inside are read and copied.
        """
        document = {"workspaces": words, "dependencies": {"a": words}}
        content = json.dumps(document) if is_json else "\n".join(words)
        with tempfile.TemporaryDirectory() as root:
            encoded = content.encode(errors="surrogateescape")
            shop = tree(Path(root).resolve(), encoded, links)
            (shop / "conda-meta").touch()
            place = Scratch(f"{root}/above", str(shop), str(shop))
            listed = []
            with pytest.MonkeyPatch.context() as patch:
                listdir = os.listdir
                patch.setattr(os, "listdir", lambda p: listed.append(p) or listdir(p))
                command = Command(
                    ["true"], manifests=["package.json"], beside=["*.toml", "y*/*"]
                )
                _project.project_of(str(shop), "uv.lock").copy(place, command)

            copy = Path(place.project)
            assert (copy / "package.json").is_file()
            for path in copy.rglob("*"):
                assert Path(os.path.realpath(path)).is_relative_to(copy)
                is_other = path.is_file() and path.name != "package.json"
                assert not is_other or path.read_bytes() not in SECRETS
            for path in listed:
                assert Path(os.path.realpath(path)).is_relative_to(shop)


class TestLinks:
    @pytest.mark.parametrize("is_repository", [True, False])
    def test_links(self, directory, copied, fill, tmp_path, is_repository):
        """
        Symlinks that stay inside are copied, and none that leads outside.
        """
        fill(directory, {"a/b": "", "c": ""})
        fill(tmp_path, {"secret": "", "far/x": ""})
        links = {
            "near": "a/b",
            "a/up": "../c",
            "loop": "loop",
            "a/round": "..",
            "nothing": "no/where",
            "absolute": str(directory / "c"),
            "detour": "../shop/a",
            "chain": "outside",
            "outside": "/etc/passwd",
            "far": "../far",
            "a/folder": str(tmp_path / "far"),
            "nowhere": "/no/where",
        }
        for name, target in links.items():
            (directory / name).symlink_to(target)
        if is_repository:
            git(directory, "init", "-q")
            commit(directory)

        assert {
            **dict.fromkeys(("uv.lock", "a/b", "c"), ""),
            **dict(list(links.items())[:5]),
            "absolute": "c",
            "detour": "a",
        } == copied(directory)[1]

    def test_lockfile(self, environment, directory, fill, tmp_path):
        """
        The lockfile in the copy is a regular file, even behind a symlink.
        """
        fill(tmp_path, {"kept/uv.lock": "kept", "shop/real/uv.lock": "kept"})
        for target in (tmp_path / "kept/uv.lock", "real/uv.lock"):
            (directory / "uv.lock").unlink()
            (directory / "uv.lock").symlink_to(target)
            command = Command(["sh", "-c", "echo new >> uv.lock"])
            assert b"old\nnew\n" == command(environment, b"old\n")
        (directory / "link").symlink_to("real")
        environment = StateStore().environment(directory, "link/uv.lock")
        command = Command(["sh", "-c", "echo new >> link/uv.lock"])

        assert b"old\nnew\n" == command(environment, b"old\n")
        assert "kept" == (tmp_path / "kept/uv.lock").read_text()
        assert "kept" == (directory / "real/uv.lock").read_text()


class TestOddFiles:
    @pytest.mark.parametrize("is_repository", [True, False])
    def test_special(self, directory, names, reason, fill, is_repository):
        """
        FIFOs, sockets and devices are skipped, and named.
        """
        (directory / "b").mkdir()
        os.mkfifo(directory / "b/fifo")
        os.mknod(directory / "socket", stat.S_IFSOCK | 0o600)
        fill(directory, {"a": "", "b/c": ""})
        if is_repository:
            git(directory, "init", "-q")

        assert {"uv.lock", "a", "b/c"} == names(directory)
        assert "not copied: 'socket', 'b/fifo'" == reason(directory)

    def test_unreadable(self, directory, names, reason, monkeypatch, fill):
        """
        So are files and directories that cannot be read.
        """
        fill(directory, {"closed": "", "shut/x": "", "far/x": "", "a": "", "more": ""})
        closed = {"closed": "open", "more": "open", "shut": "listdir", "far": "lstat"}
        for name, function in closed.items():
            refuse_path(monkeypatch, function, directory / name)

        assert {"uv.lock", "a"} == names(directory)
        assert reason(directory).startswith("not copied: '")
        assert reason(directory).endswith("' and 1 more")

    @pytest.mark.parametrize("name", ["pyproject.toml", "uv.toml", "data"])
    def test_needed(self, directory, environment, monkeypatch, fill, name):
        """
        Without a manifest or settings, a tool may find nothing and succeed.
        """
        fill(directory, {"pyproject.toml": "", "uv.toml": "", "data": ""})
        refuse_path(monkeypatch, "open", directory / name)
        command = Command(
            ["true"],
            manifests=["pyproject.toml"],
            beside=["uv.toml"],
            copies=["../shop/data"],
        )

        with pytest.raises(ResolverError, match=f"Could not copy '{name}' \\(Perm"):
            command(environment, b"")

    def test_two_spellings(self, environment, directory, reason, fill):
        """
        A file that is copied anyway may be named from another directory.
        """
        git(directory, "init", "-q")
        fill(directory, {"a/b": "x"})
        (directory / "c").symlink_to("a/b")
        command = Command(["sh", "-c", "cat c > uv.lock"], copies=["../shop/a/b", "c"])

        assert b"x" == command(environment, b"")
        assert "" == reason(directory, copies=["../shop/a/b"])

    def test_names(self, environment, directory):
        """
        Names that are not UTF-8 are copied like all others.
        """
        name = b"caf\xe9 \n"
        (directory / os.fsdecode(name)).write_text("x")
        git(directory, "init", "-q")

        command = Command(["sh", "-c", "cat caf* > uv.lock"])
        assert b"x" == command(environment, b"")

    def test_refused_names(self, directory, names, reason, monkeypatch, fill):
        """
        A name that the file system of the copy refuses is skipped, and named.
        """
        fill(directory, {"a": "", "b/c": ""})
        git(directory / "b", "init", "-q")
        (directory / "link").symlink_to("a")
        for function in ("open", "mkdir", "symlink"):
            refuse_names(
                monkeypatch, function, ("/project/a", "/project/b", "/project/link")
            )

        assert {"uv.lock"} == names(directory)
        hint = reason(directory)
        assert all(repr(name) in hint for name in ("a", "b", "link"))

    @pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
    def test_not_written(self, directory, failure, monkeypatch, fill, number):
        """
        Any other error of the copy is a failure that names the file.
        """
        fill(directory, {"a": ""})
        refuse_names(monkeypatch, "open", ("/project/a",), number)

        assert f"Could not copy 'a' ({os.strerror(number)})" == failure(
            Command(["true"])
        )

    @pytest.mark.parametrize("change", ["longer", "shorter", "touched"])
    def test_changed(self, directory, failure, monkeypatch, change):
        """
        A file that changes while it is copied is a failure that may be retried.
        """
        path = directory / "list"
        path.write_text("x" * 100)
        utime = os.utime

        def change_(*arguments, **options):
            monkeypatch.undo()
            if change == "touched":
                os.utime(path, ns=(1, 1))
            else:
                os.truncate(path, 101 if change == "longer" else 0)
            utime(*arguments, **options)

        monkeypatch.setattr(os, "utime", change_)
        assert "'list' changed while it was copied; try again" == failure(
            Command(["true"])
        )

    @pytest.mark.parametrize("instant", ["before", "after"])
    def test_vanished_directory(self, directory, failure, monkeypatch, instant, fill):
        """
        So is a directory that vanishes before it is listed, or after that.
        """
        fill(directory, {"a/b": "", "gone/x": ""})
        listdir = os.listdir

        def vanish(path):
            is_it = path == str(directory / "gone")
            if is_it and instant == "before":
                shutil.rmtree(path)
            names = listdir(path)
            if is_it:
                shutil.rmtree(path)
            return names

        monkeypatch.setattr(os, "listdir", vanish)
        assert "'gone' changed while it was copied; try again" == failure(
            Command(["true"])
        )

    def test_vanished_link(self, directory, failure, monkeypatch):
        """
        So is a symlink that vanishes.
        """
        (directory / "link").symlink_to("uv.lock")
        refuse_path(monkeypatch, "readlink", directory / "link", errno.ENOENT)

        assert "'link' changed while it was copied; try again" == failure(
            Command(["true"])
        )

    def test_removed(self, directory, names, monkeypatch, fill):
        """
        A file that is removed before it is copied is none of the project's any more.
        """
        fill(directory, {"a": "", "b": ""})
        lstat = os.lstat

        def remove(path):
            status = lstat(path)
            if str(path).endswith("/b"):
                os.unlink(path)
            return status

        monkeypatch.setattr(os, "lstat", remove)
        assert {"uv.lock", "a"} == names(directory)


def refuse_names(patch, name, ends, number=errno.EILSEQ):
    """
    Let the function *name* of `os` fail for a path with one of these ends.
    """
    function = getattr(os, name)

    def refused(*arguments, **options):
        if str(arguments[name == "symlink"]).endswith(ends):
            raise OSError(number, os.strerror(number))
        return function(*arguments, **options)

    patch.setattr(os, name, refused)


class TestLimits:
    @pytest.fixture(params=[True, False], ids=["repository", "directory"])
    def large(self, request, directory, fill):
        """
        A project of a few files more than the limit.
        """
        files = {f"many/{number}": "x" * 100 for number in range(20)}
        fill(directory, {**files, "pyproject.toml": "'list'", "list": "", "own/x": ""})
        if request.param:
            git(directory, "init", "-q")
        return directory

    @pytest.mark.parametrize(
        ("name", "value", "words"),
        [
            ("MAX_FILES", 10, "has more than 10 files"),
            ("MAX_BYTES", 1 << 10, "is larger than 1 KiB"),
            ("MAX_SECONDS", -1, "takes longer than -1 s to copy"),
        ],
    )
    def test_exceeded(self, large, failure, monkeypatch, name, value, words):
        """
        The failure names the limit, and the option.
        """
        monkeypatch.setattr(_project, name, value)

        message = f"{str(large)!r} {words}; name those that 'sh' needs with --copy"
        assert message == failure(Command(["sh"]))

    @pytest.mark.parametrize(
        ("name", "value"), [("MAX_FILES", 10), ("MAX_BYTES", 1000)]
    )
    def test_copies(self, large, names, monkeypatch, name, value):
        """
        With --copy only the files that are named are copied.
        """
        monkeypatch.setattr(_project, name, value)
        options = {"copies": ["own"], "manifests": ["pyproject.toml"]}

        assert {"uv.lock", "pyproject.toml", "list", "own/x"} == names(large, **options)

    def test_late(self, large, names, monkeypatch):
        """
        So it is if the time is over in the midst of the copy.
        """
        clock, utime, shift = time.monotonic, os.utime, [0]

        def late(*arguments, **options):
            shift[0] = 1000
            utime(*arguments, **options)

        monkeypatch.setattr(os, "utime", late)
        monkeypatch.setattr("time.monotonic", lambda: clock() + shift[0])

        assert {"uv.lock", "own/x"} == names(large, copies=["own"])

    def test_hint(self, large, reason, monkeypatch):
        """
        The failure of a command that lacks the other files says so.
        """
        monkeypatch.setattr(_project, "MAX_FILES", 10)

        hint = "only named files were copied: add others with --copy"
        assert hint == reason(large, copies=["own"])

    def test_version_control(self, large, output, monkeypatch):
        """
        Version control works nevertheless.
        """
        if not (large / ".git").exists():
            git(large, "init", "-q")
        commit(large)
        monkeypatch.setattr(_project, "MAX_FILES", 10)

        assert git(large, "log") == output(large, "git log", copies=["own"])

    def test_too_many_copies(self, large, failure, monkeypatch):
        """
        The limits hold for the files that are named, too.
        """
        monkeypatch.setattr(_project, "MAX_FILES", 10)

        assert "has more than 10 files" in failure(Command(["sh"], copies=["many"]))

    @pytest.mark.parametrize("ends", ["cancel", "time"])
    def test_git_hangs(self, repository, tool, ends, monkeypatch):
        """
        A git that hangs is killed when the check is cancelled, or at the limit.
        """
        pid = repository.parent / "pid"
        tool("git", f"echo $$ > {pid}; exec sleep 600")
        cancellation = Cancellation()
        environment = StateStore().environment(repository / "services/shop", "uv.lock")
        expected = ResolverError
        if ends == "cancel":
            expected = _cancellation.Cancelled
        else:
            monkeypatch.setattr(_project, "MAX_SECONDS", 1)

        def end():
            number = int(wait_for(pid))
            if ends == "cancel":
                cancellation.cancel()
            assert is_gone(number)

        with (
            meanwhile(end),
            _cancellation.cancelling(cancellation),
            pytest.raises(expected),
        ):
            Command(["true"])(environment, b"")

    def test_cancelled(self, large, environment, scratches, monkeypatch):
        """
        A cancelled check copies nothing any more.
        """
        cancellation = Cancellation()
        utime, copied = os.utime, []

        def cancel(*arguments, **options):
            cancellation.cancel()
            copied.append(1)
            utime(*arguments, **options)

        monkeypatch.setattr(os, "utime", cancel)
        with (
            _cancellation.cancelling(cancellation),
            pytest.raises(_cancellation.Cancelled),
        ):
            Command(["true"])(environment, b"")
        assert [1] == copied
        assert [] == list(scratches.iterdir())


ASK = (
    "git describe --tags --dirty --long --always; git status --porcelain=v2 --branch;"
    "git ls-files --stage; git log -3 --format=%H%d; git show-ref"
)


def answers(directory):
    """
    Return the answers of git in the project itself.
    """
    return subprocess.run(
        ["sh", "-c", ASK],
        cwd=directory,
        env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout.strip()


def seen(directory):
    """
    Return everything in a directory: types, sizes, times and contents.
    """
    found = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        time = "/objects/" in str(path) or status.st_mtime_ns
        found[str(path)] = (status.st_mode, status.st_ino, time, content)
    return found


class TestVersionControl:
    @pytest.fixture(autouse=True)
    def _identity(self, monkeypatch):
        for name in ("AUTHOR", "COMMITTER"):
            monkeypatch.setenv(f"GIT_{name}_NAME", "Ana")
            monkeypatch.setenv(f"GIT_{name}_EMAIL", "ana@mail.example")

    @pytest.mark.parametrize("state", PROJECTS["states"])
    def test_states(self, repository, output, state):
        """
        Git gives the same answers in the copy as in the project.
        """
        script = PROJECTS["states"][state]
        subprocess.run(["sh", "-ec", script], cwd=repository, check=True)
        shop = repository / "services/shop"

        assert answers(shop) == output(shop, ASK)

    @pytest.mark.parametrize("kind", KINDS)
    def test_kinds(self, repository, output, tmp_path, kind):
        """
        So it does for every kind of repository.
        """
        argv = ["sh", "-ec", KINDS[kind], "sh", repository, tmp_path / "other"]
        if subprocess.run(argv, check=False, capture_output=True).returncode:
            pytest.skip("this git has no such repositories")
        shop = tmp_path / "other/services/shop"

        assert answers(shop) == output(os.path.realpath(shop), ASK)

    def test_special_files(self, repository, output):
        """
        So it does beside FIFOs and devices, for which no check waits.
        """
        shop = repository / "services/shop"
        here = answers(shop)
        os.mkfifo(repository / ".git/refs/heads/fifo")
        (repository / ".git/info/endless").symlink_to("/dev/zero")

        assert here == output(shop, ASK)

    def test_submodules(self, repository, output, tmp_path):
        """
        So it does in submodules.
        """
        git(tmp_path, "clone", "-q", repository, "other")
        git(repository, "submodule", "--quiet", "add", tmp_path / "other", "sub")
        commit(repository)
        ask = f"{ASK}; cd ../../sub; {ASK}"
        shop = repository / "services/shop"
        here, sub = answers(shop), answers(repository / "sub")

        assert f"{here}\n{sub}" == output(shop, ask)
        (repository / "sub/README").write_text("changed")
        assert "v1.0-0-" in answers(repository / "sub")
        assert answers(shop) == output(shop, ASK)

    def test_untouched(self, repository, output):
        """
        Nothing in the project is written, whatever the command does in the copy.

        But for the time of an object, which git sets instead of writing it again.
        """
        (repository / "README").write_text("other")
        git(repository, "gc", "-q")
        before = seen(repository)

        assert "done" == output(
            repository / "services/shop",
            "cd ../..; git config x.y z; git add -A; git commit -qm x --author='a <a>'"
            " || exit 1; git tag x; git gc -q --prune=now; git repack -qad;"
            " find . -type f -exec sh -c 'rm -f {}; echo x > {}' ';'; echo done",
            passes=["GIT_*"],
        )
        assert before == seen(repository)

    def test_unreadable(self, repository, output, reason):
        """
        If a repository cannot be read, the check goes on without it, and says so.
        """
        (repository / ".git/info/exclude").unlink()
        (repository / ".git/info/exclude").symlink_to("/proc/self/mem")
        shop = repository / "services/shop"

        assert "fatal: not a git repository" in output(shop, "git status")
        hint = reason(shop)
        assert hint.startswith("there was no version control ('")
        assert hint.endswith(".git/info/exclude': Input/output error)")

    @pytest.mark.parametrize("change", ["objects", "line break", "table"])
    def test_changed(self, repository, output, reason, monkeypatch, tmp_path, change):
        """
        So it is if the repository is one that cannot be shared.
        """
        top, words = (
            repository,
            {
                "objects": "its objects are missing",
                "line break": "its path has a line break",
                "table": "a linked work tree with a table of references",
            },
        )
        if change == "line break":
            top = repository.rename(tmp_path / "a\nb")
        elif change == "table":
            git(repository, "worktree", "add", "-q", tmp_path / "other", "-b", "y")
            top = tmp_path / "other"
        files_of = _git.files_of

        def list_and_change(*arguments):
            files = files_of(*arguments)
            if change == "objects":
                (top / ".git/objects").rename(tmp_path / "objects")
            elif change == "table":
                (repository / ".git/reftable").mkdir()
            return files

        monkeypatch.setattr(_git, "files_of", list_and_change)

        assert f"there was no version control ({words[change]})" == (
            reason(top / "services/shop")
        )

    @needs_sandbox
    @pytest.mark.parametrize("kind", ["shared", "work tree"])
    def test_sandbox(self, repository, output, tmp_path, monkeypatch, kind):
        """
        Version control works in a sandbox that hides the repository, too.
        """
        monkeypatch.setattr(_sandbox, "_HIDDEN", (str(tmp_path),))
        argv = ["sh", "-ec", KINDS[kind], "sh", repository, tmp_path / "other"]
        subprocess.run(argv, check=True)

        assert "v1.0" == output(
            tmp_path / "other/services/shop", "git describe --tags", sandbox=True
        )

    def test_cost(self, repository, output):
        """
        Git need not read the files again: they have the times of the originals.
        """
        old = repository / "README"
        os.utime(old, (10**9, 10**9))
        git(repository, "update-index", "--refresh")

        # Of the same size and time, so that git takes it for unchanged.
        assert "v1.0" == output(
            repository / "services/shop",
            "cd ../..; printf pot > README; touch -d @1000000000 README;"
            " git describe --tags --dirty",
        )
