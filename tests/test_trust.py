"""
No operation writes or removes anything outside of the store, and none hangs.

Each place of a store is something else than the library made: from the beginning,
from one system call to the next, or now and then by another process.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import signal
import stat
import tempfile
import time
from pathlib import Path

import pytest

from operations import OPERATIONS, Operation, new_environment, prepared, root_of
from upgrade_state import StateStore, UpgradeStateError

NOBODY = 65534
IS_ROOT = os.geteuid() == 0

DIRECTORIES = ("v1", "locks", "tmp", "results", "results/KEY", "logs")
FILES = ("KEY.json", "KEY.json.corrupt", "locks/KEY.check", "locks/KEY.write")
FILES += ("logs/KEY.log", "tmp/KEY.0", "results/KEY/FILE")

# The functions of `os` that find, make or remove something by its path.
CALLS = ("open", "mkdir", "unlink", "rmdir", "replace", "chmod", "scandir")
CALLS += ("stat", "lstat", "listdir")


def start(shop):
    freshness = shop.start_check(["true"])
    if freshness.error is not None:
        raise freshness.error
    return freshness.reason


RUNS = OPERATIONS | {"start": Operation("start", "known", start, (), "")}

every = pytest.mark.parametrize(
    "is_long", [False, pytest.param(True, marks=pytest.mark.stress)]
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """
    Write without syncs, start no process, and end a hang.
    """
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "posix_spawn", lambda *_, **__: os.getpid())
    signal.alarm(600)
    yield
    signal.alarm(0)


class Stores:
    """
    Copies of stores in every state, and a directory that no operation may change.
    """

    def __init__(self, base):
        self.base = base
        self.number = itertools.count()
        self.shops = {}
        for state in {operation.state for operation in RUNS.values()}:
            self.shops[state] = new_environment(str(base / state))
            prepared(self.shops[state], state)
        self.victim = base / "victim"
        self.calls = {}

    def new(self, operation):
        """
        Return an environment in the state that the operation starts from.
        """
        model = self.shops[operation.state]
        cache = self.base / str(next(self.number))
        cache.mkdir()
        if os.path.isdir(root_of(model)):
            shutil.copytree(root_of(model), cache / "v1", copy_function=shutil.copy2)
            for name in ("locks", "logs", "results", "tmp"):
                (cache / "v1" / name).mkdir(exist_ok=True)
        if operation.state != "removed":
            Path(model.path, "uv.lock").write_bytes(b"old")
        self.bait(model)
        return StateStore(cache).environment(model.path, "uv.lock")

    def bait(self, shop):
        """
        Fill the victim with the names of every file that an operation may touch.
        """
        shutil.rmtree(self.victim, ignore_errors=True)
        old, half = "0" * 64, f"{'1' * 64}.0123456789abcdef"
        for names in (
            ("", f"{shop.key}.json", f"{shop.key}.json.corrupt", f"{shop.key}.log"),
            ("", f"{shop.key}.0123456789abcdef", old, half),
            (shop.key, old, half),
            ("results", old, half),
            (f"results/{shop.key}", old, half),
            ("tmp", f"{shop.key}.0123456789abcdef"),
            ("logs", f"{shop.key}.log"),
        ):
            directory = self.victim / names[0]
            directory.mkdir(parents=True, exist_ok=True)
            for name in names[1:]:
                (directory / name).write_bytes(b"mine")
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(shop.record_path, self.victim)

    def seen(self):
        """
        Return the names, kinds, contents and times of all files of the victim.
        """
        return {
            path: (
                status.st_mode,
                status.st_mtime_ns,
                path.read_bytes() if stat.S_ISREG(status.st_mode) else None,
            )
            for path in (self.victim, *self.victim.rglob("*"))
            if (status := path.lstat())
        }


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        return Stores(tmp_path_factory.mktemp("stores"))


def answer_of(operation, shop):
    """
    Run an operation, and return its answer or the error that it raises.
    """
    try:
        return operation.run(shop)
    except UpgradeStateError as error:
        return error


def place_in(shop, name):
    root = Path(root_of(shop))
    if name == "v1":
        return root
    if name.endswith("FILE"):
        return max(
            (root / "results" / shop.key).glob("[0-9a-f]*"), default=root / "0" / "0"
        )
    return root / name.replace("KEY", shop.key)


def put(place, kind, victim):
    """
    Put something of another kind into a place.
    """
    if kind == "foreign":
        os.chown(place, NOBODY, NOBODY)
    elif kind == "writable":
        place.chmod(0o777)
    else:
        target = victim
        if place.is_dir():
            shutil.rmtree(place)
        else:
            target /= place.name
            if place.exists():
                shutil.copy2(place, target)
                place.unlink()
        if kind == "symlink":
            place.symlink_to(target)
        elif kind == "hard link":
            target.touch()
            os.link(target, place)
        elif kind == "FIFO":
            os.mkfifo(place, 0o600)
        else:
            os.mknod(place, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # /dev/null


CHANGES = ("foreign", "writable")
KINDS = ("symlink", "hard link", "FIFO", "device", *CHANGES)
PLACES = [
    pytest.param(
        place,
        kind,
        marks=pytest.mark.skipif(
            kind in ("foreign", "device") and not IS_ROOT, reason="needs root"
        ),
    )
    for place in (*DIRECTORIES, *FILES)
    for kind in KINDS
    if kind != ("hard link" if place in DIRECTORIES else "writable")
]


# The operations of the short test that fail, naming the place. Others do not use it.
WRITES = {"commit", "claim", "snooze", "forget"}
FAIL = {
    "v1": {*WRITES, "start"},
    "logs": {*WRITES, "start"},
    **dict.fromkeys(("locks", "tmp", "results"), WRITES),
    "results/KEY": {"commit", "claim"},
    ("KEY.json", "foreign"): {*WRITES, "start"} - {"forget"},
    ("locks/KEY.check", "symlink"): {"commit", "forget"},
    ("locks/KEY.write", "symlink"): WRITES,
    **{("logs/KEY.log", kind): {"start"} for kind in KINDS},
}


@every
@pytest.mark.parametrize(("name", "kind"), PLACES)
def test_place(stores, name, kind, is_long):
    """
    Something else in a place of the store is refused, replaced, or not used.
    """
    short = {*WRITES, "start"}
    expected = FAIL.get((name, kind), FAIL.get(name, set()))
    for operation in RUNS.values():
        if not is_long and operation.name not in short:
            continue
        shop = stores.new(operation)
        place = place_in(shop, name)
        if not place.parent.exists() or (kind in CHANGES and not place.exists()):
            continue
        put(place, kind, stores.victim)
        before = stores.seen()

        answer = answer_of(operation, shop)

        assert before == stores.seen(), operation.name
        if operation.name in short:
            is_refused = isinstance(answer, UpgradeStateError)
            assert is_refused == (operation.name in expected), (operation.name, answer)
            assert not is_refused or str(place) in f"{answer.path}/KEY.log"


class Swap:
    """
    Replace a directory by a symlink before one system call of an operation.

    Args:
        number: The call; zero: only count them.

        is_brief: Put the directory back before the next call.
    """

    def __init__(self, place, victim, number=0, *, is_brief=False):
        self.place, self.aside = place, place.with_name("aside")
        self.victim, self.number, self.is_brief = victim, number, is_brief
        self.count = 0
        self.is_changing = False

    def before_call(self):
        if self.is_changing:
            return
        self.is_changing = True
        if self.is_brief:
            self.end()
        self.count += 1
        if self.count == self.number and self.place.is_dir():
            self.place.rename(self.aside)
            self.place.symlink_to(self.victim)
        self.is_changing = False

    def end(self):
        if self.place.is_symlink():
            os.remove(self.place)
            self.aside.rename(self.place)

    def run(self, operation, shop):
        def wrapped(function):
            def call(*args, **options):
                self.before_call()
                return function(*args, **options)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, wrapped(getattr(os, name)))
            answer = answer_of(operation, shop)
        self.end()
        return answer


@every
@pytest.mark.parametrize("name", DIRECTORIES)
def test_swapped(stores, name, is_long):
    """
    Before each system call a directory becomes a symlink, for good or for that call.

    Nothing behind it is written or removed.
    """
    chance = random.Random(name)
    for operation in RUNS.values():
        if operation.name not in stores.calls:
            shop = stores.new(operation)
            swap = Swap(place_in(shop, name), stores.victim)
            swap.run(operation, shop)
            stores.calls[operation.name] = swap.count
        swaps = list(
            itertools.product(range(1, stores.calls[operation.name] + 1), (0, 1))
        )
        # A write lock is opened at one call, which two of them seldom meet.
        is_complete = is_long or (name, operation.name) == ("locks", "snooze")
        for number, is_brief in swaps if is_complete else chance.sample(swaps, 2):
            shop = stores.new(operation)
            place = place_in(shop, name)
            before = stores.seen()

            Swap(place, stores.victim, number, is_brief=is_brief).run(operation, shop)

            assert before == stores.seen()
            look = shop.look()
            assert look.error is None
            assert operation.state == "corrupt" or not look.is_corrupt


@contextlib.contextmanager
def swapping(place, victim, user):
    """
    Let another process swap *place* and a symlink while a `with` statement runs.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(600)
        with contextlib.suppress(BaseException):
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            swap_forever(place, place.with_name("aside"), victim)
        os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def swap_forever(place, aside, victim):
    chance = random.Random()
    while True:
        # An operation may have created a directory between two of these.
        with contextlib.suppress(OSError):
            place.rename(aside)
        with contextlib.suppress(OSError):
            place.symlink_to(victim)
        time.sleep(chance.uniform(0, 0.001))
        with contextlib.suppress(OSError):
            place.unlink()
        with contextlib.suppress(OSError):
            aside.rename(place)
        time.sleep(chance.uniform(0, 0.001))


@pytest.fixture
def open_stores(stores):
    """
    The stores, in directories where every user may rename and remove.
    """
    base = Path(tempfile.mkdtemp())
    base.chmod(0o711)
    before, stores.base = stores.base, base
    stores.victim = base / "victim"
    yield stores
    stores.base, stores.victim = before, before / "victim"
    shutil.rmtree(base)


@every
@pytest.mark.parametrize(
    ("name", "user"),
    [
        *((name, None) for name in DIRECTORIES),
        pytest.param(
            "v1",
            NOBODY,
            marks=pytest.mark.skipif(not IS_ROOT, reason="needs two users"),
        ),
    ],
)
def test_swapped_by_a_process(open_stores, name, user, is_long):
    """
    So it is if another process swaps them, of this user or, above the store, another.
    """
    stores = open_stores
    for operation in RUNS.values():
        if not is_long and operation.name not in ("commit", "forget"):
            continue
        for _ in range(20 if is_long else 1):
            shop = stores.new(operation)
            place = place_in(shop, name)
            place.mkdir(0o700, exist_ok=True, parents=True)
            place.parent.chmod(0o777 if user else 0o700)
            before = stores.seen()

            with swapping(place, stores.victim, user):
                for _ in range(5):
                    answer_of(operation, shop)

            assert before == stores.seen()
