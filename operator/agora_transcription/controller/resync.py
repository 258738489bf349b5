"""A look at all objects every now and then, for what the watch did not tell.

A watch can lose events: a deletion across a re-list, a connection that stays open and says nothing. What is found newer
here than the watch has told even a moment later is worked on at once, and counted; again and again, it means that the
watch is dead, and only a restart helps. After a re-list of kopf's, which says nothing of what has gone, the next look
does not wait for its time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from agora_transcription.controller.cache import is_newer
from agora_transcription.controller.store import Store, StoreError

if TYPE_CHECKING:
    from agora_transcription.controller.cache import TaskCache
    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.reconciler import Reconciler
    from agora_transcription.controller.store import Body
    from agora_transcription.telemetry.metrics import Metrics

__all__ = ["Resync"]

INTERVAL: Final = 300.0
"""Seconds between two looks, a tenth more or less."""

GRACE: Final = 10.0
"""Seconds that the watch has to tell what a look has found first."""

DEAD_AFTER: Final = 2
"""Looks in a row that find what the watch has missed: one can be bad luck."""

logger = logging.getLogger(__name__)


class Resync:
    """Compares the cache with the API server."""

    def __init__(  # noqa: PLR0913 - three times are what tests shorten
        self,
        store: Store,
        cache: TaskCache,
        queue: WorkQueue[str],
        reconciler: Reconciler,
        metrics: Metrics,
        *,
        interval: float = INTERVAL,
        grace: float = GRACE,
    ) -> None:
        """Prepare."""
        self._store = store
        self._cache = cache
        self._queue = queue
        self._reconciler = reconciler
        self._metrics = metrics
        self._interval = interval
        self._grace = grace
        self._missed_in_a_row = 0
        self._relisted = asyncio.Event()

    def relisted(self) -> None:
        """The watch has begun anew with a list, which does not tell what was deleted before."""
        self._relisted.set()

    def check(self) -> str | None:
        """For `/healthz`: what is wrong with the watch."""
        if self._missed_in_a_row < DEAD_AFTER:
            return None
        return f"the last {self._missed_in_a_row} resyncs found changes that the watch has not told"

    async def run(self) -> None:
        """Look every `INTERVAL` and after each re-list, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval * random.uniform(0.9, 1.1)):  # noqa: S311 - no secret
                    await self._relisted.wait()
                    await asyncio.sleep(self._grace)  # one look for all that a re-list tells
            after_relist = self._relisted.is_set()
            self._relisted.clear()
            try:
                await self.look(after_relist=after_relist)
            except StoreError as error:
                logger.warning("Resync: %s", error)

    async def look(self, *, after_relist: bool = False) -> None:
        """Compare once, and work on what is different.

        Args:
            after_relist: That deletions were missed is no sign of a dead watch then.
        """
        before, gone = {task.metadata.uid for task in self._cache}, self._cache.gone()
        listed: dict[str, Body] = {}
        async for body in self._store.all():
            listed[body["metadata"]["uid"]] = body
        for uid in gone & listed.keys():
            self._cache.revive(uid)  # one event, or one list, can be wrong
        if any(map(self._is_news, listed.values())) or before - listed.keys():
            await asyncio.sleep(self._grace)
        # What cannot be read is logged by the cache, and no fault of the watch.
        missed = [body for body in listed.values() if self._is_news(body) and self._cache.offer(body)]
        vanished = [uid for uid in before - listed.keys() if self._cache.get(uid) is not None]
        for body in missed:
            self._queue.add(body["metadata"]["uid"])
        for uid in vanished:
            self._reconciler.gone(uid)
        self._metrics.missed_events.inc(len(missed) + len(vanished))
        is_blamed = missed or (vanished and not after_relist)
        self._missed_in_a_row = self._missed_in_a_row + 1 if is_blamed else 0

    def _is_news(self, body: Body) -> bool:
        known = self._cache.get(body["metadata"]["uid"])
        return known is None or is_newer(body["metadata"]["resourceVersion"], known.metadata.resource_version)
