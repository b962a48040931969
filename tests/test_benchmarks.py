"""
The benchmarks run, and their page is made of one file of figures, and of nothing else.

`nox -s docs` has the library that draws the plots.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PLOTS = sorted(DOCS.glob("static/benchmarks-*.svg"))

REPEAT = "python -m benchmarks --from docs/static/benchmarks.json --page"


@pytest.fixture
def load(monkeypatch):
    """
    Return a function that imports a module of the benchmarks.
    """
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def report(load):
    """
    Return the figures in the repository.
    """
    return load("report").read(DOCS / "static" / "benchmarks.json")


def figure(load, name, value=1.5, **fields):
    both = {"low": value - 0.1, "high": value + 0.1, "by": "cpu", "other": value}
    times = {"this": 0.0123, "against": 0.0082}
    fields = both | times | {"group": "operations"} | fields
    return load("report").Figure(name=name, value=value, **fields)


# The groups that take seconds, and the amounts with which others do.
QUICK = {
    "activation": {},
    "claims": {},
    "copies": {"_SIZES": {100: 1}},
    "crowds": {"_CROWDS": {4: 0.2}, "_SECONDS": 0.5},
    "growth": {
        "SIZES": (10_000, 20_000),
        "ENVIRONMENTS": (10, 20),
        "PROCESSES": (1, 4),
        "UPGRADES": (1, 10),
    },
    "lockfiles": {},
    "operations": {},
}

RUN = """\
import sys
from benchmarks import __main__, {group}
vars({group}).update({amounts})
sys.exit(__main__.main())
"""


def run(*arguments, **environ):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks need Linux")
class TestRun:
    def test_groups(self, load):
        """
        Each group can be loaded, and says its subject.
        """
        for name in load("__main__").GROUPS:
            group = load(name)

            assert group.TITLE
            assert group.__doc__
            assert callable(group.measure)

    @pytest.mark.parametrize("group", QUICK)
    def test_one_round(self, tmp_path, group):
        """
        A group runs to its end, and deletes its files.
        """
        (tmp_path / "temporary").mkdir()
        figures = tmp_path / "figures.json"
        program = RUN.format(group=group, amounts=QUICK[group])
        arguments = (group, "--rounds", "1", "--json", str(figures))
        done = run("-c", program, *arguments, TMPDIR=str(tmp_path / "temporary"))

        assert 0 == done.returncode, done.stderr
        assert {group} == {
            f["group"] for f in json.loads(figures.read_text())["figures"]
        }
        assert [] == os.listdir(tmp_path / "temporary")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["operation"], "no such group: operation (there are activation, "),
            (["--rounds", "0"], "--rounds must be at least 1"),
            (["--json", "nowhere/x.json"], "--json: [Errno 2] No such file or direct"),
            (["--json", "docs"], "--json: [Errno 21] Is a directory: 'docs'"),
            (["--from", "nowhere"], "--from: [Errno 2] No such file or directory"),
            (["--from", "LICENSE"], "--from: LICENSE does not have the figures"),
            (["--from", "{place}/text.json"], "--from: {place}/text.json does not"),
            (["--from", "x", "--rounds", "3"], "--from has its own number of rounds"),
            (["--page", "growth"], "a page has all groups"),
        ],
    )
    def test_mistakes(self, tmp_path, arguments, words):
        """
        A mistake is named in one line, before anything is measured.
        """
        (tmp_path / "text.json").write_text('"text"')
        words = words.format(place=tmp_path)
        arguments = [each.format(place=tmp_path) for each in arguments]
        done = run("-m", "benchmarks", *arguments)

        assert (2, "") == (done.returncode, done.stdout)
        assert done.stderr.startswith(f"python -m benchmarks: error: {words}")
        assert 1 == done.stderr.count("\n")

    def test_missing_programs(self, tmp_path):
        """
        A program that is not installed is named, and its figures are omitted.
        """
        groups = ("operations", "copies", "hook")
        done = run("-m", "benchmarks", *groups, "--rounds=1", PATH=str(tmp_path))

        assert 0 == done.returncode, done.stderr
        assert [
            "skipped: the calls in C: [Errno 2] No such file or directory: 'cc'",
            "skipped: git is not installed",
            *(f"skipped: {name} is not installed" for name in ("bash", "zsh", "fish")),
        ] == re.findall("skipped: .*", done.stdout)

    def test_closed_pipe(self):
        """
        If the reader of its output has ended, it ends without a message.
        """
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-um", "benchmarks", "operations"]
        with open(writer, "wb") as output:
            done = subprocess.run(
                command, cwd=ROOT, stdout=output, stderr=subprocess.PIPE, check=False
            )

        assert (141, b"") == (done.returncode, done.stderr)

    def test_interrupted(self, tmp_path):
        """
        After Ctrl-C its processes have ended, and its files are deleted.
        """
        with subprocess.Popen(
            [sys.executable, "-um", "benchmarks", "crowds"],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
        ) as process:
            while b"Crowds" not in process.stdout.readline():
                pass
            time.sleep(1)  # its writers are at work for two seconds
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)

        assert 130 == process.returncode
        assert [] == os.listdir(tmp_path)

    @pytest.mark.parametrize(("most", "status"), [(2, 0), (0.5, 1)])
    def test_check(self, load, tmp_path, most, status):
        """
        A missed limit is an exit status; the figures are copied as they are.
        """
        report = load("report").Report(3, figures=[figure(load, "a / b", limit=most)])
        old, new = tmp_path / "old.json", tmp_path / "new.json"
        report.write(old)
        arguments = ("--from", str(old), "--check", "--json", str(new))
        done = run("-m", "benchmarks", *arguments)

        assert (status, "", "") == (done.returncode, done.stdout, done.stderr)
        assert old.read_text() == new.read_text()


class TestPage:
    def test_is_current(self, load, report):
        """
        The pages have the figures of the file: nobody has changed them by hand.
        """
        for name, content in load("page").pages(report).items():
            assert content == (DOCS / name).read_text(), f"run {REPEAT}"

    def test_plots_are_current(self, load, report):
        """
        So do the plots, and there are no others.
        """
        pytest.importorskip("matplotlib", reason="nox -s docs draws the plots")
        drawn = load("page").plots(report)

        assert {DOCS / name for name in drawn} == {*PLOTS}
        for name, content in drawn.items():
            assert content == (DOCS / name).read_text(), f"run {REPEAT}"

    def test_no_line_is_missing(self, load, report, capsys):
        """
        The file has every figure that the text names.
        """
        load("page").pages(report)

        assert "" == capsys.readouterr().out

    def test_missed_limits_have_reasons(self, load, report):
        """
        Every figure that misses its limit has a reason, and every reason a figure.
        """
        missed = {f.name for f in report.figures if not f.is_met}
        names = {f.name for f in report.figures}
        modules = [load(group) for group in report.titles]
        reasons = {name for m in modules for name in getattr(m, "REASONS", {})}

        assert missed <= reasons <= names

    def test_no_activation_becomes_a_limit(self, load, report):
        """
        At the largest amount an activation takes less than a person notices.
        """
        page = load("page")
        reached, others = page.noticed(page.units(report))

        assert reached
        assert {"silent claim", "silent activation"} <= {name for name, *_ in others}
        assert [] == [name for name, *_ in reached if re.search("claim|activ", name)]


class TestText:
    @pytest.fixture
    def text(self, load, monkeypatch, tmp_path):
        """
        Return a function that makes a page of a text and figures.
        """

        def text(template, *figures, **fields):
            page = load("page")
            monkeypatch.setattr(page, "TEXT", tmp_path / "page.md")
            page.TEXT.write_text(template)
            report = load("report").Report(31, figures=[*figures], **fields)
            return page.text(report)

        return text

    def test_figures(self, load, text):
        """
        A field is a figure, or one of its times.
        """
        words = "{a / b} times: {a / b|this}, not {a / b|against}, {rounds} rounds\n"
        made = text(words, figure(load, "a / b", 1.2345))

        assert "1.23 times: 12.3 ms, not 8.2 ms, 31 rounds\n" == made

    def test_missing(self, load, text, capsys):
        """
        A line with a figure that was not measured is left out, and reported.
        """
        assert "one\nthree\n" == text("one\n{a / c} two\nthree\n")
        assert "left out of the page: a line with a / c\n" == capsys.readouterr().out

    def test_group(self, load, text, monkeypatch):
        """
        A group has its title, its rows, the missed limits and the omissions.
        """
        monkeypatch.setattr(
            load("operations"), "REASONS", {"c / d": "{c / d|this}."}, raising=False
        )
        made = text(
            "{groups}",
            figure(load, "a / b", limit=2, by="wall"),
            figure(load, "c / d", limit=2, at_least=True),
            figure(load, "e", 3, by="µs", other=None, this=None, against=None),
            titles={"operations": "Operations"},
            skipped={"operations": ["f: there is no compiler"]},
        )
        lines = [line for line in made.splitlines() if line]

        assert "## Operations" == lines[0]
        assert [
            "| a / b | 1.50 (wall) | 1.40 to 1.60 | 12.3 ms | 8.2 ms | ≤ 2, met |",
            "| c / d | 1.50 | 1.40 to 1.60 | 12.3 ms | 8.2 ms | ≥ 2, **missed** |",
            "| e | 3.00 µs |  |  |  |  |",
            "Missed limits:",
            "- c / d: 12.3 ms.",
            "Not measured: f: there is no compiler.",
        ] == lines[-6:]

    def test_curves(self, load, text):
        """
        Curves have a plot and a table; a value above the limit is bold.
        """
        many = {"series": "rows: `read`", "limit": 2}
        made = text(
            "{curves: rows}",
            figure(load, "`read`: 1 / 1 rows", 1, x=1, **many),
            figure(load, "`read`: 1M / 1 rows", 3, x=10**6, **many),
            figure(load, "write: 1M / 1 rows", 1, x=10**6, series="rows: write"),
        )

        assert [
            (
                "![Growth with rows, at the largest amount: `read` 3.00, write 1.00]"
                "(static/benchmarks-rows.svg)"
            ),
            "",
            "| rows | 1 | 1M | limit |",
            "| --- | --: | --: | --: |",
            "| `read` | 1.00 | **3.00** | ≤ 2 |",
            "| write |  | 1.00 |  |",
        ] == made.splitlines()

    def test_limits(self, load, text):
        """
        The amount at which an operation is noticed is between two measured ones.
        """
        rows = [
            figure(load, f"{n}", x=n, this=seconds, series="rows: list, per row")
            for n, seconds in ((100, 1e-4), (10_000, 1e-4))
        ]
        rows += [
            figure(load, f"get {n}", x=n, this=1e-6, series="rows: get") for n in (1, 9)
        ]
        lines = text("{limits}", *rows).splitlines()

        assert "| list | 1k rows | 110 ms |" == lines[2]
        assert "| get | 9 rows | 1 µs |" == lines[3]


class TestPlots:
    @pytest.mark.parametrize("path", PLOTS, ids=lambda path: path.stem)
    def test_legible_on_a_phone(self, path):
        """
        A phone shows the whole width, with letters of 11 pixels or more.
        """
        source = path.read_text()
        sizes = re.findall(r"font(?:-size)?: ([\d.]+)px", source)

        assert int(re.findall(r'width="(\d+)"', source)[0]) <= 370
        assert sizes
        assert all(float(size) >= 11 for size in sizes)

    @pytest.mark.parametrize("path", PLOTS, ids=lambda path: path.stem)
    def test_colours_follow_the_scheme(self, path):
        """
        Each colour has another one for a dark page.
        """
        source = path.read_text()
        dark = {*re.findall(r'style\*="(?:fill|stroke): (#\w+)"', source)}
        _, _, body = source.partition("</style>")

        assert dark == {*re.findall(r"(?:fill|stroke): (#\w+)", body)}

    def test_names_no_date(self):
        """
        A plot depends on the figures only.
        """
        assert PLOTS
        for path in PLOTS:
            assert "metadata" not in path.read_text()
