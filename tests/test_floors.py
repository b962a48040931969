"""
Older versions of other libraries, and of this one, in one store.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
from importlib import metadata
from pathlib import Path

import filelock
import pytest

from helpers import (
    NOON,
    commit,
    place_of,
    read_record,
    run_at_once,
    run_python,
    worker,
)
from upgrade_state import _doctor, _floors
from upgrade_state.exceptions import UpgradeStateError

ROOT = Path(__file__).parents[1]

# The commit whose library is the other version: it wrote every stored file again.
# Without it, as in a shallow clone, both are this one.
OTHER = os.environ.get("UPGRADE_STATE_OTHER_COMMIT", "4aea9b30d04f")

FLOORS = ("attrs==23.2.0", "cattrs==23.2.1", "filelock==3.30.0", "platformdirs==4.0.0")

# What a plugin of a manager does, whose libraries were replaced.
PLUGIN = """
import logging, sys
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
from upgrade_state import StateStore, UpgradeStateError
shop = StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock")
verdict = shop.claim_notice()
print(verdict.reason, type(verdict.error).__name__)
for _ in range(2):
    try:
        with shop.try_check() as check:
            check.commit(b"newer")
    except UpgradeStateError as error:
        print(type(error).__name__)
"""


PIP = f"{shlex.quote(sys.executable)} -m pip install --upgrade"
TOO_OLD = f"is too old: {{}} or later is needed; run {PIP} "

# Versions that are new enough, or of no known form; and the metadata that an
# interrupted installer leaves.
UNEXAMINED = (
    *("23.10rc1", "25.dev0", "25.3b1", "25.0+local", "1!25.0", "v25.3", "unknown", ""),
    *(None, KeyError("Version"), metadata.PackageNotFoundError()),
)

UNCONFIGURED = """
import importlib.metadata, sys
importlib.metadata.version = lambda name: "1.0"
from upgrade_state import StateStore, UpgradeStateError
try:
    StateStore(sys.argv[1]).environment(sys.argv[2]).try_check()
except UpgradeStateError as error:
    print(error.message.split()[1])
"""

WITHOUT = """
import sys
sys.modules[sys.argv[3]] = None
from upgrade_state import StateStore, UpgradeStateError
shop = StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock")
print(shop.claim_notice().reason)
def types(): from upgrade_state import UpgradeResult
def checks(): from upgrade_state import checks
for operate in (lambda: shop.look().information, shop.upgrades, checks, types):
    try:
        operate()
    except UpgradeStateError as error:
        print(error)
"""


@pytest.fixture(autouse=True)
def _nothing_is_known():
    """
    Let each test find old libraries for the first time.
    """
    yield
    _floors.too_old.cache_clear()
    _floors._warn.cache_clear()


class TestOldFilelock:
    def test_stand_in(self, checked, caplog, monkeypatch):
        """
        With a filelock that is too old, nothing is written, and one line is logged.
        """
        monkeypatch.delattr(filelock, "lock_descriptor")
        monkeypatch.setattr(filelock, "__version__", "3.12.4")
        before = read_record(checked)

        verdict = checked.claim_notice(now=NOON)
        assert "unavailable" == verdict.reason
        message = f"filelock 3.12.4 {TOO_OLD.format('3.30')}filelock"
        assert message == str(verdict.error)
        for operate in (lambda: checked.snooze(NOON), lambda: commit(checked)):
            with pytest.raises(UpgradeStateError, match=f"^{re.escape(message)}$"):
                operate()
        assert before == read_record(checked)
        assert [(30, message)] == [(r.levelno, r.message) for r in caplog.records]

    def test_missing(self, checked, monkeypatch):
        """
        Without filelock, as while an installer replaces it, there is no raw error.
        """
        monkeypatch.setitem(sys.modules, "filelock", None)
        verdict = checked.claim_notice(now=NOON)

        assert "unavailable" == verdict.reason
        assert "install upgrade-state again" in verdict.error.message
        with pytest.raises(UpgradeStateError, match="Could not load a library"):
            checked.snooze(NOON)


@pytest.fixture
def version_of(monkeypatch):
    """
    Let the metadata of one library say another version, or raise an error.
    """
    real = metadata.version

    def let(name, version):
        def other_version(library):
            if library != name:
                return real(library)
            if isinstance(version, Exception):
                raise version
            return version

        monkeypatch.setattr(metadata, "version", other_version)
        _floors.too_old.cache_clear()

    return let


class TestOldLibraries:
    @pytest.mark.parametrize(
        ("name", "version", "floor"),
        [
            ("attrs", "23.1.0", "23.2"),
            ("cattrs", "22.2", "23.2"),
            ("cattrs", "23.1rc1", "23.2"),
            ("filelock", "3.29.7+local", "3.30"),
            *(("cattrs", version, None) for version in UNEXAMINED),
        ],
    )
    def test_versions(self, checked, caplog, version_of, name, version, floor):
        """
        No check begins with a library that is too old; activations go on.

        A library with other metadata, or without any, is used as it is.
        """
        version_of(name, version)
        messages = []
        for _ in range(2):
            if floor is None:
                assert commit(checked)
            else:
                with pytest.raises(UpgradeStateError) as caught:
                    checked.try_check()
                messages = [f"{name} {version} {TOO_OLD.format(floor)}{name}"]
                assert messages == [caught.value.message]
        assert checked.claim_notice(now=NOON)
        assert messages == caplog.messages

    def test_not_printed(self, checked):
        """
        Without a configured log, nothing is printed.
        """
        assert "1.0\n" == run_python(UNCONFIGURED, *place_of(checked))

    def test_broken_log(self, checked, version_of, monkeypatch):
        """
        A log that fails does not hide the error.
        """
        version_of("attrs", "1.0")
        monkeypatch.setitem(sys.modules, "logging", types.ModuleType("logging"))
        with pytest.raises(UpgradeStateError, match=r"^attrs 1\.0 is too old"):
            checked.try_check()

    @pytest.mark.parametrize("library", ["attrs", "cattrs"])
    def test_not_importable(self, checked, library):
        """
        Without a library, an operation that needs it raises an error of this one.
        """
        out = run_python(WITHOUT, *place_of(checked), library)
        notice, *errors = out.splitlines()

        assert "notify" == notice
        assert 4 if library == "attrs" else 3 == len(errors)
        assert all("Could not load a library" in error for error in errors)
        assert all(error.endswith("; install upgrade-state again") for error in errors)

    def test_doctor(self, store, version_of):
        """
        The only problem of a store is the library then.
        """
        version_of("filelock", "3.12.4")
        (finding,) = _doctor.findings(store)

        assert ("library", None) == (finding.kind, finding.path)
        assert "filelock 3.12.4 is too old: 3.30 or later is needed" == finding.fact
        assert f"{PIP} filelock" == finding.mend

    def test_list(self):
        """
        The floors are those that the package asks for.
        """
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert project["dependencies"] == [
            f"{name}>={major}.{minor}"
            for name, (major, minor) in _floors.FLOORS.items()
        ]


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """
    Install requirements into a directory of their own, and return it.
    """

    @functools.cache
    def install(*requirements):
        place = tmp_path_factory.mktemp("libraries")
        pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
        subprocess.run(
            [*pip, "install", "--no-deps", "--target", place, *requirements], check=True
        )
        return str(place)

    return install


@pytest.fixture(scope="module")
def other_source(tmp_path_factory):
    """
    The directory of an earlier version of this library.
    """
    place = tmp_path_factory.mktemp("other")
    git = ("git", "-C", ROOT, "archive", "--output", place / "a.tar", OTHER, "src")
    if subprocess.run(git, check=False).returncode != 0:
        print(f"there is no commit {OTHER}: both versions are this one")  # noqa: T201
        return str(ROOT / "src")
    subprocess.run(["tar", "-xf", "a.tar"], cwd=place, check=True)
    return str(place / "src")


def environ(*places):
    """
    Return the variables of a process that imports from *places* first.
    """
    return {**os.environ, "PYTHONPATH": os.pathsep.join(places)}


@pytest.mark.network
class TestInstalled:
    @pytest.mark.parametrize("version", ["3.0.12", "3.12.4", "3.25.2", "3.29.7"])
    def test_old_filelock(self, checked, libraries, version):
        """
        Real old versions of filelock: one line in the log, and nothing written.
        """
        before = read_record(checked)

        assert [
            f"WARNING filelock {version} {TOO_OLD.format('3.30')}filelock",
            "unavailable UpgradeStateError",
            *2 * ["UpgradeStateError"],
        ] == self.plugin(checked, libraries(f"filelock=={version}"))
        assert before == read_record(checked)

    @pytest.mark.parametrize(
        ("attrs", "cattrs", "named"),
        [
            ("19.3.0", "1.10.0", "attrs 19.3.0"),
            ("23.2.0", "22.2.0", "cattrs 22.2.0"),
        ],
    )
    def test_old_attrs(self, checked, libraries, attrs, cattrs, named):
        """
        The notice is given without attrs and cattrs, and no check begins.
        """
        place = libraries(f"attrs=={attrs}", f"cattrs=={cattrs}")

        assert [
            "notify NoneType",
            f"WARNING {named} {TOO_OLD.format('23.2')}{named.split()[0]}",
            *2 * ["UpgradeStateError"],
        ] == self.plugin(checked, place)

    def plugin(self, shop, place):
        done = subprocess.run(
            [sys.executable, "-c", PLUGIN, *map(str, place_of(shop))],
            env=environ(place),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()


@pytest.mark.network
class TestMixed:
    @pytest.mark.parametrize("holder", ["floor", "latest"])
    def test_locks_exclude(self, checked, libraries, holder):
        """
        The oldest filelock and the latest one take the same lock, one at a time.
        """
        places = libraries("filelock==3.30.0"), libraries("filelock")
        ours, theirs = places if holder == "floor" else places[::-1]
        arguments = list(map(str, place_of(checked)))
        with subprocess.Popen(
            worker(60, 0, "hold_check", arguments),
            env=environ(ours),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert "held\n" == process.stdout.readline()
            while_held = self.try_to_check(arguments, theirs)
            process.stdin.close()

        assert (["busy"], ["fresh"]) == (
            while_held,
            self.try_to_check(arguments, theirs),
        )

    def try_to_check(self, arguments, place):
        command = worker(60, 1, "try_to_check", arguments)
        return json.loads(subprocess.check_output(command, env=environ(place)))

    def test_writers(self, checked, libraries, other_source, tmp_path):
        """
        No update is undone by writers with other versions of everything.

        Four use this library with the latest filelock; four an earlier version of
        it with the oldest libraries that are allowed.
        """
        books, count = tmp_path / "books", 500
        books.mkdir()
        place = place_of(checked)
        run_at_once(1, "open_books", *place, books)
        sides = (
            environ(str(ROOT / "src"), libraries("filelock")),
            environ(other_source, libraries(*FLOORS)),
        )
        with contextlib.ExitStack() as stack:
            writers = [
                stack.enter_context(
                    subprocess.Popen(
                        worker(
                            900, 0, "write_when_released", (i, *place, books, count)
                        ),
                        env=sides[i % 2],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        text=True,
                    )
                )
                for i in range(8)
            ]
            assert ["held\n"] * 8 == [writer.stdout.readline() for writer in writers]
            for writer in writers:
                writer.stdin.close()
            lost = [writer.stdout.read() for writer in writers]

        assert ["0"] * 8 == lost
        nothing = {"check": 0, "claim": 0, "snooze": 0, "other": 0}
        at_the_end = run_at_once(1, "closed_books", *place, books)
        assert [{"lost": nothing, "generation": 1 + 2 * count}] == at_the_end
