"""
Damage bytes, and texts of JSON by their values: the same for the same random numbers.
"""

import json
import re
from pathlib import Path

# Contents from which damage takes pieces; a target adds its own.
OTHERS = []

# Texts that are odd as names, paths and arguments, and some that are not.
ODD = json.loads(Path(__file__).with_name("odd.json").read_text())
LONG = ["x" * 64, "x" * 255, "x" * 256, "é" * 128, "a/" * 3000, "../" * 40, "/x" * 2500]

# Bytes of one flood.
FLOOD = 100_000

TOKENS = (
    *(bytes([number]) for number in range(129)),
    *(b"null true -1 1e999 [] {} '' \"\" [[ ]] = : , . - # & * ! | > % @ \\".split()),
    *(b"\\ud800 \\u0000 \xef\xbb\xbf \xff\xfe \xc2\x85 \xe2\x80\xa8".split()),
    *(b"!!binary &a *a << ? --- ... ''' \"\"\" <<<<<<< >>>>>>>".split()),
    *(b"\r\n", b"\n\n", b"\n- ", b"\n  ", b"\n[a]\n", b"\n[[a]]\n", b"\na = ", b"a."),
    *(b"9" * 5000, b"[" * 300, b"{" * 300, b"a." * 300, b'{"a":' * 300, b"- " * 300),
    *(b"node_modules/", b"git+https://u:p@h/x@", b"#" + b"a" * 40, b"@1.0", b"name"),
)


def damaged(rng, content):
    """
    Return *content* with one to four things done to it.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        content = rng.choice(DAMAGES)(rng, content)
    return content


def cut(rng, content):
    """
    Return two places in *content*, mostly near each other.
    """
    start = rng.randint(0, len(content))
    length = rng.choice((1, 4, 16, 64, 256, len(content)))
    return start, min(len(content), start + rng.randint(0, length))


def flip(rng, content):
    if not content:
        return content
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def insert(rng, content):
    start, stop = cut(rng, content)
    return content[:start] + rng.choice(TOKENS) + content[rng.choice((start, stop)) :]


def rearrange(rng, content):
    """
    Delete, truncate, repeat or move a piece.
    """
    start, stop = cut(rng, content)
    pieces = content[:start], content[start:stop], content[stop:]
    return b"".join(rng.choices(pieces, k=rng.randint(1, 5)))


def splice(rng, content):
    other = rng.choice(OTHERS)
    return content[: cut(rng, content)[0]] + other[cut(rng, other)[0] :]


def flood(rng, content):
    """
    Repeat a piece, or put in a token, until there are a hundred kilobytes.

    This finds readers whose time grows with the square of the size.
    """
    start, stop = cut(rng, content)
    piece = rng.choice((content[start:stop], rng.choice(TOKENS))) or b"\n"
    times = FLOOD // len(piece)
    return damaged(rng, content[:stop] + piece * times + content[stop:])


def lines(rng, content):
    found = content.splitlines(keepends=True)
    rng.shuffle(found)
    return b"".join(found[: rng.randint(1, len(found) + 1)])


def values(rng, content):
    """
    Put something else in place of a word, everywhere.
    """
    words = content.replace(b'"', b" ").replace(b"'", b" ").split()
    if not words:
        return content
    return content.replace(rng.choice(words), rng.choice(TOKENS), rng.choice((1, -1)))


def reassign(rng, content):
    """
    Give some key another value, of any shape, so that most of it stays valid.
    """
    places = list(VALUE.finditer(content))
    if not places:
        return content
    place = rng.choice(places)
    value = rng.choice((rng.choice(places)[0], *SHAPES))
    return content[: place.start()] + value + content[place.end() :]


VALUE = re.compile(rb"(?<=[=:[,])\s*(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s,\"'\]}[{]+)")
SHAPES = (
    *(b" 1", b" 0", b" -1.5", b" true", b" null", b" [ ]", b" {}", b" [[1]]", b" [{}]"),
    *(b' ""', b' "x"', b' "1@2/3#4"', b' "\\u0000"', b' {"a" = 1}', b' {"a": "b"}'),
)

DAMAGES = (
    reassign,
    reassign,
    reassign,
    flip,
    insert,
    rearrange,
    rearrange,
    rearrange,
    splice,
    lines,
    values,
)


# JSON

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')

# Values of every type, within and beyond the limits of a record.
ANYTHING = (
    *(b"null true false 0 -0 1 -1 1.0 -0.0 1e2 1E+2 1e400 -1e400 1e-400 NaN".split()),
    *(b"Infinity -Infinity 01 1. .5 +1 0x1 9007199254740991 9007199254740992".split()),
    *(b"9007199254740993 9223372036854775808 -9007199254740992 7.0".split()),
    *(b"9" * 4300, b"9" * 4301, b"0." + b"1" * 400, b"1e5", b"1.5e308", b"2e308"),
    *(b'"" "x" "\\u0000" "\\ud800" "\\udce9" "\\ud83d\\ude00" "\\udc41" "\\/"'.split()),
    *('"é"'.encode(), b'"\xff"', b'"\xed\xa0\x80"', b'"a\tb"', b'"\\x"', b"'x'", b'"'),
    *(b'"' + b"x" * n + b'"' for n in (63, 64, 65, 254, 255, 256, 1000, 5000)),
    *(b'"' + b"\\u00e9" * n + b'"' for n in (64, 127, 128, 166, 167)),
    *(rb'"\u001b]0;x\u0007" "\u202e" "\u009b31m" "\n\n" "%s{}{0.a}" "\r"'.split()),
    *(b'[] {} [[]] [null] [0] [""] ["a"] ["A=b"] {"":0} {"a":null}'.split()),
    *(b"[" * n + b"]" * n for n in (12, 13, 14, 15, 16, 17, 300)),
    *(b'{"a":' * n + b"0" + b"}" * n for n in (13, 14, 15, 16, 17)),
    *(
        b'"%s"' % path
        for path in rb"/ // /.. /a/ ./a a/b a/../b ../a . .. a\\b ~".split()
    ),
)


class Json:
    """
    A valid text of JSON, and the places of its values and members.

    Attributes:
        values: Name of the field (b"" at the top), start and end of each value.

        members: Start of the name and end of the value of each member.
    """

    def __init__(self, content):
        self.content = content
        self.values, self.members = [], []
        stack, name, at = [], b"", None
        tokens = list(_TOKEN.finditer(content))
        for token, following in zip(tokens, [*tokens[1:], None], strict=True):
            text, start, end = token[0], token.start(), token.end()
            if following is not None and following[0] == b":":
                name, at = text, start
                continue
            if text in b"{[":
                stack.append((name, at, start))
                at = None
                continue
            if text in b":,":
                continue
            if text in b"}]":
                name, at, start = stack.pop()
            self.values.append((name, start, end))
            if at is not None:
                self.members.append((at, end))

    def damaged(self, rng, values):
        """
        Return the text with one to four values or members replaced.

        Args:
            values: Values by the name of a field, from which most come.
        """
        content = self.content
        edits = {}
        for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
            start, end, new = self._edit(rng, values)
            edits[start] = end, new
        pieces, done = [], 0
        for start in sorted(edits):
            end, new = edits[start]
            if start >= done:
                pieces += content[done:start], new
                done = end
        pieces.append(content[done:])
        return b"".join(pieces)

    def _edit(self, rng, values):
        name, start, end = rng.choice(self.values)
        choice = rng.random()
        if choice < 0.6:
            return start, end, rng.choice(values.get(name, ANYTHING))
        if choice < 0.75:
            return start, end, rng.choice(ANYTHING)
        if choice < 0.85:
            _, first, last = rng.choice(self.values)
            return start, end, self.content[first:last]
        start, end = rng.choice(self.members)
        old, value = self.content[start:end], rng.choice(ANYTHING)
        name = rng.choice(
            (b'"more":', b'"\\u0000":', b'"":', old.partition(b":")[0] + b":")
        )
        new = name + value
        return (
            start,
            end,
            rng.choice((new, new + b"," + old, old + b"," + new, b" %s\r\n" % old)),
        )
