"""How a status follows from what happened: pure functions from one status to the next.

Every function takes the task as it was when the step was decided, so that an answer is never credited to a spec that
came after the question.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from agora_transcription.agora.models import Dialect, State
from agora_transcription.api import (
    Ended,
    EndReason,
    Phase,
    Reason,
    TaskStatus,
    TranscriptionTask,
    merge_conditions,
    progressing,
    ready,
)
from agora_transcription.api.status import HISTORY_LIMIT, Retiring
from agora_transcription.controller.translate import bot_uid, instance_name, settings_of, start_hash

if TYPE_CHECKING:
    from datetime import datetime

    from agora_transcription.agora.models import Observation
    from agora_transcription.api.conditions import Verdict

__all__ = [
    "STARTING",
    "TASK_LIFETIME",
    "TOKEN_LIFETIME",
    "acquired",
    "adopted",
    "attempt_of",
    "begun",
    "builder_token_of",
    "concluded",
    "lifetime",
    "observed",
    "overlapping",
    "reserved",
    "retired",
    "retired_earlier",
    "skipped",
    "started",
    "state_verdict",
    "stop_accepted",
    "updated",
    "without_token",
]

TASK_LIFETIME: Final = timedelta(hours=72)
"""Agora ends a V7 task then, whatever it does (release notes of v7.2.3)."""

TOKEN_LIFETIME: Final = timedelta(hours=24)
"""The longest that an RTC token can be made for, and the lifetime of a V6 builderToken and its task."""

STARTING: Final = progressing(Reason.STARTING, "Starting the Agora task")
"""How it reads that a task is about to be started."""

CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far Agora's clock may be from the cluster's."""

WORD_LIMIT: Final = 256
"""Characters that the CRD takes of Agora's own words: more would lose the whole write."""

PHASES: Final = {
    Reason.STARTING: Phase.STARTING,
    Reason.RUNNING: Phase.RUNNING,
    Reason.UPDATING: Phase.UPDATING,
    Reason.RECOVERING: Phase.RUNNING,
    Reason.RESTARTING: Phase.STOPPING,
    Reason.ROLLING_OVER: Phase.STOPPING,
    Reason.STOPPING: Phase.STOPPING,
    Reason.SUSPENDED: Phase.SUSPENDED,
    Reason.COMPLETED: Phase.COMPLETED,
    Reason.DEADLINE_EXCEEDED: Phase.FAILED,
    Reason.TASK_FAILED: Phase.FAILED,
}
"""The phase of a reason; any other is trouble, with a task (Running) or without one (Pending)."""


def attempt_of(status: TaskStatus) -> int:
    """The number of the current attempt: 0 is the first."""
    return status.attempt or 0


def concluded(task: TranscriptionTask, status: TaskStatus, verdict: Verdict, now: datetime) -> TaskStatus:
    """Give a status its conditions, its phase and the generation that it was made for."""
    generation = task.metadata.generation
    moment = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    phase = PHASES.get(verdict.reason, Phase.RUNNING if status.task_id else Phase.PENDING)
    conditions = merge_conditions(task.status.conditions, verdict, generation=generation, now=moment)
    return status.model_copy(update={"observed_generation": generation, "conditions": conditions, "phase": phase})


def state_verdict(task: TranscriptionTask, state: State, word: str) -> Verdict:
    """What a state of the Agora task means for the conditions of an object that wants it to run."""
    match state:
        case State.ACTIVE:
            languages = ", ".join(task.spec.languages)
            return ready(Reason.RUNNING, f"Transcribing channel {task.spec.channel} in {languages}")
        case State.RECOVERING:
            return progressing(Reason.RECOVERING, "Agora is recovering the task")
        case State.STARTING:
            return progressing(Reason.STARTING, f"Agora reports the task as {word}")
        case _:
            return progressing(Reason.STOPPING, f"Agora reports the task as {word}")


def begun(
    task: TranscriptionTask, dialect: Dialect, account: str | None, verdict: Verdict, now: datetime
) -> TaskStatus:
    """Announce the next start under its name, before it is sent: from here on it may be out at Agora.

    Args:
        task: The object.
        dialect: The API.
        account: The digest of the project's App ID.
        verdict: That it starts; or what stood in the way so far, which it still does until the start has gone well.
        now: The time.
    """
    attempt = attempt_of(task.status)
    status = task.status.model_copy(
        update={
            "agora_api": dialect.value,
            "account_hash": account,
            "instance_id": instance_name(task.metadata.uid, attempt),
            "attempt": attempt,
            "attempt_generation": task.metadata.generation,
            "attempt_time": now,
            "completion_time": None,
        }
    )
    return concluded(task, status, verdict, now)


def acquired(task: TranscriptionTask, builder_token: str, account: str, now: datetime) -> TaskStatus:
    """Keep the builderToken: the same start can be repeated with it, and with no other (V6)."""
    return begun(task, Dialect.V6, account, STARTING, now).model_copy(update={"builder_token": builder_token})


def lifetime(dialect: Dialect, *, certified: bool) -> timedelta:
    """How long a task can last: as its builderToken (V6), or as its RTC token if the project has a certificate (V7)."""
    return TOKEN_LIFETIME if certified or dialect is Dialect.V6 else TASK_LIFETIME


def started(
    task: TranscriptionTask, dialect: Dialect, observation: Observation, lasts: timedelta, now: datetime
) -> TaskStatus:
    """Agora has started the task with the settings of this spec, and it can last so long."""
    # Agora's clock is not ours: a task is not younger than its answer, and hardly older than its attempt.
    earliest = (task.status.attempt_time or task.metadata.creation_timestamp) - CLOCK_SKEW
    since = min(max(observation.created or now, earliest), now)
    status = _running(task, dialect, observation.task_id, since, lasts, now)
    status = status.model_copy(
        update={
            "agora_status": observation.status[:WORD_LIMIT],
            "applied": settings_of(task.spec),
            "start_hash": start_hash(task.spec),
            "last_update_time": now,
        }
    )
    return concluded(task, status, state_verdict(task, observation.state, observation.status), now)


def adopted(task: TranscriptionTask, dialect: Dialect, task_id: str, lasts: timedelta, now: datetime) -> TaskStatus:
    """The attempt had been started before; this is its task.

    What it was started with is known only if the spec has not changed since the attempt was first made. Otherwise the
    settings stay unknown, which no spec equals, and the task is replaced.
    """
    status = task.status
    # Its start is not older than its attempt: what limits it counts from there, the 5 s before an update from now.
    since = status.attempt_time or task.metadata.creation_timestamp
    status = _running(task, dialect, task_id, since, lasts, now)
    if (task.status.attempt_generation or 1) == task.metadata.generation:
        update = {"applied": settings_of(task.spec), "start_hash": start_hash(task.spec)}
    else:
        update = {"applied": None, "start_hash": None}
    status = status.model_copy(update={**update, "agora_status": None, "last_update_time": now})
    verdict = progressing(Reason.STARTING, f"Found the Agora task {task_id}, which was started before")
    return concluded(task, status, verdict, now)


def builder_token_of(status: TaskStatus | Retiring) -> SecretStr | None:
    """The token that the attempt is started with (V6)."""
    return SecretStr(status.builder_token) if status.builder_token else None


def without_token(task: TranscriptionTask) -> TaskStatus:
    """The builderToken starts nothing: another one is needed (V6)."""
    return task.status.model_copy(update={"builder_token": None, "instance_id": None})


def skipped(task: TranscriptionTask) -> TaskStatus:
    """The current attempt's name or token is used up and nothing runs under it: on to the next."""
    used_up: dict[str, object] = dict.fromkeys(("instance_id", "builder_token", "attempt_generation"))
    return task.status.model_copy(update={**used_up, "attempt": attempt_of(task.status) + 1})


def observed(status: TaskStatus, observation: Observation) -> TaskStatus:
    """Keep Agora's word for the task's state."""
    return status.model_copy(update={"agora_status": observation.status[:WORD_LIMIT]})


def reserved(task: TranscriptionTask, verdict: Verdict, now: datetime) -> TaskStatus:
    """Take the next sequenceId, before it is sent: it rises even if the answer is lost."""
    status = task.status.model_copy(update={"sequence_id": (task.status.sequence_id or 0) + 1})
    return concluded(task, status, verdict, now)


def updated(task: TranscriptionTask, observation: Observation, now: datetime) -> TaskStatus:
    """Agora has the settings of this spec."""
    status = task.status.model_copy(
        update={
            "applied": settings_of(task.spec),
            "last_update_time": now,
            "agora_status": observation.status[:WORD_LIMIT] or task.status.agora_status,
        }
    )
    return concluded(task, status, state_verdict(task, observation.state, observation.status), now)


def stop_accepted(task: TranscriptionTask, reason: EndReason, now: datetime) -> TaskStatus:
    """Agora has agreed to stop the task; it is over only when Agora says so."""
    condition, message = {
        EndReason.SPEC_CHANGED: (Reason.RESTARTING, "Stopping the Agora task to start it with the changed settings"),
        EndReason.ROLLED_OVER: (Reason.ROLLING_OVER, "Stopping the Agora task to renew it before it expires"),
    }.get(reason, (Reason.STOPPING, "Stopping the Agora task"))
    status = task.status.model_copy(update={"stop_reason": reason, "agora_status": "STOPPING"})
    return concluded(task, status, progressing(condition, message), now)


def retired(
    task: TranscriptionTask, reason: EndReason, message: str, now: datetime, *, another: Verdict | None, over: Verdict
) -> TaskStatus:
    """The task has ended: into the history with it, and on to the next attempt.

    Args:
        task: The object whose task ended.
        reason: Why it ended.
        message: Agora's own words, if it gave any.
        now: The time.
        another: The verdict while the next task is on its way; None if none follows.
        over: The verdict if none follows.
    """
    status = _without_task(
        _remember(task.status, task.status.task_id or "", task.status.start_time, reason, message, now)
    )
    attempt = attempt_of(status) + 1
    status = status.model_copy(update={"attempt": attempt, "attempt_generation": None, "attempt_time": None})
    if another is None:
        return concluded(task, status.model_copy(update={"completion_time": now}), over, now)
    # Resumed before the stop had ended is resumed all the same, and no restart.
    restarts = (status.restarts or 0) + (reason is not EndReason.SUSPENDED)
    update: dict[str, object] = {"restarts": restarts or None, "completion_time": None}
    if status.agora_api != Dialect.V6.value:
        # Announced with this write already, which saves one of its own.
        update |= {
            "instance_id": instance_name(task.metadata.uid, attempt),
            "attempt_generation": task.metadata.generation,
            "attempt_time": now,
        }
    return concluded(task, status.model_copy(update=update), another, now)


def overlapping(task: TranscriptionTask, now: datetime) -> TaskStatus:
    """Let the task go on while the next attempt starts beside it."""
    old = task.status
    retiring = Retiring(
        task_id=old.task_id or "",
        builder_token=old.builder_token,
        account_hash=old.account_hash,
        start_time=old.start_time,
    )
    status = _without_task(old).model_copy(
        update={
            "retiring": retiring,
            "attempt": attempt_of(old) + 1,
            "attempt_generation": None,
            "attempt_time": None,
            "restarts": (old.restarts or 0) + 1,
        }
    )
    verdict = progressing(Reason.ROLLING_OVER, "Starting the next Agora task before the running one expires")
    return concluded(task, status, verdict, now)


def retired_earlier(task: TranscriptionTask, now: datetime) -> TaskStatus:
    """The earlier of two overlapping tasks has been stopped."""
    earlier = task.status.retiring
    if earlier is None:
        return task.status
    status = _remember(task.status, earlier.task_id, earlier.start_time, EndReason.ROLLED_OVER, "", now)
    return status.model_copy(update={"retiring": None})


def _running(
    task: TranscriptionTask, dialect: Dialect, task_id: str, since: datetime, lasts: timedelta, now: datetime
) -> TaskStatus:
    status = task.status
    attempt = attempt_of(status)
    return status.model_copy(
        update={
            "agora_api": dialect.value,
            "task_id": task_id,
            "instance_id": instance_name(task.metadata.uid, attempt),
            "attempt": attempt,
            "bot_uid": bot_uid(task.spec, task.metadata.uid, attempt),
            "start_time": since,
            "first_start_time": status.first_start_time or now,
            "expiry_time": since + lasts,
            "completion_time": None,
            "stop_reason": None,
        }
    )


def _without_task(status: TaskStatus) -> TaskStatus:
    cleared = (
        "task_id",
        "instance_id",
        "builder_token",
        "agora_status",
        "applied",
        "start_hash",
        "account_hash",
        "start_time",
        "last_update_time",
        "expiry_time",
        "stop_reason",
        "bot_uid",
    )
    return status.model_copy(update=dict.fromkeys(cleared))


def _remember(
    status: TaskStatus, task_id: str, start: datetime | None, reason: EndReason, message: str, now: datetime
) -> TaskStatus:
    ended = Ended(task_id=task_id, start_time=start, end_time=now, reason=reason, message=message)
    return status.model_copy(update={"history": (*status.history, ended)[-HISTORY_LIMIT:]})
