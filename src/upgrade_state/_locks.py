"""
The locks of a store's files: between processes, and between threads of one.

They are advisory, and fresh each time they are taken. Their files are never
deleted: that would split those who wait for one.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING

import filelock

from upgrade_state.exceptions import StateLockError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final, TypeAlias

_LOG: Final = logging.getLogger("upgrade_state")

# A read-merge-replace takes milliseconds, two of them for the disk: who finds
# the lock busy looks again soon, and who cannot get it for so long never will.
_POLL_SECONDS: Final = 0.002
_WAIT_SECONDS: Final = 10.0

Lock: TypeAlias = filelock.BaseFileLock


def try_lock(path: str) -> Lock | None:
    """
    Take a lock; None where it is busy.

    Raises:
        StateLockError: The system refuses it, and not because it is busy.
    """
    return _acquire(path, timeout=0)


def _acquire(path: str, *, timeout: float) -> Lock | None:
    # A fresh one each time, so that nothing else in this process, not even in
    # this thread, gets in; and released by whichever thread is done with it.
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
    except BaseException:  # filelock may have got it by now, and keep hold of it
        lock.release(force=True)
        raise
    return lock


def release(lock: Lock) -> None:
    """
    Let go of a lock. Never raises.
    """
    try:
        lock.release()
    except OSError as error:  # closing its file will have done it
        _LOG.debug("could not release %r: %s", lock.lock_file, error)


@contextlib.contextmanager
def waited_for(path: str) -> Iterator[None]:
    """
    Hold a lock for a `with` statement. Waits for it.

    Raises:
        StateLockError: Somebody held it for too long, or the system refuses it.
    """
    lock = _acquire(path, timeout=_WAIT_SECONDS)
    if lock is None:
        message = f"Could not lock the record within {_WAIT_SECONDS:.0f} s"
        raise StateLockError(message, path)
    try:
        yield
    finally:
        release(lock)
