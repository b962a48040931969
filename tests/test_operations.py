"""
The operations that other tests interrupt do their work if nothing interferes.
"""

from pathlib import Path

import pytest

from operations import OPERATIONS, new_environment, prepared, root_of


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_changes(tmp_path, operation, monkeypatch):
    """
    Each gives its answer and changes fields that it owns, and no other.
    """
    monkeypatch.delenv("CI", raising=False)
    shop = new_environment(str(tmp_path))
    prepared(shop, operation.state)
    before = shop.look().record

    answer = operation.run(shop)

    after = shop.look().record
    assert operation.answer == answer
    if operation.owns is None:
        assert after is None
        left = Path(root_of(shop)).rglob(f"*{shop.key}*")
        assert {"locks"} >= {path.parent.name for path in left}
        return
    changed = {key for key in after if before is None or before.get(key) != after[key]}
    assert changed & set(operation.owns)
    if before is not None:
        assert changed <= set(operation.owns)
