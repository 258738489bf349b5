"""Who may call, and how often. No I/O: time comes in as an argument."""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["RateLimit", "caller_of"]

MAX_CALLERS: Final = 10_000
"""How many are remembered; who has not called for longest is forgotten first, and then has a full bucket again."""

MINUTE: Final = 60.0


def caller_of(key: str, keys: Sequence[str]) -> str | None:
    """A short name of the caller with this API key, from which the key cannot be read; None if it is none."""
    known = [hmac.compare_digest(key.encode(), each.encode()) for each in keys]
    return hashlib.sha256(key.encode()).hexdigest()[:12] if any(known) else None


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class RateLimit:
    """A token bucket for each caller."""

    def __init__(self, per_minute: int) -> None:
        """Allow so many calls per minute, in bursts of as many; 0 for any number."""
        self._size = float(per_minute)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, caller: str, now: float) -> float:
        """Take a call.

        Args:
            caller: Who calls.
            now: Seconds of a clock that is not put back.

        Returns:
            0 if it may be made now; else the seconds after which the next one may, and this one does not count.
        """
        if not self._size:
            return 0.0
        bucket = self._buckets.setdefault(caller, _Bucket(self._size, now))
        self._buckets.move_to_end(caller)
        if len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._size, bucket.tokens + (now - bucket.filled_at) * self._size / MINUTE)
        bucket.filled_at = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) * MINUTE / self._size
        bucket.tokens -= 1
        return 0.0
