"""
The tools themselves read the same packages.
"""

from pathlib import Path

import pytest

from upgrade_state import lockfiles

COMMIT = "0123456789abcdef" * 2 + "01234567"
DATA = Path(__file__).with_name("data")


def ours(path, name):
    """
    Return the packages that this library reads, projects without a version.
    """
    snapshot = lockfiles.read(path.read_bytes(), format=name)

    assert snapshot.problem is None
    return {
        (
            p.ecosystem,
            p.name,
            None if p.local and p.ecosystem == "pypi" else p.version,
            p.platform,
            p.environment,
            p.build,
        )
        for p in snapshot.packages
    }


class TestPixi:
    @pytest.fixture(name="theirs")
    def _theirs(self):
        rattler = pytest.importorskip("rattler", reason="needs py-rattler")

        def packages(path):
            for environment, contents in rattler.LockFile.from_path(
                path
            ).environments():
                for platform, found in contents.packages_by_platform().items():
                    for p in found:
                        where = platform.name, environment
                        yield (*self.pin(p), *where, self.build(p))

        return lambda path: set(packages(path))

    def pin(self, package):
        ecosystem = "conda" if hasattr(package, "package_record") else "pypi"
        version = None if package.version is None else str(package.version)
        # A project may have another version by now, so rattler reads none.
        return ecosystem, package.name, None if version == "<dynamic>" else version

    def build(self, package):
        # rattler has no word for the commit of a package from an index.
        if not hasattr(package, "package_record"):
            return COMMIT if COMMIT in package.location else None
        return package.package_record and str(package.package_record.build)

    @pytest.mark.parametrize("version", [4, 5, 6, 7])
    def test_made(self, version, theirs):
        """
        Every version is read as rattler reads it.
        """
        path = DATA / f"pixi-{version}.yml"

        assert theirs(path) == ours(path, "pixi")

    @pytest.mark.parametrize("side", ["old", "new"])
    def test_sample(self, side, theirs, sample_folder):
        """
        A real lockfile is read as rattler reads it.
        """
        path = sample_folder / f"pixi.lock/v7-refresh/{side}.lock"

        assert theirs(path) == ours(path, "pixi")

    @pytest.mark.parametrize("version", [4, 5, 6])
    def test_rewritten(self, version, theirs, tmp_path):
        """
        A lockfile that rattler has converted is read as rattler reads it.
        """
        old, new = DATA / f"pixi-{version}.yml", tmp_path / "new.lock"
        self.rewrite(old, new)

        assert theirs(new) == ours(new, "pixi")

    def test_sample_rewritten(self, theirs, tmp_path, sample_folder):
        """
        A real lockfile that is converted has upgrades of local packages only.
        """
        old, new = (
            sample_folder / "pixi.lock/v7-refresh/new.lock",
            tmp_path / "new.lock",
        )
        self.rewrite(old, new)
        diff = lockfiles.diff(
            *(lockfiles.read(p.read_bytes(), format="pixi") for p in (old, new))
        )

        assert theirs(new) == ours(new, "pixi")
        assert (True, []) == (
            diff.comparable,
            [u for u in diff.upgrades if not u.local],
        )

    def rewrite(self, old, new):
        rattler = pytest.importorskip("rattler", reason="needs py-rattler")
        rattler.LockFile.from_path(old).to_path(new)

        assert new.read_text().startswith("version: 7\n")


class TestCondaLock:
    @pytest.fixture(name="lockfile", params=["made", "old", "new"])
    def _lockfile(self, request, sample_folder):
        if request.param == "made":
            return DATA / "conda-lock.yml"
        return sample_folder / f"conda-lock/bump/{request.param}.yml"

    def parsed(self, path):
        module = pytest.importorskip("conda_lock.lockfile", reason="needs conda-lock")
        return module.parse_conda_lock_file(path)

    def pin(self, package):
        """
        Return the facts of a *package* of conda-lock, with its own way to a build.
        """
        if package.manager == "pip":
            build = COMMIT if COMMIT in package.url else None
            return "pypi", package.name, package.version, package.platform, None, build
        name = package.to_fetch_action()["fn"]
        build = name.removesuffix(".conda").removesuffix(".tar.bz2").split("-")[-1]
        return "conda", package.name, package.version, package.platform, None, build

    def test_packages(self, lockfile):
        """
        A lockfile is read as conda-lock reads it.
        """
        assert set(map(self.pin, self.parsed(lockfile).package)) == ours(
            lockfile, "conda-lock"
        )

    def test_explicit(self, lockfile, tmp_path):
        """
        The list that conda-lock renders for one platform has the same packages.
        """
        module = pytest.importorskip("conda_lock.conda_lock", reason="needs conda-lock")
        parsed = self.parsed(lockfile)
        lines = module.render_lockfile_for_platform(
            lockfile=parsed,
            extras={c for p in parsed.package for c in p.categories},
            include_dev_dependencies=True,
            kind="explicit",
            platform="linux-64",
        )
        path = tmp_path / "conda-linux-64.lock"
        path.write_text("\n".join([*lines, ""]))
        # A commit says nothing of the version.
        expected = {
            (e, n, None if build == COMMIT else v, *where, build)
            for e, n, v, *where, build in map(self.pin, parsed.package)
            if "linux-64" in where
        }

        assert expected == ours(path, lockfiles.format_of(path.name))
