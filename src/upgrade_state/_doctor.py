"""
Problems of a store, as values. Looking for them changes nothing.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from upgrade_state import _codec, _files, _floors, _look, _record, _store
from upgrade_state.exceptions import UpgradeStateError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from upgrade_state import StateStore

Kind: TypeAlias = Literal[
    "library",
    "switch",
    "variable",
    "shared",
    "store",
    "access",
    "record",
    "result",
    "leftover",
]


class Finding(NamedTuple):
    """
    One problem of a store, or of the environment variables that choose it.

    Attributes:
        kind: ``library``: a library is too old. ``switch``: a variable silences
            notices and automatic checks. ``variable``: a variable is ignored.
            ``shared``: the command line finds that shared results cannot be used.
            ``store``: the store cannot be read or written. ``access``: a file has
            a wrong owner, wrong permissions or a wrong type. ``record``: a record
            is corrupt or cannot be read. ``result``: a file that a record names is
            gone or damaged. ``leftover``: a file that no record needs.

        fact: The problem, as a phrase about the path, without the remedy.

        path: The file; None: there is none.

        mend: The command of a shell that mends it.
    """

    kind: Kind
    fact: str
    path: str | None
    mend: str


# For a place that the user cannot make fit.
_READ_ONLY: Final = "cannot be written to"
_ELSEWHERE: Final = "export UPGRADE_STATE_CACHE_DIR=/another/directory"

# Options of a mount with which flock(2) excludes the processes of one machine only. An
# empty one: always, as far as the kernel knows.
_NFS: Final = ("nolock", "local_lock=all", "local_lock=flock")
_LOCAL_LOCKS: Final = {
    "nfs": _NFS,
    "nfs4": _NFS,
    "cifs": ("nobrl",),
    "smb3": ("nobrl",),
    "lustre": ("localflock",),
    "gfs2": ("localflocks",),
    "ocfs2": ("localflocks",),
    **dict.fromkeys(("9p", "vboxsf", "virtiofs", "fuse"), ("",)),
}

_MOUNTS: Final = "/proc/self/mountinfo"

# These answer flock(2) for all machines; the last one is the disk of a container.
_FUSE: Final = ("ceph-fuse", "glusterfs", "juicefs", "fuse-overlayfs")

# The names of the store's files in each subdirectory, after the key.
_ENDINGS: Final = {
    "locks": r"\.(check|write)",
    "logs": r"\.log",
    "results": "",
    "tmp": r"\..*",
}


def _at(kind: Kind, fact: str, path: str, command: str) -> Finding:
    """
    Return a finding that *command* mends, with *path* as its argument.
    """
    return Finding(kind, fact, path, f"{command} {shlex.quote(path)}")


def _error(kind: Kind, error: UpgradeStateError, command: str) -> Finding:
    fact = error.message.partition("; ")[0]  # without the remedy
    if not fact[1:2].isupper():
        fact = fact[0].lower() + fact[1:]
    if "by others" in fact:
        command = f"chmod go-w {shlex.quote(error.path or '')}"
    return Finding(kind, fact, error.path, command)


def findings(store: StateStore) -> Iterator[Finding]:
    """
    Stream every problem of *store*.

    If a library is too old, that is the only one: it is needed to find others.
    """
    for library, version in _floors.too_old():
        words = _floors.fact(library, version)
        yield Finding("library", words, None, _floors.remedy(library))
    if _floors.too_old():
        return
    for switch in _look.switches():
        words = f"{switch} is set: there are no notices and no automatic checks"
        yield Finding("switch", words, None, f"unset {switch}")
    for name in ("HOME", "XDG_CACHE_HOME"):
        value = os.environ.get(name)
        if value and not os.path.isabs(value):
            words = f"{name} is not an absolute path and is ignored: {value!r}"
            yield Finding("variable", words, None, f"unset {name}")
    found = list(obstacles(store))
    yield from found
    try:
        root = store._place()  # noqa: SLF001
        if _record.trusted(root):
            yield from _local_locks(root)
            yield from _access(root)
            for name in _files.SUBDIRECTORIES:
                yield from (f for f in _subdirectory(root, name) if f not in found)
            for name in _files.names_in(root):
                if name not in _files.SUBDIRECTORIES:
                    yield from _access(f"{root}/{name}")
                    yield from _record_file(root, name)
    except UpgradeStateError as error:
        if error.path not in [finding.path for finding in found]:
            yield _error("store", error, _ELSEWHERE)


def obstacles(store: StateStore) -> Iterator[Finding]:
    """
    Stream the problems that keep *store* from being read or written.

    Only those that show without a write.
    """
    try:
        root = store._place()  # noqa: SLF001
        if not _record.trusted(root):  # it does not exist yet
            ancestor = _files.nearest(root)
            if not os.path.isdir(ancestor):
                yield _at("store", "no directory", ancestor, "rm")
            elif not os.access(ancestor, os.W_OK | os.X_OK):
                yield Finding("store", _READ_ONLY, ancestor, _ELSEWHERE)
            _files.refuse_for_root(root)
            return
        _files.refuse_for_root(root)
    except UpgradeStateError as error:
        yield _error("store", error, _ELSEWHERE)
        return
    try:
        is_read_only = os.statvfs(root).f_flag & os.ST_RDONLY
    except OSError:  # another command has deleted it
        return
    if is_read_only:
        yield Finding("store", "the file system is read-only", root, _ELSEWHERE)
        return
    for path in (root, f"{root}/locks", f"{root}/tmp", f"{root}/results"):
        yield from _no_directory(path)
        if os.path.islink(path) or not os.path.isdir(path):
            continue
        if _record.distrust(os.lstat(path)):
            yield from _access(path)
        if not os.access(path, os.W_OK | os.X_OK):
            yield _at("store", _READ_ONLY, path, "chmod u+rwx")
    if _files.is_full(root):
        yield _at("store", "the file system is full", root, "df -h")


def _local_locks(root: str) -> Iterator[Finding]:
    try:
        with _files.opened(root) as store:
            fd = store.open(root, _record.READ)
            with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
                number = file.read().partition("mnt_id:")[2].partition("\n")[0]
        with open(_MOUNTS, encoding="utf-8", errors="replace") as file:
            mount = mount_with_local_locks(file, number.strip())
    except OSError:  # no Linux
        return
    if mount is not None:
        fact = f"locks on this mount hold on this machine only ({mount})"
        more = "two checks may run at once, and a snooze may be lost"
        yield Finding("store", f"{fact}: {more}", root, _ELSEWHERE)


def mount_with_local_locks(mountinfo: Iterable[str], number: str) -> str | None:
    """
    Return the file system of a mount whose locks do not reach other machines.

    Args:
        mountinfo: The lines of ``/proc/self/mountinfo``: see proc(5).

        number: That of the mount, the first field of its line.

    Returns:
        Its type, and the option that makes locks local, if it is one; None: locks
        reach every machine, or only this one has the file system.
    """
    for line in mountinfo:
        if line.partition(" ")[0] == number:
            mount, _, rest = line.rstrip("\n").partition(" - ")
            kind, _, rest = rest.partition(" ")
            options = [*mount.split(" ")[5].split(","), *rest.split(" ")[-1].split(",")]
            family, _, name = kind.partition(".")
            for option in () if name in _FUSE else _LOCAL_LOCKS.get(family, ()):
                if option in ("", *options):
                    return f"{kind} with {option}" if option else kind
    return None


def _no_directory(path: str) -> Iterator[Finding]:
    if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
        yield _at("access", "no directory", path, "rm")


def _access(path: str) -> Iterator[Finding]:
    try:
        status = os.lstat(path)
    except OSError:  # deleted since it was listed
        return
    if status.st_uid != os.geteuid():
        owner = f"belongs to user {status.st_uid}"
        yield _at("access", owner, path, f"sudo chown {os.geteuid()}")
    if stat.S_ISLNK(status.st_mode):
        yield _at("access", "a symlink", path, "rm")
    elif stat.S_IMODE(status.st_mode) & 0o077:
        mode = stat.filemode(status.st_mode)
        yield _at("access", f"open to others ({mode})", path, "chmod go-rwx")


def _subdirectory(root: str, directory: str) -> Iterator[Finding]:
    path = f"{root}/{directory}"
    yield from _no_directory(path)
    if os.path.islink(path) or not os.path.isdir(path):
        return
    yield from _access(path)
    for name in _files.names_in(path):
        place = f"{path}/{name}"
        yield from _access(place)
        is_ours = _files.is_key(name[:32]) and (
            re.fullmatch(_ENDINGS[directory], name[32:]) is not None
            and os.path.isdir(place) == (directory == "results")
        )
        is_orphan = not os.path.lexists(f"{root}/{name[:32]}.json")
        if not is_ours:
            yield from _leftover("does not belong here", place)
        elif directory == "tmp" or (is_orphan and directory != "locks"):
            command = "upgrade-state prune" if is_orphan else None
            yield from _leftover("left behind", place, command)
    if directory != "locks":
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    # No process locks the directory itself, so this disturbs none.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    except OSError as error:
        words = f"the file system has no locks ({error.strerror})"
        yield Finding("store", words, path, _ELSEWHERE)
    finally:
        os.close(fd)


def _leftover(fact: str, path: str, command: str | None = None) -> Iterator[Finding]:
    if not os.path.islink(path):  # which is a finding already
        yield Finding("leftover", fact, path, command or _removal(path))


def _removal(path: str) -> str:
    return f"{'rm -r' if os.path.isdir(path) else 'rm'} {shlex.quote(path)}"


def _record_file(root: str, name: str) -> Iterator[Finding]:
    path, key, ending = f"{root}/{name}", name[:32], name[32:]
    if not _files.is_key(key) or ending not in (".json", ".json.corrupt"):
        yield from _leftover("does not belong here", path)
        return
    # A check keeps the corrupt record that it replaces, until `forget`.
    if ending == ".json.corrupt" or os.path.islink(path):
        return
    entry = _store.Entry(root, key)
    try:
        record = entry.read()
    except UpgradeStateError as error:
        if "belongs to" not in error.message:  # which `_access` has found
            yield _error("record", error, f"chmod u+r {shlex.quote(path)}")
        return
    if record is None and os.path.lexists(path):
        words = "a corrupt record; the next check replaces it"
        yield Finding("record", words, path, _removal(path))
    for field in _store.RESULT_FILES:
        try:
            content = entry.read_result(field, record)
            if field == "upgrades":
                _codec.load_upgrades(content or b"", entry.results)
        except UpgradeStateError as error:
            place = os.fsdecode(_record.path_bytes((record or {})["environment"]))
            yield _error("result", error, f"upgrade-state check {shlex.quote(place)}")
