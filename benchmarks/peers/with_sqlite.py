"""
Remember the environments in a table of SQLite, with a row for each one.
"""

import contextlib
import sqlite3


def read(place: str, directory: str) -> tuple[float, str]:
    """
    Return when the user was notified, and the digest of the lockfile checked.
    """
    with contextlib.closing(sqlite3.connect(f"{place}/state.sqlite")) as database:
        return database.execute(
            "SELECT notified, checked FROM environments WHERE directory = ?",
            (directory,),
        ).fetchone()


def write(place: str, directory: str, notified: float, checked: str) -> None:
    """
    Remember both.
    """
    with contextlib.closing(sqlite3.connect(f"{place}/state.sqlite")) as database:
        database.execute(
            "CREATE TABLE IF NOT EXISTS environments"
            " (directory TEXT PRIMARY KEY, notified REAL, checked TEXT)"
        )
        with database:
            database.execute(
                "INSERT OR REPLACE INTO environments VALUES (?, ?, ?)",
                (directory, notified, checked),
            )
