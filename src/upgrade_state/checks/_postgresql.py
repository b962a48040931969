"""
Keep shared results in a PostgreSQL database: the client's side of `results.sql`.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from upgrade_state import lockfiles
from upgrade_state._postgresql import _connection

from ._sharing import Reply, SharedEntry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from ._sharing import Question

# For everything that one call does, connecting included. A check makes two calls, and
# must not be 5 seconds late if the first is slow and the second fails.
_SECONDS: Final = 2.4

# Limits of `results.sql`: characters of a text, bytes of an answer.
_LENGTH: Final = 200
_SIZE: Final = 16 << 20

_LABEL: Final = re.compile(r"(?<=[?&])label=([^&]*)&?")

# Reading two lockfiles of 5 MiB took 7 s on a busy machine.
_COUNTED_SIZE: Final = 1 << 20


_GRANTS: Final = """\
-- Roles that take results and make none:
GRANT EXECUTE ON FUNCTION upgrade_state.ask TO readers;
-- Roles that also check for all others:
GRANT EXECUTE ON FUNCTION upgrade_state.ask, upgrade_state.answer,
    upgrade_state.give_up TO checkers;
-- Roles that see the team's list, and delete old results:
GRANT EXECUTE ON FUNCTION upgrade_state.list, upgrade_state.prune TO managers;
"""

_EXAMINE: Final = """
SELECT has_function_privilege('upgrade_state.ask(bytea, float8, text, text)',
    'EXECUTE'), extract(epoch FROM clock_timestamp())::float8
"""


class PostgreSQLResults:
    """
    Shared results in the schema `upgrade_state` of a database.

    Args:
        url: Names the database, without a password. No connection is opened yet. Its
            parameter ``label`` names this team's environment in the list.

    Raises:
        ValueError: The URL names no database, or has a password.
    """

    def __init__(self, url: str) -> None:
        (*_, label) = ("", *_LABEL.findall(url))
        self._label = unquote(label) or None
        if not unquote(label).isprintable():
            raise ValueError("the label must not contain control characters")
        # libpq refuses parameters that it does not know.
        self._url = _LABEL.sub("", url).rstrip("?&")
        self._database = _connection.Database(self._url)

    def ask(self, question: Question, max_age: dt.timedelta) -> Reply:
        ((answer, answered, lease, busy, failing),) = self._call(
            "ask",
            bytes.fromhex(question.digest),
            max_age.total_seconds(),
            _text(question.lockfile_name),
            _text(self._label),
        )
        return Reply(
            new_lockfile=answer,
            answered_at=_moment(answered),
            fence=lease,
            busy_until=_moment(busy),
            failing_until=_moment(failing),
        )

    def answer(self, question: Question, fence: int, new_lockfile: bytes) -> bool:
        if len(new_lockfile) > _SIZE:
            self.give_up(question, fence, failed=False)
            raise ValueError(f"an answer may not be larger than {_SIZE >> 20} MiB")
        digest = bytes.fromhex(question.digest)
        counts = _counts(question, new_lockfile)
        ((stored,),) = self._call("answer", digest, fence, new_lockfile, *counts)
        return bool(stored)

    def give_up(self, question: Question, fence: int, *, failed: bool) -> None:
        self._call("give_up", bytes.fromhex(question.digest), fence, failed)

    def list(self) -> Iterator[SharedEntry]:
        rows = self._call("list")
        for label, name, versions, rebuilds, *times, attempts, is_busy in rows:
            checked, failing = map(_moment, times)
            yield SharedEntry(
                label, name, versions, rebuilds, checked, failing, attempts, is_busy
            )

    def prune(self, older_than: dt.timedelta) -> int:
        ((count,),) = self._call("prune", older_than.total_seconds())
        return int(count)

    def create(self) -> Sequence[str]:
        """
        Create the schema, or replace its functions; rows and rights stay.

        Returns:
            A script in SQL with the rights to grant, as lines.
        """
        _connection.create(self._url)
        return _GRANTS.splitlines()

    def examine(self) -> dt.datetime:
        ((may_ask, now),) = self._database.execute(_EXAMINE, seconds=_SECONDS)
        if not may_ask:
            message = "this role may not ask for shared results; the rights to grant:"
            raise PermissionError(f"{message} 'upgrade-state shared init'")
        return dt.datetime.fromtimestamp(now, dt.UTC)

    def close(self) -> None:
        self._database.close()

    def _call(self, function: str, *params: object) -> Sequence[tuple[Any, ...]]:
        marks = ", ".join(f"${number}" for number in range(1, len(params) + 1))
        sql = f"SELECT * FROM upgrade_state.{function}({marks})"  # noqa: S608
        return self._database.execute(sql, params, seconds=_SECONDS)


def _text(text: str | None) -> str | None:
    """
    Return a text that any server can store: short, and valid UTF-8.
    """
    return text and text[:_LENGTH].encode(errors="replace").decode()


def _moment(seconds: float | None) -> dt.datetime | None:
    """
    Return a time that the server gave in seconds from now, by the local clock.
    """
    if seconds is None:
        return None
    return dt.datetime.fromtimestamp(time.time() + seconds, dt.UTC)


def _counts(question: Question, new_lockfile: bytes) -> tuple[int | None, int | None]:
    """
    Count version changes and rebuilds; None if the lockfiles do not tell.
    """
    old = question.old_lockfile
    if old is None or max(len(old), len(new_lockfile)) > _COUNTED_SIZE:
        return None, None
    before, after = (
        lockfiles.read(content, format=question.format)
        for content in (old, new_lockfile)
    )
    difference = lockfiles.diff(before, after)
    if not difference.comparable:
        return None, None
    counts = lockfiles.counts(difference.upgrades)["*"]
    return counts["version"], counts["rebuild"]
