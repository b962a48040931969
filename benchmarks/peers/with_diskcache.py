"""
Remember the environments with diskcache, with a key for each one.
"""

import diskcache


def read(place: str, directory: str) -> tuple[float, str]:
    """
    Return when the user was notified, and the digest of the lockfile checked.
    """
    with diskcache.Cache(f"{place}/diskcache") as cache:
        return cache[directory]


def write(place: str, directory: str, notified: float, checked: str) -> None:
    """
    Remember both.
    """
    with diskcache.Cache(f"{place}/diskcache") as cache:
        cache[directory] = notified, checked
