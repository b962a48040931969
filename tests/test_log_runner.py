"""
The process around a check in the background, and its bounded log.

It starts without site-packages, so coverage measures it only here.
"""

import errno
import os
import subprocess
import sys

import pytest

from upgrade_state import _log_runner

MAIN = (
    "import sys; from upgrade_state import _log_runner; _log_runner.main(sys.argv[1:])"
)


@pytest.fixture
def run(tmp_path):
    """
    Run a program with a log, and return the lines of the log.
    """

    def run_(argv, **options):
        with (tmp_path / "log").open("w+") as log:
            log.write("first\n")
            log.flush()
            command = [sys.executable, "-c", MAIN, *argv]
            subprocess.run(command, check=True, stderr=log, **options)
        return (tmp_path / "log").read_text().splitlines()

    return run_


class TestMain:
    @pytest.mark.parametrize("start_new_session", [False, True])
    @pytest.mark.parametrize(
        ("argv", "lines"),
        [
            (
                ["/bin/sh", "-c", "pwd >&2; exit 3"],
                ["/", "it ended with exit status 3"],
            ),
            (
                ["/bin/sh", "-c", "exec 2>&-; sleep 0.1"],
                ["it ended with exit status 0"],
            ),
            (["/bin/sh", "-c", "kill -9 $$"], ["it was ended by signal 9"]),
            (["/none"], [f"it could not be run ({os.strerror(errno.ENOENT)})"]),
        ],
        ids=["status", "closed", "signal", "no program"],
    )
    def test_end(self, run, argv, lines, start_new_session):
        """
        The last line says how the program has ended.
        """
        *found, last = run(argv, start_new_session=start_new_session)

        assert ["first", *lines] == [*found, last.partition(" ")[2]]

    def test_search_paths(self, run):
        """
        The program gets the absolute entries of search paths only.
        """
        code = "echo $PATH,$LD_LIBRARY_PATH,$PYTHONPATH >&2"
        paths = {"PATH": "a:/bin::/usr/bin", "LD_LIBRARY_PATH": "b"}
        environ = os.environ | paths | {"PYTHONPATH": "c:/d"}

        assert "/bin:/usr/bin,,/d" == run(["/bin/sh", "-c", code], env=environ)[1]


class TestLog:
    @pytest.fixture
    def log(self, tmp_path):
        fd = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"first\n")
        yield _log_runner.Log(fd)
        os.close(fd)

    @pytest.fixture
    def text(self, tmp_path):
        return (tmp_path / "log").read_text

    def test_clean(self, log, text):
        """
        No control sequence reaches the terminal that prints the log.
        """
        for part in ("a\tb\r\n", "\x1b[31mré", "d\u202e\n", "\x9b\n"):
            log.add(part.encode())

        assert "first\na       b\n\\x1b[31mréd\\u202e\n\\x9b\n" == text()

    def test_split_characters(self, log, text):
        """
        A character in two parts is one; bytes that are no text are escaped.
        """
        for byte in "é€".encode() + b"\xff\n":
            log.add(bytes([byte]))

        assert "first\né€\\xff\n" == text()

    def test_never_larger(self, log, tmp_path):
        """
        The log is never larger than promised, and has the end.
        """
        sizes = set()
        for number in range(3000):
            log.add(f"{number:099}\n".encode())
            sizes.add((tmp_path / "log").stat().st_size)
        lines = (tmp_path / "log").read_text().splitlines()

        assert max(sizes) <= (1 << 16) + len("first\n")
        assert "first" == lines[0]
        assert f"{2999:099}" == lines[-1]

    def test_one_flood(self, log, text):
        """
        Nor is it larger after one write of more than it holds.
        """
        log.add(b"x" * 300_000)
        log.add_last_line("the end")

        first, cut, flood, last = text().splitlines()
        assert ("first", "[...]", {"x"}) == (first, cut, set(flood))
        assert last.endswith("Z the end")
        assert len(text()) < 1 << 16

    def test_full_disk(self):
        """
        A full disk does not disturb the program.
        """
        fd = os.open("/dev/full", os.O_RDWR)
        log = _log_runner.Log(fd)

        log.add(b"words")
        os.close(fd)
        log.add_last_line("the end")
