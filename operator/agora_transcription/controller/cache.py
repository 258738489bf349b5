"""The newest known version of every watched object.

An operator that writes status sees its own writes come back later, and older versions after newer ones. Acting on those
would repeat what is done, so the server's answer to a write counts at once and older echoes are dropped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import ValidationError

from agora_transcription.api import TranscriptionTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agora_transcription.api import TaskStatus

__all__ = ["FORMER_TASKS", "GONE", "TaskCache", "is_newer"]

FORMER_TASKS: Final = 10_000
"""How many Agora tasks of objects that are gone are kept in mind, so that no other object adopts one of them."""

GONE: Final = 10_000
"""How many objects that are gone are kept in mind, for when a watch that begins anew tells of them once more."""

T = TypeVar("T")

logger = logging.getLogger(__name__)


def is_newer(version: str, than: str) -> bool:
    """Whether one resourceVersion came after the other.

    Kubernetes documents those of one resource as comparable integers since 1.35 (KEP-5504) and has always made them so;
    where they are not, any other version counts as newer.
    """
    if version.isdecimal() and than.isdecimal():
        return int(version) > int(than)
    return version != than


class TaskCache:
    """Objects by uid: a name can be given again, a uid cannot."""

    def __init__(self) -> None:
        self._tasks: dict[str, TranscriptionTask] = {}
        self._owners: dict[str, str] = {}
        """Uids by the Agora task that the status names."""
        self._former: dict[str, str] = {}
        """Uids of objects that are gone by their Agora tasks, the latest last."""
        self._gone: dict[str, str] = {}
        """The last known resourceVersions of objects that are gone by their uids, the latest last."""

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[TranscriptionTask]:
        """Go over the objects as they are now. May be done from another thread, as /metrics does."""
        return iter(list(self._tasks.values()))

    def get(self, uid: str) -> TranscriptionTask | None:
        """The newest version; None for an object that is gone."""
        return self._tasks.get(uid)

    def offer(self, body: Mapping[str, Any]) -> bool:
        """Keep an object if it is newer than what is known; answers whether it was."""
        metadata = body["metadata"]
        known = self._tasks.get(metadata["uid"])
        than = known.metadata.resource_version if known else self._gone.get(metadata["uid"])
        if than is not None and not is_newer(metadata["resourceVersion"], than):
            return False
        try:
            task = self._tasks[metadata["uid"]] = TranscriptionTask.parse(body)
        except ValidationError as error:
            # Only an object that was stored under another CRD can be so; it stays as it is until somebody mends it.
            fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
            logger.error(  # noqa: TRY400 - the traceback would print values
                "%s/%s cannot be read: %s", metadata.get("namespace"), metadata.get("name"), fields
            )
            return False
        if known is None or known.status.task_id != task.status.task_id:
            self._disown(known)
            if task.status.task_id is not None:
                self._owners[task.status.task_id] = task.metadata.uid
        return True

    def drop(self, uid: str, version: str | None = None) -> TranscriptionTask | None:
        """Forget an object that is gone, but not yet its Agora tasks. No version up to its last one brings it back.

        Args:
            uid: The object's, known or not.
            version: Its last resourceVersion, if that is not the known one.
        """
        task = self._tasks.pop(uid, None)
        last = version or (task.metadata.resource_version if task else None)
        if last is not None:
            _keep_latest(self._gone, uid, last, GONE)
        self._disown(task)
        for task_id in sorted(_task_ids(task.status)) if task else ():
            self.bury(uid, task_id)
        return task

    def gone(self) -> set[str]:
        """The uids of the objects that have gone lately."""
        return set(self._gone)

    def revive(self, uid: str) -> None:
        """Let an object come back that was wrongly taken for gone."""
        self._gone.pop(uid, None)

    def bury(self, uid: str, task_id: str) -> None:
        """Keep in mind that an Agora task was that of an object that is gone: it may be listed for a while."""
        _keep_latest(self._former, task_id, uid, FORMER_TASKS)

    def owner(self, task_id: str) -> str | None:
        """The uid of the object whose status names an Agora task."""
        return self._owners.get(task_id)

    def known_task_ids(self, but: str) -> set[str]:
        """The Agora tasks that belong or belonged to any object, but for the current one of `but`."""
        ids = {task_id for task_id, uid in self._former.items() if uid != but}
        for uid, task in self._tasks.items():
            ids |= _task_ids(task.status, current=uid != but)
        return ids

    def unclear_in_channel(self, task: TranscriptionTask) -> bool:
        """Whether another object of the same channel may have a task that its status does not name."""
        return any(
            other.spec.channel == task.spec.channel
            and other.metadata.uid != task.metadata.uid
            and other.guarded
            and not other.status.task_id
            and (other.status.instance_id is not None or not other.status.written)
            for other in self._tasks.values()
        )

    def _disown(self, task: TranscriptionTask | None) -> None:
        task_id = task.status.task_id if task else None
        if task is not None and task_id is not None and self._owners.get(task_id) == task.metadata.uid:
            del self._owners[task_id]


def _keep_latest(kept: dict[str, T], key: str, value: T, limit: int) -> None:
    """Put a value at the end, and drop the first where there are too many."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) > limit:
        del kept[next(iter(kept))]


def _task_ids(status: TaskStatus, *, current: bool = True) -> set[str]:
    """The Agora tasks that a status names."""
    ids = {ended.task_id for ended in status.history}
    if status.retiring:
        ids.add(status.retiring.task_id)
    if status.task_id and current:
        ids.add(status.task_id)
    return ids
