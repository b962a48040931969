"""
The command `doctor`: what is wrong with the state on disk. Changes nothing.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from upgrade_state import _files, _look, _record, _store
from upgrade_state.cli._output import out
from upgrade_state.cli._select import store_of
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator


def doctor(options: Namespace) -> int:
    """
    Print what is wrong, one line each.
    """
    found = 0
    for line in _findings(options):
        out(line)
        found = 1
    if not found:
        out("all is well")
    return found


def _findings(options: Namespace) -> Iterator[str]:
    yield from _variables()
    try:
        root = store_of(options)._place()  # noqa: SLF001
        out(f"the state is in {root}")
        yield from obstacles(root)
        if _files.is_usable(root):
            yield from _store_findings(root)
    except UpgradeStateError as error:
        yield str(error)


def obstacles(root: str) -> Iterator[str]:
    """
    Say what keeps anything from being recorded in the store *root*.

    As far as can be seen without writing anything.
    """
    try:
        # What is not to be believed is said by who asks next.
        if not _record.is_trusted(root):
            yield from _not_to_be_made(root)
            return
    except UpgradeStateError as error:
        yield str(error)
        return
    for path in (root, f"{root}/locks", f"{root}/tmp"):
        if os.path.isdir(path) and not _is_writable(path):
            yield f"cannot be written to: '{path}'"
    if _files.is_full(root):
        yield f"the file system is full: '{root}'"


def _not_to_be_made(root: str) -> Iterator[str]:
    try:
        _files.refuse_for_root(root)
    except UpgradeStateError as error:
        yield str(error)
    ancestor = _files.nearest(root)
    if not os.path.isdir(ancestor):
        yield f"is no directory: '{ancestor}'"
    elif not _is_writable(ancestor):
        yield f"cannot be written to: '{ancestor}'"


def _is_writable(path: str) -> bool:
    return os.access(path, os.W_OK | os.X_OK)


def _variables() -> Iterator[str]:
    switch = _look.switch()
    if switch is not None:
        yield f"{switch} is set: there are no notices, and no checks by themselves"
    for name in ("HOME", "XDG_CACHE_HOME"):
        value = os.environ.get(name)
        if value and not os.path.isabs(value):
            yield f"{name} is not an absolute path and is ignored: '{value}'"


def _store_findings(root: str) -> Iterator[str]:
    yield from _modes(root)
    for name in _files.SUBDIRECTORIES:
        yield from _directory(f"{root}/{name}")
    yield from _locks(f"{root}/locks")
    yield from _records(root)
    yield from _leftovers(root)


def _modes(path: str) -> Iterator[str]:
    """
    Say what is wrong with the owner and the permissions of one path.
    """
    try:
        status = os.lstat(path)
    except OSError:  # gone since it was listed
        return
    if status.st_uid != os.geteuid():
        yield f"belongs to user {status.st_uid}: '{path}'"
    if stat.S_ISLNK(status.st_mode):
        yield f"is a symlink: '{path}'"
    elif stat.S_IMODE(status.st_mode) & 0o077:
        yield f"is open to others ({stat.filemode(status.st_mode)}): '{path}'"


def _directory(path: str) -> Iterator[str]:
    if not os.path.lexists(path):
        return
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        yield f"is no directory: '{path}'"
        return
    yield from _modes(path)
    for name in _files.names_in(path):
        yield from _modes(f"{path}/{name}")


def _locks(path: str) -> Iterator[str]:
    """
    Try to lock the directory itself: nobody else does, and nothing changes.
    """
    import fcntl  # noqa: PLC0415 - not on Windows

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # not made yet, or no directory, which was said
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError as error:
        yield f"the file system has no locks ({error.strerror}): '{path}'"
    finally:
        os.close(fd)


def _records(root: str) -> Iterator[str]:
    for name in _files.names_in(root):
        path = f"{root}/{name}"
        key, ending = name[:32], name[32:]
        if name in _files.SUBDIRECTORIES:
            continue
        yield from _modes(path)
        if not _files.is_key(key) or ending not in (".json", ".json.corrupt"):
            yield f"does not belong here: '{path}'"
        elif ending == ".json.corrupt":
            yield f"was no record and has been set aside; remove it: '{path}'"
        else:
            yield from _record_findings(root, key, path)


def _record_findings(root: str, key: str, path: str) -> Iterator[str]:
    entry = _store.Entry(root, key, None, None)
    try:
        record = _store.read(entry)
        if record is None and os.path.lexists(path):
            yield f"is no record; a check, or prune in time, removes it: '{path}'"
    except UpgradeStateError as error:
        yield str(error)
        return
    for field in _store.RESULT_FILES:
        try:
            _store.read_result(entry, field, record)
        except UpgradeStateError as error:
            yield str(error)


def _leftovers(root: str) -> Iterator[str]:
    for directory in ("results", "logs", "tmp"):
        path = f"{root}/{directory}"
        if not os.path.isdir(path):
            continue
        for name in _files.names_in(path):
            if not os.path.lexists(f"{root}/{name[:32]}.json"):
                yield f"was left behind; prune removes it: '{path}/{name}'"
            elif directory == "tmp":
                yield f"was left behind; the next writer removes it: '{path}/{name}'"
