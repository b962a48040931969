"""
One statement at a time on a PostgreSQL server, each within one deadline.

libpq has a time limit for connecting and none for an answer. Its non-blocking calls
leave the waiting to this module, so that one deadline holds for both. They block only
to look up a name, so names are looked up before, in a thread.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.resources
import itertools
import os
import queue
import selectors
import struct
import threading
import time
from socket import SOCK_STREAM, getaddrinfo
from typing import TYPE_CHECKING, Any

from upgrade_state._redact import MESSAGE_LENGTH, message_of
from upgrade_state.exceptions import UpgradeStateError

try:
    from psycopg import Error, pq
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
except ImportError as error:  # also if there is no libpq
    message = "could not load psycopg; install upgrade-state[postgresql], and libpq or"
    message += f" psycopg[binary]: {message_of(str(error), 200)}"
    raise UpgradeStateError(message, None) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from psycopg.pq.abc import PGconn, PGresult

# Without these the URL, its service or the environment decides. Kerberos is off
# because its calls block while they look for their own servers.
DEFAULTS = {
    "sslmode": "verify-full",  # libpq ignores it on Unix sockets
    "gssencmode": "disable",
    "fallback_application_name": "upgrade-state",
    "client_encoding": "UTF8",
}

# Firewalls forget idle connections without telling either end.
IDLE_SECONDS = 60

LATE = "the database server did not answer in time"

# `poll` takes any descriptor and needs none of its own.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def _int(value: bytes) -> int:
    return int.from_bytes(value, signed=True)


# The types of parameters; the server derives that of None.
_OIDS = {bool: 16, bytes: 17, int: 20, float: 701, str: 25}

# How to read bool, bytea, whole numbers and double precision; other results are text.
_READERS: dict[int, Callable[[bytes], Any]] = {
    16: lambda value: value == b"\1",
    17: bytes,
    20: _int,
    23: _int,
    701: lambda value: struct.unpack(">d", value)[0],
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


def conninfo(url: str) -> str:
    """
    Return the parameters of a connection in the form that libpq reads.

    Raises:
        ValueError: It is no URL of a database, or has a password or a control
            character in it; the message, one line, does not repeat these.
    """
    if not url.startswith("postgresql://"):
        raise ValueError("the URL of a database begins with 'postgresql://'")
    try:
        options = conninfo_to_dict(url)
    except (Error, UnicodeError) as e:
        # libpq may repeat the URL, or a value with a wrong percent sign.
        is_told = not any(mark in url for mark in ("@", "%", "pass"))
        reason = f": {message_of(str(e), 200)}" if is_told else ""
        raise ValueError(f"not the URL of a database{reason}") from None
    # A slash in a password ends the host, so the rest of it is in another parameter.
    is_cut = "@" in str(options.get("dbname"))
    if is_cut or any(name.endswith(("password", "secret", "_key")) for name in options):
        raise ValueError("the URL has a password: put it into a file such as ~/.pgpass")
    if not all(str(value).isprintable() for value in options.values()):
        raise ValueError("the URL of a database must have no control characters")
    defaults = {name: DEFAULTS[name] for name in DEFAULTS if name not in options}
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
        self._conninfo = conninfo(url)
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
        now = time.monotonic()
        self._idle.append((now + IDLE_SECONDS, conn))
        with contextlib.suppress(IndexError):  # another thread took it
            while self._idle[0][0] < now:
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
        Take the idle connection that was used last, unless it is old or closed.
        """
        if self._pid != os.getpid():
            # psycopg closes no connection of the parent process.
            self._idle, self._pid = collections.deque(), os.getpid()
        with contextlib.suppress(IndexError):
            while True:
                until, conn = self._idle.pop()
                # The server sends nothing to an idle connection but its end.
                if time.monotonic() < until and not _wait(conn, selectors.EVENT_READ):
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
            message = "the database has no schema of upgrade-state; create it with"
            raise Trouble(f"{message} 'upgrade-state shared init URL'") from e
        if version != 1:
            conn.finish()
            message = f"the schema of upgrade-state has version {version} in the"
            raise Trouble(f"{message} database; this release knows version 1")
        return conn


def create(url: str, *, seconds: float = 30) -> None:
    """
    Create the schema, or replace its functions; rows and granted rights stay.

    Either everything is done or nothing.

    Raises:
        ValueError, Trouble: See `conninfo` and `Database.execute`.
    """
    package = importlib.resources.files("upgrade_state._postgresql")
    names = ("schema.sql", "results.sql", "records.sql", "privileges.sql")
    script = "\n".join((package / name).read_text("utf-8") for name in names)
    deadline = time.monotonic() + seconds
    conn = connect(conninfo(url), deadline)
    # Without parameters libpq sends several statements, and they are one transaction.
    _run(conn, script, None, deadline)
    conn.finish()


def connect(parameters: str, deadline: float) -> PGconn:
    """
    Open a connection.

    Raises:
        Trouble: The server refuses, or the deadline has passed.
    """
    conn = pq.PGconn.connect_start(_with_addresses(parameters, deadline).encode())
    state = pq.PollingStatus.WRITING
    with _closing(conn):
        while state != pq.PollingStatus.OK:
            if conn.status == pq.ConnStatus.BAD:
                raise Trouble(_text(conn.error_message))
            is_reading = state == pq.PollingStatus.READING
            event = selectors.EVENT_READ if is_reading else selectors.EVENT_WRITE
            if not _wait(conn, event, deadline):
                raise Trouble(LATE)
            state = pq.PollingStatus(conn.connect_poll())
        conn.nonblocking = 1
    return conn


@contextlib.contextmanager
def _closing(conn: PGconn) -> Iterator[None]:
    """
    Close a connection after any error; a traceback would keep it open.
    """
    try:
        yield
    except BaseException as e:
        conn.finish()
        if isinstance(e, Error):
            raise Trouble(str(e)) from e
        raise


def _with_addresses(parameters: str, deadline: float) -> str:
    """
    Look up the servers' names; libpq would do so without end, and stop all threads.
    """
    # This option is invalid: libpq stops after it has read the service file.
    probe = pq.PGconn.connect_start(f"{parameters} target_session_attrs=no".encode())
    options = {option.keyword: _text(option.val or b"") for option in probe.info}
    hosts, ports = options[b"host"].split(","), options[b"port"].split(",")
    if options[b"hostaddr"] or not any(map(_is_name, hosts)):
        return parameters
    outcome: queue.SimpleQueue[list[tuple[str, str, str]]] = queue.SimpleQueue()

    def look_up() -> None:
        found = []
        for host, port in zip(hosts, itertools.cycle(ports)):
            with contextlib.suppress(OSError, UnicodeError):
                found += [(host, address, port) for address in _addresses(host)]
        outcome.put(found)

    try:
        # At the deadline the thread is abandoned; it holds nothing.
        threading.Thread(target=look_up, daemon=True).start()
        found = outcome.get(timeout=max(0, deadline - time.monotonic()))
    except (queue.Empty, RuntimeError) as e:  # RuntimeError: no more threads
        raise Trouble(str(e) or LATE) from e
    if not found:
        raise Trouble(f"no address of the database server is known: {', '.join(hosts)}")
    host, hostaddr, port = map(",".join, zip(*found, strict=True))
    return make_conninfo(parameters, host=host, hostaddr=hostaddr, port=port)


def _addresses(host: str) -> list[str]:
    if not _is_name(host):
        return [""]
    return [str(info[4][0]) for info in getaddrinfo(host, None, type=SOCK_STREAM)]


def _is_name(host: str) -> bool:
    return host[:1] not in ("", "/", "@")  # the others are Unix sockets


def _run(
    conn: PGconn, sql: str, params: Sequence[object] | None, deadline: float
) -> list[tuple[Any, ...]]:
    """
    Send a statement and wait for its rows; close the connection after any error.
    """
    rows: list[tuple[Any, ...]] = []
    with _closing(conn):
        if params is None:
            conn.send_query(sql.encode())
        else:
            # Text in its binary form may contain NUL, which the server refuses.
            formats = [int(isinstance(param, bytes | str)) for param in params]
            oids = [_OIDS.get(type(param), 0) for param in params]
            values = [_value(param) for param in params]
            conn.send_query_params(sql.encode(), values, oids, formats, 1)
        while True:
            events = selectors.EVENT_READ
            if conn.flush():
                events |= selectors.EVENT_WRITE
            elif not conn.is_busy():
                if (result := conn.get_result()) is None:
                    return rows
                rows = _rows(result)
                continue
            if not _wait(conn, events, deadline):
                raise Trouble(LATE)
            conn.consume_input()


def _value(param: object) -> bytes | None:
    if param is None or isinstance(param, bytes):
        return param
    return str(param).encode(errors="backslashreplace")


def _rows(result: PGresult) -> list[tuple[Any, ...]]:
    if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
        text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY)
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        message = _text(text or result.error_message) or "no protocol of PostgreSQL"
        raise Trouble(message, state.decode() if state else None)

    def cell(row: int, column: int) -> Any:
        value = result.get_value(row, column)
        read = _READERS.get(result.ftype(column), _text)
        return None if value is None else read(value)

    columns = range(result.nfields)
    return [tuple(cell(row, n) for n in columns) for row in range(result.ntuples)]


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def _wait(conn: PGconn, events: int, deadline: float = 0) -> bool:
    """
    Wait until the socket is ready; False: not before the deadline.
    """
    with _Selector() as selector:
        selector.register(conn.socket, events)
        seconds = deadline - time.monotonic()
        # A server that never stops to send keeps the socket ready.
        return bool(selector.select(max(0, seconds))) and (seconds > 0 or not deadline)
