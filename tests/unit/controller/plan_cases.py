"""The language in which the cases of the plan are told: an object, what is known beyond it, the time -> the step.

Times are seconds after the object's creation. `running()` is an object whose task was started at 0 and is well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from agora_transcription.agora import Dialect, Handle, Observation, State
from agora_transcription.api import (
    Reason,
    TaskStatus,
    TranscriptionTask,
    retrying,
    stalled,
)
from agora_transcription.controller import transitions
from agora_transcription.controller.plan import decide
from agora_transcription.controller.steps import (
    Known,
    Problem,
    Step,
    Trouble,
    Write,
)
from unit.controller.builders import BIRTH, CREDENTIALS, UID, after, rfc3339, task_of

DAY = 24 * 3600.0
POLL_AT = 10 * DAY
"""No poll is due, unless a case says so."""

NAME = f"tt-{UID}"
HANDLE = Handle("agora-1")
V6_HANDLE = Handle("agora-1", SecretStr("token-1"))


def seen(state: State, message: str = "") -> Observation:
    """Agora's last answer about the task."""
    return Observation("agora-1", state.name, state, message)


def written(**status: Any) -> dict[str, Any]:
    return {"observedGeneration": 1, **status}


def running(
    spec: dict[str, Any] | None = None, *, changes: dict[str, Any] | None = None, word: str = "RUNNING", **status: Any
) -> TranscriptionTask:
    """An object whose task was started at 0 with its spec, and whose spec was changed since."""
    api = Dialect((spec or {}).get("agoraApi", "V7"))
    born = task_of(spec, written(builderToken="token-1") if api is Dialect.V6 else None)
    observation = Observation("agora-1", word, State.ACTIVE)
    begun = transitions.started(born, api, observation, timedelta(days=1), BIRTH).dump()
    return task_of({**(spec or {}), **(changes or {})}, {**begun, **status})


def deleted(task: TranscriptionTask, at: float = 100) -> TranscriptionTask:
    metadata = task.metadata.model_copy(update={"deletion_timestamp": after(at)})
    return task.model_copy(update={"metadata": metadata})


def ended(reason: str, *, lived: float = 3600, end: float = 3600, times: int = 1, **status: Any) -> dict[str, Any]:
    """The status of an object whose task has ended."""
    history = [
        {
            "taskId": f"agora-{number}",
            "startTime": rfc3339(after(end - lived)),
            "endTime": rfc3339(after(end)),
            "reason": reason,
        }
        for number in range(times)
    ]
    return written(history=history, attempt=times, instanceId=f"{NAME}-{times}", **status)


def completed(reason: str, **status: Any) -> dict[str, Any]:
    """The same, where no other task was to follow."""
    return ended(reason, completionTime=rfc3339(after(3600)), **status) | {"instanceId": None}


@dataclass(frozen=True)
class Wrote:
    """A status write: what Ready then says why, and fields of the status."""

    reason: Reason
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    name: str
    task: TranscriptionTask
    step: Step | Wrote
    at: float = 10
    known: dict[str, Any] = field(default_factory=dict)
    default: Dialect = Dialect.V7


def known_of(**known: Any) -> Known:
    facts: dict[str, Any] = {
        "last_sent": BIRTH - timedelta(days=1),
        "poll_at": after(POLL_AT),
        "trouble": {},
        "credentials": CREDENTIALS,
    }
    return Known(**(facts | known))


SECRET_GONE = Problem(Reason.SECRET_NOT_FOUND, "Secret calls/agora-credentials does not exist")


def trouble(
    operation: str,
    until: float,
    *,
    lasting: bool = False,
    silent: bool = False,
    reason: Reason = Reason.AGORA_UNAVAILABLE,
) -> dict[str, Trouble]:
    verdict = None
    if not silent:
        verdict = (stalled if lasting else retrying)(reason, "it failed")
    return {operation: Trouble(verdict, after(until), lasting)}


V6: dict[str, Any] = {"agoraApi": "V6"}
KEYWORDS: dict[str, Any] = {"keywords": ["kubelet"]}
GERMAN: dict[str, Any] = {"languages": ["de-DE"]}
AT_STOP: dict[str, Any] = {"stopReason": "SpecChanged"}


def named(cases: list[Case]) -> list[Any]:
    """Cases as parameters."""
    return [pytest.param(case, id=case.name) for case in cases]


def check(case: Case) -> None:
    """The step is as the case has it; and a write leads on: decided again on what was written, it is not made again."""
    known = known_of(**case.known)
    step = decide(case.task, known, case.default, after(case.at))
    if not isinstance(case.step, Wrote):
        assert step == case.step
        return
    assert isinstance(step, Write), step
    _check_status(case.task, step.status, case.step)
    written_task = case.task.model_copy(update={"status": step.status})
    assert decide(written_task, known, case.default, after(case.at)) != step


def _check_status(task: TranscriptionTask, status: TaskStatus, expected: Wrote) -> None:
    assert status != task.status, "a write that changes nothing"
    assert status.ready is not None
    assert status.ready.reason == expected.reason
    assert status.observed_generation == task.metadata.generation
    assert {name: getattr(status, name) for name in expected.fields} == expected.fields
