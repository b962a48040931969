"""
Make foreign text safe for a terminal, a log and a record.
"""

# Maximum length of an error message in a record.
MESSAGE_LENGTH = 500

_SPACE = frozenset(" \t\n\v\f\r")

# Characters that end a URL in the output of a tool. Passwords may contain
# characters that URLs may not. Everything up to the last `@` before a space is
# removed: too much is better than part of a password.
_URL_ENDS = _SPACE | frozenset('"`<>')

# Punctuation that follows a URL in a sentence.
_AFTER_URL = "')]},.;:"


def clean(text: str) -> str:
    r"""
    Escape everything in *text* that is not printable.

    Control characters, escape sequences, line breaks, direction overrides and
    lone surrogates come out as Python writes them in a literal (``\x1b``, ``\n``);
    printable text of any language is left as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )


def without_urls(text: str) -> str:
    """
    Replace every URL in *text* by ``<URL>``: it may contain credentials.
    """
    # JSON may escape the slashes.
    head, *tails = text.replace(r":\/\/", "://").split("://")
    parts = [head]
    for tail in tails:
        parts[-1] = parts[-1][: _scheme_start(parts[-1])]
        parts += ["<URL>", tail[_url_end(tail) :]]
    return "".join(parts)


def safe(text: str) -> str:
    """
    Return *text* without URLs, and with everything escaped that is not printable.
    """
    return clean(without_urls(text))


def _url_end(tail: str) -> int:
    at = tail.rfind("@", 0, _first(_SPACE, tail))
    end = _first(_URL_ENDS, tail, max(at, 0))
    return len(tail[:end].rstrip(_AFTER_URL))


def _first(chars: frozenset[str], text: str, start: int = 0) -> int:
    found = (i for i in range(start, len(text)) if text[i] in chars)
    return next(found, len(text))


def _scheme_start(head: str) -> int:
    """
    Return where the scheme that ends *head* begins.
    """
    start = len(head)
    while start and (head[start - 1].isalnum() or head[start - 1] in "+-."):
        start -= 1
    return start


def message_of(text: str, limit: int) -> str:
    """
    Return *text* as one line for a record, at most *limit* ASCII characters.

    URLs are replaced, control characters escaped, white space is folded. A longer
    text keeps its beginning and its end. Other characters count as their escapes.
    """
    line = clean(" ".join(without_urls(text).split()))
    ascii_line = line.encode("ascii", "backslashreplace").decode("ascii")
    if len(ascii_line) <= limit:
        return line
    half = (limit - 3) // 2
    return f"{ascii_line[:half]}...{ascii_line[-half:]}"
