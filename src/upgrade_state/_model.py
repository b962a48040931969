"""
The typed classes of a record: frozen, without JSON, files or clocks.
"""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - cattrs reads annotations
from collections.abc import Iterable, Mapping  # noqa: TC003 - see above

from upgrade_state import _floors, _record

with _floors.loading():
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

        new_lockfile: The one that the upgrade would lead to; None: the check only
            listed the upgrades.

        upgrades: The list of upgrades, one JSON object per line; None if only
            digests could be compared.

        counts: Per platform, and under ``*`` over all platforms; None if only
            digests could be compared. A lone ``*`` holds for every platform;
            otherwise a platform that is not listed has no upgrades.
    """

    format: str | None
    old_lockfile: StoredFile | None
    new_lockfile: StoredFile | None
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


def _texts(value: Iterable[str]) -> tuple[str, ...]:
    texts = tuple(value)
    if isinstance(value, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"a list of texts is needed, not {value!r}")
    return texts


@attrs.frozen
class Consent:
    """
    Permission to repeat a recipe automatically, and the options that it needs.

    Attributes:
        recipe: The name of the recipe that the user ran on purpose.

        copy: Paths, below the environment's directory, to copy for the recipe.

        env: Names of environment variables to pass to it. Values are not kept.

    Raises:
        TypeError: *copy* or *env* is one text, or contains something else.
        ValueError: *recipe* is empty or longer than 64 characters; an option is
            empty or contains a NUL character; one of *env* contains ``=``; or all
            of them have more than 1000 characters in JSON, with quotes and a comma
            each.
    """

    recipe: str
    copy: tuple[str, ...] = attrs.field(default=(), converter=_texts)
    env: tuple[str, ...] = attrs.field(default=(), converter=_texts)

    def __attrs_post_init__(self) -> None:
        if not _record.is_short_name(self.recipe):
            raise ValueError(f"not a recipe's name: {self.recipe!r}")
        if any("=" in name for name in self.env):
            raise ValueError("env takes the names of variables, without values")
        options = (*self.copy, *self.env)
        if not _record.are_options(map(_record.path_text, options)):
            limit = _record.OPTIONS_LENGTH
            message = f"options must be texts of {limit} characters in all at most"
            raise ValueError(message)


@attrs.frozen
class UpgradeInformation:
    """
    The state of one environment. All times are UTC, aware, in whole seconds.

    Attributes:
        environment: The canonical path of its directory.

        lockfile: Its lockfile's name below that directory; None: it has none.

        name: Its name, if its lockfile or its directory has several environments;
            None: it has none.

        generation: Number of check commits of this record.

        last_checked: Time of the last successful check; None: none succeeded, or
            it has expired.

        checker: The name of the recipe or manager that made that check; None:
            unknown. For display only.

        result: The result of the last successful check; None: none succeeded.

        last_notified: Time of the last notice; None: none was given.

        notified: Digest of the upgrades that the last notice about upgrades was
            about: of their list or, for an opaque format, of the new lockfile.
            None: none was given, or it is unknown.

        snoozed_until: No notice is given before this time; None: not snoozed.

        failure: The failure of the last check; None: it did not fail.

        consent: Permission to repeat a check automatically, for the directory that
            the environment had at that time: see `Look.consent`. None: none.

        failure_notified: Time of the last notice about failed checks; None:
            none was given.
    """

    environment: str
    lockfile: str | None = None
    name: str | None = None
    generation: int = 0
    last_checked: dt.datetime | None = None
    checker: str | None = None
    result: UpgradeResult | None = None
    last_notified: dt.datetime | None = None
    notified: str | None = None
    snoozed_until: dt.datetime | None = None
    failure: CheckFailure | None = None
    consent: Consent | None = None
    failure_notified: dt.datetime | None = None
