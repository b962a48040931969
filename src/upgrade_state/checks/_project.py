"""
Find the files of a project, and copy them to a scratch directory.

The project is the git work tree that the environment's directory is in, or else that
directory. Of a work tree, the files are copied that git tracks or would add; of any
other directory, all but the well-known heavy ones. On top come the manifests and the
files that a manifest names, even if git ignores them: any word of a manifest that is
the path of a file counts as its name, which needs no knowledge of its syntax.

A copy contains regular files, directories, and the symlinks that stay inside.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import itertools
import os
import re
import stat
import time
from typing import TYPE_CHECKING

import attrs

from upgrade_state.exceptions import ResolverError

from . import _git, _supervisor
from ._cancellation import current_cancellation
from ._containment import size
from ._scratch import READ, is_inside, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from ._command import Command
    from ._scratch import Scratch

# Limits of a copy.
MAX_FILES: Final = 200_000
MAX_BYTES: Final = 1 << 30
MAX_SECONDS: Final = 60

# Limit of one manifest.
MAX_WORDS: Final = 50_000

# Directories that a tool makes and can make again, or that are of no use in a copy.
_HEAVY: Final = frozenset(
    re.findall(
        r"\S+",
        """
        .git .hg .svn .jj .bzr _darcs
        .venv .tox .nox .eggs __pypackages__ __pycache__
        .mypy_cache .ruff_cache .pytest_cache .hypothesis
        node_modules bower_components .pnpm-store .parcel-cache .turbo
        .next .nuxt .svelte-kit
        .pixi .devbox .direnv .spack-env .gradle .terraform .cache
        """,
    )
)

# Entries that mark a virtual environment; and also the output of a build, or a cache.
_INSTALLED: Final = ("pyvenv.cfg", "conda-meta")
_GENERATED: Final = frozenset({*_INSTALLED, "CACHEDIR.TAG"})

# Named files that may name further files, such as requirements.
_LISTS: Final = (".in", ".txt", ".yaml", ".yml")

_ARCHIVES: Final = (".whl", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")

# A string in quotes, or a word.
_STRING: Final = re.compile(r"""["']([^"'\n]+)["']""")
_WORD: Final = re.compile(r"[^\s\"'`,;<>()\[\]{}=]+")

# A word may be `-e./lib`, `file:lib` or `file:///${PROJECT_ROOT}/lib#sha256=...`.
_BEFORE: Final = re.compile(
    r"(?:-[ercf]|(?:file|path|link):)?(?:/*\$\{PROJECT_ROOT\}/?)?"
)
_AFTER: Final = re.compile(r"[?#].*")

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL

# The file system of the scratch directory refuses a name: not UTF-8, too long, or equal
# to another one if case does not count.
_REFUSED: Final = frozenset(
    {errno.EILSEQ, errno.EINVAL, errno.ENAMETOOLONG, errno.EEXIST}
)

# Hints.
_NAMED: Final = "only named files were copied: add others with --copy"
_NO_GIT: Final = "there was no version control"

# So many of the files that were not copied are named.
_EXAMPLES: Final = 3


class _LimitError(Exception):
    """
    A project exceeds a limit, which the message names.
    """


class _Budget:
    """
    The number of files and the time that a copy may take.
    """

    def __init__(self) -> None:
        self._deadline: Final = time.monotonic() + MAX_SECONDS

    def check(self, files: int = 0) -> None:
        """
        Raise if a limit is exceeded, or the check was cancelled.
        """
        cancellation = current_cancellation()
        if cancellation is not None:
            cancellation.raise_if_cancelled()
        if files > MAX_FILES:
            raise _LimitError(f"has more than {MAX_FILES:,} files".replace(",", " "))
        if time.monotonic() > self._deadline:
            raise _LimitError(f"takes longer than {MAX_SECONDS} s to copy")


@attrs.define
class Project:
    """
    The project of an environment, and its copy. Use `project_of` to make one.

    All paths are below *top*, without detours. The top itself is "".

    Attributes:
        top: The directory that is copied. The environment's is in it, or is it.
    """

    _directory: str
    top: str
    # The environment's directory, with a slash at the end.
    _here: str
    # A file that is not copied.
    _but: str
    # The files of git; None: there is no repository, or too much is in it.
    _tracked: list[str] | None
    _limit: _LimitError | None
    _hints: list[str]
    # Of a home directory, and of installed packages, only what is named is of use.
    _is_whole: bool
    _budget: _Budget = attrs.field(factory=_Budget, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    # The files, and whether each is a symlink.
    _files: dict[str, bool] = attrs.field(factory=dict, init=False)
    # The directories of the copy, and whether each could be made.
    _directories: dict[str, bool] = attrs.field(factory=dict, init=False)
    _folders: list[str] = attrs.field(factory=list, init=False)
    # Directories in whose copies version control works.
    _repositories: list[str] = attrs.field(factory=list, init=False)
    # Without one of these, a tool may use other settings and succeed.
    _needed: set[str] = attrs.field(factory=set, init=False)
    _skipped: list[str] = attrs.field(factory=list, init=False)
    _outside: str | None = attrs.field(default=None, init=False)

    def copy(self, place: Scratch, command: Command) -> str | None:
        """
        Copy the project for a command, whose fields name more files.

        If the project exceeds a limit, only the files are copied that are named, if
        the *copies* name some.

        Returns:
            The ways in which the copy lacks something; None: it has all.

        Raises:
            ResolverError: A limit is exceeded, a file is missing, has changed
                meanwhile, or cannot be written.
            Cancelled: The check was cancelled.
        """
        if self._tracked is not None or self._limit is not None:
            self._repositories.append("")
        try:
            if not self._is_whole:
                self._hints.append(_NAMED)
            elif self._limit is not None:
                raise self._limit
            else:
                self._add_tree("", self._tracked)
            self._add_named(command)
            self._write(place)
        except _LimitError as limit:
            if not command.copies or not self._is_whole:
                todo = f"name those that {command.tool} needs with --copy"
                raise self._error(f"{self.top!r} {limit}; {todo}") from limit
            _supervisor.remove(place.project)
            place.directory("project")
            return attrs.evolve(self, is_whole=False).copy(place, command)
        return "; ".join(dict.fromkeys([*self._lacks(), *self._hints])) or None

    def _add_tree(self, start: str, tracked: list[str] | None = None) -> None:
        """
        Add the files of a directory: those of git, or all but the heavy ones.

        Args:
            tracked: The files of git, if they are known.
        """
        waiting = [start]
        while waiting:
            directory = waiting.pop()
            if tracked is None:
                tracked = self._names(directory, is_start=directory == start)
            names, tracked = tracked, None
            for name in names:
                path = f"{directory}/{name}" if directory else name
                if self._add(path):
                    waiting.append(path)

    def _names(self, directory: str, *, is_start: bool) -> list[str]:
        """
        List a directory; for a repository, all files in it.
        """
        names = self._listed(directory)
        if ".git" in names:
            with contextlib.suppress(_git.GitError):  # as it is, then
                tracked = _tracked(os.path.join(self.top, directory), self._budget)
                self._repositories.append(directory)
                return tracked
        if not is_start and not _GENERATED.isdisjoint(names):
            return []
        self._folders.append(directory)
        return [name for name in names if name not in _HEAVY]

    def _listed(self, path: str) -> list[str]:
        try:
            return os.listdir(os.path.join(self.top, path))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise self._changed(path) from error
        except OSError:
            self._skipped.append(path)
            return []

    def _add(self, path: str) -> bool:
        """
        Add a file; return True if it is a directory, which is not added.
        """
        self._budget.check(len(self._files))
        try:
            status = os.lstat(f"{self.top}/{path}")
        except (FileNotFoundError, NotADirectoryError):  # deleted, but tracked
            return False
        except OSError:
            self._skipped.append(path)
            return False
        if stat.S_ISDIR(status.st_mode):
            return True
        is_link = stat.S_ISLNK(status.st_mode)
        is_file = is_link or stat.S_ISREG(status.st_mode)
        if is_file and path not in self._files and path != self._but:
            self._files[path] = is_link
            self._bytes += status.st_size
            if self._bytes > MAX_BYTES:
                raise _LimitError(f"is larger than {size(MAX_BYTES)}")
        return False

    def _add_named(self, command: Command) -> None:
        """
        Add the files that are named: by the command, and by manifests.
        """
        manifests = command.manifests
        if manifests and not self._add_file(self._here + manifests[0]):
            message = f"There is no file {manifests[0]!r} to copy"
            if os.path.lexists(os.path.join(self._directory, manifests[0])):
                message += f": it is none, or outside of {self.top!r}"
            raise self._error(message)
        for name in command.copies:
            path = self._inside(self._here + name)
            if path is None:
                lack = f"it is no file or directory inside of {self.top!r}"
                raise self._error(f"Could not copy {name!r}: {lack}")
            # Its own name, if that is one of the copy: it may be a symlink.
            spelling = os.path.normpath(self._here + name)
            if self._add_file(path if spelling.startswith("../") else spelling):
                self._needed.add(path)
            else:
                self._add_tree(path)
        found = itertools.chain.from_iterable(
            glob.iglob(pattern, root_dir=self._directory) for pattern in command.beside
        )
        unread = [self._here + name for name in (*manifests, *found)]
        unread = list(filter(self._add_file, unread))
        self._needed.update(self._inside(path) or path for path in unread)
        # Those of other packages in the environment's directory.
        names = {os.path.basename(name) for name in manifests}
        unread += (
            path
            for path in self._files
            if path.rpartition("/")[2] in names and path.startswith(self._here)
        )
        self._add_words(unread, names)

    def _add_words(self, unread: list[str], names: set[str]) -> None:
        """
        Add the files that manifests name, and those that lists among these name.

        Args:
            names: The names of manifests: a directory that has one is a package.
        """
        parents = {path.rpartition("/")[0] for path in self._files}
        seen = set()
        for manifest in unread:  # which grows
            self._budget.check()
            below = manifest.rpartition("/")[0]
            # Few words cost more than a look at this set.
            entries = {".", "..", *self._listed(below)}
            words = _words(os.path.join(self.top, manifest))
            for word in itertools.islice(words, MAX_WORDS):
                if word.partition("/")[0] not in entries:
                    continue
                path = os.path.normpath(os.path.join(below, word))
                if path in seen or not _HEAVY.isdisjoint(path.split("/")):
                    continue
                seen.add(path)
                if self._add_file(path):
                    if path.endswith(_LISTS):
                        unread.append(path)
                elif (directory := self._inside(path)) is not None:
                    unread += self._add_directory(directory, names, parents)

    def _add_directory(
        self, path: str, names: set[str], parents: set[str]
    ) -> list[str]:
        """
        Add the archives of a directory; all of it if it is a package that git ignores.

        Returns:
            The manifests of such a package.
        """
        found = self._listed(path)
        for name in found:
            if name.endswith(_ARCHIVES):
                self._add_file(os.path.join(path, name))
        if path in parents or names.isdisjoint(found):
            return []
        self._add_tree(path)
        return [os.path.join(path, name) for name in names.intersection(found)]

    def _add_file(self, path: str) -> bool:
        """
        Add a file, with the target of a symlink; False: there is none inside.
        """
        real = self._inside(path)
        if real is None or not os.path.isfile(os.path.join(self.top, real)):
            return False
        self._add(path)
        self._add(real)
        return True

    def _inside(self, path: str) -> str | None:
        """
        Return the file or directory that *path* leads to; None: none that is inside.
        """
        there = os.path.join(self.top, path)
        if not (os.path.isfile(there) or os.path.isdir(there)):
            return None
        real = os.path.realpath(there)
        if not is_inside(real, self.top):
            self._outside = self._outside or os.path.relpath(there, self._directory)
            return None
        below = os.path.relpath(real, self.top)
        if ".git" in below.split("/"):
            return None
        return "" if below == "." else below

    def _write(self, place: Scratch) -> None:
        """
        Copy the files that were added.
        """
        path = ""
        try:
            for path in self._folders:
                self._make(place.project, path)
            for path, is_link in self._files.items():
                self._budget.check()
                if self._make(place.project, path.rpartition("/")[0]):
                    write = self._write_link if is_link else self._write_file
                    with self._skipping(path):
                        write(path, f"{place.project}/{path}")
            for directory in self._repositories:
                path = os.path.join(directory, ".git")
                self._share(place, directory)
            os.makedirs(place.path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise place.error(path, error, size(self._bytes)) from error

    def _make(self, project: str, path: str) -> bool:
        """
        Make a directory of the copy; False: it is refused, or below a symlink.
        """
        if path not in self._directories:
            source = os.path.normpath(f"{self.top}/{path}")
            if is_made := os.path.realpath(source) == source:
                if not os.path.isdir(source):
                    raise self._changed(path)
                is_made = False
                with self._skipping(path):
                    os.makedirs(f"{project}/{path}", exist_ok=True)
                    is_made = True
            self._directories[path] = is_made
        return self._directories[path]

    def _write_link(self, path: str, target: str) -> None:
        """
        Copy a symlink that stays inside: as it is, or as a relative one.
        """
        source = os.path.join(self.top, path)
        # A directory on the way to the lockfile is made, so that it is written there.
        if self._but.startswith(f"{path}/"):
            return
        try:
            leads_to = os.readlink(source)
        except OSError as error:
            raise self._changed(path) from error
        real = os.path.realpath(source)
        if not is_inside(real, self.top):
            self._skipped.append(path)
            return
        place = os.path.normpath(os.path.join(os.path.dirname(path), leads_to))
        if os.path.isabs(place) or place.startswith(".."):
            leads_to = os.path.relpath(real, os.path.dirname(source))
        os.symlink(leads_to, target)

    def _write_file(self, path: str, target: str) -> None:
        """
        Copy a file with its time, and writable by its owner.
        """
        try:
            reader = os.fdopen(os.open(f"{self.top}/{path}", READ), "rb")
        except FileNotFoundError:
            return
        except OSError as error:
            if path in self._needed:
                message = f"Could not copy {path!r} ({error.strerror})"
                raise self._error(message) from error
            self._skipped.append(path)
            return
        with reader:
            before = os.fstat(reader.fileno())
            mode = 0o600 | before.st_mode & stat.S_IXUSR
            with os.fdopen(os.open(target, _NEW, mode), "wb") as writer:
                rest = before.st_size
                while rest > 0 and (data := reader.read(min(rest, 1 << 20))):
                    rest -= writer.write(data)
            os.utime(target, ns=(before.st_mtime_ns, before.st_mtime_ns))
            after = os.fstat(reader.fileno())
        is_same = before.st_mtime_ns == after.st_mtime_ns
        if rest or not is_same or before.st_size != after.st_size:
            raise self._changed(path)

    def _share(self, place: Scratch, path: str) -> None:
        """
        Let version control work in the copy of a repository.
        """
        target = os.path.join(place.project, path)
        if not self._make(place.project, path):
            return
        try:
            top = os.path.join(self.top, path)
            place.objects.extend(_git.share(top, target, self._budget.check))
        except _git.GitError as error:
            self._hints.append(f"{_NO_GIT} ({error})")
            _supervisor.remove(os.path.join(target, ".git"))

    def _lacks(self) -> list[str]:
        """
        Name the files that are missing in the copy.
        """
        hints = []
        if self._outside is not None:
            kind = "repository" if "" in self._repositories else "directory"
            place = f"outside of the {kind}"
            hints.append(f"{self._outside!r} is {place} and is not copied")
        if skipped := [*self._skipped, *self._special()]:
            names = ", ".join(map(repr, skipped[:_EXAMPLES]))
            rest = len(skipped) - _EXAMPLES
            hints.append(f"not copied: {names}" + f" and {rest} more" * (rest > 0))
        return hints

    def _special(self) -> Iterator[str]:
        """
        Find FIFOs, sockets and devices, which git does not list.
        """
        for directory in self._directories:
            with (
                contextlib.suppress(OSError),
                os.scandir(os.path.join(self.top, directory)) as entries,
            ):
                for entry in entries:
                    if not (entry.is_file() or entry.is_dir() or entry.is_symlink()):
                        yield os.path.join(directory, entry.name)

    @contextlib.contextmanager
    def _skipping(self, path: str) -> Iterator[None]:
        """
        Skip a file or directory whose name is refused.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in _REFUSED:
                raise
            self._skipped.append(path)

    def _changed(self, path: str) -> ResolverError:
        return self._error(f"{path!r} changed while it was copied; try again")

    def _error(self, message: str) -> ResolverError:
        return ResolverError(message, self._directory)


def project_of(directory: str, name: str) -> Project:
    """
    Find the project of an environment.

    Args:
        directory: The environment's directory.

        name: The path, from there, of a file that is not copied.

    Raises:
        Cancelled: The check was cancelled.
    """
    top, tracked, limit, hints = directory, None, None, []
    if (repository := _git.top_of(directory)) is not None:
        try:
            tracked = _tracked_around(directory, repository)
        except _git.GitError as error:
            hints.append(f"{_NO_GIT} ({error})")
        except _LimitError as error:
            limit = error
        if not hints:
            top = repository
    is_whole = not is_inside(_home(), directory) and not any(
        os.path.exists(os.path.join(directory, mark)) for mark in _INSTALLED
    )
    here = os.path.join(os.path.relpath(directory, top), "").removeprefix("./")
    return Project(directory, top, here, here + name, tracked, limit, hints, is_whole)


def _tracked(top: str, budget: _Budget) -> list[str]:
    """
    Return the files of a repository, without those of virtual environments.
    """
    paths = _git.files_of(top, sorted(_HEAVY), budget.check)
    marks = ("/pyvenv.cfg", "/conda-meta/history")
    roots = {path.partition(m)[0] for path in paths for m in marks if path.endswith(m)}
    installed = tuple(f"{root}/" for root in roots)
    return [path for path in paths if not path.startswith(installed)]


def _tracked_around(directory: str, top: str) -> list[str]:
    """
    Return the files of the repository that an environment's directory is in.

    Raises:
        GitError: It is no repository of the environment's project.
    """
    if is_inside(_home(), top):
        raise _git.GitError("the home directory is a repository")
    tracked = _tracked(top, _Budget())
    below = os.path.join(os.path.relpath(directory, top), "")
    if below != "./" and not any(path.startswith(below) for path in tracked):
        raise _git.GitError("git ignores the directory")
    return tracked


def _home() -> str:
    return os.path.realpath(os.path.expanduser("~"))


def _words(manifest: str) -> Iterator[str]:
    """
    Stream the strings and words of a manifest that may be relative paths.
    """
    content = read_file(manifest) or b""
    for line in content.decode(errors="surrogateescape").splitlines():
        for word in itertools.chain(_STRING.findall(line), _WORD.findall(line)):
            name = _AFTER.sub("", _BEFORE.sub("", word, count=1))
            # An absolute path is an interpreter's, for example.
            if name and name[0] != "/":
                yield name
