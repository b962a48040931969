"""
Packages, snapshots of lockfiles, and the difference of two snapshots.

These classes know neither formats nor JSON.
"""

from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any, Literal, NamedTuple, Protocol, cast, get_args

from upgrade_state import _floors

with _floors.loading():
    from attrs import field, frozen, validators

Kind = Literal["version", "rebuild", "added", "removed"]


class Package(NamedTuple):
    """
    One package as a lockfile pins it.

    A named tuple, because lockfiles have thousands of entries and Python
    creates and compares tuples fastest. Use keywords for all fields but name
    and version.

    Several packages may share one name: forks for different platforms, or
    builds of one version for different uses.

    Attributes:
        name:
            Name, as the lockfile spells it. Names of Python packages are
            normalized by the rule of PEP 503.

        version: Whole version. None: the lockfile has none.

        ecosystem:
            The type in package URLs (``pypi``, ``cargo``) if there is one,
            else a word of the same kind (``mise``, ``flake``). None: unnamed.

        platform: The format's own word. None: the package is for all of them.

        environment:
            Named part of the lockfile. None: the format has no such parts.

        build:
            Text that differs between two builds of one version. It is only
            compared for equality. None: not known.

        builds:
            Builds of parts of the package, as pairs of part and build. The
            format defines the parts, such as platforms. Parts that both sides
            have decide on a rebuild; without such parts, *build* does.

        direct:
            True: the user asked for this package by name. False: it is a
            dependency of another one. None: the lockfile does not tell.

        local: The project itself, or a directory beside it.

        internal: Pinned by the manager for its own use, not for the user.
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


# A parsed lockfile: any value, until a reader has checked its shape.
Document = Any

Packages = Iterator[Package]

# Package(…) takes twice as long: the call of a class copies its keywords.
make_package = cast("type[Package]", MethodType(Package.__new__, Package))


class Reader(Protocol):
    """
    Turn the bytes of a lockfile into packages: one function per format.

    Other distributions provide readers as entry points of the group
    ``upgrade_state.lock_readers``. The entry point's name is the format; its
    reader is loaded when a caller names that format.

    A reader may index and unpack the content without checking its shape.
    AttributeError, LookupError, TypeError and ValueError mean that *content*
    is not such a lockfile, which makes it opaque as a whole: packages that a
    reader skips would count as removed.

    The content is untrusted. A reader must not execute or fetch anything in
    it, and its time should grow with the length only. Readers of other
    distributions never see content that is empty, is larger than 16 MiB, or
    has a byte order mark or merge conflicts.
    """

    def __call__(self, content: bytes, /) -> Iterable[Package]:
        """
        Return or yield the packages of a lockfile.
        """
        ...


@frozen(kw_only=True)
class Snapshot:
    """
    A lockfile at one moment.

    Attributes:
        format: Name of the format. None: unknown, so *packages* is None.

        digest: ``blake2b:`` and 64 hex digits, of the raw bytes.

        packages:
            All packages, in the lockfile's order. None: the lockfile is
            opaque, so only a change of its bytes can be detected.

        problem:
            Why the lockfile is opaque, in a few words. They contain nothing
            from the lockfile but a version number of at most 12 characters.
            None: it is not opaque.
    """

    format: str | None
    digest: str
    packages: tuple[Package, ...] | None = None
    problem: str | None = None


# Otherwise "8.1" would pass for the three versions "8", "." and "1".
_IS_TUPLE = validators.instance_of(tuple)


@frozen
class Upgrade:
    """
    One package that differs between two lockfiles, on one platform.

    Attributes:
        name: Name of the package.

        kind:
            ``version``: the sets of versions differ. ``rebuild``: equal
            versions, another build (Flox's word). ``added``, ``removed``: the
            package is on one side only.

        old:
            Versions before, sorted with numbers by value. Empty: the package
            is added, or no version is known.

        new: Versions after, likewise. Empty: removed, or not known.

        ecosystem: See `Package`.

        platform: See `Package`. None: on all of them.

        environment: See `Package`.

        old_build:
            Build before; several are sorted and joined with a comma and a
            space, for display. None: not known. Builds of parts are given
            only if they alone make the rebuild.

        new_build: Build after, likewise.

        direct:
            True: on either side the user asked for the package by name.
            False: on neither. None: neither the lockfiles nor the caller
            of `diff` tell.

        local: On both sides the project itself, or a directory beside it.

        internal: On both sides pinned by the manager for its own use.

    Raises:
        ValueError: *kind* is none of the four.

        TypeError: *old* or *new* is not a tuple.
    """

    name: str
    kind: Kind = field(validator=validators.in_(get_args(Kind)))
    old: tuple[str, ...] = field(default=(), kw_only=True, validator=_IS_TUPLE)
    new: tuple[str, ...] = field(default=(), kw_only=True, validator=_IS_TUPLE)
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
    The difference of two lockfiles.

    Attributes:
        changed: The bytes differ, if only by a blank.

        comparable:
            Both lockfiles are readable and have one format. False: *upgrades*
            is empty because the packages are not known.

        upgrades: Sorted by name, platform, environment, ecosystem.

        platforms: Every platform that either lockfile names, sorted.
    """

    changed: bool
    comparable: bool
    upgrades: tuple[Upgrade, ...] = ()
    platforms: tuple[str, ...] = ()
