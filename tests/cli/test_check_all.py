import json
import os
import re
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from helpers import LONG_AGO, fail, wait_until
from upgrade_state import CheckGuard, StateStore

# What upgrades anything: the new lockfile is the old one and a line.
UPGRADE = "open('pins.lock', 'a').write('new')"

# What waits until it is ended, and says that it has begun.
WAIT = (
    "import os, time; open(os.environ['UPGRADE_STATE_ENV'] + '/begun', 'w').close();"
    "time.sleep(600)"
)

FAIL_IN_001 = (
    "import os, sys;"
    "os.environ['UPGRADE_STATE_ENV'].endswith('001') and sys.exit('no route');"
)


@pytest.fixture
def many(tmp_path, commit):
    """
    Five environments that were checked long ago.
    """
    return make_many(tmp_path, 5, commit)


def make_many(place, count, commit, **more):
    made = []
    for number in range(count):
        directory = place / f"{number:03}"
        directory.mkdir()
        (directory / "pins.lock").write_bytes(b"old")
        environment = StateStore().environment(directory, "pins.lock")
        commit(environment, b"old", **more)
        environment.expire()
        made.append(environment)
    return made


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


class TestAll:
    def test_command(self, many, run, python):
        """
        COMMAND is run for each, and a line says what was found.
        """
        result = run("check", "--all", *python(UPGRADE))

        assert (0, "upgrade-state: 5 checked\n") == (result.status, result.err)
        assert sorted(
            f"✓ {e.path} (pins.lock): the lockfile would change" for e in many
        ) == sorted(result.out.splitlines())
        assert {None} == {e.look().consent for e in many}

    def test_recipe(self, many, run, shop, commit, fake_uv):
        """
        Without a command each is checked by its own recipe, or not at all.
        """
        (shop / "pyproject.toml").touch()
        commit(StateStore().environment(shop, "uv.lock"), b"", by="uv")

        result = run("check", "--all", "--max-age", "0")

        assert (0, f"✓ {shop} (uv.lock): up to date\n") == (result.status, result.out)
        assert "upgrade-state: 1 checked, 5 without consent\n" == result.err

    def test_goes_on(self, many, run, python):
        """
        A fresh environment is skipped.
        """
        run("check", "--all", *python(UPGRADE))
        many[2].expire()

        result = run("check", "--all", *python(UPGRADE))

        assert (0, "upgrade-state: 1 checked, 4 fresh\n") == (result.status, result.err)
        assert [
            f"✓ {many[2].path} (pins.lock): the lockfile would change"
        ] == result.out.splitlines()

    def test_failure(self, many, run, python):
        """
        A failure is a line and the exit status 1; so it is later, while backing off.
        """
        words = ("check", "--all", *python(FAIL_IN_001 + UPGRADE))
        first, second = run(*words), run(*words)

        failure, summary = first.err.splitlines()
        assert 1 == first.status
        assert failure.startswith(f"✗ {many[1].path} (pins.lock): ")
        assert failure.endswith("failed with exit status 1: no route")
        assert "upgrade-state: 4 checked, 1 failed" == summary
        failure, summary = second.err.splitlines()
        assert 1 == second.status
        assert failure.startswith(f"✗ {many[1].path} (pins.lock): ")
        assert re.search(r"no route; retried to(day|morrow) \d\d:\d\d$", failure)
        assert "upgrade-state: 4 fresh, 1 failing" == summary

    def test_left_to_a_manager(self, many, run, commit):
        """
        An environment without consent is left to the manager that has checked it.
        """
        for environment in many[:3]:
            commit(environment, b"old", checker="the Poetry plugin", now=LONG_AGO)
        fail(many[2], at=LONG_AGO)

        result = run("check", "--all")

        failure, summary = result.err.splitlines()
        assert (1, "") == (result.status, result.out)
        assert failure.endswith("host; left to the Poetry plugin, which checks it")
        counts = "2 without consent, 3 left to the Poetry plugin"
        assert f"upgrade-state: {counts}" == summary

    @pytest.mark.parametrize("more", [{"at": LONG_AGO}, {}])
    def test_failure_without_consent(self, many, run, more):
        """
        A failure that is not repeated is a line and the exit status 1, too.
        """
        fail(many[1], **more)

        result = run("check", "--all")

        failure, summary = result.err.splitlines()
        assert 1 == result.status
        name = f"{many[1].path} (pins.lock)"
        assert (
            f"✗ {name}: OSError: no route to host; not retried here without consent"
            == failure
        )
        assert "upgrade-state: 5 without consent" == summary

    def test_stop(self, many, run, python):
        """
        The first failure ends everything, if asked to.
        """
        words = ("check", "--all", "-j1", "--on-error", "stop")

        result = run(*words, *python(FAIL_IN_001 + UPGRADE))

        assert 1 == result.status
        assert result.err.endswith("1 checked, 1 failed, 3 cancelled\n")

    def test_restart(self, many, run, python):
        """
        A restart checks everything again, in order.
        """
        run("check", "--all", *python(FAIL_IN_001 + UPGRADE))

        result = run("check", "--all", "--restart", "--jobs=1", *python(UPGRADE))

        assert (0, "upgrade-state: 5 checked\n") == (result.status, result.err)
        assert [f"✓ {e.path} (pins.lock): the lockfile would change" for e in many] == (
            result.out.splitlines()
        )

    def test_json(self, many, run, python):
        """
        JSON has a line for every environment, whatever its outcome.
        """
        corrupt = Path(many[2].record_path)
        corrupt.write_text("{")
        os.rename(many[3].path, f"{many[3].path}-elsewhere")
        with many[0].try_check():
            result = run("check", "--all", "--json", *python(FAIL_IN_001 + UPGRADE))

        found = {fields["key"]: fields for fields in lines_of(result.out)}
        assert 1 == result.status
        assert ["busy", "failed", "failed", "gone", "checked"] == [
            found[environment.key]["outcome"] for environment in many
        ]
        assert [False, True, True, False, False] == [
            "message" in found[environment.key] for environment in many
        ]
        assert found[many[1].key]["message"].endswith("no route")
        assert (
            many[1].look().information.failure.message == found[many[1].key]["message"]
        )
        assert 0 == found[many[2].key]["seconds"] < found[many[4].key]["seconds"]
        assert "upgrade-state: 1 checked, 1 gone, 1 busy, 2 failed\n" == result.err

    def test_no_lockfile(self, many, run):
        """
        COMMAND makes no first lockfile, and there is nothing to upgrade.
        """
        Path(many[2].path, "pins.lock").unlink()
        words = ("check", "--all", "--json", "--", "true")
        result = run(*words)

        found = {fields["key"]: fields["outcome"] for fields in lines_of(result.out)}
        assert ["checked", "no-lockfile"] == [found[e.key] for e in many[1:3]]
        assert (0, "upgrade-state: 4 checked, 1 without lockfile\n") == (
            result.status,
            result.err,
        )

    def test_corrupt(self, many, run, python):
        """
        A record that is none is named.
        """
        Path(many[2].record_path).write_text("{")

        result = run("check", "--all", *python(UPGRADE))

        assert 1 == result.status
        path = many[2].record_path
        line = f"The record is corrupt or may not be read: '{path}' (upgrade-state"
        assert line in result.err

    def test_deadline(self, many, run, python, monkeypatch):
        """
        The limit is one for the whole run.
        """
        words = ("check", "--all", "--timeout=1s", "-j2", *python(WAIT))
        begin = time.monotonic()

        def now():
            # No time goes by until two of them run.
            begun = sum(os.path.exists(f"{e.path}/begun") for e in many)
            return time.monotonic() if begun == 2 else begin

        clock = SimpleNamespace(monotonic=now)
        monkeypatch.setattr("upgrade_state.checks._scope.time", clock)

        result = run(*words)

        *running, summary = result.err.splitlines()
        assert 1 == result.status
        assert "upgrade-state: 5 cancelled" == summary
        assert {True} == {"cancelled after" in line for line in running}

    def test_in_vain(self, many, run, python, monkeypatch, refused):
        """
        A check is in vain if another one runs or was faster, or without a record.
        """
        monkeypatch.setattr(CheckGuard, "commit", lambda *_, **__: False)
        words = ("check", "--all", *python(UPGRADE))
        with many[1].try_check(), refused("os.open", many[2].record_path):
            result, as_json = run(*words), run(*words[:2], "--json", *words[2:])

        (found,) = (f for f in lines_of(as_json.out) if f["outcome"] == "failed")
        assert (None, many[2].key) == (found["environment"], found["key"])
        assert (1, 1) == (result.status, as_json.status)
        assert f"{many[1].path} (pins.lock): another process is checking" in result.err
        assert f"{many[3].path} (pins.lock): another check was faster" in result.err
        assert "upgrade-state: 1 busy, 3 overtaken, 1 failed" in result.err

    def test_copy(self, many, run, python):
        """
        A command gets the requested file of each environment.
        """
        for environment in many:
            Path(environment.path, "more").write_text(environment.path)
        code = "open('pins.lock', 'w').write(open('more').read())"

        run("check", "--all", "--copy", "more", *python(code))

        assert [e.path.encode() for e in many] == [e.kept_lockfile("new") for e in many]

    def test_empty(self, run):
        """
        In an empty store there is nothing to check.
        """
        result = run("check", "--all")

        assert (0, "") == (result.status, result.out)
        assert (
            "upgrade-state: nothing is known, so there is nothing to check\n"
            == result.err
        )

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--all", "."], "check --all does not take '.'; a COMMAND comes after --"),
            (["--all", "--lockfile=x"], "check --all has no option '--lockfile'"),
            (["--all", "--copy", "x"], "--sandbox need a COMMAND with --all"),
            (["--all", "--copy", "/x", "--", "true"], "not a path below"),
            (["-j2"], "check has no option '-j'\n"),
            (["--restart"], "check has no option '--restart'"),
            (["--all", "-j0"], "not a number of checks: '0'"),
            (["--all", "-j", "x"], "not a number of checks: 'x'"),
            (["--all", "--on-error", "x"], "--on-error: not 'x'"),
            (["--all", "--"], "there is no COMMAND after --"),
            (["--all", "--timeout", "0"], "the time limit must be longer than 0"),
        ],
    )
    def test_usage(self, many, run, words, message):
        """
        Mistakes are at most two lines, and exit status 2.
        """
        result = run("check", *words)

        assert (2, "") == (result.status, result.out)
        assert 2 >= len(result.err.splitlines())
        assert message in result.err


class TestSignals:
    @pytest.mark.parametrize(
        "ending",
        [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    )
    def test_ended(self, many, start, python, ending):
        """
        A run that is broken off ends its checks, and says so of each environment.
        """
        process = start("check", "--all", "--json", "-j2", *python(WAIT))
        wait_until(lambda: sum(os.path.exists(f"{e.path}/begun") for e in many) == 2)

        process.send_signal(ending[0])
        process.send_signal(ending[0])
        out, err = process.communicate(timeout=60)

        assert ending[1] == process.returncode
        assert "upgrade-state: 5 cancelled\n" == err
        assert ["cancelled"] * 5 == [fields["outcome"] for fields in lines_of(out)]
        assert {1} == {
            environment.look().information.generation for environment in many
        }

    def test_closed_pipe(self, many, start, python):
        """
        A reader that closes its end stops the run, silently and with status 1.
        """
        first = "os.environ['UPGRADE_STATE_ENV'].endswith('000')"
        code = f"import os; {first} or exec({WAIT!r})"
        read, write = os.pipe()
        os.close(read)
        process = start("check", "--all", *python(code), stdout=write)
        os.close(write)

        assert "" == process.communicate(timeout=60)[1]
        assert 1 == process.returncode
        assert 2 == many[0].look().information.generation


class TestTerminal:
    def test_progress(self, many, python, tmp_path, in_terminal):
        """
        A terminal shows how many have ended, and the names of those that run.
        """
        words = ["-m", "upgrade_state", "check", "--all", "-j2"]
        goon = tmp_path / "goon"
        code = (
            "import os, time\n"
            f"while not os.path.exists({str(goon)!r}): time.sleep(.01)\n"
            f"{FAIL_IN_001}{UPGRADE}"
        ).replace("no route", "no route to any host of the index")

        def see(seen):
            if b"[0/5] 000, 001" in seen:
                goon.touch()

        words += python(code)
        env = {"NO_COLOR": "1", "COLUMNS": "60"}
        seen = in_terminal(words, stdout="terminal", see=see, env=env)

        assert b"\x1b" not in seen
        assert re.search(rb"\[4/5\] 00\d\r {9}\r", seen)
        text = re.sub(r"\s", "", seen.decode().replace("…\r\n", "…!"))
        assert f"✓{many[0].path}(pins.lock):thelockfilewouldchange" in text
        assert f"✗{many[1].path}(pins.lock):" in text
        assert "…!" in text
        told = [e.look().information.last_notified is not None for e in many]
        assert [True, False, True, True, True] == told

    @pytest.mark.parametrize(("env", "shown"), [({}, True), ({"TERM": "dumb"}, False)])
    def test_json_in_a_file(self, many, python, tmp_path, in_terminal, env, shown):
        """
        JSON for another program does not arrive at the terminal.
        """
        words = ["-m", "upgrade_state", "check", "--all", "--json", *python(UPGRADE)]
        with open(tmp_path / "out", "w") as out:
            seen = in_terminal(words, stdout=out, env=env)

        assert 5 == len(lines_of((tmp_path / "out").read_text()))
        assert b"outcome" not in seen
        assert shown == (b"[0/5] 000" in seen)

    def test_in_process(self, many, run, python, monkeypatch):
        """
        A stdout that is neither a terminal nor a file does no harm.
        """
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

        result = run("check", "--all", *python(UPGRADE))

        assert (0, 5) == (result.status, len(result.out.splitlines()))

    def test_pipe(self, many, python, in_terminal):
        """
        If another program may print on the terminal, no progress is shown.
        """
        words = ["-m", "upgrade_state", "check", "--all", *python(UPGRADE)]
        read, write = os.pipe()
        with open(read) as out:
            seen = in_terminal(words, stdout=write)
            os.close(write)
            assert 5 == len(out.read().splitlines())

        assert b"upgrade-state: 5 checked\r\n" == seen

    def test_json_in_a_narrow_terminal(self, many, python, in_terminal):
        """
        JSON is not wrapped, and not mixed with anything.
        """
        words = ["-m", "upgrade_state", "check", "--all", "--json", *python(UPGRADE)]

        seen = in_terminal(words, stdout="terminal", env={"COLUMNS": "40"})

        assert 5 == len(lines_of("\n".join(seen.decode().splitlines()[:-1])))
