"""
The vectors of format v1, and a second implementation that shares stores with this one.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import re
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from helpers import commit, digest_of, holding, node, place_of
from upgrade_state import UpgradeInformation, _messages, _policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FOLDER = Path(__file__).parents[1] / "conformance"
SECOND = FOLDER / "second.js"
NOW = "2026-11-20T12:00:00Z"


def load(name: str) -> ModuleType:
    """
    Import a script of the folder, which is no package.
    """
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


drive, library = load("drive"), load("library")
drive_load = drive.load
VECTORS = [(kind, vector) for kind in drive.KINDS for vector in drive.load(kind)]


def answer(*request: Any) -> Any:
    """
    Return the library's answer, with the umask that the driver gives to programs.
    """
    umask = os.umask(drive.UMASK)
    try:
        return library.answer(*request)
    finally:
        os.umask(umask)


class TestVectors:
    def test_library(self, tmp_path_factory):
        """
        This library passes all of them.
        """
        place, failed = tmp_path_factory.mktemp("vectors"), []
        for number, (kind, vector) in enumerate(VECTORS):
            (place / str(number)).mkdir()
            problems = drive.problems_of(vector, answer, place / str(number))
            failed += [f"{kind}: {vector['id']}: {problem}" for problem in problems]

        assert [] == failed
        assert len(VECTORS) >= 600

    def test_names(self):
        """
        Each has a name of its own.
        """
        names = [(kind, vector["id"]) for kind, vector in VECTORS]

        assert len(set(names)) == len(names)

    def test_second(self, capfd):
        """
        The second implementation passes those of reading and of the claim.
        """
        status = drive.main([node(), str(SECOND)])
        summary = capfd.readouterr().out

        assert (0, True) == (status, " 0 failed, " in summary), summary
        assert int(summary.split()[0]) >= 550
        others = [kind == "writers" or not drive.is_possible(v) for kind, v in VECTORS]
        assert f"{sum(others)} not supported" in summary

    def test_second_is_small(self):
        """
        It has at most 440 lines, without comments, and needs no package.
        """
        comments = r"/\*[^*]*\*/|^\s*//[^\n]*"
        code = re.sub(comments, "", SECOND.read_text(), flags=re.MULTILINE)
        modules = re.findall(r'require\("(.*?)"\)', code)

        lines = [line for line in code.splitlines() if line.strip()]
        assert 300 <= len(lines) <= 440
        assert max(map(len, lines)) <= 100
        assert [] == [name for name in modules if not name.startswith("node:")]


PAGE = (FOLDER.parent / "docs" / "format.md").read_text()


def rows_of(heading: str) -> list[list[str]]:
    """
    Return the cells of the first table after a heading of the page.
    """
    text = PAGE.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[1:]]


class TestPage:
    def test_keys(self):
        """
        The keys on the page are the hashes of the bytes beside them.
        """
        found = re.findall(
            r"^([0-9a-f ]+)\n +\S.*\n +([0-9a-f]{32})$", PAGE, re.MULTILINE
        )
        hashes = [
            hashlib.blake2b(bytes.fromhex(digits), digest_size=16).hexdigest()
            for digits, _ in found
        ]

        assert 6 == len(found)
        assert hashes == [key for _, key in found]

    def test_back_off(self):
        """
        So are the times to back off, with which the library agrees.
        """
        rows = [
            [int(re.sub(r"\D", "", cell.partition("(")[0])) for cell in row]
            for row in rows_of("Back-off")
        ]

        assert 7 == len(rows)
        for attempts, whole, part, seconds in rows:
            assert seconds == whole - whole // 4 * part // 65_535
            assert seconds == _policy._delay(
                attempts, "f2662004f1f127e1ee13f55584477bec"
            )

    def test_fields(self, checked):
        """
        The table has every field of a record, and no other.
        """
        fields = {field.name for field in attrs.fields(UpgradeInformation)}
        table = PAGE.partition("\n## The record\n")[2].partition("\n## ")[0]

        assert fields == set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE))
        assert set(checked.look().record) <= fields

    @pytest.mark.parametrize(
        ("heading", "reasons", "more"),
        [
            ("Freshness", _messages.FRESHNESS, {"busy", "switched-off"}),
            ("Verdict", _messages.VERDICTS, {"busy"}),
        ],
    )
    def test_reasons(self, heading, reasons, more):
        """
        The tables of decisions have every reason, and the vectors have, too.
        """
        listed = {row[1].strip("`") for row in rows_of(heading)}
        vectors = drive.load(heading.lower()) + drive.load("claim") * ("busy" in more)
        asked = {vector["expect"]["reason"] for vector in vectors}

        assert set(reasons) == listed | more
        assert listed <= asked


class TestDriver:
    @pytest.mark.parametrize(
        ("kind", "wrong"),
        [
            ("key", {"key": "0" * 32}),
            ("read", {"state": "missing"}),
            ("freshness", {"due": True, "reason": "expired", "until": None}),
            ("writers", {"known": True, "busy": False, "stored": True}),
        ],
    )
    def test_wrong_answers(self, kind, wrong, tmp_path_factory):
        """
        A program that always gives one answer fails most vectors.
        """
        passed = [
            vector
            for vector in drive.load(kind)
            if not drive.problems_of(
                vector, lambda *_: wrong, tmp_path_factory.mktemp("store")
            )
        ]

        assert len(passed) < len(drive.load(kind)) / 4

    def test_right_answer_without_the_act(self, tmp_path):
        """
        A program that answers a claim but records nothing fails.
        """
        (vector, *_) = drive.load("claim")
        answer = {"until": None, "opaque": False, "speak": True} | vector["expect"]
        problems = drive.problems_of(vector, lambda *_: answer, tmp_path)

        assert problems[0].startswith("expected the record")

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("time.sleep(60)", "no answer within 2 s"),
            ("sys.exit(3)", "the program has ended with status 3"),
            ("print('[1]', flush=True)", r"no JSON object: b'[1]\n'"),
            ("print('}', flush=True)", r"no JSON object: b'}\n'"),
        ],
    )
    def test_no_answer(self, line, problem, tmp_path, capfd, monkeypatch):
        """
        A program that hangs, ends or writes garbage fails one vector and is restarted.
        """
        # The others answer: a busy machine may take long to start a program.
        monkeypatch.setattr(drive, "SECONDS", 2 if "sleep" in line else 60)
        monkeypatch.setattr(drive, "load", lambda _: drive_load("key")[:3])
        program = tmp_path / "program.py"
        program.write_text(
            "import json, sys, time\n"
            "for line in sys.stdin:\n"
            "    request = json.loads(line)\n"
            "    if request.get('lockfile'): " + line + "\n"
            '    else: print(\'{"supports": ["key"]}\', flush=True)\n'
        )

        assert 1 == drive.main(["--only", "key", sys.executable, str(program)])
        out = capfd.readouterr().out
        assert f"key: a directory and a lockfile: {problem}" in out
        assert "0 passed, 3 failed" in out

    def test_race(self, capfd):
        """
        The option --race finds that more than one process speaks.
        """
        code = "import sys\nfor line in sys.stdin: "
        code += 'print(\'{"reason": "notify"}\', flush=True)'

        assert 1 == drive.main(["--race", "2", sys.executable, "-c", code])
        assert "0 rounds passed, 2 failed" in capfd.readouterr().out

    def test_status(self, tmp_path, capfd):
        """
        The exit status is 1 if a vector fails, and 2 if the program ends early.
        """
        program = tmp_path / "program.py"
        program.write_text(
            "import json, sys\n"
            "print(json.dumps({'supports': ['key']}), flush=True)\n"
            'for line in sys.stdin: print(\'{"key":""}\', flush=True)\n'
        )

        assert 1 == drive.main(["--only", "key", sys.executable, str(program)])
        assert "key: a directory alone: got {'key': ''}" in capfd.readouterr().out
        assert 2 == drive.main([sys.executable, "-c", ""])
        assert "no answer" in capfd.readouterr().out


# Two implementations at once


@pytest.fixture(scope="module")
def programs() -> Iterator[list[Any]]:
    """
    Four processes of the second implementation, and four of this one.
    """
    second = [node(), str(SECOND)]
    ours = [sys.executable, str(FOLDER / "library.py")]
    with contextlib.ExitStack() as stack:
        found = []
        for argv in [second, ours] * 4:
            found.append(drive.Program(argv))
            stack.callback(found[-1].close)
        for program in found:
            program.ask({"ask": "supports"})
        yield found


def request_of(shop: Any, now: str = NOW, **more: Any) -> dict[str, Any]:
    return {
        "ask": "claim",
        "cache_dir": place_of(shop)[0],
        "directory": shop.path.encode().hex(),
        "lockfile": b"uv.lock".hex(),
        "name": None,
        "content": None,
        "now": now,
        **more,
    }


class TestBoth:
    @pytest.mark.parametrize(
        "rounds", [10, pytest.param(500, marks=pytest.mark.stress)]
    )
    def test_second_alone(self, checked, programs, rounds):
        """
        Nor do two of eight processes of the second implementation speak at once.
        """
        with contextlib.ExitStack() as stack:
            seconds = programs[::2]
            for _ in range(4):
                seconds.append(drive.Program([node(), str(SECOND)]))
                stack.callback(seconds[-1].close)
            found = drive.race(seconds, request_of(checked), rounds)

        assert [1] * rounds == [reasons.count("notify") for reasons in found]

    @pytest.mark.parametrize(
        "rounds", [30, pytest.param(500, marks=pytest.mark.stress)]
    )
    def test_one_speaks(self, checked, programs, rounds):
        """
        Of eight processes that claim one notice at once exactly one gets it.
        """
        found = drive.race(programs, request_of(checked), rounds)

        assert [1] * rounds == [reasons.count("notify") for reasons in found]
        reasons = set(chain.from_iterable(found))
        assert reasons - {"notify"} <= {"busy", "told-recently"}

    @pytest.mark.parametrize(
        "rounds", [10, pytest.param(500, marks=pytest.mark.stress)]
    )
    def test_nothing_is_undone(self, checked, programs, rounds):
        """
        A claim of one and a commit of the other at once leave both in the record.
        """
        second, ours, *_ = programs
        rows = {"rows": [{"name": "x", "kind": "version"}], "content": b"old".hex()}
        before = checked.look().record["generation"]
        granted = 0
        for number in range(rounds):
            now = f"{2027 + number}-01-01T00:00:00Z"
            ours.send(request_of(checked, now, ask="commit", **rows))
            second.send(request_of(checked, now))
            assert ours.receive()["stored"]
            reason = second.receive()["reason"]
            record = checked.look().record
            assert before + number + 1 == record["generation"]
            if reason == "notify":
                assert now == record["last_notified"]
                granted += 1
            else:
                assert "busy" == reason

        assert granted

    def test_busy(self, checked, programs):
        """
        A claim is busy while the other implementation holds the write lock.
        """
        second, ours, *_ = programs
        with holding("hold_write", *place_of(checked)):
            assert "busy" == second.ask(request_of(checked))["reason"]
        request, reasons = request_of(checked), []
        second_holds = request | {"pause": "before-rename"}
        found = second.ask(
            second_holds, lambda: reasons.append(ours.ask(request)["reason"])
        )

        assert (["busy"], "notify") == (reasons, found["reason"])

    def test_lockfile_on_disk(self, checked, programs):
        """
        Both read the lockfile in the directory, and take no other kind of file for it.
        """
        second, ours, *_ = programs
        path = Path(checked.path) / "uv.lock"

        def both() -> set[str]:
            asked = request_of(checked, ask="verdict")
            return {program.ask(asked)["reason"] for program in (second, ours)}

        reasons = [both()]
        for content in (b"new", b"other", b"0ld", b""):
            path.write_bytes(content)
            reasons.append(both())
        path.unlink()
        reasons.append(both())
        path.mkdir()
        reasons.append(both())
        path.rmdir()
        (path.parent / "target").write_bytes(b"old")
        path.symlink_to("target")
        reasons.append(both())
        path.unlink()
        path.symlink_to(path.name)
        reasons.append(both())

        changed = {"lockfile-changed"}
        assert reasons == [
            {"notify"},
            {"upgraded"},
            *[changed] * 5,
            {"notify"},
            {"unavailable"},
        ]

    def test_each_reads_the_other(self, checked, programs):
        """
        A record that one has replaced is valid for the other, and keeps every field.
        """
        second, ours, *_ = programs
        before = ours.ask(request_of(checked, ask="read"))["record"]
        assert "notify" == second.ask(request_of(checked))["reason"]
        after = ours.ask(request_of(checked, ask="read"))["record"]
        assert commit(checked, b"newer")

        assert (
            before
            | {
                "last_notified": NOW,
                "notified": before["result"]["upgrades"]["digest"],
            }
            == after
        )
        assert (
            digest_of(b"newer")
            == (
                second.ask(request_of(checked, ask="read"))["record"]["result"][
                    "new_lockfile"
                ]["digest"]
            )
        )
