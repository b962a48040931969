"""
Shared results in a JSON file, for tests without a server.

Processes take turns with flock(2).
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import fcntl
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upgrade_state.checks import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrade_state.checks import Question

# Seconds; a test that waits for the end of a lease sets the variable.
LEASE = float(os.environ.get("SHARED_FILE_LEASE", "900"))
BACK_OFF = 300.0


class FileResults:
    """
    Shared results at ``file:PATH``.

    Attributes:
        may_answer: Whether `ask` grants leases.

        ahead: By how many seconds the server's clock is ahead.
    """

    may_answer = True
    ahead = 0.0

    def __init__(self, url: str) -> None:
        self.path = Path(url.removeprefix("file:"))

    def ask(self, question: Question, max_age: dt.timedelta) -> Reply:
        with self._row(question) as (row, now):
            row.setdefault("asked", []).append(max_age.total_seconds())
            if row.get("new") and now - row["at"] < max_age.total_seconds():
                new = base64.b85decode(row["new"])
                return Reply(new_lockfile=new, answered_at=self._moment(row["at"]))
            if row.get("until", 0) > now:
                return Reply(busy_until=self._moment(row["until"]))
            if row.get("failing", 0) > now and max_age:
                return Reply(failing_until=self._moment(row["failing"]))
            if not self.may_answer:
                return Reply()
            row["fence"] = row.get("fence", 0) + 1
            row["until"] = now + LEASE
            return Reply(fence=row["fence"])

    def answer(self, question: Question, fence: int, new_lockfile: bytes) -> bool:
        with self._row(question) as (row, now):
            if row.get("fence") != fence:
                return False
            new = base64.b85encode(new_lockfile).decode()
            row |= {"new": new, "at": now, "until": 0, "failures": 0, "failing": 0}
            row["answers"] = row.get("answers", 0) + 1
            return True

    def give_up(self, question: Question, fence: int, *, failed: bool) -> None:
        with self._row(question) as (row, now):
            if row.get("fence") == fence:
                row["until"] = 0
                if failed:
                    row["failures"] = row.get("failures", 0) + 1
                    row["failing"] = now + BACK_OFF * 2 ** (row["failures"] - 1)

    def close(self) -> None:
        pass

    def rows(self) -> list[dict[str, Any]]:
        """
        Return all rows, as they are now.
        """
        return list(json.loads(self.path.read_text()).values())

    @contextlib.contextmanager
    def _row(self, question: Question) -> Iterator[tuple[dict[str, Any], float]]:
        with open(self.path, "a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            rows = json.loads(file.read() or b"{}")
            yield rows.setdefault(question.digest, {}), time.time() + self.ahead
            file.truncate(0)
            file.write(json.dumps(rows).encode())

    def _moment(self, seconds: float) -> dt.datetime:
        return dt.datetime.fromtimestamp(seconds - self.ahead, dt.UTC)
