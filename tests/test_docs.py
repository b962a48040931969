"""
The examples of the README and the documentation run, and the reference is complete.

A console block is run and its output compared; ``...`` matches any text. After a
change of output, change the page to the output that the failed test shows, and
record the session in the README again with `python docs/recording.py`.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import io
import os
import pty
import re
import runpy
import shutil
import subprocess
import sys
import termios
import tomllib
import tty
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from helpers import uv_lock
from upgrade_state import _messages, exceptions
from upgrade_state.cli import main

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

LOCKFILE = uv_lock(idna="1.0").decode()

# A stand-in for uv that needs no network.
UV = """\
#!/bin/sh
sed -i.bak 's/"1.0"/"1.1"/' uv.lock
"""


# The pages that are generated from the docstrings, and the modules.
API = {
    page: page.read_text().partition("\n")[0]
    for page in (ROOT / "docs" / "api").glob("*.rst")
}


class Block(NamedTuple):
    language: str
    text: str


def public_names(door: ModuleType) -> set[str]:
    """
    Return the public names of a module that it does not share with another one.
    """
    errors = {
        name for name, value in vars(exceptions).items() if isinstance(value, type)
    }
    if door is exceptions:
        return errors
    return set(door.__all__) - errors - {"lockfiles"}


RECORDING = runpy.run_path(str(ROOT / "docs" / "recording.py"))


def around_recording() -> list[str]:
    """
    Return the README before the recording, the recording, and the README after it.
    """
    before, _, rest = (ROOT / "README.md").read_text().partition(RECORDING["BEGIN"])
    recording, _, after = rest.partition(RECORDING["END"])
    return [before, recording, after]


def blocks(page: Path) -> list[Block]:
    """
    Return the fenced blocks of a page, in order, without the recording.
    """
    fence = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    text = page.read_text()
    if page.name == "README.md":
        before, _, after = around_recording()
        text = before + after
    found = fence.findall(text)
    return [Block(*block) for block in found]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """
    Enter a directory with a project `shop` and the commands of the examples.
    """
    commands = tmp_path / "bin"
    (tmp_path / "shop" / "tools").mkdir(parents=True)
    (tmp_path / "shop" / "uv.lock").write_text(LOCKFILE)
    (tmp_path / "shop" / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    commands.mkdir()
    (commands / "uv").write_text(UV)
    (commands / "upgrade-state").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m upgrade_state "$@"\n'
    )
    for command in commands.iterdir():
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def same(expected: str, actual: str) -> bool:
    """
    Compare output; ``...`` matches any text, and the width of a line does not matter.
    """
    checker = doctest.OutputChecker()
    return checker.check_output(
        expected, actual, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    )


def run_console(text: str) -> None:
    for session in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = session.partition("\n")
        # A notice is given at a terminal.
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        termios.tcsetwinsize(theirs, (24, 80))
        done = subprocess.run(
            ["sh", "-c", command],
            stdout=subprocess.PIPE,
            stderr=theirs if "notify" in command else subprocess.STDOUT,
            text=True,
            check=False,
        )
        shown = done.stdout
        os.close(theirs)
        # The kernel passes output on later, but before the end: EIO on Linux.
        with contextlib.suppress(OSError):
            while output := os.read(ours, 4096):
                shown += output.decode()
        os.close(ours)
        assert done.returncode in {0, 1}, shown
        # A page that shows no notice says that there is none.
        if expected or ("notify" in command and "--explain" not in command):
            assert same(expected, shown), shown


class TestExamples:
    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_works(self, page, desk):
        """
        Every example runs, in order, and prints the output on the page.
        """
        names: dict[str, object] = {"__name__": "__main__"}
        printed = ""
        for block in blocks(page):
            if block.language == "python":
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    exec(compile(block.text, page.name, "exec"), names)
                printed = output.getvalue()
            elif block.language == "console" and "COMMAND" not in block.text:
                run_console(block.text)
            elif block.language == "text" and printed:
                assert same(block.text, printed), printed
                printed = ""

    def test_readme_notifies_once(self, desk):
        """
        The README is right about the next activations.
        """
        names: dict[str, object] = {"__name__": "__main__"}
        for block in blocks(ROOT / "README.md"):
            if block.language == "python":
                exec(block.text, names)

        shop = names["shop"]
        messages = [shop.claim_notice().message for _ in range(3)]  # type: ignore[attr-defined]
        assert ["1 version change available in 'shop'.", "", ""] == messages

    def test_there_are_examples(self):
        """
        No page has lost its examples to a typo in a fence.
        """
        languages = {
            page.name: {block.language for block in blocks(page)} for page in PAGES
        }

        assert {"python", "sh"} <= languages["README.md"]
        assert "console" in languages["tutorial.md"]
        assert {"python", "text"} <= languages["tutorial-python.md"]
        assert {"python", "console", "text"} <= languages["how-to.md"]


class TestReference:
    def test_commands(self, capsys):
        """
        Every command is on the page of commands, and every option has help there.
        """
        text = (ROOT / "docs" / "commands.md").read_text()
        main(["--help"])
        names = re.findall(r"^  (\w+)", capsys.readouterr().out, re.MULTILINE)
        options = re.findall(r"^- `-.*", text, re.MULTILINE)

        assert {*names, "check --all", "check --if-due"} == set(
            re.findall(r"^## (.*)", text, re.MULTILINE)
        )
        assert len(options) > 50
        assert [] == [line for line in options if not re.search(r"`: \w", line)]

    def test_made_of_the_parser(self):
        """
        Completion, man page and page are current: else run docs/commands.py.
        """
        pytest.importorskip("shtab", reason="makes the completion code")
        made = runpy.run_path(str(ROOT / "docs" / "commands.py"))["made"]()

        assert made == {name: (ROOT / name).read_text() for name in made}
        assert 5 == len(made)

    @pytest.mark.parametrize("page", sorted(API), ids=lambda page: page.stem)
    def test_public_names(self, page):
        """
        The page of a module has an entry for each public name, and no other.
        """
        door = importlib.import_module(API[page])
        entry = re.compile(
            r"^\.\. (?:auto(?!module)\w+|py:data):: ([^_]\w+)", re.MULTILINE
        )
        entries = entry.findall(page.read_text())

        assert sorted(public_names(door)) == sorted(entries)
        assert [] == [name for name in entries if not getattr(door, name).__doc__]

    def test_reasons(self):
        """
        Every reason is explained in the concepts.
        """
        text = (ROOT / "docs" / "concepts.md").read_text()
        reasons = {*_messages.FRESHNESS, *_messages.VERDICTS}

        assert {reason for reason in reasons if f"`{reason}`" not in text} == set()


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """
    Return the anchors of a page's headings, as GitHub and Sphinx make them.
    """
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {anchor(heading) for heading in headings}


class TestContents:
    @pytest.mark.parametrize("page", ["format.md", "how-to.md", "reference.md"])
    def test_is_complete(self, page):
        """
        The list at the top of a long page links every section.
        """
        top, *sections = (ROOT / "docs" / page).read_text().split("\n## ")
        titles = [anchor(section.partition("\n")[0]) for section in sections]
        links = re.findall(r"\]\(#([\w-]+)\)", top)

        assert [] == [title for title in titles if title not in links]


class TestLinks:
    PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
    URLS = PYPROJECT["project"]["urls"]

    def broken(self, links: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """
        Return those of *links* that lead to no file, or to no heading in it.
        """
        return [
            (path, anchor)
            for path, anchor in links
            if not (ROOT / path).exists()
            or (anchor and anchor not in anchors(ROOT / path))
        ]

    @pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
    def test_outside_of_the_site(self, page):
        """
        Links of the pages that Sphinx does not see lead to a file and a heading.
        """
        links = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", (ROOT / page).read_text())

        assert [] == self.broken(links)

    @pytest.mark.parametrize(
        "page", [*PAGES, ROOT / "pyproject.toml"], ids=lambda page: page.name
    )
    def test_absolute(self, page):
        """
        Links to the project's address lead to a file and a heading of this version.
        """
        base = re.escape(self.URLS["Homepage"])
        link = re.compile(rf"{base}/(?:blob|raw|tree)/main/([\w/.-]*\w)(?:#([\w-]+))?")

        assert [] == self.broken(link.findall(page.read_text()))

    def test_readme(self):
        """
        The README has only such links: an index shows it without the other files.
        """
        links = re.findall(r"\]\(([^)]*)\)", (ROOT / "README.md").read_text())

        assert links
        assert [] == [url for url in links if not url.startswith(self.URLS["Homepage"])]

    def test_urls(self):
        """
        All addresses of the package begin with one base, which the docs use too.
        """
        base = self.URLS["Homepage"]
        names = ["Homepage", "Documentation", "Source", "Changelog", "Issues"]

        assert names == list(self.URLS)
        assert all(url.startswith(base) for url in self.URLS.values())


class TestRecording:
    def test_is_on_the_first_screen(self):
        """
        The README has a title, a sentence and the recording, all visible at once.
        """
        before, recording, _ = around_recording()
        lines = recording.splitlines()

        assert 4 == before.count("\n")
        assert 20 <= len(lines) <= 30
        assert max(map(len, lines)) <= 80

    def test_names_no_place(self):
        """
        The recording has the paths of a user, not those of the recording machine.
        """
        _, recording, _ = around_recording()

        assert "~/shop" in recording
        assert [] == re.findall(r"/tmp/|/home/|\.cache", recording)

    def test_is_current(self):
        """
        The commands still print the recording: else run docs/recording.py.
        """
        if shutil.which("bash") is None:
            pytest.skip("needs bash")
        done = subprocess.run(
            [sys.executable, ROOT / "docs" / "recording.py", "--print"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        )

        assert around_recording()[1] == done.stdout


class TestPictures:
    def test_are_current(self, tmp_path):
        """
        The script draws the pictures of the concepts as they are.
        """
        script = ROOT / "docs" / "pictures.py"
        subprocess.run([sys.executable, script, tmp_path], check=True, timeout=60)

        drawn = sorted(tmp_path.iterdir())
        assert ["lanes.svg", "verdict.svg"] == [path.name for path in drawn]
        kept = [(ROOT / "docs" / path.name).read_text() for path in drawn]
        assert [path.read_text() for path in drawn] == kept

    def test_reasons(self):
        """
        The flow chart has every reason of a verdict but an error.
        """
        source = (ROOT / "docs" / "verdict.svg").read_text()
        drawn = set(re.findall(r'class="code[^"]*"[^>]*>([a-z-]+)<', source))

        assert {*_messages.VERDICTS} - {"unavailable"} == drawn

    @pytest.mark.parametrize("name", ["lanes.svg", "verdict.svg"])
    def test_legible_on_a_phone(self, name):
        """
        A phone shows the whole width, with letters of 11 pixels or more.
        """
        source = (ROOT / "docs" / name).read_text()
        sizes = re.findall(r"font: ([\d.]+)px", source)

        assert int(re.findall(r'width="(\d+)"', source)[0]) <= 370
        assert sizes
        assert all(float(size) >= 11 for size in sizes)

    def test_have_words(self):
        """
        Each picture on a page has a text for readers that do not see it.
        """
        for page in PAGES:
            for words in re.findall(r"!\[([^\]]*)\]", page.read_text()):
                assert len(words) > 40, page.name


class TestUninstall:
    def test_nothing_is_left(self, desk, monkeypatch):
        """
        The lines of the README, and of the how-to, remove hook, cache and package.
        """
        text = (ROOT / "README.md").read_text()
        lines = blocks(ROOT / "README.md")
        hooks = next(b.text for b in lines if "upgrade-state hook" in b.text)
        monkeypatch.setenv("HOME", str(desk))
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("UPGRADE_STATE_CACHE_DIR", raising=False)
        cache = "Library/Caches" if sys.platform == "darwin" else ".cache"
        (desk / ".bashrc").write_text(f"alias ll='ls -l'\n{hooks}")
        pipx = desk / "bin" / "pipx"
        pipx.write_text('#!/bin/sh\necho "$@" >"$HOME/removed"\n')
        pipx.chmod(0o755)
        run_console("$ upgrade-state check shop\n")
        assert (desk / cache / "upgrade-state").exists()

        _, _, text = text.partition("## Uninstall\n\n```sh\n")
        text = text.partition("```")[0]
        assert text in (ROOT / "docs" / "how-to.md").read_text()
        text = text.replace(".cache", cache)
        subprocess.run(["sh", "-c", text], check=True)
        assert (desk / ".bashrc").read_text() == "alias ll='ls -l'\n"
        assert not (desk / cache / "upgrade-state").exists()
        assert (desk / "removed").read_text() == "uninstall upgrade-state\n"


class TestChangelog:
    def test_version(self):
        """
        The current version has an entry, unless it is unreleased.
        """
        version = re.search(
            r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
        )
        assert version is not None

        text = (ROOT / "CHANGELOG.md").read_text()
        assert f"## {version[1]}" in text or "## Unreleased" in text


class TestTour:
    def test_is_shell(self):
        """
        The tour is valid shell.
        """
        sh = shutil.which("sh")
        assert sh is not None
        done = subprocess.run([sh, "-n", ROOT / "examples" / "tour.sh"], check=False)

        assert 0 == done.returncode

    def test_sessions(self):
        """
        Each `nox -s NAME` of a page is a session.
        """
        pages = [*PAGES, *ROOT.glob("*.md"), *ROOT.glob("*/README.md")]
        named = {
            name
            for page in pages
            for name in re.findall(r"nox -s (\w+)", page.read_text())
        }
        tree = ast.parse((ROOT / "noxfile.py").read_text())
        sessions = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.decorator_list
        }

        assert "faults" in named
        assert set() == named - sessions

    def test_readme_has_both_commands(self):
        """
        The README names the commands that prove a checkout on a fresh machine.
        """
        lines = (ROOT / "README.md").read_text().splitlines()
        commands = [line.partition("#")[0].strip() for line in lines]

        for command in ("sh examples/tour.sh", "python -m pip install nox && nox"):
            assert command in commands
