"""The object of a channel: how it is called, what stands in it, and what it says. No I/O."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field

from agora_transcription.api import API_VERSION, GROUP, KIND, ConditionType, Metadata, TranscriptionTask

if TYPE_CHECKING:
    from agora_transcription.settings import GatewaySettings

__all__ = ["UNSEEN", "ChannelTask", "Stage", "manifest", "name_of", "reason_of", "stage_of"]

MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "agora-transcription-gateway"}
CALL: Final = f"{GROUP}/gateway-call"
"""The annotation with the call that has created the object: only that one takes it away again when the start fails."""

TTL_SECONDS: Final = 60
"""How long an object stays once its task has ended by itself."""

UNSEEN: Final = "no operator has taken it up. Does one watch the gateway's namespace?"
"""The reason of an object that nobody has written a status for."""


class _Metadata(Metadata):
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class ChannelTask(TranscriptionTask):
    """An object under the name of a channel, with what says who has made it."""

    metadata: _Metadata

    def is_for(self, channel: str) -> bool:
        """Whether it is the gateway's, and that channel's: others may use the name as well."""
        return MANAGED_BY.items() <= self.metadata.labels.items() and self.spec.channel == channel

    def is_made_by(self, call: str) -> bool:
        """Whether exactly this call has created it."""
        return self.metadata.annotations.get(CALL) == call


class Stage(StrEnum):
    """How far an object has come."""

    STARTING = "starting"
    """Its task is on its way, or something is tried again."""
    RUNNING = "running"
    """There is a task, with an id."""
    FAILED = "failed"
    """There is none, and somebody has to change something."""
    OVER = "over"
    """There was one, and no other follows."""
    ENDING = "ending"
    """The object is being deleted."""


def name_of(channel: str) -> str:
    """The name of a channel's object: the same for each start, so that there is one object at most."""
    return f"rtt-{hashlib.sha256(channel.encode()).hexdigest()[:32]}"


def manifest(channel: str, settings: GatewaySettings, call: str) -> dict[str, Any]:
    """The object that a start creates.

    Args:
        channel: The channel to transcribe.
        settings: What else goes into the spec.
        call: Random; says by which call it was created.
    """
    spec: dict[str, Any] = {
        "channel": channel,
        "languages": list(settings.language),
        "credentialsSecretRef": {"name": settings.credentials_secret},
        "idleTimeoutSeconds": settings.idle_timeout,
        "ttlSecondsAfterFinished": TTL_SECONDS,
    }
    if settings.task_deadline:
        spec["activeDeadlineSeconds"] = settings.task_deadline
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name_of(channel), "labels": MANAGED_BY, "annotations": {CALL: call}},
        "spec": spec,
    }


def stage_of(task: TranscriptionTask) -> Stage:
    """What an object says, by what the operator decides by, and not by its phase."""
    status = task.status
    if task.deleting:
        return Stage.ENDING
    if status.task_id and status.stop_reason is None:
        return Stage.RUNNING
    if status.task_id:
        return Stage.STARTING  # it is stopped to be started anew, or for good, which the next status says
    if status.completion_time is not None:
        return Stage.OVER
    stalled = any(entry.type == ConditionType.STALLED for entry in status.conditions)
    return Stage.FAILED if stalled and status.observed_generation == task.metadata.generation else Stage.STARTING


def reason_of(task: TranscriptionTask) -> str:
    """The reason that stands in the conditions; its message may name things that are none of a caller's business."""
    if not task.status.written:
        return UNSEEN
    return task.status.ready.reason if task.status.ready else "Pending"
