"""
Real lockfiles give the rows that were found without this library.
"""

import json
from collections import Counter

import pytest
from attrs import asdict

from lockfiles.helpers import cases
from upgrade_state import lockfiles

CASES = cases("samples")["samples"]

# Fields that the expectations leave out.
UNTOLD = {"direct", "internal"}

# Rows that do not count: Devbox's own pin is no package of its user.
INTERNAL = {"github:NixOS/nixpkgs/nixpkgs-unstable"}


@pytest.fixture(name="case", params=CASES)
def _case(request):
    return request.param


@pytest.fixture(name="expected")
def _expected(case, sample_folder):
    return json.loads((sample_folder / case / "expected.json").read_bytes())


@pytest.fixture(name="sides")
def _sides(case, samples):
    folder = case.partition("/")[0]
    return [
        lockfiles.read(path.read_bytes(), format=lockfiles.format_of(folder) or folder)
        for path in samples(case)
    ]


@pytest.fixture(name="diff")
def _diff(sides):
    return lockfiles.diff(*sides)


def as_row(expected):
    """
    Return an expected package in the form of a row.
    """
    versions = {
        side: (expected[side],) if isinstance(expected[side], str) else expected[side]
        for side in ("old", "new")
    }
    kind = expected["kind"]
    return (
        expected["name"],
        "version" if kind == "versions" else kind,
        tuple(versions["old"] or ()),
        tuple(versions["new"] or ()),
        *map(
            expected.get,
            ("ecosystem", "platform", "environment", "old_build", "new_build"),
        ),
        expected.get("local", False),
    )


def target(row):
    """
    Return the word of a summary for where *row* is; None: everywhere.
    """
    return "/".join(filter(None, (row.environment, row.platform))) or None


def numbers(rows):
    """
    Return how many names have a new version, or else a rebuild.
    """
    names = {"version": set(), "rebuild": set()}
    for row in rows:
        kind = "version" if row["kind"] == "versions" else row["kind"]
        if not row.get("local") and row["name"] not in INTERNAL:
            names.get(kind, set()).add(row["name"])
    return {
        "version": len(names["version"]),
        "rebuild": len(names["rebuild"] - names["version"]),
    }


class TestSamples:
    def test_all(self, sample_folder):
        """
        Every sample with an expectation is tested.
        """
        found = sample_folder.glob("*/*/expected.json")

        assert set(CASES) == {str(p.parent.relative_to(sample_folder)) for p in found}

    def test_entries(self, sides, expected):
        """
        Every entry is read.
        """
        assert [expected["entries_old"], expected["entries_new"]] == [
            len(side.packages) for side in sides
        ]

    def test_rows(self, diff, expected):
        """
        Every row is as expected, and there is no other.
        """
        rows = [
            tuple(v for field, v in asdict(u).items() if field not in UNTOLD)
            for u in diff.upgrades
        ]

        assert sorted(map(as_row, expected["packages"]), key=repr) == sorted(
            rows, key=repr
        )

    def test_summary(self, diff, expected):
        """
        The numbers per target are those of the summary, which counts rows.
        """
        rows = Counter((target(u), u.kind) for u in diff.upgrades)

        assert {
            (name, kind): n
            for name, found in expected.get("summary_by_target", {}).items()
            for kind, n in found.items()
            if n
        } == {(name, kind): n for (name, kind), n in rows.items() if name}

    def test_counts(self, diff, expected):
        """
        Per platform each name counts once, as a version if it can.
        """
        counts = lockfiles.counts(diff.upgrades, platforms=diff.platforms)

        assert {
            platform: numbers(
                r for r in expected["packages"] if r["platform"] == platform
            )
            for platform in diff.platforms
        } == {platform: n for platform, n in counts.items() if platform != "*"}

    def test_counts_over_all(self, diff, expected):
        """
        Over all platforms likewise.
        """
        assert numbers(expected["packages"]) == lockfiles.counts(diff.upgrades)["*"]


class TestFlox:
    @pytest.mark.parametrize("case", ["flox/upgrade-mixed"], indirect=True)
    def test_reports(self, diff, expected):
        """
        The counted packages are those that Flox itself reports.
        """
        reported = {
            (row["name"], row["platform"])
            for row in expected["packages"]
            if row["flox_reports"]
        }

        assert reported == {
            (u.name, u.platform)
            for u in diff.upgrades
            if lockfiles.counts([u])["*"] != {"version": 0, "rebuild": 0}
        }


class TestUv:
    @pytest.mark.parametrize("case", ["uv.lock/generated-upgrade"], indirect=True)
    def test_tool_output(self, case, diff, sample_folder):
        """
        The rows are the list that uv itself printed.
        """
        verbs = {"version": "Updated", "added": "Added", "removed": "Removed"}
        lines = []
        for u in diff.upgrades:
            sides = (", ".join(f"v{v}" for v in side) for side in (u.old, u.new))
            lines.append(f"{verbs[u.kind]} {u.name} {' -> '.join(filter(None, sides))}")

        printed = (sample_folder / case / "tool_output.txt").read_text().splitlines()

        assert printed == lines


@pytest.mark.parametrize("name", ["requirements.lock", "tool.py.lock"])
def test_names(sample_folder, name):
    """
    Lockfiles of projects are known by their names.
    """
    folder = sample_folder.parent / "field" / "names"
    expected = json.loads((folder / "expected.json").read_bytes())[name]
    snapshot = lockfiles.read(
        (folder / name).read_bytes(), format=lockfiles.format_of(name)
    )

    assert expected["format"] == snapshot.format
    assert expected["rows"] == [[p.name, p.version] for p in snapshot.packages]
