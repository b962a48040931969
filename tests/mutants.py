"""
Change the code of the protocol in small ways, and see that a test notices each.

    python tests/mutants.py [NAME…]

Each mutant is a copy of `src` with one change. Tests find it by PYTHONPATH, and so do
the processes that they start. A mutant that every test accepts must be explained in
`mutants.txt`: its name, a tab, and the reason. Exit status 1: one is not.

A NAME limits the run to the mutants whose names begin with it: a module, or more.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import faulthandler
import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"

COMMON = [
    "store",
    "operations",
    "concurrency",
    "interrupts",
    "durability",
    "power_cuts",
]
SELECTED = {
    "_locks": ["files", "trust", "floors", *COMMON],
    "_store": ["environment", "information", "look", "files", *COMMON],
    "_guard": ["consent", "environment", "look", "redact", *COMMON],
    "_files": [
        "files",
        "trust",
        "background",
        "environment",
        "cli/doctor",
        "look",
        *COMMON,
    ],
    "_housekeeping": ["files", "trust", "environment", *COMMON],
    "_record": [
        "record",
        "json",
        "cli/show",
        "consent",
        "information",
        "trust",
        "files",
        "environment",
        "look",
        "store",
    ],
}

OPPOSITE = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """
    Yield the changed forms of one node, each with a word for the change.
    """
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        changed = copy.deepcopy(node)
        changed.test = ast.UnaryOp(ast.Not(), node.test)
        yield "not", changed
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPPOSITE:
        changed = copy.deepcopy(node)
        changed.ops[0] = OPPOSITE[type(node.ops[0])]()
        yield "opposite", changed
    elif isinstance(node, ast.BoolOp | ast.BinOp):
        if type(node.op) in OPPOSITE:
            changed = copy.deepcopy(node)
            changed.op = OPPOSITE[type(node.op)]()
            yield "opposite", changed
        elif isinstance(node.op, ast.BitOr):  # a flag, or the fields of a merge
            yield "left only", node.left
            yield "right only", node.right
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        value = not node.value if type(node.value) is bool else node.value + 1
        yield "other constant", ast.Constant(value)
    elif isinstance(node, ast.Return) and ast.unparse(node) not in (
        "return",
        "return None",
        "return False",  # as false as None, and a constant to change
    ):
        yield "return None", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.Raise | ast.Continue | ast.Break | ast.Assign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield "dropped", ast.Pass()
    elif isinstance(node, ast.With) and not node.items[0].optional_vars:
        yield "without with", ast.If(ast.Constant(1), node.body, [])


def mutants(module: str) -> dict[str, str]:
    """
    Return the source of each mutant of a module, by a name that survives edits.
    """
    tree = ast.parse((SOURCE / "upgrade_state" / f"{module}.py").read_text())
    for node in ast.walk(tree):  # a test cannot notice another annotation
        if hasattr(node, "annotation"):
            is_statement = isinstance(node, ast.AnnAssign)
            node.annotation = ast.Name("object") if is_statement else None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    windows = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "os.name == 'nt'"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found: dict[str, str] = {}
    for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
        for parent in ast.walk(function):
            for field, value in ast.iter_fields(parent):
                if parent is function and field not in ("body", "decorator_list"):
                    continue
                is_list = isinstance(value, list)
                places = enumerate(value) if is_list else [(None, value)]
                for index, node in list(places):
                    if not isinstance(node, ast.AST) or node in windows:
                        continue
                    for word, changed in changes(node):
                        text = " ".join(ast.unparse(node).split())[:70]
                        name = f"{module}.{function.name}: {word}: {text}"
                        while name in found:
                            name += " (again)"
                        _put(parent, field, index, changed)
                        source = ast.unparse(ast.fix_missing_locations(tree))
                        if source not in found.values():  # of a function in another
                            found[name] = source
                        _put(parent, field, index, node)
    return found


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


class Order:
    """
    A pytest plugin: the tests that are most likely to notice a change come first.

    Those noticed changes before, the latest first; then the quickest.
    """

    def __init__(self, place: str, seconds: dict[str, float], noticed: list[str]):
        self.place, self.seconds, self.noticed = Path(place), seconds, noticed

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # A failing example is not made smaller.
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        settings = hypothesis.settings(phases=phases, database=None, derandomize=True)
        hypothesis.settings.register_profile("mutants", settings)
        hypothesis.settings.load_profile("mutants")
        items.sort(
            key=lambda item: (
                -self.noticed.index(item.nodeid) if item.nodeid in self.noticed else 1,
                self.seconds.get(item.nodeid, 0),
            )
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        # A test that hangs notices the change.
        limit = 15 + 10 * self.seconds.get(nodeid, 30)
        faulthandler.dump_traceback_later(limit, exit=True)
        (self.place / "test").write_text(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = self.seconds.get(report.nodeid, 0) if report.when != "setup" else 0
        self.seconds[report.nodeid] = known + report.duration
        if report.when == "teardown":
            (self.place / "seconds").write_text(json.dumps(self.seconds))


def start(module: str, source: str, place: str, *order: object) -> int:
    """
    Start the tests of a mutant in a process that has pytest loaded already.
    """
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        os.setsid()
        faulthandler.dump_traceback_later(60, exit=True)
        shutil.copytree(SOURCE, f"{place}/src")
        Path(place, "src", "upgrade_state", f"{module}.py").write_text(source)
        sys.path.insert(0, f"{place}/src")
        os.environ["PYTHONPATH"] = f"{place}/src"
        os.chdir(TESTS.parent)
        output = os.open(f"{place}/output", os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(output, stream)
        argv = ["-x", "-q", "-W", "ignore:Module already imported"]
        argv += [
            f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "faulthandler")
        ]
        argv += ["--basetemp", f"{place}/tmp"]
        files = [TESTS / f"{name}.py" for name in SELECTED[module]]
        argv += [str(file.with_name(f"test_{file.name}")) for file in files]
        status = int(pytest.main(argv, [Order(place, *order)]))
    except BaseException:  # noqa: BLE001 - in a child
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def survivors(module: str, found: dict[str, str]) -> Iterator[str]:
    """
    Yield the names of the mutants that all tests accept.
    """
    seconds: dict[str, float] = {}
    noticed: list[str] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm", ignore_cleanup_errors=True) as top:
        running: dict[int, tuple[str, Path]] = {}
        original = (SOURCE / "upgrade_state" / f"{module}.py").read_text()
        waiting = [("", original), *found.items()]
        while waiting or running:
            while waiting and len(running) < (2 if seconds else 1):
                name, source = waiting.pop(0)
                place = tempfile.mkdtemp(dir=top)
                process = start(module, source, place, seconds, noticed)
                running[process] = name, Path(place)
            process, status = os.wait()
            name, place = running.pop(process)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, 9)
            if not name:
                output = (place / "output").read_text()
                assert status == 0, f"{module} fails without a change: {output}"
                seconds = json.loads((place / "seconds").read_text())
            elif status == 0:
                yield name
            elif (place / "test").exists():
                test = (place / "test").read_text()
                noticed = [*(n for n in noticed if n != test), test]
            shutil.rmtree(place, ignore_errors=True)


def main(names: list[str]) -> int:
    lines = (TESTS / "mutants.txt").read_text().splitlines()
    explained = {line.split("\t")[0] for line in lines}
    status = 0
    for module in SELECTED:
        found = {
            name: source
            for name, source in mutants(module).items()
            if name.startswith(tuple(names or [""]))
        }
        tried = {n: source for n, source in found.items() if n not in explained}
        if tried:
            for name in survivors(module, tried):
                status = 1
                print("survived:", name, flush=True)  # noqa: T201
            print(f"{module}: {len(found)} mutants, {len(tried)} tried")  # noqa: T201
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
