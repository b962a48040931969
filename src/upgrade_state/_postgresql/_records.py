"""
Records in a database, for programs that stay: a hub, the server of an IDE.

The protocol is the one at the top of `_store`, without its locks.

Write. One statement replaces a record, if its version is the one that the new record
was made from. If it is not, the record is read and the operation decided again.

Check. A lease of 15 minutes, in the row of the record, takes the place of the check
lock. It has a fence, a number that no earlier lease had, and a commit asks for it: a
check that outlives its lease is stored unless another check, or `forget`, has come.

Contents are columns of that row, and are replaced together with the record.

A corrupt record counts as none, and is not kept when a check replaces it. The server
may execute a statement whose answer is late: a claim then costs one notice.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from upgrade_state import _record, _store
from upgrade_state._postgresql._connection import Database, Trouble
from upgrade_state.exceptions import StateLockError, StateReadError, StateWriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final

    from upgrade_state._policy import Matches, Question, Verdict
    from upgrade_state._record import Record
    from upgrade_state.exceptions import UpgradeStateError

# For everything that an activation waits for, and for each other statement.
CLAIM_SECONDS = 0.2
SECONDS = 10.0

# Records that are read at once by those who iterate.
_PAGE = 100

_MINE = "from upgrade_state.records where owner = current_user"
_READ = f"select record, version, fence {_MINE} and key = $1"
_READ_CONTENTS = f"select record, {', '.join(_store.RESULT_FILES)} {_MINE} and key = $1"
_REPLACE = "select upgrade_state.replace($1, $2, $3)"
_COMMIT = """
    update upgrade_state.records
    set record = $3, version = txid_current(), written = now(),
        old_lockfile = $5, new_lockfile = $6, upgrades = $7
    where owner = current_user and key = $1 and version = $2 and fence = $4
    returning version
"""
_BEGIN = """
    insert into upgrade_state.records as r (key, fence, until)
    values ($1, txid_current(), now() + interval '15 minutes')
    on conflict (owner, key) do update
    set fence = excluded.fence, until = excluded.until
    where r.until is null or r.until < now()
    returning record, version, fence
"""
_RELEASE = """
    update upgrade_state.records set until = null
    where owner = current_user and key = $1 and fence = $2
"""
# Without a lease, and last written before $2 or never.
_OLD = """
    (until is null or until < now())
    and (record is null or written < to_timestamp($2))
"""
_FORGET = f"""
    with forgotten as (delete {_MINE} and key = $1 and {_OLD} returning key)
    select exists (select from forgotten) or not exists (select {_MINE} and key = $1)
"""  # noqa: S608 - of constants
_PAGES = f"select key, record {_MINE} and key > $1 and %s order by key limit {_PAGE}"


class Backend:
    """
    The environments of one role in a database. Satisfies `_operations.Backend`.

    Args:
        url: See `_connection.conninfo`, also for errors. Nothing is opened.
    """

    def __init__(self, url: str) -> None:
        self._database: Final = Database(url)

    def entry(self, key: str, identity: Record | None = None) -> Entry:
        """
        Return the operations on one environment. Nothing is read.
        """
        return Entry(self, key, identity)

    def records(self) -> Iterator[tuple[str, Record | None, StateReadError | None]]:
        """
        Stream the key and the record of every environment; None: it is corrupt.

        Raises:
            StateReadError: The database cannot be used.
        """
        for key, record in self._pages("record is not null"):
            yield key, record, None

    def prune(
        self, *, before: int, dry_run: bool
    ) -> Iterator[tuple[str, Record | None]]:
        """
        Forget records by their age alone: their directories may be elsewhere.

        Args:
            before: See `_operations.Backend.prune`.

            dry_run: Only report; delete nothing.

        Raises:
            UpgradeStateError: The database cannot be used.
        """
        for key, record in self._pages(_OLD, float(before)):
            if dry_run or self.entry(key).forget(before):
                yield key, record

    def _pages(self, which: str, *params: float) -> Iterator[tuple[str, Record | None]]:
        """
        Stream records in the order of their keys; no statement outlives its page.
        """
        key = ""
        while rows := self.execute(StateReadError, _PAGES % which, key, *params):
            for key, text in rows:  # the next page begins after the last key
                yield key, _valid(key, text)

    def execute(
        self,
        error: type[UpgradeStateError],
        sql: str,
        *params: object,
        deadline: float | None = None,
    ) -> list[tuple[Any, ...]]:
        """
        Execute one statement; raise *error* if it cannot be.
        """
        seconds = SECONDS if deadline is None else deadline - time.monotonic()
        try:
            return self._database.execute(sql, params, seconds=seconds)
        except Trouble as trouble:
            message = f"Could not use the records in the database ({trouble.message})"
            raise error(message, None) from trouble


class _Row(NamedTuple):
    record: Record | None
    version: int
    fence: int | None


class _Seen(dict[str, Any]):
    """
    A record with the row that it was read from, for the claim that follows.

    Attributes:
        seconds: The time that is left to the claim.
    """

    row: _Row
    seconds: float


class Entry:
    """
    The operations on one environment. Satisfies `_operations.Operations`.

    Each raises `UpgradeStateError` if the database cannot be used.
    """

    def __init__(self, backend: Backend, key: str, identity: Record | None) -> None:
        self.key: Final = key
        self.results: Final = None  # in no file system
        self.execute: Final = backend.execute
        self._identity: Final = identity or {}

    def read(self) -> Record | None:
        """
        Read the record; None if it is missing or corrupt.
        """
        deadline = time.monotonic() + CLAIM_SECONDS
        row = self.row(deadline)
        if row.record is None:
            return None
        seen = _Seen(row.record)
        seen.row, seen.seconds = row, deadline - time.monotonic()
        return seen

    def row(self, deadline: float | None = None) -> _Row:
        """
        Read the row of the record.
        """
        rows = self.execute(StateReadError, _READ, self.key, deadline=deadline)
        return _row(self.key, *rows[0]) if rows else _Row(None, 0, None)

    def replace(
        self,
        row: _Row,
        fields: Record,
        *more: object,
        sql: str = _REPLACE,
        deadline: float | None = None,
    ) -> Record | None:
        """
        Replace *fields* in the record, or in a new one, and return it.

        None if another version is in place.

        Args:
            sql: The statement, with *more* parameters.
        """
        record = (row.record or _record.DEFAULTS | self._identity) | fields
        params = self.key, row.version, _store.dump(record), *more
        rows = self.execute(StateWriteError, sql, *params, deadline=deadline)
        return record if rows and rows[0][0] else None

    @contextlib.contextmanager
    def begin(self) -> Iterator[Lease | None]:
        """
        Hold a lease for a `with` statement; None if another check has one.
        """
        rows = self.execute(StateLockError, _BEGIN, self.key)
        lease = Lease(self, _row(self.key, *rows[0])) if rows else None
        try:
            yield lease
        finally:
            if lease is not None:
                lease.release()

    def claim(
        self,
        record_seen: Record | None,
        question: Question,
        first_verdict: Verdict,
        *,
        matches: Matches,
        now: int | None,
    ) -> Verdict:
        """
        Decide again by the record that is replaced, and record the notice.

        It has the time that the read of *record_seen* has left. Arguments and answer
        are those of `_store.Entry.claim`.
        """
        seen = cast("_Seen", record_seen)
        row, deadline = seen.row, time.monotonic() + seen.seconds
        while True:
            verdict, fields = _store.second_verdict(
                seen,
                row.record,
                question,
                first_verdict,
                matches=matches,
                # A process that is stopped after this is too late for its statement.
                now=int(time.time()) if now is None else now,
            )
            if not fields or self.replace(row, fields, deadline=deadline):
                return verdict
            row = self.row(deadline)

    def change(self, fields: Record) -> bool:
        """
        Replace *fields* of a known environment; False if nothing is known.
        """
        deadline = time.monotonic() + SECONDS
        while (row := self.row(deadline)).record is not None:
            if self.replace(row, fields, deadline=deadline):
                return True
        return False

    def read_result(self, field: str, record: Record | None) -> bytes | None:
        """
        Read the content that *record*, or a later one, names in *field* of its result.

        Raises:
            StateReadError: It is damaged or missing, or the database cannot be used.
        """
        if _digest(record, field) is None:
            return None
        index = 1 + _store.RESULT_FILES.index(field)
        for row in self.execute(StateReadError, _READ_CONTENTS, self.key):
            current, content = _valid(self.key, row[0]), row[index]
            expected = _digest(current, field)
            if content is None and expected is None:
                break
            if content is None or _record.digest(content) != expected:
                message = f"The {field} in the database is damaged"
                todo = "the next check replaces it"
                raise StateReadError(f"{message}; {todo}", None)
            return bytes(content)
        return None

    def forget(self, before: float = math.inf) -> bool:
        """
        Delete the record and its contents; False if a check is running.

        Args:
            before: Only a record that was last written before this, in seconds since
                the epoch.
        """
        ((is_forgotten,),) = self.execute(
            StateWriteError, _FORGET, self.key, float(before)
        )
        return bool(is_forgotten)


class Lease:
    """
    The right to make a check for 15 minutes. Satisfies `_operations.Lease`.

    Attributes:
        record: The record that was read with the lease or, after a commit or a
            failure, the one that is in place; None: there is no valid one.
    """

    def __init__(self, entry: Entry, row: _Row) -> None:
        self._entry: Final = entry
        self._row = row
        self._fence: Final = row.fence
        self._holder: int | None = os.getpid()

    @property
    def record(self) -> Record | None:
        return self._row.record

    @property
    def is_open(self) -> bool:
        """
        Whether this process has taken it, and not released it.
        """
        return self._holder == os.getpid()

    def commit(self, fields: Record, contents: Mapping[str, bytes]) -> bool:
        """
        Store the *contents* of a result, and merge its *fields*, in one statement.

        Returns:
            False if another check has taken the lease meanwhile, or if the record was
            forgotten after the lease had ended.
        """
        generation = (self.record or _record.DEFAULTS)["generation"]
        fields = fields | {"generation": (generation + 1) & _record.MAX_INTEGER}
        columns = [
            contents.get(_digest(fields, name) or "") for name in _store.RESULT_FILES
        ]
        return self._merge(lambda _: fields, self._fence, *columns, sql=_COMMIT)

    def fail(self, failure_after: Callable[[Record | None], Record]) -> None:
        """
        Merge the field that *failure_after* returns for the current record.

        Raises:
            StateLockError: Another check has taken the lease meanwhile.
            UpgradeStateError: The database cannot be used.
        """
        if not self._merge(failure_after):
            raise StateLockError("Another check has taken over from this one", None)

    def _merge(
        self,
        make_fields: Callable[[Record | None], Record],
        *more: object,
        sql: str = _REPLACE,
    ) -> bool:
        """
        Replace fields in the record; False if this lease was taken over.
        """
        # Only its holder commits, so the generation is that of the beginning.
        while self._row.fence == self._fence:
            fields = make_fields(self.record)
            record = self._entry.replace(self._row, fields, *more, sql=sql)
            if record is not None:
                self._row = self._row._replace(record=record)
                return True
            self._row = self._entry.row()
        return False

    def release(self) -> None:
        """
        End it, if it is open; an error is logged, and it ends by its time.
        """
        if not self.is_open:
            return
        self._holder = None
        try:
            where = self._entry.key, self._fence
            self._entry.execute(StateLockError, _RELEASE, *where)
        except StateLockError as error:
            _record.debug("could not end the lease of a check: %s", error)


def _row(key: str, text: str | None, version: int, fence: int | None) -> _Row:
    return _Row(_valid(key, text), version, fence)


def _valid(key: str, text: str | None) -> Record | None:
    return None if text is None else _record.valid(text.encode(), key)


def _digest(record: Record | None, field: str) -> str | None:
    """
    Return the digest of a content that *record* names; None: it names none.
    """
    file = _store.result_file(record, field)
    return None if file is None else file["digest"]
