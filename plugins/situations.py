"""
The situations of a plugin inside its real manager, the same for every plugin.

A module ``plugins/NAME/tests/test_NAME.py`` describes its manager and inherits the
tests::

    class Poetry(Manager): ...

    MANAGER = Poetry()

    class TestPoetry(Situations):
        manager = MANAGER

`nox -s plugins` installs two environments with the manager: this interpreter's, with
the plugin, and that of ``UPGRADE_STATE_BARE``, without. Each command runs in both, and
the plugin may only add lines to stderr.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import pty
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from upgrade_state import StateStore, UpgradeInformation, testing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from upgrade_state import EnvironmentState

# Only ends a hang.
LIMIT = 180

PLUGINS = Path(__file__).parent

# Code after which `upgrade_state` cannot be imported, or is one of another version.
LIBRARIES = (
    "import sys; sys.modules['upgrade_state'] = None",
    "import sys, types; sys.modules['upgrade_state'] = types.ModuleType('other')",
)


class Manager:
    """
    One environment manager: how a project is made, and the command that is run.

    Options come before *command*, unless `argv` is overridden.

    Attributes:
        name: The directory below ``plugins/``, and the manager's module.

        lockfile: The lockfile's name. None: the manager has none.

        environment_name: The environment's name, if a lockfile has several.

        checker: The name of the checker in a record.

        command: Arguments with which a user works in the environment. The command
            prints to stdout and exits with 3.

        active: Verbose commands before which the plugin speaks. Empty: the only one
            is *command*.

        other: Verbose commands before which it does not.

        notice: A text that is in the notice, and nowhere else in stderr.

        quiet: Options with which the manager is silent. Empty: it
            has none.

        verbose: Options with which the plugin gives its reasons.

        debug: Options with which the manager shows messages of debug
            level. Empty: it has none.

        missing: Python code that removes a part of the manager's API that the plugin
            uses when it is loaded, and the manager does not.

        stand_in: The directory of a module that takes the manager's place, because no
            index has the manager. None: it is the real one.

        breakage: Python code that removes a part of the manager's API that the
            plugin uses before a command. Empty: the manager is not run by
            ``python -m``.
    """

    name: str
    lockfile: str | None = None
    environment_name: str | None = None
    checker: str
    command: tuple[str, ...]
    active: tuple[tuple[str, ...], ...] = ()
    other: tuple[tuple[str, ...], ...] = ()
    notice = "1 version change available in 'shop'"
    quiet: tuple[str, ...] = ()
    verbose: tuple[str, ...] = ()
    debug: tuple[str, ...] = ()
    missing = ""
    breakage = ""
    stand_in: Path | None = None

    def make(self, project: Path, index: str, python: str) -> None:
        """
        Make a project that requires *thing*, with a lockfile of version 1.0.

        It is called once per class of tests, and the project is copied for each test.
        `run_in` runs a command for it.

        Args:
            index: URL of the index, with version 1.0 only.

            python: The interpreter of the manager without the plugin.
        """
        raise NotImplementedError

    def argv(self, python: str, *options: str) -> list[str]:
        """
        Return the command line of *command* for the manager of one interpreter.
        """
        return [python, "-m", self.name, *options, *self.command]

    def measured(self, python: str) -> list[str]:
        """
        Return the command line whose overhead is measured.
        """
        return self.argv(python)

    def settle(self, scene: Scene) -> None:
        """
        Adapt the copy of a project to its place.
        """

    def stable(self, stdout: str) -> str:
        """
        Return the output without the parts that differ from run to run.
        """
        return stdout

    def variables(self, scene: Scene) -> dict[str, str]:
        """
        Return the environment variables of the command, besides the usual ones.
        """
        return {}

    def place(self, scene: Scene) -> Path | None:
        """
        Return the directory of the plugins that a project requires.

        None: the manager knows no such plugins.
        """
        return None

    def environment(self, scene: Scene) -> EnvironmentState:
        """
        Return the environment that the plugin records.
        """
        return scene.store.environment(scene.project, self.lockfile)

    def switch_off(self, scene: Scene) -> None:
        """
        Set the plugin's key in the manager's own configuration.
        """
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Done:
    """
    The end of a command, and the text that the plugin has added to its stderr.
    """

    status: int
    stdout: str
    stderr: str
    added: str = ""


class Scene:
    """
    A project in the home of a user, and the commands that run there.
    """

    def __init__(
        self, manager: Manager, home: Path, project: Path, index: Index
    ) -> None:
        self.manager, self.home, self.project, self.index = (
            manager, home, project, index,
        )  # fmt: skip
        self.bare = os.environ.get("UPGRADE_STATE_BARE", "")
        if not self.bare:
            pytest.skip("nox -s plugins installs the managers")
        self.cache = home / ".cache" / "upgrade-state"
        self.store = StateStore(self.cache)
        self._plain: dict[tuple[object, ...], Done] = {}

    @property
    def environment(self) -> EnvironmentState:
        return self.manager.environment(self)

    def variables(self, **more: str) -> dict[str, str]:
        """
        Return the environment variables of a command, without any of a CI.
        """
        return {**environ_of(self.home), **self.manager.variables(self), **more}

    def start(self, argv: list[str], *, terminal: bool = True, **more: str) -> Process:
        """
        Start a command in the project, at a terminal or with pipes.
        """
        return Process(argv, self.project, self.variables(**more), terminal=terminal)

    def run(self, *options: str, terminal: bool = True, **more: str) -> Done:
        """
        Run the manager's command with the plugin, and compare it with one without.
        """
        plain = self.plain(*options, terminal=terminal)
        argv = self.manager.argv(sys.executable, *options)
        return self.compare(plain, self.start(argv, terminal=terminal, **more).end())

    def plain(self, *options: str, terminal: bool = True) -> Done:
        """
        Run the manager's command once without the plugin.
        """
        case = (*options, terminal)
        if case not in self._plain:
            argv = self.manager.argv(self.bare, *options)
            self._plain[case] = self.start(argv, terminal=terminal).end()
        return self._plain[case]

    def compare(self, plain: Done, done: Done) -> Done:
        """
        Return *done* with the lines that it has more than *plain* in stderr.
        """
        stable = self.manager.stable
        assert plain.status == done.status, done.stderr
        assert stable(plain.stdout) == stable(done.stdout), done.stderr
        rest = plain.stderr.splitlines()
        added = []
        for line in done.stderr.splitlines():
            if rest and rest[0] == line:
                del rest[0]
            else:
                added.append(line)
        assert [] == rest, done.stderr
        return dataclasses.replace(done, added="\n".join(added))

    def run_at_once(self, count: int) -> list[Done]:
        """
        Run the command *count* times at once, each at a terminal of its own.
        """
        plain = self.plain()
        argv = self.manager.argv(sys.executable)
        started = [self.start(argv) for _ in range(count)]
        return [self.compare(plain, process.end()) for process in started]

    def wait_for_check(self) -> UpgradeInformation:
        """
        Return the record after the check that was started, whatever its end.
        """
        deadline = time.monotonic() + LIMIT
        while True:
            found = self.environment.look().information
            if found is not None and (found.last_checked or found.failure):
                return found
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def was_started(self) -> bool:
        """
        Return whether a check was ever started: its log is created before it.
        """
        return os.path.exists(self.environment.log_path)

    def log(self) -> str:
        """
        Return the log of the check, for the message of a test.
        """
        path = Path(self.environment.log_path)
        return path.read_text() if path.exists() else "no check was started"

    def check(self) -> None:
        """
        Let the plugin make the first check, which finds the upgrade.
        """
        first = self.run()
        assert "" == first.added
        found = self.wait_for_check()
        assert found.failure is None, found.failure


class Process:
    """
    A process whose stderr, and input, is a terminal; its stdout is a pipe.
    """

    def __init__(
        self, argv: list[str], place: Path, environ: dict[str, str], *, terminal: bool
    ) -> None:
        self._terminal = -1
        streams = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        if terminal:
            self._terminal, end = pty.openpty()
            streams = {"stdin": end, "stderr": end}
        self.process = subprocess.Popen(
            argv, cwd=place, env=environ, stdout=subprocess.PIPE,
            start_new_session=True, **streams,
        )  # fmt: skip
        self._written = b""
        if terminal:
            os.close(end)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        if self._terminal < 0:
            self._written = self.process.stderr.read()
            return
        # EIO: the last process has closed the other end.
        with contextlib.suppress(OSError):
            while data := os.read(self._terminal, 65536):
                self._written += data

    def end(self) -> Done:
        """
        Wait for the end of the process.
        """
        with self.process:
            written = self.process.stdout.read()
            status = self.process.wait(LIMIT)
            self._reader.join(LIMIT)
        if self._terminal >= 0:
            os.close(self._terminal)
        stderr = self._written.decode().replace("\r\n", "\n")
        return Done(status, written.decode(), stderr)


class Index:
    """
    A package index on this machine with the wheels of *thing* that a test offers.
    """

    def __init__(self, folder: Path) -> None:
        self.wheels = [make_wheel(folder, "thing", v) for v in ("1.0", "1.1")]
        self.offered = 1
        self.is_broken = False
        self._server = self._serve(0)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/simple/"

    def _serve(self, port: int) -> ThreadingHTTPServer:
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = None if index.is_broken else index.page(self.path)
                self.send_response(404 if content is None else 200)
                kind = "text/html" if self.path.endswith("/") else "application/zip"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content or b"")

            do_HEAD = do_GET  # noqa: N815 - the base class calls it

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=server.serve_forever, args=[0.05]).start()
        return server

    def page(self, path: str) -> bytes | None:
        """
        Return the content at *path* of the index; None: there is none.
        """
        offered = self.wheels[: self.offered]
        if path == "/simple/thing/":
            links = (
                f'<a href="/files/{wheel.name}#sha256='
                f'{hashlib.sha256(wheel.read_bytes()).hexdigest()}">{wheel.name}</a>'
                for wheel in offered
            )
            return f"<!doctype html>{''.join(links)}".encode()
        if path.startswith("/conda/") and path.endswith("/repodata.json"):
            return self.channel(path.split("/")[2])
        for wheel in offered:
            if path == f"/files/{wheel.name}":
                return wheel.read_bytes()
        return None

    def channel(self, subdir: str) -> bytes:
        """
        Return the list of conda packages in one directory of a channel.
        """
        common = {"name": "thing", "build": "0", "build_number": 0, "depends": []}
        common |= {"subdir": "noarch", "noarch": "generic", "size": 1, "md5": "0" * 32}
        versions = ("1.0", "1.1")[: self.offered] if subdir == "noarch" else ()
        packages = {f"thing-{v}-0.tar.bz2": {**common, "version": v} for v in versions}
        answer = {"info": {"subdir": subdir}, "packages": packages}
        return json.dumps({**answer, "packages.conda": {}}).encode()

    def stop(self) -> None:
        """
        Refuse every connection.
        """
        self._server.shutdown()
        self._server.server_close()

    @contextlib.contextmanager
    def unreachable(self) -> Iterator[None]:
        """
        Refuse every connection while a `with` statement is executed.
        """
        self.stop()
        try:
            yield
        finally:
            self._server = self._serve(self.port)


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """
    Write a wheel with one empty module.
    """
    path = folder / f"{name}-{version}-py3-none-any.whl"
    files = {
        f"{name}.py": "",
        f"{name}-{version}.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        ),
        f"{name}-{version}.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
            "Tag: py3-none-any\n"
        ),
    }
    record = f"{name}-{version}.dist-info/RECORD"
    files[record] = "".join(f"{file},,\n" for file in (*files, record))
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return path


def environ_of(home: Path) -> dict[str, str]:
    """
    Return the environment variables of a user with this home.
    """
    passed = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
    found = {name: os.environ[name] for name in passed if name in os.environ}
    return {"TERM": "xterm", "HOME": str(home), "NO_PROXY": "127.0.0.1", **found}


def run_in(project: Path, *argv: str) -> None:
    """
    Run a command that makes a project, and show its output if it fails.
    """
    done = subprocess.run(
        argv, cwd=project, env=environ_of(project.parent), check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout


def make_scene(manager: Manager, place: Path, index: Index, template: Path) -> Scene:
    """
    Copy a project below *place*, into a new home.
    """
    home, project = place / "home", place / "home" / "shop"
    shutil.copytree(template, project, symlinks=True)
    scene = Scene(manager, home, project, index)
    manager.settle(scene)
    return scene


def make_template(manager: Manager, place: Path, index: Index) -> Path:
    """
    Make the project that is copied, while the index has version 1.0 only.
    """
    template = place / "shop"
    template.mkdir()
    bare = os.environ.get("UPGRADE_STATE_BARE", "")
    if not bare:
        pytest.skip("nox -s plugins installs the managers")
    index.offered = 1
    manager.make(template, index.url, bare)
    index.offered = 2
    return template


def occupy(cache: Path) -> None:
    """
    Put a file in the place of the cache directory.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("")


def give_away(cache: Path) -> None:
    """
    Make a cache directory in which this user may not write, or will not as root.
    """
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.parent.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(cache.parent.parent, 65534, 65534)
    else:
        cache.parent.chmod(0o500)


class Situations:
    """
    The tests. A subclass names its *manager*.
    """

    manager: Manager

    def test_three_runs(self, scene):
        """
        The first run starts a check, the second gives the notice, the third is silent.
        """
        first = scene.run()
        found = scene.wait_for_check()
        second, third = scene.run(), scene.run()

        assert "" == first.added
        assert (self.manager.checker, None) == (found.checker, found.failure)
        assert 1 == second.added.count(self.manager.notice), second
        assert "" == third.added
        assert "told-recently" == scene.environment.look().verdict().reason

    def test_ci(self, scene):
        """
        In a CI there is neither a check nor a notice.
        """
        first = scene.run(CI="1")
        was_started = scene.was_started()
        scene.check()
        second, third = scene.run(CI="1"), scene.run()

        assert not was_started
        assert ("", "") == (first.added, second.added)
        assert self.manager.notice in third.added

    def test_six_at_once(self, scene):
        """
        Of six simultaneous runs one gives the notice.
        """
        scene.check()

        runs = scene.run_at_once(6)

        assert 1 == sum(run.added.count(self.manager.notice) for run in runs)
        assert 5 == sum(run.added == "" for run in runs)

    def test_six_first_runs(self, scene):
        """
        Six simultaneous first runs make one check.
        """
        runs = scene.run_at_once(6)
        found = scene.wait_for_check()

        assert [""] * 6 == [run.added for run in runs]
        assert (1, None) == (found.generation, found.failure)

    def test_pipes(self, scene):
        """
        If stderr is no terminal there is no notice, and the next one is not used up.
        """
        scene.check()

        piped, terminal = scene.run(terminal=False), scene.run()

        assert "" == piped.added
        assert self.manager.notice in terminal.added

    def test_quiet(self, scene):
        """
        A quiet manager gives no notice, and the next one is not used up.
        """
        if not self.manager.quiet:
            pytest.skip("the manager has no such option")
        scene.check()

        quiet, loud = scene.run(*self.manager.quiet), scene.run()

        assert "" == quiet.added
        assert self.manager.notice in loud.added

    def test_verbose(self, scene):
        """
        A verbose manager gives the reason for silence.
        """
        if not self.manager.verbose:
            pytest.skip("the manager has no such option")
        scene.check()
        scene.run()

        done = scene.run(*self.manager.verbose)

        assert "you were notified" in done.added

    def test_commands(self, scene):
        """
        The plugin speaks before commands in the environment, not before others.
        """
        if not self.manager.active:
            pytest.skip("the manager has one command")
        commands = (*self.manager.active, *self.manager.other)
        reasons = {}
        for command in commands:
            argv = [sys.executable, "-m", self.manager.name, *command]
            reasons[command] = scene.start(argv).end().stderr

        assert set(self.manager.active) == {
            command for command, text in reasons.items() if "Upgrade check: " in text
        }, reasons

    def test_switched_off(self, scene):
        """
        The key in the manager's configuration stops checks and notices.
        """
        # Without the plugin some managers refuse a configuration that has its key.
        scene.plain()
        self.manager.switch_off(scene)

        done = scene.run()

        assert "" == done.added
        assert not scene.was_started()

    def test_no_network(self, scene):
        """
        Without a network the command works, and the failure of the check is recorded.
        """
        with scene.index.unreachable():
            first = scene.run()
            found = scene.wait_for_check()
            second = scene.run()

        assert ("", "") == (first.added, second.added)
        assert found.failure is not None
        assert "backing-off" == scene.environment.look().freshness().reason

    def test_failing_resolver(self, scene):
        """
        If the index lacks a package, the failure of the check is recorded.
        """
        scene.index.is_broken = True
        first = scene.run()
        found = scene.wait_for_check()
        second = scene.run()

        assert ("", "") == (first.added, second.added)
        assert found.failure is not None
        assert found.failure.message

    def test_failing_for_a_week(self, scene):
        """
        Checks that have failed for a week are announced, once.
        """
        now = dt.datetime.now(dt.UTC)
        for days in (8, 0):
            testing.add_failure(scene.environment, at=now - dt.timedelta(days=days))

        first, second = scene.run(), scene.run()

        assert 1 == first.added.count("Could not check for upgrades of '")
        assert "" == second.added

    @pytest.mark.parametrize("damage", [occupy, give_away])
    def test_read_only_home(self, scene, damage: Callable[[Path], None]):
        """
        Without a place for the store the command works, and the plugin is silent.
        """
        damage(scene.cache)

        first, second = scene.run(), scene.run()

        assert ("", "") == (first.added, second.added)
        assert not scene.was_started()

    def test_garbage(self, scene):
        """
        A record of garbage is no record: the next check replaces it.
        """
        scene.check()
        record = Path(scene.environment.record_path)
        record.write_bytes(b"\x00garbage")
        Path(scene.environment.log_path).unlink()

        first = scene.run()
        found = scene.wait_for_check()
        second = scene.run()

        assert "" == first.added
        assert found.failure is None
        assert self.manager.notice in second.added

    def test_upgraded(self, scene):
        """
        After the upgrade there is no notice of it.
        """
        if self.manager.lockfile is None:
            pytest.skip("the manager has no lockfile")
        scene.check()
        new = scene.environment.kept_lockfile("new")
        (scene.project / self.manager.lockfile).write_bytes(new)

        assert "" == scene.run().added

    def test_required_by_project(self, scene):
        """
        A plugin that only a project requires does nothing: the user has no part in it.
        """
        place = self.manager.place(scene)
        if place is None:
            pytest.skip("the manager knows no plugins of projects")
        plain = scene.plain()
        distribution = importlib.metadata.distribution(
            f"upgrade-state-{self.manager.name}"
        )
        facts = place / f"upgrade_state_{self.manager.name}-0.dist-info"
        facts.mkdir(parents=True)
        for name in ("METADATA", "entry_points.txt"):
            (facts / name).write_text(distribution.read_text(name))
        module = importlib.util.find_spec(f"upgrade_state_{self.manager.name}").origin
        shutil.copy(module, place)

        done = scene.start(self.manager.argv(scene.bare)).end()

        assert "" == scene.compare(plain, done).added
        assert not scene.was_started()

    def test_newer_manager(self, scene):
        """
        If the manager or the library lacks something, the manager's work goes on.
        """
        if not self.manager.breakage:
            pytest.skip("the manager is no Python module")

        def run(code, *options):
            code += "\nimport runpy\n"
            code += f"runpy.run_module({self.manager.name!r}, None, '__main__', True)"
            argv = self.manager.argv(sys.executable, *options)
            return scene.start([sys.executable, "-c", code, *argv[3:]]).end()

        codes = (self.manager.missing, self.manager.breakage, *LIBRARIES)
        for code in filter(None, codes):
            assert "" == scene.compare(scene.plain(), run(code)).added
            assert not scene.was_started()
        if self.manager.debug:
            done = run(self.manager.breakage, *self.manager.debug)
            assert "No upgrade notice: " in done.stdout + done.stderr
            assert scene.plain().status == done.status
