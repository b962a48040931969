"""
Count upgrades for a notice: version changes and rebuilds.
"""

from collections.abc import Iterable

from ._model import Upgrade


def counts(
    upgrades: Iterable[Upgrade], *, platforms: Iterable[str] = ()
) -> dict[str, dict[str, int]]:
    """
    Count version changes and rebuilds, per platform and over all platforms.

    A package counts once per platform: as a version change if any of its rows
    is one, else as a rebuild. Rows that are added, removed, local or internal
    do not count. This is the rule of ``flox upgrade``: a manifest that was
    edited by hand adds and removes packages without any upgrade.

    Args:
        upgrades: Rows of `diff`, or the caller's own.

        platforms: Platforms to list in addition to those of the rows.

    Returns:
        ``{"version": n, "rebuild": n}`` per platform, and under ``*`` over
        all of them. A row without a platform counts on each. A package, identified
        by ecosystem and name, counts once under ``*``.
    """
    rows = tuple(upgrades)
    listed = sorted({*platforms, *(row.platform for row in rows if row.platform)})
    # Whether a package has a new version, by ecosystem and name.
    versions: dict[str, dict[tuple[str | None, str], bool]]
    versions = {platform: {} for platform in ("*", *listed)}
    for row in rows:
        if row.kind not in {"version", "rebuild"} or row.local or row.internal:
            continue
        key = (row.ecosystem, row.name)
        for platform in {"*", row.platform} if row.platform else versions:
            is_version = versions[platform].get(key, False)
            versions[platform][key] = is_version or row.kind == "version"
    return {
        platform: {"version": (n := sum(known.values())), "rebuild": len(known) - n}
        for platform, known in versions.items()
    }
