"""
What a tool said when it gave up, and what can be done about it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from upgrade_state import _redact

if TYPE_CHECKING:
    from typing import Final

# Of a message: there is room left to say who said it, and what to do.
LENGTH: Final = _redact.MESSAGE_LENGTH - 100

# What to do about it.
NO_NETWORK: Final = "check the network and the proxy"

_LINES: Final = 4

# Colours and the like, titles of windows, links: a message is read in places
# that have none.
_STYLE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\))")

# What npm and mise begin each line of an error with, behind which they say it.
_PREFIX: Final = re.compile(r"(?:npm (?:error|ERR!)|mise ERROR)\s?")

# Each of npm's requests: one that has failed is made again.
_REQUEST: Final = "npm http "

# What Python says of a password that has a slash in it, if not a port.
_NO_PORT: Final = re.compile(r"(to integer value as )'.*'")

# What follows it is for those who wrote the tool.
_TRACE: Final = "Traceback (most recent call last):"

# Where to find more, which is gone with the scratch directory, and frames.
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
# What a question ends with that nobody has answered.
_PROMPTS: Final = (":", "?", "]", ")", ">")

_ASKED: Final = re.compile(
    r"EOFError|EOF when reading|^Aborted[!.]?$|not a (?:terminal|tty)|IO error: not"
    r"|/dev/tty\b",
    re.MULTILINE,
)


def last_words(output: bytes) -> str:
    """
    Return what a tool said when it gave up, as one line.

    From the last line that calls itself an error on; else from the first that
    tells of trouble on; else the last line.
    """
    # Each line alone: a URL ends where its line does.
    said = "; ".join(_said(output))
    return _redact.message_of(_NO_PORT.sub(r"\1'...'", said), LENGTH)


def _said(output: bytes) -> list[str]:
    lines = _lines(_plain(output))
    errors = [i for i, line in enumerate(lines) if _ERROR.match(line)]
    troubles = [i for i, line in enumerate(lines) if _TROUBLE.search(line)]
    start = errors[-1] if errors else troubles[0] if troubles else len(lines) - 1
    said = lines[max(start, 0) :][:_LINES]
    if _TRACE in said[1:]:
        del said[said.index(_TRACE, 1) :]
    return said


def _plain(output: bytes) -> str:
    text = _STYLE.sub("", output.decode(errors="backslashreplace"))
    # What was drawn over, as by a progress display, is not there any more.
    lines = [line.rstrip("\r").split("\r")[-1] for line in text.split("\n")]
    return "\n".join(line for line in lines if not line.startswith(_REQUEST))


def _lines(text: str) -> list[str]:
    """
    Return what is worth quoting.
    """
    lines = []
    was_prefixed = False
    for line in text.splitlines():
        words = _PREFIX.sub("", line, count=1).strip()
        is_prefixed = _PREFIX.match(line) is not None
        if words and not _NOISE.match(words):
            # Such an error goes over lines: it begins where the block does.
            lines.append("error: " * (is_prefixed and not was_prefixed) + words)
        was_prefixed = is_prefixed
    return lines


def advice(output: bytes, *, is_late: bool, needs: str) -> str:
    """
    Say what to do about a tool that failed; "": its own words are all there is.

    Args:
        is_late: It was ended, since it took too long.

        needs: What to do if it is too old; "": nobody knows.
    """
    text, said = _plain(output), _said(output)
    if is_late and not (said and said[-1].endswith(_PROMPTS)):
        return f"{NO_NETWORK}, or give it more time"
    if is_late or _ASKED.search(text):
        return "it asked a question: run it once where it can be answered"
    if _NO_SPACE.search(text):
        return "free some space, where it keeps its cache for example"
    # Elsewhere it may be the word of another tool, a compiler's for example.
    if any(map(_OTHER_VERSION.search, said)):
        return needs
    return NO_NETWORK if _UNREACHED.search(text) else ""
