"""
Remember the environments in a shelf, with a key for each one.
"""

import shelve


def read(place: str, directory: str) -> tuple[float, str]:
    """
    Return when the user was notified, and the digest of the lockfile checked.
    """
    with shelve.open(f"{place}/shelf", "r") as shelf:  # noqa: S301 - our own
        return shelf[directory]


def write(place: str, directory: str, notified: float, checked: str) -> None:
    """
    Remember both.
    """
    with shelve.open(f"{place}/shelf") as shelf:  # noqa: S301 - our own
        shelf[directory] = notified, checked
