"""
Which bytes are a record, and of which environment.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import NOON, commit, put_odd, refuse_path, root_of, run_python
from upgrade_state import StateStore
from upgrade_state._record import valid
from upgrade_state.exceptions import StateReadError

SHOP = ("/home/ana/src/shop", "uv.lock")
KEY = "f2662004f1f127e1ee13f55584477bec"
DIGEST = "blake2b:" + "0" * 64
MAX_SIZE, MAX_DEPTH, MAX_INTEGER = 1 << 20, 16, 2**53 - 1
DATA = Path(__file__).with_name("data")
VALUES = json.loads((DATA / "values.json").read_text())


def record(**fields: Any) -> dict[str, Any]:
    """
    A record of `SHOP`, with every field of the first version.
    """
    whole: dict[str, Any] = json.loads((DATA / "v1-full.json").read_bytes())
    del whole["key of this test"]
    return whole | fields


def changed(path: str, value: object) -> dict[str, Any]:
    """
    A record with another value in the field that a dotted path names.
    """
    whole: dict[str, Any] = json.loads(json.dumps(record()))
    *parents, name = path.split(".")
    part = whole
    for parent in parents:
        part = part[parent]
    part[name] = value
    return whole


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """
    Return the record that the bytes, or the JSON, of a record's file mean.
    """
    store = StateStore(tmp_path_factory.mktemp("record"))
    Path(store.environment(*SHOP).record_path).parent.mkdir(mode=0o700)

    def read_(content, directory=SHOP[0], lockfile=SHOP[1], name=None):
        environment = store.environment(directory, lockfile, name=name)
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
        Path(environment.record_path).write_bytes(content)
        look = environment.look()
        assert look.error is None
        assert look.is_corrupt == (look.record is None)
        return look.record

    return read_


class TestKey:
    def test_pinned(self):
        """
        A literal path and name have a literal key: it is the name of files.
        """
        store = StateStore("/cache")

        assert KEY == store.environment(*SHOP).key
        assert "ae73c6b613e95bfd2d5b6044135dc036" == store.environment(SHOP[0]).key
        assert (
            "e51f932ec8c238d886f61119bbfcc850"
            == store.environment(*SHOP, name="docs").key
        )
        assert (
            "093ca50f765054b0e3ff9ff6b0e65384"
            == store.environment(SHOP[0], name="docs").key
        )
        assert (
            "18560c4efdad7ebffd6b4a77006c9048"
            == store.environment(*SHOP, name="café 🌱").key
        )

    def test_no_two_environments_share_one(self):
        """
        No name can be mistaken for another one, or for a part of the path.
        """
        environment = StateStore("/cache").environment
        handles = [environment("/a"), environment("/a", "b")]
        handles += [environment("/ab"), environment("/a/b")]
        handles += [environment("/a", "b", name="c"), environment("/a", name="c")]
        handles += [environment("/a", "c"), environment("/a", name="b")]

        assert 8 == len({handle.key for handle in handles})

    def test_without_blake2(self):
        """
        Without CPython's module hashlib computes the same keys.
        """
        code = (
            "import hashlib, sys; sys.modules['_blake2'] = None\n"
            "from upgrade_state import StateStore\n"
            "print(StateStore('/a').environment(*sys.argv[1:]).key)"
        )

        assert f"{KEY}\n" == run_python(code, *SHOP)

    def test_digest(self, shop):
        """
        A digest and the name of its file are the BLAKE2b-256 of the bytes.
        """
        commit(shop, b"")
        digits = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"

        assert (
            f"blake2b:{digits}"
            == shop.look().record["result"]["new_lockfile"]["digest"]
        )
        assert b"" == (root_of(shop) / "results" / shop.key / digits).read_bytes()


class TestTimes:
    @pytest.mark.parametrize("value", VALUES["times"])
    def test_valid(self, read, value):
        """
        A time of the calendar is valid.
        """
        assert value == read(record(last_checked=value))["last_checked"]

    @pytest.mark.parametrize("value", VALUES["no times"])
    def test_invalid(self, read, value):
        """
        Any other value makes the record corrupt.
        """
        assert read(record(last_checked=value)) is None

    @pytest.mark.parametrize("year", [1000, 1900, 2000, 2023, 2024, 9999])
    def test_days(self, read, year):
        """
        A year has the days of the calendar, and no other.
        """
        texts = [f"{year}-{m:02}-{d:02}" for m in range(14) for d in range(33)]
        found = [t for t in texts if read(record(last_checked=f"{t}T00:00:00Z"))]
        first = dt.date(year, 1, 1).toordinal()
        days = range(first, dt.date(year, 12, 31).toordinal() + 1)

        assert found == [str(dt.date.fromordinal(day)) for day in days]


class TestValid:
    def test_whole(self, read):
        """
        A record is read as it was written, unknown fields included.
        """
        whole = record(colour="green", deep=[{"a": 1.5}])

        assert whole == read(whole)

    def test_missing_fields(self, read):
        """
        A missing field means null, and no generation means zero.

        Fields that an older program did not know are not added.
        """
        identity = {"environment": SHOP[0], "lockfile": SHOP[1]}

        assert dict.fromkeys(record()) | identity | {"generation": 0} == read(identity)
        assert "failure_notified" not in read(record())
        assert "since" not in read(record())["failure"]

    @pytest.mark.parametrize(("field", "value"), VALUES["valid"])
    def test_other_values(self, read, field, value):
        """
        A field may be null, zero or at its limit as documented.
        """
        whole = changed(field, value)

        assert whole == read(whole)

    @pytest.mark.parametrize("field", ["at", "attempts", "message"])
    def test_half_a_failure(self, read, field):
        """
        A failure needs the fields that it always had.
        """
        whole = record()
        del whole["failure"][field]

        assert read(whole) is None

    @pytest.mark.parametrize(("field", "value"), VALUES["invalid"])
    def test_wrong_shape(self, read, field, value):
        """
        A known field of another type or shape makes the record corrupt.
        """
        assert read(changed(field, value)) is None

    def test_other_environment(self, read):
        """
        So does an identity that does not belong to the file's name.
        """
        both = record(environment="/home/ana/src/shop\0uv.lock", lockfile=None)

        assert read(record(), "/srv/shop") is None
        assert read(both) is None

    @pytest.mark.parametrize(
        "name", ["docs", "a/b\\c\x1b", "x" * 255, "\U0001f331" * 63 + "xxx"]
    )
    def test_name(self, read, name):
        """
        A record with a name is that of the environment with this name.
        """
        whole = record(name=name)

        assert whole == read(whole, name=name)
        assert read(whole) is read(record(), name=name) is None
        assert read(whole, name="other") is None
        assert read(record(name=name, lockfile=None), name=name) is None

    def test_name_alone(self, read):
        """
        So is it without a lockfile.
        """
        whole = record(name="docs", lockfile=None)

        assert whole == read(whole, lockfile=None, name="docs")
        assert read(whole, lockfile=None) is None

    @pytest.mark.parametrize("name", ["", "a\0b", "x" * 256, "é" * 128])
    def test_no_name(self, read, name):
        """
        Any other name makes the record corrupt, although its key would be right.
        """
        identity = "\0".join((*SHOP, name)).encode()
        key = hashlib.blake2b(identity, digest_size=16).hexdigest()

        assert valid(json.dumps(record(name=name)).encode(), key) is None
        assert valid(json.dumps(record()).encode(), KEY) is not None

    def test_path_of_any_bytes(self, read):
        """
        Bytes of a path that are not UTF-8 are kept.
        """
        whole = record(environment="/srv/caf\udce9")

        assert whole == read(whole, b"/srv/caf\xe9")

    @given(data=st.binary(max_size=200))
    def test_any_bytes(self, read, data):
        """
        Random bytes are no record, and no error.
        """
        assert read(data) is None


def identified(field: bytes) -> bytes:
    """
    The bytes of a record with another field.
    """
    return b'{"environment":"/home/ana/src/shop","lockfile":"uv.lock",%s}' % field


class TestJson:
    @pytest.mark.parametrize(
        "data",
        [
            *(b"", b" ", b"null", b"[]", b'"{}"', b"{"),
            *map(identified, (b'"a"', b'"a":', b'"a":1,')),
            identified(b'"a":1') + b" {}",
            identified(b'"a":1') + b"x",
            b"\xef\xbb\xbf" + identified(b'"a":1'),
            *map(identified, (b'"a":"\xff"', b'"a":"\x01"', b'"a":NaN')),
            *map(identified, (b'"a":Infinity', b'"a":-Infinity')),
            *map(identified, (b'"a":1e999', b'"a":-1e999')),
            identified(b'"a":' + b"9" * 5000),
            b"[" * 100_000,
            b'{"a":' * 100_000,
            identified(b'"a":1').decode().encode("utf-16"),
            identified(b'"a":"' + b"x" * MAX_SIZE + b'"'),
        ],
        ids=lambda data: repr(data[:20] + data[-20:]),
    )
    def test_garbage(self, read, data):
        """
        Anything but one JSON object within the limits makes the record corrupt.
        """
        assert read(data) is None

    @pytest.mark.parametrize(
        ("data", "value"),
        [
            (b' \r\n\t"a": [1, -2.5, 1e3]\n', [1, -2.5, 1000.0]),
            (b'"a":1,"a":2', 2),
            (b'"a":"\\udc80"', "\udc80"),
            # Many brackets side by side are not deep, nor are those in a text.
            (b'"a":' + json.dumps([[[], {}] * 50]).encode(), [[[], {}] * 50]),
            (b'"a":"' + b"[{" * 50 + b'"', "[{" * 50),
            (b'"a":"' + b'\\"[\\\\' * 50 + b'"', '"[\\' * 50),
        ],
        ids=lambda value: repr(value)[:20],
    )
    def test_object(self, read, data, value):
        """
        A JSON object is read as its value.
        """
        assert value == read(b" " + identified(data) + b"\n")["a"]

    @pytest.mark.parametrize("innermost", [b"[]", b"{}", b"[1]"])
    @pytest.mark.parametrize(
        "prefix", [b"", b'"b":[[],[],[]],', b'"b":"\\\\",', b'"b":"\\"",']
    )
    def test_depth(self, read, innermost, prefix):
        """
        Sixteen levels are valid, seventeen are corrupt; empty ones count.
        """
        levels = MAX_DEPTH - 2
        deep = prefix + b'"a":' + b"[" * levels + innermost + b"]" * levels

        assert read(identified(deep)) is not None
        assert read(identified(deep.replace(innermost, b"[%s]" % innermost))) is None

    def test_stack_used_up(self, shop):
        """
        With no stack left a look raises RecursionError: the record is not corrupt.
        """
        commit(shop)
        whole = json.loads(Path(shop.record_path).read_bytes())
        Path(shop.record_path).write_text(json.dumps(whole | {"a": [[[[[[[]]]]]]]}))
        shop.look().freshness()  # everything that it needs is loaded

        def call(levels):
            return shop.look().is_corrupt if levels == 0 else call(levels - 1)

        outcomes = set()
        for levels in range(1, sys.getrecursionlimit()):
            try:
                outcomes.add(call(levels))
            except RecursionError:
                outcomes.add("no stack")

        assert {False, "no stack"} == outcomes

    def test_without_scanner(self, shop):
        """
        Without CPython's scanner the public parser reads the same records.
        """
        code = (
            "import sys; sys.modules['_json'] = None\n"
            "from upgrade_state import StateStore\n"
            "for directory in sys.argv[2:]:\n"
            "    shop = StateStore(sys.argv[1]).environment(directory)\n"
            "    print(shop.look().is_corrupt, shop.look().record)"
        )
        texts = ('{"environment":"/a","b":[1,2.5]}', '{"environment":"/c","b":NaN}')
        for directory, text in zip(("/a", "/c"), texts, strict=True):
            handle = shop.store.environment(directory)
            root_of(handle).mkdir(parents=True, mode=0o700, exist_ok=True)
            Path(handle.record_path).write_text(text)

        lines = run_python(code, str(root_of(shop).parent), "/a", "/c").splitlines()
        assert lines[0].startswith("False {'environment': '/a', ")
        assert "'b': [1, 2.5]" in lines[0]
        assert "True None" == lines[1]


class TestSamples:
    @pytest.mark.parametrize(
        "path", sorted(DATA.glob("v1-*.json")), ids=lambda path: path.name
    )
    def test_same_bytes(self, store, path):
        """
        A real record is written again with the same bytes.
        """
        data = path.read_bytes()
        whole = json.loads(data)
        handle = store.environment(
            whole["environment"].encode("utf-8", "surrogateescape"),
            whole["lockfile"],
            name=whole["name"],
        )
        assert whole["key of this test"] == handle.key
        root_of(handle).mkdir(parents=True, mode=0o700)
        Path(handle.record_path).write_bytes(data)

        assert handle.snooze(handle.look().information.snoozed_until)
        assert data == Path(handle.record_path).read_bytes()


class TestRead:
    def test_no_file(self, shop):
        """
        No file means no record, and no store means none either.
        """
        for _ in range(2):
            look = shop.look()
            assert (None, False, None) == (look.record, look.is_corrupt, look.error)
            root_of(shop).mkdir(parents=True, mode=0o700, exist_ok=True)

    @pytest.mark.parametrize("kind", ["symlink", "directory", "FIFO", "socket", "huge"])
    def test_no_regular_file(self, checked, kind):
        """
        A symlink, directory, FIFO, socket or huge file is corrupt, without waiting.
        """
        path = Path(checked.record_path)
        path.rename(path.with_name("target"))
        put_odd(path, kind)

        assert checked.look().is_corrupt

    @pytest.mark.parametrize("looks", [0, 1])
    def test_healed_meanwhile(self, checked, monkeypatch, looks):
        """
        A symlink that a check replaces at this moment causes no bare OSError.
        """
        path = Path(checked.record_path)
        path.unlink()
        path.symlink_to("target")
        lstat, seen = os.lstat, []

        def heal(target):
            if target == str(path):
                seen.append(target)
                if len(seen) > looks:
                    raise FileNotFoundError(2, "No such file or directory")
            return lstat(target)

        monkeypatch.setattr(os, "lstat", heal)
        look = checked.look()

        assert look.is_corrupt or isinstance(look.error, StateReadError)

    def test_cut_short(self, checked, monkeypatch):
        """
        A file that the system returns in pieces is put together.
        """
        whole = checked.look().record
        read = os.read
        monkeypatch.setattr(os, "read", lambda fd, size: read(fd, min(size, 7)))

        assert whole == checked.store.environment(checked.path, "uv.lock").look().record

    def test_shrinking(self, checked, monkeypatch):
        """
        A file that ends before its size is an error with its path, and not corrupt.

        So a check does not set it aside.
        """
        pieces = iter([b"{", b"", b"{", b""])
        monkeypatch.setattr(os, "read", lambda *_: next(pieces))
        look = checked.look()

        assert not look.is_corrupt
        assert "Could not read the file (it ends early)" == look.error.message
        assert checked.record_path == look.error.path

    @pytest.mark.parametrize("difference", [-200, -1, 1, 200])
    def test_stale_size(self, checked, monkeypatch, difference):
        """
        A status that still has the size of the replaced file harms no read.

        Where mounts keep it for a second, a check would set the record aside.
        """
        whole = checked.look().record
        fstat, stale = os.fstat, [difference]

        def status(fd):
            fields = list(fstat(fd))
            fields[stat.ST_SIZE] += stale.pop() if stale else 0
            return os.stat_result(fields)

        monkeypatch.setattr(os, "fstat", status)

        assert whole == checked.store.environment(checked.path, "uv.lock").look().record

    def test_growing(self, checked, monkeypatch):
        """
        So is a file that grows beyond the limit while it is read.
        """
        whole = Path(checked.record_path).read_bytes().ljust(MAX_SIZE + 1)
        monkeypatch.setattr(os, "read", lambda *_: whole)

        assert checked.look().is_corrupt

    def test_huge(self, checked, monkeypatch):
        """
        A file of a terabyte is corrupt, and nothing of it is read.
        """
        os.truncate(checked.record_path, 1 << 40)
        monkeypatch.setattr(os, "read", None)

        assert checked.look().is_corrupt

    def test_no_descriptor_is_left_open(self, checked):
        """
        No descriptor stays open, whatever is read.
        """
        before = os.listdir("/dev/fd")
        checked.look()
        os.unlink(checked.record_path)
        checked.look()
        os.mkdir(checked.record_path)
        checked.look()

        assert before == os.listdir("/dev/fd")

    def test_others_may_read(self, checked):
        """
        A store that other users may read is trusted.
        """
        root_of(checked).chmod(0o755)

        assert checked.look().record is not None

    def test_below_a_file(self, shop, tmp_path):
        """
        A cache directory that cannot exist is an error with its path.
        """
        (tmp_path / "cache").touch()

        error = shop.look().error
        assert "Not a directory" in error.message
        assert str(root_of(shop)) == error.path

    def test_refused(self, checked, monkeypatch):
        """
        A record that may not be read is an error with its path, and no corrupt one.
        """
        refuse_path(monkeypatch, "open", checked.record_path)
        look = checked.look(now=NOON)

        assert (None, False) == (look.record, look.is_corrupt)
        assert "Permission denied" in look.error.message
        assert checked.record_path == look.error.path
        assert "unavailable" == look.verdict().reason == look.freshness().reason
        with pytest.raises(StateReadError, match="Permission denied"):
            look.upgrades()

    def test_file_of_another_user(self, checked, monkeypatch):
        """
        A record of another user in a trusted store is not believed, and stays.
        """
        before = Path(checked.record_path).read_bytes()
        fstat, owner = os.fstat, os.geteuid() + 1

        def foreign(fd):
            status = fstat(fd)
            is_record = stat.S_ISREG(status.st_mode)
            uid = owner if is_record else status.st_uid
            return os.stat_result([*status[:4], uid, *status[5:]])

        monkeypatch.setattr(os, "fstat", foreign)

        error = checked.look().error
        assert f"The file belongs to user {owner} and is not used" == error.message
        assert checked.record_path == error.path
        with pytest.raises(StateReadError, match=f"user {owner}"):
            commit(checked)
        assert before == Path(checked.record_path).read_bytes()

    def test_foreign(self, checked, monkeypatch):
        """
        The store of another user is not believed.
        """
        owner = root_of(checked).stat().st_uid
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)

        error = checked.look().error
        text = rf"belongs to user {owner}, .*; set UPGRADE_STATE_CACHE_DIR"
        assert re.search(text, error.message)
        assert str(root_of(checked)) == error.path
