"""
Fixtures for the tests of the plugins: an index, and a project in a home.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import situations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Unset the switches that silence the library, as in `environ_of`.
    """
    for name in ("CI", "NO_UPDATE_NOTIFIER", "UPGRADE_STATE_DISABLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def running_index(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[situations.Index]:
    """
    An index that listens until the last test of a module.
    """
    index = situations.Index(tmp_path_factory.mktemp("wheels"))
    yield index
    index.stop()


@pytest.fixture(scope="class")
def template(
    request: pytest.FixtureRequest,
    running_index: situations.Index,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """
    The project that each test copies.
    """
    place = tmp_path_factory.mktemp("template")
    return situations.make_template(request.cls.manager, place, running_index)


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    running_index: situations.Index,
    template: Path,
    tmp_path: Path,
) -> situations.Scene:
    """
    A project in the home of a user; the index has an upgrade for it.
    """
    running_index.is_broken = False
    manager = request.cls.manager
    return situations.make_scene(manager, tmp_path, running_index, template)
