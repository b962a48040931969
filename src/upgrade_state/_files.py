"""
The files of a store: their paths, trust in directories, atomic replacement.

Below the cache directory (docs/concepts.md has the picture):

    v1/<key>.json, v1/<key>.json.corrupt
    v1/locks/<key>.check, v1/locks/<key>.write
    v1/results/<key>/<64 hex digits>
    v1/results/<key>/ticket.<digits>.<digits>.<number>
    v1/logs/<key>.log
    v1/tmp/<key>.<random>

A file is written under a temporary name, synced, and renamed: a reader sees the
old or the new content, whole, also after a crash or a power cut.

Files are written and removed relative to open directories, each of which was checked
after it was opened: a symlink that takes the place of one is not followed.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import stat
import time

from upgrade_state import _record
from upgrade_state.exceptions import StateReadError, StateWriteError

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any, Final

_NO_LINKS: Final = _record.READ | _record.NO_LINKS
_NEW_FILE: Final = _NO_LINKS | os.O_WRONLY | os.O_CREAT | os.O_EXCL
_DIRECTORY: Final = _NO_LINKS | getattr(os, "O_DIRECTORY", 0)

# On Windows every file belongs to user 0.
user: Final = getattr(os, "geteuid", int)

SUBDIRECTORIES: Final = ("locks", "logs", "results", "tmp")

# A later update may restore the record of so many seconds ago, and caches keep one.
_MINUTES: Final = 300

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
    return len(text) == 32 and not text.strip(_record.HEX)


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

    def result(self, digest: str) -> str:
        """
        Return the path of the file with this *digest*.
        """
        return f"{self.results}/{_record.digits(digest)}"

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

        The holder of both locks may delete them: no other writer is at work.
        """
        tmp = f"{self.root}/tmp"
        return [
            f"{tmp}/{name}" for name in names_in(tmp) if name.startswith(f"{self.key}.")
        ]


# Directories


class Descriptors:
    """
    Descriptors of files and directories of one store. Made by `opened`.

    Windows has no calls with descriptors of directories: paths stay whole there.

    Args:
        root: The directory ``v1``. All other paths are below it.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self.by_path: Final[dict[str, int]] = {}

    def close_all(self, but: str | None = None) -> None:
        """
        Close every descriptor but that of one path. Never raises an OSError.
        """
        while paths := self.by_path.keys() - {but}:
            try:  # noqa: SIM105 - it takes longer
                self.close(*paths)
            except (OSError, KeyError):  # closed all the same; by another thread
                pass

    def close(self, *paths: str) -> None:
        """
        Close *paths*. No interrupt falls between the calls that `map` makes.
        """
        list(map(os.close, map(self.by_path.pop, paths)))

    def open(self, path: str, flags: int) -> int:
        """
        Open a file or a directory. As in `close`, no interrupt loses the descriptor.
        """
        place, directory = self.at(path)
        function = functools.partial(os.open, flags=flags, mode=0o600, dir_fd=directory)
        return next(map(self.by_path.setdefault, (path,), map(function, (place,))))

    def at(self, path: str) -> tuple[str, int | None]:
        """
        Return a name of *path*, and the open directory that it is relative to.

        A writer that has waited for a lock opens that directory again.

        Raises:
            StateWriteError: The directory is not trusted.
        """
        if os.name == "nt" or path == self._root:
            return path, None
        directory, _, name = path.rpartition("/")
        if directory not in self.by_path:
            self._enter(directory)
        return name, self.by_path[directory]

    def _enter(self, directory: str) -> None:
        try:
            if os.name == "nt":
                status = os.lstat(directory)
            else:
                status = os.fstat(self.open(directory, _DIRECTORY))
        except OSError:  # of a symlink, ENOTDIR or ELOOP
            _demand_trust(os.lstat(directory), directory)
            raise
        _demand_trust(status, directory)

    def enter(self, path: str) -> None:
        """
        Open a directory and those above it; create the missing ones.

        Raises:
            StateWriteError: One cannot be created or opened, or is not trusted.
                Those that were created stay.
        """
        if path in self.by_path:
            return
        if path == self._root:
            refuse_for_root(path)
        else:
            self.enter(path.rpartition("/")[0])
        with _writing("open the directory", path):
            try:
                self._enter(path)
            except FileNotFoundError:
                with _writing("make the directory", path):
                    _make(path, *self.at(path))
                    self._enter(path)

    def ensure(self) -> None:
        """
        Open the subdirectories of the root: see `enter`.
        """
        for name in SUBDIRECTORIES:
            self.enter(f"{self._root}/{name}")

    def sync(self, path: str) -> None:
        """
        Sync the directory *path*, so that renames in it survive a power cut.

        A failure is only logged: every process sees the renames already.
        """
        if os.name == "nt":  # os.open cannot open a directory
            return
        try:
            if path not in self.by_path:
                self.open(path, _record.READ)
            os.fsync(self.by_path[path])
        except OSError as error:
            _record.debug("could not sync the directory %r: %s", path, error)

    def remove(self, *paths: str) -> None:
        """
        Delete files, or directories and their content, in this order.

        Those that are missing are skipped.

        Raises:
            StateWriteError: One could not be deleted, or only in part.
        """
        for path in paths:
            with _writing("remove", path), contextlib.suppress(FileNotFoundError):
                place, directory = self.at(path)
                # Not by `shutil.rmtree`, which closes a directory twice if an
                # interrupt follows the first time, and raises EBADF instead of it.
                if stat.S_ISDIR(os.lstat(place, dir_fd=directory).st_mode):
                    inside = path if os.name == "nt" else self.open(path, _DIRECTORY)
                    self.remove(*(f"{path}/{name}" for name in os.listdir(inside)))
                    self.close(*{path} & self.by_path.keys())
                    os.rmdir(place, dir_fd=directory)
                else:
                    os.unlink(place, dir_fd=directory)


_all: Final[set[Descriptors]] = set()


@contextlib.contextmanager
def opened(root: str) -> Iterator[Descriptors]:
    """
    Keep descriptors for a `with` statement, and close them at its end.

    After an interrupt they are closed with its traceback at the latest, as the
    generator is. A `__del__` would swallow an interrupt.
    """
    descriptors = Descriptors(root)
    try:
        try:
            _all.add(descriptors)
            yield descriptors
        finally:
            descriptors.close_all()
            _all.discard(descriptors)
    finally:  # for an interrupt in the first
        descriptors.close_all()
        _all.discard(descriptors)


def _close_copies() -> None:
    """
    Close the parent's descriptors in a forked child, which would keep its locks.
    """
    for descriptors in tuple(_all):
        descriptors.close_all()


# Windows has no forks.
getattr(os, "register_at_fork", dict)(after_in_child=_close_copies)


def _demand_trust(status: os.stat_result, path: str) -> None:
    problem = _record.distrust(status)
    if problem is not None:
        raise StateWriteError(problem, path)


def _set_mode(place: str | int, mode: int, directory: int | None = None) -> None:
    """
    Restore the bits that the umask has removed.

    FAT and exFAT have no modes and fail with EPERM. `distrust` decides whether
    the directory is private.
    """
    with contextlib.suppress(OSError):
        os.chmod(place, mode, dir_fd=directory)


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
        owner, home = os.stat(nearest(root)).st_uid, os.path.expanduser("~")
        # A `sudo` that keeps HOME may have left a `.cache` of root there.
        if os.path.exists(home) and os.stat(home).st_uid != 0:
            for resolve in (str, os.path.realpath):  # either may be a symlink
                above = os.path.join(resolve(home), "")
                if resolve(root).startswith(above):
                    owner = os.stat(home).st_uid
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


def _make(path: str, place: str, directory: int | None) -> None:
    """
    Create *path* and its missing parents, each 0700 and synced.
    """
    parent = os.path.dirname(path)
    if directory is None and not os.path.lexists(parent):
        _make(parent, parent, None)
    else:
        # The process that made the parent may have died before it synced its name.
        # So a directory that is not empty survives a power cut.
        _sync(os.path.dirname(parent))
    with contextlib.suppress(FileExistsError):  # another process was faster
        os.mkdir(place, 0o700, dir_fd=directory)
        # chmod follows symlinks, so it is called only if the umask removed bits.
        if os.lstat(place, dir_fd=directory).st_mode & 0o700 != 0o700:
            _set_mode(place, 0o700, directory)
    _sync(parent)


def _sync(path: str) -> None:
    with opened(path) as directory:
        directory.sync(path)


def names_in(path: str) -> Iterator[str]:
    """
    Stream the names in a directory: see `files_in`.
    """
    return (file.name for file in files_in(path))


def files_in(path: str, directory: int | None = None) -> Iterator[os.DirEntry[str]]:
    """
    Stream the content of a directory; nothing if it does not exist.

    Args:
        directory: Its descriptor, if it is open.

    Raises:
        StateReadError: It cannot be read.
    """
    place: Any = path if directory is None else directory
    try:
        with os.scandir(place) as files:
            yield from files
    except FileNotFoundError:
        return
    except OSError as error:
        raise _record.unreadable("the directory", error, path) from error


# Replacing


def replace_record(store: Descriptors, files: Files, data: bytes) -> None:
    """
    Replace the record. After the return, every reader sees the new one.

    The caller holds the write lock, and syncs `files.root` once it is released.

    Raises:
        StateWriteError: The old record is in place, the temporary file is gone.
    """
    _replace(store, files.record, f"{files.root}/tmp/{files.key}", data)


def _replace(store: Descriptors, path: str, prefix: str, data: bytes) -> None:
    temporary = f"{prefix}.{os.urandom(8).hex()}"
    with _writing("write the file", path):
        try:
            _write(store, temporary, data)
            try:
                _rename(store, temporary, path)
            except OSError:
                # A network file system may rename the file and lose the answer.
                if os.path.lexists(temporary) or not _contains(path, data):
                    raise
        except BaseException:
            with contextlib.suppress(StateWriteError):
                store.remove(temporary)
            raise


def _contains(path: str, data: bytes) -> bool:
    """
    Return whether a file of this user has this content.
    """
    try:
        return _record.read_regular(path, _NO_LINKS, len(data), user()) == data
    except (OSError, StateReadError):
        return False


def _write(store: Descriptors, path: str, data: bytes) -> None:
    fd = store.open(path, _NEW_FILE)
    _set_mode(fd, 0o600)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    # Otherwise a power cut can leave an empty file under the new name.
    os.fsync(fd)
    store.close(path)


def _rename(store: Descriptors, source: str, target: str) -> None:
    """
    Rename. On Windows, retry for half a second: an open target cannot be replaced.
    """
    if os.name == "nt":
        for _ in range(50):
            with contextlib.suppress(PermissionError):
                os.replace(source, target)
                return
            time.sleep(0.01)
    (old, above), (new, below) = store.at(source), store.at(target)
    os.replace(old, new, src_dir_fd=above, dst_dir_fd=below)


def set_aside(store: Descriptors, files: Files) -> None:
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
        place, directory = store.at(files.record)
        os.lstat(place, dir_fd=directory)
        _record.debug("the record is corrupt and set aside: %r", files.record)
        store.remove(files.corrupt)  # os.replace fails on a directory
        _rename(store, files.record, files.corrupt)


@contextlib.contextmanager
def _writing(action: str, path: str) -> Iterator[None]:
    """
    Turn an OSError into a StateWriteError that names the *action*.
    """
    try:
        yield
    except (OSError, RecursionError) as error:  # of 1 000 nested directories
        problem = getattr(error, "strerror", "nested too deeply")
        raise StateWriteError(f"Could not {action} ({problem})", path) from error


# Tickets


@contextlib.contextmanager
def ticket(store: Descriptors, files: Files, name: str, pause: int) -> Iterator[bool]:
    """
    Keep the ticket of a notice after a `with` statement; delete it after an error.

    Of all processes that want it one creates it, whether or not locks exclude.

    Args:
        name: The name without the number.

        pause: For how many seconds a ticket counts. Zero: none is needed.

    Returns:
        A context manager: False if another process has the ticket.

    Raises:
        StateWriteError: On entering: it cannot be created.
    """
    ours, numbers = None, itertools.count()
    with _writing("create a ticket", files.results):
        store.enter(files.results)
        while pause and ours is None:
            path = f"{files.results}/{name}.{next(numbers)}"
            try:
                _set_mode(store.open(path, _NEW_FILE), 0o600)
                ours = path
            except FileExistsError:
                os.utime(store.by_path.get(files.results, files.results))
                if -_MINUTES <= _age(store, path) < pause:
                    break
    try:
        yield not pause or ours is not None
    except BaseException:
        if ours is not None:
            # Not in the caller's store: an interrupt may end this one after that.
            with contextlib.suppress(StateWriteError), opened(files.root) as own:
                own.remove(ours)
        raise


def _age(store: Descriptors, path: str) -> float:
    """
    Return for how long a file had existed when its directory was modified, in seconds.

    Both times are those of the file system. `st_ctime` of the file, because NFS 3
    keeps the number of the creating call in `st_mtime` for an instant.
    """
    place, directory = store.at(path)
    above = os.path.dirname(path)
    modified = os.stat(store.by_path.get(above, above)).st_mtime
    return modified - os.lstat(place, dir_fd=directory).st_ctime


# Results


def store_results(
    store: Descriptors,
    files: Files,
    contents: Mapping[str, bytes],
    named: Collection[str],
) -> None:
    """
    Write *contents* to ``results/<key>/``, synced, named by their digests.

    The caller holds the check lock.

    Args:
        named: The digests of the files that the record names. These were synced
            before the record was written; those that are whole are kept.

    Raises:
        StateWriteError: The files that the record names are unchanged.
    """
    store.enter(files.results)
    rest = {
        digest: content
        for digest, content in contents.items()
        if digest not in named or not _is_intact(files.result(digest), content)
    }
    for digest, content in rest.items():
        path = files.result(digest)
        if os.path.isdir(path):
            store.remove(path)  # os.replace fails on a directory
        # Even if the file exists: a killed check may not have synced it.
        _replace(store, path, path, content)
    if rest:
        store.sync(files.results)
    # The process that made the directory may have died before it synced its name.
    if len(rest) == len(contents):
        store.sync(os.path.dirname(files.results))


def _is_intact(path: str, content: bytes) -> bool:
    """
    Return whether a stored file has its *content* and its mode.
    """
    try:
        mode = os.lstat(path).st_mode & 0o777
    except OSError:
        return False
    return mode == 0o600 and _contains(path, content)


def read_result(files: Files, file: Mapping[str, Any]) -> bytes | None:
    """
    Read a file that a record names; None if it is missing.

    Args:
        file: Its digest and size, from the record.

    Raises:
        StateReadError: It cannot be read, or does not have that digest.
    """
    path = files.result(file["digest"])
    content = _record.read_file(files.root, path, file["size"])
    if content is not None and _record.digest(content) != file["digest"]:
        raise StateReadError(
            "A stored file is damaged; the next check replaces it", path
        )
    return content


def sweep(
    store: Descriptors, files: Files, digests: Collection[str], ticket: str
) -> None:
    """
    Delete the other files in ``results/<key>/``, but no ticket of the last minutes.

    The caller holds the check lock, has just written files there, and a record that
    names them is on disk.

    Args:
        digests: The digests of the files to keep.

        ticket: The name, without the number, of the tickets to keep.
    """
    names = {_record.digits(digest) for digest in digests}
    with _writing("remove", files.results):
        for name in sorted(names_in(files.results)):
            path = f"{files.results}/{name}"
            if (
                name not in names
                and not name.startswith(f"{ticket}.")
                and (not name.startswith("ticket.") or _age(store, path) > _MINUTES)
            ):
                store.remove(path)
