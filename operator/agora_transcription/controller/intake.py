"""What is made of a list and of a watch: the newest version goes into the cache, and its key into the queue."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import kopf

    from agora_transcription.controller.cache import TaskCache
    from agora_transcription.controller.queue import WorkQueue
    from agora_transcription.controller.reconciler import Reconciler
    from agora_transcription.controller.resync import Resync
    from agora_transcription.controller.store import Body

__all__ = ["Intake"]

logger = logging.getLogger(__name__)


class Intake:
    """Takes in objects. One that cannot be taken in is logged, and none of the others suffers for it."""

    def __init__(self, cache: TaskCache, queue: WorkQueue[str], reconciler: Reconciler, resync: Resync) -> None:
        self._cache = cache
        self._queue = queue
        self._reconciler = reconciler
        self._resync = resync
        self._lists: set[str] = set()

    def listed(self, where: str, bodies: Iterable[Body], *, begins: bool) -> None:
        """Take in a page of a list.

        Args:
            where: The list's path: there is one for each watch.
            bodies: The objects.
            begins: That it is the list's first page.
        """
        if begins and where in self._lists:
            self._resync.relisted()
        self._lists.add(where)
        for body in bodies:
            self._take(None, body)

    def told(self, event: kopf.RawEvent) -> None:
        """Take in an event of a watch."""
        self._take(event["type"], event["object"])

    def _take(self, kind: str | None, body: Body | kopf.RawBody) -> None:
        try:
            uid, version = body["metadata"]["uid"], body["metadata"]["resourceVersion"]
            if kind == "DELETED":
                self._reconciler.gone(uid, version)
                return
            # What is listed may be as old as can be, and may have been started by another process.
            is_new = kind == "ADDED" and self._cache.get(uid) is None
            if self._cache.offer(body):
                if is_new:
                    self._reconciler.created(uid)
                self._queue.add(uid)
        except Exception:  # a fault that one object brings up must not end the work for all
            logger.exception("%s cannot be taken in: nothing is done for this version of it", _name_of(body))


def _name_of(body: Body | kopf.RawBody) -> str:
    metadata = (body or {}).get("metadata") or {}
    return f"{metadata.get('namespace')}/{metadata.get('name')}"
