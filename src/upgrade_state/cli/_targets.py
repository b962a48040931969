"""
Turn the arguments of a command into environments.

An activation loads this module, so it imports at module level only modules that
a bare interpreter has loaded.
"""

import os

from upgrade_state import lockfiles

TYPE_CHECKING = False  # typing takes longer to load than this whole module
if TYPE_CHECKING:
    from collections.abc import Iterator

    from upgrade_state import EnvironmentState, Look, StateStore
    from upgrade_state.checks import Result

# Lockfiles that lie below their environment's directory.
_BELOW = tuple(name for name in lockfiles.names() if "/" in name)

# By the value of HOME: `list` asks thrice for each environment.
_homes: "dict[str, str]" = {}

SEE_LIST = "Run 'upgrade-state list' to see the environments that are known."


class UsageError(Exception):
    """
    The command line cannot be understood.

    Attributes:
        hint: The command that helps; None: there is none.

        status: The exit status.
    """

    def __init__(
        self, message: str, hint: "str | None" = None, status: int = 2
    ) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status


class Target:
    """
    The environments that a command is about.

    Attributes:
        store: The store of their records.

        env: A directory or a lockfile. None: the nearest directory, from the
            current one upward, of which something is known.

        lockfile: The name of the lockfile in the directory. None: every known
            name.

        name: The environment's name, if the lockfile or the directory has several.
            None: that of no environment, or of every known one.

        where: *env*, or the current directory.
    """

    def __init__(
        self,
        store: "StateStore",
        env: "str | None" = None,
        lockfile: "str | None" = None,
        name: "str | None" = None,
    ) -> None:
        self.store = store
        self.env = env
        self.lockfile = lockfile
        self.name = name
        self.where = "." if env is None else env

    def present(self, where: "str | None" = None) -> "list[EnvironmentState]":
        """
        Return the environments whose lockfiles exist or are named.

        Args:
            where: A directory in place of *env*; None: *env*.

        Raises:
            UsageError: *env* is a lockfile and another one is named, or one of
                them is not a usable path.
        """
        directory, file = split(where or self.where)
        if file is not None and self.lockfile is not None:
            raise UsageError(f"this is a lockfile already: {self.env!r}")
        file = self.lockfile if file is None else file
        files = lockfiles_in(directory) if file is None else [file]
        return [self.environment_in(directory, file) for file in files]

    def environment_in(
        self, directory: str, lockfile: "str | None" = None
    ) -> "EnvironmentState":
        """
        Return the environment with the target's name in a directory.

        Raises:
            UsageError: The lockfile or the name is not usable.
        """
        try:
            return self.store.environment(directory, lockfile, name=self.name)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def to_notify_of(self) -> "list[Look]":
        """
        Return looks at the environments that a notice may be about; at least one.

        They are those of `known` whose lockfiles exist. Above the current directory,
        one of them has a name without a pattern: reading each directory would delay
        an activation.
        """
        looks = [environment.look() for environment in self.present()]
        if self.name is not None and self.lockfile is None:  # it may have none
            looks.append(self.environment_in(split(self.where)[0]).look())
        if self.env is None and not any(look.record for look in looks):
            names = lockfiles.names() if self.lockfile is None else (self.lockfile,)
            for place in [*upward(".")][1:]:
                if any(os.path.isfile(f"{place}/{name}") for name in names):
                    found = [state.look() for state in self.present(place)]
                    if any(look.record for look in found):
                        return found
        return looks or [self.environment_in(split(self.where)[0]).look()]

    def known(self) -> "list[Look]":
        """
        Return looks at the environments that are present or recorded; at least one.

        Lockfiles of other names, removed ones, and environments with names may have
        been checked. So all records of the store are read, each once, unless lockfile
        and name are given.

        Raises:
            StateReadError: The store cannot be read or is not trusted.
            UsageError: See `present`.
        """
        directory, file = split(self.where)
        file = self.lockfile if file is None else file
        if None not in (self.env, file, self.name):
            return self._existing([state.look() for state in self.present()])
        places = list(upward(".")) if self.env is None else [directory]
        paths = {None, *(self.store.environment(place).path for place in places)}
        # A corrupt record does not contain its path, but it has the key.
        looks = [look for look in self.store.looks() if look.environment.path in paths]
        looks.sort(key=lambda look: place_of(look.environment))
        recorded = {look.environment.key: look for look in looks}

        def at(place: str) -> "dict[str, EnvironmentState]":
            bare = self.environment_in(place)
            asked = place if self.env is None else self.env
            found = {e.key: e for e in self.present(asked)}
            shared = set()
            for key, look in recorded.items():
                this = look.environment
                is_here = this.path == bare.path or key == bare.key
                is_file = file in (None, this.lockfile_name)
                if is_here and is_file and self.name in (None, this.name):
                    found.setdefault(key, this)
                    shared |= {this.lockfile_name} if this.name else set()
            # A lockfile that was checked for each of its environments is not new.
            for key in found.keys() - recorded.keys():
                if found[key].lockfile_name in shared:
                    del found[key]
            return found or {bare.key: bare}

        known_at = (found for found in map(at, places) if found.keys() & recorded)
        looks = []
        for environment in (next(known_at, None) or at(places[0])).values():
            known = recorded.get(environment.key)
            is_same = known and known.environment.path == environment.path
            looks.append(known if known and is_same else environment.look())
        return self._existing(looks)

    def _existing(self, looks: "list[Look]") -> "list[Look]":
        """
        Return *looks*, unless the path does not exist and nothing is known of it.
        """
        is_there = self.env is None or os.path.lexists(self.env)
        if is_there or any(map(is_recorded, looks)):
            return looks
        raise self.no_such()

    def is_alone(self, looks: "list[Look]") -> "bool | None":
        """
        Return whether one environment is known here; None: it is named.

        Args:
            looks: The answer of `known`.
        """
        named = self.lockfile, self.name, split(self.where)[1]
        if named != (None, None, None):
            return None
        return sum(map(is_recorded, looks)) == 1

    def nearest(self) -> "Target":
        """
        Return the nearest directory, upward, with a known lockfile; else the first one.

        That is this target if it is named. Above, directory and lockfiles belong to
        the user: resolving can run code of the project.
        """
        if self.env is None and self.lockfile is None:
            for place in upward("."):
                if names := lockfiles_in(place):
                    paths = [place, *(f"{place}/{name}" for name in names)]
                    if place != "." and not all(map(_is_own, paths)):
                        break
                    return Target(self.store, place, None, self.name)
        return Target(self.store, self.where, self.lockfile, self.name)

    def no_such(self, hint: "str | None" = SEE_LIST) -> UsageError:
        """
        Return the error that the path does not exist, with the command that helps.
        """
        return UsageError(f"there is no directory or lockfile {self.env!r}", hint)


def name_of(environment: "EnvironmentState | Result") -> str:
    """
    Return the directory, the lockfile's name and the environment's name.

    The key, if a corrupt record does not tell the directory.
    """
    if environment.path is None:
        return environment.key
    path, names = tilde(environment.path), (environment.lockfile_name, environment.name)
    text = ", ".join(name for name in names if name is not None)
    return f"{path} ({text})" if text else path


def place_of(environment: "EnvironmentState") -> tuple[str, str, str]:
    """
    Return the place of an environment among others, in the order of paths.
    """
    names = environment.lockfile_name, environment.name
    return environment.path or "", names[0] or "", names[1] or ""


def tilde(path: str) -> str:
    """
    Return *path* with ``~`` in place of the home directory.
    """
    name = os.environ.get("HOME") or "/"
    home = _homes.get(name) or _homes.setdefault(name, os.path.realpath(name))
    is_below = home != "/" and f"{path}/".startswith(f"{home}/")
    return f"~{path[len(home) :]}" if is_below else path


def shell_path(path: str) -> str:
    """
    Return *path* as an argument for a shell, also within quotes of a sentence.
    """
    import re
    import shlex

    if not path.isprintable():
        return shlex.quote(path)
    return re.sub(r"[^\w@%+=:,./~-]", r"\\\g<0>", tilde(path))


def is_recorded(look: "Look") -> bool:
    """
    Return whether the environment has a record, readable or not.
    """
    return look.record is not None or look.is_corrupt or look.error is not None


def upward(directory: str) -> "Iterator[str]":
    """
    Stream *directory* and those above it, as paths that start at *directory*.

    The last one is the home directory or, outside of it, the last one on the
    device of *directory*. No step leads up to a directory that is listed in
    `UPGRADE_STATE_CEILING`. The hook has the same rule.
    """
    yield directory
    home = _identity(os.environ.get("HOME", ""))
    above: list[tuple[str, tuple[int, ...]]] = []
    path, first = directory, _identity(directory)
    seen = first
    # A directory without permission has none above it, and the root is its own.
    while seen != home and (up := _identity(f"{path}/..")) not in ((), seen):
        path, seen = f"{path}/..", up
        above.append((path, seen))
    ceilings = os.environ.get("UPGRADE_STATE_CEILING", "").split(os.pathsep)
    stops = {_identity(ceiling) for ceiling in ceilings if os.path.isabs(ceiling)}
    for path, identity in above:
        if identity in stops or (seen != home and identity[0] != first[0]):
            return
        yield path


def _is_own(path: str) -> bool:
    return os.name == "nt" or os.stat(path).st_uid == os.geteuid()


def _identity(path: str) -> tuple[int, ...]:
    """
    Return device and inode; empty: there is no such file, or it may not be seen.
    """
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino


def split(where: str) -> "tuple[str, str | None]":
    """
    Return the directory and the lockfile's name; None for a directory.

    A path that does not exist is a lockfile if its name is known.

    Raises:
        UsageError: *where* is empty, or relative and the working directory was
            removed.
    """
    if not where:
        raise UsageError("a directory or a lockfile is needed, not ''")
    name = os.path.basename(where)
    is_known = lockfiles.format_of(where) is not None
    if os.path.isdir(where) or not (is_known or os.path.isfile(where)):
        return where, None
    directory = os.path.dirname(where) or "."
    try:
        real = os.path.realpath(directory)
    except OSError as error:
        message = f"the working directory is gone: {directory!r}"
        raise UsageError(message) from error
    # First as given: a symlink may be on the way to a lockfile below.
    for path in (where, f"{real}/{name}"):
        last_two = "/".join(path.split("/")[-2:])
        is_needed = lockfiles.format_of(name) is None and lockfiles.format_of(last_two)
        for below in (last_two,) if is_needed else _BELOW:
            if f"/{path}".endswith(f"/{below}"):
                return path[: -len(below)] or ".", below
    return directory, name


def lockfiles_in(directory: str) -> "list[str]":
    """
    Return the known lockfiles in *directory*, sorted, and those below it.
    """
    try:
        names = sorted(filter(lockfiles.format_of, os.listdir(directory)))
    except OSError:
        return []
    # A backslash is a separator on another system, and in no lockfile's name.
    return [
        name
        for name in (*names, *_BELOW)
        if "\\" not in name and os.path.isfile(f"{directory}/{name}")
    ]
