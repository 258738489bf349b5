"""What to do next for one TranscriptionTask.

`decide` is a pure function of the object, of what is known beyond it, and of the time. It follows from the spec, the
status and what Agora says, never from which event came: asked again after a crash it goes on where the crash was.

The order of a task's life, and what makes each step safe to repeat:

    finalizer      in a server's answer before the first call
    start          under a name (V7) or builderToken (V6) that the status gives: repeated, it conflicts, never doubles
    update         under a sequenceId that stands in the status before it is sent
    stop           "not found" is as good as "stopped", but not of a task that is seconds old
    next attempt   only once Agora has said that the earlier task is gone
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from agora_transcription.agora.models import Dialect, Handle, State, Update
from agora_transcription.api import (
    DeletionPolicy,
    EndReason,
    Reason,
    Rollover,
    TranscriptionTask,
    failed,
    progressing,
    ready,
    retrying,
    stalled,
)
from agora_transcription.controller import policy, transitions
from agora_transcription.controller.grounds import Grounds
from agora_transcription.controller.steps import (
    Acquire,
    AddFinalizer,
    Idle,
    Known,
    Look,
    Nothing,
    RemoveFinalizer,
    Start,
    Step,
    Stop,
    UpdateTask,
    Write,
)
from agora_transcription.controller.translate import (
    changed_fields,
    live_settings,
    settings_of,
    start_hash,
    unsupported,
)

if TYPE_CHECKING:
    from agora_transcription.agora.models import Field
    from agora_transcription.api import Applied
    from agora_transcription.api.conditions import Verdict
    from agora_transcription.controller.steps import Trouble

__all__ = ["UPDATE_SPACING", "decide", "dialect_of"]

UPDATE_SPACING: Final = timedelta(seconds=5)
"""Agora refuses an update sooner after the start or after the last update (guide "Update service")."""


def dialect_of(task: TranscriptionTask, default: Dialect) -> Dialect:
    """The API of a task: the spec's, else the one it was first started with, else the operator's default."""
    return Dialect(task.spec.agora_api or task.status.agora_api or default)


def decide(task: TranscriptionTask, known: Known, default: Dialect, now: datetime) -> Step:
    """Name the one next step.

    Args:
        task: The object, as new as it is known.
        known: What this process knows beyond it.
        default: The API for objects that name none.
        now: The time, with its time zone.
    """
    if not task.guarded:
        return Nothing() if task.deleting else AddFinalizer()
    if task.deleting and task.spec.deletion_policy is DeletionPolicy.ORPHAN:
        return RemoveFinalizer()
    return _Decision(task, known, dialect_of(task, default), now).step()


class _Decision(Grounds):
    """The parts of one decision."""

    def step(self) -> Step:
        over = self._wanted_no_more()
        if over is None:
            return self._keep_running()
        return self._wind_down(*over)

    # What should be ------------------------------------------------------------------------------------------------

    def _wanted_no_more(self) -> tuple[EndReason, Verdict] | None:
        """Why no task should run, and how that reads once none does; None if one should."""
        if self.task.deleting or self.spec.suspend:
            return EndReason.SUSPENDED, ready(Reason.SUSPENDED, "No Agora task runs: spec.suspend is true")
        if self.is_past(policy.deadline(self.task)):
            message = (
                f"The task was active for activeDeadlineSeconds ({self.spec.active_deadline_seconds} s): "
                "raise it, or set spec.suspend to true and back"
            )
            return EndReason.DEADLINE_EXCEEDED, failed(Reason.DEADLINE_EXCEEDED, message)
        if self.status.completion_time is not None and not self.status.task_id and self.status.history:
            last = self.status.history[-1].reason
            if not policy.another_follows(self.spec, last):
                return last, policy.final_verdict(self.spec, last, self.status.history[-1].message)
        return None

    # Winding down --------------------------------------------------------------------------------------------------

    def _wind_down(self, reason: EndReason, settled: Verdict) -> Step:
        earlier = self.call(self._stop_retiring()) if self.status.retiring else None
        if isinstance(earlier, Stop):
            return earlier
        current = self._end_current(reason, settled)
        if earlier is not None and (current is None or isinstance(current, RemoveFinalizer)):
            # Of the current one there is no more to be done, so it is the earlier that is waited for.
            return earlier
        return current or self._wound_down(settled)

    def _end_current(self, reason: EndReason, settled: Verdict) -> Step | None:
        """The next step to the end of the current attempt; None if there is nothing of it."""
        if self.status.task_id:
            trouble = self.known.trouble.get("retire")
            return self._stop(reason, another=None, over=(trouble and trouble.verdict) or settled)
        if self.start_may_be_out():
            # Repeating the start tells whether there is a task to stop; if there was none, there is one for a moment.
            return self._begin()
        return None

    def _wound_down(self, settled: Verdict) -> Step:
        if self.task.deleting:
            return RemoveFinalizer()
        if self.spec.suspend:
            # Resumed, it is a new run: neither its deadline nor an earlier completion counts any more.
            fresh = self.status.model_copy(update={"completion_time": None, "first_start_time": None})
            return self.settle(settled, status=fresh)
        return self.settle(settled, policy.deletion_due(self.task))

    def _stop(self, reason: EndReason, *, another: Verdict | None, over: Verdict) -> Step:
        """Bring the current task to its end, and see that it is there."""
        if self.ended():
            if self.task.deleting:
                return RemoveFinalizer()
            return self._retire(reason, another=another, over=over)
        trouble = self.known.trouble.get("stop")
        # A throttled stop has changed nothing, and a look would wait for the account as well, without a word.
        throttled = trouble is not None and trouble.verdict is not None and trouble.verdict.reason is Reason.THROTTLED
        if trouble is not None and not throttled and self.known.poll_at <= self.now:
            return self.query()
        stopping = self.status.stop_reason is not None
        state = self.known.observation.state if self.known.observation else None
        # A task that runs on after it was to be stopped is stopped again; one that Agora is ending is waited for.
        if stopping and not self.task.deleting and state in {None, State.STOPPING}:
            return self.query()
        return self.call(Stop(self.dialect, self.handle(), self.status.stop_reason or reason))

    def _stop_retiring(self) -> Stop:
        earlier = self.status.retiring
        token = earlier.builder_token if earlier else None
        handle = Handle(earlier.task_id if earlier else "", SecretStr(token) if token else None)
        return Stop(self.dialect, handle, EndReason.ROLLED_OVER, retiring=True)

    def _retire(self, reason: EndReason, *, another: Verdict | None, over: Verdict) -> Write:
        return Write(transitions.retired(self.task, reason, self._last_words(), self.now, another=another, over=over))

    def _last_words(self) -> str:
        """What Agora said of the task's end, as much as the history keeps."""
        farewell, observation = self.known.farewell, None if self.known.gone else self.known.observation
        if farewell is not None and (observation is None or observation.state is farewell.state):
            return farewell.message
        return observation.message[: transitions.WORD_LIMIT] if observation else ""

    # Keeping one running -------------------------------------------------------------------------------------------

    def _keep_running(self) -> Step:
        if not self.status.task_id:
            return self._begin_when_due()
        if self.ended():
            return self._ended_by_itself()
        if self.status.stop_reason is not None or self.status.start_hash != start_hash(self.spec):
            reason = self.status.stop_reason or EndReason.SPEC_CHANGED
            return self._stop(reason, another=transitions.STARTING, over=transitions.STARTING)
        earlier = self.call(self._stop_retiring()) if self.status.retiring and self.state() is State.ACTIVE else None
        if isinstance(earlier, Stop):
            return earlier
        if self.is_past(policy.rollover_due(self.status)):
            if self.spec.rollover is Rollover.OVERLAP and not self.status.retiring:
                return Write(transitions.overlapping(self.task, self.now))
            starting = progressing(Reason.STARTING, "Starting the next Agora task")
            return self._stop(EndReason.ROLLED_OVER, another=starting, over=starting)
        # An earlier task that cannot be stopped now does not keep this one from anything.
        return self._update_poll_or_rest()

    def _ended_by_itself(self) -> Write:
        observation = None if self.known.gone else self.known.observation
        reason = policy.end_reason(self.task, observation, self.known.farewell, self.now)
        if reason is EndReason.EXPIRED and "stop" in self.known.trouble:
            reason = EndReason.ROLLED_OVER  # it ended before it could be stopped to be renewed
        another: Verdict | None = None
        if reason in policy.DELIBERATE:
            another = transitions.STARTING
        elif policy.another_follows(self.spec, reason):
            another = retrying(Reason.TASK_ENDED, f"The Agora task ended ({reason}); starting another")
        over = policy.final_verdict(self.spec, reason, self._last_words())
        return self._retire(reason, another=another, over=over)

    def _update_poll_or_rest(self) -> Step:
        """Change what can be changed in place, no sooner than Agora allows; else look at the task when it is time."""
        applied, wanted = self.status.applied, settings_of(self.spec)
        fields = changed_fields(applied, wanted) if applied else frozenset()
        changed = self.status.last_update_time
        if changed is None or changed > self.now:  # by a clock that has been put back since
            changed = self.known.last_sent
        due = max(changed, self.known.last_sent) + UPDATE_SPACING
        trouble = self.known.trouble.get("update")
        stands_still = self.known.problem is not None or (trouble is not None and trouble.until > self.now)
        if fields and due <= self.now and self.state() is State.ACTIVE and not stands_still:
            return self._update(applied, wanted, fields, trouble)
        if self.known.poll_at <= self.now:
            return self.query()
        if not fields or stands_still:
            return self.settle(self.running_verdict())
        if self.state() is State.ACTIVE:
            return Idle(min(due, self.known.poll_at))
        return self.settle(self.state_verdict())

    def _update(
        self, applied: Applied | None, wanted: Applied, fields: frozenset[Field], trouble: Trouble | None
    ) -> Step:
        sequence = self.status.sequence_id
        if sequence is None or self.known.reserved != sequence:
            verdict = progressing(Reason.UPDATING, "Changing the running Agora task in place")
            # Tried again, it keeps saying what is wrong until it has gone well.
            return Write(transitions.reserved(self.task, (trouble and trouble.verdict) or verdict, self.now))
        update = Update(sequence, fields, live_settings(wanted, applied))
        return self.call(UpdateTask(self.dialect, self.handle(), update))

    # Starting ------------------------------------------------------------------------------------------------------

    def _begin_when_due(self) -> Step:
        if reason := unsupported(self.spec, self.dialect):
            return self.settle(stalled(Reason.SPEC_INVALID, reason))
        due = policy.restart_due(self.status, self.now)
        if due is not None and due > self.now:
            return Idle(due)
        return self._begin()

    def _begin(self) -> Step:
        attempt = transitions.attempt_of(self.status)
        if self.dialect is Dialect.V6:
            if self.status.builder_token is None or self._token_is_elsewhere():
                return self.call(Acquire(self.dialect, attempt))
            return self.call(Start(self.dialect, attempt))
        if self.status.written and self.status.instance_id is None and not self.known.problem:
            trouble = self.known.trouble.get("start")
            if trouble is None or trouble.until <= self.now:
                verdict = (trouble and trouble.verdict) or transitions.STARTING
                return Write(transitions.begun(self.task, self.dialect, self.account_hash(), verdict, self.now))
        if self.known.conflict_since is not None:
            return self.call(Look(self.dialect))
        return self.call(Start(self.dialect, attempt))

    def _token_is_elsewhere(self) -> bool:
        """Whether an unused builderToken is of a project that the Secret does not name any more (V6)."""
        account = self.account_hash()
        return account is not None and not self.start_may_be_out() and self.status.account_hash not in {None, account}
