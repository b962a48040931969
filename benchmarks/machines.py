"""
Simulate the checks of a company, alone and with shared results.

Machines have environments of popular and of rare lockfiles, which change now and
then, and activate them on working days. A check is made in the background if the
policy of the library says that it is due. The time is simulated: no server, process
or file is used, and a seed always gives the same figures.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import math
import random
import statistics
from bisect import bisect
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, TypeAlias

from attrs import define, field, frozen

from upgrade_state import _policy, _record
from upgrade_state.checks import _sharing

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from benchmarks.report import Report
    from upgrade_state._record import Record

TITLE = "Checks of a company, alone and with shared results (a simulation)"

HOUR = 3600
DAY = _policy.DAY
MONDAY = _record.epoch_of("2026-11-16T00:00:00Z")

# Seconds: between questions of a checker that waits, and of a lease, as in results.sql.
PAUSE, LONGEST_PAUSE = _sharing._FIRST_PAUSE, _sharing._LONGEST_PAUSE  # noqa: SLF001
LEASE = 900

# The share of checks that are killed; of those that are killed or fail.
_KILLED, _FAILED = 0.001, 0.005

Asked: TypeAlias = tuple[int, str, str]  # project, version, operating system


@frozen
class Terms:
    """
    The size and the habits of a company.

    Attributes:
        changes: Changes of a lockfile, a day.

        branches: Lockfiles of a machine's own, a day.

        activations: Of a machine, a day.
    """

    machines: int = 10_000
    days: int = 5
    projects: int = 250
    changes: float = 0.2
    branches: float = 0.005
    activations: int = 10
    seed: int = 1


@define
class Environment:
    """
    An environment of one machine.

    Attributes:
        project: The number of the project that it is a clone of.

        system: The machine's operating system, which is part of a question.

        versions: The versions of its lockfile, each with the time of its arrival.
    """

    key: str
    project: int
    system: str
    versions: list[tuple[float, str]]
    record: Record = field(factory=dict)
    is_checking: bool = False

    def version(self, now: float) -> str:
        return self.versions[bisect(self.versions, (now, "~")) - 1][1]


@define
class Company:
    """
    The environments of all machines, and the times of their activations.
    """

    seconds: list[float] = field(factory=list)  # that a check of each project takes
    unsolvable: set[tuple[int, str]] = field(factory=set)  # versions of a project
    environments: list[Environment] = field(factory=list)
    activations: list[tuple[float, int]] = field(factory=list)


def drawn(terms: Terms) -> Company:
    """
    Draw a company.
    """
    draw, made = random.Random(terms.seed), Company()  # noqa: S311
    changes: list[list[float]] = []
    for project in range(terms.projects):
        made.seconds.append(min(max(draw.lognormvariate(math.log(75), 0.5), 30), 300))
        days = [day for day in range(terms.days) if draw.random() < terms.changes]
        changes.append([day * DAY + draw.uniform(9, 18) * HOUR for day in days])
        versions = [(project, f"{number}") for number in range(len(days) + 1)]
        made.unsolvable |= {each for each in versions if draw.random() < 0.01}
    popularity = list(itertools.accumulate(1 / (n + 1) for n in range(terms.projects)))
    for machine in range(terms.machines):
        system = "Linux" if draw.random() < 0.8 else "macOS"
        first = len(made.environments)
        for project in {
            draw.choices(range(terms.projects), cum_weights=popularity)[0]
            for _ in range(4)
        }:
            key = _record.environment_key(b"%d" % machine, b"%d" % project)
            # A change is pulled some hours later.
            versions = [(0.0, "0")] + [
                (time + draw.expovariate(1 / (4 * HOUR)), f"{number}")
                for number, time in enumerate(changes[project], 1)
            ]
            made.environments.append(
                Environment(key, project, system, sorted(versions))
            )
        mine = range(first, len(made.environments))
        usual = draw.gauss(9, 0.75)
        for day in range(terms.days):
            start = day * DAY + (usual + draw.gauss(0, 0.25)) * HOUR
            if draw.random() < terms.branches:
                branch = made.environments[first]
                before = branch.version(start + 2 * HOUR)
                branch.versions += [
                    (start + 2 * HOUR, f"{machine} {day}"),
                    (start + 10 * HOUR, before),
                ]
                branch.versions.sort()
            for _ in range(terms.activations):
                which = draw.choices(mine, (4, 3, 2, 1)[: len(mine)])[0]
                made.activations.append((start + draw.uniform(0, 8.5) * HOUR, which))
    made.activations.sort()
    return made


@define
class Question:
    """
    The server's row of a question; its times and failures are those of a record.
    """

    record: Record = field(factory=lambda: {**_record.DEFAULTS})
    lease_ends: float = 0


class KilledError(Exception):
    """
    The checking process is killed: a machine is switched off, or its lid is closed.
    """


@define
class Simulation:
    """
    All checks of a company, alone or with shared results.
    """

    company: Company
    is_shared: bool
    draw: random.Random
    now: float = 0
    checks: int = 0
    at_once: int = 0
    most_at_once: int = 0
    most_of_one: int = 0  # checks of one question at once
    ages: list[float] = field(factory=list)
    requests: Counter[int] = field(factory=Counter)
    running: Counter[Asked] = field(factory=Counter)
    questions: defaultdict[Asked, Question] = field(
        factory=lambda: defaultdict(Question)
    )

    def run(self) -> None:
        """
        Let time pass: activations, and the checks that they start.
        """
        for environment in self.company.environments:
            environment.record, environment.is_checking = {**_record.DEFAULTS}, False
        numbers = itertools.count()
        waiting: list[tuple[float, int, Iterator[float]]] = []
        for time, which in [*self.company.activations, (math.inf, 0)]:
            while waiting and waiting[0][0] <= time:
                self.now, number, check = heapq.heappop(waiting)
                for seconds in itertools.islice(check, 1):
                    heapq.heappush(waiting, (self.now + seconds, number, check))
            if time < math.inf:
                self.now, environment = time, self.company.environments[which]
                if self._is_due(environment):
                    check = self._check(environment)
                    heapq.heappush(waiting, (time, next(numbers), check))

    def _is_due(self, environment: Environment) -> bool:
        """
        Return whether an activation starts a check; measure the age of the last one.
        """
        record, now = environment.record, MONDAY + int(self.now)
        if record["last_checked"] is not None:
            self.ages.append(now - _record.epoch_of(record["last_checked"]))
        version = environment.version(self.now)
        return (
            not environment.is_checking
            and _policy.freshness(
                record,
                matches=lambda lockfile: lockfile == version,
                max_age=DAY,
                now=now,
                key=environment.key,
            ).due
        )

    def _check(self, environment: Environment) -> Iterator[float]:
        """
        Make a check in the background, or take its answer; yield seconds to wait.
        """
        version = environment.version(self.now)
        question = environment.project, version, environment.system
        make = self._ask if self.is_shared else self._resolve
        environment.is_checking = True
        with contextlib.suppress(KilledError):
            answered = yield from make(question)
            environment.record = after(environment.record, answered, self.now, version)
        environment.is_checking = False

    def _resolve(self, asked: Asked) -> Generator[float, None, int | None]:
        """
        Run the tool; return the time of its answer, None if it has failed.
        """
        self.checks += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        self.running[asked] += 1
        self.most_of_one = max(self.running[asked], self.most_of_one)
        yield self.company.seconds[asked[0]] * self.draw.uniform(0.8, 1.3)
        self.at_once -= 1
        self.running[asked] -= 1
        chance = self.draw.random()
        if chance < _KILLED:
            raise KilledError
        has_failed = asked[:2] in self.company.unsolvable or chance < _FAILED
        return None if has_failed else MONDAY + int(self.now)

    def _ask(self, asked: Asked) -> Generator[float, None, int | None]:
        """
        Ask the server until it has an answer, or leaves the check to this machine.
        """
        question, began, pause = self.questions[asked], self.now, PAUSE
        while True:
            self.requests[int(self.now)] += 1
            now, record = MONDAY + int(self.now), question.record
            # An answer that another checker gives meanwhile is good enough.
            max_age = DAY // 2 + int(self.now - began)
            answered = record["last_checked"]
            if answered is not None and not _policy.is_over(answered, max_age, now):
                return _record.epoch_of(answered)
            if (
                _policy.freshness(
                    record, matches=bool, max_age=0, now=now, key=""
                ).reason
                == "backing-off"
            ):
                return None
            if question.lease_ends <= self.now:
                break
            yield pause * self.draw.uniform(0.5, 1)
            pause = min(2 * pause, LONGEST_PAUSE)
        ends = question.lease_ends = self.now + LEASE
        answered_at = yield from self._resolve(asked)
        self.requests[int(self.now)] += 1
        if question.lease_ends == ends:  # the fence: a late answer is dropped
            question.record = after(question.record, answered_at, self.now, asked[1])
            question.lease_ends = 0
        return answered_at


def after(record: Record, answered: int | None, now: float, version: str) -> Record:
    """
    Return *record* after a check of a *version*; None for *answered*: it has failed.
    """
    if answered is not None:
        result = {"old_lockfile": version, "new_lockfile": None}
        checked = _record.text_of(answered)
        return {**record, "last_checked": checked, "result": result, "failure": None}
    attempts = (record["failure"] or {"attempts": 0})["attempts"] + 1
    at = _record.text_of(MONDAY + int(now))
    return {**record, "failure": {"at": at, "attempts": attempts}}


def simulated(terms: Terms) -> tuple[Simulation, Simulation]:
    """
    Return the checks of one company alone, and those with shared results.
    """
    made = drawn(terms)
    alone, shared = (
        Simulation(made, is_shared, random.Random(terms.seed))  # noqa: S311
        for is_shared in (False, True)
    )
    alone.run()
    shared.run()
    return alone, shared


def measure(report: Report, place: Path) -> None:  # noqa: ARG001
    """
    Simulate one company, which takes ten seconds.
    """
    terms = Terms()
    alone, shared = simulated(terms)
    report.number("machines", terms.machines)
    report.number("environments", len(alone.company.environments))
    report.number("activations", len(alone.company.activations))
    report.number("different questions", len(shared.questions))
    report.number("checks, alone", alone.checks)
    report.number("checks, shared", shared.checks)
    fewer = alone.checks / shared.checks
    report.number("checks, alone / shared", fewer, limit=40, at_least=True)
    report.number("checks at once, alone", alone.most_at_once)
    report.number("checks at once, shared", shared.most_at_once, limit=25)
    report.number("checks of one question at once, alone", alone.most_of_one)
    report.number("checks of one question at once, shared", shared.most_of_one, limit=1)
    hours = [sorted(age / HOUR for age in each.ages) for each in (alone, shared)]
    for average, of in (
        ("mean", statistics.fmean),
        ("median", statistics.median),
        ("95 %", lambda ages: ages[len(ages) * 95 // 100]),
    ):
        one, other = map(of, hours)
        name = f"hours since the last check, {average}"
        report.number(f"{name}, alone", one, unit="h")
        limit = one if average == "mean" else None
        report.number(f"{name}, shared", other, unit="h", limit=limit)
    report.number("requests", shared.requests.total())
    report.number("requests in the busiest second", max(shared.requests.values()))
