"""The vocabulary of a decision: what a plan is made from, and the steps that it can name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agora_transcription.agora.models import Dialect, Handle, Observation, State, Update
    from agora_transcription.api import EndReason, Reason, TaskStatus
    from agora_transcription.api.conditions import Verdict
    from agora_transcription.controller.translate import Credentials

__all__ = [
    "Acquire",
    "AddFinalizer",
    "Call",
    "DeleteObject",
    "Farewell",
    "Idle",
    "Known",
    "Look",
    "Nothing",
    "Problem",
    "Query",
    "RemoveFinalizer",
    "Start",
    "Step",
    "Stop",
    "Trouble",
    "UpdateTask",
    "Write",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the Secrets of a task cannot be used, and what to do about it."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last failure of one operation.

    Attributes:
        verdict: What it means for the conditions; None while it is too early to say anything.
        until: The operation is not tried again before.
        lasting: No repetition helps until somebody changes something.
    """

    verdict: Verdict | None
    until: datetime
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Farewell:
    """What Agora has notified of a task's end. It counts only for this task, and once a query says the same.

    Attributes:
        task_id: The Agora task.
        state: How it ended.
        message: Why, in Agora's words, made fit to be shown.
    """

    task_id: str
    state: State
    message: str


@dataclass(frozen=True, slots=True)
class Known:
    """What this process knows of a task beyond the object itself. All of it can be lost: a restart starts from nothing.

    Attributes:
        last_sent: When an update may last have been sent: by this process, or by one before it began.
        credentials: The content of the task's Secrets, or the last that was good; None if there never was any.
        problem: Why the Secrets cannot be used now.
        unsent: No start of the current attempt has been sent, by any process.
        observation: Agora's last answer about `status.taskId`.
        farewell: What Agora has notified of the end of `status.taskId`.
        gone: Agora does not know `status.taskId` any more, or has agreed to stop it while the object is deleted.
        reserved: The sequenceId that this process has written to the status and not used yet.
        conflict_since: Since when, by the steady clock, starts of this attempt conflict with a task that is not named.
        deleting_since: Since when this process knows that the object is deleted.
        poll_at: When Agora is to be asked next.
        trouble: By operation, what failed and since then has not succeeded.
    """

    last_sent: datetime
    poll_at: datetime
    trouble: Mapping[str, Trouble]
    credentials: Credentials | None = None
    problem: Problem | None = None
    unsent: bool = False
    observation: Observation | None = None
    farewell: Farewell | None = None
    gone: bool = False
    reserved: int | None = None
    conflict_since: float | None = None
    deleting_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Nothing:
    """The object is none of this operator's business any more."""


@dataclass(frozen=True, slots=True)
class Idle:
    """All is done for now.

    Attributes:
        until: When to decide anew; None if only a change of the object or of its Secrets can matter.
    """

    until: datetime | None


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Put the finalizer into the object: before that, nothing may be called."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Let the object go.

    Attributes:
        abandoned: An Agora task that may still run and could not be stopped; None in the good case.
    """

    abandoned: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteObject:
    """Delete the finished object: its time to live has passed."""


@dataclass(frozen=True, slots=True)
class Write:
    """Write the status, and decide anew."""

    status: TaskStatus


@dataclass(frozen=True, slots=True)
class Acquire:
    """Get a builderToken (V6)."""

    dialect: Dialect
    attempt: int
    operation = "acquire"


@dataclass(frozen=True, slots=True)
class Start:
    """Start the current attempt, or learn that it has been started before."""

    dialect: Dialect
    attempt: int
    operation = "start"


@dataclass(frozen=True, slots=True)
class Look:
    """Find the task that a conflict did not name, among those of its channel (V7)."""

    dialect: Dialect
    operation = "list"


@dataclass(frozen=True, slots=True)
class Query:
    """Ask for the task's status."""

    dialect: Dialect
    handle: Handle
    operation = "query"


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """Change the running task; its sequenceId stands in the status already."""

    dialect: Dialect
    handle: Handle
    update: Update
    operation = "update"


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a task.

    Attributes:
        reason: Why, for the history.
        retiring: It is the earlier of two, and the later one goes on.
    """

    dialect: Dialect
    handle: Handle
    reason: EndReason
    retiring: bool = False

    @property
    def operation(self) -> str:
        """The two have their troubles apart: what keeps one from being stopped does not keep the other."""
        return "retire" if self.retiring else "stop"


Call = Acquire | Start | Look | Query | UpdateTask | Stop
"""The steps that call Agora."""

Step = Nothing | Idle | AddFinalizer | RemoveFinalizer | DeleteObject | Write | Call
