"""What is made of an event: the newest version goes into the cache, and its key into the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import kopf

    from agora_transcription.controller.cache import TaskCache
    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.reconciler import Reconciler
    from agora_transcription.controller.resync import Resync

__all__ = ["Intake"]


class Intake:
    """Takes in what kopf lists and what its watch tells."""

    def __init__(self, cache: TaskCache, queue: WorkQueue[str], reconciler: Reconciler, resync: Resync) -> None:
        self._cache = cache
        self._queue = queue
        self._reconciler = reconciler
        self._resync = resync
        self._listed: set[str] = set()
        """The uids of what kopf has listed: it remembers each until it is told of its end."""

    def at_the_door(self, event: kopf.RawEvent) -> bool:
        """Take in an event of the watch before kopf reads it; answers False for what kopf has to know too."""
        if event["type"] == "DELETED" and event["object"]["metadata"]["uid"] in self._listed:
            return False
        self(event)
        return True

    def __call__(self, event: kopf.RawEvent) -> None:
        """Take in an event; its type is None for an object that kopf has listed."""
        body = event["object"]
        uid = body["metadata"]["uid"]
        if event["type"] == "DELETED":
            self._listed.discard(uid)
            self._reconciler.gone(uid)
            return
        is_known = self._cache.get(uid) is not None
        if event["type"] is None:
            self._listed.add(uid)
            if is_known:
                self._resync.relisted()
        is_new = event["type"] == "ADDED" and not is_known
        if self._cache.offer(body):
            if is_new:
                self._reconciler.created(uid)
            self._queue.add(uid)
