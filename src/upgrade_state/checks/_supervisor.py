"""
Run one command, and end whatever came of it.

This is a script: ``python -I -S _supervisor.py PARENT``. It stands between a
check and its command, so that somebody is left to end the command when the
checking process is killed. It imports next to nothing, since every check waits
for that, and has one thread, since a command's death signal is tied to it.

stdin: two messages, each of them 4 bytes, its length, and the rest: a directory
to remove at the end, and a marshalled dict, what to run. After that each byte is
a wish, `END` or `KILL`, and the end of the file means that the parent is gone.

stdout: the report, lines of a word and a number. ``pid`` is the command's,
``errno`` why it could not be started, ``status`` how it has ended (negative: the
signal), ``gone`` the last one: no process of it is left. Then it waits until the
parent is gone, or done: SIGUSR1.

stderr: where the command's output goes.

On Linux orphans come to this process instead of to init, so that it has no
child left only when nothing is left at all, daemons included. Elsewhere the
command's process group is all that can be found.
"""

import errno
import marshal
import os
import select
import sys
import time

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import signal
    from ctypes import CDLL
    from typing import Any, NoReturn
else:
    import _signal as signal  # without its enums, which take a third of the start

# What the parent may wish: that the command is asked first, or not even that.
END = b"e"
KILL = b"k"

_LENGTH = 4

# Where the end of the parent cannot be waited for, it is looked for so often.
_LOOK_SECONDS = 0.5

# A command outside of this process's children says nothing when it ends.
_GLANCE_SECONDS = 0.02

# Of a path: there is room for one more name.
_LONG = 2048

# How often what was forked meanwhile is stopped, too, before all are killed.
_ROUNDS = 10

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """
    Run what stdin says until it, or the parent, has ended.
    """
    watch = Watch(int(sys.argv[1]))
    scratch = watch.message()
    spec = watch.message()
    if spec is not None:
        if watch.wish != KILL:
            _run(marshal.loads(spec), watch)  # noqa: S302 - from ourselves
        report("gone", 0)
    while not (watch.is_orphan or watch.is_dismissed):
        watch.wait(None)
    if scratch:
        remove(os.fsdecode(scratch))


def _run(spec: "dict[str, Any]", watch: "Watch") -> None:
    libc = _libc()
    if libc is not None:
        # A command may have stopped this process before the parent died.
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)
    processes = Tree(watch) if _adopts_orphans(libc) else Group(watch)
    me, child = os.getpid(), os.fork()
    if not child:
        _become(spec, me, libc)
    watch.started(child)
    while watch.status is None and not watch.wish:
        watch.wait(None)
    end(processes, watch, spec["grace"])


def report(word: str, number: int) -> None:
    """
    Tell the parent, if it is there.
    """
    try:
        os.write(1, f"{word} {number}\n".encode())
    except OSError:
        return


def _libc() -> "CDLL | None":
    if sys.platform != "linux":
        return None
    try:
        import ctypes  # noqa: PLC0415 - Linux only
    except ImportError:  # a Python that was built without it
        return None
    return ctypes.CDLL(None)


def _adopts_orphans(libc: "CDLL | None") -> bool:
    # Without /proc they would be there, and not be found.
    return (
        libc is not None
        and os.path.exists(f"/proc/{os.getpid()}/stat")
        and libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    )


def _become(spec: "dict[str, Any]", parent: int, libc: "CDLL | None") -> "NoReturn":
    """
    Be the command, in the forked child.
    """
    # Not handed on to the command, as every descriptor that Python makes.
    report_fd = os.dup(1)
    # By itself: it could end this supervisor before that comes to it.
    report("pid", os.getpid())
    try:
        _prepare(spec, parent, libc)
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - no shell
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", errno.EINVAL)
        os.write(report_fd, f"errno {number}\n".encode())
    os._exit(127)


def _prepare(spec: "dict[str, Any]", parent: int, libc: "CDLL | None") -> None:
    os.setsid()
    if libc is not None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it has ended before that
            os._exit(127)
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):  # not to be caught, or the C library's own
            continue
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.chdir(spec["cwd"])
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_DATA", spec["memory"])
    _limit("RLIMIT_FSIZE", spec["file"])


def _limit(name: str, limit: int) -> None:
    import resource  # noqa: PLC0415 - Windows has none, and imports this module

    what = getattr(resource, name)
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    try:
        resource.setrlimit(what, (limit, limit))
    except (OSError, ValueError):  # a system without this limit
        return


class Watch:
    """
    What is known of the parent, its wishes, and the children.

    Attributes:
        child: The command's process.

        status: How it has ended; None: it has not.

        is_childless: No child is left, adopted ones included.

        is_orphan: The parent is gone.

        is_dismissed: The parent is done.
    """

    def __init__(self, parent: int) -> None:
        self.child = 0
        self.status: int | None = None
        self.is_childless = False
        self.is_orphan = False
        self.is_dismissed = False
        self._parent = parent
        self._must_kill = False
        self._heard = bytearray()
        self._woken = _wake()
        self._poll = select.poll()
        for fd in (0, self._woken):
            self._poll.register(fd, select.POLLIN)
        # A forked copy of the parent may hold the other end of stdin.
        self._sees_parent = _register_process(self._poll, parent)
        self._look()

    def message(self) -> bytes | None:
        """
        Wait for the next message; None: the parent is gone or done before that.
        """
        is_last = False
        while True:
            end = _LENGTH + int.from_bytes(self._heard[:_LENGTH], "little")
            if len(self._heard) >= max(end, _LENGTH):
                message = bytes(self._heard[_LENGTH:end])
                del self._heard[:end]
                return message
            if is_last:
                return None
            # Whoever is gone may have said it just before that.
            is_last = self.is_orphan or self.is_dismissed
            self.wait(0 if is_last else None)

    def started(self, child: int) -> None:
        """
        Know the command's process from now on.
        """
        self.child = child
        self.is_childless = False

    @property
    def wish(self) -> bytes:
        """
        What is wished for: nothing, `END` or `KILL`.
        """
        if self._must_kill or KILL in self._heard:
            return KILL
        return END if self._heard else b""

    def wait(self, seconds: "float | None") -> None:
        """
        Wait until something has happened, at most so long; None: any time.
        """
        if not self._sees_parent:
            seconds = _LOOK_SECONDS if seconds is None else min(seconds, _LOOK_SECONDS)
        milliseconds = None if seconds is None else seconds * 1000
        for fd, _ in self._poll.poll(milliseconds):
            if fd == 0:
                self._hear()
            elif fd == self._woken:
                self._note()
            else:  # the parent has ended
                self._poll.unregister(fd)
        self._look()
        self._reap()

    def _hear(self) -> None:
        heard = os.read(0, 1 << 16)
        self._heard += heard
        if not heard:
            self._poll.unregister(0)
            self._lose_parent()

    def _note(self) -> None:
        numbers = set(os.read(self._woken, 1 << 10)) - {signal.SIGCHLD}
        if signal.SIGUSR1 in numbers:
            self.is_dismissed = True
        if numbers:  # somebody wants this process to end
            self._must_kill = True

    def _look(self) -> None:
        if os.getppid() != self._parent:
            self._lose_parent()

    def _lose_parent(self) -> None:
        self.is_orphan = self._must_kill = True

    def _reap(self) -> None:
        """
        Take note of children that have ended, also of adopted ones.
        """
        try:
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid == self.child:
                    self.status = os.waitstatus_to_exitcode(status)
                    report("status", self.status)
        except ChildProcessError:
            self.is_childless = True


def _wake() -> int:
    """
    Make what can be read from once a signal has come.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    noted = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    for number in (signal.SIGCHLD, *noted):
        signal.signal(number, lambda *_: None)
    # The thread that has started this process may have blocked some.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return reader


def _register_process(poll: "select.poll", pid: int) -> bool:
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):  # no Linux, an old one, or gone already
        return False
    poll.register(fd, select.POLLIN)
    return True


class Tree:
    """
    All descendants of this process, which adopts their orphans.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def is_gone(self) -> bool:
        """
        Tell whether nothing is left.
        """
        return self._watch.is_childless

    def ask(self) -> None:
        """
        Ask everything to end, what is stopped included.
        """
        found = descendants(os.getpid())
        _signal(found, signal.SIGTERM)
        _signal(found, signal.SIGCONT)

    def kill(self) -> None:
        """
        Kill everything.
        """
        kill_below(os.getpid())


class Group:
    """
    The process group of the command, where orphans go elsewhere.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def is_gone(self) -> bool:
        """
        Tell whether nothing is left.
        """
        # Before it has a group of its own it is there all the same.
        return self._watch.status is not None and not self._send(0)

    def ask(self) -> None:
        """
        Ask everything to end, what is stopped included.
        """
        self._send(signal.SIGTERM)
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """
        Kill everything.
        """
        self._send(signal.SIGKILL)
        if self._watch.status is None:
            os.kill(self._watch.child, signal.SIGKILL)

    def _send(self, number: int) -> bool:
        # Also refused on macOS, where only zombies are left.
        return _succeeds(os.killpg, self._watch.child, number)


def end(processes: "Tree | Group", watch: Watch, grace: float) -> None:
    """
    Ask *processes* to end, kill them after *grace* seconds, and wait for it.
    """
    deadline = time.monotonic() + grace
    if watch.wish != KILL and not processes.is_gone():
        processes.ask()
    while not processes.is_gone() and watch.wish != KILL:
        rest = deadline - time.monotonic()
        if rest <= 0:
            break
        watch.wait(min(rest, _GLANCE_SECONDS))
    pause = 0.001
    while not processes.is_gone():
        processes.kill()
        watch.wait(pause)
        pause = min(pause * 1.2, 1.0)


def kill_below(pid: int) -> None:
    """
    Kill all descendants of a process, once they stand still: nothing is forked then.
    """
    found = descendants(pid)
    for _ in range(_ROUNDS):
        _signal(found, signal.SIGSTOP)
        before, found = found, descendants(pid)
        if found.keys() <= before.keys():
            # None at all: perhaps they are somebody else's by now.
            found = found or before
            break
    _signal(found, signal.SIGKILL)


def descendants(pid: int) -> "dict[int, int]":
    """
    Return the descendants of a process, each with its process group.
    """
    children: dict[int, list[tuple[int, int]]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            parent, group = _stat(name)
            children.setdefault(parent, []).append((int(name), group))
    found: dict[int, int] = {}
    waiting = [pid]
    while waiting:
        for child, group in children.get(waiting.pop(), ()):
            found[child] = group
            waiting.append(child)
    return found


def _stat(pid: str) -> tuple[int, int]:
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:
            stat = file.read(1 << 10)
    except OSError:  # it has ended
        return 0, 0
    # The name before it may contain anything.
    _, parent, group = stat[stat.rindex(b")") + 2 :].split(None, 3)[:3]
    return int(parent), int(group)


def _signal(found: "dict[int, int]", number: int) -> None:
    """
    Send a signal to processes, by their groups: what forks just now gets it, too.

    A group of theirs has no other members: a session that one of them has made
    is entered by being born there only.
    """
    own = os.getpgrp()
    for group in set(found.values()) - {own}:
        _succeeds(os.killpg, group, number)
    for pid, group in found.items():
        if group == own:  # not yet in a session of its own
            _succeeds(os.kill, pid, number)


def remove(top: str) -> None:
    """
    Remove a directory with everything in it, as far as that is permitted.

    Whatever the command has put into its place or below it: neither symlinks nor
    mount points are followed. It may have nested directories deeper than any path
    or stack reaches: what is deep below is lifted to the top.
    """
    number = 0
    waiting = [(top, False)]
    while waiting:
        directory, is_cleared = waiting.pop()
        if not _is_full(directory) or is_cleared:
            continue
        # Without a permission to write it, it cannot be moved.
        _succeeds(os.chmod, directory, 0o700)
        if len(os.fsencode(directory)) > _LONG:
            while os.path.lexists(lifted := os.path.join(top, f"-{number}")):
                number += 1
            if _succeeds(os.rename, directory, lifted):
                directory = lifted
        waiting.append((directory, True))
        waiting += [(below, False) for below in _clear(directory)]


def _is_full(path: str) -> bool:
    """
    Remove an empty directory, or a file; tell whether it is a full directory.

    The system looks for entries last: what is none, or where another file system
    begins, is no full one.
    """
    try:
        os.rmdir(path)
    except NotADirectoryError:
        _succeeds(os.unlink, path)
    except OSError as error:
        return error.errno in (errno.ENOTEMPTY, errno.EEXIST)
    return False


def _clear(directory: str) -> list[str]:
    """
    Remove all files of a directory and return its directories.
    """
    below = []
    try:
        with os.scandir(directory) as entries:
            found = list(entries)
    except OSError:
        return []
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            below.append(entry.path)
        else:
            _succeeds(os.unlink, entry.path)
    return below


def _succeeds(do: "Any", *arguments: object) -> bool:
    try:
        do(*arguments)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
    # Faster than to clean up first, and the parent waits for it.
    os._exit(0)
