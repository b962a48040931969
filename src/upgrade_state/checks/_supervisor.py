"""
Run one command, and end every process that comes of it.

This is a script, started from its source text so that it also works out of a zip
archive: ``python -I -S -c SOURCE PARENT SCRATCH``. It stands between a check and
its command, so the command ends even if the checking process is killed. It imports
next to nothing, since every check waits for that, and has one thread, since the
command's death signal is tied to the thread that forked it.

stdin: one message, 4 bytes of length and a marshalled dict: the command. A byte
after it: end the command, with time to tidy up. End of file: the parent has died,
or needs no more; kill the command at once, remove SCRATCH and exit.

stdout: the report, lines of a word and a number. ``errno``: the command could not
be started. ``status``: it has ended (negative: the signal). ``gone``: none of its
processes is left.

stderr: the output of the command.

On Linux this process adopts orphans in place of init, so it finds daemons, too, and
nothing is left when it has no child. Elsewhere, or if the kernel does not list the
children of a process, it finds only the process group of the command.
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

# Bytes before the message, its length in little endian.
LENGTH = 4

# If a forked copy of the parent holds the other end of stdin, its end is no end of
# file: how often to ask for the parent's process ID instead.
_POLL_SECONDS = 0.5

# The end of a process that is not a child of this one causes no SIGCHLD.
_GLANCE_SECONDS = 0.02

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """
    Run the command that stdin names, and exit once the parent needs no more.
    """
    watch = Watch(int(sys.argv[1]))
    end = LENGTH
    while not watch.is_over and len(watch.heard) < end:
        watch.wait(_POLL_SECONDS)
        end = LENGTH + int.from_bytes(watch.heard[:LENGTH], "little")
    if not watch.is_over:
        _run(marshal.loads(watch.heard[LENGTH:end]), watch, end)  # noqa: S302 - ours
        report("gone", 0)
    while not watch.is_over:
        watch.wait(_POLL_SECONDS)
    remove(sys.argv[2])


def report(word: str, number: int) -> None:
    """
    Tell the parent, if it is still there.
    """
    _succeeds(os.write, 1, f"{word} {number}\n".encode())


def _run(spec: "dict[str, Any]", watch: "Watch", end: int) -> None:
    """
    Run the command, and return once none of its processes is left.

    Args:
        end: The length of stdin up to the end of the message.
    """
    libc = None
    if sys.platform == "linux":
        try:
            import ctypes  # noqa: PLC0415 - Linux only

            libc = ctypes.CDLL(None)
        except ImportError:  # a Python that was built without libffi
            pass
    is_adopting = (
        libc is not None
        and os.path.exists("/proc/thread-self/children")
        and libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    )
    child = os.fork()
    if not child:
        _become(spec, libc)
    watch.child, watch.is_childless = child, False

    def is_gone() -> bool:
        if is_adopting:
            return watch.is_childless
        # macOS also refuses to signal a group of which only zombies are left.
        return watch.status is not None and not _succeeds(os.killpg, child, 0)

    def send(number: int) -> None:
        if is_adopting:
            signal_tree(os.getpid(), number)
            return
        _succeeds(os.killpg, child, number)
        if watch.status is None:  # perhaps it has no process group of its own yet
            os.kill(child, number)

    while watch.status is None and not watch.is_over and len(watch.heard) == end:
        watch.wait(_POLL_SECONDS)
    if not is_gone() and not watch.is_over:
        send(signal.SIGTERM)
        send(signal.SIGCONT)  # a stopped process receives no SIGTERM before it
    deadline = time.monotonic() + spec["grace"]
    while not (is_gone() or watch.is_over or time.monotonic() >= deadline):
        watch.wait(_GLANCE_SECONDS)
    pause = 0.001
    while not is_gone():
        send(signal.SIGKILL)
        watch.wait(pause)
        pause = min(pause * 1.2, _POLL_SECONDS)  # it may wait for a dead server


def _become(spec: "dict[str, Any]", libc: "CDLL | None") -> "NoReturn":
    """
    Turn the forked child into the command.
    """
    # Closed by exec, like every descriptor that Python makes.
    report_fd = os.dup(1)
    try:
        import resource  # noqa: PLC0415 - Windows has none, and imports this module

        os.setsid()
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for number in range(1, signal.NSIG):
            # Refused for SIGKILL, SIGSTOP and those that the C library reserves.
            _succeeds(signal.signal, number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        os.chdir(spec["cwd"])
        for name, limit in spec["limits"].items():
            # Refused by a system without this limit, and if a lower one applies.
            _succeeds(resource.setrlimit, getattr(resource, name), (limit, limit))
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - no shell
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", errno.EINVAL)
        os.write(report_fd, f"errno {number}\n".encode())
    os._exit(127)


class Watch:
    """
    The state of the parent and of the children, as of the last `wait`.

    Attributes:
        child: The process ID of the command; 0: it has not been started.

        status: How the command has ended; None: it has not.

        is_childless: No child is left, adopted ones included.

        heard: The content of stdin so far.

        is_over: The parent has died or needs no more, or a signal asked this
            process to end.
    """

    def __init__(self, parent: int) -> None:
        self.child = 0
        self.status: int | None = None
        self.is_childless = True
        self.is_over = False
        self._parent = parent
        self.heard = b""
        self._woken, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        # The thread that started this process may have blocked some.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def wait(self, seconds: float) -> None:
        """
        Wait at most so many seconds for an event, and take note of it.
        """
        fds = [self._woken] if self.is_over else [self._woken, 0]
        ready, _, _ = select.select(fds, [], [], seconds)
        if 0 in ready:
            try:
                heard = os.read(0, 1 << 16)
            except ConnectionResetError:  # the parent died with a report unread
                heard = b""
            self.heard += heard
            self.is_over = not heard
        numbers = os.read(self._woken, 1 << 10) if self._woken in ready else b""
        if set(numbers) - {signal.SIGCHLD} or os.getppid() != self._parent:
            self.is_over = True
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.child:
                    self.status = os.waitstatus_to_exitcode(ended[1])
                    report("status", self.status)
        except ChildProcessError:
            self.is_childless = True


def signal_tree(pid: int, number: int) -> None:
    """
    Send a signal to all descendants of a process that can be found.

    To parents first, which could take the end of a child for success. All are
    listed before: the children of a process that has ended are no longer its own.
    """
    found = [pid]
    for parent in found:
        try:
            for thread in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{thread}/children", "rb", 0) as file:
                    found += map(int, file.read().split())
        except OSError:  # the process, or a thread of it, has ended
            continue
    for descendant in found[1:]:
        _succeeds(os.kill, descendant, number)


def remove(top: str) -> None:
    """
    Remove a directory with everything in it, as far as that is permitted.

    A symlink in its place is removed, and not followed. If it, or any directory
    below it, is a mount point, everything stays.
    """
    waiting = [top]
    while waiting:
        directory = waiting.pop()
        try:
            os.rmdir(directory)
        except NotADirectoryError:
            _succeeds(os.unlink, directory)
        except OSError as error:
            if error.errno == errno.EBUSY:
                # A mount point. stat() shows no difference if it is a bind mount.
                return
            # Without the permission to write, its entries could not be removed.
            if _succeeds(os.chmod, directory, 0o700):
                _, names, _ = next(os.walk(directory), ("", (), ()))
                waiting += [os.path.join(directory, name) for name in names]
    if os.path.lexists(top):
        import shutil  # noqa: PLC0415 - takes as long to load as the rest

        _succeeds(shutil.rmtree, top, True)  # noqa: FBT003 - ignore_errors


def _succeeds(do: "Any", *arguments: object) -> bool:
    try:
        do(*arguments)
    except (OSError, ValueError, RecursionError):
        # RecursionError: until Python 3.13 shutil gives up 1000 directories deep.
        return False
    return True


if __name__ == "__main__":
    main()
    # Faster than to clean up first, and the parent waits for it.
    os._exit(0)
