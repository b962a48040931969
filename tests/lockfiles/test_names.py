import pytest

from upgrade_state import lockfiles

KNOWN = {
    "cargo": ["Cargo.lock"],
    "conan": ["conan.lock"],
    "conda-explicit": ["conda-linux-64.lock"],
    "conda-lock": [
        *("conda-lock.yaml", "conda-lock.yml", "a.conda-lock.yaml", "a.conda-lock.yml"),
    ],
    "devbox": ["devbox.lock"],
    "devenv": ["devenv.lock"],
    "flake": ["flake.lock"],
    "flox": ["manifest.lock", ".flox/env/manifest.lock"],
    "mise": ["mise.lock", "mise.local.lock", "mise.test.local.lock"],
    "npm": ["npm-shrinkwrap.json", "package-lock.json"],
    "niv": ["nix/sources.json", "./nix/sources.json", "/srv/nix/sources.json"],
    "npins": ["npins/sources.json", "a/npins/sources.json"],
    "pdm": ["pdm.lock", "pdm.dev.lock"],
    "pipfile": ["Pipfile.lock"],
    "pixi": ["pixi.lock"],
    "poetry": ["poetry.lock"],
    "pylock": ["pylock.toml", "pylock.dev.toml"],
    "renv": ["renv.lock", "renv/profiles/dev/renv.lock"],
    "requirements": [
        *("requirements.txt", "requirements-dev.txt", "a-requirements.txt"),
        *("requirements.lock", "requirements-dev.lock", "dev-requirements.lock"),
        *("requirements_dev.txt", "requirements.dev.txt", "dev_requirements.txt"),
        *("requirements/dev.txt", "/srv/requirements/dev.lock", "requirements-.txt"),
    ],
    "spack": ["spack.lock"],
    "uv": [
        "uv.lock",
        "./uv.lock",
        "tool.py.lock",
        "pdm.py.lock",
        "requirements/uv.lock",
    ],
}
# Between the beginning and the end of a pattern is at least one character.
UNKNOWN = (
    *("", "/", "uv.lock/", "UV.LOCK", "my-uv.lock", "uv.lock.orig", "x.lock"),
    *("pylock..toml", "pylock.dev.toml.orig", ".conda-lock.yml", "conda-.lock"),
    *("mise..lock", "pdm..lock", ".py.lock", "tool.lock", "constraints.txt"),
    *("requirements.in", "requirements-dev.in", "requirements/dev.in"),
    *("requirements.yml", "requirements/a.yml", "my-requirements/dev.txt", "dev.txt"),
    *("sources.json", "npins/sources.json/", "my-npins/sources.json", "npins/a.json"),
)


class TestFormatOf:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [(n, known) for known, row in KNOWN.items() for n in row],
    )
    def test_known(self, name, expected):
        """
        The last component of a name or path, or the last two, tell the format.
        """
        assert expected == lockfiles.format_of(name)

    @pytest.mark.parametrize("name", UNKNOWN)
    def test_unknown(self, name):
        """
        A name that is only similar to a known one tells none.
        """
        assert lockfiles.format_of(name) is None

    def test_bytes(self):
        """
        A lockfile's name is text.
        """
        with pytest.raises(TypeError):
            lockfiles.format_of(b"uv.lock")


class TestNames:
    def test_known(self):
        """
        The names are sorted, and each of them tells a built-in format.
        """
        assert tuple(sorted(lockfiles.names())) == lockfiles.names()
        assert {*map(lockfiles.format_of, lockfiles.names())} <= {*lockfiles.FORMATS}


class TestIsFormat:
    def test_sorted(self):
        """
        The list of formats is sorted.
        """
        assert tuple(sorted(lockfiles.FORMATS)) == lockfiles.FORMATS

    @pytest.mark.parametrize("name", lockfiles.FORMATS)
    def test_built_in(self, name):
        """
        Every built-in format is one.
        """
        assert lockfiles.is_format(name)

    @pytest.mark.parametrize("name", ["", "yarn", "UV", "uv.lock", "p" * 65])
    def test_unknown(self, name):
        """
        A name without a reader is none.
        """
        assert not lockfiles.is_format(name)
