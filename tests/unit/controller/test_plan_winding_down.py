"""What is done next when no task is to run: after a deadline, suspended, or deleted, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from agora_transcription.agora import Dialect, Handle, State
from agora_transcription.api import EndReason, Phase, Reason, TranscriptionTask
from agora_transcription.controller.plan import decide
from agora_transcription.controller.steps import (
    DeleteObject,
    Idle,
    Look,
    Query,
    RemoveFinalizer,
    Start,
    Step,
    Stop,
    Write,
)
from unit.controller.builders import BIRTH, after, rfc3339, task_of
from unit.controller.plan_cases import (
    DAY,
    HANDLE,
    NAME,
    SECRET_GONE,
    V6,
    Case,
    Wrote,
    check,
    completed,
    deleted,
    known_of,
    named,
    running,
    seen,
    trouble,
    written,
)

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
        known={"conflict_since": 5.0},
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
        known={"trouble": trouble("stop", 720, lasting=True)},
    ),
    Case(
        "but not while another try is due",
        deleted(running()),
        Stop(Dialect.V7, HANDLE, EndReason.SUSPENDED),
        at=700,
        known={"trouble": trouble("stop", 650, lasting=True)},
    ),
    Case(
        "a start that may be out is, too, under its name",
        deleted(task_of(None, written(instanceId=f"{NAME}-0"))),
        RemoveFinalizer(abandoned=f"{NAME}-0"),
        at=700,
        known={"trouble": trouble("start", 720, lasting=True)},
    ),
    Case(
        "a throttled stop says so, and no look that would wait as well comes before it",
        deleted(running()),
        Wrote(Reason.THROTTLED, {}),
        at=700,
        known={"trouble": trouble("stop", 720, reason=Reason.THROTTLED), "poll_at": after(699)},
    ),
    Case(
        "any other failed stop is followed by a look: the task may have ended all the same",
        deleted(running()),
        Query(Dialect.V7, HANDLE),
        at=700,
        known={"trouble": trouble("stop", 720), "poll_at": after(699)},
    ),
    Case(
        "an Agora that cannot be reached is waited for as long as it takes",
        deleted(running()),
        Stop(Dialect.V7, HANDLE, EndReason.SUSPENDED),
        at=DAY,
        known={"trouble": trouble("stop", 650)},
    ),
]


@pytest.mark.parametrize("case", named([*LIMITS, *SUSPENSION, *DELETION]))
def test_a_task_is_brought_to_its_end(case: Case) -> None:
    check(case)


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


def test_a_deletion_that_nobody_could_try_has_not_waited() -> None:
    """The object was deleted at 100, and this process knows it since 5000."""
    known = known_of(problem=SECRET_GONE, credentials=None, deleting_since=after(5000))
    task = deleted(running())
    step = decide(task, known, Dialect.V7, after(5001))
    assert isinstance(step, Write)
    task = task.model_copy(update={"status": step.status})
    assert decide(task, known, Dialect.V7, after(5599)) == Idle(after(5600))
    assert decide(task, known, Dialect.V7, after(5600)) == RemoveFinalizer(abandoned="agora-1")


def test_a_withheld_deletion_is_decided_again_when_it_may_be_given_up() -> None:
    task = deleted(running())
    known = known_of(problem=SECRET_GONE, credentials=None)
    step = decide(task, known, Dialect.V7, after(101))
    assert isinstance(step, Write)
    task = task.model_copy(update={"status": step.status})
    assert decide(task, known, Dialect.V7, after(102)) == Idle(after(700))
