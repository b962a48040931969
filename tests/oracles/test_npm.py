"""
npm's own reader of lockfiles sees the packages that ours does.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from upgrade_state import lockfiles

DATA = Path(__file__).with_name("data")
LOCKFILES = json.loads((DATA / "npm.json").read_text())


@pytest.fixture(name="arborist", scope="session")
def _arborist():
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("no npm here")
    path = Path(npm).resolve().parents[1] / "node_modules/@npmcli/arborist"
    if not path.is_dir():
        pytest.skip("npm has its reader of lockfiles elsewhere")
    return [node, "-e", (DATA / "packages.js").read_text(), "-", str(path)]


@pytest.fixture(name="npm_packages")
def _npm_packages(arborist, tmp_path):
    """
    Return a function that reads a lockfile as npm does.
    """

    def read(content):
        project = json.loads(content).get("packages", {}).get("", {"name": "shop"})
        (tmp_path / "package.json").write_text(json.dumps(project))
        (tmp_path / "package-lock.json").write_bytes(content)
        result = subprocess.run(
            [*arborist, str(tmp_path)],
            check=True,
            capture_output=True,
            timeout=60,
            env=os.environ | {"HOME": str(tmp_path)},
        )
        return json.loads(result.stdout)

    return read


def commit(resolved):
    return resolved.partition("#")[2] or None if resolved else None


def by_text(rows):
    return sorted(rows, key=repr)


class TestPackages:
    @pytest.mark.parametrize("name", LOCKFILES)
    def test_made(self, npm_packages, name):
        """
        A lockfile with every kind of entry has the packages that npm finds.
        """
        content = json.dumps({"name": "shop", "version": "1.0.0"} | LOCKFILES[name])

        packages = lockfiles.read(content.encode(), format="npm").packages

        expected = npm_packages(content.encode())
        assert by_text((n, v, commit(r)) for n, v, r, _ in expected) == by_text(
            (p.name, p.version, p.build) for p in packages
        )

    @pytest.mark.parametrize("side", ["old", "new"])
    def test_sample(self, npm_packages, sample_folder, side):
        """
        A real lockfile has the packages that npm finds, and the direct ones.
        """
        path = sample_folder / "package-lock.json/bump" / f"{side}.json"
        packages = lockfiles.read(path.read_bytes(), format="npm").packages

        assert by_text((n, v, d) for n, v, _, d in npm_packages(path.read_bytes())) == (
            by_text((p.name, p.version, p.direct) for p in packages)
        )

    def test_direct(self, npm_packages):
        """
        Direct are the requirements of any project, in its own place or the root's.
        """
        content = json.dumps({"name": "shop", "version": "1.0.0"} | LOCKFILES["both"])
        packages = lockfiles.read(content.encode(), format="npm").packages

        assert {(n, v) for n, v, _, d in npm_packages(content.encode()) if d} == {
            (p.name, p.version) for p in packages if p.direct
        }
