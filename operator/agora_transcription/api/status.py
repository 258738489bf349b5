"""`status`: what the operator knows, and all that it needs to go on after a crash.

A start may be out at Agora under `instanceId` from the moment that it stands here; before the first status write (the
schema's default `observedGeneration: -1`) one may be out too, under the name of the first attempt.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, PlainSerializer

from agora_transcription.api.base import Model
from agora_transcription.api.conditions import Condition, ConditionType
from agora_transcription.api.spec import AgoraApi, Language, Speakers, Translation, Uid, UidLanguages

__all__ = ["HISTORY_LIMIT", "Applied", "EndReason", "Ended", "Phase", "Retiring", "TaskStatus", "Time", "format_time"]

HISTORY_LIMIT = 5
"""Ended tasks that `status.history` keeps."""


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-21T08:00:00.125Z`.

    Agora's 5 seconds between updates are counted from these times after a restart, so whole seconds are too coarse.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_empty(value: tuple[object, ...]) -> bool:
    return not value


Time = Annotated[datetime, PlainSerializer(format_time, return_type=str)]

Generation = Annotated[int, Field(ge=0, le=9007199254740991)]
"""A `metadata.generation`; up to 2^53-1, the largest that every JSON reader keeps exactly."""

Count = Annotated[int, Field(ge=0, le=2147483647)]

TaskId = Annotated[str, Field(min_length=1, max_length=256)]
"""Agora's id of a task: about 30 characters today, with room for other shapes."""

BuilderToken = Annotated[str, Field(min_length=1, max_length=8192)]


class Phase(StrEnum):
    """One word for people, derived from the conditions: nothing decides by it."""

    PENDING = "Pending"
    STARTING = "Starting"
    RUNNING = "Running"
    UPDATING = "Updating"
    SUSPENDED = "Suspended"
    STOPPING = "Stopping"
    COMPLETED = "Completed"
    FAILED = "Failed"


class EndReason(StrEnum):
    """Why an Agora task came to its end."""

    SPEC_CHANGED = "SpecChanged"
    """A field changed that only a restart can apply."""
    SUSPENDED = "Suspended"
    ROLLED_OVER = "RolledOver"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    IDLE = "Idle"
    """It stopped by itself, older than its idle timeout and younger than its limits."""
    EXPIRED = "Expired"
    """Its RTC token or its lifetime ended before it was renewed."""
    STOPPED_ELSEWHERE = "StoppedElsewhere"
    """It stopped without the operator, too young to have been idle."""
    DISAPPEARED = "Disappeared"
    """Agora does not know it any more."""
    FAILED = "Failed"
    """Agora reported a failure."""


class Applied(Model):
    """The settings that can change in place, as Agora has them now."""

    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=4)]
    subscribe_audio_uids: Speakers | None = None
    uid_languages: Annotated[tuple[UidLanguages, ...], Field(max_length=5, exclude_if=_is_empty)] = ()
    translation: Translation | None = None


class Ended(Model):
    """An Agora task that has ended."""

    task_id: Annotated[str, Field(max_length=256)]
    """Empty where it was never learnt."""
    start_time: Time | None = None
    end_time: Time
    reason: EndReason
    message: Annotated[str, Field(max_length=256)] = ""


class Retiring(Model):
    """The earlier of two Agora tasks while a rollover with overlap goes on."""

    task_id: TaskId
    builder_token: BuilderToken | None = None
    account_hash: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    start_time: Time | None = None


class TaskStatus(Model):
    """What the operator writes; `docs/reference.md` describes each field."""

    observed_generation: Annotated[int, Field(ge=-1, le=9007199254740991)] = -1
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8, exclude_if=_is_empty)] = ()
    phase: Phase | None = None
    agora_api: AgoraApi | None = None
    task_id: TaskId | None = None
    instance_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    builder_token: BuilderToken | None = None
    sequence_id: Annotated[int, Field(ge=0, le=9007199254740991)] | None = None
    agora_status: Annotated[str, Field(max_length=256)] | None = None
    bot_uid: Uid | None = None
    attempt: Count | None = None
    attempt_generation: Generation | None = None
    attempt_time: Time | None = None
    account_hash: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    start_hash: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    applied: Applied | None = None
    retiring: Retiring | None = None
    stop_reason: EndReason | None = None
    first_start_time: Time | None = None
    start_time: Time | None = None
    last_update_time: Time | None = None
    expiry_time: Time | None = None
    completion_time: Time | None = None
    restarts: Count | None = None
    history: Annotated[tuple[Ended, ...], Field(max_length=HISTORY_LIMIT, exclude_if=_is_empty)] = ()

    @property
    def written(self) -> bool:
        """Whether the operator has ever written it: the schema's default has -1 here."""
        return self.observed_generation >= 0

    @property
    def ready(self) -> Condition | None:
        """The condition that carries the reason and the message."""
        return next((condition for condition in self.conditions if condition.type == ConditionType.READY), None)

    def dump(self) -> dict[str, Any]:
        """The JSON that stands in the object: camelCase, nothing that is not known."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")
