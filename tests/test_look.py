"""
One read of a record, and the answers to all questions about it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from helpers import (
    DAY,
    HOUR,
    NOON,
    ROWS,
    commit,
    fail,
    place_of,
    read_record,
    refuse_path,
    results_of,
    root_of,
    run_python,
    write_record,
)
from upgrade_state import Consent, StateStore, _record
from upgrade_state.exceptions import StateReadError
from upgrade_state.lockfiles import Upgrade


class TestAnswers:
    def test_one_record(self, checked):
        """
        All answers are about the record that was read, whatever is written later.
        """
        look = checked.look(now=NOON)
        before = read_record(checked)
        checked.snooze(NOON + DAY)
        checked.expire()
        fail(checked)

        assert ("notify", "fresh") == (look.verdict().reason, look.freshness().reason)
        assert before == look.record
        assert look.information.snoozed_until is None

    def test_asks_and_records_nothing(self, checked):
        """
        Questions may be repeated and differ; none is recorded.
        """
        before = Path(checked.record_path).read_bytes()
        look = checked.look(now=NOON)

        assert [True] * 3 == [bool(look.verdict()) for _ in range(3)]
        assert "expired" == look.freshness(max_age=0 * DAY).reason
        assert "fresh" == look.freshness(max_age=HOUR).reason
        assert before == Path(checked.record_path).read_bytes()
        assert checked is look.environment
        assert f"<Look {checked!r}>" == repr(look)

    def test_nothing_known(self, shop):
        """
        Without a record no answer is known.
        """
        look = shop.look()

        assert ("nothing-known", "never-checked") == (
            look.verdict().reason,
            look.freshness().reason,
        )
        nothing = (look.error, look.record, look.information, look.consent)
        assert (None, None, None, None) == nothing
        assert (None, None, None) == (
            look.summary(),
            look.missing,
            look.kept_lockfile("new"),
        )
        assert (False, None, ()) == (
            look.is_corrupt,
            look.lockfile_state,
            look.upgrades(),
        )


class TestMissing:
    def test_directory(self, checked):
        """
        A removed directory is missing, whatever was in its place.
        """
        assert checked.look().missing is None
        directory = Path(checked.path)
        (directory / "uv.lock").unlink()
        assert "lockfile" == checked.look().missing
        directory.rmdir()

        assert "directory" == checked.look().missing
        below = checked.store.environment(directory / "below")
        directory.touch()
        assert "directory" == below.look().missing

    def test_no_lockfile_before(self, shop, tmp_path):
        """
        A lockfile that no check has seen is not missing.
        """
        Path(shop.path, "uv.lock").unlink()
        assert shop.look().missing is None
        commit(shop)
        nameless = shop.store.environment(tmp_path)
        commit(nameless, b"")

        assert shop.look().missing is None
        assert nameless.look().missing is None

    def test_given(self, checked):
        """
        Given bytes are the lockfile, whether there is a file or not.
        """
        Path(checked.path, "uv.lock").unlink()

        assert checked.look(b"old").missing is None

    @pytest.mark.parametrize("name", [".", "uv.lock"])
    def test_unknown(self, checked, monkeypatch, name):
        """
        If the system does not tell, nothing is missing.
        """
        refuse_path(monkeypatch, "stat", (Path(checked.path) / name))

        assert checked.look().missing is None

    def test_no_path(self, checked):
        """
        Nor is it if the path is unknown.
        """
        write_record(checked, "garbage")
        (look,) = checked.store.looks()

        assert (None, None) == (look.environment.path, look.missing)


class TestSummary:
    def test_independent(self, checked):
        """
        A summary depends on neither snooze, notice nor lockfile.
        """
        checked.claim_notice(now=NOON)
        checked.snooze(NOON + DAY)

        look = checked.look(b"other", now=NOON)
        assert "snoozed" == look.verdict().reason
        assert "1 version change" == look.summary()

    @pytest.mark.parametrize(
        ("new", "rows", "summary"),
        [
            (b"new", None, "Upgrades"),
            (b"old", None, None),
            (b"new", (), None),
            (
                b"new",
                (Upgrade("a", "rebuild"), *ROWS),
                "1 version change and 1 rebuild",
            ),
        ],
    )
    def test_results(self, shop, new, rows, summary):
        """
        It counts version changes and rebuilds, or says that the lockfile would change.
        """
        commit(shop, new, upgrades=rows)

        assert summary == shop.look().summary()


class TestFiles:
    def test_read(self, checked):
        """
        A look, like its handle, reads the lockfiles and upgrades of the last check.
        """
        for it in (checked, checked.look()):
            assert (b"old", b"new") == (
                it.kept_lockfile("old"),
                it.kept_lockfile("new"),
            )
            assert ROWS == it.upgrades()

    def test_replaced_meanwhile(self, checked):
        """
        If a check has replaced a file since, that of the newer record is read.
        """
        look = checked.look()
        commit(checked, b"newer", upgrades=[*ROWS, *ROWS])

        assert b"newer" == look.kept_lockfile("new")
        assert ROWS + ROWS == look.upgrades()
        assert b"old" == look.kept_lockfile("old")

    def test_forgotten_meanwhile(self, checked):
        """
        After `forget` there is no such file.
        """
        look = checked.look()
        checked.forget()

        assert (None, ()) == (look.kept_lockfile("new"), look.upgrades())

    @pytest.mark.parametrize("damage", [None, b"NEW", b"newer", b""])
    def test_damaged(self, checked, damage):
        """
        A file that was removed or changed is an error with a path below the store.
        """
        look = checked.look()
        for path in results_of(checked).iterdir():
            path.unlink()
            if damage is not None:
                path.write_bytes(damage)

        words = "missing" if damage is None else "damaged"
        for read in (lambda: look.kept_lockfile("new"), look.upgrades):
            with pytest.raises(StateReadError, match=words) as caught:
                read()
            assert caught.value.path.startswith(str(results_of(checked)))

    def test_unreadable_record(self, checked, monkeypatch):
        """
        A record that could not be read is an error of every file.
        """
        refuse_path(monkeypatch, "open", checked.record_path)
        look = checked.look()
        monkeypatch.undo()

        for read in (lambda: look.kept_lockfile("new"), look.upgrades):
            with pytest.raises(StateReadError) as caught:
                read()
            assert look.error is caught.value


class TestLooks:
    def test_each_record(self, checked, store, tmp_path, monkeypatch):
        """
        A store has one look per record; corrupt and unreadable ones have no path.
        """
        other = store.environment(tmp_path, "mise.lock")
        commit(other)
        hidden = store.environment("/hidden")
        commit(hidden)
        (root_of(checked) / f"{'0' * 32}.json").write_bytes(b"garbage")
        refuse_path(monkeypatch, "open", hidden.record_path)

        looks = {look.environment.key: look for look in store.looks()}

        assert {checked.key, other.key, hidden.key, "0" * 32} == looks.keys()
        assert {
            checked.key: (checked.path, "uv.lock", False, True),
            other.key: (other.path, "mise.lock", False, True),
            hidden.key: (None, None, False, False),
            "0" * 32: (None, None, True, True),
        } == {
            key: (
                look.environment.path,
                look.environment.lockfile_name,
                look.is_corrupt,
                look.error is None,
            )
            for key, look in looks.items()
        }
        assert read_record(checked) == looks[checked.key].record
        assert "unavailable" == looks[hidden.key].verdict().reason
        assert hidden.record_path == looks[hidden.key].error.path
        assert "nothing-known" == looks["0" * 32].verdict().reason

    def test_streams(self, checked, store):
        """
        Looks are made one by one; none for a store that does not exist.
        """
        looks = store.looks()

        assert checked.key == next(looks).environment.key
        assert [] == list(looks)
        assert [] == list(StateStore("/nowhere").looks())

    def test_deleted_meanwhile(self, checked, store, tmp_path):
        """
        A record that is deleted after it was listed is left out.
        """
        other = store.environment(tmp_path / "other")
        commit(other)
        looks = store.looks()
        first = next(looks).environment
        for environment in (checked, other):
            if environment.key != first.key:
                Path(environment.record_path).unlink()

        assert [] == list(looks)

    def test_other_names(self, checked, store):
        """
        A file with another name than a record's is none.
        """
        for name in ("notes.json", checked.key, f"{checked.key}.json.old"):
            (root_of(checked) / name).write_bytes(
                Path(checked.record_path).read_bytes()
            )

        assert [checked.key] == [environment.key for environment in store]

    @pytest.mark.parametrize("call", ["open", "fstat", "scandir"])
    def test_unreadable_store(self, checked, store, monkeypatch, call):
        """
        A directory that cannot be opened or listed is an error, not an empty store.
        """

        def refused(*_, **__):
            raise PermissionError(13, "Permission denied")

        for ask in (store.looks, store.prune):
            with monkeypatch.context() as patched:
                patched.setattr(os, call, refused)
                with pytest.raises(StateReadError, match="Could not read the dir"):
                    list(ask())

    def test_deleted_store(self, checked, store, monkeypatch):
        """
        A directory that is deleted before it is opened is an empty store.
        """
        trusted = _record.trusted

        def trusted_and_deleted(root):
            status = trusted(root)
            shutil.rmtree(root, ignore_errors=True)
            return status

        monkeypatch.setattr(_record, "trusted", trusted_and_deleted)

        for ask in (store.looks, store.prune):
            os.makedirs(root_of(checked), 0o700, exist_ok=True)
            assert [] == list(ask())

    def test_replaced_store(self, checked, store, monkeypatch):
        """
        A directory that is not trusted any more once it is open is not listed.
        """
        open_as_before = os.open

        def open_changed(path, *args, **options):
            root_of(checked).chmod(0o777)
            return open_as_before(path, *args, **options)

        monkeypatch.setattr(os, "open", open_changed)

        for ask in (store.looks, store.prune):
            root_of(checked).chmod(0o700)
            with pytest.raises(StateReadError, match="may be written to by others"):
                list(ask())

    def test_swapped_store(self, checked, store, tmp_path):
        """
        A listing goes on in the directory that it has opened, whatever takes its place.
        """
        other = store.environment(tmp_path / "other")
        commit(other)
        looks = store.looks()
        first = next(looks).environment
        (rest,) = {checked.key, other.key} - {first.key}
        root = root_of(checked)
        root.rename(f"{root}.old")
        root.symlink_to("/")

        assert [rest] == [look.environment.key for look in looks if not look.error]


class TestGuardLook:
    def test_before_and_after(self, checked):
        """
        A guard's look is at the record it has read, then at the one it has written.
        """
        with checked.try_check() as check:
            before = check.look()
            checked.snooze(NOON)
            assert before.record == check.look().record
            check.commit(b"newer", consent=Consent("uv"), now=NOON)
            after = check.look()

        assert (1, 2) == tuple(look.information.generation for look in (before, after))
        assert (Consent("uv"), NOON) == (after.consent, after.information.snoozed_until)
        assert b"newer" == after.kept_lockfile("new")
        assert checked.look().record == after.record == check.look().record

    def test_after_failure(self, checked):
        """
        After a failure it is at the record with the failure.
        """
        with pytest.raises(LookupError), checked.try_check() as check:
            raise LookupError

        assert 1 == check.look().information.failure.attempts
        assert checked.look().record == check.look().record

    def test_first(self, shop):
        """
        In the first check there is no record to look at.
        """
        with shop.try_check() as check:
            assert check.look().record is None


OPENS = """
import os, sys
from upgrade_state import StateStore
shop = StateStore(sys.argv[1]).environment(sys.argv[2], "uv.lock")
opened = []
sys.addaudithook(lambda name, args: name == "open" and opened.append(args[0]))
answer = {question}
print(answer)
name = os.path.basename(shop.record_path)
sys.stdout.write(str(sum(os.path.basename(str(path)) == name for path in opened)))
"""


class TestOpens:
    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            ("shop.claim_notice().reason", "told-recently"),
            ("shop.start_check(['true']).reason", "fresh"),
            ("[look.summary() for look in shop.store.looks()]", "['1 version change']"),
            (
                """[
                    (look.verdict().reason, look.freshness().reason, look.summary(),
                     look.missing, look.consent, look.lockfile_state,
                     look.kept_lockfile("new"), len(look.upgrades()))
                    for look in [shop.look()]
                ]""",
                """\
[('told-recently', 'fresh', '1 version change', None, None, 'checked', b'new', 1)]""",
            ),
        ],
        ids=["claim", "start", "looks", "look"],
    )
    def test_once(self, checked, question, answer):
        """
        A silent activation, and all questions to one look, open the record once.
        """
        commit(checked, upgrades=ROWS, now=None)
        assert checked.claim_notice()

        code = OPENS.format(question=question)
        assert f"{answer}\n1" == run_python(code, *place_of(checked))
