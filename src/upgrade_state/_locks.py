"""
The locks of a store, between processes and between threads.

They are advisory. Lock files are never deleted: waiting processes would be split
between two inodes.

A lock opens its file, and filelock locks the descriptor: closing it releases the
lock whatever the system answers to the unlocking. The descriptor is one of those
that `_files.opened` closes, so an interrupt at any bytecode keeps a lock at most as
long as its traceback.

Once a lock is held, the directories of the store are open, and each was checked after
it was opened. A writer that has to wait opens them again: they may have changed.
"""

from __future__ import annotations

import contextlib
import os
import time

from upgrade_state import _files, _floors, _record
from upgrade_state.exceptions import StateLockError

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Final

    from upgrade_state._files import Descriptors

# O_RDWR: NFS makes an exclusive lock only on a file that is open for writing.
_FLAGS: Final = _record.READ | _record.NO_LINKS | os.O_RDWR | os.O_CREAT

# A read-merge-replace takes a millisecond: two writers need only short pauses. In a
# crowd, writers that poll take the CPU from the holder (200 at every 2 ms: a tenth of
# the commits), so after these pauses a writer waits in the queue of the kernel.
_PAUSES: Final = (0.001, 0.002, 0.004)

# A lock that is held for 10 seconds is held by a stopped process or by a broken file
# system.
_WAIT_SECONDS: Final = 10.0


class Lock:
    """
    The lock on one file. Any thread may release it.
    """

    def __init__(self, store: Descriptors, path: str) -> None:
        self.path: Final = path
        self._store: Final = store
        with _floors.loading():
            import filelock  # readers do without it: it takes longer than the rest
        self._filelock: Final = filelock

    @property
    def is_open(self) -> bool:
        """
        Whether its file is open: from the first attempt to take it until the release.
        """
        return self.path in self._store.by_path

    def try_once(self) -> bool:
        """
        Take the lock without waiting; return whether that succeeded.

        Then all directories are open.

        Raises:
            StateLockError: The system refuses it for another reason.
            StateWriteError: A directory cannot be made, or is not trusted.
            UpgradeStateError: filelock is too old.
        """
        # 3.30 is the first with this function.
        if not hasattr(self._filelock, "lock_descriptor"):
            raise _floors.refusal("filelock", self._filelock.__version__)
        try:
            if not self.is_open:
                self._store.enter(self.path.rpartition("/")[0])
                self._store.open(self.path, _FLAGS)
            descriptor = self._store.by_path[self.path]
            if not self._filelock.lock_descriptor(descriptor, blocking=False):
                self._store.close_all(but=self.path)
                return False
            status = os.fstat(descriptor)
            if status.st_mode & 0o777 != 0o600:  # the umask has removed bits
                with contextlib.suppress(OSError):  # FAT has no modes: EPERM
                    os.fchmod(descriptor, 0o600)
        except OSError as error:
            message = f"Could not lock ({error.strerror})"
            raise StateLockError(message, self.path) from error
        if status.st_nlink == 0:  # the store was deleted since the file was opened
            self._store.close_all()
        else:
            self._store.ensure()
        return self.is_open

    def release(self) -> None:
        """
        Unlock and close the file, if it is open. Never raises an OSError.
        """
        try:
            descriptor = self._store.by_path.get(self.path)
            # A child that is being forked may have a copy of the descriptor.
            if descriptor is not None:
                self._filelock.unlock_descriptor(descriptor)
        except OSError as error:  # the server of a network file system is gone
            _record.debug("could not unlock %r: %s", self.path, error)
        finally:
            with contextlib.suppress(OSError, KeyError):  # KeyError: another thread
                self._store.close(self.path)

    def queue(self, seconds: float) -> None:
        """
        Wait in the queue of the kernel to be given the lock; `try_once` confirms it.

        A thread waits there, because the system call has no time limit. If the caller
        gives up first, the thread releases the lock as soon as it has it.
        """
        import threading

        # Not an Event, which raises RuntimeError for some interrupts in its `wait`.
        caller, turn = threading.get_native_id(), threading.Lock()

        def take() -> None:
            # A descriptor of its own: on macOS, `close` waits for calls that use one.
            try:
                with _files.opened(self.path) as copy:
                    descriptor = os.dup(self._store.by_path[self.path])
                    copy.by_path[self.path] = descriptor
                    if threading.get_native_id() == caller:
                        raise BlockingIOError  # gevent: every thread would wait
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            except (KeyError, OSError):  # given up; EMFILE, ENOLCK
                time.sleep(0.01)
            turn.release()

        try:
            import fcntl

            turn.acquire()
            threading.Thread(target=take, daemon=True).start()
        except (ImportError, RuntimeError):  # Windows; no more threads, or at exit
            time.sleep(0.01)
        else:
            turn.acquire(timeout=seconds)


@contextlib.contextmanager
def _held(
    store: Descriptors, path: str, take: Callable[[Lock], bool]
) -> Iterator[Lock | None]:
    lock = Lock(store, path)
    try:
        yield lock if take(lock) else None
    finally:
        lock.release()


def try_lock(store: Descriptors, path: str) -> AbstractContextManager[Lock | None]:
    """
    Hold a lock for a `with` statement, without waiting; None if it is busy.

    Args:
        store: Has no other lock. Its directories are open then, unless it is busy.

    Raises:
        StateLockError: On entering: the system refuses it for another reason.
        StateWriteError: On entering: a directory cannot be made, or is not trusted.
        UpgradeStateError: On entering: filelock is too old, or cannot be imported.
    """
    return _held(store, path, Lock.try_once)


def wait_for_lock(store: Descriptors, path: str) -> AbstractContextManager[Lock | None]:
    """
    Hold a lock for a `with` statement, after waiting for it up to 10 seconds.

    Args:
        store: See `try_lock`.

    Raises:
        StateLockError: On entering: another process held it for longer, or the
            system refuses it.
        StateWriteError: See `try_lock`.
        UpgradeStateError: On entering: filelock is too old, or cannot be imported.
    """
    return _held(store, path, _wait)


def _wait(lock: Lock) -> bool:
    deadline = time.monotonic() + _WAIT_SECONDS
    pauses = iter(_PAUSES)
    while not lock.try_once():
        rest = deadline - time.monotonic()
        if rest <= 0:
            message = f"Could not lock the record within {_WAIT_SECONDS:.0f} s"
            raise StateLockError(message, lock.path)
        pause = next(pauses, None)
        if pause is None:
            lock.queue(rest)
        else:
            time.sleep(pause * os.urandom(1)[0] / 128)
    return True
