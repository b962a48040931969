"""
The example manager as its README uses it; its own tests run beside these.
"""

from __future__ import annotations

import ast
import importlib
import os
import pty
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MANAGER = ROOT / "examples" / "manager"

# Runs the example without installing it.
NEST = "import sys; from nest.cli import main; sys.exit(main())"

# The check has ended when there is a record.
SLEEP = "until ls $UPGRADE_STATE_CACHE_DIR/v1/*.json; do :; done >/dev/null 2>&1"


class TestManager:
    @pytest.fixture
    def desk(self, tmp_path, monkeypatch):
        """
        Enter a directory in which `nest` is a command and `sleep` is short.
        """
        commands = {"nest": f"exec {sys.executable} -c '{NEST}' \"$@\"", "sleep": SLEEP}
        (tmp_path / "bin").mkdir()
        for name, code in commands.items():
            (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{code}\n")
            (tmp_path / "bin" / name).chmod(0o755)
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        monkeypatch.setenv("PATH", path)
        monkeypatch.setenv("PYTHONPATH", str(MANAGER / "src"))
        monkeypatch.setenv("UPGRADE_STATE_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path)

    def test_readme(self, desk):
        """
        The README gives the notice on the second activation, at a terminal.
        """
        _, _, use = (MANAGER / "README.md").read_text().partition("## Use")
        blocks = re.findall(r"^```sh\n(.*?)^```$", use, re.DOTALL | re.MULTILINE)
        ours, theirs = pty.openpty()
        done = subprocess.run(
            ["sh", "-euc", "".join(blocks[:2])],
            stdout=subprocess.PIPE,
            stderr=theirs,
            text=True,
            check=False,
            timeout=60,
        )
        os.close(theirs)
        shown = os.read(ours, 1 << 16).decode()
        os.close(ours)

        notice = "nest: 1 version change available in 'shop'. Run 'nest upgrades'"
        assert 1 == shown.count(notice), shown
        assert "upgrade_state: start_check of <EnvironmentState" in shown
        assert (0, "curl 8.0 -> 8.1\n") == (done.returncode, done.stdout)

    def test_script(self):
        """
        The command that an installer makes exists.
        """
        project = tomllib.loads((MANAGER / "pyproject.toml").read_text())["project"]
        module, _, function = project["scripts"]["nest"].partition(":")

        assert callable(getattr(importlib.import_module(module), function))


def statements(source: str) -> set[str]:
    """
    Return the statements of a module, except docstrings and imports.
    """

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            node.body = node.body[ast.get_docstring(node) is not None :]
            return node

    tree = Strip().visit(ast.parse(source))
    return {ast.unparse(n) for n in tree.body if not isinstance(n, ast.ImportFrom)}


class TestPages:
    @pytest.mark.parametrize("page", ["how-to.md", "tutorial-python.md"])
    def test_quotes(self, page):
        """
        Code under the name of a file is in that file of the example.
        """
        quote = r"^```py(?:thon)?\n# (nest/\w+\.py|tests/\w+\.py)\n(.*?)^```$"
        text = (ROOT / "docs" / page).read_text()
        found = re.findall(quote, text, re.DOTALL | re.MULTILINE)
        foreign = set()
        for name, code in found:
            folder = MANAGER / ("src" if name.startswith("nest") else "")
            foreign |= statements(code) - statements((folder / name).read_text())

        assert len(found) > 2
        assert set() == foreign
