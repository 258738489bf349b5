"""Time as the simulated tasks see it, which can be moved forward."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Clock"]


class Clock:
    """A clock that runs with the wall's and can be advanced.

    Tasks live by `now()`. The dates inside RTC tokens are compared with `wall()`: whoever mints them knows nothing of
    an advanced clock, and a fresh token has to stay fresh.

    Args:
        wall: Unix seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self.wall = wall
        self._advanced = 0.0

    def now(self) -> float:
        """Unix seconds, moved forward by all that the clock was advanced."""
        return self.wall() + self._advanced

    def advance(self, seconds: float) -> None:
        """Move the tasks' time forward."""
        self._advanced += seconds

    def reset(self) -> None:
        """Go back to the wall's time."""
        self._advanced = 0.0
