"""Conditions as kstatus, `kubectl wait`, Argo CD and Flux read them.

| situation           | Ready               | Reconciling                | Stalled           |
|---------------------|---------------------|----------------------------|-------------------|
| working             | Unknown, its reason | True, the same             | absent            |
| cannot be told now  | Unknown, its reason | True, ProgressingWithRetry | absent            |
| failed, will retry  | False, its reason   | True, ProgressingWithRetry | absent            |
| failed for good     | False, its reason   | absent                     | True, same reason |
| as asked            | True, its reason    | absent                     | absent            |

`Reconciling` and `Stalled` are abnormal-true: absence is the normal case, and the two are never there together
(kstatus takes whichever comes first).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from agora_transcription.api.base import Model

__all__ = [
    "Condition",
    "ConditionType",
    "Reason",
    "Verdict",
    "failed",
    "merge_conditions",
    "progressing",
    "ready",
    "retrying",
    "stalled",
    "uncertain",
]

MESSAGE_LIMIT = 1024
"""Characters of a condition's message; the CRD refuses more."""


class ConditionType(StrEnum):
    """The types that the operator sets."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Why a condition, and the event that tells of its change, is as it is."""

    STARTING = "Starting"
    """Agora has been asked for the task and brings it up."""
    RUNNING = "Running"
    """The Agora task runs with the wanted settings."""
    UPDATING = "Updating"
    """Settings of the running task are being changed in place."""
    RECOVERING = "Recovering"
    """Agora is mending the task by itself."""
    RESTARTING = "Restarting"
    """The task is stopped to be started with other settings."""
    ROLLING_OVER = "RollingOver"
    """The task is renewed before its token or its lifetime ends."""
    STOPPING = "Stopping"
    """The task is being stopped."""
    SUSPENDED = "Suspended"
    """spec.suspend is true and nothing runs."""
    COMPLETED = "Completed"
    """The task ended by itself and restartPolicy asks for no other."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """activeDeadlineSeconds have passed."""
    TASK_FAILED = "TaskFailed"
    """Agora ended the task with a failure and restartPolicy asks for no other."""
    TASK_ENDED = "TaskEnded"
    """The task ended by itself; another one follows."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, no secret
    """A Secret that the spec names does not exist in the namespace."""
    SECRET_INVALID = "SecretInvalid"  # noqa: S105 - a reason, no secret
    """A Secret lacks a key, or a key's value cannot be right."""
    CREDENTIALS_REFUSED = "CredentialsRefused"
    """Agora does not accept the customer id and secret."""
    SERVICE_NOT_ENABLED = "ServiceNotEnabled"
    """Real-time speech-to-text is not enabled for the App ID."""
    QUOTA_EXCEEDED = "QuotaExceeded"
    """The account runs as many Agora tasks as it may."""
    REQUEST_REFUSED = "RequestRefused"
    """Agora finds the settings wrong."""
    SPEC_INVALID = "SpecInvalid"
    """The settings do not fit the Agora API in use."""
    THROTTLED = "Throttled"
    """Agora asked for fewer requests."""
    AGORA_UNAVAILABLE = "AgoraUnavailable"
    """Agora cannot be reached, or fails."""
    ADOPTION_UNDECIDED = "AdoptionUndecided"
    """A task of this object runs at Agora, and which one it is cannot be told yet."""
    STOPPED = "Stopped"
    """The object is deleted and its Agora task stopped; an event only."""
    ORPHANED = "Orphaned"
    """The object is deleted and its Agora task left to itself, as deletionPolicy asks; an event only."""
    ABANDONED = "Abandoned"
    """The object is deleted and its Agora task could not be stopped: it ends by itself; an event only."""
    PROGRESSING_WITH_RETRY = "ProgressingWithRetry"
    """Reconciling: what failed is tried again."""


class Condition(Model):
    """One condition, in the shape of `metav1.Condition`."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(min_length=1, max_length=128)]
    message: Annotated[str, Field(max_length=MESSAGE_LIMIT)]
    observed_generation: int | None = None
    last_transition_time: str


class Verdict(Model):
    """What the conditions say, before it is known since when: one line of the table above."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str
    reconciling: Reason | None = None
    stalled: bool = False


def progressing(reason: Reason, message: str) -> Verdict:
    """On the way, and nothing is wrong."""
    return Verdict(status="Unknown", reason=reason, message=message, reconciling=reason)


def retrying(reason: Reason, message: str) -> Verdict:
    """Something is wrong and the operator tries again by itself."""
    return Verdict(status="False", reason=reason, message=message, reconciling=Reason.PROGRESSING_WITH_RETRY)


def uncertain(reason: Reason, message: str) -> Verdict:
    """Whether all is well cannot be told for now, and the operator keeps looking."""
    return Verdict(status="Unknown", reason=reason, message=message, reconciling=Reason.PROGRESSING_WITH_RETRY)


def stalled(reason: Reason, message: str) -> Verdict:
    """Somebody has to change something."""
    return Verdict(status="False", reason=reason, message=message, stalled=True)


def failed(reason: Reason, message: str) -> Verdict:
    """It ended badly and nothing follows; reads as Stalled, as a failed Job does."""
    return stalled(reason, message)


def ready(reason: Reason, message: str) -> Verdict:
    """It is as the spec asks."""
    return Verdict(status="True", reason=reason, message=message)


def merge_conditions(
    previous: tuple[Condition, ...], verdict: Verdict, *, generation: int, now: str
) -> tuple[Condition, ...]:
    """Make the whole list of conditions anew, keeping the time of those whose status did not change.

    Args:
        previous: The conditions in the object's status.
        verdict: What they have to say now.
        generation: `metadata.generation` that the verdict was made for.
        now: RFC 3339 with whole seconds; becomes `lastTransitionTime` where a status flips.
    """
    known = {condition.type: condition for condition in previous}
    message = verdict.message if len(verdict.message) <= MESSAGE_LIMIT else verdict.message[: MESSAGE_LIMIT - 1] + "…"

    def condition(kind: ConditionType, status: Literal["True", "False", "Unknown"], reason: Reason) -> Condition:
        before = known.get(kind)
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=generation,
            last_transition_time=before.last_transition_time if before and before.status == status else now,
        )

    merged = [condition(ConditionType.READY, verdict.status, verdict.reason)]
    if verdict.reconciling:
        merged.append(condition(ConditionType.RECONCILING, "True", verdict.reconciling))
    if verdict.stalled:
        merged.append(condition(ConditionType.STALLED, "True", verdict.reason))
    return tuple(merged)
