import sys

import pytest
import yaml

from lockfiles.helpers import cases
from upgrade_state import lockfiles
from upgrade_state.lockfiles import _parse

# How a level of nesting begins.
STARTS = ["[", "{a: ", "- ", "? ", "[{a: ", "- ? "]

libyaml = pytest.param(
    "libyaml", marks=pytest.mark.skipif(not yaml.__with_libyaml__, reason="no libyaml")
)


@pytest.fixture(name="parser", params=[libyaml, "python"], autouse=True)
def _parser(request, monkeypatch):
    if request.param == "python":
        monkeypatch.delattr(yaml, "CBaseLoader", raising=False)
    else:  # the other one is ten times as slow
        monkeypatch.delattr(yaml, "BaseLoader")
    return request.param


def problem(content):
    with pytest.raises(_parse.UnreadableError) as e:
        _parse.load_yaml(content)
    return str(e.value)


class TestValues:
    @pytest.mark.parametrize(
        "value",
        ["1.10", "1", "no", "null", "~", "2026-01-01", "1_0", "0x1", ".inf", "<<", "="],
    )
    def test_text(self, value):
        """
        Every scalar is a text.
        """
        assert [value] == _parse.load_yaml(f"- {value}\n".encode())

    def test_shapes(self):
        """
        There are tables, lists and texts in both styles, and left out ones.
        """
        content = b"a:\n- b: {c: [d, '']}\n  e: |\n    f\ng:\n- \n"

        assert {"a": [{"b": {"c": ["d", ""]}, "e": "f\n"}], "g": [""]} == (
            _parse.load_yaml(content)
        )

    @pytest.mark.parametrize(
        "tag", ["!!int", "!!python/object/apply:os.getcwd", "!x", "!<tag:x>", "!"]
    )
    def test_tag(self, tag):
        """
        A tag means nothing, and nothing is made or run because of it.
        """
        assert {"a": ["1"]} == _parse.load_yaml(f"a: {tag} [{tag} 1]\n".encode())

    def test_anchor(self):
        """
        Nor does an anchor that nothing refers to.
        """
        assert {"a": "b"} == _parse.load_yaml(b"a: &x b\n")

    @pytest.mark.parametrize("content", [b"a\n", b"--- a\n", b"# x\n---\na\n...\n"])
    def test_one_document(self, content):
        """
        A document may have a beginning and an end.
        """
        assert "a" == _parse.load_yaml(content)

    @pytest.mark.parametrize("end", ["\r\n", "\r", "\n"])
    def test_line_ends(self, end):
        """
        Lines may end as on other systems.
        """
        assert {"a": "b", "c": "%"} == _parse.load_yaml(f"a: b{end}c: '%'\n".encode())


class TestRefused:
    @pytest.mark.parametrize(
        "content",
        [content for row in cases("yaml")["refused"].values() for content in row],
    )
    def test_syntax(self, content):
        """
        Invalid YAML is refused, and so is all that lockfiles do without.

        Nothing stands for something else, no key is there twice, and every key is
        a text. A parser takes ever longer for directives.
        """
        assert "cannot be parsed" == problem(content.encode())

    def test_bomb(self):
        """
        A few lines stay a few lines.
        """
        lines = [
            "- &a0 [x, x]",
            *(f"- &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)),
        ]

        assert "cannot be parsed" == problem("\n".join([*lines, ""]).encode())

    def test_many_directives(self):
        """
        A million of them are refused at once, too.
        """
        content = b"".join(b"%%TAG !%d! x\n" % n for n in range(1_000_000))

        assert "cannot be parsed" == problem(content + b"--- a\n")

    @pytest.mark.parametrize("content", [b"a: b", b"a: b\r", b"a: b\n  "])
    def test_cut_off(self, content):
        """
        The last line ends, or it may not be the last one.
        """
        assert "cut off" == problem(content)


class TestDepth:
    @pytest.mark.parametrize("levels", [101, 500])
    @pytest.mark.parametrize("start", STARTS)
    def test_deep(self, start, levels):
        """
        A document of more than 100 levels is refused.
        """
        assert "nested too deeply" == problem((start * levels + "\n").encode())

    @pytest.mark.parametrize("start", STARTS)
    def test_very_deep(self, start):
        """
        A document of 100 000 levels is refused, here or by libyaml 0.2.6 itself.
        """
        assert problem((start * 100_000 + "\n").encode()) in {
            "nested too deeply",
            "cannot be parsed",
        }

    @pytest.mark.skipif(
        yaml.__version__ > "6.0.3", reason="libyaml 0.2.6 has a limit of its own"
    )
    @pytest.mark.parametrize("start", STARTS)
    def test_own_limit(self, start):
        """
        Up to PyYAML 6.0.3 the limit is the reader's, whatever the depth.
        """
        assert "nested too deeply" == problem((start * 100_000 + "\n").encode())

    def test_not_too_deep(self):
        """
        A hundred levels are fine.
        """
        document = _parse.load_yaml(b"[" * 100 + b"]" * 100 + b"\n")
        for _ in range(99):
            (document,) = document

        assert [] == document

    def test_wide(self):
        """
        It is nesting that counts.
        """
        assert 10_000 == len(_parse.load_yaml(b"- []\n" * 10_000))


class TestMissing:
    @pytest.mark.parametrize("name", ["conda-lock", "pixi"])
    def test_problem(self, name, monkeypatch):
        """
        Without the extra such lockfiles are opaque; the problem names the extra.
        """
        monkeypatch.setitem(sys.modules, "yaml", None)

        snapshot = lockfiles.read(b"version: 1\n", format=name)

        assert (None, "needs upgrade-state[yaml]") == (
            snapshot.packages,
            snapshot.problem,
        )

    def test_other_formats(self, monkeypatch):
        """
        All other formats of the family do without it.
        """
        monkeypatch.setitem(sys.modules, "yaml", None)

        assert () == lockfiles.read(b"@EXPLICIT\n", format="conda-explicit").packages
