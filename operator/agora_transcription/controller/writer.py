"""Writing to objects, so that nothing newer is overwritten and nothing that Agora did is forgotten.

A decision is written on the version of the object that it was made on, and made anew if there is a newer one. What
Agora did is different, because it happened: if only the spec has changed meanwhile it is written on the new version,
since the status is the operator's alone. If its facts have changed, somebody else writes it, and what is there decides;
another opinion of the same facts gives way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agora_transcription.api import DeletionPolicy, Reason
from agora_transcription.controller.store import (
    NotFound,
    Outdated,
    Store,
    StoreError,
    merge_patch,
    with_finalizer,
    without_finalizer,
)

if TYPE_CHECKING:
    from agora_transcription.api import TaskStatus, TranscriptionTask
    from agora_transcription.controller.cache import TaskCache
    from agora_transcription.controller.events import EventPoster
    from agora_transcription.controller.memory import Memory
    from agora_transcription.telemetry.logs import ObjectLogger
    from agora_transcription.telemetry.metrics import Metrics

__all__ = ["Writer"]

MAX_WRITES: Final = 10
"""Tries to write one outcome on ever newer versions of the object before it is left to the next reconciliation."""


class Writer:
    """Writes through the store; the server's answers go into the cache. Every method raises the store's errors."""

    def __init__(self, store: Store, cache: TaskCache, events: EventPoster, metrics: Metrics) -> None:
        self._store = store
        self._cache = cache
        self._events = events
        self._metrics = metrics

    async def status(self, task: TranscriptionTask, status: TaskStatus, memory: Memory) -> None:
        """Write a status that was decided on this version of the object."""
        await self._write(task, task.status, status, memory)

    async def outcome(self, task: TranscriptionTask, status: TaskStatus, memory: Memory) -> None:
        """Write what Agora did, whatever becomes of the spec meanwhile.

        Until it is written it stands in `memory.unrecorded`.
        """
        memory.unrecorded = (task, status)
        version = task
        for _ in range(MAX_WRITES):
            try:
                await self._write(version, task.status, status, memory)
            except Outdated:
                version = await self.refresh(version)
                if _facts(version.status) != _facts(task.status):
                    memory.unrecorded = None
                    raise
            else:
                memory.unrecorded = None
                return
        raise StoreError(f"write status of {task.key}", 409, "the object changes faster than it can be written")

    async def guard(self, task: TranscriptionTask, memory: Memory) -> None:
        """Add the finalizer."""
        self._metrics.object_writes.labels("finalizers").inc()
        self._cache.offer(await self._store.write_finalizers(task, with_finalizer(task)))
        # It comes before the first call, so there was none yet, unless somebody has taken it away in between.
        memory.unsent = memory.unsent or not task.status.written

    async def release(self, task: TranscriptionTask, memory: Memory, abandoned: str | None, log: ObjectLogger) -> None:
        """Remove the finalizer, and tell what has become of the Agora task.

        Args:
            task: The deleted object.
            memory: Its memory.
            abandoned: The Agora task that could not be stopped; None if there is none.
            log: The object's.
        """
        memory.released = True  # the watch may tell of the end before the answer does
        self._metrics.object_writes.labels("finalizers").inc()
        body = await self._store.write_finalizers(task, without_finalizer(task))
        if abandoned is not None:
            message = f"The Agora task {abandoned} could not be stopped: it ends when idle, or with its lifetime"
            self._events.ended(task, Reason.ABANDONED, message, warning=True)
            log.warning("%s", message)
        elif task.spec.deletion_policy is DeletionPolicy.ORPHAN and task.status.task_id:
            message = f"The Agora task {task.status.task_id} goes on: spec.deletionPolicy is Orphan"
            self._events.ended(task, Reason.ORPHANED, message)
        elif task.status.task_id:
            self._events.ended(task, Reason.STOPPED, f"Stopped the Agora task {task.status.task_id}")
        if body["metadata"].get("finalizers"):
            self._cache.offer(body)
        else:
            # Nobody else holds it: it is gone with this answer, and the watch may have told so before.
            self._cache.drop(task.metadata.uid)

    async def delete(self, task: TranscriptionTask) -> None:
        """Delete the object."""
        self._metrics.object_writes.labels("delete").inc()
        await self._store.delete(task)

    async def refresh(self, task: TranscriptionTask) -> TranscriptionTask:
        """Read the object anew; answers the newest version that is known."""
        body = await self._store.get(task.metadata.namespace, task.metadata.name)
        if body["metadata"]["uid"] != task.metadata.uid:
            raise NotFound(f"get {task.key}", 404, "the object has been replaced by another of the same name")
        self._cache.offer(body)
        return self._cache.get(task.metadata.uid) or task

    async def _write(self, task: TranscriptionTask, before: TaskStatus, status: TaskStatus, memory: Memory) -> None:
        patch = merge_patch(before.dump(), status.dump())
        if not patch:
            return
        self._metrics.object_writes.labels("status").inc()
        body = await self._store.write_status(task, patch)
        if body["metadata"]["resourceVersion"] == task.metadata.resource_version:
            lost = f"the API server keeps none of {', '.join(sorted(patch))}: apply the CRD of this operator's version"
            raise StoreError(f"write status of {task.key}", None, lost)
        self._cache.offer(body)
        self._events.changed(task, before, status)
        if status.sequence_id != before.sequence_id:
            memory.reserved = status.sequence_id
        if before.task_id is not None and status.task_id is None:
            # The next attempt has a name that nobody has used yet.
            memory.next_attempt(unsent=True)


def _facts(status: TaskStatus) -> TaskStatus:
    """A status without what it makes of its facts: that may be another's word, and is made anew each time."""
    return status.model_copy(update={"observed_generation": -1, "conditions": (), "phase": None})
