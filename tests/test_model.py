"""
The model in `model/` has every step of the protocol, under the names of the code.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import upgrade_state

MODEL = Path(__file__).parents[1] / "model"
SOURCE = Path(upgrade_state.__path__[0])
MODULES = ("_files", "_guard", "_locks", "_store")

# A function that uses one of these uses the disk or a lock.
DISK = {"os", "shutil", "_filelock", "read_file", "read_regular", "trusted"}
OTHERS = ("lockfiles", "diff")


def functions() -> dict[str, ast.FunctionDef]:
    """
    Return the functions and methods of the protocol's modules.
    """
    return {
        f"{module}.{node.name}": node
        for module in MODULES
        for node in ast.walk(ast.parse((SOURCE / f"{module}.py").read_text()))
        if isinstance(node, ast.FunctionDef)
    }


def names_used(function: ast.FunctionDef) -> set[str]:
    """
    Return the names that *function* calls, its attributes, and its modules.
    """
    nodes = list(ast.walk(function))
    called = [n.func for n in nodes if isinstance(n, ast.Call)]
    names = {n.id for n in called if isinstance(n, ast.Name)}
    modules = {n.id for n in nodes if isinstance(n, ast.Name)} & DISK
    attributes = {
        n.attr
        for n in nodes
        # `lockfiles.read` and `diff.upgrades` compare bytes in memory.
        if isinstance(n, ast.Attribute) and ast.unparse(n.value) not in OTHERS
    }
    return names | modules | attributes


def on_disk() -> set[str]:
    """
    Return the functions that use the disk or a lock, directly or through others.
    """
    used = {name: names_used(node) for name, node in functions().items()}
    found: set[str] = set()
    while more := {n for n in used if used[n] & (DISK | _ends(found))} - found:
        found |= more
    return found


def _ends(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names}


def rows(heading: str) -> list[tuple[set[str], set[str]]]:
    """
    Return the names in the first two columns of a table of the model's page.
    """
    part = (MODEL / "README.md").read_text().split(f"## {heading}\n")[1]
    lines = [line for line in part.split("\n## ")[0].splitlines() if "| `" in line]
    cells = [line.strip("|").split(" | ") for line in lines]
    return [(names_in(row[0]), names_in(row[1])) for row in cells]


def names_in(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


class TestModel:
    def test_every_function_has_a_row(self):
        """
        A function that uses the disk or a lock is a step, or has a row with a reason.
        """
        steps = {name for _, names in rows("Steps") for name in names}
        others = {name for names, _ in rows("No steps") for name in names}

        assert on_disk() - steps - others == set()
        assert (steps | others) - functions().keys() == set()
        assert steps & others == set()

    def test_every_step_has_a_row(self):
        """
        A row of the table names a step of the model, and each step is in a row.
        """
        model = (MODEL / "protocol.pml").read_text()
        parts = model.split("Steps */")[1].split("/* ----")
        steps = set(re.findall(r"^inline (\w+)\(", parts[0], re.MULTILINE))
        processes = set(re.findall(r"^proctype (\w+)\(", model, re.MULTILINE))
        listed = [name for names, _ in rows("Steps") for name in names]

        assert steps | (processes - {"Clock"}) == set(listed)
        assert len(listed) == len(set(listed))

    def test_every_switch_has_a_row(self):
        """
        Each switch of the model that breaks the protocol has a row, and is checked.
        """
        model = (MODEL / "protocol.pml").read_text()
        switches = set(re.findall(r"^#if[n]?def (\w+)$", model, re.MULTILINE))
        defaults = set(re.findall(r"^#ifndef (\w+)\n#define \1 ", model, re.MULTILINE))
        listed = {name for names, _ in rows("Broken variants") for name in names}
        check = (MODEL / "check.py").read_text()
        checked = set(re.findall(r'^    "(\w+)": \(', check, re.MULTILINE))

        assert switches - defaults - {"KILLS", "EMPTY"} == listed
        assert checked == listed
