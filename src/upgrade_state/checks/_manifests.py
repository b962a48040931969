"""
Find the files of an environment that its manager needs to resolve.

These are the manifests of all packages below the directory, and the files that
the manifests name: with dynamic metadata, a build back end reads a version,
requirements or a readme from them. Any word of a manifest that is the path of a
file counts as its name. That copies a few files too many and needs no knowledge
of any manager's syntax.
"""

from __future__ import annotations

import glob
import itertools
import os
import re
import stat
from typing import TYPE_CHECKING

from ._cancellation import current_cancellation
from ._scratch import read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final

# Limits of one check: directories that are searched, files and bytes that are copied.
MAX_DIRECTORIES: Final = 10_000
MAX_FILES: Final = 10_000
MAX_BYTES: Final = 256 << 20

# Limit of one manifest.
MAX_WORDS: Final = 50_000

# Files that mark a directory as a virtual environment or as the output of a build.
_GENERATED: Final = frozenset({"pyvenv.cfg", "CACHEDIR.TAG"})

# Installed packages, not developed ones.
_INSTALLED: Final = "node_modules"

# Named files that may name further files, such as requirements.
_LISTS: Final = (".in", ".txt", ".yaml", ".yml")

# A string in quotes, or a word.
_STRING: Final = re.compile(r"""["']([^"'\n]+)["']""")
_WORD: Final = re.compile(r"[^\s\"'`,;<>()\[\]{}=]+")

# A word may be `-e./lib`, `file:lib` or `file:///${PROJECT_ROOT}/lib#sha256=...`.
_BEFORE: Final = re.compile(
    r"(?:-[erc]|(?:file|path|link):)?(?:/*\$\{PROJECT_ROOT\}/?)?"
)
_AFTER: Final = re.compile(r"[?#].*")


def collect(
    directory: str,
    names: Sequence[str],
    beside: Iterable[str],
    *,
    max_directories: int = MAX_DIRECTORIES,
    max_files: int = MAX_FILES,
    max_bytes: int = MAX_BYTES,
    max_words: int = MAX_WORDS,
) -> tuple[list[str], str | None]:
    """
    Return the files to copy, as paths below *directory*, the first manifest first.

    The first manifest is listed even if it is missing; its absence is an error
    later. Also return the first named path that exists outside of *directory*,
    for a hint; None: there is none.

    Args:
        names: The manifests' names.

        beside: Glob patterns of other files of each package.

    Raises:
        Cancelled: The check was cancelled.
    """
    files = _Files(directory, max_files, max_bytes)
    outside: str | None = None
    unread: list[str] = []

    def add_package(package: str) -> None:
        paths = (os.path.normpath(os.path.join(package, name)) for name in names)
        unread.extend(filter(files.add, paths))
        for pattern in beside:
            # A symlink may lead to a directory outside, which is not even listed.
            if not files.is_inside(os.path.join(package, os.path.dirname(pattern))):
                continue
            for found in glob.iglob(pattern, root_dir=os.path.join(directory, package)):
                files.add(os.path.normpath(os.path.join(package, found)))

    for package in _packages(directory, set(names), max_directories):
        add_package(package)
    for manifest in unread:  # which grows
        for word in itertools.islice(_words(directory, manifest), max_words):
            there = os.path.join(directory, os.path.dirname(manifest), word)
            path = os.path.relpath(there, directory)
            if path.startswith("../"):
                if outside is None and os.path.lexists(there):
                    outside = path
            elif os.path.isdir(there):
                if files.is_inside(path) and _INSTALLED not in path.split("/"):
                    add_package(path)
            elif files.add(path) and path.endswith(_LISTS):
                unread.append(path)
    return list(dict.fromkeys((names[0], *files.paths))), outside


class _Files:
    """
    Regular files inside a directory, as many as the limits allow.

    Attributes:
        paths: The files, by their paths below the directory, in order.
    """

    def __init__(self, directory: str, max_files: int, max_bytes: int) -> None:
        self.paths: Final[dict[str, None]] = {}
        self._directory: Final = directory
        self._max_files: Final = max_files
        self._bytes_left = max_bytes

    def is_inside(self, path: str) -> bool:
        """
        Return whether no symlink leads from *path* out of the directory.
        """
        real = os.path.realpath(os.path.join(self._directory, path))
        return os.path.join(real, "").startswith(os.path.join(self._directory, ""))

    def add(self, path: str) -> bool:
        """
        Add a file; return False if there is none, no room, or it was added before.
        """
        if path in self.paths or len(self.paths) >= self._max_files:
            return False
        try:
            status = os.stat(os.path.join(self._directory, path))
        except (OSError, ValueError):  # a NUL, or half a surrogate pair
            return False
        is_file = stat.S_ISREG(status.st_mode) and self.is_inside(path)
        if not is_file or status.st_size > self._bytes_left:
            return False
        self._bytes_left -= status.st_size
        self.paths[path] = None
        return True


def _packages(directory: str, names: set[str], limit: int) -> Iterator[str]:
    """
    Stream the directories below *directory* that have a manifest, itself first.

    At most *limit* directories are searched. Symlinks, hidden directories, virtual
    environments and the output of builds are not.
    """
    walk = itertools.islice(os.walk(directory), limit)
    for path, directories, files in walk:
        _raise_if_cancelled()
        is_root = path == directory
        if not is_root and not _GENERATED.isdisjoint(files):
            directories.clear()
            continue
        directories[:] = sorted(
            name for name in directories if name[0] != "." and name != _INSTALLED
        )
        if is_root or not names.isdisjoint(files):
            yield os.path.relpath(path, directory)


def _words(directory: str, manifest: str) -> Iterator[str]:
    """
    Stream the strings and words of a manifest that may be relative paths.
    """
    _raise_if_cancelled()
    content = read_file(os.path.join(directory, manifest)) or b""
    for line in content.decode(errors="surrogateescape").splitlines():
        for word in itertools.chain(_STRING.findall(line), _WORD.findall(line)):
            name = _AFTER.sub("", _BEFORE.sub("", word, count=1))
            # An absolute path is an interpreter's, for example.
            if name and not os.path.isabs(name):
                yield name


def _raise_if_cancelled() -> None:
    cancellation = current_cancellation()
    if cancellation is not None:
        cancellation.raise_if_cancelled()
