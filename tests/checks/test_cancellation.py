import os
import select
import signal
import subprocess
import sys
import threading

import pytest

from upgrade_state.checks import Cancellation, Cancelled, current_cancellation
from upgrade_state.checks._cancellation import ended_by

# Only ends a hang.
LIMIT = 60

IN_A_CHILD = """
import os, select, signal, sys, threading
from upgrade_state.checks import Cancellation

with Cancellation() as cancellation:
    if sys.argv[1] == "before":
        cancellation.cancel()
    if sys.argv[1] == "meanwhile":  # another thread is cancelling or closing
        thread = threading.Thread(target=cancellation._lock.acquire)
        thread.start()
        thread.join()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        cancellation.cancel()
        cancellation.close()
        os._exit(cancellation.is_cancelled)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, cancellation.is_cancelled, cancellation.wait(0))
    os.fstat(cancellation.fileno())
    sys.stdout.flush()
    os._exit(0)  # the lock may be held for good
"""


def is_readable(cancellation):
    return bool(select.select([cancellation], [], [], 0)[0])


class TestCancellation:
    def test_not_cancelled(self):
        """
        At first nothing is cancelled, and nobody waits longer than he wants to.
        """
        with Cancellation() as cancellation:
            cancellation.raise_if_cancelled()

            assert not cancellation.is_cancelled
            assert not cancellation.wait(0)
            assert not cancellation.wait(-1)
            assert not is_readable(cancellation)

    def test_cancelled(self):
        """
        Once it is cancelled it stays so, for everybody who looks in any way.
        """
        with Cancellation() as cancellation:
            cancellation.cancel()

            assert cancellation.is_cancelled
            assert [True, True] == [cancellation.wait(LIMIT), cancellation.wait(LIMIT)]
            assert [True, True] == [is_readable(cancellation)] * 2
            with pytest.raises(Cancelled):
                cancellation.raise_if_cancelled()

    def test_twice(self):
        """
        To say it twice says no more than to say it once.
        """
        with Cancellation() as cancellation:
            cancellation.cancel()
            cancellation.cancel()

            assert b"\0" == os.read(cancellation.fileno(), 2)

    def test_no_exception(self):
        """
        A resolver does not take it for a failure of its own.
        """
        assert not issubclass(Cancelled, Exception)

    def test_by_a_thread(self):
        """
        Who waits is woken up by another thread.
        """
        with Cancellation() as cancellation:
            thread = threading.Thread(target=cancellation.cancel)
            thread.start()

            assert cancellation.wait(LIMIT)
            thread.join(LIMIT)

    def test_all_who_wait(self):
        """
        So is everybody else who waits.
        """
        answers = []
        with Cancellation() as cancellation:
            threads = [
                threading.Thread(
                    target=lambda: answers.append(cancellation.wait(LIMIT))
                )
                for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            cancellation.cancel()
            for thread in threads:
                thread.join(LIMIT)

        assert [True] * 8 == answers

    def test_by_a_signal(self):
        """
        So does a signal's handler, which interrupts who waits.
        """
        main = threading.main_thread().ident
        with Cancellation() as cancellation:
            former = signal.signal(signal.SIGUSR1, lambda *_: cancellation.cancel())
            try:
                thread = threading.Thread(
                    target=signal.pthread_kill, args=(main, signal.SIGUSR1)
                )
                thread.start()

                assert cancellation.wait(LIMIT)
                thread.join(LIMIT)
            finally:
                signal.signal(signal.SIGUSR1, former)

    def test_looks_first(self, monkeypatch):
        """
        Who is woken up finds that it is cancelled.
        """
        write, found = os.write, []

        def look(*arguments):
            found.append(cancellation.is_cancelled)
            return write(*arguments)

        with Cancellation() as cancellation:
            monkeypatch.setattr(os, "write", look)
            cancellation.cancel()
            monkeypatch.undo()

        assert [True] == found


class TestClose:
    def test_descriptors(self):
        """
        Nothing is left open, however often it is closed.
        """
        before = os.listdir("/dev/fd")
        with Cancellation() as cancellation:
            assert len(before) + 2 == len(os.listdir("/dev/fd"))
        cancellation.close()

        assert -1 == cancellation.fileno()
        assert len(before) == len(os.listdir("/dev/fd"))

    def test_cancelled_afterwards(self):
        """
        A wish that comes late is known, and writes to nobody's file.
        """
        with Cancellation() as cancellation:
            pass
        reader, writer = os.pipe()  # gets the numbers that are free now
        cancellation.cancel()
        os.close(writer)

        assert b"" == os.read(reader, 1)
        os.close(reader)
        assert cancellation.is_cancelled
        assert cancellation.wait(LIMIT)

    def test_interrupted(self, monkeypatch):
        """
        A signal's handler may cancel at any instant of the closing.
        """
        close, closed = os.close, []

        def interrupted(fd):
            cancellation.cancel()
            close(fd)
            closed.append(fd)
            cancellation.cancel()

        cancellation = Cancellation()
        monkeypatch.setattr(os, "close", interrupted)
        cancellation.close()
        monkeypatch.undo()

        assert 2 == len(set(closed))
        assert cancellation.is_cancelled

    def test_closed_in_a_handler(self, monkeypatch):
        """
        One that interrupts who cancels may close, and cancel as well.
        """
        write, written = os.write, []

        def interrupted(fd, data):
            cancellation.cancel()
            written.append(write(fd, data))
            cancellation.close()

        cancellation = Cancellation()
        monkeypatch.setattr(os, "write", interrupted)
        cancellation.cancel()
        monkeypatch.undo()

        assert [1] == written
        assert -1 == cancellation.fileno()

    def test_waits_for_who_cancels(self, monkeypatch):
        """
        No thread closes the file descriptor that another one is writing to.
        """
        write, is_writing, goes_on = os.write, threading.Event(), threading.Event()

        def slow(fd, data):
            is_writing.set()
            assert goes_on.wait(LIMIT)
            os.fstat(fd)
            written.append(write(fd, data))

        written = []
        cancellation = Cancellation()
        monkeypatch.setattr(os, "write", slow)
        cancels = threading.Thread(target=cancellation.cancel)
        closes = threading.Thread(target=cancellation.close)
        cancels.start()
        assert is_writing.wait(LIMIT)
        closes.start()
        closes.join(0.2)  # returns at once where nothing is waited for
        waits = closes.is_alive()
        goes_on.set()
        cancels.join(LIMIT)
        closes.join(LIMIT)
        monkeypatch.undo()

        assert ([1], True) == (written, waits)
        assert -1 == cancellation.fileno()


class TestForkedChild:
    @pytest.mark.parametrize(
        ("when", "answer"),
        [
            ("after", "0 False False"),
            ("before", "1 True True"),
            ("meanwhile", "0 False False"),
        ],
    )
    def test_its_own_affair(self, when, answer):
        """
        What a forked child does with it wakes up nobody, and closes nothing.
        """
        done = subprocess.run(
            [sys.executable, "-c", IN_A_CHILD, when],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
            timeout=LIMIT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )

        assert f"{answer}\n" == done.stdout


class TestCurrent:
    def test_none(self):
        """
        Outside of a check nothing ends it.
        """
        assert current_cancellation() is None

    def test_inside(self):
        """
        Inside it is what the check was given, also if that is nothing.
        """
        with Cancellation() as outer, ended_by(outer):
            with ended_by(None):
                assert current_cancellation() is None
            assert outer is current_cancellation()
        assert current_cancellation() is None

    def test_other_threads(self):
        """
        Other threads have checks of their own.
        """
        found = []
        with Cancellation() as cancellation, ended_by(cancellation):
            thread = threading.Thread(
                target=lambda: found.append(current_cancellation())
            )
            thread.start()
            thread.join(LIMIT)

        assert [None] == found
