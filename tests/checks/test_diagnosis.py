"""
The reasons in the output of tools that failed, and the advice.

The files in data/ are outputs of real tools, without hosts and home directories:
with proxies at closed ports, with options and commands that the tools do not
have, and with packages and interpreters that do not exist.
"""

import tomllib
from pathlib import Path

import pytest

from upgrade_state.checks import Command
from upgrade_state.checks._diagnosis import advice, last_words

DATA = Path(__file__).parent / "data"
REASONS = tomllib.loads((DATA / "reasons.toml").read_text(encoding="utf-8"))

NETWORK = "check the network and the proxy"
NEEDS = "install a newer one"
ADVICE = {"network": NETWORK, "version": NEEDS, None: None}
QUESTION = "it asked a question: run it once yourself, and answer"
LATE = f"{NETWORK}, or give it more time"

# npm repeats the first request; the failure has another reason.
RETRY = (
    b"npm http fetch GET https://a.example/x attempt 1 failed with ECONNRESET\n"
    b"npm http fetch GET 200 https://a.example/x 318ms (cache miss)\n"
    b"npm error code ERESOLVE\nnpm error ERESOLVE could not resolve\n"
)


class TestLastWords:
    @pytest.mark.parametrize("name", REASONS)
    def test_real(self, name):
        """
        The reason is quoted, and has its advice.
        """
        output = (DATA / f"{name}.txt").read_bytes()

        assert "; ".join(REASONS[name]["reason"]) == last_words(output)
        expected = ADVICE[REASONS[name].get("advice")]
        assert expected == advice(output, is_late=False, needs=NEEDS)

    def test_every_file_is_used(self):
        """
        Each output has its reason in the table.
        """
        assert set(REASONS) == {path.stem for path in DATA.glob("*.txt")}

    @pytest.mark.parametrize(
        ("output", "line"),
        [
            (
                b'Traceback (most recent call last):\n  File "x"\nKeyError: 1\n',
                "KeyError: 1",
            ),
            (
                b"a: failed\n\nAnError: 0 FAILED for <https://a.example/>\n",
                "AnError: 0 FAILED for <<URL>>",
            ),
            (
                "CPython\n  \u00d7 No way:\n  Because x\n".encode(),
                "\u00d7 No way:; Because x",
            ),
            (RETRY, "error: code ERESOLVE; ERESOLVE could not resolve"),
            (
                b"ValueError: Port could not be cast to integer value as 's3cr'",
                "ValueError: Port could not be cast to integer value as '...'",
            ),
            (
                b"10 %\r50 %\r\x1b[31mgone wrong\x1b[0m\r\n\x1b]0;title\x07",
                "gone wrong",
            ),
            (b" \n", None),
        ],
    )
    def test_line(self, output, line):
        """
        The line has no traceback, URL, password, progress display, or styles.
        """
        assert line == last_words(output)


class TestAdvice:
    @pytest.mark.parametrize(
        ("output", "is_late", "expected"),
        [
            (b"", True, LATE),
            (b"Resolving", True, LATE),
            (b"Password:", True, QUESTION),
            (b"Continue? [y/N]: Aborted!\nAborted!", False, QUESTION),
            (b"EOFError: EOF when reading", False, QUESTION),
            (RETRY, False, None),
            (b"error: no route to host", False, None),
            (b"cc: error: unrecognized command-line option '-x'", False, None),
            (b"", False, None),
        ],
    )
    def test_advice(self, output, is_late, expected):
        """
        The advice is about the network, a question, or there is none.
        """
        assert expected == advice(output, is_late=is_late, needs=NEEDS)

    @pytest.mark.parametrize(
        "output",
        [
            b"error: unrecognized subcommand 'lock'",
            b"error: unexpected argument '--upgrade' found",
            b"Error: No such option: --x",
            b'ERROR: unknown command "lock"',
            b"pdm: error: unrecognized arguments: --x",
            b'The option "--regenerate" does not exist',
            b"error: 'lock' is not a recognised command",
            b"error: no such command: `x`",
            b"error: `--x` is not expected in this context",
        ],
    )
    @pytest.mark.parametrize("needs", [NEEDS, None])
    def test_version(self, output, needs):
        """
        A tool that does not know its arguments has another version.
        """
        assert needs == advice(output, is_late=False, needs=needs)

    @pytest.mark.parametrize("options", [{}, {"needs": "install x 2"}])
    def test_message(self, failure, options):
        """
        The message of a command ends with the advice, if it is known.
        """
        script = "echo 'no such option: --x'; exit 2"
        ending = "".join(f"; {needs}" for needs in options.values())

        assert failure(Command(["sh", "-c", script], **options)).endswith(
            f"exit status 2: no such option: --x{ending}"
        )
