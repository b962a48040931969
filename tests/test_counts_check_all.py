"""
Hold the work of `check_all` in an environment that is fresh by counts.
"""

from __future__ import annotations

import sys
from collections import Counter

from counting import counts, system_calls
from helpers import commit
from upgrade_state import StateStore

SETUP = f"""
sys.path[:] = {sys.path!r}
from upgrade_state import StateStore, _lockfile, checks
store = StateStore(sys.argv[1])
shop = next(iter(store))
checks.check_all([])
"""


def calls(tmp_path, number, code):
    """
    Count the system calls of *code* in a store with a *number* of fresh environments.
    """
    cache = tmp_path / f"cache{number}"
    for shop in (tmp_path / f"shop{i}" for i in range(number)):
        shop.mkdir(exist_ok=True)
        (shop / "uv.lock").write_bytes(b"old")
        commit(StateStore(cache).environment(shop, "uv.lock"), now=None, by="uv")
    return counts(system_calls(code, str(cache), setup=SETUP))


def test_fresh(tmp_path):
    """
    An environment that is fresh is listed, exists, and is asked: no lock, no identity.
    """
    asked = calls(tmp_path, 1, "shop.look().freshness()")
    three, four = (calls(tmp_path, n, "list(store)") for n in (3, 4))
    check = "assert {r.outcome.state for r in checks.check_all(store)} == {'fresh'}"
    before, after = (calls(tmp_path, n, check) for n in (3, 4))

    assert Counter(stat=1) + (four - three) + asked == after - before
