"""
Questions: equal on machines that get the same answer, and different otherwise.
"""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from upgrade_state import StateStore
from upgrade_state.checks import Command
from upgrade_state.exceptions import ResolverError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILES = {
    "pyproject.toml": "[project]\n",
    "lib/pins.txt": "attrs\n",
    "run": "#!/bin/sh\n",
    "sub/pins.lock": "old\n",
    "pins.lock": "old\n",
    "other.lock": "other\n",
    "wishes": "attrs\n",
    "zz/last": "",
}

SETTINGS = "~/.config/pins/pins.toml"
INDEX = (
    "index = 'https://{}@index.example/simple'\npassword = '{}'\nstrategy = 'first'\n"
)

COMMAND = Command(
    ["pins", "lock"],
    version=["pins", "--version"],
    settings=[SETTINGS, "/nowhere/pins.toml", "/etc/xdg/pins.toml"],
    passes=["PINS_*"],
    caches=["PINS_CACHE"],
    changes={"PINS_HOME": "x", "PINS_OFFLINE": None},
    fence={"stop": b"\xff"},
    failures={b"stale": "is stale"},
)


class Machine:
    """
    A user's home directory, and a checkout of the project.
    """

    def __init__(
        self, place: Path, patch: pytest.MonkeyPatch, order: Iterable[str]
    ) -> None:
        self.home = place / "home"
        self.project = place / "src" / "shop"
        self.command = COMMAND
        self.name = "pins.lock"
        self.directory = "."
        self.old: bytes | None = b"old\n"
        self.format: str | None = None
        self.patch = patch
        patch.setenv("HOME", str(self.home))
        self.write(self.home / ".config/pins/pins.toml", INDEX.format("a:b", "c"))
        for path in order:
            self.write(self.project / path, FILES[path])
        (self.project / "link").symlink_to("lib")
        (self.project / "run").chmod(0o755)

    def write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=A", "-c", "user.email=a@mail.example"]
        command = ["git", "-C", str(self.project), *identity, *arguments]
        moment = "2026-11-20T12:00:00Z"
        dates = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
        subprocess.run(command, check=True, capture_output=True, env=os.environ | dates)

    def commit(self) -> None:
        """
        Make a repository of the project.
        """
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "first")
        self.git("tag", "v1")

    def evolve(self, **fields: object) -> None:
        self.command = attrs.evolve(self.command, **fields)

    def question(self) -> str:
        store = StateStore(self.project.parent / "cache")
        environment = store.environment(self.project / self.directory, self.name)
        with self.command.prepared(environment, self.old) as prepared:
            return prepared.question(self.format)


@pytest.fixture(autouse=True)
def supervisor():
    """
    Start the supervisor as it is: other tests measure its coverage.
    """


@pytest.fixture
def machine(tmp_path, monkeypatch, tool):
    """
    Make a machine in a directory of its own.
    """
    tool("pins", "echo pins 1.0 at $0")
    return lambda name="a", order=FILES: Machine(tmp_path / name, monkeypatch, order)


class Backwards:
    """
    A stand-in for `os.scandir` that lists a directory from the end.
    """

    scandir = staticmethod(os.scandir)

    def __init__(self, path: Any) -> None:
        with self.scandir(path) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name, reverse=True)
        self.entries = iter(ordered)

    def __enter__(self) -> Any:
        return self.entries

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Any:
        return self.entries

    def __next__(self) -> Any:
        return next(self.entries)


class TestEqual:
    @pytest.mark.parametrize("is_repository", [False, True])
    def test_two_machines(self, machine, tmp_path, monkeypatch, is_repository):
        """
        Users, homes, places, times, orders, umasks and secrets make no difference.
        """
        one = machine("a")
        monkeypatch.setenv("PINS_TOKEN", "one")
        monkeypatch.setenv("PINS_INDEX", "https://ana:x@index.example/simple")
        monkeypatch.setenv("PINS_ROOT", f"{one.home}/pins")
        monkeypatch.setenv("PINS_CACHE", "/var/one")
        if is_repository:
            one.commit()
        question = one.question()

        before = os.umask(0o077)
        try:
            two = machine("elsewhere/b", reversed(FILES))
            (two.project / "run").chmod(0o711)
            if is_repository:
                two.commit()
                two.git("gc", "-q")
                two.git("config", "user.name", "Ben")
                (two.project / ".git/info/exclude").write_text("ignored\n")
                two.write(two.project / "ignored", "x")
            two.write(two.home / ".config/pins/pins.toml", INDEX.format("y", "z"))
            os.utime(two.project / "lib/pins.txt", (0, 0))
            monkeypatch.setenv("USER", "ben")
            monkeypatch.setenv("LANG", "de_AT.UTF-8")
            monkeypatch.setenv("PINS_TOKEN", "two")
            monkeypatch.setenv("PINS_INDEX", "https://index.example/simple")
            monkeypatch.setenv("PINS_ROOT", f"{two.home}/pins")
            monkeypatch.setenv("PINS_CACHE", "/var/two")
            two.evolve(
                caches=["PINS_CACHE"], needs="install pins", timeout=one.command.timeout
            )

            assert question == two.question()
        finally:
            os.umask(before)

    def test_paths(self, machine, monkeypatch):
        """
        The paths of the project and of the home directory are those of each machine.
        """
        questions = set()
        for name in ("a", "b"):
            one = machine(name)
            one.evolve(
                changes={"PINS_PYTHON": f"{one.project}/.venv"},
                argv=[f"{one.home}/bin/pins", f"--x={one.project}"],
            )
            one.write(one.home / "bin/pins", "#!/bin/sh\n")
            (one.home / "bin/pins").chmod(0o755)
            monkeypatch.setenv("XDG_CONFIG_HOME", str(one.home / "etc" / name))
            one.write(one.home / "etc" / name / "pins/pins.toml", "x")
            questions.add(one.question())

        assert len(questions) == 1

    def test_file_in_a_variable(self, machine, monkeypatch):
        """
        A file that a variable names counts by its content.
        """
        questions = set()
        for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
            one = machine(name)
            one.write(one.home / f"{name}.conf", text)
            monkeypatch.setenv("PINS_CONFIG", str(one.home / f"{name}.conf"))
            questions.add(one.question())

        assert len(questions) == 2

    def test_order_of_directories(self, machine, monkeypatch):
        """
        File systems may list a directory in any order.
        """
        one = machine()
        before = one.question()
        monkeypatch.setattr(os, "scandir", Backwards)

        assert before == one.question()

    def test_home_at_the_root(self, machine, monkeypatch):
        """
        A home directory at the root is no part of other paths.
        """
        one = machine()
        monkeypatch.setenv("HOME", "/")
        monkeypatch.setenv("PINS_ROOT", "/opt/one")
        first = one.question()
        monkeypatch.setenv("PINS_ROOT", "/opt/two")

        assert first != one.question()


# Changes of the input, each of which can change the answer.
CHANGES = {
    "a byte": lambda m: m.write(m.project / "lib/pins.txt", "attrt\n"),
    "a file more": lambda m: m.write(m.project / "lib/more", ""),
    "a file less": lambda m: (m.project / "zz/last").unlink(),
    "a name": lambda m: (m.project / "zz/last").rename(m.project / "zz/lost"),
    "a name that is not UTF-8": lambda m: m.write(
        m.project / os.fsdecode(b"zz/\xff"), ""
    ),
    "a directory more": lambda m: (m.project / "lib/empty").mkdir(),
    "bytes that move": lambda m: (
        m.write(m.project / "wishes", "attrs"),
        m.write(m.project / "zz/last", "\n"),
    ),
    "a link's target": lambda m: (
        (m.project / "link").unlink(),
        (m.project / "link").symlink_to("sub"),
    ),
    "a file for a link": lambda m: (
        (m.project / "link").unlink(),
        m.write(m.project / "link", "lib"),
    ),
    "executable": lambda m: (m.project / "run").chmod(0o644),
    "old lockfile": lambda m: setattr(m, "old", b"OLD\n"),
    "no old lockfile": lambda m: setattr(m, "old", None),
    "lockfile's name": lambda m: (
        setattr(m, "name", "other.lock"),
        m.write(m.project / "other.lock", "old\n"),
    ),
    "format": lambda m: setattr(m, "format", "uv"),
    "arguments": lambda m: m.evolve(argv=["pins", "lock", ""]),
    "arguments joined": lambda m: m.evolve(argv=["pins", "lo", "ck"]),
    "a variable set": lambda m: m.evolve(changes={"PINS_HOME": "y"}),
    "a variable removed": lambda m: m.evolve(changes={"PINS_HOME": "x"}),
    "a variable passed": lambda m: m.patch.setenv("PINS_INDEX", "https://b.example"),
    "a secret passed": lambda m: m.patch.setenv("PINS_INDEX_KEY", "s3cret"),
    "another one passed": lambda m: (
        m.evolve(passes=["PINS_*", "OTHER"]),
        m.patch.setenv("OTHER", "x"),
    ),
    "fence": lambda m: m.evolve(fence={"stop": b"\xfe"}),
    "start": lambda m: m.evolve(start="sub"),
    "sandbox": lambda m: m.evolve(sandbox=True),
    "failures": lambda m: m.evolve(failures={}),
    "settings": lambda m: m.write(
        m.home / ".config/pins/pins.toml", "strategy = 'all'"
    ),
    "settings below another root": lambda m: (
        m.write(m.home / "xdg/pins.toml", "strategy = 'all'"),
        m.patch.setenv("XDG_CONFIG_DIRS", f"/nowhere:{m.home}/xdg"),
    ),
    "settings removed": lambda m: (m.home / ".config/pins/pins.toml").unlink(),
    "another name of settings": lambda m: m.evolve(settings=["~/.config/pins/*.toml"]),
    "system": lambda m: m.patch.setattr("os.uname", lambda: UNAME("Darwin", "x86_64")),
    "machine": lambda m: m.patch.setattr("os.uname", lambda: UNAME("Linux", "riscv")),
}


# Lines of settings that differ in something else than a secret.
LINES = [
    ("tokenizers==0.21", "tokenizers==0.22"),
    ("pins = ['authlib == 1.5']", "pins = ['authlib == 1.6']"),
    ("@auth0:registry=https://a.example", "@auth0:registry=https://b.example"),
    ('{"auth":"x","index":"a"}', '{"auth":"x","index":"b"}'),
    ("my-auth = { index = 'a' }", "my-auth = { index = 'b' }"),
]

# Lines that differ in a secret.
SECRETS = [
    ('{"auth":"x","index":"a"}', '{"auth":"y","index":"a"}'),
    ("//a.example/:_authToken=x", "//a.example/:_authToken=y"),
    (
        "my-auth = { index = 'a', token = 'x' }",
        "my-auth = { index = 'a', token = 'y' }",
    ),
    ("api_key: x", "api_key: y"),
    ("PASSWORD = x y", "PASSWORD = z"),
    ("a = 'https://ana:x@a.example'", "a = 'https://ben:y@a.example'"),
]


class UNAME:
    def __init__(self, sysname: str, machine: str) -> None:
        self.sysname, self.machine = sysname, machine


class TestDifferent:
    @pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
    def test_changed(self, machine, monkeypatch, change):
        """
        Whatever can change the answer changes the question.
        """
        # Needs no sandbox, and no process.
        monkeypatch.setattr(Command, "_printed", lambda *_: b"pins 1.0")
        one = machine()
        before = one.question()
        change(one)

        assert before != one.question()

    @pytest.mark.parametrize("lines", [*LINES, *SECRETS])
    def test_settings(self, machine, monkeypatch, lines):
        """
        So does each line of its settings, without the values of secrets.
        """
        monkeypatch.setattr(Command, "_printed", lambda *_: b"pins 1.0")
        one = machine()
        questions = set()
        for line in lines:
            one.write(one.home / ".config/pins/pins.toml", f"a = 1\n{line}\nb = 2\n")
            questions.add(one.question())

        assert len(questions) == (1 if lines in SECRETS else 2)

    def test_c_library(self, machine, monkeypatch):
        """
        So does the C library, for which a wheel may be made.
        """
        one = machine()
        before = one.question()
        monkeypatch.setattr("platform.libc_ver", lambda: ("musl", "1.2.5"))

        assert before != one.question()

    def test_subdirectory(self, machine):
        """
        So does the place of the environment in the project.
        """
        one = machine()
        one.commit()
        before = one.question()
        one.directory = "sub"

        assert before != one.question()

    def test_version(self, machine, tool):
        """
        So does another version of the tool.
        """
        one = machine()
        before = one.question()
        tool("pins", "echo pins 1.1 at $0")

        assert before != one.question()

    def test_copies(self, machine):
        """
        So does a file that git ignores, and the user has named.
        """
        one = machine()
        one.write(one.project / ".gitignore", "data\n")
        one.commit()
        one.write(one.project / "data", "x")
        before = one.question()
        one.evolve(copies=["data"])
        named = one.question()
        one.write(one.project / "data", "y")

        assert len({before, named, one.question()}) == 3

    def test_home_in_a_url(self, machine, monkeypatch):
        """
        So does the path of an index, even if it is that of the home directory.
        """
        questions = set()
        for name in ("a", "b"):
            one = machine(name)
            monkeypatch.setenv("PINS_INDEX", f"https://index.example{one.home}")
            questions.add(one.question())

        assert len(questions) == 2

    def test_history(self, machine):
        """
        So do the commit and the tags that `git describe` finds, and no others.
        """
        one = machine()
        one.commit()
        first = one.question()
        one.git("commit", "-q", "--allow-empty", "-m", "second")
        second = one.question()
        one.git("checkout", "-q", "-b", "other")
        one.git("commit", "-q", "--allow-empty", "-m", "third")
        one.git("tag", "v3")
        one.git("checkout", "-q", "-")
        again = one.question()
        one.git("tag", "v2")

        assert second == again
        assert len({first, second, one.question()}) == 3

    def test_forged(self, machine):
        """
        The content of a file cannot pass for another file.
        """
        one, other = machine("a"), machine("b")
        one.write(one.project / "a1", "")
        one.write(one.project / "a2", "")
        other.write(other.project / "a1", '["file", "a2", false]\n')

        assert one.question() != other.question()

    def test_unborn(self, machine):
        """
        A repository without a commit has neither.
        """
        one = machine()
        one.git("init", "-q")

        assert one.question() == one.question()


class TestNone:
    @pytest.mark.parametrize("program", ["broken", "missing"])
    def test_broken_version(self, machine, tool, program):
        """
        A command whose version cannot be printed asks no question.
        """
        tool("broken", "echo no network; exit 3")
        one = machine()
        one.evolve(version=[program, "--version"])

        with pytest.raises(ResolverError, match=f"{program}'"):
            one.question()

    @pytest.mark.parametrize(
        "fields",
        [
            {"version": [""]},
            {"version": "pins --version"},
            {"settings": ["pins.toml"]},
            {"settings": [1]},
            {"settings": ["~/a\0b"]},
        ],
    )
    def test_invalid(self, fields):
        """
        A version is a command, and settings are paths from the home or the root.
        """
        with pytest.raises((TypeError, ValueError)):
            attrs.evolve(COMMAND, **fields)
