"""
An environment as a JSON object.
"""

import json
from typing import Any

from upgrade_state import Freshness, UpgradeStateError, Verdict
from upgrade_state.cli._output import record_fields
from upgrade_state.cli._view import View


def line_of(view: View, **more: object) -> str:
    """
    Return one line: the fields of the record, the answers, and *more*.
    """
    environment = view.look.environment
    fields: dict[str, Any] = {**record_fields, "failure_notified": None}
    fields["environment"] = environment.path
    fields["lockfile"] = environment.lockfile_name
    fields["name"] = environment.name
    fields |= view.look.record or {}
    if fields["failure"] is not None:
        fields["failure"] = {"since": None} | fields["failure"]
    fields |= {
        "key": environment.key,
        "record_path": environment.record_path,
        "summary": view.look.summary(view.question.platform),
        "verdict": _answer(view.reasons[0]),
        "freshness": _answer(view.freshness),
        "background": view.is_automatic,
        "log_path": view.log_path,
    }
    return json.dumps(fields | more)


def upgrades_of(view: View) -> dict[str, Any]:
    """
    Return the rows of the list of upgrades, or why it cannot be read.

    The rows are JSON already: loading their class takes longer than all else.
    """
    try:
        return {"upgrades": view.look._stored_rows()}
    except UpgradeStateError as error:
        return {"upgrades": None, "upgrades_error": str(error)}


def _answer(answer: Verdict | Freshness) -> dict[str, str | None]:
    until = answer.until
    text = None if until is None else f"{until:%Y-%m-%dT%H:%M:%SZ}"
    return {"reason": answer.reason, "until": text}
