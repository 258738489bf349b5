"""What the simulator tells of itself: its tasks, the calls it got, and who had two tasks at once. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agora_transcription.simulator.notifications import Notice
    from agora_transcription.simulator.tasks import Task
    from agora_transcription.simulator.world import Call

__all__ = ["call_row", "doubles", "notice_row", "task_row"]


def task_row(task: Task) -> dict[str, Any]:
    """A task with its whole history; `settings` in the shape of the request, without secrets."""
    return {
        "taskId": task.id,
        "dialect": task.dialect,
        "appId": task.app_id,
        "name": task.name,
        "channel": task.channel,
        "state": task.state.name,
        "botUid": task.settings["rtcConfig"]["pubBotUid"],
        "startedAt": task.started_at,
        "endedAt": task.ended_at,
        "endReason": task.message or None,
        "settings": task.settings,
        "sequenceId": task.sequence_id,
        "updates": [
            {"at": change.at, "sequenceId": change.sequence_id, "mask": change.mask} for change in task.updates
        ],
        "calls": task.calls,
    }


def call_row(index: int, call: Call) -> dict[str, Any]:
    """A call; `code` is null while it waits, and for good where the connection was closed without an answer."""
    return {
        "index": index,
        "at": call.at,
        "operation": call.operation,
        "dialect": call.dialect,
        "appId": call.app_id,
        "taskId": call.task_id,
        "name": call.name,
        "channel": call.channel,
        "code": call.code,
        "updateMask": call.update_mask,
        "sequenceId": call.sequence_id,
    }


def notice_row(notice: Notice) -> dict[str, Any]:
    """A notification; `codes` has the answer to each delivery, null where there was none."""
    return {**notice.body, "codes": notice.codes}


def doubles(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """The times in which one owner had two live tasks at once, past and present.

    The owner is a task's name up to its last "-": names are `<prefix>-<owner>-<attempt>`. Every state that is not an
    end counts as live.
    """
    owners: defaultdict[tuple[str, str], list[Task]] = defaultdict(list)
    for task in tasks:
        owners[task.app_id, task.name.rpartition("-")[0] or task.name].append(task)
    return [
        {"appId": app_id, "owner": owner, "from": later.started_at, "until": until, "tasks": [earlier.id, later.id]}
        for (app_id, owner), owned in owners.items()
        for earlier, later, until in _overlaps(owned)
    ]


def _overlaps(tasks: list[Task]) -> Iterator[tuple[Task, Task, float | None]]:
    live: list[Task] = []
    for later in tasks:
        live = [earlier for earlier in live if _end(earlier) > later.started_at]
        for earlier in live:
            until = min(_end(earlier), _end(later))
            yield earlier, later, None if until == float("inf") else until
        live.append(later)


def _end(task: Task) -> float:
    return float("inf") if task.ended_at is None else task.ended_at
