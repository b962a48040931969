"""
The two questions of an activation, as every peer in Python answers them.
"""

import time

DAY = 86_400


def is_notice_due(notified: float) -> bool:
    """
    Return whether the last notice is older than a day.
    """
    return time.time() - notified >= DAY


def is_check_due(checked: str, lockfile: str) -> bool:
    """
    Return whether the lockfile is another one than the one that was checked.
    """
    return digest(lockfile) != checked


def digest(lockfile: str) -> str:
    """
    Return the digest of a lockfile.
    """
    # It loads OpenSSL, so a peer pays for it only when it needs it.
    import hashlib  # noqa: PLC0415

    with open(lockfile, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
