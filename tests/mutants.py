"""
Change the code of the protocol in small ways, and see that a test notices each.

    python tests/mutants.py [MODULE…]

Each mutant is a copy of `src` with one change. Tests find it by PYTHONPATH, and so do
the processes that they start. A mutant that every test accepts must be explained in
`mutants.txt`: its name, a tab, and the reason. Exit status 1: one is not.
"""

from __future__ import annotations

import ast
import concurrent.futures
import copy
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"

# The tests that are quickest to notice a change come first.
COMMON = ["operations", "concurrency", "interrupts", "durability", "power_cuts"]
SELECTED = {
    "_store": ["store", "environment", "information", *COMMON],
    "_guard": ["store", "consent", "environment", "redact", *COMMON],
    "_locks": ["store", *COMMON],
    "_files": ["files", "trust", "store", *COMMON],
    "_record": ["record", "json", "trust", "store", "files", "environment"],
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
    found: dict[str, str] = {}
    for function in [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]:
        for parent in ast.walk(function):
            for field, value in ast.iter_fields(parent):
                if parent is function and field not in ("body", "decorator_list"):
                    continue
                is_list = isinstance(value, list)
                places = enumerate(value) if is_list else [(None, value)]
                for index, node in list(places):
                    if not isinstance(node, ast.AST):
                        continue
                    for word, changed in changes(node):
                        text = " ".join(ast.unparse(node).split())[:70]
                        name = f"{module}.{function.name}: {word}: {text}"
                        while name in found:
                            name += " (again)"
                        _put(parent, field, index, changed)
                        found[name] = ast.unparse(ast.fix_missing_locations(tree))
                        _put(parent, field, index, node)
    return found


def _put(parent: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[index] = node


def is_accepted(module: str, source: str, limit: float) -> bool:
    """
    Return whether all tests pass; a test that hangs notices the change.
    """
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(SOURCE, place, dirs_exist_ok=True)
        Path(place, "upgrade_state", f"{module}.py").write_text(source)
        files = [str(TESTS / f"test_{name}.py") for name in SELECTED[module]]
        argv = ["pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--basetemp"]
        command = [sys.executable, "-m", *argv, f"{place}/tmp", *files]
        with subprocess.Popen(
            command,
            cwd=TESTS.parent,
            env=os.environ | {"PYTHONPATH": place},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                return process.wait(limit) == 0
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                return False


def main(modules: list[str]) -> int:
    lines = (TESTS / "mutants.txt").read_text().splitlines()
    explained = {line.split("\t")[0] for line in lines}
    survivors = 0
    for module in modules or SELECTED:
        started = time.monotonic()
        original = (SOURCE / "upgrade_state" / f"{module}.py").read_text()
        assert is_accepted(module, original, 3600), f"{module} fails without a change"
        limit = 3 * (time.monotonic() - started) + 30
        found = mutants(module)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = {
                name: pool.submit(is_accepted, module, source, limit)
                for name, source in found.items()
                if name not in explained
            }
            for name, job in jobs.items():
                if job.result():
                    survivors += 1
                    print("survived:", name, flush=True)  # noqa: T201
        print(f"{module}: {len(found)} mutants, {len(found) - len(jobs)} explained")  # noqa: T201
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
