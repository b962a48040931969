"""
The connection to a PostgreSQL server: its URL, its values, its troubles.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time

import pytest

from database import name_of, running_replica, running_server_with_tls
from helpers import run_python

psycopg = pytest.importorskip("psycopg")

from upgrade_state._postgresql import _connection  # noqa: E402
from upgrade_state._postgresql._connection import (  # noqa: E402
    Database,
    Trouble,
    conninfo,
    create,
)

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def own(own):
    """
    A server that tests may stop, with the schema.
    """
    create(own.url())
    return own


@contextlib.contextmanager
def trouble(match, seconds):
    """
    Expect one line of trouble, not much later than the deadline.
    """
    start = time.monotonic()
    with pytest.raises(Trouble, match=match) as caught:
        yield caught
    assert time.monotonic() - start < seconds + 2
    assert str(caught.value).isprintable()
    assert str(caught.value) == caught.value.message


def ask(url, seconds=5.0):
    return Database(url).execute("select 1::bigint", seconds=seconds)


def patiently(database, sql):
    """
    Execute a statement on a server that recovers.
    """
    end = time.monotonic() + 20
    while True:
        try:
            return database.execute(sql, seconds=5)
        except Trouble:
            assert time.monotonic() < end
            time.sleep(0.05)


def pid_of(database, seconds=10):
    ((pid,),) = database.execute("select pg_backend_pid()", seconds=seconds)
    return pid


class TestURL:
    def test_defaults(self):
        """
        TLS is verified unless the URL says otherwise.
        """
        text = conninfo("postgresql:///state?service=team")
        options = dict(part.split("=") for part in text.split())

        assert "verify-full" == options["sslmode"]
        assert ("team", "state") == (options["service"], options["dbname"])
        assert "sslmode=require" in conninfo("postgresql://a/b?sslmode=require")

    @pytest.mark.parametrize(
        "url",
        [
            "postgresql://ana:sesame@db.example/state",
            "postgresql://ana@db.example/state?password=sesame",
            "postgresql://db.example/state?sslpassword=sesame",
            "postgresql://db.example/state?passwort=sesame",
            "postgresql://ana:sesame@[db.example/state",
            "postgresql://ana:ses%zzame@db.example/",
            "postgres://ana:sesame@db.example/state",
            "postgresql://ana:ses/ame@db.example/state",
            "postgresql://db.example/state?pwd=sesame%zz",
            "postgresql://db.example/state?scram_client_key=sesame",
            "postgresql:host=db.example password=sesame",
            "host=db.example password=sesame",
            "postgresql://db.example/sesame%0a",
            "postgresql://db.example/%00",
            "postgresql://db.example/sesame\udcff@",
            "",
        ],
    )
    def test_refused(self, url):
        """
        A URL that is none, or has a password, is refused in one line without it.
        """
        with pytest.raises(ValueError, match=r"^[ -~]+$") as caught:
            conninfo(url)

        assert "ses" not in str(caught.value)

    def test_reason(self):
        """
        The message names a parameter that libpq does not know.
        """
        with pytest.raises(ValueError, match='parameter: "lable"'):
            conninfo("postgresql:///state?lable=shop")


class TestValues:
    def test_types(self, schema):
        """
        Text, bytes, truth values, numbers and NULL come back as they were sent.
        """
        types = ("text", "bytea", "bool", "bigint", "double precision", "text")
        sql = ", ".join(f"${n}::{t}" for n, t in enumerate(types, 1))
        values = ("hé\n", b"\0\xff", True, -(2**63), 0.1, None)

        rows = Database(schema).execute(f"select {sql}", values, seconds=10)
        assert [values] == rows

    def test_other_results(self, schema):
        """
        JSON comes as text, void as empty text, and a command has no rows.
        """
        database = Database(schema)

        ask = "select '{}'::json, pg_notify('a', 'b'), null::bool"
        ask += " from generate_series(1, 2)"
        assert [("{}", "", None)] * 2 == database.execute(ask, seconds=10)
        assert [] == database.execute("create table t (a text)", seconds=10)
        # NUL is refused rather than cut off.
        with pytest.raises(Trouble, match="invalid byte sequence"):
            database.execute("insert into t values ($1)", ["a\0b"], seconds=10)

    def test_large(self, schema):
        """
        A value may be larger than every buffer on the way.
        """
        content = bytes(range(256)) * 32 * 1024

        rows = Database(schema).execute("select $1::bytea", [content], seconds=20)
        assert [(content,)] == rows


class TestCreate:
    def test_twice(self, server, database):
        """
        The schema is made once, and making it again changes no right.
        """
        create(database)
        name = name_of(database)
        function = "upgrade_state.version()"
        server.sql(f"revoke all on function {function} from public", name)
        create(database)

        assert [(1,)] == Database(database).execute(f"select {function}", seconds=10)

    def test_no_schema(self, database):
        """
        A database without the schema says how it is made.
        """
        with pytest.raises(Trouble, match="upgrade-state shared init URL"):
            Database(database).execute("select 1", seconds=10)

    def test_function_is_missing(self, server, database):
        """
        So does one whose schema of this name is of other origin.
        """
        server.sql("create schema upgrade_state", name_of(database))

        with pytest.raises(Trouble, match="upgrade-state shared init URL"):
            ask(database)

    def test_another_version(self, server, database):
        """
        The schema of another version is neither used nor changed.
        """
        create(database)
        name = name_of(database)
        version = "function upgrade_state.version() returns bigint language sql"
        server.sql(f"create or replace {version} as 'select 2::bigint'", name)

        with pytest.raises(Trouble, match=r"version 2 in the database; .* version 1$"):
            ask(database)
        with pytest.raises(Trouble, match="database has version 2 of the schema"):
            create(database)
        assert [(2,)] == server.sql("select upgrade_state.version()", name)

    def test_schema_of_another_role(self, server):
        """
        No code of another role's schema is run with the rights of its creator.
        """
        name = server.database("guest")
        server.sql(f"grant create on database {name} to guest")
        trap = "function upgrade_state.version() returns bigint language sql as $$"
        trap += " create table upgrade_state.mine(); select 1::bigint $$"
        server.sql(f"create schema upgrade_state; create {trap}", name, "guest")

        with pytest.raises(Trouble, match="another role has made the schema"):
            create(server.url(name))
        (found,) = server.sql("select to_regclass('upgrade_state.mine')::text", name)
        assert found == (None,)

    def test_public_has_no_rights(self, server, schema):
        """
        Nothing acts with the rights of the owner for a role without grants.
        """
        name = name_of(schema)
        rights = "has_function_privilege('public', oid, 'execute') and prosecdef"
        place = "namespace = 'upgrade_state'::regnamespace"
        functions = f"select proname from pg_proc where {rights} and pro{place}"
        granted = "relacl::text like '{=%' or relacl::text like '%,=%'"
        tables = f"select relname from pg_class where ({granted}) and rel{place}"

        assert [] == server.sql(f"{functions} union all {tables}", name)

    def test_no_right_to_the_schema(self, server, database):
        """
        A role from which the schema is withheld is told so by the server.
        """
        create(database)
        server.database("guest")
        name = name_of(database)
        server.sql("revoke usage on schema upgrade_state from public", name)

        with pytest.raises(Trouble, match="permission denied for schema"):
            ask(server.url(name, "guest"))

    def test_may_not(self, server, schema):
        """
        A role that may not make the schema is told so by the server.
        """
        server.database("guest")
        name = name_of(schema)

        with pytest.raises(Trouble, match=r"permission denied|must be owner") as caught:
            create(server.url(name, "guest"))
        assert "42501" == caught.value.sqlstate


class TestConnections:
    def test_reused(self, schema):
        """
        Statements one after the other use one connection, until it is old.
        """
        database = Database(schema)
        first = pid_of(database)

        assert first == pid_of(database)
        database.close()
        assert first != pid_of(database)

    def test_old(self, schema, monkeypatch):
        """
        A connection that was idle for a minute is closed, also below younger ones.
        """
        database = Database(schema)
        monkeypatch.setattr(_connection, "IDLE_SECONDS", 0)
        first = pid_of(database)
        monkeypatch.undo()
        with contextlib.suppress(IndexError):
            old = database._idle.pop()

        second = pid_of(database)
        assert first != second
        database._idle.appendleft(old)
        assert second == pid_of(database)
        assert 1 == len(database._idle)
        monkeypatch.setattr(_connection, "IDLE_SECONDS", -1)
        assert second == pid_of(database)
        assert second != pid_of(database)

    def test_threads(self, schema):
        """
        Threads use as many connections as statements run at once.
        """
        database = Database(schema)
        answers = []

        def work():
            for n in range(50):
                answers.extend(database.execute("select $1::bigint", [n], seconds=20))

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted([(n,) for n in range(50)] * 8) == sorted(answers)
        assert 8 >= len(database._idle)

    def test_fork(self, schema):
        """
        A forked child has connections of its own, and harms none of its parent.
        """
        code = """
import os, sys
from upgrade_state._postgresql._connection import Database
database = Database(sys.argv[1])
def pid():
    return database.execute("select pg_backend_pid()::bigint", seconds=10)
first = pid()
child = os.fork()
if not child:
    os._exit(pid() == first or pid() == first)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), pid() == first)
"""

        assert "0 True\n" == run_python(code, schema)

    def test_closed_by_the_server(self, own):
        """
        Idle connections that the server has closed are replaced, all of them.
        """
        database = Database(own.url())
        first, pids = database._connect(time.monotonic() + 10), [pid_of(database)]
        database._idle.append((time.monotonic() + 60, first))
        assert pid_of(database) not in pids
        own.stop("fast")
        own.start()

        assert pid_of(database)
        assert 1 == len(database._idle)

    def test_interrupted(self, schema):
        """
        Ctrl-C ends the wait, and leaves no half answer to the next statement.
        """
        database = Database(schema)
        here = threading.get_ident()
        threading.Timer(0.3, signal.pthread_kill, [here, signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            database.execute("select pg_sleep(20)", seconds=30)

        assert [(1,)] == database.execute("select 1::bigint", seconds=10)

    def test_pooler(self, pooler, schema):
        """
        Statements work through a pooler that gives each another connection.
        """
        database = Database(pooler.url(name_of(schema)))

        rows = [database.execute("select $1::text", ["a"], seconds=10) for _ in "12"]
        assert [[("a",)]] * 2 == rows


class TestTrouble:
    @pytest.mark.parametrize(
        ("more", "match"),
        [
            ({"host": "/nowhere"}, "No such file or directory"),
            ({"host": "127.0.0.1", "port": "1"}, "Connection refused"),
            ({"service": "team"}, 'definition of service "team" not found'),
            ({"host": "127.0.0.1", "port": "0"}, "invalid port number"),
            ({"sslmode": "maybe"}, 'invalid sslmode value: "maybe"'),
        ],
    )
    def test_unreachable(self, server, more, match):
        """
        A wrong address is named as libpq does.
        """
        with trouble(match, 5):
            ask(server.url(**more))

    def test_unknown(self, server, schema):
        """
        The server names a role and a database that it does not know.
        """
        with trouble('role "eve" does not exist', 5):
            ask(schema.replace("owner@", "eve@"))
        with trouble('database "shop" does not exist', 5):
            ask(server.url("shop"))

    def test_password(self, server, tmp_path, monkeypatch):
        """
        A password comes from a file of passwords, and is in no message.
        """
        passwords = tmp_path / "pgpass"
        url = server.url(user="guarded", passfile=str(passwords))
        with trouble("no password supplied", 5):
            ask(url)
        for password, match in (
            ("wrong", 'password authentication failed for user "guarded"'),
            ("right", "no schema of upgrade-state"),
        ):
            passwords.write_text(f"*:*:*:*:{password}\n")
            passwords.chmod(0o600)
            with trouble(match, 5) as caught:
                ask(url)
            assert password not in str(caught.value)

    @pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
    def test_certificate(self, monkeypatch, tmp_path):
        """
        The certificate of a server is verified, and so is the name in it.
        """
        with running_server_with_tls("localhost") as (certificate, port):
            trusted = f"/postgres?sslrootcert={certificate}"
            with trouble('root certificate file "[^"]*" does not exist', 5):
                ask(f"postgresql://owner@localhost:{port}/postgres")
            with trouble('"localhost" .* does not match host name "127.0.0.1"', 5):
                ask(f"postgresql://owner@127.0.0.1:{port}{trusted}")
            with trouble("no schema of upgrade-state", 5):
                ask(f"postgresql://owner@localhost:{port}{trusted}")

    def test_statement(self, schema):
        """
        An error of a statement has a code, and comes as one line without controls.
        """
        text = "raise exception E'a\\x1b[31m\\nb https://ana:sesame@files.example/'"
        with trouble(r"^a\\x1b\[31m b <URL>$", 5) as caught:
            Database(schema).execute(f"do $$ begin {text}; end $$", seconds=5)
        assert "P0001" == caught.value.sqlstate

    def test_copy(self, schema):
        """
        A statement that would wait for more than parameters is refused.
        """
        for statement in ("copy pg_class to stdout", "copy pg_class from stdin"):
            with trouble(".", 5):
                Database(schema).execute(statement, seconds=5)

    def test_too_many(self, own):
        """
        A server without a free connection says so, and is used again later.
        """
        own.database("guest")
        url = own.url(user="guest")
        used = [Database(url) for _ in range(8)]
        with trouble("too many clients|remaining connection slots", 5):
            for database in used:
                pid_of(database)
        for database in used:
            database.close()

        # The server notices the ends in its own time.
        assert [(1,)] == patiently(Database(url), "select 1::bigint")

    @pytest.mark.parametrize("is_connected", [False, True])
    def test_stopped(self, own, is_connected):
        """
        A server that is stopped delays no caller beyond its deadline.
        """
        database = Database(own.url())
        if is_connected:
            pid_of(database)
        with own.paused(), trouble("did not answer in time", 0.3):
            pid_of(database, 0.3)

        assert pid_of(database)

    @pytest.mark.parametrize("how", ["terminated", "killed"])
    def test_dropped(self, own, how):
        """
        A connection that ends during a statement is trouble, and nothing is repeated.
        """
        database = Database(own.url())
        pid = pid_of(database)
        own.sql("create sequence if not exists runs; select setval('runs', 1)")

        def end():
            if how == "killed":
                os.kill(pid, signal.SIGKILL)
            else:
                own.sql(f"select pg_terminate_backend({pid})")

        threading.Timer(0.5, end).start()
        match = "server closed the connection|administrator command"
        with trouble(match, 10):
            database.execute("select nextval('runs'), pg_sleep(10)", seconds=10)

        last = "select last_value from runs"
        # A crash loses an unwritten number, or continues 32 numbers later.
        assert patiently(database, last) in ([(1,)], [(2,)], [(34,)])

    def test_read_only(self, own):
        """
        A replica answers, and says of a statement that writes that it may not.
        """
        with running_replica(own) as replica:
            database = Database(replica.url())
            assert pid_of(database)
            with trouble("read-only transaction", 5) as caught:
                database.execute("create table t (a text)", seconds=5)
        assert "25006" == caught.value.sqlstate

    @pytest.fixture
    def by_name(self, tmp_path, monkeypatch):
        """
        The URL of a server that a service file names.
        """
        services = tmp_path / "services"
        services.write_text("[team]\nhost=db.example\n")
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        return "postgresql:///state?service=team"

    def test_no_thread(self, by_name, monkeypatch):
        """
        A process that may start no thread has no connection, and no other error.
        """

        def start(thread):
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start)
        with trouble("can't start new thread", 5):
            ask(by_name)

    def test_look_up_blocks(self, by_name, monkeypatch):
        """
        A name whose address does not come delays no caller beyond its deadline.
        """
        end = threading.Event()

        def look_up(*_, **__):
            end.wait()
            return []

        monkeypatch.setattr(_connection, "getaddrinfo", look_up)
        with trouble("did not answer in time", 0.3):
            ask(by_name, seconds=0.3)
        end.set()

    def test_look_up(self, own, by_name, monkeypatch):
        """
        Every address of every name is tried; names without one are left out.
        """

        def look_up(host, *_, **__):
            if host == "db.example":
                raise socket.gaierror(-2, "Name or service not known")
            return [(0, 0, 0, "", ("127.0.0.9", 0))]

        monkeypatch.setattr(_connection, "getaddrinfo", look_up)
        with trouble("no address of the database server is known: db.example", 5):
            ask("postgresql://db.example/state")
        with trouble(r'"127\.0\.0\.9", port 1 failed: Connection refused', 5):
            ask("postgresql://db.example,other.example:1/state?sslmode=disable")
        # The addresses of a socket and a name, in this order.
        pair = f"host={own.place},other.example&port=5432,1&sslmode=disable"
        assert [(1,)] == ask(f"postgresql://owner@/postgres?{pair}")


class TestOtherServers:
    """
    Programs that listen at the address and are no server of PostgreSQL.
    """

    @pytest.fixture
    def listener(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener

    def url(self, listener, sslmode):
        port = listener.getsockname()[1]
        return f"postgresql://ana@127.0.0.1:{port}/state?sslmode={sslmode}"

    def test_silent(self, listener):
        """
        One that never answers costs the deadline.
        """
        for sslmode in ("disable", "verify-full"):
            with trouble("did not answer in time", 0.3):
                ask(self.url(listener, sslmode), 0.3)

    @pytest.mark.parametrize(
        ("answer", "sslmode", "match"),
        [
            (b"N", "verify-full", "server does not support SSL"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "disable", "expected authentication"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "verify-full", "SSL negotiation"),
            (b"\0" * 9000, "disable", "expected authentication|invalid"),
            (b"E\0\0\0\x0cSFATAL\0\0", "disable", "."),
            (b"", "disable", "server closed the connection unexpectedly"),
        ],
    )
    def test_answers(self, listener, answer, sslmode, match):
        """
        One that answers, without TLS or in another protocol, is refused.
        """

        def serve():
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        with trouble(match, 5):
            ask(self.url(listener, sslmode))
        thread.join()

    def test_slow(self, listener):
        """
        One that goes on answering does not move the deadline.
        """

        def serve():
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                while True:
                    # A notice: "N", its length, no field.
                    peer.sendall(b"N\0\0\0\x05\0")
                    time.sleep(0.01)

        thread = threading.Thread(target=serve)
        thread.start()
        with trouble("did not answer in time|.", 0.5):
            ask(self.url(listener, "disable"), 0.5)
        thread.join()

    def test_endless(self, listener):
        """
        Nor does one that never stops to send.
        """

        def serve():
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.sendall(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I")  # welcome
                while True:
                    peer.sendall(b"N\0\0\0\x05\0" * 10_000)

        thread = threading.Thread(target=serve)
        thread.start()
        with trouble("did not answer in time", 0.5):
            ask(self.url(listener, "disable"), 0.5)
        thread.join()


def test_no_psycopg():
    """
    Without psycopg the error says how it is installed.
    """
    code = """
import sys
sys.modules["psycopg"] = None
try:
    from upgrade_state import StateStore
    StateStore("postgresql:///state")
except Exception as error:
    print(type(error).__name__, error)
"""
    out = run_python(code)

    assert out.startswith("UpgradeStateError could not load psycopg; install")
    assert 1 == out.count("\n")
