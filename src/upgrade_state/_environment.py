"""
The handles: a store of environments, and one environment in it.

An activation loads this module. So that a silent one costs next to nothing, it
imports at module level only modules that a bare interpreter has loaded, and
every other one on first use.
"""

import os
import sys

from upgrade_state import _look, _policy, _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Final, Literal

    from upgrade_state import _guard
    from upgrade_state._look import Look
    from upgrade_state._operations import Backend, Operations
    from upgrade_state._policy import Freshness, Verdict
    from upgrade_state._record import Record
    from upgrade_state.exceptions import UpgradeStateError
    from upgrade_state.lockfiles import Upgrade

CACHE_DIR_VARIABLE = "UPGRADE_STATE_CACHE_DIR"

_VERSION = "v1"
_NO_FILES = "No check starts automatically: with a database, the program makes them"


class StateStore:
    """
    The remembered state of a user's environments, in one cache directory.

    Creating one touches no file. If no cache directory can be determined (no
    home directory, a relative ``UPGRADE_STATE_CACHE_DIR``), an activation gets
    the reason ``unavailable`` and everything else raises `UpgradeStateError`.

    Args:
        cache_dir: Absolute path of the manager's own cache directory. It wins
            over ``UPGRADE_STATE_CACHE_DIR``, and that over ``upgrade-state`` in
            the user's cache directory. It need not exist; ``~`` is not expanded.
            For a program that stays, also the URL of a PostgreSQL database
            (``postgresql:///db?service=team``). Then there are no files:
            `EnvironmentState.start_check` is ``unavailable``, and the program
            makes its checks itself. Creating the store opens no connection.

    Raises:
        ValueError: *cache_dir* is relative, empty or contains a NUL character, or
            a URL contains a password or is none of a database.
        UpgradeStateError: The extra ``postgresql`` is not installed.
    """

    __slots__ = ("_backend", "_problem", "_root")

    def __init__(self, cache_dir: "str | os.PathLike[str] | None" = None) -> None:
        self._backend: Backend | None = None  # a store of files is made when needed
        self._problem: UpgradeStateError | None = None
        if cache_dir is not None:
            cache_dir = os.fspath(cache_dir)
            if not os.path.isabs(cache_dir) or "\0" in cache_dir:
                # No message repeats a URL, which may have a password.
                if str(cache_dir).startswith(("postgresql:", "postgres:")):
                    from upgrade_state._postgresql import _records

                    self._backend, self._root = _records.Backend(cache_dir), cache_dir
                    self._problem = _record.read_error(_NO_FILES, None)
                    return
                shown = cache_dir.partition("://")[0]
                raise ValueError(f"cache_dir must be an absolute path: {shown!r}")
        else:
            cache_dir = os.environ.get(CACHE_DIR_VARIABLE) or _user_cache_dir()
            if not cache_dir:
                message = "There is no home directory; set HOME or XDG_CACHE_HOME"
                self._problem = _record.read_error(message, None)
            elif not os.path.isabs(cache_dir):
                message = f"{CACHE_DIR_VARIABLE} is not an absolute path"
                self._problem = _record.read_error(message, cache_dir)
        self._root = os.path.join(cache_dir or "", _VERSION)

    def environment(
        self,
        directory: "str | bytes | os.PathLike[str] | os.PathLike[bytes]",
        lockfile_name: "str | None" = None,
        *,
        name: "str | None" = None,
    ) -> "EnvironmentState":
        """
        Return the handle of one environment. Nothing is read.

        The *directory* need not exist. It is identified by its canonical path
        (`os.path.realpath`) at this moment, so symlinks, trailing slashes and
        ``..`` do not matter; ``~`` is not expanded. On macOS an existing directory
        is opened to get its spelling on disk, so upper and lower case do not
        matter there.

        Args:
            directory: The environment's directory; a relative path starts at
                the working directory.

            lockfile_name: The name of its lockfile in that directory, or a
                path below it with forward slashes
                (``.flox/env/manifest.lock``). None: it has none.

            name: The environment's name, if one lockfile or one directory has
                several environments (pixi, Hatch, tox): each has a record of its
                own, with its own upgrades. 1 to 255 bytes in UTF-8. None: it has none.

        Raises:
            TypeError: *lockfile_name* or *name* is not text.
            ValueError: *directory* is empty or contains a NUL character,
                *lockfile_name* does not lead to a file below it, or *name* is
                empty, too long or contains a NUL character.
        """
        path = os.fsencode(directory)
        if not path or b"\0" in path:
            raise ValueError(f"not a directory's path: {directory!r}")
        is_file, is_name = _record.is_lockfile_name, _record.is_environment_name
        if lockfile_name is not None and not is_file(lockfile_name):
            lockfile_name = _record.plain(lockfile_name, "a lockfile's name", is_file)
        if name is not None and not is_name(name):
            name = _record.plain(name, "an environment's name", is_name)
        try:  # noqa: SIM105 - loading contextlib takes longer than an activation
            path = _spelling_on_disk(os.path.realpath(path))
        except OSError:  # it is relative, and the working directory was removed
            pass
        lockfile = None if lockfile_name is None else os.fsencode(lockfile_name)
        name_bytes = None
        if name is not None:
            name, name_bytes = _record.name_text(name), _record.path_bytes(name)
        key = _record.environment_key(path, lockfile, name_bytes)
        return EnvironmentState(self, key, os.fsdecode(path), lockfile_name, name)

    def __iter__(self) -> "Iterator[EnvironmentState]":
        """
        Stream every environment that has a record, in no particular order.

        The *path* of an environment is None if its record is corrupt or may not
        be read: the record is the only source of the path.

        Raises:
            StateReadError: The store cannot be read or is not trusted.
        """
        return (look.environment for look in self.looks())

    def looks(self) -> "Iterator[Look]":
        """
        Stream a look at every environment that has a record, in no order.

        Each record is read once. An environment's *path* is None if its record
        is corrupt or may not be read.

        Raises:
            StateReadError: The store cannot be read or is not trusted.
        """
        for key, record, trouble in self._open().records():
            yield _look.Look(
                self._found(key, record),
                record,
                is_corrupt=record is None and trouble is None,
                trouble=trouble,
            )

    def prune(
        self,
        *,
        older_than: "dt.timedelta | None" = None,
        dry_run: bool = False,
        now: "dt.datetime | None" = None,
    ) -> "tuple[EnvironmentState, ...]":
        """
        Forget environments that were removed, and delete files without a record.

        An environment is forgotten if its directory does not exist and its
        record was last written before *older_than*; a corrupt record, and one in a
        database, by its age alone. Files that a check or another writer uses at the
        moment are kept.

        Args:
            older_than: Age of a record since it was last written. None: 90 days.

            dry_run: Report the environments, and change nothing.

            now: Current time (aware). None: ask the clock.

        Returns:
            The environments that were, or would be, forgotten; *path* is None
            for files without a record.

        Raises:
            UpgradeStateError: An environment could not be read, locked or deleted;
                raised after all the others were forgotten.
            ValueError: *older_than* is negative, or *now* has no time zone.
        """
        return tuple(self._pruned(older_than, now, dry_run=dry_run))

    def _pruned(
        self,
        older_than: "dt.timedelta | None",
        now: "dt.datetime | None" = None,
        *,
        dry_run: bool,
    ) -> "Iterator[EnvironmentState]":
        """
        Prune, and stream the environments: a command prints them before an error.
        """
        age = _look.whole_seconds(older_than, 90 * _policy.DAY, "older_than")
        before = _look.epoch_seconds(now) - age
        forgotten = self._open().prune(before=before, dry_run=dry_run)
        return (self._found(key, record) for key, record in forgotten)

    def _found(self, key: str, record: "Record | None") -> "EnvironmentState":
        if record is None:
            return EnvironmentState(self, key, None, None, None)
        path, lockfile = _record.path_of(record["environment"]), record["lockfile"]
        lockfile = lockfile and _record.path_of(lockfile)
        name = record["name"] and _record.name_text(record["name"])
        return EnvironmentState(self, key, path, lockfile, name)

    def _place(self) -> str:
        """
        Return the directory ``v1``, which need not exist.

        Raises:
            StateReadError: No cache directory can be determined, or there is none.
        """
        if self._problem is not None:
            # Each time that it is raised, its traceback grows.
            raise self._problem.with_traceback(None)
        return self._root

    def _open(self) -> "Backend":
        """
        Return the back end. It touches no file.

        Raises:
            StateReadError: No cache directory can be determined.
        """
        if self._backend is not None:
            return self._backend
        from upgrade_state import _housekeeping

        return _housekeeping.FileStore(self._place())

    def _directories(self) -> "set[str]":
        """
        Return the directories that records name, at the cost of reading these.

        Nothing else is looked at: neither the directories, which may be on a disk that
        does not answer, nor the other fields.

        Raises:
            StateReadError: A record cannot be read, or the store is not trusted.
            OSError: The store cannot be listed.
        """
        root, found = self._place(), set()
        with os.scandir(root) as files:  # a list of names would delay an interrupt
            for file in files:
                if file.name.endswith(".json"):
                    data = _record.read_file(root, file.path, _record.MAX_SIZE)
                    # Not `valid`, which takes twice as long.
                    path = (_record.parse(data or b"") or {}).get("environment")
                    if type(path) is str and path.startswith("/"):
                        found.add(path)
        return found

    def __repr__(self) -> str:
        return f"<StateStore {self._root!r}>"


class EnvironmentState:
    """
    The remembered state of one environment. Made by `StateStore.environment`.

    A handle may be kept, and shared between threads. Nothing on disk makes
    `claim_notice`, `look` and `start_check` raise; every other method raises
    `UpgradeStateError` if a file or a lock cannot be used.

    A change that a method records is on disk when the call returns, unless the
    file system fails to sync a directory, which is logged at level debug.

    Attributes:
        key: 32 hex digits, the name of the environment's files in the store.

        path: The canonical path of its directory; None if the handle was found
            by a corrupt record.

        lockfile_name: The name of its lockfile below that directory; None if
            it has none.

        name: Its name, if its lockfile or its directory has several; None if it
            has none.

        store: The store that it is in.
    """

    __slots__ = (
        "_lockfile_path",
        "_parsed",
        "key",
        "lockfile_name",
        "name",
        "path",
        "store",
    )

    def __init__(
        self,
        store: "StateStore",
        key: str,
        path: "str | None",
        lockfile_name: "str | None",
        name: "str | None",
    ) -> None:
        self.store: Final = store
        self._parsed: tuple[bytes, Record | None] | None = None
        self._lockfile_path = lockfile_name and f"{path}/{lockfile_name}"
        self.key: Final = key
        self.path: Final = path
        self.lockfile_name: Final = lockfile_name
        self.name: Final = name

    @property
    def record_path(self) -> "str | None":
        """
        The file of its record, which need not exist. None if it is in a database.

        Raises:
            StateReadError: No cache directory can be determined.
        """
        if self.store._backend is not None:
            return None
        return _record.record_path(self.store._place(), self.key)

    @property
    def log_path(self) -> "str | None":
        """
        The log of the last check that `start_check` started; it need not exist.

        None if the record is in a database.

        Raises:
            StateReadError: No cache directory can be determined.
        """
        if self.store._backend is not None:
            return None
        return _record.log_path(self.store._place(), self.key)

    def look(
        self, lockfile: "bytes | None" = None, *, now: "dt.datetime | None" = None
    ) -> "Look":
        """
        Read the record once, for any number of questions. Nothing is recorded.

        Args:
            lockfile: The content of the current lockfile. None: read the file
                if an answer depends on it. If the last check was about bytes that
                the manager passed, and the environment has no lockfile's name, such
                an answer is ``unavailable``: only the manager has these bytes.

            now: Current time (aware), cut to whole seconds. None: ask the clock.

        Returns:
            The look. If the record cannot be read, its answers are
            ``unavailable`` and carry the error.

        Raises:
            TypeError: *lockfile* is not bytes.
            ValueError: *now* has no time zone.
        """
        _refuse_text(lockfile)
        try:
            seconds = None if now is None else _look.epoch_seconds(now)
            record, is_corrupt = self._read()
        except Exception as error:
            _look.carried(error)
            return _look.Look(self, None, trouble=error)
        return _look.Look(
            self, record, lockfile=lockfile, now=seconds, is_corrupt=is_corrupt
        )

    # For activations

    def claim_notice(
        self,
        lockfile: "bytes | None" = None,
        *,
        interval: "dt.timedelta | None" = None,
        reminder: "dt.timedelta | None" = None,
        platform: "str | None" = None,
        could_not_check: "dt.timedelta | None" = None,
        now: "dt.datetime | None" = None,
    ) -> "Verdict":
        """
        Claim the right to notify the user about upgrades.

        The claim is recorded before it is granted: of any number of concurrent
        activations at most one is granted per *interval*, and a crash in between
        costs one notice, never a repeat. It is on disk by then, unless the file
        system fails to sync a directory, which is logged at level debug.

        The same upgrades are announced once per *reminder*. A running check does
        not delay a claim. A silent answer takes no lock and writes nothing.

        Args:
            lockfile: See `look`.

            interval: Minimum time between two notices. None: a day. Zero: every
                activation speaks.

            reminder: Minimum time between two notices of the same upgrades, if
                longer than *interval*. None: a week, or zero if *interval* is
                zero. Zero: *interval* decides alone.

            platform: Count the upgrades for this platform, in the lockfile
                format's own word. None: for all platforms.

            could_not_check: Also speak, at most weekly, when checks have failed
                for at least this long, measured from the first failure after
                the last success to the latest one. None: never. Zero: from the
                first failure on.

            now: Current time (aware), cut to whole seconds. None: ask the clock,
                and ask it again once the write lock is taken.

        Returns:
            The verdict; true if the caller should speak now, and always with
            the reason. Nothing on disk makes it raise: ``unavailable`` carries
            the error, and nothing has changed then. A database that answers too
            late may have recorded the notice, which is lost then.

        Raises:
            TypeError: *lockfile* is not bytes.
            ValueError: A duration is negative or no timedelta, or *now* has no
                time zone.
        """
        look = self.look(lockfile, now=now)
        try:
            question = _look.question_of(
                self, interval, reminder, platform, could_not_check
            )
        except Exception as error:
            return _policy.Verdict("unavailable", error=_look.carried(error))
        return self._claim(look, question, now)

    def _claim(
        self,
        look: "Look",
        question: "_policy.Question",
        now: "dt.datetime | None" = None,
    ) -> "Verdict":
        verdict = look._verdict(question)
        if verdict:
            try:
                verdict = self._entry().claim(
                    look.record,
                    question,
                    verdict,
                    matches=look._matches,
                    now=None if now is None else look._now,
                )
            except Exception as error:
                verdict = _policy.Verdict("unavailable", error=_look.carried(error))
        _record.debug("claim_notice of %r: %s", self, verdict)
        return verdict

    def start_check(
        self,
        argv: "Sequence[str | bytes | os.PathLike[str] | os.PathLike[bytes]]",
        *,
        env: "Mapping[str, str] | None" = None,
        lockfile: "bytes | None" = None,
        max_age: "dt.timedelta | None" = None,
        now: "dt.datetime | None" = None,
    ) -> "Freshness":
        """
        Start a process that makes a check, if one is due. Does not wait for it.

        The process has to decide again under the check lock, since the lockfile
        or the record may change meanwhile. Of any number of simultaneous calls
        at most one starts a process, and none does while an earlier one runs.

        The process has a session of its own and outlives this process and its
        terminal. Its input and output are empty; the last 32 to 64 KiB of its
        stderr are kept in ``logs/<key>.log`` until the next start. It inherits
        only the environment variables; those in *env* override them, and
        ``UPGRADE_STATE_CACHE_DIR`` names this store. Its working directory is
        ``/``, so it blocks no unmount and imports nothing from the directory
        that the user entered.

        The call does not ask for consent. Resolving can run code of the project:
        a caller that runs when the user enters a directory starts no check if
        ``look().consent`` is None, as ``upgrade-state notify --check`` does.

        Args:
            argv: Program and arguments, without a shell. The program is looked
                up as a shell does, but not in relative entries of PATH. Other
                paths have to be absolute.

            env: Environment variables for the process, which override those of
                this process. None: no others.

            lockfile: See `look`.

            max_age: See `Look.freshness`.

            now: See `look`.

        Returns:
            The freshness; *due* is true if a process was started. Its *pid* is
            that of the process that keeps the log. It ends after the program,
            always with status 0, and ``os.waitpid(freshness.pid, 0)`` waits for
            it; without a wait, the next start in this process reaps it. Further
            reasons: ``busy``: a process runs; or one that was started in the last
            5 minutes has ended, and recorded nothing. ``switched-off``: by a
            variable. ``unavailable`` carries the error: nothing was started.

        Raises:
            TypeError: *argv* is one text, *env* contains something other than
                text, or *lockfile* is not bytes.
            ValueError: *argv* is empty or contains a NUL character, *env* contains
                no variable's name or a NUL character, the handle has no path,
                *max_age* is negative or no timedelta, or *now* has no time zone.
        """
        if isinstance(argv, str | bytes):
            raise TypeError("argv must be a list of arguments, not one text")
        command = [os.fsencode(argument) for argument in argv]
        if not command or not command[0] or b"\0" in b"".join(command):
            raise ValueError(f"not a program with its arguments: {argv!r}")
        if self.path is None:
            raise ValueError("an environment without a path cannot be checked")
        variables = None if env is None else _variables(env)

        def ask(look: "Look") -> "Freshness":
            return look.freshness(max_age=max_age)

        look = self.look(lockfile, now=now)
        return self._start(look, ask, command, variables, now=now)

    def _start(
        self,
        look: "Look",
        ask: "Callable[[Look], Freshness]",
        command: "list[bytes]",
        variables: "Mapping[str, str] | None" = None,
        *,
        now: "dt.datetime | None" = None,
    ) -> "Freshness":
        """
        Start *command* if *ask* finds a check due, and again under a lock.
        """
        freshness = ask(look)
        off = _look.switch()
        if off is not None:
            freshness = _policy.Freshness("switched-off", switch=off)

        def decide() -> "tuple[Freshness, Look]":
            again = self.look(look._content, now=now)
            return ask(again), again

        if freshness.due:
            try:
                root = self.store._place()
                self._refuse_relative()
                # The process opens the same store, wherever that is.
                place = {CACHE_DIR_VARIABLE: os.path.dirname(root)}
                more = {**(variables or {}), **place}
                from upgrade_state import _background

                freshness = _background.start(command, more, root, self.key, decide)
            except Exception as error:
                freshness = _policy.Freshness("unavailable", error=_look.carried(error))
        _record.debug(
            "start_check of %r: %s (process: %s)", self, freshness, freshness.pid
        )
        return freshness

    # For checks

    def try_check(
        self, lockfile: "bytes | None" = None
    ) -> "AbstractContextManager[_guard.CheckGuard | None]":
        """
        Begin an upgrade check, unless another process is making one.

        To be used in a `with` statement. An `Exception` that leaves the statement
        is recorded as the check's failure and propagates. `KeyboardInterrupt`, or
        leaving without a commit, changes nothing.

        In a database, the check has a lease of 15 minutes. A slower one is dropped
        if another check has begun after that.

        Args:
            lockfile: The content that the check is about. None: read the file
                once the lock is held; without a lockfile's name there is none.

        Returns:
            A context manager that gives the guard, or None if another process
            or thread is checking. It does not wait.

        Raises:
            StateReadError: On entering: the record cannot be read, or the
                lockfile, which is recorded as the check's failure.
            StateWriteError: On entering: the store's directories cannot be
                created, or are not trusted.
            StateLockError: On entering: the system refuses the lock.
            TypeError: *lockfile* is not bytes.
            UpgradeStateError: Right away: another library is too old.
            ValueError: The handle has no path.
        """
        from upgrade_state import _floors

        _floors.verify()
        from upgrade_state import _guard

        _refuse_text(lockfile)
        return _guard.checking(self, lockfile)

    def snooze(self, until: "dt.datetime | None") -> bool:
        """
        Give no notice *until* a time (aware, cut to whole seconds); None: end that.

        Returns:
            True if that is recorded; False if nothing is known of
            the environment: nothing was written.

        Raises:
            UpgradeStateError: It could not be recorded; nothing has changed.
            ValueError: *until* has no time zone or is before the year 1000.
        """
        text = None
        if until is not None:
            text = _record.text_of(_look.epoch_seconds(until, "until"))
        return self._entry().change({"snoozed_until": text})

    def expire(self) -> bool:
        """
        Make a check due, whenever the last one was made and however it ended.

        The result stays, and so do the consent and the time of the last notice.

        Returns:
            True if that is recorded; False if nothing is known of
            the environment: a check is due already.

        Raises:
            UpgradeStateError: It could not be recorded; nothing has changed.
        """
        return self._entry().change({"last_checked": None, "failure": None})

    def withdraw_consent(self) -> bool:
        """
        Let no check start automatically until the user gives consent again.

        A check that is running is not ended, and keeps its result.

        Returns:
            True if that is recorded; False if nothing is known of
            the environment: there is no consent.

        Raises:
            UpgradeStateError: It could not be recorded; nothing has changed.
        """
        return self._entry().change({"consent": None})

    def forget(self) -> bool:
        """
        Delete the record and every file that belongs to it.

        Returns:
            True if nothing is remembered any more. False if a check is running;
            nothing was deleted then.

        Raises:
            UpgradeStateError: A file could not be locked or deleted.
        """
        return self._entry().forget()

    # Files of the result

    def upgrades(self) -> "tuple[Upgrade, ...]":
        """
        Return the upgrades that the last check found: see `Look.upgrades`.
        """
        return self.look().upgrades()

    def kept_lockfile(self, which: 'Literal["old", "new"]') -> "bytes | None":
        """
        Return a lockfile of the last check, whole: see `Look.kept_lockfile`.
        """
        return self.look().kept_lockfile(which)

    def __repr__(self) -> str:
        name = "" if self.name is None else f" {self.name!r}"
        return f"<EnvironmentState {self.path!r} {self.lockfile_name!r}{name}>"

    def _read(self) -> "tuple[Record | None, bool]":
        """
        Return the record, and whether something invalid is in its place.

        It takes no lock: the record is replaced, never modified. Equal bytes are
        the same record, so a kept handle parses them once.
        """
        if self.store._backend is not None:
            return self.store._backend.entry(self.key).read(), False
        root = self.store._place()
        path = _record.record_path(root, self.key)
        data = _record.read_file(root, path, _record.MAX_SIZE)
        if data is None:
            return None, False
        parsed = self._parsed
        if parsed is None or parsed[0] != data:
            self._parsed = parsed = (data, _record.valid(data, self.key))
        return parsed[1], parsed[1] is None

    def _entry(self) -> "Operations":
        backend = self.store._open()
        self._refuse_relative()
        path, lockfile = (
            name and _record.path_text(name) for name in (self.path, self.lockfile_name)
        )
        identity = {"environment": path, "lockfile": lockfile, "name": self.name}
        return backend.entry(self.key, identity)

    def _refuse_relative(self) -> None:
        if self.path is not None and not os.path.isabs(self.path):
            message = "The working directory was removed"
            raise _record.read_error(message, self.path)


def preload() -> None:
    """
    Import every module that an operation of this library may import later.

    For a manager that is about to replace the environment it runs in: afterwards
    the modules that are not loaded yet are removed or of another version. Every
    method of this package, `upgrade_state.lockfiles` and `upgrade_state.checks`
    then works without the files of this library, except `start_check`: the process
    that it starts has to find the library, so it is ``unavailable`` until the files
    are back. Plugins (`Reader`, recipes of other distributions) and the command
    line are not imported, nor is psycopg: name a database before.

    It also serves a process that may run out of descriptors: a module that Python
    cannot read then raises Python's own OSError, except in an activation's calls,
    which answer ``unavailable``.
    """
    from upgrade_state import _preload

    _preload.load_all()


def _refuse_text(lockfile: "bytes | None") -> None:
    if lockfile is not None and not isinstance(lockfile, bytes):
        raise TypeError(f"lockfile must be bytes, not {type(lockfile).__name__}")


def _variables(env: "Mapping[str, str]") -> "dict[str, str]":
    """
    Return a copy of *env*; refuse names and values that no process can get.
    """
    variables = {**env}
    for name, value in variables.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError("env must have text as names and values")
        if not name or "=" in name or b"\0" in os.fsencode(name + value):
            raise ValueError(f"not an environment variable: {name!r}")
    return variables


def _spelling_on_disk(path: bytes) -> bytes:
    """
    Return *path* in the letters of the file system, if it exists and this is macOS.
    """
    if sys.platform == "darwin":  # its file systems ignore case, or may
        import fcntl

        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return path
        try:
            return fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0")
        except (AttributeError, OSError):  # a file system without paths, a test
            return path
        finally:
            os.close(fd)
    return path


def _user_cache_dir() -> "str | None":
    """
    Return this library's directory in the user's cache directory; None: no home.

    The rule is that of platformdirs 4.14, which is asked on Windows and Android
    only: loading it takes longer than a silent activation, and earlier ones take an
    empty HOME for the root directory and accept a relative one.
    """
    if sys.platform != "win32" and "ANDROID_ROOT" not in os.environ:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not base.startswith("/"):
            home = os.environ.get("HOME", "")
            if not home.startswith("/"):
                home = _home_of_account()
            below = "Library/Caches" if sys.platform == "darwin" else ".cache"
            base = home and f"{home.rstrip('/')}/{below}"
        return os.path.join(base, "upgrade-state") if base else None
    from upgrade_state import _files

    return _files.user_cache_dir()


def _home_of_account() -> str:
    """
    Return the user's home directory by the system's list of users; "" if not in it.
    """
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""
