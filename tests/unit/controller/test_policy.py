"""What a spec's policies make of a task; what follows from them is in the cases of the plan."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agora_transcription.agora import Dialect, Observation, State
from agora_transcription.api import EndReason, TranscriptionTask
from agora_transcription.controller import policy, transitions
from agora_transcription.controller.steps import Farewell
from unit.controller.builders import BIRTH, after, task_of

LASTS = 3600.0


def running(spec: dict[str, Any] | None = None, **status: Any) -> TranscriptionTask:
    """An object whose task was started at 0 and lasts an hour."""
    task = task_of(spec)
    observation = Observation("agora-1", "RUNNING", State.ACTIVE)
    started = transitions.started(task, Dialect.V7, observation, timedelta(seconds=LASTS), BIRTH)
    return task.model_copy(update={"status": started.model_copy(update=status)})


@pytest.mark.parametrize(
    ("state", "at", "status", "reason"),
    [
        (State.STOPPED, 59, {}, EndReason.STOPPED_ELSEWHERE),
        (State.STOPPED, 60, {}, EndReason.IDLE),
        (State.FAILED, 60, {}, EndReason.FAILED),
        (None, 60, {}, EndReason.DISAPPEARED),
        (State.STOPPED, LASTS - 601, {}, EndReason.IDLE),
        (State.STOPPED, LASTS - 600, {}, EndReason.ROLLED_OVER),
        (State.STOPPED, LASTS, {}, EndReason.EXPIRED),
        (None, LASTS, {}, EndReason.EXPIRED),
        (State.FAILED, LASTS, {}, EndReason.EXPIRED),
        (State.FAILED, 60, {"stop_reason": EndReason.SUSPENDED}, EndReason.SUSPENDED),
        (State.FAILED, LASTS, {"stop_reason": EndReason.SUSPENDED}, EndReason.SUSPENDED),
        (State.FAILED, LASTS, {"start_hash": "another"}, EndReason.SPEC_CHANGED),
    ],
)
def test_age_tells_why_a_task_ended_that_the_operator_has_not_stopped(
    state: State | None, at: float, status: dict[str, Any], reason: EndReason
) -> None:
    observation = Observation("agora-1", state.name, state) if state else None
    assert policy.end_reason(running(**status), observation, None, after(at)) is reason


@pytest.mark.parametrize(
    ("said", "message", "state", "at", "status", "reason"),
    [
        (State.STOPPED, "Idle for too long", State.STOPPED, 5, {}, EndReason.IDLE),
        (State.STOPPED, "Idle for too long", None, 5, {}, EndReason.IDLE),
        (State.STOPPED, "Idle for too long", State.STOPPED, LASTS - 600, {}, EndReason.IDLE),
        (State.STOPPED, "Task exceeded maximum lifetime", State.STOPPED, 2900, {}, EndReason.EXPIRED),
        (State.STOPPED, "OK", State.STOPPED, 2900, {}, EndReason.STOPPED_ELSEWHERE),
        (State.STOPPED, "OK", None, 2900, {}, EndReason.STOPPED_ELSEWHERE),
        (State.STOPPED, "something new", State.STOPPED, 2900, {}, EndReason.IDLE),
        (State.STOPPED, "something new", None, 2900, {}, EndReason.DISAPPEARED),
        (State.FAILED, "RTC connection error", None, 2900, {}, EndReason.FAILED),
        (State.FAILED, "Fatal ASR error", State.FAILED, 2900, {}, EndReason.FAILED),
        (State.FAILED, "Fatal Translation error", State.FAILED, 2900, {}, EndReason.FAILED),
        (State.FAILED, "RTC connection error", State.FAILED, LASTS, {}, EndReason.EXPIRED),
        # What a query says otherwise was never said.
        (State.STOPPED, "Idle for too long", State.FAILED, 5, {}, EndReason.FAILED),
        (State.FAILED, "Fatal ASR error", State.STOPPED, 5, {}, EndReason.STOPPED_ELSEWHERE),
        # What the operator or the user has done comes first.
        (
            State.STOPPED,
            "Idle for too long",
            State.STOPPED,
            5,
            {"stop_reason": EndReason.SUSPENDED},
            EndReason.SUSPENDED,
        ),
        (State.STOPPED, "OK", State.STOPPED, 5, {"stop_reason": EndReason.ROLLED_OVER}, EndReason.ROLLED_OVER),
        (State.STOPPED, "OK", State.STOPPED, LASTS - 600, {}, EndReason.ROLLED_OVER),
        (State.STOPPED, "Idle for too long", State.STOPPED, 5, {"start_hash": "another"}, EndReason.SPEC_CHANGED),
    ],
)
def test_a_notification_tells_better_if_a_query_says_the_same(
    said: State, message: str, state: State | None, at: float, status: dict[str, Any], reason: EndReason
) -> None:
    observation = Observation("agora-1", state.name, state) if state else None
    farewell = Farewell("agora-1", said, message)
    assert policy.end_reason(running(**status), observation, farewell, after(at)) is reason


def test_a_task_without_idle_timeout_is_never_idle() -> None:
    task = running({"idleTimeoutSeconds": 0})
    stopped = Observation("agora-1", "STOPPED", State.STOPPED)
    assert policy.end_reason(task, stopped, None, after(2900)) is EndReason.STOPPED_ELSEWHERE
