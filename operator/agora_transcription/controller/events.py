"""Kubernetes events about tasks: one for each change of what the Ready condition says, never in the way of the work.

An event costs the API server as much as the write that it tells of. A thousand tasks that start together must not wait
for a thousand events, so these are posted behind, at the pace of controller-runtime's client (20 per second, burst 30).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agora_transcription.controller.store import Store, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from agora_transcription.api import Metadata, Reason, TaskStatus, TranscriptionTask

__all__ = ["EventPoster"]

RATE: Final = 20.0
"""Events per second in the long run."""

BURST: Final = 30
"""Events that are posted at once after a quiet time."""

BACKLOG: Final = 5000
"""Events that may wait. Of more the latest are dropped, warnings last: conditions of what is there tell the same."""

WARNINGS: Final = "False"
"""The status of Ready that makes an event a warning."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Event:
    about: Metadata
    warning: bool
    reason: str
    message: str
    moment: str


class EventPoster:
    """Posts events one after the other, in the background, warnings first."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare.

        Args:
            store: Where they are posted.
            clock: Seconds, as fast as the event loop's own.
        """
        self._store = store
        self._clock = clock
        self._warnings: deque[_Event] = deque()
        self._others: deque[_Event] = deque()
        self._due = 0.0
        self._some = asyncio.Event()
        self._all_posted = asyncio.Event()
        self._all_posted.set()
        self._hurries = asyncio.Event()
        self._drops = False

    def changed(self, task: TranscriptionTask, before: TaskStatus, after: TaskStatus) -> None:
        """Tell of a status write, if it changed what Ready says."""
        old, new = before.ready, after.ready
        if new is None or (old is not None and (old.status, old.reason) == (new.status, new.reason)):
            return
        self._put(task, warning=new.status == WARNINGS, reason=new.reason, message=new.message)

    def ended(self, task: TranscriptionTask, reason: Reason, message: str, *, warning: bool = False) -> None:
        """Tell how it ended with a deleted object."""
        self._put(task, warning=warning, reason=reason.value, message=message)

    async def run(self) -> None:
        """Post what comes, until cancelled."""
        while True:
            await self._some.wait()
            await self._keep_pace()
            event = (self._warnings or self._others).popleft()
            try:
                await self._store.event(
                    event.about, warning=event.warning, reason=event.reason, message=event.message, now=event.moment
                )
            except StoreError as error:
                # A namespace that is being deleted takes no events: nothing is lost that could be kept.
                logger.debug("No event %s for %s: %s", event.reason, event.about.key, error)
            if not (self._warnings or self._others):
                self._some.clear()
                self._all_posted.set()

    async def drain(self, grace: float) -> None:
        """Wait until all events are posted, as fast as they can be, for so many seconds at most."""
        self._hurries.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._all_posted.wait()

    async def _keep_pace(self) -> None:
        """Wait until the next event may be posted."""
        now = self._clock()
        self._due = max(self._due, now - BURST / RATE) + 1 / RATE
        if self._due > now:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._due - now):
                    await self._hurries.wait()

    def _put(self, task: TranscriptionTask, *, warning: bool, reason: str, message: str) -> None:
        moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        event = _Event(task.metadata, warning, reason, message, moment)
        waiting = len(self._warnings) + len(self._others)
        if waiting >= BACKLOG:
            if not self._drops:
                logger.warning("%d events wait to be posted: until they are fewer, some are dropped", BACKLOG)
            self._drops = True
            if not (warning and self._others):
                return
            self._others.pop()  # a warning may be all that is left to tell of an object that is gone
        elif waiting < BACKLOG / 2:
            self._drops = False
        (self._warnings if warning else self._others).append(event)
        self._all_posted.clear()
        self._some.set()
