"""
The files of a store: their paths, trust in directories, atomic replacement.

Below the cache directory (docs/concepts.md has the picture):

    v1/<key>.json, v1/<key>.json.corrupt
    v1/locks/<key>.check, v1/locks/<key>.write
    v1/results/<key>/<64 hex digits>
    v1/logs/<key>.log
    v1/tmp/<key>.<random>

A file is written under a temporary name, synced, and renamed: a reader sees the
old or the new content, whole, also after a crash or a power cut.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import TYPE_CHECKING

from upgrade_state import _record
from upgrade_state.exceptions import StateReadError, StateWriteError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any, Final

_NEW_FILE: Final = (
    _record.READ | _record.NO_LINKS | os.O_WRONLY | os.O_CREAT | os.O_EXCL
)

SUBDIRECTORIES: Final = ("locks", "logs", "results", "tmp")

# A file system with fewer bytes left than this counts as full.
_LITTLE: Final = 64 << 10


def user_cache_dir() -> str | None:
    """
    Return this library's directory in the user's cache directory.

    None if there is no home directory, or a relative one.
    """
    import platformdirs

    try:
        path = platformdirs.user_cache_dir("upgrade-state", appauthor=False)
    except RuntimeError:
        return None
    return path if os.path.isabs(path) else None


def is_key(text: str) -> bool:
    """
    Return whether *text* can be the key of an environment.
    """
    return len(text) == 32 and _record.HEX.issuperset(text)


class Files:
    """
    The paths of one environment's files.
    """

    def __init__(self, root: str, key: str) -> None:
        self.root: Final = root
        self.key: Final = key
        self.record: Final = _record.record_path(root, key)
        self.corrupt: Final = f"{self.record}.corrupt"
        self.check_lock: Final = f"{root}/locks/{key}.check"
        self.write_lock: Final = f"{root}/locks/{key}.write"
        self.results: Final = f"{root}/results/{key}"
        self.log: Final = _record.log_path(root, key)

    def has_files(self) -> bool:
        """
        Return whether a file of this environment exists.

        The check lock counts: a running check may be about to create files.
        """
        paths = (self.record, self.corrupt, self.results, self.log, self.check_lock)
        return any(map(os.path.lexists, paths)) or bool(self.leftovers())

    def leftovers(self) -> list[str]:
        """
        Return the temporary files of writers of this record.

        The holder of the write lock may delete them: no other writer is at work.
        """
        tmp = f"{self.root}/tmp"
        return [
            f"{tmp}/{name}" for name in names_in(tmp) if name.startswith(f"{self.key}.")
        ]


# Directories


def ensure(root: str) -> None:
    """
    Create the directory *root* and its subdirectories, unless they exist.

    Raises:
        StateWriteError: They cannot be created, or are not trusted. Those that
            were created stay.
    """
    with _writing("make the directory", root):
        refuse_for_root(root)
        if not os.path.lexists(root):
            _make(root)
        problem = _record.distrust(os.lstat(root))
        if problem is not None:
            raise StateWriteError(problem, root)
    for name in SUBDIRECTORIES:
        ensure_below(f"{root}/{name}")


def ensure_below(path: str) -> None:
    """
    Create one directory in a trusted one, unless it exists.

    Raises:
        StateWriteError: It cannot be created, or its path is no directory.
    """
    with _writing("make the directory", path):
        if not os.path.lexists(path):
            _make(path)
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise StateWriteError("This is no directory", path)


def _set_mode(path: str, mode: int) -> None:
    """
    Restore the bits that the umask has removed.

    FAT and exFAT have no modes and fail with EPERM. `distrust` decides whether
    the directory is private.
    """
    with contextlib.suppress(OSError):
        os.chmod(path, mode)


def refuse_for_root(root: str) -> None:
    """
    Refuse to let root write to *root* in a directory or a home of another user.

    A single `sudo` would leave directories that the user cannot write to.

    Raises:
        StateWriteError: The directory above, or the home directory that it is
            below, belongs to another user.
    """
    if os.name == "nt" or os.geteuid() != 0:
        return
    with _writing("make the directory", root):
        places, home = [nearest(root)], os.path.expanduser("~")
        # A `sudo` that keeps HOME may have left a `.cache` of root there.
        for resolve in (str, os.path.realpath):  # either may be a symlink
            above = os.path.join(resolve(home), "")
            if resolve(root).startswith(above) and os.path.exists(home):
                places.append(home)
        owner = max(os.stat(place).st_uid for place in places)
    if owner != 0:
        verb = "used" if os.path.lexists(root) else "made"
        message = f"Not {verb} by root in a directory of user {owner}"
        todo = "use 'sudo -H', or set UPGRADE_STATE_CACHE_DIR"
        raise StateWriteError(f"{message}; {todo}", root)


def is_full(path: str) -> bool:
    """
    Return whether the file system of *path* has no space or no inodes left.

    False if there is no such path: a command may have deleted it.
    """
    try:
        space = os.statvfs(path)
    except OSError:
        return False
    # Some file systems report zero blocks or zero inodes in total.
    has_bytes = not space.f_blocks or space.f_bavail * space.f_frsize >= _LITTLE
    return not (has_bytes and (not space.f_files or space.f_favail))


def nearest(path: str) -> str:
    """
    Return the nearest path above *path* that exists.
    """
    ancestor = os.path.dirname(path)
    while not os.path.lexists(ancestor):
        ancestor = os.path.dirname(ancestor)
    return ancestor


def _make(path: str) -> None:
    """
    Create *path* and its missing parents, each 0700 and synced.
    """
    parent = os.path.dirname(path)
    if not os.path.lexists(parent):
        _make(parent)
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.mkdir(path, 0o700)
        _set_mode(path, 0o700)
    sync_directory(parent)


def sync_directory(path: str) -> None:
    """
    Sync the directory *path*, so that renames in it survive a power cut.

    A failure is only logged: every process sees the renames already.
    """
    if os.name == "nt":  # os.open cannot open a directory
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        _record.debug("could not sync the directory %r: %s", path, error)


def names_in(path: str) -> Iterator[str]:
    """
    Stream the names in a directory; none if it does not exist.

    Raises:
        StateReadError: It cannot be read.
    """
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                yield entry.name
    except FileNotFoundError:
        return
    except OSError as error:
        raise _record.unreadable("the directory", error, path) from error


# Replacing


def replace_record(files: Files, data: bytes) -> None:
    """
    Replace the record. After the return, every reader sees the new one.

    The caller holds the write lock, and syncs `files.root` once it is released.

    Raises:
        StateWriteError: The old record is in place, the temporary file is gone.
    """
    for path in files.leftovers():
        remove(path)
    _replace(files.record, f"{files.root}/tmp/{files.key}", data)


def _replace(path: str, prefix: str, data: bytes) -> None:
    temporary = f"{prefix}.{os.urandom(8).hex()}"
    with _writing("write the file", path):
        try:
            _write(temporary, data)
            _rename(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, _NEW_FILE, 0o600)
    try:
        _set_mode(path, 0o600)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        # Otherwise a power cut can leave an empty file under the new name.
        os.fsync(fd)
    finally:
        os.close(fd)


def _rename(source: str, target: str) -> None:
    """
    Rename. On Windows, retry for half a second: an open target cannot be replaced.
    """
    if os.name == "nt":
        for _ in range(50):
            with contextlib.suppress(PermissionError):
                os.replace(source, target)
                return
            time.sleep(0.01)
    os.replace(source, target)


def set_aside(files: Files) -> None:
    """
    Rename an invalid record to ``<key>.json.corrupt``, overwriting an earlier one.

    The caller holds the write lock. Does nothing if there is no record.

    Raises:
        StateWriteError: The invalid record is still in place.
    """
    with (
        _writing("set aside the corrupt record", files.record),
        contextlib.suppress(FileNotFoundError),
    ):
        os.lstat(files.record)
        _record.debug("the record is corrupt and set aside: %r", files.record)
        remove(files.corrupt)  # os.replace fails on a directory
        os.replace(files.record, files.corrupt)


def remove(path: str) -> None:
    """
    Delete a file, or a directory and its content; do nothing if it is missing.

    Raises:
        StateWriteError: It could not be deleted, or only in part.
    """
    with _writing("remove", path), contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            import shutil

            shutil.rmtree(path)
        else:
            os.unlink(path)


@contextlib.contextmanager
def _writing(action: str, path: str) -> Iterator[None]:
    """
    Turn an OSError into a StateWriteError that names the *action*.
    """
    try:
        yield
    except OSError as error:
        message = f"Could not {action} ({error.strerror})"
        raise StateWriteError(message, path) from error


# Results


def store_results(files: Files, contents: Collection[bytes]) -> None:
    """
    Write *contents* to ``results/<key>/``, synced, named by their digests.

    The caller holds the check lock, and no record names them yet.

    Raises:
        StateWriteError: The files that the record names are unchanged.
    """
    # Once more: the cache may have been deleted or changed during a long check.
    ensure(files.root)
    ensure_below(files.results)
    for content in contents:
        path = f"{files.results}/{_record.digits(_record.digest(content))}"
        if os.path.isdir(path):
            remove(path)  # os.replace fails on a directory
        # Even if the file exists: a check that was killed may not have synced it.
        _replace(path, path, content)
    # And its parents: the process that created them may have died before the sync.
    for directory in (files.results, f"{files.root}/results", files.root):
        sync_directory(directory)
    sync_directory(os.path.dirname(files.root))


def read_result(files: Files, file: Mapping[str, Any]) -> bytes | None:
    """
    Read a file that a record names; None if it is missing.

    Args:
        file: Its digest and size, from the record.

    Raises:
        StateReadError: It cannot be read, or does not have that digest.
    """
    path = f"{files.results}/{_record.digits(file['digest'])}"
    content = _record.read_file(files.root, path, file["size"])
    if content is not None and _record.digest(content) != file["digest"]:
        raise StateReadError(
            "A stored file is damaged; the next check replaces it", path
        )
    return content


def sweep(files: Files, digests: Collection[str]) -> None:
    """
    Delete from ``results/<key>/`` every file whose digest is not in *digests*.

    The caller holds the check lock, and a record that names them is on disk.
    """
    names = {_record.digits(digest) for digest in digests}
    for name in list(names_in(files.results)):
        if name not in names:
            remove(f"{files.results}/{name}")
