"""
The tools make lockfiles without packages, and read them with a byte order mark or not.

Every test needs one of them, and is skipped if it is not installed.
"""

import codecs
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from lockfiles.helpers import cases
from upgrade_state import lockfiles

TOOLS = yaml.safe_load(
    Path(__file__).with_name("data").joinpath("tools.yml").read_text()
)


@pytest.mark.parametrize("tool", TOOLS)
def test_made(tool, tmp_path, monkeypatch):
    """
    What a tool has made is read, and what it refuses is opaque.
    """
    manifest, content, name, make, use = TOOLS[tool].values()
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
