"""
What differs between two snapshots.

Packages are told apart by ecosystem, name, environment and platform. A name
may have several versions, and a version several builds, so what is compared
are sets: neither the order of entries nor a repeated one matters.
"""

import re
from collections.abc import Collection, Iterable
from itertools import zip_longest
from operator import itemgetter

from ._formats import FORMATS, Format
from ._model import Diff, Kind, Package, Snapshot, Upgrade

_Key = tuple[str | None, str, str | None, str | None]
_Groups = dict[_Key, list[Package]]
# The builds known of each part of a package; None is the package as a whole.
_Parts = dict[str | None, set[str]]
# Versions, and what is known of each.
_Builds = dict[str | None, _Parts]

_DIGITS = re.compile("([0-9]+)")


def diff(
    old: Snapshot, new: Snapshot, *, direct: Collection[str] | None = None
) -> Diff:
    """
    Compare two snapshots.

    A package that is added, removed, local or internal is listed like any
    other; what is worth a notice is for `counts` to say. A set of versions
    that only got smaller is of the kind ``version``, too. How formats differ
    is theirs: Flox takes a package as changed if its derivation is another
    one on both sides, uv if version or commit is.

    Args:
        old: The current lockfile.

        new: The lockfile that an upgrade would make.

        direct:
            Names that are known to be asked for, as `Package` spells them;
            used only where the lockfiles do not say. None: not known.

    Returns:
        The difference. If the bytes are the same there is none; if either
        side is opaque or they are of different formats, it is unknown.

    Raises:
        TypeError: *direct* is one name instead of several.
    """
    if isinstance(direct, str):
        raise TypeError("direct must be a collection of names, not one name")
    changed = old.digest != new.digest
    before, after = old.packages, new.packages
    if before is None or after is None or old.format != new.format:
        return Diff(changed=changed, comparable=False, platforms=_platforms(old, new))
    # A format of the caller's own gets the rules that most formats have.
    rules = FORMATS.get(old.format or "", Format(reader=""))
    names = None if direct is None else frozenset(direct)
    return Diff(
        changed=changed,
        comparable=True,
        upgrades=_upgrades(before, after, rules, names) if changed else (),
        platforms=_platforms(old, new),
    )


def _platforms(*snapshots: Snapshot) -> tuple[str, ...]:
    platform = itemgetter(Package._fields.index("platform"))
    found = (set(map(platform, snapshot.packages or ())) for snapshot in snapshots)
    return tuple(sorted(set().union(*found) - {None}))


def _upgrades(
    before: Iterable[Package],
    after: Iterable[Package],
    rules: Format,
    names: frozenset[str] | None,
) -> tuple[Upgrade, ...]:
    if rules.first_wins:
        before, after = _firsts(before), _firsts(after)
    # Most packages are the same on both sides. To find the others by their
    # hashes takes less than to look up each of them by its key.
    changed = {p.name for p in set(before).symmetric_difference(after)}
    old, new = _groups(before, changed), _groups(after, changed)
    rows = (
        _upgrade(old.get(key, []), new.get(key, []), rules, names)
        for key in {**old, **new}
        if old.get(key) != new.get(key)
    )
    return tuple(sorted(filter(None, rows), key=_position))


def _firsts(packages: Iterable[Package]) -> list[Package]:
    firsts: dict[_Key, Package] = {}
    for p in packages:
        firsts.setdefault(_key(p), p)
    return list(firsts.values())


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
    rules: Format,
    names: frozenset[str] | None,
) -> Upgrade | None:
    before, after = _builds(old), _builds(new)
    kind = _kind(before, after, rules)
    if kind is None:
        return None
    both = [*old, *new]
    old_build, new_build = _shown(before, after, kind)
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
        direct=_direct(both, names),
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


def _kind(old: _Builds, new: _Builds, rules: Format) -> Kind | None:
    if not (old and new):
        return "removed" if old else "added"
    if rules.build_decides and not _changed(_merged(old), _merged(new)):
        return None
    # An entry without a version, beside one that has it, can be told to nobody.
    if old.keys() - {None} != new.keys() - {None}:
        return "version"
    return "rebuild" if _rebuilt(old, new) else None


def _rebuilt(old: _Builds, new: _Builds) -> list[tuple[str | None, str | None]]:
    """
    Return the versions and their parts that have another build.
    """
    both = old.keys() & new.keys()
    return [(v, part) for v in both for part in _changed(old[v], new[v])]


def _changed(old: _Parts, new: _Parts) -> set[str | None]:
    """
    Return the parts that have another build.
    """
    # A build that is known on one side only says more about the lockfile
    # than about the package.
    common = old.keys() & new.keys()
    # The whole says less than a part: it is asked where no part can be.
    parts = common - {None} or common
    return {part for part in parts if old[part] != new[part]}


def _merged(builds: _Builds) -> _Parts:
    merged: _Parts = {}
    for parts in builds.values():
        for part, known in parts.items():
            merged.setdefault(part, set()).update(known)
    return merged


def _shown(old: _Builds, new: _Builds, kind: Kind) -> list[str | None]:
    """
    Return the builds of both sides, for people to read.
    """
    sides = [_merged(side).get(None, set()) for side in (old, new)]
    if kind == "rebuild" and not (all(sides) and sides[0] != sides[1]):
        # Of the whole nothing can be told; then it is what made the rebuild.
        changed = _rebuilt(old, new)
        sides = [
            {build for v, part in changed for build in side[v][part]}
            for side in (old, new)
        ]
    return [", ".join(sorted(side)) or None for side in sides]


def _versions(builds: _Builds) -> tuple[str, ...]:
    known = [version for version in builds if version is not None]
    if len(known) > 1:  # it seldom is, and sorting would be half of the diff
        known.sort(key=_natural)
    return tuple(known)


def _natural(version: str) -> tuple[list[tuple[str, int, str]], str]:
    """
    Order 2.9 before 2.10, for people to read.

    It does not say which version is newer; that is different in every
    ecosystem.
    """
    parts = _DIGITS.split(version)
    numbers = (digits.lstrip("0") for digits in parts[1::2])
    # By length and then as text is by value, however many digits there are.
    key = [(t, len(n), n) for t, n in zip_longest(parts[::2], numbers, fillvalue="")]
    return key, version  # 1.0 and 1.00 have one order, too


def _direct(packages: list[Package], names: frozenset[str] | None) -> bool | None:
    said = {p.direct for p in packages} - {None}
    if said:
        return True in said
    return None if names is None else packages[0].name in names


def _position(upgrade: Upgrade) -> tuple[str, ...]:
    key = (upgrade.name, upgrade.platform, upgrade.environment, upgrade.ecosystem)
    return tuple(part or "" for part in key)
