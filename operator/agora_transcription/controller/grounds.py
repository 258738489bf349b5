"""What a decision stands on: what is known of the task, whether a call may be made, and how to rest. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from agora_transcription.agora.answers import state_of
from agora_transcription.agora.models import Dialect, Handle, State
from agora_transcription.api import TaskStatus, TranscriptionTask, stalled
from agora_transcription.controller import policy, transitions
from agora_transcription.controller.steps import Call, DeleteObject, Idle, Known, Query, RemoveFinalizer, Step, Write
from agora_transcription.controller.translate import account_hash, instance_name

if TYPE_CHECKING:
    from datetime import datetime

    from agora_transcription.api.conditions import Verdict

__all__ = ["ABANDON_AFTER", "Grounds"]

ABANDON_AFTER: Final = timedelta(minutes=10)
"""A deleted object whose task cannot be stopped waits so long for better credentials, then lets its namespace go."""


class Grounds:
    """What is known for one decision, and what every decision comes down to; nothing in here changes."""

    def __init__(self, task: TranscriptionTask, known: Known, dialect: Dialect, now: datetime) -> None:
        self.task = task
        self.spec = task.spec
        self.status = task.status
        self.known = known
        self.dialect = dialect
        self.now = now

    def is_past(self, moment: datetime | None) -> bool:
        """Whether a time has come; None never does."""
        return moment is not None and moment <= self.now

    def handle(self) -> Handle:
        """What names the current task to Agora."""
        return Handle(self.status.task_id or "", transitions.builder_token_of(self.status))

    def state(self) -> State:
        """The current task's: as this process has seen it, else as the status has it."""
        if self.known.observation:
            return self.known.observation.state
        word = self.status.agora_status
        return state_of(self.dialect, word) if word else State.STARTING

    def ended(self) -> bool:
        """Whether the current task is known to have ended."""
        return self.known.gone or (self.known.observation is not None and self.known.observation.state.ended)

    def query(self) -> Step:
        """Look at the current task when it is time."""
        if self.known.poll_at > self.now:
            return Idle(self.known.poll_at)
        return self.call(Query(self.dialect, self.handle()))

    def call(self, step: Call) -> Step:
        """Take a step that calls Agora, unless the Secrets or its last failure stand against it."""
        problem = self.known.problem
        if problem and not (self.task.deleting and self.known.credentials):
            verdict = self.running_verdict() if self.status.task_id else stalled(problem.reason, problem.message)
            return self._hold(verdict, None, lasting=True)
        trouble = self.known.trouble.get(step.operation)
        if trouble is None or trouble.until <= self.now:
            # A deletion is given up only after a try that failed, however late it comes.
            return step
        if trouble.verdict is None:
            return Idle(trouble.until)
        return self._hold(trouble.verdict, trouble.until, lasting=trouble.lasting)

    def _hold(self, verdict: Verdict, until: datetime | None, *, lasting: bool) -> Step:
        """Say what stands in the way and wait; a deleted object does not wait for ever."""
        if self._given_up(lasting=lasting):
            return RemoveFinalizer(abandoned=self._left_behind())
        bound = self._abandon_at() if lasting else None
        return self.settle(verdict, min((moment for moment in (until, bound) if moment), default=None))

    def _left_behind(self) -> str:
        """The names of what may still run."""
        attempt = transitions.attempt_of(self.status)
        current = self.status.task_id or instance_name(self.task.metadata.uid, attempt)
        earlier = self.status.retiring
        if earlier is None:
            return current
        alone = self.ended() or not (self.status.task_id or self.start_may_be_out())
        return earlier.task_id if alone else f"{current} and {earlier.task_id}"

    def _given_up(self, *, lasting: bool) -> bool:
        return lasting and self.is_past(self._abandon_at())

    def _abandon_at(self) -> datetime | None:
        # Counted from when this process could first try: one that was down has not waited.
        deleted, since = self.task.metadata.deletion_timestamp, self.known.deleting_since
        return None if deleted is None else max(deleted, since or deleted) + ABANDON_AFTER

    def settle(self, verdict: Verdict, until: datetime | None = None, *, status: TaskStatus | None = None) -> Step:
        """Let the status say so, and rest until something is due."""
        status = status or self.status
        if status.task_id:
            if self.known.observation is not None:
                status = transitions.observed(status, self.known.observation)
        elif self.dialect is Dialect.V7:
            # The name stands there if a start may be out under it, and only then.
            attempt = transitions.attempt_of(status)
            name = instance_name(self.task.metadata.uid, attempt) if self.start_may_be_out() else None
            account = (status.account_hash or self.account_hash()) if name else None
            status = status.model_copy(update={"instance_id": name, "account_hash": account})
        wanted = transitions.concluded(self.task, status, verdict, self.now)
        return Write(wanted) if wanted != self.status else self._rest(until)

    def _rest(self, until: datetime | None) -> Step:
        if self.is_past(policy.deletion_due(self.task)):
            return DeleteObject()
        due = [until, policy.deadline(self.task), *(trouble.until for trouble in self.known.trouble.values())]
        if self.status.task_id:
            due += [self.known.poll_at, policy.rollover_due(self.status)]
        return Idle(min((moment for moment in due if moment is not None and moment > self.now), default=None))

    def account_hash(self) -> str | None:
        """The project that the Secret names now; None if it names none."""
        return account_hash(self.known.credentials.account) if self.known.credentials else None

    def start_may_be_out(self) -> bool:
        """Whether Agora may run a task of the current attempt that the status does not name."""
        if self.known.unsent:
            return False
        if self.dialect is Dialect.V6:
            return self.status.builder_token is not None
        return self.status.instance_id is not None or self._unclear()

    def _unclear(self) -> bool:
        """Whether a process may have died between the first start and the first status write (V7)."""
        return not self.status.written and not self.known.unsent

    def running_verdict(self) -> Verdict:
        """How it reads that a task is there and nothing is to be done, or can be."""
        if problem := self.known.problem:
            running = f"{problem.message}; the Agora task {self.status.task_id} keeps running and cannot be controlled"
            return stalled(problem.reason, running)
        for trouble in self.known.trouble.values():
            if trouble.verdict is not None:
                return trouble.verdict
        return self.state_verdict()

    def state_verdict(self) -> Verdict:
        """How it reads what Agora has said of the current task."""
        seen = self.known.observation
        return transitions.state_verdict(
            self.task, self.state(), seen.status if seen else self.status.agora_status or ""
        )
