"""
The connection to a PostgreSQL server: its URL, its values, its troubles.
"""

from __future__ import annotations

import pytest

psycopg = pytest.importorskip("psycopg")

from upgrade_state._postgresql._connection import (  # noqa: E402
    Database,
    Trouble,
    conninfo,
    create,
)

pytestmark = pytest.mark.database


@pytest.fixture
def schema(database):
    """
    The URL of a database with the schema.
    """
    create(database)
    return database


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
        JSON comes as text, void as None, and a command has no rows.
        """
        database = Database(schema)

        ask = "select '{}'::json, pg_notify('a', 'b'), null::bool"
        ask += " from generate_series(1, 2)"
        assert [("{}", None, None)] * 2 == database.execute(ask, seconds=10)
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
        name = database.partition("@/")[2].partition("?")[0]
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
