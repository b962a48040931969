"""
Find the reason in the output of a tool that failed, and the advice for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from upgrade_state import _redact

if TYPE_CHECKING:
    from typing import Final

# Of a message, in characters: the rest is for the tool's name and the advice.
LENGTH: Final = _redact.MESSAGE_LENGTH - 100

NO_NETWORK: Final = "check the network and the proxy"

_LINES: Final = 4

# Styles, titles of windows and links.
_STYLE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

# npm and mise begin each line of an error with this.
_PREFIX: Final = re.compile(r"(?:npm (?:error|ERR!)|mise ERROR)\s?")

# npm logs each of its requests, and repeats those that fail.
_REQUEST: Final = "npm http "

# Python's message about a password with a slash, which it takes for a port.
_PORT: Final = re.compile(r"(to integer value as )'.*'")

_TRACEBACK: Final = "Traceback (most recent call last):"

# Pointers to logs, which are removed with the scratch directory, usage and frames.
_NOISE: Final = re.compile(
    r"A complete log of this run|See .*\.log\b|.*Add '-v' to see"
    r"|Version: \d|Run with --verbose"
    r"|You can also run|For more information|Caused by:$|Usage: "
    r"|at .+:\d+|File\b|[\^~ ]+$"
    r"|syscall |errno |(?:address|code|errno|port|requiredBy|syscall|type): "
)

_ERROR: Final = re.compile(
    r"(?!cause)(?:[\w-]+(?: [\w-]+)?: )?error\b|[a-z]\w*(?:Error|Exception):|\u00d7 ",
    re.IGNORECASE,
)
_TROUBLE: Final = re.compile(
    r"\[\w+\]: |\bfailed\b|\bunable to\b|\bcould not\b|\bcannot\b|\bnot found\b"
    r"|\bdoes not exist\b|\bno such\b|\bunknown\b",
    re.IGNORECASE,
)

_UNREACHED: Final = re.compile(
    r"Connection refused|Connection reset|ECONNREFUSED|ECONNRESET|ENOTFOUND"
    r"|EAI_AGAIN|ETIMEDOUT|Network is unreachable|ENETUNREACH|No route to host"
    r"|Name or service not known|name resolution|Could not resolve|dns error"
    r"|[Cc]onnect(?:ion)? timed? ?out|All attempts to connect|Could not connect"
    r"|timed out after|Cannot connect to proxy|not connected to the internet"
)
_OTHER_VERSION: Final = re.compile(
    r"(?:unrecognized|unexpected) argument|no such (?:option|command|subcommand)"
    r"|(?:unknown|invalid) (?:option|command|flag|shorthand flag|argument|cli config)"
    r"|command not found|unrecogni[sz]ed (?:option|flag|command|subcommand)(?![\w-])"
    r"|requested command .* does not exist|The option .* does not exist"
    r"|invalid choice:|is not a (?:recogni[sz]ed|known) (?:flag|option|command)"
    r"|is not expected in this context",
    re.IGNORECASE,
)
_NO_SPACE: Final = re.compile(
    r"No space left|ENOSPC|Disk quota exceeded|EDQUOT|database or disk is full"
)
_QUESTION: Final = re.compile(
    r"EOFError|EOF when reading|^Aborted[!.]?$|not a (?:terminal|tty)|IO error: not"
    r"|/dev/tty\b",
    re.MULTILINE,
)

# The last characters of a prompt.
_PROMPT: Final = (":", "?", "]", ")", ">")


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
    # URLs are redacted line by line: they end with the line.
    line = "; ".join(_reason(_plain(output)))
    return one_line(_PORT.sub(r"\1'...'", line)) or None


def _plain(output: bytes) -> str:
    text = _STYLE.sub("", output.decode(errors="backslashreplace"))
    # A progress display overwrites its line after each carriage return.
    lines = [line.rstrip("\r").split("\r")[-1] for line in text.split("\n")]
    return "\n".join(line for line in lines if not line.startswith(_REQUEST))


def _reason(text: str) -> list[str]:
    lines: list[str] = []
    was_prefixed = False
    for line in text.splitlines():
        is_prefixed = _PREFIX.match(line) is not None
        plain = _PREFIX.sub("", line, count=1).strip()
        if plain and not _NOISE.match(plain):
            # The first line of a block of prefixed ones begins the error.
            lines.append("error: " * (is_prefixed and not was_prefixed) + plain)
        was_prefixed = is_prefixed
    errors = [i for i, line in enumerate(lines) if _ERROR.match(line)]
    troubles = [i for i, line in enumerate(lines) if _TROUBLE.search(line)]
    start = errors[-1] if errors else troubles[0] if troubles else len(lines) - 1
    reason = lines[max(start, 0) :][:_LINES]
    if _TRACEBACK in reason[1:]:
        del reason[reason.index(_TRACEBACK, 1) :]
    return reason


def advice(output: bytes, *, is_late: bool, needs: str | None) -> str | None:
    """
    Return the advice for a tool that failed; None: there is none.

    Args:
        is_late: It was terminated at the time limit.

        needs: The advice if the tool does not know its arguments.
    """
    text = _plain(output)
    reason = _reason(text)
    is_prompt = bool(reason) and reason[-1].endswith(_PROMPT)
    if is_late and not is_prompt:
        return f"{NO_NETWORK}, or give it more time"
    if is_late or _QUESTION.search(text):
        return "it asked a question: run it once yourself, and answer"
    if _NO_SPACE.search(text):
        return "free some space, for example in its cache"
    # Only in the reason: elsewhere it may come from another tool, such as a compiler.
    if any(map(_OTHER_VERSION.search, reason)):
        return needs
    return NO_NETWORK if _UNREACHED.search(text) else None
