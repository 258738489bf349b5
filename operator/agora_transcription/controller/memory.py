"""What one process remembers of one task beyond the object. None of it is needed to be right, all of it saves calls."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from agora_transcription.agora import Observation, State
from agora_transcription.controller.clock import steady_clock
from agora_transcription.controller.steps import Known, Trouble
from agora_transcription.controller.troubles import trouble_of

if TYPE_CHECKING:
    from agora_transcription.agora import Account, AgoraError
    from agora_transcription.api import TaskStatus, TranscriptionTask
    from agora_transcription.controller.steps import Farewell, Problem
    from agora_transcription.controller.translate import Credentials

__all__ = ["Memory", "now"]

FIRST_LOOK: Final = 0.25
"""Seconds until a task that is starting or stopping is looked at again; grows by half with each look."""

LONGEST_LOOK: Final = 5.0

FAREWELL_LOOKS: Final = 8
"""How often, in about 12 s, a task is looked at that is said to have ended and still runs, until that is forgotten."""

CLOCK_STEP: Final = timedelta(seconds=1)
"""A clock that was put back by less does no harm: what is due comes later by so much."""

Circumstances = tuple[int, bool, str]
"""Generation, being deleted, and a digest of the credentials: what has to change for a refusal to be tried again."""


def now() -> datetime:
    """The time as the status can hold it: in UTC, with milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(slots=True)
class Memory:
    """See `Known`, which is what a decision sees of it.

    Attributes:
        poll_at: When Agora is asked next.
        last_sent: When an update may last have been sent.
        unsent: No start of the current attempt has been sent, by any process.
        observation: Agora's last answer about the current task.
        gone: Agora does not know the current task.
        reserved: The sequenceId that is written and not used yet.
        conflict_since: Since when starts conflict with a task that is not named, by the steady clock.
        trouble: What failed, by operation.
        failures: How often in a row, by operation.
        looks: How often in a row the task was starting or stopping.
        unrecorded: What Agora did and no status says yet, with the task as it was then.
        circumstances: Those in which the troubles came up.
        task_id: The Agora task that `observation` and `gone` are about.
        known_since: By the steady clock, since when the status names an Agora task, as far as this process has seen.
        farewell: The last end that Agora has notified.
        deleting_since: Since when this process knows that the object is deleted.
        released: The finalizer is being removed, so the object goes with the operator's consent.
        account: The one of the last call: an answer can come when the object, and its Secret, are gone.
        noticed: When it was last decided on the object.
    """

    poll_at: datetime
    last_sent: datetime
    unsent: bool = False
    observation: Observation | None = None
    gone: bool = False
    reserved: int | None = None
    conflict_since: float | None = None
    trouble: dict[str, Trouble] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    looks: int = 0
    unrecorded: tuple[TranscriptionTask, TaskStatus] | None = None
    circumstances: Circumstances | None = None
    task_id: str | None = None
    known_since: dict[str, float] = field(default_factory=dict)
    farewell: Farewell | None = None
    deleting_since: datetime | None = None
    released: bool = False
    account: Account | None = None
    noticed: datetime | None = None

    def known(self, credentials: Credentials | None, problem: Problem | None) -> Known:
        """Make what a decision is told."""
        return Known(
            last_sent=self.last_sent,
            poll_at=self.poll_at,
            trouble=dict(self.trouble),
            credentials=credentials,
            problem=problem,
            unsent=self.unsent,
            observation=self.observation,
            farewell=self.farewell if self.farewell and self.farewell.task_id == self.task_id else None,
            gone=self.gone,
            reserved=self.reserved,
            conflict_since=self.conflict_since,
            deleting_since=self.deleting_since,
        )

    def notice(self, task: TranscriptionTask, credentials: Credentials | None) -> None:
        """Forget what was learnt about another task, and the troubles of other circumstances: they may be over."""
        self._follow_clock(now())
        if task.status.task_id != self.task_id:
            # The write that told of the other one's end may have been made and gone unanswered.
            self.task_id, self.observation, self.gone = task.status.task_id, None, False
        self._meet(task.status)
        if task.deleting and self.deleting_since is None:
            self.deleting_since = now()
        fingerprint = credentials.fingerprint if credentials else ""
        circumstances = (task.metadata.generation, task.deleting, fingerprint)
        if circumstances == self.circumstances:
            return
        if self.circumstances is not None and self.trouble:
            self.trouble.clear()
            self.failures.clear()
            self.poll_at = min(self.poll_at, now())
        self.circumstances = circumstances

    def known_for(self, task_id: str) -> float:
        """For how many seconds at least Agora has had the time to make a task known everywhere.

        Counted by this process alone: the clock of the one that started the task can be another.
        """
        met = steady_clock()
        return met - self.known_since.get(task_id, met)

    def _meet(self, status: TaskStatus) -> None:
        met = steady_clock()
        named = (status.task_id, status.retiring.task_id if status.retiring else None)
        self.known_since = {task_id: self.known_since.get(task_id, met) for task_id in named if task_id}
        if status.task_id and status.stop_reason is not None:
            self.known_since[status.task_id] = -math.inf  # Agora has agreed to stop it, so it knew it

    def _follow_clock(self, moment: datetime) -> None:
        """Make everything due that was planned by a clock that has been put back since: for hours it would not be."""
        if self.noticed is not None and moment < self.noticed - CLOCK_STEP:
            self.poll_at = min(self.poll_at, moment)
            self.last_sent = min(self.last_sent, moment)
            self.trouble = {name: replace(trouble, until=moment) for name, trouble in self.trouble.items()}
            self.deleting_since = self.deleting_since and min(self.deleting_since, moment)
        self.noticed = moment

    def token_refused(self, task: TranscriptionTask, error: AgoraError) -> None:
        """An unused builderToken starts nothing; from the second in a row on, the next one has time (V6)."""
        refused = self.failures.get("token", 0) + 1
        self.next_attempt(unsent=True)
        self.failures["token"] = refused
        if refused > 1:
            self.trouble["acquire"] = trouble_of(task, error, refused, random.random(), now())  # noqa: S311 - no secret

    def succeeded(self, operation: str) -> None:
        """An operation went well; after a start nothing that went wrong before matters.

        A start that ended its attempt (`next_attempt`) was none: why the next one has to wait still counts.
        """
        if operation == "start" and not self.unsent:
            self.failures.clear()
            self.trouble.clear()
        self.failures.pop(operation, None)
        self.trouble.pop(operation, None)

    def hear(self, farewell: Farewell | None) -> None:
        """Agora has notified something: look at once, and let only that count."""
        self.farewell = farewell or self.farewell
        self.looks = 0
        self.poll_at = now()

    def see(self, observation: Observation, interval: float) -> None:
        """Keep Agora's answer, and plan the next look: soon while something is going on, else after the interval."""
        self.observation = observation
        if observation.state in {State.STARTING, State.STOPPING} or self._awaits_end(observation):
            self.look_soon(interval)
            return
        self.looks = 0
        # Spread, so that tasks that began together are not polled together for ever; no sooner than the interval, so
        # that the next list of all, which comes then, makes it needless.
        self.poll_at = now() + timedelta(seconds=interval * random.uniform(1.0, 1.1))  # noqa: S311 - no secret

    def _awaits_end(self, observation: Observation) -> bool:
        """Whether a task that runs is said to have ended: what answers queries may not have heard of it yet."""
        if self.farewell is None or self.farewell.task_id != observation.task_id or observation.state.ended:
            return False
        if self.looks >= FAREWELL_LOOKS:
            self.farewell = None
        return self.farewell is not None

    def look_soon(self, interval: float) -> None:
        """Look again in a moment, and a little later each time."""
        pause = min(FIRST_LOOK * 1.5 ** min(self.looks, 20), LONGEST_LOOK, interval)
        self.looks += 1
        self.poll_at = now() + timedelta(seconds=pause)

    def next_attempt(self, *, unsent: bool) -> None:
        """Forget the task that has ended."""
        self.observation = None
        self.gone = False
        self.reserved = None
        self.conflict_since = None
        self.looks = 0
        self.unsent = unsent
        self.trouble.clear()
        self.failures.clear()
