"""
Ctrl-C at one bytecode of an operation, and the state that it leaves.

A trace function counts the bytecodes of every frame below the operation, those of
the standard library and of other libraries included, and raises KeyboardInterrupt
before one of them. Python itself looks for signals at calls and jumps only.

Two kinds of frames are left out: those of imports, since everything is loaded by then,
and `traceback._safe_string`, which takes an interrupt for an error of a `__str__`.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import shutil
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any
from unittest import mock

from helpers import is_free, lock_of, refuse, results_of, root_of
from operations import new_environment, prepared
from upgrade_state import StateStore
from workers import NOON, ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from operations import Operation

# Frames of these handle locks and descriptors.
MODULES = ("_files.py", "_guard.py", "_locks.py", "_record.py", "_store.py")


class Interrupt:
    """
    Raise KeyboardInterrupt before the bytecode with the number *at*.

    Attributes:
        count: The number of bytecodes so far.

        ours: The numbers of those in `MODULES`.

        place: The function, file and line of the interrupt.
    """

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.count = 0
        self.ours: list[int] = []
        self.place = ""

    def call(self, function: Callable[[], str]) -> str:
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return function()
        finally:
            sys.settrace(before)

    def _trace(self, frame: Any, event: str, _: object) -> Any:
        code = frame.f_code
        if event == "call":
            if code.co_filename.startswith("<frozen importlib"):
                return None
            if code.co_name == "_safe_string":
                return None
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.count += 1
            if self.count == self.at:
                name = os.path.basename(code.co_filename)
                self.place = f"{code.co_qualname} ({name}:{frame.f_lineno})"
                raise KeyboardInterrupt
            if not self.at and code.co_filename.endswith(MODULES):
                self.ours.append(self.count)
        return self._trace


class Runs:
    """
    Any number of runs of one operation, each from the same state.

    For a `with` statement, in which the clock stands still, a sync is skipped, waiting
    is an error, and the garbage collector does not free what an exception holds.
    """

    def __init__(self, operation: Operation, place: str) -> None:
        self.operation = operation
        self._place, self._template = f"{place}/run", f"{place}/template"
        shop = new_environment(self._place)
        prepared(shop, operation.state)
        self._shop = shop
        shutil.copytree(self._place, self._template)

    @contextlib.contextmanager
    def repeatable(self) -> Iterator[None]:
        self._swallowed: list[str] = []
        now = itertools.repeat(NOON.timestamp())

        def swallow(unraisable: Any) -> None:
            self._swallowed.append(repr(unraisable))

        with (
            warnings.catch_warnings(),
            mock.patch.object(os, "fsync", int),
            mock.patch.object(time, "time", now.__next__),
            mock.patch.object(time, "sleep", refuse()),
            mock.patch.object(sys, "unraisablehook", swallow),
        ):
            # Of an iterator over a directory that is freed, not closed.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.disable()
            try:
                yield
            finally:
                gc.enable()

    def measure(self) -> Interrupt:
        """
        Run it without an interrupt, twice: the first run loads modules.
        """
        self._before = self._shop.look().record
        for _ in range(2):
            complete = Interrupt()
            assert self.operation.answer == self._run(complete)
        self._after = self._shop.look().record
        return complete

    def _run(self, interrupt: Interrupt) -> str:
        shutil.rmtree(self._place)
        shutil.copytree(self._template, self._place)
        # A handle keeps the last record that it has read.
        self._shop = StateStore(f"{self._place}/cache").environment(
            f"{self._place}/shop", "uv.lock"
        )
        return interrupt.call(lambda: self.operation.run(self._shop))

    def verify(self, at: int) -> str | None:
        """
        Interrupt one run, and verify the state then and after the next check.

        Returns:
            The place of an interrupt that kept a lock or a descriptor as long as its
            traceback; None: it kept none.
        """
        interrupt, error = Interrupt(at), None
        descriptors = os.listdir("/dev/fd")
        try:
            answer = self._run(interrupt)
        except KeyboardInterrupt as raised:
            answer, error = "status 130", raised  # as a command answers
        kept = descriptors != os.listdir("/dev/fd") or not self._are_free()
        look, place = self._shop.look(), interrupt.place
        assert "status 130" == answer, place
        assert look.record in (self._before, self._after), place
        look.upgrades(), look.kept_lockfile("old"), look.kept_lockfile("new")
        del error
        assert descriptors == os.listdir("/dev/fd"), place
        assert self._are_free(), place
        assert [] == self._swallowed, place
        with self._shop.try_check(b"old") as guard:
            assert guard is not None, place
            assert guard.commit(b"newest", upgrades=ROWS, now=NOON), place
        assert [] == os.listdir(root_of(self._shop) / "tmp"), place
        assert 3 == len([*results_of(self._shop).glob("[0-9a-f]*")]), place
        return place if kept else None

    def _are_free(self) -> bool:
        paths = (lock_of(self._shop, name) for name in ("check", "write"))
        return all(is_free(path) for path in paths if path.exists())
