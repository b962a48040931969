"""
Start one check as a detached process.

A caller for which a check is due opens the log of the environment and tries the
lock on it once. If the lock is busy, a check runs or is being started. Under the
lock the caller decides again; then the time of the start becomes the first line
of the log, and the process inherits the log, and the lock with it, as its stderr.
So at most one process runs for any number of simultaneous callers, and no caller
waits. A start within the last 5 minutes without a trace in the record counts as
running: a program that breaks before it can record its failure is not started
by every activation.

This lock saves processes and protects no data; the check lock does, which the
started process takes itself. `forget` may therefore delete the log at any time:
at worst a second process starts and finds no check due.

An activation loads this module if a check is due, so it imports at module level
only modules that a bare interpreter has loaded.
"""

import os
import stat
import sys

from upgrade_state import _policy, _programs, _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from upgrade_state._look import Look
    from upgrade_state._policy import Freshness
    from upgrade_state._record import Record
    from upgrade_state.exceptions import UpgradeStateError

    Decide: TypeAlias = Callable[[], tuple[Freshness, Look]]

# Seconds that a program may take until it changes the record.
_PATIENCE = 300

_OPEN = _record.READ | _record.NO_LINKS | os.O_RDWR | os.O_CREAT
_DIRECTORY = _record.READ | _record.NO_LINKS | getattr(os, "O_DIRECTORY", 0)

# Run with -I: nothing is imported from the current directory. This library is
# appended to the path, so it cannot hide a module of the standard library. It ends
# without taking its modules apart: everything is in the log.
_WRAPPER = "import os, sys; sys.path.append(sys.argv.pop(1)); "
_WRAPPER += "from upgrade_state import _log_runner; _log_runner.main(sys.argv[1:]); "
_WRAPPER += "os._exit(0)"

# The directory that contains this package.
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_children: "set[int]" = set()


def start(
    argv: "list[bytes]",
    variables: "dict[str, str]",
    root: str,
    key: str,
    decide: "Decide",
) -> "Freshness":
    """
    Start *argv*, unless a check runs or *decide* finds that none is due.

    Args:
        variables: The environment variables that the process gets besides those of
            this one, which they override.

        decide: Called under the lock; reads the record again.

    Raises:
        UpgradeStateError: It cannot be started; no process runs.
    """
    if os.name == "nt":
        raise _error("No check starts automatically on Windows", None)
    path = _record.log_path(root, key)
    try:
        log = _open(root, path)
        try:
            return _start(argv, variables, log, decide)
        finally:
            os.close(log)  # releases the lock, unless a process inherited it
    except OSError as error:
        message = f"Could not start a check ({error.strerror})"
        is_whole = os.path.isabs(error.filename or "")
        raise _error(message, error.filename if is_whole else path) from error
    except ImportError as error:  # dlopen with too many open files
        raise _error(f"Could not start a check ({error})", path) from error


def _wrapper() -> "list[str | bytes]":
    """
    Return the command that runs a program with a bounded log.
    """
    command = _programs.running(_WRAPPER)
    if command is None:
        message = "No check starts automatically: this is no Python that can run one"
        raise _error(message, sys.executable or None)
    # The new process imports this library: fail if it was removed (`preload`).
    if not (_programs.is_frozen() or os.path.exists(__file__)):
        loader: Any = __spec__.loader
        loader.get_data(__file__)  # from an archive
    return [*command, _HERE]


def _program(name: bytes, path: str) -> bytes:
    """
    Return the absolute path of a program; relative entries of *path* are skipped.
    """
    programs = [name]
    if b"/" not in name:
        directories = os.fsencode(path).split(b":")
        programs = [d + b"/" + name for d in directories if d.startswith(b"/")]
    for program in programs:
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return program if program.startswith(b"/") else os.path.abspath(program)
    raise _error("There is no such program", os.fsdecode(name))


def _error(message: str, path: "str | None") -> "UpgradeStateError":
    from upgrade_state.exceptions import UpgradeStateError

    return UpgradeStateError(message, path)


# The log


def _open(root: str, path: str) -> int:
    """
    Open the log for reading and writing; create it if it is missing.

    The caller has read the record, so the store is known to be trusted.
    """
    try:
        log = _open_below(root, path)
    except FileNotFoundError:
        from upgrade_state import _files

        with _files.opened(root) as store:
            store.ensure()
        log = _open_below(root, path)
    try:
        return _checked(log, path)
    except BaseException:
        os.close(log)
        raise


def _open_below(root: str, path: str) -> int:
    """
    Open the log relative to its directory: no symlink in its place is followed.
    """
    store = os.open(root, _DIRECTORY)
    try:
        logs = os.open("logs", _DIRECTORY, dir_fd=store)
    finally:
        os.close(store)
    try:
        problem = _record.distrust(os.fstat(logs))
        if problem is not None:
            raise _error(problem, os.path.dirname(path))
        return os.open(path.rpartition("/")[2], _OPEN, 0o600, dir_fd=logs)
    finally:
        os.close(logs)


def _checked(log: int, path: str) -> int:
    """
    Return *log* as a descriptor above 2; raise an error if it is no file of the user.
    """
    status = os.fstat(log)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise _error("The log is no regular file of this user", path)
    if status.st_nlink > 1:  # it is about to be truncated
        raise _error("The log has a hard link elsewhere", path)
    if stat.S_IMODE(status.st_mode) != 0o600:  # the umask has removed bits
        os.fchmod(log, 0o600)
    if log > 2:
        return log
    import fcntl

    # The caller has closed a standard stream, whose number the log now has.
    higher = fcntl.fcntl(log, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(log)
    return higher


def _start(
    argv: "list[bytes]", variables: "dict[str, str]", log: int, decide: "Decide"
) -> "Freshness":
    import fcntl

    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _policy.Freshness("busy")
    freshness, look = decide()
    if not freshness.due:
        return freshness
    record, now = look.record, look._now
    since = os.pread(log, 20, 0).decode("ascii", "replace")
    if _is_under_way(since, record, now):
        return _policy.Freshness("busy", since=since, after=_PATIENCE)
    environ = _programs.variables({**os.environ, **variables})
    program = _program(argv[0], environ["PATH"])
    command = [*_wrapper(), program, *argv[1:]]
    # Before the start: a start without a record of it would be repeated.
    size = os.write(log, f"{_record.text_of(now)} a check was started\n".encode())
    try:
        os.ftruncate(log, size)  # after the write: so no block is freed
        freshness.pid = _spawn(command, environ, log)
    except BaseException:
        os.ftruncate(log, 0)
        raise
    return freshness


def _is_under_way(since: str, record: "Record | None", now: int) -> bool:
    """
    Return whether a process was started recently and the record has not changed.
    """
    if not _record.is_time(since) or _policy.is_over(since, _PATIENCE, now):
        return False
    if record is None:
        return True
    failure, last_checked = record["failure"], record["last_checked"]
    return max(last_checked or "", failure["at"] if failure else "") < since


# The process


def _spawn(command: "list[str | bytes]", environ: "dict[str, str]", log: int) -> int:
    """
    Start a process that inherits only the log from this one; return its id.
    """
    _reap()
    actions: list[Any] = [
        (os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1)
    ]
    actions.append((os.POSIX_SPAWN_DUP2, log, 2))
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]
    # The standard signals; real-time signals are not ignored in practice.
    how: dict[str, Any] = {
        "file_actions": actions,
        "setsigmask": (),
        "setsigdef": range(1, 32),
    }
    try:
        child = os.posix_spawn(command[0], command, environ, setsid=True, **how)
    except NotImplementedError:  # no setsid in an old libc; the log runner calls it
        child = os.posix_spawn(command[0], command, environ, **how)
    _children.add(child)
    return child


def _reap() -> None:
    """
    Reap earlier processes that have ended, so that no zombie stays.
    """
    for child in tuple(_children):
        try:
            ended = os.waitpid(child, os.WNOHANG)[0]
        except ChildProcessError:  # reaped by the caller, or started by a parent
            ended = child
        if ended:
            _children.discard(child)


def _inheritable() -> "list[int]":
    """
    Return the descriptors above 2 that a process would inherit.

    An empty list if they cannot be listed: the log runner closes them as well.
    """
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return []
    return [fd for fd in map(int, names) if fd > 2 and _is_inheritable(fd)]


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # the descriptor of the listing itself
        return False
