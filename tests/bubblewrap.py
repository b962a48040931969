"""
The mark of the tests that need a sandbox.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

needs_sandbox = pytest.mark.skipif(
    not shutil.which("bwrap")
    or subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-pid", "true"], check=False
    ).returncode,
    reason="no bwrap here, or it may not make namespaces",
)
