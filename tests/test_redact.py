from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _redact

TEXTS = json.loads(Path(__file__).with_name("data").joinpath("texts.json").read_text())


class TestClean:
    @pytest.mark.parametrize("text", ["", "shop", "Größe", "日本 語", "a\\b"])
    def test_printable(self, text):
        """
        Printable text of any language stays as it is.
        """
        assert text == _redact.clean(text)

    @pytest.mark.parametrize(("text", "cleaned"), TEXTS["escaped"])
    def test_escaped(self, text, cleaned):
        """
        Characters that control a terminal are escaped.
        """
        assert cleaned == _redact.clean(text)

    @given(st.text(st.characters()))
    def test_any_text(self, text):
        """
        Any text becomes printable.
        """
        assert _redact.clean(text).isprintable()


class TestWithoutUrls:
    @pytest.mark.parametrize(("text", "bare"), TEXTS["without URLs"])
    def test_replaced(self, text, bare):
        """
        A URL is replaced as a whole, with its credentials and paths.
        """
        assert bare == _redact.without_urls(text)

    def test_many(self):
        """
        A hundred thousand URLs take linear time.
        """
        assert "<URL> " * 100_000 == _redact.without_urls("a://b " * 100_000)


class TestMessageOf:
    def test_one_line(self):
        """
        Lines are joined, control characters escaped, URLs replaced.
        """
        text = "error:\n  no\t\x1b[1mroute\x1b[0m to https://index.example/\n"

        line = _redact.message_of(text, 100)
        assert "error: no \\x1b[1mroute\\x1b[0m to <URL>" == line

    def test_long(self):
        """
        A long message keeps its beginning and its end.
        """
        line = _redact.message_of("error " * 100 + "the end", 50)

        assert line.startswith("error error")
        assert line.endswith("error the end")
        assert 49 == len(line)

    @given(st.text(st.characters(), max_size=200))
    def test_bounded(self, text):
        """
        In a record a message takes a bounded number of bytes.
        """
        line = _redact.message_of(text, 60)

        assert line.isprintable()
        assert 2 + 2 * 60 >= len(json.dumps(line))
