"""
A program whose complaints are kept in a bounded file.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from upgrade_state import _log_runner

MAIN = (
    "import sys; from upgrade_state import _log_runner; _log_runner.main(sys.argv[1:])"
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """
    Run a few lines of Python with a log, and return its lines.
    """
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))

    def run_(code, *, argv=None, limit=60, **more):
        path = tmp_path / "log"
        path.write_text("first\n")
        python = [sys.executable, "-S", "-c", f"import os, sys, time, signal\n{code}"]
        with path.open("r+") as log:
            subprocess.run(
                [
                    sys.executable,
                    "-c",
                    MAIN,
                    *(argv or python),
                ],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                timeout=limit,
                **more,
            )
        return path.read_text().splitlines()

    return run_


class TestMain:
    @pytest.mark.parametrize("start_new_session", [False, True])
    def test_session(self, run, start_new_session):
        """
        It is the leader of a session, whoever has made that.
        """
        code = "print(os.getsid(0) == os.getppid(), os.getcwd(), file=sys.stderr)"

        lines = run(code, start_new_session=start_new_session)

        assert ["first", "True /"] == lines[:2]
        assert lines[2].endswith("Z it ended with exit status 0")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("sys.exit(3)", "it ended with exit status 3"),
            ("os.kill(os.getpid(), 9)", "it was ended by signal 9"),
        ],
    )
    def test_end(self, run, code, words):
        """
        How the program has ended is the last line.
        """
        assert words == run(code)[-1].partition(" ")[2]

    def test_relative_directories(self, run, tmp_path):
        """
        What was relative to where it was started does not begin at the root.
        """
        (tmp_path / "planted.py").write_text("print('planted', file=sys.stderr)")
        below_root = os.path.relpath(tmp_path, "/")
        path = os.pathsep.join((below_root, "", *sys.path))
        code = (
            "import importlib.util\n"
            "names = ('PATH', 'LD_LIBRARY_PATH')\n"
            "print(importlib.util.find_spec('planted'), file=sys.stderr)\n"
            "print([os.environ.get(name) for name in names], file=sys.stderr)\n"
        )
        env = {"PYTHONPATH": path, "PATH": below_root, "LD_LIBRARY_PATH": below_root}

        lines = run(code, env=os.environ | env)

        assert ["None", str([os.defpath, None])] == lines[1:3]

    def test_no_program(self, tmp_path):
        """
        So is that it could not be run.
        """
        with (tmp_path / "log").open("w+") as log:
            subprocess.run(
                [
                    sys.executable,
                    "-c",
                    MAIN,
                    "/no/such/program",
                ],
                check=True,
                stderr=log,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )

        words = "it could not be run (No such file or directory)\n"
        assert words == (tmp_path / "log").read_text().partition(" ")[2]

    def test_unfinished_line(self, run):
        """
        A line that is not ended is no part of the last one.
        """
        lines = run("os.write(2, b'half\\xc3')")

        assert r"half\xc3" == lines[1]
        assert 3 == len(lines)

    def test_signals(self, run):
        """
        The program gets its signals as if Python had not come in between.
        """
        found = run("", argv=["/bin/sh", "-c", "cat /proc/self/status >&2"])
        lines = dict(line.partition(":")[::2] for line in found)

        assert 0 == int(lines["SigBlk"], 16)
        # 32 and 33 are the C library's own.
        assert 0 == int(lines["SigIgn"], 16) & 0x7FFF_FFFF

    def test_closes_its_stderr(self, run):
        """
        A program that closes its stderr goes on, and is waited for.
        """
        # Its parent, which is woken by that, is asleep again.
        code = """
def state():
    with open(f"/proc/{os.getppid()}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]
while state() != "S":
    time.sleep(0.01)
os.close(2)
while state() != "S":
    pass
os._exit(5)
"""
        lines = run(code)

        assert "it ended with exit status 5" == lines[-1].partition(" ")[2]

    def test_leaves_something_running(self, run, tmp_path):
        """
        What the program leaves running is not waited for.
        """
        pid = tmp_path / "pid"
        code = (
            "import subprocess\np = subprocess.Popen(['sleep', '600'])\n"
            f"open({str(pid)!r}, 'w').write(str(p.pid))\n"
            "print('last words', file=sys.stderr)"
        )
        lines = run(code)
        os.kill(int(pid.read_text()), signal.SIGKILL)

        assert "last words" == lines[1]
        assert "it ended with exit status 0" == lines[2].partition(" ")[2]


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
        No control sequence gets to whoever prints the log.
        """
        for part in ("a\tb\r\n", "\x1b[31mré", "d\u202e\n", "\x9b\n"):
            log.add(part.encode())

        assert "first\na       b\n\\x1b[31mréd\\u202e\n\\x9b\n" == text()

    def test_split_characters(self, log, text):
        """
        A character in two parts is one; what is no text is escaped.
        """
        for byte in "é€".encode() + b"\xff\n":
            log.add(bytes([byte]))

        assert "first\né€\\xff\n" == text()

    def test_never_larger(self, log, tmp_path):
        """
        At no time it is larger than promised, and the end is there.
        """
        sizes = set()
        for number in range(3000):
            log.add(f"{number:099}\n".encode())
            sizes.add((tmp_path / "log").stat().st_size)
        lines = (tmp_path / "log").read_text().splitlines()

        assert max(sizes) <= _log_runner.LIMIT + len("first\n")
        assert "first" == lines[0]
        assert f"{2999:099}" == lines[-1]

    def test_one_flood(self, log, text):
        """
        Nor is it after more than it holds came at once.
        """
        log.add(b"x" * 300_000)
        log.say("the end")

        assert text().startswith("first\n[...]\nxxx")
        assert text().endswith("xxx\n" + text().splitlines()[-1] + "\n")
        assert len(text()) < _log_runner.LIMIT

    def test_full_disk(self):
        """
        A disk that is full does not disturb the program.
        """
        fd = os.open("/dev/full", os.O_RDWR)
        log = _log_runner.Log(fd)

        log.add(b"words")
        os.close(fd)
        log.say("the end")

        assert b"words" == log._kept[:5]

    def test_time(self, log, text, monkeypatch):
        """
        What is said has a time, always of the same width, in UTC.
        """
        monkeypatch.setattr(
            "time.gmtime", lambda: time.struct_time((2026, 1, 2, 3, 4, 5, 0, 0, 0))
        )

        log.say("the end")

        assert "first\n2026-01-02T03:04:05Z the end\n" == text()
