"""
The typed view of a record, and the list of upgrades.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import ROWS, commit, digest_of, read_record, results_of, write_record
from upgrade_state import CheckFailure, StateStore, _redact
from upgrade_state.exceptions import StateReadError
from upgrade_state.lockfiles import Upgrade

DATA = Path(__file__).with_name("data")
MAX_INTEGER = 2**53 - 1


def moment(*args):
    return dt.datetime(*args, tzinfo=dt.UTC)


def null_or(strategy):
    return st.none() | strategy


texts = st.text(st.characters(), max_size=8)
safe_texts = texts.map(_redact.safe)
names = st.text(st.characters(), min_size=1, max_size=8)
counts = st.integers(0, MAX_INTEGER)
times = st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 31)).map(  # noqa: DTZ001
    lambda moment: f"{moment:%Y-%m-%dT%H:%M:%SZ}"
)
digests = st.binary(max_size=9).map(digest_of)
files = st.fixed_dictionaries({"digest": digests, "size": counts})
pairs = st.fixed_dictionaries({"version": counts, "rebuild": counts})
results = st.fixed_dictionaries(
    {
        "format": null_or(names),
        "old_lockfile": null_or(files),
        "new_lockfile": null_or(files),
        "upgrades": null_or(files),
        "counts": null_or(
            st.dictionaries(texts, pairs, max_size=3).flatmap(
                lambda rest: pairs.map(lambda all_: {**rest, "*": all_})
            )
        ),
    },
    optional={"more": st.integers()},
).filter(lambda it: it["new_lockfile"] or None not in (it["upgrades"], it["counts"]))
failures = st.fixed_dictionaries(
    {"at": times, "attempts": counts, "message": texts},
    optional={"since": null_or(times)},
)
options = null_or(
    st.lists(names.filter(lambda text: not set("\0=") & set(text)), max_size=2)
)
consents = st.fixed_dictionaries(
    {"recipe": names, "directory": counts},
    optional={"file_system": null_or(names), "copy": options, "env": options},
)
records = st.fixed_dictionaries(
    {},
    optional={
        "generation": counts,
        "last_checked": null_or(times),
        "checker": null_or(names),
        "result": null_or(results),
        "last_notified": null_or(times),
        "notified": null_or(digests),
        "snoozed_until": null_or(times),
        "failure": null_or(failures),
        "consent": null_or(consents),
        "failure_notified": null_or(times),
        "colour": st.none() | st.integers() | texts,
    },
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    return StateStore(tmp_path_factory.mktemp("typed")).environment("/srv/a", "uv.lock")


@pytest.fixture
def sample(store):
    """
    Return the typed view of a real record.
    """

    def read(name):
        environment = store.environment("/home/ana/src/shop", "uv.lock")
        write_record(environment, json.loads((DATA / name).read_bytes()))
        return environment.look().information

    return read


class TestInformation:
    @given(record=records)
    def test_every_record(self, desk, record):
        """
        Every valid record has a typed view with the same contents.
        """
        identity = {"environment": desk.path, "lockfile": "uv.lock"}
        write_record(desk, identity | record)
        look = desk.look()

        plain = attrs.asdict(
            look.information, value_serializer=lambda *value: as_json(value[-1])
        )
        assert plain == known_fields(plain, look.record)

    def test_sample(self, sample):
        """
        A real record has times in UTC, and sizes and counts as numbers.
        """
        information = sample("v1-full.json")

        assert moment(2026, 12, 1) == information.snoozed_until
        assert moment(2026, 11, 20, 9) == information.failure.at
        assert information.failure.since is None
        assert 48240 == information.result.new_lockfile.size
        assert {"version": 2, "rebuild": 1} == attrs.asdict(
            information.result.counts["*"]
        )

    def test_failing_sample(self, sample):
        """
        So has one with the time since when checks have failed.
        """
        information = sample("v1-failing.json")

        at, since = moment(2026, 11, 20, 9), moment(2026, 11, 10, 22)
        assert CheckFailure(at, 12, "no route to host", since) == information.failure
        assert moment(2026, 11, 18, 7, 30) == information.failure_notified


def as_json(value):
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, dt.datetime) else value


def known_fields(plain, record):
    """
    Return the fields of *record* that *plain* has; None for missing ones.
    """
    if isinstance(plain, dict):
        return {name: known_fields(plain[name], record.get(name)) for name in plain}
    return tuple(record or ()) if isinstance(plain, tuple) else record


def listing_of(shop):
    """
    Return the path of the list of upgrades.
    """
    digest = read_record(shop)["result"]["upgrades"]["digest"]
    return results_of(shop) / digest.removeprefix("blake2b:")


class TestUpgrades:
    @given(
        upgrades=st.lists(
            st.builds(
                Upgrade,
                safe_texts,
                st.sampled_from(["version", "rebuild", "added", "removed"]),
                old=st.lists(safe_texts, max_size=2).map(tuple),
                new=st.lists(safe_texts, max_size=2).map(tuple),
                ecosystem=null_or(safe_texts),
                platform=null_or(safe_texts),
                environment=null_or(safe_texts),
                old_build=null_or(safe_texts),
                new_build=null_or(safe_texts),
                direct=null_or(st.booleans()),
                local=st.booleans(),
                internal=st.booleans(),
            ),
            max_size=3,
        ).map(tuple)
    )
    def test_round_trip(self, desk, upgrades):
        """
        A list of upgrades is read as it was committed, one row per line.

        Texts that are not safe to print are stored as safe ones.
        """
        commit(desk, upgrades=upgrades)

        assert upgrades == desk.upgrades()
        assert len(upgrades) == listing_of(desk).read_bytes().count(b"\n")

    def test_pinned(self, shop):
        """
        The fields are those of `Upgrade`; only an internal row says that it is.
        """
        upgrade = Upgrade("curl", "version", old=("8.0",), new=("8.1",))
        commit(shop, upgrades=[upgrade, Upgrade("a", "added", internal=True)])

        first, second = listing_of(shop).read_bytes().splitlines()
        assert (
            b'{"name":"curl","kind":"version","old":["8.0"],"new":["8.1"],'
            b'"ecosystem":null,"platform":null,"environment":null,"old_build":null,'
            b'"new_build":null,"direct":null,"local":false}'
        ) == first
        assert second.endswith(b',"local":false,"internal":true}')

    @pytest.fixture
    def listed(self, checked):
        """
        Replace the list of upgrades by other bytes.
        """

        def replace(content):
            record = read_record(checked)
            file = {"digest": digest_of(content), "size": len(content)}
            record["result"]["upgrades"] = file
            write_record(checked, record)
            listing_of(checked).write_bytes(content)
            return checked

        return replace

    def test_of_a_later_version(self, listed):
        """
        A field that a later version adds is ignored.
        """
        row = b'{"name":"x","kind":"version","colour":"green"}\n'

        assert ROWS == listed(row).upgrades()

    @pytest.mark.parametrize(
        "content",
        [
            *(b"x", b"[]", b"3", b"\xff", b"[" * 100_000),
            *(b'{"name":"a"}', b'{"name":"a","kind":"b"}'),
        ],
        ids=lambda content: repr(content[:20]),
    )
    def test_garbage(self, listed, content):
        """
        Other bytes are an error with a path, which names the remedy.
        """
        shop = listed(content)

        with pytest.raises(StateReadError, match="check") as caught:
            shop.upgrades()
        assert str(results_of(shop)) == caught.value.path
