from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _codec, _record
from upgrade_state._model import (
    CheckFailure,
    Counts,
    StoredFile,
    UpgradeInformation,
    UpgradeResult,
)
from upgrade_state.exceptions import StateReadError
from upgrade_state.lockfiles import Upgrade

DATA = Path(__file__).with_name("data")


def moment(*args: int) -> dt.datetime:
    return dt.datetime(*args, tzinfo=dt.UTC)


def null_or(strategy):
    return st.none() | strategy


texts = st.text(st.characters(), max_size=8)
counts = st.integers(0, _record.MAX_INTEGER)
times = st.integers(_record.FIRST_SECOND, _record.LAST_SECOND).map(_record.text_of)
files = st.fixed_dictionaries(
    {"digest": st.binary(max_size=9).map(_record.digest), "size": counts}
)
pairs = st.fixed_dictionaries({"version": counts, "rebuild": counts})
results = st.fixed_dictionaries(
    {
        "format": null_or(texts.filter(bool)),
        "old_lockfile": null_or(files),
        "new_lockfile": files,
        "upgrades": null_or(files),
        "counts": null_or(
            st.dictionaries(texts, pairs, max_size=3).flatmap(
                lambda rest: pairs.map(lambda all_: {**rest, "*": all_})
            )
        ),
    },
    optional={"more": st.integers()},
)
failures = st.fixed_dictionaries(
    {"at": times, "attempts": counts, "message": texts},
    optional={"since": null_or(times)},
)
records = st.fixed_dictionaries(
    {"environment": st.binary(max_size=9).map(lambda b: "/" + _record.path_text(b))},
    optional={
        "lockfile": null_or(texts),
        "recipe": null_or(texts),
        "generation": counts,
        "last_checked": null_or(times),
        "result": null_or(results),
        "last_notified": null_or(times),
        "snoozed_until": null_or(times),
        "failure": null_or(failures),
        "failure_notified": null_or(times),
        "colour": st.none() | st.integers() | texts,
    },
)


def valid(record) -> dict[str, object] | None:
    """
    Put a record under the name it should have, and look whether it is one.
    """
    lockfile = record.get("lockfile")
    try:
        key = _record.environment_key(
            _record.path_bytes(record["environment"]),
            None if lockfile is None else _record.path_bytes(lockfile),
        )
    except UnicodeEncodeError:
        return None
    return _record.valid(json.dumps(record).encode(), key)


class TestInformation:
    @given(records)
    def test_takes_whatever_is_valid(self, record):
        """
        What is valid has a typed view, with the same contents.
        """
        known = valid(record)
        if known is None:
            return

        information = _codec.information(known)
        plain = attrs.asdict(
            information, value_serializer=lambda *value: as_json(value[-1])
        )
        assert plain == same_as(plain, known)

    def test_sample(self):
        """
        A real record comes out as what it means.
        """
        data = (DATA / "v1-full.json").read_bytes()
        record = _record.valid(data, "f2662004f1f127e1ee13f55584477bec")
        assert record is not None

        digest = "blake2b:" + "0123456789abcdef" * 4
        assert UpgradeInformation(
            environment="/home/ana/src/shop",
            lockfile="uv.lock",
            recipe="uv",
            generation=7,
            last_checked=moment(2026, 11, 20, 4, 18),
            result=UpgradeResult(
                format="uv",
                old_lockfile=StoredFile(digest, 48213),
                new_lockfile=StoredFile(digest, 48240),
                upgrades=StoredFile(digest, 812),
                counts={"*": Counts(version=2, rebuild=1)},
            ),
            last_notified=moment(2026, 11, 20, 8, 2, 11),
            snoozed_until=moment(2026, 12, 1),
            failure=CheckFailure(moment(2026, 11, 20, 9), 2, "no route to host"),
        ) == _codec.information(record)

    def test_failing_sample(self):
        """
        So does one that tells since when checks have failed.
        """
        data = (DATA / "v1-failing.json").read_bytes()
        record = _record.valid(data, "f2662004f1f127e1ee13f55584477bec")
        assert record is not None

        information = _codec.information(record)
        assert information.failure == CheckFailure(
            moment(2026, 11, 20, 9), 12, "no route to host", moment(2026, 11, 10, 22)
        )
        assert moment(2026, 11, 18, 7, 30) == information.failure_notified


def as_json(value: object) -> object:
    return (
        value.strftime("%Y-%m-%dT%H:%M:%SZ")
        if isinstance(value, dt.datetime)
        else value
    )


def same_as(plain, known):
    """
    Take from *known* what *plain* has, which is all but fields nobody knows.

    What was added later may be missing, and is None then.
    """
    if isinstance(plain, dict):
        return {name: same_as(plain[name], known.get(name)) for name in plain}
    return known


class TestSamples:
    @pytest.mark.parametrize(
        "path", sorted(DATA.glob("v1-*.json")), ids=lambda p: p.name
    )
    def test_same_bytes(self, path, tmp_path):
        """
        A record that is read and written again has the same bytes.
        """
        data = path.read_bytes()
        record = _record.valid(data, json.loads(data)["key of this test"])
        assert record is not None

        assert data == json.dumps(record, separators=(",", ":")).encode("ascii")


class TestUpgrades:
    @given(
        st.lists(
            st.builds(
                Upgrade,
                texts,
                st.sampled_from(["version", "rebuild", "added", "removed"]),
                old=st.lists(texts, max_size=2).map(tuple),
                new=st.lists(texts, max_size=2).map(tuple),
                ecosystem=null_or(texts),
                platform=null_or(texts),
                environment=null_or(texts),
                old_build=null_or(texts),
                new_build=null_or(texts),
                direct=null_or(st.booleans()),
                local=st.booleans(),
                internal=st.booleans(),
            ),
            max_size=3,
        ).map(tuple)
    )
    def test_round_trip(self, upgrades):
        """
        A list of upgrades comes back as it was.
        """
        content = _codec.dump_upgrades(upgrades)

        assert upgrades == _codec.load_upgrades(content, "/a")
        assert len(upgrades) == content.count(b"\n")

    def test_pinned(self):
        """
        The field names are those of `Upgrade`, one object per line.
        """
        upgrade = Upgrade("curl", "version", old=("8.0",), new=("8.1",))

        assert (
            b'{"name":"curl","kind":"version","old":["8.0"],"new":["8.1"],'
            b'"ecosystem":null,"platform":null,"environment":null,"old_build":null,'
            b'"new_build":null,"direct":null,"local":false}\n'
        ) == _codec.dump_upgrades([upgrade])

    def test_internal(self):
        """
        What is internal says so; nothing else does.
        """
        row = _codec.dump_upgrades([Upgrade("a", "added", internal=True)])

        assert row.endswith(b',"local":false,"internal":true}\n')

    def test_of_a_later_version(self):
        """
        A field that a later version adds is of no interest.
        """
        row = b'{"name":"curl","kind":"added","new":["8.1"],"colour":"green"}\n'

        assert (Upgrade("curl", "added", new=("8.1",)),) == _codec.load_upgrades(
            row, "/"
        )

    @pytest.mark.parametrize(
        "content",
        [
            b"x",
            b"[]",
            b"3",
            b"\xff",
            b'{"name":"a"}',
            b'{"name":"a","kind":"b"}',
            b"[" * 100_000,
        ],
        ids=lambda content: repr(content[:20]),
    )
    def test_garbage(self, content):
        """
        Something else is an error that says what helps.
        """
        with pytest.raises(StateReadError, match="a new check heals that") as caught:
            _codec.load_upgrades(content, "/a")
        assert "/a" == caught.value.path
