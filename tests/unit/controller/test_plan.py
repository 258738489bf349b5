"""What is done next, case by case: the object, what is known beyond it, the time -> the step.

Times are seconds after the object's creation. `running()` is an object whose task was started at 0 and is well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from agora_transcription.agora import Dialect, Field, Handle, LiveSettings, Observation, State, Update
from agora_transcription.api import (
    EndReason,
    Phase,
    Reason,
    TaskStatus,
    TranscriptionTask,
    progressing,
    ready,
    retrying,
    stalled,
)
from agora_transcription.controller import transitions
from agora_transcription.controller.plan import decide, dialect_of
from agora_transcription.controller.steps import (
    Acquire,
    AddFinalizer,
    DeleteObject,
    Idle,
    Known,
    Look,
    Nothing,
    Problem,
    Query,
    RemoveFinalizer,
    Start,
    Step,
    Stop,
    Trouble,
    UpdateTask,
    Write,
)
from unit.controller.builders import BIRTH, CREDENTIALS, UID, after, rfc3339, task_of

if TYPE_CHECKING:
    from datetime import datetime

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


def trouble(operation: str, until: float, *, lasting: bool = False, silent: bool = False) -> dict[str, Trouble]:
    verdict = None
    if not silent:
        verdict = (stalled if lasting else retrying)(Reason.AGORA_UNAVAILABLE, "it failed")
    return {operation: Trouble(verdict, after(until), lasting)}


V6: dict[str, Any] = {"agoraApi": "V6"}
KEYWORDS: dict[str, Any] = {"keywords": ["kubelet"]}
GERMAN: dict[str, Any] = {"languages": ["de-DE"]}
AT_STOP: dict[str, Any] = {"stopReason": "SpecChanged"}

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
        known={"conflict_since": after(5)},
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

LONG_AGO: dict[str, Any] = {"startTime": rfc3339(after(-3600))}


def its_end(policy: str, *, state: State = State.STOPPED, **status: Any) -> tuple[TranscriptionTask, dict[str, Any]]:
    return running({"restartPolicy": policy}, **status), {"observation": seen(state, "so it goes")}


def end_case(name: str, policy: str, step: Wrote, state: State = State.STOPPED, at: float = 10, **status: Any) -> Case:
    task, known = its_end(policy, state=state, **status)
    return Case(name, task, step, at, known)


FOLLOWS = {"task_id": None, "attempt": 1, "restarts": 1, "completion_time": None}
IS_LAST = {"task_id": None, "attempt": 1, "restarts": None, "completion_time": after(10)}

ENDS = [
    end_case("OnFailure: an idle task has done its work", "OnFailure", Wrote(Reason.COMPLETED, IS_LAST), **LONG_AGO),
    end_case("Always: another follows", "Always", Wrote(Reason.TASK_ENDED, FOLLOWS), **LONG_AGO),
    end_case("Never: none does", "Never", Wrote(Reason.COMPLETED, IS_LAST), **LONG_AGO),
    end_case(
        "OnFailure: a failed task is followed by another", "OnFailure", Wrote(Reason.TASK_ENDED, FOLLOWS), State.FAILED
    ),
    end_case("Always: likewise", "Always", Wrote(Reason.TASK_ENDED, FOLLOWS), State.FAILED),
    end_case(
        "Never: it has failed", "Never", Wrote(Reason.TASK_FAILED, {**IS_LAST, "phase": Phase.FAILED}), State.FAILED
    ),
    end_case(
        "OnFailure: one that was stopped elsewhere, too young to be idle",
        "OnFailure",
        Wrote(Reason.TASK_ENDED, FOLLOWS),
    ),
    end_case("Never: likewise", "Never", Wrote(Reason.TASK_FAILED, IS_LAST)),
    end_case(
        "OnFailure: one whose lifetime ended is followed by another",
        "OnFailure",
        Wrote(Reason.TASK_ENDED, FOLLOWS | {"attempt": 1}),
        at=DAY + 1,
    ),
    end_case(
        "Never: it has reached its end",
        "Never",
        Wrote(Reason.COMPLETED, {**IS_LAST, "completion_time": after(DAY + 1)}),
        at=DAY + 1,
    ),
    Case(
        "one that Agora does not know any more is replaced",
        running(),
        Wrote(Reason.TASK_ENDED, FOLLOWS),
        known={"gone": True},
    ),
    Case(
        "a completed object rests",
        task_of({"restartPolicy": "Never"}, completed("Idle")),
        Wrote(Reason.COMPLETED, {"attempt": 1, "completion_time": after(3600)}),
        at=4000,
    ),
    Case(
        "until its restartPolicy asks for more",
        task_of({"restartPolicy": "Always"}, completed("Idle")),
        Wrote(Reason.STARTING, {"instance_id": f"{NAME}-1", "completion_time": None}),
        at=4000,
    ),
]


def pause_case(times: int, seconds: float, name: str) -> list[Case]:
    task = task_of(None, ended("Failed", lived=60, times=times))
    return [
        Case(f"{name}: not before {seconds} s", task, Idle(after(3600 + seconds)), at=3600 + seconds - 0.001),
        Case(f"{name}: then at once", task, Start(Dialect.V7, times), at=3600 + seconds),
    ]


PAUSES = [
    Case(
        "after the first early end the next task starts at once",
        task_of(None, ended("Failed", lived=60)),
        Start(Dialect.V7, 1),
        at=3600,
    ),
    *pause_case(2, 10, "after the second"),
    *pause_case(3, 20, "after the third"),
    *pause_case(4, 40, "after the fourth"),
    *pause_case(5, 80, "after the fifth and later"),
    Case(
        "tasks that lived long do not count",
        task_of(None, ended("Failed", lived=601, times=5)),
        Start(Dialect.V7, 5),
        at=3600,
    ),
    Case(
        "nor do those that the operator ended",
        task_of(None, ended("SpecChanged", lived=60, times=5)),
        Start(Dialect.V7, 5),
        at=3600,
    ),
]

RENEWALS = [
    Case(
        "10 minutes before it expires a task is stopped",
        running(),
        Stop(Dialect.V7, HANDLE, EndReason.ROLLED_OVER),
        at=DAY - 600,
    ),
    Case("and not before", running(), Idle(after(DAY - 600)), at=DAY - 601),
    Case(
        "then replaced",
        running(stopReason="RolledOver"),
        Wrote(Reason.STARTING, FOLLOWS),
        at=DAY - 599,
        known={"observation": seen(State.STOPPED)},
    ),
    Case(
        "with Overlap the next one starts beside it",
        running({"rollover": "Overlap"}),
        Wrote(Reason.ROLLING_OVER, {"task_id": None, "attempt": 1}),
        at=DAY - 600,
    ),
    Case(
        "the earlier one goes on while the later one is starting",
        running({"rollover": "Overlap"}, word="STARTING", retiring={"taskId": "agora-0"}),
        Query(Dialect.V7, HANDLE),
        known={"poll_at": after(10), "observation": seen(State.STARTING)},
    ),
    Case(
        "and is stopped once it runs",
        running({"rollover": "Overlap"}, retiring={"taskId": "agora-0"}),
        Stop(Dialect.V7, Handle("agora-0"), EndReason.ROLLED_OVER, retiring=True),
    ),
    Case(
        "on V6 with its own builderToken",
        running(
            {**V6, "rollover": "Overlap"}, word="STARTED", retiring={"taskId": "agora-0", "builderToken": "token-0"}
        ),
        Stop(Dialect.V6, Handle("agora-0", SecretStr("token-0")), EndReason.ROLLED_OVER, retiring=True),
    ),
]

DEADLINE: dict[str, Any] = {"activeDeadlineSeconds": 300}
PAST_DEADLINE: dict[str, Any] = {"firstStartTime": rfc3339(BIRTH)}

LIMITS = [
    Case("a deadline is waited for", running(DEADLINE), Idle(after(300))),
    Case(
        "then the task is stopped",
        running(DEADLINE),
        Stop(Dialect.V7, HANDLE, EndReason.DEADLINE_EXCEEDED),
        at=300,
    ),
    Case(
        "and no other follows",
        running(DEADLINE, stopReason="DeadlineExceeded"),
        Wrote(Reason.DEADLINE_EXCEEDED, {"task_id": None, "completion_time": after(301), "phase": Phase.FAILED}),
        at=301,
        known={"gone": True},
    ),
    Case(
        "a raised deadline lets another one start",
        task_of({"activeDeadlineSeconds": 7200}, completed("DeadlineExceeded", **PAST_DEADLINE)),
        Wrote(Reason.STARTING, {"instance_id": f"{NAME}-1"}),
        at=3700,
    ),
]

SUSPENSION = [
    Case(
        "a suspended object's task is stopped",
        running(changes={"suspend": True}),
        Stop(Dialect.V7, HANDLE, EndReason.SUSPENDED),
    ),
    Case(
        "seen to have ended",
        running(changes={"suspend": True}, stopReason="Suspended"),
        Wrote(Reason.SUSPENDED, {"task_id": None, "phase": Phase.SUSPENDED}),
        known={"observation": seen(State.STOPPED)},
    ),
    Case(
        "a resume counts as a new run: no completion, no earlier start",
        task_of({"suspend": True}, completed("Idle", **PAST_DEADLINE)),
        Wrote(Reason.SUSPENDED, {"completion_time": None, "first_start_time": None}),
        at=4000,
    ),
    Case(
        "resumed it starts again",
        task_of(None, written(attempt=1)),
        Wrote(Reason.STARTING, {"instance_id": f"{NAME}-1"}),
    ),
    Case(
        "a start that may be out is repeated, to learn which task to stop",
        task_of({"suspend": True}, written(instanceId=f"{NAME}-0")),
        Start(Dialect.V7, 0),
    ),
    Case(
        "one that certainly never was sent is not",
        task_of({"suspend": True}, written(instanceId=f"{NAME}-0")),
        Wrote(Reason.SUSPENDED),
        known={"unsent": True},
    ),
    Case(
        "a new object that is suspended from the beginning calls nothing",
        task_of({"suspend": True}),
        Wrote(Reason.SUSPENDED, {"instance_id": None}),
        known={"unsent": True},
    ),
]

DELETION = [
    Case(
        "a deleted object's task is stopped", deleted(running()), Stop(Dialect.V7, HANDLE, EndReason.SUSPENDED), at=101
    ),
    Case("then the object may go", deleted(running()), RemoveFinalizer(), at=101, known={"gone": True}),
    Case(
        "also if the task ended by itself",
        deleted(running()),
        RemoveFinalizer(),
        at=101,
        known={"observation": seen(State.FAILED)},
    ),
    Case("Orphan leaves the task alone", deleted(running({"deletionPolicy": "Orphan"})), RemoveFinalizer(), at=101),
    Case(
        "of two overlapping tasks the earlier is stopped first",
        deleted(running(retiring={"taskId": "agora-0"})),
        Stop(Dialect.V7, Handle("agora-0"), EndReason.ROLLED_OVER, retiring=True),
        at=101,
    ),
    Case("without a task there is nothing to stop", deleted(task_of(None, written(attempt=1))), RemoveFinalizer()),
    Case(
        "V7: before the first status write a start may be out",
        deleted(task_of()),
        Start(Dialect.V7, 0),
    ),
    Case("unless this process knows better", deleted(task_of()), RemoveFinalizer(), known={"unsent": True}),
    Case("V6: without a builderToken none can be", deleted(task_of(V6)), RemoveFinalizer()),
    Case("V6: with one it may", deleted(task_of(V6, written(builderToken="token-1"))), Start(Dialect.V6, 0)),
    Case(
        "a start that conflicts with an unnamed task is looked into",
        deleted(task_of(None, written(instanceId=f"{NAME}-0"))),
        Look(Dialect.V7),
        known={"conflict_since": after(5)},
    ),
    Case(
        "without the Secret the last good credentials stop it",
        deleted(running()),
        Stop(Dialect.V7, HANDLE, EndReason.SUSPENDED),
        at=101,
        known={"problem": SECRET_GONE},
    ),
    Case(
        "without any it is waited for better ones",
        deleted(running()),
        Wrote(Reason.SECRET_NOT_FOUND, {"task_id": "agora-1"}),
        at=101,
        known={"problem": SECRET_GONE, "credentials": None},
    ),
    Case(
        "for 10 minutes",
        deleted(running()),
        RemoveFinalizer(abandoned="agora-1"),
        at=700,
        known={"problem": SECRET_GONE, "credentials": None},
    ),
    Case(
        "a stop that is refused is given up likewise",
        deleted(running()),
        RemoveFinalizer(abandoned="agora-1"),
        at=700,
        known={"trouble": trouble("stop", 650, lasting=True)},
    ),
    Case(
        "a start that may be out is, too, under its name",
        deleted(task_of(None, written(instanceId=f"{NAME}-0"))),
        RemoveFinalizer(abandoned=f"{NAME}-0"),
        at=700,
        known={"trouble": trouble("start", 650, lasting=True)},
    ),
    Case(
        "an Agora that cannot be reached is waited for as long as it takes",
        deleted(running()),
        Stop(Dialect.V7, HANDLE, EndReason.SUSPENDED),
        at=DAY,
        known={"trouble": trouble("stop", 650)},
    ),
]

ALL = {
    "beginning": BEGINNING,
    "running": RUNNING,
    "updates": UPDATES,
    "restarts": RESTARTS,
    "ends": ENDS,
    "pauses": PAUSES,
    "renewals": RENEWALS,
    "limits": LIMITS,
    "suspension": SUSPENSION,
    "deletion": DELETION,
}


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{part}: {case.name}") for part, cases in ALL.items() for case in cases]
)
def test_the_next_step(case: Case) -> None:
    step = decide(case.task, known_of(**case.known), case.default, after(case.at))

    if isinstance(case.step, Wrote):
        assert isinstance(step, Write), step
        check_write(case.task, step.status, case.step)
    else:
        assert step == case.step


def check_write(task: TranscriptionTask, status: TaskStatus, expected: Wrote) -> None:
    assert status != task.status, "a write that changes nothing"
    assert status.ready is not None
    assert status.ready.reason == expected.reason
    assert status.observed_generation == task.metadata.generation
    assert {name: getattr(status, name) for name in expected.fields} == expected.fields


@pytest.mark.parametrize("cases", ALL.values(), ids=ALL.keys())
def test_a_write_is_made_once(cases: list[Case]) -> None:
    """Decided again on what was written, the same facts lead on: never to the same write."""
    for case in cases:
        known = known_of(**case.known)
        step = decide(case.task, known, case.default, after(case.at))
        if isinstance(step, Write):
            task = case.task.model_copy(update={"status": step.status})
            again = decide(task, known, case.default, after(case.at))
            assert again != step, case.name


def finished(ttl: int | None) -> TranscriptionTask:
    """A completed object whose status says all that there is to say."""
    task = task_of({"restartPolicy": "Never", "ttlSecondsAfterFinished": ttl}, completed("Idle"))
    step = decide(task, known_of(), Dialect.V7, after(3601))
    assert isinstance(step, Write)
    return task.model_copy(update={"status": step.status})


@pytest.mark.parametrize(
    ("ttl", "at", "step"),
    [
        (None, 10 * DAY, Idle(None)),
        (600, 3700, Idle(after(4200))),
        (600, 4200, DeleteObject()),
        (0, 3601, DeleteObject()),
    ],
)
def test_time_to_live_of_a_finished_object(ttl: int | None, at: float, step: Step) -> None:
    assert decide(finished(ttl), known_of(), Dialect.V7, after(at)) == step


def test_a_suspended_object_rests_until_it_changes() -> None:
    task = task_of({"suspend": True})
    step = decide(task, known_of(unsent=True), Dialect.V7, after(1))
    assert isinstance(step, Write)
    task = task.model_copy(update={"status": step.status})
    assert decide(task, known_of(unsent=True), Dialect.V7, after(DAY)) == Idle(None)


def test_a_withheld_deletion_is_decided_again_when_it_may_be_given_up() -> None:
    task = deleted(running())
    known = known_of(problem=SECRET_GONE, credentials=None)
    step = decide(task, known, Dialect.V7, after(101))
    assert isinstance(step, Write)
    task = task.model_copy(update={"status": step.status})
    assert decide(task, known, Dialect.V7, after(102)) == Idle(after(700))


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
