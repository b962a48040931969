"""
All environments of a store of files: iterate, prune.

Both stream: memory does not grow with the number of records. The directory is opened
and checked once, and its files are opened relative to it.
"""

from __future__ import annotations

import contextlib
import functools
import os

from upgrade_state import _files, _record, _store
from upgrade_state.exceptions import StateReadError, UpgradeStateError

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from upgrade_state._record import Record


class FileStore:
    """
    The environments of a store of files. Satisfies `_operations.Backend`.

    Args:
        root: The directory ``v1``.
    """

    def __init__(self, root: str) -> None:
        self._root: Final = root

    def entry(self, key: str, identity: Record | None = None) -> _store.Entry:
        """
        Return the operations on one environment. Nothing is read.
        """
        return _store.Entry(self._root, key, identity)

    def records(self) -> Iterator[tuple[str, Record | None, StateReadError | None]]:
        """
        Stream the key and the record of every environment in a store.

        The record is None if it is corrupt, or with the error if it may not be read.

        Raises:
            StateReadError: The store cannot be read or is not trusted.
        """
        with _opened(self._root) as root:
            for file in root.files():
                key = file.name[:32]
                if file.name[32:] != ".json" or not _files.is_key(key):
                    continue
                record, error = root.read(file.name, key), None
                if record is None:  # corrupt, not readable, or just deleted
                    entry = self.entry(key)
                    try:
                        record = entry.read()
                    except StateReadError as refused:
                        error = refused
                    if record is None and _has_no_record(entry):
                        continue
                yield key, record, error

    def prune(
        self, *, before: int, dry_run: bool
    ) -> Iterator[tuple[str, Record | None]]:
        """
        Forget removed environments, and stream those that were or would be forgotten.

        Args:
            before: Only records that were last written before this (seconds since
                the epoch). Files without a record are deleted at any age: a process
                that uses them holds a lock.

            dry_run: Only report; delete nothing.

        Raises:
            UpgradeStateError: After the others: the first environment that could not
                be read, locked or deleted, and the number of further ones.
        """
        first: UpgradeStateError | None = None
        more = 0
        with _opened(self._root) as root:
            for key, is_orphan in root.candidates(before):
                entry, record = self.entry(key), None
                is_gone: Callable[[_store.Entry], bool] = _has_no_record
                try:
                    if not is_orphan:
                        record = entry.read()
                        is_gone = _is_gone(record, before)
                    # Decided again under the lock.
                    if is_gone(entry) and (dry_run or entry.forget(is_gone)):
                        yield key, record
                except UpgradeStateError as error:
                    more += first is not None
                    first = first or error
        if first is not None:
            words = f" (and {more} more)" if more else ""
            raise type(first)(f"{first.message}{words}", first.path) from first


class _Root:
    """
    The directory ``v1``, trusted and open. Names in it are relative to it.

    Args:
        path: Its path, for errors.

        owner: The user to whom its files must belong.

        directory: Its descriptor. None: there is no such directory, or this system
            has no descriptors of directories.
    """

    def __init__(self, path: str, owner: int, directory: int | None = None) -> None:
        self._path: Final = path
        self._owner: Final = owner
        self._directory: Final = directory
        self._prefix: Final = f"{path}/" if directory is None else ""
        # Of C: see `_record.read_regular`.
        self._open: Final = functools.partial(os.open, dir_fd=directory)

    def files(self, below: str = "") -> Iterator[os.DirEntry[str]]:
        """
        Stream what is in the directory, or in one *below* it; nothing if it is missing.

        Raises:
            StateReadError: It cannot be read.
        """
        path = f"{self._path}{below}"
        place: Any = path if below or self._directory is None else self._directory
        try:
            with os.scandir(place) as files:
                yield from files
        except FileNotFoundError:
            return
        except OSError as error:
            raise _record.unreadable("the directory", error, path) from error

    def read(self, name: str, key: str) -> Record | None:
        """
        Return the record in a file; None if there is no valid one for any reason.
        """
        flags, limit = _record.READ | _record.NO_LINKS, _record.MAX_SIZE
        path, owner = self._prefix + name, self._owner
        try:
            data = _record.read_regular(path, flags, limit, owner, self._open)
        except (OSError, StateReadError):
            return None
        return _record.valid(data or b"", key)

    def candidates(self, before: int) -> Iterator[tuple[str, bool]]:
        """
        Stream the keys of old records, and of files without a record.

        Args:
            before: See `FileStore.prune`.

        Returns:
            The key, and whether there is no record. No key comes twice as one without
            a record; these are remembered, but no others.
        """
        found = set[str]()
        for below in ("", "/results", "/logs", "/tmp"):
            for file in self.files(below):
                key, ending = file.name[:32], file.name[32:]
                if ending == ".json" and not below:
                    if _is_older(file, before) and _files.is_key(key):
                        yield key, False
                elif (
                    (below or ending == ".json.corrupt")
                    and _files.is_key(key)
                    and not self._has_record(key)
                    and key not in found
                ):
                    found.add(key)
                    yield key, True

    def _has_record(self, key: str) -> bool:
        path = f"{self._prefix}{key}.json"
        try:
            os.stat(path, dir_fd=self._directory, follow_symlinks=False)
        except OSError:  # decided again, by the whole path
            return False
        return True


@contextlib.contextmanager
def _opened(path: str) -> Iterator[_Root]:
    """
    Open the directory *path* for a `with` statement, unless it does not exist.

    It is checked once more after it was opened. A directory that takes its place is
    not read.

    Raises:
        StateReadError: On entering: it is not trusted, or cannot be opened.
    """
    status, directory = _record.trusted(path), None
    with _files.opened(path) as store:
        try:
            if status is not None and os.name != "nt":
                directory = store.open(path, _record.READ | _record.NO_LINKS)
                status = os.fstat(directory)
        except FileNotFoundError:  # just deleted
            pass
        except OSError as error:
            raise _record.unreadable("the directory", error, path) from error
        problem = None if status is None else _record.distrust(status)
        if problem is not None:
            raise StateReadError(problem, path)
        yield _Root(path, 0 if status is None else status.st_uid, directory)


def _is_older(file: os.DirEntry[str], before: int) -> bool:
    try:
        return file.stat(follow_symlinks=False).st_mtime < before
    except OSError:  # decided again, by the whole path
        return True


def _has_no_record(entry: _store.Entry) -> bool:
    return not os.path.lexists(entry.files.record)


def _is_gone(record: Record | None, before: int) -> Callable[[_store.Entry], bool]:
    """
    Return a test whether a record is old and its directory does not exist.
    """

    def is_gone(entry: _store.Entry) -> bool:
        try:
            if os.lstat(entry.files.record).st_mtime >= before:
                return False
            if record is not None:
                os.lstat(_record.path_bytes(record["environment"]))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:  # unknown, as on a disk that does not answer
            return False
        return record is None

    return is_gone
