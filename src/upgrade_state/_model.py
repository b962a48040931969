"""
The typed classes of a record: frozen, without JSON, files or clocks.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - cattrs reads annotations
from collections.abc import Mapping  # noqa: TC003 - see above

import attrs


@attrs.frozen
class StoredFile:
    """
    A file that a record names: its digest and its size.

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
        version: Packages with another version.

        rebuild: Packages with another build of the same version.
    """

    version: int
    rebuild: int


@attrs.frozen
class UpgradeResult:
    """
    The result of a check.

    Attributes:
        format: The lockfile's format; None: opaque, compared by digest only.

        old_lockfile: The lockfile that was checked; None: there was none.

        new_lockfile: The one that the upgrade would lead to.

        upgrades: The list of upgrades, one JSON object per line; None if only
            digests could be compared.

        counts: Per platform, and under ``*`` over all platforms; None if only
            digests could be compared. A lone ``*`` holds for every platform;
            otherwise a platform that is not listed has no upgrades.
    """

    format: str | None
    old_lockfile: StoredFile | None
    new_lockfile: StoredFile
    upgrades: StoredFile | None
    counts: Mapping[str, Counts] | None


@attrs.frozen
class CheckFailure:
    """
    The failure of the last check.

    Attributes:
        at: Time of the failure (UTC, aware, whole seconds).

        attempts: Number of consecutive failures; at least 1.

        message: The cause: one line, without URLs, safe for a terminal if this
            library wrote it.

        since: Time of the first of these failures; None: the record, written by
            an older program, does not contain it.
    """

    at: dt.datetime
    attempts: int
    message: str
    since: dt.datetime | None = None


@attrs.frozen
class UpgradeInformation:
    """
    The state of one environment. All times are UTC, aware, in whole seconds.

    Attributes:
        environment: The canonical path of its directory.

        lockfile: Its lockfile's name below that directory; None: it has none.

        recipe: The recipe that the user ran on purpose; None: none.

        generation: Number of check commits of this record.

        last_checked: Time of the last successful check; None: none succeeded, or
            it has expired.

        result: The result of the last successful check; None: none succeeded.

        last_notified: Time of the last notice; None: none was given.

        snoozed_until: No notice is given before this time; None: not snoozed.

        failure: The failure of the last check; None: it did not fail.

        failure_notified: Time of the last notice about failed checks; None:
            none was given.
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
