"""
What is known of lockfiles: packages, snapshots, and how two of them differ.

Nothing here knows any format, or that JSON exists.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol, get_args

from attrs import Attribute, field, frozen

Kind = Literal["version", "rebuild", "added", "removed"]


class Package(NamedTuple):
    """
    One package as a lockfile pins it.

    There are as many as a lockfile has entries, so it is made of what Python
    makes and compares fastest. All but name and version go by their names.

    Several packages may share one name: forks for different platforms, or
    builds of one version for different uses.

    Attributes:
        name:
            Name, as the lockfile spells it; those of Python packages as the
            index compares them (PEP 503).

        version: Version, whole; None: the lockfile has none.

        ecosystem:
            Whose names these are (``pypi``), in the words of package URLs
            where they have one; None: there is no word for it.

        platform: The format's own word for it; None: the lockfile is for all.

        environment:
            Named part of the lockfile; None: the format has no such parts.

        build:
            What tells two builds of one version apart. Only ever compared
            for equality; None: not known.

        builds:
            Builds of parts of the package, as pairs of part and build. What a
            part is, is the format's business: a platform, say. Parts that
            both sides have decide on a rebuild; without any, *build* does.

        direct:
            True: somebody asked for it by name. False: it came with
            something else. None: the lockfile does not say.

        local: The project itself, or a directory beside it.

        internal: Pinned by the manager for its own use; no package of anybody.
    """

    name: str
    version: str | None
    ecosystem: str | None = None
    platform: str | None = None
    environment: str | None = None
    build: str | None = None
    builds: tuple[tuple[str, str], ...] = ()
    direct: bool | None = None
    local: bool = False
    internal: bool = False


class Reader(Protocol):
    """
    What turns the bytes of a lockfile into packages: one function per format.

    Another distribution offers one as an entry point of the group
    ``upgrade_state.lock_readers``; its name is that of the format. It is used
    by whoever asks for that format.

    A reader may index and unpack as if all were well. AttributeError,
    LookupError, TypeError and ValueError mean that *content* is no such
    lockfile, which then is opaque as a whole: packages that were left out
    would count as removed. *content* is from anywhere: nothing of it is to be
    executed or fetched, and the time taken should grow with its length only.
    Those of other distributions never see content that is empty, larger than
    16 MiB, or has a byte order mark or merge conflicts.
    """

    def __call__(self, content: bytes, /) -> Iterable[Package]: ...


@frozen(kw_only=True)
class Snapshot:
    """
    A lockfile at one moment.

    Attributes:
        format: Name of the format; None: unknown, so *packages* is None.

        digest: Digest of the raw bytes, whatever the format.

        packages:
            All packages, in the lockfile's order; None: opaque, all that can
            be said is whether the bytes have changed.

        problem:
            Why the lockfile is opaque, in a few words and without anything
            from its content but a version number; None: it is not.
    """

    format: str | None
    digest: str
    packages: tuple[Package, ...] | None = None
    problem: str | None = None


def _is_kind(_row: object, _field: object, kind: object) -> None:
    kinds = get_args(Kind)
    if kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(kinds)}, not {kind!r}")


def _is_tuple(_row: object, field: "Attribute[tuple[str, ...]]", value: object) -> None:
    # A text would pass for a row of one-letter versions.
    if not isinstance(value, tuple):
        kind = type(value).__name__
        raise TypeError(f"{field.name} must be a tuple of versions, not {kind}")


@frozen
class Upgrade:
    """
    One package that differs between two lockfiles, on one platform.

    Attributes:
        name: Name of the package.

        kind:
            ``version``: the sets of versions differ. ``rebuild``: same
            versions, other build. ``added``, ``removed``: on one side only.

        old:
            Versions before, sorted with numbers by value. Empty: added, or
            no version is known.

        new: Versions after, likewise.

        ecosystem: See `Package`.

        platform: See `Package`; None: on all of them.

        environment: See `Package`.

        old_build:
            Build before; several are sorted and joined with a comma and a
            space, for people to read. None: not known. Builds of parts are
            shown where only they make a rebuild.

        new_build: Build after, likewise.

        direct:
            True: on some side somebody asked for it by name. None: neither
            the lockfiles nor the caller have said.

        local: The project itself, or a directory beside it, on both sides.

        internal: See `Package`; on both sides.
    """

    name: str
    kind: Kind = field(validator=_is_kind)
    old: tuple[str, ...] = field(default=(), kw_only=True, validator=_is_tuple)
    new: tuple[str, ...] = field(default=(), kw_only=True, validator=_is_tuple)
    ecosystem: str | None = field(default=None, kw_only=True)
    platform: str | None = field(default=None, kw_only=True)
    environment: str | None = field(default=None, kw_only=True)
    old_build: str | None = field(default=None, kw_only=True)
    new_build: str | None = field(default=None, kw_only=True)
    direct: bool | None = field(default=None, kw_only=True)
    local: bool = field(default=False, kw_only=True)
    internal: bool = field(default=False, kw_only=True)


@frozen(kw_only=True)
class Diff:
    """
    How two lockfiles differ.

    Attributes:
        changed: The bytes differ, if only by a blank.

        comparable:
            Both lockfiles are readable and of one format. False: *upgrades*
            is empty because nothing is known, not because nothing differs.

        upgrades: Sorted by name, platform, environment, ecosystem.

        platforms: Every platform that either lockfile names, sorted.
    """

    changed: bool
    comparable: bool
    upgrades: tuple[Upgrade, ...] = ()
    platforms: tuple[str, ...] = ()
