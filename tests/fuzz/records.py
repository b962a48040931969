"""
Damaged records: valid or none, by the same decision everywhere.

A few of them go through the public door: a file in a store, every question to it, and
an operation that writes.
"""

import contextlib
import datetime as dt
import hashlib
import io
import json
import os
import shutil
from pathlib import Path

from fuzz import damage
from helpers import digest_of, read_record, write_record
from operations import OPERATIONS, new_environment, prepared, root_of
from upgrade_state import _codec, _record
from upgrade_state.cli import main
from upgrade_state.exceptions import StateReadError, StateWriteError
from upgrade_state.lockfiles import Upgrade

TESTS = Path(__file__).parents[1]

# The identity of the records that go through the public door. There it becomes that
# of a directory that exists.
DIRECTORY, LOCKFILE = b"/nowhere-1/my/shop", "uv.lock"
HOME = b'{"environment":"%s","lockfile":"uv.lock","name":null' % DIRECTORY

# One candidate in so many is large.
LARGE = 10_000

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
MOMENTS = [
    *(NOW, NOW + dt.timedelta(days=10), NOW - dt.timedelta(days=10)),
    *(dt.datetime(year, 12, 31, 23, 59, tzinfo=dt.UTC) for year in (1000, 1969, 9999)),
]
DURATIONS = [None, *map(dt.timedelta, (0, 1, 7, 999_999_999))]

# `record` needs lockfiles of a format, and `prune of …` a store without a record.
WRITERS = [
    operation
    for operation in OPERATIONS.values()
    if not operation.name.startswith(("prune of", "record"))
]


ROWS = [
    damage.Json(row)
    for row in _codec.dump_upgrades(
        [
            Upgrade("attrs", "version", old=("1",), new=("2",), platform="linux-64"),
            Upgrade("numpy", "rebuild", ecosystem="pypi", old_build=("x",), local=True),
            Upgrade("é", "added", new=("1", "2"), environment="docs", internal=True),
        ]
    ).splitlines()
]

NOTICES = ("notified", "failure_notified")


def compact(record):
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode()


def key_of(directory, lockfile, name):
    """
    Return the key as docs/format.md defines it.
    """
    parts = [directory]
    if lockfile is not None or name is not None:
        parts.append(lockfile or b"")
    if name is not None:
        parts.append(name)
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).hexdigest()


def identity(data):
    """
    Return the bytes of a record before its fields, if its identity comes first.
    """
    return data[:100].partition(b',"generation":')[0]


def names_in(data):
    """
    Return the bytes of the identity that *data* names; None if it names none.
    """
    try:
        record = json.loads(data)
        identity = [record.get(n) for n in ("environment", "lockfile", "name")]
        encode = lambda text: text.encode("utf-8", "surrogateescape")  # noqa: E731
        return [None if text is None else encode(text) for text in identity]
    except (ValueError, AttributeError, RecursionError):
        return None


def key_in(data):
    """
    Return the key of the identity that *data* names; zeros if it names none.
    """
    try:
        return key_of(*names_in(data))
    except TypeError:
        return "0" * 32


def fragments(texts):
    """
    Return values by the names of fields, from *texts* and from the tables of tests.
    """
    tables = json.loads((TESTS / "data" / "values.json").read_text())
    found = {}
    for text in texts:
        for name, start, end in text.values:
            found.setdefault(name, []).append(text.content[start:end])
    for dotted, value in tables["valid"] + tables["invalid"]:
        name = compact(dotted.rpartition(".")[2])
        found.setdefault(name, []).append(compact(value))
    times = [compact(time) for time in tables["times"] + tables["no times"]]
    for name in ("last_checked", "last_notified", "snoozed_until", "at", "since"):
        found[compact(name)] += times
    found[b'"failure_notified"'] += times
    for name in ("size", "attempts", "generation", "version", "rebuild", "directory"):
        found[compact(name)] += (
            b"0 1 2 16 17 64 9007199254740991 9007199254740992".split()
        )
    return found


class Target:
    """
    Damages records, and puts some in a store.

    Attributes:
        doors: One candidate in so many has the identity of the environment, and goes
            through the public door.
    """

    doors = 1000

    def __init__(self, place):
        self.shop = new_environment(place)
        self.directory = self.shop.path.encode()
        self.root, self.sound = root_of(self.shop), f"{place}/sound"
        vectors = TESTS.parent / "conformance" / "vectors" / "records.json"
        seeds = [path.read_bytes() for path in (TESTS / "data").glob("v1-*.json")]
        seeds += map(compact, json.loads(vectors.read_text()).values())
        prepared(self.shop, "known")
        record = Path(self.shop.record_path)
        seeds.append(record.read_bytes().replace(self.directory, DIRECTORY))
        shutil.copytree(self.root, self.sound)
        # Short ones, which are read faster, three times as often.
        self.texts = [damage.Json(seed) for seed in sorted(seeds)]
        self.values = fragments(self.texts)
        self.texts += [text for text in self.texts if len(text.content) < 700] * 2
        self.number = len(self.texts)
        # Most records keep the identity of their seed, whose key is known.
        self.keys = {identity(seed): key_in(seed) for seed in seeds}
        damage.OTHERS.extend(seeds)
        self.facts = dict.fromkeys(
            ("read", "valid", "doors", "valid doors", "lists"), 0
        )

    def candidates(self, rng, count):
        at_home = [text for text in self.texts if text.content.startswith(HOME)]
        for number in range(1, count + 1):
            text = rng.choice(self.texts if number % self.doors else at_home)
            data = text.content
            choice = rng.random()
            if choice < 0.8:
                data = text.damaged(rng, self.values)
            if choice > 0.7:
                data = damage.damaged(rng, data)
            if number % LARGE == 0:
                data = large(rng, data)
            yield rng, number, data

    def examine(self, candidate):
        rng, number, data = candidate
        key = self.keys.get(identity(data)) or key_in(data)
        record = _record.valid(data, key)
        self.facts["read"] += 1
        if record is not None:
            self.facts["valid"] += 1
            if number % 8 == 0:
                _codec.information(record)
                written = compact(record)
                again = len(written) > _record.MAX_SIZE or _record.valid(written, key)
                assert again is True or compact(again) == written
            if number % 64 == 0 and len(data) < 1200:
                # A valid record is damaged further.
                self.texts[self.number :] = self.texts[self.number :][-25:]
                self.texts.append(damage.Json(data))
        if number % self.doors == 0:
            self.facts["doors"] += 1
            self.enter(rng, data.replace(DIRECTORY, self.directory))

    def enter(self, rng, data):
        """
        Put *data* into the place of a record, and ask and change everything.
        """
        shop = self.shop
        shutil.rmtree(self.root)
        shutil.copytree(self.sound, self.root)
        Path(shop.path, LOCKFILE).write_bytes(rng.choice((b"old", b"new", b"other")))
        Path(shop.record_path).write_bytes(data)
        expected = _record.valid(data, shop.key)
        self.facts["valid doors"] += expected is not None
        ask(rng, shop, expected)
        if rng.random() < 0.1:
            show(shop)
        self.write(rng, data, expected)
        if rng.random() < 0.5:
            self.list(rng)

    def list(self, rng):
        """
        Put a damaged list of upgrades into the place of one, as another program may.
        """
        shop = self.shop
        shutil.rmtree(self.root)
        shutil.copytree(self.sound, self.root)
        lines = [
            rng.choice(ROWS).damaged(rng, {}) for _ in range(rng.choice((1, 2, 3)))
        ]
        content = b"\n".join(lines)
        record = read_record(shop)
        record["result"]["upgrades"] = {
            "digest": digest_of(content),
            "size": len(content),
        }
        record |= {"last_notified": None, "snoozed_until": None, "failure": None}
        write_record(shop, record)
        name = record["result"]["upgrades"]["digest"].partition(":")[2]
        Path(self.root, "results", shop.key, name).write_bytes(content)
        with contextlib.suppress(StateReadError):
            assert all(row.name for row in shop.upgrades()) or b'""' in content
            self.facts["lists"] += 1
        show(shop)

    def write(self, rng, data, expected):
        """
        Let an operation change the store; it heals the record or keeps the rest of it.
        """
        shop, operation = self.shop, rng.choice(WRITERS)
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            try:
                answer = operation.run(shop)
            except StateWriteError as error:
                answer = error.message
                if "too large" not in answer:
                    raise
        path = Path(shop.record_path)
        if operation.owns is None:
            # An invalid record is pruned once it is a second old.
            is_kept = operation.name == "prune" and (expected or path.exists())
            assert path.exists() is bool(is_kept)
            return
        after = path.read_bytes()
        heals = "generation" in operation.owns or operation.owns == ("failure",)
        if after == data:
            assert expected is not None or not heals, answer
            return
        found = _record.valid(after, shop.key)
        assert found is not None, operation.name
        if expected is None:
            assert heals
            assert Path(f"{path}.corrupt").read_bytes() == data
            return
        for record in (found, expected):
            # A notice may be of the other kind than in the state of the table.
            for name in (
                *operation.owns,
                *NOTICES * ("notified" in str(operation.owns)),
            ):
                record.pop(name, None)
        assert compact(found) == compact(expected), operation.name


def large(rng, data):
    """
    Return *data* at the limit of the size, by blanks, a text, numbers or brackets.
    """
    room = _record.MAX_SIZE - len(data) + rng.choice((-1, 0, 1))
    unit = rng.choice(
        (b"x", b"\xc3\xa9", b"\\u00e9", b"\\\\", b'\\"', b"[],", b"1e9,", b"{")
    )
    if rng.random() < 0.3 or not data.startswith(b"{"):
        return data.ljust(len(data) + room)
    frame = b'{"more":[%s0],' if unit[-1:] == b"," else b'{"more":"%s",'
    filler = unit * ((room - len(frame) + 3) // len(unit))
    return (frame % filler + data[1:]).ljust(len(data) + room)


def ask(rng, shop, expected):
    """
    Ask every question that a look answers, and compare with the *expected* record.
    """
    content = rng.choice((None, None, b"old", b"new", b""))
    look = shop.look(content, now=rng.choice(MOMENTS))
    assert look.error is None
    assert look.record == expected
    assert look.is_corrupt is (expected is None)
    assert (look.information is None) is (expected is None)
    question = {
        name: rng.choice(DURATIONS)
        for name in ("interval", "reminder", "could_not_check")
    } | {"platform": rng.choice((None, "*", "linux-64", "x"))}
    verdict, reasons = look.verdict(**question), look.reasons(**question)
    freshness = look.freshness(max_age=rng.choice(DURATIONS))
    assert str(verdict) == str(reasons[0])
    for answer in (verdict, freshness):
        assert answer.error is None
        assert answer.until is None or answer.until.tzinfo is not None
    for text in (verdict.message, verdict.summary, str(verdict), str(freshness)):
        assert text.isprintable(), text
    assert bool(verdict) is bool(verdict.message)
    assert (look.summary() is None) or look.summary()
    assert look.consent is None or expected["consent"] is not None
    assert look.lockfile_state in (None, "checked", "upgraded", "changed")
    assert look.missing in (None, "directory", "lockfile")
    for read in (look.upgrades, lambda: look.kept_lockfile("old"), shop.upgrades):
        with contextlib.suppress(StateReadError):
            read()
    assert repr(look)
    assert [shop.key] == [found.key for found in shop.store]


def show(shop):
    """
    Print the record by every command that does; no control character, valid JSON.
    """
    place = os.path.dirname(root_of(shop))
    for words in (["show", shop.path], ["list"], ["doctor"]):
        for more in ((), ("--json",)):
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                status = main([*words, "--cache-dir", place, *more])
            assert status in (0, 1)
            lines = (out.getvalue() + err.getvalue()).split("\n")
            assert all(map(str.isprintable, lines)), lines
            if more:
                all(map(json.loads, out.getvalue().splitlines()))
