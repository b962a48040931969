"""
What a check found: two lockfiles, compared, as a record and its files hold it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from upgrade_state import _codec, _record, lockfiles
from upgrade_state._model import Counts, StoredFile, UpgradeResult
from upgrade_state.lockfiles import Upgrade

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from typing import Any, Final


# A record stays under 4 KiB whatever a lockfile says; so much is for counts.
_COUNTS_LENGTH: Final = 1500


@attrs.frozen
class Found:
    """
    The field `result` of a record, and the contents of the files it names.
    """

    fields: dict[str, Any]
    contents: set[bytes]


def format_for(format: str | None, lockfile_name: str | None) -> str | None:  # noqa: A002
    """
    Return the format that was asked for, or that of the lockfile's name.

    Raises:
        ValueError: There is no such format.
    """
    if format is None and lockfile_name is not None:
        return lockfiles.format_of(lockfile_name)
    if format is not None:
        lockfiles.read(b"", format=format)
    return format


def compare(
    old: bytes | None,
    new: bytes,
    *,
    format: str | None,  # noqa: A002
    upgrades: Iterable[Upgrade] | None,
    direct: Collection[str] | None,
) -> Found:
    """
    Say what *new* would change.

    Args:
        old: None: there is no lockfile, so that nothing that is locked could
            be upgraded.

        upgrades: What would change, if the caller knows it. None: compare.

        direct: See `lockfiles.diff`.
    """
    platforms: tuple[str, ...] = ()
    if upgrades is not None:
        rows: tuple[Upgrade, ...] | None = tuple(map(_row, upgrades))
    elif old is None:
        rows = ()
    else:
        rows, platforms = _rows(old, new, format, direct)
    return _found(old, new, format, rows, platforms)


def _row(upgrade: object) -> Upgrade:
    if not isinstance(upgrade, Upgrade):
        kind = type(upgrade).__name__
        raise TypeError(f"upgrades must be rows of the class Upgrade, not {kind}")
    return upgrade


def _rows(
    old: bytes,
    new: bytes,
    format: str | None,  # noqa: A002
    direct: Collection[str] | None,
) -> tuple[tuple[Upgrade, ...] | None, tuple[str, ...]]:
    """
    Return upgrades, None where only digests can be compared, and all platforms.
    """
    sides = (lockfiles.read(content, format=format) for content in (old, new))
    diff = lockfiles.diff(*sides, direct=direct)
    return (diff.upgrades if diff.comparable else None), diff.platforms


def _found(
    old: bytes | None,
    new: bytes,
    format: str | None,  # noqa: A002
    rows: tuple[Upgrade, ...] | None,
    platforms: tuple[str, ...],
) -> Found:
    listing = None if rows is None else _codec.dump_upgrades(rows)
    result = UpgradeResult(
        format=format,
        old_lockfile=_kept(old),
        new_lockfile=StoredFile(_record.digest(new), len(new)),
        upgrades=_kept(listing),
        counts=None if rows is None else _counts(rows, platforms),
    )
    contents = {content for content in (old, new, listing) if content is not None}
    return Found(_codec.result_fields(result), contents)


def _kept(content: bytes | None) -> StoredFile | None:
    if content is None:
        return None
    return StoredFile(_record.digest(content), len(content))


def _counts(rows: tuple[Upgrade, ...], platforms: tuple[str, ...]) -> dict[str, Counts]:
    """
    Count per platform; for all together where platforms are many beyond reason.
    """
    counts = lockfiles.counts(rows, platforms=platforms)
    if len(json.dumps(counts)) > _COUNTS_LENGTH:
        counts = {"*": counts["*"]}
    return {platform: Counts(**count) for platform, count in counts.items()}
