"""
Compare two snapshots.

A package is identified by ecosystem, name, environment and platform. A name
may have several versions, and a version several builds, so sets are compared:
neither the order of entries nor a repeated entry matters.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from itertools import zip_longest
from operator import attrgetter

from ._model import Diff, Kind, Package, Snapshot, Upgrade
from ._names import READERS

_Groups = dict[tuple[str | None, ...], list[Package]]
# The builds of each version and part; the part None is the package as a whole.
_Builds = dict[tuple[str | None, str | None], set[str]]

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
    by_build = "builds" in READERS.get(old.format or "", "").split()
    names = None if direct is None else frozenset(direct)
    return Diff(
        changed=changed,
        comparable=True,
        upgrades=_upgrades(before, after, names, by_build=by_build) if changed else (),
        platforms=_platforms(old, new),
    )


def _platforms(*snapshots: Snapshot) -> tuple[str, ...]:
    known = {p.platform for snapshot in snapshots for p in snapshot.packages or ()}
    return tuple(sorted(platform for platform in known if platform is not None))


def _upgrades(
    before: tuple[Package, ...],
    after: tuple[Package, ...],
    names: frozenset[str] | None,
    *,
    by_build: bool,
) -> tuple[Upgrade, ...]:
    # Most packages are equal on both sides. To find the others by their
    # hashes takes less time than to look up each of them by its key.
    changed = {p.name for p in set(before).symmetric_difference(after)}
    old, new = _groups(before, changed), _groups(after, changed)
    limit = 1 if by_build else None
    rows = []
    for key in {**old, **new}:
        one, other = (groups.get(key, [])[:limit] for groups in (old, new))
        row = _upgrade(one, other, names) if one != other else None
        if row and (not by_build or _has_other_build(row)):
            rows.append(row)
    fields = attrgetter("name", "platform", "environment", "ecosystem")
    rows.sort(key=lambda row: [part or "" for part in fields(row)])
    return tuple(rows)


def _has_other_build(row: Upgrade) -> bool:
    """
    Return whether a package is on one side only, or has another known build.
    """
    builds = {row.old_build, row.new_build}
    return row.kind in {"added", "removed"} or (len(builds) == 2 and None not in builds)


def _groups(packages: Iterable[Package], names: set[str]) -> _Groups:
    groups: _Groups = {}
    for p in packages:
        if p.name in names:
            key = (p.ecosystem, p.name, p.environment, p.platform)
            groups.setdefault(key, []).append(p)
    return groups


def _upgrade(
    old: list[Package], new: list[Package], names: frozenset[str] | None
) -> Upgrade | None:
    """
    Return the row of one package; None: nothing to report.
    """
    versions = _versions(old), _versions(new)
    builds = _builds(old), _builds(new)
    rebuilt = _rebuilt(*builds)
    kind: Kind
    if not (old and new):
        kind = "removed" if old else "added"
    elif versions[0] != versions[1]:
        kind = "version"
    elif rebuilt:
        kind = "rebuild"
    else:
        return None
    shown = [{p.build for p in side if p.build is not None} for side in (old, new)]
    if kind == "rebuild" and not (all(shown) and shown[0] != shown[1]):
        # The builds of the whole do not show the rebuild; those of parts do.
        shown = [set().union(*(side[key] for key in rebuilt)) for side in builds]
    old_build, new_build = (", ".join(sorted(side)) or None for side in shown)
    both = [*old, *new]
    stated = {p.direct for p in both} - {None}
    from_caller = None if names is None else both[0].name in names
    return Upgrade(
        both[0].name,
        kind,
        old=versions[0],
        new=versions[1],
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
    builds: _Builds = defaultdict(set)
    for p in group:
        if p.build is not None:
            builds[p.version, None].add(p.build)
        for part, build in p.builds:
            builds[p.version, part].add(build)
    return builds


def _rebuilt(old: _Builds, new: _Builds) -> list[tuple[str | None, str | None]]:
    """
    Return the versions and parts whose builds are known on both sides and differ.
    """
    # A build that one side leaves out comes from the tool that wrote the
    # lockfile, not from another package.
    both = old.keys() & new.keys()
    # Builds of parts are more precise than that of the whole.
    divided = {version for version, part in both if part is not None}
    return [
        (version, part)
        for version, part in both
        if old[version, part] != new[version, part]
        and (part is not None or version not in divided)
    ]


def _versions(group: list[Package]) -> tuple[str, ...]:
    # An entry without a version, beside one with a version, adds nothing that
    # a notice could name.
    known = {p.version for p in group if p.version is not None}
    if len(known) > 1:  # rare, and sorting takes half of the time of a diff
        return tuple(sorted(known, key=_natural))
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
