"""
The reasons in the output of tools that failed, and the advice.

The files in data/ are outputs of real tools, without hosts and home directories:
with proxies at closed ports, with options and commands that the tools do not
have, with packages and interpreters that do not exist, with an index that answers
401 or 403, with builds that miss a file, and with files that are no TOML.
"""

import tomllib
from pathlib import Path

import pytest

from upgrade_state.checks import Command
from upgrade_state.checks._diagnosis import advice, last_lines, last_words

DATA = Path(__file__).parent / "data"
OUTPUTS = tomllib.loads((DATA / "advice.toml").read_text(encoding="utf-8"))
REASONS = tomllib.loads((DATA / "reasons.toml").read_text(encoding="utf-8"))

NETWORK = "check the network and the proxy"
NEEDS = "install a newer one"
CREDENTIALS = "if an index needs credentials, pass them with --env NAME"
COPY = "if it needs a file that is not copied, name it with --copy PATH"
QUESTION = "it asked a question: run it once yourself, and answer"
ADVICE = {
    "network": NETWORK,
    "version": NEEDS,
    "credentials": CREDENTIALS,
    "either": f"{NETWORK}; {CREDENTIALS}",
    "copy": COPY,
    "question": QUESTION,
    "none": None,
}
LATE = f"{NETWORK}, or give it more time (--timeout)"


class TestLastWords:
    @pytest.mark.parametrize("name", REASONS)
    def test_real(self, name):
        """
        The reason is quoted, and has its advice.
        """
        output = (DATA / f"{name}.txt").read_bytes()

        assert "; ".join(REASONS[name]["reason"]) == last_words(output)
        expected = ADVICE[REASONS[name].get("advice", "none")]
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
            (
                OUTPUTS["none"][-1].encode(),
                "error: code ERESOLVE; ERESOLVE could not resolve",
            ),
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


class TestLastLines:
    def test_tree(self):
        """
        The lines of a resolver are indented as it wrote them.
        """
        tree = (
            "  \u00d7 No solution found:\n  \u2570\u2500\u25b6 Because a\n      and b\n"
        )

        assert tuple(tree.splitlines()) == last_lines(tree.encode())

    def test_refusal(self):
        """
        The lines before a short reason are shown, without the address of an index.
        """
        assert (
            "Creating virtualenv shop in /home/ana/shop/.venv",
            "Updating dependencies",
            "Resolving dependencies...",
            "Source (private): Authorization error accessing <URL>",
            "",
            *REASONS["poetry.401"]["reason"],
        ) == last_lines((DATA / "poetry.401.txt").read_bytes())

    def test_build(self):
        """
        A traceback is left out, and so is a pointer to a log that was removed.
        """
        reason = (
            "FileNotFoundError: Readme path `/home/ana/shop/README.md` does not exist."
        )
        lines = last_lines((DATA / "pip.readme.txt").read_bytes())
        assert (f"      {reason}", "      [end of output]", "") == lines[:3]
        assert ("\u00d7 Encountered error while generating package metadata.") in lines
        module = last_lines((DATA / "pip-tools.module.txt").read_bytes())
        assert "        ModuleNotFoundError: No module named 'shop'" == module[0]
        assert not any("Traceback" in line for line in module)
        npm = last_lines((DATA / "npm.401.txt").read_bytes())
        assert ("npm error code E401", "npm error   npm login") == (npm[0], npm[-1])

    def test_chain(self):
        """
        A long reason is shown from its beginning.
        """
        lines = last_lines((DATA / "cargo.path.txt").read_bytes())

        assert lines[0].startswith("error: failed to get `b`")
        assert "  No such file or directory (os error 2)" == lines[-1]

    @pytest.mark.parametrize("name", REASONS)
    def test_safe(self, name):
        """
        The lines of every tool are few, printable, and without URLs.
        """
        lines = last_lines((DATA / f"{name}.txt").read_bytes())

        assert 1 <= len(lines) <= 20
        assert not [line for line in lines if "://" in line or not line.isprintable()]

    @pytest.mark.parametrize(
        ("output", "lines"),
        [
            (b"", ()),
            (b"\n \n", ()),
            (b"\n\x1b[31mone\x1b[0m\n\ttwo\x07\n\n", ("one", "        two\\x07")),
            (b"from a.example\xff\n", ("from a.example\\xff",)),
            (b"10 %\r50 %\rdone\r\n", ("done",)),
            (b"error: " + b"x" * 600, ("error: " + "x" * 493,)),
            (b"a\n" * 30, ("a",) * 12),
            (b"error: b\n" + b"a\n" * 30, ("error: b",) + ("a",) * 19),
            (b"in https://ana:pa/ss@a.example/x y", ("in <URL> y",)),
            (b"in https://ana:pass\nword@a.example/x y", ("in <URL> y",)),
        ],
    )
    def test_lines(self, output, lines):
        """
        Styles, control characters, URLs and long lines do not reach a terminal.
        """
        assert lines == last_lines(output)


class TestAdvice:
    @pytest.mark.parametrize(
        ("name", "output"), [(n, o) for n, outputs in OUTPUTS.items() for o in outputs]
    )
    @pytest.mark.parametrize("needs", [NEEDS, None])
    def test_advice(self, name, output, needs):
        """
        The advice is for what the tool says, or there is none.
        """
        expected = needs if name == "version" else ADVICE[name]

        assert expected == advice(output.encode(), is_late=False, needs=needs)

    @pytest.mark.parametrize(
        ("output", "expected"),
        [(b"", LATE), (b"Resolving", LATE), (b"Password:", QUESTION)],
    )
    def test_late(self, output, expected):
        """
        A tool that ran for too long waits for the network, or for an answer.
        """
        assert expected == advice(output, is_late=True, needs=NEEDS)

    @pytest.mark.parametrize("output", [b"error: no such file", b"error: 42", b""])
    def test_hint(self, output):
        """
        The hint about the copy is better than the advice about a missing file.
        """
        assert "x" == advice(output, is_late=False, needs=NEEDS, hint="x")
        refused = advice(
            b"error: 401 Client Error", is_late=False, needs=None, hint="x"
        )
        assert CREDENTIALS == refused

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
