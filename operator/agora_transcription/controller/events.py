"""Kubernetes events about tasks: one for each change of what the Ready condition says, never in the way of the work."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agora_transcription.controller.store import Store, StoreError

if TYPE_CHECKING:
    from agora_transcription.api import Reason, TaskStatus, TranscriptionTask

__all__ = ["EventPoster"]

BACKLOG: Final = 1000
"""Events that may wait; more are dropped, since the conditions tell the same."""

WARNINGS: Final = "False"
"""The status of Ready that makes an event a warning."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Event:
    task: TranscriptionTask
    warning: bool
    reason: str
    message: str
    moment: str


class EventPoster:
    """Posts events one after the other, in the background."""

    def __init__(self, store: Store) -> None:
        """Post through a store."""
        self._store = store
        self._events: asyncio.Queue[_Event] = asyncio.Queue(BACKLOG)

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
            event = await self._events.get()
            try:
                await self._store.event(
                    event.task, warning=event.warning, reason=event.reason, message=event.message, now=event.moment
                )
            except StoreError as error:
                # A namespace that is being deleted takes no events: nothing is lost that could be kept.
                logger.debug("No event %s for %s: %s", event.reason, event.task.key, error)
            finally:
                self._events.task_done()

    async def drain(self, grace: float) -> None:
        """Wait until all events are posted, for so many seconds at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._events.join()

    def _put(self, task: TranscriptionTask, *, warning: bool, reason: str, message: str) -> None:
        moment = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        try:
            self._events.put_nowait(_Event(task, warning, reason, message, moment))
        except asyncio.QueueFull:
            logger.warning("Event %s for %s was dropped: too many are waiting", reason, task.key)
