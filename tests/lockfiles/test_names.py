import pytest

from upgrade_state import lockfiles
from upgrade_state.lockfiles import _formats, _names


class TestFormatOf:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("conda-linux-64.lock", "conda-explicit"),
            ("conda-lock.yaml", "conda-lock"),
            ("conda-lock.yml", "conda-lock"),
            ("dev.conda-lock.yaml", "conda-lock"),
            ("dev.conda-lock.yml", "conda-lock"),
            ("Cargo.lock", "cargo"),
            ("conan.lock", "conan"),
            ("devbox.lock", "devbox"),
            ("devenv.lock", "devenv"),
            ("flake.lock", "flake"),
            ("mise.lock", "mise"),
            ("mise.local.lock", "mise"),
            ("mise.test.local.lock", "mise"),
            ("npm-shrinkwrap.json", "npm"),
            ("package-lock.json", "npm"),
            ("spack.lock", "spack"),
            ("manifest.lock", "flox"),
            (".flox/env/manifest.lock", "flox"),
            ("Pipfile.lock", "pipfile"),
            ("pdm.lock", "pdm"),
            ("poetry.lock", "poetry"),
            ("pylock.toml", "pylock"),
            ("pylock.dev.toml", "pylock"),
            ("requirements.txt", "requirements"),
            ("requirements-dev.txt", "requirements"),
            ("dev-requirements.txt", "requirements"),
            ("pixi.lock", "pixi"),
            ("uv.lock", "uv"),
            ("./uv.lock", "uv"),
        ],
    )
    def test_known(self, name, expected):
        """
        The last component of a name or path decides.
        """
        assert expected == lockfiles.format_of(name)

    @pytest.mark.parametrize(
        "name", ["", "/", "uv.lock/", "UV.LOCK", "my-uv.lock", "uv.lock.orig", "x.lock"]
    )
    def test_unknown(self, name):
        """
        Whatever only looks like a known name is unknown.
        """
        assert lockfiles.format_of(name) is None

    def test_bytes(self):
        """
        A lockfile's name is text.
        """
        with pytest.raises(TypeError):
            lockfiles.format_of(b"uv.lock")


class TestNames:
    def test_sorted(self):
        """
        The names are sorted, and each of them tells a built-in format.
        """
        assert tuple(sorted(lockfiles.names())) == lockfiles.names()
        assert {*map(lockfiles.format_of, lockfiles.names())} <= {*lockfiles.FORMATS}


class TestIsFormat:
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


class TestPatterns:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("pylock..toml", None),
            ("pylock.dev.toml", "pylock"),
            ("pylock.dev.toml.orig", None),
            ("a.conda-lock.yml", "conda-lock"),
            (".conda-lock.yml", None),
            ("conda-.lock", None),
            ("mise..lock", None),
            ("-requirements.txt", None),
            ("requirements-.txt", None),
        ],
    )
    def test_between(self, name, expected):
        """
        Between a beginning and an end there is at least one character.
        """
        assert expected == lockfiles.format_of(name)


class TestFormats:
    def test_sorted(self):
        """
        The list of formats is sorted and has every format there is.
        """
        assert tuple(sorted(_formats.FORMATS)) == lockfiles.FORMATS

    def test_every_name_can_be_read(self):
        """
        No name leads to a format that cannot be read.
        """
        names = {*_names._NAMES.values(), *_names._PATTERNS.values()}

        assert names <= set(lockfiles.FORMATS)

    @pytest.mark.parametrize("name", lockfiles.FORMATS)
    def test_reader(self, name):
        """
        Every format has its reader.
        """
        assert callable(_formats.reader_of(name))
