"""What a spec's policies make of a task: when it ends, why it ended, and what follows. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agora_transcription.agora.models import State
from agora_transcription.api import EndReason, Reason, RestartPolicy, failed, ready
from agora_transcription.controller.translate import start_hash

if TYPE_CHECKING:
    from datetime import datetime

    from agora_transcription.agora.models import Observation
    from agora_transcription.api import TaskSpec, TaskStatus, TranscriptionTask
    from agora_transcription.api.conditions import Verdict
    from agora_transcription.controller.steps import Farewell

__all__ = [
    "DELIBERATE",
    "another_follows",
    "deadline",
    "deletion_due",
    "end_reason",
    "final_verdict",
    "restart_due",
    "rollover_due",
]

ROLLOVER_MARGIN: Final = timedelta(minutes=10)
"""A task is renewed this long before it would expire, so that a slow or failing start still comes in time."""

RESTART_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (0, 0, 10, 20, 40, 80))
"""The pause before the next task, by how many in a row ended early: the history remembers five."""

EARLY_END: Final = timedelta(minutes=10)
"""A task that ended by itself sooner than this counts towards the pause before the next."""

NOTIFIED: Final = {
    "Idle for too long": EndReason.IDLE,
    "Task exceeded maximum lifetime": EndReason.EXPIRED,
    "OK": EndReason.STOPPED_ELSEWHERE,
}
"""What the message of event 102 says of a task that has stopped (page on notifications of speech-to-text)."""

DELIBERATE: Final = {
    EndReason.SPEC_CHANGED,
    EndReason.SUSPENDED,
    EndReason.ROLLED_OVER,
    EndReason.DEADLINE_EXCEEDED,
}
"""Ends that the operator itself brought about: if a task is wanted again, another one follows."""


def deadline(task: TranscriptionTask) -> datetime | None:
    """When `activeDeadlineSeconds` have passed; None without any, or before the first start."""
    if task.spec.active_deadline_seconds is None or task.status.first_start_time is None:
        return None
    return task.status.first_start_time + timedelta(seconds=task.spec.active_deadline_seconds)


def deletion_due(task: TranscriptionTask) -> datetime | None:
    """When `ttlSecondsAfterFinished` have passed; None for an object that has not finished, or is kept."""
    lasts, finished = task.spec.ttl_seconds_after_finished, task.status.completion_time
    if lasts is None or finished is None or task.status.task_id or task.spec.suspend or task.deleting:
        return None
    return finished + timedelta(seconds=lasts)


def rollover_due(status: TaskStatus) -> datetime | None:
    """When a task has to be renewed; None if it does not expire."""
    return status.expiry_time - ROLLOVER_MARGIN if status.expiry_time else None


def restart_due(status: TaskStatus, now: datetime) -> datetime | None:
    """When the next task may start: later and later while one after the other ends early; None for at once.

    An end that is still to come was written by a clock that has been put back since: it does not count.
    """
    early = 0
    for ended in reversed(status.history):
        lived = ended.end_time - (ended.start_time or ended.end_time)
        if ended.reason in DELIBERATE or lived > EARLY_END:
            break
        early += 1
    last = status.history[-1].end_time if early else None
    return last + RESTART_DELAYS[early] if last and last <= now else None


def end_reason(
    task: TranscriptionTask, observation: Observation | None, farewell: Farewell | None, now: datetime
) -> EndReason:
    """Why a task has ended, as far as it can be told.

    A stop of the operator's own comes first, even one that was cut off before the status could say so. Agora's status
    names no cause ("STOPPED" covers idleness, the lifetime and a stop by anybody): only its notification does, and
    where none has come age decides.

    Args:
        task: The object whose task ended.
        observation: Agora's answer; None if it does not know the task any more.
        farewell: What Agora has notified of the end.
        now: The time.
    """
    status = task.status
    due = rollover_due(status)
    notified = _notified(observation, farewell)
    if status.stop_reason is not None:
        return status.stop_reason
    if status.start_hash != start_hash(task.spec):
        return EndReason.SPEC_CHANGED
    if notified in {EndReason.IDLE, EndReason.EXPIRED}:
        return notified
    if status.expiry_time is not None and now >= status.expiry_time:
        return EndReason.EXPIRED
    if due is not None and now >= due:
        return EndReason.ROLLED_OVER
    if notified is not None:
        return notified
    if observation is None:
        return EndReason.DISAPPEARED
    if observation.state is State.FAILED:
        return EndReason.FAILED
    idle = timedelta(seconds=task.spec.idle_timeout_seconds)
    if idle and status.start_time is not None and now - status.start_time >= idle:
        return EndReason.IDLE
    return EndReason.STOPPED_ELSEWHERE


def _notified(observation: Observation | None, farewell: Farewell | None) -> EndReason | None:
    """The reason that Agora has notified; None where it has not, or where a query says otherwise."""
    if farewell is None or (observation is not None and observation.state is not farewell.state):
        return None
    return EndReason.FAILED if farewell.state is State.FAILED else NOTIFIED.get(farewell.message)


def another_follows(spec: TaskSpec, reason: EndReason) -> bool:
    """Whether another task is to follow one that ended so."""
    if reason in DELIBERATE:
        return True
    match spec.restart_policy:
        case RestartPolicy.ALWAYS:
            return True
        case RestartPolicy.ON_FAILURE:
            return reason is not EndReason.IDLE
        case RestartPolicy.NEVER:
            return False


def final_verdict(spec: TaskSpec, reason: EndReason, words: str) -> Verdict:
    """How an end reads that no other task follows.

    Args:
        spec: The object's.
        reason: Why the last task ended.
        words: What Agora said of it; empty if nothing.
    """
    policy = f"spec.restartPolicy is {spec.restart_policy}; to run it again set spec.suspend to true and back"
    if reason is EndReason.IDLE:
        return ready(Reason.COMPLETED, f"The channel was idle for {spec.idle_timeout_seconds} s; {policy}")
    if reason is EndReason.EXPIRED:
        return ready(Reason.COMPLETED, f"The Agora task reached the end of its lifetime; {policy}")
    why = f"{reason}: {words}" if words else reason
    return failed(Reason.TASK_FAILED, f"The Agora task ended ({why}); {policy}")
