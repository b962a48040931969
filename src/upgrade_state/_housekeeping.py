"""
All environments of a store of files: iterate, prune.

Both stream: memory does not grow with the number of records.
"""

from __future__ import annotations

import os
from itertools import chain
from typing import TYPE_CHECKING

from upgrade_state import _files, _record, _store
from upgrade_state.exceptions import StateReadError, UpgradeStateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

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
        for key in _keys(self._root):
            entry, record, error = self.entry(key), None, None
            try:
                record = entry.read()
            except StateReadError as refused:
                error = refused
            if record is not None or not _has_no_record(entry):
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
        for keys in (_keys, _orphans):
            for key in keys(self._root):
                entry, record = self.entry(key), None
                is_gone: Callable[[_store.Entry], bool] = _has_no_record
                try:
                    if keys is _keys:
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


def _keys(root: str) -> Iterator[str]:
    if _record.trusted(root):
        yield from _keys_in(root, ".json")


def _keys_in(directory: str, ending: str | None = None) -> Iterator[str]:
    """
    Stream the keys with which names in *directory* begin.

    Args:
        ending: The rest of the name; None: anything.
    """
    for name in _files.names_in(directory):
        key, rest = name[:32], name[32:]
        if _files.is_key(key) and ending in (None, rest):
            yield key


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


def _orphans(root: str) -> Iterable[str]:
    """
    Return the keys of files that may have no record.
    """
    if not _record.trusted(root):
        return ()
    below = (_keys_in(f"{root}/{name}") for name in ("results", "logs", "tmp"))
    return dict.fromkeys(chain(*below, _keys_in(root, ".json.corrupt")))
