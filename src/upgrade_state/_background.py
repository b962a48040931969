"""
Start a check as a process of its own, in the background.

Whoever has found a check to be due takes the log of its environment for itself:
opens it and tries the lock on it once. Busy: a check runs that was started so,
or is being started. Under the lock it is decided once more; then the time of the
start becomes the first line of the log, and the process gets the log, and the
lock with it, as its stderr. So there is one at most, however many ask at once,
and nobody waits. A start within the last 5 minutes that the record shows no
trace of counts as well: a program that breaks before it can record its failure
is not started by every activation.

This lock spares processes and protects no data: that is what the check lock is
for, which the process takes by itself. `forget` may therefore remove the log
under anybody's hands; at worst a second process starts, and finds nothing to do.

An activation loads this module where a check is due, so it imports at module
level only what a bare interpreter has loaded.
"""

import os
import stat
import sys

from upgrade_state import _policy, _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from upgrade_state._look import Look
    from upgrade_state._policy import Freshness
    from upgrade_state._record import Record
    from upgrade_state.exceptions import UpgradeStateError

    Decide: TypeAlias = Callable[[], tuple[Freshness, Look]]

# How long a program may take until the record shows a trace of it.
_PATIENCE = 300

_OPEN = _record.READ | _record.NO_LINKS | os.O_RDWR | os.O_CREAT

# Not from the current directory, and independent of how this one was started.
# What is appended cannot hide anything of the standard library.
_WRAPPER = "import sys; sys.path.append(sys.argv.pop(1)); "
_WRAPPER += "from upgrade_state import _log_runner; _log_runner.main(sys.argv[1:])"

_PYTHONS = ("python", "pypy", "graalpy")

# Where this library lies; nowhere else is looked for it.
_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_children: "set[int]" = set()


def start(
    argv: "list[bytes]",
    environ: "dict[str, str]",
    root: str,
    key: str,
    decide: "Decide",
) -> "Freshness":
    """
    Start *argv* unless somebody has, or *decide* says that it is not due.

    Args:
        environ: Its environment variables.

    Raises:
        UpgradeStateError: It cannot be started; nothing runs.
    """
    path = _record.log_path(root, key)
    try:
        command = [*_wrapper(), _program(argv[0]), *argv[1:]]
        log = _open(root, path)
        try:
            return _start(command, environ, log, decide)
        finally:
            os.close(log)  # with the lock, unless a process has got it
    except OSError as error:
        message = f"Could not start a check ({error.strerror})"
        raise _error(message, error.filename or path) from error
    except ImportError as error:  # as shared libraries say: too many open files
        raise _error(f"Could not start a check ({error})", path) from error


def _wrapper() -> "list[str | bytes]":
    """
    Return the command that runs a program with a bounded log.
    """
    if os.name == "nt":
        raise _error("No check starts by itself on Windows", None)
    program = python()
    if not program:
        message = "No check starts by itself: this is no Python that could run one"
        raise _error(message, sys.executable or None)
    return [program, "-I", "-S", "-c", _WRAPPER, _HERE]


def python() -> str:
    """
    Return the path of the Python that this is; "": there is none to be run.
    """
    path = sys.executable or ""
    # A relative one would be looked for in the directory that was entered, and
    # what an embedded interpreter calls itself is the application.
    is_python = os.path.basename(path).lower().startswith(_PYTHONS)
    is_other = not os.path.isabs(path) or getattr(sys, "frozen", False)
    return path if is_python and not is_other else ""


def _program(name: bytes) -> bytes:
    """
    Find the program *name* as a shell does, but for what PATH has of this directory.

    The absolute path: it is started in another directory.
    """
    directories = [b""]
    if b"/" not in name:
        path = os.fsencode(os.environ.get("PATH", os.defpath))
        directories = [d for d in path.split(b":") if d.startswith(b"/")]
    for directory in directories:
        program = os.path.join(directory, name)
        if os.path.isfile(program) and os.access(program, os.X_OK):
            return os.path.abspath(program)
    raise _error("There is no such program", os.fsdecode(name))


def _error(message: str, path: "str | None") -> "UpgradeStateError":
    from upgrade_state.exceptions import UpgradeStateError

    return UpgradeStateError(message, path)


# The log


def _open(root: str, path: str) -> int:
    """
    Open the log for reading and writing; make it where it is missing.

    Whoever has looked at the record has seen that the store is to be trusted.
    """
    try:
        log = os.open(path, _OPEN, 0o600)
    except FileNotFoundError:
        from upgrade_state import _files

        _files.ensure(root)
        log = os.open(path, _OPEN, 0o600)
    try:
        return _checked(log, path)
    except BaseException:
        os.close(log)
        raise


def _checked(log: int, path: str) -> int:
    """
    Return *log*, unless it is something else, as a descriptor that is no stream's.
    """
    import fcntl

    status = os.fstat(log)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        from upgrade_state.exceptions import StateWriteError

        raise StateWriteError("The log is no regular file of this user", path)
    if stat.S_IMODE(status.st_mode) != 0o600:  # the umask has taken from it
        os.fchmod(log, 0o600)
    if log > 2:
        return log
    # The caller has closed a stream, and the process would get this as its own.
    higher = fcntl.fcntl(log, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(log)
    return higher


def _start(
    command: "list[str | bytes]", environ: "dict[str, str]", log: int, decide: "Decide"
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
    os.ftruncate(log, 0)
    # Before anything runs: what could not be recorded would be started again.
    os.write(log, f"{_record.text_of(now)} a check was started\n".encode())
    try:
        _spawn(command, environ, log)
    except BaseException:
        os.ftruncate(log, 0)
        raise
    return freshness


def _is_under_way(since: str, record: "Record | None", now: int) -> bool:
    """
    Tell whether a start a moment ago has left no trace in the record yet.
    """
    if not _record.is_time(since) or _policy.is_over(since, _PATIENCE, now):
        return False
    if record is None:
        return True
    failure, last_checked = record["failure"], record["last_checked"]
    return max(last_checked or "", failure["at"] if failure else "") < since


# The process


def _spawn(command: "list[str | bytes]", environ: "dict[str, str]", log: int) -> None:
    """
    Start a process that has nothing of this one but the log.
    """
    _reap()
    actions: list[Any] = [
        (os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in (0, 1)
    ]
    actions.append((os.POSIX_SPAWN_DUP2, log, 2))
    actions += [(os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable()]
    # The signals of POSIX; nobody ignores those of real time.
    how: dict[str, Any] = {
        "file_actions": actions,
        "setsigmask": (),
        "setsigdef": range(1, 32),
    }
    try:
        child = os.posix_spawn(command[0], command, environ, setsid=True, **how)
    except NotImplementedError:  # an old system; the wrapper makes up for it
        child = os.posix_spawn(command[0], command, environ, **how)
    _children.add(child)


def _reap() -> None:
    """
    Let earlier processes go that have ended, if nobody else has.
    """
    for child in tuple(_children):
        try:
            ended = os.waitpid(child, os.WNOHANG)[0]
        except ChildProcessError:  # somebody has, or it is a parent's
            ended = child
        if ended:
            _children.discard(child)


def _inheritable() -> "list[int]":
    """
    Return the descriptors that a process would inherit, beside the three streams.

    None where they cannot be listed: the wrapper closes what it finds.
    """
    try:
        names = os.listdir("/dev/fd")
    except OSError:
        return []
    return [fd for fd in map(int, names) if fd > 2 and _is_inheritable(fd)]


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except OSError:  # of the listing itself
        return False
