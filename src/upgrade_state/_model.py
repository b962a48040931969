"""
The typed view of a record. Frozen; knows nothing of JSON, files and clocks.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - cattrs looks at annotations
from collections.abc import Mapping  # noqa: TC003 - see above

import attrs


@attrs.frozen
class StoredFile:
    """
    A file that is kept with a record: its digest and its size.

    Attributes:
        digest: ``blake2b:`` and the 64 hex digits of the BLAKE2b-256 of its bytes.

        size: In bytes.
    """

    digest: str
    size: int


@attrs.frozen
class Counts:
    """
    How many packages an upgrade would replace.

    Attributes:
        version: By another version.

        rebuild: By another build of the same version.
    """

    version: int
    rebuild: int


@attrs.frozen
class UpgradeResult:
    """
    What a check found.

    Attributes:
        format: The lockfile's format; None: opaque, compared by digest only.

        old_lockfile: The lockfile that was checked; None: there was none.

        new_lockfile: The one that the upgrade would lead to.

        upgrades: The list of upgrades, one JSON object per line; None where
            only digests could be compared.

        counts: Per platform, and under ``*`` over all platforms; None where
            only digests could be compared. Where only ``*`` is there, it holds
            for every platform; else a platform that is not there has none.
    """

    format: str | None
    old_lockfile: StoredFile | None
    new_lockfile: StoredFile
    upgrades: StoredFile | None
    counts: Mapping[str, Counts] | None


@attrs.frozen
class CheckFailure:
    """
    That the last check failed.

    Attributes:
        at: When (UTC, aware, whole seconds).

        attempts: How many have failed in a row; at least 1.

        message: Why: one line, without URLs, safe for a terminal if it was
            written by this library.

        since: When the first of them failed; None: an older program wrote it
            down, and does not tell.
    """

    at: dt.datetime
    attempts: int
    message: str
    since: dt.datetime | None = None


@attrs.frozen
class UpgradeInformation:
    """
    What is remembered of one environment. All times are UTC, aware, whole seconds.

    Attributes:
        environment: The canonical path of its directory.

        lockfile: Its lockfile's name below that directory; None: it has none.

        recipe: The recipe that its user ran on purpose; None: none.

        generation: How many checks of this record have been committed.

        last_checked: When a check last succeeded; None: never.

        result: What it found; None: no check has succeeded.

        last_notified: When the user was last told; None: never.

        snoozed_until: Until when the user does not want to hear of it; None:
            that was not asked for.

        failure: That the last check failed; None: it did not.

        failure_notified: When the user was last told that checks fail; None:
            never.
    """

    environment: str
    lockfile: str | None = None
    recipe: str | None = None
    generation: int = 0
    last_checked: dt.datetime | None = None
    result: UpgradeResult | None = None
    last_notified: dt.datetime | None = None
    snoozed_until: dt.datetime | None = None
    failure: CheckFailure | None = None
    failure_notified: dt.datetime | None = None
