"""
The tools make lockfiles without packages, and read them with a byte order mark or not.

Every test needs one of them, and is skipped if it is not installed.
"""

import codecs
import shutil
import subprocess

import pytest

from lockfiles.helpers import cases
from upgrade_state import lockfiles

PROJECT = """\
[project]
name = "shop"
version = "1"
requires-python = ">=3.11"
dependencies = []
"""
PACKAGE = """\
[package]
name = "shop"
version = "1.0.0"
edition = "2021"
[lib]
path = "Cargo.toml"
"""

# The manifest, the lockfile, how the tool makes it, and a command that reads it.
TOOLS = {
    "Cargo": (
        *("Cargo.toml", PACKAGE, "Cargo.lock", "cargo generate-lockfile --offline"),
        "cargo metadata --offline --locked --format-version=1",
    ),
    "PDM": ("pyproject.toml", PROJECT, "pdm.lock", "pdm lock", "pdm lock --check"),
    "Pipenv": (
        *("Pipfile", "[packages]\n", "Pipfile.lock", "pipenv lock"),
        "pipenv requirements",
    ),
    "Poetry": (
        *("pyproject.toml", PROJECT, "poetry.lock", "poetry lock"),
        "poetry check --lock",
    ),
    "npm": (
        *("package.json", '{"name": "shop"}', "package-lock.json"),
        *("npm install --offline --package-lock-only", "npm ci --offline"),
    ),
    "uv": (
        *("pyproject.toml", "[dependency-groups]\na = []\n", "uv.lock"),
        *("uv lock --offline", "uv export --offline --frozen"),
    ),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_made(tool, tmp_path, monkeypatch):
    """
    What a tool has made is read, and what it refuses is opaque.
    """
    manifest, content, name, make, use = TOOLS[tool]
    if shutil.which(make.split()[0]) is None:
        pytest.skip(f"needs {tool}")
    monkeypatch.setenv("PIPENV_VENV_IN_PROJECT", "1")
    monkeypatch.setenv("PIPENV_IGNORE_VIRTUALENVS", "1")

    def succeeds(command):
        return not subprocess.run(
            command.split(), cwd=tmp_path, capture_output=True, check=False, timeout=300
        ).returncode

    (tmp_path / manifest).write_text(content)
    # rustup finds its Cargo in the home directory only, and tests have another one.
    if not succeeds(make):
        pytest.skip(f"{tool} does not run here")
    format_ = lockfiles.format_of(name)
    made = (tmp_path / name).read_bytes()
    marks = cases("read")["byte order mark"][format_]
    (reads_mark,) = (reads for key, reads in marks.items() if key.startswith(tool))

    for start, is_read in ((b"", True), (codecs.BOM_UTF8, reads_mark), (b"<", False)):
        (tmp_path / name).write_bytes(start + made)
        packages = lockfiles.read(start + made, format=format_).packages

        assert (is_read, is_read) == (succeeds(use), packages is not None)
        # Cargo's lockfile has the project itself.
        assert all(p.local for p in packages or ())
