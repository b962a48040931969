"""
Repeat the command that made a requirements file, from the file's first lines.

pip-compile and ``uv pip compile`` write their command there, without the options
that concern a single run.
"""

from __future__ import annotations

import getopt
import itertools
import os
import re
import shlex
from typing import TYPE_CHECKING

from upgrade_state.exceptions import ResolverError

from ._diagnosis import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Final

_COMMAND: Final = re.compile(r"#    (\S.*)")

_OUTPUT: Final = ("-o", "--output-file")

# pip-compile writes this in place of a password.
_REDACTED: Final = "****"


def repeated(
    header: bytes,
    argv: Sequence[str],
    options: Collection[str],
    path: str,
    top: str,
) -> tuple[tuple[str, ...], str]:
    """
    Return the command that makes a requirements file again, and its directory.

    The directory is the nearest one, from that of the file upward, from which the
    command's paths lead to the file and to the inputs.

    Args:
        header: The content of the file, from the line that names the tool.

        argv: The beginning of the command: the program, and options to add.

        options: The options that may be repeated, without dashes; if they have a
            value, with ``=`` at the end.

        path: The requirements file.

        top: The last directory, from that of the file upward, in which the command
            may start.

    Raises:
        ResolverError: The command cannot be repeated; the message says why.
    """
    program = list(itertools.takewhile(lambda word: not word.startswith("-"), argv))
    tool = " ".join(program)
    words = _words(header)
    if words[: len(program)] != program:
        raise ResolverError(f"its first lines name no command of {tool}", path)
    short = [name.replace("=", ":") for name in options if len(name.rstrip("=")) == 1]
    long = [name for name in options if len(name.rstrip("=")) > 1]
    try:
        given, inputs = getopt.gnu_getopt(words[len(program) :], "".join(short), long)
    except getopt.GetoptError as error:
        name = one_line("--"[: len(error.opt)] + error.opt)
        raise ResolverError(f"{tool}'s option {name} is not understood", path) from None
    if any(_REDACTED in value for _, value in given):
        raise ResolverError("a password in its command is not in the file", path)
    outputs = [value for name, value in given if name in _OUTPUT and value != "-"]
    kept = []
    for name, value in given:
        if name in _OUTPUT:
            continue
        if name.strip("-") + "=" not in options:
            kept += [name]
        else:
            kept += [f"{name}={value}"] if name.startswith("--") else [name, value]
    directory, problems = os.path.dirname(path), []
    for place in upward(directory, top):
        inputs_here = [os.path.normpath(os.path.join(place, name)) for name in inputs]
        if outputs:
            is_made_here = os.path.normpath(os.path.join(place, outputs[-1])) == path
        else:  # the file lies where the command started, or beside an input
            is_made_here = directory in (place, *map(os.path.dirname, inputs_here))
        if not is_made_here:
            continue
        missing = [
            name
            for name, file in zip(inputs, inputs_here, strict=True)
            # From the copy, an absolute path leads back to the project, into which a
            # build back end would write.
            if name.startswith(("-", "/")) or not os.path.isfile(file)
        ]
        if not missing:
            output = f"--output-file={os.path.relpath(path, place)}"
            return (*argv, *kept, output, *inputs), place
        problems.append(f"there is no {one_line(missing[0])!r}")
    # Without an output, the file's own directory is one.
    written = problems or [f"its command writes {one_line(outputs[-1])!r}"]
    raise ResolverError(written[0], path)


def _words(header: bytes) -> list[str]:
    """
    Return the command in the first comment that is indented; empty: there is none.
    """
    for line in header.decode(errors="surrogateescape").splitlines():
        if line.strip() and line[0] != "#":
            break
        if (found := _COMMAND.match(line)) is not None:
            try:
                return shlex.split(found[1])
            except ValueError:  # a quotation without an end
                break
    return []


def upward(directory: str, top: str) -> list[str]:
    """
    Return *directory* and those above it up to *top*.
    """
    places = [directory]
    while places[-1] not in (top, os.path.dirname(places[-1])):
        places.append(os.path.dirname(places[-1]))
    return places
