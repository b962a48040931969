from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _redact, exceptions


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
        What a terminal would obey comes out as text.
        """
        assert cleaned == _redact.clean(text)

    @given(st.text(st.characters()))
    def test_any_text(self, text):
        """
        Whatever comes in, what goes out can be printed.
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
        A URL goes as a whole, with its credentials and paths.
        """
        assert bare == _redact.without_urls(text)

    def test_many(self):
        """
        A hundred thousand of them are no problem.
        """
        assert "<URL> " * 100_000 == _redact.without_urls("a://b " * 100_000)


class TestMessageOf:
    def test_one_line(self):
        """
        Lines are folded, control characters escaped, URLs gone.
        """
        text = "error:\n  no\t\x1b[1mroute\x1b[0m to https://index.example/\n"

        line = _redact.message_of(text, 100)
        assert "error: no \\x1b[1mroute\\x1b[0m to <URL>" == line

    def test_long(self):
        """
        Of a long one the beginning and the end are kept.
        """
        line = _redact.message_of("error " * 100 + "the end", 50)

        assert line.startswith("error error")
        assert line.endswith("error the end")
        assert 49 == len(line)

    @given(st.text(st.characters(), max_size=200))
    def test_bounded(self, text):
        """
        In a record it takes a bounded number of bytes.
        """
        line = _redact.message_of(text, 60)

        assert line.isprintable()
        assert 2 + 2 * 60 >= len(json.dumps(line))


class TestErrors:
    def test_message_and_path(self):
        """
        An error says what did not work, then where.
        """
        error = exceptions.StateReadError("Could not read the file (no)", "/a b")

        assert "Could not read the file (no): '/a b'" == str(error)
        assert ("Could not read the file (no)", "/a b") == (error.message, error.path)

    def test_without_path(self):
        """
        Where the trouble is that there is no path, it says so without.
        """
        assert "no home" == str(exceptions.StateReadError("no home", None))

    def test_one_line(self):
        """
        A path moves no cursor.
        """
        error = exceptions.StateWriteError("no", "/a\n\x1b[2J")

        assert "no: '/a\\x0a\\x1b[2J'" == str(error)

    def test_one_family(self):
        """
        Who catches the one catches all, and a process can send them on.
        """
        names = ("StateReadError", "StateWriteError", "StateLockError", "ResolverError")
        for name in names:
            error = pickle.loads(pickle.dumps(getattr(exceptions, name)("no", "/a")))
            assert isinstance(error, exceptions.UpgradeStateError)
            assert ("no", "/a") == (error.message, error.path)
