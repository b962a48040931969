"""
Histories of operations on environments, and the sequential model that explains them.

    python histories.py SECONDS SEED…

lets processes do random operations for that many seconds per seed, while others of
them are killed, stopped and continued at random, and prints the figures. It fails if
an answer contradicts the model: if no order of the operations, each at one instant
between its start and its end, leads to all answers.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import datetime as dt
import fcntl
import heapq
import json
import os
import random
import signal
import sys
import tempfile
import termios
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import filelock

import upgrade_state
from upgrade_state import Consent, StateStore, _codec, _files, _store
from upgrade_state.exceptions import StateLockError
from upgrade_state.lockfiles import Upgrade
from workers import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from upgrade_state import EnvironmentState

START = 4_000_000_000  # later than the modification time of any record
HOUR = 3600
DAY = 24 * HOUR
WEEK = 7 * DAY
ZERO = dt.timedelta()


# The state of an environment


class State(NamedTuple):
    """
    The fields of a record. None in the place of a State: there is no record.
    """

    generation: int = 0
    last_checked: int | None = None
    checker: str | None = None
    # The digests of the old lockfile, the new one and the list of upgrades.
    result: tuple[str, ...] | None = None
    # Attempts, message, time, time of the first one.
    failure: tuple[int, str, int, int] | None = None
    last_notified: int | None = None
    notified: str | None = None
    failure_notified: int | None = None
    snoozed_until: int | None = None
    consent: str | None = None
    unknown: str | None = None


def state_of(record: dict[str, Any] | None) -> State | None:
    if record is None:
        return None
    result, failure, consent = (record[n] for n in ("result", "failure", "consent"))
    names = ("old_lockfile", "new_lockfile", "upgrades")
    return State(
        record["generation"],
        _seconds(record["last_checked"]),
        record["checker"],
        result and tuple(result[name]["digest"] for name in names),
        failure
        and (
            failure["attempts"],
            failure["message"],
            _seconds(failure["at"]),
            _seconds(failure["since"]),
        ),
        _seconds(record["last_notified"]),
        record["notified"],
        _seconds(record.get("failure_notified")),
        _seconds(record["snoozed_until"]),
        consent and consent["recipe"],
        record.get("unknown"),
    )


def _seconds(text: str | None) -> int | None:
    return text and int(dt.datetime.fromisoformat(text).timestamp())


def _digest(content: bytes | None) -> str | None:
    return None if content is None else digest_of(content)


def _moment(seconds: int | None) -> dt.datetime | None:
    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC)


def rows_of(old: str, new: str) -> tuple[Upgrade, ...]:
    return () if old == new else (Upgrade(new, "version"),)


def result_of(old: str, new: str) -> tuple[str, ...]:
    listing = _codec.dump_upgrades(rows_of(old, new))
    return tuple(map(digest_of, (old.encode(), new.encode(), listing)))


# The model


def expected(
    state: State | None, name: str, arguments: dict[str, Any], now: int
) -> tuple[Any, State | None]:
    """
    Return the answer of an operation that nothing interferes with, and the new state.

    Args:
        now: The time that the operation asks for, if it does.
    """
    known = state or State()
    answer: Any = True
    match name:
        case "look":
            answer = state, verdict(state, now, **arguments)
        case "upgrades":
            answer = known.result[2] if known.result else digest_of(b"")
        case "kept_lockfile":
            answer = known.result and known.result[arguments["which"] == "new"]
        case "claim":
            answer = verdict(state, now, **arguments)
            if answer == "notify" and known.result:
                notified = known.result[2]
                state = known._replace(last_notified=now, notified=notified)
            elif answer == "cannot-check":
                state = known._replace(last_notified=now, failure_notified=now)
        case "commit":
            answer = "stored"
            state = known._replace(
                generation=known.generation + 1,
                last_checked=now,
                checker=arguments["new"],
                result=result_of(arguments["old"], arguments["new"]),
                failure=None,
                consent=arguments["consent"] or known.consent,
            )
        case "fail":
            answer = "recorded"
            attempts, _, _, since = known.failure or (0, "", now, now)
            if since < (known.last_checked or 0) <= now:
                since = known.last_checked
            message = f"LookupError: {arguments['message']}"
            failure = (attempts + 1, message, now, min(since, now))
            state = known._replace(failure=failure)
        case "forget" | "prune":
            answer = state is None or arguments.get("is_removed", True)
            state = None if answer else state
        case _ if state is None:
            answer = False
        case _:
            state = state._replace(**CHANGES[name](**arguments))
    return answer, state


CHANGES: dict[str, Callable[..., dict[str, Any]]] = {
    "snooze": lambda until: {"snoozed_until": until},
    "expire": lambda: {"last_checked": None, "failure": None},
    "withdraw": lambda: {"consent": None},
    "change_unknown": lambda value: {"unknown": value},
}


def verdict(
    state: State | None,
    now: int,
    *,
    lockfile: str,
    interval: int = DAY,
    reminder: int = WEEK,
    could_not_check: int | None = None,
) -> str:
    if state is None:
        return "nothing-known"
    is_news = could_not_check is not None and _failures_are_news(
        state, could_not_check, now
    )
    old, new, upgrades = state.result or (None, None, None)
    if old == new and not is_news:
        return "nothing-known" if old is None else "no-upgrades"
    if now < (state.snoozed_until or 0):
        return "snoozed"
    is_repeated = not is_news and state.notified == upgrades
    pause = max(interval, reminder) if is_repeated else interval
    if state.last_notified is not None and now - state.last_notified < pause:
        return "told-recently"
    if is_news:
        return "cannot-check"
    reasons = {new: "upgraded", old: "notify"}
    return reasons.get(digest_of(lockfile.encode()), "lockfile-changed")


def _failures_are_news(state: State, could_not_check: int, now: int) -> bool:
    if state.failure is None:
        return False
    _, _, latest, since = state.failure
    told = state.failure_notified
    is_due = told is None or (now - told >= WEEK and latest > told)
    return is_due and latest - since >= could_not_check


# The operations, with the same names and arguments

TIMED_OUT = "timed out"


def perform(shop: EnvironmentState, name: str, arguments: dict[str, Any]) -> Any:
    """
    Do one operation; return its answer in the words of the model.
    """
    return OPERATIONS[name](shop, **arguments)


def _look(shop: EnvironmentState, lockfile: str, **durations: int) -> Any:
    look = shop.look(lockfile.encode())
    answer = look.verdict(**_timedeltas(durations))
    if answer.error is not None:
        raise answer.error
    return state_of(look.record), answer.reason


def _claim(shop: EnvironmentState, lockfile: str, **durations: int) -> str:
    answer = shop.claim_notice(lockfile.encode(), **_timedeltas(durations))
    if answer.error is not None:
        raise answer.error
    return answer.reason


def _timedeltas(durations: dict[str, int]) -> dict[str, dt.timedelta]:
    return {name: dt.timedelta(seconds=value) for name, value in durations.items()}


def _commit(shop: EnvironmentState, old: str, new: str, consent: str | None) -> str:
    with shop.try_check(old.encode()) as check:
        if check is None:
            return "busy"
        permission = None if consent is None else Consent(consent)
        is_stored = check.commit(
            new.encode(), upgrades=rows_of(old, new), checker=new, consent=permission
        )
    return "stored" if is_stored else "dropped"


def _fail(shop: EnvironmentState, message: str) -> str:
    with contextlib.suppress(LookupError), shop.try_check(b"") as check:
        if check is None:
            return "busy"
        raise LookupError(message)
    failure = (check.look().record or {}).get("failure") or {}
    is_recorded = failure.get("message") == f"LookupError: {message}"
    return "recorded" if is_recorded else TIMED_OUT


def _change_unknown(shop: EnvironmentState, value: str) -> bool:
    """
    Change a field that only a later version knows, as that version does.
    """
    if shop.record_path is None:
        return shop._entry().change({"unknown": value})
    root = os.path.dirname(shop.record_path)
    temporary = f"{root}/tmp/{shop.key}.{value}"
    if not os.path.exists(shop.record_path):
        return False
    with filelock.FileLock(f"{root}/locks/{shop.key}.write", timeout=60):
        record = shop.look().record
        if record is None:
            return False
        with open(temporary, "w", encoding="ascii") as file:
            json.dump(record | {"unknown": value}, file)
        os.replace(temporary, shop.record_path)
    return True


OPERATIONS: dict[str, Callable[..., Any]] = {
    "look": _look,
    "upgrades": lambda shop: digest_of(_codec.dump_upgrades(shop.upgrades())),
    "kept_lockfile": lambda shop, which: _digest(shop.kept_lockfile(which)),
    "claim": _claim,
    "commit": _commit,
    "fail": _fail,
    "snooze": lambda shop, until: shop.snooze(_moment(until)),
    "expire": lambda shop: shop.expire(),
    "withdraw": lambda shop: shop.withdraw_consent(),
    "forget": lambda shop: shop.forget(),
    "prune": lambda shop: [pruned.key for pruned in shop.store.prune(older_than=ZERO)],
    "change_unknown": _change_unknown,
}


# The recorder: processes that write down what they do

PLACES = ("shop", "bench", "removed")  # the last has no directory
SLOTS = 8

# Weights of the operations.
WEIGHTS = {
    "look": 4,
    "upgrades": 3,
    "kept_lockfile": 3,
    "claim": 8,
    "commit": 3,
    "fail": 2,
    "snooze": 4,
    "expire": 1,
    "withdraw": 1,
    "change_unknown": 1,
    "forget": 0.2,
    "prune": 0.3,
}

Plan = tuple[int, str, dict[str, Any]]


class Clock:
    """
    A clock that is a million times too fast and gives no two processes one time.

    Sometimes it is slow to answer: a claim asks it between its first look at the
    record and the write lock.
    """

    def __init__(self, slot: int, log: Callable[..., None]) -> None:
        self._slot = slot
        self._log = log
        self._last = 0
        self._chance = random.Random(os.getpid())

    def __call__(self) -> float:
        now = time.monotonic_ns() // 1000 % 10**11
        self._last = max(now // SLOTS, self._last + 1)
        seconds = START + self._last * SLOTS + self._slot
        self._log("clock", seconds)
        if self._chance.random() < 0.2:
            time.sleep(self._chance.uniform(0, 0.01))
        return float(seconds)


def shops_in(base: str) -> list[EnvironmentState]:
    store = StateStore(f"{base}/cache")
    return [store.environment(f"{base}/{name}", "uv.lock") for name in PLACES]


def work(base: str, slot: int, to: int, plans: Iterable[Plan]) -> None:
    """
    Do operations; write the start of each, its times and its answer to a descriptor.
    """

    def log(*event: Any) -> None:
        os.write(to, json.dumps(event).encode() + b"\n")

    time.time = Clock(slot, log)
    shops = shops_in(base)
    for place, name, arguments in plans:
        log("start", time.monotonic_ns(), place, name, arguments)
        try:
            answer = perform(shops[place], name, arguments)
        except StateLockError as error:
            answer = TIMED_OUT if "within 10 s" in error.message else repr(error)
        except Exception as error:  # noqa: BLE001 - no answer of the model
            answer = {"exception": repr(error)}
        log("end", time.monotonic_ns(), answer)


def random_plans(seed: str, number: int, tokens: int) -> Iterator[Plan]:
    """
    Stream random operations, one for each byte that the pipe *tokens* still has.
    """
    chance = random.Random(f"{seed} {number}")
    names = list(WEIGHTS)
    count = 0
    while os.read(tokens, 1):
        count += 1
        place = chance.choice((0, 0, 0, 0, 1, 2))
        (name,) = chance.choices(names, list(WEIGHTS.values()))
        yield place, name, _arguments(chance, name, f"{number}-{count}", place)


def _arguments(
    chance: random.Random, name: str, value: str, place: int
) -> dict[str, Any]:
    """
    Return arguments with a *value* that no other operation writes.
    """
    now = START + time.monotonic_ns() // 1000 % 10**11
    lockfile = chance.choice(("old", *7 * ("older",)))
    durations = {"interval": (0, 0, HOUR, DAY), "reminder": (0, 0, WEEK)}
    claim = {key: chance.choice(values) for key, values in durations.items()}
    if chance.random() < 0.5:
        claim["could_not_check"] = chance.randrange(DAY)
    commit = {
        "old": lockfile,
        "new": chance.choice((lockfile, *9 * (value,))),
        # The consent is for a directory.
        "consent": value if place < 2 and chance.random() < 0.5 else None,
    }
    until = now + chance.randrange(chance.choice((HOUR, DAY)))
    arguments: dict[str, dict[str, Any]] = {
        "look": {"lockfile": lockfile},
        "kept_lockfile": {"which": chance.choice(("old", "new", "new"))},
        "claim": {"lockfile": lockfile, **claim},
        "commit": commit,
        "fail": {"message": value},
        "snooze": {"until": chance.choice((None, until, until))},
        "change_unknown": {"value": value},
    }
    return arguments.get(name, {})


# The checker

PENDING = "pending"
NOTICES = ("notify", "cannot-check")
CHANGED = (True, "stored", "recorded", *NOTICES, PENDING)
READS = ("look", "upgrades", "kept_lockfile")
ASKING = ("look", "claim", "commit", "fail")
CHECK_LOCK = {"commit", "fail", "forget", "prune"}


@dataclasses.dataclass(eq=False)
class Operation:
    """
    One operation of a history.

    Attributes:
        end: When it answered, or when its process was dead.

        answer: PENDING if its process was killed: it has had its effect, or not.

        times: The times that it asked for.

        beside: The operations that overlap.

        follows_killed_claim: Whether an earlier claim may have left its ticket.
    """

    name: str
    arguments: dict[str, Any]
    start: int
    end: int
    answer: Any = PENDING
    times: list[int] = dataclasses.field(default_factory=list)
    beside: list[Operation] = dataclasses.field(default_factory=list, repr=False)
    follows_killed_claim: bool = False

    @property
    def is_silent(self) -> bool:
        return self.name in READS or self.answer not in CHANGED

    def outcomes(self, state: State | None) -> Iterator[State | None]:
        """
        Stream the states after this operation that agree with its answer.
        """
        for now in self.times if self.name in ASKING else (0,):
            answer, following = expected(state, self.name, self.arguments, now)
            # A claim is silent if another process has spoken since its first look.
            if self.answer in (PENDING, answer) and not (
                answer in NOTICES
                and state is not None
                and (state.last_notified or 0) > self.times[0]
            ):
                yield following
        if self._is_refused():
            yield state

    def _is_refused(self) -> bool:
        """
        Return whether another operation explains that this one has changed nothing.
        """
        match self.name, self.answer:
            case ("commit" | "fail", "busy") | ("forget", False):
                return any(other.name in CHECK_LOCK for other in self.beside)
            case "prune", False:
                return True
            case "claim", "busy":
                # Its ticket is that of a claim that was killed.
                is_beside = any(not other.is_silent for other in self.beside)
                return is_beside or self.follows_killed_claim
            case "claim", "told-recently":
                return any(
                    other.name == "claim" and not other.is_silent
                    for other in self.beside
                )
        return self.answer == TIMED_OUT


def contradiction(operations: list[Operation]) -> str | None:
    """
    Return the operation whose answer no order explains; None: some order does.

    The operations are of one environment. Each takes effect at one instant between
    its start and its end, and is tried there only once another one demands it.
    """
    moments = sorted(
        ((at, is_end, number)
         for number, operation in enumerate(operations)
         for is_end, at in enumerate((operation.start, operation.end)))
    )  # fmt: skip
    open_now: list[Operation] = []
    was_killed = False
    for _, is_end, number in moments:
        operation = operations[number]
        if is_end:
            was_killed |= (operation.name, operation.answer) == ("claim", PENDING)
            open_now.remove(operation)
            continue
        operation.follows_killed_claim = was_killed
        for other in open_now:
            other.beside.append(operation)
            operation.beside.append(other)
        open_now.append(operation)
    possible: set[tuple[State | None, frozenset[Operation]]] = {(None, frozenset())}
    for _, is_end, number in moments:
        operation = operations[number]
        if not is_end:
            open_now.append(operation)
            continue
        following = _returned(operation, open_now, possible)
        if not following:
            return _report(operation, operations, possible)
        possible = following
        open_now.remove(operation)
    return None


def _returned(
    operation: Operation,
    open_now: list[Operation],
    possible: set[tuple[State | None, frozenset[Operation]]],
) -> set[tuple[State | None, frozenset[Operation]]]:
    """
    Return the pairs of state and operations done with which *operation* may end.
    """
    todo, seen, found = list(possible), set(), set()
    while todo:
        state, done = todo.pop()
        # A silent operation is done as early as possible: it can lead nowhere else.
        done = done.union(
            other
            for other in open_now
            if other.is_silent and other not in done and any(
                True for _ in other.outcomes(state)
            )
        )  # fmt: skip
        if (state, done) in seen:
            continue
        seen.add((state, done))
        if operation in done:
            found.add((state, done - {operation}))
            continue
        if operation.answer == PENDING:
            found.add((state, done))
        for other in open_now:
            if not other.is_silent and other not in done:
                todo += [(after, done | {other}) for after in other.outcomes(state)]
    return found


def _report(
    operation: Operation,
    operations: list[Operation],
    possible: set[tuple[State | None, frozenset[Operation]]],
) -> str:
    ended = sorted(operations, key=lambda other: other.end)
    last = ended[max(0, ended.index(operation) - 12) : ended.index(operation)]
    states = {str(state) for state, _ in possible}
    lines = ("no order explains", operation, "of the states", *states, "after", *last)
    return "\n  ".join(map(str, lines))


# The runner: processes, and signals to them


class Round:
    """
    One run of processes on a new store, for a number of operations.

    Attributes:
        figures: How many operations, kills, stops and time-outs there were.
    """

    def __init__(self, base: str, seed: str, broken: str | None = None) -> None:
        self.figures: collections.Counter[str] = collections.Counter()
        self._base = base
        self._seed = seed
        self._broken = broken
        self._chance = random.Random(seed)
        self._count = 0
        self._slots: dict[int, tuple[int, int]] = {}  # process and its number
        self._deaths: dict[int, int] = {}  # when, by number
        self._stops: list[tuple[int, int]] = []
        for name in PLACES[:-1]:
            os.mkdir(f"{base}/{name}")

    def run(self, operations: int, longest_stop: float) -> str | None:
        """
        Return why the answers contradict the model; None: they do not.
        """
        tokens, ours = os.pipe()
        os.write(ours, bytes(operations))
        os.close(ours)
        for slot in range(SLOTS):
            self._start(slot, tokens)
        paused: list[tuple[float, int, int]] = []
        while (is_going_on := _has_bytes(tokens)) or paused:
            now = time.monotonic()
            while paused and paused[0][0] <= now:
                self._continue(*heapq.heappop(paused))
            time.sleep(self._chance.uniform(0, 0.02))
            slot = self._chance.randrange(SLOTS)
            if not is_going_on or any(slot == other for _, other, _ in paused):
                continue
            if self._chance.random() < 0.3:
                self._kill(slot)
                self._start(slot, tokens)
            else:
                os.kill(self._slots[slot][0], signal.SIGSTOP)
                # Of a hundred stops one is long.
                most = longest_stop if self._chance.random() < 0.01 else 0.03
                end = now + self._chance.uniform(0, most)
                heapq.heappush(paused, (end, slot, time.monotonic_ns()))
        for slot in tuple(self._slots):
            self._wait(slot)
        os.close(tokens)
        self._last()
        return self._judge()

    def _start(self, slot: int, tokens: int) -> None:
        self._fork(slot, random_plans(self._seed, self._count, tokens))

    def _fork(self, slot: int, plans: Iterable[Plan]) -> None:
        number = self._count
        self._count += 1
        log = os.open(f"{self._base}/{number}.log", os.O_CREAT | os.O_WRONLY)
        pid = os.fork()
        if pid == 0:
            signal.alarm(600)
            status = 1
            try:
                if self._broken is not None:
                    BROKEN[self._broken]()
                work(self._base, slot, log, plans)
                status = 0
            finally:
                os._exit(status)
        os.close(log)
        self._slots[slot] = pid, number

    def _continue(self, _: float, slot: int, since: int) -> None:
        self._stops.append((since, time.monotonic_ns()))
        os.kill(self._slots[slot][0], signal.SIGCONT)
        self.figures["stops"] += 1

    def _kill(self, slot: int) -> None:
        os.kill(self._slots[slot][0], signal.SIGKILL)
        self.figures["kills"] += self._wait(slot) == -signal.SIGKILL

    def _wait(self, slot: int) -> int:
        pid, number = self._slots.pop(slot)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._deaths[number] = time.monotonic_ns()
        assert status in (0, -signal.SIGKILL)
        return status

    def _last(self) -> None:
        """
        Let one more process make a check and look, and find no file left over.
        """
        places = range(len(PLACES))
        last = {"old": "old", "new": "last", "consent": None}
        plans: list[Plan] = [(place, "commit", last) for place in places]
        plans += [(place, "look", {"lockfile": "old"}) for place in places]
        self._broken = None
        self._fork(0, plans)
        self._wait(0)

    def _judge(self) -> str | None:
        histories: dict[int, list[Operation]] = {place: [] for place in range(3)}
        keys = [shop.key for shop in shops_in(self._base)]
        for number, death in self._deaths.items():
            for place, operation in self._read(number, death):
                self.figures["operations"] += 1
                is_timed_out = operation.answer == TIMED_OUT
                self.figures["time-outs"] += is_timed_out
                self.figures["exceptions"] += isinstance(operation.answer, dict)
                if is_timed_out and not self._is_stopped(operation):
                    return f"nothing was stopped during {operation}"
                if operation.name == "prune":
                    self._prune(operation, keys, histories)
                elif operation.answer != PENDING or operation.name not in READS:
                    histories[place].append(operation)
        for history in histories.values():
            self.figures["histories"] += 1
            found = contradiction(history)
            if found is not None:
                return found
        return self._left_over()

    def _read(self, number: int, death: int) -> Iterator[tuple[int, Operation]]:
        with open(f"{self._base}/{number}.log", encoding="ascii") as file:
            operation, place = None, 0
            for line in file:
                try:
                    kind, *facts = json.loads(line)
                except ValueError:  # it was killed halfway in the write
                    break
                if kind == "start":
                    start, place, name, arguments = facts
                    operation = Operation(name, arguments, start, death)
                    continue
                assert operation is not None
                if kind == "clock":
                    operation.times.append(facts[0])
                else:
                    operation.end = facts[0]
                    operation.answer = _tuples(facts[1])
                    yield place, operation
                    operation = None
        if operation is not None:
            yield place, operation

    def _is_stopped(self, operation: Operation) -> bool:
        return any(
            start < operation.end and operation.start < end
            for start, end in self._stops
        )

    def _prune(
        self, prune: Operation, keys: list[str], histories: dict[int, list[Operation]]
    ) -> None:
        """
        Note what a prune was for each environment.
        """
        for place, key in enumerate(keys):
            answer = prune.answer
            if isinstance(answer, tuple):
                answer = key in answer
            arguments = {"is_removed": place == 2}
            histories[place].append(
                dataclasses.replace(
                    prune, arguments=arguments, answer=answer, beside=[]
                )
            )

    def _left_over(self) -> str | None:
        shops = shops_in(self._base)
        root = os.path.dirname(shops[0].record_path)
        found = {f"tmp/{name}" for name in os.listdir(f"{root}/tmp")}
        for shop in shops:
            record = shop.look().record
            assert record is not None
            named = {digest[8:] for digest in state_of(record).result}
            results = {*os.listdir(f"{root}/results/{shop.key}")} - named
            found |= {name for name in results if not name.startswith("ticket.")}
        return f"these files were left over: {found}" if found else None


def _has_bytes(pipe: int) -> bool:
    return fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)) != bytes(4)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


# Broken libraries, which the checker has to refuse


def _own_locks() -> None:
    """
    Let each process have a write lock of its own.
    """
    make = _files.Files.__init__

    def make_own(files: Any, root: str, key: str) -> None:
        make(files, root, key)
        files.write_lock += f".{os.getpid()}"

    _files.Files.__init__ = make_own


def _stale(*names: str) -> Callable[[], None]:
    """
    Let operations use the record that they read before the lock.
    """
    read = _store.Entry.read

    def stale(function: Any) -> Any:
        def with_first_look(entry: Any, *args: Any, **options: Any) -> Any:
            record = read(entry)
            _store.Entry.read = lambda _: record
            try:
                return function(entry, *args, **options)
            finally:
                _store.Entry.read = read

        return with_first_look

    def break_them() -> None:
        for name in names:
            setattr(_store.Entry, name, stale(getattr(_store.Entry, name)))

    return break_them


def _in_place() -> None:
    def rewrite(_: Any, files: Any, data: bytes) -> None:
        with open(files.record, "wb") as file:
            file.write(data)

    _files.replace_record = rewrite


def _without_others() -> None:
    replace = _store.Entry._replace

    def replace_all(entry: Any, store: Any, record: Any, fields: Any) -> None:
        if "generation" in fields:
            record = {**entry._identity, "snoozed_until": None, **fields}
        replace(entry, store, record, fields)

    _store.Entry._replace = replace_all


BROKEN = {
    "write locks of their own": _own_locks,
    "merge of an earlier read": _stale("change", "merge_or_make"),
    "no second look": _stale("claim"),
    "rewritten in place": _in_place,
    "commit without other fields": _without_others,
}


def run(seed: int, options: argparse.Namespace) -> tuple[str, str | None]:
    """
    Run rounds for some seconds, one at least; return the figures and the contradiction.
    """
    figures: collections.Counter[str] = collections.Counter()
    found, number, end = None, 0, time.monotonic() + options.seconds
    while found is None and (number == 0 or time.monotonic() < end):
        with tempfile.TemporaryDirectory() as base:
            name = f"{seed} {number}"
            round_ = Round(os.path.realpath(base), name, options.broken)
            found = round_.run(options.operations, 12 if options.seconds > 60 else 0)
        figures += round_.figures
        number += 1
    names = ("operations", "kills", "stops", "time-outs", "histories", "exceptions")
    return ", ".join(f"{figures[name]} {name}" for name in names), found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", nargs="+", type=int)
    parser.add_argument("--operations", type=int, default=20_000, help="per round")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--broken", choices=BROKEN)
    options = parser.parse_args()
    upgrade_state.preload()  # a fork is quick if it has nothing left to load
    for seed in options.seeds:
        figures, found = run(seed, options)
        sys.stdout.write(f"seed {seed}: {figures}\n")
        if found is not None:
            sys.stdout.write(f"{found}\n")
            return 1
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
