import pytest

from lockfiles.helpers import cases
from upgrade_state import lockfiles

CASES = cases("names")


class TestFormatOf:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [(n, known) for known, row in CASES["known"].items() for n in row],
    )
    def test_known(self, name, expected):
        """
        The last component of a name or path, or the last two, tell the format.
        """
        assert expected == lockfiles.format_of(name)

    @pytest.mark.parametrize("name", CASES["unknown"])
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
