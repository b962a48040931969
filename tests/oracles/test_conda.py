"""
The tools themselves read the same packages.
"""

import pytest

from upgrade_state import lockfiles

CHANNEL = "https://conda.example/main"
COMMIT = "0123456789abcdef" * 2 + "01234567"
GIT = f"git+https://files.example/x.git?rev=main#{COMMIT}"
WHEEL = "https://files.example/y-1.10-py3-none-any.whl"

WRITTEN_OUT = f"""version: 5
environments:
  default:
    channels:
    - url: {CHANNEL}/
    packages:
      linux-64:
      - conda: {CHANNEL}/linux-64/zlib-1.3-h0_0.conda
      - conda: {CHANNEL}/noarch/tzdata-2026a-h1_0.tar.bz2
      - pypi: {WHEEL}
        extras: [z]
      - pypi: git+https://files.example/x.git@{COMMIT}
      - pypi: ./shop
      osx-arm64:
      - conda: {CHANNEL}/noarch/tzdata-2026a-h1_0.tar.bz2
packages:
- kind: conda
  name: tzdata
  version: 2026a
  build: h1_0
  subdir: noarch
  noarch: generic
  url: {CHANNEL}/noarch/tzdata-2026a-h1_0.tar.bz2
- kind: pypi
  name: shop
  version: '0.1'
  path: ./shop
  editable: true
- kind: pypi
  name: x
  version: '2.0'
  url: git+https://files.example/x.git@{COMMIT}
- kind: pypi
  name: y
  version: '1.10'
  url: {WHEEL}
- kind: conda
  name: zlib
  version: '1.3'
  build: h0_0
  subdir: linux-64
  url: {CHANNEL}/linux-64/zlib-1.3-h0_0.conda
"""
BY_URL = f"""version: 6
environments:
  default:
    channels:
    - url: {CHANNEL}/
    packages:
      linux-64:
      - conda: {CHANNEL}/linux-64/python_abi-3.13-7_cp313.conda
      - conda: {CHANNEL}/linux-64/x264-1!164.3095-h0_2.tar.bz2
      - conda: ./local/linux-64/zlib-1.3-h0_0.conda
      - conda: https://files.example/nightly.conda
      - conda: ../shop
        subdir: linux-64
      - pypi: {GIT}
      - pypi: ./
      win-64:
      - conda: ../shop
        subdir: win-64
  empty:
    channels: []
    packages: {{}}
packages:
- conda: {CHANNEL}/linux-64/python_abi-3.13-7_cp313.conda
- conda: {CHANNEL}/linux-64/x264-1!164.3095-h0_2.tar.bz2
- conda: ./local/linux-64/zlib-1.3-h0_0.conda
  subdir: linux-64
- conda: https://files.example/nightly.conda
  name: nightly
  version: '1.10'
  build: h2_2
  subdir: linux-64
- conda: ../shop
  name: shop
  version: '0.1'
  build: h3_0
  subdir: linux-64
- conda: ../shop
  name: shop
  version: '0.1'
  build: h4_0
  subdir: win-64
- pypi: {GIT}
  name: x
  version: '2.0'
- pypi: ./
  name: z
  version: '0.2'
"""
FROM_SOURCE = f"""version: 7
platforms:
- name: linux-64
- name: linux-gpu
  subdir: linux-64
  virtual-packages:
  - __cuda=12
environments:
  default:
    channels:
    - url: {CHANNEL}/
    packages:
      linux-64:
      - conda: {CHANNEL}/linux-64/zlib-1.3-h0_0.conda
      - conda_source: shop[0a1b2c3d] @ ../shop
      linux-gpu:
      - conda_source: shop[1a1b2c3d] @ ../shop
      - pypi: ./
packages:
- conda: {CHANNEL}/linux-64/zlib-1.3-h0_0.conda
- conda_source: shop[0a1b2c3d] @ ../shop
  version: '0.1'
  build: h3_0
  subdir: linux-64
- conda_source: shop[1a1b2c3d] @ ../shop
- pypi: ./
  name: z
"""
LOCKFILES = {
    "4": WRITTEN_OUT.replace("version: 5", "version: 4"),
    "5": WRITTEN_OUT,
    "6": BY_URL,
    "7": FROM_SOURCE,
}
CONDA_LOCK = """version: 1
metadata:
  content_hash: {linux-64: '0'}
  channels: []
  platforms: [linux-64]
  sources: [environment.yml]
package:
""" + "".join(
    f"""- name: {name}
  version: '{version}'
  manager: {manager}
  platform: linux-64
  dependencies: {{}}
  url: {location}
  hash: {{md5: {"a" * 32}}}
  category: {category}
  optional: {category != "main"}
"""
    for name, version, manager, location, category in (
        ("zlib", "1.10", "conda", f"{CHANNEL}/linux-64/zlib-1.10-h0_0.conda", "main"),
        (
            "tzdata",
            "2026a",
            "conda",
            f"{CHANNEL}/noarch/tzdata-2026a-h1_0.conda",
            "dev",
        ),
        ("tzdata", "2026a", "conda", f"{CHANNEL}/noarch/tzdata-2026a-h1_0.conda", "a"),
        ("x", "2.0", "pip", f"git+https://files.example/x.git@{COMMIT}", "main"),
        ("y", "1.10", "pip", WHEEL, "main"),
    )
)


def ours(path, name):
    """
    Return what this library reads, each package once, projects without version.
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

    @pytest.mark.parametrize("version", LOCKFILES)
    def test_made(self, version, theirs, tmp_path):
        """
        Every version is read as rattler reads it.
        """
        path = tmp_path / "pixi.lock"
        path.write_text(LOCKFILES[version])

        assert theirs(path) == ours(path, "pixi")

    @pytest.mark.parametrize("side", ["old", "new"])
    def test_sample(self, side, theirs, sample_folder):
        """
        So is a real lockfile.
        """
        path = sample_folder / f"pixi.lock/v7-refresh/{side}.lock"

        assert theirs(path) == ours(path, "pixi")

    @pytest.mark.parametrize("version", ["4", "5", "6"])
    def test_rewritten(self, version, theirs, tmp_path):
        """
        So is what rattler makes of older versions.
        """
        old, new = tmp_path / "pixi.lock", tmp_path / "new.lock"
        old.write_text(LOCKFILES[version])
        self.rewrite(old, new)

        assert theirs(new) == ours(new, "pixi")

    def test_sample_rewritten(self, theirs, tmp_path, sample_folder):
        """
        A real lockfile that is rewritten has upgrades of what is local only.
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
    def _lockfile(self, request, tmp_path, sample_folder):
        if request.param != "made":
            return sample_folder / f"conda-lock/bump/{request.param}.yml"
        path = tmp_path / "conda-lock.yml"
        path.write_text(CONDA_LOCK)
        return path

    def parsed(self, path):
        module = pytest.importorskip("conda_lock.lockfile", reason="needs conda-lock")
        return module.parse_conda_lock_file(path)

    def pin(self, package):
        """
        Return what conda-lock knows of *package*, with its own way to a build.
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
        So is what it renders for one platform.
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
