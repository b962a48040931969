"""
Promises about the code: layers, weight, private names and the public door.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import upgrade_state
from helpers import commit, fail, place_of, run_python
from upgrade_state import checks, exceptions, lockfiles, testing

ROOT = Path(upgrade_state.__path__[0])

# From the top to the bottom: a module imports from the rows below its own.
LAYERS = (
    ("__main__", "_pyinstaller"),
    ("cli",),
    ("checks",),
    ("_doctor", "testing"),
    ("__init__", "_environment"),
    ("_guard",),
    ("_look",),
    ("_housekeeping", "_preload"),
    ("_postgresql",),
    ("_store",),
    ("_background", "_locks"),
    ("_codec", "_files", "_identity"),
    ("_model", "lockfiles", "_lockfile", "_operations"),
    ("_policy", "_durations"),
    ("_record", "_messages", "_log_runner", "_floors"),
    ("exceptions",),
    ("_plugins", "_programs", "_redact"),
)

# Modules that a silent activation may load.
LIGHT = (
    "__init__",
    "_background",
    "_environment",
    "_identity",
    "_lockfile",
    "_look",
    "_policy",
    "_programs",
    "_record",
)

# Lines in which a wing imports private names of another.
PRIVATE_LINES = 11

# Heavy libraries, and the one module that may import each.
OWNERS = {
    "cattrs": {"_codec", "checks"},
    "filelock": {"_locks"},
    "platformdirs": {"_files"},
    "psycopg": {"_postgresql"},
}


def modules() -> list[tuple[str, Path]]:
    """
    Return every module with its name in `LAYERS`.
    """
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append((parts[0], path))
    return found


def imports(tree: ast.AST) -> set[str]:
    """
    Return the full names that a piece of code imports, except relative ones.
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
    Remove the imports for type checkers, which are not executed.
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

    @pytest.mark.parametrize("wing", ["_postgresql", "checks", "cli", "lockfiles"])
    def test_no_circles(self, wing):
        """
        The modules of a package import each other in no circle.
        """
        used = {}
        for path in (ROOT / wing).glob("_[!_]*.py"):
            tree = outside_type_checking(ast.parse(path.read_text()))
            nodes = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
            names = {full for node in nodes for full in full_names(node, path)}
            parts = [full.split(".") for full in names]
            used[path.stem] = {p[2] for p in parts if p[:2] == ["upgrade_state", wing]}
        while layer := {
            name for name in used if not used[name] & (used.keys() - {name})
        }:
            for name in layer:
                del used[name]

        assert {} == used

    @pytest.mark.parametrize("library", OWNERS)
    def test_one_owner(self, library):
        """
        A heavy library is imported by its owners only.
        """
        users = {
            name
            for name, path in modules()
            if any(
                full.split(".")[0] == library
                for full in imports(ast.parse(path.read_text()))
            )
        }

        assert OWNERS[library] == users - {"_preload"}

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

    def test_only_the_command_line_prints(self):
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


SILENT = """
import sys
before = set(sys.modules)
from upgrade_state import StateStore
shop = StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock")
reasons = [shop.claim_notice().reason, {more}]
print(*reasons, sep=",")
print(*sorted(set(sys.modules) - before))
"""


class TestPrivateNames:
    def test_between_wings(self):
        """
        The tool uses private names of the library in few places.

        So does the command line those of `checks`.
        """
        found = [
            f"{path.relative_to(ROOT)}:{node.lineno}: {', '.join(names)}"
            for wing, path in modules()
            if wing in ("checks", "cli")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            if (names := private_names(node, path, wing))
        ]

        assert len(found) <= PRIVATE_LINES, "\n".join(found)


def private_names(node: ast.ImportFrom, path: Path, wing: str) -> list[str]:
    """
    Return the private names of another wing that a statement imports.
    """
    names = full_names(node, path)
    return [n for n in names if n.startswith("upgrade_state.") and is_private(n, wing)]


def full_names(node: ast.ImportFrom, path: Path) -> list[str]:
    """
    Return the full names that a statement imports, relative ones included.
    """
    package = ["upgrade_state", *path.relative_to(ROOT).parts[:-1]]
    base = package[: len(package) - node.level + 1] if node.level else []
    return [".".join(filter(None, [*base, node.module, a.name])) for a in node.names]


def is_private(full: str, wing: str) -> bool:
    """
    Return whether a name is private, and not of the importing wing itself.
    """
    parts = full.split(".")[1:]
    return parts[0] != wing and any(
        part.startswith("_") and not part.startswith("__") for part in parts
    )


class TestArguments:
    def test_few(self):
        """
        Only functions of the public doors have more than seven parameters.
        """
        doors = {*upgrade_state.__all__, *checks.__all__, *lockfiles.__all__}
        found = {
            f"{path.relative_to(ROOT)}: {name}"
            for _, path in modules()
            for name, count in parameters(ast.parse(path.read_text()))
            if count > 7 and name.split(".")[0] not in doors
        }

        assert set() == found


def parameters(tree: ast.AST, above: str = "") -> list[tuple[str, int]]:
    """
    Return the functions of a module, with the numbers of their parameters.
    """
    found = []
    for node in ast.iter_child_nodes(tree):
        name = f"{above}{getattr(node, 'name', '')}"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            args = node.args
            names = [a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)]
            found.append((name, len(set(names) - {"self", "cls"})))
        is_scope = hasattr(node, "name") and hasattr(node, "body")
        found += parameters(node, f"{name}." if is_scope else above)
    return found


class TestSilentPath:
    HEAVY = frozenset(
        {"__future__", "argparse", "attr", "attrs", "cattrs", "datetime", "enum"}
        | {"filelock", "json", "logging", "pathlib", "platformdirs", "re", "typing"}
    )

    def ask(self, shop, more="''"):
        out = run_python(SILENT.format(more=more), *place_of(shop))
        reasons, loaded = out.splitlines()
        return reasons.split(","), set(loaded.split())

    @pytest.mark.parametrize(
        ("is_known", "current", "reason"),
        [
            (False, b"old", "nothing-known"),
            (True, b"old", "told-recently"),
            (True, b"new", "upgraded"),
            (True, b"odd", "lockfile-changed"),
        ],
    )
    def test_silent(self, shop, is_known, current, reason):
        """
        A silent activation loads next to nothing.
        """
        if is_known:
            commit(shop, now=None)
        if reason == "told-recently":
            shop.claim_notice()
        Path(shop.path, "uv.lock").write_bytes(current)
        (answer, _), loaded = self.ask(shop)

        assert reason == answer
        assert set() == loaded & self.HEAVY
        assert (8 if current == b"old" else 9) >= len(loaded)

    def test_default_place(self, shop, monkeypatch, tmp_path):
        """
        Nothing heavy is loaded to find the default cache directory.
        """
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        code = SILENT.format(more="''").replace("sys.argv[1]", "")
        _, loaded = run_python(code, "", shop.path).splitlines()

        assert set() == set(loaded.split()) & self.HEAVY

    @pytest.mark.parametrize("changed", [False, True])
    def test_fresh(self, shop, changed):
        """
        Nor is it to answer that no check is due, or that the lockfile has changed.
        """
        commit(shop, now=None)
        shop.claim_notice()
        if changed:
            Path(shop.path, "uv.lock").write_bytes(b"OLD")
        reasons, loaded = self.ask(shop, "shop.look().freshness().reason")

        assert ["told-recently", "just-checked" if changed else "fresh"] == reasons
        assert set() == loaded & self.HEAVY

    def test_failing(self, shop, monkeypatch):
        """
        Nor is it to keep silent about failures that are not to be reported yet.
        """
        fail(shop)
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", place_of(shop)[0])
        notify = "__import__('upgrade_state.cli').cli.main(['notify', sys.argv[2]])"
        (reason, status), loaded = self.ask(shop, notify)

        assert ("nothing-known", "0") == (reason, status)
        assert set() == loaded & self.HEAVY


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
        guard.commit(new, checker="uv", consent=Consent("uv"))
check(new)
assert shop.claim_notice(interval=day, now=now).message
for answer in (shop.claim_notice(), shop.look().verdict(), shop.look().freshness()):
    str(answer), repr(answer), answer.until
shop.start_check(["true"], max_age=day * 0), shop.start_check(["no-such-program"])
shop.snooze(now), shop.snooze(None), shop.look().information, shop.upgrades()
shop.kept_lockfile("new"), list(store), store.prune(), shop.expire()
shop.look().consent, shop.withdraw_consent()
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
        After `preload` no operation imports a module.
        """
        monkeypatch.setenv("HOME", home)
        old, new = samples("uv.lock/bump-one")

        places = (tmp_path / "c", tmp_path / "s", old, new)
        assert "\n" == run_python(EVERYTHING, *map(str, places))


@pytest.mark.parametrize("door", [upgrade_state, lockfiles, testing])
class TestDoors:
    def test_names(self, door):
        """
        The public names are sorted, documented, listed by `dir` and loaded once.
        """
        names = [name for name in dir(door) if name in door.__all__]

        assert sorted(door.__all__) == door.__all__ == sorted(names)
        assert [] == [name for name in names if not getattr(door, name).__doc__]
        assert [] == [n for n in names if getattr(door, n) is not vars(door)[n]]

    def test_nothing_else(self, door):
        """
        A misspelt name is an error as in any module.
        """
        with pytest.raises(AttributeError, match="'Statestore'"):
            _ = door.Statestore
        with pytest.raises(ImportError):
            importlib.import_module(f"{door.__name__}.nothing")


class TestTesting:
    def test_is_loaded_on_request(self):
        """
        Neither the door nor `preload` loads the functions for tests.
        """
        code = "import sys, upgrade_state; upgrade_state.preload()\n"
        code += "print('upgrade_state.testing' in sys.modules)"

        assert "False\n" == run_python(code)


class TestErrors:
    def test_errors_have_a_home(self):
        """
        The base error at the door is the base of the family.
        """
        assert upgrade_state.UpgradeStateError is exceptions.UpgradeStateError


class TestPlugins:
    def test_equal_functions(self):
        """
        The checks of two plugins have the same functions: neither installs the other.
        """
        paths = ("tox/src/upgrade_state_tox", "virtualenv/src/*virtualenv/__main__")
        found = []
        for path in paths:
            (module,) = Path(__file__).parents[1].glob(f"plugins/{path}.py")
            tree = ast.parse(module.read_text())
            found.append(
                {
                    node.name: [
                        ast.unparse(line)
                        for line in node.body
                        if not isinstance(line, ast.Import | ast.ImportFrom)
                    ]
                    for node in tree.body
                    if isinstance(node, ast.FunctionDef)
                    and node.name in ("_pins", "_text", "_dry_run")
                }
            )

        assert 3 == len(found[0])
        assert found[0] == found[1]
