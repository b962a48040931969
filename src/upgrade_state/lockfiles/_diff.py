"""
Compare two snapshots.

A package is identified by ecosystem, name, environment and platform. A name
may have several versions, and a version several builds, so sets are compared:
neither the order of entries nor a repeated entry matters.
"""

import re
from collections.abc import Collection, Iterable
from itertools import zip_longest
from operator import attrgetter, itemgetter

from ._model import Diff, Kind, Package, Snapshot, Upgrade
from ._names import READERS

_Key = tuple[str | None, str, str | None, str | None]
_Groups = dict[_Key, list[Package]]
# The builds known of each part of a package; None is the package as a whole.
_Parts = dict[str | None, set[str]]
# The builds of each version.
_Builds = dict[str | None, _Parts]

_DIGITS = re.compile("([0-9]+)")


def diff(
    old: Snapshot, new: Snapshot, *, direct: Collection[str] | None = None
) -> Diff:
    """
    Compare two snapshots.

    Lists every package that differs, also if it is added, removed, local or
    internal: `counts` decides which of them a notice mentions. A set of
    versions that only lost a version is of the kind ``version``, too.

    A package without a new version is a rebuild if a build is known on both
    sides and differs. Two formats follow the rules of their tools: Flox
    reports a package only if its derivation changes, and uv compares version
    and commit.

    Args:
        old: The current lockfile.

        new: The lockfile that an upgrade leads to.

        direct:
            Names of the packages that the user asked for, spelled as in
            `Package`. They count only if the lockfiles do not tell. None: not
            known.

    Returns:
        The difference. It is empty if the bytes are equal, and not comparable
        if either side is opaque or the formats differ.

    Raises:
        TypeError: *direct* is one name instead of several.
    """
    if isinstance(direct, str):
        raise TypeError("direct must be a collection of names, not one name")
    changed = old.digest != new.digest
    before, after = old.packages, new.packages
    if before is None or after is None or old.format != new.format:
        return Diff(changed=changed, comparable=False, platforms=_platforms(old, new))
    flags = READERS.get(old.format or "", "").split()
    names = None if direct is None else frozenset(direct)
    return Diff(
        changed=changed,
        comparable=True,
        upgrades=_upgrades(before, after, flags, names) if changed else (),
        platforms=_platforms(old, new),
    )


def _platforms(*snapshots: Snapshot) -> tuple[str, ...]:
    platform = itemgetter(Package._fields.index("platform"))
    sets = (set(map(platform, snapshot.packages or ())) for snapshot in snapshots)
    return tuple(sorted(set().union(*sets) - {None}))


def _upgrades(
    before: tuple[Package, ...],
    after: tuple[Package, ...],
    flags: list[str],
    names: frozenset[str] | None,
) -> tuple[Upgrade, ...]:
    if "builds" in flags:
        before, after = _firsts(before), _firsts(after)
    # Most packages are equal on both sides. To find the others by their
    # hashes takes less time than to look up each of them by its key.
    changed = {p.name for p in set(before).symmetric_difference(after)}
    old, new = _groups(before, changed), _groups(after, changed)
    rows = [
        row
        for key in {**old, **new}
        if old.get(key) != new.get(key)
        and (row := _upgrade(old.get(key, []), new.get(key, []), flags, names))
    ]
    fields = attrgetter("name", "platform", "environment", "ecosystem")
    rows.sort(key=lambda row: [part or "" for part in fields(row)])
    return tuple(rows)


def _firsts(packages: tuple[Package, ...]) -> tuple[Package, ...]:
    # The last of equal keys wins, which is the first of the packages.
    return tuple({_key(p): p for p in packages[::-1]}.values())


def _groups(packages: Iterable[Package], names: set[str]) -> _Groups:
    groups: _Groups = {}
    for p in packages:
        if p.name in names:
            groups.setdefault(_key(p), []).append(p)
    return groups


def _key(p: Package) -> _Key:
    return p.ecosystem, p.name, p.environment, p.platform


def _upgrade(
    old: list[Package],
    new: list[Package],
    flags: list[str],
    names: frozenset[str] | None,
) -> Upgrade | None:
    """
    Return the row of one package; None: nothing to report.
    """
    before, after = _builds(old), _builds(new)
    kind = _kind(before, after, flags)
    if kind is None:
        return None
    both = [*old, *new]
    old_build, new_build = _display_builds(before, after, kind)
    stated = {p.direct for p in both} - {None}
    from_caller = None if names is None else both[0].name in names
    return Upgrade(
        both[0].name,
        kind,
        old=_versions(before),
        new=_versions(after),
        ecosystem=both[0].ecosystem,
        platform=both[0].platform,
        environment=both[0].environment,
        old_build=old_build,
        new_build=new_build,
        direct=True in stated if stated else from_caller,
        local=all(p.local for p in both),
        internal=all(p.internal for p in both),
    )


def _builds(group: list[Package]) -> _Builds:
    builds: _Builds = {}
    for p in group:
        known = builds.setdefault(p.version, {})
        if p.build is not None:
            known.setdefault(None, set()).add(p.build)
        for part, build in p.builds:
            known.setdefault(part, set()).add(build)
    return builds


def _kind(old: _Builds, new: _Builds, flags: list[str]) -> Kind | None:
    if not (old and new):
        return "removed" if old else "added"
    if "builds" in flags and not _changed_parts(
        _merge_versions(old), _merge_versions(new)
    ):
        return None
    # An entry without a version, beside one with a version, adds nothing that
    # a notice could name.
    if old.keys() - {None} != new.keys() - {None}:
        return "version"
    return "rebuild" if _rebuilt_parts(old, new) else None


def _rebuilt_parts(old: _Builds, new: _Builds) -> list[tuple[str | None, str | None]]:
    """
    Return the pairs of version and part whose builds differ.
    """
    both = old.keys() & new.keys()
    return [(v, part) for v in both for part in _changed_parts(old[v], new[v])]


def _changed_parts(old: _Parts, new: _Parts) -> set[str | None]:
    """
    Return the parts whose builds are known on both sides and differ.
    """
    # A build that one side leaves out comes from the tool that wrote the
    # lockfile, not from another package.
    common = old.keys() & new.keys()
    # Builds of parts are more precise than that of the whole.
    parts = common - {None} or common
    return {part for part in parts if old[part] != new[part]}


def _merge_versions(builds: _Builds) -> _Parts:
    merged: _Parts = {}
    for parts in builds.values():
        for part, known in parts.items():
            merged.setdefault(part, set()).update(known)
    return merged


def _display_builds(old: _Builds, new: _Builds, kind: Kind) -> list[str | None]:
    """
    Return the builds of both sides for display.
    """
    sides = [_merge_versions(side).get(None, set()) for side in (old, new)]
    if kind == "rebuild" and not (all(sides) and sides[0] != sides[1]):
        # The builds of the whole do not show the rebuild; those of parts do.
        changed = _rebuilt_parts(old, new)
        sides = [
            {build for v, part in changed for build in side[v][part]}
            for side in (old, new)
        ]
    return [", ".join(sorted(side)) or None for side in sides]


def _versions(builds: _Builds) -> tuple[str, ...]:
    known = [version for version in builds if version is not None]
    if len(known) > 1:  # rare, and sorting takes half of the time of a diff
        known.sort(key=_natural)
    return tuple(known)


def _natural(version: str) -> tuple[list[tuple[str, int, str]], str]:
    """
    Return a sort key that puts 2.9 before 2.10, for display only.

    It does not tell which version is newer: every ecosystem has its own order.
    """
    parts = _DIGITS.split(version)
    numbers = (digits.lstrip("0") for digits in parts[1::2])
    # Length, then text, orders numbers by value. int() refuses 4301 digits.
    key = [(t, len(n), n) for t, n in zip_longest(parts[::2], numbers, fillvalue="")]
    return key, version  # 1.0 and 1.00 have equal keys, so the text decides
