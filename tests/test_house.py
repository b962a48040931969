"""
Promises that are not code of their own: layers, weight, and the public door.
"""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import upgrade_state

ROOT = Path(upgrade_state.__path__[0])

# From the top to the bottom: a module imports from the rows below its own.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("checks",),
    ("__init__", "_environment"),
    ("_look",),
    ("_housekeeping", "_preload"),
    ("_guard",),
    ("_store",),
    ("_background", "_locks", "_results"),
    ("_codec", "_files"),
    ("_model", "lockfiles", "_lockfile"),
    ("_policy", "_durations"),
    ("_record", "_messages", "_log_runner"),
    ("exceptions",),
    ("_plugins", "_search_paths", "_redact"),
)

# Modules that an activation which stays silent may load.
LIGHT = (
    "__init__",
    "_background",
    "_environment",
    "_lockfile",
    "_look",
    "_policy",
    "_record",
)

# Heavy things, and the one module that may import each.
OWNERS = {"cattrs": "_codec", "filelock": "_locks", "platformdirs": "_files"}


def modules() -> list[tuple[str, Path]]:
    """
    Every module with its place in `LAYERS`.
    """
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append((parts[0], path))
    return found


def imports(tree: ast.AST) -> set[str]:
    """
    The full names that a piece of code imports, relative ones left out.
    """
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def outside_type_checking(tree: ast.Module) -> ast.Module:
    """
    The code that is executed: what is under TYPE_CHECKING is for readers.
    """

    class Strip(ast.NodeTransformer):
        def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
            self.generic_visit(node)
            if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
                return node.orelse
            return node

    return ast.fix_missing_locations(Strip().visit(tree))


class TestLayers:
    @pytest.mark.parametrize(
        ("name", "path"),
        modules(),
        ids=[str(p.relative_to(ROOT)) for _, p in modules()],
    )
    def test_imports_point_downward(self, name, path):
        """
        A module imports from the layers below its own.
        """
        layer = {n: i for i, row in enumerate(LAYERS) for n in row}
        tree = outside_type_checking(ast.parse(path.read_text()))
        used = {
            ([*full.split("."), "__init__"])[1]
            for full in imports(tree)
            if full.split(".")[0] == "upgrade_state"
        }
        used = {u if u in layer else "__init__" for u in used} - {name}
        if name == "__init__":
            used = set()  # the door leads everywhere, on first use

        assert {u for u in used if layer[u] <= layer[name]} == set()

    @pytest.mark.parametrize("library", OWNERS)
    def test_one_owner(self, library):
        """
        What is heavy is imported in one place.
        """
        users = {
            name
            for name, path in modules()
            if any(
                full.split(".")[0] == library
                for full in imports(ast.parse(path.read_text()))
            )
        }

        assert {OWNERS[library]} == users - {"_preload"}

    @pytest.mark.parametrize("name", LIGHT)
    def test_light_at_module_level(self, name):
        """
        A light module imports only what a bare interpreter has loaded.
        """
        tree = outside_type_checking(ast.parse((ROOT / f"{name}.py").read_text()))
        tree.body = [
            node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        loaded = {"os", "stat", "sys", "time", "_json", "_blake2"}

        used = {full.split(".")[0] for full in imports(tree)} - {"upgrade_state"}
        assert set() == used - loaded

    def test_nobody_prints(self):
        """
        Only the command line prints, and nothing opens a connection.
        """
        found = {
            (name, node.id)
            for name, path in modules()
            if name != "cli"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Name) and node.id in {"print", "socket", "urllib"}
        }

        assert set() == found


def run(code: str, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


SILENT = """
import sys
before = set(sys.modules)
from upgrade_state import StateStore
shop = StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock")
reasons = [shop.claim_notice().reason, {more}]
print(*reasons, sep=",")
print(*sorted(set(sys.modules) - before))
"""


class TestSilentPath:
    HEAVY = frozenset(
        {"__future__", "argparse", "attr", "attrs", "cattrs", "datetime", "enum"}
        | {"filelock", "json", "logging", "pathlib", "platformdirs", "re", "typing"}
    )

    def ask(self, shop, more="''"):
        cache_dir = str(Path(shop.record_path).parents[1])
        out = run(SILENT.format(more=more), cache_dir, shop.path)
        reasons, loaded = out.splitlines()
        return reasons.split(","), set(loaded.split())

    def test_nothing_known(self, shop):
        """
        Where nothing is known an activation loads next to nothing.
        """
        (reason, _), loaded = self.ask(shop)

        assert "nothing-known" == reason
        assert set() == loaded & self.HEAVY
        assert 8 >= len(loaded)

    def test_told_recently(self, shop):
        """
        Nor does it where the user was told, or nothing was found.
        """
        with shop.try_check() as check:
            check.commit(b"new")
        shop.claim_notice()
        (reason, _), loaded = self.ask(shop)

        assert "told-recently" == reason
        assert set() == loaded & self.HEAVY
        assert 8 >= len(loaded)

    def test_default_place(self, shop, monkeypatch, tmp_path):
        """
        Nor to find the default cache directory.
        """
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        code = SILENT.format(more="''").replace("sys.argv[1]", "")
        _, loaded = run(code, "", shop.path).splitlines()

        assert set() == set(loaded.split()) & self.HEAVY

    @pytest.mark.parametrize("changed", [False, True])
    def test_fresh(self, shop, changed):
        """
        Nor to say that no check is due, or that the lockfile is another one.
        """
        with shop.try_check() as check:
            check.commit(b"new")
        shop.claim_notice()
        if changed:
            Path(shop.path, "uv.lock").write_bytes(b"OLD")
        reasons, loaded = self.ask(shop, "shop.look().freshness().reason")

        assert ["told-recently", "lockfile-changed" if changed else "fresh"] == reasons
        assert set() == loaded & self.HEAVY

    def test_a_lockfile_that_changed(self, shop):
        """
        Nor to keep silent because the user has upgraded.
        """
        with shop.try_check() as check:
            check.commit(b"new")
        Path(shop.path, "uv.lock").write_bytes(b"new")
        (reason, _), loaded = self.ask(shop)

        assert "lockfile-changed" == reason
        assert set() == loaded & self.HEAVY

    def test_failing(self, shop):
        """
        Nor where checks fail that nobody is to hear of yet.
        """
        with pytest.raises(OSError, match="host"), shop.try_check():
            raise OSError("no route to host")
        more = (
            "shop._claim(shop.look(), __import__('upgrade_state._policy')."
            "_policy.Question(could_not_check=604_800)).reason"
        )
        reasons, loaded = self.ask(shop, more)

        assert ["nothing-known"] * 2 == reasons
        assert set() == loaded & self.HEAVY
        assert 8 >= len(loaded)

    def test_no_descriptor_left(self, shop, monkeypatch):
        """
        With no descriptor left to load even an error there is a reason.
        """
        # What measures coverage would need descriptors of its own.
        for name in [name for name in os.environ if name.startswith("COVERAGE")]:
            monkeypatch.delenv(name)
        with shop.try_check() as check:
            check.commit(b"new")
        code = SILENT.format(more="shop.look().freshness().reason")
        limits = (
            "import os, resource, upgrade_state._environment\n"
            "former = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
            "limit = len(os.listdir('/dev/fd')) - 1\n"
            "resource.setrlimit(resource.RLIMIT_NOFILE, (limit, former[1]))\n"
        )
        back = "resource.setrlimit(resource.RLIMIT_NOFILE, former)\n"
        cache_dir = str(Path(shop.record_path).parents[1])
        out = run(limits + code + back, cache_dir, shop.path)

        assert "unavailable,unavailable" == out.splitlines()[0]


EVERYTHING = """
import datetime as dt, os, sys
import upgrade_state
upgrade_state.preload()
before = set(sys.modules)
from upgrade_state import *
from upgrade_state.lockfiles import *
from upgrade_state.exceptions import *
store = StateStore(sys.argv[1])
shop = store.environment(sys.argv[2], "uv.lock")
os.makedirs(sys.argv[2])
old, new = open(sys.argv[3], "rb").read(), open(sys.argv[4], "rb").read()
open(sys.argv[2] + "/uv.lock", "wb").write(old)
now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
def check(new):
    with shop.try_check() as guard:
        assert guard.freshness(max_age=day, now=now).due
        guard.commit(new, recipe="uv")
check(new)
assert shop.claim_notice(interval=day, now=now).message
for answer in (shop.claim_notice(), shop.look().verdict(), shop.look().freshness()):
    str(answer), repr(answer), answer.until
shop.start_check(["true"], max_age=day * 0), shop.start_check(["no-such-program"])
shop.snooze(now), shop.snooze(None), shop.look().information, shop.upgrades()
shop.kept_lockfile("new"), list(store), store.prune(), shop.expire()
try:
    with shop.try_check():
        raise OSError("no route to https://index.example/")
except OSError:
    pass
os.unlink(shop.record_path)
os.symlink("garbage", shop.record_path)
check(b"\\x1b\\xff")
manifest = store.environment(sys.argv[2], "manifest.lock")
with manifest.try_check(b"{}") as guard:
    guard.commit(b"[]")
os.chmod(shop.record_path, 0)
str(shop.look().verdict()), shop.forget()
StateStore().environment(sys.argv[2]).claim_notice()
print(*sorted(set(sys.modules) - before))
"""


class TestPreload:
    @pytest.mark.parametrize("home", ["/nowhere", ""])
    def test_nothing_is_loaded_later(self, tmp_path, samples, monkeypatch, home):
        """
        After `preload` nothing is imported any more, whatever is done.
        """
        monkeypatch.setenv("HOME", home)
        old, new = samples("uv.lock/bump-one")

        out = run(EVERYTHING, *map(str, (tmp_path / "c", tmp_path / "s", old, new)))
        assert "\n" == out


class TestDoor:
    def test_sorted(self):
        """
        What is public is listed, in order.
        """
        assert sorted(upgrade_state.__all__) == upgrade_state.__all__

    def test_everything_is_there(self):
        """
        Every public name can be had, and is seen by `dir`.
        """
        names = {name for name in upgrade_state.__all__ if getattr(upgrade_state, name)}

        assert set(upgrade_state.__all__) == names
        assert names <= set(dir(upgrade_state))

    def test_nothing_else(self):
        """
        A misspelt name is an error like in any module.
        """
        with pytest.raises(AttributeError, match="has no attribute 'Statestore'"):
            upgrade_state.Statestore  # noqa: B018 - asking is the point
        with pytest.raises(ImportError):
            importlib.import_module("upgrade_state.nothing")

    def test_errors_have_a_home(self):
        """
        The base error at the door is the base of the family.
        """
        from upgrade_state import exceptions  # noqa: PLC0415 - only here

        assert upgrade_state.UpgradeStateError is exceptions.UpgradeStateError

    def test_documented(self):
        """
        Everything public says what it is.
        """
        silent = {
            name
            for name in upgrade_state.__all__
            if not getattr(upgrade_state, name).__doc__
        }

        assert set() == silent
