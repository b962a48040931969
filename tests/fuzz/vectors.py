"""
Damaged records for both implementations of the format, which have to agree.

The argument is Node's program.
"""

import importlib.util
import json
import re
from pathlib import Path

from fuzz import records
from upgrade_state import _record

FOLDER = Path(__file__).parents[2] / "conformance"

# One record in so many is claimed, by either in a store of its own.
CLAIMS = 10

# Whether such an integer is beyond the range is left to the reader.
LONG = re.compile(rb"\d{309}")

MOMENTS = [f"{moment:%Y-%m-%dT%H:%M:%SZ}".rjust(20, "0") for moment in records.MOMENTS]


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


drive, library = load("drive"), load("library")


class Target(records.Target):
    doors = 2

    def __init__(self, place, node):
        super().__init__(place)
        self.second = drive.Program([node, str(FOLDER / "second.js")])
        self.second.ask({"ask": "supports"})
        self.places = []
        for name in ("ours", "theirs"):
            (Path(place) / name / "v1").mkdir(parents=True, mode=0o700)
            (Path(place) / name).chmod(0o700)
            self.places.append(Path(place) / name)
        self.facts = dict.fromkeys(("read", "valid", "asked", "claimed"), 0)

    def examine(self, candidate):
        rng, number, data = candidate
        if LONG.search(data):
            return
        names = records.names_in(data)
        home = [records.DIRECTORY, records.LOCKFILE.encode(), None]
        if names is None or names[0] is None:
            names = home
        key = records.key_of(*names)
        for place in self.places:
            (place / "v1" / f"{key}.json").write_bytes(data)
        hexadecimal = (None if name is None else name.hex() for name in names)
        request = {
            "ask": "read",
            **dict(zip(("directory", "lockfile", "name"), hexadecimal, strict=True)),
            "content": rng.choice((b"old", b"new", b"", b"other")).hex(),
            "now": rng.choice(MOMENTS),
            "platform": rng.choice((None, "*", "linux-64")),
            "max_age": rng.choice((None, 0, 86_400, 1 << 40)),
            "interval": rng.choice((None, 0, 1, 86_400, 1 << 40)),
            "reminder": rng.choice((None, 0, 86_400, 1 << 40)),
            "could_not_check": rng.choice((None, None, 0, 604_800)),
        }
        self.facts["read"] += 1
        self.compare(request, data)
        if _record.valid(data, key) is not None:
            self.facts["valid"] += 1
        if names == home:
            self.facts["asked"] += 1
            self.compare(request | {"ask": "freshness"}, data)
            self.compare(request | {"ask": "verdict"}, data)
            if number % CLAIMS == 0:
                self.facts["claimed"] += 1
                self.compare(request | {"ask": "claim"}, data)
                written = [(p / "v1" / f"{key}.json").read_bytes() for p in self.places]
                if written[0] != data or written[1] != data:
                    ours, theirs = map(json.loads, written)
                    assert drive.same(*map(drive.canonical, (ours, theirs)))
        for place in self.places:
            (place / "v1" / f"{key}.json").unlink()

    def compare(self, request, data):
        ours = library.answer(request | {"cache_dir": str(self.places[0])})
        theirs = self.second.ask(request | {"cache_dir": str(self.places[1])})
        # It answers with more fields than were asked for.
        found = {name: theirs.get(name) for name in ours}
        for answer in (ours, found):
            if answer.get("record"):
                answer["record"] = drive.canonical(answer["record"])
        assert drive.same(ours, found), (request, ours, theirs)
