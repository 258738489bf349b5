"""What is done next when a task has ended or is to be renewed, case by case."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from agora_transcription.agora import Dialect, Handle, State
from agora_transcription.api import (
    EndReason,
    Phase,
    Reason,
    TranscriptionTask,
)
from agora_transcription.controller.steps import (
    Idle,
    Query,
    Start,
    Stop,
)
from unit.controller.builders import after, rfc3339, task_of
from unit.controller.plan_cases import (
    DAY,
    HANDLE,
    NAME,
    V6,
    Case,
    Wrote,
    check,
    completed,
    ended,
    named,
    running,
    seen,
)

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
        "before the later one is renewed itself",
        running({"rollover": "Overlap"}, retiring={"taskId": "agora-0"}),
        Stop(Dialect.V7, Handle("agora-0"), EndReason.ROLLED_OVER, retiring=True),
        at=DAY - 600,
    ),
    Case(
        "on V6 with its own builderToken",
        running(
            {**V6, "rollover": "Overlap"}, word="STARTED", retiring={"taskId": "agora-0", "builderToken": "token-0"}
        ),
        Stop(Dialect.V6, Handle("agora-0", SecretStr("token-0")), EndReason.ROLLED_OVER, retiring=True),
    ),
]


@pytest.mark.parametrize("case", named([*ENDS, *PAUSES, *RENEWALS]))
def test_another_task_follows_or_none(case: Case) -> None:
    check(case)
