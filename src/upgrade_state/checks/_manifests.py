"""
What a manager needs of an environment's directory, besides the lockfile.

The manifests of the directory and of the packages that they lead to, each with
the files that they name: where metadata are dynamic, a build back end reads a
version, requirements or a readme from them. Whether a text in a manifest means
a file is not known here: what names one that is there is taken for one. That
copies a few files too many, and needs nothing to be known of any manager.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
from typing import TYPE_CHECKING

from upgrade_state import _current
from upgrade_state.exceptions import StateReadError
from upgrade_state.lockfiles import _parse

from ._scratch import copied_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

# Who has more than these is beyond what a check without build can do.
_MAX_PACKAGES: Final = 1000
_MAX_FILES: Final = 10_000
_MAX_BYTES: Final = 256 * 1024 * 1024

# Of one manifest, and of one pattern.
_MAX_NAMES: Final = 50_000
_MAX_MATCHES: Final = 10_000
_MAX_LEVELS: Final = 6

# Longer than a path may be.
_MAX_LENGTH: Final = 4096

# Only what stands under one of these keys may be a pattern for packages.
_PATTERNS: Final = frozenset({"members", "workspaces", "packages"})

# What is a list of wishes itself, if it is named.
_LISTS: Final = (".in", ".txt", ".yaml", ".yml")

# Where others are installed, which is nothing that a package is developed in.
_INSTALLED: Final = "node_modules"

_WORD: Final = re.compile(r"[^\s\"'`,;<>()\[\]{}=]+")
_BEFORE: Final = re.compile(
    r"(?:-[erc]|(?:file|path|link):)?(?:/*\$\{PROJECT_ROOT\}/?)?"
)
_AFTER: Final = re.compile(r"[?#].*", re.DOTALL)


def collect(directory: str, names: Sequence[str], beside: Iterable[str]) -> list[str]:
    """
    Return what to copy, as paths below *directory*; what is missing is not listed.

    The first manifest always is, so that its absence is noticed.

    Args:
        names: The manifests' names.

        beside: Patterns of what belongs to each package as well.
    """
    walk = _Walk(directory, names, beside)
    walk.package(".")
    while walk.rest:
        walk.read(walk.rest.pop())
    return list(dict.fromkeys((names[0], *walk.files)))


class _Walk:
    """
    A walk through the manifests that lead to each other.

    Attributes:
        files: What was found, in order.

        rest: Of these the manifests that have not been read yet.
    """

    def __init__(
        self, directory: str, names: Sequence[str], beside: Iterable[str]
    ) -> None:
        self.files: dict[str, None] = {}
        self.rest: list[str] = []
        self._directory: Final = directory
        self._names: Final = names
        self._beside: Final = tuple(beside)
        self._packages: Final[set[str]] = set()
        self._bytes = 0

    def package(self, path: str) -> None:
        """
        Take the files of a package, if that is what lies there.
        """
        if path in self._packages or len(self._packages) == _MAX_PACKAGES:
            return
        self._packages.add(path)
        for name in self._names:
            if self._take(os.path.join(path, name)):
                self.rest.append(copied_name(os.path.join(path, name)))
        root = os.path.join(self._directory, path)
        for pattern in self._beside:
            for name in _matches(pattern, root):
                self._take(os.path.join(path, name))

    def read(self, manifest: str) -> None:
        """
        Follow what *manifest* names.
        """
        package = os.path.dirname(manifest)
        root = os.path.join(self._directory, package)
        names = _names_in(self._document(manifest), root)
        for name in itertools.islice(names, _MAX_NAMES):
            # Most words are no names at all, and this is the cheapest look.
            if os.path.lexists(os.path.join(root, name)):
                self._follow(os.path.join(package, name))

    def _follow(self, path: str) -> None:
        """
        Take what a manifest names, whatever it is.
        """
        try:
            path = copied_name(path)
        except ValueError:  # elsewhere: the tool will say that it is missing
            return
        if _INSTALLED in path.split("/"):
            return
        if os.path.isdir(os.path.join(self._directory, path)):
            self.package(path)
        elif path not in self.files and self._take(path) and path.endswith(_LISTS):
            self.rest.append(path)

    def _take(self, path: str) -> bool:
        """
        Take a file; False where there is none, or no room for it.
        """
        there = os.path.join(self._directory, path)
        if not os.path.isfile(there):
            return False
        real = os.path.realpath(there)
        if not real.startswith(os.path.join(self._directory, "")):
            return False
        size = os.path.getsize(real)
        if len(self.files) >= _MAX_FILES or self._bytes + size > _MAX_BYTES:
            return False
        self.files[copied_name(path)] = None
        self._bytes += size
        return True

    def _document(self, manifest: str) -> object:
        """
        Parse a manifest that is TOML or JSON; of any other return the lines.

        What the tool cannot read either is for the tool to say.
        """
        try:
            content = _current.read(os.path.join(self._directory, manifest)) or b""
        except StateReadError:
            return None
        load = _parse.load_json if content[:1] == b"{" else _parse.load_toml
        try:
            return load(content)
        except (ValueError, RecursionError):
            return content.decode(errors="replace").splitlines()


def _names_in(document: object, root: str) -> Iterator[str]:
    """
    Stream what may be a name: each text as a whole, and each word of it.
    """
    rest = [(document, False)]
    while rest:
        item, is_pattern = rest.pop()
        if isinstance(item, str):
            yield from _words(item)
            if is_pattern and glob.has_magic(item) and _is_inside(item):
                yield from _matches(item, root)
        elif isinstance(item, dict):
            rest += [(v, is_pattern or k in _PATTERNS) for k, v in item.items()]
        elif isinstance(item, list):
            # What stands first comes first: there may be more than is read.
            rest += [(value, is_pattern) for value in reversed(item)]


def _words(text: str) -> Iterator[str]:
    for word in itertools.chain([text], map(_matched, _WORD.finditer(text))):
        name = _AFTER.sub("", _BEFORE.sub("", word, count=1))
        if 0 < len(name) <= _MAX_LENGTH and _is_inside(name):
            yield name


def _matched(word: re.Match[str]) -> str:
    return word[0]


def _is_inside(name: str) -> bool:
    return "\0" not in name and not os.path.isabs(name)


def _matches(pattern: str, root: str) -> Iterator[str]:
    """
    Stream what a pattern stands for; ``**`` is a few levels at most.

    Else symlinks that lead in circles could keep it busy for ever.
    """
    levels = ("/".join("*" * level) or "." for level in range(_MAX_LEVELS))
    patterns = dict.fromkeys(
        os.path.normpath(pattern.replace("**", level)) for level in levels
    )
    found = (
        glob.iglob(one, root_dir=root)
        for one in patterns
        if one.count("/") <= _MAX_LEVELS
    )
    return itertools.islice(itertools.chain.from_iterable(found), _MAX_MATCHES)
