import signal
import threading

import pytest

from upgrade_state.checks import Cancellation, Cancelled, current_cancellation
from upgrade_state.checks._cancellation import cancelling

# Only ends a hang.
LIMIT = 60


class TestCancellation:
    def test_not_cancelled(self):
        """
        At first it is not cancelled, and a wait ends after its time.
        """
        cancellation = Cancellation()
        cancellation.raise_if_cancelled()

        assert not cancellation.is_cancelled
        assert [False] * 3 == [cancellation.wait(s) for s in (0.01, 0, -1)]

    def test_cancelled(self):
        """
        Once it is cancelled it stays so, and cancelling it again changes nothing.
        """
        cancellation = Cancellation()
        cancellation.cancel()
        cancellation.cancel()

        assert cancellation.is_cancelled
        assert [True, True] == [cancellation.wait(LIMIT), cancellation.wait(0)]
        with pytest.raises(Cancelled):
            cancellation.raise_if_cancelled()

    def test_no_exception(self):
        """
        No resolver takes it for a failure of its own.
        """
        assert not issubclass(Cancelled, Exception)

    def test_signal(self):
        """
        A signal handler cancels the wait that it interrupts.
        """
        main = threading.main_thread().ident
        cancellation = Cancellation()
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


class TestCurrent:
    def test_none(self):
        """
        Outside of a check there is none.
        """
        assert current_cancellation() is None

    def test_inside(self):
        """
        Inside it is that of the check, also if that has none.
        """
        outer = Cancellation()
        with cancelling(outer):
            with cancelling(None):
                assert current_cancellation() is None
            assert outer is current_cancellation()
        assert current_cancellation() is None

    def test_other_threads(self):
        """
        Other threads make checks of their own.
        """
        found = []
        with cancelling(Cancellation()):
            thread = threading.Thread(
                target=lambda: found.append(current_cancellation())
            )
            thread.start()
            thread.join(LIMIT)

        assert [None] == found
