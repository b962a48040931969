"""
Reduce the input of a check to a question that other machines ask, too.

Included is all that can change the answer: the copy of the project, the command and
its version, the variables and settings that it reads, and the kind of machine. Left
out are users, homes, the project's place, times and secrets: where these differ, the
answer is the same.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import re
from typing import TYPE_CHECKING, Any

from . import _git
from ._cancellation import Cancellation, current_cancellation
from ._environ import selected
from ._scratch import read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from ._command import Command
    from ._scratch import Scratch

# Names of values that differ between users, and decide only whether they have access.
_SECRET_NAME: Final = "token|passw|secret|key|auth|cred|username|email"  # noqa: S105
_SECRET: Final = re.compile(rf"(?i)^GIT_|{_SECRET_NAME}")

# Such a name in a settings file, and its value, which may be one of several in a line.
# "tokenizers==0.22" pins a version, "@auth0:registry=" is an index, "{" begins a table.
_SECRET_VALUE: Final = re.compile(
    rf"(?i)((?:{_SECRET_NAME})[\w.-]{{,99}}[\"']?[ \t]*".encode()
    + rb"""(?:=(?!=)|:(?=[\s"']))[ \t]*)(?:"[^"\n]*"|'[^'\n]*'|[^\s{\["'].*)"""
)
_USER_INFO: Final = re.compile(rb"(?<=://)[^/\s@\"']*@")

# Where tools look for settings instead, if these variables are set.
_XDG: Final = {"~/.config/": "XDG_CONFIG_HOME", "/etc/xdg/": "XDG_CONFIG_DIRS"}

# A tool may print the path of its own installation along with its version.
_PATH: Final = re.compile(rb"(?<!\S)[\"'(\[]*/\S*")


def digest_of(
    command: Command,
    place: Scratch,
    facts: dict[str, Any],
    version: Callable[[], bytes],
) -> str:
    """
    Return the digest of everything that goes into a check.

    Args:
        place: The copy of the project, complete.

        facts: Further facts, as JSON.

        version: Prints the version of the tool. Called last, because a tool may leave
            files in the copy.

    Raises:
        OSError: A file cannot be read.
        Cancelled: The check was cancelled.
    """
    total = hashlib.blake2b(digest_size=32)

    # Each item is a line, so the encoding has one meaning.
    def add(*item: Any) -> None:
        total.update(json.dumps(item, sort_keys=True, default=_text).encode() + b"\n")

    machine = os.uname()
    add("upgrade-state question 1", machine.sysname, machine.machine, facts)
    # A wheel may be for one C library, and for no macOS before its own.
    add(*platform.libc_ver(), platform.mac_ver()[0].partition(".")[0])
    add(*_facts(command, place))
    top = os.fsencode(place.project)
    for kind, path, *more in _entries(top, b""):
        if kind != "file":
            add(kind, path, *more)
            continue
        with open(os.path.join(top, path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            add(kind, path, *more, size)
            while data := file.read(1 << 20):
                total.update(data)
    add(_PATH.sub(b"", version()))
    return total.hexdigest()


def _text(content: bytes) -> str:
    return content.decode("latin-1")  # one character for each byte


def _facts(command: Command, place: Scratch) -> Iterator[Any]:
    home = os.path.expanduser("~")
    own_paths = [(place.top, b"\0project"), (home, b"\0home")]

    def portable(text: str | bytes) -> bytes:
        """
        Remove secrets, and replace the paths of the project and of the home directory.
        """
        content = _SECRET_VALUE.sub(rb"\1", _USER_INFO.sub(b"", os.fsencode(text)))
        for path, word in own_paths:
            if path.strip("/"):
                name = re.escape(os.fsencode(path))
                content = re.sub(rb"(?<![\w.-])%b(?![\w.-])" % name, word, content)
        return content

    def value_of(name: str, value: str) -> Any:
        if _SECRET.search(name):
            return None
        # Such as a file of settings, or of certificates.
        if os.path.isabs(value) and (content := read_file(value)) is not None:
            return [portable(content)]
        return portable(value)

    passed = selected(os.environ, command.passes)
    usual = selected(os.environ, ())
    own = passed.keys() - usual.keys() - {*command.caches, *command.changes}
    yield os.path.relpath(place.path, place.project)
    yield [*map(portable, command.argv)]
    yield [command.start, command.sandbox]
    yield {name: v and portable(v) for name, v in command.changes.items()}
    yield dict(command.fence)
    yield sorted(command.failures)
    yield {name: value_of(name, passed[name]) for name in own}
    for pattern in command.settings:
        above, path = "", os.path.expandvars(os.path.expanduser(pattern))
        for usual_place, variable in _XDG.items():
            if pattern.startswith(usual_place) and os.environ.get(variable):
                above, path = os.environ[variable], pattern.removeprefix(usual_place)
        for place_of_settings in above.split(":"):
            for found in sorted(glob.glob(os.path.join(place_of_settings, path))):
                content = read_file(found) or b""
                yield [pattern, os.path.basename(found), portable(content)]


def _entries(top: bytes, below: bytes) -> Iterator[tuple[Any, ...]]:
    """
    Stream the files, symlinks, directories and repositories of a copy, in one order.
    """
    cancellation = current_cancellation() or Cancellation()
    with os.scandir(os.path.join(top, below)) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        cancellation.raise_if_cancelled()
        path = os.path.join(below, entry.name)
        if entry.is_symlink():
            yield "link", path, os.readlink(entry.path)
        elif not entry.is_dir():
            mode = entry.stat(follow_symlinks=False).st_mode
            yield "file", path, bool(mode & 0o100)
        elif entry.name == b".git":
            work_tree = os.fsdecode(os.path.dirname(entry.path))
            pause = lambda _: cancellation.raise_if_cancelled()  # noqa: E731
            yield "repository", path, _git.commit_and_tags(work_tree, pause)
        else:
            yield "directory", path
            yield from _entries(top, path)
