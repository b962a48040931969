"""
The whole life of an environment: no network, no waiting, nothing left behind.
"""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nest import memory
from nest.checker import check
from nest.cli import main
from nest.environments import LOCKFILE
from upgrade_state import testing
from upgrade_state.exceptions import ResolverError

DAY = dt.timedelta(days=1)
NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
CURL = [("curl", "8.0", "8.1")]

# Every test has a store of its own, and no CI service silences it.
store = pytest.fixture(testing.temporary_store, autouse=True)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """
    An environment that has curl 8.0 while the index has 8.1.
    """
    directory = tmp_path / "the shop"
    directory.mkdir()
    manifest = {"packages": ["curl"], "index": "index.json"}
    (directory / "nest.json").write_text(json.dumps(manifest))
    (directory / "index.json").write_text('{"curl": ["8.0", "8.1"]}')
    (directory / LOCKFILE).write_text("curl==8.0\n")
    return directory


@pytest.fixture
def nest(
    shop: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """
    Run a command at a terminal; return its stderr.
    """

    def run(*words: str, status: int = 0) -> str:
        # Here, since pytest replaces the stream after the fixtures.
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        assert main([*words, str(shop)]) == status
        return capsys.readouterr().err

    return run


@pytest.fixture
def checks() -> Iterator[list[list[str]]]:
    """
    Run the checks of the test in this process.
    """
    with testing.checks_in_process(lambda argv: check(Path(argv[-1]))) as calls:
        yield calls


def test_a_shell_runs_the_script(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    The script sets a variable and PATH, whatever is in the name of the directory.
    """
    main(["activate", str(shop)])
    script = capsys.readouterr().out + 'echo "$NEST_ENVIRONMENT:$PATH"'
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith(f"{shop}:{shop}/bin:")


def test_first_checks_second_tells_third_is_silent(
    nest: Callable[..., str], checks: list[list[str]]
) -> None:
    """
    The first activation starts a check, the second has its result, once.
    """
    errors = [nest("activate") for _ in range(3)]

    notice = "nest: 1 version change available in 'the shop'. Run 'nest upgrades'"
    assert errors == ["", f"{notice} for details.\n", ""]
    assert len(checks) == 1


def test_once_a_week(shop: Path, nest: Callable[..., str]) -> None:
    """
    The same upgrade is announced again after a week.
    """
    testing.add_upgrades(memory.state_of(shop), CURL, at=NOON)
    said = []
    for days in (0, 1, 7):
        with testing.clock_at(NOON + days * DAY), testing.checks_in_process(print):
            said.append(bool(nest("activate")))

    assert said == [True, False, True]


def test_verbose(
    nest: Callable[..., str],
    checks: list[list[str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    The library itself says why an activation is silent, with `nest -v`.
    """
    for name in ("nest", "upgrade_state"):
        caplog.set_level("WARNING", name)  # it has its old level after the test
    caplog.handler.setLevel("DEBUG")
    for words in (("activate",), ("activate",), ("-v", "activate")):
        caplog.clear()
        nest(*words)

    assert "told-recently: you were notified" in caplog.text
    assert "fresh: the last check is good until" in caplog.text


def test_no_notice_in_a_file(
    shop: Path, capsys: pytest.CaptureFixture[str], checks: list[list[str]]
) -> None:
    """
    Without a terminal nothing is printed or claimed; the check is started.
    """
    testing.add_upgrades(memory.state_of(shop), CURL, at=NOON)
    main(["activate", str(shop)])

    assert capsys.readouterr().err == ""
    assert len(checks) == 1
    testing.assert_notice(memory.state_of(shop), "1 version change")


def test_silent_after_the_upgrade(
    shop: Path, nest: Callable[..., str], checks: list[list[str]]
) -> None:
    """
    The upgrade of the user ends the notices, and needs no other check.
    """
    nest("activate")
    nest("upgrade")

    testing.assert_silence(memory.state_of(shop), "upgraded")
    assert nest("activate") == ""
    assert len(checks) == 1


def test_upgrades(
    shop: Path, nest: Callable[..., str], checks: list[list[str]]
) -> None:
    """
    The upgrades are listed as long as the lockfile is the one that was checked.
    """
    nest("activate")
    rows = memory.state_of(shop).upgrades()

    assert [(row.name, row.old, row.new) for row in rows] == [
        ("curl", ("8.0",), ("8.1",))
    ]
    assert nest("upgrades").startswith("fresh: ")


def test_snooze(shop: Path, nest: Callable[..., str]) -> None:
    """
    A snooze silences for some days, and `--days 0` ends it.
    """
    state = memory.state_of(shop)
    assert "nothing to snooze" in nest("snooze")
    testing.add_upgrades(state, CURL)

    nest("snooze", "--days", "3")
    testing.assert_silence(state, "snoozed")
    nest("snooze", "--days", "0")
    testing.assert_notice(state)


def test_a_check_that_fails(shop: Path, nest: Callable[..., str]) -> None:
    """
    A failure is recorded and tried again later; the activation does not notice.
    """
    (shop / "index.json").write_text("{}")
    with (
        pytest.raises(ResolverError, match="the index has no package 'curl'"),
        testing.checks_in_process(lambda argv: check(Path(argv[-1]))) as calls,
    ):
        assert [nest("activate"), nest("activate")] == ["", ""]

    look = memory.state_of(shop).look()
    assert len(calls) == 1
    assert look.freshness().reason == "backing-off"
    assert "the index has no package 'curl'" in str(look.information)


def test_a_broken_store(
    shop: Path, nest: Callable[..., str], checks: list[list[str]]
) -> None:
    """
    A store that cannot be used does not stop an activation.
    """
    Path(memory.state_of(shop).record_path or "").parent.write_text("no directory")

    assert nest("activate") == ""
    assert checks == []


def test_no_lockfile(shop: Path, nest: Callable[..., str]) -> None:
    """
    Without a lockfile there is nothing to activate.
    """
    (shop / LOCKFILE).unlink()

    assert "run 'nest upgrade'" in nest("activate", status=1)
    assert check(shop) == "there is no lockfile"
