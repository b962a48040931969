"""
PostgreSQL servers in temporary directories, for the tests marked `database`.

A server listens on a Unix socket in its own directory, so several do not meet. Where
the tests run as root, it runs as an ordinary user, as PostgreSQL demands. Its
superuser and every other role are trusted; `guarded` has the password "right".
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Names of sockets are short: 107 bytes with the directory.
PLACE = "/tmp"

CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{place}'
fsync = off
full_page_writes = off
synchronous_commit = off
shared_buffers = 16MB
max_connections = {connections}
log_min_messages = fatal
lc_messages = 'C'
"""

ACCESS = """
local all guarded scram-sha-256
local all all trust
local replication all trust
host all all 127.0.0.1/32 trust
"""


def find(program: str) -> str | None:
    """
    Return the path of a program of PostgreSQL; Debian has them outside PATH.
    """
    newest = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))
    return shutil.which(program) or (newest[-1] if newest else None)


def as_user(argv: Sequence[str]) -> list[str]:
    """
    Return the command that runs *argv* as an ordinary user.
    """
    if os.geteuid() != 0:
        return list(argv)
    name = user()
    return ["setpriv", f"--reuid={name}", f"--regid={gid()}", "--clear-groups", *argv]


def user() -> str:
    """
    Return the user of the server.
    """
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid()).pw_name
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def gid() -> int:
    return pwd.getpwnam(user()).pw_gid


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """
    Make a directory that belongs to the user of the server.
    """
    with tempfile.TemporaryDirectory(prefix="us-pg-", dir=PLACE) as path:
        os.chmod(path, 0o755)
        shutil.chown(path, user(), gid())
        yield Path(path)


def run(*argv: str) -> None:
    done = subprocess.run(
        as_user(argv), cwd="/", capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, f"{argv}: {done.stdout}{done.stderr}"


class Server:
    """
    A server, stopped at first.

    Attributes:
        place: The directory of its socket.

        data: The directory of its databases.
    """

    port = 5432

    def __init__(self, place: Path, settings: str = "", connections: int = 100) -> None:
        self.place = place
        self.data = place / "data"
        self._pid: int | None = None
        self._settings = settings
        self._connections = connections

    def create(self) -> None:
        """
        Make the files of the server.
        """
        argv = ("-D", str(self.data), "-U", "owner", "-A", "trust", "-E", "UTF8")
        run(find("initdb"), *argv, "--no-sync", "--locale=C", "--no-instructions")
        text = CONFIGURATION.format(place=self.place, connections=self._connections)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{text}{self._settings}\n")
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def start(self) -> None:
        """
        Start the server, and return when it answers.
        """
        log = str(self.place / "log")
        run(find("pg_ctl"), "start", "-w", "-s", "-D", str(self.data), "-l", log)

    @property
    def pid(self) -> int:
        """
        The first process of the server.
        """
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def processes(self) -> list[int]:
        """
        Return the first process and the back ends.
        """
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [self.pid, *map(int, children.split())]

    def stop(self, mode: str = "immediate") -> None:
        """
        Stop the server if it runs: "fast" ends every connection politely.
        """
        if (self.data / "postmaster.pid").exists():
            run(find("pg_ctl"), "stop", "-w", "-s", "-m", mode, "-D", str(self.data))

    def kill(self) -> None:
        """
        Kill every process of the server, as a power cut does.
        """
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # The memory of a server that ended this way belongs to its next start.
        time.sleep(0.1)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """
        Stop every process of the server, and let them go on in the end.
        """
        pids = self.processes()
        try:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):  # a back end has ended
                    os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in reversed(pids):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def url(self, database: str = "postgres", user: str = "owner", **more: str) -> str:
        """
        Return the URL of a database for a role, with other parameters of libpq.
        """
        query = {"host": str(self.place), "port": str(self.port), **more}
        return f"postgresql://{user}@/{database}?{urllib.parse.urlencode(query)}"

    def sql(
        self, sql: str, database: str = "postgres", user: str = "owner"
    ) -> list[tuple[Any, ...]]:
        """
        Execute statements as a role; return the rows of the last one.
        """
        import psycopg  # noqa: PLC0415

        with psycopg.connect(self.url(database, user), autocommit=True) as conn:
            cursor = conn.execute(sql)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def database(self, *roles: str) -> str:
        """
        Make a database that belongs to `owner`, and roles; return its name.
        """
        name = f"d{time.monotonic_ns()}"
        self.sql(f"create database {name}")
        for role in roles:
            known = self.sql(f"select 1 from pg_roles where rolname = '{role}'")
            if not known:
                self.sql(f"create role {role} login")
        return name


def name_of(url: str) -> str:
    """
    Return the name of the database in a URL of `Server.url`.
    """
    return url.partition("@/")[2].partition("?")[0]


@contextlib.contextmanager
def running_server(settings: str = "", connections: int = 100) -> Iterator[Server]:
    """
    Run a server that the test may stop, kill or fill.
    """
    with directory() as place:
        server = Server(place, settings, connections)
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def running_server_with_tls(name: str) -> Iterator[tuple[Path, int]]:
    """
    Run a server with TLS; yield the certificate of *name* that it shows, and its port.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    with directory() as place:
        settings = f"listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\n"
        files = f"ssl_cert_file = '{place}/cert'\nssl_key_file = '{place}/key'\n"
        server = Server(place, settings + files)
        server.create()
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
        out = ("-keyout", f"{place}/key", "-out", f"{place}/cert")
        run("openssl", "req", "-x509", *kind, *names, *out)
        server.start()
        try:
            yield place / "cert", port
        finally:
            server.stop()


@contextlib.contextmanager
def running_replica(server: Server) -> Iterator[Server]:
    """
    Run a read-only replica of a server.
    """
    with directory() as place:
        replica = Server(place)
        argv = ("-h", str(server.place), "-U", "owner", "-R", "--no-sync")
        run(find("pg_basebackup"), "-D", str(replica.data), "-c", "fast", *argv)
        with (replica.data / "postgresql.auto.conf").open("a") as file:
            file.write(f"unix_socket_directories = '{place}'\n")
        replica.start()
        try:
            yield replica
        finally:
            replica.stop()


@contextlib.contextmanager
def running_pooler(server: Server, size: int = 5) -> Iterator[Server]:
    """
    Run pgbouncer in transaction mode before a server; use only `url` and `sql`.
    """
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not os.path.exists(program):
        pytest.skip("pgbouncer is not installed")
    with directory() as place:
        (place / "users").write_text('"owner" ""\n')
        (place / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.place} port={server.port}\n"
            f"[pgbouncer]\nunix_socket_dir = {place}\nlisten_addr =\n"
            f"listen_port = {Server.port}\nauth_file = {place}/users\n"
            "auth_type = trust\n"
            "auth_user = owner\n"  # it looks up the other roles at the server
            f"pool_mode = transaction\ndefault_pool_size = {size}\n"
            f"max_client_conn = 2000\nlogfile = {place}/log\npidfile = {place}/pid\n"
        )
        argv = as_user([program, "-q", str(place / "pgbouncer.ini")])
        process = subprocess.Popen(argv, cwd="/", stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 10
            while not (place / f".s.PGSQL.{Server.port}").exists():
                assert process.poll() is None, (place / "log").read_text()
                assert time.monotonic() < end
                time.sleep(0.02)
            yield Server(place)
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="session")
def patience() -> Iterator[None]:
    """
    Give a claim more time than an activation has: the machine may be busy.
    """
    from upgrade_state._postgresql import _records  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_records, "CLAIM_SECONDS", 20)
        yield


@pytest.fixture(scope="session")
def server(patience: None) -> Iterator[Server]:
    """
    A server that all tests of a process share; none stops it.
    """
    for program in ("initdb", "pg_ctl"):
        if find(program) is None:
            pytest.skip("PostgreSQL is not installed")
    with running_server() as server:
        server.sql("create role guarded login password 'right'")
        yield server


@pytest.fixture(scope="session")
def own(patience: None) -> Iterator[Server]:
    """
    A server with few connections that tests may stop, kill and fill.
    """
    with running_server(connections=8) as server:
        yield server


@pytest.fixture(scope="session")
def schema(server: Server) -> str:
    """
    The URL of a database with the schema: making one takes longer than a test.
    """
    from upgrade_state._postgresql._connection import create  # noqa: PLC0415

    url = server.url(server.database())
    create(url)
    return url


@pytest.fixture
def database(server: Server) -> str:
    """
    The URL of an empty database for its owner.
    """
    return server.url(server.database())


@pytest.fixture(scope="session")
def pooler(server: Server) -> Iterator[Server]:
    """
    A pooler before the shared server; `pooler.url(name)` is a URL behind it.
    """
    with running_pooler(server) as pooler:
        yield pooler
