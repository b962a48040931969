"""
Convert between JSON and the typed classes of `_model`.

Every record that `_record.valid` accepts can be converted.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from upgrade_state import _floors, _record, _redact
from upgrade_state._model import Consent, UpgradeInformation
from upgrade_state.exceptions import StateReadError
from upgrade_state.lockfiles import Upgrade

with _floors.loading():
    import attrs
    import cattrs
    from cattrs.gen import make_dict_unstructure_fn, override

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final

    from upgrade_state._record import Record

_CONVERTER: Final = cattrs.Converter(detailed_validation=False)
_CONVERTER.register_structure_hook(
    dt.datetime, lambda text, _: dt.datetime.fromisoformat(text)
)
# Rarely true, so it is omitted if false.
_CONVERTER.register_unstructure_hook(
    Upgrade,
    make_dict_unstructure_fn(
        Upgrade, _CONVERTER, internal=override(omit_if_default=True)
    ),
)


def consent(fields: Record) -> Consent:
    """
    Return the typed view of a record's consent.
    """
    copy, env = (
        tuple(map(_record.path_of, fields.get(name) or ())) for name in ("copy", "env")
    )
    return Consent(fields["recipe"], copy, env)


_CONVERTER.register_structure_hook(Consent, lambda fields, _: consent(fields))


def consent_fields(consent: Consent, directory: Record) -> Record:
    """
    Return *consent* as the JSON value of a record's field.

    Args:
        directory: The identity of the environment's directory.
    """
    copy, env = (
        list(map(_record.path_text, texts)) for texts in (consent.copy, consent.env)
    )
    return {"recipe": consent.recipe, **directory, "copy": copy, "env": env}


def information(record: Record) -> UpgradeInformation:
    """
    Return the typed view of a valid *record*.
    """
    names = {
        field: record[field] and _record.path_of(record[field])
        for field in ("environment", "lockfile")
    }
    names["name"] = record["name"] and _record.name_text(record["name"])
    return _CONVERTER.structure({**record, **names}, UpgradeInformation)


def safe_row(upgrade: Upgrade) -> Upgrade:
    """
    Return *upgrade* with every text safe for a terminal, and without URLs.
    """

    def safe(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(safe, value))
        return _redact.safe(value) if isinstance(value, str) else value

    names = (field.name for field in attrs.fields(Upgrade))
    return Upgrade(**{name: safe(getattr(upgrade, name)) for name in names})


def dump_upgrades(upgrades: Iterable[Upgrade]) -> bytes:
    """
    Write upgrades as ASCII, one compact JSON object per line.
    """
    rows = (
        json.dumps(_CONVERTER.unstructure(upgrade), separators=(",", ":"))
        for upgrade in upgrades
    )
    return "".join(f"{row}\n" for row in rows).encode("ascii")


def load_upgrades(content: bytes, path: str | None) -> tuple[Upgrade, ...]:
    """
    Read the output of `dump_upgrades`, of this version or a later one.

    Raises:
        StateReadError: It is damaged; the error names *path*.
    """
    try:
        return tuple(
            _CONVERTER.structure(row, Upgrade) for row in _record.rows(content, path)
        )
    except Exception as error:  # cattrs raises bare Exceptions, too
        message = "The list of upgrades is damaged; the next check replaces it"
        raise StateReadError(message, path) from error
