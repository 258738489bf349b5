"""Who of those that wait goes next: tenants take turns within a priority, and no priority waits for ever.

Round robin: every tenant that waits has one call in turn, which is fair because each call costs the same. One with a
single call waits for one call of each of the others, however many those have.

The higher priority goes first, up to a limit: a priority that `PASSES` calls have gone past in a row has the next turn.

No clock, no I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["PASSES", "FairQueue"]

W = TypeVar("W")
"""A call that waits; compared by identity."""

PASSES: Final = 9
"""So many calls of higher priorities go past one that waits; so each lower priority keeps a tenth of the calls."""


class FairQueue(Generic[W]):
    """The calls of one App ID that wait."""

    def __init__(self, priorities: Sequence[int]) -> None:
        """Make an empty one.

        Args:
            priorities: All there are; the lowest number goes first.
        """
        self._lines: dict[int, _Line[W]] = {priority: _Line() for priority in sorted(priorities)}

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def __iter__(self) -> Iterator[W]:
        """Everybody who waits, in no order; who is found can be removed meanwhile."""
        return iter([waiter for line in self._lines.values() for waiter in line])

    def add(self, priority: int, tenant: str, waiter: W) -> None:
        """Let a call wait."""
        self._lines[priority].add(tenant, waiter)

    def remove(self, waiter: W) -> None:
        """Let a call wait no more; one that does not wait is no error."""
        for line in self._lines.values():
            line.remove(waiter)

    def take(self) -> W:
        """Take out whose turn it is; somebody has to wait."""
        waiting = [line for line in self._lines.values() if line]
        late = [line for line in waiting[1:] if line.passed >= PASSES]
        chosen = max(late, key=lambda line: line.passed) if late else waiting[0]
        for line in waiting[waiting.index(chosen) + 1 :]:
            line.passed += 1
        chosen.passed = 0
        return chosen.take()


class _Line(Generic[W]):
    """The calls of one priority.

    Attributes:
        passed: How many calls of higher priorities have gone past in a row while somebody waited here.
    """

    def __init__(self) -> None:
        self.passed = 0
        self._queues: OrderedDict[str, OrderedDict[int, W]] = OrderedDict()
        """By tenant, in the order of their turns; within, in the order of asking."""
        self._tenants: dict[int, str] = {}
        """Whose a waiting call is, by the call's identity."""

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[W]:
        return (waiter for queue in self._queues.values() for waiter in queue.values())

    def add(self, tenant: str, waiter: W) -> None:
        self._queues.setdefault(tenant, OrderedDict())[id(waiter)] = waiter
        self._tenants[id(waiter)] = tenant

    def remove(self, waiter: W) -> None:
        tenant = self._tenants.pop(id(waiter), None)
        if tenant is not None:
            del self._queues[tenant][id(waiter)]
            self._tidy(tenant)

    def take(self) -> W:
        tenant = next(iter(self._queues))
        identity, waiter = self._queues[tenant].popitem(last=False)
        del self._tenants[identity]
        self._queues.move_to_end(tenant)
        self._tidy(tenant)
        return waiter

    def _tidy(self, tenant: str) -> None:
        if not self._queues[tenant]:
            del self._queues[tenant]
        if not self._queues:
            self.passed = 0
