"""
The handles: a store of environments, and one environment in it.

What an activation asks is answered here; the rest is handed to `_store`. So
that an activation that stays silent costs next to nothing, this module imports
at module level only what a bare interpreter has loaded, and what it needs
beyond that when it is needed.
"""

import os
import sys
import time

from upgrade_state import _policy, _record

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Final, Literal, TypeVar

    from upgrade_state import _background, _guard, _lockfile, _store
    from upgrade_state._model import UpgradeInformation
    from upgrade_state._policy import Freshness, Verdict
    from upgrade_state._record import Record
    from upgrade_state.exceptions import UpgradeStateError
    from upgrade_state.lockfiles import Upgrade

    _T = TypeVar("_T")

CACHE_DIR_VARIABLE = "UPGRADE_STATE_CACHE_DIR"

# The second is the word of npm's update-notifier, the third that of CI services.
SWITCHES = ("UPGRADE_STATE_DISABLE", "NO_UPDATE_NOTIFIER", "CI")

_VERSION = "v1"


class StateStore:
    """
    The remembered state of a user's environments, in one cache directory.

    Making one touches no file. Where no cache directory can be determined (no
    home directory, a relative ``UPGRADE_STATE_CACHE_DIR``), an activation gets
    the reason ``unavailable`` and everything else raises `UpgradeStateError`.

    Args:
        cache_dir: Absolute path of a place of the manager's own. It wins over
            ``UPGRADE_STATE_CACHE_DIR``, and that over ``upgrade-state`` in the
            user's cache directory. It need not exist; `~` is not expanded.

    Raises:
        ValueError: *cache_dir* is relative, empty or contains a NUL character.
    """

    __slots__ = ("_problem", "_root")

    def __init__(self, cache_dir: "str | os.PathLike[str] | None" = None) -> None:
        self._problem: UpgradeStateError | None = None
        if cache_dir is not None:
            cache_dir = os.fspath(cache_dir)
            if not os.path.isabs(cache_dir) or "\0" in cache_dir:
                raise ValueError(f"cache_dir must be an absolute path: {cache_dir!r}")
        else:
            cache_dir = self._default()
        self._root = os.path.join(cache_dir, _VERSION)

    def _default(self) -> str:
        cache_dir = os.environ.get(CACHE_DIR_VARIABLE) or _user_cache_dir()
        if os.path.isabs(cache_dir):
            return cache_dir
        from upgrade_state.exceptions import StateReadError  # noqa: PLC0415 - rare

        if cache_dir:
            message = f"{CACHE_DIR_VARIABLE} is not an absolute path"
            self._problem = StateReadError(message, cache_dir)
        else:
            message = "There is no home directory; set HOME or XDG_CACHE_HOME"
            self._problem = StateReadError(message, None)
        return cache_dir

    def environment(
        self,
        directory: "str | bytes | os.PathLike[str] | os.PathLike[bytes]",
        lockfile_name: "str | None" = None,
    ) -> "EnvironmentState":
        """
        Return the handle of one environment.

        No file is opened. The *directory* need not exist: it goes by its
        canonical path (`os.path.realpath`) at this moment, so symlinks, trailing
        slashes and ``..`` do not matter; `~` is not expanded.

        Args:
            directory: The environment's directory; a relative path starts at
                the working directory.

            lockfile_name: The name of its lockfile in that directory, or a
                path below it with forward slashes
                (``.flox/env/manifest.lock``). None: it has none.

        Raises:
            ValueError: *directory* is empty or contains a NUL character,
                or *lockfile_name* does not lead to a file below it.
        """
        path = os.fsencode(directory)
        if not path or b"\0" in path:
            raise ValueError(f"not a directory's path: {directory!r}")
        name = None
        if lockfile_name is not None:
            if not _record.is_lockfile_name(lockfile_name):
                raise ValueError(f"not a lockfile's name: {lockfile_name!r}")
            name = os.fsencode(lockfile_name)
        try:  # noqa: SIM105 - loading contextlib takes longer than an activation
            path = os.path.realpath(path)
        except OSError:  # it is relative, and the working directory is gone
            pass
        key = _record.environment_key(path, name)
        return EnvironmentState(self, key, os.fsdecode(path), lockfile_name)

    def __iter__(self) -> "Iterator[EnvironmentState]":
        """
        Stream every environment that has a record, in no particular order.

        A record that is corrupt or may not be read comes with *path* None:
        it cannot be told which environment it belonged to.

        Raises:
            StateReadError: The store cannot be read or is not to be believed.
        """
        from upgrade_state import _housekeeping  # noqa: PLC0415 - see the top

        for key, record in _housekeeping.records(self.place()):
            yield self._known(key, record)

    def prune(
        self,
        *,
        older_than: "dt.timedelta | None" = None,
        dry_run: bool = False,
        now: "dt.datetime | None" = None,
    ) -> "tuple[EnvironmentState, ...]":
        """
        Forget environments that are gone, and remove what no record names.

        An environment is gone if its directory is, and if its record was last
        written before *older_than*; a corrupt record is gone by age alone.
        What is being checked or written at the moment is left alone.

        Args:
            older_than: Age of a record since it was last written. None: 90 days.

            dry_run: Tell what would go, and change nothing.

            now: Current time (aware). None: ask the clock.

        Returns:
            What went, or would; *path* is None for leftovers without a record.

        Raises:
            UpgradeStateError: Something could not be read, locked or removed;
                what was removed by then stays so.
            ValueError: *older_than* is negative, or *now* has no time zone.
        """
        from upgrade_state import _housekeeping  # noqa: PLC0415 - see the top

        before = _second(now) - _seconds(older_than, 90 * _policy.DAY, "older_than")
        gone = _housekeeping.prune(self.place(), before=before, dry_run=dry_run)
        return tuple(self._known(key, record) for key, record in gone)

    def _known(self, key: str, record: "Record | None") -> "EnvironmentState":
        if record is None:
            return EnvironmentState(self, key, None, None)
        path = os.fsdecode(_record.path_bytes(record["environment"]))
        lockfile = record["lockfile"]
        if lockfile is not None:
            lockfile = os.fsdecode(_record.path_bytes(lockfile))
        return EnvironmentState(self, key, path, lockfile)

    def place(self) -> str:
        """
        Return the directory ``v1`` that all is in; it need not exist.

        Raises:
            StateReadError: No cache directory can be determined.
        """
        if self._problem is not None:
            raise self._problem
        return self._root

    def __repr__(self) -> str:
        return f"<StateStore {self._root!r}>"


class EnvironmentState:
    """
    What is remembered of one environment. Made by `StateStore.environment`.

    A handle may be kept, and shared between threads. Nothing on disk makes
    `claim_notice`, `verdict`, `freshness` and `start_check` raise; everything
    else raises `UpgradeStateError` where files or locks refuse.

    Attributes:
        key: 32 hex digits: the name of its files.

        path: The canonical path of its directory; None where the record that
            it was found by is corrupt.

        lockfile_name: The name of its lockfile below that directory; None if
            it has none.

        store: The store that it is in.
    """

    __slots__ = ("_lockfile_path", "_seen", "key", "lockfile_name", "path", "store")

    def __init__(
        self,
        store: "StateStore",
        key: str,
        path: "str | None",
        lockfile_name: "str | None",
    ) -> None:
        self.store: Final = store
        self._seen: tuple[bytes, Record | None] | None = None
        self._lockfile_path = lockfile_name and f"{path}/{lockfile_name}"
        self.key: Final = key
        self.path: Final = path
        self.lockfile_name: Final = lockfile_name

    @property
    def record_path(self) -> str:
        """
        The file of its record, which need not exist.

        Raises:
            StateReadError: No cache directory can be determined.
        """
        return _record.record_path(self.store.place(), self.key)

    # For activations

    def claim_notice(
        self,
        lockfile: "bytes | None" = None,
        *,
        interval: "dt.timedelta | None" = None,
        platform: "str | None" = None,
        could_not_check: "dt.timedelta | None" = None,
        now: "dt.datetime | None" = None,
    ) -> "Verdict":
        """
        Claim the right to tell the user about upgrades.

        The claim is recorded, and on disk, before it is granted: of any number
        of concurrent activations at most one is told to speak per *interval*,
        and a crash in between costs one notice, never a repeat. A running check
        does not delay it. A silent answer takes no lock and writes nothing.

        Args:
            lockfile: The content of the current lockfile. None: read the file,
                if it comes to that.

            interval: Minimum time between two notices. None: a day. Zero: every
                activation speaks.

            platform: Count the upgrades for this platform, in the lockfile
                format's own word. None: for all platforms.

            could_not_check: Claim to tell that checks fail, too, once a week,
                where they have done so for that long: from the first failure
                since the last success to the last one. None: never. Zero: from
                the first failure on.

            now: Current time (aware), cut to whole seconds. None: ask the clock.

        Returns:
            The verdict; true if the caller should speak now, and always with
            the reason. What is on disk cannot make it raise: ``unavailable``
            carries the error.

        Raises:
            TypeError: *lockfile* is not bytes.
            ValueError: *interval* or *could_not_check* is negative or no
                timedelta, or *now* has no time zone.
        """
        failing = None  # without a call: this is the path of every activation
        if could_not_check is not None:
            try:
                failing = _seconds(could_not_check, None, "could_not_check")
            except OSError:  # nothing can be loaded any more
                return _policy.Verdict("unavailable")
        return self._claim(lockfile, interval, platform, failing, now)

    def _claim(
        self,
        lockfile: "bytes | None",
        interval: "dt.timedelta | None",
        platform: "str | None",
        could_not_check: "int | None",
        now: "dt.datetime | None",
    ) -> "Verdict":
        """
        Claim; *could_not_check* in seconds, for who cannot afford a timedelta.
        """
        try:
            seen, asked = self._look(lockfile, interval, platform, could_not_check, now)
            verdict = _policy.verdict(seen, **asked)
            if not verdict:
                return verdict
            from upgrade_state import _store  # noqa: PLC0415 - see the top

            return _store.claim(self._entry(), seen, asked, verdict)
        except _troubles() as error:
            return _policy.Verdict("unavailable", error=_ours(error))

    def verdict(
        self,
        lockfile: "bytes | None" = None,
        *,
        interval: "dt.timedelta | None" = None,
        platform: "str | None" = None,
        could_not_check: "dt.timedelta | None" = None,
        now: "dt.datetime | None" = None,
    ) -> "Verdict":
        """
        Answer like `claim_notice`, but record nothing.

        Arguments, answers and errors are the same. Who speaks on this answer may
        repeat what another process has said.
        """
        try:
            failing = _seconds(could_not_check, None, "could_not_check")
            seen, asked = self._look(lockfile, interval, platform, failing, now)
            return _policy.verdict(seen, **asked)
        except _troubles() as error:
            return _policy.Verdict("unavailable", error=_ours(error))

    def freshness(
        self,
        lockfile: "bytes | None" = None,
        *,
        max_age: "dt.timedelta | None" = None,
        now: "dt.datetime | None" = None,
    ) -> "Freshness":
        """
        Tell whether a check is due, and why (not).

        Args:
            lockfile: The content of the current lockfile. None: read the file,
                if it comes to that.

            max_age: For how long a check is good. None: a day. Zero: not at all.

            now: Current time (aware), cut to whole seconds. None: ask the clock.

        Returns:
            The answer, with the reason. What is on disk cannot make it raise:
            ``unavailable`` carries the error, and nothing is due then.

        Raises:
            TypeError: *lockfile* is not bytes.
            ValueError: *max_age* is negative or no timedelta, or *now* has no
                time zone.
        """
        try:
            return self._look_at_check(lockfile, max_age, now)()[0]
        except _troubles() as error:
            return _policy.Freshness("unavailable", error=_ours(error))

    def start_check(
        self,
        argv: "Sequence[str | bytes | os.PathLike[str] | os.PathLike[bytes]]",
        *,
        lockfile: "bytes | None" = None,
        max_age: "dt.timedelta | None" = None,
        now: "dt.datetime | None" = None,
    ) -> "Freshness":
        """
        Start a process that makes a check, if one is due. Does not wait for it.

        The process has to decide again under the check lock, since the lockfile
        or the record may change meanwhile. However many ask at once, one process
        is started at most, and none while an earlier one runs.

        It has a session of its own and outlives this process and its terminal;
        its input and output are empty. The last 32 to 64 KiB that it writes to
        stderr are kept in ``logs/<key>.log`` until the next start. Nothing is
        inherited but the environment variables, where ``UPGRADE_STATE_CACHE_DIR``
        names this store. It runs in the root directory, so that it keeps no
        other busy and imports nothing from one that was merely entered.

        This asks whether a check is due, not whether the user wants one: whoever
        calls it because a directory was merely *entered* has to ask first whether
        ``read().recipe`` names something, as ``upgrade-state notify --check``
        does. Resolving can run code of the project.

        Args:
            argv: Program and arguments, without a shell. The program is looked
                for as a shell does, but nowhere relative in PATH. Other paths
                have to be absolute.

            lockfile: See `freshness`.

            max_age: See `freshness`.

            now: See `freshness`.

        Returns:
            The freshness; *due* is true if a process was started. Reasons
            besides its usual ones: ``busy``: one runs, or was just started;
            ``switched-off``: by a variable. ``unavailable`` carries the error:
            nothing was started.

        Raises:
            TypeError: *argv* is one text, or *lockfile* is not bytes.
            ValueError: *argv* is empty or contains a NUL character, the handle
                has no path, *max_age* is negative or no timedelta, or *now* has
                no time zone.
        """
        words = _arguments(argv)
        if self.path is None:
            raise ValueError("an environment without a path cannot be checked")
        try:
            look = self._look_at_check(lockfile, max_age, now)
            off = switch()
            if off is not None:
                return _policy.Freshness("switched-off", switch=off)
            freshness = look()[0]
            if not freshness.due:
                return freshness
            self._must_be_absolute(self.path)
            from upgrade_state import _background  # noqa: PLC0415 - see the top

            root = self.store.place()
            # The process opens the same store, wherever that is.
            environ = os.environ | {CACHE_DIR_VARIABLE: os.path.dirname(root)}
            return _background.start(words, environ, root, self.key, look)
        except _troubles() as error:
            return _policy.Freshness("unavailable", error=_ours(error))

    # For checks

    def try_check(
        self, lockfile: "bytes | None" = None
    ) -> "AbstractContextManager[_guard.CheckGuard | None]":
        """
        Begin an upgrade check, unless another process is making one.

        To be used in a `with` statement. An `Exception` that leaves it is
        remembered as the failure of the check and goes on;
        `KeyboardInterrupt`, or leaving without a commit, changes nothing.

        Args:
            lockfile: The content that the check is about. None: read the file
                once the lock is held.

        Returns:
            A context manager that gives the guard, or None where another
            process or thread is checking. It does not wait.

        Raises:
            StateReadError: On entering: the record cannot be read, or the
                lockfile, which is remembered as the failure of the check.
            StateWriteError: On entering: the store's directories cannot be
                made, or are not to be trusted.
            StateLockError: On entering: the system refuses the lock.
            TypeError: *lockfile* is not bytes.
            ValueError: The handle has no path.
        """
        from upgrade_state import _guard  # noqa: PLC0415 - see the top

        self._matches(lockfile)
        return _guard.checking(self._entry(), self._lockfile_path, lockfile)

    def snooze(self, until: "dt.datetime | None") -> bool:
        """
        Keep silent *until* a time (aware, cut to whole seconds); None: no longer.

        Returns:
            True if that is recorded and on disk; False if nothing is known of
            the environment, so that there is nothing to be silent about.

        Raises:
            UpgradeStateError: It could not be recorded; nothing has changed.
            ValueError: *until* has no time zone or is before the year 1000.
        """
        from upgrade_state import _store  # noqa: PLC0415 - see the top

        seconds = None if until is None else _second(until, "until")
        return _store.snooze(self._entry(), seconds)

    def expire(self) -> bool:
        """
        Make a check due, whatever was checked or has failed by now.

        What was found stays, as do the recipe and when the user was told.

        Returns:
            True if that is recorded and on disk; False if nothing is known of
            the environment, so that a check is due anyway.

        Raises:
            UpgradeStateError: It could not be recorded; nothing has changed.
        """
        from upgrade_state import _store  # noqa: PLC0415 - see the top

        return _store.expire(self._entry())

    def forget(self) -> bool:
        """
        Remove the record and all that belongs to it.

        Returns:
            True if nothing is remembered any more; False if a check is running,
            which keeps everything.

        Raises:
            UpgradeStateError: Something could not be locked or removed.
        """
        from upgrade_state import _store  # noqa: PLC0415 - see the top

        return _store.forget(self._entry())

    # For the curious

    def read(self) -> "UpgradeInformation | None":
        """
        Return what is remembered; None for nothing, and for a corrupt record.

        Raises:
            StateReadError: There is a record that cannot be read.
        """
        from upgrade_state import _codec  # noqa: PLC0415 - see the top

        record = self._record()
        return None if record is None else _codec.information(record)

    def upgrades(self) -> "tuple[Upgrade, ...]":
        """
        Return what the last successful check would change, row by row.

        Empty where nothing is known or only digests could be compared.

        Raises:
            StateReadError: The record or the list cannot be read, or the list
                is damaged.
        """
        from upgrade_state import _store  # noqa: PLC0415 - see the top

        return _store.upgrades(self._entry())

    def kept_lockfile(self, which: "Literal['old', 'new']") -> "bytes | None":
        """
        Return a lockfile of the last successful check, whole.

        Args:
            which: "old": the one that was checked; "new": the one that the
                upgrade would lead to.

        Returns:
            None where nothing is known, or there was no old lockfile.

        Raises:
            StateReadError: It cannot be read, or is damaged.
            ValueError: *which* is neither.
        """
        from upgrade_state import _store  # noqa: PLC0415 - see the top

        if which not in ("old", "new"):
            raise ValueError(f"which must be 'old' or 'new', not {which!r}")
        return _store.kept(self._entry(), f"{which}_lockfile")

    def __repr__(self) -> str:
        return f"<EnvironmentState {self.path!r} {self.lockfile_name!r}>"

    def _record(self) -> "Record | None":
        """
        Read the record, without a lock: it is replaced, never modified.

        The same bytes mean the same record, so they are looked at only once.
        """
        root = self.store.place()
        path = _record.record_path(root, self.key)
        data = _record.read_file(root, path, _record.MAX_SIZE)
        if data is None:
            return None
        seen = self._seen
        if seen is None or seen[0] != data:
            self._seen = seen = (data, _record.valid(data, self.key))
        return seen[1]

    def _look(
        self,
        lockfile: "bytes | None",
        interval: "dt.timedelta | None",
        platform: "str | None",
        could_not_check: "int | None",
        now: "dt.datetime | None",
    ) -> "tuple[Record | None, dict[str, Any]]":
        """
        Read the record, and collect what else a verdict is made of.
        """
        asked = {
            "matches": self._matches(lockfile),
            "interval": _seconds(interval, _policy.DAY, "interval"),
            "platform": platform,
            "now": None if now is None else _second(now),
            "switch": switch(),
            "directory": self.path or "",
            "could_not_check": could_not_check,
        }
        record = self._record()
        # Not earlier: what is read would be from the future where this process
        # was stopped in between.
        if now is None:
            asked["now"] = _second(None)
        return record, asked

    def _look_at_check(
        self,
        lockfile: "bytes | None",
        max_age: "dt.timedelta | None",
        now: "dt.datetime | None",
    ) -> "_background.Look":
        """
        Make the function that tells whether a check is due, each time anew.
        """
        matches = self._matches(lockfile)
        age = _seconds(max_age, _policy.DAY, "max_age")
        given = None if now is None else _second(now)

        def look() -> "tuple[Freshness, Record | None, int]":
            record = self._record()
            # Not earlier: see `_look`.
            at = _second(None) if given is None else given
            freshness = _policy.freshness(
                record, matches=matches, max_age=age, now=at, key=self.key
            )
            return freshness, record, at

        return look

    def _matches(self, content: "bytes | None") -> "_policy.Matches":
        """
        Make the test whether the current lockfile is a recorded one.
        """
        if content is not None and not isinstance(content, bytes):
            raise TypeError(f"lockfile must be bytes, not {type(content).__name__}")
        current: _lockfile.CurrentLockfile | None = None

        def matches(recorded: "Mapping[str, Any] | None") -> bool:
            nonlocal current
            if current is None:
                from upgrade_state import _lockfile  # noqa: PLC0415 - see the top

                current = _lockfile.CurrentLockfile(self._lockfile_path, content)
            return current.matches(recorded)

        return matches

    def _entry(self) -> "_store.Entry":
        from upgrade_state import _store  # noqa: PLC0415 - see the top

        root = self.store.place()
        if self.path is None:
            return _store.Entry(root, self.key, None, None)
        self._must_be_absolute(self.path)
        environment = _record.path_text(os.fsencode(self.path))
        lockfile = self.lockfile_name
        if lockfile is not None:
            lockfile = _record.path_text(os.fsencode(lockfile))
        return _store.Entry(root, self.key, environment, lockfile)

    @staticmethod
    def _must_be_absolute(path: str) -> None:
        if not os.path.isabs(path):
            from upgrade_state.exceptions import StateReadError  # noqa: PLC0415 - rare

            raise StateReadError("The working directory is gone", path)


def preload() -> None:
    """
    Import everything that any operation of this library may need later.

    For a manager that is about to replace the environment it runs in: after
    that, modules that were not loaded yet are gone or of another version.
    """
    from upgrade_state import _preload  # noqa: PLC0415 - see the top

    _preload.load_all()


def _troubles() -> "tuple[type[OSError | UpgradeStateError], ...]":
    """
    Return the errors that an answer carries; asked for only while one is under way.
    """
    # With too many open files, nothing can be loaded any more.
    try:
        from upgrade_state.exceptions import (  # noqa: PLC0415 - see above
            UpgradeStateError,
        )
    except OSError:
        return (OSError,)
    return OSError, UpgradeStateError


def _ours(error: "OSError | UpgradeStateError") -> "UpgradeStateError | None":
    return None if isinstance(error, OSError) else error


def recipe_of(environment: EnvironmentState) -> "str | None":
    """
    Return the recipe that the record names: its user ran it on purpose.

    None where no check may start by itself: also where nothing can be read.
    """
    record = record_of(environment)
    return None if record is None else record["recipe"]


def is_known(environment: EnvironmentState) -> bool:
    """
    Tell whether there is a record that can be read.
    """
    return record_of(environment) is not None


def record_of(environment: EnvironmentState) -> "Record | None":
    """
    Return the record; None for nothing, and where nothing can be read.
    """
    try:
        return environment._record()  # noqa: SLF001 - a friend
    except _troubles():
        return None


def switch() -> "str | None":
    """
    Return the environment variable that silences, if one is set.
    """
    environ = os.environ
    for name in SWITCHES:
        if name in environ and environ[name].lower() not in ("", "0", "false"):
            return name
    return None


def _arguments(
    argv: "Sequence[str | bytes | os.PathLike[str] | os.PathLike[bytes]]",
) -> "list[bytes]":
    if isinstance(argv, str | bytes):
        raise TypeError("argv must be a list of arguments, not one text")
    words = [os.fsencode(word) for word in argv]
    if not words or not words[0] or b"\0" in b"".join(words):
        raise ValueError(f"not a program with its arguments: {argv!r}")
    return words


def _seconds(duration: "dt.timedelta | None", default: "_T", name: str) -> "int | _T":
    if duration is None:
        return default
    from upgrade_state import _durations  # noqa: PLC0415 - see the top

    return _durations.seconds_of(duration, name)


def _second(moment: "dt.datetime | None", name: str = "now") -> int:
    if moment is None:
        return int(time.time())
    from upgrade_state import _durations  # noqa: PLC0415 - see the top

    return _durations.second_of(moment, name)


def _user_cache_dir() -> str:
    """
    Return this library's directory in the user's cache directory; "" for none.

    The rule is platformdirs'; of its simple cases, which are nearly all, the
    answer is given here, since loading it takes longer than a silent activation.
    """
    if sys.platform in ("linux", "darwin") and "ANDROID_ROOT" not in os.environ:
        base = os.environ.get("XDG_CACHE_HOME", "")
        home = os.environ.get("HOME", "")
        if not base.startswith("/") and home.startswith("/"):
            below = ".cache" if sys.platform == "linux" else "Library/Caches"
            base = f"{home.rstrip('/')}/{below}"
        if base.startswith("/"):
            return os.path.join(base, "upgrade-state")
    from upgrade_state import _files  # noqa: PLC0415 - see the top

    return _files.user_cache_dir()
