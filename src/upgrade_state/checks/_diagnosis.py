"""
Find the reason in the output of a tool that failed, and the advice for it.
"""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources
from typing import TYPE_CHECKING

from upgrade_state import _redact

if TYPE_CHECKING:
    from typing import Any, Final

# Of a message, in characters: the rest is for the tool's name and the advice.
LENGTH: Final = _redact.MESSAGE_LENGTH - 100

NO_NETWORK: Final = "check the network and the proxy"
_MORE_TIME: Final = f"{NO_NETWORK}, or give it more time (--timeout)"
_ANSWER: Final = "it asked a question: run it once yourself, and answer"
_CREDENTIALS: Final = "if an index needs credentials, pass them with --env NAME"
_COPY: Final = "if it needs a file that is not copied, name it with --copy PATH"

# Of the reason in a message, and of the output at a terminal.
_LINES: Final = 4
_LAST_LINES: Final = 20
_LINE_LENGTH: Final = 500

# A short reason is shown with the lines before it, up to this number of lines.
_CONTEXT: Final = 12

# Tools say at the end why they failed.
_TAIL: Final = 32 << 10

# Styles, titles of windows and links.
_STYLE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

# Pipenv folds its output after 80 characters, in the middle of a password too.
_FOLDED: Final = re.compile(r"(://[^\s@]{0,500})\n(?=\S{0,500}@)")

# npm and mise begin each line of an error with this.
_PREFIX: Final = re.compile(r"(?:npm (?:error|ERR!)|mise ERROR)\s?")

# Python's message about a password with a slash, which it takes for a port.
_PORT: Final = re.compile(r"(to integer value as )'.*'")

_TRACEBACK: Final = re.compile(r".*Traceback \(most recent|Stack backtrace:")

# pip quotes the output of a build up to this line. Its own errors follow.
_END_OF_BUILD: Final = "[end of output]"

# The last characters of a prompt.
_PROMPT: Final = (":", "?", "]", ")", ">")


@functools.cache
def tables() -> dict[str, Any]:
    """
    Read ``diagnosis.toml``.
    """
    # As a resource: in a zip archive it has no path.
    file = resources.files("upgrade_state.checks") / "diagnosis.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


@functools.cache
def _pattern(name: str) -> re.Pattern[str]:
    table = tables()[name]
    flags = re.MULTILINE | (re.IGNORECASE if table["ignore_case"] else 0)
    return re.compile("|".join(table["patterns"]), flags)


def one_line(text: str) -> str:
    """
    Return *text* as one line for a message, without URLs and control characters.
    """
    return _redact.message_of(text, LENGTH)


def last_words(output: bytes) -> str | None:
    """
    Return the reason that a tool gave when it failed, as one line.

    It begins with the last line that calls itself an error, else with the first
    one about trouble, else it is the last line. None: there was no output.
    """
    reason = _reason(_plain(output))[0]
    # URLs are redacted line by line: they end with the line.
    return one_line(_PORT.sub(r"\1'...'", "; ".join(reason[:_LINES]))) or None


def last_lines(output: bytes) -> tuple[str, ...]:
    """
    Return the end of the output with the reason, for a terminal.

    The lines are as they were, but for URLs, control characters, and what follows
    the first 500 characters. There are at most 20.
    """
    lines = _reason(_plain(output))[1]
    text = "\n".join(lines[:_LAST_LINES]).strip("\n").expandtabs()
    text = _PORT.sub(r"\1'...'", _redact.without_urls(text))
    lines = text.split("\n") if text else []
    return tuple(_redact.clean(line[:_LINE_LENGTH]) for line in lines)


def _plain(output: bytes) -> list[str]:
    text = _STYLE.sub("", output[-_TAIL:].decode(errors="backslashreplace"))
    text = _FOLDED.sub(r"\1", text)
    # A progress display overwrites its line after each carriage return.
    lines = (
        line.rstrip("\r").split("\r")[-1].rstrip() for line in text.rstrip().split("\n")
    )
    return [line for line in lines if not _pattern("dropped").match(line)]


def _reason(output: list[str]) -> tuple[list[str], list[str]]:
    """
    Return the lines of the reason without noise; and as they were, with those before.
    """
    lines: list[tuple[int, str]] = []
    was_prefixed = False
    for number, line in enumerate(output):
        is_prefixed = _PREFIX.match(line) is not None
        plain = _PREFIX.sub("", line, count=1).strip()
        if plain and not _pattern("noise").match(plain):
            # The first line of a block of prefixed ones begins the error.
            plain = "error: " * (is_prefixed and not was_prefixed) + plain
            lines.append((number, plain))
        was_prefixed = is_prefixed
    if not lines:
        return [], []
    built = [i for i, line in enumerate(output) if line.endswith(_END_OF_BUILD)]
    errors = [
        i
        for i, (number, line) in enumerate(lines)
        if _pattern("error").match(line) and number < max(built, default=len(output))
    ]
    troubles = [
        i for i, (_, line) in enumerate(lines) if _pattern("trouble").search(line)
    ]
    start = errors[-1] if errors else troubles[0] if troubles else len(lines) - 1
    traces = [i for i, (_, line) in enumerate(lines) if _TRACEBACK.match(line)]
    end = min((i for i in traces if i > start), default=len(lines))
    first, after = lines[start][0], lines[end][0] if end < len(lines) else len(output)
    if not traces or traces[0] >= start:
        first = max(min(first, after - _CONTEXT), 0)
    return [line for _, line in lines[start:end]], output[first:after]


def advice(
    output: bytes, *, is_late: bool, needs: str | None, hint: str | None = None
) -> str | None:
    """
    Return the advice for a tool that failed; None: there is none.

    Args:
        is_late: It was terminated at the time limit.

        needs: The advice if the tool does not know its arguments.

        hint: The ways in which the copy of the project lacks something, which are
            the advice if the output leads to none, or says that a file is missing.
    """
    lines = _plain(output)
    reason = _reason(lines)[0]
    if is_late:
        is_prompt = bool(reason) and reason[-1].endswith(_PROMPT)
        return _ANSWER if is_prompt else _MORE_TIME
    text, words = "\n".join(lines), "\n".join(reason)
    for name, place, todo in (
        ("question", text, _ANSWER),
        ("no-space", text, "free some space, for example in its cache"),
        # Elsewhere this may come from another tool, such as a compiler.
        ("other-version", words, needs),
        ("unreached", text, NO_NETWORK),
        ("refused", text, _CREDENTIALS),
        ("no-version", text, f"{NO_NETWORK}; {_CREDENTIALS}"),
        ("no-file", words, hint or _COPY),
    ):
        if todo is not None and _pattern(name).search(place):
            return todo
    return hint
