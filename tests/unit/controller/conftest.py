"""The clock and the stage that the tests of the controller share."""

from __future__ import annotations

import pytest

from unit.controller.builders import Clock
from unit.controller.scene import Scene


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The controller tells the time by this clock."""
    clock = Clock()
    clock.install(monkeypatch)
    return clock


@pytest.fixture
def scene(clock: Clock) -> Scene:
    return Scene(clock)
