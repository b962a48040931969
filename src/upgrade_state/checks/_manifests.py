"""
What a manager needs of an environment's directory, besides the lockfile.

The manifests of the directory and of the packages that they lead to, each with
the files that they name: where metadata are dynamic, a build back end reads a
version, requirements or a readme from them. Whether a text in a manifest means
a file is not known here: what names one that is there is taken for one. That
copies a few files too many, and needs nothing to be known of any manager.
"""

from __future__ import annotations

import fnmatch
import glob
import itertools
import os
import re
import stat
from typing import TYPE_CHECKING

from upgrade_state import _lockfile
from upgrade_state.exceptions import StateReadError
from upgrade_state.lockfiles import _parse

from ._cancellation import current_cancellation
from ._scratch import copied_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

# Who has more than these is beyond what a check without build can do.
_MAX_PACKAGES: Final = 1000
_MAX_FILES: Final = 10_000
_MAX_BYTES: Final = 256 * 1024 * 1024

# Of one manifest.
_MAX_NAMES: Final = 50_000

# Of what lies in directories that are searched, and of directories on the way
# there, in all.
_MAX_ENTRIES: Final = 100_000

# Of patterns, in all; and of each of them, with the path of its package: names
# and characters. Each takes time, whether there is anything like it or not.
_MAX_PATTERNS: Final = 500
_MAX_DEPTH: Final = 50
_MAX_LENGTH: Final = 500

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


def collect(
    directory: str, names: Sequence[str], beside: Iterable[str]
) -> tuple[list[str], str]:
    """
    Return what to copy, as paths below *directory*; what is missing is not listed.

    The first manifest always is, so that its absence is noticed. Besides, the
    first path that is named and leads out of *directory*, to where something
    is; "": none does.

    Args:
        names: The manifests' names.

        beside: Patterns of what belongs to each package as well.

    Raises:
        Cancelled: The check was cancelled.
    """
    walk = _Walk(directory, names, beside)
    walk.package(".")
    cancellation = current_cancellation()
    while walk.rest:
        if cancellation is not None:
            cancellation.raise_if_cancelled()
        walk.read(walk.rest.pop())
    return list(dict.fromkeys((names[0], *walk.files))), walk.outside


class _Walk:
    """
    A walk through the manifests that lead to each other.

    Attributes:
        files: What was found, in order.

        rest: Of these the manifests that have not been read yet.

        outside: What was found first that is elsewhere; "": nothing.
    """

    def __init__(
        self, directory: str, names: Sequence[str], beside: Iterable[str]
    ) -> None:
        self.files: dict[str, None] = {}
        self.rest: list[str] = []
        self.outside = ""
        self._directory: Final = directory
        self._names: Final = names
        self._beside: Final = tuple(beside)
        self._packages: Final[set[str]] = set()
        self._bytes = 0
        self._entries_left = _MAX_ENTRIES
        self._patterns_left = _MAX_PATTERNS

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
        for pattern in self._beside:
            for found in self._matches(path, pattern):
                self._take(found)

    def read(self, manifest: str) -> None:
        """
        Follow what *manifest* names.
        """
        package = os.path.dirname(manifest)
        paths = itertools.chain.from_iterable(
            self._paths(package, text, is_pattern=is_pattern)
            for text, is_pattern in _texts_in(self._document(manifest))
        )
        for path in itertools.islice(paths, _MAX_NAMES):
            self._follow(path)

    def _paths(self, package: str, text: str, *, is_pattern: bool) -> Iterator[str]:
        """
        Stream what may be a path: a text as a whole, and each word of it.
        """
        for word in (text, *map(_matched, _WORD.finditer(text))):
            name = _AFTER.sub("", _BEFORE.sub("", word, count=1))
            if name:
                yield os.path.join(package, name)
        if is_pattern and self._patterns_left and glob.has_magic(text):
            self._patterns_left -= 1
            yield from self._matches(package, text)

    def _follow(self, path: str) -> None:
        """
        Take what a manifest names, whatever it is.
        """
        try:
            path = copied_name(path)
        except ValueError:  # elsewhere: the tool will say that it is missing
            self._look_outside(path)
            return
        # Most words are no names at all.
        there = os.path.join(self._directory, path)
        if _INSTALLED in path.split("/") or not os.path.lexists(there):
            return
        if os.path.isdir(there):
            self.package(path)
        elif path not in self.files and self._take(path) and path.endswith(_LISTS):
            self.rest.append(path)

    def _look_outside(self, path: str) -> None:
        if self.outside or os.path.isabs(path):  # an interpreter's, for example
            return
        # By its text alone: a manifest may have any number of them.
        there = os.path.normpath(os.path.join(self._directory, path))
        inside = os.path.join(self._directory, "")
        if not os.path.join(there, "").startswith(inside) and os.path.lexists(there):
            self.outside = os.path.normpath(path)

    def _take(self, path: str) -> bool:
        """
        Take a file; False where there is none, or no room for it.
        """
        try:
            status = os.stat(os.path.join(self._directory, path))
        except OSError:
            return False
        if not stat.S_ISREG(status.st_mode) or not self._is_inside(path):
            return False
        size = self._bytes + status.st_size
        if len(self.files) >= _MAX_FILES or size > _MAX_BYTES:
            return False
        self.files[copied_name(path)] = None
        self._bytes = size
        return True

    def _matches(self, package: str, pattern: str) -> Iterator[str]:
        """
        Stream what a pattern of a package stands for.
        """
        try:
            whole = copied_name(os.path.join(glob.escape(package), pattern))
        except ValueError:  # elsewhere
            return
        if len(whole) > _MAX_LENGTH or whole.count("/") >= _MAX_DEPTH:
            return
        rest = [(".", tuple(whole.split("/")))]
        while rest:
            path, parts = rest.pop()
            if parts:
                rest += self._steps(path, *parts)
            else:
                yield path

    def _steps(
        self, path: str, part: str, *parts: str
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """
        Stream where the first part of a pattern leads, and what is left of it.
        """
        if not glob.has_magic(part):
            names = (part, *itertools.takewhile(_is_name, parts))
            path, parts = os.path.join(path, *names), parts[len(names) - 1 :]
            if parts:
                self._spend(path.count("/"))
            if not parts or self._is_inside(path):
                yield path, parts
            return
        if part == "**":
            yield path, parts
            parts = (part, *parts)
        for entry in self._entries(path):
            # Not on through symlinks, which may lead in circles.
            is_way = not parts or entry.is_dir(follow_symlinks=False)
            if is_way and fnmatch.fnmatchcase(entry.name, part):
                yield os.path.join(path, entry.name), parts

    def _entries(self, path: str) -> list[os.DirEntry[str]]:
        """
        List a directory, without what is hidden or installed.
        """
        self._spend(1)
        try:
            with os.scandir(os.path.join(self._directory, path)) as entries:
                found = list(itertools.islice(entries, self._entries_left))
        except OSError:
            return []
        self._spend(len(found))
        return [e for e in found if e.name[0] != "." and e.name != _INSTALLED]

    def _spend(self, number: int) -> None:
        self._entries_left = max(self._entries_left - number, 0)

    def _is_inside(self, path: str) -> bool:
        real = os.path.realpath(os.path.join(self._directory, path))
        return os.path.join(real, "").startswith(os.path.join(self._directory, ""))

    def _document(self, manifest: str) -> object:
        """
        Parse a manifest that is TOML or JSON; of any other return the lines.

        What the tool cannot read either is for the tool to say.
        """
        try:
            content = _lockfile.read(os.path.join(self._directory, manifest)) or b""
        except StateReadError:
            return None
        load = _parse.load_json if content[:1] == b"{" else _parse.load_toml
        try:
            return load(content)
        except (ValueError, RecursionError):
            return content.decode(errors="replace").splitlines()


def _texts_in(document: object) -> Iterator[tuple[str, bool]]:
    """
    Stream the texts of a manifest, and whether each may be a pattern.
    """
    rest = [(document, False)]
    while rest:
        item, is_pattern = rest.pop()
        if isinstance(item, str):
            yield item, is_pattern
        elif isinstance(item, dict):
            rest += [(v, is_pattern or k in _PATTERNS) for k, v in item.items()]
        elif isinstance(item, list):
            # What stands first comes first: there may be more than is read.
            rest += [(value, is_pattern) for value in reversed(item)]


def _is_name(part: str) -> bool:
    return not glob.has_magic(part)


def _matched(word: re.Match[str]) -> str:
    return word[0]
