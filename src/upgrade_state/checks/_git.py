"""
List the files of a git work tree, and share its history with a copy.

The repository is read only: no lock is taken, no hook is run, nothing is refreshed.
The copy gets a repository of its own, which borrows the objects. It is put together
from the files that gitrepository-layout(5) describes: `git clone --shared` takes six
times as long, forgets staged files and the limits of a shallow or sparse repository,
and is a process that could outlive the check.
"""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
from typing import TYPE_CHECKING

from ._cancellation import POLL_SECONDS
from ._diagnosis import one_line
from ._environ import selected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Final

# Settings of the copy that override those of the repository.
_CONFIG: Final = b"""
[core]
	bare = false
	worktree = ..
	hooksPath = /dev/null
	fsmonitor = false
	# The copies have the times of their originals, and no other property of an inode:
	# git need not read them to find out that they are unchanged.
	checkStat = minimal
	trustctime = false
[extensions]
	worktreeConfig = false
[gc]
	auto = 0
[maintenance]
	auto = false
"""

# Below the directory that all work trees of a repository share, and their own.
_SHARED: Final = ("refs", "info", "reftable", "packed-refs", "shallow")
_OWN: Final = ("HEAD", "index")


class GitError(Exception):
    """
    There is no version control for a copy; the message says why.
    """


def top_of(directory: str) -> str | None:
    """
    Return the top of the work tree around *directory*; None: it is in none.

    The search ends at the border of the file system, as git's does.
    """
    with contextlib.suppress(OSError):
        device = os.stat(directory).st_dev
        while os.stat(directory).st_dev == device:
            mark = os.path.join(directory, ".git")
            if os.path.isfile(mark) or os.path.lexists(os.path.join(mark, "HEAD")):
                return directory
            if directory == (directory := os.path.dirname(directory)):
                break
    return None


def files_of(
    top: str, ignored: Iterable[str], pause: Callable[[int], None]
) -> list[str]:
    """
    Return the files that git tracks or would add, by their paths below *top*.

    A repository in the work tree is one path. A file with a conflict is listed once.

    Args:
        ignored: Names of files and directories that are left out unless tracked.

        pause: Called now and then with the number of files so far; may raise.

    Raises:
        GitError: Git is missing, or cannot work with this repository.
    """
    argv = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = _run(top, [*argv, *(f"--exclude={name}" for name in ignored)], pause)
    names = os.fsdecode(output).split("\0")[:-1]
    return list(dict.fromkeys(name.rstrip("/") for name in names))


def commit_and_tags(top: str, pause: Callable[[int], None]) -> list[str]:
    """
    Return the commit of a work tree, and the tags that ``git describe`` finds.

    Each is a line; of a repository without a commit there are none.

    Args:
        pause: See `_run`.
    """
    lines = b""
    with contextlib.suppress(GitError):
        lines += _run(top, ["rev-parse", "--verify", "HEAD"], pause)
        lines += _run(top, ["for-each-ref", "--merged=HEAD", "refs/tags"], pause)
    return os.fsdecode(lines).splitlines()


def _run(top: str, arguments: Iterable[str], pause: Callable[[int], None]) -> bytes:
    """
    Return the output of git in a work tree.

    Args:
        pause: Called now and then with the number of NUL bytes so far; may raise.

    Raises:
        GitError: Git is missing, or has failed.
    """
    argv = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    argv += arguments
    # Without GIT_DIR and its like, which name another repository.
    env = selected(os.environ, ["GIT_CONFIG_*"])
    env |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    env["GIT_CEILING_DIRECTORIES"] = os.path.dirname(top)
    try:
        process = subprocess.Popen(  # noqa: S603 - no foreign word
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=top,
            env=env,
        )
    except OSError as error:
        raise GitError(f"git cannot be started: {error.strerror}") from error
    with process:
        output, errors, has_ended = b"", b"", False
        try:
            while not has_ended:
                pause(output.count(b"\0"))
                try:
                    output, errors = process.communicate(timeout=POLL_SECONDS)
                    has_ended = True
                except subprocess.TimeoutExpired as so_far:
                    output = so_far.output or b""
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        lines = errors.decode(errors="replace").splitlines()
        fatal = [line for line in lines if line.startswith(("fatal: ", "error: "))]
        line = (fatal or ["git failed"])[0]
        raise GitError(one_line(line.partition(": ")[2] or line))
    return output


def share(top: str, target: str, pause: Callable[[int], None]) -> list[str]:
    """
    Make the repository of the work tree *top* work in its copy, *target*.

    Returns:
        The directories of objects that the copy reads, for a sandbox.

    Raises:
        GitError: The repository is made in an unknown way.
        OSError: A file cannot be written.
    """
    own, common = _directories(top)
    objects = os.path.join(common, "objects")
    if "\n" in objects:
        raise GitError("its path has a line break")
    if common != own and os.path.isdir(os.path.join(common, "reftable")):
        raise GitError("a linked work tree with a table of references")
    place = os.path.join(target, ".git")
    os.makedirs(os.path.join(place, "objects", "info"), mode=0o700)
    os.mkdir(os.path.join(place, "refs"), mode=0o700)
    # Loose references first: meanwhile they may be packed.
    for path in _below(common, _SHARED):
        pause(0)
        _copy(common, path, place)
    parts = (name for name in os.listdir(own) if name.startswith("sharedindex."))
    for path in (*_OWN, *parts):
        _copy(own, path, place)
    with open(os.path.join(place, "objects", "info", "alternates"), "wb") as file:
        file.write(os.fsencode(objects) + b"\n")
    with open(os.path.join(place, "config"), "wb") as file:
        for path in (f"{common}/config", f"{own}/config.worktree"):
            file.write((_read(path) or b"") + b"\n")
        file.write(_CONFIG)
    borrowed = os.fsdecode(_read(os.path.join(objects, "info", "alternates")) or b"")
    return [objects, *(os.path.join(objects, line) for line in borrowed.splitlines())]


def _directories(top: str) -> tuple[str, str]:
    """
    Return the directories of a work tree's repository: its own, and the common one.
    """
    own = os.path.join(top, ".git")
    if not os.path.isdir(own):
        line = os.fsdecode(_read(own) or b"").removeprefix("gitdir:").strip()
        own = os.path.normpath(os.path.join(top, line))
    link = os.fsdecode(_read(os.path.join(own, "commondir")) or b"").strip()
    common = os.path.normpath(os.path.join(own, link))
    if not os.path.isdir(os.path.join(common, "objects")):
        raise GitError("its objects are missing")
    return own, common


def _below(directory: str, names: Iterable[str]) -> Iterator[str]:
    """
    Stream the files in some files and directories, by their paths below *directory*.
    """
    for name in names:
        yield name
        for path, _, files in os.walk(os.path.join(directory, name)):
            below = os.path.relpath(path, directory)
            yield from (os.path.join(below, file) for file in files)


def _copy(directory: str, path: str, place: str) -> None:
    """
    Copy a file with its time: an index tells by it which files may have changed.
    """
    source, target = (os.path.join(place_, path) for place_ in (directory, place))
    content = _read(source)
    if content is None:
        return
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    with open(target, "wb") as file:
        file.write(content)
    with contextlib.suppress(FileNotFoundError):
        time = os.stat(source).st_mtime_ns
        os.utime(target, ns=(time, time))


def _read(path: str) -> bytes | None:
    """
    Read a file of the repository; None: there is none, or it is no regular file.
    """
    try:
        # Opening a FIFO would wait for its writer, and a device may have no end.
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise GitError(f"{path!r}: {error.strerror}") from error
