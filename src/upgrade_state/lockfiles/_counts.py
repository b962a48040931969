"""
What a notice says: how many packages have a new version, or were rebuilt.
"""

from collections.abc import Iterable

from ._model import Upgrade


def counts(
    upgrades: Iterable[Upgrade], *, platforms: Iterable[str] = ()
) -> dict[str, dict[str, int]]:
    """
    Count the packages that a notice is about.

    A package counts once per platform, as a version change if it is one in
    any of its rows. What is added, removed, local or internal does not count:
    Flox's rule, who met manifests that were edited behind its back.

    Args:
        upgrades: Rows of `diff`, or the caller's own.

        platforms: Platforms to list besides those that the rows name.

    Returns:
        ``{"version": n, "rebuild": n}`` per platform, and under ``*`` over
        all of them. A row without a platform counts on each.
    """
    rows = tuple(upgrades)
    listed = sorted({*platforms, *(row.platform for row in rows if row.platform)})
    # Whether a package has a new version, by ecosystem and name.
    versions: dict[str, dict[tuple[str | None, str], bool]]
    versions = {platform: {} for platform in ("*", *listed)}
    for row in filter(_counted, rows):
        key = (row.ecosystem, row.name)
        for platform in {"*", row.platform} if row.platform else versions:
            known = versions[platform].get(key, False)
            versions[platform][key] = known or row.kind == "version"
    return {platform: _numbers(found) for platform, found in versions.items()}


def _counted(row: Upgrade) -> bool:
    return row.kind in {"version", "rebuild"} and not (row.local or row.internal)


def _numbers(versions: dict[tuple[str | None, str], bool]) -> dict[str, int]:
    version = sum(versions.values())
    return {"version": version, "rebuild": len(versions) - version}
