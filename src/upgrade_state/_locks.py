"""
The locks of a store, between processes and between threads.

They are advisory; every acquisition uses a new lock object. Lock files are never
deleted: waiting processes would be split between two inodes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from upgrade_state import _floors, _record
from upgrade_state.exceptions import StateLockError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

    import filelock

    Lock: TypeAlias = filelock.BaseFileLock

# A read-merge-replace takes milliseconds, so poll often. A lock that is held for
# 10 seconds is held by a stopped process or by a broken file system.
_POLL_SECONDS: Final = 0.002
_WAIT_SECONDS: Final = 10.0


def try_lock(path: str) -> Lock | None:
    """
    Take a lock without waiting; None if it is busy.

    Raises:
        StateLockError: The system refuses it for another reason.
        UpgradeStateError: filelock is too old, or cannot be imported.
    """
    return _acquire(path, timeout=0)


def _acquire(path: str, *, timeout: float) -> Lock | None:
    with _floors.loading():
        import filelock  # readers do without it: it takes longer than the rest
    # 3.30 is the first with this attribute, and the first whose lock a forked child
    # cannot release. Some older ones ignore arguments that they do not know, delete
    # lock files (3.0, 3.21 to 3.29.4), or fall back to locks that survive `kill -9`.
    if not hasattr(filelock.FileLock, "preserve_lock_file"):
        raise _floors.refusal("filelock", filelock.__version__)
    # A new object each time: a shared FileLock would count a second acquisition
    # in this process as nested. Any thread may release it (thread_local=False).
    lock = filelock.FileLock(
        path,
        mode=0o600,
        thread_local=False,
        fallback_to_soft=False,
        preserve_lock_file=True,
        poll_interval=_POLL_SECONDS,
    )
    try:
        lock.acquire(timeout=timeout, blocking=timeout > 0)
    except filelock.Timeout:
        return None
    except OSError as error:
        message = f"Could not lock ({error.strerror})"
        raise StateLockError(message, path) from error
    except BaseException:  # filelock may have acquired it before the interrupt
        lock.release(force=True)
        raise
    return lock


def release(lock: Lock) -> None:
    """
    Release a lock. Never raises an OSError.
    """
    try:
        lock.release()
    except OSError as error:  # closing the file released it
        _record.debug("could not release %r: %s", lock.lock_file, error)


@contextlib.contextmanager
def waited_for(path: str) -> Iterator[None]:
    """
    Hold a lock for a `with` statement, after waiting for it up to 10 seconds.

    Raises:
        StateLockError: Another process held it for longer, or the system refuses it.
        UpgradeStateError: filelock is too old, or cannot be imported.
    """
    lock = _acquire(path, timeout=_WAIT_SECONDS)
    if lock is None:
        message = f"Could not lock the record within {_WAIT_SECONDS:.0f} s"
        raise StateLockError(message, path)
    try:
        yield
    finally:
        release(lock)
