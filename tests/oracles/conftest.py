import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def samples():
    """
    The directory with real pairs of lockfiles; it is not part of the package.
    """
    beside = Path(__file__).parents[2].parent / "shared" / "lockfiles"
    path = Path(os.environ.get("UPGRADE_STATE_SAMPLES", beside))
    if not path.is_dir():
        pytest.skip("no sample lockfiles here (UPGRADE_STATE_SAMPLES)")
    return path
