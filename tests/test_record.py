from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _record
from upgrade_state.exceptions import StateReadError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DIGEST = "blake2b:" + "0" * 64
KEY = "f2662004f1f127e1ee13f55584477bec"


def record(**fields: Any) -> dict[str, Any]:
    """
    A record of the environment in `KEY`, with every field.
    """
    file = {"digest": DIGEST, "size": 7}
    return {
        "environment": "/home/ana/src/shop",
        "lockfile": "uv.lock",
        "recipe": "uv",
        "generation": 7,
        "last_checked": "2026-11-20T04:18:00Z",
        "result": {
            "format": "uv",
            "old_lockfile": file,
            "new_lockfile": file,
            "upgrades": file,
            "counts": {"*": {"version": 2, "rebuild": 1}},
        },
        "last_notified": "2026-11-20T08:02:11Z",
        "snoozed_until": None,
        "failure": {"at": "2026-11-20T09:00:00Z", "attempts": 1, "message": "no"},
        **fields,
    }


def changed(path: str, value: object) -> dict[str, Any]:
    """
    A record in which one value, named by a dotted path, is another one.
    """
    whole = json.loads(json.dumps(record()))
    *parents, name = path.split(".")
    part = whole
    for parent in parents:
        part = part[parent]
    part[name] = value
    return dict(whole)


def valid(value: object) -> dict[str, Any] | None:
    return _record.valid(json.dumps(value).encode(), KEY)


class TestEnvironmentKey:
    def test_pinned(self):
        """
        A literal path and name give a literal key: it is the name of files.
        """
        assert KEY == _record.environment_key(b"/home/ana/src/shop", b"uv.lock")

    def test_pinned_without_lockfile(self):
        """
        So does a directory without a lockfile.
        """
        key = _record.environment_key(b"/home/ana/src/shop", None)

        assert "ae73c6b613e95bfd2d5b6044135dc036" == key

    def test_no_two_environments_share_one(self):
        """
        The name of a lockfile cannot be mistaken for a part of the path.
        """
        keys = {
            _record.environment_key(b"/a", None),
            _record.environment_key(b"/a", b"b"),
            _record.environment_key(b"/ab", None),
            _record.environment_key(b"/a/b", None),
        }

        assert 4 == len(keys)


class TestDigest:
    def test_pinned(self):
        """
        The digest of known bytes is known.
        """
        expected = "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"

        assert "blake2b:" + expected == _record.digest(b"")

    def test_digits(self):
        """
        The name of the kept file is the digest without its prefix.
        """
        assert "0" * 64 == _record.digits(DIGEST)


class TestTimes:
    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (0, "1970-01-01T00:00:00Z"),
            (1795148280, "2026-11-20T04:18:00Z"),
            (_record.FIRST_SECOND, "1000-01-01T00:00:00Z"),
            (_record.LAST_SECOND, "9999-12-31T23:59:59Z"),
            (-(10**20), "1000-01-01T00:00:00Z"),
            (10**20, "9999-12-31T23:59:59Z"),
        ],
    )
    def test_text_of(self, seconds, text):
        """
        Times are cut to the years whose text has the same width.
        """
        assert text == _record.text_of(seconds)

    @given(
        st.integers(_record.FIRST_SECOND, _record.LAST_SECOND),
        st.integers(_record.FIRST_SECOND, _record.LAST_SECOND),
    )
    def test_compares_as_text(self, one, other):
        """
        Of two times the earlier one is the lesser text, and both are times.
        """
        texts = _record.text_of(one), _record.text_of(other)

        assert (one < other) == (texts[0] < texts[1])
        assert all(map(_record.is_time, texts))

    @given(st.integers(_record.FIRST_SECOND, _record.LAST_SECOND))
    def test_seconds_of(self, seconds):
        """
        A time that is written can be read again.
        """
        assert seconds == _record.epoch_of(_record.text_of(seconds))

    @pytest.mark.parametrize(
        "value",
        [
            "2024-02-29T00:00:00Z",
            "2000-02-29T00:00:00Z",
            "2026-11-30T23:59:59Z",
        ],
    )
    def test_is_time(self, value):
        """
        A time that the calendar has is one.
        """
        assert _record.is_time(value)

    @pytest.mark.parametrize(
        "value",
        [
            None,
            1795148280,
            "",
            "2026-11-20T04:18:00",
            "2026-11-20T04:18:00+",
            "2026-11-20 04:18:00Z",
            "2026-11-20T04:18:0xZ",
            "２026-11-20T04:18:00Z",
            "2-26-11-20T04:18:00Z",
            "0999-11-20T04:18:00Z",
            "2026-00-20T04:18:00Z",
            "2026-13-20T04:18:00Z",
            "2026-11-00T04:18:00Z",
            "2026-11-31T04:18:00Z",
            "2026-12-32T04:18:00Z",
            "2026-02-29T04:18:00Z",
            "1900-02-29T04:18:00Z",
            "2026-11-20T24:00:00Z",
            "2026-11-20T23:60:00Z",
            "2026-11-20T23:59:60Z",
        ],
    )
    def test_is_no_time(self, value):
        """
        Anything else is not, and none of it raises.
        """
        assert not _record.is_time(value)


class TestValid:
    def test_whole(self):
        """
        A record comes out as it went in, with fields that nobody knows.
        """
        whole = record(colour="green", deep=[{"a": 1.5}])

        assert whole == valid(whole)

    def test_missing_fields(self):
        """
        A field that is missing means what null means; no generation is the first.
        """
        whole = valid({"environment": "/home/ana/src/shop", "lockfile": "uv.lock"})

        expected = dict.fromkeys(record()) | {
            "environment": "/home/ana/src/shop",
            "lockfile": "uv.lock",
            "generation": 0,
        }
        assert expected == whole

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("recipe", None),
            ("generation", 0),
            ("generation", _record.MAX_INTEGER),
            ("last_checked", None),
            ("result", None),
            ("result.format", None),
            ("result.old_lockfile", None),
            ("result.upgrades", None),
            ("result.counts", None),
            ("result.more", "of it"),
            ("result.counts.linux-64", {"version": 0, "rebuild": 0}),
            ("snoozed_until", "9999-12-31T23:59:59Z"),
            ("failure", None),
            ("failure.since", None),
            ("failure.since", "2026-11-11T09:00:00Z"),
            ("failure_notified", None),
            ("failure_notified", "2026-11-18T09:00:00Z"),
        ],
    )
    def test_other_values(self, field, value):
        """
        What may be null, zero or at its limit is valid so.
        """
        whole = changed(field, value)

        assert whole == valid(whole)

    def test_missing_before(self):
        """
        A field that an older program did not know is not put into its record.
        """
        whole = record()

        assert whole == valid(whole)
        assert "failure_notified" not in whole
        assert "since" not in whole["failure"]

    @pytest.mark.parametrize("field", ["at", "attempts", "message"])
    def test_half_a_failure(self, field):
        """
        What was always there must be there.
        """
        whole = record()
        del whole["failure"][field]

        assert valid(whole) is None

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("environment", None),
            ("environment", ""),
            ("environment", "home/ana/src/shop"),
            ("environment", "/home/ana/src/shop/"),
            ("environment", "/home/ana/src/shop\0uv.lock"),
            ("environment", "/\ud800"),
            ("lockfile", None),
            ("lockfile", ""),
            ("lockfile", "uv.lock\0"),
            ("lockfile", 3),
            ("recipe", ""),
            ("recipe", "x" * 65),
            ("recipe", 3),
            ("generation", None),
            ("generation", -1),
            ("generation", True),
            ("generation", 7.0),
            ("generation", _record.MAX_INTEGER + 1),
            ("last_checked", 1795148280),
            ("last_checked", "yesterday"),
            ("result", []),
            ("result", {}),
            ("result.format", 3),
            ("result.old_lockfile", {}),
            ("result.old_lockfile.digest", "sha256:" + "0" * 64),
            ("result.old_lockfile.digest", "blake2b:" + "0" * 63),
            ("result.old_lockfile.digest", "blake2b:" + "G" * 64),
            ("result.old_lockfile.digest", 3),
            ("result.old_lockfile.size", -1),
            ("result.new_lockfile", None),
            ("result.counts", []),
            ("result.counts", {}),
            ("result.counts", {"*": None}),
            ("result.counts.*.version", "2"),
            ("result.counts.linux-64", {"version": 1}),
            ("last_notified", ""),
            ("snoozed_until", "9999-12-31T23:59:60Z"),
            ("failure", "no"),
            ("failure.at", None),
            ("failure.attempts", True),
            ("failure.message", None),
            ("failure.since", "nine days ago"),
            ("failure.since", 1795148280),
            ("failure_notified", ""),
            ("failure_notified", False),
        ],
    )
    def test_wrong_shape(self, field, value):
        """
        A known field of another type or shape makes it no record.
        """
        assert valid(changed(field, value)) is None

    def test_other_environment(self):
        """
        A record under the name of another environment is none.
        """
        assert _record.valid(json.dumps(record()).encode(), "0" * 32) is None

    def test_name_and_path_in_one(self):
        """
        A path that contains the NUL byte and the name is no other spelling.
        """
        both = record(environment="/home/ana/src/shop\0uv.lock", lockfile=None)

        assert valid(both) is None

    def test_path_of_any_bytes(self):
        """
        Bytes of a path that are not UTF-8 are kept, whatever the locale is.
        """
        path = b"/srv/caf\xe9"
        whole = record(environment=_record.path_text(path))
        key = _record.environment_key(path, b"uv.lock")

        assert whole == _record.valid(json.dumps(whole).encode(), key)
        assert path == _record.path_bytes(whole["environment"])

    @given(st.binary(max_size=200))
    def test_any_bytes(self, data):
        """
        Bytes that nobody wrote are no record, and nothing else.
        """
        assert _record.valid(data, KEY) is None


class TestLockfileName:
    @pytest.mark.parametrize("name", ["uv.lock", ".flox/env/manifest.lock", "…"])
    def test_below(self, name):
        """
        A name, or a path below the directory with forward slashes, is one.
        """
        assert _record.is_lockfile_name(name)

    @pytest.mark.parametrize(
        "name",
        [None, b"uv.lock", "", ".", "..", "/a", "a//b", "a/", "a/../b", "a\\b", "a\0b"],
    )
    def test_elsewhere(self, name):
        """
        What leads elsewhere, or nowhere, is not.
        """
        assert not _record.is_lockfile_name(name)


class TestParse:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"null",
            b"[]",
            b'"{}"',
            b"{",
            b'{"a"',
            b'{"a":}',
            b'{"a":1,}',
            b'{"a":1} {}',
            b'{"a":1}x',
            b"\xef\xbb\xbf{}",
            b'{"a":"\xff"}',
            b'{"a":"\x01"}',
            b'{"a":NaN}',
            b'{"a":Infinity}',
            b'{"a":-Infinity}',
            b'{"a":1e999}',
            b'{"a":-1e999}',
            b'{"a":' + b"9" * 5000 + b"}",
            b"[" * 100_000,
            b'{"a":' * 100_000,
            "{}".encode("utf-16"),
            b'{"a":"' + b"x" * _record.MAX_SIZE + b'"}',
        ],
        ids=lambda data: repr(data[:20]),
    )
    def test_garbage(self, data):
        """
        What is not a JSON object within the limits is none.
        """
        assert _record.parse(data) is None

    @pytest.mark.parametrize(
        ("data", "value"),
        [
            (b"{}", {}),
            (b' \r\n\t{"a": [1, -2.5, 1e3]}\n', {"a": [1, -2.5, 1000.0]}),
            (b'{"a":1,"a":2}', {"a": 2}),
            (b'{"a":"\\udc80"}', {"a": "\udc80"}),
        ],
    )
    def test_object(self, data, value):
        """
        What is one comes out as its value.
        """
        assert value == _record.parse(data)

    @pytest.mark.parametrize("innermost", [b"[]", b"{}", b"[1]"])
    def test_depth(self, innermost):
        """
        Sixteen levels are enough for everybody, empty ones included.
        """
        deep = b'{"a":' + b"[" * 14 + innermost + b"]" * 14 + b"}"
        deeper = b'{"a":' + b"[" * 15 + innermost + b"]" * 15 + b"}"

        assert _record.parse(deep) is not None
        assert _record.parse(deeper) is None

    @pytest.mark.parametrize(
        ("data", "levels"),
        [
            (b"1", 0),
            (b"{}", 1),
            (b'{"a":[[]],"b":{}}', 3),
            (b'{"[[[":"{{\\"{\\\\"}', 1),
            (b'{"\\\\":[]}', 2),
        ],
    )
    def test_nesting(self, data, levels):
        """
        Brackets in texts do not count, whatever is escaped there.
        """
        assert levels == _record._nesting(data)

    def test_stack_used_up(self):
        """
        A caller with no stack left gets that error: the record is no garbage.
        """
        deep = json.dumps({"a": [[[[[[[[[[[[[[]]]]]]]]]]]]]]}).encode()

        def call(levels):
            return _record.parse(deep) if levels == 0 else call(levels - 1)

        outcomes = set()
        for levels in range(1, sys.getrecursionlimit()):
            try:
                outcomes.add(call(levels) is None)
            except RecursionError:
                outcomes.add("no stack")

        assert {False, "no stack"} == outcomes

    def test_many_brackets(self):
        """
        Many brackets side by side are not deep, nor are those in a text.
        """
        wide = json.dumps({"a": [[], {}] * 50, "b": "[" * 50}).encode()

        assert _record.parse(wide) is not None

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_both_parsers_agree(self, value):
        """
        The scanner of CPython and the public parser give the same answers.
        """
        text = json.dumps({"a": value})

        assert outcome(_record._load_with_json, text) == outcome(
            _record.load_json, text
        )

    @given(st.text(alphabet='{}[]":,.eE+-0123456789\\nutrueflsaNIity \t\n\r\x01'))
    def test_both_parsers_agree_on_garbage(self, text):
        """
        They agree on what is no JSON, too.
        """
        assert outcome(_record._load_with_json, text) == outcome(
            _record.load_json, text
        )


def outcome(load: Callable[[str], object], text: str) -> object:
    try:
        return repr(load(text))
    except (ValueError, RecursionError):
        return None


def run_without(module: str, code: str) -> str:
    """
    Run *code* in an interpreter that lacks a module.
    """
    hide = f"import hashlib, sys; sys.modules[{module!r}] = None; "
    done = subprocess.run(
        [sys.executable, "-c", hide + code], capture_output=True, check=True, text=True
    )
    return done.stdout.strip()


class TestFallBacks:
    def test_without_blake2(self):
        """
        hashlib names and digests alike.
        """
        code = (
            "from upgrade_state import _record;"
            "print(_record.environment_key(b'/home/ana/src/shop', b'uv.lock'),"
            " _record.digest(b'x'))"
        )

        assert f"{KEY} {_record.digest(b'x')}" == run_without("_blake2", code)

    def test_without_scanner(self):
        """
        json reads what the scanner would have read.
        """
        code = (
            "from upgrade_state import _record;"
            """print(_record.parse(b' {"a": [1, 2.5]} '),"""
            """ _record.parse(b'{"a":NaN}'))"""
        )

        assert "{'a': [1, 2.5]} None" == run_without("_json", code)


class TestReadFile:
    @pytest.fixture
    def root(self, tmp_path):
        root = tmp_path / "v1"
        root.mkdir(mode=0o700)
        return root

    def read(self, path: Path, limit: int = 100) -> bytes | None:
        return _record.read_file(str(path.parent), str(path), limit)

    def test_contents(self, root):
        """
        A regular file gives its contents.
        """
        (root / "a").write_bytes(b"contents")

        assert b"contents" == self.read(root / "a")

    def test_nothing_there(self, root):
        """
        No file gives None, and so does no store.
        """
        assert self.read(root / "a") is None
        assert self.read(root / "none" / "a") is None

    def test_no_regular_file(self, root):
        """
        A directory, FIFO, socket or symlink gives no contents, and no waiting.
        """
        (root / "target").write_bytes(b"contents")
        (root / "link").symlink_to("target")
        (root / "directory").mkdir()
        os.mkfifo(root / "fifo")
        os.mknod(root / "socket", 0o140600)

        kinds = ("link", "directory", "fifo", "socket")
        assert {b""} == {self.read(root / name) for name in kinds}

    @pytest.mark.parametrize("looks", [0, 1])
    def test_healed_meanwhile(self, root, monkeypatch, looks):
        """
        Where a symlink is set aside at this moment, no bare error comes out.
        """
        link = root / "link"
        link.symlink_to("target")
        lstat, seen = os.lstat, []

        def heal(path):
            if path == str(link):
                seen.append(path)
                if len(seen) > looks:
                    raise FileNotFoundError(2, "No such file or directory")
            return lstat(path)

        monkeypatch.setattr(os, "lstat", heal)
        with contextlib.suppress(StateReadError):
            assert b"" == self.read(link)

    def test_too_large(self, root):
        """
        A file above the limit is not read.
        """
        (root / "a").write_bytes(b"x" * 101)

        assert b"" == self.read(root / "a")

    def test_cut_short(self, root, monkeypatch):
        """
        What a network file system gives in pieces is put together.
        """
        (root / "a").write_bytes(b"contents")
        read = os.read
        monkeypatch.setattr(os, "read", lambda fd, size: read(fd, min(size, 3)))

        assert b"contents" == self.read(root / "a")

    def test_shrinking(self, root, monkeypatch):
        """
        A file that is cut while it is read gives what is left of it.
        """
        (root / "a").write_bytes(b"contents")
        pieces = iter([b"cont", b""])
        monkeypatch.setattr(os, "read", lambda *_: next(pieces))

        assert b"cont" == self.read(root / "a")

    def test_no_descriptor_is_left_open(self, root):
        """
        Whatever is read, no descriptor stays open.
        """
        (root / "a").write_bytes(b"contents")
        (root / "directory").mkdir()
        before = os.listdir("/dev/fd")
        for name in ("a", "directory", "none"):
            self.read(root / name)

        assert before == os.listdir("/dev/fd")

    @pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
    def test_others_may_write(self, root, mode):
        """
        In a directory that others may write to nothing is believed.
        """
        (root / "a").write_bytes(b"contents")
        root.chmod(mode)

        with pytest.raises(StateReadError, match="written to by others"):
            self.read(root / "a")

    @pytest.mark.parametrize("mode", [0o700, 0o755])
    def test_others_may_read(self, root, mode):
        """
        That others may read is no reason for distrust.
        """
        (root / "a").write_bytes(b"contents")
        root.chmod(mode)

        assert b"contents" == self.read(root / "a")

    def test_symlink_to_store(self, root, tmp_path):
        """
        A store behind a symlink is not believed.
        """
        (tmp_path / "link").symlink_to(root)

        with pytest.raises(StateReadError, match="is a symlink"):
            self.read(tmp_path / "link" / "a")

    def test_file_as_store(self, root):
        """
        Nor is a file in its place.
        """
        (root / "file").touch()

        with pytest.raises(StateReadError, match="is no directory"):
            self.read(root / "file" / "a")

    def test_foreign_store(self, root, monkeypatch):
        """
        Nor is the directory of another user.
        """
        monkeypatch.setattr(os, "geteuid", lambda: root.stat().st_uid + 1)

        with pytest.raises(StateReadError, match="belongs to user") as caught:
            self.read(root / "a")
        assert str(root) == caught.value.path

    def test_place_below_a_file(self, tmp_path):
        """
        A cache directory that cannot exist is an error with its path.
        """
        (tmp_path / "file").touch()
        path = tmp_path / "file" / "v1" / "a"

        with pytest.raises(StateReadError, match="Not a directory") as caught:
            self.read(path)
        assert str(path.parent) == caught.value.path

    def test_refused(self, root, monkeypatch):
        """
        A file that the system does not let us read is an error with its path.
        """
        (root / "a").write_bytes(b"contents")

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(StateReadError, match="Permission denied") as caught:
            self.read(root / "a")
        assert str(root / "a") == caught.value.path
