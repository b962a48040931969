"""
The tools themselves find the same packages in their lockfiles.

Every test needs one of them, and is skipped if it is not installed.
"""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from upgrade_state import lockfiles

# Deprecation warnings inside of the tools are not tested here.
pytestmark = pytest.mark.filterwarnings("ignore")

DATA = Path(__file__).with_name("data")


def facts(content, name):
    """
    Return name, version, build and locality of the packages in *content*.
    """
    snapshot = lockfiles.read(content, format=name)

    assert snapshot.problem is None
    return sorted(
        {(p.name, p.version, p.build, p.local) for p in snapshot.packages}, key=repr
    )


def by_repr(found):
    return sorted(set(found), key=repr)


def contents(sample_folder, pattern, own):
    """
    Return all real lockfiles of a format, and one with its rare kinds of entries.
    """
    found = [path.read_bytes() for path in sorted(sample_folder.glob(pattern))]

    assert found
    return [*found, own.read_bytes()]


def pylock_facts(content):
    pylock = pytest.importorskip("packaging.pylock", reason="needs packaging 26")
    for p in pylock.Pylock.from_dict(tomllib.loads(content.decode())).packages:
        build = None
        if p.vcs:
            build = p.vcs.commit_id
        elif p.archive:
            build = f"sha256:{p.archive.hashes['sha256']}"
        yield p.name, p.version and str(p.version), build, p.directory is not None


class TestPackaging:
    def test_pylock(self, sample_folder):
        """
        The library that pip reads them with finds the same packages.
        """
        for content in contents(
            sample_folder, "pylock.toml/*/*.toml", DATA / "pylock.toml"
        ):
            assert by_repr(pylock_facts(content)) == facts(content, "pylock")


class TestPoetry:
    def test_locker(self, sample_folder, tmp_path):
        """
        Poetry's own reader finds the same packages.
        """
        packages = pytest.importorskip("poetry.packages", reason="needs Poetry")
        for content in contents(
            sample_folder, "poetry.lock/*/*.lock", DATA / "poetry.toml"
        ):
            path = tmp_path / "poetry.lock"
            path.write_bytes(content)
            found = packages.Locker(path, {}).locked_repository().packages

            assert by_repr(map(self.facts, found)) == facts(content, "poetry")

    def facts(self, p):
        build = p.source_resolved_reference
        if p.source_type in {"file", "url"}:
            build = p.files[0]["hash"]
        return p.name, p.version.text, build, p.source_type == "directory"


class TestPdm:
    def test_repository(self, sample_folder, tmp_path, monkeypatch):
        """
        PDM's own reader finds the same packages.
        """
        core = pytest.importorskip("pdm.core", reason="needs PDM")
        monkeypatch.setenv("PDM_PYTHON", sys.executable)
        monkeypatch.setenv("PDM_USE_VENV", "0")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "near").mkdir()
        (tmp_path / "pyproject.toml").write_text(
            "[project]\nname = 'shop'\nversion = '1'\nrequires-python = '>=3.11'\n"
        )
        for content in contents(sample_folder, "pdm.lock/*/*.lock", DATA / "pdm.toml"):
            (tmp_path / "pdm.lock").write_bytes(content)
            project = core.Core().create_project(str(tmp_path))
            found = project.get_locked_repository().packages.values()

            assert by_repr(self.facts(p.candidate) for p in found) == facts(
                content, "pdm"
            )

    def facts(self, p):
        build = local = None
        if p.req.is_vcs:
            build = p.req.revision
        elif p.req.is_file_or_url:
            local = p.req.is_local_dir
            build = p.hashes[0]["hash"] if p.hashes else None
        return p.name, p.version, build, bool(local)


class TestPipenv:
    def test_requirements(self, sample_folder):
        """
        Pipenv passes the same packages to pip, directories excepted.
        """
        pipenv = pytest.importorskip("pipenv.utils.dependencies", reason="needs Pipenv")
        for content in contents(
            sample_folder, "Pipfile.lock/*/[no]*.json", DATA / "pipfile.json"
        ):
            categories = json.loads(content)
            del categories["_meta"]
            found = [
                line.partition(";")[0].partition(" --hash")[0]
                for category in categories.values()
                for line in pipenv.requirements_from_lockfile(category)
                if not line.startswith(".")
            ]

            assert by_repr(map(self.facts, found)) == [
                fact for fact in facts(content, "pipfile") if fact[0] != "dist"
            ]

    def facts(self, line):
        requirement = Requirement(line)
        url = requirement.url or ""
        versions = [pin.version for pin in requirement.specifier]
        commit = url.rpartition("@")[2] or None
        return canonicalize_name(requirement.name), *(versions or [None]), commit, False


def pip_facts(path):
    """
    Yield the facts of the packages that pip finds in a requirements file.
    """
    req_file = pytest.importorskip("pip._internal.req.req_file", reason="needs pip")
    constructors = pytest.importorskip("pip._internal.req.constructors")
    for parsed in req_file.parse_requirements(str(path), session=None):
        requirement = constructors.install_req_from_parsed_requirement(parsed)
        if requirement.name is None:  # a directory
            continue
        link, versions = requirement.link, [None]
        if requirement.req.specifier:
            assert requirement.is_pinned
            versions = [pin.version for pin in requirement.req.specifier]
        if link and link.is_wheel:
            versions = [link.filename.split("-")[1]]
        build = None
        if link and link.is_vcs:
            build = link.url_without_fragment.rpartition("@")[2]
        elif link and link.hash:
            build = f"{link.hash_name}:{link.hash}"
        yield canonicalize_name(requirement.name), *versions, build, False


class TestPip:
    def test_requirements(self):
        """
        pip finds the same packages.
        """
        path = DATA / "requirements.txt"

        assert by_repr(pip_facts(path)) == facts(path.read_bytes(), "requirements")

    @pytest.mark.parametrize(
        "line", ["x", "x>=1", "x==1.0,>=0.9", "x~=1.0", "x ; python_version > '3'"]
    )
    def test_not_pinned(self, line, tmp_path):
        """
        A requirement that makes the file opaque is not pinned for pip, either.
        """
        path = tmp_path / "requirements.txt"
        path.write_text(line)
        snapshot = lockfiles.read(path.read_bytes(), format="requirements")

        assert "not pinned" == snapshot.problem
        with pytest.raises(AssertionError):
            assert all(version for _, version, _, _ in pip_facts(path))


class TestUv:
    @pytest.fixture(
        name="export", params=["bump-one", "dev-updates", "generated-upgrade"]
    )
    def _export(self, request, sample_folder, tmp_path):
        uv = pytest.importorskip("uv", reason="needs uv")
        content = (sample_folder / "uv.lock" / request.param / "new.lock").read_bytes()
        document = tomllib.loads(content.decode())
        root = next(
            entry["name"]
            for entry in document["package"]
            if "." in entry["source"].values()
        )
        (tmp_path / "uv.lock").write_bytes(content)
        (tmp_path / "pyproject.toml").write_text(
            f"[project]\nname = {root!r}\nversion = '0.1.0'\n"
            f"requires-python = {document['requires-python']!r}\n"
        )
        command = [uv.find_uv_bin(), "export", "--frozen", "--offline", "--no-config"]
        options = ["--all-groups", "--all-extras", "--quiet", "--output-file"]

        def export(name):
            subprocess.run(
                [*command, *options, name], cwd=tmp_path, check=True, timeout=60
            )
            return tmp_path / name

        # The project itself has a name only here.
        return export, [fact for fact in facts(content, "uv") if fact[0] != root]

    def test_pylock(self, export):
        """
        uv exports the packages of its lockfile as pylock.toml.
        """
        export, expected = export
        content = export("pylock.toml").read_bytes()

        assert expected == [fact for fact in facts(content, "pylock") if not fact[3]]
        assert expected == [
            fact for fact in by_repr(pylock_facts(content)) if not fact[3]
        ]

    def test_requirements(self, export):
        """
        uv exports the packages of its lockfile as requirements.
        """
        export, expected = export
        path = export("requirements.txt")

        assert expected == facts(path.read_bytes(), "requirements")
        assert expected == by_repr(pip_facts(path))
