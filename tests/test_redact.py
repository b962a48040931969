from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _redact


class TestClean:
    @pytest.mark.parametrize("text", ["", "shop", "Größe", "日本 語", "a\\b"])
    def test_printable(self, text):
        """
        Printable text of any language stays as it is.
        """
        assert text == _redact.clean(text)

    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb\r\tc", "a\\x0ab\\x0d\\x09c"),
            ("\x9b0m", "\\x9b0m"),
            ("\u202eabc", "\\u202eabc"),
            ("\udc80", "\\udc80"),
            ("\U000e0001", "\\U000e0001"),
            ("\x00\x7f", "\\x00\\x7f"),
        ],
    )
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
    @pytest.mark.parametrize(
        ("text", "bare"),
        [
            ("no URL", "no URL"),
            ("https://ana:secret@index.example/simple", "<URL>"),
            (
                "could not reach 'https://index.example/': no",
                "could not reach '<URL>': no",
            ),
            ("git+ssh://git@index.example/a.git, then", "<URL>, then"),
            ("a://b://c d://e", "<URL><URL> <URL>"),
            ("://", "<URL>"),
            ("(see file:///home/ana)", "(see <URL>)"),
            ("['a://b', 'a://c'].", "['<URL>', '<URL>']."),
            ("from https://bob:s3,cret@index.example/x", "from <URL>"),
            ("https://b;o'b:{pa}(ss)|\\^@index.example: no", "<URL>: no"),
            ("https://[2001:db8::1]:8443/private/token.", "<URL>."),
            ('url = "https://bob:s"3<c`t@index.example/x"', 'url = "<URL>"'),
            ("<https://index.example/a>, b@index.example", "<<URL>>, b@index.example"),
            (r'{"url":"https:\/\/bob:token@index.example\/x"}', '{"url":"<URL>"}'),
        ],
    )
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
