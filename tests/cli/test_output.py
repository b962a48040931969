import re
import unicodedata

import pytest

from upgrade_state.lockfiles import Upgrade

SHOW = ["-m", "upgrade_state", "show", "--all"]

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def foreign(environment, commit):
    """
    An environment whose packages have names of all widths.
    """
    names = {"plain": "1", "数据处理": "2", "cafe\u0301": "3", "a" * 60: "4"}
    upgrades = [Upgrade(n, "version", old=("0",), new=(v,)) for n, v in names.items()]
    commit(environment, b"x", upgrades=upgrades)
    return environment


def width(line):
    """
    Return the number of columns that a terminal gives to a line.
    """
    return sum(
        0
        if unicodedata.combining(char)
        else 1 + (unicodedata.east_asian_width(char) == "W")
        for char in line
    )


@pytest.fixture
def seen(in_terminal):
    def seen_(columns=80, words=SHOW, **env):
        env = {"COLUMNS": str(columns), "PYTHONUTF8": "1", **env}
        return in_terminal(words, stdout="terminal", env=env).decode().splitlines()

    return seen_


class TestTable:
    def test_columns(self, foreign, run):
        """
        Columns are aligned by the width on the screen; a pipe gets whole lines.
        """
        rows = [line for line in run("show").out.splitlines() if "→" in line]

        assert 4 == len(rows)
        assert 1 == len({width(row.partition("→")[0]) for row in rows})
        assert any("a" * 60 in row for row in rows)

    @pytest.mark.parametrize("columns", [2, 20, 40, 80])
    @pytest.mark.parametrize("words", [SHOW, [*SHOW[:2], "list"]])
    def test_narrow(self, foreign, seen, columns, words):
        """
        A narrow terminal gets folded sentences and cut rows, and only commands whole.
        """
        lines = [
            line
            for line in seen(columns, words, NO_COLOR="1")
            if "upgrade-state " not in line
        ]

        assert [] == [line for line in lines if width(line) > columns]
        assert columns in (2, 80) or any("…" in line for line in lines)

    def test_path(self, foreign, seen):
        """
        A path is cut in the middle, and the only lockfile of a directory not named.
        """
        first, total = seen(60, [*SHOW[:2], "list"], NO_COLOR="1")

        assert re.match(r"/tmp.*….*/shop  upgrades  ", first)
        assert "1 environment: 1 with upgrades" == total

    def test_ascii(self, foreign, in_terminal):
        """
        An encoding without the characters gets others, and aligned columns as well.
        """
        env = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": "60"}
        env |= {"NO_COLOR": "1"}
        out = in_terminal(SHOW, stdout="terminal", env=env).decode("ascii")

        rows = [line for line in out.splitlines() if "->" in line]
        assert 4 == len(rows)
        assert 1 == len({row.index("->") for row in rows})
        assert any("aaa...  0" in row for row in rows)
        assert r"\u6570\u636e" in out

    def test_unknown_width(self, foreign, run, monkeypatch):
        """
        A stream that only says that it is a terminal gets whole lines.
        """
        whole = run("show").out
        monkeypatch.setenv("COLUMNS", "")
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("NO_COLOR", "1")

        assert whole == run("show").out


class TestColor:
    @pytest.mark.parametrize(
        ("env", "is_colored"),
        [
            ({}, True),
            ({"NO_COLOR": "1"}, False),
            ({"NO_COLOR": ""}, True),
            ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
            ({"TERM": "dumb"}, False),
            ({"TERM": "dumb", "FORCE_COLOR": "1"}, True),
        ],
    )
    @pytest.mark.parametrize("option", [None, "auto", "always", "never"])
    def test_terminal(self, foreign, seen, env, option, is_colored):
        """
        A terminal gets colours, unless a variable says otherwise; --color wins.
        """
        words = SHOW if option is None else [*SHOW, f"--color={option}"]
        text = "\n".join(seen(80, words, **env))

        is_colored = {"always": True, "never": False}.get(option, is_colored)
        assert is_colored == bool(ESCAPE.search(text))

    @pytest.mark.parametrize(
        ("value", "is_colored"), [("1", True), ("0", False), ("", False)]
    )
    def test_pipe(self, foreign, run, monkeypatch, value, is_colored):
        """
        A pipe gets colours only if they are forced; the text is the same.
        """
        plain = run("show").out
        monkeypatch.setenv("FORCE_COLOR", value)
        colored = run("show").out

        assert is_colored == ("\x1b[2m0\x1b[0m" in colored)
        assert plain == ESCAPE.sub("", colored)

    @pytest.mark.parametrize("name", ["\x1b[31mred", "\ue01fred"])
    def test_foreign_escapes(self, environment, commit, run, name):
        """
        An escape sequence in a name, or our own mark for one, is none on the terminal.
        """
        commit(environment, b"x", upgrades=[Upgrade(name, "version")])

        escaped = name.encode("unicode_escape").decode()
        assert f"    {escaped}  " in run("--color=always", "show").out

    def test_cut(self, environment, commit, seen):
        """
        A colour ends where its text is cut.
        """
        row = Upgrade("a", "version", old=("1" * 60,), new=("2" * 60,))
        commit(environment, b"x", upgrades=[row])

        (line,) = (line for line in seen(60) if "→" in line)
        assert "111…\x1b[0m  →  \x1b[1m222" in line
        assert line.endswith("222…\x1b[0m")
