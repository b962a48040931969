"""
Make `tests/screens/`: the output of each command in twelve situations, at three widths.

    python tests/screens.py [SITUATION ...]

A process for each situation runs the command line in a pseudo-terminal, with a fixed
clock, zone and home directory. Paths on the screens are stand-ins of the same length.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from upgrade_state import Consent, StateStore, checks
from upgrade_state.checks import SharedEntry
from upgrade_state.cli import _output, main
from upgrade_state.exceptions import ResolverError
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCREENS = Path(__file__).with_name("screens")
WIDTHS = (40, 80, 120)

# The situation whose screen of 80 columns is also kept in colour.
COLORED = "upgrades"

# 20 November 2026, 09:12 in this zone.
NOW = 1_795_162_320
ZONE = "CET-1CEST,M3.5.0,M10.5.0/3"

HOME = "/home/ana-maria-de-carvalho"
KEY = "5e09c1b7a4d2f3860e1f7a92b8c4d6e0"

_MARK = "@@ "

LOCKFILE = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "shop"
version = "1.0"
source = {{ virtual = "." }}
dependencies = [{{ name = "attrs" }}, {{ name = "click" }}, {{ name = "httpx" }}]
"""

PACKAGE = """
[[package]]
name = "{}"
version = "{}"
source = {{ registry = "https://index.example/simple" }}
"""

OLD = {"attrs": "25.3.0", "click": "8.2.1", "httpx": "0.27.2", "idna": "3.10"}
NEW = {"attrs": "26.1.0", "click": "8.5.1", "httpx": "1.0.0", "idna": "3.20"}
NEW |= {"anyio": "4.9.0"}
INDIRECT = {f"typing-stubs-{letter}": ("1.0", "1.1") for letter in "abcdefgh"}


def lockfile(versions: dict[str, str], indirect: int) -> bytes:
    """
    Write a uv.lock; *indirect* is 0 for the old versions of the rest, 1 for the new.
    """
    rest = {name: pair[indirect] for name, pair in INDIRECT.items()}
    rows = (PACKAGE.format(*row) for row in (versions | rest).items())
    return (LOCKFILE.format() + "".join(rows)).encode()


# Situations, through the public door


class Desk:
    """
    The project of a screen, and the clock of its process.
    """

    def __init__(self, home: Path) -> None:
        self.home, self.now = home, float(NOW)
        self.shop = home / "src" / "shop"
        self.shop.mkdir(parents=True)
        (self.shop / "pyproject.toml").touch()
        (home / "new.lock").write_bytes(lockfile(NEW, 1))
        os.chdir(self.shop)
        self.environment = StateStore().environment(self.shop, "uv.lock")

    def write(self, content: bytes | None = None) -> None:
        (self.shop / "uv.lock").write_bytes(content or lockfile(OLD, 0))

    def check(self, new: bytes, *, hours: int = 2) -> None:
        """
        Store the result of a check that was made by the recipe, hours ago.
        """
        self.write()
        self.now = NOW - hours * 3600
        with self.environment.try_check() as guard:
            assert guard is not None
            guard.commit(new, checker="uv", consent=Consent("uv"))
        self.now = NOW

    def fail(self, *hours: int) -> None:
        """
        Let checks fail, so many hours ago each.
        """
        for before in hours:
            self.now = NOW - before * 3600
            message = "'uv' failed with exit status 2: error: no route to index.example"
            with contextlib.suppress(ResolverError), self.environment.try_check():
                raise ResolverError(message, None)
        self.now = NOW


def up_to_date(desk: Desk) -> None:
    desk.check(lockfile(OLD, 0))


def upgrades(desk: Desk) -> None:
    desk.check(lockfile(NEW, 1))


def upgraded(desk: Desk) -> None:
    upgrades(desk)
    desk.write(lockfile(NEW, 1))


def changed(desk: Desk) -> None:
    upgrades(desk)
    desk.write(lockfile(NEW, 0))


def failing(desk: Desk) -> None:
    desk.check(lockfile(NEW, 0), hours=80)
    desk.fail(50, 20, 1)


def never_checked(desk: Desk) -> None:
    desk.write()


def consent_refused(desk: Desk) -> None:
    upgrades(desk)
    desk.shop.rename(desk.home / "moved")
    desk.shop.mkdir()
    (desk.shop / "pyproject.toml").touch()
    desk.write()
    os.chdir(desk.shop)


def managed(desk: Desk) -> None:
    """
    One environment of a lockfile that a plugin checks, and one without a file.
    """
    desk.write()
    store = desk.environment.store
    docs = store.environment(desk.shop, "uv.lock", name="docs")
    desk.environment = store.environment(desk.shop, name="py311")
    rows = [Upgrade("attrs", "version", old=("25.3.0",), new=("26.1.0",))]
    for state, content in ((docs, None), (desk.environment, b"pins")):
        with state.try_check(content) as guard:
            assert guard is not None
            guard.commit(upgrades=rows, checker="the Tool plugin")


def corrupt(desk: Desk) -> None:
    upgrades(desk)
    Path(desk.environment.record_path).write_text("{")


def read_only(desk: Desk) -> None:
    upgrades(desk)
    refuse_writes(os.path.dirname(desk.environment.record_path))


def nothing_known(desk: Desk) -> None:
    (desk.shop / "notes.txt").touch()


def shared(desk: Desk) -> None:
    """
    The results of a team: one check fails, and one is being made.
    """
    desk.write()
    now = dt.datetime.fromtimestamp(NOW, dt.UTC)
    hours = dt.timedelta(hours=1)

    def entry(name: str, label: str | None = None, **fields: Any) -> SharedEntry:
        none = ("version_changes", "rebuilds", "last_checked", "failing_since")
        fields = dict.fromkeys(none) | fields
        return SharedEntry(label=label, lockfile_name=name, **fields)

    found = {"version_changes": 12, "rebuilds": 1, "last_checked": now - 2 * hours}
    entries = [
        entry("uv.lock", "shop", **found),
        entry("docs/poetry.lock", "shop", **(found | {"failing_since": now - hours})),
        entry("package-lock.json", "front end", **(found | {"version_changes": 0})),
        entry("requirements.txt", is_busy=True),
    ]
    methods = ("ask", "answer", "give_up", "examine")
    results = SimpleNamespace(**dict.fromkeys(methods, int), close=int)
    results.create, results.list, results.prune = tuple, entries.copy, lambda _: 3

    def find(url: str) -> Any:
        if url == "team:":
            return results
        raise ValueError("the URL has a password: put it into a file such as ~/.pgpass")

    checks.shared_results = find


def refuse_writes(root: str) -> None:
    """
    Let no system call write below *root*: permissions do not stop root.
    """

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *more: int, **others: Any) -> Any:
            directory = others.get("dir_fd", others.get("src_dir_fd"))
            whole = f"{opened[directory]}/{path}" if directory in opened else str(path)
            flags = more[0] if more else others.get("flags", 0)
            is_read = function is real_open and not flags & os.O_ACCMODE
            if whole.startswith(root) and not is_read:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            result = function(path, *more, **others)
            if function is real_open:
                opened[result] = whole
            return result

        return call

    opened: dict[int, str] = {}

    real_open, real_statvfs = os.open, os.statvfs
    for name in ("open", "mkdir", "replace", "unlink"):
        setattr(os, name, refusing(getattr(os, name)))
    space = SimpleNamespace(f_flag=os.ST_RDONLY)
    os.statvfs = lambda path: (  # type: ignore[assignment, misc]
        space if str(path).startswith(root) else real_statvfs(path)
    )


# The commands that say something in every situation, and those of some.
_EVERYWHERE = (
    "show",
    "list",
    "notify --explain",
    "notify",
    "notify",
    "snooze --for 7d",
    "show",
    "snooze --off",
    "path",
    "doctor",
)
_CHECK = "check -- cp {home}/new.lock uv.lock"

SITUATIONS: dict[str, tuple[Callable[[Desk], None], tuple[str, ...]]] = {
    "up-to-date": (up_to_date, (*_EVERYWHERE, "check -- true", "check --all")),
    "upgrades": (
        upgrades,
        (*_EVERYWHERE, "show --all", "list --outdated", "list --failing", "forget"),
    ),
    "upgraded": (upgraded, _EVERYWHERE),
    "changed": (changed, _EVERYWHERE),
    "failing": (
        failing,
        (*_EVERYWHERE, "list --failing", "check -- false", "check --all -- false"),
    ),
    "never-checked": (never_checked, (*_EVERYWHERE, _CHECK, "show", "notify")),
    "consent-refused": (consent_refused, (*_EVERYWHERE, "check --if-due")),
    "managed": (
        managed,
        (*_EVERYWHERE, "show --name docs", "check --all --max-age 0"),
    ),
    "corrupt": (corrupt, (*_EVERYWHERE, _CHECK, "doctor", "forget")),
    "read-only": (read_only, (*_EVERYWHERE, _CHECK, "forget")),
    "nothing-known": (
        nothing_known,
        (*_EVERYWHERE, "check", "check --all", "forget", "shwo", "show --shwo"),
    ),
    "shared": (
        shared,
        (
            "shared list team:",
            "shared init team:",
            "shared prune team:",
            "shared list",
            "shared list postgresql://ana:secret@db.example/checks",
            "check --shared postgresql://ana:secret@db.example/checks -- true",
            "check -- true",
        ),
    ),
}


# The process in the terminal


def fill(situation: str, width: int) -> None:
    """
    Run every command of a situation at a terminal of that width.
    """
    termios.tcsetwinsize(1, (50, width))
    base = os.path.realpath("/tmp")
    name = os.path.basename(tempfile.mkdtemp(dir=base))
    home = Path(f"{base}/{name}".ljust(len(HOME), "x"))
    os.rename(f"{base}/{name}", home)
    os.environ["HOME"] = str(home)
    make, commands = SITUATIONS[situation]
    clean, kept = _output.clean, dict(vars(os))

    def stand_in(text: str) -> str:
        """
        Replace the paths of this process before a line is folded or cut.
        """
        return re.sub(r"\b[0-9a-f]{32}\b", KEY, text.replace(str(home), HOME))

    _output.clean = lambda text: stand_in(clean(text))
    try:
        desk = Desk(home)
        time.time = lambda: desk.now  # type: ignore[assignment]
        make(desk)
        sys.stdout.write(f"{_MARK}{width} {home}\n")
        for command in commands:
            text = command.format(home="~")
            sys.stdout.write(f"$ upgrade-state {text}\n")
            sys.stdout.flush()
            status = main(command.format(home=home).split())
            sys.stdout.write(f"[{status}]\n" if status else "")
            sys.stdout.flush()
    finally:
        vars(os).update(kept)
        _output.clean = clean
        os.chdir("/")
        shutil.rmtree(home)


# The process that reads the terminal


def screens(situation: str, *, colored: bool = False) -> dict[int, str]:
    """
    Return the raw output in a situation, by width.
    """
    environ = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONUTF8": "1",
        "TERM": "xterm",
        "TZ": ZONE,
    }
    environ |= {k: v for k, v in os.environ.items() if k.startswith("COV")}
    if not colored:
        environ["NO_COLOR"] = "1"
    argv = [sys.executable, __file__, "--in-terminal", situation]
    argv += ["80"] if colored else map(str, WIDTHS)
    ours, theirs = pty.openpty()
    output = b""
    with subprocess.Popen(
        argv, env=environ, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        with contextlib.suppress(OSError):  # EIO: the other side is closed
            while data := os.read(ours, 65_536):
                output += data
        os.close(ours)
    text = output.decode().replace("\r\n", "\n")
    assert process.returncode == 0, text
    found = {}
    for part in text.split(_MARK)[1:]:
        first, _, rest = part.partition("\n")
        width, home = first.split()
        # Output for programs is neither folded nor cut.
        found[int(width)] = re.sub(r"\b[0-9a-f]{32}\b", KEY, rest.replace(home, HOME))
    return found


def displayed(raw: str) -> str:
    """
    Return the text that a terminal shows: a carriage return overwrites the line.
    """
    lines = []
    for line in raw.split("\n"):
        shown = ""
        for text in line.split("\r"):
            shown = text + shown[len(text) :]
        lines.append(shown.rstrip() if "\r" in line else shown)
    return "\n".join(lines)


def files(situation: str) -> Iterator[tuple[Path, str]]:
    """
    Stream the files of a situation, with the content that they are to have.
    """
    for width, raw in screens(situation).items():
        yield SCREENS / f"{situation}-{width}.txt", displayed(raw)
    if situation == COLORED:
        (raw,) = screens(situation, colored=True).values()
        text = displayed(raw).replace("\x1b", "ESC")
        yield SCREENS / f"{situation}-80-colour.txt", text


def make(situation: str) -> None:
    """
    Write the files of a situation.
    """
    for path, text in files(situation):
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-terminal"]:
        time.tzset()
        for columns in sys.argv[3:]:
            fill(sys.argv[2], int(columns))
    else:
        SCREENS.mkdir(exist_ok=True)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(make, sys.argv[1:] or SITUATIONS))
