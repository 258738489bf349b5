"""What is done next to have exactly one task running, with the settings of the spec, case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agora_transcription.agora import Dialect, Field, LiveSettings, Observation, State, Update
from agora_transcription.api import (
    EndReason,
    Phase,
    Reason,
    TranscriptionTask,
    progressing,
    ready,
)
from agora_transcription.controller import transitions
from agora_transcription.controller.plan import decide, dialect_of
from agora_transcription.controller.steps import (
    Acquire,
    AddFinalizer,
    Idle,
    Look,
    Nothing,
    Query,
    Start,
    Stop,
    UpdateTask,
    Write,
)
from unit.controller.builders import after, rfc3339, task_of
from unit.controller.plan_cases import (
    AT_STOP,
    DAY,
    GERMAN,
    HANDLE,
    KEYWORDS,
    NAME,
    SECRET_GONE,
    V6,
    V6_HANDLE,
    Case,
    Wrote,
    check,
    deleted,
    known_of,
    named,
    running,
    seen,
    trouble,
    written,
)

if TYPE_CHECKING:
    from datetime import datetime

BEGINNING = [
    Case("nothing is called before the finalizer is there", task_of(guarded=False), AddFinalizer()),
    Case(
        "an object that is deleted without it is nobody's business",
        deleted(task_of(guarded=False)),
        Nothing(),
    ),
    Case("V7 starts at once: the name of the first attempt needs no write", task_of(), Start(Dialect.V7, 0)),
    Case("V6 first acquires a builderToken", task_of(V6), Acquire(Dialect.V6, 0)),
    Case(
        "and starts with the one that the status has",
        task_of(V6, written(builderToken="token-1")),
        Start(Dialect.V6, 0),
    ),
    Case(
        "the operator's default decides for a spec that names no API",
        task_of(),
        Acquire(Dialect.V6, 0),
        default=Dialect.V6,
    ),
    Case(
        "and the API of the first start is kept when the default changes",
        task_of(None, written(agoraApi="V7", instanceId=f"{NAME}-0")),
        Start(Dialect.V7, 0),
        default=Dialect.V6,
    ),
    Case(
        "a later attempt of V7 is announced before it is sent",
        task_of(None, written(attempt=3)),
        Wrote(Reason.STARTING, {"instance_id": f"{NAME}-3", "attempt_generation": 1, "attempt_time": after(10)}),
    ),
    Case(
        "and then sent under its name",
        task_of(None, written(attempt=3, instanceId=f"{NAME}-3")),
        Start(Dialect.V7, 3),
    ),
    Case(
        "a conflict that names no task is looked into",
        task_of(None, written(instanceId=f"{NAME}-0")),
        Look(Dialect.V7),
        known={"conflict_since": 5.0},
    ),
    Case(
        "what the API does not have is told, not sent",
        task_of(KEYWORDS),
        Wrote(Reason.SPEC_INVALID, {"phase": Phase.PENDING, "task_id": None}),
        default=Dialect.V6,
    ),
    Case(
        "without its Secret nothing starts, and nobody comes back before it changes",
        task_of(),
        Wrote(Reason.SECRET_NOT_FOUND, {"phase": Phase.PENDING}),
        known={"credentials": None, "problem": SECRET_GONE},
    ),
    Case(
        "a failed start is told, with the name under which it may be out all the same",
        task_of(),
        Wrote(Reason.AGORA_UNAVAILABLE, {"instance_id": f"{NAME}-0"}),
        known={"trouble": trouble("start", 20)},
    ),
    Case(
        "and repeated when its time has come",
        task_of(),
        Start(Dialect.V7, 0),
        at=20,
        known={"trouble": trouble("start", 20)},
    ),
]

RUNNING = [
    Case("a task that runs as asked is left alone until its renewal", running(), Idle(after(DAY - 600))),
    Case("or until it is looked at", running(), Idle(after(30)), known={"poll_at": after(30)}),
    Case("then Agora is asked", running(), Query(Dialect.V7, HANDLE), at=30, known={"poll_at": after(30)}),
    Case(
        "with the builderToken on V6",
        running(V6, word="IN_PROGRESS"),
        Query(Dialect.V6, V6_HANDLE),
        at=30,
        known={"poll_at": after(30)},
    ),
    Case(
        "what Agora says of it is kept",
        running(),
        Wrote(Reason.RECOVERING, {"agora_status": "RECOVERING", "phase": Phase.RUNNING}),
        known={"observation": seen(State.RECOVERING)},
    ),
    Case(
        "a few failed looks say nothing",
        running(),
        Idle(after(20)),
        known={"trouble": trouble("query", 20, silent=True), "poll_at": after(20)},
    ),
    Case(
        "more of them do",
        running(),
        Wrote(Reason.AGORA_UNAVAILABLE, {"task_id": "agora-1", "phase": Phase.RUNNING}),
        known={"trouble": trouble("query", 20), "poll_at": after(20)},
    ),
    Case(
        "without its Secret it runs on and cannot be controlled",
        running(),
        Wrote(Reason.SECRET_NOT_FOUND, {"task_id": "agora-1", "phase": Phase.RUNNING}),
        known={"problem": SECRET_GONE},
    ),
]

UPDATES = [
    Case("5 s after the start are waited for", running(changes=GERMAN), Idle(after(5)), at=4.999),
    Case(
        "then a sequenceId is taken, before it is sent",
        running(changes=GERMAN),
        Wrote(Reason.UPDATING, {"sequence_id": 1, "phase": Phase.UPDATING}),
        at=5,
    ),
    Case(
        "an update that is due goes before a look that is due: the user waits for it",
        running(changes=GERMAN),
        Wrote(Reason.UPDATING, {"sequence_id": 1}),
        known={"poll_at": after(10), "observation": seen(State.ACTIVE)},
    ),
    Case(
        "also once its sequenceId is taken",
        running(changes=GERMAN, sequenceId=8),
        UpdateTask(Dialect.V7, HANDLE, Update(8, frozenset({Field.LANGUAGES}), LiveSettings(("de-DE",)))),
        known={"reserved": 8, "poll_at": after(0)},
    ),
    Case(
        "a look that is due goes before one that is not",
        running(changes=GERMAN, sequenceId=8),
        Query(Dialect.V7, HANDLE),
        known={"reserved": 8, "last_sent": after(7), "poll_at": after(10)},
    ),
    Case(
        "one that another process has taken may have been sent: it takes the next",
        running(changes=GERMAN, sequenceId=7),
        Wrote(Reason.UPDATING, {"sequence_id": 8}),
    ),
    Case(
        "the one that this process has taken is sent, with all that has changed",
        running(changes={**GERMAN, "subscribeAudioUids": ["17"]}, sequenceId=8),
        UpdateTask(
            Dialect.V7,
            HANDLE,
            Update(8, frozenset({Field.LANGUAGES, Field.SUBSCRIBE_AUDIO_UIDS}), LiveSettings(("de-DE",), ("17",))),
        ),
        known={"reserved": 8},
    ),
    Case(
        "5 s after the last one that may have been sent are waited for",
        running(changes=GERMAN, sequenceId=8),
        Idle(after(12)),
        known={"reserved": 8, "last_sent": after(7)},
    ),
    Case(
        "also if a look is due later only",
        running(changes=GERMAN, sequenceId=8, lastUpdateTime=rfc3339(after(9))),
        Idle(after(11)),
        known={"reserved": 8, "poll_at": after(11)},
    ),
    Case(
        "the same languages in another order are no update: only the message follows",
        running({"languages": ["en-US", "de-DE"]}, changes={"languages": ["de-DE", "en-US"]}),
        Wrote(Reason.RUNNING, {"sequence_id": None}),
    ),
    Case(
        "a task that is still starting is not updated",
        running(changes=GERMAN, word="STARTING"),
        Wrote(Reason.STARTING, {"sequence_id": None}),
    ),
    Case(
        "a failed update is told, and repeated later",
        running(changes=GERMAN, sequenceId=8),
        Wrote(Reason.AGORA_UNAVAILABLE, {"sequence_id": 8}),
        known={"trouble": trouble("update", 20)},
    ),
    Case(
        "under another sequenceId, still saying what was wrong",
        running(changes=GERMAN, sequenceId=8),
        Wrote(Reason.AGORA_UNAVAILABLE, {"sequence_id": 9}),
        at=20,
        known={"trouble": trouble("update", 20)},
    ),
]

RESTARTS = [
    Case(
        "what no update can change takes another task: the first is stopped",
        running(changes=KEYWORDS),
        Stop(Dialect.V7, HANDLE, EndReason.SPEC_CHANGED),
    ),
    Case(
        "it is over when Agora says so, and not when it has agreed to stop it",
        running(changes=KEYWORDS, **AT_STOP),
        Query(Dialect.V7, HANDLE),
        known={"poll_at": after(10)},
    ),
    Case(
        "which takes a moment",
        running(changes=KEYWORDS, **AT_STOP),
        Idle(after(11)),
        known={"poll_at": after(11), "observation": seen(State.STOPPING)},
    ),
    Case(
        "one that runs on is stopped again",
        running(changes=KEYWORDS, **AT_STOP),
        Stop(Dialect.V7, HANDLE, EndReason.SPEC_CHANGED),
        known={"observation": seen(State.ACTIVE)},
    ),
    Case(
        "once it has ended the next attempt is announced",
        running(changes=KEYWORDS, **AT_STOP),
        Wrote(Reason.STARTING, {"task_id": None, "attempt": 1, "instance_id": f"{NAME}-1", "restarts": 1}),
        known={"observation": seen(State.STOPPED)},
    ),
    Case(
        "or Agora knows nothing of it",
        running(changes=KEYWORDS, **AT_STOP),
        Wrote(Reason.STARTING, {"task_id": None, "attempt": 1}),
        known={"gone": True},
    ),
    Case(
        "a task that was adopted with unknown settings is replaced",
        running(startHash=None, applied=None),
        Stop(Dialect.V7, HANDLE, EndReason.SPEC_CHANGED),
    ),
    Case(
        "a refused stop is told",
        running(changes=KEYWORDS),
        Wrote(Reason.AGORA_UNAVAILABLE, {"task_id": "agora-1"}),
        known={"trouble": trouble("stop", 20, lasting=True)},
    ),
]


@pytest.mark.parametrize("case", named([*BEGINNING, *RUNNING, *UPDATES, *RESTARTS]))
def test_a_task_is_kept_running(case: Case) -> None:
    check(case)


@pytest.mark.parametrize(
    ("spec", "status", "default", "expected"),
    [
        ({"agoraApi": "V6"}, {"agoraApi": "V7"}, "V7", "V6"),
        ({}, {"agoraApi": "V6"}, "V7", "V6"),
        ({}, {}, "V6", "V6"),
        ({}, {}, "V7", "V7"),
    ],
)
def test_the_api_is_the_specs_then_the_first_starts_then_the_default(
    spec: dict[str, Any], status: dict[str, Any], default: str, expected: str
) -> None:
    assert dialect_of(task_of(spec, written(**status)), Dialect(default)) == expected


def test_verdicts_of_a_task_that_is_as_asked() -> None:
    """The steady state: the status of `running()` is what its conditions say, so that nothing is written."""
    task: TranscriptionTask = running()
    now: datetime = after(100)
    verdict = ready(Reason.RUNNING, "Transcribing channel standup in en-US")
    assert transitions.concluded(task, task.status, verdict, now) == task.status
    assert transitions.concluded(task, task.status, progressing(Reason.STARTING, ""), now) != task.status


def test_what_agora_says_of_a_task_is_said_with_the_word_that_it_has_just_used() -> None:
    pondering = Observation("agora-1", "PONDERING", State.STARTING)
    step = decide(running(), known_of(observation=pondering), Dialect.V7, after(10))
    assert isinstance(step, Write)
    assert step.status.ready is not None
    assert step.status.ready.message == "Agora reports the task as PONDERING"
