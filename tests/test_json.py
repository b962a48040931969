"""
The two JSON parsers of records give the same answers.
"""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from upgrade_state import _record


def outcome(load, text):
    try:
        return repr(load(text))
    except (ValueError, RecursionError):
        return None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps({"a": value}))
    | st.text(alphabet='{}[]":,.eE+-0123456789\\nutrueflsaNIity \t\n\r\x01')
)
def test_agree(text):
    """
    CPython's scanner and the public parser agree on JSON and on garbage.
    """
    assert outcome(_record._load_with_json, text) == outcome(_record.load_json, text)
