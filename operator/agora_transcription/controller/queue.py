"""A keyed work queue with due times, after client-go's `workqueue`.

- A key that is added while it waits stays one entry: any number of changes make one reconciliation.
- A key that is added while it is worked on runs once more afterwards, and never twice at the same time.
- A key can be added for later; the earliest time counts.

Every dirty key has an asyncio task of its own, which costs a few kilobytes and lets it wait for its turn at Agora
without holding up another. How many act at once is bounded where they act.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from agora_transcription.controller.lifecycle import cut_off

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterator

__all__ = ["WorkQueue"]

K = TypeVar("K", bound="Hashable")

logger = logging.getLogger(__name__)

PANIC_RETRY = 30.0
"""Seconds before a key is worked on again whose worker raised what it should have handled."""


@dataclass(slots=True)
class _Entry:
    """A key that is being worked on."""

    since: float
    again: bool = False
    parked: bool = False
    dispensable: bool = False
    dirty: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class WorkQueue(Generic[K]):
    """Runs one worker per key, again and again, as keys are added.

    Attributes:
        depth: How many keys are being worked on or wait for it.
        retries: How often a worker has raised an exception.
    """

    def __init__(self, work: Callable[[K], Awaitable[None]], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare a queue.

        Args:
            work: Called with a key; never at the same time twice with the same.
            clock: Seconds, steadily rising; due times are given in it.
        """
        self._work = work
        self._clock = clock
        self._active: dict[K, _Entry] = {}
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._pushes = 0
        self._earlier = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False
        self.retries = 0

    @property
    def depth(self) -> int:
        """Keys that are being worked on or wait for it."""
        return len(self._active)

    def oldest(self) -> float:
        """Seconds since when the longest of them does; 0 when there is none. May be asked from another thread."""
        now = self._clock()
        return now - min((entry.since for entry in list(self._active.values())), default=now)

    def stuck(self) -> float:
        """Seconds since when the longest of those does that do not wait on purpose; 0 when there is none."""
        now = self._clock()
        return now - min((entry.since for entry in self._active.values() if not entry.parked), default=now)

    @property
    def closed(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._closed

    @contextmanager
    def parked(self, key: K, *, dispensable: bool = False) -> Iterator[None]:
        """Mark the key's worker as waiting on purpose: for a budget, not for something that may hang.

        Args:
            key: The key.
            dispensable: What it waits for may turn out to be needless meanwhile; see `nudge`.

        Raises:
            CancelledError: The queue is closed, and who begins to wait need not.
        """
        if self._closed:
            raise asyncio.CancelledError
        entry = self._active[key]
        entry.parked, entry.dispensable = True, dispensable
        try:
            yield
        finally:
            entry.parked = False
            entry.since = self._clock()

    def add(self, key: K) -> None:
        """Have a key worked on as soon as possible; forgets a later time."""
        self._due.pop(key, None)
        if self._closed:
            return
        entry = self._active.get(key)
        if entry is not None:
            entry.again = True
            entry.dirty.set()
            return
        entry = self._active[key] = _Entry(self._clock())
        task = entry.task = asyncio.create_task(self._run(key), name=f"reconcile {key}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def nudge(self, key: K) -> None:
        """Have a key start over whose worker waits for what may be needless by now; any other keeps its turn."""
        entry = self._active.get(key)
        if entry is not None and entry.parked and entry.dispensable:
            self.add(key)

    def add_at(self, key: K, when: float) -> None:
        """Have a key worked on at a time of the clock, unless it is due sooner."""
        if self._due.get(key, when + 1) <= when:
            return
        self._due[key] = when
        self._pushes += 1
        heapq.heappush(self._heap, (when, self._pushes, key))
        self._earlier.set()

    def forget(self, key: K) -> None:
        """Drop a key's due time."""
        self._due.pop(key, None)

    def dirty(self, key: K) -> asyncio.Event:
        """The event that is set when a key is added while it is being worked on: its worker may want to start over."""
        return self._active[key].dirty

    async def run(self) -> None:
        """Add keys as their times come, until cancelled."""
        while True:
            self._earlier.clear()
            while self._heap and self._heap[0][0] <= self._clock():
                when, _, key = heapq.heappop(self._heap)
                # An entry that was overtaken by an earlier or forgotten time is no longer the key's due time.
                if self._due.get(key) == when:
                    self.add(key)
            pause = self._heap[0][0] - self._clock() if self._heap else None
            # Not wait_for, which makes a task of its own on Python 3.11: kopf waits for those at the end.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._earlier.wait()

    async def close(self, grace: float) -> None:
        """Take no more keys, and let those that act end within `grace` seconds; those that wait need not begin."""
        self._closed = True
        self._due.clear()
        for entry in self._active.values():
            if entry.parked and entry.task is not None:
                entry.task.cancel()
        if not self._running:
            return
        _, late = await asyncio.wait(set(self._running), timeout=grace)
        await cut_off(late)

    async def _run(self, key: K) -> None:
        entry = self._active[key]
        try:
            while True:
                entry.again = False
                entry.dirty.clear()
                await self._work(key)
                if not entry.again or self._closed:
                    return
                entry.since = self._clock()
        except Exception:
            self.retries += 1
            logger.exception("Reconciling %s failed unexpectedly; next try in %d s", key, PANIC_RETRY)
            self.add_at(key, self._clock() + PANIC_RETRY)
        finally:
            del self._active[key]
