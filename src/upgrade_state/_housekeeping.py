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
    from typing import Final

    from upgrade_state._record import Record

_FLAGS: Final = _record.READ | _record.NO_LINKS


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
        with _opened(self._root) as directory:
            owner = _files.user()
            opener = functools.partial(os.open, dir_fd=directory)
            for file in _files.files_in(self._root, directory):
                key, ending = file.name[:32], file.name[32:]
                if ending != ".json" or not _files.is_key(key):
                    continue
                record = error = None
                try:
                    data = _record.read_regular(
                        file.path, _FLAGS, _record.MAX_SIZE, owner, opener
                    )
                    record = _record.valid(data or b"", key)
                except (OSError, StateReadError):  # decided again, by the whole path
                    pass
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
        with _opened(self._root) as directory:
            for key, is_orphan in _candidates(self._root, directory, before):
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


@contextlib.contextmanager
def _opened(root: str) -> Iterator[int | None]:
    """
    Open the directory *root* for a `with` statement.

    It is checked once more after it was opened. A directory that takes its place is
    not read.

    Returns:
        A context manager that gives the descriptor. None: there is no such directory,
        or this system has no descriptors of directories.

    Raises:
        StateReadError: On entering: it is not trusted, or cannot be opened.
    """
    status, directory = _record.trusted(root), None
    with _files.opened(root) as store:
        try:
            if status is not None and os.name != "nt":
                directory = store.open(root, _FLAGS)
                status = os.fstat(directory)
        except FileNotFoundError:  # just deleted
            pass
        except OSError as error:
            raise _record.unreadable("the directory", error, root) from error
        problem = None if status is None else _record.distrust(status)
        if problem is not None:
            raise StateReadError(problem, root)
        yield directory


def _candidates(
    root: str, directory: int | None, before: int
) -> Iterator[tuple[str, bool]]:
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
        place = None if below else directory
        for file in _files.files_in(f"{root}{below}", place):
            key, ending = file.name[:32], file.name[32:]
            if ending == ".json" and not below:
                if _is_older(file, before) and _files.is_key(key):
                    yield key, False
            elif (
                (below or ending == ".json.corrupt")
                and _files.is_key(key)
                and not os.path.lexists(_record.record_path(root, key))
                and key not in found
            ):
                found.add(key)
                yield key, True


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
