"""A clock that only goes forward, for how long something lasts: the wall clock can be set, and differs by process."""

from __future__ import annotations

import time
from typing import Final

__all__ = ["steady_clock"]

BOOT_TIME: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux' monotonic clock stands still while the machine is suspended, this one does not."""


def steady_clock() -> float:
    """Seconds that go on while the process is stopped and, where the system can tell, while the machine sleeps."""
    return time.monotonic() if BOOT_TIME is None else time.clock_gettime(BOOT_TIME)
