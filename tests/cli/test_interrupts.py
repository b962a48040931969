"""
Runs over many environments that are ended at any instant, and what is left.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid

import pytest

from helpers import is_free, lock_of
from processes import marked, name_of, wait_for
from upgrade_state import StateStore

COUNT = 20

# The first five go on; the others wait until they are ended.
SOME = """
case $UPGRADE_STATE_ENV in
*/00[0-4]) ;;
*) sleep 600 ;;
esac
"""

# A stand-in that waits and writes; $0 marks it and whatever it starts.
RESOLVE = """
export UPGRADE_STATE_TEST=$0
sleep 0.1 & wait
echo new >> pins.lock
sleep 0.05
"""


@pytest.fixture
def scratches(tmp_path):
    path = tmp_path / "scratches"
    path.mkdir()
    return path


@pytest.fixture
def mark():
    """
    A text that marks the processes of this test.
    """
    return f"mark-{uuid.uuid4()}"


@pytest.fixture
def begin(start, scratches, mark):
    """
    Start a run over all environments.
    """

    def begin_(resolve=RESOLVE):
        words = ("check", "--all", "-j", "4", "--json", "--", "sh", "-c", resolve, mark)
        return start(*words, env=os.environ | {"TMPDIR": str(scratches)})

    return begin_


def make(place, commit):
    """
    Make environments of which a check is due.
    """
    place.mkdir()
    made = []
    for number in range(COUNT):
        directory = place / f"{number:03}"
        directory.mkdir()
        (directory / "pins.lock").write_bytes(b"old\n")
        environment = StateStore().environment(directory, "pins.lock")
        commit(environment, b"old\n")
        environment.expire()
        made.append(environment)
    return made


def generations(environments):
    """
    Read every record: each is the old or the new one, and all that it names is there.
    """
    found = []
    for environment in environments:
        record = environment.look().record
        assert record is not None
        assert record["failure"] is None
        new = {1: b"old\n", 2: b"old\nnew\n"}[record["generation"]]
        assert new == environment.kept_lockfile("new")
        assert (record["generation"] == 2) == (record["last_checked"] is not None)
        found.append(record["generation"])
    return found


def busy_locks(environments):
    """
    Return the locks that another process holds.
    """
    locks = [lock_of(e, name) for e in environments for name in ("check", "write")]
    return [path for path in locks if not is_free(path)]


@pytest.fixture
def interrupt(tmp_path, commit, begin, mark, scratches):
    """
    Begin a run, end it so many seconds later, and look at what is left.
    """

    def interrupt_(name, seconds, number=signal.SIGINT):
        environments = make(tmp_path / name, commit)
        process = begin()
        time.sleep(seconds)  # any instant will do
        process.send_signal(number)
        process.communicate(timeout=60)
        assert set() == marked(mark)
        assert [] == os.listdir(scratches)
        assert [] == busy_locks(environments)
        before = generations(environments)
        # What was written by then is not checked again.
        process = begin()
        out, _ = process.communicate(timeout=60)
        outcomes = [json.loads(line)["outcome"] for line in out.splitlines()]
        assert 0 == process.returncode
        assert before.count(1) == outcomes.count("checked")
        assert [2] * COUNT == generations(environments)
        for environment in environments:
            assert environment.forget()
        return before.count(2)

    return interrupt_


class TestInterrupt:
    @pytest.mark.parametrize(
        ("seed", "count"),
        [(1, 6), *(pytest.param(s, 20, marks=pytest.mark.stress) for s in range(10))],
    )
    def test_at_random(self, interrupt, monkeypatch, seed, count, record_property):
        """
        Ctrl-C at any instant leaves no process, no lock, and no half record.

        The next run goes on where this one was.
        """
        monkeypatch.setattr(f"{__name__}.COUNT", count)
        draw, parts = random.Random(seed), count // 2
        # One instant in each part of a run: 0.1 s, and 0.075 s per environment.
        instants = [(part + draw.random()) / parts for part in range(parts)]
        done = [interrupt(str(i), 0.1 + 0.075 * count * i) for i in instants]

        record_property("checked", done)

    @pytest.mark.stress
    def test_two_hundred_environments(self, interrupt, monkeypatch):
        """
        The same holds for two hundred environments.
        """
        monkeypatch.setattr(f"{__name__}.COUNT", 200)

        assert 200 > interrupt("many", 3)


class TestRestart:
    def test_goes_on(self, tmp_path, commit, start, mark):
        """
        A restart that is interrupted goes on with what it has not come to.
        """
        environments = make(tmp_path / "many", commit)
        command = ("--", "sh", "-c", RESOLVE, mark)
        process = start("check", "--all", *command)
        process.communicate(timeout=60)
        some = ("--", "sh", "-c", f"{SOME}{RESOLVE}", mark)
        process = start("check", "--all", "-j1", "--json", "--restart", *some)
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert 130 == process.returncode

        done = {e.key for e in environments if e.look().information.generation == 3}
        process = start("check", "--all", "--json", *command)
        out, _ = process.communicate(timeout=60)

        again = [json.loads(line) for line in out.splitlines()]
        assert 1 <= len(done) < COUNT
        assert done == {f["key"] for f in again if f["outcome"] == "fresh"}
        assert {3} == {
            environment.look().information.generation for environment in environments
        }


class TestLibrary:
    def test_killed(self, tmp_path, commit, mark):
        """
        A program that is killed in the middle of its checks leaves whole records.
        """
        environments = make(tmp_path / "many", commit)
        process = subprocess.Popen(
            [sys.executable, "-c", LIBRARY, mark], stdout=subprocess.PIPE
        )
        assert process.stdout.readline()
        process.kill()
        process.communicate(timeout=60)

        assert [] == busy_locks(environments)
        assert 1 <= generations(environments).count(2) < COUNT


LIBRARY = """
from upgrade_state import StateStore, checks
def resolve(environment, old):
    is_early = environment.path[-3:] < "005"
    checks.current_cancellation().wait(0.1 if is_early else 600)
    return old + b"new\\n"
def observe(environment, result):
    if result is not None:
        print(result.outcome.state, flush=True)
environments = sorted(StateStore(), key=lambda environment: environment.path)
checks.check_all(environments, resolve, jobs=2, observe=observe)
"""


class TestKilled:
    @pytest.fixture(autouse=True)
    def _end(self, mark):
        yield
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)

    def test_children(self, tmp_path, commit, begin, mark):
        """
        When a run is killed, its checks go, too.
        """
        environments = make(tmp_path / "many", commit)
        process = begin("export UPGRADE_STATE_TEST=$0; sleep 600 & wait")
        wait_for(lambda: [name_of(p) for p in marked(mark)].count("sleep") >= 4)
        process.kill()
        process.communicate(timeout=60)
        wait_for(lambda: not marked(mark))

        assert [] == busy_locks(environments)
        assert [1] * COUNT == generations(environments)
