"""
One statement at a time on a PostgreSQL server, each within one deadline.

libpq has a time limit for connecting and none for an answer. Its non-blocking calls
leave the waiting to this module, so that one deadline holds for both. Looking up the
server's name, and reading a service file that lies on a network, can block: a thread
of its own connects, and is abandoned at the deadline.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.resources
import os
import queue
import selectors
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

from upgrade_state._redact import MESSAGE_LENGTH, message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.pq.abc import PGconn, PGresult

VERSION = 1

# The URL may say otherwise. libpq uses no TLS on Unix sockets. Kerberos is off
# because its calls block while they look for their own servers.
DEFAULTS = {
    "sslmode": "verify-full",
    "gssencmode": "disable",
    "fallback_application_name": "upgrade-state",
    "client_encoding": "UTF8",
}

# Firewalls forget idle connections without telling either end.
IDLE_SECONDS = 60

# The types of parameters; text and None have that of the place where they are used.
_OIDS = {bool: 16, bytes: 17, int: 20, float: 701, str: 25}

# `poll` takes any descriptor and needs none of its own.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


# How to read the binary form of a result: bool, bytea, bigint, text, json, double
# precision, void.
_READERS: dict[int, Callable[[bytes], Any]] = {
    16: lambda value: value == b"\1",
    17: bytes,
    20: lambda value: int.from_bytes(value, signed=True),
    25: _text,
    114: _text,
    701: lambda value: struct.unpack(">d", value)[0],
    2278: lambda _: None,
}


class Trouble(Exception):  # noqa: N818 - it is no error of the caller
    """
    The server could not be reached, refused, or gave no answer in time.

    If the connection ended after a statement was sent, or the answer is late, the
    statement may have been executed.

    Attributes:
        message: The cause as one line, safe for a terminal and without URLs.

        sqlstate: The server's code of the error; None if there is none.
    """

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        self.message = message_of(message, MESSAGE_LENGTH)
        self.sqlstate = sqlstate
        super().__init__(self.message)


def _pq() -> Any:  # the module `psycopg.pq`
    try:
        from psycopg import pq
    except ImportError as e:
        raise Trouble(
            'PostgreSQL needs libpq and psycopg; install "upgrade-state[postgresql]"'
            f" and libpq, or psycopg[binary]: {e}"
        ) from e
    return pq


def conninfo(url: str) -> str:
    """
    Return the parameters of a connection in the form that libpq reads.

    Raises:
        ValueError: It is no URL of a database, or contains a password, a secret or
            a control character; the message does not repeat these.

        Trouble: psycopg is not installed.
    """
    _pq()
    from psycopg import Error
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    if not url.startswith("postgresql://"):
        raise ValueError("the URL of a database must begin with 'postgresql://'")
    try:
        options = conninfo_to_dict(url)
    except (Error, UnicodeError) as e:
        # libpq may repeat the URL.
        reason = "" if "@" in url or "pass" in url else f": {message_of(str(e), 200)}"
        raise ValueError(f"not a valid URL of a database{reason}") from None
    if any(name.endswith(("password", "secret")) for name in options):
        raise ValueError(
            "a URL must not contain a password; put it into ~/.pgpass or a service file"
        )
    if not all(str(value).isprintable() for value in options.values()):
        raise ValueError("the URL of a database must not contain control characters")
    defaults = {k: v for k, v in DEFAULTS.items() if k not in options}
    return make_conninfo(url, **defaults)


class Database:
    """
    A database, with the connections that are idle; any thread may use it.

    Each thread that executes a statement has a connection of its own meanwhile. A
    forked child opens its own.

    Args:
        url: See `conninfo`, also for errors. Nothing is opened yet.
    """

    def __init__(self, url: str) -> None:
        self._conninfo = conninfo(url).encode()
        self._idle: collections.deque[tuple[float, PGconn]] = collections.deque()
        self._pid = os.getpid()

    def execute(
        self, sql: str, params: Sequence[object] = (), *, seconds: float
    ) -> list[tuple[Any, ...]]:
        """
        Execute one statement and return its rows.

        An idle connection that the server has closed is replaced. A statement is
        never sent twice.

        Args:
            sql: With the parameters as ``$1``, ``$2``.

            params: Text, bytes, bool, int (64 bits), float or None.

            seconds: The time for everything, connecting included.

        Raises:
            Trouble: There is no answer, or it is an error.
        """
        deadline = time.monotonic() + seconds
        conn = self._reuse() or self._connect(deadline)
        rows = _run(conn, sql, params, deadline)
        self._idle.append((time.monotonic(), conn))
        with contextlib.suppress(IndexError):  # another thread took it
            while _is_old(self._idle[0][0]):
                self._idle.popleft()[1].finish()
        return rows

    def close(self) -> None:
        """
        Close the idle connections.
        """
        while (conn := self._reuse()) is not None:
            conn.finish()

    def _reuse(self) -> PGconn | None:
        """
        Take the connection that was used last, if it is as good as new.
        """
        if self._pid != os.getpid():
            # psycopg closes no connection of a parent process.
            self._idle, self._pid = collections.deque(), os.getpid()
        while self._idle:
            try:
                since, conn = self._idle.pop()
            except IndexError:  # another thread took it
                break
            # The server sends nothing to an idle connection but the reason for its end.
            if not _is_old(since) and not _wait(conn, selectors.EVENT_READ, 0):
                return conn
            conn.finish()
        return None

    def _connect(self, deadline: float) -> PGconn:
        conn = connect(self._conninfo, deadline)
        try:
            ((version,),) = _run(conn, "select upgrade_state.version()", (), deadline)
        except Trouble as e:
            if e.sqlstate not in ("3F000", "42883"):  # no such schema, no such function
                raise
            raise Trouble(
                "the database has no schema of upgrade-state; create it with"
                " 'upgrade-state shared init URL'",
                e.sqlstate,
            ) from e
        if version != VERSION:
            conn.finish()
            raise Trouble(
                f"the database has version {version} of the schema of upgrade-state;"
                f" this release knows version {VERSION}"
            )
        return conn


def create(url: str, *, seconds: float = 30) -> None:
    """
    Create the schema, or replace its functions; rows and granted rights stay.

    Either everything is done or nothing.

    Raises:
        Trouble: See `Database.execute`.

        ValueError: See `conninfo`.
    """
    package = importlib.resources.files(__package__)
    names = ("schema.sql", "results.sql", "records.sql", "privileges.sql")
    files = [package / name for name in names]
    script = "\n".join(path.read_text("utf-8") for path in files if path.is_file())
    deadline = time.monotonic() + seconds
    conn = connect(conninfo(url).encode(), deadline)
    # Without parameters libpq sends several statements, and they are one transaction.
    _run(conn, script, None, deadline)
    conn.finish()


def connect(parameters: bytes, deadline: float) -> PGconn:
    """
    Open a connection.

    Raises:
        Trouble: The server refuses, or the deadline has passed.
    """
    outcome: queue.SimpleQueue[PGconn | Trouble] = queue.SimpleQueue()

    def dial() -> None:
        try:
            outcome.put(_dial(parameters, deadline))
        except Exception as e:  # noqa: BLE001 - the other thread waits for it
            outcome.put(Trouble(str(e)))

    try:
        threading.Thread(target=dial, daemon=True).start()
        # A late connection is closed together with the queue, which has no reader.
        result = outcome.get(timeout=max(0, deadline - time.monotonic()))
    except queue.Empty:
        raise _late() from None
    except RuntimeError as e:  # no more threads
        raise Trouble(f"could not connect: {e}") from e
    if isinstance(result, Trouble):
        raise result
    return result


def _dial(parameters: bytes, deadline: float) -> PGconn:
    pq = _pq()
    conn: PGconn = pq.PGconn.connect_start(parameters)
    state = pq.PollingStatus.WRITING
    while conn.status != pq.ConnStatus.BAD:
        if state == pq.PollingStatus.OK:
            conn.nonblocking = 1
            return conn
        is_reading = state == pq.PollingStatus.READING
        event = selectors.EVENT_READ if is_reading else selectors.EVENT_WRITE
        if not _wait(conn, event, deadline):
            raise _late()
        state = conn.connect_poll()
    raise Trouble(_text(conn.error_message))


def _run(
    conn: PGconn, sql: str, params: Sequence[object] | None, deadline: float
) -> list[tuple[Any, ...]]:
    """
    Send a statement and wait for its rows; close the connection after any error.
    """
    pq = _pq()
    from psycopg import Error

    rows: list[tuple[Any, ...]] = []
    try:
        if params is None:
            conn.send_query(sql.encode())
        else:
            oids = [_OIDS.get(type(param), 0) for param in params]
            # Text in binary form may contain NUL, which the server refuses.
            formats = [int(isinstance(param, bytes | str)) for param in params]
            values = [_value(param) for param in params]
            conn.send_query_params(sql.encode(), values, oids, formats, 1)
        while True:
            events = selectors.EVENT_READ
            if conn.flush():
                events |= selectors.EVENT_WRITE
            elif not conn.is_busy():
                if (result := conn.get_result()) is None:
                    return rows
                _raise_error(pq, result)
                rows = _rows(result) if params is not None else rows
                continue
            if not _wait(conn, events, deadline):
                raise _late()  # noqa: TRY301
            conn.consume_input()
    except Error as e:
        conn.finish()
        raise Trouble(str(e)) from e
    except BaseException:
        conn.finish()
        raise


def _raise_error(pq: Any, result: PGresult) -> None:
    if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        primary = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        text = primary or result.error_message or b"not the protocol of PostgreSQL"
        raise Trouble(_text(text), state.decode() if state else None)


def _value(param: object) -> bytes | None:
    if param is None or isinstance(param, bytes):
        return param
    return str(param).encode(errors="backslashreplace")


def _rows(result: PGresult) -> list[tuple[Any, ...]]:
    columns = range(result.nfields)
    readers = [_READERS[result.ftype(column)] for column in columns]
    return [
        tuple(
            None if (value := result.get_value(row, column)) is None else read(value)
            for column, read in zip(columns, readers, strict=True)
        )
        for row in range(result.ntuples)
    ]


def _wait(conn: PGconn, events: int, deadline: float) -> bool:
    """
    Wait until the socket is ready; False: not before the deadline.
    """
    with _Selector() as selector:
        selector.register(conn.socket, events)
        return bool(selector.select(max(0, deadline - time.monotonic())))


def _is_old(since: float) -> bool:
    return time.monotonic() - since > IDLE_SECONDS


def _late() -> Trouble:
    return Trouble("the database server did not answer in time")
