"""What a list of an account's running tasks can tell, and what it means. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from agora_transcription.agora import Dialect, Observation, State
from agora_transcription.controller.plan import dialect_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agora_transcription.agora import ListedTask
    from agora_transcription.api import TranscriptionTask
    from agora_transcription.controller.memory import Memory

__all__ = [
    "Member",
    "Sweep",
    "is_member",
    "is_worth_it",
    "judge",
    "next_asked",
    "owned_ids",
    "start_in_doubt",
    "unowned",
]

SMALLEST: Final = 10
"""Running tasks of an account that are worth a list of their own."""

ROUND: Final = 60
"""Lists in which each task is asked about once although it is listed as running: a row may be stuck."""

YOUNG: Final = timedelta(minutes=1)
"""The status of an object may not name a task yet that is younger."""


class Member(NamedTuple):
    """A running task that the list can tell of, and what was known of it before the list was asked for."""

    uid: str
    task_id: str
    observation: Observation | None
    poll_at: datetime


class Sweep(NamedTuple):
    """What a complete list means for the members of an account."""

    seen: list[Member]
    missing: list[Member]


def is_member(task: TranscriptionTask, memory: Memory, default: Dialect) -> bool:
    """Whether a task is expected in the list of running ones; any other is looked at on its own."""
    status = task.status
    if not status.task_id or status.stop_reason or task.deleting or memory.gone or memory.task_id != status.task_id:
        return False
    if dialect_of(task, default) is not Dialect.V7:
        return False
    return memory.observation.state is State.ACTIVE if memory.observation else status.agora_status == "RUNNING"


def is_worth_it(members: int, pages: int) -> bool:
    """Whether a list costs less than to ask about each member.

    Args:
        members: How many there are.
        pages: How many the last list had: the project may run tasks of others, too.
    """
    return members >= SMALLEST and members > pages


def judge(members: Iterable[Member], rows: Iterable[ListedTask]) -> Sweep:
    """Tell those that a complete list shows as running from those that it does not."""
    running = {row.task_id for row in rows if row.status in {"RUNNING", ""}}
    sweep = Sweep([], [])
    for member in members:
        (sweep.seen if member.task_id in running else sweep.missing).append(member)
    return sweep


def next_asked(members: Iterable[Member], last: str) -> list[str]:
    """Whose turn it is to be asked about although the list shows them; a `ROUND`th of all.

    Args:
        members: Who is in the account.
        last: The uid that was the last one of the list before; empty for none.
    """
    uids = sorted(member.uid for member in members)
    after = bisect_right(uids, last)
    return (uids[after:] + uids[:after])[: math.ceil(len(uids) / ROUND)]


def start_in_doubt(task: TranscriptionTask) -> bool:
    """Whether a task may run at Agora that the object's status does not name."""
    status = task.status
    return task.guarded and not status.task_id and (status.instance_id is not None or not status.written)


def owned_ids(task: TranscriptionTask, memory: Memory | None) -> set[str]:
    """The Agora tasks that belong to an object, that of an outcome included that is not written yet."""
    statuses = [task.status, *([memory.unrecorded[1]] if memory and memory.unrecorded else [])]
    named = [status.task_id for status in statuses] + [s.retiring.task_id for s in statuses if s.retiring]
    return {task_id for task_id in named if task_id}


def unowned(rows: Iterable[ListedTask], owned: set[str], in_doubt: int, moment: datetime) -> int:
    """How many of the listed tasks belong to no object.

    Args:
        rows: The tasks of one project.
        owned: Those that belong to an object.
        in_doubt: How many objects may have started one that they do not name.
        moment: The time.
    """
    strangers = [
        row for row in rows if row.task_id not in owned and (row.started is None or moment - row.started > YOUNG)
    ]
    return max(0, len(strangers) - in_doubt)
