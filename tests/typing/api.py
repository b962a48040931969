"""
The public API as its users write it: checked by type checkers, never run.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_type

from upgrade_state import (
    CheckFailure,
    CheckGuard,
    Consent,
    EnvironmentState,
    Freshness,
    Look,
    StateStore,
    UpgradeInformation,
    UpgradeResult,
    UpgradeStateError,
    Verdict,
    __version__,
    checks,
    lockfiles,
    preload,
    testing,
)
from upgrade_state.exceptions import (
    ResolverError,
    StateLockError,
    StateReadError,
    StateWriteError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

now = dt.datetime.now(dt.UTC)
day = dt.timedelta(days=1)

assert_type(__version__, str)

store = StateStore()
StateStore("/cache")
StateStore(Path("/cache"))
shop = store.environment("/home/ana/src/shop", "uv.lock")
store.environment(Path("/home/ana/src/shop"))
store.environment(os.fsencode("/home/ana/src/shop"), lockfile_name="uv.lock")

assert_type(shop, EnvironmentState)
assert_type(shop.key, str)
assert_type(shop.path, str | None)
assert_type(shop.lockfile_name, str | None)
assert_type(store.environment("/srv", "pixi.lock", name="docs").name, str | None)
store.environment("/srv", "pixi.lock", "docs")  # type: ignore[call-arg] # by keyword
store.environment("/srv", name=b"docs")  # type: ignore[arg-type] # text
assert_type(shop.record_path, str | None)
assert_type(shop.log_path, str | None)

verdict = shop.claim_notice()
assert_type(verdict, Verdict)
assert_type(shop.claim_notice(b"", interval=day, platform="linux-64", now=now), Verdict)
assert_type(shop.start_check(["checker", b"x", Path("/x")]), Freshness)
assert_type(shop.start_check(("a",), lockfile=b"", max_age=day, now=now), Freshness)
assert_type(shop.start_check(["a"], env={"VERBOSE": "1"}).pid, int | None)
shop.start_check(["a"], env={"VERBOSE": 1})  # type: ignore[dict-item] # text
assert_type(shop.look(b"", now=now).verdict(interval=day, platform="linux-64"), Verdict)
assert_type(shop.claim_notice(could_not_check=day, reminder=day), Verdict)
assert_type(shop.look().verdict(could_not_check=None), Verdict)
shop.claim_notice(could_not_check=7)  # type: ignore[arg-type] # a timedelta
assert_type(verdict.until, dt.datetime | None)
assert_type(verdict.summary, str)
assert_type(verdict.message, str)
assert_type(verdict.version_changes, int)
assert_type(verdict.rebuilds, int)
assert_type(verdict.error, UpgradeStateError | None)
if verdict.reason == "notify":
    assert_type(verdict.reason, Literal["notify"])
if verdict.reason == "notfiy":  # type: ignore[comparison-overlap] # misspelt
    pass

look = shop.look()
assert_type(look, Look)
assert_type(look.environment, EnvironmentState)
assert_type(look.error, UpgradeStateError | None)
assert_type(look.is_corrupt, bool)
assert_type(look.lockfile_state, Literal["checked", "upgraded", "changed"] | None)
assert_type(look.reasons(interval=day, reminder=day), tuple[Verdict, ...])
assert_type(look.missing, Literal["directory", "lockfile"] | None)
assert_type(look.consent, Consent | None)
assert_type(look.summary("linux-64"), str | None)
assert_type(look.upgrades(), tuple[lockfiles.Upgrade, ...])
assert_type(look.kept_lockfile("old"), bytes | None)
shop.look("text")  # type: ignore[arg-type] # content is bytes

freshness = shop.look(b"", now=now).freshness(max_age=day)
assert_type(freshness, Freshness)
assert_type(freshness.due, bool)
assert_type(freshness.until, dt.datetime | None)

with shop.try_check() as check:
    assert_type(check, CheckGuard | None)
    if check is not None and check.freshness(max_age=day, now=now).due:
        assert_type(check.old_lockfile, bytes | None)
        assert_type(check.commit(b""), bool)
        assert_type(check.commit(upgrades=shop.upgrades()), bool)
        assert_type(check.look(), Look)
        row = lockfiles.Upgrade("curl", "version", old=("8.0",), new=("8.1",))
        assert_type(check.consent, Consent | None)
        consent = Consent("uv", copy=["src/shop.py"], env=("UV_*",))
        assert_type(consent.copy, tuple[str, ...])
        check.commit(b"", format="uv", upgrades=[row], checker="uv", now=now)
        check.commit(b"", consent=consent)
        check.commit(b"", consent="uv")  # type: ignore[arg-type] # not a name
        check.commit(b"", direct={"curl"})
        check.commit(b"", direct=None)
        check.commit(b"", direct=1)  # type: ignore[arg-type] # names

information = shop.look().information
assert_type(information, UpgradeInformation | None)
if information is not None:
    assert_type(information.last_checked, dt.datetime | None)
    assert_type(information.result, UpgradeResult | None)
    assert_type(information.failure, CheckFailure | None)
    assert_type(information.checker, str | None)
    assert_type(information.consent, Consent | None)
    assert_type(information.failure_notified, dt.datetime | None)
    if information.result is not None and information.result.counts is not None:
        assert_type(information.result.counts["*"].version, int)

assert_type(shop.upgrades(), tuple[lockfiles.Upgrade, ...])
assert_type(shop.kept_lockfile("new"), bytes | None)
assert_type(shop.snooze(now), bool)
assert_type(shop.snooze(None), bool)
assert_type(shop.expire(), bool)
assert_type(shop.withdraw_consent(), bool)
assert_type(shop.forget(), bool)

for environment in store:
    assert_type(environment, EnvironmentState)
for look in store.looks():
    assert_type(look, Look)
assert_type(
    store.prune(older_than=day, dry_run=True, now=now), tuple[EnvironmentState, ...]
)

old = lockfiles.read(b"", format="uv")
assert_type(old, lockfiles.Snapshot)
assert_type(lockfiles.diff(old, old), lockfiles.Diff)
assert_type(lockfiles.format_of("uv.lock"), str | None)
assert_type(lockfiles.is_format("uv"), bool)
assert_type(lockfiles.names(), tuple[str, ...])
assert_type(lockfiles.diff(old, old, direct=["curl"]), lockfiles.Diff)


result = checks.check_all(store, timeout=day, on_error="stop", restart=True)[0]
assert_type(result, checks.Result)
assert_type(result.path, str | None)
assert_type(result.outcome, checks.Outcome)
checks.check(shop, checks.RECIPES["uv"].resolver(shop), consent=Consent("uv"))
checks.check_all([shop], lambda _, old: old or b"", jobs=2, observe=print)
checks.check(shop, lambda _, old: old or b"", lockfile=b"", without_lockfile=True)
checks.check_all([shop], lockfile=lambda each: b"" if each.name else None)
checks.check_all([shop], lockfile=b"")  # type: ignore[arg-type] # one for all
assert_type(result.name, str | None)
assert_type(checks.RECIPES["uv"].run_by(["python", "-m", "uv"]), checks.Recipe)
checks.check_all([shop], on_error="explode")  # type: ignore[arg-type] # misspelt


def read_pins(content: bytes, /) -> Iterator[lockfiles.Package]:
    yield lockfiles.Package("curl", content.decode(), platform="linux-64")


def read_text(content: str) -> list[lockfiles.Package]:
    return [lockfiles.Package("curl", content)]


reader: lockfiles.Reader = read_pins
reader = read_text  # type: ignore[assignment] # content is bytes

try:
    preload()
except (ResolverError, StateLockError, StateReadError, StateWriteError) as error:
    assert_type(error.path, str | None)

with contextlib.contextmanager(testing.temporary_store)() as temporary:
    assert_type(temporary, StateStore)
added = lockfiles.Upgrade("curl", "added", new=("8.1",))
testing.add_upgrades(shop, [("requests", "2.0", "2.1"), added], lockfile=b"", at=now)
testing.add_upgrades(shop, [("requests", "2.1")])  # type: ignore[list-item] # short
testing.add_failure(shop, OSError("no route to host"), at=now)
with testing.clock_at(now), testing.checks_in_process(print) as calls:
    assert_type(calls, list[list[str]])
assert_type(testing.assert_notice(shop, "1 version", at=now, interval=day), Verdict)
assert_type(testing.assert_silence(shop, "snoozed", at=now), Verdict)
testing.assert_silence(shop, "snozed")  # type: ignore[arg-type] # misspelt

import upgrade_state  # noqa: E402 - for the next line

upgrade_state.Statestore  # type: ignore[attr-defined] # noqa: B018 - misspelt
shop.kept_lockfile("newer")  # type: ignore[arg-type] # misspelt
shop.claim_notice("text")  # type: ignore[arg-type] # content is bytes
shop.claim_notice(None, day)  # type: ignore[call-arg] # keyword-only
