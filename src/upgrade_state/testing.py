"""
Test a manager that embeds this library: its notices, its checks, its silence.

No test waits, uses the network or touches the user's own records. The functions
are plain Python: `temporary_store` becomes a fixture with ``pytest.fixture``, or a
context manager with ``contextlib.contextmanager``.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from typing import TYPE_CHECKING, Any
from unittest import mock

from upgrade_state import StateStore, _background, _durations, _log_runner, _look
from upgrade_state._environment import CACHE_DIR_VARIABLE
from upgrade_state.exceptions import ResolverError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator

    from upgrade_state import CheckGuard, EnvironmentState, Verdict
    from upgrade_state._policy import VerdictReason

__all__ = [
    "add_failure",
    "add_upgrades",
    "assert_notice",
    "assert_silence",
    "checks_in_process",
    "clock_at",
    "temporary_store",
]


def temporary_store() -> Iterator[StateStore]:
    """
    Yield a store in a temporary directory, which is deleted afterwards.

    Meanwhile ``UPGRADE_STATE_CACHE_DIR`` names that directory, also for processes
    that the test starts, and the variables that silence notices (``CI`` and others)
    are unset: a test behaves the same on a CI service. A manager that passes a
    *cache_dir* to `StateStore` ignores the variable: give it a directory of the test.

    Of two stores, end the later one first, as fixtures do: each restores the variables
    that it has found.
    """
    with contextlib.ExitStack() as stack:
        # A process that the test has left running may still write there.
        directory = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        changes = {CACHE_DIR_VARIABLE: stack.enter_context(directory)}
        stack.enter_context(mock.patch.dict(os.environ, changes))
        for name in _look.SWITCHES:
            os.environ.pop(name, None)
        yield StateStore()


@contextlib.contextmanager
def clock_at(moment: dt.datetime) -> Iterator[None]:
    """
    Stop the clock of this process at *moment* for a `with` statement.

    For code that passes no *now* to this library. `time.time` is replaced for the
    whole process, all threads included.

    Raises:
        ValueError: *moment* has no time zone.
    """
    seconds = float(_durations.epoch_seconds(moment, "moment"))
    with mock.patch("time.time", return_value=seconds):
        yield


def add_upgrades(
    environment: EnvironmentState,
    upgrades: Iterable[tuple[str, str, str] | Upgrade],
    *,
    lockfile: bytes | None = None,
    at: dt.datetime | None = None,
) -> None:
    """
    Record a check that has found *upgrades*.

    If the test then changes the lockfile, no check is due until the recorded one is
    5 minutes old (``just-checked``): pass an earlier *at*, or move the clock with
    `clock_at`.

    Args:
        upgrades: Rows of the result. A tuple is a version change: name, old version,
            new version. Empty: the check has found nothing.

        lockfile: The content that was checked. None: the lockfile on disk.

        at: Time of the check (aware). None: now.

    Raises:
        AssertionError: Another process or thread is checking the environment.
        UpgradeStateError: The result could not be stored.
    """
    rows = [_row(upgrade) for upgrade in upgrades]
    with _check(environment, lockfile) as check:
        check.commit(upgrades=rows, now=at)


def add_failure(
    environment: EnvironmentState,
    error: Exception | None = None,
    *,
    at: dt.datetime | None = None,
) -> None:
    """
    Record a check that has failed with *error*.

    Args:
        error: The exception that leaves the check. None: a `ResolverError` with the
            message "no route to host".

        at: Time of the failure (aware). None: now.

    Raises:
        AssertionError: Another process or thread is checking the environment.
    """
    failure = error or ResolverError("no route to host", environment.path)
    try:
        with _clock(at), _check(environment):
            raise failure
    except type(failure) as raised:
        if raised is not failure:
            raise


@contextlib.contextmanager
def checks_in_process(
    checker: Callable[[list[str]], object],
) -> Iterator[list[list[str]]]:
    """
    Let `start_check` call *checker* in this process instead of starting one.

    `EnvironmentState.start_check` decides as usual and writes the log: it does not
    call *checker* if no check is due, or if a variable switches checks off. *checker*
    is called at once and gets the arguments of the process, the program first. As in
    that process, the working directory is ``/``, the environment variables are those
    of the call and of the store, stdout is discarded, and the log keeps the end of
    stderr. The freshness has no *pid*.

    An exception of *checker* does not reach the activation; it is raised when the
    `with` statement ends. `SystemExit` ends the checker, whatever its status.

    Returns:
        A context manager that gives a list with the arguments of each call.
    """
    calls: list[list[str]] = []
    errors: list[Exception] = []

    def call(command: list[str | bytes], environ: dict[str, str], fd: int) -> None:
        wrapper = _background._wrapper()  # noqa: SLF001 - it precedes the program
        calls.append([os.fsdecode(argument) for argument in command[len(wrapper) :]])
        log, status = _log_runner.Log(fd), 1
        # As a descriptor: the working directory may have been removed.
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir("/")
            with (
                mock.patch.dict(os.environ, environ, clear=True),
                contextlib.redirect_stderr(_Stderr(log)),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                checker(calls[-1])
            status = 0
        except SystemExit as leaving:
            code = leaving.code  # None: 0; any other object: 1
            status = code if isinstance(code, int) else int(code is not None)
        except Exception as error:  # noqa: BLE001 - raised again below
            errors.append(error)
        finally:
            os.fchdir(here)
            os.close(here)
        log.add_last_line(f"it ended with exit status {status}")

    with mock.patch.object(_background, "_spawn", call):
        yield calls
    if errors:
        raise errors[0]


class _Stderr(io.TextIOBase):
    """
    The stderr of a checker; its log keeps the end.
    """

    def __init__(self, log: _log_runner.Log) -> None:
        self._log = log

    def write(self, text: str) -> int:
        self._log.add(text.encode("utf-8", "backslashreplace"))
        return len(text)


def assert_notice(
    environment: EnvironmentState,
    text: str | None = None,
    *,
    at: dt.datetime | None = None,
    **options: Any,
) -> Verdict:
    """
    Claim a notice as an activation does; fail unless there is one.

    The claim is recorded: a second one at the same time is silent.

    Args:
        text: A part of the message. None: any message.

        at: Time of the activation (aware). None: now.

        options: Further arguments of `EnvironmentState.claim_notice`.

    Returns:
        The verdict.

    Raises:
        AssertionError: There is no notice, for the reason in the message; or it does
            not contain *text*.
    """
    __tracebackhide__ = True  # of pytest
    verdict, explanation = _claim(environment, at, options)
    if not verdict:
        raise AssertionError(f"no notice for {environment}: {explanation}")
    if text is not None and text not in verdict.message:
        raise AssertionError(f"the notice is {verdict.message!r}, without {text!r}")
    return verdict


def assert_silence(
    environment: EnvironmentState,
    reason: VerdictReason | None = None,
    *,
    at: dt.datetime | None = None,
    **options: Any,
) -> Verdict:
    """
    Claim a notice as an activation does; fail unless the answer is silence.

    Args:
        reason: Why there is no notice, such as ``told-recently``. None: any reason.

        at: Time of the activation (aware). None: now.

        options: Further arguments of `EnvironmentState.claim_notice`.

    Returns:
        The verdict.

    Raises:
        AssertionError: There is a notice, which the message quotes, or another
            reason for silence, which the message names.
    """
    __tracebackhide__ = True  # of pytest
    verdict, explanation = _claim(environment, at, options)
    if verdict:
        raise AssertionError(f"a notice for {environment}: {verdict.message!r}")
    if reason is not None and reason != verdict.reason:
        raise AssertionError(f"not silent for {reason!r}, but {explanation}")
    return verdict


def _claim(
    environment: EnvironmentState, at: dt.datetime | None, options: dict[str, Any]
) -> tuple[Verdict, str]:
    """
    Claim a notice at a time; return the verdict, and its words at that time.
    """
    with _clock(at):
        verdict = environment.claim_notice(**options)
        return verdict, str(verdict)


def _clock(at: dt.datetime | None) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext() if at is None else clock_at(at)


@contextlib.contextmanager
def _check(
    environment: EnvironmentState, lockfile: bytes | None = None
) -> Iterator[CheckGuard]:
    """
    Begin a check, which has to be the only one.
    """
    with environment.try_check(lockfile) as check:
        if check is None:
            raise AssertionError(f"another check of {environment} is running")
        yield check


def _row(upgrade: tuple[str, str, str] | Upgrade) -> Upgrade:
    if isinstance(upgrade, Upgrade):
        return upgrade
    name, old, new = upgrade
    return Upgrade(name, "version", old=(old,), new=(new,))
