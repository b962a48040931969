"""
The language of docstrings, comments, messages and pages is plain.

Two rates stand for it: pronouns for persons, where the actor has a name (the
caller, the checker, the writer), and "what", where the thing has a noun.

Code is not counted, so that the messages of other programs may be quoted: in
Markdown no fenced block and no code span, in Python no string of fewer than four
words and none in `_diagnosis`, which recognises those messages.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

from upgrade_state import cli

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "plugins").glob("*/README.md")),
]

WORD = re.compile(r"[A-Za-z']+")
PERSON = re.compile(r"\b(nobody|somebody|whoever|whom|who)\b", re.IGNORECASE)
WHAT = re.compile(r"\bwhat\b", re.IGNORECASE)

# Per 1 000 words. Comparable projects have 0 to 0.7 and 0 to 1.
MOST_PERSONS = 0.5
MOST_WHATS = 2.0

README_WORDS = 450

COMMANDS = (
    "check", "show", "list", "snooze", "forget", "hook",
    "notify", "record", "path", "prune", "doctor",
)  # fmt: skip


def without_blocks(page: str) -> str:
    """
    Drop fenced blocks.
    """
    return re.sub(r"^ *```.*?^ *```$", "", page, flags=re.DOTALL | re.MULTILINE)


def prose_of_page(page: str) -> str:
    """
    Return the text of a Markdown page, without code and the targets of links.
    """
    page = re.sub(r"`+[^`]+`+", "", without_blocks(page))
    return re.sub(r"\]\([^)]*\)", "]", page)


def documentation(source: str) -> Iterator[str]:
    """
    Yield the comments and docstrings of a module.
    """
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            yield ast.get_docstring(node) or ""


def messages(source: str) -> Iterator[str]:
    """
    Yield the strings of a module that have four words or more, no docstrings.
    """
    nodes = list(ast.walk(ast.parse(source)))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
            and len(WORD.findall(node.value)) > 3
        ):
            yield node.value


def rates(texts: Iterable[str]) -> tuple[float, float]:
    """
    Count both kinds of words per 1 000 words.
    """
    text = "\n".join(texts)
    words = len(WORD.findall(text))
    return (
        1000 * len(PERSON.findall(text)) / words,
        1000 * len(WHAT.findall(text)) / words,
    )


def assert_plain(texts: Iterable[str]) -> None:
    persons, whats = rates(texts)

    assert persons <= MOST_PERSONS, f"{persons:.2f} pronouns for persons"
    assert whats <= MOST_WHATS, f"{whats:.2f} times 'what'"


class TestProse:
    def test_documentation(self):
        """
        Docstrings and comments name actors and things.
        """
        assert_plain(
            text for path in SOURCES for text in documentation(path.read_text())
        )

    def test_messages(self):
        """
        So do messages and help texts.
        """
        own = [path for path in SOURCES if path.name != "_diagnosis.py"]

        assert_plain(text for path in own for text in messages(path.read_text()))

    def test_help(self, capsys):
        """
        So does the help, as it is printed.
        """
        for command in ([], *([name] for name in COMMANDS)):
            with contextlib.suppress(SystemExit):
                cli.main([*command, "--help"])

        assert_plain([capsys.readouterr().out])

    def test_pages(self):
        """
        So do the pages, all of them together.
        """
        assert_plain(prose_of_page(path.read_text()) for path in PAGES)

    def test_no_question(self):
        """
        No sentence of a page or heading begins with "What".
        """
        start = re.compile(r"(?:^|[.!?:]\s+|^#+ )What\b", re.MULTILINE)
        found = {
            path.name: start.findall(prose_of_page(path.read_text())) for path in PAGES
        }

        assert {name: [] for name in found} == found

    def test_readme_is_short(self):
        """
        The README is read in two minutes: tables, links and alt texts count.
        """
        text = without_blocks((ROOT / "README.md").read_text())

        assert len(text.split()) <= README_WORDS


class TestRates:
    def test_per_1000_words(self):
        """
        The rates are per 1 000 words, in any case, of whole words.
        """
        texts = ["Who knows what, WHAT", "ever: somewhat wholesome things"]

        assert (125.0, 250.0) == rates(texts)

    def test_code_is_not_counted(self):
        """
        Code on a page is not counted, be it a block or a span.
        """
        page = "Run `who`:\n\n```console\n$ who am i\n```\n\n[It](what.md) says:\n"

        assert ["Run", "It", "says"] == WORD.findall(prose_of_page(page))

    def test_python(self):
        """
        Of a module its comments, docstrings and messages are.
        """
        source = '''
def f():
    """Do it."""
    return "nothing is known of it", "short"  # errno 5
'''

        assert ["# errno 5", "", "Do it."] == list(documentation(source))
        assert ["nothing is known of it"] == list(messages(source))
