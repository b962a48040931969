"""
The system calls without which an operation cannot be done, in Python.
"""

import os


def silent(store: str, record: str, lockfile: str | None = None) -> None:
    """
    Look at the store and read the record; also the lockfile, if a check may be due.
    """
    os.lstat(store)
    read(record)
    if lockfile is not None:
        os.stat(lockfile)
        read(lockfile)


def read(path: str) -> bytes:
    """
    Read a file in one go.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    content = os.read(file, os.fstat(file).st_size + 1)
    os.close(file)
    return content


def claim(directory: str, content: bytes) -> None:
    """
    Under a lock, write, sync and rename a file; then sync its directory.
    """
    import fcntl  # noqa: PLC0415 - a silent activation does without

    lock = os.open(f"{directory}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    replace(f"{directory}/record", f"{directory}/temporary", content)
    os.close(lock)
    sync(directory)


def replace(path: str, temporary: str, content: bytes) -> None:
    """
    Write and sync a file under another name, and rename it.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o600)
    os.write(file, content)
    os.fsync(file)
    os.close(file)
    os.rename(temporary, path)


def sync(directory: str) -> None:
    """
    Sync a directory, and with it the names in it.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    os.fsync(descriptor)
    os.close(descriptor)
